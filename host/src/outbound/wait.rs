//! Waiting for what a message needs: no longer than its lease, and not for long at something slow.

use std::future::Future;
use std::time::Duration;

use super::Untried;
use super::load::{Held, Load};
use crate::lease::Lease;

/// How long a message waits for a place at something slow; then it goes back to the queue.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// When to come back after something of our own was in the way, in milliseconds: no free connection, no database.
pub(super) const UNTRIED_MS: i64 = 1_000;

/// Waits for what a message needs, but not beyond its lease.
pub(crate) async fn before_lease_ends<T>(lease: &Lease, step: impl Future<Output = T>) -> Result<T, Untried> {
    tokio::select! {
        biased;
        () = lease.ended() => {
            let why = "the lease on the event ended before it could be handed over".to_owned();
            Err(Untried { delay_ms: UNTRIED_MS, why })
        }
        done = step => Ok(done),
    }
}

/// Waits for a place, of which there are as many as `limit` says: none if that takes long and is so because something is slow.
pub(crate) async fn hold<'a>(
    load: &'a Load,
    lease: &Lease,
    limit: impl Fn() -> usize,
    is_slow: impl Fn() -> bool,
) -> Result<Option<Held<'a>>, Untried> {
    let waiting = async {
        let _waiting = load.wait();
        loop {
            if let Some(held) = load.hold(limit()) {
                // The limit may have grown: the next one finds out.
                load.wake();
                return held;
            }
            load.freed().await;
        }
    };
    unless_slow(lease, is_slow, waiting).await
}

/// Waits for a place: none if that takes long and is so because something is slow. A waiter holds a place in the
/// worker, which others may need.
pub(crate) async fn unless_slow<T>(
    lease: &Lease,
    is_slow: impl Fn() -> bool,
    step: impl Future<Output = T>,
) -> Result<Option<T>, Untried> {
    let mut step = std::pin::pin!(step);
    loop {
        match before_lease_ends(lease, tokio::time::timeout(WAIT_MAX, &mut step)).await? {
            Ok(done) => return Ok(Some(done)),
            Err(_) if is_slow() => return Ok(None),
            Err(_) => {}
        }
    }
}
