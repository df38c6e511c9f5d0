//! What a change of an order tells its customer: a note, or nothing.

use ecomm::grpc::pb;
use serde_json::{Value, json};

use crate::app::{App, newest, sqlite};
use crate::both_apis::{channel, with};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        a_note_is_in_the_mail_and_with_the_order
        a_silent_change_is_on_record_and_can_be_sent_later
    }
    once {
        what_is_no_note_is_refused
        both_apis_take_both
    }
}

async fn change(app: &App, order: i64, change: Value) -> Value {
    app.client.ok("PATCH", &format!("/v1/orders/{order}/status"), &app.admin, Some(change)).await
}

async fn a_note_is_in_the_mail_and_with_the_order(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let note = "The lid is <blue>.\nThe blue one was the last; we hope you like it.";
    let changed = change(&app, order, json!({ "status": "shipped", "note": note })).await;
    assert_eq!(changed["note"], note);
    app.drain().await;
    let mail = newest(&app);
    for part in [note.lines().next().unwrap(), note.lines().last().unwrap(), "The lid is &lt;blue&gt;."] {
        assert!(mail.contains(part), "{mail}");
    }
    // It is of that change: the next has its own, or none.
    let seen = app.client.ok("GET", &format!("/v1/orders/{order}"), &app.customer, None).await;
    assert_eq!(seen["note"], note);
    assert_eq!(change(&app, order, json!({ "status": "delivered" })).await["note"], Value::Null);
    app.drain().await;
    assert!(!newest(&app).contains("blue"));
    app.end().await;
}

async fn a_silent_change_is_on_record_and_can_be_sent_later(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let silent = json!({ "status": "shipped", "silent_reason": "told by phone", "note": "As we said." });
    let changed = change(&app, order, silent).await;
    assert_eq!((&changed["status"], &changed["note"]), (&json!("shipped"), &json!("As we said.")));
    assert_eq!(app.queued().await, 1, "only the mail of the order that was placed");
    let skipped = app.notifications(order).await[1].clone();
    assert_eq!(skipped["state"], "skipped", "{skipped}");
    assert_eq!(skipped["reason"], "silent, by user 1: told by phone");
    assert!(skipped["completed_at"].is_string(), "{skipped}");
    // What comes before and after goes out as ever, in its order.
    change(&app, order, json!({ "status": "delivered" })).await;
    app.drain().await;
    assert_eq!(app.states().await, ["sent", "skipped", "sent"]);
    assert_eq!(app.mailbox.messages().len(), 2);
    // An operator can send it all the same.
    let path = format!("/v1/notifications/{}/retry", skipped["id"]);
    app.client.ok("POST", &path, &app.admin, Some(json!({ "allow_late": true }))).await;
    app.drain().await;
    assert!(newest(&app).contains("As we said."));
    app.end().await;
}

async fn what_is_no_note_is_refused() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    let path = format!("/v1/orders/{order}/status");
    for (field, value) in [
        ("note", json!("")),
        ("note", json!(" \n ")),
        ("note", json!("x".repeat(2_001))),
        ("note", json!("a\u{0}b")),
        ("silent_reason", json!("")),
        ("silent_reason", json!("two\nlines")),
        ("silent_reason", json!("x".repeat(201))),
        ("silent_reason", json!(true)),
    ] {
        let change = json!({ "status": "shipped", field: value });
        let (status, problem) = app.client.call("PATCH", &path, &app.admin, Some(change)).await;
        assert_eq!(status.as_u16(), 422, "{field} {value}: {problem}");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"), "{problem}");
    }
    let longest = json!({ "status": "shipped", "note": "x".repeat(2_000), "silent_reason": "x".repeat(200) });
    change(&app, order, longest).await;
    app.end().await;
}

async fn both_apis_take_both() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    let mut orders = pb::order_service_client::OrderServiceClient::new(channel(&app).await);
    let change = pb::ChangeOrderStatusRequest {
        id: order,
        status: pb::OrderStatus::Shipped.into(),
        note: Some("Look for the courier.".to_owned()),
        silent_reason: Some("told by phone".to_owned()),
        ..Default::default()
    };
    let changed = orders.change_order_status(with(&app.admin, change)).await.unwrap().into_inner().order.unwrap();
    assert_eq!(changed.note.as_deref(), Some("Look for the courier."));
    assert_eq!(app.notifications(order).await[1]["reason"], "silent, by user 1: told by phone");
    app.end().await;
}
