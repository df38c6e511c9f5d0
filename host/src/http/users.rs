use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::answer::{List, changed, created, page, tagged};
use super::extract::{Asked, Body, Caller, Id, IfMatch, Paging, PatchBody};
use super::problem::Problem;
use crate::shop::Attributes;
use crate::shop::text::{Email, Line, Locale, TimeZone};
use crate::shop::user::{NewUser, Role, User};

/// What can be changed of a user; documents the patch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(super) struct UserPatch {
    /// Mail goes here, also mail that is queued already. Needs `current_password`.
    #[schema(nullable = false)]
    email: Option<Email>,
    /// As mails address them.
    #[schema(nullable = false)]
    name: Option<Line>,
    /// Which language mails are in.
    locale: Option<Locale>,
    /// Which zone the times in mails are in.
    time_zone: Option<TimeZone>,
    /// Values that templates and policies may use.
    attributes: Option<Attributes>,
    /// The new password. Needs `current_password`. Ends the user's other sessions.
    #[schema(min_length = 10, max_length = 200, nullable = false)]
    password: Option<String>,
    /// The old password.
    #[schema(min_length = 10, max_length = 200, nullable = false)]
    current_password: Option<String>,
    /// For admins.
    #[schema(nullable = false)]
    is_admin: Option<bool>,
    /// For admins. Null takes it away.
    role: Option<Role>,
}

/// Signs up.
#[utoipa::path(
    post,
    path = "/v1/users",
    tag = "users",
    request_body = NewUser,
    responses(
        (status = 201, description = "The user", body = User),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(())
)]
pub(super) async fn create(State(app): State<App>, Body(new, _): Body<NewUser>) -> Result<Response, Problem> {
    let user = app.sign_up(new).await?;
    Ok(created(&user, user.version, format!("/v1/users/{}", user.id)))
}

/// A page of users. For admins.
#[utoipa::path(
    get,
    path = "/v1/users",
    tag = "users",
    params(Paging),
    responses(
        (status = 200, description = "The page", body = List<User>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(
    State(app): State<App>,
    Caller(who): Caller,
    Asked(asked): Asked<Paging>,
    uri: Uri,
) -> Result<Response, Problem> {
    Ok(page(app.users(who, &asked.into()).await?, &uri))
}

/// One user: oneself, or anybody for admins.
#[utoipa::path(
    get,
    path = "/v1/users/{id}",
    tag = "users",
    params(("id" = i64, Path), ("If-None-Match" = Option<String>, Header, description = "The entity tag that the client has.")),
    responses(
        (status = 200, description = "The user", body = User),
        (status = 304, description = "They have not changed"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn one(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let user = app.user(who, id).await?;
    Ok(tagged(&user, user.version, &headers))
}

/// Changes what is named and keeps the rest (JSON merge patch). Oneself, or anybody for admins.
#[utoipa::path(
    patch,
    path = "/v1/users/{id}",
    tag = "users",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects."), ("Idempotency-Key" = Option<String>, Header, description = "Requests with the same key are one request.", min_length = 1, max_length = 255, pattern = "^(\"[!#-~]+\"|[!#-~]+)$")),
    request_body(content = UserPatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The user", body = User),
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
    let user = app.update_user(who, id, &patch, expected, once.as_ref()).await?;
    Ok(changed(&user, user.version))
}

/// Anonymises a user: their orders stay, what identifies them is deleted. Oneself, or anybody for admins.
#[utoipa::path(
    delete,
    path = "/v1/users/{id}",
    tag = "users",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The entity tag that the change expects.")),
    responses(
        (status = 204, description = "They are nobody now"),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn delete(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, Problem> {
    app.delete_user(who, id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
