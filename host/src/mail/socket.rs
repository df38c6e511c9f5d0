//! The socket under a session.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::RelaySettings;
use super::session::Protection;

/// A socket that counts what it has taken.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) socket: Socket,
    pub(super) written: Arc<AtomicU64>,
    /// Until TLS is up, bytes are handed out one at a time: lettre would keep what it has read ahead in clear text
    /// and take it for what the relay says under TLS (the STARTTLS injection of CVE-2011-0411).
    pub(super) narrow: Arc<AtomicBool>,
}

/// In clear text, or under TLS from the first byte.
#[derive(Debug)]
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens one to a relay; its certificate with it, where the first byte is TLS.
pub(super) async fn open(
    relay: &RelaySettings,
    protection: &Protection,
    written: Arc<AtomicU64>,
    narrow: Arc<AtomicBool>,
) -> io::Result<(Counted, Option<Vec<u8>>)> {
    let socket = TcpStream::connect((relay.host.as_str(), relay.port)).await?;
    // A mail is a few small writes: without this each waits for a delayed ACK.
    socket.set_nodelay(true)?;
    let mut certificate = None;
    let socket = match protection {
        Protection::Implicit(connector, name) => {
            let socket = connector.connect(name.clone(), socket).await?;
            let chain = socket.get_ref().1.peer_certificates();
            certificate = chain.and_then(<[_]>::first).map(|first| first.to_vec());
            Socket::Tls(Box::new(socket))
        }
        Protection::None | Protection::Starttls(_) => Socket::Plain(socket),
    };
    Ok((Counted { socket, written, narrow }, certificate))
}

impl AsyncTokioStream for Counted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Plain(s) => s.peer_addr(),
            Socket::Tls(s) => s.get_ref().0.peer_addr(),
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.narrow.load(Ordering::Relaxed)
            && buf.remaining() > 1
            && let Socket::Plain(socket) = &mut self.socket
        {
            let mut byte = [0; 1];
            let mut one = ReadBuf::new(&mut byte);
            let read = Pin::new(socket).poll_read(cx, &mut one);
            buf.put_slice(one.filled());
            return read;
        }
        match &mut self.socket {
            Socket::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Socket::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.socket {
            Socket::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Socket::Tls(s) => Pin::new(s).poll_write(cx, buf),
        };
        if let Poll::Ready(Ok(n)) = &written {
            self.written.fetch_add(*n as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(s) => Pin::new(s).poll_flush(cx),
            Socket::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Socket::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
