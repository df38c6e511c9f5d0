//! Pages for operators at `/console`, rendered by the host over the same use cases as both APIs. They are readable without
//! script; what a script adds is in one file of a few kilobytes, and nothing is loaded from elsewhere.

mod assets;
mod audit;
mod bulk;
mod layout;
mod live;
mod notifications;
mod orders;
mod overview;
mod plugins;
mod revision;
mod session;
mod shop;
mod suppressions;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use crate::service::Service;

/// What handlers share.
type App = Arc<Service>;

/// Whether there is a console, and how browsers keep its session.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whether `/console` is served beside the REST API.
    pub enabled: bool,
    /// Whether browsers send the session over TLS alone.
    pub secure_cookies: bool,
}

/// Whatever a page needs is of this host; no other page may frame one, and forms go nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// All pages, below `/console`.
pub(crate) fn routes(service: &App, settings: Settings) -> Router<App> {
    let pages = Router::new()
        .route("/console", get(overview::page))
        .route("/console/live", get(live::stream))
        .route("/console/queue/pause", post(overview::pause))
        .route("/console/queue/resume", post(overview::resume))
        .route("/console/notifications", get(notifications::list))
        .route("/console/notifications/bulk", get(bulk::question).post(bulk::begin))
        .route("/console/notifications/operations", get(bulk::list))
        .route("/console/notifications/operations/{id}", get(bulk::one))
        .route("/console/notifications/operations/{id}/cancel", post(bulk::cancel))
        .route("/console/notifications/{id}", get(notifications::one))
        .route("/console/notifications/{id}/mail", get(notifications::mail))
        .route("/console/notifications/{id}/source", get(notifications::source))
        .route("/console/notifications/{id}/{act}", post(notifications::act))
        .route("/console/suppressions", get(suppressions::page).post(suppressions::add))
        .route("/console/suppressions/{id}/lift", post(suppressions::lift))
        .route("/console/webhooks", get(webhooks::list).post(webhooks::add))
        .route("/console/webhooks/{id}", get(webhooks::one))
        .route("/console/webhooks/{id}/{what}", post(webhooks::act))
        .route("/console/plugins", get(plugins::page).post(plugins::install))
        .route("/console/plugins/components", post(plugins::upload).layer(DefaultBodyLimit::disable()))
        .route("/console/plugins/operations/{id}/cancel", post(plugins::cancel))
        .route("/console/plugins/slots/{slot}/rollback", post(plugins::roll_back))
        .route("/console/plugins/revisions/{id}", get(revision::page))
        .route("/console/plugins/revisions/{id}/stage", post(revision::stage))
        .route("/console/plugins/revisions/{id}/replay", post(revision::replay))
        .route("/console/plugins/revisions/{id}/preview", get(revision::preview))
        .route("/console/plugins/revisions/{id}/preview/{side}", get(revision::previewed))
        .route("/console/orders", get(orders::orders))
        .route("/console/orders/{id}", get(orders::order))
        .route("/console/orders/{id}/{what}", post(orders::change))
        .route("/console/products", get(shop::products).post(shop::create_product))
        .route("/console/products/{id}", get(shop::product).post(shop::update_product))
        .route("/console/users", get(shop::users))
        .route("/console/users/{id}", get(shop::user).post(shop::change_role))
        .route("/console/audit", get(audit::page))
        .route("/console/logout", post(session::log_out))
        .layer(from_fn_with_state((service.clone(), settings), session::enter));
    Router::new()
        .route("/console/", get(async || Redirect::permanent("/console")))
        .route("/console/login", get(session::page).post(session::log_in))
        .route("/console/assets/{file}", get(assets::file))
        .merge(pages)
        .layer(axum::Extension(settings))
        .layer(from_fn(protect))
}

/// Says to browsers what a page may do, unless the page says so itself.
async fn protect(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let said = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ];
    crate::http::say(next.run(request).await, said)
}

/// After an act, the page that shows it: what is sent again by a browser is a question, not the act.
fn see(path: &str) -> Response {
    Redirect::to(path).into_response()
}
