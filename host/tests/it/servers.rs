//! Databases as people run them: behind poolers, under TLS, late, full, and with two clients that meet.

use std::time::Duration;

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::host::{Host, Roles};
use ecomm::store::queue::Claimable;
use futures_util::FutureExt;
use serde_json::json;
use sqlx::{Connection, Executor};

use crate::app::{App, PATIENCE, environment, eventually, sqlite};
use crate::database::{Database, Kind};
use crate::harness::tests;
use crate::store::{claim, finish, sent};

tests! {
    on_each_database {
        what_is_enqueued_while_the_event_before_it_ends_is_due_at_once
    }
    on_each_server {
        tls_is_verified_against_a_private_authority
    }
    behind_each_pooler {
        many_hosts_start_and_deliver_behind_a_pooler
    }
    once {
        a_full_database_is_said_and_recovers
        a_host_waits_for_its_database
    }
}

/// The interleaving is forced: the change has added its event and waits for its idempotency key, which somebody else is
/// about to take, when the event before it ends.
async fn what_is_enqueued_while_the_event_before_it_ends_is_due_at_once(database: Database) {
    let app = App::start(database).await;
    let (first, second) = (app.order().await, app.order().await);
    let held = claim(&app, 10).await;
    let ship = async |order: i64, key: &str| {
        let path = format!("/v1/orders/{order}/status");
        let body = Some(json!({ "status": "shipped" }));
        app.client.with(("PATCH", &path), &app.admin, &[("idempotency-key", key)], body).await.0
    };
    assert_eq!(ship(first, "first").await, 200);
    let take = "insert into idempotency_keys (scope, name, fingerprint, answer, created_at) \
                select scope, 'second', fingerprint, answer, created_at from idempotency_keys where name = 'first'";
    let shipped = ship(second, "second");
    let ended = async {
        // Long enough for the change to stand where it waits.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let ends: Vec<_> = held.iter().map(|claimed| finish(claimed, sent())).collect();
        app.host.service.store.finish(&ends).await.unwrap()
    };
    let pause = Duration::from_millis(600);
    let url = &app.database.direct;
    let status = if app.database.kind == Kind::Sqlite {
        // One writer: nobody can stand between the two.
        tokio::join!(shipped, ended).0
    } else if app.database.kind.speaks_postgres() {
        let mut other = sqlx::PgConnection::connect(url).await.unwrap();
        let mut tx = other.begin().await.unwrap();
        tx.execute(take).await.unwrap();
        let (status, _, ()) = tokio::join!(shipped, ended, tokio::time::sleep(pause).then(|()| drop_it(tx.rollback())));
        status
    } else {
        let mut other = sqlx::MySqlConnection::connect(url).await.unwrap();
        let mut tx = other.begin().await.unwrap();
        tx.execute(take).await.unwrap();
        let (status, _, ()) = tokio::join!(shipped, ended, tokio::time::sleep(pause).then(|()| drop_it(tx.rollback())));
        status
    };
    assert_eq!(status, 200);
    let next = app.host.service.store.claim(Claimable::All, [0, 10, 0, 0], 60_000).await.unwrap();
    let mut next: Vec<_> = next.iter().map(|c| (c.lane, c.place)).collect();
    next.sort_unstable();
    assert_eq!(next, [(first, 2), (second, 2)]);
    app.end().await;
}

async fn drop_it(rollback: impl Future<Output = sqlx::Result<()>>) {
    rollback.await.unwrap();
}

fn config(database: &Database, more: &[(&str, &str)]) -> Config {
    Config::load(None, environment(database, more)).unwrap()
}

/// Hosts that migrate the same empty database at the same time, through a pooler, and then share its queue.
async fn many_hosts_start_and_deliver_behind_a_pooler(database: Database) {
    let roles = Roles { api: false, grpc: false, worker: true };
    let start = || Host::start(config(&database, &[]), roles, Clock::system());
    let (a, b, c) = tokio::join!(start(), start(), start());
    let hosts = [a.unwrap(), b.unwrap(), c.unwrap()];
    let app = App::start(database).await;
    for _ in 0..20 {
        let order = app.order().await;
        app.change(order, "shipped").await;
    }
    eventually("every mail", async || app.queued().await == 0).await;
    assert!(app.states().await.iter().all(|s| s == "sent"));
    for host in hosts {
        host.stop().await;
    }
    app.end().await;
}

async fn tls_is_verified_against_a_private_authority(database: Database) {
    let (plain, verified) = match database.kind {
        Kind::Postgres => ("sslmode=disable", "sslmode=verify-full"),
        _ => ("ssl-mode=DISABLED", "ssl-mode=VERIFY_IDENTITY"),
    };
    assert!(database.url.contains(plain), "the server's URL must say {plain} and name its authority: {}", database.url);
    let trusting = Database { url: database.url.replace(plain, verified), ..database };
    let roles = Roles { worker: false, ..Roles::ALL };
    let host = Host::start(config(&trusting, &[]), roles, Clock::system()).await.unwrap();
    let session = match trusting.kind {
        Kind::Postgres => {
            let sql = "select count(*) from pg_stat_ssl s join pg_stat_activity a on a.pid = s.pid \
                       where s.ssl and a.datname = current_database()";
            trusting.number(sql).await
        }
        _ => i64::from(
            !trusting
                .texts(
                    "select variable_value from information_schema.global_status \
                       where variable_name = 'Ssl_accepts' and variable_value > 0",
                )
                .await
                .is_empty(),
        ),
    };
    assert!(session > 0, "nobody speaks TLS");
    host.stop().await;
    // Another authority does not vouch for it.
    let other = trusting.folder.path().join("other.pem");
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&other, made.cert.pem()).unwrap();
    let (before, _) = trusting.url.rsplit_once('=').unwrap();
    let wrong = Database { url: format!("{before}={}", other.display()), ..trusting };
    let refused = Host::start(config(&wrong, &[]), roles, Clock::system()).await.err().unwrap();
    assert!(ecomm::cause::chain(&refused).to_lowercase().contains("certificate"), "{refused}");
}

async fn a_full_database_is_said_and_recovers() {
    let app = App::with(sqlite().await, &[("DATABASE__BYTES_MAX", "4000000")]).await;
    let ready = async || app.client.call("GET", "/readyz", "", None).await;
    assert_eq!(ready().await.0.as_u16(), 200);
    let attributes: serde_json::Map<_, _> = (0..20).map(|n| (format!("k{n}"), json!("x".repeat(200)))).collect();
    // Components take most of it; what is left is filled up to the last orders.
    app.database.execute("create table ballast (x blob)").await;
    let fill = "insert into ballast select zeroblob(max(0, 3800000 - page_count * page_size)) \
                from pragma_page_count, pragma_page_size";
    app.database.execute(fill).await;
    let mut placed = 0;
    let refused = loop {
        let new = json!({ "items": [{ "product_id": app.product, "quantity": 1 }], "attributes": attributes });
        let (status, headers, answer) = app.client.with(("POST", "/v1/orders"), &app.customer, &[], Some(new)).await;
        if status != 201 {
            assert_eq!(headers["retry-after"], "30");
            break (status, answer);
        }
        placed += 1;
        assert!(placed < 99, "the limit does not hold");
    };
    assert_eq!((refused.0, &refused.1["type"]), (503, &json!("urn:ecomm:problem:storage-full")));
    app.clock.advance(2_000);
    let (status, problem) = ready().await;
    assert_eq!((status.as_u16(), &problem["detail"]), (503, &json!("the database is full")));
    // What was taken is there, whole, and what was not left nothing behind.
    let orders = app.database.number("select count(*) from orders").await;
    assert_eq!((orders, app.queued().await), (placed, placed));
    assert_eq!(app.database.number("select stock from products").await, 100 - placed);
    // Reads go on. Room is made: no restart, no order to do so.
    app.client.ok("GET", "/v1/orders", &app.customer, None).await;
    app.database.execute("drop table ballast").await;
    app.clock.advance(2_000);
    assert_eq!(ready().await.0.as_u16(), 200);
    app.order().await;
    app.drain().await;
    assert_eq!(app.subjects().len(), usize::try_from(placed).unwrap() + 1);
    app.end().await;
}

/// Containers start in any order: what listens on the port comes later.
async fn a_host_waits_for_its_database() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let database = Database { url: format!("postgres://nobody@127.0.0.1:{port}/x?sslmode=disable"), ..sqlite().await };
    let roles = Roles { worker: false, ..Roles::ALL };
    let patient = config(&database, &[("DATABASE__WAIT_MS", "60000")]);
    let starting = Host::start(patient, roles, Clock::system());
    let server = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        // It takes the connection: that is enough to know that somebody came back.
        listener.accept().await.unwrap();
    };
    tokio::select! {
        ended = starting => panic!("it did not wait: {:?}", ended.err()),
        came = tokio::time::timeout(PATIENCE, server) => came.unwrap(),
    }
}
