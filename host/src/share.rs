//! Keeps this host to its share of what relays take from the whole cluster, as the database gives it out.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::mail::Mailer;
use crate::quota::{Ask, Caps};
use crate::store::Store;
use crate::store::shares::EXPIRY_MS;

/// How often shares are renewed: longer than the second that relays count in, so that what a host no longer may use is not
/// counted against it when others get it.
const RENEW: Duration = Duration::from_millis(1_200);
/// Without a renewal for so long this host uses nothing any more, before others may take it.
const GRACE_MS: i64 = EXPIRY_MS / 2;

/// What keeps the shares.
pub struct Shares {
    store: Store,
    mailer: Mailer,
    clock: Clock,
    host: String,
    renewed_ms: i64,
}

impl Shares {
    /// For a host of that name that sends nothing before the first [`renew`](Self::renew).
    pub fn new(store: Store, mailer: Mailer, clock: Clock, host: String) -> Self {
        let renewed_ms = clock.monotonic_ms();
        let shares = Self { store, mailer, clock, host, renewed_ms };
        shares.stop();
        shares
    }

    /// Whether there is anything to share: other hosts, or a day.
    pub fn are_needed(store: &Store, mailer: &Mailer) -> bool {
        store.is_shared() || mailer.asks().iter().any(|ask| ask.per_day_max.is_some())
    }

    /// Renews until stopped, when nothing is sent any more; then gives everything back.
    pub async fn keep(mut self, stop: CancellationToken) {
        loop {
            self.renew().await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(RENEW) => {}
            }
        }
        self.stop();
        let unused: Vec<_> = self.mailer.asks().into_iter().map(Ask::of_the_last).collect();
        let given_back = async {
            self.store.share(&self.host, &unused).await?;
            self.store.give_up_shares(&self.host).await
        };
        if let Err(e) = given_back.await {
            tracing::debug!(error = %e, "the shares of relays were not given back; they expire");
        }
    }

    fn stop(&self) {
        for relay in self.mailer.names() {
            self.mailer.limit(&relay, Caps::default(), 0);
        }
    }

    /// Asks for a share of each relay, by what this host has for it, and lives by the answer.
    pub async fn renew(&mut self) {
        let began_ms = self.clock.monotonic_ms();
        let asks = self.mailer.asks();
        match self.store.share(&self.host, &asks).await {
            Ok(shares) => {
                self.renewed_ms = began_ms;
                for (ask, share) in asks.iter().zip(shares) {
                    self.mailer.limit(&ask.relay, share.caps, share.day_given);
                }
            }
            Err(e) => {
                tracing::warn!(error = %e, "the shares of relays could not be renewed; trying again");
                if began_ms - self.renewed_ms > GRACE_MS {
                    self.stop();
                }
            }
        }
    }
}
