//! From one release to the next, without stopping, losing or repeating anything.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::host;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::app::{Client, PASSWORD, PATIENCE, environment, eventually};
use crate::database::{Database, Kind};
use crate::harness;
use crate::process::{OURS, Sink, command, create_admin, free_address, ready, terminate};

/// The program of the release before this one.
const LAST: &str = "ECOMM_TEST_LAST_RELEASE";

/// Before another host is asked.
const PAUSE: Duration = Duration::from_millis(20);

/// Clients that order without a pause.
const CLIENTS: usize = 6;

pub fn tests() -> Vec<Trial> {
    let last = "upgrade::hosts_are_replaced_one_by_one_under_load";
    let mut tests = match std::env::var(LAST).as_deref() {
        Ok("") => vec![harness::missing(last.to_owned(), "this checkout has no history", true)],
        Ok(_) => harness::on(&Kind::ALL, last, 2, hosts_are_replaced_one_by_one_under_load),
        Err(_) => vec![harness::lacking(last.to_owned(), format!("{LAST} is not set"))],
    };
    tests.extend(harness::on(&Kind::ALL, "upgrade::the_last_release_works_on_this_schema", 2, last_release));
    tests.extend(harness::on(&Kind::ALL, "upgrade::a_newer_schema_is_used_where_it_can_be", 2, newer_schema));
    tests.extend(harness::on(&Kind::ALL, "upgrade::a_schema_waits_for_hosts_that_it_would_break", 2, older_hosts));
    tests.extend(harness::on(&Kind::ALL, "upgrade::a_schema_that_lacks_steps_is_refused", 2, lacking_steps));
    tests
}

/// Hosts beside each other, each in a place of its own: an address that clients know.
struct Cluster {
    places: Vec<Place>,
    settings: Vec<(String, String)>,
}

struct Place {
    client: Client,
    grpc: String,
    host: Option<Child>,
}

impl Cluster {
    fn new(database: &Database, sink: &Sink, places: usize) -> Self {
        let more = [("QUEUE__POLL_MS", "100"), ("LOG__FILTER", "error")];
        let mut settings = environment(database, &more);
        settings.extend(sink.settings.clone());
        let place = |_| Place { client: Client::new(free_address()), grpc: free_address(), host: None };
        Self { places: (0..places).map(place).collect(), settings }
    }

    async fn start(&mut self, place: usize, program: &PathBuf) {
        let Place { client, grpc, host } = &mut self.places[place];
        let mut settings = self.settings.clone();
        let http = client.base.trim_start_matches("http://").to_owned();
        settings.extend([("ECOMM__HTTP__LISTEN".to_owned(), http), ("ECOMM__GRPC__LISTEN".to_owned(), grpc.clone())]);
        *host = Some(command(program, &["serve"], &settings).spawn().unwrap());
        ready(client).await;
    }

    async fn replace(&mut self, place: usize, program: &PathBuf) {
        terminate(self.places[place].host.as_mut().unwrap());
        self.start(place, program).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for host in self.places.iter_mut().filter_map(|place| place.host.as_mut()) {
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}

/// A client that goes to another host, with the same key, when its connection ends or none can be made; whatever is answered
/// counts.
struct Caller {
    clients: Vec<Client>,
    at: usize,
}

impl Caller {
    async fn call(&mut self, method: &str, path: &str, token: &str, key: &str, body: &Value) -> Value {
        let mut patience = PATIENCE.as_millis() / PAUSE.as_millis();
        loop {
            let client = &self.clients[self.at % self.clients.len()];
            let request = client.http.request(method.parse().unwrap(), format!("{}{path}", client.base));
            let sent = request.bearer_auth(token).header("idempotency-key", key).json(body).send().await;
            let answer = match sent {
                Ok(response) => {
                    let status = response.status();
                    response.text().await.map(|text| (status, text))
                }
                Err(e) => Err(e),
            };
            match answer {
                Ok((status, text)) => {
                    assert!(status.is_success(), "{method} {path} at {}: {status} {text}", client.base);
                    return serde_json::from_str(&text).unwrap();
                }
                Err(e) => assert!(patience > 0, "{method} {path}: {e}"),
            }
            self.at += 1;
            patience -= 1;
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Orders and ships until it is told to stop; how many.
async fn orders(mut caller: Caller, client: usize, admin: &str, ada: &str, stop: &AtomicBool) -> usize {
    let mut orders = 0;
    while !stop.load(Ordering::Relaxed) {
        let new = json!({ "items": [{ "product_id": 1, "quantity": 1 }] });
        let order = caller.call("POST", "/v1/orders", ada, &format!("place-{client}-{orders}"), &new).await;
        let path = format!("/v1/orders/{}/status", order["id"]);
        let shipped = json!({ "status": "shipped" });
        caller.call("PATCH", &path, admin, &format!("ship-{client}-{orders}"), &shipped).await;
        caller.at += 1;
        orders += 1;
    }
    orders
}

/// The schema goes ahead while hosts of the release before are at work on it; one of them is started anew on it. Each mail
/// arrives once and in order, and no request fails.
async fn hosts_are_replaced_one_by_one_under_load(database: Database) {
    let (last, ours) = (PathBuf::from(std::env::var_os(LAST).unwrap()), PathBuf::from(OURS));
    let sink = Sink::start(&database, 1_000_000).await;
    // One host at a time has an embedded database.
    let places = if database.kind == Kind::Sqlite { 1 } else { 3 };
    let mut cluster = Cluster::new(&database, &sink, places);
    create_admin(&last, &cluster.settings, PASSWORD);
    for place in 0..places {
        cluster.start(place, &last).await;
    }
    let client = cluster.places[0].client.clone();
    let admin = client.log_in("admin@shop.example").await;
    let user = json!({ "email": "ada@example.com", "name": "Ada", "password": PASSWORD });
    client.ok("POST", "/v1/users", "", Some(user)).await;
    let ada = client.log_in("ada@example.com").await;
    let price = json!({ "amount": 100, "currency": "EUR" });
    let product = json!({ "sku": "CUP", "name": "Cup", "price": price, "stock": 1_000_000 });
    client.ok("POST", "/v1/products", &admin, Some(product)).await;

    let stop = AtomicBool::new(false);
    let clients: Vec<_> = cluster.places.iter().map(|place| place.client.clone()).collect();
    let load = (0..CLIENTS).map(|n| orders(Caller { clients: clients.clone(), at: n }, n, &admin, &ada, &stop));
    let load = futures_util::future::join_all(load);
    let upgrade = async {
        let while_at_work = || tokio::time::sleep(Duration::from_secs(1));
        while_at_work().await;
        for place in 0..places {
            cluster.replace(place, &ours).await;
            while_at_work().await;
            if place == 0 {
                let other = places - 1;
                cluster.replace(other, &last).await;
                while_at_work().await;
                // The only one is back where it was.
                if other == place {
                    cluster.replace(place, &ours).await;
                    while_at_work().await;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (done, ()) = tokio::join!(load, upgrade);
    let orders: usize = done.iter().sum();
    eventually("the mails", async || database.number("select count(*) from notification_events_queue").await == 0)
        .await;
    accounted_for(&database, &sink, orders).await;
}

/// Every order was placed and shipped once, each mail arrived once, and the first before the second.
async fn accounted_for(database: &Database, sink: &Sink, placed: usize) {
    let placed_here = database.number("select count(*) from orders").await;
    assert_eq!(usize::try_from(placed_here).unwrap(), placed);
    assert!(placed > 20, "{placed}");
    let told = database
        .texts("select message_id from notification_states where kind like 'order.%' order by lane, place")
        .await;
    assert_eq!(told.len(), 2 * placed);
    let mut arrived: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, mail) in sink.mailbox.messages().into_iter().enumerate() {
        arrived.entry(mail.message_id).or_default().push(at);
    }
    for mails in told.chunks(2) {
        let [first, second] = [&mails[0], &mails[1]].map(|id| arrived.get(id).cloned().unwrap_or_default());
        assert!(first.len() == 1 && second.len() == 1 && first < second, "{mails:?}: {first:?}, {second:?}");
    }
    assert_eq!(arrived.len(), 2 * placed);
    assert_eq!(database.number("select count(*) from notification_states where state <> 'sent'").await, 0);
}

/// A step of a later release: what it did is not told to this one.
async fn go_ahead(database: &Database) {
    let checksum = if database.kind.speaks_postgres() { "'\\x00'::bytea" } else { "x'00'" };
    let step = format!("(9999, 'later', true, {checksum}, 0)");
    let columns = "(version, description, success, checksum, execution_time)";
    database.execute(&format!("insert into _sqlx_migrations {columns} values {step}")).await;
}

/// Why the database cannot be opened.
async fn refusal(database: &Database, more: &[(&str, &str)]) -> String {
    let config = Config::load(None, environment(database, more)).unwrap();
    match host::open(&config, Clock::system()).await {
        Ok(_) => panic!("it can"),
        Err(e) => e.to_string(),
    }
}

/// Brings the schema up to date, as a host does at its start.
async fn open(database: &Database) {
    let config = Config::load(None, environment(database, &[])).unwrap();
    host::open(&config, Clock::system()).await.unwrap().close().await;
}

async fn newer_schema(database: Database) {
    open(&database).await;
    go_ahead(&database).await;
    open(&database).await;
    database.execute("update schema_programs set oldest = 9999").await;
    for more in [&[][..], &[("DATABASE__MIGRATE_ON_START", "false")]] {
        let why = refusal(&database, more).await;
        assert!(why.contains("schema is number 9999") && why.contains("does not work beside this one"), "{why}");
    }
}

async fn older_hosts(database: Database) {
    open(&database).await;
    let newest = "(select version from (select max(version) as version from _sqlx_migrations) as x)";
    database.execute(&format!("delete from _sqlx_migrations where version = {newest}")).await;
    go_ahead(&database).await;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let host = format!("('older', '0.0.1', 3, 'worker', {now}, {now}, 0, 0)");
    let columns = "(host, version, schema_known, roles, started_at, seen_at, sent, failed)";
    database.execute(&format!("insert into hosts {columns} values {host}")).await;
    let why = refusal(&database, &[]).await;
    assert!(why.contains("older (version 0.0.1)") && why.contains("is left as it is"), "{why}");
    let applied =
        format!("select count(*) from _sqlx_migrations where version = {}", ecomm::store::Store::schema_known());
    assert_eq!(database.number(&applied).await, 0);
}

async fn lacking_steps(database: Database) {
    let why = refusal(&database, &[("DATABASE__MIGRATE_ON_START", "false")]).await;
    assert!(why.contains("schema is number 0") && why.contains("`ecomm migrate`"), "{why}");
}

/// The promise: hosts of the last release work on the schema of this one.
async fn last_release(database: Database) {
    let (_, table) = include_str!("../../../docs/upgrade.md").split_once("| version |").unwrap();
    let newest = table.lines().nth(2).unwrap();
    let cells: Vec<_> = newest.split('|').map(str::trim).collect();
    let schema: i64 = cells[4].parse().unwrap();
    open(&database).await;
    let oldest = database.number("select oldest from schema_programs where id = 1").await;
    assert!(oldest <= schema && schema <= ecomm::store::Store::schema_known(), "{newest}");
}
