//! A relay that pushes back: it is slowed down, and no mail is charged for it.

use ecomm::mail::mailbox::{Act, Fault, Limits, Phase, Refused};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, eventually, journal, reply, sqlite};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        a_relay_that_throttles_fails_no_mail
        greylisting_is_waited_for
    }
    once {
        a_throttled_mail_is_on_record_and_uncharged
        mail_goes_to_the_next_relay_when_one_is_away
        a_cap_is_counted_as_the_relay_counts
        a_domain_that_hangs_keeps_no_other_waiting
        a_relay_that_hangs_is_passed_by
        a_domain_has_limits_of_its_own
    }
}

const ORDERS: usize = 45;

async fn a_relay_that_throttles_fails_no_mail(database: Database) {
    let app = App::start(database).await;
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        let order = app.order().await;
        app.change(order, "shipped").await;
        orders.push(order);
    }
    app.mailbox.limit(Limits { mails_per_second_max: 20, connections_max: 4 });
    eventually("the end of the queue", async || {
        app.drain().await;
        app.queued().await == 0
    })
    .await;
    assert_eq!(app.states().await, vec!["sent"; 2 * ORDERS]);
    let charged = app.database.number("select count(*) from notification_states where attempts <> 1").await;
    assert_eq!(charged, 0);
    let Refused { mails, connections } = app.mailbox.refused();
    assert!(mails > 0 && connections > 0, "{mails} {connections}: the limits were not met");
    let told = app.database.number("select count(*) from notification_attempts where class = 'throttled'").await;
    assert_eq!(u64::try_from(told).unwrap(), mails);
    let subjects = app.subjects();
    for order in orders {
        let placed = subjects.iter().position(|s| *s == format!("Your order {order} at My Shop"));
        let shipped = subjects.iter().position(|s| *s == format!("Order {order} is on its way"));
        assert!(placed.is_some() && placed < shipped, "{order}: {placed:?} {shipped:?}");
    }
    app.end().await;
}

async fn greylisting_is_waited_for(database: Database) {
    let app = App::start(database).await;
    app.fail(Phase::Rcpt, reply("451 4.7.1 Greylisted, come back in 00:10:00"), 4);
    let order = app.order().await;
    for wait in 1..=4 {
        app.drain().await;
        // Neither the policy's pause nor the jitter shortens what the reply asks for.
        app.clock.advance(599_000);
        app.drain().await;
        assert_eq!(journal(&app.notifications(order).await[0]).len(), wait);
        app.clock.advance(200_000);
    }
    app.drain().await;
    let notification = app.notifications(order).await[0].clone();
    assert_eq!((&notification["state"], &notification["attempts"]), (&Value::from("sent"), &Value::from(1)));
    let greylisted = "send rcpt greylisted 451 retry";
    assert_eq!(journal(&notification), [[greylisted; 4].as_slice(), &["send body delivered 250 -"]].concat());
    app.end().await;
}

/// What a relay says before a mail is offered, or after it about the rate, is on record and charges nothing.
async fn a_throttled_mail_is_on_record_and_uncharged() {
    let app = App::start(sqlite().await).await;
    app.fail(Phase::Greeting, reply("421 4.3.2 too many connections"), 1);
    let order = app.order().await;
    app.drain().await;
    app.clock.advance(60_000);
    for _ in 0..5 {
        app.fail(Phase::Dot, reply("454 4.7.0 Throttling failure"), 1);
        eventually("another refusal", async || {
            app.drain().await;
            app.clock.advance(1_000);
            app.mailbox.faults() == 0
        })
        .await;
        app.clock.advance(120_000);
    }
    eventually("the mail", async || {
        app.drain().await;
        app.clock.advance(1_000);
        app.queued().await == 0
    })
    .await;
    let notification = app.notifications(order).await[0].clone();
    assert_eq!((&notification["state"], &notification["attempts"]), (&Value::from("sent"), &Value::from(1)));
    let lines = journal(&notification);
    assert_eq!(lines[0], "send greeting throttled 421 retry");
    assert_eq!(lines[1..6], ["send body throttled 454 retry"; 5]);
    assert_eq!(lines[6..], ["send body delivered 250 -"]);
    app.end().await;
}

/// The next relay takes the mail at once when the first is away; both are on record.
async fn mail_goes_to_the_next_relay_when_one_is_away() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (dead, live) = (free(), free());
    let relay =
        |name: &str, port| format!("{{ name = \"{name}\", host = \"127.0.0.1\", port = {port}, tls = \"none\" }}");
    let relays = format!("[{}, {}]", relay("first", dead), relay("second", live));
    let listen = format!("127.0.0.1:{live}");
    let app = App::with(sqlite().await, &[("MAIL__RELAYS", &relays), ("MAILBOX__LISTEN", &listen)]).await;
    let order = app.order().await;
    app.drain().await;
    let notification = app.notifications(order).await[0].clone();
    assert_eq!(notification["state"], "sent");
    assert_eq!(journal(&notification), ["send connect not-handed-over - retry", "send body delivered 250 -"]);
    let relays: Vec<_> = notification["journal"].as_array().unwrap().iter().map(|e| e["relay"].clone()).collect();
    assert_eq!(relays, ["first", "second"]);
    // While the first is away, nothing is tried there.
    let order = app.order().await;
    app.drain().await;
    assert_eq!(journal(&app.notifications(order).await[0]), ["send body delivered 250 -"]);
    app.end().await;
}

/// A cap that equals the provider's limit is never answered with throttling.
async fn a_cap_is_counted_as_the_relay_counts() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relays = format!(
        "[{{ name = \"capped\", host = \"127.0.0.1\", port = {port}, tls = \"none\", mails_per_second_max = 20 }}]"
    );
    let listen = format!("127.0.0.1:{port}");
    let app = App::with(sqlite().await, &[("MAIL__RELAYS", &relays), ("MAILBOX__LISTEN", &listen)]).await;
    app.mailbox.limit(Limits { mails_per_second_max: 20, ..Limits::default() });
    for _ in 0..50 {
        app.order().await;
    }
    eventually("the end of the queue", async || {
        app.drain().await;
        app.queued().await == 0
    })
    .await;
    assert_eq!(app.mailbox.refused(), Refused::default());
    assert_eq!(app.mailbox.messages().len(), 50);
    app.end().await;
}

/// Another customer; their token.
async fn customer(app: &App, email: &str) -> String {
    let new = json!({ "email": email, "name": "Other", "password": PASSWORD });
    app.client.ok("POST", "/v1/users", "", Some(new)).await;
    app.client.log_in(email).await
}

async fn order_as(app: &App, token: &str) {
    let new = json!({ "items": [{ "product_id": app.product, "quantity": 1 }] });
    app.client.ok("POST", "/v1/orders", token, Some(new)).await;
}

/// More mails than the worker has places go to a domain that takes none to an end, before those of others.
async fn a_domain_that_hangs_keeps_no_other_waiting() {
    let app = App::with(sqlite().await, &[("QUEUE__IN_FLIGHT_MAX", "16"), ("QUEUE__CLAIM_MAX", "16")]).await;
    let slow = customer(&app, "eve@tarpit.example").await;
    let to = Some("eve@tarpit.example".to_owned());
    app.mailbox.inject(Fault { phase: Phase::Rcpt, act: Act::Hang, times: 1_000, to });
    for _ in 0..40 {
        order_as(&app, &slow).await;
    }
    for _ in 0..10 {
        app.order().await;
    }
    let mails = async || app.mailbox.messages().len();
    tokio::select! {
        () = app.host.queue.run(tokio_util::sync::CancellationToken::new()) => {}
        () = eventually("the others' mails", async || mails().await == 10) => {}
    }
    // Nothing of it is charged, and one mail at a time goes on trying.
    let charged =
        app.database.number("select count(*) from notification_states where attempts > 0 and state <> 'sent'");
    assert_eq!(charged.await, 0);
    app.end().await;
}

/// Mail goes to the next relay when the first has taken up what it is given and ends nothing.
async fn a_relay_that_hangs_is_passed_by() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let live = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay = |name: &str, port| {
        format!("{{ name = \"{name}\", host = \"127.0.0.1\", port = {port}, tls = \"none\", connections_max = 2 }}")
    };
    let relays = format!("[{}, {}]", relay("silent", silent.local_addr().unwrap().port()), relay("live", live));
    let listen = format!("127.0.0.1:{live}");
    let settings = [("MAIL__RELAYS", relays.as_str()), ("MAILBOX__LISTEN", &listen), ("QUEUE__IN_FLIGHT_MAX", "16")];
    let app = App::with(sqlite().await, &settings).await;
    for _ in 0..30 {
        app.order().await;
    }
    tokio::select! {
        () = app.host.queue.run(tokio_util::sync::CancellationToken::new()) => {}
        // It takes connections and says nothing.
        () = async {
            let mut held = Vec::new();
            loop {
                held.push(silent.accept().await.unwrap());
            }
        } => {}
        () = eventually("what the first does not hold", async || {
            app.mailbox.messages().len() >= 28
        }) => {}
    }
    // What waited in vain for a connection was not offered: its intent is not left open.
    let open = "select count(*) from notification_attempts a join notification_events_queue q on q.state_id = a.state_id \
                where a.ended_at is null and q.phase = 0";
    assert_eq!(app.database.number(open).await, 0);
    app.end().await;
}

/// Configured for a domain, whatever the relay takes: others are not slowed down with it.
async fn a_domain_has_limits_of_its_own() {
    let domains = "[{ name = \"Bücher.example\", mails_per_second_max = 5 }]";
    let app = App::with(sqlite().await, &[("MAIL__DOMAINS", domains)]).await;
    let slow = customer(&app, "eve@bücher.example").await;
    for _ in 0..20 {
        order_as(&app, &slow).await;
    }
    for _ in 0..20 {
        app.order().await;
    }
    let begun = app.clock.monotonic_ms();
    eventually("the end of the queue", async || {
        app.drain().await;
        app.queued().await == 0
    })
    .await;
    assert!(app.clock.monotonic_ms() - begun >= 3_000, "20 mails at 5 a second take three seconds");
    let to: Vec<bool> = app.mailbox.messages().iter().map(|m| crate::app::text(m).contains("eve@xn--")).collect();
    let last_of_others = to.iter().rposition(|is_slow| !is_slow).unwrap();
    let before = to[..last_of_others].iter().filter(|is_slow| **is_slow).count();
    assert!(before <= 8, "others waited for {before} mails of the domain");
    app.end().await;
}
