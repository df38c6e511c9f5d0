//! What the gate says of a component that passed.

use serde::{Deserialize, Serialize};

use super::Shares;
use crate::plugin::sandbox::Usage;
use crate::plugin::{Manifest, Signer};

/// What the gate found out about a component.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The component's size.
    pub bytes: usize,
    /// What it says of itself.
    pub manifest: Manifest,
    /// What its toolchain wrote into it: authors, licence, source.
    pub metadata: serde_json::Value,
    /// The contract that it is held to.
    pub contract: &'static str,
    /// Which data the host's helpers write texts by; another version may write them otherwise.
    pub data: &'static str,
    /// What it imports; WASI among it is what its toolchain dragged in, and is inert.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Who signed it, where the settings ask for signatures (`plugins.trust`).
    pub signer: Option<Signer>,
    /// What its author may want to know.
    pub warnings: Vec<String>,
    /// Whether events start from its configured memory.
    pub snapshotted: bool,
    /// When not, why: `configure` then runs for every event.
    pub snapshot_note: Option<String>,
    /// Whether the compiled code came from the cache.
    pub cached: bool,
    /// What making the compiled code took, when it was made.
    pub making: Making,
    /// From bytes to tried, in milliseconds.
    pub prepared_ms: i64,
    /// How much it is made of.
    pub core_instances: u32,
    /// Linear memories.
    pub memories: u32,
    /// Tables of functions.
    pub tables: u32,
    /// The largest part of each budget that a call on a fixture used.
    pub shares: Shares,
    /// One for each call on a fixture.
    pub trials: Vec<Trial>,
}

/// What making a component's compiled code took, and what for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Making {
    /// Milliseconds in the compiler, all times together: for `configure`, and for both codes of what serves.
    pub compile_ms: i64,
    /// The most memory that the compiler had at one time, in bytes; 0 where the system does not say.
    pub compile_memory_bytes: u64,
    /// The metered code's size.
    pub code_bytes: usize,
    /// The live code's size; 0 of what is not to serve.
    #[serde(default)]
    pub live_code_bytes: usize,
    /// The component's size after `configure`, its memory in it; none without a snapshot.
    pub snapshot_bytes: Option<usize>,
    /// What `configure` used: each call is spared it by the snapshot, or pays it without.
    pub configure: Usage,
    /// The same in microseconds.
    pub configure_us: u64,
}

/// What one call on a fixture used.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Trial {
    /// Which.
    pub fixture: String,
    /// Instructions and memory.
    #[serde(flatten)]
    pub usage: Usage,
    /// Microseconds, with a fresh instance.
    pub time_us: u64,
}
