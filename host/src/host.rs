//! The only wiring: from settings to a running host.

mod parts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use secrecy::ExposeSecret;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::certificate::{self, Certificate, CertificateError};
use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::Deliver;
use crate::endpoint::SecretKeys;
use crate::inbound::InboundError;
use crate::link::Links;
use crate::mail::mailbox::Mailbox;
use crate::mail::{Mailer, MailerError, RelaySettings, Tls};
use crate::metrics::{Metrics, MetricsError};
use crate::plugin::{self, ColdStart, KeyError, LoadError};
use crate::provider::WebhookError;
use crate::queue::{Addresses, Queue, Requests};
use crate::return_path::ReturnPathError;
use crate::service::{
    self, Changes, Counter, InFlight, Operations, Preparing, Pulse, Readiness, Service, Slot, Throttle, Window, rollout,
};
use crate::share::Shares;
use crate::store;
use crate::suppression::AddressKeys;
use crate::trace::Tracer;
use crate::webhook::{self, Webhooks};
use crate::{grpc, http};
use parts::{
    Certificates, MAILBOX, keep_up, listen_on, mailbox, mailer, providers, report, show_metrics, take_reports, tokens,
};
pub use parts::{Sockets, connect, open};

/// What a host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Serves REST.
    pub api: bool,
    /// Serves gRPC.
    pub grpc: bool,
    /// Delivers.
    pub worker: bool,
}

impl Roles {
    /// Everything.
    pub const ALL: Self = Self { api: true, grpc: true, worker: true };

    /// As the command line calls them.
    fn names(self) -> String {
        let all = [("api", self.api), ("grpc", self.grpc), ("worker", self.worker)];
        let names = all.into_iter().filter(|(_, has)| *has).map(|(name, _)| name);
        names.collect::<Vec<_>>().join(" ")
    }
}

/// The host does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error("the database: {0}")]
    Store(#[from] store::Error),
    /// The plugin host itself; a bad plugin does not keep the host from starting.
    #[error("the plugin host: {0}")]
    Plugins(#[from] LoadError),
    /// The keys that signatures of components are checked with.
    #[error("plugins.trust: {0}")]
    Trust(#[from] KeyError),
    /// The mailer's settings.
    #[error(transparent)]
    Mailer(#[from] MailerError),
    /// Where mails come back to.
    #[error(transparent)]
    ReturnPath(#[from] ReturnPathError),
    /// Where reports are taken.
    #[error(transparent)]
    Inbound(#[from] InboundError),
    /// By which providers report.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// How endpoints of webhooks are spoken to.
    #[error(transparent)]
    Endpoints(#[from] webhook::SettingsError),
    /// What is to be measured.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The certificates of what is served.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A port.
    #[error("{key}: cannot listen on {address}: {source}{}", hint(source))]
    Listen {
        /// Which setting.
        key: &'static str,
        /// What it says.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

/// What to do where a port cannot be had.
fn hint(why: &std::io::Error) -> &'static str {
    match why.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "; ports below 1024 are for a service manager's sockets, or need CAP_NET_BIND_SERVICE"
        }
        std::io::ErrorKind::AddrInUse => "; another program listens there, perhaps another host",
        _ => "",
    }
}

/// After so many polls of tasks a thread of the runtime looks for what the network has to say. A component that computes
/// gives its thread up every 2 ms and is run again at once: with the usual 61, requests would wait for a tenth of a second.
const EVENT_INTERVAL: u32 = 4;

/// Lets every client of HTTP in this process do its cryptography by ring, as the rest does; without, none can be made.
pub fn use_ring() {
    // It is there already where it was called before.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
}

/// The runtime that a host runs on.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    use_ring();
    tokio::runtime::Builder::new_multi_thread().enable_all().event_interval(EVENT_INTERVAL).build()
}

/// How long mails wait at most for revisions that are prepared at start.
const COLD_MS_MAX: u64 = 60_000;

/// What is being started. Boxed, its code is made once, with the library, and not for each program that starts one.
pub type Starting<T> = LocalBoxFuture<'static, Result<T, StartError>>;

/// Components that did not pass the gate.
type Refused = Vec<(Slot, service::Error)>;

/// A host that has started.
pub struct Host {
    /// Its use cases.
    pub service: Arc<Service>,
    /// Its worker.
    pub queue: Queue,
    /// Where REST is served.
    pub http: Option<SocketAddr>,
    /// Where gRPC is served.
    pub grpc: Option<SocketAddr>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Where reports of mails are taken.
    pub reports: Option<SocketAddr>,
    certificates: Vec<Arc<Certificate>>,
    preparing: Option<oneshot::Receiver<Refused>>,
    refused: Refused,
    mailer: Mailer,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Host {
    /// Starts what the roles say. When it returns, the APIs are served; revisions other than the built-ins may still be
    /// on their way ([`prepared`](Self::prepared)), and with them the first mails.
    pub async fn start(config: Config, roles: Roles, clock: Clock) -> Result<Self, StartError> {
        Self::start_on(config, roles, clock, Sockets::default()).await
    }

    /// The same on sockets that somebody else listens on already.
    pub fn start_on(config: Config, roles: Roles, clock: Clock, sockets: Sockets) -> Starting<Self> {
        Box::pin(Self::begin(config, roles, clock, sockets))
    }

    async fn begin(mut config: Config, roles: Roles, clock: Clock, sockets: Sockets) -> Result<Self, StartError> {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let certificates = Certificates::load(&config, roles, &clock)?;
        let mailbox = mailbox(&mut config, &clock, &stop, &mut tasks).await?;
        let mailer = mailer(&config, &clock)?;
        let service = Box::pin(assemble(&config, &mailer, mailbox, &clock)).await?;
        let store = service.store.clone();
        let (wake, announce) = (service.wake.clone(), service.announce.clone());
        let deliver = Deliver {
            plugins: service.plugins.clone(),
            mailer: mailer.clone(),
            webhooks: Webhooks::new(config.webhooks.clone(), &clock)?,
            caps: config.caps,
            clock: clock.clone(),
        };
        let seen = (service.metrics.clone(), service.tracer.clone());
        let requests = Requests::new(service.secret_keys.clone(), config.webhooks.disable_after_hours);
        let asks = (Addresses::new(service.address_keys.clone()), requests, service.links.clone());
        let queue = Queue::new(store.clone(), deliver, config.queue, clock.clone(), seen, wake.clone(), asks);
        let cold_start = config.plugins.cold_start;
        if config.database.listen {
            tasks.spawn(store.clone().announce(announce, stop.clone()));
        }
        keep_up(&service, &config, roles, &stop, &mut tasks);
        let metrics = show_metrics(&config, &service, &stop, &mut tasks).await?;
        let mut http = None;
        if roles.api {
            let listener = listen_on(sockets.http, "http.listen", config.http.listen).await?;
            http = listener.local_addr().ok();
            let tls = certificates.http.as_ref().map(|certificate| certificate.acceptor(&["h2", "http/1.1"]));
            let settings = (config.http.clone(), config.console);
            let serving = http::serve(listener, tls, service.clone(), settings, stop.clone());
            tasks.spawn(async move { report("http", serving.await) });
        }
        let mut grpc = None;
        if roles.grpc {
            let listener = listen_on(sockets.grpc, "grpc.listen", config.grpc.listen).await?;
            grpc = listener.local_addr().ok();
            let tls = certificates.grpc.as_ref().map(|certificate| certificate.acceptor(&["h2", "http/1.1"]));
            let serving = grpc::serve(listener, tls, service.clone(), config.grpc.clone(), stop.clone());
            tasks.spawn(async move { report("grpc", serving.await) });
        }
        let reports = take_reports(&config, &service, certificates.inbound.as_ref(), &stop, &mut tasks).await?;
        let certificates = certificates.all();
        if !certificates.is_empty() {
            tasks.spawn(certificate::watch(certificates.clone(), clock.clone(), stop.clone()));
        }
        let prepared = CancellationToken::new();
        let (sender, preparing) = oneshot::channel();
        tasks.spawn(prepare(service.clone(), sender, prepared.clone(), stop.clone()));
        if roles.worker {
            if config.database.listen {
                tasks.spawn(store.listen(wake, stop.clone()));
            }
            let shares = Shares::are_needed(&service.store, &mailer)
                .then(|| Shares::new(service.store.clone(), mailer.clone(), clock.clone(), service.host.clone()));
            let (queue, service, stop) = (queue.clone(), service.clone(), stop.clone());
            tasks.spawn(async move {
                if cold_start == ColdStart::Wait {
                    wait(&prepared, &stop).await;
                }
                let watching = service.clone().watch_hosts(stop.clone());
                tokio::join!(watching, service.clone().watch_pauses(stop.clone()), work(service, queue, shares, stop));
            });
        }
        let (preparing, refused) = (Some(preparing), Refused::new());
        Ok(Self { service, queue, http, grpc, metrics, reports, certificates, preparing, refused, mailer, stop, tasks })
    }

    /// Waits until the revisions that serve are prepared; gives those that did not pass the gate.
    pub async fn prepared(&mut self) -> &[(Slot, service::Error)] {
        if let Some(preparing) = self.preparing.take() {
            self.refused = preparing.await.unwrap_or_default();
        }
        &self.refused
    }

    /// Reads the certificates' files again, if they have changed.
    pub fn refresh_certificates(&self) {
        certificate::refresh(&self.certificates, &self.service.clock);
    }

    /// The mailer, for measuring it alone.
    pub fn mailer(&self) -> Mailer {
        self.mailer.clone()
    }

    /// Ends: no new requests and claims, then what is under way, then the connections.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(e) = ended {
                tracing::error!(error = %e, "a part of the host failed");
            }
        }
        self.mailer.close().await;
        tokio::join!(self.service.metrics.close(), self.service.tracer.close());
        if tokio::time::timeout(CLOSE_MAX, self.service.store.close()).await.is_err() {
            tracing::warn!("a connection to the database was not given back; it ends with the process");
        }
    }
}

/// How long the connections to the database may take to end, once nothing uses them any more.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// The use cases alone, for the command line: nothing is served, delivered or listened to.
pub fn offline(config: Config, clock: Clock) -> Starting<Arc<Service>> {
    Box::pin(async {
        let service = unprepared(config, clock).await?;
        for row_slot in Slot::ALL {
            if let Err(e) = service.take_up_slot(row_slot).await {
                tracing::warn!(plugin.slot = %row_slot, error = %e, "what serves cannot be prepared here");
            }
        }
        Ok(service)
    })
}

/// The same, where only the built-ins write and decide.
pub fn unprepared(mut config: Config, clock: Clock) -> Starting<Arc<Service>> {
    // It is over before anybody looks.
    config.telemetry.listen.clear();
    config.telemetry.otlp_endpoint.clear();
    if config.mail.relays.is_empty() {
        // As the hosts of these settings call theirs; nothing is sent here.
        let name = if config.mailbox.enabled { MAILBOX } else { "none" };
        config.mail.relays.push(RelaySettings { tls: Tls::None, ..RelaySettings::new(name, "127.0.0.1", 1) });
    }
    Box::pin(async move {
        let mailer = mailer(&config, &clock)?;
        assemble(&config, &mailer, None, &clock).await
    })
}

/// Waits until what serves is prepared, but not for too long.
async fn wait(prepared: &CancellationToken, stop: &CancellationToken) {
    tokio::select! {
        () = prepared.cancelled() => {}
        () = stop.cancelled() => {}
        () = tokio::time::sleep(Duration::from_millis(COLD_MS_MAX)) => {
            tracing::warn!("revisions take long to be prepared; what is ready writes the mails meanwhile");
        }
    }
}

/// Delivers until stopped, within this host's shares of the relays; they are kept until the last mail has ended.
async fn work(service: Arc<Service>, queue: Queue, shares: Option<Shares>, stop: CancellationToken) {
    tokio::select! {
        () = service.know_pauses() => {}
        () = stop.cancelled() => return,
    }
    let Some(mut shares) = shares else { return queue.run(stop).await };
    shares.renew().await;
    let sent = CancellationToken::new();
    let working = async {
        queue.run(stop).await;
        sent.cancel();
    };
    tokio::join!(shares.keep(sent.clone()), working);
}

/// Prepares what is to serve, then follows the database until the host stops.
async fn prepare(
    service: Arc<Service>,
    sender: oneshot::Sender<Refused>,
    prepared: CancellationToken,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => return,
        refused = service.take_up_plugins() => {
            for (slot, e) in &refused {
                tracing::error!(plugin.slot = %slot, error = %e, "a component was refused; what served before serves on");
            }
            // The receiver may be gone.
            let _ = sender.send(refused);
        }
    }
    prepared.cancel();
    tokio::join!(service.clone().watch_plugins(stop.clone()), service.clone().watch_replays(stop));
}

/// Opens the database and, meanwhile, prepares the built-ins.
async fn assemble(
    config: &Config,
    mailer: &Mailer,
    mailbox: Option<Mailbox>,
    clock: &Clock,
) -> Result<Arc<Service>, StartError> {
    let (secret, names) = (config.auth.secret.expose_secret().as_bytes(), mailer.names());
    config.plugins.trust.check().await?;
    let host = clock.uuid().to_string();
    let (metrics, tracer) = (Metrics::new(&config.telemetry, &host)?, Tracer::new(&config.telemetry, &host)?);
    let preparing = plugin::prepare(config.plugins.clone(), secret, &names, clock, metrics.clone());
    let (store, prepared) = tokio::join!(open(config, clock.clone()), preparing);
    let store = store?;
    let number = async |revision| Ok::<_, StartError>(rollout::number(&store, revision).await?);
    let plugins = prepared?.numbered(number).await?;
    Ok(Arc::new(Service {
        store,
        plugins: Arc::new(plugins),
        clock: clock.clone(),
        wake: Arc::new(Notify::new()),
        announce: Arc::new(Notify::new()),
        shop: config.shop.clone(),
        pricing: config.pricing.clone(),
        message_id_domain: config.mail.from.domain().to_owned(),
        tokens: tokens(config),
        address_keys: AddressKeys::new(config.auth.secrets()),
        accounts: config.accounts.clone(),
        links: Links::new(config.auth.secrets()),
        caps: config.caps,
        return_paths: mailer.return_paths().clone(),
        providers: providers(config)?,
        secret_keys: SecretKeys::new(config.auth.secrets(), clock.clone()),
        webhooks: config.webhooks.clone(),
        restocked: Notify::new(),
        resets: Notify::new(),
        throttle: Throttle::new(config.limits),
        proxies: config.proxies.clone(),
        in_flight: InFlight::default(),
        counter: Counter::default(),
        window: Window::default(),
        changes: Changes::default(),
        hashing: Semaphore::new(config.auth.hashing_max.max(1)),
        mailer: mailer.clone(),
        readiness: Readiness::default(),
        preparing: Preparing::default(),
        operations: Operations::default(),
        bulk: Notify::new(),
        following: tokio::sync::Mutex::default(),
        tracer,
        metrics,
        pulse: Pulse::default(),
        host,
        mailbox,
    }))
}
