//! What this host still has to prepare before it runs a slot as the database has it. Compiling can take a minute, and a
//! revision that was taken by another version of the host may fail here: what served before serves on meanwhile.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

use super::{Error, Service, Slot};
use crate::store::plugins::SlotRow;

/// The pause after a revision failed to be prepared, doubled after each more time.
const PAUSE_MS_MIN: i64 = 1_000;
const PAUSE_MS_MAX: i64 = 300_000;

/// Slots that do not run as the database has them.
#[derive(Default)]
pub struct Preparing(Mutex<BTreeMap<&'static str, State>>);

enum State {
    /// It is being prepared.
    Working { revision: Option<i64> },
    /// It cannot be, for now.
    Failed(Failure),
}

struct Failure {
    /// Of the slot: another one is another matter.
    version: i64,
    revision: Option<i64>,
    why: String,
    tries: u32,
    /// By the monotonic clock.
    next_ms: i64,
}

/// A slot that does not run as the database has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PluginPreparation)]
pub struct Preparation {
    /// Which slot.
    pub slot: String,
    /// Which revision is to serve; none: the built-in.
    pub revision: Option<i64>,
    /// "preparing", or "failed": what served before, or the built-in, serves on.
    pub state: String,
    /// Why it failed, and when it is tried again.
    pub detail: String,
}

impl Preparing {
    /// Whether a slot is to be brought to this version now.
    pub(super) fn may_try(&self, slot: Slot, version: i64, now_ms: i64) -> bool {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).get(slot.as_str()) {
            Some(State::Failed(failure)) => failure.version != version || now_ms >= failure.next_ms,
            _ => true,
        }
    }

    pub(super) fn begin(&self, slot: Slot, row: &SlotRow) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What failed before is said until it is known to be better.
        if !matches!(slots.get(slot.as_str()), Some(State::Failed(failure)) if failure.version == row.version) {
            slots.insert(slot.as_str(), State::Working { revision: row.active });
        }
    }

    /// A version that fails is logged once.
    pub(super) fn end(&self, slot: Slot, row: &SlotRow, error: Option<&Error>, now_ms: i64) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = slots.remove(slot.as_str());
        let Some(e @ (Error::Refused(_) | Error::NotFound(_))) = error else { return };
        let tries = match before {
            Some(State::Failed(failure)) if failure.version == row.version => failure.tries,
            _ => 0,
        };
        let why = crate::cause::chain(e);
        if tries == 0 {
            tracing::error!(
                plugin.slot = %slot, plugin.revision = row.active, error = why,
                "what is to serve cannot be prepared; what served before serves on, and it is tried again"
            );
        }
        let pause_ms = (PAUSE_MS_MIN << tries.min(16)).min(PAUSE_MS_MAX);
        let next_ms = now_ms.saturating_add(pause_ms);
        let failure = Failure { version: row.version, revision: row.active, why, tries: tries + 1, next_ms };
        slots.insert(slot.as_str(), State::Failed(failure));
    }
}

impl Service {
    /// The slots that do not run as the database has them.
    pub fn preparations(&self) -> Vec<Preparation> {
        let now_ms = self.clock.monotonic_ms();
        let slots = self.preparing.0.lock().unwrap_or_else(PoisonError::into_inner);
        let preparation = |(slot, state): (&&str, &State)| {
            let (revision, state, detail) = match state {
                State::Working { revision } => (*revision, "preparing", String::new()),
                State::Failed(Failure { revision, why, tries, next_ms, .. }) => {
                    let wait_s = (next_ms - now_ms).max(0) / 1_000;
                    (*revision, "failed", format!("{why}; tried {tries} times, again in {wait_s} s"))
                }
            };
            Preparation { slot: (*slot).to_owned(), revision, state: state.to_owned(), detail }
        };
        slots.iter().map(preparation).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_less_and_less_often() {
        let preparing = Preparing::default();
        let row = |version| SlotRow {
            slot: "renderer".to_owned(),
            version,
            active: Some(7),
            previous: None,
            shadow: None,
            canary: None,
            percent: 0,
            plan: String::new(),
            changed_at: 0,
        };
        let (slot, gone) = (Slot::Renderer, Error::NotFound("component"));
        let mut now = 0;
        for pause in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000] {
            assert!(preparing.may_try(slot, 2, now));
            preparing.begin(slot, &row(2));
            preparing.end(slot, &row(2), Some(&gone), now);
            assert!(!preparing.may_try(slot, 2, now + pause - 1));
            now += pause;
        }
        // Another version is another matter, and a database that is away says nothing of the revision.
        assert!(preparing.may_try(slot, 3, now - 1));
        preparing.end(slot, &row(3), Some(&Error::Forbidden), now);
        assert!(preparing.may_try(slot, 2, now));
    }
}
