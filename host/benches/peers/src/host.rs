//! The host itself, as its release program: one process takes the orders, another, which has only the worker, sends their mails. It
//! keeps what the peers do not: lanes, a journal of each attempt, an intent before each hand-over; policy and renderer are
//! components in a sandbox.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::database::Database;
use crate::sink::Sink;
use crate::{Arguments, Run, Tally, processor_of};

pub(crate) const NAME: &str = "ecomm";
pub(crate) const CONFIG: &str = "1 worker, 512 in flight, claims of 256; everything on";

const PASSWORD: &str = "long enough to be one";
const LINES: usize = 5;
const CLIENTS: usize = 32;

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What several workers came to.
pub(crate) struct Scaled {
    pub(crate) run: Run,
    /// The processor time of the database.
    pub(crate) database: Duration,
    /// Claims, and those that found nothing while there was something.
    pub(crate) claims: (f64, f64),
}

/// Places the orders and has them sent. The time is from the first mail to the last: a process' start is none of the queue's.
pub(crate) async fn run(program: &Path, arguments: &Arguments) -> Run {
    scaled(program, arguments, 1).await.run
}

/// The same with so many workers on one database.
pub(crate) async fn scaled(program: &Path, arguments: &Arguments, workers: usize) -> Scaled {
    let database = Database::fresh(&arguments.database_url).await;
    let tally = Tally::new(arguments.jobs);
    let sink = Sink::start(Duration::from_millis(arguments.answer_ms), tally.clone()).await;
    let settings = settings(&database.url(&arguments.database_url), arguments, sink.address.port());
    let http = format!("127.0.0.1:{}", free_port());
    admin(program, &settings);
    let api = start(program, "api", &settings, &http);
    place(&format!("http://{http}"), arguments.jobs).await;
    drop(api);
    database.settle().await;
    let telemetry: Vec<_> = (0..workers).map(|_| format!("127.0.0.1:{}", free_port())).collect();
    let launch = |listen: &String| {
        let listen = ("ECOMM__TELEMETRY__LISTEN".to_owned(), listen.clone());
        start(program, "worker", &[&settings[..], &[listen]].concat(), "")
    };
    let workers: Vec<_> = telemetry.iter().map(launch).collect();
    let used_by = || workers.iter().map(|worker| processor_of(worker.0.id())).sum::<Duration>();
    let begun = tally.began().await;
    let (used, used_there) = (used_by(), database.processor().await);
    tally.reached().await;
    let (elapsed, processor) = (begun.elapsed(), used_by().saturating_sub(used));
    let database_used = database.processor().await.saturating_sub(used_there);
    let claims = claims(&telemetry).await;
    while database.count("select count(*) from notification_events_queue").await > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let recorded = begun.elapsed();
    drop((workers, sink));
    database.remove().await;
    Scaled { run: Run { elapsed, recorded, processor }, database: database_used, claims }
}

/// As the workers count them, until the last mail: the claim that finds the queue empty is not among those in vain.
async fn claims(telemetry: &[String]) -> (f64, f64) {
    let (mut all, mut in_vain) = (0.0, 0.0);
    for listen in telemetry {
        let answer = reqwest::get(format!("http://{listen}/metrics")).await.expect("an answer");
        let text = answer.text().await.expect("a text");
        let of = |name: &str, label: &str| {
            let is_meant = |line: &&str| line.starts_with(name) && line.contains("\"claim\"") && line.contains(label);
            let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
            text.lines().find(is_meant).and_then(value).unwrap_or_default()
        };
        all += of("ecomm_group_size_count", "");
        in_vain += of("ecomm_group_size_bucket", "le=\"0\"");
    }
    (all, in_vain)
}

fn settings(url: &str, arguments: &Arguments, port: u16) -> Vec<(String, String)> {
    let relay = format!(
        r#"[{{ name = "sink", host = "127.0.0.1", port = {port}, tls = "none", connections_max = {} }}]"#,
        arguments.connections
    );
    let cache = std::env::temp_dir().join("ecomm-peers-compiled").display().to_string();
    let settings = [
        ("DATABASE__URL", url),
        ("AUTH__SECRET", "a secret for measurements, long enough"),
        ("LIMITS__REQUESTS_PER_MINUTE_MAX", "0"),
        ("ACCOUNTS__VERIFY_EMAILS", "false"),
        ("ACCOUNTS__NOTICES", "false"),
        ("TELEMETRY__LISTEN", ""),
        ("PLUGINS__CACHE_PATH", &cache),
        ("QUEUE__IN_FLIGHT_MAX", "512"),
        ("QUEUE__CLAIM_MAX", "256"),
        ("LOG__FILTER", "error"),
        ("MAIL__RELAYS", &relay),
    ];
    settings.into_iter().map(|(key, value)| (format!("ECOMM__{key}"), value.to_owned())).collect()
}

fn command(program: &Path, args: &[&str], settings: &[(String, String)]) -> Command {
    let mut command = Command::new(program);
    command.args(args).envs(settings.iter().cloned()).stdin(Stdio::null());
    command
}

fn start(program: &Path, role: &str, settings: &[(String, String)], http: &str) -> Process {
    let mut command = command(program, &["serve", "--roles", role], settings);
    if !http.is_empty() {
        command.env("ECOMM__HTTP__LISTEN", http);
    }
    Process(command.spawn().expect("the program starts"))
}

fn admin(program: &Path, settings: &[(String, String)]) {
    let migrated = command(program, &["migrate"], settings).stdout(Stdio::null()).status().expect("it starts");
    assert!(migrated.success(), "the schema is there");
    let mut admin = command(program, &["admin", "create", "--email", "admin@shop.example"], settings);
    let mut admin = admin.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    admin.stdin.take().expect("piped").write_all(PASSWORD.as_bytes()).expect("it reads");
    assert!(admin.wait().expect("it ends").success(), "there is an admin");
}

/// So many orders of one customer.
async fn place(base: &str, orders: usize) {
    let client = reqwest::Client::new();
    while client.get(format!("{base}/readyz")).send().await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let user = json!({ "email": "ada@example.com", "name": "Ada Lovelace", "password": PASSWORD });
    post(&client, &format!("{base}/v1/users"), "", &user).await;
    let admin = log_in(&client, base, "admin@shop.example").await;
    let mut items = Vec::new();
    for line in 1..=LINES {
        let price = json!({ "amount": 1_999, "currency": "EUR" });
        let product =
            json!({ "sku": format!("CUP-{line}"), "name": "A cup of clay", "price": price, "stock": 1_000_000_000 });
        let product = post(&client, &format!("{base}/v1/products"), &admin, &product).await;
        items.push(json!({ "product_id": product["id"], "quantity": line }));
    }
    let token = Arc::new(log_in(&client, base, "ada@example.com").await);
    let (order, url) = (Arc::new(json!({ "items": items })), format!("{base}/v1/orders"));
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        let (client, order, url, token) = (client.clone(), order.clone(), url.clone(), token.clone());
        clients.spawn(async move {
            for _ in 0..orders / CLIENTS + usize::from(n < orders % CLIENTS) {
                post(&client, &url, &token, &order).await;
            }
        });
    }
    clients.join_all().await;
}

async fn log_in(client: &reqwest::Client, base: &str, email: &str) -> String {
    let session = json!({ "email": email, "password": PASSWORD });
    let session = post(client, &format!("{base}/v1/sessions"), "", &session).await;
    session["access_token"].as_str().expect("a token").to_owned()
}

async fn post(client: &reqwest::Client, url: &str, token: &str, body: &Value) -> Value {
    let mut request = client.post(url).json(body);
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.json().await.expect("JSON")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
