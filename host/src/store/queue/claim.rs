//! Claiming, and what a claim brings along.

use std::collections::HashMap;

use serde_json::json as object;

use super::due::due_by_urgency;
use super::{QUEUE, events, is_head, postgres, sqlite};
use crate::notification::{
    Failure, HISTORY_MAX, Notification, OrderStatus, Payload, QUEUED_MAX, QueuedChange, URGENCIES, Urgency,
};
use crate::shop::order::Status;
use crate::store::dialect::Column::Int;
use crate::store::endpoints::Request;
use crate::store::users::json;
use crate::store::{Db, Result, Store, Tx, with_pool, with_tx};

/// An event, leased to this worker.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Shown when it is finished.
    pub claim: super::Token,
    /// The lane.
    pub lane: i64,
    /// The place in the lane.
    pub place: i64,
    /// How soon it was to be claimed.
    pub urgency: Urgency,
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
    /// Which date its mail was given when it was first handed over, unix milliseconds; none before.
    pub dated_at: Option<i64>,
    /// Where the order stands now; none when it is about none.
    pub newest_status: Option<OrderStatus>,
    /// What is queued behind it, oldest first: at most [`QUEUED_MAX`].
    pub queued: Vec<QueuedChange>,
    /// The last failures, oldest first.
    pub history: Vec<Failure>,
    /// Of the mail.
    message_id: String,
    /// What it says, as stored.
    payload: String,
}

impl Claimed {
    /// What is sent to a webhook's endpoint; none: a mail goes out.
    pub(crate) fn request(&self) -> Option<Request> {
        Request::read(&self.payload)
    }

    /// The same with what a request tells.
    pub(crate) fn telling(&self, payload: Payload) -> Notification {
        Notification { id: self.claim.event, message_id: self.message_id.clone(), payload }
    }

    /// The same with what another's stored payload tells; an error when it cannot be read.
    pub(crate) fn telling_stored(&self, payload: &str) -> std::result::Result<Notification, String> {
        let payload = Payload::read(payload).map_err(|e| format!("the stored payload cannot be read: {e}"))?;
        Ok(self.telling(payload))
    }

    /// What the event says; an error when what is stored cannot be read.
    pub fn notification(&self) -> std::result::Result<Notification, String> {
        self.telling_stored(&self.payload)
    }
}

#[derive(sqlx_macros::FromRow)]
pub(super) struct Row {
    state_id: i64,
    lane: i64,
    place: i64,
    urgency: i64,
    epoch: i64,
    phase: i64,
    attempts: i64,
    claims: i64,
    relay: Option<String>,
    created_at: i64,
    claimed_at: i64,
    message_id: String,
    payload: String,
    status: Option<String>,
    newest_version: i64,
    /// When the last of its urgency was due that was claimed with it, unix milliseconds; for [`super::watermark`].
    last_due: i64,
}

#[derive(sqlx_macros::FromRow)]
struct QueuedRow {
    lane: i64,
    place: i64,
    kind: String,
    created_at: i64,
}

#[derive(sqlx_macros::FromRow)]
struct FailureRow {
    state_id: i64,
    class: Option<String>,
    phase: Option<String>,
    code: Option<i64>,
    enhanced: Option<String>,
    reply: Option<String>,
    relay: Option<String>,
    ended_at: i64,
    /// When the first failed of all, these included; none while the relay was only throttling.
    first_at: Option<i64>,
}

/// How often in a row an event may be claimed without a recorded end and not be suspected of ending its hosts.
pub const UNSUSPECTED_CLAIMS_MAX: i64 = 2;

/// No event is claimed so often: an epoch from here on began as a time, unix milliseconds (2001 and later).
const REQUEUED_EPOCH_MIN: i64 = 1_000_000_000_000;

/// Which events are claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimable {
    /// Whatever is due.
    All,
    /// What this claim does not bring above [`UNSUSPECTED_CLAIMS_MAX`].
    Unsuspected,
}

impl Claimed {
    /// Whether it was put back into the queue, by an operator or for a policy: its epochs go on from the time.
    pub fn is_requeued(&self) -> bool {
        self.claim.token >= REQUEUED_EPOCH_MIN
    }

    /// Whether its earlier claims may have ended their hosts.
    pub fn is_suspected(&self) -> bool {
        self.claims > UNSUSPECTED_CLAIMS_MAX
    }
}

impl Store {
    /// Leases due events for `lease_ms`: of each urgency its portion at the most, the oldest due first. Fewer does not mean that
    /// no more are due. What is leased when this fails half-way comes again when its lease has run out.
    pub async fn claim(&self, claimable: Claimable, portions: [i64; URGENCIES], lease_ms: i64) -> Result<Vec<Claimed>> {
        let now = self.dialect().now_ms(self.offset_ms());
        let mut look = self.watermark.look();
        let mut rows = self.take(claimable, &now, (portions, look.from), lease_ms).await?;
        if rows.is_empty()
            && let Some(whole) = self.watermark.again(look)
        {
            look = whole;
            rows = self.take(claimable, &now, (portions, look.from), lease_ms).await?;
        }
        self.watermark.took(look, rows.iter().map(|row| (Urgency::numbered(row.urgency).place(), row.last_due)));
        // Each claim and each end raises the epoch: at 1 there is no history.
        let tried: Vec<&Row> = rows.iter().filter(|r| r.epoch > 1).collect();
        let (mut history, dates) = if tried.is_empty() {
            (Vec::new(), HashMap::new())
        } else {
            (self.history(&tried).await?, self.dates(&tried).await?)
        };
        let mut queued = self.queued_behind(&rows).await?;
        let claimed = |row: Row| Claimed {
            dated_at: dates.get(&row.state_id).copied(),
            ..row.claimed(&mut history, &mut queued)
        };
        Ok(rows.into_iter().map(claimed).collect())
    }

    /// What is due since `from`, of each urgency.
    async fn take(
        &self,
        claimable: Claimable,
        now: &str,
        (portions, from): ([i64; URGENCIES], [i64; URGENCIES]),
        lease_ms: i64,
    ) -> Result<Vec<Row>> {
        let lease = (lease_ms, self.holder);
        match &self.db {
            Db::Sqlite { writer, .. } => sqlite::claim(writer, claimable, now, portions, lease).await,
            Db::Postgres(pg) => {
                let mut session = pg.begin().await?;
                let rows = postgres::claim(&mut session, claimable, now, (portions, from), lease).await?;
                session.commit().await?;
                Ok(rows)
            }
            Db::MySql(..) => {
                let mut tx = self.begin().await?;
                let rows = take_by_steps(&mut tx, claimable, now, (portions, from), lease).await?;
                tx.commit().await?;
                Ok(rows)
            }
        }
    }

    /// What is queued behind events whose orders have changed since.
    async fn queued_behind(&self, rows: &[Row]) -> Result<Vec<QueuedRow>> {
        let overtaken = rows.iter().filter(|row| row.newest_version > row.place);
        let row = |row: &Row| object!({ "lane": row.lane, "place": row.place });
        let lanes: Vec<_> = overtaken.map(row).collect();
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "select q.lane, q.place, s.kind, q.created_at from {} {join} {QUEUE} q {} \
             {join} notification_states s where q.lane = x.lane and q.place > x.place \
             and q.place <= x.place + {QUEUED_MAX} and s.id = q.state_id order by q.lane, q.place",
            dialect.rows(1, &[Int("lane"), Int("place")]),
            dialect.by_index(super::LANES),
            join = dialect.join(),
        ));
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).bind(json(&lanes)).fetch_all(pool).await)?)
    }

    /// When mails were dated: each event's first intent since it was queued.
    async fn dates(&self, tried: &[&Row]) -> Result<HashMap<i64, i64>> {
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "select q.state_id, min(q.dated_at) from {} {} notification_attempts q {} where q.state_id = x.event \
             and q.started_at >= x.since and q.dated_at is not null group by q.state_id",
            dialect.rows(1, &[Int("event"), Int("since")]),
            dialect.join(),
            dialect.by_index("attempts_state"),
        ));
        let rows = since(tried);
        let dates: Vec<(i64, i64)> = with_pool!(self, |pool| sqlx::query_as(sql).bind(rows).fetch_all(pool).await)?;
        Ok(dates.into_iter().collect())
    }

    /// The newest failures of each event since it was queued; the policy is shown no more.
    async fn history(&self, tried: &[&Row]) -> Result<Vec<FailureRow>> {
        let dialect = self.dialect();
        let by_state = dialect.by_index("attempts_state");
        let failed = |a: &str| {
            format!(
                "{a}.state_id = x.event and {a}.kind = 'send' and {a}.class is not null and {a}.ended_at >= x.since"
            )
        };
        let nth = |order: &str, column: &str, n: usize, of: &str| {
            let failed = failed("a") + of;
            format!(
                "(select a.{column} from notification_attempts a {by_state} where {failed} order by a.id {order} \
                 limit 1 offset {n})"
            )
        };
        let sql = dialect.sql(&format!(
            "select q.state_id, q.class, q.phase, q.code, q.enhanced, q.reply, q.relay, q.ended_at, {first} as first_at \
             from {rows} {join} notification_attempts q {by_state} where {failed} and q.id >= coalesce({oldest}, 0) \
             order by q.id",
            first = nth("asc", "ended_at", 0, " and a.class <> 'throttled'"),
            rows = dialect.rows(1, &[Int("event"), Int("since")]),
            join = dialect.join(),
            failed = failed("q"),
            oldest = nth("desc", "id", HISTORY_MAX - 1, ""),
        ));
        let rows = since(tried);
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).bind(rows).fetch_all(pool).await)?)
    }
}

/// Events, and since when they are queued.
fn since(rows: &[&Row]) -> String {
    let row = |row: &&Row| object!({ "event": row.state_id, "since": row.created_at });
    json(&rows.iter().map(row).collect::<Vec<_>>())
}

/// What a claim changes. `MySQL` takes the columns' values as the assignments before have left them.
pub(super) fn leased(now: &str, lease: &str, holder: i64) -> String {
    format!("holder = {holder} + epoch + 1, due_at = {now} + {lease}, epoch = epoch + 1, claims = claims + 1")
}

/// `MySQL` returns nothing from an update, and its locking read sees newer rows than the subquery beside it: a lane's
/// second row can look like its head, so the heads are asked for again under the locks.
async fn take_by_steps(
    tx: &mut Tx,
    claimable: Claimable,
    now: &str,
    (portions, from): ([i64; URGENCIES], [i64; URGENCIES]),
    (lease_ms, holder): (i64, i64),
) -> Result<Vec<Row>> {
    let dialect = tx.dialect();
    let is_head = is_head(dialect);
    let (mut found, mut dues): (Vec<i64>, _) = (Vec::new(), [0; URGENCIES]);
    for due in due_by_urgency(dialect, claimable, now, (|_| (1, 2), "for update skip locked"), portions) {
        let (sql, since) = (dialect.sql(&due.sql), from[due.urgency.place()]);
        let heads: Vec<(i64, i64)> =
            with_tx!(&mut *tx, |c| sqlx::query_as(sql).bind(since).bind(due.limit).fetch_all(c).await)?;
        dues[due.urgency.place()] = heads.iter().map(|(_, due_at)| *due_at).max().unwrap_or_default();
        found.extend(heads.iter().map(|(event, _)| *event));
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let sql = dialect.sql(&format!(
        "select q.state_id from {} straight_join {QUEUE} q on q.state_id = x.event where {is_head}",
        dialect.rows(1, &[Int("event")])
    ));
    let heads: Vec<i64> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(events(&found)).fetch_all(c).await)?;
    let set = leased(now, &lease_ms.to_string(), holder);
    let sql = dialect.update(QUEUE, &[Int("event")], &set, "q.state_id = x.event");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(events(&heads)).execute(c).await.map(drop))?;
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = read(tx, now, &heads).await?;
    for row in &mut rows {
        row.last_due = dues[Urgency::numbered(row.urgency).place()];
    }
    Ok(rows)
}

/// The columns of [`Row`]; `last_due`: when the last of its urgency was due that is claimed with it. A row without a payload is one that cannot be read: it must not be leased for ever.
pub(super) fn row_columns(now: &str, last_due: &str) -> String {
    format!(
        "q.state_id, q.lane, q.place, q.urgency, q.epoch, q.phase, q.attempts, q.claims, q.relay, q.created_at, \
         {now} as claimed_at, s.message_id, coalesce(p.payload, '') as payload, o.status, \
         coalesce(o.version, 0) as newest_version, {last_due} as last_due"
    )
}

async fn read(tx: &mut Tx, now: &str, ids: &[i64]) -> Result<Vec<Row>> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!(
        "select {columns} from {rows} {join} {QUEUE} q {join} notification_states s \
         left join orders o on o.id = q.lane left join notification_payloads p on p.state_id = s.id \
         where q.state_id = x.event and s.id = q.state_id order by q.state_id",
        columns = row_columns(now, "0"),
        rows = dialect.rows(1, &[Int("event")]),
        join = dialect.join(),
    ));
    Ok(with_tx!(tx, |c| sqlx::query_as(sql).bind(events(ids)).fetch_all(c).await)?)
}

impl Row {
    fn claimed(self, history: &mut Vec<FailureRow>, queued: &mut Vec<QueuedRow>) -> Claimed {
        let id = self.state_id;
        let failures: Vec<FailureRow> = history.extract_if(.., |f| f.state_id == id).collect();
        let first_failed_at = failures.first().and_then(|f| f.first_at);
        let behind = queued.extract_if(.., |q| q.lane == self.lane).map(|q| QueuedChange {
            kind: q.kind,
            version: u32::try_from(q.place).unwrap_or(u32::MAX),
            queued_at: q.created_at,
        });
        Claimed {
            claim: super::Token { event: id, token: self.epoch },
            lane: self.lane,
            place: self.place,
            urgency: Urgency::numbered(self.urgency),
            in_doubt: self.phase > 0,
            attempts: self.attempts,
            claims: self.claims,
            relay: self.relay,
            queued_at: self.created_at,
            claimed_at: self.claimed_at,
            first_failed_at,
            dated_at: None,
            newest_status: self.status.map(newest),
            queued: behind.collect(),
            history: failures.into_iter().filter_map(FailureRow::failure).collect(),
            message_id: self.message_id,
            payload: self.payload,
        }
    }
}

impl FailureRow {
    fn failure(self) -> Option<Failure> {
        Some(Failure {
            at: self.ended_at,
            class: self.class?.try_into().ok()?,
            phase: self.phase.unwrap_or_default(),
            code: self.code.and_then(|c| u16::try_from(c).ok()),
            enhanced: self.enhanced,
            reply: self.reply.unwrap_or_default(),
            relay: self.relay.unwrap_or_default(),
        })
    }
}

/// Where an order stands, as components know it; what this host does not know, by its name.
pub(crate) fn newest(status: String) -> OrderStatus {
    Status::try_from(status.clone()).map_or(OrderStatus::Other(status), OrderStatus::from)
}
