use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::App;
use super::extract::{Asked, Body, Caller};
use super::notifications::ByHand;
use super::problem::Problem;
use crate::service::{QueuePart, QueueStatus};

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

/// Which part of the queue; the queue as a whole when nothing is given.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// What goes by this relay of the host; mails that may go by another do.
    #[param(max_length = 100, pattern = "^[^\\u0000]*$")]
    relay: Option<String>,
    /// Notifications of this kind, and what their orders have behind them. Not beside a relay: each by itself.
    #[param(value_type = Option<Kind>, inline)]
    kind: Option<String>,
}

/// The kinds of notifications.
#[derive(utoipa::ToSchema)]
#[schema(as = NotificationKind)]
#[expect(dead_code, reason = "for the document")]
enum Kind {
    #[schema(rename = "order.placed")]
    Placed,
    #[schema(rename = "order.shipped")]
    Shipped,
    #[schema(rename = "order.delivered")]
    Delivered,
    #[schema(rename = "order.cancelled")]
    Cancelled,
}

/// Keeps every host from claiming another notification until the queue is resumed, or only from offering mails to one
/// relay or sending those of one kind (other hosts follow within a second); what is claimed (`under_way`) is delivered,
/// and orders go on. Paused already, it stays as it was. For operators.
#[utoipa::path(
    post,
    path = "/v1/queue/pause",
    tag = "notifications",
    params(Part),
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
    Asked(Part { relay, kind }): Asked<Part>,
    Body(ByHand { why }, _): Body<ByHand>,
) -> Result<Json<QueueStatus>, Problem> {
    Ok(Json(app.pause_queue(who, QueuePart { relay, kind }, &why).await?))
}

/// Ends the pause of the whole queue, or that of one relay or kind, whose mails go out within half a minute; each pause ends
/// by itself. For operators.
#[utoipa::path(
    post,
    path = "/v1/queue/resume",
    tag = "notifications",
    params(Part),
    responses(
        (status = 200, description = "How it stands", body = QueueStatus),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn resume(
    State(app): State<App>,
    Caller(who): Caller,
    Asked(Part { relay, kind }): Asked<Part>,
) -> Result<Json<QueueStatus>, Problem> {
    Ok(Json(app.resume_queue(who, QueuePart { relay, kind }).await?))
}
