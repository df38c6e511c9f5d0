//! A relay: its connections, and whether it is worth trying.

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::maybe_done;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::api::Api;
use super::connections::Connections;
use super::load::Load;
use super::pauses::Pauses;
use super::session::{Broken, Deadlines, Peer, Protection, Session, Taken, Transacted};
use super::turns::{Turn, Turns};
use super::{MailerError, Message, Outcome, RelaySettings, Settings, Standing, Tls, Untried};
use crate::clock::Clock;
use crate::lease::{Lease, NotRecorded};
use crate::notification::Class;
use crate::quota::{Ask, Caps};
use crate::trace;

/// A relay that cannot be reached is left alone for this long, doubling with each probe in vain.
const PAUSE_MS_MIN: i64 = 1_000;
/// The longest that it is left alone.
const PAUSE_MS_MAX: i64 = 60_000;
/// How many mails may have their intent on record for each connection. Those beyond one wait for a connection to come
/// free; a crash finds them in doubt though the relay was never offered them.
const READY_PER_CONNECTION: usize = 4;
/// A host wants its relays while it has had a mail within so many milliseconds, whichever takes it.
const WANTED_MS: i64 = 10_000;
/// How long a mail waits for a place at something slow; then it goes back to the queue.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// When to come back after something of our own was in the way: no free connection, no database.
const UNTRIED_MS: i64 = 1_000;

pub(super) struct Relay {
    /// Its place among the relays.
    pub(super) number: usize,
    pub(super) settings: RelaySettings,
    pub(super) protection: Protection,
    pub(super) hello: ClientId,
    /// None: it speaks SMTP.
    api: Option<Arc<Api>>,
    pub(super) deadlines: Deadlines,
    pub(super) clock: Clock,
    /// Whose intents may be on record: those that have a connection, and the next in line for one.
    ready: Semaphore,
    connections: Connections,
    turns: Turns,
    load: Load,
    pauses: Arc<Pauses>,
    /// When a mail was last meant for it.
    wanted_ms: AtomicI64,
    idle: Mutex<Vec<Session>>,
    failures: AtomicU32,
    closed_until_ms: AtomicI64,
}

impl Relay {
    pub(super) fn new(
        number: usize,
        settings: RelaySettings,
        mail: &Settings,
        pauses: Arc<Pauses>,
        clock: Clock,
    ) -> Result<Self, MailerError> {
        let loopback = settings.host == "localhost"
            || settings.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if settings.tls == Tls::None && !loopback {
            return Err(MailerError::Unprotected(settings.name));
        }
        let api = Api::new(&settings, mail.from.domain(), &clock)?.map(Arc::new);
        let protection = protection(&settings).map_err(|why| MailerError::Tls { name: settings.name.clone(), why })?;
        let per_second_max = settings.mails_per_second_max;
        Ok(Self {
            number,
            protection,
            api,
            hello: ClientId::Domain(mail.hello_name.as_str().to_owned()),
            deadlines: mail.deadlines,
            ready: Semaphore::new(settings.connections_max as usize * READY_PER_CONNECTION),
            connections: Connections::new(settings.connections_max, clock.clone()),
            turns: Turns::new(
                (per_second_max > 0).then_some(per_second_max),
                settings.mails_per_day_max > 0,
                clock.clone(),
            ),
            load: Load::new(clock.clone()),
            pauses,
            wanted_ms: AtomicI64::new(clock.monotonic_ms()),
            clock,
            idle: Mutex::new(Vec::new()),
            failures: AtomicU32::new(0),
            closed_until_ms: AtomicI64::new(0),
            settings,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// There is a mail that it could take.
    pub(super) fn want(&self) {
        self.wanted_ms.store(self.clock.monotonic_ms(), Ordering::Relaxed);
    }

    /// What this host would like to use of it.
    pub(super) fn ask(&self) -> Ask {
        let RelaySettings { name, connections_max, mails_per_second_max, mails_per_day_max, .. } = &self.settings;
        let wants = self.clock.monotonic_ms() - self.wanted_ms.load(Ordering::Relaxed) < WANTED_MS;
        let (per_second, day) = self.turns.used();
        let (day_left, day_wanted) = day.unwrap_or_default();
        Ask {
            relay: name.clone(),
            caps: Caps { connections: *connections_max, per_second: *mails_per_second_max },
            used: Caps { connections: self.connections.used(), per_second },
            wants,
            per_day_max: (*mails_per_day_max > 0).then_some(*mails_per_day_max),
            day_left,
            day_wanted: if wants { day_wanted } else { -day_left.max(0) },
        }
    }

    /// Keeps to this share of it.
    pub(super) fn limit(&self, caps: Caps, day_given: i64) {
        self.connections.share(caps.connections);
        // Others may want those that stand idle.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let excess = idle.len().min(self.connections.excess());
        drop(idle.drain(..excess));
        drop(idle);
        self.turns.share((self.settings.mails_per_second_max > 0).then_some(caps.per_second), day_given);
    }

    /// How busy it is.
    pub(super) fn load(&self) -> &Load {
        &self.load
    }

    /// The most connections at one time.
    pub(super) fn connections(&self) -> u32 {
        self.connections.limit()
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            name: self.settings.name.clone(),
            is_reached: self.failures.load(Ordering::Relaxed) == 0,
            is_paused: self.pauses.has_relay(self.name()),
            connections: self.connections.open(),
            connections_max: self.connections.limit(),
            per_second: self.turns.rate(),
        }
    }

    /// In how many milliseconds it may be tried again; 0: now.
    pub(super) fn retry_in_ms(&self) -> i64 {
        let closed_ms = self.closed_until_ms.load(Ordering::Relaxed) - self.clock.monotonic_ms();
        let slow_ms = self.load.full(self.connections()).unwrap_or(0);
        self.pauses.wait_ms(self.name()).max(closed_ms).max(self.turns.wait_ms()).max(slow_ms).max(0)
    }

    /// Why a mail should not be rendered for this relay now; none: it may be sent.
    pub(super) fn refuse(&self) -> Option<Untried> {
        let why = || format!("the relay \"{}\" is at its rate", self.settings.name);
        let full = || (self.turns.wait_ms() > 0).then(|| Untried { delay_ms: self.turns.park_ms(), why: why() });
        let slow = || self.load.full(self.connections()).map(|delay_ms| self.slow(delay_ms));
        let shared = || (self.connections() == 0).then(|| self.slow(UNTRIED_MS));
        self.closed().or_else(shared).or_else(full).or_else(slow)
    }

    fn slow(&self, delay_ms: i64) -> Untried {
        let why = format!("as many mails wait for the relay \"{}\" as it takes in a while", self.settings.name);
        Untried { delay_ms, why }
    }

    /// Operators paused it, or it is away.
    fn closed(&self) -> Option<Untried> {
        self.pauses.relay(self.name()).or_else(|| self.away())
    }

    fn away(&self) -> Option<Untried> {
        let delay_ms = self.closed_until_ms.load(Ordering::Relaxed) - self.clock.monotonic_ms();
        let why = || format!("the circuit breaker of the relay \"{}\" is open", self.settings.name);
        (delay_ms > 0).then(|| Untried { delay_ms, why: why() })
    }

    pub(super) async fn send(
        &self,
        message: &Message,
        domain: &Load,
        lease: &Lease,
        hand_over: impl Future<Output = Result<(), NotRecorded>>,
    ) -> Result<Outcome, Untried> {
        let queueing = trace::step("wait for connection");
        let mut turn = self.turns.take(lease).await?;
        let mut waiting = Some((self.load.wait(), queueing));
        // Or all its connections are other hosts'.
        let is_slow = || self.load.is_slow() || self.connections() == 0;
        let ready = unless_slow(lease, is_slow, self.ready.acquire()).await?;
        let ready = ready.ok_or_else(|| self.slow(self.load.park_ms()))?;
        let mut intent = std::pin::pin!(maybe_done(hand_over));
        loop {
            let connection = {
                let mut acquiring = std::pin::pin!(unless_slow(lease, is_slow, self.connections.acquire()));
                // The intent is committed meanwhile: no connection idles for it.
                let acquired = tokio::select! {
                    biased;
                    acquired = &mut acquiring => acquired?,
                    () = &mut intent => acquiring.await?,
                };
                acquired.ok_or_else(|| self.slow(self.load.park_ms()))?
            };
            // The relay throttled while this mail waited for its connection.
            if turn.is_outdated() {
                drop((connection, turn));
                turn = self.turns.take(lease).await?;
                continue;
            }
            // It may have been paused, or the circuit breaker opened, while others were served.
            if let Some(untried) = self.closed() {
                return Err(untried);
            }
            drop(waiting.take());
            let measured = (self.load.run(), domain.run());
            let mut session = match self.take().await {
                Ok(session) => session,
                Err(broken) if broken.class() == Class::Throttled && self.connections.refused() => {
                    tracing::debug!(relay.name = self.settings.name, "the relay takes no more connections");
                    drop((connection, measured));
                    continue;
                }
                Err(broken) => {
                    self.leave_alone();
                    return Ok(self.outcome(broken.class(), &broken));
                }
            };
            match session.transact(message, &self.deadlines, lease, intent.as_mut()).await {
                Transacted::Done(taken) => {
                    self.reached();
                    turn.taken();
                    self.connections.accepted();
                    drop(measured);
                    self.give_back(session).await;
                    drop((connection, ready));
                    return Ok(self.delivered(taken));
                }
                // The relay hung up while the connection waited; the mail never began.
                Transacted::Stale => {}
                Transacted::NotRecorded(why) => {
                    let why = format!("the intent was not recorded: {why}");
                    return Err(Untried { delay_ms: UNTRIED_MS, why });
                }
                Transacted::Failed(class, broken) => {
                    self.failed(class, &broken, session, &mut turn).await;
                    return Ok(self.outcome(class, &broken));
                }
            }
        }
    }

    /// Takes from a failure what it says of the relay; the connection serves again if it can.
    async fn failed(&self, class: Class, broken: &Broken, mut session: Session, turn: &mut Turn<'_>) {
        match class {
            Class::Throttled => turn.throttled(),
            Class::Deferred | Class::Rejected | Class::Greylisted => turn.taken(),
            Class::NotHandedOver | Class::InDoubt | Class::RenderFailed => {}
        }
        let is_usable = !broken.unusable && session.reset(&self.deadlines).await;
        if broken.is_general {
            self.leave_alone();
        } else if is_usable {
            self.reached();
        }
        if is_usable {
            self.give_back(session).await;
        }
    }

    /// How it is spoken to.
    pub(super) fn peer(&self) -> Peer<'_> {
        Peer { settings: &self.settings, protection: &self.protection, hello: &self.hello, api: self.api.as_ref() }
    }

    async fn take(&self) -> Result<Session, Broken> {
        let now = self.clock.monotonic_ms();
        let waiting = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|s| now - s.idle_since_ms <= self.settings.idle_ms_max);
            idle.pop()
        };
        if let Some(session) = waiting {
            return Ok(session);
        }
        let mut session = Session::connect(self.peer(), &self.deadlines).await?;
        session.open = Some(self.connections.count());
        Ok(session)
    }

    async fn give_back(&self, mut session: Session) {
        if session.mails >= self.settings.mails_per_connection_max || self.connections.excess() > 0 {
            session.quit().await;
            return;
        }
        session.idle_since_ms = self.clock.monotonic_ms();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    fn leave_alone(&self) {
        // Connections that fail side by side are one failure.
        if self.away().is_some() {
            return;
        }
        let doubled = PAUSE_MS_MIN << self.failures.fetch_add(1, Ordering::Relaxed).min(10);
        let until = self.clock.monotonic_ms() + doubled.min(PAUSE_MS_MAX);
        self.closed_until_ms.store(until, Ordering::Relaxed);
    }

    fn reached(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.closed_until_ms.store(0, Ordering::Relaxed);
    }

    fn delivered(&self, taken: Taken) -> Outcome {
        let Taken { code, reply } = taken;
        Outcome {
            result: Ok(()),
            phase: "body",
            code: Some(code),
            enhanced: None,
            reply,
            relay: self.settings.name.clone(),
        }
    }

    fn outcome(&self, class: Class, broken: &Broken) -> Outcome {
        Outcome {
            result: Err(class),
            phase: broken.phase,
            code: broken.code,
            enhanced: broken.enhanced.clone(),
            reply: broken.reply.clone(),
            relay: self.settings.name.clone(),
        }
    }

    pub(super) async fn close(&self) {
        let sessions = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for session in sessions {
            session.quit().await;
        }
    }
}

/// Waits for what a mail needs, but not beyond its lease.
pub(super) async fn before_lease_ends<T>(lease: &Lease, step: impl Future<Output = T>) -> Result<T, Untried> {
    tokio::select! {
        biased;
        () = lease.ended() => {
            let why = "the lease on the event ended before the relay was free".to_owned();
            Err(Untried { delay_ms: UNTRIED_MS, why })
        }
        done = step => Ok(done),
    }
}

/// Waits for a place: none if that takes long and is so because something is slow. A waiter holds a place in the
/// worker, which others may need.
pub(super) async fn unless_slow<T>(
    lease: &Lease,
    is_slow: impl Fn() -> bool,
    step: impl Future<Output = T>,
) -> Result<Option<T>, Untried> {
    let mut step = std::pin::pin!(step);
    loop {
        match before_lease_ends(lease, tokio::time::timeout(WAIT_MAX, &mut step)).await? {
            Ok(done) => return Ok(Some(done)),
            Err(_) if is_slow() => return Ok(None),
            Err(_) => {}
        }
    }
}

fn protection(settings: &RelaySettings) -> Result<Protection, String> {
    let authorities = if settings.ca_path.as_os_str().is_empty() {
        None
    } else {
        Some(std::fs::read(&settings.ca_path).map_err(|e| format!("{}: {e}", settings.ca_path.display()))?)
    };
    match settings.tls {
        Tls::None => Ok(Protection::None),
        Tls::Starttls => {
            let mut builder = TlsParameters::builder(settings.host.clone());
            if let Some(pem) = &authorities {
                builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(|e| e.to_string())?);
            }
            Ok(Protection::Starttls(Box::new(builder.build().map_err(|e| e.to_string())?)))
        }
        Tls::Implicit => {
            let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            for certificate in authorities.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem)) {
                let certificate = certificate.map_err(|e| e.to_string())?;
                roots.add(certificate).map_err(|e| e.to_string())?;
            }
            let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            let name = ServerName::try_from(settings.host.clone()).map_err(|e| e.to_string())?;
            Ok(Protection::Implicit(TlsConnector::from(Arc::new(config)), name))
        }
    }
}
