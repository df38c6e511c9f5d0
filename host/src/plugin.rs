//! The plugin host: sandboxed components that render mails and decide deliveries, swapped while it runs.
//!
//! A component goes through the gate once per revision: checked, compiled, configured, snapshotted, tried on
//! fixtures. Every event then gets a fresh instance of that snapshot, so nothing of one customer can reach another's
//! mail. What serves which slot is one immutable value; a call keeps what it started with.

mod ask;
mod builtin;
mod cache;
mod call;
mod check;
mod codegen;
mod compiler;
mod configured;
mod diff;
mod engine;
mod fault;
mod fixture;
pub mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gate;
mod health;
mod html;
mod manifest;
mod memory;
mod offline;
mod routing;
mod sandbox;
mod start;
mod trust;
mod v1;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use ask::{Output, Question, Response};
pub use builtin::{BUILT_IN, builtin};
pub use check::{Attachment, Email};
pub use compiler::{Compiling, SUBCOMMAND as COMPILER, compile_for_parent};
pub use configured::Configured;
pub use diff::Difference;
pub(crate) use diff::{
    admission_in_words, decision as decision_difference, emails as email_differences, fields as email_fields,
    reaction_in_words, verdict_in_words,
};
pub use engine::{Code, config as engine_config};
pub use fault::{Fault, LoadError};
pub use gate::{Admitted, Candidate, Care, Contents, Making, Progress, Report, Shares, Step, Trial, contents};
pub use health::{BreakerLimits, Counts, Divergence};
pub(crate) use html::Page;
pub use manifest::{ConfigError, Manifest};
pub use offline::{Offline, failures, reports, samples};
pub use routing::{Canary, Lineage, Routing};
pub use sandbox::{Budget, Usage};
pub use start::{Prepared, prepare};
pub use trust::{
    KeyError, PublicKey, SIGNATURE_BYTES_MAX, SIGNATURES_MAX, Signature, SignatureError, Signatures, SignedImage,
    Signer, Trust, WASM_MEDIA_TYPE, beside as signatures_beside, component_layer, signature_file,
};
pub use v1::CONTRACT;

use crate::clock::Clock;
use crate::metrics::Metrics;
use gate::Gate;
use health::Health;
use sandbox::Sandbox;

/// What a component can be plugged into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = PluginSlotName)]
pub enum Slot {
    /// Writes the mail.
    Renderer,
    /// Decides about sending.
    Policy,
}

impl Slot {
    /// Every slot.
    pub const ALL: [Self; 2] = [Self::Renderer, Self::Policy];

    /// The name that the config and the APIs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Renderer => "renderer",
            Self::Policy => "policy",
        }
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a slot's component and its config come from.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A `.wasm`; the built-in default when empty. Read again at every reload.
    pub path: PathBuf,
    /// A JSON file for the component's `configure`; "{}" when empty. Read again at every reload.
    pub config_path: PathBuf,
}

/// What plugins may use, and what they are.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Writes the mails.
    pub renderer: Source,
    /// Decides about sending.
    pub policy: Source,
    /// The largest component that is taken, in bytes.
    pub component_bytes_max: usize,
    /// Calls at one time of each slot; more wait. 0: two for each core.
    pub calls_max: u32,
    /// What one call may use.
    pub call: Budget,
    /// What `configure` may use.
    pub configure: Budget,
    /// Who compiles.
    pub compiler: Compiling,
    /// When a revision that keeps failing is left out.
    pub breaker: BreakerLimits,
    /// When a canary goes back by itself.
    pub guard: Guard,
    /// Prepared revisions that are kept for a quick return, beside those that serve.
    pub prepared_max: usize,
    /// Where compiled components are kept; nowhere when empty.
    pub cache_path: PathBuf,
    /// What becomes of mails at start, while what serves is still being compiled.
    pub cold_start: ColdStart,
    /// What becomes of a component whose answers depend on what WASI makes up.
    pub impure: Impure,
    /// Whose signature a component needs.
    pub trust: Trust,
}

impl Settings {
    /// Calls at one time of each slot.
    fn calls_max(&self) -> u32 {
        match self.calls_max {
            // Calls compute. More of them at one time than cores only keep the tasks that record waiting in line.
            0 => std::thread::available_parallelism().map_or(4, |cores| u32::try_from(cores.get() * 2).unwrap_or(4)),
            set => set,
        }
    }
}

/// What becomes of mails at start, while the revisions that serve are still being compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColdStart {
    /// They wait, for a minute at most.
    Wait,
    /// The built-ins stand in.
    StandIn,
}

/// What becomes of a component that answers the same question differently, where WASI's clock and random numbers are others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impure {
    /// The gate's report says so.
    Warn,
    /// The gate refuses it.
    Refuse,
}

/// When a canary goes back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Calls of a candidate below which nothing is concluded.
    pub calls_min: u64,
    /// How much larger its share of bad calls may be than the active revision's, in hundredths.
    pub margin_percent: f64,
    /// How long a step lasts at least before the next, in milliseconds.
    pub step_ms: i64,
}

/// A component with its config, ready to serve. Immutable, but for how it fares.
pub struct Revision {
    /// What it is plugged into.
    pub slot: Slot,
    /// Its number in the database; counts up over all slots.
    pub number: i64,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// Where it came from, for people.
    pub origin: String,
    /// What the gate found.
    pub report: Report,
    pub(crate) guests: engine::Codes<v1::Guest>,
    /// For a component that cannot be snapshotted: configure every instance with this.
    pub(crate) configure_each: Option<String>,
    pub(crate) health: Health,
}

impl Revision {
    /// What its calls came to in this host.
    pub fn counts(&self) -> Counts {
        self.health.counts()
    }

    /// Where, as a shadow, its answer was last another than the real one.
    pub fn divergence(&self) -> Option<Divergence> {
        self.health.divergence()
    }

    /// Whether it is a policy that says what follows from reports.
    pub fn answers_reports(&self) -> bool {
        self.guests.metered.answers_reports()
    }

    /// Whether it failed so often in a row that it is left out for now.
    pub fn is_circuit_open(&self) -> bool {
        self.health.is_circuit_open()
    }
}

impl std::fmt::Debug for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} revision {} ({})", self.slot, self.number, self.digest)
    }
}

/// An answer, who gave it, and who failed to before.
#[derive(Debug)]
pub struct Answer<T> {
    /// The answer.
    pub value: T,
    /// Who gave it; none: the host's own rule.
    pub by: Option<Arc<Revision>>,
    /// Who was asked in vain, and why.
    pub faults: Vec<(Arc<Revision>, Fault)>,
}

/// The plugin host.
pub struct Plugins {
    settings: Settings,
    /// Where deliveries run.
    live: Sandbox,
    /// Where replays and the like run.
    metered: Sandbox,
    gate: Arc<Gate>,
    routing: ArcSwap<Routing>,
    prepared: Mutex<BTreeMap<i64, Arc<Revision>>>,
    /// A shadow works on one event at a time.
    shadowing: Arc<tokio::sync::Semaphore>,
    metrics: Metrics,
    clock: Clock,
}

impl Plugins {
    /// The largest component that is taken, in bytes.
    pub fn component_bytes_max(&self) -> usize {
        self.settings.component_bytes_max
    }

    /// Whose signatures components need.
    pub fn trust(&self) -> &Trust {
        &self.settings.trust
    }

    /// Takes a component through the gate. It has no number yet and serves nobody. Dropped, it stops, and the compiler
    /// with it.
    pub async fn admit(&self, candidate: Candidate, progress: &Progress) -> Result<Admitted, LoadError> {
        self.gate.admit(candidate, progress).await
    }

    /// The name under which a component's compiled code may be kept for other hosts; none when this host has it.
    pub async fn missing_code(&self, slot: Slot, digest: &str, config: &str) -> Option<String> {
        self.gate.missing_code(slot, digest, config).await
    }

    /// Keeps a prepared revision for the moment it serves.
    pub fn keep(&self, revision: Arc<Revision>) {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        prepared.insert(revision.number, revision);
        // The oldest go first. Who serves is held by the routing.
        while prepared.len() > self.settings.prepared_max.max(1) {
            prepared.pop_first();
        }
    }

    /// A revision that is prepared in this host.
    pub fn prepared(&self, number: i64) -> Option<Arc<Revision>> {
        let kept = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned();
        if kept.is_some() {
            return kept;
        }
        let routing = self.routing.load();
        let serving = Slot::ALL.into_iter().flat_map(|slot| {
            let Lineage { active, last_good, builtin, canary, shadow, .. } = routing.slot(slot);
            let canary = canary.as_ref().map(|c| &c.revision);
            [Some(active), last_good.as_ref(), Some(builtin), canary, shadow.as_ref()].into_iter().flatten()
        });
        serving.into_iter().find(|r| r.number == number).cloned()
    }

    /// Replaces who serves a slot, at once and as a whole. Calls under way end on what they started with. A change that
    /// is older than what is there is dropped.
    pub fn route(&self, slot: Slot, next: &Lineage) {
        self.routing.rcu(|now| {
            let mut routing = Routing::clone(now);
            if routing.slot(slot).version < next.version {
                *routing.slot_mut(slot) = next.clone();
            }
            routing
        });
    }

    /// Calls of a slot's components that are under way, and the most at one time.
    pub fn calls(&self, slot: Slot) -> (i64, i64) {
        self.live.calls(slot)
    }

    /// How many components wait for the compiler of this host, or are in it.
    pub fn compiling(&self) -> usize {
        self.gate.waiting()
    }

    /// What a component says of itself; refuses what is too large or no component.
    pub fn inspect(&self, wasm: &[u8]) -> Result<serde_json::Value, LoadError> {
        self.gate.inspect(wasm)
    }

    /// Whether a component that began like `before` may go on with `piece`; refuses what is too large or will be none.
    pub fn check_start(&self, before: &[u8], piece: &[u8]) -> Result<(), LoadError> {
        self.gate.check_start(before, piece)
    }

    /// Forgets compiled code but for these revisions' digest, slot and config; says how many files and bytes went.
    pub async fn collect_garbage(&self, kept: &[(String, String, String)]) -> (usize, u64) {
        self.gate.collect_garbage(kept).await
    }

    /// The settings of the guard.
    pub fn guard(&self) -> Guard {
        self.settings.guard
    }

    /// Who serves what, now.
    pub fn routing(&self) -> Arc<Routing> {
        self.routing.load_full()
    }

    fn source(&self, slot: Slot) -> &Source {
        match slot {
            Slot::Renderer => &self.settings.renderer,
            Slot::Policy => &self.settings.policy,
        }
    }
}

/// SHA-256, in hex.
pub fn digest(bytes: &[u8]) -> String {
    crate::hex::encode(&Sha256::digest(bytes))
}
