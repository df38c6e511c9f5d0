//! A claim's right to act, by the local monotonic clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;

/// Held by the task that works on a claimed event. Nothing is sent once it has run out. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    until_ms: AtomicI64,
    lost: AtomicBool,
    handed_over: AtomicBool,
    changed: Notify,
}

impl Lease {
    /// A lease until `until_ms` of the monotonic clock. Measure before claiming: the database's lease began later.
    pub fn until(clock: &Clock, until_ms: i64) -> Self {
        Self(Arc::new(Inner {
            clock: clock.clone(),
            until_ms: AtomicI64::new(until_ms),
            lost: AtomicBool::new(false),
            handed_over: AtomicBool::new(false),
            changed: Notify::new(),
        }))
    }

    /// What is left, in milliseconds; 0 when it has run out or is lost.
    pub fn left_ms(&self) -> i64 {
        if self.0.lost.load(Ordering::Acquire) {
            return 0;
        }
        (self.0.until_ms.load(Ordering::Acquire) - self.0.clock.monotonic_ms()).max(0)
    }

    /// The claim was renewed.
    pub fn extend(&self, until_ms: i64) {
        self.0.until_ms.fetch_max(until_ms, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }

    /// The claim is somebody else's now.
    pub fn lose(&self) {
        self.0.lost.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
    }

    /// The first byte of the message is about to be written: from now on the outcome is unknown until the relay answers.
    pub fn hand_over(&self) {
        self.0.handed_over.store(true, Ordering::Release);
    }

    /// Whether a byte of the message may have been written.
    pub fn is_handed_over(&self) -> bool {
        self.0.handed_over.load(Ordering::Acquire)
    }

    /// Resolves when the lease has run out or is lost.
    pub async fn ended(&self) {
        loop {
            let changed = self.0.changed.notified();
            let left = self.left_ms();
            if left == 0 {
                return;
            }
            let sleep = tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap_or_default()));
            tokio::select! {
                () = changed => {}
                () = sleep => {}
            }
        }
    }
}

/// The intent could not be recorded: the mail must not go out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotRecorded(pub String);
