//! Stopping every host until somebody says otherwise: the claims of all, or what goes by a relay or is of a kind.

use serde::Serialize;

use super::QUEUE;
use crate::store::{Error, Result, Store, with_pool, with_tx};

/// That nobody has paused the queue; a part of what a claim asks for. By its key, so that `PostgreSQL` plans no scan.
pub(super) const NOT_PAUSED: &str = "not exists (select 1 from notification_pause z where z.id = 1)";

/// Since when nothing is claimed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx_macros::FromRow, utoipa::ToSchema)]
#[schema(as = QueuePause)]
pub struct Pause {
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub since: i64,
    /// Who paused it.
    pub who: String,
    /// Why.
    pub why: String,
}

/// What is paused or resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of the queue.
    All,
    /// What goes by this relay. Mails that may go by another do.
    Relay(String),
    /// Mails of this kind, such as "order.shipped"; what its order has behind one waits too.
    Kind(String),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("the queue"),
            Self::Relay(name) => write!(f, "the relay {name}"),
            Self::Kind(name) => write!(f, "the kind {name}"),
        }
    }
}

impl Part {
    /// As the database has it; none of the whole queue.
    fn key(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::All => None,
            Self::Relay(name) => Some(("relay", name)),
            Self::Kind(name) => Some(("kind", name)),
        }
    }
}

/// Since when a part of the queue is paused, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = QueuePartPause)]
pub struct PartPause {
    /// Which relay is offered nothing; null: it is a kind that is paused.
    pub relay: Option<String>,
    /// Mails of which kind wait; null: it is a relay that is paused.
    pub kind: Option<String>,
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub since: i64,
    /// Who paused it.
    pub who: String,
    /// Why.
    pub why: String,
}

/// How the queue stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Queue)]
pub struct Status {
    /// Notifications that wait in it.
    pub queued: i64,
    /// Those that hosts have claimed: they are delivered, paused or not.
    pub under_way: i64,
    /// In how many milliseconds the first that waits is due; negative: it is overdue. None when none waits.
    pub first_due_in_ms: Option<i64>,
    /// None while it is worked on.
    pub paused: Option<Pause>,
    /// Relays and kinds that are paused while the rest is worked on.
    pub paused_parts: Vec<PartPause>,
}

impl Status {
    /// For how long the first that waits has been due, in milliseconds; 0 while none is.
    pub fn overdue_ms(&self) -> i64 {
        self.first_due_in_ms.map_or(0, |due_in_ms| (-due_in_ms).max(0))
    }
}

impl Store {
    /// Pauses a part of the queue; what is claimed is delivered. Paused already, it stays as it is.
    pub(crate) async fn pause(&self, part: &Part, who: &str, why: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let (dialect, now) = (tx.dialect(), tx.dialect().now_ms(self.offset_ms()));
        let paused = match part.key() {
            None => {
                let sql = format!("insert into notification_pause (id, since, who, why) values (1, {now}, $1, $2)");
                let sql = dialect.sql(&sql);
                with_tx!(&mut tx, |c| sqlx::query(sql).bind(who).bind(why).execute(c).await.map(drop))
            }
            Some((part, name)) => {
                let sql = dialect.sql(&format!(
                    "insert into notification_part_pauses (part, name, since, who, why) \
                     values ($1, $2, {now}, $3, $4)"
                ));
                with_tx!(&mut tx, |c| sqlx::query(sql)
                    .bind(part)
                    .bind(name)
                    .bind(who)
                    .bind(why)
                    .execute(c)
                    .await
                    .map(drop))
            }
        };
        match paused.map_err(Error::from) {
            Ok(()) => tx.commit().await,
            Err(e) if e.is_taken() => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Hosts go on with it.
    pub(crate) async fn resume(&self, part: &Part) -> Result<()> {
        let mut tx = self.begin().await?;
        match part.key() {
            None => with_tx!(&mut tx, |c| sqlx::query("delete from notification_pause").execute(c).await.map(drop))?,
            Some((part, name)) => {
                let sql = tx.dialect().sql("delete from notification_part_pauses where part = $1 and name = $2");
                with_tx!(&mut tx, |c| sqlx::query(sql).bind(part).bind(name).execute(c).await.map(drop))?;
            }
        }
        tx.commit().await
    }

    /// The parts of the queue that are paused.
    pub(crate) async fn paused_parts(&self) -> Result<Vec<PartPause>> {
        let sql = "select part, name, since, who, why from notification_part_pauses order by since, part, name";
        let rows: Vec<(String, String, i64, String, String)> =
            with_pool!(self, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
        let paused = |(part, name, since, who, why)| {
            let (relay, kind) = if part == "relay" { (Some(name), None) } else { (None, Some(name)) };
            PartPause { relay, kind, since, who, why }
        };
        Ok(rows.into_iter().map(paused).collect())
    }

    /// How many events wait for an earlier one of their order.
    pub(crate) async fn blocked(&self) -> Result<i64> {
        let sql = self.dialect().sql(&format!("select count(*) - count(distinct lane) from {QUEUE}"));
        Ok(with_pool!(self, |pool| sqlx::query_scalar(sql).fetch_one(pool).await)?)
    }

    /// How the queue stands.
    pub(crate) async fn queue_status(&self) -> Result<Status> {
        let now = self.dialect().now_ms(self.offset_ms());
        let is_under_way = format!("claims > 0 and due_at > {now}");
        let sql = self.dialect().sql(&format!(
            "select count(case when {is_under_way} then null else 1 end), count(case when {is_under_way} then 1 end), \
             min(case when {is_under_way} then null else due_at end) - {now} from {QUEUE}"
        ));
        let (queued, under_way, first_due_in_ms) = with_pool!(self, |pool| sqlx::query_as(sql).fetch_one(pool).await)?;
        let sql = "select since, who, why from notification_pause";
        let paused = with_pool!(self, |pool| sqlx::query_as(sql).fetch_optional(pool).await)?;
        let paused_parts = self.paused_parts().await?;
        Ok(Status { queued, under_way, first_due_in_ms, paused, paused_parts })
    }
}
