//! Hosts to measure, and medians.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ecomm::clock::Clock;
use ecomm::config::{Config, PREFIX};
use ecomm::host::{Host, Roles};
use ecomm::notification::{Notification, Payload};
use ecomm::service::{Principal, Service};
use ecomm::shop::order::{NewOrder, Order};
use sqlx::{Connection, MySqlConnection, PgConnection};

pub(crate) struct Database {
    pub(crate) name: &'static str,
    server: Option<String>,
    folder: tempfile::TempDir,
}

/// What can be measured here; says what cannot.
pub(crate) fn databases() -> Vec<Database> {
    let named: Vec<String> = std::env::args().filter(|a| DATABASES.iter().any(|(name, _)| name == a)).collect();
    let mut found = Vec::new();
    for (name, variable) in DATABASES {
        if !named.is_empty() && !named.iter().any(|n| n == name) {
            continue;
        }
        let server = std::env::var(variable).ok();
        if server.is_none() && !variable.is_empty() {
            println!("left out: {name} ({variable} is not set)");
            continue;
        }
        found.push(Database { name, server, folder: tempfile::tempdir().expect("a folder") });
    }
    found
}

/// What each is called, and which variable names a server of it.
pub(crate) const DATABASES: [(&str, &str); 3] =
    [("SQLite", ""), ("PostgreSQL", "ECOMM_TEST_POSTGRES_URL"), ("MariaDB", "ECOMM_TEST_MARIADB_URL")];

impl Database {
    /// A new, empty database.
    pub(crate) async fn fresh(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ecomm_bench_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let Some(server) = &self.server else {
            return format!("sqlite:{}", self.folder.path().join(name).display());
        };
        let create = sqlx::AssertSqlSafe(format!("create database {name}"));
        if server.starts_with("postgres") {
            let mut server = PgConnection::connect(server).await.expect("the server answers");
            sqlx::query(create).execute(&mut server).await.expect("a database");
        } else {
            let mut server = MySqlConnection::connect(server).await.expect("the server answers");
            sqlx::query(create).execute(&mut server).await.expect("a database");
        }
        let mut url = url::Url::parse(server).expect("an address");
        url.set_path(&name);
        url.into()
    }
}

/// A host on a new database, without a worker unless asked for, its mail going to the mailbox in this process.
pub(crate) async fn host(url: &str, worker: bool) -> Host {
    host_with(url, worker, &[]).await
}

/// The same with more settings.
pub(crate) async fn host_with(url: &str, worker: bool, more: &[(&str, &str)]) -> Host {
    let cache = std::env::temp_dir().join("ecomm-bench-compiled").display().to_string();
    let settings = [
        ("DATABASE__URL", url),
        ("AUTH__SECRET", "a secret for measurements, long enough"),
        ("HTTP__LISTEN", "127.0.0.1:0"),
        ("GRPC__LISTEN", "127.0.0.1:0"),
        ("LIMITS__REQUESTS_PER_MINUTE_MAX", "0"),
        ("LIMITS__LOG_INS_PER_ADDRESS_MAX", "0"),
        ("MAILBOX__ENABLED", "true"),
        ("MAILBOX__LISTEN", "127.0.0.1:0"),
        ("MAILBOX__MESSAGES_MAX", "10"),
        ("PLUGINS__CACHE_PATH", &cache),
        ("PLUGINS__COMPILER__PROGRAM", env!("CARGO_BIN_EXE_ecomm")),
    ];
    let settings = settings.iter().chain(more).map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned()));
    let config = Config::load(None, settings).expect("settings");
    let mut host =
        Box::pin(Host::start(config, Roles { worker, ..Roles::ALL }, Clock::system())).await.expect("a host");
    host.prepared().await;
    host
}

/// A port that is free at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// The setting for a relay on this port, with so many connections.
pub(crate) fn relay(port: u16, connections_max: u32) -> String {
    format!(
        r#"[{{ name = "mailbox", host = "127.0.0.1", port = {port}, tls = "none", connections_max = {connections_max} }}]"#
    )
}

/// A customer, and a product of which there is enough.
pub(crate) async fn shop(service: &Service) -> (Principal, i64) {
    let user = serde_json::json!({ "email": "ada@example.com", "name": "Ada Lovelace", "password": "long enough" });
    let user = service.sign_up(serde_json::from_value(user).expect("a user")).await.expect("signed up");
    (Principal { user_id: user.id, session_id: 0, is_admin: false, role: None }, product(service, "CUP").await)
}

/// A product of which there is enough.
pub(crate) async fn product(service: &Service, sku: &str) -> i64 {
    let price = serde_json::json!({ "amount": 1_999, "currency": "USD" });
    let product = serde_json::json!({ "sku": sku, "name": "Of clay", "price": price, "stock": 1_000_000_000 });
    let admin = Principal { user_id: 1, session_id: 0, is_admin: true, role: None };
    let product = serde_json::from_value(product).expect("a product");
    service.create_product(admin, product, None).await.expect("created").id
}

/// Signs another customer up; the access token.
pub(crate) async fn customer(address: SocketAddr, n: usize) -> String {
    let email = format!("customer{n}@example.com");
    let body = serde_json::json!({ "email": email, "name": "Customer", "password": "long enough" });
    let request = reqwest::Client::new().post(format!("http://{address}/v1/users")).json(&body);
    assert!(request.send().await.expect("an answer").status().is_success());
    log_in(address, &email).await
}

/// The first customer's access token.
pub(crate) async fn token(address: SocketAddr) -> String {
    log_in(address, "ada@example.com").await
}

async fn log_in(address: SocketAddr, email: &str) -> String {
    let body = serde_json::json!({ "email": email, "password": "long enough" });
    let request = reqwest::Client::new().post(format!("http://{address}/v1/sessions")).json(&body);
    let session: serde_json::Value = request.send().await.expect("an answer").json().await.expect("a session");
    session["access_token"].as_str().expect("a token").to_owned()
}

/// Places so many orders.
pub(crate) async fn fill(service: &Arc<Service>, who: Principal, product: i64, orders: usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for share in 0..32 {
        let service = service.clone();
        let mine = orders / 32 + usize::from(share < orders % 32);
        tasks.spawn(async move {
            for _ in 0..mine {
                place(&service, who, product).await;
            }
        });
    }
    tasks.join_all().await;
}

/// Places an order.
pub(crate) async fn place(service: &Arc<Service>, who: Principal, product: i64) -> Order {
    let new = serde_json::json!({ "items": [{ "product_id": product, "quantity": 2 }] });
    let new: NewOrder = serde_json::from_value(new).expect("an order");
    service.place_order(who, new, None).await.expect("placed")
}

/// An order of five lines.
pub(crate) fn notification() -> Notification {
    let payload: Payload = Payload::read(include_str!("../tests/it/payload.json")).expect("a payload");
    Notification { id: 1, message_id: "1@shop.example".to_owned(), payload }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The value below which so many hundredths lie.
pub(crate) fn percentile(values: &mut [f64], hundredths: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * hundredths / 100).min(values.len() - 1)]
}
