//! What a new project is made of: all of it is in the program, and CI builds and runs it.

use super::Language;
use crate::plugin::Slot;

/// A file's place in the project, and its text.
pub(super) type File = (&'static str, &'static str);

macro_rules! repository {
    ($($part:literal),+) => {
        include_str!(concat!("../../../", $($part),+))
    };
}

macro_rules! examples {
    ($($to:literal < $from:literal)*) => {
        &[$(($to, repository!("plugins/examples/", $from))),*]
    };
}

/// The contract and its helpers.
pub(super) const WIT: [File; 9] = [
    ("wit/event.wit", repository!("wit/v1/event.wit")),
    ("wit/log.wit", repository!("wit/v1/log.wit")),
    ("wit/plugin.wit", repository!("wit/v1/plugin.wit")),
    ("wit/policy.wit", repository!("wit/v1/policy.wit")),
    ("wit/renderer.wit", repository!("wit/v1/renderer.wit")),
    ("wit/reports.wit", repository!("wit/v1/reports.wit")),
    ("wit/types.wit", repository!("wit/v1/types.wit")),
    ("wit/worlds.wit", repository!("wit/v1/worlds.wit")),
    ("wit/deps/format/format.wit", repository!("wit/v1/deps/format/format.wit")),
];

/// What Go's bindings need at run time.
pub(super) const GO_RUNTIME: &[File] = &include!(concat!(env!("OUT_DIR"), "/go_runtime.rs"));

/// Where a name stands in the templates' files.
pub(super) const NAME: &str = "my-plugin";

/// What a project has in each slot and language, beside what all have.
pub(super) fn sources(slot: Slot, language: Language) -> impl Iterator<Item = File> {
    let package: &[File] = match language {
        Language::Rust => examples!["Cargo.toml" < "rust/Cargo.toml"],
        Language::Ts | Language::Js => {
            examples!["package.json" < "ts/package.json" "package-lock.json" < "ts/package-lock.json"]
        }
        Language::Python => examples!["requirements.txt" < "python/requirements.txt"],
        Language::Go => examples!["go.mod" < "go/go.mod"],
        Language::C => &[],
    };
    let own: &[File] = match (language, slot) {
        (Language::Rust, Slot::Renderer) => examples!["src/lib.rs" < "rust/renderer.rs"],
        (Language::Rust, Slot::Policy) => examples!["src/lib.rs" < "rust/policy.rs"],
        (Language::Ts, Slot::Renderer) => examples!["renderer.ts" < "ts/renderer.ts"],
        (Language::Ts, Slot::Policy) => examples!["policy.ts" < "ts/policy.ts"],
        (Language::Js, Slot::Renderer) => examples!["renderer.js" < "js/renderer.js"],
        (Language::Js, Slot::Policy) => examples!["policy.js" < "js/policy.js"],
        (Language::Python, Slot::Renderer) => examples!["app.py" < "python/renderer.py"],
        (Language::Python, Slot::Policy) => examples!["app.py" < "python/policy.py"],
        (Language::Go, Slot::Renderer) => examples![
            "export_ecomm_notification_plugin/plugin.go" < "go/renderer/export_ecomm_notification_plugin/plugin.go"
            "export_ecomm_notification_renderer/renderer.go" < "go/renderer/export_ecomm_notification_renderer/renderer.go"],
        (Language::Go, Slot::Policy) => examples![
            "export_ecomm_notification_plugin/plugin.go" < "go/policy/export_ecomm_notification_plugin/plugin.go"
            "export_ecomm_notification_policy/policy.go" < "go/policy/export_ecomm_notification_policy/policy.go"],
        (Language::C, Slot::Renderer) => examples!["plugin.c" < "c/renderer.c"],
        (Language::C, Slot::Policy) => examples!["plugin.c" < "c/policy.c"],
    };
    package.iter().chain(own).copied()
}

/// What git is not to keep.
pub(super) const GITIGNORE: &str = "/build
/target
/node_modules
/.venv
__pycache__
/ecomm_*
/wit_exports.go
";

/// The built-ins' own sources, and the workspace that they are built in.
pub(super) const WORKSPACE: &str = repository!("Cargo.toml");
const ARENA: [File; 2] = [
    ("arena/Cargo.toml", repository!("plugins/arena/Cargo.toml")),
    ("arena/src/lib.rs", repository!("plugins/arena/src/lib.rs")),
];

macro_rules! built_in {
    ($slot:literal: $($name:literal)*) => {
        &[$((concat!($slot, "/", $name), repository!("plugins/", $slot, "/", $name))),*]
    };
}

/// Every file of the built-in component of a slot.
pub(super) fn built_in(slot: Slot) -> impl Iterator<Item = File> {
    let own: &[File] = match slot {
        Slot::Renderer => built_in!["renderer": "Cargo.toml" "config.schema.json" "locales/ar.ftl" "locales/de.ftl"
            "locales/en.ftl" "locales/es.ftl" "locales/fr.ftl" "locales/it.ftl" "locales/ja.ftl" "locales/nl.ftl"
            "locales/pl.ftl" "locales/pt.ftl" "locales/pt-br.ftl" "locales/sv.ftl" "locales/zh.ftl" "src/config.rs" "src/format.rs"
            "src/lib.rs" "src/messages.rs" "src/pdf.rs" "src/render.rs" "src/structured.rs" "src/theme.rs"
            "src/variables.rs" "src/view.rs" "src/view/order.rs" "templates/base.html" "templates/base.txt"],
        Slot::Policy => built_in!["policy": "Cargo.toml" "config.schema.json" "src/config.rs" "src/decide.rs"
            "src/decide/tests.rs" "src/lib.rs"],
    };
    ARENA.iter().chain(own).copied()
}
