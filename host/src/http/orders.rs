use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::answer::{List, changed, created, page, tagged};
use super::extract::{Asked, Body, Caller, Id, IfMatch};
use super::problem::Problem;
use crate::service::{Once, PageRequest, Principal};
use crate::shop::order::{
    Change, NewInvoice, NewNote, NewOrder, NewRefund, Order, OrderFilter, OrderSort, PaymentReport, Status,
    StatusChange,
};

/// A point in time, as clients write it (RFC 3339).
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Time(#[serde(with = "crate::clock::rfc3339")] i64);

impl Time {
    pub(super) fn unix_ms(self) -> i64 {
        self.0
    }
}

/// What is asked of the list of orders.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderQuery {
    /// Items of the page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Of this user; for admins, who else see everybody's.
    user_id: Option<i64>,
    /// That stand there.
    status: Option<Status>,
    /// Placed later than this.
    #[param(value_type = Option<String>, format = DateTime)]
    created_after: Option<Time>,
    /// Placed earlier than this.
    #[param(value_type = Option<String>, format = DateTime)]
    created_before: Option<Time>,
    /// In which order.
    #[serde(default)]
    #[param(value_type = Option<OrderSort>)]
    sort: OrderSort,
}

/// Places an order for the caller.
#[utoipa::path(
    post,
    path = "/v1/orders",
    tag = "orders",
    params(("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    request_body = NewOrder,
    responses(
        (status = 201, description = "The order", body = Order),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn place(
    State(app): State<App>,
    Caller(who): Caller,
    Body(new, once): Body<NewOrder>,
) -> Result<Response, Problem> {
    let order = app.place_order(who, new, once.as_ref()).await?;
    Ok(created(&order, order.version, format!("/v1/orders/{}", order.id)))
}

/// One order: the caller's own, or any for admins.
#[utoipa::path(
    get,
    path = "/v1/orders/{id}",
    tag = "orders",
    params(("id" = i64, Path), ("If-None-Match" = Option<String>, Header, description = "The entity tag that the client has.")),
    responses(
        (status = 200, description = "The order", body = Order),
        (status = 304, description = "It has not changed"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn one(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order = app.order(who, id).await?;
    Ok(tagged(&order, order.version, &headers))
}

/// A page of orders: the caller's own, or everybody's for admins.
#[utoipa::path(
    get,
    path = "/v1/orders",
    tag = "orders",
    params(OrderQuery),
    responses(
        (status = 200, description = "The page", body = List<Order>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(
    State(app): State<App>,
    Caller(who): Caller,
    Asked(asked): Asked<OrderQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    let OrderQuery { limit, cursor, user_id, status, created_after, created_before, sort } = asked;
    let ms = |time: Option<Time>| time.map(|Time(ms)| ms);
    let (created_after, created_before) = (ms(created_after), ms(created_before));
    let filter = OrderFilter { user_id, status, created_after, created_before, sort };
    Ok(page(app.orders(who, &filter, &PageRequest { limit, cursor }).await?, &uri))
}

async fn make(
    app: &App,
    who: Principal,
    id: i64,
    change: Change,
    expected: Option<i64>,
    once: Option<&Once>,
) -> Result<Response, Problem> {
    let order = app.change_order(who, id, change, expected, once).await?;
    Ok(changed(&order, order.version))
}

/// Moves an order on. For admins.
#[utoipa::path(
    patch,
    path = "/v1/orders/{id}/status",
    tag = "orders",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects."), ("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    request_body = StatusChange,
    responses(
        (status = 200, description = "The order", body = Order),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn change_status(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
    Body(change, once): Body<StatusChange>,
) -> Result<Response, Problem> {
    make(&app, who, id, change.into(), expected, once.as_ref()).await
}

/// Records money that is paid back: an amount, pieces, or an amount for pieces. For admins.
#[utoipa::path(
    post,
    path = "/v1/orders/{id}/refunds",
    tag = "orders",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects."), ("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    request_body = NewRefund,
    responses(
        (status = 200, description = "The order", body = Order),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn refund(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
    Body(change, once): Body<NewRefund>,
) -> Result<Response, Problem> {
    make(&app, who, id, change.into(), expected, once.as_ref()).await
}

/// Records what became of a payment. For admins.
#[utoipa::path(
    put,
    path = "/v1/orders/{id}/payment",
    tag = "orders",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects."), ("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    request_body = PaymentReport,
    responses(
        (status = 200, description = "The order", body = Order),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn report_payment(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
    Body(change, once): Body<PaymentReport>,
) -> Result<Response, Problem> {
    make(&app, who, id, change.into(), expected, once.as_ref()).await
}

/// Records the bill of an order: its first, or another one instead. For admins.
#[utoipa::path(
    put,
    path = "/v1/orders/{id}/invoice",
    tag = "orders",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects."), ("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    request_body = NewInvoice,
    responses(
        (status = 200, description = "The order", body = Order),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn invoice(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
    Body(change, once): Body<NewInvoice>,
) -> Result<Response, Problem> {
    make(&app, who, id, change.into(), expected, once.as_ref()).await
}

/// Says something to the customer about an order while nothing else happens to it. For admins.
#[utoipa::path(
    post,
    path = "/v1/orders/{id}/notes",
    tag = "orders",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects."), ("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    request_body = NewNote,
    responses(
        (status = 200, description = "The order", body = Order),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn note(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
    Body(change, once): Body<NewNote>,
) -> Result<Response, Problem> {
    make(&app, who, id, change.into(), expected, once.as_ref()).await
}

/// Cancels an order that is pending; its pieces return to the stock. One's own, or any for admins.
#[utoipa::path(
    delete,
    path = "/v1/orders/{id}",
    tag = "orders",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects.")),
    responses(
        (status = 200, description = "The order", body = Order),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn cancel(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
) -> Result<Response, Problem> {
    let order = app.cancel_order(who, id, expected).await?;
    Ok(changed(&order, order.version))
}
