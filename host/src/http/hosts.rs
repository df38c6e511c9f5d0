use axum::Json;
use axum::extract::State;

use super::App;
use super::extract::Caller;
use super::problem::Problem;
use crate::service::HostInfo;

/// The hosts that are there, the one that started first at the top. For viewers.
#[utoipa::path(
    get,
    path = "/v1/hosts",
    tag = "hosts",
    responses(
        (status = 200, description = "Those that said within half a minute that they are there", body = [HostInfo]),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(State(app): State<App>, Caller(who): Caller) -> Result<Json<Vec<HostInfo>>, Problem> {
    Ok(Json(app.hosts(who).await?))
}
