//! Stored events and decisions, as a replay reads them: newest first, a page at a time.

use std::collections::HashMap;

use super::{Result, Store, with_pool};
use crate::notification::report::Reported;
use crate::notification::{Class, Failure, MAIL_LANES_FROM};

/// A stored event, and what chance its last mail was drawn from.
#[derive(Clone, Debug, sqlx_macros::FromRow)]
pub(crate) struct StoredEvent {
    pub(crate) id: i64,
    pub(crate) message_id: String,
    pub(crate) payload: String,
    pub(crate) seed: Option<i64>,
    /// Which variant of the mail was asked for.
    pub(crate) ab_variant: Option<String>,
}

/// A stored decision: what the policy saw.
#[derive(Clone, Debug)]
pub(crate) struct StoredDecision {
    pub(crate) id: i64,
    pub(crate) state_id: i64,
    pub(crate) message_id: String,
    pub(crate) payload: String,
    pub(crate) situation: String,
    /// Of a mail that arrived; the policy was asked nothing else.
    pub(crate) sent: Option<Sent>,
    /// Of a mail that was tried: what came of it, as the journal has it.
    pub(crate) failure: Option<Failure>,
    /// Of a decision about a report: the report; the policy was asked nothing else.
    pub(crate) reported: Option<Reported>,
}

/// How a mail that arrived was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// The revision of the policy that had it sent.
    pub(crate) by: i64,
    pub(crate) relay: String,
    pub(crate) ab_variant: Option<String>,
}

/// A million of these are read one after the other, and each column costs: failures, which are few, are read apart.
#[derive(sqlx_macros::FromRow)]
struct DecisionRow {
    id: i64,
    state_id: i64,
    message_id: String,
    payload: String,
    situation: String,
    sent_by: Option<i64>,
    sent_via: Option<String>,
    ab_variant: Option<String>,
    phase: Option<String>,
}

/// Reports are few as well.
#[derive(sqlx_macros::FromRow)]
struct ReportedRow {
    id: i64,
    class: String,
    enhanced: Option<String>,
    reply: Option<String>,
    relay: Option<String>,
    situation: String,
    started_at: i64,
}

impl ReportedRow {
    fn reported(self) -> Option<(i64, Reported)> {
        let (by, sent_at) = Reported::origin(&self.situation)?;
        let reported = Reported {
            at: self.started_at,
            kind: self.class.try_into().ok()?,
            enhanced: self.enhanced,
            words: self.reply.unwrap_or_default(),
            reporter: by,
            relay: self.relay.unwrap_or_default(),
            sent_at,
        };
        Some((self.id, reported))
    }
}

/// The columns of [`FailureRow`].
pub(super) const FAILURE: &str = "id, class, phase, code, enhanced, reply, relay, ended_at";

#[derive(sqlx_macros::FromRow)]
pub(super) struct FailureRow {
    id: i64,
    class: String,
    phase: Option<String>,
    code: Option<i64>,
    enhanced: Option<String>,
    reply: Option<String>,
    relay: Option<String>,
    ended_at: Option<i64>,
}

impl FailureRow {
    pub(super) fn failure(self) -> Option<(i64, Failure)> {
        let failure = Failure {
            at: self.ended_at?,
            class: Class::try_from(self.class).ok()?,
            phase: self.phase?,
            code: self.code.and_then(|code| u16::try_from(code).ok()),
            enhanced: self.enhanced,
            reply: self.reply.unwrap_or_default(),
            relay: self.relay.unwrap_or_default(),
        };
        Some((self.id, failure))
    }
}

/// The last mail of an event, for making it again.
#[derive(Clone, Debug, sqlx_macros::FromRow)]
pub(crate) struct StoredMail {
    pub(crate) message_id: String,
    pub(crate) payload: String,
    pub(crate) seed: i64,
    pub(crate) ab_variant: Option<String>,
    pub(crate) renderer_digest: String,
    pub(crate) renderer_revision: i64,
    pub(crate) message_hash: String,
    /// None: the order's time.
    pub(crate) dated_at: Option<i64>,
}

impl Store {
    /// Events with an id below `before`, made within `from` to `to`, newest first.
    pub(crate) async fn stored_events(&self, before: i64, from: i64, to: i64, limit: i64) -> Result<Vec<StoredEvent>> {
        let last = "from notification_attempts a where a.state_id = s.id and a.message_hash is not null \
                    order by a.id desc limit 1";
        let sql = self.dialect().sql(&format!(
            "select s.id, s.message_id, p.payload, (select a.seed {last}) as seed, (select a.ab_variant {last}) as ab_variant \
             from notification_states s join notification_payloads p on p.state_id = s.id \
             where s.id < $1 and s.lane >= {MAIL_LANES_FROM} and s.created_at >= $2 and s.created_at < $3 order by s.id desc limit $4",
        ));
        Ok(with_pool!(self, |pool| sqlx::query_as(sql)
            .bind(before)
            .bind(from)
            .bind(to)
            .bind(limit)
            .fetch_all(pool)
            .await)?)
    }

    /// Decisions with an id below `before`, made within `from` to `to`, newest first.
    pub(crate) async fn stored_decisions(
        &self,
        before: i64,
        from: i64,
        to: i64,
        limit: i64,
    ) -> Result<Vec<StoredDecision>> {
        let sql = self.dialect().sql(&format!(
            "select a.id, a.state_id, s.message_id, p.payload, a.situation, a.ab_variant, \
             case when a.class = 'delivered' then a.policy_revision end as sent_by, \
             case when a.class = 'delivered' then a.relay end as sent_via, \
             a.phase from notification_attempts a \
             join notification_states s on s.id = a.state_id \
             join notification_payloads p on p.state_id = s.id where a.id < $1 and a.situation is not null \
             and s.lane >= {MAIL_LANES_FROM} and a.started_at >= $2 and a.started_at < $3 order by a.id desc limit $4",
        ));
        let rows: Vec<DecisionRow> = with_pool!(self, |pool| sqlx::query_as(sql)
            .bind(before)
            .bind(from)
            .bind(to)
            .bind(limit)
            .fetch_all(pool)
            .await)?;
        let mut failures = match (rows.last(), rows.first()) {
            (Some(oldest), Some(newest)) => self.failures(oldest.id, newest.id).await?,
            _ => HashMap::new(),
        };
        let mut reports = match (rows.last(), rows.first()) {
            (Some(oldest), Some(newest)) if rows.iter().any(|row| row.phase.as_deref() == Some(Reported::PHASE)) => {
                self.reported(oldest.id, newest.id).await?
            }
            _ => HashMap::new(),
        };
        let decision = |row: DecisionRow| StoredDecision {
            id: row.id,
            state_id: row.state_id,
            message_id: row.message_id,
            payload: row.payload,
            // A report that cannot be read is no admission.
            situation: match (row.phase.as_deref(), reports.contains_key(&row.id)) {
                (Some(Reported::PHASE), false) => String::new(),
                _ => row.situation,
            },
            sent: row.sent_by.zip(row.sent_via).map(|(by, relay)| Sent { by, relay, ab_variant: row.ab_variant }),
            failure: failures.remove(&row.id),
            reported: reports.remove(&row.id),
        };
        Ok(rows.into_iter().map(decision).collect())
    }

    async fn failures(&self, from: i64, to: i64) -> Result<HashMap<i64, Failure>> {
        let sql = self.dialect().sql(&format!(
            "select {FAILURE} from notification_attempts \
             where id >= $1 and id <= $2 and class <> 'delivered' and situation is not null",
        ));
        let rows: Vec<FailureRow> =
            with_pool!(self, |pool| sqlx::query_as(sql).bind(from).bind(to).fetch_all(pool).await)?;
        Ok(rows.into_iter().filter_map(FailureRow::failure).collect())
    }

    async fn reported(&self, from: i64, to: i64) -> Result<HashMap<i64, Reported>> {
        let sql = self.dialect().sql(
            "select id, class, enhanced, reply, relay, situation, started_at from notification_attempts \
             where id >= $1 and id <= $2 and phase = 'report' and situation is not null",
        );
        let rows: Vec<ReportedRow> =
            with_pool!(self, |pool| sqlx::query_as(sql).bind(from).bind(to).fetch_all(pool).await)?;
        Ok(rows.into_iter().filter_map(ReportedRow::reported).collect())
    }

    /// One event.
    pub(crate) async fn stored_event(&self, id: i64) -> Result<Option<StoredEvent>> {
        let Some(before) = id.checked_add(1) else { return Ok(None) };
        Ok(self.stored_events(before, i64::MIN, i64::MAX, 1).await?.pop().filter(|event| event.id == id))
    }

    /// The last mail that was handed over for an event.
    pub(crate) async fn stored_mail(&self, id: i64) -> Result<Option<StoredMail>> {
        let sql = self.dialect().sql(
            "select s.message_id, p.payload, a.seed, a.ab_variant, a.renderer_digest, a.renderer_revision, a.message_hash, a.dated_at \
             from notification_attempts a join notification_states s on s.id = a.state_id \
             join notification_payloads p on p.state_id = s.id where a.state_id = $1 \
             and a.message_hash is not null and a.renderer_revision is not null order by a.id desc limit 1",
        );
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)?)
    }
}
