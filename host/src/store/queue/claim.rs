//! Claiming: the one verb that each database does in its own way.

use serde_json::json as object;

use super::{QUEUE, is_head};
use crate::notification::{Failure, HISTORY_MAX, Notification, Payload};
use crate::shop::order::Status;
use crate::store::dialect::Column::Int;
use crate::store::notifications::{ENTRY, Entry};
use crate::store::users::json;
use crate::store::{Dialect, Result, Store, Tx, with_tx};

/// An event, leased to this worker.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Shown when it is finished.
    pub claim: super::Token,
    /// The lane.
    pub order_id: i64,
    /// The place in the lane.
    pub order_version: i64,
    /// An intent of an earlier claim was found: the mail may have been delivered.
    pub in_doubt: bool,
    /// Charged so far.
    pub attempts: i64,
    /// Claims in a row that recorded no end, this one included.
    pub claims: i64,
    /// Which relay the policy asked for.
    pub relay: Option<String>,
    /// Unix milliseconds.
    pub queued_at: i64,
    /// Unix milliseconds, by the database's clock, when it was claimed.
    pub claimed_at: i64,
    /// Unix milliseconds; none before the first failure.
    pub first_failed_at: Option<i64>,
    /// Where the order stands now.
    pub newest_status: Status,
    /// The last failures, oldest first.
    pub history: Vec<Failure>,
    /// Of the mail.
    message_id: String,
    /// What it tells, as stored.
    payload: String,
    /// Why the row cannot be read.
    unreadable: Option<String>,
}

impl Claimed {
    /// What the event tells; an error when what is stored cannot be read.
    pub fn notification(&self) -> std::result::Result<Notification, String> {
        if let Some(why) = &self.unreadable {
            return Err(why.clone());
        }
        let payload: Payload =
            serde_json::from_str(&self.payload).map_err(|e| format!("the stored payload cannot be read: {e}"))?;
        Ok(Notification { id: self.claim.event, message_id: self.message_id.clone(), payload })
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    state_id: i64,
    order_id: i64,
    order_version: i64,
    epoch: i64,
    phase: i64,
    attempts: i64,
    claims: i64,
    relay: Option<String>,
    created_at: i64,
    claimed_at: i64,
    message_id: String,
    payload: String,
    status: String,
}

impl Store {
    /// Leases up to `limit` due events for `lease_ms`, oldest due first. Fewer does not mean that no more are due.
    pub async fn claim(&self, limit: i64, lease_ms: i64) -> Result<Vec<Claimed>> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let ids = match tx.dialect() {
            Dialect::Sqlite => take_in_one(&mut tx, &now, limit, lease_ms, "").await?,
            Dialect::Postgres => take_in_one(&mut tx, &now, limit, lease_ms, "for update skip locked").await?,
            Dialect::MySql => take_by_steps(&mut tx, &now, limit, lease_ms).await?,
        };
        let rows = if ids.is_empty() { Vec::new() } else { read(&mut tx, &now, &ids).await? };
        // Each claim and each end raises the epoch: at 1 there is no history.
        let tried: Vec<i64> = rows.iter().filter(|r| r.epoch > 1).map(|r| r.state_id).collect();
        let mut history = if tried.is_empty() { Vec::new() } else { read_history(&mut tx, &tried).await? };
        tx.commit().await?;
        Ok(rows.into_iter().map(|row| row.claimed(&mut history)).collect())
    }
}

/// The `with … materialized` keeps the planner from running the limited select more than once.
async fn take_in_one(tx: &mut Tx, now: &str, limit: i64, lease_ms: i64, lock: &str) -> Result<Vec<i64>> {
    let is_head = is_head(tx.dialect());
    let sql = tx.dialect().sql(&format!(
        "with c as materialized (select q.state_id from {QUEUE} q where q.due_at <= {now} and {is_head} \
         order by q.due_at, q.state_id limit $1 {lock}) \
         update {QUEUE} set due_at = {now} + $2, epoch = epoch + 1, claims = claims + 1 \
         where state_id in (select c.state_id from c) returning state_id"
    ));
    Ok(with_tx!(tx, |c| sqlx::query_scalar(sql).bind(limit).bind(lease_ms).fetch_all(c).await)?)
}

/// `MySQL` returns nothing from an update, and its locking read sees newer rows than the subquery beside it: a lane's
/// second row can look like its head, so the heads are asked for again under the locks.
async fn take_by_steps(tx: &mut Tx, now: &str, limit: i64, lease_ms: i64) -> Result<Vec<i64>> {
    let dialect = tx.dialect();
    let (is_head, by_time) = (is_head(dialect), dialect.by_index("q_due"));
    let sql = dialect.sql(&format!(
        "select q.state_id from {QUEUE} q {by_time} where q.due_at <= {now} and {is_head} \
         order by q.due_at, q.state_id limit $1 for update skip locked"
    ));
    let found: Vec<i64> = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(limit).fetch_all(c).await)?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let sql = dialect.sql(&format!(
        "select q.state_id from {} straight_join {QUEUE} q on q.state_id = x.event where {is_head}",
        dialect.rows(1, &[Int("event")])
    ));
    let heads: Vec<i64> = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(events(&found)).fetch_all(c).await)?;
    let set = format!("due_at = {now} + {lease_ms}, epoch = q.epoch + 1, claims = q.claims + 1");
    let sql = dialect.update(QUEUE, &[Int("event")], &set, "q.state_id = x.event");
    with_tx!(tx, |c| sqlx::query(sql).bind(events(&heads)).execute(c).await.map(drop))?;
    Ok(heads)
}

async fn read(tx: &mut Tx, now: &str, ids: &[i64]) -> Result<Vec<Row>> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!(
        "select q.state_id, q.order_id, q.order_version, q.epoch, q.phase, q.attempts, q.claims, q.relay, \
         q.created_at, {now} as claimed_at, s.message_id, s.payload, o.status \
         from {} {join} {QUEUE} q {join} notification_states s {join} orders o \
         where q.state_id = x.event and s.id = q.state_id and o.id = q.order_id order by q.state_id",
        dialect.rows(1, &[Int("event")]),
        join = dialect.join(),
    ));
    Ok(with_tx!(tx, |c| sqlx::query_as(sql).bind(events(ids)).fetch_all(c).await)?)
}

async fn read_history(tx: &mut Tx, state_ids: &[i64]) -> Result<Vec<Entry>> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!(
        "select {ENTRY} from {} {} notification_attempts q {} where q.state_id = x.event and q.kind = 'send' \
         and q.ended_at is not null order by q.id",
        dialect.rows(1, &[Int("event")]),
        dialect.join(),
        dialect.by_index("attempts_state"),
    ));
    Ok(with_tx!(tx, |c| sqlx::query_as(sql).bind(events(state_ids)).fetch_all(c).await)?)
}

fn events(ids: &[i64]) -> String {
    json(&ids.iter().map(|id| object!({ "event": id })).collect::<Vec<_>>())
}

impl Row {
    fn claimed(self, history: &mut Vec<Entry>) -> Claimed {
        let id = self.state_id;
        let mut failures: Vec<Failure> = history.extract_if(.., |e| e.state_id == id).filter_map(failure).collect();
        let first_failed_at = failures.first().map(|f| f.at);
        failures.drain(..failures.len().saturating_sub(HISTORY_MAX));
        // One row that cannot be read must not cost the batch its lease.
        let (newest_status, unreadable) = match Status::try_from(self.status) {
            Ok(status) => (status, None),
            Err(why) => (Status::Pending, Some(why)),
        };
        Claimed {
            claim: super::Token { event: id, token: self.epoch },
            order_id: self.order_id,
            order_version: self.order_version,
            in_doubt: self.phase > 0,
            attempts: self.attempts,
            claims: self.claims,
            relay: self.relay,
            queued_at: self.created_at,
            claimed_at: self.claimed_at,
            first_failed_at,
            newest_status,
            history: failures,
            message_id: self.message_id,
            payload: self.payload,
            unreadable,
        }
    }
}

fn failure(entry: Entry) -> Option<Failure> {
    Some(Failure {
        at: entry.ended_at?,
        class: entry.class?.try_into().ok()?,
        phase: entry.phase.unwrap_or_default(),
        code: entry.code.and_then(|c| u16::try_from(c).ok()),
        enhanced: entry.enhanced,
        reply: entry.reply.unwrap_or_default(),
        relay: entry.relay.unwrap_or_default(),
    })
}
