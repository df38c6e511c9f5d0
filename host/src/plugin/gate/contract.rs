//! Whether a component fits the contract, said so that its author can act on it.

use wasmtime::component::Component;

use crate::plugin::cache::Artifact;
use crate::plugin::engine::{CORE_INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};
use crate::plugin::fault::LoadError;
use crate::plugin::v1::CONTRACT;
use crate::plugin::{Slot, sandbox};

/// The component layer's version in the preamble of a component (`Binary.md` of the component model).
const COMPONENT_PREAMBLE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00];
const MODULE_PREAMBLE: [u8; 8] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/// Refuses what is not a component in its binary form: text, core modules, and above all compiled code.
pub(super) fn check_kind(wasm: &[u8]) -> Result<(), LoadError> {
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

/// Refuses what does not begin like a component, at the piece with which that is known. Compiled code passes: it is told
/// as such once it is whole.
pub(super) fn check_start(before: &[u8], piece: &[u8]) -> Result<(), LoadError> {
    let known = COMPONENT_PREAMBLE.len();
    if before.len() >= known || before.len() + piece.len() < known {
        return Ok(());
    }
    let start: Vec<u8> = before.iter().chain(piece).take(known).copied().collect();
    if start.starts_with(b"\x7fELF") { Ok(()) } else { check_kind(&start) }
}

/// Looks at imports and exports by name before linking; imports and exports come back for the report.
pub(super) fn check(slot: Slot, component: &Component) -> Result<(Vec<String>, Vec<String>), LoadError> {
    let engine = component.engine();
    let ty = component.component_type();
    let imports: Vec<String> = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
    // What the snapshot's instrumentation added is not the author's.
    let own = |name: &String| !name.starts_with("wasmtime:wizer/");
    let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).filter(own).collect();
    for name in imports.iter().chain(&exports) {
        let Some((_, version)) = name.split_once('@').filter(|_| name.starts_with("ecomm:notification/")) else {
            continue;
        };
        if version.split('.').next() != Some("1") {
            return Err(LoadError::Contract(format!("needs {name}, this host offers {CONTRACT}")));
        }
    }
    let own = |name: &&String| name.starts_with("ecomm:notification/") || name.starts_with("wasi:");
    if let Some(foreign) = imports.iter().find(|name| !own(name)) {
        return Err(LoadError::Contract(format!("imports \"{foreign}\", which this host does not offer")));
    }
    let wanted = format!("ecomm:notification/{slot}@1.");
    if !exports.iter().any(|e| e.starts_with(&wanted)) {
        return Err(LoadError::Contract(format!(
            "a {slot} must export ecomm:notification/{slot}@1.0.0; it exports {}",
            if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") }
        )));
    }
    Ok((imports, exports))
}

/// What the author wrote into the standard custom sections (the tool conventions of WebAssembly, `Metadata`).
pub(super) fn metadata(wasm: &[u8]) -> serde_json::Value {
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
    LoadError::Contract(format!("{}; this host offers {CONTRACT}", chain(error)))
}

/// An instantiation fails for its types or for its budget.
pub(super) fn explain_or(error: &wasmtime::Error, cell: &sandbox::Cell) -> LoadError {
    if error.is::<wasmtime::Trap>() || error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return LoadError::Configure(cell.fault(error));
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
        assert!(check_start(&[], b"\x7fELF and more").is_ok(), "compiled code is told as such by `check_kind`");
    }
}
