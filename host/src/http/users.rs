use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::App;
use super::extract::Body;
use super::problem::Problem;
use crate::shop::user::{Credentials, NewUser, User};

pub(super) async fn create(
    State(app): State<App>,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Json<User>), Problem> {
    Ok((StatusCode::CREATED, Json(app.sign_up(new).await?)))
}

pub(super) async fn log_in(
    State(app): State<App>,
    Body(credentials): Body<Credentials>,
) -> Result<impl IntoResponse, Problem> {
    let session = app.log_in(credentials).await?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(session)))
}
