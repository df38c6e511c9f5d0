//! Acts on all notifications that match a filter: which these are, and how far each such operation is.

use super::conditions::{Arg, Conditions};
use super::tx::insert_id;
use super::{Dialect, Result, Store, Tx, with_pool, with_tx};
use crate::notification::{Filter, State};

/// A bulk operation, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub(crate) struct BulkRow {
    pub(crate) id: i64,
    /// "retry", "cancel" or "hold".
    pub(crate) act: String,
    /// Which notifications: JSON.
    pub(crate) filter: String,
    pub(crate) why: String,
    pub(crate) allow_late: i64,
    /// "running", "succeeded", "failed" or "cancelled".
    pub(crate) state: String,
    /// It ends when more than so many matched.
    pub(crate) matches_max: Option<i64>,
    /// So many matched when it began.
    pub(crate) matched: i64,
    pub(crate) done: i64,
    pub(crate) refused: i64,
    /// How many were refused for which reason: JSON.
    pub(crate) refusals: String,
    /// It goes on behind this notification, and ends with that one, or before it where it goes from the newest on.
    pub(crate) reached_id: i64,
    pub(crate) last_id: i64,
    /// Why it failed.
    pub(crate) detail: Option<String>,
    /// Unix milliseconds.
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    /// When it was last written, in unix milliseconds.
    pub(crate) updated_at: i64,
}

/// A notification that matches, and its place in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub(crate) struct Matching {
    pub(crate) id: i64,
    pub(crate) lane: i64,
    pub(crate) place: i64,
}

/// What an operation came to so far.
pub(crate) struct Reached<'a> {
    /// All up to this notification were looked at.
    pub(crate) id: i64,
    pub(crate) done: i64,
    pub(crate) refused: i64,
    pub(crate) refusals: &'a str,
}

const BULK: &str = "select id, act, filter, why, allow_late, state, matches_max, matched, done, refused, refusals, \
    reached_id, last_id, detail, created_at, created_by, updated_at from notification_operations";

/// The notifications that a filter chooses from, and their key.
fn chosen(dialect: Dialect, filter: &Filter) -> (String, &'static str) {
    match filter.state {
        Some(State::NotSent) => {
            let join = dialect.join();
            (format!("from notification_events_queue q {join} notification_states s"), "q.state_id")
        }
        _ => ("from notification_states s".to_owned(), "s.id"),
    }
}

impl Store {
    /// How many notifications match.
    pub(crate) async fn count_matching(&self, filter: &Filter) -> Result<i64> {
        let (from, _) = chosen(self.dialect(), filter);
        let mut query = Conditions::default();
        query.matching(self.dialect(), filter, None);
        let found: Vec<(i64,)> = query.fetch(self, &format!("select count(*) {from}"), "1", 1).await?;
        Ok(found.first().map_or(0, |(count,)| *count))
    }

    /// The next notifications that match, by id: behind the one, up to the other; or from the newest on, before the one and
    /// behind the other.
    pub(crate) async fn matching(
        &self,
        filter: &Filter,
        (reached, last): (i64, i64),
        descends: bool,
        limit: i64,
    ) -> Result<Vec<Matching>> {
        let (from, key) = chosen(self.dialect(), filter);
        let mut query = Conditions::default();
        let order = query.behind(None, key, descends, Some(&(None, reached)));
        query.and(&format!("{key} {} ?", if descends { ">" } else { "<=" }), Arg::Int(last));
        query.matching(self.dialect(), filter, None);
        query.fetch(self, &format!("select s.id, s.lane, s.place {from}"), &order, limit).await
    }

    /// The next operation (which, if it is said) that no host works on, or whose host has not written it for so many
    /// milliseconds: this host's from now on.
    pub(crate) async fn take_bulk(&self, which: Option<i64>, silent_ms: i64, host: &str) -> Result<Option<BulkRow>> {
        let sql = self.dialect().sql(&format!(
            "select id from notification_operations where state = 'running' and (host = '' or updated_at < {} - $1)",
            self.dialect().now_ms(self.offset_ms())
        ));
        let found: Option<i64> =
            with_pool!(self, |pool| sqlx::query_scalar(sql).bind(silent_ms).fetch_optional(pool).await)?;
        let Some(id) = found.filter(|id| which.is_none_or(|which| which == *id)) else { return Ok(None) };
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = tx.dialect().sql(&format!(
            "update notification_operations set host = $1, updated_at = {now} where id = $2 and state = 'running' \
             and (host = '' or updated_at < {now} - $3)"
        ));
        let taken = with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(host)
            .bind(id)
            .bind(silent_ms)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
        tx.commit().await?;
        // Of two hosts that see it, the second changes nothing.
        if taken == 0 { Ok(None) } else { self.bulk(id).await }
    }

    /// Writes down how far an operation of this host is; false when it is to stop: it was cancelled, or is another
    /// host's by now.
    pub(crate) async fn note_bulk(&self, id: i64, reached: &Reached<'_>, host: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = tx.dialect().sql(&format!(
            "update notification_operations set reached_id = $1, done = $2, refused = $3, refusals = $4, \
             updated_at = {now} where id = $5 and state = 'running' and host = $6"
        ));
        with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(reached.id)
            .bind(reached.done)
            .bind(reached.refused)
            .bind(reached.refusals)
            .bind(id)
            .bind(host)
            .execute(c)
            .await
            .map(drop))?;
        tx.commit().await?;
        self.is_bulk_of(id, host).await
    }

    /// Writes down that this host works on an operation; false when it is to stop.
    pub(crate) async fn touch_bulk(&self, id: i64, host: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = tx.dialect().sql(&format!(
            "update notification_operations set updated_at = {now} where id = $1 and state = 'running' and host = $2"
        ));
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(id).bind(host).execute(c).await.map(drop))?;
        tx.commit().await?;
        self.is_bulk_of(id, host).await
    }

    async fn is_bulk_of(&self, id: i64, host: &str) -> Result<bool> {
        let sql = self.dialect().sql(
            "select id from notification_operations where id = $1 and state = 'running' and is_cancelled = 0 \
             and host = $2",
        );
        let goes_on: Option<i64> =
            with_pool!(self, |pool| sqlx::query_scalar(sql).bind(id).bind(host).fetch_optional(pool).await)?;
        Ok(goes_on.is_some())
    }

    /// Writes down that an operation of this host has ended, and why; false when it is not this host's.
    pub(crate) async fn end_bulk(&self, id: i64, state: &str, detail: Option<&str>, host: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = tx.dialect().sql(&format!(
            "update notification_operations set state = $1, detail = $2, running = null, updated_at = {now} \
             where id = $3 and state = 'running' and host = $4"
        ));
        let ended = with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(state)
            .bind(detail)
            .bind(id)
            .bind(host)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(ended > 0)
    }

    /// Lets go of this host's operation, so that another goes on with it at once.
    pub(crate) async fn release_bulk(&self, host: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql =
            tx.dialect().sql("update notification_operations set host = '' where state = 'running' and host = $1");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(host).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// Asks that an operation end; one that no host works on has ended with that.
    pub(crate) async fn cancel_bulk(&self, id: i64, silent_ms: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        let dialect = tx.dialect();
        let now = dialect.now_ms(self.offset_ms());
        let sql =
            dialect.sql("update notification_operations set is_cancelled = 1 where id = $1 and state = 'running'");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(id).execute(c).await.map(drop))?;
        let sql = dialect.sql(&format!(
            "update notification_operations set state = 'cancelled', running = null where id = $1 \
             and state = 'running' and (host = '' or updated_at < {now} - $2)"
        ));
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(id).bind(silent_ms).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// Forgets operations that ended before so many milliseconds.
    pub(crate) async fn forget_bulk(&self, kept_ms: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = tx
            .dialect()
            .sql(&format!("delete from notification_operations where state <> 'running' and updated_at < {now} - $1"));
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(kept_ms).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// One operation.
    pub(crate) async fn bulk(&self, id: i64) -> Result<Option<BulkRow>> {
        let mut query = Conditions::default();
        query.and("id = ?", Arg::Int(id));
        Ok(query.fetch(self, BULK, "id", 1).await?.pop())
    }

    /// The one that runs, if any.
    pub(crate) async fn running_bulk(&self) -> Result<Option<BulkRow>> {
        let mut query = Conditions::default();
        query.fixed("running = 1");
        Ok(query.fetch(self, BULK, "id", 1).await?.pop())
    }

    /// The newest operations before an id.
    pub(crate) async fn bulks(&self, before: i64, limit: i64) -> Result<Vec<BulkRow>> {
        let mut query = Conditions::default();
        query.and("id < ?", Arg::Int(before));
        query.fetch(self, BULK, "id desc", limit).await
    }
}

/// What an operation is begun with.
pub(crate) struct NewBulk<'a> {
    pub(crate) act: &'a str,
    pub(crate) filter: &'a str,
    pub(crate) why: &'a str,
    pub(crate) allow_late: bool,
    pub(crate) matches_max: Option<i64>,
    pub(crate) matched: i64,
    /// From the newest notification on, not from the oldest.
    pub(crate) descends: bool,
    pub(crate) by: &'a str,
}

/// Writes down that an operation begins, on notifications up to the newest of now; gives its id. A second one that runs
/// is a row that is [taken](super::Error::is_taken).
pub(crate) async fn add(tx: &mut Tx, new: &NewBulk<'_>, offset_ms: i64) -> Result<i64> {
    let NewBulk { act, filter, why, allow_late, matches_max, matched, descends, by } = *new;
    let now = tx.dialect().now_ms(offset_ms);
    let newest = "(select coalesce(max(s.id), 0) from notification_states s)".to_owned();
    let (reached, last) = if descends { (format!("{newest} + 1"), "0".to_owned()) } else { ("0".to_owned(), newest) };
    let sql = format!(
        "insert into notification_operations (act, filter, why, allow_late, state, running, is_cancelled, matches_max, \
         matched, done, refused, refusals, reached_id, last_id, created_at, created_by, updated_at, host) \
         values ($1, $2, $3, $4, 'running', 1, 0, $5, $6, 0, 0, '{{}}', {reached}, {last}, {now}, $7, {now}, '')"
    );
    Ok(insert_id!(tx, &sql, act, filter, why, i64::from(allow_late), matches_max, matched, by))
}
