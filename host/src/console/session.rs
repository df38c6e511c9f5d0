//! Who looks at the console: a session in two cookies that no script can read, and forms that only our own pages can send.

use std::collections::HashMap;
use std::net::SocketAddr;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use serde::Deserialize;
use url::form_urlencoded;

use super::layout::{Failed, Page, bare, number};
use super::{App, Settings, see};
use crate::service::{Client, Error, Principal, Session};
use crate::shop::user::{Credentials, RefreshToken};

const ACCESS: &str = "ecomm_access";
const REFRESH: &str = "ecomm_refresh";

/// Who looks, with the token that their forms must carry.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    pub(super) who: Principal,
    pub(super) token: String,
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        Ok(parts.extensions.get::<Self>().cloned().ok_or(Error::Unauthenticated)?)
    }
}

/// What a form said, whose token was right.
pub(super) struct Act {
    pub(super) operator: Operator,
    fields: HashMap<String, String>,
}

impl Act {
    /// A field, without blanks around it; empty if it was not sent.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value.trim())
    }

    /// Why; every act has a reason.
    pub(super) fn why(&self) -> Result<&str, Error> {
        match self.field("why") {
            "" => Err(Error::invalid("/why", "say why, for those who ask later")),
            why => Ok(why),
        }
    }

    /// A number, if the field was filled in.
    pub(super) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, Error> {
        number(name, self.field(name))
    }
}

impl FromRequest<App> for Act {
    type Rejection = Failed;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Failed> {
        let operator = request.extensions_mut().remove::<Operator>().ok_or(Error::Unauthenticated)?;
        let body = Bytes::from_request(request, app).await.map_err(|e| Failed::new(e.status(), &e.body_text()))?;
        let fields: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
        if !app.is_form_token(operator.who, fields.get("token").map_or("", String::as_str)) {
            return Err(Failed::forged());
        }
        Ok(Self { operator, fields })
    }
}

/// Lets those through who have a session and may look; renews it where it ran out meanwhile.
pub(super) async fn enter(State((app, settings)): State<(App, Settings)>, request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) && !is_ours(request.headers()) {
        return Failed::forged().into_response();
    }
    let access = cookie(request.headers(), ACCESS);
    let mut renewed = None;
    let who = match app.authenticate(access.as_deref()) {
        Ok(who) => Ok(who),
        Err(_) => match cookie(request.headers(), REFRESH).map(RefreshToken::try_from) {
            Some(Ok(token)) => match app.renew_session(&token).await {
                Ok(session) => {
                    let who = app.authenticate(Some(&session.access_token));
                    renewed = Some(session);
                    who
                }
                Err(e) => Err(e),
            },
            _ => Err(Error::Unauthenticated),
        },
    };
    let mut response = match who {
        Ok(who) => answer(&app, who, request, next).await,
        Err(Error::Unauthenticated | Error::WrongRefreshToken) => return ask_who(&request),
        Err(e) => return Failed::from(e).into_response(),
    };
    // Also of a refusal: the browser must not show the spent token again.
    if let Some(session) = renewed {
        keep(&mut response, &session, &app, settings);
    }
    response
}

async fn answer(app: &App, who: Principal, mut request: Request, next: Next) -> Response {
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    if let Err(e) = app.throttle.request(Client::of(Some(who), from)).and(who.must_look()) {
        return Failed::from(e).into_response();
    }
    let is_act = *request.method() == Method::POST;
    request.extensions_mut().insert(Operator { who, token: app.form_token(who) });
    if !is_act {
        return next.run(request).await;
    }
    // A browser that leaves must not end an act half-way, or before it is on record what came of it.
    #[expect(clippy::disallowed_methods, reason = "ends with the act")]
    let acting = tokio::spawn(next.run(request));
    acting.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// To the log-in, and back to the page that was asked for.
fn ask_who(request: &Request) -> Response {
    if request.headers().get(header::ACCEPT).is_some_and(|accepted| accepted == "text/event-stream") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let page = request.uri().path_and_query().map_or("/console", |page| page.as_str());
    let page = if *request.method() == Method::GET { page } else { "/console" };
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("next", page).finish();
    Redirect::to(&format!("/console/login?{query}")).into_response()
}

/// Whether a request comes from a page of ours: browsers say so, and no page can say it for another (Fetch Metadata; RFC 6454
/// for those that do not know it).
fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = text("origin").and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == text("host")
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// Hands a session to the browser, which shows it to `/console` alone and to no script.
fn keep(response: &mut Response, session: &Session, app: &App, settings: Settings) {
    let now = app.clock.now_ms();
    let left_s = |until: i64| ((until - now) / 1_000).max(0);
    set(response, ACCESS, &session.access_token, left_s(session.expires_at), settings);
    set(response, REFRESH, &session.refresh_token, left_s(session.refresh_expires_at), settings);
}

fn set(response: &mut Response, name: &str, value: &str, age_s: i64, settings: Settings) {
    let secure = if settings.secure_cookies { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/console; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

pub(super) async fn page(Query(Wanted { next }): Query<Wanted>) -> Page {
    form(&next, None)
}

fn form(next: &str, problem: Option<&str>) -> Page {
    bare(
        "Log in",
        &html! {
            form.login method="post" action="/console/login" {
                h1 { "Log in" }
                @if let Some(problem) = problem { p.problem role="alert" { (problem) } }
                input type="hidden" name="next" value=(next);
                label { "E-mail address" input type="email" name="email" autocomplete="username" required autofocus; }
                label { "Password" input type="password" name="password" autocomplete="current-password" required; }
                button { "Log in" }
            }
        },
    )
}

pub(super) async fn log_in(
    State(app): State<App>,
    Extension(settings): Extension<Settings>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_ours(&headers) {
        return Failed::forged().into_response();
    }
    let fields: HashMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let next = field("next");
    let refused = |status: StatusCode, why: &str| (status, form(&next, Some(why))).into_response();
    let from = peer.map(|Extension(ConnectInfo(peer))| peer.ip());
    let (Ok(email), Ok(password)) = (field("email").try_into(), field("password").try_into()) else {
        return refused(StatusCode::UNAUTHORIZED, &Error::WrongCredentials.to_string());
    };
    match app.log_in(Credentials { email, password }, from).await {
        Ok(session) => {
            let who = app.authenticate(Some(&session.access_token));
            if let Ok(who) = who
                && who.must_look().is_err()
            {
                // Nobody could log it out.
                let _ = app.end_session(who, None).await;
                return refused(StatusCode::FORBIDDEN, "This account may not look at the console.");
            }
            // Only to a page of the console: the address came from a link that anybody may have made.
            let is_page = next == "/console" || next.starts_with("/console/") || next.starts_with("/console?");
            let mut response = see(if is_page && !next.contains("//") { &next } else { "/console" });
            keep(&mut response, &session, &app, settings);
            response
        }
        Err(e @ Error::WrongCredentials) => refused(StatusCode::UNAUTHORIZED, &e.to_string()),
        Err(e @ Error::TooMany { .. }) => refused(StatusCode::TOO_MANY_REQUESTS, &e.to_string()),
        Err(e) => Failed::from(e).into_response(),
    }
}

pub(super) async fn log_out(State(app): State<App>, Extension(settings): Extension<Settings>, act: Act) -> Response {
    if let Err(e) = app.end_session(act.operator.who, None).await {
        return Failed::from(e).into_response();
    }
    let mut response = see("/console/login");
    for name in [ACCESS, REFRESH] {
        set(&mut response, name, "", 0, settings);
    }
    response
}
