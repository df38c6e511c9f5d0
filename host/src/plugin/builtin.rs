//! The components that came with the host, and the code that was compiled of them when the host was built.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::Slot;
use super::cache::Artifact;
use super::gate::Making;

/// The origin of what came with the host.
pub const BUILT_IN: &str = "built-in";

/// The component that came with the host.
pub fn builtin(slot: Slot) -> &'static [u8] {
    match slot {
        Slot::Renderer => include_bytes!(concat!(env!("OUT_DIR"), "/renderer.wasm")),
        Slot::Policy => include_bytes!(concat!(env!("OUT_DIR"), "/policy.wasm")),
    }
}

/// As the build script writes it: SHA-256 of the component, the size of its snapshot, the code.
fn compiled(slot: Slot) -> &'static [u8] {
    match slot {
        Slot::Renderer => include_bytes!(concat!(env!("OUT_DIR"), "/renderer.compiled")),
        Slot::Policy => include_bytes!(concat!(env!("OUT_DIR"), "/policy.compiled")),
    }
}

/// The config that the built-ins were compiled with.
pub(super) const CONFIG: &str = "{}";

/// Its digest, the size of its snapshot, and the code.
fn parts(slot: Slot) -> Option<(&'static [u8], [u8; 8], &'static [u8])> {
    let (digest, rest) = compiled(slot).split_at_checked(32)?;
    let (snapshot_bytes, code) = rest.split_first_chunk::<8>()?;
    Some((digest, *snapshot_bytes, code))
}

/// Whether this component's code came with the host.
pub(super) fn has_code(digest: &str, slot: Slot, config: &str) -> bool {
    config == CONFIG && parts(slot).is_some_and(|(of, ..)| crate::hex::encode(of) == digest)
}

/// The code of a built-in. None for any other component or config, and on a processor that lacks what the one had on
/// which the host was built: it is then compiled as any other.
pub(super) fn load(engine: &Engine, digest: &str, slot: Slot, config: &str) -> Option<(Artifact, Component)> {
    let (_, snapshot_bytes, code) = parts(slot).filter(|_| has_code(digest, slot, config))?;
    #[expect(unsafe_code, reason = "the build of this very program made these bytes, and they are a part of it")]
    // SAFETY: as the reason says; wasmtime refuses what another version, other settings or another processor made.
    let component = unsafe { Component::deserialize(engine, code) };
    let component = component.inspect_err(|e| {
        tracing::warn!(error = %e, plugin.slot = %slot, "the built-in was compiled for another machine; compiling it anew");
    });
    let making = Making {
        code_bytes: code.len(),
        snapshot_bytes: usize::try_from(u64::from_le_bytes(snapshot_bytes)).ok(),
        ..Making::default()
    };
    Some((Artifact { snapshotted: true, note: None, making }, component.ok()?))
}
