//! What operators paused: mails by a relay, mails of a kind. They come back to the queue until it is resumed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::Untried;
use crate::clock::Clock;

/// What is paused is asked for again after so long, in milliseconds, and up to as much again: so late may a mail go out
/// once its pause has ended.
const PAUSED_MS: i64 = 15_000;
/// In so many steps, so that not all come at one time.
const SPREAD: u32 = 64;
/// For so long after a pause no mail is given up for its age, of which the pause was a part, in milliseconds.
const SPARED_MS: i64 = 3_600_000;

pub(crate) struct Pauses {
    paused: RwLock<Paused>,
    parked: AtomicU32,
    clock: Clock,
}

#[derive(Default)]
struct Paused {
    relays: Names,
    kinds: Names,
}

#[derive(Default)]
struct Names {
    paused: BTreeSet<String>,
    /// When the pause of each ended that is not long over, by the monotonic clock.
    ended: BTreeMap<String, i64>,
}

impl Names {
    fn set(&mut self, paused: BTreeSet<String>, now_ms: i64) {
        self.ended.retain(|_, at| now_ms - *at < SPARED_MS);
        self.ended.extend(self.paused.difference(&paused).map(|name| (name.clone(), now_ms)));
        self.paused = paused;
    }

    fn is_spared(&self, name: &str, now_ms: i64) -> bool {
        self.paused.contains(name) || self.ended.get(name).is_some_and(|at| now_ms - at < SPARED_MS)
    }
}

impl Pauses {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { paused: RwLock::default(), parked: AtomicU32::new(0), clock }
    }

    pub(crate) fn set(&self, relays: BTreeSet<String>, kinds: BTreeSet<String>) {
        let now_ms = self.clock.monotonic_ms();
        let mut paused = self.paused.write().unwrap_or_else(PoisonError::into_inner);
        paused.relays.set(relays, now_ms);
        paused.kinds.set(kinds, now_ms);
    }

    pub(crate) fn has_relay(&self, name: &str) -> bool {
        self.read().relays.paused.contains(name)
    }

    pub(crate) fn relay(&self, name: &str) -> Option<Untried> {
        self.has_relay(name).then(|| self.park(format!("the relay \"{name}\" is paused")))
    }

    pub(crate) fn kind(&self, kind: &str) -> Option<Untried> {
        let is_paused = self.read().kinds.paused.contains(kind);
        is_paused.then(|| self.park(format!("mails of the kind \"{kind}\" are paused")))
    }

    /// Whether a mail of this kind waits, or waited of late, for an operator: by this relay, or by any.
    pub(crate) fn is_spared(&self, kind: &str, relay: Option<&str>) -> bool {
        let (paused, now_ms) = (self.read(), self.clock.monotonic_ms());
        let by_relay = match relay {
            Some(relay) => paused.relays.is_spared(relay, now_ms),
            None => !paused.relays.paused.is_empty() || paused.relays.ended.values().any(|at| now_ms - at < SPARED_MS),
        };
        by_relay || paused.kinds.is_spared(kind, now_ms)
    }

    /// The shortest time after which it is asked for again.
    pub(crate) fn wait_ms(&self, relay: &str) -> i64 {
        if self.has_relay(relay) { PAUSED_MS } else { 0 }
    }

    fn read(&self) -> RwLockReadGuard<'_, Paused> {
        self.paused.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn park(&self, why: String) -> Untried {
        let step = self.parked.fetch_add(1, Ordering::Relaxed) % SPREAD;
        Untried { delay_ms: PAUSED_MS + PAUSED_MS * i64::from(step) / i64::from(SPREAD), why }
    }
}
