//! What endpoints of webhooks are sent: which hear of a change, what a request refers to, and what it is made of.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::{COLUMNS, Kept, Row, kinds_of, next_place};
use crate::endpoint::TEST_KIND;
use crate::notification::{ENDPOINT_ORDER_ID_MAX, Lane, Payload};
use crate::store::dialect::Column::Int;
use crate::store::notifications::{self, NewEvent, NewRow};
use crate::store::users::json;
use crate::store::{Result, Store, Tx, retention, with_pool, with_tx};

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

/// That there is no endpoint at all is believed for so long, in milliseconds: most shops have none, and each order would ask.
/// Whoever makes the first one waits for as long before it is said to be there.
pub(crate) const UNHEARD_MS: i64 = 1_000;

impl Store {
    /// Whether there is an endpoint that may hear of a change that is made in this transaction.
    pub(crate) async fn is_heard(&self, tx: &mut Tx) -> Result<bool> {
        let began_ms = self.clock.monotonic_ms();
        if began_ms < self.unheard_until_ms.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let sql = tx.dialect().sql("select id from webhook_endpoints where deleted_at is null order by id limit 1");
        let any: Option<i64> = with_tx!(tx, |c| sqlx::query_scalar(sql).fetch_optional(c).await)?;
        if any.is_none() {
            self.unheard_until_ms.store(began_ms + UNHEARD_MS, Ordering::Relaxed);
        }
        Ok(any.is_some())
    }

    /// What requests are sent to and what they tell: for each its endpoint, unless it was deleted, and the payload of the
    /// notification that it tells, unless it is a test or that was forgotten. As many answers.
    pub(crate) async fn requested(
        &self,
        requests: &[(i64, Option<i64>)],
    ) -> Result<Vec<(Option<Kept>, Option<String>)>> {
        let dialect = self.dialect();
        let rows = |ids: BTreeSet<i64>| {
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
}

/// Whether what a notification tells is still known: a request's is its mail's.
pub(crate) async fn has_contents(tx: &mut Tx, id: i64) -> Result<bool> {
    let sql = tx.dialect().sql("select payload from notification_payloads where state_id = $1");
    let payload: Option<String> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(id).fetch_optional(c).await)?;
    match payload.map(|text| Request::read(&text)) {
        None => Ok(false),
        Some(Some(Request { tells: Tells::Of(mail), .. })) => retention::has_contents(tx, mail).await,
        Some(_) => Ok(true),
    }
}

/// Which endpoints hear of changes.
#[derive(Clone, Debug, sqlx_macros::FromRow)]
struct Listener {
    id: i64,
    user_id: Option<i64>,
    kinds: String,
}

impl Listener {
    /// Whether it hears of a change of this kind, of an order of this user. A silent one is silent towards customers.
    fn hears(&self, kind: &str, user_id: i64, is_silent: bool) -> bool {
        let is_its = self.user_id.is_none_or(|own| own == user_id && !is_silent);
        is_its && kinds_of(&self.kinds).is_ok_and(|kinds| kinds.has(kind))
    }
}

/// The requests that go out with new notifications, of these numbers.
pub(in crate::store) async fn requests<'a>(
    tx: &mut Tx,
    events: &'a [NewEvent],
    ids: &[i64],
) -> Result<Vec<NewRow<'a>>> {
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
        "select q.id, q.user_id, q.kinds from webhook_endpoints q where q.user_id is null and q.deleted_at is null \
         union all select q.id, q.user_id, q.kinds from {} {} webhook_endpoints q \
         where q.user_id = x.member and q.deleted_at is null order by 1",
        dialect.rows(1, &[Int("member")]),
        dialect.join(),
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
