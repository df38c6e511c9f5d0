//! What other servers said of mails after a relay took them.

use super::dialect::Column::Int;
use super::queue::events;
use super::{Dialect, Error, Result, Store, Tx, with_pool, with_tx};
use crate::notification::report::{Report, ReportKind};
use crate::notification::{MAIL_LANES_FROM, Payload};

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    state_id: i64,
    kind: String,
    enhanced: Option<String>,
    words: String,
    reporter: String,
    received_at: i64,
}

impl Store {
    /// The reports of mails, by notification, in the order in which they arrived.
    pub(super) async fn reports_of(&self, mails: &[i64]) -> Result<Vec<(i64, Report)>> {
        let dialect = self.dialect();
        let sql = dialect.sql(&format!(
            "select q.id, q.state_id, q.kind, q.enhanced, q.words, q.reporter, q.received_at \
             from {} {} notification_reports q where q.state_id = x.event order by q.id",
            dialect.rows(1, &[Int("event")]),
            dialect.join(),
        ));
        let rows: Vec<Row> = with_pool!(self, |pool| sqlx::query_as(sql).bind(events(mails)).fetch_all(pool).await)?;
        let report = |row: Row| {
            let Row { id, state_id, kind, enhanced, words, reporter, received_at } = row;
            let kind = ReportKind::try_from(kind).map_err(|why| Error::Corrupt { what: "report", id, why })?;
            Ok((state_id, Report { kind, enhanced, words, reporter, received_at }))
        };
        rows.into_iter().map(report).collect()
    }

    /// The notification whose mail has a Message-ID, without angle brackets.
    pub(crate) async fn notification_of(&self, message_id: &str) -> Result<Option<i64>> {
        let sql = self.dialect().sql("select id from notification_states where message_id = $1");
        Ok(with_pool!(self, |pool| sqlx::query_scalar(sql).bind(message_id).fetch_optional(pool).await)?)
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
        let sent = format!(
            "select count(*) from notification_states where state = 'sent' and lane >= {MAIL_LANES_FROM} and {newest}"
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

/// What is reported of a mail already; none where there is no such notification, which stays while the transaction lasts.
pub(crate) async fn known(tx: &mut Tx, mail: i64) -> Result<Option<Vec<String>>> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!("select q.id from notification_states q where q.id = $1 {}", dialect.share()));
    let found: Option<i64> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(mail).fetch_optional(c).await)?;
    if found.is_none() {
        return Ok(None);
    }
    let sql = dialect.sql("select kind from notification_reports where state_id = $1");
    Ok(Some(with_tx!(tx, |c| sqlx::query_scalar(sql).bind(mail).fetch_all(c).await)?))
}

/// Writes a report down; false when it was already.
pub(crate) async fn insert(tx: &mut Tx, mail: i64, digest: &str, report: &Report) -> Result<bool> {
    let Report { kind, enhanced, words, reporter, received_at } = report;
    let dialect = tx.dialect();
    let (ignore, done) = match dialect {
        Dialect::Sqlite | Dialect::Postgres => ("", "on conflict (state_id, digest) do nothing"),
        Dialect::MySql => ("ignore", ""),
    };
    let sql = dialect.sql(&format!(
        "insert {ignore} into notification_reports (state_id, digest, kind, enhanced, words, reporter, received_at) \
         values ($1, $2, $3, $4, $5, $6, $7) {done}"
    ));
    let written = with_tx!(tx, |c| sqlx::query(sql)
        .bind(mail)
        .bind(digest)
        .bind(kind.as_str())
        .bind(enhanced)
        .bind(words)
        .bind(reporter)
        .bind(received_at)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(written > 0)
}

/// What a mail said; none once that is forgotten.
pub(crate) async fn payload(tx: &mut Tx, mail: i64) -> Result<Option<Payload>> {
    let sql = tx.dialect().sql("select payload from notification_payloads where state_id = $1");
    let text: Option<String> = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(mail).fetch_optional(c).await)?;
    let read = |text: String| {
        Payload::read(&text).map_err(|e| Error::Corrupt { what: "notification", id: mail, why: e.to_string() })
    };
    text.map(read).transpose()
}

/// Forgets of the reports of mails who said what; that they were there stays.
pub(super) async fn forget_words(tx: &mut Tx, mails: &[i64]) -> Result<()> {
    let set = "words = '', reporter = ''";
    let sql = tx.dialect().update("notification_reports", &[Int("event")], set, "q.state_id = x.event");
    with_tx!(tx, |c| sqlx::query(sql).bind(events(mails)).execute(c).await.map(drop))?;
    Ok(())
}
