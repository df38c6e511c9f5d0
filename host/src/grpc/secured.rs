//! Connections by TLS, as they come in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::accept::accept;

/// How long a client may take to agree on TLS.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Clients that do so at one time; more wait.
const HANDSHAKES_MAX: usize = 4_096;

/// Connections whose handshake is done; one that takes its time, or fails, keeps no other waiting.
pub(super) fn incoming(
    listener: TcpListener,
    tls: TlsAcceptor,
    stop: CancellationToken,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> {
    let (sender, receiver) = mpsc::channel(1);
    #[expect(
        clippy::disallowed_methods,
        reason = "ends when the host stops, or when nobody takes connections any more"
    )]
    tokio::spawn(async move {
        let permits = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let mut handshakes = JoinSet::new();
        loop {
            let permit = permits.clone().acquire_owned().await;
            let (socket, _) = tokio::select! {
                () = stop.cancelled() => return,
                () = sender.closed() => return,
                accepted = accept(&listener) => accepted,
            };
            while handshakes.try_join_next().is_some() {}
            let (tls, sender) = (tls.clone(), sender.clone());
            handshakes.spawn(async move {
                if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(socket)).await {
                    let _ = sender.send(Ok(stream)).await;
                }
                drop(permit);
            });
        }
    });
    futures_util::stream::unfold(receiver, async |mut receiver| {
        let next = receiver.recv().await?;
        Some((next, receiver))
    })
}
