use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;

use super::App;
use super::extract::{Body, Caller, Id, Paging};
use super::problem::Problem;
use crate::service::Page;
use crate::shop::product::{NewProduct, Product};

/// A page of a list, as clients see it.
#[derive(Serialize)]
pub(super) struct List<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> From<Page<T>> for List<T> {
    fn from(page: Page<T>) -> Self {
        Self { items: page.items, next_cursor: page.next }
    }
}

pub(super) async fn create(
    State(app): State<App>,
    Caller(who): Caller,
    Body(new): Body<NewProduct>,
) -> Result<impl IntoResponse, Problem> {
    let product = app.create_product(who, new).await?;
    let location = format!("/v1/products/{}", product.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(product)))
}

pub(super) async fn one(State(app): State<App>, Id(id): Id<i64>) -> Result<Json<Product>, Problem> {
    Ok(Json(app.product(id).await?))
}

pub(super) async fn list(State(app): State<App>, Paging(page): Paging) -> Result<Json<List<Product>>, Problem> {
    Ok(Json(app.products(&page).await?.into()))
}
