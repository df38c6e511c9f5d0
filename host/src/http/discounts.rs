use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::answer::{List, changed, created, page, tagged};
use super::extract::{Asked, Body, Caller, Id, IfMatch, PatchBody};
use super::problem::Problem;
use crate::service::PageRequest;
use crate::shop::discount::{Discount, NewDiscount};
use crate::shop::product::Price;
use crate::shop::text::{DiscountCode, Line};

/// What can be changed of a discount; documents the patch. Null clears. Of `basis_points` and `amount` one must stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(super) struct DiscountPatch {
    /// What customers give, in any case. Must not be taken.
    #[schema(nullable = false)]
    code: Option<DiscountCode>,
    /// What mails and bills call it.
    #[schema(nullable = false)]
    label: Option<Line>,
    /// The part that it takes off, in hundredths of a per cent: 1000 is 10 %.
    #[schema(minimum = 1, maximum = 10_000)]
    basis_points: Option<u32>,
    /// The amount that it takes off.
    amount: Option<Price>,
    /// The products that it is taken off; empty: the order as a whole.
    #[schema(max_items = 100)]
    product_ids: Option<Vec<i64>>,
    /// The least that the products of an order cost together before any discount.
    subtotal_min: Option<Price>,
    /// From when on it is given.
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<String>,
    /// Until when.
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<String>,
    /// To how many orders it is given.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    uses_max: Option<u32>,
    /// To how many of one customer's.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    uses_per_customer_max: Option<u32>,
}

/// What is asked of the list of discounts.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscountQuery {
    /// Items of the page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// The one of this code.
    #[param(inline)]
    code: Option<DiscountCode>,
    /// Archived ones too.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    archived: bool,
}

/// Adds a discount. For admins.
#[utoipa::path(
    post,
    path = "/v1/discounts",
    tag = "discounts",
    params(("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    request_body = NewDiscount,
    responses(
        (status = 201, description = "The discount", body = Discount),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn create(
    State(app): State<App>,
    Caller(who): Caller,
    Body(new, once): Body<NewDiscount>,
) -> Result<Response, Problem> {
    let discount = app.create_discount(who, new, once.as_ref()).await?;
    Ok(created(&discount, discount.version, format!("/v1/discounts/{}", discount.id)))
}

/// One discount. For admins.
#[utoipa::path(
    get,
    path = "/v1/discounts/{id}",
    tag = "discounts",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The discount", body = Discount),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn one(State(app): State<App>, Caller(who): Caller, Id(id): Id<i64>) -> Result<Response, Problem> {
    let discount = app.discount(who, id).await?;
    // Uses count up without another version: it is never said to be as it was.
    Ok(tagged(&discount, discount.version, &HeaderMap::new()))
}

/// A page of discounts, the newest first. For admins.
#[utoipa::path(
    get,
    path = "/v1/discounts",
    tag = "discounts",
    params(DiscountQuery),
    responses(
        (status = 200, description = "The page", body = List<Discount>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(
    State(app): State<App>,
    Caller(who): Caller,
    Asked(asked): Asked<DiscountQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    let DiscountQuery { limit, cursor, code, archived } = asked;
    Ok(page(app.discounts(who, code.as_ref(), archived, &PageRequest { limit, cursor }).await?, &uri))
}

/// Changes what is named and keeps the rest (JSON merge patch). Orders keep what they were given. For admins.
#[utoipa::path(
    patch,
    path = "/v1/discounts/{id}",
    tag = "discounts",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects."), ("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    request_body(content = DiscountPatch, content_type = "application/merge-patch+json", description = "Any of the fields; null clears."),
    responses(
        (status = 200, description = "The discount", body = Discount),
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
    let discount = app.update_discount(who, id, &patch, expected, once.as_ref()).await?;
    Ok(changed(&discount, discount.version))
}

/// Takes a discount out of the shop. Orders keep what they were given. For admins.
#[utoipa::path(
    delete,
    path = "/v1/discounts/{id}",
    tag = "discounts",
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
    app.archive_discount(who, id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
