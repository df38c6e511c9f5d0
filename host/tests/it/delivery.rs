//! From an order to a mail and what can come between.

use ecomm::mail::mailbox::{Act, Fault, Phase};
use ecomm::store::queue::{Claimable, UNSUSPECTED_CLAIMS_MAX};
use serde_json::json;

use crate::app::{App, eventually, journal, reply, sqlite, text};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        whole_path
        success_dequeues_and_marks_sent
        failure_below_the_maximum_stays_queued
        failure_at_the_maximum_marks_failed
        a_retry_keeps_its_lane_waiting
        a_rejection_frees_its_lane
        a_lost_answer_is_in_doubt_and_sent_again
        cancelling_returns_the_stock
        what_may_end_its_host_is_tried_alone
        what_the_database_does_not_tell_is_waited_for
    }
    once {
        a_long_reply_is_recorded_cut
        a_relay_that_is_away_burns_no_attempts
        an_event_that_never_ends_is_held
        age_counts_from_the_first_failure
        an_intent_that_cannot_be_recorded_charges_nothing
    }
}

async fn whole_path(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    app.change(order, "shipped").await;
    app.drain().await;
    app.change(order, "delivered").await;
    app.drain().await;
    assert_eq!(
        app.subjects(),
        [
            format!("Your order {order} at My Shop"),
            format!("Order {order} is on its way"),
            format!("Order {order} has arrived")
        ]
    );
    let mails = app.mailbox.messages();
    assert_eq!(mails[0].to, "ada@example.com");
    let mail = text(&mails[0]);
    for header in [
        "From: \"My Shop\" <orders@shop.example>\r\n",
        "To: \"Ada Lovelace\" <ada@example.com>\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "MIME-Version: 1.0\r\n",
        "multipart/alternative",
        "$39.98",
    ] {
        assert!(mail.contains(header), "{header} is missing in\n{mail}");
    }
    let notifications = app.notifications(order).await;
    for (i, notification) in notifications.as_array().unwrap().iter().enumerate() {
        assert_eq!(notification["state"], "sent");
        assert_eq!(notification["order_version"], i + 1);
        assert_eq!(journal(notification), ["send body delivered 250 -"]);
        let entry = &notification["journal"][0];
        assert_eq!(entry["renderer_digest"].as_str().unwrap().len(), 64);
        assert_eq!(entry["policy_digest"].as_str().unwrap().len(), 64);
        assert_eq!(entry["message_hash"].as_str().unwrap().len(), 64);
        assert_eq!(notification["message_id"], mails[i].message_id.as_str());
    }
    assert_eq!(app.queued().await, 0);
    app.end().await;
}

async fn success_dequeues_and_marks_sent(database: Database) {
    let app = App::start(database).await;
    app.order().await;
    assert_eq!((app.queued().await, app.states().await), (1, vec!["not sent".to_owned()]));
    app.drain().await;
    assert_eq!((app.queued().await, app.states().await), (0, vec!["sent".to_owned()]));
    app.end().await;
}

async fn failure_below_the_maximum_stays_queued(database: Database) {
    let app = App::start(database).await;
    app.fail(Phase::Rcpt, reply("451 4.3.0 local error"), 1);
    let order = app.order().await;
    app.drain().await;
    assert_eq!((app.queued().await, app.states().await), (1, vec!["not sent".to_owned()]));
    assert_eq!(app.database.number("select attempts from notification_events_queue").await, 1);
    app.clock.advance(60_000);
    app.drain().await;
    assert_eq!((app.queued().await, app.states().await), (0, vec!["sent".to_owned()]));
    let notification = &app.notifications(order).await[0];
    assert_eq!(journal(notification), ["send rcpt deferred 451 retry", "send body delivered 250 -"]);
    assert_eq!(notification["attempts"], 2);
    assert_eq!(notification["journal"][0]["enhanced"], "4.3.0");
    app.end().await;
}

async fn failure_at_the_maximum_marks_failed(database: Database) {
    let app = App::start(database).await;
    app.fail(Phase::Rcpt, reply("451 4.3.0 local error"), 3);
    let order = app.order().await;
    for _ in 0..3 {
        app.drain().await;
        app.clock.advance(3_600_000);
    }
    app.drain().await;
    assert_eq!((app.queued().await, app.states().await), (0, vec!["failed".to_owned()]));
    let notification = &app.notifications(order).await[0];
    assert_eq!(notification["attempts"], 3);
    assert_eq!(
        journal(notification),
        ["send rcpt deferred 451 retry", "send rcpt deferred 451 retry", "send rcpt deferred 451 give-up"]
    );
    assert!(app.mailbox.messages().is_empty());
    app.end().await;
}

async fn a_retry_keeps_its_lane_waiting(database: Database) {
    let app = App::start(database).await;
    app.fail(Phase::Mail, reply("421 4.3.2 going down"), 1);
    let order = app.order().await;
    let other = app.order().await;
    app.change(order, "shipped").await;
    // Whichever order meets the fault, its own mails keep their order and the other's do not wait.
    for _ in 0..4 {
        app.drain().await;
        app.clock.advance(70_000);
    }
    let of = |order: i64| {
        let subjects = app.subjects().into_iter().filter(|s| s.contains(&format!("rder {order} ")));
        subjects.collect::<Vec<_>>()
    };
    assert_eq!(of(order), [format!("Your order {order} at My Shop"), format!("Order {order} is on its way")]);
    assert_eq!(of(other), [format!("Your order {other} at My Shop")]);
    app.end().await;
}

async fn a_rejection_frees_its_lane(database: Database) {
    let app = App::start(database).await;
    app.fail(Phase::Rcpt, reply("550 5.7.1 not wanted"), 1);
    let order = app.order().await;
    app.change(order, "shipped").await;
    app.drain().await;
    assert_eq!(app.states().await, ["failed", "sent"]);
    assert_eq!(app.subjects(), [format!("Order {order} is on its way")]);
    let notifications = app.notifications(order).await;
    assert_eq!(journal(&notifications[0]), ["send rcpt rejected 550 give-up"]);
    app.end().await;
}

async fn a_lost_answer_is_in_doubt_and_sent_again(database: Database) {
    let app = App::start(database).await;
    app.fail(Phase::Dot, Act::Drop, 1);
    let order = app.order().await;
    // It waits for two days before it is first handed over: that is its date, for every attempt.
    app.clock.advance(172_800_000);
    let handed_over = app.clock.now_ms();
    app.drain().await;
    assert_eq!(app.states().await, ["not sent"]);
    app.clock.advance(60_000);
    app.drain().await;
    assert_eq!(app.states().await, ["sent"]);
    let dates: Vec<_> = app.mailbox.messages().iter().map(date).collect();
    assert_eq!(dates[0], dates[1]);
    assert!((dates[0] - handed_over).abs() < 30_000, "{dates:?} {handed_over}");
    let id = &app.notifications(order).await[0]["id"];
    let again = app.client.ok("GET", &format!("/v1/notifications/{id}/reproduction"), &app.admin, None).await;
    assert_eq!(again["is_same"], json!(true));
    let ids: Vec<String> = app.mailbox.messages().into_iter().map(|m| m.message_id).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    let notification = &app.notifications(order).await[0];
    assert_eq!(journal(notification), ["send body in-doubt - retry", "send body delivered 250 -"]);
    app.end().await;
}

/// Of a mail's header, unix milliseconds.
fn date(mail: &ecomm::mail::mailbox::Received) -> i64 {
    let text = crate::app::text(mail);
    let date = text.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap();
    jiff::fmt::rfc2822::parse(date).unwrap().timestamp().as_millisecond()
}

async fn cancelling_returns_the_stock(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let stock =
        async || app.client.ok("GET", &format!("/v1/products/{}", app.product), "", None).await["stock"].clone();
    assert_eq!(stock().await, 98);
    app.change(order, "cancelled").await;
    assert_eq!(stock().await, 100);
    let (status, problem) = app
        .client
        .call("PATCH", &format!("/v1/orders/{order}/status"), &app.admin, Some(json!({ "status": "shipped" })))
        .await;
    assert_eq!((status.as_u16(), problem["type"].as_str()), (409, Some("urn:ecomm:problem:conflict")));
    app.drain().await;
    assert_eq!(app.states().await, ["sent", "sent"]);
    app.end().await;
}

async fn a_long_reply_is_recorded_cut() {
    let app = App::start(sqlite().await).await;
    app.fail(Phase::Rcpt, reply(&format!("550 5.1.1 {}", "no ".repeat(300))), 1);
    let order = app.order().await;
    app.drain().await;
    let notification = &app.notifications(order).await[0];
    assert_eq!(notification["state"], "failed");
    assert!(notification["journal"][0]["reply"].as_str().unwrap().len() <= 1_000);
    app.end().await;
}

async fn a_relay_that_is_away_burns_no_attempts() {
    let app = App::start(sqlite().await).await;
    app.fail(Phase::Greeting, Act::Drop, 1);
    let first = app.order().await;
    app.drain().await;
    // The breaker is open: the next order's event waits uncharged.
    let second = app.order().await;
    app.drain().await;
    assert_eq!(app.notifications(first).await[0]["attempts"], 1);
    assert_eq!(app.notifications(second).await[0]["attempts"], 0);
    app.clock.advance(60_000);
    app.drain().await;
    assert_eq!(app.states().await, ["sent", "sent"]);
    app.end().await;
}

async fn an_event_that_never_ends_is_held() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    for _ in 0..10 {
        assert_eq!(app.host.service.store.claim(Claimable::All, [0, 1, 0, 0], 1_000).await.unwrap().len(), 1);
        app.clock.advance(1_001);
    }
    app.drain().await;
    let notification = &app.notifications(order).await[0];
    assert_eq!(notification["state"], "held");
    assert!(notification["reason"].as_str().unwrap().contains("crashes the host"));
    assert!(app.mailbox.messages().is_empty());
    app.end().await;
}

async fn what_may_end_its_host_is_tried_alone(database: Database) {
    let app = App::start(database).await;
    let store = &app.host.service.store;
    for _ in 0..3 {
        app.order().await;
    }
    for _ in 0..UNSUSPECTED_CLAIMS_MAX {
        assert_eq!(store.claim(Claimable::All, [0, 10, 0, 0], 1_000).await.unwrap().len(), 3);
        app.clock.advance(1_001);
    }
    let other = json!({ "items": [{ "product_id": app.product, "quantity": 1 }] });
    app.client.ok("POST", "/v1/orders", &app.admin, Some(other)).await;
    let to = Some("ada@example.com".to_owned());
    app.mailbox.inject(Fault { phase: Phase::Dot, act: Act::Hang, times: 1, to });
    let queue = app.host.queue.clone();
    let mut work = tokio::task::JoinSet::new();
    work.spawn(async move { queue.run_until_idle().await });
    let under_way = "select count(*) from notification_events_queue where phase > 0";
    eventually("the other's mail", async || {
        let others = app.mailbox.messages().iter().filter(|m| m.to == "admin@shop.example").count();
        others == 1 && app.queued().await == 3 && app.database.number(under_way).await == 1
    })
    .await;
    assert!(store.claim(Claimable::Unsuspected, [0, 10, 0, 0], 1_000).await.unwrap().is_empty());
    // Those that waited were not charged for it. A claim skips what the host's own has locked just then.
    let mut waited = Vec::new();
    eventually("those that waited", async || {
        waited.extend(store.claim(Claimable::All, [0, 10, 0, 0], 1_000).await.unwrap().iter().map(|c| c.claims));
        waited.len() == 2
    })
    .await;
    assert_eq!(waited, [3, 3]);
    work.shutdown().await;
    for _ in 0..3 {
        app.clock.advance(3_600_000);
        app.drain().await;
    }
    assert_eq!(app.states().await, ["sent"; 4]);
    app.end().await;
}

/// What was kept waiting, or could not be worked on, has its full age for retries.
async fn age_counts_from_the_first_failure() {
    let app = App::start(sqlite().await).await;
    app.order().await;
    app.clock.advance(96 * 3_600_000);
    app.fail(Phase::Rcpt, reply("450 4.2.1 later"), 1);
    app.drain().await;
    assert_eq!(app.states().await, ["not sent"]);
    app.clock.advance(60_000);
    app.drain().await;
    assert_eq!(app.states().await, ["sent"]);
    app.end().await;
}

async fn an_intent_that_cannot_be_recorded_charges_nothing() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    let refuse = "create trigger full before insert on notification_attempts begin select raise(abort, 'full'); end";
    app.database.execute(refuse).await;
    app.drain().await;
    assert!(app.mailbox.messages().is_empty());
    let notification = &app.notifications(order).await[0];
    assert_eq!((&notification["state"], &notification["attempts"]), (&json!("not sent"), &json!(0)));
    app.database.execute("drop trigger full").await;
    app.clock.advance(2_000);
    app.drain().await;
    assert_eq!(app.notifications(order).await[0]["attempts"], 1);
    assert_eq!(app.states().await, ["sent"]);
    app.end().await;
}

/// A database that answers half of what is asked is no reason to hold a mail, or to charge it.
async fn what_the_database_does_not_tell_is_waited_for(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    app.database.execute("alter table mail_suppressions rename to elsewhere").await;
    app.drain().await;
    assert_eq!((app.states().await, app.queued().await), (vec!["not sent".to_owned()], 1));
    app.database.execute("alter table elsewhere rename to mail_suppressions").await;
    app.clock.advance(2_001);
    app.drain().await;
    let notification = app.notifications(order).await[0].clone();
    assert_eq!(journal(&notification), ["send body delivered 250 -"]);
    app.end().await;
}
