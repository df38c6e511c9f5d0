//! Makes of a default component what the host makes of any component before it serves: it is configured, snapshotted
//! and compiled. A host that starts for the first time then has nothing to compile.

use futures_util::FutureExt;
use sha2::{Digest, Sha256};
use wasmtime::component::{Component, ComponentType, Lift, Linker};
use wasmtime::{Engine, Store, format_err};
use wasmtime_wizer::Wizer;

#[path = "../src/plugin/codegen.rs"]
mod codegen;
#[path = "../src/plugin/memory.rs"]
mod memory;

/// What the default components are configured with.
const CONFIG: &str = "{}";

/// What a component finds wrong with its config, as the contract has it.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
#[expect(dead_code, reason = "shown as a whole")]
struct ConfigError {
    pointer: String,
    message: String,
}

/// The component's SHA-256, the sizes of its snapshot and of its metered code as eight bytes each in little-endian order,
/// and the compiled code of the snapshot for `target`: metered, then live.
pub(crate) fn precompile(wasm: &[u8], target: Option<&str>) -> wasmtime::Result<Vec<u8>> {
    let engine = Engine::new(&codegen::settings(true))?;
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(wasm)?;
    let component = Component::new(&engine, &instrumented)?;
    let mut store = Store::new(&engine, ());
    store.set_fuel(u64::MAX)?;
    store.set_epoch_deadline(u64::MAX / 2);
    // What the component asks of the world while it is configured becomes part of the snapshot: the seed of its hash
    // tables, which is zero as it is in the host, and nothing else.
    let mut linker = Linker::new(&engine);
    for (name, _) in component.component_type().imports(&engine) {
        if name.starts_with("wasi:random/insecure-seed@") {
            linker.instance(name)?.func_wrap("insecure-seed", |_, ()| Ok(((0_u64, 0_u64),)))?;
        }
    }
    linker.define_unknown_imports_as_traps(&component)?;
    let making = async {
        let instance = linker.instantiate_async(&mut store, &component).await?;
        let interface = component.get_export_index(None, "ecomm:notification/plugin@1.0.0");
        let configure = interface.and_then(|within| component.get_export_index(Some(&within), "configure"));
        let configure = configure.ok_or_else(|| format_err!("the component has no configure"))?;
        let configure = instance.get_typed_func::<(&str,), (Result<(), ConfigError>,)>(&mut store, configure)?;
        configure.call_async(&mut store, (CONFIG,)).await?.0.map_err(|e| format_err!("configure: {e:?}"))?;
        let mut state = memory::Memory { store: &mut store, instance };
        wizer.snapshot_component(&context, &mut state).await
    };
    let snapshot = making.now_or_never().ok_or_else(|| format_err!("the component waits for something"))??;
    let mut codes = Vec::new();
    for is_metered in [true, false] {
        let mut settings = codegen::settings(is_metered);
        if let Some(target) = target {
            settings.target(target)?;
        }
        codes.push(Engine::new(&settings)?.precompile_component(&snapshot)?);
    }
    let [size, metered] = [snapshot.len(), codes[0].len()].map(|length| (length as u64).to_le_bytes());
    Ok([&Sha256::digest(wasm)[..], &size, &metered, &codes[0], &codes[1]].concat())
}
