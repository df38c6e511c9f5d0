use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::answer::{List, page};
use super::extract::{Asked, Body, Caller, Id};
use super::problem::Problem;
use crate::service::{IMPORT_MAX, PageRequest};
use crate::shop::text::Email;
use crate::suppression::{Cause, NewSuppression, Scope, Suppression, SuppressionFilter};

/// What is asked of the list of suppressed addresses.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SuppressionQuery {
    /// Items of the page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Of this address, also where only its hash is kept.
    address: Option<Email>,
    /// For this cause.
    #[param(inline)]
    cause: Option<Cause>,
    /// Of this category.
    #[param(inline)]
    category: Option<Scope>,
}

/// A page of the addresses that get no more mails, or none of a category; the newest first. For viewers.
#[utoipa::path(
    get,
    path = "/v1/suppressions",
    tag = "suppressions",
    params(SuppressionQuery),
    responses(
        (status = 200, description = "The page", body = List<Suppression>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(
    State(app): State<App>,
    Caller(who): Caller,
    Asked(asked): Asked<SuppressionQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    let SuppressionQuery { limit, cursor, address, cause, category } = asked;
    let filter = SuppressionFilter { address, cause, category };
    Ok(page(app.suppressions(who, &filter, &PageRequest { limit, cursor }).await?, &uri))
}

/// Sends an address no more mails, or none of a category: what is queued for it is skipped when its turn comes. An entry of
/// the same category and cause is renewed. For operators.
#[utoipa::path(
    post,
    path = "/v1/suppressions",
    tag = "suppressions",
    request_body = NewSuppression,
    responses(
        (status = 200, description = "The entry, new or renewed", body = Suppression),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn add(
    State(app): State<App>,
    Caller(who): Caller,
    Body(new, _): Body<NewSuppression>,
) -> Result<Json<Suppression>, Problem> {
    Ok(Json(app.suppress(who, &new).await?))
}

/// Entries from elsewhere.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SuppressionImport {
    /// At most 500.
    #[schema(min_items = 1, max_items = 500)]
    items: Vec<NewSuppression>,
}

/// What an import came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SuppressionImported {
    /// Entries, new or renewed.
    imported: u64,
}

/// Takes in entries from elsewhere, all of them or none. For operators.
#[utoipa::path(
    post,
    path = "/v1/suppressions/import",
    tag = "suppressions",
    request_body = SuppressionImport,
    responses(
        (status = 200, description = "How many", body = SuppressionImported),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn import(
    State(app): State<App>,
    Caller(who): Caller,
    Body(SuppressionImport { items }, _): Body<SuppressionImport>,
) -> Result<Json<SuppressionImported>, Problem> {
    const { assert!(IMPORT_MAX == 500, "as the description says") };
    Ok(Json(SuppressionImported { imported: app.import_suppressions(who, &items).await? }))
}

/// One entry. For viewers.
#[utoipa::path(
    get,
    path = "/v1/suppressions/{id}",
    tag = "suppressions",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The entry", body = Suppression),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn one(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
) -> Result<Json<Suppression>, Problem> {
    Ok(Json(app.suppression(who, id).await?))
}

/// Lets mails go to an address again. What was skipped stays skipped until it is tried again. For operators.
#[utoipa::path(
    delete,
    path = "/v1/suppressions/{id}",
    tag = "suppressions",
    params(("id" = i64, Path)),
    responses(
        (status = 204, description = "It is lifted"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn lift(State(app): State<App>, Caller(who): Caller, Id(id): Id<i64>) -> Result<StatusCode, Problem> {
    app.lift_suppression(who, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
