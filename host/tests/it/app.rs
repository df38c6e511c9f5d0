//! The real host, and a client of its REST API.

use std::path::PathBuf;
use std::time::Duration;

use ecomm::clock::Clock;
use ecomm::config::{Config, PREFIX};
use ecomm::host::{Host, Roles};
use ecomm::mail::mailbox::{Act, Fault, Mailbox, Phase, Received};
use ecomm::shop::user::NewUser;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::database::{Database, Kind};

pub const SECRET: &str = "a secret for tests, and long enough";
pub const PASSWORD: &str = "correct horse battery";
/// How long a thing that another process or host must do may take before the test fails.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A host that works only when told to.
pub struct App {
    pub host: Host,
    pub database: Database,
    pub clock: Clock,
    pub mailbox: Mailbox,
    pub client: Client,
    pub admin: String,
    pub customer: String,
    pub product: i64,
}

/// A client of the REST API.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    pub base: String,
}

impl Client {
    pub fn new(address: impl std::fmt::Display) -> Self {
        Self { http: reqwest::Client::new(), base: format!("http://{address}") }
    }

    pub async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        // Long work is awaited, where it can be.
        let mut request = request.header("prefer", "wait=60");
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap_or_default())
    }

    pub async fn ok(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, token, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// A call with headers of its own; gives back the answer's headers too.
    pub async fn with(
        &self,
        (method, path): (&str, &str),
        token: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> (u16, reqwest::header::HeaderMap, Value) {
        let mut request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.base));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.json().await.unwrap_or_default())
    }

    /// Logs in; the whole session.
    pub async fn session(&self, email: &str) -> Value {
        let body = json!({ "email": email, "password": PASSWORD });
        self.ok("POST", "/v1/sessions", "", Some(body)).await
    }

    pub async fn log_in(&self, email: &str) -> String {
        let body = json!({ "email": email, "password": PASSWORD });
        let session = self.ok("POST", "/v1/sessions", "", Some(body)).await;
        session["access_token"].as_str().unwrap().to_owned()
    }
}

/// Compiled components are shared by all tests: they cost seconds in an unoptimised host.
pub fn cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled")
}

/// Settings for a test, as the environment would give them.
pub fn environment(database: &Database, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let cache = cache().display().to_string();
    let mut settings = vec![
        ("DATABASE__URL", database.url.as_str()),
        ("DATABASE__CONNECTIONS_MAX", "6"),
        ("AUTH__SECRET", SECRET),
        // Tests move the clock.
        ("AUTH__ACCESS_TOKEN_MS", "8640000000"),
        ("LIMITS__LOG_INS_PER_ACCOUNT_MAX", "1000"),
        ("LIMITS__VERIFICATIONS_PER_MAILBOX_MAX", "1000"),
        // Tests count the mails of orders.
        ("ACCOUNTS__VERIFY_EMAILS", "false"),
        ("ACCOUNTS__NOTICES", "false"),
        ("HTTP__LISTEN", "127.0.0.1:0"),
        ("GRPC__LISTEN", "127.0.0.1:0"),
        ("PLUGINS__CALLS_MAX", "8"),
        ("PLUGINS__CACHE_PATH", &cache),
        ("PLUGINS__COMPILER__PROGRAM", env!("CARGO_BIN_EXE_ecomm")),
        // Tests wait for it.
        ("PLUGINS__COMPILER__NICENESS", "0"),
        // Unoptimised and shared, the machine must not look like a slow plugin.
        ("PLUGINS__CALL__TIME_MS_MAX", "2000"),
        ("PLUGINS__CONFIGURE__TIME_MS_MAX", "10000"),
        ("TELEMETRY__LISTEN", ""),
        ("MAILBOX__ENABLED", "true"),
        ("MAILBOX__LISTEN", "127.0.0.1:0"),
    ];
    settings.extend_from_slice(database.settings());
    settings.extend_from_slice(more);
    settings.into_iter().map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned())).collect()
}

impl App {
    pub async fn start(database: Database) -> Self {
        Self::with(database, &[]).await
    }

    /// A host with more settings, an admin, a customer, and a product of which 100 are in stock.
    pub async fn with(database: Database, more: &[(&str, &str)]) -> Self {
        let config = Config::load(None, environment(&database, more)).unwrap();
        Self::of(database, config).await
    }

    /// The same with these settings.
    pub async fn of(database: Database, config: Config) -> Self {
        let clock = Clock::system();
        let roles = Roles { worker: false, ..Roles::ALL };
        let mut host = Box::pin(Host::start(config, roles, clock.clone())).await.unwrap();
        host.prepared().await;
        let client = Client::new(host.http.unwrap());
        let admin = user("admin@shop.example", "Admin");
        ecomm::service::create_admin(&host.service.store, &clock, admin).await.unwrap();
        host.service.sign_up(user("ada@example.com", "Ada Lovelace")).await.unwrap();
        let admin = client.log_in("admin@shop.example").await;
        let customer = client.log_in("ada@example.com").await;
        let new = json!({ "sku": "CUP", "name": "Cup", "price": { "amount": 1999, "currency": "USD" }, "stock": 100 });
        let product = client.ok("POST", "/v1/products", &admin, Some(new)).await["id"].as_i64().unwrap();
        let mailbox = host.service.mailbox.clone().unwrap();
        Self { host, database, clock, mailbox, client, admin, customer, product }
    }

    /// Places an order of two pieces; its id.
    pub async fn order(&self) -> i64 {
        let new = json!({ "items": [{ "product_id": self.product, "quantity": 2 }] });
        self.client.ok("POST", "/v1/orders", &self.customer, Some(new)).await["id"].as_i64().unwrap()
    }

    /// The customer's account.
    pub async fn customer_id(&self) -> i64 {
        let users = self.client.ok("GET", "/v1/users", &self.admin, None).await;
        let customer = users["items"].as_array().unwrap().iter().find(|user| user["email"] == "ada@example.com");
        customer.unwrap()["id"].as_i64().unwrap()
    }

    pub async fn change(&self, order: i64, status: &str) {
        let change = json!({ "status": status });
        self.client.ok("PATCH", &format!("/v1/orders/{order}/status"), &self.admin, Some(change)).await;
    }

    /// Works until nothing is due.
    pub async fn drain(&self) {
        self.host.queue.run_until_idle().await;
    }

    /// The relay fails so many times.
    pub fn fail(&self, phase: Phase, act: Act, times: u32) {
        self.mailbox.inject(Fault { phase, act, times, to: None });
    }

    pub fn subjects(&self) -> Vec<String> {
        self.mailbox.messages().into_iter().map(|m| m.subject).collect()
    }

    pub async fn notifications(&self, order: i64) -> Value {
        self.client.ok("GET", &format!("/v1/orders/{order}/notifications"), &self.admin, None).await
    }

    pub async fn queued(&self) -> i64 {
        self.database.number("select count(*) from notification_events_queue").await
    }

    pub async fn states(&self) -> Vec<String> {
        self.database.texts("select state from notification_states order by id").await
    }

    pub async fn end(self) {
        self.host.stop().await;
    }

    /// Ends; the database stays for the next host.
    pub async fn end_keeping(self) -> Database {
        self.host.stop().await;
        self.database
    }
}

pub fn user(email: &str, name: &str) -> NewUser {
    serde_json::from_value(json!({ "email": email, "name": name, "password": PASSWORD })).unwrap()
}

pub async fn sqlite() -> Database {
    Database::fresh(Kind::Sqlite).await
}

pub fn reply(line: &str) -> Act {
    Act::Reply(line.to_owned())
}

pub fn text(mail: &Received) -> String {
    String::from_utf8(mail.bytes.to_vec()).unwrap()
}

/// The mail that arrived last, its lines as long as they were before they were encoded.
pub fn newest(app: &App) -> String {
    text(&app.mailbox.messages().pop().unwrap()).replace("=\r\n", "")
}

/// The lines of a journal, short enough to read: kind, phase, class, code, verdict.
pub fn journal(notification: &Value) -> Vec<String> {
    let word =
        |v: &Value| v.as_str().map_or_else(|| if v.is_null() { "-".to_owned() } else { v.to_string() }, str::to_owned);
    let line = |e: &Value| ["kind", "phase", "class", "code", "verdict"].map(|key| word(&e[key])).join(" ");
    notification["journal"].as_array().unwrap().iter().map(line).collect()
}

/// Waits until the answer is yes; for what other processes and hosts do.
pub async fn eventually(what: &str, mut question: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what} did not happen"));
}
