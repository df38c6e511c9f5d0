use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use bytes::Bytes;

use super::App;
use super::extract::{Caller, Id};
use super::problem::Problem;
use crate::service::Record;

pub(super) async fn list(
    State(app): State<App>,
    Caller(who): Caller,
    Id(order_id): Id<i64>,
) -> Result<Json<Vec<Record>>, Problem> {
    Ok(Json(app.notifications(who, order_id).await?))
}

pub(super) async fn mails(State(app): State<App>, Caller(who): Caller) -> Result<impl IntoResponse, Problem> {
    Ok(Json(app.mails(who)?))
}

pub(super) async fn mail(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<u64>,
) -> Result<impl IntoResponse, Problem> {
    let mail = app.mail(who, id)?;
    Ok(([(header::CONTENT_TYPE, "message/rfc822")], Bytes::copy_from_slice(&mail.bytes)))
}
