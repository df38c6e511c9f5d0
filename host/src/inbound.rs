//! Mail that comes in: what other servers say of mails that a relay took, by SMTP (RFC 5321) or LMTP (RFC 2033). A mail is
//! answered for when what it says is written down; until then its sender keeps it.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod read;
mod session;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::accept::accept;
use crate::certificate::Certificate;
use crate::config::Config;
use crate::service::Service;
use session::{End, Session};

/// Where reports are taken, and how many at one time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it listens, by SMTP and LMTP; nowhere when empty.
    pub listen: String,
    /// A PEM file with the certificate's chain; without one there is no STARTTLS.
    pub tls_certificate_path: PathBuf,
    /// A PEM file with its key.
    pub tls_key_path: PathBuf,
    /// Connections at one time; more are turned away.
    pub connections_max: usize,
    /// By which providers report, at `/v1/webhooks` of the REST API.
    #[serde(default)]
    pub webhooks: Vec<crate::provider::Settings>,
    /// The largest mail that is taken, in bytes. Of each, no more than its beginning is kept and read ([`read::BYTES_MAX`]).
    pub message_bytes_max: usize,
}

/// Reports cannot be taken as the settings ask for.
#[derive(Debug, thiserror::Error)]
pub enum InboundError {
    /// The address cannot be read.
    #[error("inbound.listen: \"{0}\" is no address: expected one such as 127.0.0.1:2526, or nothing")]
    Listen(String),
    /// Nobody could tell what a report is about.
    #[error("inbound.listen: set mail.return_path as well: the address that reports come to")]
    NoReturnPath,
}

impl Settings {
    /// Where it listens.
    pub fn address(&self) -> Result<Option<SocketAddr>, InboundError> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        self.listen.parse().map(Some).map_err(|_| InboundError::Listen(self.listen.clone()))
    }
}

/// Mails that are read at one time: a mail made to cost much costs others nothing.
const READERS_MAX: usize = 2;
/// How long a connection may last.
const SESSION_MAX: Duration = Duration::from_hours(1);
/// How long what is under way may take to end once the host stops.
const DRAIN: Duration = Duration::from_secs(10);

/// What each connection needs.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Takes what is reported.
    pub(crate) service: Arc<Service>,
    /// How this host introduces itself.
    pub(crate) name: String,
    /// For STARTTLS.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Mails that are read at one time.
    readers: Semaphore,
    /// The limits.
    pub(crate) settings: Settings,
}

impl Server {
    /// As the settings say; none: reports are taken nowhere.
    pub(crate) fn new(
        config: &Config,
        service: &Arc<Service>,
        certificate: Option<&Arc<Certificate>>,
    ) -> Result<Option<Self>, InboundError> {
        let settings = config.inbound.clone();
        let Some(address) = settings.address()? else { return Ok(None) };
        if config.mail.return_path.is_none() {
            return Err(InboundError::NoReturnPath);
        }
        let name = config.mail.hello_name.as_str().to_owned();
        let tls = certificate.map(|certificate| certificate.acceptor(&[]));
        let readers = Semaphore::new(READERS_MAX);
        Ok(Some(Self { address, service: service.clone(), name, tls, readers, settings }))
    }
}

/// Takes reports until stopped; a mail under way is answered first.
pub(crate) async fn serve(server: Server, listener: TcpListener, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(server.settings.connections_max.max(1)));
    let server = Arc::new(server);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (socket, _) = accept(&listener) => {
                let (server, stop, permit) = (server.clone(), stop.clone(), permits.clone().try_acquire_owned());
                connections.spawn(async move {
                    let Ok(_permit) = permit else { return session::turn_away(socket, &server.name).await };
                    // What a client breaks off is its own affair: nothing was answered for.
                    let _ = tokio::time::timeout(SESSION_MAX, Box::pin(talk(&server, socket, &stop))).await;
                });
            }
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN, ended).await;
}

async fn talk(server: &Server, socket: TcpStream, stop: &CancellationToken) -> io::Result<()> {
    let session = Session { server, offers_tls: server.tls.is_some() };
    let End::Upgrade(socket) = session.run(socket, true, stop).await? else { return Ok(()) };
    let Some(acceptor) = &server.tls else { return Ok(()) };
    let stream = session::in_time(acceptor.accept(socket)).await?;
    Session { server, offers_tls: false }.run(stream, false, stop).await.map(drop)
}
