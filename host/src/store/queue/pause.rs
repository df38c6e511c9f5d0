//! Stopping the claims of every host until somebody says otherwise.

use serde::Serialize;

use super::QUEUE;
use crate::store::{Error, Result, Store, with_pool, with_tx};

/// That nobody has paused the queue; a part of what a claim asks for. By its key, so that `PostgreSQL` plans no scan.
pub(super) const NOT_PAUSED: &str = "not exists (select 1 from notification_pause z where z.id = 1)";

/// Since when nothing is claimed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
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
}

impl Status {
    /// For how long the first that waits has been due, in milliseconds; 0 while none is.
    pub fn overdue_ms(&self) -> i64 {
        self.first_due_in_ms.map_or(0, |due_in_ms| (-due_in_ms).max(0))
    }
}

impl Store {
    /// No host claims anything any more; what is claimed is delivered. Paused already, it stays as it is.
    pub(crate) async fn pause(&self, who: &str, why: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let (dialect, now) = (tx.dialect(), tx.dialect().now_ms(self.offset_ms()));
        let sql =
            dialect.sql(&format!("insert into notification_pause (id, since, who, why) values (1, {now}, $1, $2)"));
        let paused = with_tx!(&mut tx, |c| sqlx::query(sql).bind(who).bind(why).execute(c).await.map(drop));
        match paused.map_err(Error::from) {
            Ok(()) => tx.commit().await,
            Err(e) if e.is_taken() => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Hosts claim again.
    pub(crate) async fn resume(&self) -> Result<()> {
        let mut tx = self.begin().await?;
        with_tx!(&mut tx, |c| sqlx::query("delete from notification_pause").execute(c).await.map(drop))?;
        tx.commit().await
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
        Ok(Status { queued, under_way, first_due_in_ms, paused })
    }
}
