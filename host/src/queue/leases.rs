//! The claims that this worker holds, kept alive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::lease::Lease;
use crate::store::Store;
use crate::store::queue::{Claimed, Finish, Token};

use super::record;

#[derive(Clone, Default)]
pub(super) struct Leases(Arc<Mutex<HashMap<Token, Held>>>);

struct Held {
    lease: Lease,
    /// What gives it back, unless its mail is handed over: then its outcome is unknown.
    give_back: Finish,
}

/// See [`Leases::forget_on_panic`]. A task that is aborted keeps its entry: the drain gives it back.
pub(super) struct ForgetOnPanic {
    leases: Leases,
    claim: Token,
}

impl Drop for ForgetOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.leases.remove(self.claim);
        }
    }
}

impl Leases {
    pub(super) fn insert(&self, claimed: &Claimed, lease: &Lease) {
        let give_back = record::give_back(claimed);
        self.lock().insert(claimed.claim, Held { lease: lease.clone(), give_back });
    }

    /// A delivery that panics lets go of its claim, or it would be renewed for ever.
    pub(super) fn forget_on_panic(&self, claim: Token) -> ForgetOnPanic {
        ForgetOnPanic { leases: self.clone(), claim }
    }

    pub(super) fn remove(&self, claim: Token) {
        self.lock().remove(&claim);
    }

    /// Which events are claimed.
    pub(super) fn events(&self) -> Vec<i64> {
        self.lock().keys().map(|claim| claim.event).collect()
    }

    pub(super) fn not_handed_over(&self) -> Vec<Finish> {
        self.lock().values().filter(|held| !held.lease.is_handed_over()).map(|held| held.give_back.clone()).collect()
    }

    /// Renews every lease that is past its half, together; one that does not hold any more ends at once, and with
    /// it the connection that works for it.
    pub(super) async fn keep(self, store: Store, clock: Clock, lease_ms: i64) {
        let tick = Duration::from_millis(u64::try_from(lease_ms / 8).unwrap_or_default().max(1));
        loop {
            tokio::time::sleep(tick).await;
            let old: Vec<(Token, Lease)> = self
                .lock()
                .iter()
                .filter(|(_, held)| held.lease.left_ms() < lease_ms / 2)
                .map(|(claim, held)| (*claim, held.lease.clone()))
                .collect();
            if old.is_empty() {
                continue;
            }
            let until_ms = clock.monotonic_ms() + lease_ms;
            let claims: Vec<Token> = old.iter().map(|(claim, _)| *claim).collect();
            match store.renew(&claims, lease_ms).await {
                Ok(held) => {
                    for ((_, lease), held) in old.iter().zip(held) {
                        if held { lease.extend(until_ms) } else { lease.lose() }
                    }
                }
                Err(e) => tracing::warn!(error = %e, "leases could not be renewed; trying again"),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Token, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{Held, Leases};
    use crate::clock::Clock;
    use crate::lease::Lease;
    use crate::notification::Transition;
    use crate::store::queue::{Finish, Token};

    #[test]
    fn a_panic_lets_go_and_an_abort_does_not() {
        let leases = Leases::default();
        let claim = Token { event: 1, token: 1 };
        let lease = Lease::until(&Clock::system(), i64::MAX);
        let give_back = Finish {
            claim,
            lane: 1,
            place: 1,
            attempts: 0,
            transition: Transition::GiveBack,
            notes: Vec::new(),
            intent: false,
        };
        leases.lock().insert(claim, Held { lease, give_back });
        drop(leases.forget_on_panic(claim));
        assert!(leases.lock().contains_key(&claim));
        let panicking = AssertUnwindSafe(|| {
            let _guard = leases.forget_on_panic(claim);
            panic!("on purpose");
        });
        assert!(catch_unwind(panicking).is_err());
        assert!(leases.lock().is_empty());
    }
}
