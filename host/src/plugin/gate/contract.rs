//! Whether a component fits the contract, said so that its author can act on it.

use wasmparser::{Encoding, Parser, Payload};

use crate::plugin::cache::Artifact;
use crate::plugin::engine::{CORE_INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};
use crate::plugin::fault::LoadError;
use crate::plugin::v1::OFFERS;
use crate::plugin::{Slot, sandbox};

/// The component layer's version in the preamble of a component (`Binary.md` of the component model).
const COMPONENT_PREAMBLE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
const MODULE_PREAMBLE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/// Refuses what is not a component in its binary form: text, core modules, and above all compiled code.
pub(in crate::plugin) fn check_kind(wasm: &[u8]) -> Result<(), LoadError> {
    let refuse = |why: &str| Err(LoadError::NotAComponent(why.to_owned()));
    if wasm.starts_with(&COMPONENT_PREAMBLE) {
        return Ok(());
    }
    if wasm.starts_with(&MODULE_PREAMBLE) {
        return refuse("it is a core module; build it for wasm32-wasip2 or wrap it with `wasm-tools component new`");
    }
    if wasmtime::Engine::detect_precompiled(wasm).is_some() {
        return refuse("it is compiled code, which is never taken from outside; give the .wasm that it was made from");
    }
    refuse("it does not begin like one")
}

/// Refuses what does not begin like a component, at the piece with which that is known. Compiled code passes: it is named
/// as such once it is whole.
pub(in crate::plugin) fn check_start(before: &[u8], piece: &[u8]) -> Result<(), LoadError> {
    let known = COMPONENT_PREAMBLE.len();
    if before.len() >= known || before.len() + piece.len() < known {
        return Ok(());
    }
    let start: Vec<u8> = before.iter().chain(piece).take(known).copied().collect();
    if start.starts_with(b"\x7fELF") { Ok(()) } else { check_kind(&start) }
}

/// What a component is made of, read without compiling it.
#[derive(Debug, Default)]
pub(in crate::plugin) struct Anatomy {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
    /// Of it and of the components within, each instantiated once, as toolchains do.
    pub(super) core_instances: u32,
    pub(super) memories: u32,
    pub(super) tables: u32,
    /// What its author wrote into it.
    pub(super) metadata: serde_json::Value,
}

/// Reads the sections that name things and count (component model, `Binary.md`).
pub(in crate::plugin) fn anatomy(wasm: &[u8]) -> Result<Anatomy, LoadError> {
    let mut found = Anatomy::default();
    // The component itself is at 0.
    let mut depth = 0_u32;
    let mut expected = Encoding::Component;
    for payload in Parser::new(0).parse_all(wasm) {
        let malformed = |e: wasmparser::BinaryReaderError| LoadError::Compile(e.to_string());
        match payload.map_err(malformed)? {
            Payload::Version { encoding, .. } if encoding != expected => {
                let why = "a core module where a component should be, or a component where a core module should be";
                return Err(LoadError::Compile(why.to_owned()));
            }
            Payload::ModuleSection { .. } => (depth, expected) = (depth + 1, Encoding::Module),
            Payload::ComponentSection { .. } => (depth, expected) = (depth + 1, Encoding::Component),
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    found.imports.push(import.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    found.exports.push(export.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    let is_made = matches!(instance.map_err(malformed)?, wasmparser::Instance::Instantiate { .. });
                    found.core_instances += u32::from(is_made);
                }
            }
            // As its sections say: nobody has looked yet whether so many follow.
            Payload::MemorySection(memories) => found.memories = found.memories.saturating_add(memories.count()),
            Payload::TableSection(tables) => found.tables = found.tables.saturating_add(tables.count()),
            _ => {}
        }
    }
    found.metadata = metadata(wasm);
    Ok(found)
}

/// Interfaces of WASI that are offered, all of them inert.
const WASI: [&str; 6] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
/// Interfaces of the contract that a component may import.
const OFFERED: [&str; 6] = [
    "ecomm:notification/types@",
    "ecomm:notification/log@",
    "ecomm:notification/event@",
    "ecomm:format/text@",
    "ecomm:format/zone@",
    "ecomm:format/link@",
];

/// Judges a component by its names and counts, before the minute that compiling it may take.
pub(in crate::plugin) fn check(slot: Slot, anatomy: &Anatomy) -> Result<(), LoadError> {
    let Anatomy { imports, exports, core_instances, memories, tables, .. } = anatomy;
    let refuse = |why: String| Err(LoadError::Contract(why));
    for name in imports.iter().chain(exports) {
        let Some((_, version)) = name.split_once('@').filter(|_| name.starts_with("ecomm:")) else {
            continue;
        };
        if version.split('.').next() != Some("1") {
            return refuse(format!("needs {name}, this host offers {OFFERS}"));
        }
    }
    let is_offered = |name: &&String| OFFERED.iter().chain(&WASI).any(|offered| name.starts_with(offered));
    if let Some(foreign) = imports.iter().find(|name| !is_offered(name)) {
        let advice = if foreign.starts_with("wasi:") {
            "; have the toolchain leave it out (jco componentize: --disable all)".to_owned()
        } else if foreign.starts_with("ecomm:") {
            format!("; it offers {OFFERS}, and the component was built for a later one")
        } else {
            String::new()
        };
        return refuse(format!("imports \"{foreign}\", which this host does not offer{advice}"));
    }
    for interface in [slot.as_str(), "plugin"] {
        let wanted = format!("ecomm:notification/{interface}@1.");
        if !exports.iter().any(|e| e.starts_with(&wanted)) {
            return refuse(format!(
                "a {slot} must export ecomm:notification/{interface}@1.0.0; it exports {}",
                if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") }
            ));
        }
    }
    for (what, count, max) in [
        ("core instances", *core_instances, CORE_INSTANCES_MAX),
        ("memories", *memories, MEMORIES_MAX),
        ("tables", *tables, TABLES_MAX),
    ] {
        if count > max {
            return refuse(format!("has {count} {what}; a component may have {max}"));
        }
    }
    Ok(())
}

/// What the compiler's refusal means for a toolchain.
pub(super) fn explain_compile(error: LoadError) -> LoadError {
    match error {
        LoadError::Compile(why) if why.contains("component model async feature") => LoadError::Compile(format!(
            "{why}; build it without the asynchronous ABI (jco componentize: --backend-qjs-disable-async)"
        )),
        other => other,
    }
}

/// What the author wrote into the standard custom sections (the tool conventions of WebAssembly, `Metadata`). The parser panics
/// at a core module that holds something else.
fn metadata(wasm: &[u8]) -> serde_json::Value {
    let Ok(payload) = wasm_metadata::Payload::from_binary(wasm) else { return serde_json::json!({}) };
    let m = payload.metadata();
    let mut said = serde_json::Map::new();
    let texts = [
        ("name", m.name.clone()),
        ("version", m.version.as_ref().map(ToString::to_string)),
        ("description", m.description.as_ref().map(ToString::to_string)),
        ("authors", m.authors.as_ref().map(ToString::to_string)),
        ("licenses", m.licenses.as_ref().map(ToString::to_string)),
        ("source", m.source.as_ref().map(ToString::to_string)),
        ("homepage", m.homepage.as_ref().map(ToString::to_string)),
        ("revision", m.revision.as_ref().map(ToString::to_string)),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            // Somebody else's words, to be shown: not without an end.
            said.insert(key.to_owned(), crate::notification::bounded(&text).into());
        }
    }
    said.into()
}

/// What a component's sections say of it.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The interfaces that it needs.
    pub imports: Vec<String>,
    /// The interfaces that it offers.
    pub exports: Vec<String>,
    /// What its author wrote into it: name, version, licence and the like.
    pub metadata: serde_json::Value,
}

/// Reads what a component says of itself, without compiling it; refuses what is none.
pub fn contents(wasm: &[u8]) -> Result<Contents, LoadError> {
    check_kind(wasm)?;
    let Anatomy { imports, exports, metadata, .. } = anatomy(wasm)?;
    Ok(Contents { imports, exports, metadata })
}

/// What is worth a word before a component serves.
pub(super) fn warnings(imports: &[String], artifact: &Artifact) -> Vec<String> {
    let wasi: Vec<_> = imports.iter().filter(|name| name.starts_with("wasi:")).collect();
    let mut warnings = Vec::new();
    if !wasi.is_empty() {
        warnings.push(format!("its toolchain imports {} interfaces of WASI; they are inert", wasi.len()));
    }
    if let Some(note) = artifact.note.as_ref().filter(|_| !artifact.snapshotted) {
        warnings.push(format!("configure runs for every event, since no snapshot could be taken: {note}"));
    }
    warnings
}

/// The linker's own words, for what names do not show: types that differ, functions that lack.
pub(super) fn explain(error: &wasmtime::Error) -> LoadError {
    let said = error.root_cause().to_string();
    if said.starts_with("resource limit exceeded") {
        return LoadError::Contract(format!(
            "{said}; a component may have {CORE_INSTANCES_MAX} core instances, {MEMORIES_MAX} memories and {TABLES_MAX} tables"
        ));
    }
    let said = chain(error);
    LoadError::Contract(match missing(&said) {
        Some((interface, function)) => format!(
            "needs the function \"{function}\" of {interface}; this host offers {OFFERS}, which lacks it: build the component \
             for that, or run a later host"
        ),
        None => format!("{said}; this host offers {OFFERS}"),
    })
}

/// Which function of which imported interface the linker found missing, in its own words.
fn missing(said: &str) -> Option<(&str, &str)> {
    let (_, rest) = said.split_once("imports instance `")?;
    let (interface, rest) = rest.split_once('`')?;
    let (_, rest) = rest.split_once("instance export `")?;
    let (function, rest) = rest.split_once('`')?;
    rest.contains("function implementation is missing").then_some((interface, function))
}

/// An instantiation fails for its types or for its budget.
pub(super) fn explain_or(error: &wasmtime::Error, call: &sandbox::CallStore) -> LoadError {
    if error.is::<wasmtime::Trap>() || error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return LoadError::Configure { fault: call.fault(error), advice: String::new() };
    }
    explain(error)
}

fn chain(error: &wasmtime::Error) -> String {
    crate::cause::chain(error.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_judged_once_it_is_there() {
        let (start, rest) = COMPONENT_PREAMBLE.split_at(5);
        assert!(check_start(&[], start).is_ok(), "not known yet");
        assert!(check_start(start, rest).is_ok());
        assert!(check_start(start, b"no!").is_err());
        assert!(check_start(&COMPONENT_PREAMBLE, b"whatever follows").is_ok());
        assert!(check_start(&[], b"\x7fELF and more").is_ok(), "compiled code is named as such by `check_kind`");
    }
}
