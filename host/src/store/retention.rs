//! What is old enough to be forgotten, in batches by id: notifications are numbered as they come, so that what is old lies
//! together. What has not ended is never forgotten.

use super::{Result, Store, Tx, plugins, with_pool, with_tx};

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
const ENDED: &str = "state in ('sent', 'failed', 'skipped')";

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
            "select q.id from notification_states q where q.id > $1 and q.id <= $2 and q.completed_at < $3 and q.{ENDED} {}",
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
        forget_reports(&mut tx, part, (after, last, until)).await?;
        if part == Part::Whole {
            // No subquery: MariaDB would look at every row of the table for it.
            let sql =
                format!("delete from notification_states where id > $1 and id <= $2 and completed_at < $3 and {ENDED}");
            forgotten = tx.delete(&sql, &[after, last, until]).await?;
        }
        tx.commit().await?;
        Ok(Swept { forgotten, last: Some(last) })
    }

    /// The last of the next notifications after an id that were there before `until`.
    async fn last_of(&self, part: Part, after: i64, until: i64, limit: i64) -> Result<Option<i64>> {
        // By the table that shrinks: what is forgotten already is not looked at again.
        let sql = match part {
            Part::Contents => {
                "select p.state_id, q.created_at from (select state_id from notification_payloads where state_id > $1 \
                 order by state_id limit $2) p join notification_states q on q.id = p.state_id order by p.state_id"
            }
            Part::Whole => {
                "select q.id, q.created_at from notification_states q where q.id > $1 order by q.id limit $2"
            }
        };
        let sql = self.dialect().sql(sql);
        let rows: Vec<(i64, i64)> =
            with_pool!(self, |pool| sqlx::query_as(sql).bind(after).bind(limit).fetch_all(pool).await)?;
        // One that claims to be of the future does not hide what is behind it.
        Ok(rows.into_iter().rev().find(|(_, created_at)| *created_at < until).map(|(id, _)| id))
    }

    /// Forgets those of the next `limit` sessions after an id that ended before `until`, unix milliseconds.
    pub(crate) async fn forget_sessions(&self, after: i64, until: i64, limit: i64) -> Result<Swept> {
        self.forget_next("sessions", "(expires_at < $3 or revoked_at < $4)", (after, limit), &[until, until]).await
    }

    /// Forgets those of the next `limit` acts in the console after an id that are older than `until`, unix milliseconds.
    pub(crate) async fn forget_acts(&self, after: i64, until: i64, limit: i64) -> Result<Swept> {
        self.forget_next("console_acts", "created_at < $3", (after, limit), &[until]).await
    }

    /// Forgets what components do, and their compiled code, of which no revision has served since `until`, unix milliseconds;
    /// says how many. What came with a host stays. Their rows stay: revisions and journals name them.
    pub(crate) async fn forget_components(&self, until: i64) -> Result<u64> {
        let mut tx = self.begin().await?;
        // Moves wait: a revision that is to serve is there, or is known to be forgotten.
        for slot in ["policy", "renderer"] {
            plugins::lock_slot(&mut tx, slot).await?;
        }
        let dialect = tx.dialect();
        // An active revision's last change may be years ago: it served until another was activated. One that took over from a
        // quarantined one has no change for that: any of before may be it.
        let sql = dialect.sql(&format!(
            "select q.digest from plugin_components q where q.created_at < $1 \
             and exists (select 1 from plugin_parts p where p.digest = q.digest and p.part = 0) \
             and not exists (select 1 from plugin_revisions r where r.digest = q.digest and (r.origin = 'built-in' \
             or r.created_at >= $2 \
             or exists (select 1 from plugin_slots s where r.id in (s.active, s.previous, s.canary, s.shadow)) \
             or exists (select 1 from plugin_history h where h.revision = r.id and (h.created_at >= $3 \
             or (h.action = 'activate' and exists (select 1 from plugin_history k where k.slot = h.slot and k.id > h.id \
             and k.action = 'quarantine' and not exists (select 1 from plugin_history m where m.slot = h.slot \
             and m.id > k.id and m.action = 'activate' and m.created_at < $4))) \
             or (h.action = 'activate' and exists (select 1 from plugin_history n where n.slot = h.slot and n.id > h.id \
             and n.action = 'activate' and n.created_at >= $5 and not exists (select 1 from plugin_history m \
             where m.slot = h.slot and m.id > h.id and m.id < n.id and m.action = 'activate'))))))) {}",
            dialect.lock()
        ));
        let digests: Vec<String> = with_tx!(&mut tx, |c| sqlx::query_scalar(sql)
            .bind(until)
            .bind(until)
            .bind(until)
            .bind(until)
            .bind(until)
            .fetch_all(c)
            .await)?;
        for digest in &digests {
            for table in ["plugin_parts", "plugin_code"] {
                let sql = tx.dialect().sql(&format!("delete from {table} where digest = $1"));
                with_tx!(&mut tx, |c| sqlx::query(sql).bind(digest).execute(c).await.map(drop))?;
            }
        }
        tx.commit().await?;
        Ok(u64::try_from(digests.len()).unwrap_or(u64::MAX))
    }

    async fn forget_next(&self, table: &str, is_old: &str, (after, limit): (i64, i64), until: &[i64]) -> Result<Swept> {
        let sql = self.dialect().sql(&format!("select id from {table} where id > $1 order by id limit $2"));
        let ids: Vec<i64> =
            with_pool!(self, |pool| sqlx::query_scalar(sql).bind(after).bind(limit).fetch_all(pool).await)?;
        let Some(last) = ids.last().copied() else { return Ok(Swept::default()) };
        let mut tx = self.begin().await?;
        let sql = format!("delete from {table} where id > $1 and id <= $2 and {is_old}");
        let forgotten = tx.delete(&sql, &[&[after, last], until].concat()).await?;
        tx.commit().await?;
        Ok(Swept { forgotten, last: Some(last) })
    }
}

/// Whether it is still known what a notification tells.
pub(crate) async fn has_contents(tx: &mut Tx, id: i64) -> Result<bool> {
    let sql = tx.dialect().sql("select count(*) from notification_payloads where state_id = $1");
    let found: i64 = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(id).fetch_one(c).await)?;
    Ok(found > 0)
}

/// Forgets what other servers said of notifications which ended before, with what these told; that they said it, with the whole.
async fn forget_reports(tx: &mut Tx, part: Part, bounds: (i64, i64, i64)) -> Result<()> {
    const TABLE: &str = "notification_reports";
    if part == Part::Whole {
        return forget_of(tx, TABLE, bounds).await.map(drop);
    }
    let (after, last, until) = bounds;
    let sql =
        format!("update {TABLE} set words = '', reporter = '' {} and (words <> '' or reporter <> '')", of_ended());
    tx.delete(&sql, &[after, last, after, last, until]).await.map(drop)
}

/// Deletes the rows of a table that belong to notifications which ended before; says how many.
async fn forget_of(tx: &mut Tx, table: &str, (after, last, until): (i64, i64, i64)) -> Result<u64> {
    let sql = format!("delete from {table} {}", of_ended());
    tx.delete(&sql, &[after, last, after, last, until]).await
}

/// Of rows those of notifications which ended before: parameters 1 to 5 are the bounds, twice, and the time.
fn of_ended() -> String {
    format!(
        "where state_id > $1 and state_id <= $2 and state_id in (select q.id from notification_states q \
         where q.id > $3 and q.id <= $4 and q.completed_at < $5 and q.{ENDED})"
    )
}
