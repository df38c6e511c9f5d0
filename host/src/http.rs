//! The REST API: a table of routes, thin handlers, problem+json for everything that goes wrong.

mod extract;
mod health;
mod notifications;
mod orders;
mod plugins;
mod problem;
mod products;
mod users;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, patch, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::service::Service;

/// What handlers share.
pub(crate) type App = Arc<Service>;

/// The most bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 256 << 10;

/// All routes.
pub fn router(service: App) -> Router {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/v1/users", post(users::create))
        .route("/v1/sessions", post(users::log_in))
        .route("/v1/products", get(products::list).post(products::create))
        .route("/v1/products/{id}", get(products::one))
        .route("/v1/orders", get(orders::list).post(orders::place))
        .route("/v1/orders/{id}", get(orders::one))
        .route("/v1/orders/{id}/status", patch(orders::change_status))
        .route("/v1/orders/{id}/notifications", get(notifications::list))
        .route("/v1/plugins", get(plugins::list))
        .route("/v1/plugins/{slot}/reload", post(plugins::reload))
        .route("/v1/mailbox", get(notifications::mails))
        .route("/v1/mailbox/{id}", get(notifications::mail))
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .with_state(service)
}

/// Serves until stopped; requests under way end first.
pub async fn serve(listener: TcpListener, service: App, stop: CancellationToken) -> io::Result<()> {
    let listener = listener.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    axum::serve(listener, router(service)).with_graceful_shutdown(stop.cancelled_owned()).await
}
