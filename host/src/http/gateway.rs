//! What every request passes: a name, a deadline, who asks, and how often they may.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::App;
use super::problem::Problem;
use crate::service::{Allowance, Client, Principal};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest name that a client may give a request.
const REQUEST_ID_BYTES_MAX: usize = 128;

tokio::task_local! {
    /// The name of the request under way.
    pub(super) static NAME: String;
}

/// Who asks, if their token is good.
#[derive(Clone, Copy)]
pub(super) struct Asks(pub(super) Option<Principal>);

/// The time that a request has in all.
#[derive(Clone, Copy)]
pub(super) struct RequestTime(pub(super) Duration);

/// The route of a request, once it is known.
#[derive(Clone, Default)]
struct Route(Arc<OnceLock<MatchedPath>>);

/// Names the request, or takes the client's name for it, and says it in the answer and in the log.
pub(super) async fn identify(
    State((app, deadline_ms)): State<(App, u64)>,
    mut request: Request,
    next: Next,
) -> Response {
    let deadline = Duration::from_millis(deadline_ms);
    request.extensions_mut().insert(RequestTime(deadline));
    let route = Route::default();
    request.extensions_mut().insert(route.clone());
    let given = request.headers().get(&REQUEST_ID).and_then(|v| v.to_str().ok());
    let given =
        given.filter(|v| (1..=REQUEST_ID_BYTES_MAX).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_graphic()));
    let name = given.map_or_else(|| app.clock.uuid().to_string(), str::to_owned);
    let (begun_us, method) = (app.clock.monotonic_us(), known(request.method()));
    let span =
        tracing::info_span!("http", id = %name, method = %request.method(), path = without_token(request.uri().path()));
    let header = HeaderValue::from_str(&name);
    let mut trace = app.tracer.request(method, request.headers().get("traceparent").and_then(|v| v.to_str().ok()));
    let answering = async {
        match tokio::time::timeout(deadline, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                format!("the request was not done within {deadline_ms} ms"),
            )
            .into_response(),
        }
    };
    let mut response = NAME.scope(name, trace.around(answering)).instrument(span).await;
    if let Ok(header) = header {
        response.headers_mut().insert(REQUEST_ID, header);
    }
    // What has no route is one: addresses are the client's to make up.
    let route = route.0.get().map_or("none", MatchedPath::as_str);
    let took = Duration::from_micros(app.clock.monotonic_us() - begun_us);
    let status = response.status().as_u16();
    app.metrics.request(method, route, status, took);
    trace.rename(|| format!("{method} {route}"));
    trace.set("http.request.method", method);
    trace.set_with("http.route", || route.to_owned());
    trace.set("http.response.status_code", i64::from(status));
    if status >= 500 {
        trace.fail("server-error");
    }
    response
}

/// Keeps the route for what counts outside the router, also of requests that panic or are not done in time.
pub(super) async fn remember_route(request: Request, next: Next) -> Response {
    let (route, matched) = (request.extensions().get::<Route>(), request.extensions().get::<MatchedPath>());
    if let (Some(Route(route)), Some(matched)) = (route, matched) {
        // Set once: each request has one of its own.
        let _ = route.set(matched.clone());
    }
    next.run(request).await
}

/// A path for the log: a page's link is for its reader alone, and what follows its first part is its token.
fn without_token(path: &str) -> &str {
    match path.get(..3) {
        Some(page @ ("/a/" | "/u/" | "/p/")) => page,
        _ => path,
    }
}

/// Methods that are not in use here are one.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

/// Reads the token once, and counts the request.
pub(super) async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let value = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    // The scheme's name has no case (RFC 9110 11.1).
    let bearer = value.and_then(|v| v.split_once(' ')).filter(|(s, _)| s.eq_ignore_ascii_case("bearer"));
    let who = bearer.and_then(|(_, token)| app.authenticate(Some(token.trim())).ok());
    // A token that is not good must not pass for none where none is needed.
    if who.is_none() && value.is_some() {
        return Problem::from(crate::service::Error::Unauthenticated).into_response();
    }
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let allowed = match app.throttle.request(Client::of(who, from)) {
        Ok(allowed) => allowed,
        Err(e) => return Problem::from(e).into_response(),
    };
    request.extensions_mut().insert(Asks(who));
    let mut response = next.run(request).await;
    if let Some(allowance) = allowed {
        announce(&mut response, allowance);
    }
    response
}

/// The fields of the IETF draft `RateLimit` header fields for HTTP.
fn announce(response: &mut Response, allowance: Allowance) {
    let Allowance { limit, remaining } = allowance;
    let fields = [
        ("ratelimit-policy", format!("\"default\";q={limit};w=60")),
        ("ratelimit", format!("\"default\";r={remaining};t=60")),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
}
