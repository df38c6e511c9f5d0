//! The socket under a session.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// A socket that counts what it has taken.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) socket: Socket,
    pub(crate) written: Arc<AtomicU64>,
    /// Until TLS is up, bytes are handed out one at a time: lettre would keep what it has read ahead in clear text
    /// and take it for what the relay says under TLS (the STARTTLS injection of CVE-2011-0411).
    pub(crate) narrow: Arc<AtomicBool>,
}

/// In clear text, or under TLS from the first byte.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens one, under TLS from the first byte if there is a connector; the peer's certificate with it.
pub(crate) async fn open(
    connecting: impl Future<Output = io::Result<TcpStream>>,
    tls: Option<&(TlsConnector, ServerName<'static>)>,
    written: Arc<AtomicU64>,
    narrow: Arc<AtomicBool>,
) -> io::Result<(Counted, Option<Vec<u8>>)> {
    let socket = connecting.await?;
    // A message is a few small writes: without this each waits for a delayed ACK.
    socket.set_nodelay(true)?;
    let Some((connector, name)) = tls else {
        return Ok((Counted { socket: Socket::Plain(socket), written, narrow }, None));
    };
    let socket = connector.connect(name.clone(), socket).await?;
    let chain = socket.get_ref().1.peer_certificates();
    let certificate = chain.and_then(<[_]>::first).map(|first| first.to_vec());
    Ok((Counted { socket: Socket::Tls(Box::new(socket)), written, narrow }, certificate))
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
