use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::App;
use super::extract::{Body, Caller, Id, Paging};
use super::problem::Problem;
use super::products::List;
use crate::shop::order::{NewOrder, Order, StatusChange};

pub(super) async fn place(
    State(app): State<App>,
    Caller(who): Caller,
    Body(new): Body<NewOrder>,
) -> Result<impl IntoResponse, Problem> {
    let order = app.place_order(who, new).await?;
    let location = format!("/v1/orders/{}", order.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(order)))
}

pub(super) async fn one(State(app): State<App>, Caller(who): Caller, Id(id): Id<i64>) -> Result<Json<Order>, Problem> {
    Ok(Json(app.order(who, id).await?))
}

pub(super) async fn list(
    State(app): State<App>,
    Caller(who): Caller,
    Paging(page): Paging,
) -> Result<Json<List<Order>>, Problem> {
    Ok(Json(app.orders(who, &page).await?.into()))
}

pub(super) async fn change_status(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    Body(change): Body<StatusChange>,
) -> Result<Json<Order>, Problem> {
    Ok(Json(app.change_status(who, id, change).await?))
}
