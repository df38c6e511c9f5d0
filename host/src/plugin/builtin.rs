//! The components that came with the host, and the code that was compiled of them when the host was built.

use wasmtime::component::Component;

use super::Slot;
use super::cache::Artifact;
use super::engine::{Codes, Engine};
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

/// As the build script writes it: SHA-256 of the component, the sizes of its snapshot and of its metered code, both codes.
fn compiled(slot: Slot) -> &'static [u8] {
    match slot {
        Slot::Renderer => include_bytes!(concat!(env!("OUT_DIR"), "/renderer.compiled")),
        Slot::Policy => include_bytes!(concat!(env!("OUT_DIR"), "/policy.compiled")),
    }
}

/// The config that the built-ins were compiled with.
pub(super) const CONFIG: &str = "{}";

/// What the build script wrote.
struct Parts {
    digest: &'static [u8],
    snapshot_bytes: usize,
    codes: Codes<&'static [u8]>,
}

fn parts(slot: Slot) -> Option<Parts> {
    let (digest, rest) = compiled(slot).split_at_checked(32)?;
    let (snapshot_bytes, rest) = rest.split_first_chunk::<8>()?;
    let (metered_bytes, rest) = rest.split_first_chunk::<8>()?;
    let size = |bytes: &[u8; 8]| usize::try_from(u64::from_le_bytes(*bytes)).ok();
    let (metered, live) = rest.split_at_checked(size(metered_bytes)?)?;
    Some(Parts { digest, snapshot_bytes: size(snapshot_bytes)?, codes: Codes { metered, live: Some(live) } })
}

/// Whether this component's code came with the host.
pub(super) fn has_code(digest: &str, slot: Slot, config: &str) -> bool {
    config == CONFIG && parts(slot).is_some_and(|parts| crate::hex::encode(parts.digest) == digest)
}

/// The code of a built-in. None for any other component or config, and on a processor that lacks what the one had on
/// which the host was built: it is then compiled as any other.
pub(super) fn load(engine: &Engine, digest: &str, slot: Slot, config: &str) -> Option<(Artifact, Codes<Component>)> {
    let Parts { snapshot_bytes, codes, .. } = parts(slot).filter(|_| has_code(digest, slot, config))?;
    let load = |code, bytes: &&[u8]| {
        #[expect(unsafe_code, reason = "the build of this very program made these bytes, and they are a part of it")]
        // SAFETY: as the reason says; wasmtime refuses what another version, other settings or another processor made.
        let component = unsafe { Component::deserialize(engine.of(code), bytes) };
        component.inspect_err(|e| {
            tracing::warn!(error = %e, plugin.slot = %slot, "the built-in was compiled for another machine; compiling it anew");
        })
    };
    let components = codes.try_map(load).ok()?;
    let (code_bytes, live_code_bytes) = (codes.metered.len(), codes.live.map_or(0, <[u8]>::len));
    let snapshot_bytes = Some(snapshot_bytes);
    let making = Making { code_bytes, live_code_bytes, snapshot_bytes, ..Making::default() };
    let artifact = Artifact { snapshotted: true, note: None, making };
    Some((artifact, components))
}
