//! Metrics, on a listener of their own: those who may read them need not reach the API, nor the other way round.

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Serves `/metrics` until stopped.
pub async fn serve_metrics(listener: TcpListener, metrics: Metrics, stop: CancellationToken) {
    let router = Router::new().route("/metrics", get(text)).with_state(metrics);
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(e) = serving.await {
        tracing::error!(error = %e, "metrics are not served any more");
    }
}

/// In Prometheus' text format.
async fn text(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.text())
}
