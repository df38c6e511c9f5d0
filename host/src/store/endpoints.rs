//! Endpoints of webhooks; `requests` is what they are sent.

mod requests;

use super::conditions::{Arg, Conditions};
use super::tx::insert_id;
use super::users::json;
use super::{Error, Result, Store, Tx, with_pool, with_tx};
use crate::endpoint::{Endpoint, Kinds, Orders, Signing, State};
use crate::notification::Lane;
use crate::shop::text::{OptionalLine, WebAddress};

pub(super) use requests::requests;
pub(crate) use requests::{Request, Tells, UNHEARD_MS, has_contents, test};

/// An endpoint, and what signs its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) endpoint: Endpoint,
    pub(crate) signing: Signing,
    /// When a request failed last, unix milliseconds.
    pub(crate) failed_at: Option<i64>,
}

#[derive(sqlx_macros::FromRow)]
struct Row {
    id: i64,
    user_id: Option<i64>,
    url: String,
    description: String,
    kinds: String,
    secrets: String,
    state: String,
    reason: String,
    version: i64,
    failing_since: Option<i64>,
    failed_at: Option<i64>,
    failure: Option<String>,
    delivered_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

const COLUMNS: &str = "q.id, q.user_id, q.url, q.description, q.kinds, q.secrets, q.state, q.reason, q.version, \
    q.failing_since, q.failed_at, q.failure, q.delivered_at, q.created_at, q.updated_at";

/// What is stored may name kinds of a later version.
fn kinds_of(text: &str) -> serde_json::Result<Kinds> {
    serde_json::from_str(text).map(Kinds::kept)
}

impl Row {
    fn kept(self, now: i64) -> Result<Kept> {
        let Self { id, user_id, reason, version, failing_since, failed_at, failure, delivered_at, .. } = self;
        let Self { url, description, kinds, secrets, state, created_at, updated_at, .. } = self;
        let corrupt = |why: String| Error::Corrupt { what: "webhook endpoint", id, why };
        let signing: Signing = serde_json::from_str(&secrets).map_err(|e| corrupt(e.to_string()))?;
        let endpoint = Endpoint {
            id,
            user_id,
            url: WebAddress::try_from(url).map_err(corrupt)?,
            description: OptionalLine::try_from(description).map_err(corrupt)?,
            kinds: kinds_of(&kinds).map_err(|e| corrupt(e.to_string()))?,
            state: State::try_from(state).map_err(corrupt)?,
            reason,
            version,
            failing_since,
            failure,
            delivered_at,
            secrets: signing.info(now),
            created_at,
            updated_at,
        };
        Ok(Kept { endpoint, signing, failed_at })
    }
}

/// What came of a request, as far as its endpoint's health goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It arrived.
    Delivered,
    /// It did not, and why; whether it is the first one that did not.
    Failed {
        /// Why.
        why: String,
        /// Whether the endpoint was well before.
        is_first: bool,
    },
    /// It did not, and the endpoint is sent nothing more: why it failed, and why it is disabled.
    Disabled(String, String),
}

impl Store {
    /// A page of endpoints with an id above `after`; of a user, or of all.
    pub(crate) async fn endpoints(&self, user_id: Option<i64>, after: Option<i64>, limit: i64) -> Result<Vec<Kept>> {
        let mut query = Conditions::default();
        query.fixed("q.deleted_at is null");
        if let Some(user_id) = user_id {
            query.and("q.user_id = ?", Arg::Int(user_id));
        }
        let order = query.behind(None, "q.id", false, after.map(|id| (None, id)).as_ref());
        let rows: Vec<Row> =
            query.fetch(self, &format!("select {COLUMNS} from webhook_endpoints q"), &order, limit).await?;
        let now = self.clock.now_ms();
        rows.into_iter().map(|row| row.kept(now)).collect()
    }

    /// One endpoint.
    pub(crate) async fn endpoint(&self, id: i64) -> Result<Option<Kept>> {
        let sql = format!("select {COLUMNS} from webhook_endpoints q where q.id = $1 and q.deleted_at is null");
        let sql = self.dialect().sql(&sql);
        let row: Option<Row> = with_pool!(self, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)?;
        row.map(|row| row.kept(self.clock.now_ms())).transpose()
    }

    /// How many endpoints hear of own orders or of all, and how they fare: active, failing, paused or disabled.
    pub(crate) async fn count_endpoints(&self) -> Result<Vec<(&'static str, &'static str, i64)>> {
        let is_shops = "case when user_id is null then 1 else 0 end";
        let is_failing = "case when failing_since is null then 0 else 1 end";
        let sql = self.dialect().sql(&format!(
            "select {is_shops}, state, {is_failing}, count(*) from webhook_endpoints where deleted_at is null \
             group by {is_shops}, state, {is_failing}"
        ));
        let rows: Vec<(i32, String, i32, i64)> = with_pool!(self, |pool| sqlx::query_as(sql).fetch_all(pool).await)?;
        let mut counts = Vec::new();
        for orders in [Orders::All, Orders::Own] {
            for (name, state, failing) in [
                ("active", State::Active, Some(false)),
                ("failing", State::Active, Some(true)),
                ("paused", State::Paused, None),
                ("disabled", State::Disabled, None),
            ] {
                let is_one = |(shops, of, fails, _): &&(i32, String, i32, i64)| {
                    (*shops == 1) == (orders == Orders::All)
                        && of == state.as_str()
                        && failing.is_none_or(|failing| failing == (*fails == 1))
                };
                let sum = rows.iter().filter(is_one).map(|(.., count)| count).sum();
                counts.push((orders.as_str(), name, sum));
            }
        }
        Ok(counts)
    }

    /// Notes what came of a request, unless the endpoint was changed or deleted since the request was made: what was sent elsewhere
    /// says nothing of it.
    pub(crate) async fn note_health(&self, endpoint: &Endpoint, health: &Health, now: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        let (dialect, id, version) = (tx.dialect(), endpoint.id, endpoint.version);
        match health {
            Health::Delivered => {
                let sql = dialect.sql(
                    "update webhook_endpoints set failing_since = null, failure = null, delivered_at = $1 \
                     where id = $2 and version = $3 and deleted_at is null",
                );
                with_tx!(&mut tx, |c| sqlx::query(sql).bind(now).bind(id).bind(version).execute(c).await.map(drop))?;
            }
            Health::Failed { why, .. } | Health::Disabled(why, _) => {
                let is_first = matches!(health, Health::Failed { is_first: true, .. });
                let since = if is_first { "$1" } else { "coalesce(failing_since, $1)" };
                let sql = dialect.sql(&format!(
                    "update webhook_endpoints set failing_since = {since}, failed_at = $2, failure = $3 \
                     where id = $4 and version = $5 and deleted_at is null"
                ));
                with_tx!(&mut tx, |c| {
                    let query = sqlx::query(sql).bind(now).bind(now).bind(why).bind(id).bind(version);
                    query.execute(c).await.map(drop)
                })?;
            }
        }
        if let Health::Disabled(_, reason) = health {
            let sql = dialect.sql(
                "update webhook_endpoints set state = 'disabled', reason = $1, version = version + 1, updated_at = $2 \
                 where id = $3 and version = $4 and deleted_at is null",
            );
            with_tx!(&mut tx, |c| {
                sqlx::query(sql).bind(reason).bind(now).bind(id).bind(version).execute(c).await.map(drop)
            })?;
        }
        tx.commit().await
    }

    /// Keeps secrets that were sealed anew, unless they have changed since.
    pub(crate) async fn reseal(&self, endpoint: i64, old: &Signing, new: &Signing) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql("update webhook_endpoints set secrets = $1 where id = $2 and secrets = $3");
        let (old, new) = (json(old), json(new));
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(new).bind(endpoint).bind(old).execute(c).await.map(drop))?;
        tx.commit().await
    }
}

/// When the oldest of the endpoints was made that are there, unix milliseconds.
pub(crate) async fn oldest(tx: &mut Tx) -> Result<Option<i64>> {
    let sql = tx.dialect().sql("select min(created_at) from webhook_endpoints where deleted_at is null");
    Ok(with_tx!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await)?)
}

/// How many endpoints a user has, or the shop.
pub(crate) async fn count(tx: &mut Tx, user_id: Option<i64>) -> Result<i64> {
    let whose = if user_id.is_some() { "user_id = $1" } else { "user_id is null and $1 = 0" };
    let sql = format!("select count(*) from webhook_endpoints where deleted_at is null and {whose}");
    let sql = tx.dialect().sql(&sql);
    Ok(with_tx!(tx, |c| sqlx::query_scalar(sql).bind(user_id.unwrap_or(0)).fetch_one(c).await)?)
}

/// How many endpoints a user has made since a time, unix milliseconds, those that were deleted included.
pub(crate) async fn made_since(tx: &mut Tx, user_id: i64, since: i64) -> Result<i64> {
    let sql = tx.dialect().sql("select count(*) from webhook_endpoints where user_id = $1 and created_at > $2");
    Ok(with_tx!(tx, |c| sqlx::query_scalar(sql).bind(user_id).bind(since).fetch_one(c).await)?)
}

/// Whether a test of a locked endpoint is queued.
pub(crate) async fn is_tested(tx: &mut Tx, id: i64) -> Result<bool> {
    let sql = tx.dialect().sql("select count(*) from notification_events_queue where lane = $1");
    let lane = i64::from(Lane::Endpoint { endpoint: id, order: 0 });
    let queued: i64 = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(lane).fetch_one(c).await)?;
    Ok(queued > 0)
}

/// Makes due what waits for a locked endpoint, and is not being sent.
pub(crate) async fn make_due(tx: &mut Tx, id: i64, offset_ms: i64) -> Result<()> {
    let now = tx.dialect().now_ms(offset_ms);
    let (first, last) = Lane::of_endpoint(id);
    let sql = tx.dialect().sql(&format!(
        "update notification_events_queue set due_at = {now} where lane >= $1 and lane <= $2 and claims = 0 \
         and due_at + 0 > {now}"
    ));
    with_tx!(tx, |c| sqlx::query(sql).bind(first).bind(last).execute(c).await.map(drop))?;
    Ok(())
}

/// Writes a new endpoint; its number.
pub(crate) async fn insert(tx: &mut Tx, endpoint: &Endpoint, signing: &Signing) -> Result<i64> {
    let Endpoint { user_id, url, description, kinds, state, reason, created_at, updated_at, .. } = endpoint;
    Ok(insert_id!(
        tx,
        "insert into webhook_endpoints (user_id, url, description, kinds, secrets, state, reason, version, created_at, \
         updated_at) values ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9)",
        *user_id,
        url.as_str(),
        description.as_str(),
        json(kinds),
        json(signing),
        state.as_str(),
        reason.as_str(),
        *created_at,
        *updated_at,
    ))
}

/// One endpoint, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: i64, now: i64) -> Result<Option<Kept>> {
    let sql = tx.dialect().sql(&format!(
        "select {COLUMNS} from webhook_endpoints q where q.id = $1 and q.deleted_at is null {}",
        tx.dialect().lock()
    ));
    let row: Option<Row> = with_tx!(tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)?;
    row.map(|row| row.kept(now)).transpose()
}

/// Writes a locked endpoint's next version.
pub(crate) async fn update(tx: &mut Tx, kept: &Kept) -> Result<()> {
    let Endpoint { id, url, description, kinds, state, reason, version, failing_since, failure, updated_at, .. } =
        &kept.endpoint;
    let sql = tx.dialect().sql(
        "update webhook_endpoints set url = $1, description = $2, kinds = $3, secrets = $4, state = $5, reason = $6, \
         version = $7, failing_since = $8, failure = $9, updated_at = $10 where id = $11",
    );
    with_tx!(tx, |c| {
        let query = sqlx::query(sql).bind(url.as_str()).bind(description.as_str()).bind(json(kinds));
        let query = query.bind(json(&kept.signing)).bind(state.as_str()).bind(reason).bind(*version);
        query.bind(*failing_since).bind(failure.as_deref()).bind(*updated_at).bind(*id).execute(c).await.map(drop)
    })?;
    Ok(())
}

/// Deletes a locked endpoint, its secrets with it. The row stays: its number names lanes.
pub(crate) async fn delete(tx: &mut Tx, id: i64, now: i64) -> Result<()> {
    let sql = tx.dialect().sql(
        "update webhook_endpoints set deleted_at = $1, url = 'https://deleted.invalid', description = '', secrets = '[]', \
         reason = '', failure = null where id = $2",
    );
    with_tx!(tx, |c| sqlx::query(sql).bind(now).bind(id).execute(c).await.map(drop))?;
    Ok(())
}

/// Deletes all endpoints of a user.
pub(crate) async fn delete_of(tx: &mut Tx, user_id: i64, now: i64) -> Result<()> {
    let sql = tx.dialect().sql("select id from webhook_endpoints where user_id = $1 and deleted_at is null");
    let ids: Vec<i64> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(user_id).fetch_all(c).await)?;
    for id in ids {
        delete(tx, id, now).await?;
    }
    Ok(())
}

/// The place of the next test in a locked endpoint's lane.
async fn next_place(tx: &mut Tx, id: i64) -> Result<i64> {
    let sql = tx.dialect().sql("update webhook_endpoints set last_place = last_place + 1 where id = $1");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(id).execute(c).await.map(drop))?;
    let sql = tx.dialect().sql("select last_place from webhook_endpoints where id = $1");
    Ok(with_tx!(tx, |c| sqlx::query_scalar(sql).bind(id).fetch_one(c).await)?)
}
