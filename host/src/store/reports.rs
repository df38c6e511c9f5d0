//! What other servers said of mails after a relay took them.

use super::dialect::Column::Int;
use super::queue::{LANES, events, newest};
use super::stored::{FAILURE, FailureRow};
use super::{Dialect, Error, Result, Store, Tx, with_pool, with_tx};
use crate::notification::report::{REPORTS_MAX, Report, ReportKind};
use crate::notification::{
    Failure, HISTORY_MAX, Lane, MAIL_LANES_FROM, Notification, OrderStatus, Payload, QUEUED_MAX, QueuedChange, State,
};

#[derive(sqlx_macros::FromRow)]
struct Row {
    id: i64,
    state_id: i64,
    kind: String,
    enhanced: Option<String>,
    words: String,
    reporter: String,
    received_at: i64,
    is_past: i64,
}

impl Store {
    /// The reports of mails, by notification, in the order in which they arrived.
    pub(super) async fn reports_of(&self, mails: &[i64]) -> Result<Vec<(i64, Report)>> {
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "select q.id, q.state_id, q.kind, q.enhanced, q.words, q.reporter, q.received_at, q.is_past \
             from {} {} notification_reports q where q.state_id = x.event order by q.id",
            dialect.rows(1, &[Int("event")]),
            dialect.join(),
        ));
        let rows: Vec<Row> = with_pool!(self, |pool| sqlx::query_as(sql).bind(events(mails)).fetch_all(pool).await)?;
        let report = |row: Row| {
            let Row { id, state_id, kind, enhanced, words, reporter, received_at, is_past } = row;
            let kind = ReportKind::try_from(kind).map_err(|why| Error::Corrupt { what: "report", id, why })?;
            Ok((state_id, Report { kind, enhanced, words, reporter, received_at, is_past: is_past != 0 }))
        };
        rows.into_iter().map(report).collect()
    }

    /// The notification whose mail has a Message-ID, without angle brackets.
    pub(crate) async fn notification_of(&self, message_id: &str) -> Result<Option<i64>> {
        let sql = self.dialect().sql("select id from notification_states where message_id = $1");
        Ok(with_pool!(self, |pool| sqlx::query_scalar(sql).bind(message_id).fetch_optional(pool).await)?)
    }
}

/// A mail that was handed over, as a policy is told of it when it is reported on.
pub(crate) struct HandedOver {
    pub(crate) notification: Notification,
    pub(crate) attempts: i64,
    pub(crate) queued_at: i64,
    pub(crate) first_failed_at: Option<i64>,
    /// The last failures, oldest first.
    pub(crate) history: Vec<Failure>,
    /// To which relay it was handed over last, and when.
    pub(crate) sent: Option<(String, i64)>,
    pub(crate) newest_status: Option<OrderStatus>,
    /// What is queued behind it, oldest first.
    pub(crate) queued: Vec<QueuedChange>,
}

#[derive(sqlx_macros::FromRow)]
struct HandedOverRow {
    lane: i64,
    place: i64,
    message_id: String,
    attempts: i64,
    created_at: i64,
    payload: String,
    status: Option<String>,
    first_failed_at: Option<i64>,
}

impl Store {
    /// Whether a report of a mail is news: not known by its digest, and one that is kept.
    pub(crate) async fn is_news(&self, mail: i64, digest: &str) -> Result<bool> {
        let sql = self.dialect().sql("select digest from notification_reports where state_id = $1");
        let known: Vec<String> = with_pool!(self, |pool| sqlx::query_scalar(sql).bind(mail).fetch_all(pool).await)?;
        Ok(known.len() < REPORTS_MAX && known.iter().all(|known| known != digest))
    }

    /// A mail with what became of it; none once what it said is forgotten.
    pub(crate) async fn handed_over(&self, mail: i64) -> Result<Option<HandedOver>> {
        let (dialect, by_state) = (self.dialect(), self.dialect().by_index("attempts_state"));
        let sql = dialect.sql(&format!(
            "select s.lane, s.place, s.message_id, s.attempts, s.created_at, p.payload, o.status, \
             (select min(a.ended_at) from notification_attempts a {by_state} where a.state_id = s.id \
             and a.kind = 'send' and a.class not in ('delivered', 'throttled')) as first_failed_at \
             from notification_states s join notification_payloads p on p.state_id = s.id \
             left join orders o on o.id = s.lane where s.id = $1",
        ));
        let row: Option<HandedOverRow> =
            with_pool!(self, |pool| sqlx::query_as(sql).bind(mail).fetch_optional(pool).await)?;
        let Some(row) = row else { return Ok(None) };
        let sql = self.dialect().sql(&format!(
            "select {FAILURE} from notification_attempts {by_state} where state_id = $1 and kind = 'send' \
             and class <> 'delivered' order by id desc limit {HISTORY_MAX}"
        ));
        let failures: Vec<FailureRow> = with_pool!(self, |pool| sqlx::query_as(sql).bind(mail).fetch_all(pool).await)?;
        let sql = dialect.sql(&format!(
            "select relay, started_at from notification_attempts {by_state} where state_id = $1 and kind = 'send' \
             and relay is not null and coalesce(class, 'in-doubt') in ('delivered', 'in-doubt') order by id desc limit 1"
        ));
        let sent = with_pool!(self, |pool| sqlx::query_as(sql).bind(mail).fetch_optional(pool).await)?;
        let sql = dialect.sql(&format!(
            "select s.kind, q.place, q.created_at from notification_events_queue q {} \
             join notification_states s on s.id = q.state_id where q.lane = $1 and q.place > $2 \
             order by q.place limit {QUEUED_MAX}",
            dialect.by_index(LANES),
        ));
        // What is queued behind it is told of orders alone.
        let queued: Vec<(String, i64, i64)> = if Lane::from(row.lane).order().is_some() {
            with_pool!(self, |pool| sqlx::query_as(sql).bind(row.lane).bind(row.place).fetch_all(pool).await)?
        } else {
            Vec::new()
        };
        let HandedOverRow { message_id, attempts, created_at, payload, status, first_failed_at, .. } = row;
        let change = |(kind, place, queued_at)| {
            let version = u32::try_from(place).unwrap_or(u32::MAX);
            QueuedChange { kind, version, queued_at }
        };
        Ok(Some(HandedOver {
            notification: Notification { id: mail, message_id, payload: read(mail, &payload)? },
            attempts,
            queued_at: created_at,
            first_failed_at,
            history: failures.into_iter().rev().filter_map(FailureRow::failure).map(|(_, f)| f).collect(),
            sent,
            newest_status: status.map(newest),
            queued: queued.into_iter().map(change).collect(),
        }))
    }
}

/// What became of the newest mails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fates {
    /// Mails that a relay took.
    pub(crate) sent: i64,
    /// Of them, those that came back for good.
    pub(crate) bounced: i64,
    /// Of them, those that somebody called unwanted.
    pub(crate) complained: i64,
}

impl Store {
    /// Of those of the newest `notifications_max` notifications whose mail was sent.
    pub(crate) async fn fates(&self, notifications_max: i64) -> Result<Fates> {
        let newest = "id > coalesce((select max(id) from notification_states), 0) - $1";
        // One that came back may have been held since, or be about to go out once more.
        let sent = format!(
            "select count(*) from notification_states s where lane >= {MAIL_LANES_FROM} and {newest} and (state = 'sent' \
             or exists (select 1 from notification_reports r where r.state_id = s.id))"
        );
        let of = |kind: ReportKind| {
            format!(
                "select count(distinct state_id) from notification_reports where kind = '{}' and state_{newest}",
                kind.as_str()
            )
        };
        let count = async |sql: String| -> Result<i64> {
            let sql = self.dialect().sql(&sql);
            Ok(with_pool!(self, |pool| sqlx::query_scalar(sql).bind(notifications_max).fetch_one(pool).await)?)
        };
        Ok(Fates {
            sent: count(sent).await?,
            bounced: count(of(ReportKind::Bounced)).await?,
            complained: count(of(ReportKind::Complained)).await?,
        })
    }
}

/// What is reported of a mail already.
pub(crate) struct Known {
    /// How many reports are kept.
    pub(crate) count: usize,
    /// What they say of its newest sending.
    pub(crate) kinds: Vec<String>,
    /// It waits to be sent once more: what is reported now is about an earlier sending.
    pub(crate) is_past: bool,
}

/// None where there is no such notification, which stays while the transaction lasts.
pub(crate) async fn known(tx: &mut Tx, mail: i64) -> Result<Option<Known>> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!("select q.state from notification_states q where q.id = $1 {}", dialect.share()));
    let state: Option<String> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(mail).fetch_optional(c).await)?;
    let Some(state) = state else { return Ok(None) };
    let is_past = if state == State::NotSent.as_str() {
        let sql = dialect.sql("select phase from notification_events_queue where state_id = $1");
        let phase: Option<i64> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(mail).fetch_optional(c).await)?;
        phase == Some(0)
    } else {
        false
    };
    let sql = dialect.sql("select kind, is_past from notification_reports where state_id = $1");
    let all: Vec<(String, i64)> = with_tx!(tx, |c| sqlx::query_as(sql).bind(mail).fetch_all(c).await)?;
    let count = all.len();
    let kinds = all.into_iter().filter(|(_, is_past)| *is_past == 0).map(|(kind, _)| kind).collect();
    Ok(Some(Known { count, kinds, is_past }))
}

/// Writes a report down; false when it was already.
pub(crate) async fn insert(tx: &mut Tx, mail: i64, digest: &str, report: &Report) -> Result<bool> {
    let Report { kind, enhanced, words, reporter, received_at, is_past } = report;
    let dialect = tx.dialect();
    let (ignore, done) = match dialect {
        Dialect::Sqlite | Dialect::Postgres => ("", "on conflict (state_id, digest) do nothing"),
        Dialect::MySql => ("ignore", ""),
    };
    let sql = dialect.sql(&format!(
        "insert {ignore} into notification_reports (state_id, digest, kind, enhanced, words, reporter, received_at, is_past) \
         values ($1, $2, $3, $4, $5, $6, $7, $8) {done}"
    ));
    let written = with_tx!(tx, |c| sqlx::query(sql)
        .bind(mail)
        .bind(digest)
        .bind(kind.as_str())
        .bind(enhanced)
        .bind(words)
        .bind(reporter)
        .bind(received_at)
        .bind(i64::from(*is_past))
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written > 0)
}

/// What a mail said; none once that is forgotten.
pub(crate) async fn payload(tx: &mut Tx, mail: i64) -> Result<Option<Payload>> {
    let sql = tx.dialect().sql("select payload from notification_payloads where state_id = $1");
    let text: Option<String> = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(mail).fetch_optional(c).await)?;
    text.map(|text| read(mail, &text)).transpose()
}

fn read(mail: i64, payload: &str) -> Result<Payload> {
    Payload::read(payload).map_err(|e| Error::Corrupt { what: "notification", id: mail, why: e.to_string() })
}

/// Forgets of the reports of mails who said what; that they were there stays.
pub(super) async fn forget_words(tx: &mut Tx, mails: &[i64]) -> Result<()> {
    let set = "words = '', reporter = ''";
    let sql = tx.dialect().update("notification_reports", &[Int("event")], set, "q.state_id = x.event");
    with_tx!(tx, |c| sqlx::query(sql).bind(events(mails)).execute(c).await.map(drop))?;
    Ok(())
}
