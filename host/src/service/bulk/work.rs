//! How a bulk operation is worked through: batch after batch, by one host at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{NotificationAct, parse};
use crate::notification::Filter;
use crate::service::notifications::{CANCEL, HOLD, by};
use crate::service::once::tried;
use crate::service::operations::SILENT_MS_MAX;
use crate::service::{Error, Service, woken};
use crate::store::bulk::{BulkRow, Matching, Reached};

/// Notifications that are acted on before it is written down how far the operation is.
const BATCH: i64 = 100;
/// Orders whose notifications are acted on at one time.
const ORDERS_MAX: usize = 4;
/// How often a host looks for an operation that no host works on.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a batch that failed is waited with.
const PAUSE: Duration = Duration::from_secs(3);
/// Different reasons that are counted each for itself.
const REASONS_MAX: usize = 20;

/// How often a host writes down that it is at work, and looks whether it still is to be.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// An operation that this host works on.
struct Work {
    row: BulkRow,
    act: NotificationAct,
    filter: Filter,
    reason: String,
    refusals: BTreeMap<String, u64>,
    /// Of the batch that is under way: they are not asked again when the rest of it is.
    seen: BTreeSet<i64>,
}

/// Why a host does not go on with an operation.
enum End {
    Done,
    /// It was cancelled, or is another host's.
    NotOurs,
    /// This host stops.
    Stopped,
    /// More match than the operator wanted.
    TooMany,
}

impl Work {
    fn refuse(&mut self, e: &Error) {
        self.row.refused += 1;
        let reason = e.to_string();
        let is_one_more = !self.refusals.contains_key(&reason) && self.refusals.len() >= REASONS_MAX;
        *self.refusals.entry(if is_one_more { "other reasons".to_owned() } else { reason }).or_default() += 1;
    }

    /// So many may still be acted on.
    fn room(&self) -> i64 {
        self.row.matches_max.map_or(BATCH, |most| (most - self.row.done - self.row.refused).clamp(0, BATCH))
    }
}

/// Whether the notification is what is wrong, and not the database: the others can go on.
fn is_of_one(e: &Error) -> bool {
    matches!(e, Error::Conflict(_) | Error::NotFound(_) | Error::Internal(_))
}

impl Service {
    /// Works on operations until the host stops; then lets go of the one that is under way.
    pub async fn watch_bulk(self: Arc<Self>, stop: CancellationToken) {
        while woken(&self.bulk, LOOK_EVERY, &stop).await {
            if let Err(e) = self.work_on_bulk(None, &stop).await {
                tracing::warn!(error = %e, "bulk operations could not be looked for; trying again");
            }
        }
    }

    /// Works on an operation that no host works on (which, if it is said), until it has ended or this host stops; then
    /// another goes on with it. Says whether there was one.
    pub async fn work_on_bulk(&self, which: Option<i64>, stop: &CancellationToken) -> Result<bool, Error> {
        let Some(row) = self.store.take_bulk(which, SILENT_MS_MAX, &self.host).await? else { return Ok(false) };
        let id = row.id;
        tracing::info!(
            operation.id = id,
            operation.act = row.act,
            operation.matched = row.matched,
            "an operator acts on all that match"
        );
        let (state, detail) = match self.work_through(row, stop).await {
            Ok(End::Done) => ("succeeded", None),
            Ok(End::NotOurs) => ("cancelled", None),
            Ok(End::TooMany) => ("failed", Some("more match than were expected; the rest stays as it is".to_owned())),
            Ok(End::Stopped) => {
                self.release_bulk().await?;
                return Ok(true);
            }
            Err(e) => {
                tracing::error!(error = %crate::cause::chain(&e), operation.id = id, "a bulk operation cannot be worked on");
                ("failed", Some(e.to_string()))
            }
        };
        if self.store.end_bulk(id, state, detail.as_deref(), &self.host).await? {
            tracing::info!(operation.id = id, operation.state = state, "a bulk operation has ended");
        }
        Ok(true)
    }

    /// Lets go of the operation that is under way here: another goes on with it at once.
    pub async fn release_bulk(&self) -> Result<(), Error> {
        Ok(self.store.release_bulk(&self.host).await?)
    }

    async fn work_through(&self, row: BulkRow, stop: &CancellationToken) -> Result<End, Error> {
        let (act, filter, refusals) = parse(&row)?;
        let reason = by(&format!("{}, operation {}", row.created_by, row.id), &row.why);
        let id = row.id;
        let mut work = Work { row, act, filter, reason, refusals, seen: BTreeSet::new() };
        let mut is_failing = false;
        loop {
            let ended = tokio::select! {
                ended = self.batch(&mut work) => ended,
                () = self.not_ours(id) => return Ok(End::NotOurs),
            };
            match ended {
                Ok(Some(end)) => return Ok(end),
                Ok(None) => is_failing = false,
                // As long as the database is away.
                Err(e) => {
                    if !is_failing {
                        tracing::warn!(error = %e, operation.id = id, "a batch failed; trying it again");
                    }
                    is_failing = true;
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
            }
            if stop.is_cancelled() {
                // What was done is written down first.
                let is_ours = self.note(&work).await.unwrap_or(true);
                return Ok(if is_ours { End::Stopped } else { End::NotOurs });
            }
        }
    }

    /// Resolves when this host is to stop working on it.
    async fn not_ours(&self, id: i64) {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            match self.store.touch_bulk(id, &self.host).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(e) => {
                    tracing::debug!(error = %e, operation.id = id, "it could not be written down that it is worked on");
                }
            }
        }
    }

    /// Writes down how far it is; false when it is not to go on.
    async fn note(&self, work: &Work) -> Result<bool, Error> {
        let refusals = serde_json::to_string(&work.refusals).unwrap_or_default();
        let BulkRow { id, reached_id, done, refused, .. } = work.row;
        Ok(self
            .store
            .note_bulk(id, &Reached { id: reached_id, done, refused, refusals: &refusals }, &self.host)
            .await?)
    }

    /// One batch; none while there may be more.
    async fn batch(&self, work: &mut Work) -> Result<Option<End>, Error> {
        if !self.note(work).await? {
            return Ok(Some(End::NotOurs));
        }
        // What is taken out of the queue goes from the newest on: else the end of one would make the next one due, which
        // may be sent before its turn comes.
        let descends = work.act != NotificationAct::Retry;
        let BulkRow { reached_id, last_id, .. } = work.row;
        let (room, range) = (work.room(), (reached_id, last_id));
        let found = self.store.matching(&work.filter, range, descends, room.max(1)).await?;
        let Some(last) = found.last().map(|found| found.id) else { return Ok(Some(End::Done)) };
        if room == 0 {
            return Ok(Some(End::TooMany));
        }
        // Of one order one after the other: else a newer one could be sent before it.
        let mut orders: BTreeMap<i64, Vec<Matching>> = BTreeMap::new();
        for found in found.into_iter().filter(|found| !work.seen.contains(&found.id)) {
            orders.entry(found.lane).or_default().push(found);
        }
        let this = &*work;
        let ended: Vec<_> = futures_util::stream::iter(orders.into_values().map(|mut of_order| {
            of_order.sort_unstable_by_key(|found| found.place);
            if descends {
                of_order.reverse();
            }
            self.act_on(this, of_order)
        }))
        .buffer_unordered(ORDERS_MAX)
        .collect()
        .await;
        self.enqueued();
        let mut failed = None;
        for (id, ended) in ended.into_iter().flatten() {
            match ended {
                Ok(()) => work.row.done += 1,
                Err(e) if is_of_one(&e) => {
                    if let Error::Internal(e) = &e {
                        tracing::error!(error = %crate::cause::chain(e), notification.id = id, "it could not be acted on");
                    }
                    work.refuse(&e);
                }
                Err(e) => {
                    failed = Some(e);
                    continue;
                }
            }
            work.seen.insert(id);
        }
        if let Some(e) = failed {
            return Err(e);
        }
        work.row.reached_id = last;
        work.seen.clear();
        Ok(None)
    }

    async fn act_on(&self, work: &Work, notifications: Vec<Matching>) -> Vec<(i64, Result<(), Error>)> {
        let mut ended = Vec::new();
        for Matching { id, .. } in notifications {
            let act = async || match work.act {
                NotificationAct::Retry => self.try_retry(id, work.row.allow_late != 0, &work.reason).await,
                NotificationAct::Cancel => self.try_end(id, CANCEL, &work.reason).await,
                NotificationAct::Hold => self.try_end(id, HOLD, &work.reason).await,
            };
            let done = tried(act).await;
            let is_away = done.as_ref().is_err_and(|e| !is_of_one(e));
            ended.push((id, done));
            if is_away {
                break;
            }
        }
        ended
    }
}
