//! The parts of a host, each made as the settings say.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Roles, StartError};
use crate::certificate::Certificate;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::mail::mailbox::Mailbox;
use crate::mail::{Mailer, RelaySettings, Tls};
use crate::provider::{Providers, WebhookError};
use crate::return_path::ReturnPaths;
use crate::service::{Service, Tokens};
use crate::store::{self, Store};
use crate::{http, inbound};

/// The name of the relay that a mailbox is.
pub(super) const MAILBOX: &str = "mailbox";

/// Sockets that are listened on before a host starts, so that connections wait for it: systemd's, for one. Where there is none,
/// the host makes its own, as the settings say.
#[derive(Debug, Default)]
pub struct Sockets {
    /// REST.
    pub http: Option<std::net::TcpListener>,
    /// gRPC.
    pub grpc: Option<std::net::TcpListener>,
}

/// Connects to the database, and leaves its schema as it is.
pub async fn connect(settings: &config::Database, clock: Clock) -> Result<Store, StartError> {
    let options = store::Options {
        url: settings.url.clone(),
        connections_max: settings.connections_max,
        connect_timeout_ms: settings.connect_timeout_ms,
        bytes_max: settings.bytes_max,
        wait_ms: settings.wait_ms,
        prepared_statements: settings.prepared_statements,
    };
    Ok(Store::open(&options, clock).await?)
}

/// Opens the database and, when the settings say so, brings the schema up to date.
pub async fn open(config: &Config, clock: Clock) -> Result<Store, StartError> {
    let store = connect(&config.database, clock).await?;
    if config.database.migrate_on_start {
        store.migrate().await?;
    } else {
        store.expect_schema().await?;
    }
    Ok(store)
}

/// Starts the mailbox for development, and makes it the relay when there is no other.
pub(super) async fn mailbox(
    config: &mut Config,
    clock: &Clock,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<Option<Mailbox>, StartError> {
    if !config.mailbox.enabled {
        return Ok(None);
    }
    let listener = listen("mailbox.listen", config.mailbox.listen).await?;
    let address = listener.local_addr().unwrap_or(config.mailbox.listen);
    let mailbox = Mailbox::new(config.mailbox.path.clone(), config.mailbox.messages_max, None, clock.clone());
    let (serving, stop) = (mailbox.clone(), stop.clone());
    tasks.spawn(async move { serving.serve(listener, stop).await });
    if config.mail.relays.is_empty() {
        config.mail.relays.push(RelaySettings {
            tls: Tls::None,
            // It is ours, and each hand-over holds its connection while the intent is committed: many share a commit.
            connections_max: 96,
            ..RelaySettings::new(MAILBOX, &address.ip().to_string(), address.port())
        });
    }
    Ok(Some(mailbox))
}

/// Shows metrics to those who ask, if the settings say where.
pub(super) async fn show_metrics(
    config: &Config,
    service: &Service,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(address) = config.telemetry.address()? else { return Ok(None) };
    match listen("telemetry.listen", address).await {
        Ok(listener) => {
            let address = listener.local_addr().ok();
            tasks.spawn(http::serve_metrics(listener, service.metrics.clone(), stop.clone()));
            Ok(address)
        }
        // Whether anybody watches must not decide whether mails go out: a second host on a machine is usual.
        Err(e) => {
            tracing::warn!(error = %e, "nobody can read the metrics of this host");
            Ok(None)
        }
    }
}

/// What every host does beside serving and delivering.
pub(super) fn keep_up(
    service: &Arc<Service>,
    config: &Config,
    roles: Roles,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) {
    tasks.spawn(service.clone().forget_old(config.retention, stop.clone()));
    tasks.spawn(service.clone().watch_bulk(stop.clone()));
    tasks.spawn(service.clone().answer_resets(stop.clone()));
    tasks.spawn(service.clone().watch_stock(stop.clone()));
    tasks.spawn(service.clone().observe(roles.names(), stop.clone()));
}

/// Takes what other servers report of mails, if the settings say where.
pub(super) async fn take_reports(
    config: &Config,
    service: &Arc<Service>,
    certificate: Option<&Arc<Certificate>>,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(server) = inbound::Server::new(config, service, certificate)? else { return Ok(None) };
    let listener = listen("inbound.listen", server.address).await?;
    let address = listener.local_addr().ok();
    tasks.spawn(inbound::serve(server, listener, stop.clone()));
    Ok(address)
}

/// The certificates of what this host serves.
pub(super) struct Certificates {
    pub(super) http: Option<Arc<Certificate>>,
    pub(super) grpc: Option<Arc<Certificate>>,
    pub(super) inbound: Option<Arc<Certificate>>,
}

impl Certificates {
    /// Of what the roles serve.
    pub(super) fn load(config: &Config, roles: Roles, clock: &Clock) -> Result<Self, StartError> {
        let load = |is_served: bool, section, chain: &Path, key: &Path| {
            if is_served { Certificate::load(section, (chain, key), clock.now_ms()) } else { Ok(None) }
        };
        let Config { http, grpc, inbound, .. } = config;
        Ok(Self {
            http: load(roles.api, "http", &http.tls_certificate_path, &http.tls_key_path)?,
            grpc: load(roles.grpc, "grpc", &grpc.tls_certificate_path, &grpc.tls_key_path)?,
            inbound: load(!inbound.listen.is_empty(), "inbound", &inbound.tls_certificate_path, &inbound.tls_key_path)?,
        })
    }

    pub(super) fn all(&self) -> Vec<Arc<Certificate>> {
        [&self.http, &self.grpc, &self.inbound].into_iter().flatten().cloned().collect()
    }
}

pub(super) fn mailer(config: &Config, clock: &Clock) -> Result<Mailer, StartError> {
    let return_paths = ReturnPaths::new(config.mail.return_path.as_ref(), config.auth.secrets())?;
    Ok(Mailer::new(config.mail.clone(), clock)?.returning_to(return_paths))
}

pub(super) fn providers(config: &Config) -> Result<Providers, StartError> {
    if !config.inbound.webhooks.is_empty() && config.mail.return_path.is_none() {
        return Err(WebhookError::NoReturnPath.into());
    }
    Ok(Providers::new(&config.inbound.webhooks)?)
}

pub(super) fn tokens(config: &Config) -> Tokens {
    let auth = &config.auth;
    Tokens::new(auth.secrets(), auth.access_token_ms, auth.refresh_token_ms, auth.renewal_grace_ms)
}

/// Takes a socket over, or makes one.
pub(super) async fn listen_on(
    given: Option<std::net::TcpListener>,
    key: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, StartError> {
    let Some(given) = given else { return listen(key, address).await };
    let taken = given.set_nonblocking(true).and_then(|()| TcpListener::from_std(given));
    taken.map_err(|source| StartError::Listen { key, address, source })
}

pub(super) async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { key, address, source })
}

pub(super) fn report<E: std::fmt::Display>(part: &str, ended: Result<(), E>) {
    if let Err(e) = ended {
        tracing::error!(error = %e, server = part, "a server ended");
    }
}
