use axum::Json;
use axum::extract::State;

use super::App;
use super::extract::{Body, Caller};
use super::notifications::ByHand;
use super::problem::Problem;
use crate::service::QueueStatus;

/// How the queue of notifications stands. For viewers.
#[utoipa::path(
    get,
    path = "/v1/queue",
    tag = "notifications",
    responses(
        (status = 200, description = "How it stands", body = QueueStatus),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn one(State(app): State<App>, Caller(who): Caller) -> Result<Json<QueueStatus>, Problem> {
    Ok(Json(app.queue_status(who).await?))
}

/// Keeps every host from claiming another notification until the queue is resumed; what is claimed (`under_way`) is
/// delivered, and orders go on. Paused already, it stays as it was. For operators.
#[utoipa::path(
    post,
    path = "/v1/queue/pause",
    tag = "notifications",
    request_body = ByHand,
    responses(
        (status = 200, description = "How it stands", body = QueueStatus),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn pause(
    State(app): State<App>,
    Caller(who): Caller,
    Body(ByHand { why }, _): Body<ByHand>,
) -> Result<Json<QueueStatus>, Problem> {
    Ok(Json(app.pause_queue(who, &why).await?))
}

/// Lets hosts deliver again. For operators.
#[utoipa::path(
    post,
    path = "/v1/queue/resume",
    tag = "notifications",
    responses(
        (status = 200, description = "How it stands", body = QueueStatus),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn resume(State(app): State<App>, Caller(who): Caller) -> Result<Json<QueueStatus>, Problem> {
    Ok(Json(app.resume_queue(who).await?))
}
