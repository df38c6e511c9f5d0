//! How many connections one relay takes: a few at first, one more with each mail that it takes, up to what is configured;
//! fewer once it refuses one, then one more now and then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::clock::Clock;

/// How many connections are opened to a relay of which nothing is known.
const FIRST: u32 = 4;
/// How long after a refused connection, and after each raise, the limit is raised by one, in milliseconds.
const RAISE_MS: i64 = 30_000;

/// The connections of one relay.
pub(super) struct Connections {
    permits: Semaphore,
    limit: Mutex<Limit>,
    clock: Clock,
    /// Each open connection, idle ones included, holds a clone.
    open: Arc<()>,
}

#[derive(Debug)]
struct Limit {
    /// This host's share of what is configured.
    configured: u32,
    now: u32,
    /// So many permits are taken out of use as they come back.
    owed: u32,
    /// Permits in use.
    held: u32,
    /// Whether the relay has refused a connection, and when the limit was last changed for that.
    was_refused: bool,
    changed_ms: i64,
}

/// The right to use one connection.
pub(super) struct Permit(Arc<Connections>);

impl Drop for Permit {
    fn drop(&mut self) {
        let mut limit = self.0.lock();
        limit.held -= 1;
        match limit.owed.checked_sub(1) {
            Some(owed) => limit.owed = owed,
            None => self.0.permits.add_permits(1),
        }
    }
}

impl Connections {
    pub(super) fn new(configured: u32, clock: Clock) -> Arc<Self> {
        let now = configured.min(FIRST);
        let limit = Limit { configured, now, owed: 0, held: 0, was_refused: false, changed_ms: 0 };
        Arc::new(Self { permits: Semaphore::new(now as usize), limit: Mutex::new(limit), clock, open: Arc::new(()) })
    }

    fn lock(&self) -> MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn acquire(self: &Arc<Self>) -> Permit {
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
        self.lock().held += 1;
        Permit(self.clone())
    }

    /// One that nobody waits for.
    pub(super) fn free(self: &Arc<Self>) -> Option<Permit> {
        self.permits.try_acquire().ok()?.forget();
        self.lock().held += 1;
        Some(Permit(self.clone()))
    }

    /// This host may use so many from now on; those in use beyond go as they come back.
    pub(super) fn share(&self, most: u32) {
        let mut limit = self.lock();
        limit.configured = most;
        // With none at all, none could show that there may be more.
        let least = if limit.was_refused { most.min(1) } else { most.min(FIRST) };
        if most < limit.now {
            let fewer = limit.now - most;
            limit.now = most;
            // Those that nobody uses go at once.
            let idle = u32::try_from(self.permits.forget_permits(fewer as usize)).unwrap_or(fewer);
            limit.owed += fewer - idle;
        } else if limit.now < least {
            let more = least - limit.now;
            limit.now += more;
            let paid = more.min(limit.owed);
            limit.owed -= paid;
            self.permits.add_permits((more - paid) as usize);
        }
    }

    /// How many this host allows itself, or still has open.
    pub(super) fn used(&self) -> u32 {
        self.open().max(self.lock().configured)
    }

    /// How many are open beyond this host's share.
    pub(super) fn excess(&self) -> usize {
        self.open().saturating_sub(self.lock().configured) as usize
    }

    /// How many are open.
    pub(super) fn open(&self) -> u32 {
        u32::try_from(Arc::strong_count(&self.open) - 1).unwrap_or(u32::MAX)
    }

    /// How many there may be at one time, as far as is known.
    pub(super) fn limit(&self) -> u32 {
        self.lock().now
    }

    /// Counts a connection as open until it is dropped.
    pub(super) fn count(&self) -> Arc<()> {
        self.open.clone()
    }

    /// The relay refused one more connection, whose permit is still held. Lowers the limit to those that are open; false if
    /// there is none and no other is on its way, so that the relay refuses altogether.
    pub(super) fn refused(&self) -> bool {
        let open = self.open();
        let mut limit = self.lock();
        if open == 0 && limit.held <= 1 {
            return false;
        }
        let lower = open.max(1);
        if lower < limit.now {
            limit.owed += limit.now - lower;
            limit.now = lower;
        }
        limit.was_refused = true;
        limit.changed_ms = self.clock.monotonic_ms();
        true
    }

    /// The relay took a mail, so it may take one connection more: at once, or after a while if it has refused one.
    pub(super) fn accepted(&self) {
        let now = self.clock.monotonic_ms();
        let mut limit = self.lock();
        let is_early = limit.was_refused && now - limit.changed_ms < RAISE_MS;
        if limit.now >= limit.configured || is_early {
            return;
        }
        limit.changed_ms = now;
        limit.now += 1;
        match limit.owed.checked_sub(1) {
            Some(owed) => limit.owed = owed,
            None => self.permits.add_permits(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Connections, RAISE_MS};
    use crate::clock::Clock;

    #[tokio::test]
    async fn a_refused_connection_lowers_the_limit_and_time_raises_it() {
        let clock = Clock::system();
        let connections = Connections::new(4, clock.clone());
        let alone = connections.acquire().await;
        assert!(!connections.refused(), "nothing is open: the relay is away");
        drop(alone);
        let (first, second) = (connections.count(), connections.count());
        let (a, b, c) = (connections.acquire().await, connections.acquire().await, connections.acquire().await);
        assert!(connections.refused());
        drop((a, b, c));
        let held = (connections.acquire().await, connections.acquire().await);
        assert_eq!(connections.permits.available_permits(), 0);
        connections.accepted();
        assert_eq!(connections.permits.available_permits(), 0, "not yet");
        for expected in [1, 2, 2] {
            clock.advance(u32::try_from(RAISE_MS).unwrap());
            connections.accepted();
            assert_eq!(connections.permits.available_permits(), expected);
        }
        drop((held, first, second));
        assert_eq!(connections.permits.available_permits(), 4);
    }

    #[tokio::test]
    async fn a_share_is_kept_to() {
        let connections = Connections::new(6, Clock::system());
        let (a, b, c) = (connections.acquire().await, connections.acquire().await, connections.acquire().await);
        connections.share(2);
        assert_eq!((connections.permits.available_permits(), connections.limit()), (0, 2));
        drop(a);
        assert_eq!(connections.permits.available_permits(), 0, "three were in use, two may be");
        drop((b, c));
        assert_eq!(connections.permits.available_permits(), 2);
        connections.share(0);
        assert_eq!(connections.permits.available_permits(), 0);
        connections.share(16);
        assert_eq!(connections.permits.available_permits(), 4);
        connections.accepted();
        assert_eq!(connections.permits.available_permits(), 5);
        let open = (connections.count(), connections.count());
        connections.share(1);
        assert_eq!(connections.used(), 2, "what is open is used");
        drop(open);
        assert_eq!(connections.used(), 1);
    }

    #[tokio::test]
    async fn connections_come_one_by_one_with_the_mails_that_are_taken() {
        let connections = Connections::new(6, Clock::system());
        for expected in [4, 5, 6, 6] {
            assert_eq!(connections.permits.available_permits(), expected);
            connections.accepted();
        }
    }
}
