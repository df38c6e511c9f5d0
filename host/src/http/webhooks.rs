use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;

use super::App;
use super::problem::Problem;

/// The most bytes of a request: what providers batch is smaller.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// Takes what a mail provider reports of mails: bounces, complaints, deliveries, delays. Signed as the provider signs; what is
/// said again changes nothing.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{name}",
    tag = "notifications",
    params(("name" = String, Path)),
    request_body(content = serde_json::Value, description = "As the provider sends it"),
    responses(
        (status = 204, description = "It is written down"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(super) async fn take(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    app.take_webhook(&name, header, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}
