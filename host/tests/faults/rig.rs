//! One shop under load: its hosts, its database, its relay.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use ecomm::clock::Clock;
use ecomm::mail::mailbox::Mailbox;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cluster::{Place, command};
use crate::database::{Database, Kind, Server};
use crate::judge::{Orphans, Verdict};
use crate::load::{Load, Tokens};
use crate::proxy::Proxy;
use crate::random::Random;

const PASSWORD: &str = "correct horse battery";
/// How long mails may take to arrive once the faults are over.
const PATIENCE: Duration = Duration::from_mins(3);
/// Whatever the relay keeps is held against the rest at the end.
const MAILS_MAX: usize = 1_000_000;

/// What a run needs to be told.
pub struct Plan {
    pub program: PathBuf,
    pub rate: u32,
    pub seed: u64,
    /// How many hosts; an embedded database has one.
    pub hosts: usize,
    /// Whether the database is reached by way of a proxy.
    pub proxied: bool,
    /// Whether the relay is.
    pub relay_proxied: bool,
    /// Settings beside the usual ones.
    pub settings: Vec<(&'static str, &'static str)>,
    /// Relays in the config file, before the rig's own.
    pub relays: String,
}

pub struct Rig {
    pub plan: Plan,
    pub random: Random,
    pub database: Database,
    pub sink: Mailbox,
    /// Another relay, where there is one.
    pub also: Option<Mailbox>,
    /// Before the database.
    pub proxy: Option<Proxy>,
    /// Before the relay.
    pub relay: Option<Proxy>,
    pub places: Vec<Place>,
    pub settings: Vec<(String, String)>,
    pub folder: tempfile::TempDir,
    pub faults: usize,
    load: Option<Load>,
    orphans: Vec<Orphans>,
    clock: Clock,
    _stop: DropGuard,
}

/// A relay that takes what it is given and remembers it.
pub async fn sink() -> (Mailbox, u16, DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mailbox = Mailbox::new(PathBuf::new(), MAILS_MAX, None, Clock::system());
    let (stop, serving) = (CancellationToken::new(), mailbox.clone());
    let stopped = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "ends with the rig")]
    tokio::spawn(async move { serving.serve(listener, stopped).await });
    (mailbox, port, stop.drop_guard())
}

/// A relay in a config file.
pub fn relay(name: &str, port: u16) -> String {
    format!("[[mail.relays]]\nname = \"{name}\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n")
}

impl Rig {
    /// Hosts on a new database; no load yet.
    pub async fn start(plan: Plan, server: &mut Server) -> Self {
        let (sink, port, stop) = sink().await;
        let proxy = if plan.proxied { Some(Proxy::start(server.address()).await) } else { None };
        let before_relay = Proxy::start(([127, 0, 0, 1], port).into());
        let before_relay = if plan.relay_proxied { Some(before_relay.await) } else { None };
        let port = before_relay.as_ref().map_or(port, |proxy| proxy.address.port());
        let database = server.fresh(proxy.as_ref().map(|proxy| proxy.address.port())).await;
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("ecomm.toml");
        std::fs::write(&config, format!("{}{}", plan.relays, relay("sink", port))).unwrap();
        let policy = folder.path().join("policy.json");
        // A mail in doubt is offered again after a second, and none is given up for what the rig does.
        std::fs::write(&policy, r#"{"backoff_first_ms": 1000, "backoff_factor": 1, "attempts_max": 25}"#).unwrap();
        let settings =
            settings(&database, &[("ECOMM_CONFIG", &config), ("ECOMM__PLUGINS__POLICY__CONFIG_PATH", &policy)]);
        let more = plan.settings.iter().map(|(key, value)| (format!("ECOMM__{key}"), (*value).to_owned()));
        let settings: Vec<_> = settings.into_iter().chain(more).collect();
        let hosts = if server.kind == Kind::Sqlite { 1 } else { plan.hosts };
        let place = |n: usize| Place::new(&settings, folder.path().join(format!("host{n}.log")));
        let places = (0..hosts).map(place).collect();
        let random = Random::new(plan.seed);
        let (faults, load, orphans, clock) = (0, None, Vec::new(), Clock::system());
        Self {
            plan,
            random,
            database,
            sink,
            also: None,
            proxy,
            relay: before_relay,
            places,
            settings,
            folder,
            faults,
            load,
            orphans,
            clock,
            _stop: stop,
        }
    }

    /// Starts all hosts and the load, which comes by itself from then on.
    pub async fn work(&mut self) {
        let program = self.plan.program.clone();
        self.work_with(&program).await;
    }

    /// The same with hosts of another program.
    pub async fn work_with(&mut self, program: &std::path::Path) {
        for place in &mut self.places {
            place.start(program).await;
        }
        let tokens = self.shop(program).await;
        let hosts = self.places.iter().map(|place| place.http.clone()).collect();
        let mut load = Load::new(hosts, tokens);
        if self.plan.rate > 0 {
            load.start(self.plan.rate);
        }
        self.load = Some(load);
    }

    /// Has one order placed and shipped.
    pub fn order(&mut self, number: usize) {
        self.load.as_mut().expect("at work").order(number);
    }

    /// Whether all such orders were answered, and their mails are through.
    pub async fn is_done(&mut self) -> bool {
        self.load.as_mut().expect("at work").is_answered() && self.queued().await == 0
    }

    /// Waits until they are.
    pub async fn done(&mut self) {
        assert!(within_patience(async || self.is_done().await).await, "an order or its mails did not come through");
    }

    async fn queued(&self) -> i64 {
        self.database.number("select count(*) from notification_events_queue").await
    }

    /// Somebody who orders, somebody who ships, and something to order.
    async fn shop(&self, program: &std::path::Path) -> Tokens {
        let mut admin = command(program, &["admin", "create", "--email", "admin@shop.example"], &self.settings);
        let mut admin = admin.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
        admin.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        assert!(admin.wait().unwrap().success());
        let log_in = async |email: &str| {
            let session = self.post("/v1/sessions", "", json!({ "email": email, "password": PASSWORD })).await;
            session["access_token"].as_str().unwrap().to_owned()
        };
        let user = json!({ "email": "ada@example.com", "name": "Ada", "password": PASSWORD });
        self.post("/v1/users", "", user).await;
        let tokens = Tokens { customer: log_in("ada@example.com").await, admin: log_in("admin@shop.example").await };
        let price = json!({ "amount": 100, "currency": "EUR" });
        let product = json!({ "sku": "CUP", "name": "Cup", "price": price, "stock": 1_000_000_000 });
        self.post("/v1/products", &tokens.admin, product).await;
        tokens
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Value {
        let mut request = reqwest::Client::new().post(format!("http://{}{path}", self.places[0].http)).json(&body);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    pub fn events(&self) -> usize {
        self.load.as_ref().map_or(0, Load::events)
    }

    /// Lets the load come for a while.
    pub async fn pause(&mut self, from_ms: usize, to_ms: usize) {
        let pause = self.random.pause(from_ms, to_ms);
        tokio::time::sleep(pause).await;
    }

    pub fn any_place(&mut self) -> usize {
        self.random.below(self.places.len())
    }

    /// Kills a host, and remembers what it had claimed.
    pub async fn kill(&mut self, place: usize) {
        let pid = self.places[place].pid();
        self.places[place].kill();
        let (at, mails) = (self.clock.now_ms(), self.database.claimed_by(pid).await);
        self.orphans.push(Orphans { at, mails });
        self.faults += 1;
    }

    /// Stops the time of a host for a while.
    pub async fn stall(&mut self, place: usize, pause: Duration) {
        self.places[place].signal("STOP");
        tokio::time::sleep(pause).await;
        self.places[place].signal("CONT");
        self.faults += 1;
    }

    /// Lets clients end what they began, waits until nothing is queued, and judges.
    pub async fn judge(&mut self) -> Verdict {
        let seen = self.load.take().expect("at work").end().await;
        let is_drained = within_patience(async || self.queued().await == 0).await;
        for place in &mut self.places {
            place.stop().await;
        }
        let mut arrived = self.sink.messages();
        arrived.extend(self.also.iter().flat_map(Mailbox::messages));
        arrived.sort_by_key(|mail| mail.received_at);
        let mut verdict = Verdict::of(&seen, &self.database.told().await, &arrived, &self.orphans);
        verdict.faults = self.faults;
        if !is_drained {
            verdict.wrong.push("mails are still queued".to_owned());
        }
        if !is_drained || !seen.failed.is_empty() {
            let words = (0..self.places.len()).map(|place| self.last_words(place));
            verdict.wrong.extend(words);
        }
        verdict
    }

    /// Of a host's log; its errors alone, if it has any.
    fn last_words(&self, place: usize) -> String {
        let log = std::fs::read_to_string(self.folder.path().join(format!("host{place}.log"))).unwrap();
        let errors: Vec<_> = log.lines().rev().filter(|line| line.contains("ERROR")).take(5).collect();
        let last = if errors.is_empty() { log.lines().rev().take(5).collect() } else { errors };
        format!("host {place} said at last: {}", last.join(" | "))
    }
}

/// Whether the answer becomes yes.
async fn within_patience(mut question: impl AsyncFnMut() -> bool) -> bool {
    let asking = async {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.is_ok()
}

/// As for any shop, but for its secret and its limits.
fn settings(database: &Database, files: &[(&str, &PathBuf)]) -> Vec<(String, String)> {
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled").display().to_string();
    let settings = [
        ("DATABASE__URL", database.url.as_str()),
        ("AUTH__SECRET", "a secret for the fault rig, long enough"),
        ("AUTH__ACCESS_TOKEN_MS", "86400000"),
        ("LIMITS__REQUESTS_PER_MINUTE_MAX", "0"),
        ("LIMITS__LOG_INS_PER_ADDRESS_MAX", "0"),
        // Only mails of orders are counted.
        ("ACCOUNTS__VERIFY_EMAILS", "false"),
        ("ACCOUNTS__NOTICES", "false"),
        ("PLUGINS__CACHE_PATH", &cache),
        // Unoptimised and beside all the others, a component is not slow.
        ("PLUGINS__CALL__TIME_MS_MAX", "2000"),
        ("PLUGINS__CONFIGURE__TIME_MS_MAX", "20000"),
        ("TELEMETRY__LISTEN", ""),
        ("MAILBOX__ENABLED", "false"),
        ("LOG__FILTER", "warn"),
    ];
    let settings = settings.into_iter().map(|(key, value)| (format!("ECOMM__{key}"), value.to_owned()));
    settings.chain(files.iter().map(|(key, path)| ((*key).to_owned(), path.display().to_string()))).collect()
}

impl Drop for Rig {
    fn drop(&mut self) {
        for place in &mut self.places {
            place.kill();
        }
    }
}
