//! What is forgotten, and when.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Error, KEPT_MS, Service};
use crate::clock::DAY_MS;
use crate::store::retention::{Part, Swept};

/// For how long what has ended is kept, in days; 0: for ever.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// What a notification told, and its journal.
    pub contents_days: u32,
    /// That it was, and what became of it. Not shorter than its contents.
    pub notifications_days: u32,
    /// Sessions that were left or ran out.
    pub sessions_days: u32,
    /// What was done in the console, by whom and why.
    pub acts_days: u32,
    /// A component whose revisions have all served for the last time. Not shorter than contents, which it made.
    pub components_days: u32,
    /// The files of the mailbox for development.
    pub mailbox_days: u32,
    /// So many notifications are forgotten in a second at the most.
    pub per_second_max: u32,
}

/// How often a host looks for what is old.
const LOOK_EVERY: Duration = Duration::from_mins(10);
/// Notifications that are looked at in one transaction.
const BATCH: i64 = 500;
/// The host that forgets is another's turn after so many milliseconds without a batch.
const LEASE_MS: i64 = 60_000;

impl Service {
    /// Forgets what is old until the host stops.
    pub async fn forget_old(self: Arc<Self>, retention: Retention, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                forgotten = self.forget_here_and_there(retention) => {
                    if let Err(e) = forgotten {
                        tracing::warn!(error = %e, "what is old could not be forgotten; trying again");
                    }
                }
            }
        }
    }

    async fn forget_here_and_there(&self, retention: Retention) -> Result<(), Error> {
        self.forget_what_is_old(retention).await?;
        self.forget_on_disk(retention).await
    }

    /// What lies on this host's own disk: mails of the mailbox, and compiled code that no revision needs which may serve.
    pub async fn forget_on_disk(&self, retention: Retention) -> Result<(), Error> {
        if let (Some(mailbox), Some(until)) = (&self.mailbox, before(self.clock.now_ms(), retention.mailbox_days)) {
            let files = mailbox.forget_files(until).await;
            if files > 0 {
                tracing::info!(retention.forgotten = files, "old files of the mailbox were removed");
            }
        }
        self.forget_code_here().await?;
        Ok(())
    }

    /// One look; says how many notifications, sessions, acts and components were forgotten. One host at a time does it, and
    /// not while a replay reads.
    pub async fn forget_what_is_old(&self, retention: Retention) -> Result<u64, Error> {
        let now = self.clock.now_ms();
        self.store.forget_keys(now - KEPT_MS).await?;
        self.forget_old_operations().await?;
        self.forget_old_bulk().await?;
        // A replay that was cancelled under a host that has ended must not stand in the way.
        self.fail_operations().await?;
        let mut forgotten = 0;
        let kinds = [
            (Kind::Sessions, retention.sessions_days),
            (Kind::Acts, retention.acts_days),
            (Kind::Notifications(Part::Contents), retention.contents_days),
            (Kind::Notifications(Part::Whole), retention.notifications_days),
        ];
        for (kind, days) in kinds {
            if let Some(until) = before(now, days) {
                forgotten += self.forget_kind(kind, until, retention.per_second_max).await?;
            }
        }
        if self.store.take_retention(&self.host, LEASE_MS).await? {
            self.store.forget_suppressions(now).await?;
            self.store.forget_farewells().await?;
            if let Some(until) = before(now, retention.components_days)
                && !self.store.is_replaying().await?
            {
                forgotten += self.store.forget_components(until).await?;
            }
        }
        if forgotten > 0 {
            tracing::info!(retention.forgotten = forgotten, "what ended long ago was forgotten");
        }
        Ok(forgotten)
    }

    async fn forget_kind(&self, kind: Kind, until: i64, per_second_max: u32) -> Result<u64, Error> {
        let (mut after, mut forgotten) = (0, 0);
        let mut due_us = self.clock.monotonic_us();
        loop {
            let began_us = self.clock.monotonic_us();
            if !self.store.take_retention(&self.host, LEASE_MS).await? {
                return Ok(forgotten);
            }
            if matches!(kind, Kind::Notifications(_)) && self.store.is_replaying().await? {
                tracing::info!("notifications are not forgotten while a replay reads them");
                return Ok(forgotten);
            }
            let swept: Swept = match kind {
                Kind::Sessions => self.store.forget_sessions(after, until, BATCH).await?,
                Kind::Acts => self.store.forget_acts(after, until, BATCH).await?,
                Kind::Notifications(part) => self.store.forget_notifications(part, after, until, BATCH).await?,
            };
            forgotten += swept.forgotten;
            let Some(last) = swept.last else { return Ok(forgotten) };
            after = last;
            // Beside traffic: others commit in between, the longer the slower the database is. What a batch took counts, but
            // what was late is not caught up with.
            let now_us = self.clock.monotonic_us();
            let rest_us = (now_us - began_us) / 2;
            due_us = (due_us + batch_us(per_second_max)).max(now_us + rest_us);
            tokio::time::sleep(Duration::from_micros(due_us - now_us)).await;
        }
    }
}

/// What is forgotten in batches.
#[derive(Clone, Copy)]
enum Kind {
    Sessions,
    Acts,
    Notifications(Part),
}

/// How long a batch may take, in microseconds.
fn batch_us(per_second_max: u32) -> u64 {
    BATCH.unsigned_abs() * 1_000_000 / u64::from(per_second_max.max(1))
}

fn before(now: i64, days: u32) -> Option<i64> {
    (days > 0).then(|| now - i64::from(days) * DAY_MS)
}
