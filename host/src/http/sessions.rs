use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::App;
use super::answer::NO_STORE;
use super::extract::{Body, Caller, From, Id};
use super::problem::Problem;
use crate::service::{Session, SessionInfo};
use crate::shop::user::{Credentials, Renewal};

/// Logs in.
#[utoipa::path(
    post,
    path = "/v1/sessions",
    tag = "sessions",
    request_body = Credentials,
    responses(
        (status = 201, description = "The session", body = Session),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(super) async fn log_in(
    State(app): State<App>,
    From(from): From,
    Body(credentials, _): Body<Credentials>,
) -> Result<impl IntoResponse, Problem> {
    Ok((StatusCode::CREATED, NO_STORE, Json(app.log_in(credentials, from).await?)))
}

/// Renews a session. The refresh token is spent, a new one comes with the answer; a spent one that is used again ends the session.
#[utoipa::path(
    post,
    path = "/v1/sessions/renew",
    tag = "sessions",
    request_body = Renewal,
    responses(
        (status = 200, description = "The session", body = Session),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(super) async fn renew(
    State(app): State<App>,
    Body(renewal, _): Body<Renewal>,
) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, Json(app.renew_session(&renewal.refresh_token).await?)))
}

/// The caller's sessions that are alive, the newest first.
#[utoipa::path(
    get,
    path = "/v1/sessions",
    tag = "sessions",
    responses(
        (status = 200, description = "The sessions", body = Vec<SessionInfo>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(State(app): State<App>, Caller(who): Caller) -> Result<impl IntoResponse, Problem> {
    Ok((NO_STORE, Json(app.sessions(who).await?)))
}

/// Logs out: ends the session that asks. Its access token runs out by itself.
#[utoipa::path(
    delete,
    path = "/v1/sessions/current",
    tag = "sessions",
    responses(
        (status = 204, description = "It has ended"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn log_out(State(app): State<App>, Caller(who): Caller) -> Result<StatusCode, Problem> {
    app.end_session(who, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of the caller's sessions.
#[utoipa::path(
    delete,
    path = "/v1/sessions/{id}",
    tag = "sessions",
    params(("id" = i64, Path)),
    responses(
        (status = 204, description = "It has ended"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn revoke(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
) -> Result<StatusCode, Problem> {
    app.end_session(who, Some(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
