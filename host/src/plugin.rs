//! The plugin host: sandboxed components that render mails and decide deliveries, swapped while it runs.
//!
//! A component goes through the gate once per revision: checked, compiled, configured, snapshotted, tried on
//! fixtures. Every event then gets a fresh instance of that snapshot, so nothing of one customer can reach another's
//! mail. What serves which slot is one immutable value; a call keeps what it started with.

mod cache;
mod check;
mod engine;
mod fault;
mod fixture;
mod gate;
mod sandbox;
mod v1;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use check::{Attachment, Email};
pub use engine::config as engine_config;
pub use fault::{Fault, LoadError};
pub use gate::{Report, Trial};
pub use sandbox::{Budget, Usage};

use crate::clock::Clock;
use crate::notification::{Admission, Failure, Notification, Situation, Verdict};
use gate::Gate;
use sandbox::{Chance, Sandbox};

/// What a component can be plugged into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// Calls at one time; more wait. 0: two for each core.
    pub calls_max: u32,
    /// What one call may use.
    pub call: Budget,
    /// What `configure` may use.
    pub configure: Budget,
    /// Where compiled components are kept; nowhere when empty.
    pub cache_path: PathBuf,
}

/// A component with its config, ready to serve. Immutable.
pub struct Revision {
    /// What it is plugged into.
    pub slot: Slot,
    /// Counts up in this host.
    pub number: i64,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// Where it came from, for people.
    pub origin: String,
    /// What the gate found.
    pub report: Report,
    pub(crate) guest: v1::Guest,
    /// For a component that cannot be snapshotted: configure every instance with this.
    pub(crate) configure_each: Option<String>,
}

impl std::fmt::Debug for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} revision {} ({})", self.slot, self.number, self.digest)
    }
}

/// Who serves a slot, and who stands in.
#[derive(Clone, Debug)]
pub struct Lineage {
    /// Serves.
    pub active: Arc<Revision>,
    /// Served before.
    pub last_good: Option<Arc<Revision>>,
    /// Came with the host.
    pub builtin: Arc<Revision>,
}

impl Lineage {
    /// Who is asked, in order, none twice.
    fn in_order(&self) -> impl Iterator<Item = &Arc<Revision>> {
        let builtin = Some(&self.builtin).filter(|b| b.number != self.active.number);
        let last_good = self.last_good.as_ref().filter(|l| l.number != self.builtin.number);
        [Some(&self.active), last_good, builtin].into_iter().flatten()
    }
}

/// Who serves what; replaced as a whole.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Writes the mails.
    pub renderer: Lineage,
    /// Decides about sending.
    pub policy: Lineage,
}

impl Routing {
    /// A slot's share of it.
    pub fn slot(&self, slot: Slot) -> &Lineage {
        match slot {
            Slot::Renderer => &self.renderer,
            Slot::Policy => &self.policy,
        }
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

const RENDERER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/renderer.wasm"));
const POLICY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/policy.wasm"));

/// The plugin host.
pub struct Plugins {
    settings: Settings,
    sandbox: Sandbox,
    gate: Gate,
    routing: ArcSwap<Routing>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
    revisions: AtomicI64,
}

impl Plugins {
    /// Prepares the built-ins and what the settings name. A component that does not pass the gate does not stop the
    /// host: the built-in serves, and the error is returned beside it.
    pub async fn start(
        settings: Settings,
        cache_key: &[u8],
        clock: &Clock,
    ) -> Result<(Self, Vec<(Slot, LoadError)>), LoadError> {
        let calls_max = match settings.calls_max {
            // Calls compute. More of them at one time than cores only keep the tasks that record waiting in line.
            0 => std::thread::available_parallelism().map_or(4, |cores| u32::try_from(cores.get() * 2).unwrap_or(4)),
            set => set,
        };
        let engine = engine::Engine::new(calls_max, &settings.call)?;
        let sandbox = Sandbox::new(&engine, calls_max)?;
        let gate = Gate::new(engine, sandbox.clone(), &settings, cache_key, clock.clone());
        let load = |slot, number, wasm: &'static [u8]| gate.admit(slot, number, wasm.into(), "{}".into(), "built-in");
        let (renderer, policy) = (load(Slot::Renderer, 1, RENDERER).await?, load(Slot::Policy, 2, POLICY).await?);
        let lineage = |builtin: Arc<Revision>| Lineage { active: builtin.clone(), last_good: None, builtin };
        let routing = Routing { renderer: lineage(Arc::new(renderer)), policy: lineage(Arc::new(policy)) };
        let this = Self {
            settings,
            sandbox,
            gate,
            routing: ArcSwap::from_pointee(routing),
            reloading: tokio::sync::Mutex::new(()),
            revisions: AtomicI64::new(2),
        };
        let mut refused = Vec::new();
        for slot in Slot::ALL {
            let Source { path, config_path } = this.source(slot);
            let configured = !path.as_os_str().is_empty() || !config_path.as_os_str().is_empty();
            if configured && let Err(e) = this.reload(slot).await {
                refused.push((slot, e));
            }
        }
        Ok((this, refused))
    }

    /// Reads the slot's component and config again and, once they pass the gate, lets them serve. Refused, nothing
    /// changes. Calls under way end on what they started with.
    pub async fn reload(&self, slot: Slot) -> Result<Arc<Revision>, LoadError> {
        let _one = self.reloading.lock().await;
        let Source { path, config_path } = self.source(slot).clone();
        let (wasm, origin): (Arc<[u8]>, String) = if path.as_os_str().is_empty() {
            (if slot == Slot::Renderer { RENDERER.into() } else { POLICY.into() }, "built-in".to_owned())
        } else {
            (self.gate.read(&path).await?, path.display().to_string())
        };
        let config = if config_path.as_os_str().is_empty() {
            "{}".to_owned()
        } else {
            let read = |source| LoadError::Read { path: config_path.clone(), source };
            tokio::fs::read_to_string(&config_path).await.map_err(read)?
        };
        let number = self.revisions.fetch_add(1, Ordering::Relaxed) + 1;
        let revision = Arc::new(self.gate.admit(slot, number, wasm, config, &origin).await?);
        self.routing.rcu(|now| {
            let mut next = Routing::clone(now);
            let lineage = match slot {
                Slot::Renderer => &mut next.renderer,
                Slot::Policy => &mut next.policy,
            };
            lineage.last_good = Some(std::mem::replace(&mut lineage.active, revision.clone()));
            next
        });
        Ok(revision)
    }

    /// Who serves what, now.
    pub fn routing(&self) -> Arc<Routing> {
        self.routing.load_full()
    }

    /// Renders the mail: by the active revision, else by the last good one, else by the built-in.
    pub async fn render(&self, n: &Notification, seed: u64) -> Answer<Option<Email>> {
        let routing = self.routing.load_full();
        let mut faults = Vec::new();
        for revision in routing.renderer.in_order() {
            match self.render_by(revision, n, seed).await {
                Ok(email) => return Answer { value: Some(email), by: Some(revision.clone()), faults },
                Err(fault) => faults.push((revision.clone(), fault)),
            }
        }
        Answer { value: None, by: None, faults }
    }

    /// Renders the mail by this revision or not at all.
    pub async fn render_by(&self, revision: &Revision, n: &Notification, seed: u64) -> Result<Email, Fault> {
        let budget = self.settings.call.for_lines(n.payload.order.lines.len());
        let chance = Chance { now_ms: n.payload.occurred_at, seed };
        let (email, _) = self.sandbox.render(revision, &budget, chance, n).await?;
        check::email(email, &budget)
    }

    /// Asks the policy whether to send. When it fails, send: the host's own rule.
    pub async fn admit(&self, n: &Notification, s: &Situation) -> Answer<Admission> {
        let revision = self.routing.load().policy.active.clone();
        let budget = self.settings.call.for_lines(n.payload.order.lines.len());
        let chance = Chance { now_ms: s.now, seed: s.seed };
        let asked = self.sandbox.admit(&revision, &budget, chance, n, s).await;
        match asked.and_then(|(a, _)| check::admission(a, &s.relays)) {
            Ok(value) => Answer { value, by: Some(revision), faults: Vec::new() },
            Err(fault) => Answer { value: Admission::Send(None), by: None, faults: vec![(revision, fault)] },
        }
    }

    /// Asks the policy what a failure means. When it fails, the host's own rule decides.
    pub async fn on_failure(&self, n: &Notification, f: &Failure, s: &Situation) -> Answer<Verdict> {
        let revision = self.routing.load().policy.active.clone();
        let budget = self.settings.call.for_lines(n.payload.order.lines.len());
        let chance = Chance { now_ms: s.now, seed: s.seed };
        let asked = self.sandbox.on_failure(&revision, &budget, chance, n, f, s).await;
        match asked.and_then(|(v, _)| check::verdict(v, &s.relays)) {
            Ok(value) => Answer { value, by: Some(revision), faults: Vec::new() },
            Err(fault) => {
                let value = crate::notification::native_verdict(f, s.attempts);
                Answer { value, by: None, faults: vec![(revision, fault)] }
            }
        }
    }

    fn source(&self, slot: Slot) -> &Source {
        match slot {
            Slot::Renderer => &self.settings.renderer,
            Slot::Policy => &self.settings.policy,
        }
    }
}

/// SHA-256, in hex.
pub(crate) fn digest(bytes: &[u8]) -> String {
    crate::hex::encode(&Sha256::digest(bytes))
}
