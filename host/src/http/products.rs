use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::answer::{List, changed, created, page, tagged};
use super::extract::{Asked, Body, Caller, Id, IfMatch, MaybeCaller, PatchBody};
use super::problem::Problem;
use crate::service::PageRequest;
use crate::shop::Attributes;
use crate::shop::product::{NewProduct, Price, Product, ProductFilter, ProductSort};
use crate::shop::text::{Line, OptionalLine, Prose, Sku, WebAddress};

/// What can be changed of a product; documents the patch. Null clears.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(super) struct ProductPatch {
    /// Must not be taken.
    #[schema(nullable = false)]
    sku: Option<Sku>,
    /// What it is called.
    #[schema(nullable = false)]
    name: Option<Line>,
    /// What it is.
    description: Option<Prose>,
    /// What kind of thing it is.
    category: Option<OptionalLine>,
    /// What one piece costs, without tax.
    #[schema(nullable = false)]
    price: Option<Price>,
    /// Pieces that can be ordered.
    #[schema(nullable = false, minimum = 0, maximum = 1_000_000_000)]
    stock: Option<i64>,
    /// The product's page.
    url: Option<WebAddress>,
    /// A picture.
    image: Option<WebAddress>,
    /// Values that templates and policies may use.
    attributes: Option<Attributes>,
}

/// What is asked of the list of products.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductQuery {
    /// Items of the page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Words of the name, the sku or the description, in any case.
    q: Option<Line>,
    /// Of this category.
    category: Option<Line>,
    /// From this price on, in minor units.
    price_min: Option<i64>,
    /// Up to this price, in minor units.
    price_max: Option<i64>,
    /// Archived ones too; for admins.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    archived: bool,
    /// In which order.
    #[serde(default)]
    #[param(value_type = Option<ProductSort>)]
    sort: ProductSort,
}

/// Adds a product. For admins.
#[utoipa::path(
    post,
    path = "/v1/products",
    tag = "products",
    params(("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    request_body = NewProduct,
    responses(
        (status = 201, description = "The product", body = Product),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn create(
    State(app): State<App>,
    Caller(who): Caller,
    Body(new, once): Body<NewProduct>,
) -> Result<Response, Problem> {
    let product = app.create_product(who, new, once.as_ref()).await?;
    Ok(created(&product, product.version, format!("/v1/products/{}", product.id)))
}

/// One product.
#[utoipa::path(
    get,
    path = "/v1/products/{id}",
    tag = "products",
    params(("id" = i64, Path), ("If-None-Match" = Option<String>, Header, description = "The entity tag that the client has.")),
    responses(
        (status = 200, description = "The product", body = Product),
        (status = 304, description = "It has not changed"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security((), ("bearer" = []))
)]
pub(super) async fn one(
    State(app): State<App>,
    MaybeCaller(who): MaybeCaller,
    Id(id): Id<i64>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let product = app.product(who, id).await?;
    Ok(tagged(&product, product.version, &headers))
}

/// A page of products.
#[utoipa::path(
    get,
    path = "/v1/products",
    tag = "products",
    params(ProductQuery),
    responses(
        (status = 200, description = "The page", body = List<Product>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security((), ("bearer" = []))
)]
pub(super) async fn list(
    State(app): State<App>,
    MaybeCaller(who): MaybeCaller,
    Asked(asked): Asked<ProductQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    let ProductQuery { limit, cursor, q, category, price_min, price_max, archived, sort } = asked;
    let filter = ProductFilter { search: q, category, price_min, price_max, archived, sort };
    Ok(page(app.products(who, &filter, &PageRequest { limit, cursor }).await?, &uri))
}

/// Changes what is named and keeps the rest (JSON merge patch). For admins.
#[utoipa::path(
    patch,
    path = "/v1/products/{id}",
    tag = "products",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects."), ("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    request_body(content = ProductPatch, content_type = "application/merge-patch+json", description = "Any of the fields; null clears."),
    responses(
        (status = 200, description = "The product", body = Product),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn update(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
    PatchBody(patch, once): PatchBody,
) -> Result<Response, Problem> {
    let product = app.update_product(who, id, &patch, expected, once.as_ref()).await?;
    Ok(changed(&product, product.version))
}

/// Takes a product out of the shop. Orders keep it. For admins.
#[utoipa::path(
    delete,
    path = "/v1/products/{id}",
    tag = "products",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects.")),
    responses(
        (status = 204, description = "It is archived"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn archive(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, Problem> {
    app.archive_product(who, id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has the caller told by mail once a product can be had again. Who asks anew wants such mails again.
#[utoipa::path(
    post,
    path = "/v1/products/{id}/stock-alert",
    tag = "products",
    params(("id" = i64, Path)),
    responses(
        (status = 204, description = "The mail will come once there are pieces again"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn alert(State(app): State<App>, Caller(who): Caller, Id(id): Id<i64>) -> Result<StatusCode, Problem> {
    app.alert_of_stock(who, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has the caller not told of a product any more.
#[utoipa::path(
    delete,
    path = "/v1/products/{id}/stock-alert",
    tag = "products",
    params(("id" = i64, Path)),
    responses(
        (status = 204, description = "No mail will come"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn forget_alert(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
) -> Result<StatusCode, Problem> {
    app.forget_alert(who, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
