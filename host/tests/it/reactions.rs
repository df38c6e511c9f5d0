//! What follows from reports where the policy says so: sent once more, suppressed for a while, left to an operator.

use serde_json::{Value, json};

use crate::app::{App, eventually, journal, sqlite};
use crate::bulk;
use crate::database::Database;
use crate::harness::tests;
use crate::reports::{BASE, again, of, report, sample, sent};
use crate::stages::{stage, upload};

tests! {
    on_each_database {
        what_bounced_is_sent_once_more_by_another_relay
        nothing_newer_of_the_order_is_overtaken
        an_address_gets_no_mails_for_as_long_as_the_policy_says
        what_bounced_is_left_to_an_operator
        what_was_cancelled_stays_cancelled_whatever_is_reported
        what_proves_nothing_changes_nothing
        another_policy_is_compared_by_what_it_makes_of_reports
    }
    once {
        an_answer_that_cannot_be_used_changes_nothing
        a_policy_that_fails_is_replaced
    }
}

const DAY_MS: u32 = 86_400_000;

async fn app(database: Database, more: &[(&str, &str)]) -> App {
    let base = [("MAIL__RETURN_PATH", BASE), ("INBOUND__LISTEN", "127.0.0.1:0")];
    App::with(database, &[&base, more].concat()).await
}

/// Has a policy with this config serve, built in or the guest that misbehaves; its number.
async fn policy(app: &App, config: Value, digest: Option<String>) -> i64 {
    let new = json!({ "slot": "policy", "config": config, "digest": digest });
    let revision = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap();
    stage(app, revision, json!({ "stage": "active" })).await;
    revision
}

async fn misbehaving(app: &App, mut config: Value) -> i64 {
    config["spare_order"] = json!("4242424242");
    let digest = upload(app, std::fs::read(env!("MISBEHAVING_WASM")).unwrap()).await;
    policy(app, config, Some(digest)).await
}

/// A mail comes back with this status. Each is another report.
async fn bounce(app: &App, notification: &Value, back: &str, status: &str) {
    let number = app.database.number("select count(*) from notification_reports").await;
    let mail =
        of(notification, "bounced", back).replace("5.1.1", status).replace("20261129080001.1@", &format!("{number}@"));
    assert_eq!(report(app, "", back, &mail).await, "250 2.0.0 noted\r\n");
}

/// The decisions about reports in a journal.
fn reactions(notification: &Value) -> Vec<Value> {
    let entries = notification["journal"].as_array().unwrap();
    entries.iter().filter(|entry| entry["phase"] == "report").cloned().collect()
}

async fn suppressions(app: &App) -> Vec<Value> {
    app.client.ok("GET", "/v1/suppressions", &app.admin, None).await["items"].as_array().unwrap().clone()
}

/// Goes on once the shortest pause after a failure is over.
async fn drain_later(app: &App) {
    app.clock.advance(2_000);
    app.drain().await;
}

async fn what_bounced_is_sent_once_more_by_another_relay(database: Database) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay = |name: &str| format!("{{ name = \"{name}\", host = \"127.0.0.1\", port = {port}, tls = \"none\" }}");
    let relays = format!("[{}, {}]", relay("first"), relay("second"));
    let listen = format!("127.0.0.1:{port}");
    let app = app(database, &[("MAIL__RELAYS", &relays), ("MAILBOX__LISTEN", &listen)]).await;
    // What was chosen after a bounce is not chosen back.
    let config = json!({ "resend_bounced": ["5.7"], "relays_by_country": { "": "first" } });
    let revision = policy(&app, config, None).await;
    let (notification, back) = sent(&app).await;
    bounce(&app, &notification, &back, "5.7.1").await;
    let queued = again(&app, &notification).await;
    assert_eq!(
        (&queued["state"], &queued["delivery"], &queued["attempts"]),
        (&json!("not sent"), &Value::Null, &json!(1))
    );
    assert_eq!(queued["reports"][0]["is_past"], true, "{queued}");
    assert_eq!(journal(&queued), ["send body delivered 250 -", "decision report bounced - resend"]);
    let decided = &reactions(&queued)[0];
    assert_eq!(
        (&decided["policy_revision"], &decided["relay"], &decided["enhanced"]),
        (&json!(revision), &json!("first"), &json!("5.7.1"))
    );
    // Another server says the same of the same sending.
    bounce(&app, &notification, &back, "5.7.1").await;
    drain_later(&app).await;
    let resent = again(&app, &notification).await;
    assert_eq!((&resent["state"], &resent["delivery"], &resent["attempts"]), (&json!("sent"), &Value::Null, &json!(2)));
    let entries = resent["journal"].as_array().unwrap();
    assert_eq!(entries.last().unwrap()["relay"], "second");
    let mails = app.mailbox.messages();
    assert_eq!((mails.len(), mails[0].message_id == mails[1].message_id), (2, true));
    // It ends by itself: each time is an attempt.
    bounce(&app, &notification, &back, "5.7.26").await;
    drain_later(&app).await;
    bounce(&app, &notification, &back, "5.7.1").await;
    drain_later(&app).await;
    let ended = again(&app, &notification).await;
    assert_eq!(
        (&ended["state"], &ended["delivery"], &ended["attempts"]),
        (&json!("sent"), &json!("bounced"), &json!(3))
    );
    let verdicts: Vec<Value> = reactions(&ended).iter().map(|entry| entry["verdict"].clone()).collect();
    assert_eq!(verdicts, ["resend", "resend-refused", "resend", "note"]);
    assert_eq!(app.mailbox.messages().len(), 3);
    let found = app.client.ok("GET", "/v1/notifications?delivery=bounced", &app.admin, None).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    app.end().await;
}

async fn nothing_newer_of_the_order_is_overtaken(database: Database) {
    let app = app(database, &[]).await;
    misbehaving(&app, json!({ "on_report": "delay", "delay_ms": 1_000 })).await;
    let (first, back) = sent(&app).await;
    let order = first["order_id"].as_i64().unwrap();
    // What is queued waits for it.
    app.change(order, "shipped").await;
    bounce(&app, &first, &back, "5.7.1").await;
    drain_later(&app).await;
    app.clock.advance(20_000);
    app.drain().await;
    let subject = |kind: &str| match kind {
        "placed" => format!("Your order {order} at My Shop"),
        _ => format!("Order {order} is on its way"),
    };
    assert_eq!(app.subjects(), [subject("placed"), subject("placed"), subject("shipped")]);
    // What was sent stays after it.
    bounce(&app, &first, &back, "5.7.1").await;
    drain_later(&app).await;
    let after = again(&app, &first).await;
    assert_eq!((&after["state"], &after["delivery"]), (&json!("sent"), &json!("bounced")));
    let why = reactions(&after).pop().unwrap()["reason"].clone();
    assert_eq!(why, "not done, since what is newer was sent or is on its way");
    // Nor does it help where there is no such mailbox.
    let (other, back) = sent(&app).await;
    bounce(&app, &other, &back, "5.1.1").await;
    let after = again(&app, &other).await;
    assert_eq!(reactions(&after)[0]["reason"], "not done, since the server says that there is no such mailbox");
    assert_eq!((app.queued().await, app.mailbox.messages().len()), (0, 4));
    // Nor to an address that is suppressed by now.
    app.database.execute("delete from mail_suppressions").await;
    let (another, back) = sent(&app).await;
    let new = json!({ "address": "ada@example.com" });
    app.client.ok("POST", "/v1/suppressions", &app.admin, Some(new)).await;
    bounce(&app, &another, &back, "5.7.1").await;
    let decided = reactions(&again(&app, &another).await).remove(0);
    assert_eq!(decided["verdict"], "resend-refused");
    assert_eq!(decided["reason"], "not done, since its address is suppressed");
    app.end().await;
}

async fn an_address_gets_no_mails_for_as_long_as_the_policy_says(database: Database) {
    let app = app(database, &[]).await;
    let config = json!({ "suppress_bounced": { "5.2.2": 7, "5.2": 30, "5.1": 1 } });
    let revision = policy(&app, config, None).await;
    let (notification, back) = sent(&app).await;
    bounce(&app, &notification, &back, "5.2.2").await;
    let entry = suppressions(&app).await.pop().unwrap();
    let shown = ["address", "category", "cause", "source"].map(|key| entry[key].as_str().unwrap());
    assert_eq!(shown, ["ada@example.com", "all", "bounced", &format!("policy revision {revision}")]);
    let note = entry["note"].as_str().unwrap();
    assert!(note.starts_with(&format!("notification {}: came back: 5.2.2 550 5.2.2", notification["id"])), "{note}");
    assert_eq!(again(&app, &notification).await["delivery"], "bounced");
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.notifications(order).await[0]["state"], "skipped");
    app.clock.advance(7 * DAY_MS + 60_000);
    let (notification, back) = sent(&app).await;
    assert_eq!(notification["state"], "sent");
    // A policy ends nothing sooner than the host does by itself.
    bounce(&app, &notification, &back, "5.1.1").await;
    let entries = suppressions(&app).await;
    assert_eq!((entries.len(), &entries[0]["source"]), (1, &json!("report mx.example.com")), "{entries:?}");
    app.clock.advance(2 * DAY_MS);
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.notifications(order).await[0]["state"], "skipped");
    app.end().await;
}

async fn what_bounced_is_left_to_an_operator(database: Database) {
    let app = app(database, &[]).await;
    policy(&app, json!({ "hold_bounced": true }), None).await;
    let (notification, back) = sent(&app).await;
    for name in ["answered", "delayed", "other"] {
        report(&app, "", &back, &of(&notification, name, &back)).await;
        assert_eq!(again(&app, &notification).await["state"], "sent", "{name}");
    }
    bounce(&app, &notification, &back, "5.2.2").await;
    let held = again(&app, &notification).await;
    assert_eq!((&held["state"], &held["delivery"], &held["attempts"]), (&json!("held"), &json!("bounced"), &json!(1)));
    assert!(held["reason"].as_str().unwrap().starts_with("came back: 5.2.2 550 5.2.2"), "{held}");
    // Said again by another server, it stands as it stood.
    bounce(&app, &notification, &back, "5.2.2").await;
    let reasons: Vec<Value> =
        reactions(&again(&app, &notification).await).iter().map(|e| e["reason"].clone()).collect();
    assert!(
        reasons.last().unwrap().as_str().unwrap().starts_with("not done, since it is held: came back"),
        "{reasons:?}"
    );
    let retry = format!("/v1/notifications/{}/retry", notification["id"]);
    app.client.ok("POST", &retry, &app.admin, Some(json!({ "why": "the mailbox was emptied" }))).await;
    app.drain().await;
    let sent = again(&app, &notification).await;
    assert_eq!((&sent["state"], &sent["delivery"]), (&json!("sent"), &Value::Null), "{sent}");
    assert_eq!(app.mailbox.messages().len(), 2);
    app.end().await;
}

async fn what_was_cancelled_stays_cancelled_whatever_is_reported(database: Database) {
    let app = app(database, &[]).await;
    policy(&app, json!({ "hold_bounced": true }), None).await;
    let (notification, back) = sent(&app).await;
    bounce(&app, &notification, &back, "5.2.2").await;
    let path = format!("/v1/notifications/{}/cancel", notification["id"]);
    app.client.ok("POST", &path, &app.admin, Some(json!({ "why": "in vain" }))).await;
    report(&app, "", &back, &of(&notification, "answered", &back)).await;
    let after = again(&app, &notification).await;
    assert_eq!((&after["state"], after["reports"].as_array().unwrap().len()), (&json!("failed"), 2));
    let done = bulk::run(&app, json!({ "act": "retry", "filter": { "state": "failed" } })).await;
    assert_eq!((&done["state"], &done["done"]), (&json!("succeeded"), &json!(0)), "{done}");
    assert_eq!(again(&app, &notification).await["state"], "failed");
    app.end().await;
}

async fn what_proves_nothing_changes_nothing(database: Database) {
    let app = app(database, &[]).await;
    policy(&app, json!({ "hold_bounced": true }), None).await;
    let (notification, back) = sent(&app).await;
    // Who knows a Message-ID may know no more.
    let forged = sample("bounced", BASE, "orders@shop.example", notification["message_id"].as_str().unwrap());
    assert!(report(&app, "", BASE, &forged).await.starts_with("250"));
    // It is said of somebody else.
    let other =
        of(&notification, "bounced", &back).replace("ada@example.com", "eve@example.com").replace("080001.1@", "2@");
    assert!(report(&app, "", &back, &other).await.starts_with("250"));
    let after = again(&app, &notification).await;
    assert_eq!(
        (&after["state"], after["reports"].as_array().unwrap().len(), reactions(&after).len()),
        (&json!("sent"), 2, 0)
    );
    // Nobody is asked about the mail of somebody who has left; what was said of theirs is forgotten.
    let (notification, back) = sent(&app).await;
    bounce(&app, &notification, &back, "5.2.2").await;
    app.client.ok("DELETE", &format!("/v1/users/{}", app.customer_id().await), &app.customer, None).await;
    bounce(&app, &notification, &back, "5.2.2").await;
    let after = again(&app, &notification).await;
    let decided = reactions(&after);
    assert_eq!(
        (decided.len(), &decided[0]["reply"], &decided[0]["reason"]),
        (1, &Value::Null, &Value::Null),
        "{after}"
    );
    let kept =
        app.database.number("select count(*) from notification_attempts where situation like '%mx.example%'").await;
    assert_eq!(kept, 0);
    app.end().await;
}

async fn another_policy_is_compared_by_what_it_makes_of_reports(database: Database) {
    let app = app(database, &[]).await;
    let new = json!({ "slot": "policy", "config": { "hold_bounced": true } });
    let candidate = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await["id"].as_i64().unwrap();
    stage(&app, candidate, json!({ "stage": "shadow" })).await;
    let (notification, back) = sent(&app).await;
    bounce(&app, &notification, &back, "5.2.2").await;
    assert_eq!(again(&app, &notification).await["state"], "sent", "a shadow decides nothing");
    eventually("the shadow was shown the report", async || {
        let slots = app.client.ok("GET", "/v1/plugins", &app.admin, None).await;
        slots[1]["shadow"]["counts"]["diverged"] == 1
    })
    .await;
    let path = format!("/v1/plugins/revisions/{candidate}/replays");
    let told = app.client.ok("POST", &path, &app.admin, Some(json!({ "last": 100 }))).await;
    assert_eq!(["events", "changed_decisions", "faults"].map(|key| told[key].as_u64().unwrap()), [2, 1, 0], "{told}");
    assert_eq!(told["changed_fields"], json!({ "reaction": 1 }), "{told}");
    let diff = told["examples"][0]["differences"][0]["diff"].as_str().unwrap();
    assert!(diff.contains("-note\n+hold: came back: 5.2.2 550 5.2.2 <ada@example.com>"), "{diff}");
    app.end().await;
}

async fn an_answer_that_cannot_be_used_changes_nothing() {
    for (act, name, why) in [
        ("delay", "complained", "only a mail that bounced can be sent again; this report says \"complained\""),
        ("delay", "delayed", "only a mail that bounced can be sent again; this report says \"delayed\""),
        ("unknown_relay", "bounced", "there is no relay \"nowhere\""),
        ("other", "bounced", "this host knows no reaction \"escalate\""),
        ("attribute", "bounced", "this host knows no attribute"),
    ] {
        let app = app(sqlite().await, &[]).await;
        misbehaving(&app, json!({ "on_report": act })).await;
        let (notification, back) = sent(&app).await;
        report(&app, "", &back, &of(&notification, name, &back)).await;
        let after = again(&app, &notification).await;
        assert_eq!((&after["state"], &after["delivery"]), (&json!("sent"), &json!(name)), "{act}");
        let fault = after["journal"].as_array().unwrap().iter().find(|entry| entry["kind"] == "fault").unwrap();
        assert_eq!((&fault["phase"], &fault["class"]), (&json!("on-report"), &json!("bad_output")));
        assert!(fault["reply"].as_str().unwrap().contains(why), "{act}: {fault}");
        // The built-in stands in.
        assert_eq!(reactions(&after)[0]["verdict"], "note", "{act}");
        app.end().await;
    }
}

async fn a_policy_that_fails_is_replaced() {
    let app = app(sqlite().await, &[]).await;
    for (act, code) in [("trap", "trap"), ("loop", "deadline"), ("hog_memory", "memory")] {
        misbehaving(&app, json!({ "on_report": act })).await;
        let (notification, back) = sent(&app).await;
        bounce(&app, &notification, &back, "5.2.2").await;
        let after = again(&app, &notification).await;
        assert_eq!((&after["state"], &after["delivery"]), (&json!("sent"), &json!("bounced")), "{act}");
        let lines = journal(&after);
        // Between them is the revision that served before.
        assert_eq!(lines[1], format!("fault on-report {code} - -"), "{act}");
        assert_eq!(lines.last().unwrap(), "decision report bounced - note", "{act}");
    }
    // An entry of a category and for a time, within the host's bounds; and one that somebody has to look at.
    misbehaving(&app, json!({ "on_report": "suppress", "delay_ms": 1 })).await;
    let (notification, back) = sent(&app).await;
    report(&app, "", &back, &of(&notification, "answered", &back)).await;
    let entry = suppressions(&app).await.pop().unwrap();
    let shown = ["category", "cause"].map(|key| entry[key].as_str().unwrap());
    assert_eq!(shown, ["transactional", "bounced"], "{entry}");
    app.clock.advance(3_500_000);
    let order = app.order().await;
    app.drain().await;
    assert_eq!(app.notifications(order).await[0]["state"], "skipped", "an hour is the least");
    app.clock.advance(200_000);
    misbehaving(&app, json!({ "on_report": "hold_urgent" })).await;
    let (notification, back) = sent(&app).await;
    bounce(&app, &notification, &back, "5.2.2").await;
    let after = again(&app, &notification).await;
    assert_eq!((&after["state"], reactions(&after)[0]["verdict"].as_str()), (&json!("held"), Some("hold-urgent")));
    app.end().await;
}
