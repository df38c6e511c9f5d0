//! One act on all notifications that match a filter: what is counted, what is done, in which order, and what becomes of
//! an operation whose host ends.

use std::process::Command;

use ecomm::grpc::pb;
use ecomm::mail::mailbox::Phase;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::{App, environment, eventually, journal, reply, sqlite};
use crate::both_apis::{channel, with};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        all_that_match_are_tried_again
        more_than_a_batch_is_done_in_order
        another_host_goes_on_with_it
        a_host_that_stops_lets_go_of_it
        no_newer_mail_goes_while_all_are_held
        what_an_operator_ended_stays_ended
        one_is_under_way_at_a_time
    }
    once {
        more_than_was_agreed_to_stays_as_it_is
        what_does_not_fit_the_act_is_refused
        a_key_makes_retries_one_operation
        grpc_does_the_same
        the_command_line_does_the_same
    }
}

const OPERATIONS: &str = "/v1/notifications/operations";

async fn ended(app: &App, id: &Value) -> Value {
    let path = format!("{OPERATIONS}/{id}");
    app.client.with(("GET", &path), &app.admin, &[("prefer", "wait=20")], None).await.2
}

/// Begins an operation and waits for its end.
pub async fn run(app: &App, body: Value) -> Value {
    let (status, headers, begun) = app.client.with(("POST", OPERATIONS), &app.admin, &[], Some(body)).await;
    assert_eq!(status, 202, "{begun}");
    assert_eq!(headers["location"].to_str().unwrap(), format!("{OPERATIONS}/{}", begun["id"]));
    ended(app, &begun["id"]).await
}

async fn all_that_match_are_tried_again(database: Database) {
    let app = App::start(database).await;
    let began = app.clock.now_ms();
    app.fail(Phase::Rcpt, reply("550 5.7.1 not wanted"), 3);
    let orders = [app.order().await, app.order().await, app.order().await];
    app.drain().await;
    // A newer mail of the last one goes out: the older one would be late.
    app.change(orders[2], "shipped").await;
    app.drain().await;
    assert_eq!(app.states().await, ["failed", "failed", "failed", "sent"]);

    let since = ecomm::clock::rfc3339::text(began);
    let filter = json!({ "state": "failed", "relay": "mailbox", "kind": "order.placed", "ended_since": since });
    let mut body = json!({ "act": "retry", "filter": filter, "why": "the relay was wrong", "validate_only": true });
    let (status, counted) = app.client.call("POST", OPERATIONS, &app.admin, Some(body.clone())).await;
    assert_eq!((status.as_u16(), &counted["matched"], &counted["id"]), (200, &json!(3), &json!(0)), "{counted}");
    assert_eq!(counted["state"], "validated");
    body["validate_only"] = json!(false);
    body["matches_max"] = json!(2);
    let (status, refused) = app.client.call("POST", OPERATIONS, &app.admin, Some(body.clone())).await;
    let says = "3 match; nothing was begun, since fewer were expected";
    assert_eq!((status.as_u16(), &refused["detail"]), (409, &json!(says)), "{refused}");

    body["matches_max"] = json!(3);
    let done = run(&app, body.clone()).await;
    assert_eq!((&done["state"], &done["matched"]), (&json!("succeeded"), &json!(3)), "{done}");
    assert_eq!((&done["done"], &done["refused"]), (&json!(2), &json!(1)), "{done}");
    let late = "what is newer of its order was sent or is on its way; set allow_late to send this one after it";
    assert_eq!(done["refusals"], json!([{ "reason": late, "count": 1 }]));
    assert_eq!(done["filter"]["ended_since"], json!(since));
    app.drain().await;
    assert_eq!(app.states().await, ["sent", "sent", "failed", "sent"]);
    let told = &app.notifications(orders[0]).await[0];
    let expected = ["send rcpt rejected 550 give-up", "decision - - - retry", "send body delivered 250 -"];
    assert_eq!(journal(told), expected);
    let reason = told["journal"][1]["reason"].as_str().unwrap();
    assert_eq!(reason, format!("by user 1, operation {}: the relay was wrong", done["id"]));

    body["allow_late"] = json!(true);
    let done = run(&app, body).await;
    assert_eq!((&done["matched"], &done["done"]), (&json!(1), &json!(1)), "{done}");
    app.drain().await;
    assert!(app.states().await.iter().all(|state| state == "sent"));
    let listed = app.client.ok("GET", &format!("{OPERATIONS}?limit=1"), &app.admin, None).await;
    assert_eq!(listed["items"][0], done);
    assert!(listed["next_cursor"].is_string(), "{listed}");
    app.end().await;
}

/// Orders, each with two mails: more than one batch has.
const ORDERS: usize = 60;

async fn more_than_a_batch_is_done_in_order(database: Database) {
    let app = App::with(database, &[("MAILBOX__MESSAGES_MAX", "500")]).await;
    shipped(&app, ORDERS).await;
    let held = run(&app, json!({ "act": "hold", "filter": { "state": "not sent" }, "why": "a wrong price" })).await;
    assert_eq!((&held["state"], &held["done"], &held["refused"]), (&json!("succeeded"), &json!(2 * ORDERS), &json!(0)));
    assert_eq!(app.queued().await, 0);
    let released =
        run(&app, json!({ "act": "retry", "filter": { "state": "held" }, "why": "the price is right" })).await;
    assert_eq!((&released["done"], &released["refused"]), (&json!(2 * ORDERS), &json!(0)), "{released}");
    app.drain().await;
    let ids = app.mailbox.messages().into_iter().map(|mail| mail.message_id).collect::<Vec<_>>();
    assert_eq!(ids.len(), 2 * ORDERS);
    // None was overtaken: of each order the first mail came first.
    let sql = "select message_id from notification_states where place = ";
    let first = app.database.texts(&format!("{sql}1 order by lane")).await;
    let second = app.database.texts(&format!("{sql}2 order by lane")).await;
    let place = |id: &String| ids.iter().position(|sent| sent == id).unwrap();
    assert_eq!(first.len(), ORDERS);
    assert!(first.iter().zip(&second).all(|(first, second)| place(first) < place(second)));
    let cancelled = run(&app, json!({ "act": "cancel", "filter": { "state": "held" }, "why": "" })).await;
    assert_eq!((&cancelled["matched"], &cancelled["state"]), (&json!(0), &json!("succeeded")), "{cancelled}");
    app.end().await;
}

/// An operation of a host that is not there any more, half done.
async fn of_another_host(app: &App, act: &str, (reached, last): (i64, i64), matches_max: &str) -> i64 {
    let now = app.clock.now_ms();
    let sql = format!(
        "insert into notification_operations (act, filter, why, allow_late, state, running, is_cancelled, matches_max, \
         matched, done, refused, refusals, reached_id, last_id, created_at, created_by, updated_at, host) values ('{act}', \
         '{{\"state\":\"not sent\"}}', 'a sale', 0, 'running', 1, 0, {matches_max}, 3, 1, 0, '{{}}', {reached}, {last}, {now}, \
         'user 1', {now}, 'gone')"
    );
    app.database.execute(&sql).await;
    app.database.number("select max(id) from notification_operations").await
}

async fn another_host_goes_on_with_it(database: Database) {
    let app = App::start(database).await;
    for _ in 0..4 {
        app.order().await;
    }
    let id = json!(of_another_host(&app, "hold", (4, 1), "null").await);
    // Its host may be at work.
    assert!(!app.host.service.work_on_bulk(None, &CancellationToken::new()).await.unwrap());
    app.clock.advance(30_001);
    let done = ended(&app, &id).await;
    assert_eq!((&done["state"], &done["done"]), (&json!("succeeded"), &json!(3)), "{done}");
    // From the newest of then on; not the one that came after it began, nor the one behind its end.
    assert_eq!(app.states().await, ["not sent", "held", "held", "not sent"]);
    app.end().await;
}

async fn more_than_was_agreed_to_stays_as_it_is() {
    let app = App::start(sqlite().await).await;
    for _ in 0..3 {
        app.order().await;
    }
    // One was done when two were agreed to; more came to match since.
    let id = json!(of_another_host(&app, "hold", (4711, 0), "2").await);
    app.clock.advance(30_001);
    let ended = ended(&app, &id).await;
    assert_eq!((&ended["state"], &ended["done"]), (&json!("failed"), &json!(2)), "{ended}");
    assert_eq!(ended["detail"], "more match than were expected; the rest stays as it is");
    assert_eq!(app.states().await, ["not sent", "not sent", "held"]);
    app.end().await;
}

/// Orders with two mails each.
async fn shipped(app: &App, orders: usize) {
    let stock = json!({ "stock": 1000 });
    app.client.ok("PATCH", &format!("/v1/products/{}", app.product), &app.admin, Some(stock)).await;
    for _ in 0..orders {
        let order = app.order().await;
        app.change(order, "shipped").await;
    }
}

async fn a_host_that_stops_lets_go_of_it(database: Database) {
    let app = App::start(database).await;
    shipped(&app, ORDERS).await;
    let hold = json!({ "act": "hold", "filter": { "state": "not sent" } });
    app.client.ok("POST", OPERATIONS, &app.admin, Some(hold)).await;
    let database = app.end_keeping().await;
    // It has ended, or waits for another host; and what was done is what is written down.
    let taken = "select count(*) from notification_operations where state = 'running' and host <> ''";
    assert_eq!(database.number(taken).await, 0);
    let done = database.number("select done from notification_operations").await;
    assert_eq!(database.number("select count(*) from notification_states where state = 'held'").await, done);
}

async fn no_newer_mail_goes_while_all_are_held(database: Database) {
    let app = App::with(database, &[("MAILBOX__MESSAGES_MAX", "500")]).await;
    shipped(&app, ORDERS).await;
    let body = json!({ "act": "hold", "filter": { "state": "not sent" }, "why": "a wrong price" });
    let delivering = async {
        loop {
            app.drain().await;
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let held = tokio::select! {
        held = run(&app, body) => held,
        () = delivering => unreachable!("it goes on"),
    };
    assert_eq!(held["state"], "succeeded", "{held}");
    let overtaken = "select count(*) from notification_states a join notification_states b on b.lane = a.lane \
                     where a.state = 'held' and b.state = 'sent' and b.place > a.place";
    assert_eq!(app.database.number(overtaken).await, 0);
    app.end().await;
}

async fn what_an_operator_ended_stays_ended(database: Database) {
    let app = App::start(database).await;
    app.fail(Phase::Rcpt, reply("550 5.7.1 not wanted"), 1);
    app.order().await;
    app.drain().await;
    let second = app.order().await;
    let id = app.notifications(second).await[0]["id"].clone();
    app.client.ok("POST", &format!("/v1/notifications/{id}/cancel"), &app.admin, Some(json!({}))).await;
    assert_eq!(app.states().await, ["failed", "failed"]);
    let list = async |query: &str| {
        let path = format!("/v1/notifications?state=failed&{query}");
        app.client.ok("GET", &path, &app.admin, None).await["items"].as_array().unwrap().len()
    };
    assert_eq!((list("cancelled=true").await, list("cancelled=false").await, list("").await), (1, 1, 2));
    let retried = run(&app, json!({ "act": "retry", "filter": { "state": "failed" } })).await;
    assert_eq!((&retried["done"], &retried["filter"]["cancelled"]), (&json!(1), &json!(false)), "{retried}");
    assert_eq!(app.states().await, ["not sent", "failed"]);
    let retried = run(&app, json!({ "act": "retry", "filter": { "state": "failed", "cancelled": true } })).await;
    assert_eq!(retried["done"], 1, "{retried}");
    // Tried again, it is not what an operator ended any more.
    assert_eq!(app.states().await, ["not sent", "not sent"]);
    app.end().await;
}

async fn one_is_under_way_at_a_time(database: Database) {
    let app = App::start(database).await;
    app.order().await;
    let id = json!(of_another_host(&app, "cancel", (4711, 0), "null").await);
    let second = json!({ "act": "hold", "filter": { "state": "not sent" } });
    let (status, refused) = app.client.call("POST", OPERATIONS, &app.admin, Some(second.clone())).await;
    let says =
        format!("another operation is under way: operation {id} of user 1, 1 of 3 done; cancel it or wait for its end");
    assert_eq!((status.as_u16(), &refused["detail"]), (409, &json!(says)), "{refused}");
    let path = format!("{OPERATIONS}/{id}/cancel");
    let asked = app.client.ok("POST", &path, &app.admin, None).await;
    assert_eq!(asked["state"], "running", "its host ends it: {asked}");
    app.clock.advance(30_001);
    let ended = ended(&app, &id).await;
    assert_eq!((&ended["state"], &ended["done"]), (&json!("cancelled"), &json!(1)), "{ended}");
    assert_eq!(app.states().await, ["not sent"]);
    let done = run(&app, second).await;
    assert_eq!(done["done"], 1, "{done}");
    // One that has ended stays as it is.
    let again = app.client.ok("POST", &path, &app.admin, None).await;
    assert_eq!(again, ended);
    assert_eq!(app.client.call("GET", &format!("{OPERATIONS}/4711"), &app.admin, None).await.0.as_u16(), 404);
    // What ended is forgotten after a month.
    app.clock.advance(31 * 86_400_000);
    app.host.service.forget_what_is_old(retention()).await.unwrap();
    assert_eq!(app.database.number("select count(*) from notification_operations").await, 0);
    app.end().await;
}

fn retention() -> ecomm::service::Retention {
    let kept = ecomm::service::Retention { contents_days: 0, notifications_days: 0, ..crate::retention::RETENTION };
    ecomm::service::Retention { sessions_days: 0, acts_days: 0, ..kept }
}

async fn what_does_not_fit_the_act_is_refused() {
    let app = App::start(sqlite().await).await;
    let long = "x".repeat(101);
    for (act, filter, pointer) in [
        ("retry", json!({}), "/filter/state"),
        ("retry", json!({ "state": "not sent" }), "/filter/state"),
        ("cancel", json!({ "state": "sent" }), "/filter/state"),
        ("hold", json!({ "state": "held" }), "/filter/state"),
        ("hold", json!({ "state": "not sent", "relay": long }), "/filter/relay"),
        ("hold", json!({ "state": "not sent", "reason": "a\u{0}b" }), "/filter/reason"),
        ("hold", json!({ "state": "not sent", "ended_since": "yesterday" }), "/filter/ended_since"),
        ("hold", json!({ "state": "not sent", "newest_first": true }), "/filter/newest_first"),
        ("forget", json!({ "state": "sent" }), "/act"),
    ] {
        let body = json!({ "act": act, "filter": filter });
        let (status, why) = app.client.call("POST", OPERATIONS, &app.admin, Some(body)).await;
        assert_eq!((status.as_u16(), &why["errors"][0]["pointer"]), (422, &json!(pointer)), "{why}");
    }
    let body = json!({ "act": "hold", "filter": { "state": "not sent" }, "why": "x".repeat(501) });
    assert_eq!(app.client.call("POST", OPERATIONS, &app.admin, Some(body.clone())).await.0.as_u16(), 422);
    assert_eq!(app.client.call("POST", OPERATIONS, &app.customer, Some(body)).await.0.as_u16(), 403);
    assert_eq!(app.client.call("GET", OPERATIONS, &app.customer, None).await.0.as_u16(), 403);
    assert_eq!(app.database.number("select count(*) from notification_operations").await, 0);
    app.end().await;
}

async fn a_key_makes_retries_one_operation() {
    let app = App::start(sqlite().await).await;
    app.order().await;
    let body = json!({ "act": "hold", "filter": { "state": "not sent" } });
    let begin = async |body: &Value| {
        let headers = [("idempotency-key", "hold-1")];
        app.client.with(("POST", OPERATIONS), &app.admin, &headers, Some(body.clone())).await
    };
    let (_, _, first) = begin(&body).await;
    ended(&app, &first["id"]).await;
    let (status, _, second) = begin(&body).await;
    assert_eq!((status, &second["id"]), (202, &first["id"]), "{second}");
    assert_eq!(app.database.number("select count(*) from notification_operations").await, 1);
    let other = json!({ "act": "cancel", "filter": { "state": "held" } });
    assert_eq!(begin(&other).await.0, 422);
    app.end().await;
}

async fn grpc_does_the_same() {
    let app = App::start(sqlite().await).await;
    app.order().await;
    let mut api = pb::notification_service_client::NotificationServiceClient::new(channel(&app).await);
    let mut request = pb::CreateNotificationOperationRequest {
        act: pb::NotificationAct::Hold.into(),
        filter: Some(pb::NotificationFilter {
            state: pb::NotificationState::NotSent.into(),
            ..pb::NotificationFilter::default()
        }),
        why: "a test".to_owned(),
        validate_only: true,
        ..pb::CreateNotificationOperationRequest::default()
    };
    let counted = api.create_notification_operation(with(&app.admin, request.clone())).await.unwrap().into_inner();
    assert_eq!(counted.operation.unwrap().matched, 1);
    request.validate_only = false;
    let begun = api.create_notification_operation(with(&app.admin, request.clone())).await.unwrap().into_inner();
    let id = begun.operation.unwrap().id;
    let wait = Some(prost_types::Duration { seconds: 20, nanos: 0 });
    let asked = pb::GetNotificationOperationRequest { id, wait };
    let ended = api.get_notification_operation(with(&app.admin, asked)).await.unwrap().into_inner().operation.unwrap();
    assert_eq!((ended.state.as_str(), ended.done, ended.act()), ("succeeded", 1, pb::NotificationAct::Hold));
    assert_eq!(ended.filter.as_ref().unwrap().state(), pb::NotificationState::NotSent);
    let asked = pb::ListNotificationOperationsRequest::default();
    let listed = api.list_notification_operations(with(&app.admin, asked)).await.unwrap().into_inner();
    assert_eq!(listed.operations, std::slice::from_ref(&ended));
    let asked = pb::CancelNotificationOperationRequest { id };
    let same = api.cancel_notification_operation(with(&app.admin, asked)).await.unwrap().into_inner();
    assert_eq!(same.operation.unwrap(), ended);
    // Protobuf has later times than RFC 3339 texts of ours.
    let mut for_ever = request.clone();
    let end = prost_types::Timestamp { seconds: 253_402_300_799, nanos: 0 };
    for_ever.filter.as_mut().unwrap().ended_since = Some(end);
    let refused = api.create_notification_operation(with(&app.admin, for_ever)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    request.act = pb::NotificationAct::Unspecified.into();
    let refused = api.create_notification_operation(with(&app.admin, request)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    app.end().await;
}

async fn the_command_line_does_the_same() {
    let app = App::start(sqlite().await).await;
    app.order().await;
    app.order().await;
    let settings = environment(&app.database, &[]);
    let ecomm = async |words: &'static str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ecomm"));
        command.arg("notification").args(words.split(' ')).envs(settings.clone()).stdin(std::process::Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(ecomm("bulk hold --state not-sent --dry-run").await.1, "2 match\n");
    let (code, _, why) = ecomm("bulk hold --state not-sent").await;
    assert!(code != 0 && why.contains("2 match; nothing was done: say --yes to hold them"), "{why}");
    assert_eq!(app.states().await, ["not sent", "not sent"]);
    let (code, says, _) = ecomm("bulk hold --state not-sent --why sale --yes").await;
    assert_eq!((code, says.as_str()), (0, "operation 1, hold: succeeded; 2 matched, 2 done, 0 refused\n"));
    let listed = ecomm("operations").await.1;
    assert!(listed.contains("command line") && listed.contains("sale"), "{listed}");
    let one: Value = serde_json::from_str(&ecomm("operation 1 --json").await.1).unwrap();
    assert_eq!((&one["done"], &one["act"]), (&json!(2), &json!("hold")), "{one}");
    eventually("both are held", async || app.states().await == ["held", "held"]).await;
    app.end().await;
}
