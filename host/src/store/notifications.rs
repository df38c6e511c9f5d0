//! Notifications: written with the change that they announce, kept beyond delivery.

use std::borrow::Cow;

use serde::Serialize;

use super::conditions::{Arg, Conditions};
use super::dialect::Column::{Int, Text};
use super::insert::Insert;
use super::queue::{LANES, events};
use super::users::json;
use super::{Dialect, Error, Result, Store, Tx, endpoints, with_pool, with_tx};
use crate::notification::report::{Delivery, Report, delivery};
use crate::notification::{Filter, Lane, Payload, State, Urgency};

/// Where a notification stands, and what became of each attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Notification)]
pub struct Record {
    /// The row in `notification_states`.
    pub id: i64,
    /// The order that it is about.
    pub order_id: Option<i64>,
    /// The order's version that it announces.
    pub order_version: Option<i64>,
    /// The user whom it is about, where it is about none of their orders.
    pub user_id: Option<i64>,
    /// The webhook's endpoint that is sent it; null: it is a mail.
    pub endpoint_id: Option<i64>,
    /// "order.shipped", "account.reset-password", …
    pub kind: String,
    /// Of the mail, without angle brackets; or the `webhook-id` of the request.
    pub message_id: String,
    /// Where it stands.
    pub state: State,
    /// Charged attempts.
    pub attempts: i64,
    /// Why it ended as it did.
    pub reason: String,
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// Unix milliseconds; none while it is queued.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<i64>,
    /// What became of the mail after a relay took it, as far as other servers reported it.
    pub delivery: Option<Delivery>,
    /// What they reported, oldest first.
    pub reports: Vec<Report>,
    /// Oldest first.
    pub journal: Vec<Entry>,
}

impl Record {
    /// What it is about, for people.
    pub fn about(&self) -> String {
        let subject = match (self.order_id, self.order_version, self.user_id) {
            (Some(order), Some(version), _) => format!("order {order}, version {version}"),
            (_, _, Some(user)) => format!("user {user}"),
            _ => String::new(),
        };
        match self.endpoint_id {
            None => subject,
            Some(endpoint) if subject.is_empty() => format!("endpoint {endpoint}"),
            Some(endpoint) => format!("{subject}, for endpoint {endpoint}"),
        }
    }
}

/// A row of the journal: an attempt, a decision that kept the mail back or followed from a report, or a plugin's fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx_macros::FromRow, utoipa::ToSchema)]
#[schema(as = JournalEntry)]
pub struct Entry {
    /// The notification.
    #[serde(skip)]
    pub state_id: i64,
    /// The claim that it belongs to.
    pub epoch: i64,
    /// "send", "decision" or "fault".
    pub kind: String,
    /// How far an attempt got, or which call failed; "report" of a decision about one.
    pub phase: Option<String>,
    /// "delivered", a class of failure, a fault's error code, or what a report says. None while an intent is open.
    pub class: Option<String>,
    /// The SMTP reply code, or the HTTP status.
    pub code: Option<i64>,
    /// The enhanced status code.
    pub enhanced: Option<String>,
    /// The reply's or the fault's text.
    pub reply: Option<String>,
    /// Which relay.
    pub relay: Option<String>,
    /// What the policy decided.
    pub verdict: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// How long it asked to wait, in milliseconds.
    pub delay_ms: Option<i64>,
    /// SHA-256 of the component that wrote the mail.
    pub renderer_digest: Option<String>,
    /// Its revision in the host.
    pub renderer_revision: Option<i64>,
    /// SHA-256 of the component that decided.
    pub policy_digest: Option<String>,
    /// Its revision in the host.
    pub policy_revision: Option<i64>,
    /// What chance was drawn from.
    pub seed: Option<i64>,
    /// Which variant of the mail the policy chose.
    pub ab_variant: Option<String>,
    /// What the policy saw, as JSON.
    #[serde(skip)]
    pub situation: Option<String>,
    /// SHA-256 of the message's bytes.
    pub message_hash: Option<String>,
    /// How many times in a row the same was decided.
    pub repeats: i64,
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub started_at: i64,
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<i64>,
}

/// The columns of [`Entry`].
const ENTRY: &str = "q.state_id, q.epoch, q.kind, q.phase, q.class, q.code, q.enhanced, q.reply, q.relay, \
    q.verdict, q.reason, q.delay_ms, q.renderer_digest, q.renderer_revision, q.policy_digest, q.policy_revision, \
    q.seed, q.ab_variant, q.situation, q.message_hash, q.repeats, q.started_at, q.ended_at";

#[derive(sqlx_macros::FromRow)]
struct Row {
    id: i64,
    lane: i64,
    place: i64,
    kind: String,
    message_id: String,
    state: String,
    attempts: i64,
    reason: String,
    created_at: i64,
    completed_at: Option<i64>,
}

pub(super) const PAYLOADS: &str = "notification_payloads";

/// A notification that is to be written.
pub(crate) struct NewEvent {
    /// Behind which others it waits.
    pub(crate) lane: Lane,
    /// Its place among them: of an order, the order's version.
    pub(crate) place: i64,
    /// Why it is not to be sent: it is recorded as skipped then.
    pub(crate) silent: Option<String>,
    /// Of the mail, without angle brackets.
    pub(crate) message_id: String,
    /// What it says.
    pub(crate) payload: Payload,
}

/// A row to be written: a mail, or a request to an endpoint.
pub(super) struct NewRow<'a> {
    pub(super) lane: Lane,
    pub(super) place: i64,
    pub(super) silent: Option<&'a str>,
    pub(super) message_id: Cow<'a, str>,
    pub(super) kind: &'a str,
    /// What it says, as it is stored.
    pub(super) payload: String,
}

impl NewEvent {
    fn row(&self) -> NewRow<'_> {
        NewRow {
            lane: self.lane,
            place: self.place,
            silent: self.silent.as_deref(),
            message_id: Cow::Borrowed(self.message_id.as_str()),
            kind: &self.payload.kind,
            payload: json(&self.payload),
        }
    }
}

/// Writes the notifications and puts them into the queue, in the transaction of the changes; their numbers. With each that is
/// of an order goes one to each endpoint that hears of it, if there is one at all (`Store::is_heard`).
pub(super) async fn enqueue(tx: &mut Tx, events: &[NewEvent], is_heard: bool, offset_ms: i64) -> Result<Vec<i64>> {
    let ids = write(tx, &events.iter().map(NewEvent::row).collect::<Vec<_>>(), offset_ms).await?;
    let requests = if is_heard { endpoints::requests(tx, events, &ids).await? } else { Vec::new() };
    if !requests.is_empty() {
        write(tx, &requests, offset_ms).await?;
    }
    Ok(ids)
}

/// Writes rows and puts those into the queue that are not silent; their numbers.
pub(super) async fn write(tx: &mut Tx, events: &[NewRow<'_>], offset_ms: i64) -> Result<Vec<i64>> {
    let dialect = tx.dialect();
    let now = dialect.now_ms(offset_ms);
    let columns = [Int("lane"), Int("place"), Text("message_id"), Text("kind")];
    let fixed = [("state", "'not sent'"), ("attempts", "0"), ("reason", "''"), ("created_at", now.as_str())];
    let row = |e: &NewRow<'_>| {
        serde_json::json!({
            "lane": i64::from(e.lane), "place": e.place, "message_id": e.message_id, "kind": e.kind,
        })
    };
    let insert = Insert { table: "notification_states", columns: &columns, fixed: &fixed };
    let ids = insert.ids(tx, &events.iter().map(row).collect::<Vec<_>>()).await?;
    let row = |(id, e): (i64, &NewRow<'_>)| serde_json::json!({ "state_id": id, "payload": e.payload });
    let insert = Insert { table: PAYLOADS, columns: &[Int("state_id"), Text("payload")], fixed: &[] };
    insert.rows(tx, &ids.iter().copied().zip(events).map(row).collect::<Vec<_>>()).await?;
    let loud: Vec<&NewRow<'_>> = events.iter().filter(|e| e.silent.is_none()).collect();
    if loud.len() < events.len() {
        skip(tx, &ids, events, &now).await?;
    }
    if loud.is_empty() {
        return Ok(ids);
    }
    let row = |e: &&NewRow<'_>| {
        let urgency = Urgency::of(e.lane, e.kind).number();
        serde_json::json!({ "in_lane": i64::from(e.lane), "step": e.place, "urgent": urgency })
    };
    let rows = json(&loud.iter().map(row).collect::<Vec<_>>());
    let lanes_are_new = loud.iter().all(|e| e.place == 1);
    if !lanes_are_new {
        keep_lanes(tx, &rows).await?;
    }
    // A lane whose head backs off or is leased makes its next event wait with it.
    let behind = format!(
        "coalesce((select max(l.due_at) from notification_events_queue l where l.lane = s.lane \
         and l.due_at > {now}), {now})"
    );
    let due = if lanes_are_new { &now } else { &behind };
    let sql = dialect.sql(&format!(
        "insert into notification_events_queue (state_id, lane, place, urgency, due_at, epoch, phase, attempts, \
         claims, created_at) select s.id, s.lane, s.place, x.urgent, {due}, 0, 0, 0, 0, {now} \
         from {rows} {join} notification_states s {join} {PAYLOADS} p \
         where s.lane = x.in_lane and s.place = x.step and p.state_id = s.id",
        rows = dialect.rows(1, &[Int("in_lane"), Int("step"), Int("urgent")]),
        join = dialect.join(),
    ));
    let queued = with_tx!(tx, |c| sqlx::query(sql).bind(rows).execute(c).await.map(|done| done.rows_affected()))?;
    if usize::try_from(queued) == Ok(loud.len()) {
        return Ok(ids);
    }
    // A cluster of `MySQL` that changed its steps counts ids otherwise than we do.
    let why = "the database made other ids than were expected".to_owned();
    Err(Error::Corrupt { what: "notification", id: ids.first().copied().unwrap_or_default(), why })
}

/// Records those that are not to be sent as skipped.
async fn skip(tx: &mut Tx, ids: &[i64], events: &[NewRow<'_>], now: &str) -> Result<()> {
    let silent = ids.iter().zip(events).filter_map(|(id, e)| Some((id, e.silent?)));
    let rows: Vec<_> = silent.map(|(id, why)| serde_json::json!({ "event": id, "why": why })).collect();
    let set = format!("state = 'skipped', reason = x.why, completed_at = {now}");
    let columns = [Int("event"), Text("why")];
    let sql = tx.dialect().update("notification_states", &columns, &set, "q.id = x.event");
    with_tx!(tx, |c| sqlx::query(sql).bind(json(&rows)).execute(c).await.map(drop))?;
    Ok(())
}

/// Makes transactions that end queued events of these lanes wait for this one, or this one for them. Without it both could
/// commit and not see each other: the end makes nothing due, and what is added waits for a lease that is over.
async fn keep_lanes(tx: &mut Tx, lanes: &str) -> Result<()> {
    let dialect = tx.dialect();
    if dialect == Dialect::Sqlite {
        return Ok(());
    }
    let sql = dialect.sql(&format!(
        "select q.state_id from {} {} notification_events_queue q {} where q.lane = x.in_lane order by q.state_id {}",
        dialect.rows(1, &[Int("in_lane")]),
        dialect.join(),
        dialect.by_index(LANES),
        dialect.share(),
    ));
    with_tx!(tx, |c| sqlx::query(sql).bind(lanes).execute(c).await.map(drop))?;
    Ok(())
}

const RECORDS: &str = "select s.id, s.lane, s.place, s.kind, s.message_id, s.state, \
    coalesce(q.attempts, s.attempts) as attempts, s.reason, s.created_at, s.completed_at \
    from notification_states s left join notification_events_queue q on q.state_id = s.id";

/// The same of what is queued; the queue is what is read first.
fn queued(dialect: Dialect) -> String {
    format!(
        "select s.id, s.lane, s.place, s.kind, s.message_id, s.state, q.attempts, s.reason, s.created_at, \
         s.completed_at from notification_events_queue q {} notification_states s",
        dialect.join()
    )
}

impl Store {
    /// The notifications of an order, by version, with their journals.
    pub(crate) async fn notifications_of(&self, order_id: i64) -> Result<Vec<Record>> {
        let mut query = Conditions::default();
        query.and("s.lane = ?", Arg::Int(Lane::Order(order_id).into()));
        let rows = query.fetch(self, RECORDS, "s.place", i64::MAX).await?;
        self.with_journals(rows).await
    }

    /// One notification, with its journal.
    pub(crate) async fn notification(&self, id: i64) -> Result<Option<Record>> {
        let mut query = Conditions::default();
        query.and("s.id = ?", Arg::Int(id));
        let rows = query.fetch(self, RECORDS, "s.id", 1).await?;
        Ok(self.with_journals(rows).await?.pop())
    }

    /// Notifications that pass the filter, behind the one with the id `after`.
    pub(crate) async fn notifications(&self, filter: &Filter, after: Option<i64>, limit: i64) -> Result<Vec<Record>> {
        let mut query = Conditions::default();
        // What is queued is found by the queue, and what needs an operator by an index of its own.
        let (records, key) = match filter.state {
            Some(State::NotSent) => (queued(self.dialect()), "q.state_id"),
            _ => (RECORDS.to_owned(), "s.id"),
        };
        let order = query.behind(None, key, filter.newest_first, after.map(|id| (None, id)).as_ref());
        query.matching(self.dialect(), filter, after);
        let rows = query.fetch(self, &records, &order, limit).await?;
        self.with_journals(rows).await
    }

    /// How many failed, and how many are held; of each at most `most`.
    pub(crate) async fn troubled(&self, most: i64) -> Result<(i64, i64)> {
        let count = |state: State| {
            format!(
                "(select count(*) from (select 1 from notification_states s where {} limit {most}) x)",
                self.dialect().stands(state)
            )
        };
        let sql = format!("select {}, {}", count(State::Failed), count(State::Held));
        let sql = self.dialect().sql(&sql);
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).fetch_one(pool).await)?)
    }

    async fn with_journals(&self, rows: Vec<Row>) -> Result<Vec<Record>> {
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "select {ENTRY} from {} {} notification_attempts q where q.state_id = x.event order by q.id",
            dialect.rows(1, &[Int("event")]),
            dialect.join(),
        ));
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let rows_of = events(&ids);
        let mut journal: Vec<Entry> = with_pool!(self, |pool| sqlx::query_as(sql).bind(rows_of).fetch_all(pool).await)?;
        let mut reports = self.reports_of(&ids).await?;
        rows.into_iter()
            .map(|row| {
                let Row { id, lane, place, kind, message_id, state, attempts, reason, .. } = row;
                let lane = Lane::from(lane);
                let state = state.try_into().map_err(|why| Error::Corrupt { what: "notification", id, why })?;
                let journal = journal.extract_if(.., |e| e.state_id == id).collect();
                let reports: Vec<Report> =
                    reports.extract_if(.., |(of, _)| *of == id).map(|(_, report)| report).collect();
                let Row { created_at, completed_at, .. } = row;
                Ok(Record {
                    id,
                    order_id: lane.order(),
                    order_version: lane.order().map(|_| place),
                    user_id: lane.user(),
                    endpoint_id: lane.endpoint(),
                    kind,
                    message_id,
                    state,
                    attempts,
                    reason,
                    created_at,
                    completed_at,
                    delivery: delivery(&reports),
                    reports,
                    journal,
                })
            })
            .collect()
    }
}
