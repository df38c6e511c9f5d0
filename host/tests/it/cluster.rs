//! Two hosts on one database.

use std::collections::{HashMap, HashSet};

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::host::{Host, Roles};
use ecomm::mail::mailbox::{Limits, Refused};
use ecomm::shop::order::{NewOrder, Status, StatusChange};
use ecomm::store::Store;
use ecomm::store::queue::Claimable;
use serde_json::json;

use crate::app::{App, environment, eventually};
use crate::database::{Database, Kind};
use crate::harness::tests;

tests! {
    on_each_database {
        two_hosts_deliver_a_thousand_events
        a_day_of_a_relay_has_an_end
    }
    on_each_server {
        two_hosts_stay_below_the_caps_of_both
    }
    once {
        a_stale_worker_cannot_finish_a_newer_claim
    }
}

/// Three mails of each order.
const ORDERS: usize = 334;

async fn two_hosts_deliver_a_thousand_events(database: Database) {
    if database.kind == Kind::Sqlite {
        // One writer, one host: what two connections would do to a file is not what anybody runs.
        return one_host(database).await;
    }
    let app = App::with(database, &[("MAILBOX__MESSAGES_MAX", "2000")]).await;
    fill(&app).await;
    let relay = app.host.service.mailbox.as_ref().unwrap();
    let mut hosts = Vec::new();
    for _ in 0..2 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::load(None, environment(&app.database, &[("MAILBOX__ENABLED", "false")])).unwrap();
        let port = listener.local_addr().unwrap().port();
        config.mail.relays.push(ecomm::mail::RelaySettings {
            tls: ecomm::mail::Tls::None,
            ..ecomm::mail::RelaySettings::new("sink", "127.0.0.1", port)
        });
        let (serving, stop) = (relay.clone(), tokio_util::sync::CancellationToken::new());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { serving.serve(listener, stop).await });
        let roles = Roles { api: false, grpc: false, worker: true };
        hosts.push(Host::start(config, roles, Clock::system()).await.unwrap());
    }
    eventually("every mail", async || app.queued().await == 0).await;
    for host in hosts {
        host.stop().await;
    }
    check(&app).await;
    // Both worked, and each attempt was of one of them.
    let claims = "select count(*) from notification_attempts where kind = 'send'";
    assert_eq!(app.database.number(claims).await, 3 * i64::try_from(ORDERS).unwrap());
    app.end().await;
}

async fn one_host(database: Database) {
    let app = App::with(database, &[("MAILBOX__MESSAGES_MAX", "2000")]).await;
    fill(&app).await;
    app.drain().await;
    check(&app).await;
    app.end().await;
}

/// Orders with all their changes, enqueued before anybody delivers.
async fn fill(app: &App) {
    let who = |token: &str| app.host.service.authenticate(Some(token)).unwrap();
    let (admin, customer) = (who(&app.admin), who(&app.customer));
    let service = &app.host.service;
    let new = json!({ "sku": "MANY", "name": "Many", "price": { "amount": 5, "currency": "USD" }, "stock": 100_000 });
    let product = app.client.ok("POST", "/v1/products", &app.admin, Some(new)).await["id"].clone();
    for _ in 0..ORDERS {
        let items = json!({ "items": [{ "product_id": product, "quantity": 1 }] });
        let new: NewOrder = serde_json::from_value(items).unwrap();
        let order = service.place_order(customer, new, None).await.unwrap().id;
        for status in [Status::Shipped, Status::Delivered] {
            let change = StatusChange::to(status).into();
            service.change_order(admin, order, change, None, None).await.unwrap();
        }
    }
}

/// None lost, none twice, none overtaken.
async fn check(app: &App) {
    let mails = app.mailbox.messages();
    assert_eq!(mails.len(), 3 * ORDERS);
    let ids: HashSet<&str> = mails.iter().map(|m| m.message_id.as_str()).collect();
    assert_eq!(ids.len(), mails.len());
    let mut seen: HashMap<String, Vec<&str>> = HashMap::new();
    for mail in &mails {
        let order: String = mail.subject.chars().filter(char::is_ascii_digit).collect();
        seen.entry(order).or_default().push(mail.subject.split_whitespace().next_back().unwrap());
    }
    assert_eq!(seen.len(), ORDERS);
    for (order, ends) in seen {
        assert_eq!(ends, ["Shop", "way", "arrived"], "order {order}");
    }
    assert!(app.states().await.iter().all(|s| s == "sent"));
}

async fn a_stale_worker_cannot_finish_a_newer_claim() {
    let app = App::start(crate::app::sqlite().await).await;
    app.order().await;
    let store: &Store = &app.host.service.store;
    let old = store.claim(Claimable::All, [0, 1, 0, 0], 1_000).await.unwrap().remove(0);
    app.clock.advance(1_001);
    let new = store.claim(Claimable::All, [0, 1, 0, 0], 60_000).await.unwrap().remove(0);
    assert_eq!(new.claim.token, old.claim.token + 1);
    assert_eq!(store.renew(&[old.claim, new.claim], 60_000).await.unwrap(), [false, true]);
    app.end().await;
}

/// A relay of the mailbox's, as the settings have it.
fn relay(name: &str, port: u16, more: &str) -> String {
    format!("{{ name = \"{name}\", host = \"127.0.0.1\", port = {port}, tls = \"none\"{more} }}")
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const WORKER: Roles = Roles { api: false, grpc: false, worker: true };

async fn place(app: &App, orders: usize) {
    for _ in 0..orders {
        app.order().await;
    }
}

/// The relay refuses the first mail and the first connection too many: two hosts together have it refuse none.
async fn two_hosts_stay_below_the_caps_of_both(database: Database) {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let app = App::with(database, &[("MAILBOX__LISTEN", &listen)]).await;
    app.mailbox.limit(Limits { mails_per_second_max: 14, connections_max: 5 });
    let relays = format!("[{}]", relay("capped", port, ", mails_per_second_max = 14, connections_max = 5"));
    let settings = [("MAILBOX__ENABLED", "false"), ("MAIL__RELAYS", relays.as_str())];
    place(&app, 24).await;
    let mut hosts = Vec::new();
    for _ in 0..2 {
        let config = Config::load(None, environment(&app.database, &settings)).unwrap();
        hosts.push(Host::start(config, WORKER, Clock::system()).await.unwrap());
        // The second comes while the first is at work and has all there is.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    place(&app, 24).await;
    eventually("every mail", async || app.queued().await == 0).await;
    assert_eq!(app.mailbox.refused(), Refused::default());
    let shares = "select count(*) from relay_shares where per_second > 0 and connections > 0";
    eventually("a share for each", async || app.database.number(shares).await == 2).await;
    // One that ends gives its share back.
    hosts.pop().unwrap().stop().await;
    eventually("all for the other", async || {
        app.database.number("select coalesce(max(connections), 0) from relay_shares").await == 5
    })
    .await;
    hosts.pop().unwrap().stop().await;
    assert_eq!(app.database.number("select count(*) from relay_shares").await, 0);
    app.end().await;
}

/// What a relay takes in a day is counted through restarts; then mail goes by the next one.
async fn a_day_of_a_relay_has_an_end(database: Database) {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let app = App::with(database, &[("MAILBOX__LISTEN", &listen)]).await;
    let relays = format!("[{}, {}]", relay("small", port, ", mails_per_day_max = 12"), relay("large", port, ""));
    let settings = [("MAILBOX__ENABLED", "false"), ("MAIL__RELAYS", relays.as_str())];
    let by_small = "select count(*) from notification_attempts where relay = 'small' and class is not null";
    for (orders, expected) in [(5, 5), (15, 12), (5, 12)] {
        place(&app, orders).await;
        let config = Config::load(None, environment(&app.database, &settings)).unwrap();
        let host = Host::start(config, WORKER, Clock::system()).await.unwrap();
        eventually("every mail", async || app.queued().await == 0).await;
        host.stop().await;
        assert_eq!(app.database.number(by_small).await, expected);
    }
    assert_eq!(app.mailbox.messages().len(), 25);
    assert_eq!(app.database.number("select count(*) from relay_days where mails > 12").await, 0);
    // A day later there is another.
    app.database.execute("update relay_days set began_at = began_at - 87000001").await;
    place(&app, 3).await;
    let config = Config::load(None, environment(&app.database, &settings)).unwrap();
    let host = Host::start(config, WORKER, Clock::system()).await.unwrap();
    eventually("every mail", async || app.queued().await == 0).await;
    host.stop().await;
    assert_eq!(app.database.number(by_small).await, 15);
    app.end().await;
}
