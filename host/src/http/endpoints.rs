use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::answer::{List, NO_STORE, changed, created, page};
use super::extract::{Asked, Body, Caller, Id, IfMatch, Paging, PatchBody};
use super::problem::Problem;
use crate::endpoint::{Changeable, Endpoint, NewEndpoint};
use crate::service::Revealed;

/// An endpoint with its newest secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookEndpointWithSecret {
    /// The endpoint.
    endpoint: Endpoint,
    /// What signs its requests: "whsec_" and 32 bytes in base64.
    secret: String,
}

impl From<Revealed> for WebhookEndpointWithSecret {
    fn from(Revealed { endpoint, secret }: Revealed) -> Self {
        Self { endpoint, secret: secret.text() }
    }
}

/// A request that was queued.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookTest {
    /// Its notification.
    notification_id: i64,
}

/// A page of endpoints: one's own; for viewers all of them.
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints",
    tag = "webhooks",
    params(Paging),
    responses(
        (status = 200, description = "The page", body = List<Endpoint>),
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
    Ok(page(app.endpoints(who, &paging.into()).await?, &uri))
}

/// Makes an endpoint: it is sent a signed request (Standard Webhooks) for each change of one's own orders, or, for operators, of
/// all. The secret is shown this once.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints",
    tag = "webhooks",
    request_body = NewEndpoint,
    responses(
        (status = 201, description = "The endpoint and its secret", body = WebhookEndpointWithSecret),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn create(
    State(app): State<App>,
    Caller(who): Caller,
    Body(new, _): Body<NewEndpoint>,
) -> Result<Response, Problem> {
    let made = app.create_endpoint(who, &new).await?;
    let (version, path) = (made.endpoint.version, format!("/v1/webhook-endpoints/{}", made.endpoint.id));
    Ok((NO_STORE, created(&WebhookEndpointWithSecret::from(made), version, path)).into_response())
}

/// One endpoint: one's own; for viewers any.
#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints/{id}",
    tag = "webhooks",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The endpoint", body = Endpoint),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn one(State(app): State<App>, Caller(who): Caller, Id(id): Id<i64>) -> Result<Response, Problem> {
    let endpoint = app.endpoint(who, id).await?;
    // How it fares changes without its version: it is never the same as before.
    Ok(changed(&endpoint, endpoint.version))
}

/// Changes what is named and keeps the rest (JSON merge patch). Made active again, an endpoint counts as one that never failed;
/// what was skipped meanwhile operators try again by an operation on notifications.
#[utoipa::path(
    patch,
    path = "/v1/webhook-endpoints/{id}",
    tag = "webhooks",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects.")),
    request_body(content = Changeable, content_type = "application/merge-patch+json", description = "Any of the fields; null clears."),
    responses(
        (status = 200, description = "The endpoint", body = Endpoint),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn update(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
    PatchBody(patch, _): PatchBody,
) -> Result<Response, Problem> {
    let endpoint = app.change_endpoint(who, id, &patch, expected).await?;
    Ok(changed(&endpoint, endpoint.version))
}

/// Deletes an endpoint. What is queued for it is skipped.
#[utoipa::path(
    delete,
    path = "/v1/webhook-endpoints/{id}",
    tag = "webhooks",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects.")),
    responses(
        (status = 204, description = "It is deleted"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn delete(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, Problem> {
    app.delete_endpoint(who, id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an endpoint a new secret, which is shown this once. The one before signs beside it for 24 hours.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/secret",
    tag = "webhooks",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The endpoint and its secret", body = WebhookEndpointWithSecret),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn rotate(State(app): State<App>, Caller(who): Caller, Id(id): Id<i64>) -> Result<Response, Problem> {
    let made: WebhookEndpointWithSecret = app.rotate_endpoint_secret(who, id).await?.into();
    Ok((NO_STORE, Json(made)).into_response())
}

/// Queues a request of the type "webhook.test" for an endpoint.
#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/test",
    tag = "webhooks",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "Its notification", body = WebhookTest),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn test(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
) -> Result<Json<WebhookTest>, Problem> {
    Ok(Json(WebhookTest { notification_id: app.test_endpoint(who, id).await? }))
}
