use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use serde::Serialize;

use super::App;
use super::problem::Problem;
use crate::service::Preparation;

/// The process runs.
pub(super) async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// What a host that can serve says of itself.
#[derive(Debug, Serialize)]
pub(super) struct Ready {
    status: &'static str,
    /// Slots of plugins that do not run as they should yet: mails wait or another revision writes them.
    preparing: Vec<Preparation>,
}

/// The host can serve.
pub(super) async fn ready(State(app): State<App>) -> Result<Json<Ready>, Problem> {
    match app.ready().await {
        Ok(()) => Ok(Json(Ready { status: "ready", preparing: app.preparations() })),
        Err(why) => {
            tracing::warn!(error = why, "not ready");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", why))
        }
    }
}
