//! Connections of clients, one by one.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// After an accept that failed: it may be for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// The next connection, which sends what is written to it at once. Can be dropped while it waits: no connection is lost.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        if let Ok((socket, peer)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            return (socket, peer);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
