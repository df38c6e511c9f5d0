use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{App, Settings};
use crate::console;

/// The most bytes of a request's headers.
const HEADER_BYTES_MAX: usize = 32 << 10;
/// How long requests under way may take to end once the host stops.
const DRAIN: Duration = Duration::from_secs(30);
/// After an accept that failed: it may be for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until stopped; requests under way end first. A client that takes its time with the headers is cut off.
pub async fn serve(
    listener: TcpListener,
    service: App,
    (settings, console): (Settings, console::Settings),
    stop: CancellationToken,
) -> io::Result<()> {
    // What goes on after its answer has begun must know when to end.
    let router = super::router(service, &settings, console).layer(axum::Extension(stop.clone()));
    let mut builder = Builder::new(hyper_util::rt::TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(settings.header_ms_max))
        .max_buf_size(HEADER_BYTES_MAX);
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(settings.connections_max));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (socket, peer, permit) = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, permits.clone()) => accepted,
        };
        let _ = socket.set_nodelay(true);
        let connection =
            builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(of(router.clone(), peer)));
        let connection = graceful.watch(connection.into_owned());
        connections.spawn(async move {
            // What a client breaks off is its own affair.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    permits: Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    let permit = permits.acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => return (socket, peer, permit),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The routes, for requests that come from `peer`.
fn of(
    router: Router,
    peer: SocketAddr,
) -> impl tower::Service<
    hyper::Request<hyper::body::Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> + Clone
+ Send {
    router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(axum::body::Body::new)
    })
}
