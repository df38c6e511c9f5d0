//! For authors of components: a project, how it is built, shown and tested. It needs no database and no secret, and judges
//! by the same code as the gate.

pub mod bench;
pub mod build;
mod cases;
pub mod conformance;
pub mod dev;
pub(crate) mod draw;
mod encode;
pub mod golden;
pub mod language;
pub mod new;
pub mod project;
pub mod properties;
pub mod registry;
pub mod show;
pub mod sign;
mod templates;

use std::path::{Path, PathBuf};

pub use language::Language;
pub use project::Project;

/// Why an author cannot go on, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder is no project.
    #[error(
        "{} has no plugin.toml: it is no project of `ecomm plugin new` (or give the component's own .wasm file)",
        .0.display()
    )]
    NoProject(PathBuf),
    /// Something is there already.
    #[error("{} is there already and not empty; take another name", .0.display())]
    Exists(PathBuf),
    /// The name cannot be that of a package.
    #[error(
        "\"{0}\" cannot be a name in every language: take 1 to {max} lower-case letters, digits and hyphens, a letter first",
        max = new::NAME_CHARS_MAX
    )]
    Name(String),
    /// A file does not say what it should.
    #[error("{}: {why}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The contract's copy in the project is another one.
    #[error(
        "{} is not the contract that this ecomm offers: a component built by it would be refused; `ecomm plugin wit {}` \
         writes it again",
        path.display(), folder.display()
    )]
    Wit {
        /// Which file differs, is missing, or is one too many.
        path: PathBuf,
        /// The project.
        folder: PathBuf,
    },
    /// A tool is not there.
    #[error("{program} is missing: {get}")]
    ToolMissing {
        /// Which.
        program: String,
        /// How to get it.
        get: &'static str,
    },
    /// A tool is too old.
    #[error("{program} is {found}, and {wanted} or newer is needed: {get}")]
    ToolOld {
        /// Which.
        program: String,
        /// Its version.
        found: String,
        /// The oldest that does.
        wanted: String,
        /// How to get it.
        get: &'static str,
    },
    /// A command of the build failed.
    #[error("`{command}` failed ({status}){hint}")]
    Command {
        /// As it can be run again.
        command: String,
        /// How it ended.
        status: String,
        /// What often helps, or nothing.
        hint: &'static str,
    },
    /// The component cannot be put together.
    #[error("the component cannot be put together: {0}")]
    Encode(String),
    /// Nothing has been built.
    #[error("{} has not been built; run `ecomm plugin build {}`", .0.display(), .1.display())]
    NotBuilt(PathBuf, PathBuf),
    /// There is no such event.
    #[error("there is no event \"{name}\": take one of {known}, or the path of a JSON file")]
    Event {
        /// As it was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
}

/// Says in one line what happens.
pub type Say<'a> = &'a (dyn Fn(&str) + Sync);

fn read(path: &Path) -> Result<String, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|e| Error::Content {
        path: path.to_owned(),
        why: format!("byte {} is not UTF-8: save it as UTF-8", e.utf8_error().valid_up_to()),
    })
}

/// Writes a file, and the folders that it is in.
fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, contents).map_err(failed)
}
