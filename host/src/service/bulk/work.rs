//! How a bulk operation is worked through: batch after batch, by one host at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{NotificationAct, SILENT_MS_MAX, parse};
use crate::notification::Filter;
use crate::service::notifications::{CANCEL, HOLD, by};
use crate::service::once::tried;
use crate::service::{Error, Service};
use crate::store::bulk::{BulkRow, Matching, Reached};

/// Notifications that are acted on before it is written down how far the operation is.
const BATCH: i64 = 100;
/// Orders whose notifications are acted on at one time.
const ORDERS_MAX: usize = 4;
/// How often a host looks for an operation that no host works on.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a batch that failed is waited with, and how many may fail one after the other.
const PAUSE: Duration = Duration::from_secs(3);
const FAILURES_MAX: u32 = 20;
/// Different reasons that are counted each for itself.
const REASONS_MAX: usize = 20;

/// An operation that this host works on.
struct Work {
    row: BulkRow,
    act: NotificationAct,
    filter: Filter,
    reason: String,
    refusals: BTreeMap<String, u64>,
    /// Of the batch that is under way: they are not asked again when the rest of it is.
    were_refused: BTreeSet<i64>,
}

impl Work {
    fn refuse(&mut self, id: i64, e: &Error) {
        self.were_refused.insert(id);
        self.row.refused += 1;
        let reason = e.to_string();
        let is_one_more = !self.refusals.contains_key(&reason) && self.refusals.len() >= REASONS_MAX;
        *self.refusals.entry(if is_one_more { "other reasons".to_owned() } else { reason }).or_default() += 1;
    }
}

impl Service {
    /// Works on operations until the host stops; then lets go of the one that is under way.
    pub async fn watch_bulk(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.bulk.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                worked = self.work_on_bulk() => if let Err(e) = worked {
                    tracing::warn!(error = %e, "bulk operations could not be looked for; trying again");
                }
            }
        }
        if let Err(e) = self.store.release_bulk(&self.host).await {
            tracing::warn!(error = %e, "a bulk operation could not be let go of; another host goes on with it in a while");
        }
    }

    /// Works on an operation that no host works on, to its end; says whether there was one.
    pub async fn work_on_bulk(&self) -> Result<bool, Error> {
        let Some(row) = self.store.take_bulk(SILENT_MS_MAX, &self.host).await? else { return Ok(false) };
        let id = row.id;
        tracing::info!(operation = id, act = row.act, matched = row.matched, "an operator acts on all that match");
        let (state, detail) = match self.work_through(row).await {
            Ok(true) => ("succeeded", None),
            // Not this host's any more, unless it was cancelled.
            Ok(false) => ("cancelled", None),
            Err(e) => ("failed", Some(crate::cause::chain(&e))),
        };
        self.store.end_bulk(id, state, detail.as_deref(), &self.host).await?;
        tracing::info!(operation = id, state, "a bulk operation has ended");
        Ok(true)
    }

    /// Batch after batch; false when it is to stop before its end.
    async fn work_through(&self, row: BulkRow) -> Result<bool, Error> {
        let (act, filter, refusals) = parse(&row)?;
        let reason = by(&format!("{}, operation {}", row.created_by, row.id), &row.why);
        let mut work = Work { row, act, filter, reason, refusals, were_refused: BTreeSet::new() };
        let mut failures = 0;
        loop {
            let before = work.row.done;
            match self.batch(&mut work).await {
                Ok(None) => failures = 0,
                Ok(Some(is_done)) => return Ok(is_done),
                Err(e) if failures == FAILURES_MAX && work.row.done == before => return Err(e),
                Err(e) => {
                    failures = if work.row.done == before { failures + 1 } else { 0 };
                    tracing::warn!(error = %e, operation = work.row.id, "a batch failed; trying it again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// One batch; says whether all are done once nothing is left to do.
    async fn batch(&self, work: &mut Work) -> Result<Option<bool>, Error> {
        let refusals = serde_json::to_string(&work.refusals).unwrap_or_default();
        let BulkRow { id, reached_id, last_id, done, refused, .. } = work.row;
        let reached = Reached { id: reached_id, done, refused, refusals: &refusals };
        if !self.store.note_bulk(id, &reached, &self.host).await? {
            return Ok(Some(false));
        }
        let found = self.store.matching(&work.filter, reached_id, last_id, BATCH).await?;
        let Some(last) = found.last().map(|found| found.id) else { return Ok(Some(true)) };
        // Of one order one after the other, as they happened: else a newer one could be sent before it.
        let mut orders: BTreeMap<i64, Vec<Matching>> = BTreeMap::new();
        for found in found.into_iter().filter(|found| !work.were_refused.contains(&found.id)) {
            orders.entry(found.order_id).or_default().push(found);
        }
        let this = &*work;
        let ended: Vec<_> = futures_util::stream::iter(orders.into_values().map(|mut of_order| {
            of_order.sort_unstable_by_key(|found| found.order_version);
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
                Err(e @ (Error::Conflict(_) | Error::NotFound(_))) => work.refuse(id, &e),
                Err(e) => failed = Some(e),
            }
        }
        if let Some(e) = failed {
            return Err(e);
        }
        work.row.reached_id = last;
        work.were_refused.clear();
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
            let is_ours = matches!(done, Ok(()) | Err(Error::Conflict(_) | Error::NotFound(_)));
            ended.push((id, done));
            if !is_ours {
                break;
            }
        }
        ended
    }
}
