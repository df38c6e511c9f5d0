//! Requests to endpoints of webhooks (Standard Webhooks): what they say, where they may go, and what an answer means. What
//! endpoints share with mail relays is `outbound`'s.

mod address;
mod request;
mod speaks;

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio_rustls::TlsConnector;

pub use request::Request;
pub(crate) use speaks::wait_ms;

use crate::clock::Clock;
use crate::endpoint::Target;
use crate::lease::{Lease, NotRecorded};
use crate::notification::Notification;
use crate::outbound::load::Load;
use crate::outbound::{Deadlines, Limits, Outcome, Pauses, Peer, Untried, hold, tls};
use crate::shop::text::WebAddress;
use speaks::Speaks;

/// How endpoints are spoken to, and how many there may be.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whether customers may make endpoints; operators always may. Those that there are stay.
    pub for_customers: bool,
    /// The most endpoints of one user.
    pub endpoints_per_user_max: i64,
    /// The most endpoints that hear of all orders.
    pub endpoints_of_shop_max: i64,
    /// Whether endpoints may be on private networks and unprotected (http): for development, and for endpoints of one's own.
    pub private_networks: bool,
    /// A PEM file of more authorities to trust; none when empty.
    pub ca_path: PathBuf,
    /// The most requests of a host to customers' endpoints at one time, waiting for their turn or for an answer, and as many to the
    /// shop's.
    pub in_flight_max: usize,
    /// The most of them to one customer's endpoints.
    pub in_flight_per_user_max: usize,
    /// The most connections of a host to one endpoint at one time.
    pub connections_max: u32,
    /// TCP and TLS, in milliseconds.
    pub connect_ms_max: u64,
    /// From the request to the end of its answer, in milliseconds.
    pub answer_ms_max: u64,
    /// An endpoint that has failed for so many hours without a success is disabled; 0: none is.
    pub disable_after_hours: u32,
}

/// The settings do not work.
#[derive(Debug, thiserror::Error)]
#[error("webhooks.ca_path: {0}")]
pub struct SettingsError(String);

/// How long a connection may wait for its next request, in milliseconds.
const IDLE_MS_MAX: i64 = 30_000;
/// The longest that an endpoint which cannot be reached is left alone, in milliseconds: longer than a relay, since there may be
/// many of them.
const AWAY_MS_MAX: i64 = 300_000;
/// The most requests over one connection.
const REQUESTS_MAX: u32 = 1_000;
/// What is known of endpoints that nothing was sent to for so long is forgotten, in milliseconds.
const FORGOTTEN_MS: i64 = 600_000;

/// Sends requests to endpoints. Cheap to clone.
#[derive(Clone)]
pub struct Webhooks {
    settings: Arc<Settings>,
    tls: TlsConnector,
    peers: Arc<Mutex<Peers>>,
    pauses: Arc<Pauses>,
    customers: Arc<Load>,
    shop: Arc<Load>,
    clock: Clock,
}

#[derive(Default)]
struct Peers {
    known: HashMap<i64, Known>,
    /// How busy the endpoints of each customer are.
    customers: HashMap<i64, Arc<Load>>,
    looked_ms: i64,
}

struct Known {
    url: WebAddress,
    peer: Arc<Peer<Speaks>>,
    used_ms: i64,
}

/// One endpoint, with what is known of it.
pub struct Way {
    peer: Arc<Peer<Speaks>>,
    target: Arc<Target>,
    /// How busy those are that it shares its places with, and how many places there are: of its customer's and of all customers',
    /// or of the shop's.
    shared: Vec<(Arc<Load>, usize)>,
}

impl Webhooks {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When the file of authorities cannot be read.
    pub fn new(settings: Settings, clock: &Clock) -> Result<Self, SettingsError> {
        let tls = tls::connector(&settings.ca_path).map_err(SettingsError)?;
        let pauses = Arc::new(Pauses::new(clock.clone()));
        let [customers, shop] = [Load::new(clock.clone()), Load::new(clock.clone())].map(Arc::new);
        let (settings, clock) = (settings.into(), clock.clone());
        Ok(Self { settings, tls, peers: Arc::default(), pauses, customers, shop, clock })
    }

    /// The way to an endpoint. What is known of it holds as long as its address does.
    ///
    /// # Errors
    /// Says why no request can go there.
    pub fn to(&self, target: &Arc<Target>) -> Result<Way, String> {
        let (id, url) = (target.endpoint.id, &target.endpoint.url);
        let now = self.clock.monotonic_ms();
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if now - peers.looked_ms >= IDLE_MS_MAX {
            peers.looked_ms = now;
            peers.known.retain(|_, known| now - known.used_ms < FORGOTTEN_MS || Arc::strong_count(&known.peer) > 1);
            peers.known.values().for_each(|known| known.peer.end_idle());
            peers.customers.retain(|_, load| Arc::strong_count(load) > 1);
        }
        let shared = match target.endpoint.user_id {
            None => vec![(self.shop.clone(), self.settings.in_flight_max)],
            Some(user) => {
                let load = peers.customers.entry(user).or_insert_with(|| Load::new(self.clock.clone()).into());
                let own = (load.clone(), self.settings.in_flight_per_user_max);
                vec![own, (self.customers.clone(), self.settings.in_flight_max)]
            }
        };
        if let Some(known) = peers.known.get_mut(&id).filter(|known| known.url == *url) {
            known.used_ms = now;
            return Ok(Way { peer: known.peer.clone(), target: target.clone(), shared });
        }
        let peer = Arc::new(self.peer(target)?);
        peers.known.insert(id, Known { url: url.clone(), peer: peer.clone(), used_ms: now });
        Ok(Way { peer, target: target.clone(), shared })
    }

    fn peer(&self, target: &Target) -> Result<Peer<Speaks>, String> {
        let Settings { connections_max, connect_ms_max, answer_ms_max, private_networks, .. } = *self.settings;
        let limits = Limits {
            noun: "the endpoint",
            name: target.endpoint.id.to_string(),
            connections_max,
            per_second_max: 0,
            per_day_max: 0,
            per_connection_max: REQUESTS_MAX,
            idle_ms_max: IDLE_MS_MAX,
            away_ms_max: AWAY_MS_MAX,
        };
        let deadlines = Deadlines {
            connect_ms_max,
            command_ms_max: connect_ms_max,
            data_ms_max: connect_ms_max,
            body_ms_max: answer_ms_max,
        };
        let speaks = Speaks::new(&target.endpoint.url, &self.tls, private_networks, self.clock.clone())?;
        Ok(Peer::new(speaks, limits, deadlines, self.pauses.clone(), self.clock.clone()))
    }
}

impl Way {
    /// What journals and policies call the endpoint: its number.
    pub fn name(&self) -> &str {
        self.peer.name()
    }

    /// In how many milliseconds it may be tried again; 0: now.
    pub fn retry_in_ms(&self) -> i64 {
        self.peer.retry_in_ms()
    }

    /// What a notification tells the endpoint.
    ///
    /// # Errors
    /// Says what it is not about.
    pub fn request(&self, n: &Notification) -> Result<Request, String> {
        Request::new(n, &self.target)
    }

    /// Why no request should be made for it now; none: it may be sent one.
    pub fn refuse(&self) -> Option<Untried> {
        let full = |(load, places): &(Arc<Load>, usize)| {
            let delay_ms = load.full(u32::try_from(*places).unwrap_or(u32::MAX))?;
            Some(busy(delay_ms))
        };
        self.peer.refuse().or_else(|| self.shared.iter().find_map(full))
    }

    /// Hands a request over. `hand_over` is awaited before its first byte; when it fails, nothing is sent. The error says that the
    /// endpoint was offered nothing.
    pub async fn send(
        &self,
        request: &Request,
        lease: &Lease,
        hand_over: impl Future<Output = Result<(), NotRecorded>> + Send,
    ) -> Result<Outcome, Untried> {
        // Slow endpoints must not take all places of the worker.
        let mut held = Vec::with_capacity(self.shared.len());
        for (load, places) in &self.shared {
            let place = hold(load, lease, || *places, || load.is_slow()).await?;
            held.push((place.ok_or_else(|| busy(load.park_ms()))?, load.run()));
        }
        Box::pin(self.peer.send(request, None, lease, hand_over)).await
    }
}

fn busy(delay_ms: i64) -> Untried {
    Untried { delay_ms, why: "as many requests are under way to endpoints as there may be at one time".to_owned() }
}
