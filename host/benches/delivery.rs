//! From the queue to the relay's 250, beside a bare loop of the same SMTP session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ecomm::clock::Clock;
use ecomm::host::Host;
use ecomm::lease::Lease;
use ecomm::mail::Mailer;
use ecomm::service::Principal;
use ecomm::shop::order::NewOrder;

use crate::rig;

const BARE: usize = 40_000;
const EVENTS: usize = 20_000;
const IDLE: usize = 300;

pub(crate) async fn measure() {
    for database in rig::databases() {
        let url = database.fresh().await;
        let host = rig::host(&url, false).await;
        let (who, product) = rig::shop(&host.service).await;
        rig::fill(&host.service, who, product, EVENTS).await;
        let bare = bare(host.service.mailbox.as_ref().expect("a mailbox"), &host.mailer()).await;
        let begun = Instant::now();
        host.queue.run_until_idle().await;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = EVENTS as f64 / begun.elapsed().as_secs_f64();
        println!(
            "\ndelivery, {}: claim, policy, render, SMTP, fenced completion; sink and database included",
            database.name
        );
        println!("  end to end        {rate:>8.0} mails/s   {:.2} of the bare loop", rate / bare);
        println!("  bare SMTP loop    {bare:>8.0} mails/s   16 connections");
        host.stop().await;

        let few = with_16_connections(&database).await;
        println!("  with 16 connections {few:>6.0} mails/s");

        let host = rig::host(&database.fresh().await, true).await;
        let (who, product) = rig::shop(&host.service).await;
        let mut times = idle(&host, who, product, IDLE).await;
        println!(
            "  idle host, commit to mailbox   p50 {:.2} ms   p99 {:.2} ms",
            rig::percentile(&mut times, 50),
            rig::percentile(&mut times, 99)
        );
        host.stop().await;
        if database.name != "SQLite" {
            for listen in [true, false] {
                let mut times = Box::pin(by_another_host(&database, listen)).await;
                println!(
                    "  order on one host, worker on another, {}   p50 {:.2} ms   p99 {:.2} ms",
                    if listen { "database.listen" } else { "polled        " },
                    rig::percentile(&mut times, 50),
                    rig::percentile(&mut times, 99)
                );
            }
        }
    }
}

/// What traces cost: orders placed and delivered with none, with what a host that exports them samples, and where the
/// telemetry is off altogether. The collector takes everything and keeps nothing.
pub(crate) async fn tracing() {
    const ROUNDS: usize = 2;
    const ORDERS: usize = 8_000;
    let collector = crate::collector::start().await;
    for database in rig::databases() {
        let endpoint = ("TELEMETRY__OTLP_ENDPOINT", collector.as_str());
        let none: &[(&str, &str)] = &[("TELEMETRY__OTLP_ENDPOINT", ""), ("TELEMETRY__LISTEN", "")];
        let kinds: [(&str, &[(&str, &str)]); 3] = [
            ("no telemetry", none),
            ("none sampled", &[endpoint, ("TELEMETRY__TRACES_SAMPLED", "0")]),
            ("1 in 100", &[endpoint, ("TELEMETRY__TRACES_SAMPLED", "0.01")]),
        ];
        let mut rates = [const { Vec::new() }; 3];
        // In turn, so that a pause of the machine is nobody's own, and each as often at each place of a round.
        for round in 0..ROUNDS * kinds.len() {
            for at in 0..kinds.len() {
                let kind = (round + at) % kinds.len();
                let ((_, settings), rates) = (kinds[kind], &mut rates[kind]);
                let host = rig::host_with(&database.fresh().await, false, settings).await;
                let (_, product) = rig::shop(&host.service).await;
                let token = rig::token(host.http.expect("served")).await;
                let begun = Instant::now();
                by_requests(&host, &token, product, ORDERS).await;
                host.queue.run_until_idle().await;
                #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
                rates.push(ORDERS as f64 / begun.elapsed().as_secs_f64());
                host.stop().await;
            }
        }
        let medians = rates.map(rig::median);
        let rounds = ROUNDS * kinds.len();
        println!("\ntraces, {}: {ORDERS} orders placed and delivered, medians of {rounds}", database.name);
        for ((name, _), rate) in kinds.iter().zip(medians) {
            println!("  {name:<14} {rate:>8.0} /s   {:.3} of no telemetry", rate / medians[0]);
        }
    }
}

/// Places so many orders over REST, where traces begin.
async fn by_requests(host: &Host, token: &str, product: i64, orders: usize) {
    let url = format!("http://{}/v1/orders", host.http.expect("served"));
    let client = reqwest::Client::new();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (client, url, token) = (client.clone(), url.clone(), token.to_owned());
        tasks.spawn(async move {
            let order = serde_json::json!({ "items": [{ "product_id": product, "quantity": 1 }] });
            for _ in 0..orders / 32 {
                let answer = client.post(&url).bearer_auth(&token).json(&order).send().await.expect("an answer");
                assert_eq!(answer.status().as_u16(), 201);
            }
        });
    }
    tasks.join_all().await;
}

/// From an order's commit to the mailbox, one after the other; in milliseconds.
async fn idle(host: &Host, who: Principal, product: i64, orders: usize) -> Vec<f64> {
    let mut arrived = host.service.mailbox.as_ref().expect("a mailbox").count();
    let mut times = Vec::new();
    for _ in 0..orders {
        let new = serde_json::json!({ "items": [{ "product_id": product, "quantity": 1 }] });
        let new: NewOrder = serde_json::from_value(new).expect("an order");
        arrived.mark_unchanged();
        host.service.place_order(who, new, None).await.expect("placed");
        let begun = Instant::now();
        arrived.changed().await.expect("the mailbox lives");
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
        // Idle again: the end is recorded.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    times
}

/// The same where the worker runs in another host: it learns of the order from the database, or polls.
async fn by_another_host(database: &rig::Database, listen: bool) -> Vec<f64> {
    let url = database.fresh().await;
    let port = rig::free_port();
    let relay = rig::relay(port, 16);
    let listen = ("DATABASE__LISTEN", if listen { "true" } else { "false" });
    let address = format!("127.0.0.1:{port}");
    let first = rig::host_with(&url, false, &[("MAILBOX__LISTEN", &address), listen]).await;
    let second = rig::host_with(&url, true, &[("MAIL__RELAYS", &relay), listen]).await;
    let (who, product) = rig::shop(&first.service).await;
    let times = idle(&first, who, product, IDLE / 5).await;
    second.stop().await;
    first.stop().await;
    times
}

/// The same by a relay that takes 16 connections, as is the default.
async fn with_16_connections(database: &rig::Database) -> f64 {
    let port = rig::free_port();
    let relay = rig::relay(port, 16);
    let more = [("MAILBOX__LISTEN", format!("127.0.0.1:{port}")), ("MAIL__RELAYS", relay)];
    let more = more.each_ref().map(|(key, value)| (*key, value.as_str()));
    let host = rig::host_with(&database.fresh().await, false, &more).await;
    let (who, product) = rig::shop(&host.service).await;
    rig::fill(&host.service, who, product, EVENTS).await;
    let begun = Instant::now();
    host.queue.run_until_idle().await;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = EVENTS as f64 / begun.elapsed().as_secs_f64();
    host.stop().await;
    rate
}

/// The same session and pool, one prepared message, nothing else.
async fn bare(mailbox: &ecomm::mail::mailbox::Mailbox, mailer: &Mailer) -> f64 {
    let email = ecomm::plugin::Email {
        subject: "Hello".to_owned(),
        text: "x".repeat(1_000),
        html: Some("y".repeat(3_000)),
        ..Default::default()
    };
    let message = Arc::new(mailer.build(&rig::notification(), &email, 1, 0).expect("a message"));
    let before = *mailbox.count().borrow();
    let clock = Clock::system();
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (mailer, message) = (mailer.clone(), message.clone());
        let lease = Lease::until(&clock, 600_000);
        tasks.spawn(async move {
            for _ in 0..BARE / 16 {
                let relay = mailer.choose(None, &rig::notification().payload.customer.email).to_owned();
                let outcome = mailer.send(&relay, &message, &lease, async { Ok(()) }).await;
                assert_eq!(outcome.expect("tried").result, Ok(()));
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(*mailbox.count().borrow() - before, BARE as u64);
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = BARE as f64 / begun.elapsed().as_secs_f64();
    rate
}
