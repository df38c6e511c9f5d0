//! What the API is compared with: handlers that do the statements of a read and of an order and nothing else.

use std::net::SocketAddr;
use std::str::FromStr;

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, SqliteConnection};

const CONNECTIONS: u32 = 16;
const GET: &str = "select id, sku, name, price, stock from bare_products where id = $1";
const ORDER: &str = "insert into bare_orders (total, placed_at) values ($1, $2) returning id";
const LINE: &str = "insert into bare_lines (order_id, line, product_id, quantity) values ($1, $2, $3, $4)";

#[derive(sqlx_macros::FromRow, Serialize)]
struct Product {
    id: i64,
    sku: String,
    name: String,
    price: i64,
    stock: i64,
}

#[derive(Deserialize)]
struct Order {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    product_id: i64,
    quantity: i64,
}

/// The statements in a database's own writing.
fn sql(text: &str, is_mysql: bool) -> AssertSqlSafe<String> {
    let text = (1..10).rev().fold(text.to_owned(), |t, n| if is_mysql { t.replace(&format!("${n}"), "?") } else { t });
    AssertSqlSafe(text)
}

/// Serves both handlers from a pool of one kind.
macro_rules! serve {
    ($pool:expr, $Pool:ty, $is_mysql:expr, $key:expr, $begin:expr) => {{
        let pool: $Pool = $pool.expect("a pool");
        for table in [
            format!("bare_products (id {}, sku text, name text, price bigint not null, stock bigint not null)", $key),
            format!("bare_orders (id {}, total bigint not null, placed_at bigint not null)", $key),
            "bare_lines (order_id bigint not null, line bigint not null, product_id bigint not null, \
             quantity bigint not null, primary key (order_id, line))"
                .to_owned(),
        ] {
            sqlx::query(AssertSqlSafe(format!("create table {table}"))).execute(&pool).await.expect("a table");
        }
        for n in 1..=1_000 {
            let insert = format!(
                "insert into bare_products (sku, name, price, stock) values ('SKU{n}', 'Of clay', 1999, 1000000000)"
            );
            sqlx::query(AssertSqlSafe(insert)).execute(&pool).await.expect("a product");
        }
        let read = async |State(pool): State<$Pool>, Path(id): Path<i64>| {
            let product: Product =
                sqlx::query_as(sql(GET, $is_mysql)).bind(id).fetch_one(&pool).await.expect("a product");
            Json(product)
        };
        let order = async |State(pool): State<$Pool>, Json(order): Json<Order>| {
            let mut tx = pool.begin_with($begin).await.expect("a transaction");
            let id: i64 = sqlx::query_scalar(sql(ORDER, $is_mysql))
                .bind(1_999_i64)
                .bind(0_i64)
                .fetch_one(&mut *tx)
                .await
                .expect("an order");
            for (line, item) in (0_i64..).zip(&order.items) {
                let insert = sqlx::query(sql(LINE, $is_mysql)).bind(id).bind(line).bind(item.product_id);
                insert.bind(item.quantity).execute(&mut *tx).await.expect("a line");
            }
            tx.commit().await.expect("committed");
            Json(id)
        };
        axum::Router::new().route("/products/{id}", get(read)).route("/orders", post(order)).with_state(pool)
    }};
}

/// Handlers on a new database, with a thousand products.
pub(crate) async fn start(url: &str) -> SocketAddr {
    let router = if url.starts_with("sqlite") {
        let options = SqlitePoolOptions::new().max_connections(CONNECTIONS);
        let pool = options.connect_with(sqlite(url)).await;
        serve!(pool, SqlitePool, false, "integer primary key autoincrement", "begin immediate")
    } else if url.starts_with("postgres") {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await;
        serve!(pool, PgPool, false, "bigint primary key generated always as identity", "begin")
    } else {
        let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS).connect(url).await;
        serve!(pool, MySqlPool, true, "bigint primary key auto_increment", "begin")
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let listener = axum::serve::ListenerExt::tap_io(listener, |socket| {
        socket.set_nodelay(true).expect("no delay");
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn sqlite(url: &str) -> SqliteConnectOptions {
    SqliteConnectOptions::from_str(url)
        .expect("a URL")
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
}

/// Writes so many orders of one line behind the host's back.
pub(crate) async fn fill_orders(url: &str, user_id: i64, orders: i64) {
    let numbers = if url.starts_with("sqlite") {
        format!(
            "(with recursive s(n) as (select 1 union all select n + 1 from s where n < {orders}) select n from s) s"
        )
    } else if url.starts_with("postgres") {
        format!("(select generate_series(1, {orders}) as n) s")
    } else {
        format!("(select seq as n from seq_1_to_{orders}) s")
    };
    let statements = [
        format!(
            "insert into orders (id, user_id, version, status, currency, subtotal, discount, tax, shipping, total, \
             payment_method, tracking, attributes, placed_at, updated_at) select n, {user_id}, 1, 'pending', 'USD', \
             1999, 0, 0, 0, 1999, '', '[]', '{{}}', n, n from {numbers}"
        ),
        format!(
            "insert into order_items (order_id, line, product_id, sku, name, quantity, unit_price, total, attributes) \
             select n, 0, 1, 'CUP', 'A cup', 1, 1999, 1999, '{{}}' from {numbers}"
        ),
    ];
    for statement in statements {
        let statement = AssertSqlSafe(statement);
        if url.starts_with("sqlite") {
            let path = sqlite(url);
            let mut connection = SqliteConnection::connect_with(&path).await.expect("a connection");
            sqlx::query(statement).execute(&mut connection).await.expect("filled");
        } else if url.starts_with("postgres") {
            let mut connection = PgConnection::connect(url).await.expect("a connection");
            let identity = statement.0.replacen(") select", ") overriding system value select", 1);
            sqlx::query(AssertSqlSafe(identity)).execute(&mut connection).await.expect("filled");
        } else {
            let mut connection = MySqlConnection::connect(url).await.expect("a connection");
            sqlx::query(statement).execute(&mut connection).await.expect("filled");
        }
    }
}

/// Copies the decisions that are there behind the host's back, until there are so many. `SQLite` only.
pub(crate) async fn multiply_decisions(url: &str, decisions: u64) {
    let mut connection = SqliteConnection::connect_with(&sqlite(url)).await.expect("a connection");
    let copy = format!(
        "insert into notification_attempts (state_id, epoch, kind, phase, class, relay, policy_digest, policy_revision, \
         situation, seed, repeats, started_at, ended_at) select a.state_id, a.epoch, a.kind, a.phase, a.class, a.relay, \
         a.policy_digest, a.policy_revision, a.situation, a.seed, 1, a.started_at, a.ended_at from \
         (select * from notification_attempts where situation is not null) a, \
         (with recursive s(n) as (select 1 union all select n + 1 from s where n < 100) select n from s) \
         limit max(0, {decisions} - (select count(*) from notification_attempts where situation is not null))"
    );
    sqlx::query(AssertSqlSafe(copy)).execute(&mut connection).await.expect("copied");
}
