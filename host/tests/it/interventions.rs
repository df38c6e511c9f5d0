//! What people do to notifications: try them again, cancel or hold them, pause all.

use ecomm::mail::mailbox::Phase;
use serde_json::{Value, json};

use crate::app::{App, journal, reply};
use crate::database::Database;
use crate::harness::tests;
use crate::store::{claim, finish, intent, sent};

tests! {
    on_each_database {
        a_failed_mail_is_tried_again
        a_cancelled_mail_is_not_sent
        a_held_mail_waits_for_a_hand
        a_paused_queue_delivers_nothing
        what_is_handed_over_is_not_cancelled
        a_late_mail_is_only_sent_when_that_is_meant
        a_mail_that_is_tried_again_goes_before_newer_ones
        two_of_a_lane_end_together
        what_is_handed_over_stays_leased
        a_claim_of_an_earlier_stay_does_not_count
        a_long_history_is_cut
    }
}

async fn a_held_mail_waits_for_a_hand(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let id = app.notifications(order).await[0]["id"].clone();
    let (status, held) = act(&app, &id, "hold", "not before the sale").await;
    assert_eq!((status, &held["state"]), (200, &json!("held")), "{held}");
    let (status, why) = act(&app, &id, "hold", "").await;
    assert_eq!((status, &why["detail"]), (409, &json!("only what is queued can be held; it is held")), "{why}");
    // It keeps nothing of its order waiting.
    let shipped = Some(json!({ "status": "shipped" }));
    app.client.ok("PATCH", &format!("/v1/orders/{order}/status"), &app.admin, shipped).await;
    app.drain().await;
    assert_eq!(app.states().await, ["held", "sent"]);

    let (status, why) = act(&app, &id, "retry", "").await;
    assert_eq!(status, 409, "{why}");
    let late = Some(json!({ "allow_late": true }));
    app.client.ok("POST", &format!("/v1/notifications/{id}/retry"), &app.admin, late).await;
    app.drain().await;
    assert_eq!(app.states().await, ["sent", "sent"]);
    let told = &app.notifications(order).await[0];
    let expected = ["decision - - - hold", "decision - - - retry-late", "send body delivered 250 -"];
    assert_eq!(journal(told), expected);
    assert!(told["journal"][0]["reason"].as_str().unwrap().ends_with(": not before the sale"));
    app.end().await;
}

async fn a_paused_queue_delivers_nothing(database: Database) {
    let app = App::start(database).await;
    let pause = async |why: &str, token: &str| {
        let (status, answer) = app.client.call("POST", "/v1/queue/pause", token, Some(json!({ "why": why }))).await;
        (status.as_u16(), answer)
    };
    assert_eq!(pause("", &app.customer).await.0, 403);
    assert_eq!(pause(&"x".repeat(501), &app.admin).await.0, 422);
    let (status, paused) = pause("the relay moves", &app.admin).await;
    assert_eq!((status, &paused["paused"]["why"], &paused["queued"]), (200, &json!("the relay moves"), &json!(0)));
    assert_eq!(paused["first_due_in_ms"], Value::Null);
    let order = app.order().await;
    app.drain().await;
    assert_eq!((app.states().await, app.mailbox.messages().len()), (vec!["not sent".to_owned()], 0));
    assert_eq!(claim(&app, 10).await.len(), 0);
    // Who is second changes nothing.
    let (status, again) = pause("another", &app.admin).await;
    assert_eq!((status, &again["paused"], &again["queued"]), (200, &paused["paused"], &json!(1)));
    assert!(again["first_due_in_ms"].as_i64().unwrap() <= 0, "{again}");
    app.client.ok("POST", "/v1/queue/resume", &app.admin, None).await;
    assert_eq!(claim(&app, 10).await.len(), 1);
    let claimed = pause("with one under way", &app.admin).await.1;
    assert_eq!((&claimed["queued"], &claimed["under_way"]), (&json!(0), &json!(1)), "{claimed}");
    app.clock.advance(60_001);

    let (status, _) = app.client.call("POST", "/v1/queue/resume", &app.customer, None).await;
    assert_eq!(status, 403);
    let resumed = app.client.ok("POST", "/v1/queue/resume", &app.admin, None).await;
    assert_eq!(resumed["paused"], Value::Null);
    app.drain().await;
    assert_eq!(app.notifications(order).await[0]["state"], "sent");
    let expected = json!({ "queued": 0, "under_way": 0, "first_due_in_ms": null, "paused": null, "paused_parts": [] });
    assert_eq!(app.client.ok("GET", "/v1/queue", &app.admin, None).await, expected);
    app.end().await;
}

async fn act(app: &App, id: &Value, what: &str, why: &str) -> (u16, Value) {
    let path = format!("/v1/notifications/{id}/{what}");
    let (status, answer) = app.client.call("POST", &path, &app.admin, Some(json!({ "why": why }))).await;
    (status.as_u16(), answer)
}

/// An order whose first mail was refused for good; the mail's id.
async fn failed(app: &App) -> (i64, Value) {
    let order = app.order().await;
    app.fail(Phase::Rcpt, reply("550 5.7.1 not wanted"), 1);
    app.drain().await;
    (order, app.notifications(order).await[0]["id"].clone())
}

async fn a_failed_mail_is_tried_again(database: Database) {
    let app = App::start(database).await;
    let (order, id) = failed(&app).await;
    assert_eq!(app.states().await, ["failed"]);
    let (status, _) =
        app.client.call("POST", &format!("/v1/notifications/{id}/retry"), &app.customer, Some(json!({}))).await;
    assert_eq!(status, 403);
    let me = app.client.ok("GET", "/v1/users/2", &app.customer, None).await;
    let moved = json!({ "email": "ada@new.example", "current_password": crate::app::PASSWORD });
    app.client.ok("PATCH", &format!("/v1/users/{}", me["id"]), &app.customer, Some(moved)).await;

    let (status, queued) = act(&app, &id, "retry", "new address").await;
    assert_eq!((status, &queued["state"], &queued["attempts"]), (200, &json!("not sent"), &json!(0)), "{queued}");
    assert_eq!(queued["completed_at"], Value::Null);
    // What failed before is not held against it.
    assert_eq!(claim(&app, 1).await.remove(0).history, []);
    app.clock.advance(60_001);
    app.drain().await;
    assert_eq!(app.mailbox.messages()[0].to, "ada@new.example");
    let told = &app.notifications(order).await[0];
    assert_eq!((&told["state"], &told["attempts"]), (&json!("sent"), &json!(1)));
    let expected = ["send rcpt rejected 550 give-up", "decision - - - retry", "send body delivered 250 -"];
    assert_eq!(journal(told), expected);
    assert!(told["journal"][1]["reason"].as_str().unwrap().ends_with(": new address"));

    let (status, refused) = act(&app, &id, "retry", "").await;
    assert_eq!(status, 409, "{refused}");
    assert_eq!(act(&app, &json!(4711), "retry", "").await.0, 404);
    assert_eq!(act(&app, &id, "retry", &"x".repeat(501)).await.0, 422);
    app.end().await;
}

async fn a_cancelled_mail_is_not_sent(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    app.change(order, "shipped").await;
    app.fail(Phase::Rcpt, reply("450 4.2.1 later"), 1);
    app.drain().await;
    assert_eq!(app.states().await, ["not sent", "not sent"]);
    let id = app.notifications(order).await[0]["id"].clone();
    let (status, cancelled) = act(&app, &id, "cancel", "told by phone").await;
    assert_eq!((status, &cancelled["state"], &cancelled["attempts"]), (200, &json!("failed"), &json!(1)));
    assert!(cancelled["reason"].as_str().unwrap().ends_with(": told by phone"), "{cancelled}");
    // What waited behind it is due at once.
    app.drain().await;
    assert_eq!(app.states().await, ["failed", "sent"]);
    assert_eq!(app.mailbox.messages().len(), 1);
    assert_eq!(act(&app, &id, "cancel", "").await.0, 409);
    app.end().await;
}

async fn what_is_handed_over_is_not_cancelled(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let store = &app.host.service.store;
    let id = app.notifications(order).await[0]["id"].clone();
    let head = claim(&app, 1).await.remove(0);
    assert_eq!(store.hand_over(&[intent(&head)]).await.unwrap(), [true]);
    let (status, refused) = act(&app, &id, "cancel", "").await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains("handed over"), "{refused}");
    assert_eq!(store.finish(&[finish(&head, sent())]).await.unwrap(), [true]);
    assert_eq!(app.states().await, ["sent"]);
    app.end().await;
}

async fn a_late_mail_is_only_sent_when_that_is_meant(database: Database) {
    let app = App::start(database).await;
    let (order, id) = failed(&app).await;
    app.change(order, "shipped").await;
    let newer = claim(&app, 1).await.remove(0);
    assert_eq!(app.host.service.store.hand_over(&[intent(&newer)]).await.unwrap(), [true]);
    let (status, refused) = act(&app, &id, "retry", "").await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains("allow_late"), "{refused}");
    assert_eq!(app.host.service.store.finish(&[finish(&newer, sent())]).await.unwrap(), [true]);
    assert_eq!(act(&app, &id, "retry", "").await.0, 409);
    assert_eq!(app.states().await, ["failed", "sent"]);

    let allowed = json!({ "why": "they asked", "allow_late": true });
    app.client.ok("POST", &format!("/v1/notifications/{id}/retry"), &app.admin, Some(allowed)).await;
    app.drain().await;
    assert_eq!(app.states().await, ["sent", "sent"]);
    let late = "select count(*) from notification_attempts where verdict = 'retry-late'";
    assert_eq!(app.database.number(late).await, 1);
    app.end().await;
}

async fn a_mail_that_is_tried_again_goes_before_newer_ones(database: Database) {
    let app = App::start(database).await;
    let (order, id) = failed(&app).await;
    app.change(order, "shipped").await;
    let newer = claim(&app, 1).await.remove(0);
    assert_eq!(act(&app, &id, "retry", "").await.0, 200);
    // Who had claimed it cannot hand it over any more.
    assert_eq!(app.host.service.store.hand_over(&[intent(&newer)]).await.unwrap(), [false]);
    app.drain().await;
    assert_eq!(app.states().await, ["sent", "sent"]);
    let subjects: Vec<_> = app.mailbox.messages().iter().map(|m| m.subject.clone()).collect();
    assert_eq!(subjects, ["Your order 1 at My Shop", "Order 1 is on its way"]);
    app.end().await;
}

/// What comes after both is due, although each sees the other still queued.
async fn two_of_a_lane_end_together(database: Database) {
    let app = App::start(database).await;
    let store = &app.host.service.store;
    let (order, id) = failed(&app).await;
    app.change(order, "shipped").await;
    let newer = claim(&app, 1).await.remove(0);
    assert_eq!(store.hand_over(&[intent(&newer)]).await.unwrap(), [true]);
    let allowed = json!({ "allow_late": true });
    app.client.ok("POST", &format!("/v1/notifications/{id}/retry"), &app.admin, Some(allowed)).await;
    let first = claim(&app, 1).await.remove(0);
    assert_eq!((first.place, newer.place), (1, 2));
    app.change(order, "delivered").await;
    assert!(claim(&app, 1).await.is_empty());
    assert_eq!(store.finish(&[finish(&newer, sent()), finish(&first, sent())]).await.unwrap(), [true, true]);
    assert_eq!(claim(&app, 1).await.remove(0).place, 3);
    app.end().await;
}

/// Whatever leaves its order's lane before or behind it.
async fn what_is_handed_over_stays_leased(database: Database) {
    let app = App::start(database).await;
    let store = &app.host.service.store;
    let (order, id) = failed(&app).await;
    app.change(order, "shipped").await;
    let newer = claim(&app, 1).await.remove(0);
    assert_eq!(store.hand_over(&[intent(&newer)]).await.unwrap(), [true]);
    app.change(order, "delivered").await;
    let last = app.notifications(order).await[2]["id"].clone();
    assert_eq!(act(&app, &last, "cancel", "").await.0, 200);
    assert!(claim(&app, 1).await.is_empty());
    let allowed = json!({ "allow_late": true });
    app.client.ok("POST", &format!("/v1/notifications/{id}/retry"), &app.admin, Some(allowed)).await;
    let first = claim(&app, 1).await.remove(0);
    assert_eq!(store.finish(&[finish(&first, sent())]).await.unwrap(), [true]);
    assert!(claim(&app, 1).await.is_empty());
    assert_eq!(store.renew(&[newer.claim], 60_000).await.unwrap(), [true]);
    assert_eq!(store.finish(&[finish(&newer, sent())]).await.unwrap(), [true]);
    assert_eq!(app.states().await, ["sent", "sent", "failed"]);
    app.end().await;
}

async fn a_claim_of_an_earlier_stay_does_not_count(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let store = &app.host.service.store;
    let id = app.notifications(order).await[0]["id"].clone();
    let stale = claim(&app, 1).await.remove(0);
    assert_eq!(act(&app, &id, "cancel", "").await.0, 200);
    assert_eq!(store.hand_over(&[intent(&stale)]).await.unwrap(), [false]);
    assert_eq!(act(&app, &id, "retry", "").await.0, 200);
    let head = claim(&app, 1).await.remove(0);
    assert_eq!(store.hand_over(&[intent(&stale)]).await.unwrap(), [false]);
    assert_eq!(store.finish(&[finish(&stale, sent())]).await.unwrap(), [false]);
    assert_eq!(store.finish(&[finish(&head, sent())]).await.unwrap(), [true]);
    app.end().await;
}

/// A policy sees the last ten failures; when the first was is known all the same.
async fn a_long_history_is_cut(database: Database) {
    let app = App::start(database).await;
    app.order().await;
    claim(&app, 1).await;
    for n in 0..25 {
        let at = app.clock.now_ms() + 1_000 + n;
        app.database
            .execute(&format!(
                "insert into notification_attempts (state_id, epoch, kind, class, code, repeats, started_at, ended_at) \
                 select id, 1, 'send', 'deferred', {}, 1, {at}, {at} from notification_states",
                400 + n
            ))
            .await;
    }
    app.clock.advance(60_001);
    let head = claim(&app, 1).await.remove(0);
    let codes: Vec<_> = head.history.iter().filter_map(|f| f.code).collect();
    assert_eq!(codes, (415..425).collect::<Vec<_>>());
    let first = app.database.number("select min(ended_at) from notification_attempts").await;
    assert_eq!(head.first_failed_at, Some(first));
    app.end().await;
}
