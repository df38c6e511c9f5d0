//! Endpoints of webhooks, and what they are sent.

use serde::{Deserialize, Serialize};

use super::conditions::{Arg, Conditions};
use super::dialect::Column::Int;
use super::notifications::{NewEvent, NewRow};
use super::tx::insert_id;
use super::users::json;
use super::{Error, Result, Store, Tx, notifications, with_pool, with_tx};
use crate::endpoint::{Endpoint, Kinds, Orders, Signing, State, TEST_KIND};
use crate::notification::{ENDPOINT_ORDER_ID_MAX, Lane, Payload};
use crate::shop::text::{OptionalLine, WebAddress};

/// What a request to an endpoint is made of, stored in place of what a mail says: what the mail of the same change says is not
/// kept twice, and follows its customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The endpoint.
    pub(crate) endpoint: i64,
    /// What it tells.
    pub(crate) tells: Tells,
}

/// What a request tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tells {
    /// What the notification of this number tells.
    Of(i64),
    /// This, which tries the endpoint.
    Test(Box<Payload>),
}

/// Of another shape than all payloads, so that neither is taken for the other.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    webhook: Request,
}

impl Request {
    /// As it is stored.
    pub(crate) fn text(self) -> String {
        json(&Stored { webhook: self })
    }

    /// Reads what is stored; none: it is a mail's payload.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if !text.starts_with("{\"webhook\"") {
            return None;
        }
        serde_json::from_str::<Stored>(text).ok().map(|stored| stored.webhook)
    }
}

/// An endpoint, and what signs its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) endpoint: Endpoint,
    pub(crate) signing: Signing,
    /// When a request failed last, unix milliseconds.
    pub(crate) failed_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
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
            kinds: serde_json::from_str::<Kinds>(&kinds).map_err(|e| corrupt(e.to_string()))?,
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
    /// It did not, and why.
    Failed(String),
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

    /// What requests are sent to and what they tell: for each its endpoint, unless it was deleted, and the payload of the
    /// notification that it tells, unless it is a test or that was forgotten. As many answers.
    pub(crate) async fn requested(
        &self,
        requests: &[(i64, Option<i64>)],
    ) -> Result<Vec<(Option<Kept>, Option<String>)>> {
        let dialect = self.dialect();
        let rows = |ids: std::collections::BTreeSet<i64>| {
            json(&ids.into_iter().map(|id| serde_json::json!({ "wanted": id })).collect::<Vec<_>>())
        };
        let sql = dialect.sql(&format!(
            "select {COLUMNS} from {} {} webhook_endpoints q where q.id = x.wanted and q.deleted_at is null",
            dialect.rows(1, &[Int("wanted")]),
            dialect.join(),
        ));
        let wanted = rows(requests.iter().map(|(endpoint, _)| *endpoint).collect());
        let found: Vec<Row> = with_pool!(self, |pool| sqlx::query_as(sql).bind(wanted).fetch_all(pool).await)?;
        let now = self.clock.now_ms();
        let found = found.into_iter().map(|row| row.kept(now)).collect::<Result<Vec<Kept>>>()?;
        let sql = dialect.sql(&format!(
            "select q.state_id, q.payload from {} {} notification_payloads q where q.state_id = x.wanted",
            dialect.rows(1, &[Int("wanted")]),
            dialect.join(),
        ));
        let wanted = rows(requests.iter().filter_map(|(_, of)| *of).collect());
        let told: Vec<(i64, String)> = with_pool!(self, |pool| sqlx::query_as(sql).bind(wanted).fetch_all(pool).await)?;
        let answer = |(endpoint, of): &(i64, Option<i64>)| {
            let kept = found.iter().find(|kept| kept.endpoint.id == *endpoint).cloned();
            let payload = told.iter().find(|(id, _)| Some(*id) == *of).map(|(_, payload)| payload.clone());
            (kept, payload)
        };
        Ok(requests.iter().map(answer).collect())
    }

    /// Notes what came of a request. One that was disabled or deleted meanwhile stays it.
    pub(crate) async fn note_health(&self, endpoint: i64, health: &Health, now: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        let dialect = tx.dialect();
        match health {
            Health::Delivered => {
                let sql = dialect.sql(
                    "update webhook_endpoints set failing_since = null, failure = null, delivered_at = $1 where id = $2",
                );
                with_tx!(&mut tx, |c| sqlx::query(sql).bind(now).bind(endpoint).execute(c).await.map(drop))?;
            }
            Health::Failed(why) | Health::Disabled(why, _) => {
                let sql = dialect.sql(
                    "update webhook_endpoints set failing_since = coalesce(failing_since, $1), failed_at = $2, \
                     failure = $3 where id = $4",
                );
                with_tx!(&mut tx, |c| {
                    sqlx::query(sql).bind(now).bind(now).bind(why).bind(endpoint).execute(c).await.map(drop)
                })?;
            }
        }
        if let Health::Disabled(_, reason) = health {
            let sql = dialect.sql(
                "update webhook_endpoints set state = 'disabled', reason = $1, version = version + 1, updated_at = $2 \
                 where id = $3 and state <> 'disabled'",
            );
            with_tx!(&mut tx, |c| sqlx::query(sql).bind(reason).bind(now).bind(endpoint).execute(c).await.map(drop))?;
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

/// How many endpoints a user has, or the shop.
pub(crate) async fn count(tx: &mut Tx, user_id: Option<i64>) -> Result<i64> {
    let whose = if user_id.is_some() { "user_id = $1" } else { "user_id is null and $1 = 0" };
    let sql = format!("select count(*) from webhook_endpoints where deleted_at is null and {whose}");
    let sql = tx.dialect().sql(&sql);
    Ok(with_tx!(tx, |c| sqlx::query_scalar(sql).bind(user_id.unwrap_or(0)).fetch_one(c).await)?)
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

/// Which endpoints hear of changes.
#[derive(Clone, Debug, sqlx::FromRow)]
struct Listener {
    id: i64,
    user_id: Option<i64>,
    kinds: String,
}

impl Listener {
    /// Whether it hears of a change of this kind, of an order of this user. A silent one is silent towards customers.
    fn hears(&self, kind: &str, user_id: i64, is_silent: bool) -> bool {
        let is_its = self.user_id.is_none_or(|own| own == user_id && !is_silent);
        is_its && serde_json::from_str::<Kinds>(&self.kinds).is_ok_and(|kinds| kinds.has(kind))
    }
}

/// The requests that go out with new notifications, of these numbers.
pub(super) async fn requests<'a>(tx: &mut Tx, events: &'a [NewEvent], ids: &[i64]) -> Result<Vec<NewRow<'a>>> {
    let order_of = |event: &NewEvent| event.lane.order().filter(|order| *order <= ENDPOINT_ORDER_ID_MAX);
    let mut users: Vec<i64> = events.iter().filter(|e| order_of(e).is_some()).map(|e| e.payload.customer.id).collect();
    if users.is_empty() {
        return Ok(Vec::new());
    }
    users.sort_unstable();
    users.dedup();
    let listeners = listeners(tx, &users).await?;
    let mut requests = Vec::new();
    for (event, id) in events.iter().zip(ids) {
        let Some(order) = order_of(event) else { continue };
        let (kind, is_silent) = (event.payload.kind.as_str(), event.silent.is_some());
        for Listener { id: endpoint, .. } in
            listeners.iter().filter(|l| l.hears(kind, event.payload.customer.id, is_silent))
        {
            requests.push(NewRow {
                lane: Lane::Endpoint { endpoint: *endpoint, order },
                place: event.place,
                silent: None,
                message_id: request_id(&event.message_id, *endpoint).into(),
                kind,
                payload: Request { endpoint: *endpoint, tells: Tells::Of(*id) }.text(),
            });
        }
    }
    Ok(requests)
}

/// The `webhook-id` of a request, which is unique and the same in every attempt: no full stop may be in it.
pub(crate) fn request_id(message_id: &str, endpoint: i64) -> String {
    let unique = message_id.split('@').next().unwrap_or_default();
    format!("msg_{}_{endpoint}", unique.replace(['-', '.'], ""))
}

/// Queues a request that only tries a locked endpoint; its number.
pub(crate) async fn test(
    tx: &mut Tx,
    endpoint: i64,
    message_id: &str,
    payload: Payload,
    offset_ms: i64,
) -> Result<i64> {
    let place = next_place(tx, endpoint).await?;
    let row = NewRow {
        lane: Lane::Endpoint { endpoint, order: 0 },
        place,
        silent: None,
        message_id: request_id(message_id, endpoint).into(),
        kind: TEST_KIND,
        payload: Request { endpoint, tells: Tells::Test(Box::new(payload)) }.text(),
    };
    Ok(notifications::write(tx, &[row], offset_ms).await?.pop().unwrap_or_default())
}

/// The endpoints that hear of all orders, or of those of these users.
async fn listeners(tx: &mut Tx, users: &[i64]) -> Result<Vec<Listener>> {
    let dialect = tx.dialect();
    let rows = json(&users.iter().map(|id| serde_json::json!({ "member": id })).collect::<Vec<_>>());
    let sql = dialect.sql(&format!(
        "select q.id, q.user_id, q.kinds from webhook_endpoints q where q.deleted_at is null and (q.user_id is null \
         or q.user_id in (select x.member from {})) order by q.id",
        dialect.rows(1, &[Int("member")]),
    ));
    Ok(with_tx!(tx, |c| sqlx::query_as(sql).bind(rows).fetch_all(c).await)?)
}

#[cfg(test)]
mod tests {
    use super::{Payload, Request, Tells};

    #[test]
    fn a_request_is_no_payload() {
        let request = Request { endpoint: 1, tells: Tells::Of(7) };
        assert_eq!(Request::read(&request.clone().text()), Some(request.clone()));
        assert!(Payload::read(&request.text()).is_err());
        assert_eq!(Request::read("{\"kind\":\"order.placed\"}"), None);
    }
}
