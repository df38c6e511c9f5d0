//! How a plugin host starts: the built-ins pass the gate, which needs no database, and then get their numbers.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::gate::{Admitted, Candidate, Gate, Progress};
use super::sandbox::Sandbox;
use super::{Lineage, LoadError, Plugins, Revision, Routing, Settings, Slot, engine};
use crate::clock::Clock;
use crate::metrics::Metrics;

/// A plugin host whose built-ins have no numbers yet.
pub struct Prepared {
    settings: Settings,
    sandbox: Sandbox,
    gate: Arc<Gate>,
    admitted: Vec<Admitted>,
    metrics: Metrics,
    clock: Clock,
}

/// Prepares the built-ins. What is cached is protected by a key derived from `secret`, and so are the links that components sign;
/// `relays` are those that a policy may name.
pub async fn prepare(
    settings: Settings,
    secret: &[u8],
    relays: &[String],
    clock: &Clock,
    metrics: Metrics,
) -> Result<Prepared, LoadError> {
    let calls_max = settings.calls_max();
    let engine = engine::Engine::new(calls_max, &settings.call)?;
    let sandbox = Sandbox::new(&engine, calls_max, secret)?;
    let gate = Arc::new(Gate::new(&engine, sandbox.clone(), &settings, secret, relays, clock.clone()).serving());
    let mut admitted = Vec::new();
    for slot in Slot::ALL {
        admitted.push(gate.admit(Candidate::built_in(slot), &Progress::default()).await?);
    }
    Ok(Prepared { settings, sandbox, gate, admitted, metrics, clock: clock.clone() })
}

impl Prepared {
    /// Starts with the built-ins as only revisions; `number` gives each its number.
    pub async fn numbered<E>(self, number: impl AsyncFn(Revision) -> Result<Revision, E>) -> Result<Plugins, E> {
        let Self { settings, sandbox, gate, admitted, metrics, clock } = self;
        let mut builtins = Vec::new();
        for Admitted { revision, .. } in admitted {
            builtins.push(Arc::new(number(revision).await?));
        }
        let [renderer, policy] = [0, 1].map(|i: usize| Lineage::of_builtin(builtins[i].clone()));
        let prepared = builtins.into_iter().map(|revision| (revision.number, revision)).collect();
        Ok(Plugins {
            settings,
            live: sandbox.live(),
            metered: sandbox,
            gate,
            routing: ArcSwap::from_pointee(Routing { renderer, policy }),
            prepared: Mutex::new(prepared),
            shadowing: Arc::new(tokio::sync::Semaphore::new(1)),
            metrics,
            clock,
        })
    }
}
