//! One act on all notifications that match a filter: begun with one request, followed with others.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::answer::{List, page};
use super::extract::{Asked, Body, Caller, Id, Paging};
use super::operations::Prefer;
use super::problem::Problem;
use crate::service::{NewNotificationOperation, NotificationOperation};

/// Retries, cancels or holds all notifications that match a filter, in the background; with `validate_only`, only says
/// how many match. One such operation is under way at a time. For operators.
#[utoipa::path(
    post, path = "/v1/notifications/operations", tag = "notifications", request_body = NewNotificationOperation,
    params(("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    responses(
        (status = 200, description = "How many match, when nothing else was asked", body = NotificationOperation),
        (status = 202, description = "The operation, as it begins", body = NotificationOperation),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn start(
    State(app): State<App>,
    Caller(who): Caller,
    Body(new, once): Body<NewNotificationOperation>,
) -> Result<Response, Problem> {
    let only = new.validate_only;
    let operation = app.start_notification_operation(who, new, once.as_ref()).await?;
    if only {
        return Ok(Json(operation).into_response());
    }
    let location = [(header::LOCATION, format!("/v1/notifications/operations/{}", operation.id))];
    Ok((StatusCode::ACCEPTED, location, Json(operation)).into_response())
}

/// A page of operations on notifications, of all hosts, the newest first. For viewers.
#[utoipa::path(
    get, path = "/v1/notifications/operations", tag = "notifications", params(Paging),
    responses(
        (status = 200, description = "The operations", body = List<NotificationOperation>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(
    State(app): State<App>,
    Caller(who): Caller,
    Asked(paging): Asked<Paging>,
    uri: Uri,
) -> Result<Response, Problem> {
    Ok(page(app.notification_operations(who, &paging.into()).await?, &uri))
}

/// How far an operation on notifications is, and what came of it. For viewers.
#[utoipa::path(
    get, path = "/v1/notifications/operations/{id}", tag = "notifications",
    params(("id" = i64, Path), ("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240): to wait N seconds for the end.")),
    responses(
        (status = 200, description = "The operation", body = NotificationOperation),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn one(
    State(app): State<App>,
    Caller(who): Caller,
    prefer: Prefer,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    let operation = app.wait_for_notification_operation(who, id, prefer.wait()).await?;
    Ok(prefer.applied(Json(operation).into_response()))
}

/// Asks that an operation on notifications end early; what it has done stays done. For operators.
#[utoipa::path(
    post, path = "/v1/notifications/operations/{id}/cancel", tag = "notifications",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The operation; it ends within seconds, or when a host finds that its own has ended", body = NotificationOperation),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn cancel(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
) -> Result<Json<NotificationOperation>, Problem> {
    Ok(Json(app.cancel_notification_operation(who, id).await?))
}
