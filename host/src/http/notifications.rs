use axum::Json;
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::answer::{List, page};
use super::extract::{Asked, Body, Caller, Id};
use super::orders::Time;
use super::problem::Problem;
use crate::notification::report::Delivery;
use crate::notification::{Filter, State as Standing};
use crate::service::{PageRequest, Received, Record, Retry};

/// What is asked of the list of notifications.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationQuery {
    /// Items of the page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// That stand there; "not sent" are those in the queue.
    state: Option<Standing>,
    /// Of this order: its mails, or what an endpoint was sent of it if one is given.
    order_id: Option<i64>,
    /// To this customer.
    user_id: Option<i64>,
    /// To this endpoint of a webhook.
    endpoint_id: Option<i64>,
    /// Made earlier than this.
    #[param(value_type = Option<String>, format = DateTime)]
    created_before: Option<Time>,
    /// Ended at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    ended_since: Option<Time>,
    /// Of this kind, such as "order.shipped".
    #[param(max_length = 100, pattern = "^[^\\u0000]*$")]
    kind: Option<String>,
    /// Offered to this relay at least once.
    #[param(max_length = 100, pattern = "^[^\\u0000]*$")]
    relay: Option<String>,
    /// Whose reason holds these words, in any case.
    #[param(max_length = 100, pattern = "^[^\\u0000]*$")]
    reason: Option<String>,
    /// Whether an operator's cancel is what ended it.
    cancelled: Option<bool>,
    /// Of which this is known by what other servers reported.
    #[param(inline)]
    delivery: Option<Delivery>,
    /// The newest first, not the oldest.
    #[serde(default)]
    newest_first: bool,
}

/// A page of notifications. For viewers.
#[utoipa::path(
    get,
    path = "/v1/notifications",
    tag = "notifications",
    params(NotificationQuery),
    responses(
        (status = 200, description = "The page", body = List<Record>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(
    State(app): State<App>,
    Caller(who): Caller,
    Asked(asked): Asked<NotificationQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    let NotificationQuery {
        limit,
        cursor,
        state,
        order_id,
        user_id,
        endpoint_id,
        created_before,
        ended_since,
        kind,
        relay,
        reason,
        cancelled,
        delivery,
        newest_first,
    } = asked;
    let [created_before, ended_since] = [created_before, ended_since].map(|time| time.map(Time::unix_ms));
    let filter = Filter {
        state,
        order_id,
        user_id,
        endpoint_id,
        created_before,
        ended_since,
        kind,
        relay,
        reason,
        cancelled,
        delivery,
        newest_first,
    };
    Ok(page(app.notifications(who, &filter, &PageRequest { limit, cursor }).await?, &uri))
}

/// One notification, with what became of each attempt. For viewers.
#[utoipa::path(
    get,
    path = "/v1/notifications/{id}",
    tag = "notifications",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The notification", body = Record),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn one(State(app): State<App>, Caller(who): Caller, Id(id): Id<i64>) -> Result<Json<Record>, Problem> {
    Ok(Json(app.notification(who, id).await?))
}

/// How a notification is tried again.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationRetry {
    /// Why, for the journal.
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^[^\\u0000]*$")]
    why: String,
    /// Even if a newer mail of the order has gone out.
    #[serde(default)]
    allow_late: bool,
}

/// Why an operator does something.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ByHand {
    /// Why, for the journal.
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^[^\\u0000]*$")]
    pub(super) why: String,
}

/// Queues a notification again that was held, failed or skipped, before what of its order is still queued, to the
/// customer's address of now. Where a newer mail of the order has gone out, only with `allow_late`. For
/// operators.
#[utoipa::path(
    post,
    path = "/v1/notifications/{id}/retry",
    tag = "notifications",
    params(("id" = i64, Path)),
    request_body = NotificationRetry,
    responses(
        (status = 200, description = "The notification", body = Record),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn retry(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    Body(NotificationRetry { why, allow_late }, _): Body<NotificationRetry>,
) -> Result<Json<Record>, Problem> {
    Ok(Json(app.retry_notification(who, id, &Retry { why, allow_late }).await?))
}

/// Ends a notification that is queued or held: its mail is not sent, and the next of its order is due. For
/// operators.
#[utoipa::path(
    post,
    path = "/v1/notifications/{id}/cancel",
    tag = "notifications",
    params(("id" = i64, Path)),
    request_body = ByHand,
    responses(
        (status = 200, description = "The notification", body = Record),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn cancel(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    Body(ByHand { why }, _): Body<ByHand>,
) -> Result<Json<Record>, Problem> {
    Ok(Json(app.cancel_notification(who, id, &why).await?))
}

/// Takes a notification out of the queue until it is tried again or cancelled; the next of its order is due. For
/// operators.
#[utoipa::path(
    post,
    path = "/v1/notifications/{id}/hold",
    tag = "notifications",
    params(("id" = i64, Path)),
    request_body = ByHand,
    responses(
        (status = 200, description = "The notification", body = Record),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn hold(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    Body(ByHand { why }, _): Body<ByHand>,
) -> Result<Json<Record>, Problem> {
    Ok(Json(app.hold_notification(who, id, &why).await?))
}

/// The notifications of an order. What became of each attempt is for admins.
#[utoipa::path(
    get,
    path = "/v1/orders/{id}/notifications",
    tag = "orders",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The notifications, by version", body = Vec<Record>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn of_order(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
) -> Result<Json<Vec<Record>>, Problem> {
    Ok(Json(app.notifications_of(who, id).await?))
}

/// What the mailbox for development holds. For admins.
#[utoipa::path(
    get,
    path = "/v1/mailbox",
    tag = "mailbox",
    responses(
        (status = 200, description = "The mails, the oldest first", body = Vec<Received>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn mails(State(app): State<App>, Caller(who): Caller) -> Result<Json<Vec<Received>>, Problem> {
    Ok(Json(app.mails(who)?))
}

/// One mail, as it came over the wire. For admins.
#[utoipa::path(
    get,
    path = "/v1/mailbox/{id}",
    tag = "mailbox",
    params(("id" = u64, Path)),
    responses(
        (status = 200, description = "The mail", body = Vec<u8>, content_type = "message/rfc822"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn mail(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<u64>,
) -> Result<impl IntoResponse, Problem> {
    let mail = app.mail(who, id)?;
    Ok(([(header::CONTENT_TYPE, "message/rfc822")], Bytes::copy_from_slice(&mail.bytes)))
}
