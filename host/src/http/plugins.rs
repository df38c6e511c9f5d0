use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::extract::{Caller, Id};
use super::problem::Problem;
use crate::service::{Revision, Slot};

/// A revision, as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Plugin)]
pub(super) struct Serving {
    /// "renderer" or "policy".
    #[schema(value_type = String)]
    slot: Slot,
    /// Counts up in this host.
    revision: i64,
    /// SHA-256 of the component.
    digest: String,
    /// A path, or "built-in".
    origin: String,
    /// What the gate found.
    report: serde_json::Value,
}

impl From<&Revision> for Serving {
    fn from(revision: &Revision) -> Self {
        Self {
            slot: revision.slot,
            revision: revision.number,
            digest: revision.digest.clone(),
            origin: revision.origin.clone(),
            report: serde_json::to_value(&revision.report).unwrap_or_default(),
        }
    }
}

/// Who serves which slot. For admins.
#[utoipa::path(
    get,
    path = "/v1/plugins",
    tag = "plugins",
    responses(
        (status = 200, description = "The revisions", body = Vec<Serving>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(State(app): State<App>, Caller(who): Caller) -> Result<Json<Vec<Serving>>, Problem> {
    Ok(Json(app.plugins(who)?.iter().map(|r| Serving::from(r.as_ref())).collect()))
}

/// Reads a slot's component and config again and lets them serve if they pass the gate. For admins.
#[utoipa::path(
    post,
    path = "/v1/plugins/{slot}/reload",
    tag = "plugins",
    params(("slot" = String, Path, description = "renderer or policy")),
    responses(
        (status = 200, description = "The revision", body = Serving),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn reload(
    State(app): State<App>,
    Caller(who): Caller,
    Id(slot): Id<Slot>,
) -> Result<Json<Serving>, Problem> {
    Ok(Json(Serving::from(app.reload_plugin(who, slot).await?.as_ref())))
}
