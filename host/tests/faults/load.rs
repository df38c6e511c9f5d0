//! Clients that place orders and ship them, and repeat what was not answered under the same idempotency key (as the API asks).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ecomm::clock::Clock;
use serde_json::{Value, json};

/// Clients at one time.
const CLIENTS: u32 = 64;
/// Before another host is asked.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a client repeats a request before the run fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// A change that was answered with success.
#[derive(Clone, Copy)]
pub struct Answered {
    pub order: i64,
    pub version: i64,
    /// Unix milliseconds.
    pub at: i64,
}

/// What clients saw.
#[derive(Default)]
pub struct Seen {
    pub answered: Vec<Answered>,
    /// Requests whose connection ended, or could not be made.
    pub cut: usize,
    /// Requests that were refused for a time, or not done in time (429, 503, 408).
    pub refused: usize,
    /// What else was answered that is no success.
    pub failed: Vec<String>,
}

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    tasks: tokio::task::JoinSet<()>,
}

struct Shared {
    hosts: Vec<String>,
    tokens: Tokens,
    stop: AtomicBool,
    events: AtomicUsize,
    seen: Mutex<Seen>,
    clock: Clock,
}

/// Who orders, and who ships.
#[derive(Clone)]
pub struct Tokens {
    pub customer: String,
    pub admin: String,
}

impl Load {
    /// Of nobody yet.
    pub fn new(hosts: Vec<String>, tokens: Tokens) -> Self {
        let shared = Arc::new(Shared {
            hosts,
            tokens,
            stop: AtomicBool::new(false),
            events: AtomicUsize::new(0),
            seen: Mutex::default(),
            clock: Clock::system(),
        });
        Self { shared, tasks: tokio::task::JoinSet::new() }
    }

    /// From now on so many orders a second, spread over the hosts.
    pub fn start(&mut self, rate: u32) {
        let interval = Duration::from_secs(1) * CLIENTS / rate;
        for client in 0..CLIENTS {
            self.tasks.spawn(self.client(client as usize).work(client, interval));
        }
    }

    /// One order of its own, of that number.
    pub fn order(&mut self, number: usize) {
        let mut client = self.client(0);
        self.tasks.spawn(async move { client.order(&format!("{number}")).await });
    }

    fn client(&self, at: usize) -> Client {
        Client { shared: self.shared.clone(), http: reqwest::Client::new(), at }
    }

    /// Whether every order was answered that was to be placed once.
    pub fn is_answered(&mut self) -> bool {
        while let Some(ended) = self.tasks.try_join_next() {
            ended.unwrap();
        }
        self.tasks.is_empty()
    }

    /// How many changes were answered so far.
    pub fn events(&self) -> usize {
        self.shared.events.load(Ordering::Relaxed)
    }

    /// Lets each client end what it began.
    pub async fn end(mut self) -> Seen {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

impl Shared {
    /// The order, if that is the answer.
    fn note(&self, answer: reqwest::Result<(reqwest::StatusCode, String)>, asked: &str) -> Option<Value> {
        let mut seen = self.seen.lock().unwrap();
        match answer {
            Ok((status, text)) if status.is_success() => {
                let order: Value = serde_json::from_str(&text).unwrap();
                let [id, version] = ["id", "version"].map(|field| order[field].as_i64().expect("an order"));
                seen.answered.push(Answered { order: id, version, at: self.clock.now_ms() });
                self.events.fetch_add(1, Ordering::Relaxed);
                return Some(order);
            }
            Ok((status, _)) if matches!(status.as_u16(), 408 | 429 | 503) => seen.refused += 1,
            Ok((status, text)) => seen.failed.push(format!("{asked}: {status} {text}")),
            Err(_) => seen.cut += 1,
        }
        None
    }
}

struct Client {
    shared: Arc<Shared>,
    http: reqwest::Client,
    at: usize,
}

impl Client {
    async fn work(mut self, number: u32, interval: Duration) {
        // Not all at once.
        tokio::time::sleep(interval * number / CLIENTS).await;
        let mut turns = tokio::time::interval(interval);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        for order in 0_u32.. {
            turns.tick().await;
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            self.order(&format!("{number}-{order}")).await;
            self.at += 1;
        }
    }

    async fn order(&mut self, name: &str) {
        let shared = self.shared.clone();
        let new = json!({ "items": [{ "product_id": 1, "quantity": 1 }] });
        let placed = self.change("POST", "/v1/orders", &shared.tokens.customer, &format!("place-{name}"), &new).await;
        let path = format!("/v1/orders/{}/status", placed["id"]);
        let shipped = json!({ "status": "shipped" });
        self.change("PATCH", &path, &shared.tokens.admin, &format!("ship-{name}"), &shipped).await;
    }

    /// Until it is answered with success.
    async fn change(&mut self, method: &str, path: &str, token: &str, key: &str, body: &Value) -> Value {
        let shared = self.shared.clone();
        let asking = async {
            loop {
                let url = format!("http://{}{path}", shared.hosts[self.at % shared.hosts.len()]);
                let request = self.http.request(method.parse().unwrap(), url).bearer_auth(token);
                let sent = request.header("idempotency-key", key).json(body).send().await;
                let answer = match sent {
                    Ok(response) => {
                        let status = response.status();
                        response.text().await.map(|text| (status, text))
                    }
                    Err(e) => Err(e),
                };
                if let Some(order) = shared.note(answer, &format!("{method} {path}")) {
                    return order;
                }
                self.at += 1;
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| {
            let seen = shared.seen.lock().unwrap();
            let (refused, cut, last) = (seen.refused, seen.cut, seen.failed.last());
            panic!("{method} {path} is never answered: {refused} refused, {cut} cut, the last failure: {last:?}")
        })
    }
}
