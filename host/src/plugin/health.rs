//! How a revision fares in this host: what its calls came to, and a breaker that keeps one that only fails from being
//! asked.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Difference;
use crate::notification::Notification;

/// When a revision is left out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerLimits {
    /// Failures in a row that open the breaker.
    pub failures_max: u64,
    /// How long it stays open before one call is let through to try, in milliseconds.
    pub open_ms: i64,
}

/// What a revision's calls came to since this host prepared it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = PluginCounts)]
pub struct Counts {
    /// Calls under way now: how far a revision that was replaced has drained.
    pub running: u64,
    /// Calls that were answered or not.
    pub calls: u64,
    /// Calls without a usable answer: traps, budgets, refusals.
    pub faults: u64,
    /// Mails of its writing that a relay refused for good.
    pub rejected: u64,
    /// Live events it saw as a shadow.
    pub shadowed: u64,
    /// Those where its answer was another than the real one.
    pub diverged: u64,
    /// Those where it had no usable answer.
    pub shadow_faults: u64,
    /// Live events it did not see as a shadow, for want of time.
    pub shadow_skipped: u64,
}

impl Counts {
    /// What came since `began`.
    #[must_use]
    pub fn since(self, began: Self) -> Self {
        Self {
            running: self.running,
            calls: self.calls.saturating_sub(began.calls),
            faults: self.faults.saturating_sub(began.faults),
            rejected: self.rejected.saturating_sub(began.rejected),
            shadowed: self.shadowed.saturating_sub(began.shadowed),
            diverged: self.diverged.saturating_sub(began.diverged),
            shadow_faults: self.shadow_faults.saturating_sub(began.shadow_faults),
            shadow_skipped: self.shadow_skipped.saturating_sub(began.shadow_skipped),
        }
    }

    /// Those of two hosts together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            running: self.running + other.running,
            calls: self.calls + other.calls,
            faults: self.faults + other.faults,
            rejected: self.rejected + other.rejected,
            shadowed: self.shadowed + other.shadowed,
            diverged: self.diverged + other.diverged,
            shadow_faults: self.shadow_faults + other.shadow_faults,
            shadow_skipped: self.shadow_skipped + other.shadow_skipped,
        }
    }

    /// Which part of its calls went wrong, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn bad(self) -> f64 {
        if self.calls == 0 { 0.0 } else { (self.faults + self.rejected) as f64 / self.calls as f64 }
    }
}

/// A revision's counts and breaker.
#[derive(Debug, Default)]
pub(crate) struct Health {
    running: AtomicU64,
    calls: AtomicU64,
    faults: AtomicU64,
    rejected: AtomicU64,
    shadowed: AtomicU64,
    diverged: AtomicU64,
    shadow_faults: AtomicU64,
    shadow_skipped: AtomicU64,
    failures: AtomicU64,
    /// Monotonic milliseconds; 0: closed.
    open_until: AtomicI64,
    /// Where its answer was last another than the real one.
    divergence: Mutex<Option<Divergence>>,
}

/// Where a shadow's answer was another than the real one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = PluginDivergence)]
pub struct Divergence {
    /// The notification.
    pub notification_id: i64,
    /// Which fields differ, and how: from the real answer to the shadow's.
    pub differences: Vec<Difference>,
}

/// A call under way.
pub(crate) struct Running<'a>(&'a AtomicU64);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What a shadow's answer was, beside the real one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shadowed {
    Same,
    Different(Divergence),
    Fault,
    Skipped,
}

impl Shadowed {
    /// What a shadow's answer was that differs so from the real one.
    pub(crate) fn of(n: &Notification, differences: Vec<Difference>) -> Self {
        if differences.is_empty() {
            return Self::Same;
        }
        Self::Different(Divergence { notification_id: n.id, differences })
    }
}

impl Health {
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            running: self.running.load(Relaxed),
            calls: self.calls.load(Relaxed),
            faults: self.faults.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            shadowed: self.shadowed.load(Relaxed),
            diverged: self.diverged.load(Relaxed),
            shadow_faults: self.shadow_faults.load(Relaxed),
            shadow_skipped: self.shadow_skipped.load(Relaxed),
        }
    }

    pub(crate) fn divergence(&self) -> Option<Divergence> {
        self.divergence.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a call as under way until the answer is dropped.
    pub(crate) fn enter(&self) -> Running<'_> {
        self.running.fetch_add(1, Relaxed);
        Running(&self.running)
    }

    /// Whether it may be called now. Half-open, one caller gets a yes.
    pub(crate) fn may_try(&self, now_ms: i64, limits: &BreakerLimits) -> bool {
        let until = self.open_until.load(Relaxed);
        until == 0
            || (now_ms >= until
                && self.open_until.compare_exchange(until, now_ms + limits.open_ms, Relaxed, Relaxed).is_ok())
    }

    /// Whether the breaker is open.
    pub(crate) fn is_circuit_open(&self) -> bool {
        self.open_until.load(Relaxed) != 0
    }

    /// Counts a call; says whether it opened the breaker.
    pub(crate) fn called(&self, is_good: bool, now_ms: i64, limits: &BreakerLimits) -> bool {
        self.calls.fetch_add(1, Relaxed);
        if is_good {
            self.failures.store(0, Relaxed);
            self.open_until.store(0, Relaxed);
            return false;
        }
        self.faults.fetch_add(1, Relaxed);
        let failures = self.failures.fetch_add(1, Relaxed) + 1;
        if failures >= limits.failures_max {
            self.open_until.store(now_ms + limits.open_ms, Relaxed);
        }
        failures == limits.failures_max
    }

    pub(crate) fn rejected(&self) {
        self.rejected.fetch_add(1, Relaxed);
    }

    pub(crate) fn shadowed(&self, what: Shadowed) {
        match what {
            Shadowed::Skipped => {
                self.shadow_skipped.fetch_add(1, Relaxed);
                return;
            }
            Shadowed::Different(divergence) => {
                *self.divergence.lock().unwrap_or_else(PoisonError::into_inner) = Some(divergence);
                self.diverged.fetch_add(1, Relaxed)
            }
            Shadowed::Fault => self.shadow_faults.fetch_add(1, Relaxed),
            Shadowed::Same => 0,
        };
        self.shadowed.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{BreakerLimits, Counts, Health};

    /// Another revision's counts, or those of before a restart.
    #[test]
    fn what_began_higher_counts_from_nothing() {
        let (few, many) =
            (Counts { calls: 3, ..Counts::default() }, Counts { calls: 9, faults: 2, ..Counts::default() });
        assert_eq!((few.since(many), many.since(few).calls), (Counts::default(), 6));
    }

    #[test]
    fn strikes_open_and_a_probe_closes() {
        let limits = BreakerLimits { failures_max: 3, open_ms: 1_000 };
        let health = Health::default();
        assert_eq!([0; 3].map(|_| health.called(false, 0, &limits)), [false, false, true]);
        assert!(!health.may_try(999, &limits));
        // One tries, the others wait on.
        assert_eq!((health.may_try(1_000, &limits), health.may_try(1_000, &limits)), (true, false));
        health.called(false, 1_000, &limits);
        assert!(!health.may_try(1_999, &limits));
        assert!(health.may_try(2_000, &limits));
        health.called(true, 2_000, &limits);
        assert!(health.may_try(2_001, &limits) && !health.is_circuit_open());
        // In a row: a good call in between forgives.
        for good in [false, false, true, false, false] {
            assert!(!health.called(good, 3_000, &limits));
        }
    }
}
