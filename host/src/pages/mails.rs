//! Where customers stop mails, and choose which they get.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use maud::{Markup, html};
use url::form_urlencoded;

use super::words::Words;
use super::{App, failed, home, page};
use crate::service::CHOICES;
use crate::suppression::Scope;

/// Asks before it stops mails: mail servers and previews open links.
pub(super) async fn question(State(app): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let offer = |words: &'static Words| {
        let offer = html! {
            form method="post" { button { (words.stop_button) } }
            (to_choices(&token, words))
        };
        (words.stop, offer)
    };
    about(&app, &token, &headers, offer).await
}

/// Stops mails: by the button, or by a mail program itself (RFC 8058), whatever either sends along.
pub(super) async fn stop(State(app): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    match app.unsubscribe(&token).await {
        Ok(()) => {
            about(&app, &token, &headers, |words| {
                (words.stopped, html! { (to_choices(&token, words)) (home(&app, words)) })
            })
            .await
        }
        Err(e) => failed(&app, &headers, e),
    }
}

fn to_choices(token: &str, words: &Words) -> Markup {
    html! { p { a href={ "../p/" (token) } { (words.choose) } } }
}

/// A page about the mails that a link stops: what it says of them, and what it offers.
async fn about(
    app: &App,
    token: &str,
    headers: &HeaderMap,
    says: impl FnOnce(&'static Words) -> (&'static str, Markup),
) -> Response {
    let (user, scope) = match app.mails_of(token).await {
        Ok(found) => found,
        Err(e) => return failed(app, headers, e),
    };
    let words = Words::of(user.locale.as_str());
    let (title, offer) = says(words);
    let body = html! {
        h1 { (title) }
        p { (words.category(scope)) }
        (offer)
    };
    page(app, words, StatusCode::OK, &body)
}

/// Shows which mails a customer gets.
pub(super) async fn choices(State(app): State<App>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    show(&app, &token, &headers, false).await
}

/// Sends those that are chosen, and no others.
pub(super) async fn choose(
    State(app): State<App>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let chosen: Vec<String> = form_urlencoded::parse(&body).map(|(name, _)| name.into_owned()).collect();
    // A mail program that takes this for the address to unsubscribe at has chosen nothing.
    let wanted: Vec<Scope> = CHOICES.into_iter().filter(|choice| chosen.iter().any(|c| c == choice.as_str())).collect();
    match app.choose_mails(&token, &wanted).await {
        Ok(()) => show(&app, &token, &headers, true).await,
        Err(e) => failed(&app, &headers, e),
    }
}

async fn show(app: &App, token: &str, headers: &HeaderMap, is_saved: bool) -> Response {
    let (user, _, choices) = match app.mail_choices(token).await {
        Ok(found) => found,
        Err(e) => return failed(app, headers, e),
    };
    let words = Words::of(user.locale.as_str());
    let choice = |(scope, is_wanted): &(Scope, bool)| -> Markup {
        html! {
            label.check {
                input type="checkbox" name=(scope.as_str()) value="1" checked[*is_wanted];
                (words.category(*scope))
            }
        }
    };
    let body = html! {
        h1 { (words.which) }
        @if is_saved { p role="status" { strong { (words.saved) } } }
        form method="post" {
            @for each in &choices { (choice(each)) }
            p { (words.always) }
            button { (words.save) }
        }
        (home(app, words))
    };
    page(app, words, StatusCode::OK, &body)
}
