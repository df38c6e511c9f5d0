//! From a rendered mail to a relay's answer: builds the message, drives the session phase by phase (SMTP, or a provider's HTTP
//! API), keeps connections. A mailbox for development and tests speaks the other side.

mod api;
pub mod dkim;
mod domains;
mod encoding;
mod examine;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod mailbox;
mod message;
mod relay;
mod reply;
mod settings;
mod smtp;

use std::collections::BTreeSet;
use std::future::Future;

pub use api::Transport;
pub use domains::DomainSettings;
pub use examine::{Certificate, Examined, Refusal};
pub use message::Message;
pub use settings::{RelaySettings, Settings, Tls};

use crate::clock::Clock;
use crate::lease::{Lease, NotRecorded};
use crate::notification::{self, Caps, Class, Failure, Verdict};
use crate::outbound::{Outcome, Pauses, Standing, Untried};
use crate::quota::{self, Ask};
use crate::return_path::ReturnPaths;
use crate::shop::text::Email;
use dkim::{DkimError, Signers};
use domains::{Domain, Domains};
use relay::Relay;

/// Sends mails. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    relays: std::sync::Arc<[Relay]>,
    domains: std::sync::Arc<Domains>,
    pauses: std::sync::Arc<Pauses>,
    settings: std::sync::Arc<Settings>,
    return_paths: ReturnPaths,
    signers: std::sync::Arc<Signers>,
}

/// The mailer's settings do not work.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// No relay to send to.
    #[error("mail.relays is empty; add a relay, or set mailbox.enabled for development")]
    NoRelay,
    /// Unprotected mail would leave this machine.
    #[error("the relay \"{0}\" has tls = \"none\" and is not on loopback")]
    Unprotected(String),
    /// TLS cannot be set up.
    #[error("TLS for the relay \"{name}\": {why}")]
    Tls {
        /// Which relay.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The settings of a provider's API do not go together.
    #[error("the relay \"{name}\": {why}")]
    Api {
        /// Which relay.
        name: String,
        /// What would be right.
        why: &'static str,
    },
    /// A name is none, or stands twice.
    #[error("mail.domains: \"{0}\" is no domain, or stands there twice")]
    Domain(String),
    /// A header cannot be one.
    #[error("mail.headers: \"{0}\" must begin with X-, and its value be one line of ASCII, at most 500 characters")]
    Header(String),
    /// Two relays share a name.
    #[error("there are two relays named \"{0}\"")]
    Twice(String),
    /// Mails cannot be signed.
    #[error(transparent)]
    Dkim(#[from] DkimError),
}

impl Mailer {
    /// Checks the settings; connects to nothing yet.
    pub fn new(settings: Settings, clock: &Clock) -> Result<Self, MailerError> {
        if settings.relays.is_empty() {
            return Err(MailerError::NoRelay);
        }
        if let Some(name) = message::bad_header(&settings.headers) {
            return Err(MailerError::Header(name));
        }
        let pauses = std::sync::Arc::new(Pauses::new(clock.clone()));
        let mut relays: Vec<Relay> = Vec::new();
        for relay in &settings.relays {
            if relays.iter().any(|r| r.name() == relay.name) {
                return Err(MailerError::Twice(relay.name.clone()));
            }
            relays.push(relay::relay(relays.len(), relay.clone(), &settings, pauses.clone(), clock.clone())?);
        }
        let domains = Domains::new(&settings.domains, relays.len(), clock)?.into();
        let signers = Signers::new(&settings.dkim, settings.from.domain())?.into();
        let (relays, settings, return_paths) = (relays.into(), settings.into(), ReturnPaths::none());
        Ok(Self { relays, domains, pauses, settings, return_paths, signers })
    }

    /// Has mails come back to addresses of their own.
    #[must_use]
    pub fn returning_to(mut self, return_paths: ReturnPaths) -> Self {
        self.return_paths = return_paths;
        self
    }

    /// Where mails come back to.
    pub fn return_paths(&self) -> &ReturnPaths {
        &self.return_paths
    }

    /// The relays as a policy sees them.
    pub fn relays(&self) -> Vec<notification::Relay> {
        let see = |r: &Relay| {
            r.want();
            notification::Relay { name: r.name().to_owned(), available: r.retry_in_ms() == 0 }
        };
        self.relays.iter().map(see).collect()
    }

    /// How this host stands with each relay; for those who watch.
    pub fn standing(&self) -> Vec<Standing> {
        self.relays.iter().map(Relay::standing).collect()
    }

    /// In how many milliseconds the relay may be tried again; 0: now.
    pub fn retry_in_ms(&self, relay: &str) -> i64 {
        self.relay(relay).retry_in_ms()
    }

    /// Why a mail should not be rendered for a relay and a recipient now; none: it may be sent.
    pub fn refuse(&self, relay: &str, to: &Email) -> Option<Untried> {
        let relay = self.relay(relay);
        relay.refuse().or_else(|| self.domain(to).refuse(relay))
    }

    /// Offers no mail to these relays, and has none of these kinds sent, until it is told otherwise.
    pub fn pause(&self, relays: BTreeSet<String>, kinds: BTreeSet<String>) {
        self.pauses.set(relays, kinds);
    }

    /// Why mails of a kind should not be looked at now; none: they may be sent.
    pub fn refuse_kind(&self, kind: &str) -> Option<Untried> {
        self.pauses.kind(kind)
    }

    /// Whether a mail of a kind is not given up for its age: operators keep it, or kept it of late, from this relay, or
    /// from any.
    pub fn is_spared(&self, kind: &str, relay: Option<&str>) -> bool {
        self.pauses.is_spared(kind, relay)
    }

    /// Why no mail should be looked at now: every relay is paused.
    pub fn refuse_all(&self) -> Option<Untried> {
        let first = self.relays.first().filter(|_| self.relays.iter().all(|r| self.pauses.has_relay(r.name())))?;
        self.pauses.relay(first.name())
    }

    /// The shortest pause that a failure allows, in milliseconds: none if the mail was not handed over and goes to another
    /// relay that is available, at least as long as a greylisting reply says, else the host's cap.
    pub fn shortest_pause_ms(&self, failure: &Failure, verdict: &Verdict, caps: &Caps) -> u64 {
        match (failure.class, verdict) {
            (Class::Throttled | Class::NotHandedOver, Verdict::Retry(_, Some(relay)))
                if *relay != failure.relay && self.retry_in_ms(relay) == 0 =>
            {
                0
            }
            (Class::Greylisted, _) => reply::wait_ms(&failure.reply).unwrap_or(0).max(caps.retry_min_ms),
            _ => caps.retry_min_ms,
        }
    }

    /// What this host would like to use of each relay, by preference.
    pub fn asks(&self) -> Vec<Ask> {
        self.relays.iter().map(Relay::ask).collect()
    }

    /// Keeps this host to its share of a relay, and gives it more mails of the day.
    pub fn limit(&self, relay: &str, caps: quota::Caps, day_given: i64) {
        self.relay(relay).limit(caps, day_given);
    }

    /// When a recipient's domain last said that it is sent too much, unix milliseconds; none when it did not of late.
    pub fn domain_throttled_at(&self, to: &Email) -> Option<i64> {
        self.domain(to).throttled_at()
    }

    /// The relays' names, by preference.
    pub fn names(&self) -> Vec<String> {
        self.relays.iter().map(|relay| relay.name().to_owned()).collect()
    }

    /// Builds the message, dated `dated_at` (unix milliseconds); the same input gives the same bytes.
    pub fn build(
        &self,
        n: &notification::Notification,
        email: &crate::plugin::Email,
        seed: u64,
        dated_at: i64,
    ) -> Result<Message, String> {
        message::build((&self.settings, &self.return_paths, &self.signers), n, email, seed, dated_at)
    }

    /// The relay that takes the next mail to a recipient: the named one, else the first that is available, else the first
    /// to be.
    pub fn choose(&self, named: Option<&str>, to: &Email) -> &str {
        let domain = self.domain(to);
        let named = named.and_then(|name| self.relays.iter().find(|r| r.name() == name));
        let wait_ms = |relay: &&Relay| {
            let at_domain_ms = domain.refuse(relay).map_or(0, |untried| untried.delay_ms);
            relay.retry_in_ms().max(at_domain_ms)
        };
        let soonest = || self.relays.iter().min_by_key(wait_ms);
        named.or_else(soonest).unwrap_or(&self.relays[0]).name()
    }

    /// Hands a message to a relay. `hand_over` is begun when the mail is next in line for a connection, and awaited before
    /// the first byte of the message; when it fails, nothing is sent. The error says that the relay was offered nothing.
    pub async fn send(
        &self,
        relay: &str,
        message: &Message,
        lease: &Lease,
        hand_over: impl Future<Output = Result<(), NotRecorded>> + Send,
    ) -> Result<Outcome, Untried> {
        let (relay, domain) = (self.relay(relay), self.domains.of(message.to.domain()));
        let place = domain.enter(lease, relay).await?;
        let outcome = Box::pin(relay.send(message, Some(domain.load(relay)), lease, hand_over)).await?;
        place.learn(&outcome);
        Ok(outcome)
    }

    /// Connects to each relay, by preference, and logs in where that is asked for; no mail is offered.
    pub async fn examine(&self) -> Vec<Examined> {
        futures_util::future::join_all(self.relays.iter().map(Relay::examine)).await
    }

    fn relay(&self, name: &str) -> &Relay {
        self.relays.iter().find(|r| r.name() == name).unwrap_or(&self.relays[0])
    }

    fn domain(&self, to: &Email) -> std::sync::Arc<Domain> {
        self.domains.of(to.domain())
    }

    /// Ends idle connections.
    pub async fn close(&self) {
        for relay in self.relays.iter() {
            relay.close().await;
        }
    }
}
