use axum::extract::State;
use axum::http::StatusCode;

use super::App;
use super::problem::Problem;

/// The process runs.
pub(super) async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// The host can serve.
pub(super) async fn ready(State(app): State<App>) -> Result<StatusCode, Problem> {
    match app.ready().await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(why) => {
            tracing::warn!(why, "not ready");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", why))
        }
    }
}
