//! `docs/authors.md` is true: its commands run, its messages exist, and the reference is what the contract says.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ecomm::plugin::{Slot, builtin};

use crate::app::{environment, sqlite};
use crate::harness::tests;

tests! {
    once {
        every_command_of_the_guide_runs
    }
    without_runtime {
        every_message_of_the_guide_is_said
        the_reference_is_what_the_contract_says
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub fn guide() -> String {
    fs::read_to_string(root().join("docs/authors.md")).unwrap()
}

/// The built-in stands in for what `build` makes, which is `.ci/examples`' affair.
async fn every_command_of_the_guide_runs() {
    let database = sqlite().await;
    let folder = tempfile::tempdir().unwrap();
    let mut here = folder.path().to_owned();
    let guide = guide();
    let mut commands = 0;
    for command in commands_of(&guide).filter(|command| !command.contains("oci://")) {
        commands += 1;
        if let Some(into) = command.strip_prefix("cd ") {
            here = here.join(into);
            continue;
        }
        let args: Vec<_> = command.strip_prefix("ecomm ").expect(command).split(' ').collect();
        if args == ["plugin", "build"] {
            fs::create_dir(here.join("build")).unwrap();
            fs::write(here.join("build/plugin.wasm"), builtin(Slot::Renderer)).unwrap();
            continue;
        }
        let mut ecomm = Command::new(env!("CARGO_BIN_EXE_ecomm"));
        ecomm.env_clear().envs(environment(&database, &[])).env("ECOMM__LOG__FILTER", "off").current_dir(&here);
        ecomm.env("COSIGN_PASSWORD", "a password");
        let output = ecomm.args(&args).output().unwrap();
        let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned());
        assert!(output.status.success(), "{command}: {said:?}");
        assert!(!output.stdout.is_empty(), "{command}");
    }
    assert!(commands >= 12, "{commands}");
    assert!(here.join("shipped.html").is_file() && here.join("golden/order-placed.txt").is_file());
}

pub fn commands_of(guide: &str) -> impl Iterator<Item = &str> {
    let blocks = guide.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.flat_map(str::lines)
}

fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            all += &sources(&entry);
        } else {
            // A text may go on in the next line.
            let text = fs::read_to_string(&entry).unwrap();
            for line in text.lines().map(str::trim) {
                all += line.strip_suffix('\\').unwrap_or(line);
            }
        }
    }
    all
}

fn every_message_of_the_guide_is_said() {
    let said = sources(&root().join("host/src/plugin")) + &sources(&root().join("host/src/kit"));
    let said = said + &fs::read_to_string(root().join("host/src/kit.rs")).unwrap();
    let guide = guide();
    let (_, table) = guide.split_once("## Messages, and what to do").unwrap();
    let messages: Vec<_> = table.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    assert!(messages.len() > 20, "{messages:?}");
    for message in messages {
        assert!(said.contains(message), "nothing says \"{message}\"");
    }
    let (_, table) = guide.split_once("| property | what it says |").unwrap();
    let rows = table.lines().skip(2).take_while(|row| row.starts_with('|'));
    for property in rows.flat_map(|row| row.split('|').nth(1).unwrap().split(',')) {
        let property = property.trim().trim_matches('`');
        assert!(said.contains(&format!("\"{property}\"")), "there is no property {property}");
    }
}

fn the_reference_is_what_the_contract_says() {
    let mut text =
        "# The contract, field by field\n\nMade from `wit/v1` by a test; do not edit it here. A host offers all of \
                    it as `ecomm:notification@1.0.0` and `ecomm:format@1.0.0`.\n"
            .to_owned();
    let files = ["plugin", "renderer", "policy", "reports", "types", "event", "log", "deps/format/format"];
    let own = files.iter().filter(|file| !file.contains('/')).count();
    // The worlds say which of these a component exports.
    let there = fs::read_dir(root().join("wit/v1")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file());
    assert_eq!(own + 1, there.count(), "a file of wit/v1 is missing in the reference");
    for file in files {
        text += &reference(&fs::read_to_string(root().join(format!("wit/v1/{file}.wit"))).unwrap());
    }
    crate::book::made("contract.md", &text);
}

/// A file of the contract as Markdown: a section for each interface, a table for each type.
fn reference(wit: &str) -> String {
    let (mut text, mut doc) = (String::new(), Vec::new());
    let mut depth = 0;
    for line in wit.lines().map(str::trim) {
        if let Some(said) = line.strip_prefix("///") {
            doc.push(said.trim());
            continue;
        }
        let said = std::mem::take(&mut doc).join(" ");
        let first = line.split_whitespace().next().unwrap_or_default();
        let name = line.split_whitespace().nth(1).unwrap_or_default();
        match (first, depth) {
            ("interface", _) => drop(write!(text, "\n## {name}\n\n{said}\n")),
            ("record" | "variant" | "enum", _) => {
                let _ = write!(text, "\n### {first} `{name}`\n\n{said}\n\n| | type | |\n| --- | --- | --- |\n");
            }
            ("type", _) => {
                let (name, of) = line.trim_end_matches(';')[5..].split_once(" = ").unwrap();
                let _ = write!(text, "\n### type `{name}`\n\n`{of}`: {said}\n");
            }
            (_, 2) if !line.is_empty() && line != "}" => {
                let line = line.trim_end_matches(',');
                let (name, of) = line.split_once(": ").or_else(|| line.split_once('(')).unwrap_or((line, ""));
                let of = if line.contains(": ") { of } else { of.trim_end_matches(')') };
                let of = if of.is_empty() { String::new() } else { format!("`{of}`") };
                let _ = writeln!(text, "| `{name}` | {of} | {said} |");
            }
            (_, 1) if line.contains(": func(") => {
                let _ = write!(text, "\n### `{}`\n\n{said}\n", line.trim_end_matches(';'));
            }
            _ => {}
        }
        depth += line.matches('{').count();
        depth -= line.matches('}').count();
    }
    text
}
