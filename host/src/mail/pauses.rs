//! What operators paused: mails by a relay, mails of a kind. They come back to the queue until it is resumed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};

use super::Untried;

/// What is paused is asked for again after so long, in milliseconds, and up to as much again: so late may a mail go out
/// once its pause has ended.
const PAUSED_MS: i64 = 15_000;
/// In so many steps, so that not all come at one time.
const SPREAD: u32 = 64;

#[derive(Default)]
pub(super) struct Pauses {
    paused: RwLock<Paused>,
    parked: AtomicU32,
}

#[derive(Default)]
struct Paused {
    relays: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Pauses {
    pub(super) fn set(&self, relays: BTreeSet<String>, kinds: BTreeSet<String>) {
        *self.paused.write().unwrap_or_else(PoisonError::into_inner) = Paused { relays, kinds };
    }

    pub(super) fn relay(&self, name: &str) -> Option<Untried> {
        let is_paused = self.paused.read().unwrap_or_else(PoisonError::into_inner).relays.contains(name);
        is_paused.then(|| self.park(format!("the relay \"{name}\" is paused")))
    }

    pub(super) fn kind(&self, kind: &str) -> Option<Untried> {
        let is_paused = self.paused.read().unwrap_or_else(PoisonError::into_inner).kinds.contains(kind);
        is_paused.then(|| self.park(format!("mails of the kind \"{kind}\" are paused")))
    }

    fn park(&self, why: String) -> Untried {
        let step = self.parked.fetch_add(1, Ordering::Relaxed) % SPREAD;
        Untried { delay_ms: PAUSED_MS + PAUSED_MS * i64::from(step) / i64::from(SPREAD), why }
    }
}
