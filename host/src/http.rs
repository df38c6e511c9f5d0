//! The REST API: a table of routes, thin handlers, problem+json for everything that goes wrong.

mod accounts;
mod answer;
mod bulk;
mod discounts;
mod docs;
mod endpoints;
mod extract;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gateway;
mod health;
mod hosts;
mod metrics;
mod notifications;
mod operations;
mod orders;
mod plugins;
mod problem;
mod products;
mod queue;
mod server;
mod sessions;
mod suppressions;
mod users;
mod webhooks;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{delete, get, patch, post, put};
use serde::{Deserialize, Serialize};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use docs::openapi;
pub use metrics::serve_metrics;
pub(crate) use problem::Problem;
pub use server::serve;

use crate::service::Service;
use crate::{console, pages};

/// What handlers share.
pub(crate) type App = Arc<Service>;

/// The most bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 256 << 10;

/// A shorter answer fits one packet as it is.
const COMPRESSED_BYTES_MIN: u64 = 1_000;

/// What shrinks: JSON, pages and scripts.
#[derive(Clone, Copy)]
struct IsText;

impl Predicate for IsText {
    fn should_compress<B: hyper::body::Body>(&self, response: &hyper::Response<B>) -> bool {
        let media = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        // What comes piece by piece must not wait in a compressor.
        media != "text/event-stream"
            && (media.starts_with("text/") || ["json", "javascript"].iter().any(|word| media.contains(word)))
    }
}

/// How REST is served.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where; port 0: any that is free.
    pub listen: std::net::SocketAddr,
    /// Web pages of these origins may use the API; none when empty.
    pub cors_origins: Vec<String>,
    /// How long a client may take for a request's headers, in milliseconds.
    pub header_ms_max: u64,
    /// How long a client may take for a request's body, and we for the answer, in milliseconds.
    pub request_ms_max: u64,
    /// Connections at one time; more wait.
    pub connections_max: usize,
    /// A PEM file with the certificate's chain; without one there is no TLS.
    pub tls_certificate_path: PathBuf,
    /// A PEM file with its key.
    pub tls_key_path: PathBuf,
}

/// Says to browsers what a page may do, unless the page says so itself.
pub(crate) fn say(mut response: Response, said: impl IntoIterator<Item = (HeaderName, &'static str)>) -> Response {
    let always = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    for (name, value) in always.into_iter().chain(said) {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// All routes.
pub fn router(service: App, settings: &Settings, console: console::Settings) -> Router {
    let api = Router::new()
        .route("/v1/users", get(users::list).post(users::create))
        .route("/v1/users/{id}", get(users::one).patch(users::update).delete(users::delete))
        .route("/v1/users/{id}/email-verification", post(accounts::request_verification))
        .route("/v1/email-verifications", post(accounts::verify))
        .route("/v1/password-resets", post(accounts::request_reset))
        .route("/v1/password-resets/complete", post(accounts::reset))
        .route("/v1/sessions", get(sessions::list).post(sessions::log_in))
        .route("/v1/sessions/renew", post(sessions::renew))
        .route("/v1/sessions/current", delete(sessions::log_out))
        .route("/v1/sessions/{id}", delete(sessions::revoke))
        .route("/v1/products", get(products::list).post(products::create))
        .route("/v1/products/{id}", get(products::one).patch(products::update).delete(products::archive))
        .route("/v1/discounts", get(discounts::list).post(discounts::create))
        .route("/v1/discounts/{id}", get(discounts::one).patch(discounts::update).delete(discounts::archive))
        .route("/v1/products/{id}/stock-alert", post(products::alert).delete(products::forget_alert))
        .route("/v1/orders", get(orders::list).post(orders::place))
        .route("/v1/orders/{id}", get(orders::one).delete(orders::cancel))
        .route("/v1/orders/{id}/status", patch(orders::change_status))
        .route("/v1/orders/{id}/refunds", post(orders::refund))
        .route("/v1/orders/{id}/payment", put(orders::report_payment))
        .route("/v1/orders/{id}/invoice", put(orders::invoice))
        .route("/v1/orders/{id}/notes", post(orders::note))
        .route("/v1/orders/{id}/notifications", get(notifications::of_order))
        .route("/v1/notifications", get(notifications::list))
        .route("/v1/notifications/operations", get(bulk::list).post(bulk::start))
        .route("/v1/notifications/operations/{id}", get(bulk::one))
        .route("/v1/notifications/operations/{id}/cancel", post(bulk::cancel))
        .route("/v1/notifications/{id}", get(notifications::one))
        .route("/v1/notifications/{id}/retry", post(notifications::retry))
        .route("/v1/notifications/{id}/cancel", post(notifications::cancel))
        .route("/v1/notifications/{id}/hold", post(notifications::hold))
        .route("/v1/suppressions", get(suppressions::list).post(suppressions::add))
        .route("/v1/suppressions/import", post(suppressions::import))
        .route("/v1/suppressions/{id}", get(suppressions::one).delete(suppressions::lift))
        .route("/v1/webhook-endpoints", get(endpoints::list).post(endpoints::create))
        .route("/v1/webhook-endpoints/{id}", get(endpoints::one).patch(endpoints::update).delete(endpoints::delete))
        .route("/v1/webhook-endpoints/{id}/secret", post(endpoints::rotate))
        .route("/v1/webhook-endpoints/{id}/test", post(endpoints::test))
        .route("/v1/hosts", get(hosts::list))
        .route("/v1/queue", get(queue::one))
        .route("/v1/queue/pause", post(queue::pause))
        .route("/v1/queue/resume", post(queue::resume))
        .route("/v1/mailbox", get(notifications::mails))
        .route("/v1/mailbox/{id}", get(notifications::mail))
        .merge(plugins::routes())
        .merge(pages::routes())
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(from_fn_with_state(service.clone(), gateway::admit));
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(docs::document))
        .route("/docs", get(docs::index))
        .route("/docs/", get(docs::index))
        .route("/docs/{*file}", get(docs::file))
        // Providers have no token of ours: what they say is signed, or carries a password of theirs.
        .route("/v1/webhooks/{name}", post(webhooks::take).layer(DefaultBodyLimit::max(webhooks::BODY_BYTES_MAX)))
        .method_not_allowed_fallback(problem::no_method)
        .merge(api)
        .merge(if console.enabled { console::routes(&service, console) } else { Router::new() })
        .route_layer(axum::middleware::from_fn(gateway::remember_route))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESSED_BYTES_MIN).and(IsText)))
        .layer(cors(settings))
        .layer(from_fn_with_state((service.clone(), settings.request_ms_max), gateway::identify))
        .with_state(service)
}

fn cors(settings: &Settings) -> CorsLayer {
    let origins = settings.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    let own = |name: &'static str| HeaderName::from_static(name);
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.collect::<Vec<_>>()))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            own("idempotency-key"),
            own("prefer"),
            own("x-request-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            own("preference-applied"),
            own("ratelimit"),
            own("ratelimit-policy"),
            own("x-request-id"),
        ])
}
