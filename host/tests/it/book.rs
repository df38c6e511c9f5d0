//! `docs` is a book whose chapters are all listed, whose links lead somewhere, and which says what the program does.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::tests;
use crate::tidy::code;

tests! {
    without_runtime {
        each_chapter_is_in_the_contents
        links_lead_somewhere
        the_settings_are_those_of_the_program
        each_error_is_explained
    }
}

/// Set it, and tests write what they would compare.
const WRITE: &str = "ECOMM_WRITE_REFERENCE";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// A chapter that is made from something else.
pub fn made(name: &str, text: &str) {
    let path = docs().join(name);
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, text).unwrap();
    }
    let is = fs::read_to_string(&path).unwrap_or_default();
    assert!(is == text, "docs/{name} is not what it is made from; run this test with {WRITE}=1");
}

/// Name and text of each page: of the book, and of those beside the README.
fn pages() -> Vec<(String, String)> {
    let root = docs().join("..");
    let within = |folder: &str| {
        let names =
            fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| Path::new(name).extension().is_some_and(|e| e == "md"))
            .map(|name| format!("{folder}{name}"))
            .collect::<Vec<_>>()
    };
    let names = within("").into_iter().chain(within("docs/"));
    let read = |name: String| {
        let text = fs::read_to_string(root.join(&name)).unwrap();
        (name, text)
    };
    names.map(read).collect()
}

fn each_chapter_is_in_the_contents() {
    let contents = fs::read_to_string(docs().join("README.md")).unwrap();
    let chapters: Vec<_> =
        pages().into_iter().filter_map(|(name, _)| name.strip_prefix("docs/").map(str::to_owned)).collect();
    assert!(chapters.len() > 9, "{chapters:?}");
    for chapter in chapters.iter().filter(|chapter| *chapter != "README.md") {
        assert!(contents.contains(&format!("]({chapter})")), "docs/README.md does not list {chapter}");
    }
}

/// As GitHub makes a heading's anchor.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

fn links_lead_somewhere() {
    let root = docs().join("..");
    let mut links = 0;
    for (name, text) in pages() {
        // Code holds no links.
        let prose: String = text.split("```").step_by(2).collect();
        for link in prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let of = root.join(&name);
            let target = if path.is_empty() { of } else { of.parent().unwrap().join(path) };
            assert!(target.exists(), "{name}: {link} is not there");
            if !place.is_empty() {
                let there = anchors(&fs::read_to_string(&target).unwrap());
                assert!(there.contains(place), "{name}: {link}: there is no such heading, only {there:?}");
            }
        }
    }
    assert!(links > 50, "{links}");
}

/// What is read of `config.default.toml`: settings that share a comment, what it says, and an example in it.
#[derive(Default)]
struct Entry {
    keys: Vec<String>,
    says: String,
    example: Vec<String>,
}

impl Entry {
    fn hear(&mut self, comment: &str) {
        if !self.example.is_empty() || comment.starts_with('[') {
            self.example.push(comment.to_owned());
        } else {
            format!("{} {comment}", self.says).trim().clone_into(&mut self.says);
        }
    }

    /// Writes it, and begins another.
    fn end(&mut self, text: &mut String) {
        let Self { keys, says, example } = std::mem::take(self);
        if keys.is_empty() {
            return;
        }
        let says = if says.is_empty() { says } else { format!(": {says}") };
        let _ = writeln!(text, "- {}{says}", keys.join(", "));
        if !example.is_empty() {
            let _ = writeln!(text, "\n  ```toml\n  {}\n  ```\n", example.join("\n  "));
        }
    }
}

fn is_key(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '0'..='9'))
}

fn the_settings_are_those_of_the_program() {
    let (preface, sections) = ecomm::config::DEFAULTS.split_once("\n\n").unwrap();
    let preface: Vec<_> = preface.lines().map(|line| line.trim_start_matches("# ")).collect();
    let mut text = format!(
        "# Settings\n\nMade from `host/config.default.toml` by a test; do not edit it here. {}\n\nEach stands with its \
         default. What ends in `_ms` is in milliseconds, in `_bytes` in bytes.\n",
        preface.join(" ")
    );
    let mut entry = Entry::default();
    for line in sections.lines() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            // What stands before a section is said of all of it.
            let says = std::mem::take(&mut entry.says);
            entry.end(&mut text);
            let _ = write!(text, "\n## {section}\n\n");
            if !says.is_empty() {
                let _ = write!(text, "{says}\n\n");
            }
        } else if let Some(comment) = line.strip_prefix("# ") {
            // A setting without a default stands in a comment.
            let key = comment.split_once(" = ").filter(|(key, _)| is_key(key) && entry.example.is_empty());
            if key.is_some() {
                entry.keys.push(format!("`{comment}` (not set)"));
            } else {
                if !entry.keys.is_empty() {
                    entry.end(&mut text);
                }
                entry.hear(comment);
            }
        } else if line.is_empty() {
            entry.end(&mut text);
        } else {
            entry.keys.push(format!("`{line}`"));
        }
    }
    entry.end(&mut text);
    made("configure.md", &text);
}

/// The strings in quotes that follow `before` in a text.
fn quoted_after<'t>(text: &'t str, before: &str) -> Vec<&'t str> {
    let rest = text.split(before).skip(1);
    rest.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next()).collect()
}

fn each_error_is_explained() {
    let source = |name: &str| {
        let (_, text) = code(&[name]).into_iter().next().unwrap_or_else(|| panic!("{name} is not there"));
        text
    };
    let within = |text: String, from: &str| {
        let (_, rest) = text.split_once(from).unwrap();
        rest.split_once("\n    }\n").unwrap().0.to_owned()
    };
    let of_service = within(source("service/error.rs"), "pub fn code(&self) -> String {");
    let mut types: BTreeSet<_> = quoted_after(&of_service, "=>").into_iter().map(str::to_owned).collect();
    let of_plugins = within(source("plugin/fault.rs"), "impl LoadError {");
    types.extend(quoted_after(&of_plugins, "=>").into_iter().map(|code| format!("plugin:{code}")));
    for (_, text) in code(&["http"]) {
        let made = text.split("Problem::new(").skip(1).filter_map(|rest| rest.split('"').nth(1));
        types.extend(made.filter(|code| code.len() > 3 && !code.contains(' ')).map(str::to_owned));
    }
    let explained = fs::read_to_string(docs().join("errors.md")).unwrap();
    let rows = || explained.lines().filter(|line| line.starts_with('|'));
    let in_rows = |is: fn(&str) -> bool| -> BTreeSet<String> {
        let cells = rows().flat_map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
        let names = cells.filter_map(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
        names.filter(|name| is(name)).map(str::to_owned).collect()
    };
    assert!(types.len() > 35, "{types:?}");
    assert_eq!(in_rows(|name| name != "type" && name.chars().all(|c| !c.is_uppercase())), types);
    let statuses = source("grpc.rs");
    let reasons = statuses
        .split("(Code::")
        .skip(1)
        .filter_map(|rest| rest.split_once(", ")?.1.strip_prefix('"')?.split('"').next());
    let reasons: BTreeSet<_> = reasons.map(str::to_owned).collect();
    let codes = [
        "INVALID_ARGUMENT",
        "PERMISSION_DENIED",
        "FAILED_PRECONDITION",
        "ALREADY_EXISTS",
        "ABORTED",
        "RESOURCE_EXHAUSTED",
    ];
    let told: BTreeSet<_> = in_rows(|name| name.chars().all(|c| c.is_uppercase() || c == '_'));
    let told: BTreeSet<_> = told.into_iter().filter(|name| !codes.contains(&name.as_str())).collect();
    let reasons: BTreeSet<_> = reasons.into_iter().filter(|reason| reason != "COMPONENT_REFUSED").collect();
    assert_eq!(told, reasons);
}
