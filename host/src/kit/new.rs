//! `ecomm plugin new`: a project that builds as it is.

use std::fmt::Write as _;
use std::path::Path;

use super::project::{Expectations, Settings};
use super::{Error, Language, templates, write};
use crate::plugin::{Slot, samples};

/// The longest name of a project.
pub const NAME_CHARS_MAX: usize = 40;

/// What a project begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// A small component in this language.
    Starter(Language),
    /// The source of the built-in component, in Rust.
    BuiltIn,
}

/// Writes a project into a folder that is not there yet, or is empty.
pub fn create(folder: &Path, slot: Slot, from: From) -> Result<(), Error> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !is_name(&name) {
        return Err(Error::Name(name));
    }
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        return Err(Error::Exists(folder.to_owned()));
    }
    let language = match from {
        From::Starter(language) => {
            for (path, text) in templates::sources(slot, language) {
                write(&folder.join(path), text.replace(templates::NAME, &name))?;
            }
            language
        }
        From::BuiltIn => {
            for (path, text) in templates::built_in(slot) {
                write(&folder.join(path), text.replace("../../wit/v1", "../wit"))?;
            }
            write(&folder.join("Cargo.toml"), workspace(slot)?)?;
            Language::Rust
        }
    };
    super::project::write_wit(folder)?;
    for (event, payload) in samples() {
        write(&folder.join(format!("events/{event}.json")), payload)?;
    }
    let test = Expectations { retries_are_monotone: slot == Slot::Policy, ..Expectations::default() };
    let reports =
        slot == Slot::Policy && matches!(from, From::BuiltIn | From::Starter(Language::Ts | Language::Python));
    let settings = toml::to_string(&Settings { slot, language, reports, test });
    let unfit = |e: toml::ser::Error| Error::Content { path: folder.join("plugin.toml"), why: e.to_string() };
    write(&folder.join("plugin.toml"), settings.map_err(unfit)?)?;
    write(&folder.join("config.json"), "{}\n")?;
    write(&folder.join(".gitignore"), templates::GITIGNORE)?;
    write(&folder.join("README.md"), readme(&name, slot, language))
}

/// A name that every language's packages may have.
fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The workspace of the built-in's source: of this repository's own, what it needs.
fn workspace(slot: Slot) -> Result<String, Error> {
    let unfit = |why: String| Error::Content { path: "Cargo.toml".into(), why };
    let mut root: toml::Table = toml::from_str(templates::WORKSPACE).map_err(|e| unfit(e.to_string()))?;
    let manifests: String =
        templates::built_in(slot).filter(|(path, _)| path.ends_with("Cargo.toml")).map(|(_, text)| text).collect();
    let is_used = |name: &str| {
        manifests.lines().any(|line| line.starts_with(&format!("{name}.")) || line.starts_with(&format!("{name} ")))
    };
    let mut workspace = toml::Table::new();
    let own = root.remove("workspace").and_then(|w| if let toml::Value::Table(w) = w { Some(w) } else { None });
    for (key, value) in own.unwrap_or_default() {
        let value = match (key.as_str(), value) {
            ("resolver" | "package" | "lints", value) => value,
            ("dependencies", toml::Value::Table(all)) => {
                all.into_iter().filter(|(name, _)| is_used(name)).collect::<toml::Table>().into()
            }
            _ => continue,
        };
        workspace.insert(key, value);
    }
    workspace.insert("members".to_owned(), vec!["arena", slot.as_str()].into());
    let release = [("codegen-units", 1.into()), ("lto", true.into()), ("strip", true.into())];
    let release: toml::Table =
        release.map(|(key, value): (_, toml::Value)| (key.to_owned(), value)).into_iter().collect();
    let profile: toml::Table = [("release".to_owned(), release.into())].into_iter().collect();
    let manifest: toml::Table =
        [("workspace".to_owned(), workspace.into()), ("profile".to_owned(), profile.into())].into_iter().collect();
    toml::to_string(&manifest).map_err(|e| unfit(e.to_string()))
}

fn readme(name: &str, slot: Slot, language: Language) -> String {
    let mut text = format!("# {name}\n\n");
    let what = match slot {
        Slot::Renderer => "A renderer for ecomm: it writes the mails that tell customers what became of their orders.",
        Slot::Policy => "A policy for ecomm: it decides whether a mail is sent, tried again or given up.",
    };
    let needs = super::build::needs(language);
    let _ = write!(
        text,
        "{what}\n\n```sh\necomm plugin build    # needs {needs}\necomm plugin test     # what every host asks of it, \
         and a thousand events that it does not expect\necomm plugin render --event order-shipped\necomm plugin test \
         --accept   # keeps what it says now in golden/; from then on a change is shown\n```\n\nTo a host:\n\n```sh\n\
         ecomm plugin install {slot} build/plugin.wasm --plugin-config config.json\n```\n\n\
         `events/` holds one event for each mail that a shop sends; change them and add to them. `wit/` is the contract: \
         every field is explained there, and it is not to be edited. `config.json` is what `configure` is given here; \
         `describe` gives the schema of what it may hold.\n\nA component is a pure function: its clock stands still, its \
         random numbers are the same each time, it has no files and no network. What it may know is in its arguments.\n"
    );
    if slot == Slot::Policy {
        text.push_str(
            "\nWith `reports = true` in `plugin.toml` it also exports `reports`: what follows when a mail comes back or somebody \
             complains (`wit/reports.wit`, the world `reporting-policy-plugin`).\n",
        );
    }
    text
}
