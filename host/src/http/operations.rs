//! Long work: begun with one request, followed with others.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::App;
use super::answer::{List, changed, page};
use super::extract::{Asked, Body, Caller, Id, Paging};
use super::gateway::RequestTime;
use super::problem::Problem;
use crate::service::{
    NewPluginRevision, Operation, Replay, ReplayRequest, RevisionInfo, Slot, SlotInfo, Started, WAIT_S_MAX, Waited,
};

/// How long before the end of a request's time the answer to one that waits is given.
const MARGIN: Duration = Duration::from_secs(1);

/// How long the caller wants to wait (RFC 7240, section 4.3).
pub(super) struct Prefer(Option<Duration>);

impl FromRequestParts<App> for Prefer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let preferences = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut waits = preferences.flat_map(|value| value.split(',')).filter_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            let is_wait = name.trim().eq_ignore_ascii_case("wait");
            value.trim().trim_matches('"').parse::<u64>().ok().filter(|_| is_wait)
        });
        let most = parts.extensions.get().map_or(Duration::ZERO, |RequestTime(all)| all.saturating_sub(MARGIN));
        Ok(Self(waits.next().map(|seconds| Duration::from_secs(seconds.min(WAIT_S_MAX)).min(most))))
    }
}

impl Prefer {
    /// How long, if at all.
    pub(super) fn wait(&self) -> Duration {
        self.0.unwrap_or_default()
    }

    /// Says in the answer that the wait was observed.
    pub(super) fn applied(&self, mut response: Response) -> Response {
        if let Some(wait) = self.0
            && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
        {
            response.headers_mut().insert(HeaderName::from_static("preference-applied"), applied);
        }
        response
    }

    /// What began, or what came of it in the time that the caller gave it.
    async fn answer<T: Serialize>(
        &self,
        started: Started<T>,
        done: impl FnOnce(&T) -> Response,
    ) -> Result<Response, Problem> {
        let waited = match self.0 {
            None => Waited::GoesOn(Box::new(started.operation)),
            Some(wait) => started.within(wait).await?,
        };
        let response = match waited {
            Waited::Done(answer) => done(&answer),
            Waited::GoesOn(operation) => {
                let location = [(header::LOCATION, format!("/v1/plugins/operations/{}", operation.id))];
                (StatusCode::ACCEPTED, location, Json(*operation)).into_response()
            }
        };
        Ok(self.applied(response))
    }
}

/// Takes a component with a config through the gate, in the background. It is ready then, and serves nobody. For
/// operators.
#[utoipa::path(
    post, path = "/v1/plugins/revisions", tag = "plugins", request_body = NewPluginRevision,
    params(("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240): to wait N seconds for the end.")),
    responses(
        (status = 201, description = "The revision, for a caller who waited for it", body = RevisionInfo),
        (status = 202, description = "The operation, as it begins", body = Operation),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn install(
    State(app): State<App>,
    Caller(who): Caller,
    prefer: Prefer,
    Body(new, _): Body<NewPluginRevision>,
) -> Result<Response, Problem> {
    let started = app.start_install(who, new).await?;
    let done = |revision: &RevisionInfo| {
        let location = [(header::LOCATION, format!("/v1/plugins/revisions/{}", revision.id))];
        (StatusCode::CREATED, location, Json(revision)).into_response()
    };
    prefer.answer(started, done).await
}

/// Reads the component and config that the slot's settings name again, in the background, and lets them serve if they
/// pass the gate. For operators.
#[utoipa::path(
    post, path = "/v1/plugins/{slot}/reload", tag = "plugins",
    params(("slot" = Slot, Path), ("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240): to wait N seconds for the end.")),
    responses(
        (status = 200, description = "The slot, for a caller who waited for it", body = SlotInfo),
        (status = 202, description = "The operation, as it begins", body = Operation),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn reload(
    State(app): State<App>,
    Caller(who): Caller,
    prefer: Prefer,
    Id(slot): Id<Slot>,
) -> Result<Response, Problem> {
    let started = app.start_reload(who, slot).await?;
    prefer.answer(started, |slot| changed(slot, slot.version)).await
}

/// Runs the revision over stored events, beside the active one, in the background. For operators.
#[utoipa::path(
    post, path = "/v1/plugins/revisions/{id}/replays", tag = "plugins",
    params(("id" = i64, Path), ("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240): to wait N seconds for the end.")),
    request_body = ReplayRequest,
    responses(
        (status = 200, description = "What it found, for a caller who waited for it", body = Replay),
        (status = 202, description = "The operation, as it begins", body = Operation),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn replay(
    State(app): State<App>,
    Caller(who): Caller,
    prefer: Prefer,
    Id(id): Id<i64>,
    Body(request, _): Body<ReplayRequest>,
) -> Result<Response, Problem> {
    let started = app.start_replay(who, id, request).await?;
    prefer.answer(started, |replay| Json(replay).into_response()).await
}

/// A page of long work of all hosts, the newest first. For viewers.
#[utoipa::path(
    get, path = "/v1/plugins/operations", tag = "plugins", params(Paging),
    responses(
        (status = 200, description = "The operations", body = List<Operation>),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn list(
    State(app): State<App>,
    Caller(who): Caller,
    Asked(paging): Asked<Paging>,
    uri: Uri,
) -> Result<Response, Problem> {
    Ok(page(app.operations(who, &paging.into()).await?, &uri))
}

/// How far an operation of any host is, and what came of it. For viewers.
#[utoipa::path(
    get, path = "/v1/plugins/operations/{id}", tag = "plugins",
    params(("id" = i64, Path), ("Prefer" = Option<String>, Header, description = "`wait=N` (RFC 7240): to wait N seconds for the end.")),
    responses(
        (status = 200, description = "The operation", body = Operation),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn one(
    State(app): State<App>,
    Caller(who): Caller,
    prefer: Prefer,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    let operation = app.wait_for_operation(who, id, prefer.wait()).await?;
    Ok(prefer.applied(Json(operation).into_response()))
}

/// Asks that an operation end early; one that has ended stays as it is. For operators.
#[utoipa::path(
    post, path = "/v1/plugins/operations/{id}/cancel", tag = "plugins",
    params(("id" = i64, Path)),
    responses(
        (status = 200, description = "The operation; it ends within seconds", body = Operation),
        (status = "4XX", description = "A problem (RFC 9457)", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem of ours", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = []))
)]
pub(super) async fn cancel(
    State(app): State<App>,
    Caller(who): Caller,
    Id(id): Id<i64>,
) -> Result<Json<Operation>, Problem> {
    Ok(Json(app.cancel_operation(who, id).await?))
}
