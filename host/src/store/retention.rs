//! What is old enough to be forgotten, in batches by id: notifications are numbered as they come, so that what is old lies
//! together. What has not ended is never forgotten.

use super::{Result, Store, Tx, with_pool, with_tx};

/// What can be forgotten of a notification: each kind is a table whose oldest rows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What it told, and its journal.
    Contents,
    /// That it was.
    Whole,
}

/// What a look at a batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Notifications that were forgotten.
    pub(crate) forgotten: u64,
    /// The id of the last that was looked at; none: nothing is left that is old enough.
    pub(crate) last: Option<i64>,
}

/// A state whose row is forgotten once it is old: those of which no hand can make another.
const ENDED: &str = "q.state in ('sent', 'failed', 'skipped')";

impl Store {
    /// Whether this host is the one that forgets, for so many milliseconds from now.
    pub(crate) async fn take_retention(&self, host: &str, lease_ms: i64) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = tx.dialect().sql(&format!(
            "update retention_lease set host = $1, until_at = {now} + $2 where id = 1 and (host = $3 or until_at < {now})"
        ));
        let taken = with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(host)
            .bind(lease_ms)
            .bind(host)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(taken > 0)
    }

    /// Whether a replay reads what is stored, in any host.
    pub(crate) async fn is_replaying(&self) -> Result<bool> {
        let sql =
            self.dialect().sql("select count(*) from plugin_operations where kind = 'replay' and state = 'running'");
        let running: i64 = with_pool!(self, |pool| sqlx::query_scalar(sql).fetch_one(pool).await)?;
        Ok(running > 0)
    }

    /// Forgets a part of those of the next `limit` notifications after an id that ended before `until`, unix milliseconds.
    pub(crate) async fn forget_notifications(&self, part: Part, after: i64, until: i64, limit: i64) -> Result<Swept> {
        let Some(last) = self.last_of(part, after, until, limit).await? else { return Ok(Swept::default()) };
        let mut tx = self.begin().await?;
        let dialect = tx.dialect();
        // A hand that tries one of them again locks its row as well: it is forgotten or tried, never both.
        let sql = dialect.sql(&format!(
            "select q.id from notification_states q where q.id > $1 and q.id <= $2 and q.completed_at < $3 and {ENDED} {}",
            dialect.lock()
        ));
        let ids: Vec<i64> =
            with_tx!(&mut tx, |c| sqlx::query_scalar(sql).bind(after).bind(last).bind(until).fetch_all(c).await)?;
        if ids.is_empty() {
            return Ok(Swept { forgotten: 0, last: Some(last) });
        }
        let mut forgotten = 0;
        for table in ["notification_attempts", "notification_payloads"] {
            let gone = forget_of(&mut tx, table, (after, last, until)).await?;
            if table == "notification_payloads" {
                forgotten = gone;
            }
        }
        if part == Part::Whole {
            let sql = dialect.sql(&format!(
                "delete from notification_states where id in (select x.id from (select q.id from notification_states q \
                 where q.id > $1 and q.id <= $2 and q.completed_at < $3 and {ENDED}) x)"
            ));
            forgotten = with_tx!(&mut tx, |c| sqlx::query(sql)
                .bind(after)
                .bind(last)
                .bind(until)
                .execute(c)
                .await
                .map(|done| done.rows_affected()))?;
        }
        tx.commit().await?;
        Ok(Swept { forgotten, last: Some(last) })
    }

    /// The last of the next notifications after an id that were there before `until`.
    async fn last_of(&self, part: Part, after: i64, until: i64, limit: i64) -> Result<Option<i64>> {
        // By the table that shrinks: what is forgotten already is not looked at again.
        let from = match part {
            Part::Contents => {
                "notification_payloads p join notification_states q on q.id = p.state_id where p.state_id"
            }
            Part::Whole => "notification_states q where q.id",
        };
        let sql = self.dialect().sql(&format!("select q.id, q.created_at from {from} > $1 order by 1 limit $2"));
        let rows: Vec<(i64, i64)> =
            with_pool!(self, |pool| sqlx::query_as(sql).bind(after).bind(limit).fetch_all(pool).await)?;
        // One that claims to be of the future does not hide what is behind it.
        Ok(rows.into_iter().rev().find(|(_, created_at)| *created_at < until).map(|(id, _)| id))
    }

    /// Forgets sessions that ended before `until`, unix milliseconds.
    pub(crate) async fn forget_sessions(&self, until: i64) -> Result<u64> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql("delete from sessions where expires_at < $1 or revoked_at < $2");
        let gone = with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(until)
            .bind(until)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(gone)
    }
}

/// Whether it is still known what a notification tells.
pub(crate) async fn has_contents(tx: &mut Tx, id: i64) -> Result<bool> {
    let sql = tx.dialect().sql("select count(*) from notification_payloads where state_id = $1");
    let found: i64 = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(id).fetch_one(c).await)?;
    Ok(found > 0)
}

/// Deletes the rows of a table that belong to notifications which ended before; says how many.
async fn forget_of(tx: &mut Tx, table: &str, (after, last, until): (i64, i64, i64)) -> Result<u64> {
    let sql = tx.dialect().sql(&format!(
        "delete from {table} where state_id > $1 and state_id <= $2 and state_id in \
         (select q.id from notification_states q where q.id > $3 and q.id <= $4 and q.completed_at < $5 and {ENDED})"
    ));
    Ok(with_tx!(tx, |c| sqlx::query(sql)
        .bind(after)
        .bind(last)
        .bind(after)
        .bind(last)
        .bind(until)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?)
}
