//! Pages that mails lead customers to: without a log-in, by a token that was signed into the link. What a link does is done by
//! a button, not by opening it: mail servers and previews open links too.

mod mails;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{DOCTYPE, Markup, html};
use url::form_urlencoded;

use crate::link::Purpose;
use crate::service::{Error, Service};
use crate::shop::text::Email;
use crate::shop::user::{Password, User};
use words::Words;

/// What handlers share.
type App = Arc<Service>;

const STYLE: &str = include_str!("pages/pages.css");
const STYLE_PATH: &str = "/a/pages.css";

/// Nothing is loaded from elsewhere, nothing runs, no other page may frame one, and forms go nowhere else.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// All pages.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route(STYLE_PATH, get(style))
        .route("/a/{token}", get(account).post(act))
        .route("/u/{token}", get(mails::question).post(mails::stop))
        .route("/p/{token}", get(mails::choices).post(mails::choose))
        .layer(from_fn(protect))
}

async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, STYLE).into_response()
}

/// Asks before it does what the link is for.
async fn account(State(app): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    match app.follow_link(&token).await {
        Ok((purpose, user, about)) => asked(&app, purpose, (&user, &about), None),
        Err(e) => failed(&app, &headers, e),
    }
}

async fn act(State(app): State<App>, Path(token): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let (purpose, user, about) = match app.follow_link(&token).await {
        Ok(followed) => followed,
        Err(e) => return failed(&app, &headers, e),
    };
    let words = Words::of(user.locale.as_str());
    let done = match purpose {
        Purpose::VerifyEmail => app.verify_email(&token).await.map(|()| words.verified),
        Purpose::ResetPassword => match Password::try_from(field(&body, "password")) {
            Ok(password) => app.reset_password(&token, &password).await.map(|()| words.password_set),
            Err(_) => return asked(&app, purpose, (&user, &about), Some(words.password_rule)),
        },
        Purpose::Unsubscribe => Err(Error::NotFound("page")),
    };
    match done {
        Ok(says) => page(&app, words, StatusCode::OK, &html! { h1 { (says) } (home(&app, words)) }),
        Err(e) => failed(&app, &headers, e),
    }
}

/// A field of a form.
fn field(body: &[u8], name: &str) -> String {
    let mut fields = form_urlencoded::parse(body);
    fields.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The page with the button.
fn asked(app: &App, purpose: Purpose, (user, about): (&User, &Email), wrong: Option<&str>) -> Response {
    let words = Words::of(user.locale.as_str());
    let body = match purpose {
        Purpose::VerifyEmail => html! {
            h1 { (words.verify) }
            p { bdi { (about.as_str()) } }
            form method="post" { button { (words.verify_button) } }
        },
        Purpose::ResetPassword => html! {
            h1 { (words.reset) }
            @if let Some(wrong) = wrong { p.wrong role="alert" #rule { (wrong) } }
            form method="post" {
                // So that a browser keeps the password with the address that it is for.
                input.unseen type="email" name="email" value=(user.email.as_str()) autocomplete="username" readonly tabindex="-1" aria-hidden="true";
                label { (words.new_password)
                    input type="password" name="password" required minlength="10" maxlength="200" autocomplete="new-password" aria-describedby=[wrong.map(|_| "rule")];
                }
                button { (words.reset_button) }
            }
        },
        Purpose::Unsubscribe => html! {},
    };
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page(app, words, status, &body)
}

/// Says that a link does nothing any more, in the language that the browser asks for: whose it was is not known.
fn failed(app: &App, headers: &HeaderMap, e: Error) -> Response {
    let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let words = Words::of(asked);
    let (status, says) = match &e {
        Error::NotFound(_) => (StatusCode::GONE, words.over),
        Error::Taken(_) => (StatusCode::CONFLICT, words.taken),
        _ => {
            let status = crate::http::Problem::from(e).status();
            return page(app, words, status, &html! { h1 { (words.later) } });
        }
    };
    page(app, words, status, &html! { h1 { (says) } (home(app, words)) })
}

fn home(app: &App, words: &Words) -> Markup {
    html! {
        @if !app.shop.url.is_empty() { p { a href=(app.shop.url) { (words.to_the_shop) } } }
    }
}

fn page(app: &App, words: &Words, status: StatusCode, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang=(words.language) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (app.shop.name) }
                // Relative: what is before it in the address is the shop's to choose.
                link rel="stylesheet" href={ ".." (STYLE_PATH) };
            }
            body { main { p.shop { (app.shop.name) } (body) } }
        }
    };
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
}

/// Says to browsers what a page may do, and that its address is nobody else's business: the token is in it.
async fn protect(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let said = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    crate::http::say(next.run(request).await, said)
}
