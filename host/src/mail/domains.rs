//! The recipients' domains: how many connections and how fast, as configured and as learnt. A domain that takes its time
//! keeps no other waiting.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use super::MailerError;
use super::relay::Relay;
use crate::clock::Clock;
use crate::lease::Lease;
use crate::notification::Class;
use crate::outbound::load::{Held, Load};
use crate::outbound::turns::{Turn, Turns};
use crate::outbound::{Outcome, Untried, hold};

/// What is learnt of domains is forgotten, those of which nothing is under way, when it is known of so many.
const DOMAINS_MAX: usize = 10_000;
/// A domain of which nothing is known may have one connection of so many; one that takes its time, one of as many again.
const UNKNOWN_PART: u32 = 2;
const SLOW_PART: u32 = 8;
/// But one that is not known may have as many.
const UNKNOWN_MIN: u32 = 2;

/// What may be done to a recipient's domain.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainSettings {
    /// Behind the "@", such as "example.com".
    pub name: String,
    /// Mails under way to it at one time; 0: as many as there are connections.
    #[serde(default)]
    pub connections_max: u32,
    /// Mails in any second; 0: no limit but what is learnt.
    #[serde(default)]
    pub mails_per_second_max: u32,
}

/// The domains that mail goes to.
pub(super) struct Domains {
    configured: HashMap<String, Arc<Domain>>,
    learnt: Mutex<HashMap<String, Arc<Domain>>>,
    relays: usize,
    clock: Clock,
}

/// One domain.
pub(super) struct Domain {
    name: String,
    /// When it last throttled, unix milliseconds; 0: never.
    throttled_at: AtomicI64,
    clock: Clock,
    connections_max: u32,
    turns: Turns,
    /// By each relay: what one is slow about need not be the domain's doing.
    loads: Vec<Load>,
}

/// The right to send one mail to a domain.
pub(super) struct Place<'a> {
    domain: &'a Domain,
    turn: Turn<'a>,
    _held: Held<'a>,
}

impl Domains {
    /// For so many relays.
    pub(super) fn new(settings: &[DomainSettings], relays: usize, clock: &Clock) -> Result<Self, MailerError> {
        let mut configured = HashMap::new();
        for domain in settings {
            let refused = || MailerError::Domain(domain.name.clone());
            let name = idna::domain_to_ascii(&domain.name).map_err(|_| refused())?;
            let per_second_max = (domain.mails_per_second_max > 0).then_some(domain.mails_per_second_max);
            let made = Domain::new(&name, domain.connections_max, per_second_max, relays, clock);
            if name.is_empty() || configured.insert(name, Arc::new(made)).is_some() {
                return Err(refused());
            }
        }
        Ok(Self { configured, learnt: Mutex::default(), relays, clock: clock.clone() })
    }

    pub(super) fn of(&self, name: &str) -> Arc<Domain> {
        if let Some(domain) = self.configured.get(name) {
            return domain.clone();
        }
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(domain) = learnt.get(name) {
            return domain.clone();
        }
        if learnt.len() >= DOMAINS_MAX {
            learnt.retain(|_, domain| Arc::strong_count(domain) > 1);
        }
        let domain = Arc::new(Domain::new(name, 0, None, self.relays, &self.clock));
        learnt.insert(name.to_owned(), domain.clone());
        domain
    }
}

impl Domain {
    fn new(name: &str, connections_max: u32, per_second_max: Option<u32>, relays: usize, clock: &Clock) -> Self {
        let loads = (0..relays).map(|_| Load::new(clock.clone())).collect();
        let turns = Turns::new(per_second_max, false, clock.clone());
        let (name, throttled_at) = (name.to_owned(), AtomicI64::new(0));
        Self { name, throttled_at, clock: clock.clone(), connections_max, turns, loads }
    }

    /// When it last throttled, unix milliseconds.
    pub(super) fn throttled_at(&self) -> Option<i64> {
        Some(self.throttled_at.load(Relaxed)).filter(|at| *at > 0)
    }

    /// How busy it is at a relay.
    pub(super) fn load(&self, relay: &Relay) -> &Load {
        &self.loads[relay.protocol.number]
    }

    /// How many mails to it may be at a relay at one time, under way or next in line.
    fn limit(&self, relay: &Relay) -> usize {
        let (load, connections) = (self.load(relay), relay.connections());
        let learnt = if load.is_slow_at(relay.load()) {
            connections / SLOW_PART
        } else if load.is_known() {
            // More than there are connections: the next in line has its intent recorded meanwhile.
            u32::MAX
        } else {
            connections.div_ceil(UNKNOWN_PART).max(UNKNOWN_MIN)
        };
        let configured = if self.connections_max > 0 { self.connections_max } else { u32::MAX };
        learnt.min(configured).max(1) as usize
    }

    /// Why a mail should not be rendered for it now; none: it may be sent.
    pub(super) fn refuse(&self, relay: &Relay) -> Option<Untried> {
        let limit = u32::try_from(self.limit(relay)).unwrap_or(u32::MAX);
        let load = self.load(relay);
        let full_ms = load.is_slow_at(relay.load()).then(|| load.full(limit)).flatten();
        let paced_ms = || (self.turns.wait_ms() > 0).then(|| self.turns.park_ms());
        full_ms.or_else(paced_ms).map(|delay_ms| self.busy(delay_ms))
    }

    /// Waits for a place, and for the turn in it.
    pub(super) async fn enter(&self, lease: &Lease, relay: &Relay) -> Result<Place<'_>, Untried> {
        let load = self.load(relay);
        let is_slow = || load.is_slow_at(relay.load());
        let held = hold(load, lease, || self.limit(relay), is_slow).await?;
        let held = held.ok_or_else(|| self.busy(load.park_ms()))?;
        Ok(Place { domain: self, turn: self.turns.take(lease).await?, _held: held })
    }

    fn busy(&self, delay_ms: i64) -> Untried {
        Untried { delay_ms, why: format!("as many mails are under way to {} as it takes", self.name) }
    }
}

impl Place<'_> {
    /// Learns from what came of the mail. Only what is said of the recipient is the domain's: whatever else throttles is
    /// the relay.
    pub(super) fn learn(mut self, outcome: &Outcome) {
        match outcome.result {
            Err(Class::Throttled) if outcome.phase == "rcpt" => {
                self.domain.throttled_at.store(self.domain.clock.now_ms(), Relaxed);
                self.turn.throttled();
            }
            Ok(()) | Err(Class::Deferred | Class::Rejected | Class::Greylisted) => self.turn.taken(),
            Err(_) => {}
        }
    }
}
