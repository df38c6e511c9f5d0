//! Long work of operators, as all hosts see it.

use super::conditions::{Arg, Conditions};
use super::tx::insert_id;
use super::{Result, Store, with_pool, with_tx};

/// An operation, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub(crate) struct OperationRow {
    pub(crate) id: i64,
    /// "install", "reload" or "replay".
    pub(crate) kind: String,
    /// "renderer" or "policy".
    pub(crate) slot: String,
    /// Which revision it is about, once there is one.
    pub(crate) revision: Option<i64>,
    /// "running", "succeeded", "failed" or "cancelled".
    pub(crate) state: String,
    /// How far it is: JSON.
    pub(crate) progress: String,
    /// Why it failed: the code of the problem, and a sentence.
    pub(crate) problem: Option<String>,
    pub(crate) detail: Option<String>,
    /// Unix milliseconds.
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    /// When its host last wrote it, in unix milliseconds.
    pub(crate) updated_at: i64,
}

const OPERATION: &str = "select id, kind, slot, revision, state, progress, problem, detail, created_at, created_by, \
                         updated_at from plugin_operations";

impl Store {
    /// Writes down that an operation begins; gives its id.
    pub(crate) async fn add_operation(
        &self,
        kind: &str,
        slot: &str,
        revision: Option<i64>,
        by: &str,
        host: &str,
    ) -> Result<i64> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = format!(
            "insert into plugin_operations (kind, slot, revision, state, is_cancelled, progress, created_at, created_by, \
             updated_at, host) values ($1, $2, $3, 'running', 0, '{{}}', {now}, $4, {now}, $5)"
        );
        let id = insert_id!(&mut tx, &sql, kind, slot, revision, by, host);
        tx.commit().await?;
        Ok(id)
    }

    /// Writes down how far a running operation of this host is; false when it is to stop: it was cancelled, or is another
    /// host's by now.
    pub(crate) async fn note_operation(&self, id: i64, progress: &str, host: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let dialect = tx.dialect();
        let now = dialect.now_ms(self.offset_ms());
        let sql = dialect.sql(&format!(
            "update plugin_operations set progress = $1, updated_at = {now} where id = $2 and state = 'running' and host = $3"
        ));
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(progress).bind(id).bind(host).execute(c).await.map(drop))?;
        tx.commit().await?;
        let sql = dialect.sql(
            "select id from plugin_operations where id = $1 and state = 'running' and is_cancelled = 0 and host = $2",
        );
        let goes_on: Option<i64> =
            with_pool!(self, |pool| sqlx::query_scalar(sql).bind(id).bind(host).fetch_optional(pool).await)?;
        Ok(goes_on.is_some())
    }

    /// Writes down what came of an operation of this host, unless that was written before.
    pub(crate) async fn end_operation(
        &self,
        id: i64,
        state: &str,
        revision: Option<i64>,
        progress: &str,
        problem: Option<(&str, &str)>,
        host: &str,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = tx.dialect().sql(&format!(
            "update plugin_operations set state = $1, revision = coalesce($2, revision), progress = $3, problem = $4, \
             detail = $5, updated_at = {now} where id = $6 and state = 'running' and host = $7"
        ));
        with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(state)
            .bind(revision)
            .bind(progress)
            .bind(problem.map(|(code, _)| code))
            .bind(problem.map(|(_, detail)| detail))
            .bind(id)
            .bind(host)
            .execute(c)
            .await
            .map(drop))?;
        tx.commit().await
    }

    /// Asks the host of a running operation to stop it.
    pub(crate) async fn cancel_operation(&self, id: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql("update plugin_operations set is_cancelled = 1 where id = $1 and state = 'running'");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(id).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// Running operations that no host has written for so many milliseconds have failed: their host has ended. Replays have
    /// not, unless they were cancelled: they go on elsewhere.
    pub(crate) async fn fail_operations(&self, silent_ms: i64, problem: &str, detail: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = tx.dialect().sql(&format!(
            "update plugin_operations set state = 'failed', problem = $1, detail = $2 \
             where state = 'running' and kind <> 'replay' and updated_at < {now} - $3"
        ));
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(problem).bind(detail).bind(silent_ms).execute(c).await.map(drop))?;
        let sql = tx.dialect().sql(&format!(
            "update plugin_operations set state = 'cancelled' \
             where state = 'running' and kind = 'replay' and is_cancelled = 1 and updated_at < {now} - $1"
        ));
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(silent_ms).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// Makes the oldest running replay of another host, which has not written it for so many milliseconds, this host's.
    pub(crate) async fn adopt_replay(&self, silent_ms: i64, host: &str) -> Result<Option<OperationRow>> {
        let mut tx = self.begin().await?;
        let dialect = tx.dialect();
        let now = dialect.now_ms(self.offset_ms());
        let sql = dialect.sql(&format!(
            "select id, host from plugin_operations where state = 'running' and kind = 'replay' and is_cancelled = 0 \
             and host <> $1 and updated_at < {now} - $2 order by id limit 1"
        ));
        let found: Option<(i64, String)> =
            with_tx!(&mut tx, |c| sqlx::query_as(sql).bind(host).bind(silent_ms).fetch_optional(c).await)?;
        let Some((id, before)) = found else { return Ok(None) };
        // Of two hosts that see it, the second finds another name there.
        let sql = dialect.sql(&format!(
            "update plugin_operations set host = $1, updated_at = {now} where id = $2 and state = 'running' and host = $3 \
             and updated_at < {now} - $4"
        ));
        let adopted = with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(host)
            .bind(id)
            .bind(before)
            .bind(silent_ms)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
        tx.commit().await?;
        if adopted == 0 { Ok(None) } else { self.operation(id).await }
    }

    /// Lets go of this host's replays, so that another goes on with them at once.
    pub(crate) async fn release_replays(&self, host: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql(
            "update plugin_operations set updated_at = 0 where state = 'running' and kind = 'replay' and host = $1",
        );
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(host).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// Forgets operations that ended before so many milliseconds.
    pub(crate) async fn forget_operations(&self, kept_ms: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = tx
            .dialect()
            .sql(&format!("delete from plugin_operations where state <> 'running' and updated_at < {now} - $1"));
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(kept_ms).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// One operation.
    pub(crate) async fn operation(&self, id: i64) -> Result<Option<OperationRow>> {
        let mut query = Conditions::default();
        query.and("id = ?", Arg::Int(id));
        Ok(query.fetch(self, OPERATION, "id", 1).await?.pop())
    }

    /// The newest operations before an id.
    pub(crate) async fn operations(&self, before: i64, limit: i64) -> Result<Vec<OperationRow>> {
        let mut query = Conditions::default();
        query.and("id < ?", Arg::Int(before));
        query.fetch(self, OPERATION, "id desc", limit).await
    }
}
