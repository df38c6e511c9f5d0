//! Stored events and decisions, as a replay reads them: newest first, a page at a time.

use super::{Result, Store, with_pool};
use crate::notification::{Class, Failure};

/// A stored event, and what chance its last mail was drawn from.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct StoredEvent {
    pub(crate) id: i64,
    pub(crate) message_id: String,
    pub(crate) payload: String,
    pub(crate) seed: Option<i64>,
}

/// A stored decision: what the policy saw.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct StoredDecision {
    pub(crate) id: i64,
    pub(crate) state_id: i64,
    pub(crate) message_id: String,
    pub(crate) payload: String,
    pub(crate) situation: String,
    /// Of a mail that was tried: what came of it, as the journal has it.
    pub(crate) class: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) code: Option<i64>,
    pub(crate) enhanced: Option<String>,
    pub(crate) reply: Option<String>,
    pub(crate) relay: Option<String>,
    pub(crate) ended_at: Option<i64>,
}

impl StoredDecision {
    /// What failed, if the mail was tried and did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let class = self.class.as_deref()?;
        Some(Failure {
            at: self.ended_at?,
            class: Class::try_from(class.to_owned()).ok()?,
            phase: self.phase.clone()?,
            code: self.code.and_then(|code| u16::try_from(code).ok()),
            enhanced: self.enhanced.clone(),
            reply: self.reply.clone().unwrap_or_default(),
            relay: self.relay.clone().unwrap_or_default(),
        })
    }
}

/// The last mail of an event, for making it again.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct StoredMail {
    pub(crate) message_id: String,
    pub(crate) payload: String,
    pub(crate) seed: i64,
    pub(crate) renderer_digest: String,
    pub(crate) renderer_revision: i64,
    pub(crate) message_hash: String,
}

impl Store {
    /// Events with an id below `before`, made within `from` to `to`, newest first.
    pub(crate) async fn stored_events(&self, before: i64, from: i64, to: i64, limit: i64) -> Result<Vec<StoredEvent>> {
        let sql = self.dialect().sql(
            "select s.id, s.message_id, s.payload, (select max(a.seed) from notification_attempts a \
             where a.state_id = s.id and a.message_hash is not null) as seed from notification_states s \
             where s.id < $1 and s.created_at >= $2 and s.created_at < $3 order by s.id desc limit $4",
        );
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
        let sql = self.dialect().sql(
            "select a.id, a.state_id, s.message_id, s.payload, a.situation, a.class, a.phase, a.code, a.enhanced, \
             a.reply, a.relay, a.ended_at from notification_attempts a \
             join notification_states s on s.id = a.state_id where a.id < $1 and a.situation is not null \
             and a.started_at >= $2 and a.started_at < $3 order by a.id desc limit $4",
        );
        Ok(with_pool!(self, |pool| sqlx::query_as(sql)
            .bind(before)
            .bind(from)
            .bind(to)
            .bind(limit)
            .fetch_all(pool)
            .await)?)
    }

    /// One event.
    pub(crate) async fn stored_event(&self, id: i64) -> Result<Option<StoredEvent>> {
        Ok(self.stored_events(id + 1, i64::MIN, i64::MAX, 1).await?.pop().filter(|event| event.id == id))
    }

    /// The last mail that was handed over for an event.
    pub(crate) async fn stored_mail(&self, id: i64) -> Result<Option<StoredMail>> {
        let sql = self.dialect().sql(
            "select s.message_id, s.payload, a.seed, a.renderer_digest, a.renderer_revision, a.message_hash \
             from notification_attempts a join notification_states s on s.id = a.state_id where a.state_id = $1 \
             and a.message_hash is not null and a.renderer_revision is not null order by a.id desc limit 1",
        );
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)?)
    }
}
