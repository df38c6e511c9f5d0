use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{List, changed, page};
use super::extract::{Asked, Body, Caller, Id, IfMatch};
use super::problem::Problem;
use super::{App, operations};
use crate::service::{
    Change, ComponentInfo, Error, Move, PageRequest, Plan, Preview, Reproduction, Require, RevisionInfo, Signature,
    SignatureInfo, Slot, SlotInfo, Subject, Terms,
};

/// Who serves what, as the asked host runs it. For viewers.
#[utoipa::path(
    get, path = "/v1/plugins", tag = "plugins",
    responses(
        (status = 200, description = "The slots", body = Vec<SlotInfo>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(State(app): State<App>, Caller(who): Caller) -> Result<Json<Vec<SlotInfo>>, Problem> {
    Ok(Json(app.plugin_slots(who)?))
}

/// Takes a component in, under its digest; it serves nobody yet. For operators.
#[utoipa::path(
    post, path = "/v1/plugins/components", tag = "plugins",
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses(
        (status = 201, description = "The component", body = ComponentInfo),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn upload(
    State(app): State<App>,
    Caller(who): Caller,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    who.must_operate()?;
    let media = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !media.eq_ignore_ascii_case("application/wasm") {
        let detail = "the body must be application/wasm";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", detail));
    }
    let mut upload = app.upload(who)?;
    let mut pieces = request.into_body().into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "body", "the component did not arrive whole; nothing was kept")
        })?;
        upload.take(&piece).map_err(refused)?;
    }
    Ok((StatusCode::CREATED, Json(upload.end().await.map_err(refused)?)).into_response())
}

fn refused(e: Error) -> Problem {
    if e.is_too_large() {
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", e.to_string());
    }
    e.into()
}

/// Adds a signature to an uploaded component. It need not be by a trusted key yet. For operators.
#[utoipa::path(
    post, path = "/v1/plugins/components/{digest}/signatures", tag = "plugins", request_body = Signature,
    params(("digest" = String, Path, description = "The component's SHA-256, in hex")),
    responses(
        (status = 201, description = "The signature, and whose it is", body = SignatureInfo),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn sign(
    State(app): State<App>,
    Caller(who): Caller,
    Id(digest): Id<String>,
    Body(signature, _): Body<Signature>,
) -> Result<Response, Problem> {
    Ok((StatusCode::CREATED, Json(app.add_signature(who, &digest, signature).await?)).into_response())
}

/// The signatures of an uploaded component, the oldest first; there are 16 at most. For viewers.
#[utoipa::path(
    get, path = "/v1/plugins/components/{digest}/signatures", tag = "plugins",
    params(("digest" = String, Path, description = "The component's SHA-256, in hex")),
    responses(
        (status = 200, description = "The signatures, and whose they are", body = Vec<SignatureInfo>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn signatures(
    State(app): State<App>,
    Caller(who): Caller,
    Id(digest): Id<String>,
) -> Result<Json<Vec<SignatureInfo>>, Problem> {
    Ok(Json(app.signatures(who, &digest).await?))
}

/// What is asked of lists.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RevisionQuery {
    /// "renderer" or "policy"; both when none.
    slot: Option<Slot>,
    /// Items of the page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of revisions, the newest first. For viewers.
#[utoipa::path(
    get, path = "/v1/plugins/revisions", tag = "plugins", params(RevisionQuery),
    responses(
        (status = 200, description = "The revisions", body = List<RevisionInfo>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn revisions(
    State(app): State<App>,
    Caller(who): Caller,
    Asked(RevisionQuery { slot, limit, cursor }): Asked<RevisionQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    Ok(page(app.revisions(who, slot, &PageRequest { limit, cursor }).await?, &uri))
}

/// One revision, with the gate's report. For viewers.
#[utoipa::path(
    get, path = "/v1/plugins/revisions/{id}", tag = "plugins", params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The revision", body = RevisionInfo),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn revision(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
) -> Result<Json<RevisionInfo>, Problem> {
    Ok(Json(app.revision(who, id).await?))
}

/// A stage to go to.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    /// Sees live events and answers nobody.
    Shadow,
    /// Serves a part of the orders.
    Canary,
    /// Serves all.
    Active,
    /// Serves nowhere any more.
    Retired,
    /// Serves nowhere any more, and may not come back.
    Quarantined,
}

/// A move to another stage.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StageChange {
    /// Where to.
    stage: Stage,
    /// For a canary: which part of a hundred orders; 1 when none.
    #[serde(default, deserialize_with = "crate::money::whole_or_none")]
    #[schema(minimum = 1, maximum = 100)]
    percent: Option<u32>,
    /// For a canary: how its part grows by itself.
    #[serde(default)]
    plan: Option<Plan>,
    /// The evidence without which nothing moves.
    #[serde(default)]
    require: Option<Require>,
    /// Why, for the history.
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^[^\\u0000]*$")]
    why: String,
}

/// Moves a revision to another stage; `If-Match` takes the slot's version. For operators.
#[utoipa::path(
    post, path = "/v1/plugins/revisions/{id}/stage", tag = "plugins",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The slot's version.")),
    request_body = StageChange,
    responses(
        (status = 200, description = "The slot", body = SlotInfo),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn stage(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    IfMatch(expected): IfMatch,
    Body(StageChange { stage, percent, plan, require, why }, _): Body<StageChange>,
) -> Result<Response, Problem> {
    let to = match stage {
        Stage::Shadow => Move::Shadow,
        Stage::Canary => Move::Canary(percent.unwrap_or(1)),
        Stage::Active => Move::Activate,
        Stage::Retired => Move::Retire,
        Stage::Quarantined => Move::Quarantine,
    };
    let slot = app.move_revision(who, id, to, Terms { plan: plan.as_ref(), require, why: &why, expected }).await?;
    Ok(changed(&slot, slot.version))
}

/// Where to go back to.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    /// Which revision; the one before when none.
    #[serde(default, deserialize_with = "crate::money::whole_or_none")]
    to: Option<i64>,
    /// Why, for the history.
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^[^\\u0000]*$")]
    why: String,
}

/// Lets another revision serve at once: the named one, or the one before. For operators.
#[utoipa::path(
    post, path = "/v1/plugins/{slot}/rollback", tag = "plugins",
    params(("slot" = Slot, Path), ("If-Match" = Option<String>, Header, description = "The slot's version.")),
    request_body = Rollback,
    responses(
        (status = 200, description = "The slot", body = SlotInfo),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn roll_back(
    State(app): State<App>,
    Caller(who): Caller,
    Id(slot): Id<Slot>,
    IfMatch(expected): IfMatch,
    Body(Rollback { to, why }, _): Body<Rollback>,
) -> Result<Response, Problem> {
    let slot = app.roll_back(who, slot, to, &why, expected).await?;
    Ok(changed(&slot, slot.version))
}

/// A page of what was done, the newest first. For viewers.
#[utoipa::path(
    get, path = "/v1/plugins/history", tag = "plugins", params(RevisionQuery),
    responses(
        (status = 200, description = "The changes", body = List<Change>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn history(
    State(app): State<App>,
    Caller(who): Caller,
    Asked(RevisionQuery { slot, limit, cursor }): Asked<RevisionQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    Ok(page(app.plugin_history(who, slot, &PageRequest { limit, cursor }).await?, &uri))
}

/// Renders an event by the revision and by the active one; nothing is sent. For viewers.
#[utoipa::path(
    post, path = "/v1/plugins/revisions/{id}/preview", tag = "plugins", params(("id" = i64, Path)),
    request_body = Subject,
    responses(
        (status = 200, description = "Both mails", body = Preview),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn preview(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
    Body(subject, _): Body<Subject>,
) -> Result<Json<Preview>, Problem> {
    Ok(Json(app.preview(who, id, subject).await?))
}

/// What was forgotten.
#[derive(Serialize, ToSchema)]
pub(super) struct Collected {
    /// Files of compiled code.
    files: usize,
    /// Their bytes.
    bytes: u64,
}

/// Forgets compiled code of the asked host that no revision needs which may serve. For operators.
#[utoipa::path(
    post, path = "/v1/plugins/gc", tag = "plugins",
    responses(
        (status = 200, description = "What went", body = Collected),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn collect_garbage(State(app): State<App>, Caller(who): Caller) -> Result<Json<Collected>, Problem> {
    let (files, bytes) = app.collect_garbage(who).await?;
    Ok(Json(Collected { files, bytes }))
}

/// Makes a mail that was sent again, and says whether it is the same bytes. For viewers.
#[utoipa::path(
    get, path = "/v1/notifications/{id}/reproduction", tag = "plugins", params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The mail, made again", body = Reproduction),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn reproduce(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
) -> Result<Json<Reproduction>, Problem> {
    Ok(Json(app.reproduce(who, id).await?))
}

/// The routes below `/v1/plugins`.
pub(super) fn routes() -> axum::Router<App> {
    axum::Router::new()
        .route("/v1/plugins", get(list))
        .route("/v1/plugins/components", post(upload))
        .route("/v1/plugins/components/{digest}/signatures", get(signatures).post(sign))
        .route("/v1/plugins/revisions", get(revisions).post(operations::install))
        .route("/v1/plugins/revisions/{id}", get(revision))
        .route("/v1/plugins/revisions/{id}/stage", post(stage))
        .route("/v1/plugins/revisions/{id}/preview", post(preview))
        .route("/v1/plugins/revisions/{id}/replays", post(operations::replay))
        .route("/v1/plugins/operations", get(operations::list))
        .route("/v1/plugins/operations/{id}", get(operations::one))
        .route("/v1/plugins/operations/{id}/cancel", post(operations::cancel))
        .route("/v1/plugins/history", get(history))
        .route("/v1/plugins/gc", post(collect_garbage))
        .route("/v1/plugins/{slot}/rollback", post(roll_back))
        .route("/v1/plugins/{slot}/reload", post(operations::reload))
        .route("/v1/notifications/{id}/reproduction", get(reproduce))
}
