//! The REST API with everything on, beside a bare axum + sqlx handler on the same database, and what a page of a long
//! list costs at its two ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{bare, rig};

const CONNECTIONS: usize = 16;
const READS: usize = 40_000;
const ORDERS: usize = 10_000;
const PRODUCTS: usize = 1_000;
const LISTED: i64 = 1_000_000;
const PAGES: usize = 200;

pub(crate) async fn measure() {
    for database in rig::databases() {
        println!("\napi, {}: {CONNECTIONS} connections, load generator included", database.name);
        let url = database.fresh().await;
        let bare = bare::start(&url).await;
        let get = |n: usize| format!("GET /products/{} HTTP/1.1\r\nhost: x\r\n\r\n", n % PRODUCTS + 1);
        // Among so many products, or all the same two: those wait for each other's commit.
        let post = |path: &str, headers: &str, n: usize, products: usize| {
            let (first, second) = (n * 7 % products + 1, (n * 7 + 1) % products + 1);
            let body = format!(
                r#"{{"items":[{{"product_id":{first},"quantity":1}},{{"product_id":{second},"quantity":2}}]}}"#
            );
            let length = body.len();
            format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{headers}content-length: \
                 {length}\r\n\r\n{body}"
            )
        };
        let bare_get = load(bare, READS, get).await;
        let bare_post = load(bare, ORDERS, |n| post("/orders", "", n, PRODUCTS)).await;

        let host = rig::host(&database.fresh().await, false).await;
        let (_, first) = rig::shop(&host.service).await;
        for n in first..PRODUCTS.try_into().expect("a number") {
            rig::product(&host.service, &format!("SKU{n}")).await;
        }
        let address = host.http.expect("an API");
        // Each connection is another customer's.
        let mut tokens = Vec::new();
        for n in 0..CONNECTIONS {
            tokens.push(rig::customer(address, n).await);
        }
        let get = load(address, READS, |n| get(n).replacen("GET ", "GET /v1", 1)).await;
        let keyed = |n: usize| {
            let token = &tokens[n % CONNECTIONS];
            format!("authorization: Bearer {token}\r\nidempotency-key: {n}\r\n")
        };
        let spread = load(address, ORDERS, |n| post("/v1/orders", &keyed(n), n, PRODUCTS)).await;
        let contended = load(address, ORDERS / 4, |n| post("/v1/orders", &keyed(n + ORDERS), n, 2)).await;
        let figures = [
            ("GET product           ", get, bare_get),
            ("POST order            ", spread, bare_post),
            ("POST, same 2 products ", contended, bare_post),
        ];
        for (what, ours, bare) in figures {
            println!(
                "  {what} {:>7.0}/s   p50 {:.2} ms   p99 {:.2} ms   {:.2} of the bare handler's {:.0}/s (p99 {:.2} ms)",
                ours.rate,
                ours.p50,
                ours.p99,
                ours.rate / bare.rate,
                bare.rate,
                bare.p99
            );
        }
        host.stop().await;
        list(&database).await;
    }
}

async fn list(database: &rig::Database) {
    let url = database.fresh().await;
    let host = rig::host(&url, false).await;
    let (who, _) = rig::shop(&host.service).await;
    bare::fill_orders(&url, who.user_id, LISTED).await;
    let address = host.http.expect("an API");
    let token = rig::token(address).await;
    let page = async |behind: i64| {
        use base64::Engine;
        let cursor = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("[null,{behind}]"));
        let mut socket = Connection::to(address).await;
        let request = format!(
            "GET /v1/orders?limit=100&cursor={cursor} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        let mut times = Vec::new();
        for _ in 0..PAGES {
            let begun = Instant::now();
            socket.ask(&request).await;
            times.push(begun.elapsed().as_secs_f64() * 1_000.0);
        }
        rig::median(times)
    };
    let (first, last) = (page(LISTED + 1).await, page(101).await);
    println!(
        "  100 of {LISTED} orders   first page {first:.2} ms   last page {last:.2} ms   {:.2} of the first",
        last / first
    );
    host.stop().await;
}

/// What a load saw; times in milliseconds.
#[derive(Clone, Copy)]
struct Seen {
    rate: f64,
    p50: f64,
    p99: f64,
}

/// Sends so many requests over [`CONNECTIONS`] connections, each waiting for its answer.
async fn load(address: SocketAddr, requests: usize, request: impl Fn(usize) -> String) -> Seen {
    let requests: Arc<Vec<String>> = Arc::new((0..requests).map(request).collect());
    for warm in requests.iter().take(1) {
        // A request of its own: a keyed one is answered again from its key.
        Connection::to(address).await.ask(warm).await;
    }
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for mine in 0..CONNECTIONS {
        let requests = requests.clone();
        tasks.spawn(async move {
            let mut connection = Connection::to(address).await;
            let mut times = Vec::new();
            for request in requests.iter().skip(mine).step_by(CONNECTIONS) {
                let begun = Instant::now();
                connection.ask(request).await;
                times.push(begun.elapsed().as_secs_f64() * 1_000.0);
            }
            times
        });
    }
    let mut times: Vec<f64> = tasks.join_all().await.into_iter().flatten().collect();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = requests.len() as f64 / begun.elapsed().as_secs_f64();
    Seen { rate, p50: rig::percentile(&mut times, 50), p99: rig::percentile(&mut times, 99) }
}

/// An HTTP/1.1 client of as little work as possible: it shares the cores with what it measures.
struct Connection {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    async fn to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("a connection");
        socket.set_nodelay(true).expect("no delay");
        Self { socket, read: Vec::new() }
    }

    async fn ask(&mut self, request: &str) {
        self.socket.write_all(request.as_bytes()).await.expect("sent");
        self.read.clear();
        loop {
            self.socket.read_buf(&mut self.read).await.expect("answered");
            let Some(end) = self.read.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.read[..end]).expect("a head");
            assert!(head.starts_with("HTTP/1.1 20"), "{}", String::from_utf8_lossy(&self.read));
            let length = head.split("\r\n").find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if self.read.len() >= end + 4 + length.expect("a length") {
                return;
            }
        }
    }
}
