//! Judges canaries, by what they and the active revision did in all hosts.

use serde::{Deserialize, Serialize};

use super::stage::Move;
use super::{Counts, Error, Plan, Revision, Service, Slot};
use crate::plugin::Canary;
use crate::store::plugins::SlotRow;

/// What calls came to since a canary's step began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    canary: Counts,
    active: Counts,
    /// Of the active revision, also before.
    active_ever: Counts,
}

impl Seen {
    fn and(self, other: Self) -> Self {
        Self {
            canary: self.canary.and(other.canary),
            active: self.active.and(other.active),
            active_ever: self.active_ever.and(other.active_ever),
        }
    }
}

impl Service {
    /// What every host saw of a canary's step.
    pub(super) async fn seen_of(
        &self,
        slot: Slot,
        canary: &Canary,
        active: &Revision,
        version: i64,
    ) -> Result<Seen, Error> {
        let (theirs, ours) = canary.began;
        let active_ever = active.counts();
        let canary = canary.revision.counts().since(theirs);
        let seen = Seen { canary, active: active_ever.since(ours), active_ever };
        if !self.store.is_shared() {
            return Ok(seen);
        }
        let written = serde_json::to_string(&seen).unwrap_or_default();
        let all = self.store.share_canary_counts(slot.as_str(), version, &self.host, &written).await?;
        let read = |counts: &String| serde_json::from_str::<Seen>(counts).unwrap_or_default();
        Ok(all.iter().map(read).fold(Seen::default(), Seen::and))
    }

    /// What is to become of a canary, by what it and the active revision did since its step began.
    pub(super) fn judge(&self, canary: &Canary, seen: Seen, row: &SlotRow) -> Option<(Move, Option<Plan>, String)> {
        let guard = self.plugins.guard();
        let Seen { canary: counts, active, active_ever } = seen;
        // Beside a canary that serves nearly all, the active revision is hardly asked: then what it did before counts.
        let baseline = Some(active).filter(|b| b.calls >= guard.calls_min).unwrap_or(active_ever);
        if counts.calls < guard.calls_min {
            return None;
        }
        let (bad, usual) = (counts.bad() * 100.0, baseline.bad() * 100.0);
        if bad > usual + guard.margin_percent {
            let why = format!(
                "{bad:.1} % of {} calls went wrong ({} without an answer, {} mails refused), against {usual:.1} % of {} \
                 of the active revision",
                counts.calls, counts.faults, counts.rejected, baseline.calls
            );
            return Some((Move::Quarantine, None, why));
        }
        let plan: Plan = serde_json::from_str(&row.plan).ok()?;
        if self.clock.monotonic_ms() - canary.began_ms < guard.step_ms {
            return None;
        }
        let why = format!("{bad:.1} % of {} calls went wrong at {} %", counts.calls, canary.percent);
        match plan.steps.split_first() {
            Some((next, rest)) => {
                let plan = Plan { steps: rest.to_vec(), ..plan };
                Some((Move::Canary(*next), Some(plan), why))
            }
            None => plan.then_activate.then_some((Move::Activate, None, why)),
        }
    }
}
