use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::HeaderValue;
use axum::http::header::HOST;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{App, Settings};
use crate::accept::accept;
use crate::{console, proxy};

/// The most bytes of a request's headers.
const HEADER_BYTES_MAX: usize = 32 << 10;
/// How long requests under way may take to end once the host stops.
const DRAIN: Duration = Duration::from_secs(30);
/// Whom proxies name.
const FORWARDED: &str = "x-forwarded-for";
/// How often an idle connection of HTTP/2 is asked whether it is there, and how long it may take to say so.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// A connection of HTTP/2 on which nobody asks anything for so long is closed; its first request is awaited no longer than headers.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// Requests under way at one time on one connection of HTTP/2.
const STREAMS_MAX: u32 = 128;

/// Serves until stopped; requests under way end first. A client that takes its time with the headers is cut off. By TLS, HTTP/2
/// is offered as well.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: App,
    (settings, console): (Settings, console::Settings),
    stop: CancellationToken,
) -> io::Result<()> {
    let patience = Duration::from_millis(settings.header_ms_max);
    // What goes on after its answer has begun must know when to end.
    let proxies = Arc::new(service.proxies.clone());
    let router = super::router(service, &settings, console).layer(axum::Extension(stop.clone()));
    let talk = Talk { router, proxies, patience, first: first(patience), second: second() };
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(settings.connections_max));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (permit, (socket, peer)) = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = async { (permits.clone().acquire_owned().await.ok(), accept(&listener).await) } => accepted,
        };
        let (talk, watcher, tls, stop) = (talk.clone(), graceful.watcher(), tls.clone(), stop.clone());
        connections.spawn(async move {
            match tls {
                None => talk.with(socket, false, peer, watcher).await,
                Some(tls) => {
                    let stream = tokio::select! {
                        () = stop.cancelled() => None,
                        stream = tokio::time::timeout(patience, tls.accept(socket)) => stream.ok().and_then(Result::ok),
                    };
                    if let Some(stream) = stream {
                        let is_second = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        talk.with(stream, is_second, peer, watcher).await;
                    }
                }
            }
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    Ok(())
}

/// HTTP/1.1 (RFC 9112).
fn first(patience: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(HEADER_BYTES_MAX);
    builder
}

/// HTTP/2 (RFC 9113).
fn second() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http2_only();
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX));
    builder
}

/// How a connection is served.
#[derive(Clone)]
struct Talk {
    router: Router,
    proxies: Arc<proxy::Settings>,
    patience: Duration,
    first: Builder<TokioExecutor>,
    second: Builder<TokioExecutor>,
}

impl Talk {
    async fn with(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        is_second: bool,
        peer: SocketAddr,
        watcher: Watcher,
    ) {
        let (io, router) = (TokioIo::new(stream), of(self.router.clone(), self.proxies.clone(), peer));
        // What a client breaks off is its own affair.
        if !is_second {
            let service = TowerToHyperService::new(router);
            let _ = watcher.watch(self.first.serve_connection(io, service).into_owned()).await;
            return;
        }
        let asked = Arc::new(Asked::default());
        let counted = {
            let asked = asked.clone();
            tower::service_fn(move |request| {
                let (answer, under_way) = (router.clone().oneshot(request), UnderWay::of(&asked));
                async move {
                    let keep = move |frame| {
                        let _ = &under_way;
                        frame
                    };
                    Ok::<_, Infallible>(answer.await?.map(|body| Body::new(body.map_frame(keep))))
                }
            })
        };
        let connection = self.second.serve_connection(io, TowerToHyperService::new(counted)).into_owned();
        tokio::select! {
            _ = watcher.watch(connection) => {}
            () = asked.nothing(self.patience) => {}
        }
    }
}

/// What is asked on one connection of HTTP/2, where the protocol has no end of its own to waiting.
#[derive(Default)]
struct Asked {
    under_way: AtomicUsize,
    changed: Notify,
}

impl Asked {
    /// Waits until nothing was asked for a while.
    async fn nothing(&self, first: Duration) {
        let mut patience = first;
        loop {
            if tokio::time::timeout(patience, self.changed.notified()).await.is_ok() {
                patience = IDLE_MAX;
            } else if self.under_way.load(Ordering::Acquire) == 0 {
                return;
            }
        }
    }
}

/// A request until the last of its answer was sent, or its client is gone.
struct UnderWay(Arc<Asked>);

impl UnderWay {
    fn of(asked: &Arc<Asked>) -> Self {
        asked.under_way.fetch_add(1, Ordering::AcqRel);
        asked.changed.notify_one();
        Self(asked.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

/// The routes, for requests that come from `peer`, or from whom it names.
fn of(
    router: Router,
    proxies: Arc<proxy::Settings>,
    peer: SocketAddr,
) -> impl tower::Service<
    hyper::Request<hyper::body::Incoming>,
    Response = axum::response::Response,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send {
    router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        let forwarded = request.headers().get_all(FORWARDED).iter().map(HeaderValue::as_bytes);
        let client = proxies.client(peer.ip(), forwarded);
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, peer.port())));
        // HTTP/2 says in a field of its own whom it asks (RFC 9113 8.3.1).
        if !request.headers().contains_key(HOST)
            && let Some(host) = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok())
        {
            request.headers_mut().insert(HOST, host);
        }
        request.map(Body::new)
    })
}
