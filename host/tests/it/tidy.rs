//! The invariants of `lib.rs`, and of what a reader finds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::tests;

tests! {
    without_runtime {
        the_doors_know_the_service_and_the_nouns_only
        each_library_has_its_room
        deliver_and_queue_keep_apart
        nouns_know_nobody
        migrations_have_the_same_names
        limits_are_named
        files_and_functions_are_short
        nothing_is_ignored_and_nothing_is_left_to_do
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn files(folder: &Path, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// The host's sources whose path begins with one of `places`, without their comments.
pub fn code(places: &[&str]) -> Vec<(String, String)> {
    let bare = |text: String| {
        let lines = text.lines().filter(|l| !l.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let within = |name: &str| places.iter().any(|p| name.starts_with(&format!("host/src/{p}")));
    let all = files(&root().join("host/src"), "rs").into_iter();
    all.filter(|(name, _)| within(name)).map(|(name, text)| (name, bare(text))).collect()
}

fn never(places: &[&str], words: &[&str], except: &[&str]) {
    let sources = code(places);
    assert!(!sources.is_empty(), "{places:?} names no file");
    for (name, text) in sources {
        if except.iter().any(|e| name.starts_with(&format!("host/src/{e}"))) {
            continue;
        }
        for word in words {
            assert!(!text.contains(word), "{name} must not know \"{word}\"");
        }
    }
}

fn the_doors_know_the_service_and_the_nouns_only() {
    let beyond = ["crate::store", "sqlx", "crate::queue", "crate::deliver", "crate::mail", "wasmtime"];
    never(&["http", "grpc", "console", "pages", "inbound"], &beyond, &[]);
    never(&["http", "grpc", "console", "pages", "inbound"], &["crate::plugin"], &[]);
}

fn each_library_has_its_room() {
    never(&[""], &["sqlx::query", "select ", "insert into ", "delete from "], &["store", "queue", "cli"]);
    never(&[""], &["wasmtime"], &["plugin"]);
    never(&[""], &["lettre"], &["mail"]);
    never(&[""], &["pb::"], &["grpc"]);
    never(&[""], &["axum"], &["http", "console", "pages", "kit/dev"]);
}

fn deliver_and_queue_keep_apart() {
    never(&["deliver"], &["crate::store", "sqlx", "loop {", "while "], &[]);
    never(&["queue"], &["crate::plugin", "crate::mail", "sqlx"], &[]);
}

fn nouns_know_nobody() {
    let beyond = ["crate::store", "crate::service", "crate::plugin", "crate::mail", "crate::queue", "crate::deliver"];
    never(&["shop", "notification", "money", "clock", "lease"], &beyond, &[]);
}

fn migrations_have_the_same_names() {
    let names = |database: &str| -> BTreeSet<String> {
        let folder = root().join("migrations").join(database);
        fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert!(!names("sqlite").is_empty());
    assert_eq!(names("sqlite"), names("mysql"));
    assert_eq!(names("sqlite"), names("postgres"));
}

fn limits_are_named() {
    let defaults = fs::read_to_string(root().join("host/config.default.toml")).unwrap();
    let limits = defaults.lines().filter(|l| l.contains("_max = ") || l.contains("_max_")).count();
    assert!(limits >= 20, "{limits} limits in config.default.toml");
    for (name, text) in code(&[""]) {
        for word in ["MAX_", "LIMIT_", "unbounded_channel"] {
            assert!(!text.contains(word), "{name}: a limit ends in _MAX, and there is always one ({word})");
        }
    }
}

fn files_and_functions_are_short() {
    for folder in ["host", "plugins"] {
        for (name, text) in files(&root().join(folder), "rs") {
            // Conversions list every field once; there is no shorter way.
            let most = if name.ends_with("convert.rs") { 600 } else { 420 };
            let lines = text.lines().count();
            assert!(lines <= most, "{name} has {lines} lines");
            assert!(!name.ends_with("/mod.rs"), "{name}");
        }
    }
}

fn nothing_is_ignored_and_nothing_is_left_to_do() {
    let (ignored, todo) = (concat!("#[ign", "ore"), concat!("TO", "DO"));
    for (name, text) in files(&root().join("host"), "rs") {
        assert!(!text.contains(ignored) && !text.contains(todo), "{name}");
    }
}
