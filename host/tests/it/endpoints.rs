//! Requests to endpoints of webhooks: what they say and by which signatures, in which order they come, and what becomes of those
//! that fail.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::app::{App, eventually, journal, sqlite, user};
use crate::database::Database;
use crate::harness::tests;
use crate::mail_apis::server::{Act, Server, answer};
use crate::stages::{stage, upload};

tests! {
    on_each_database {
        each_change_is_a_signed_request_beside_its_mail
        a_change_goes_to_those_it_concerns
        what_fails_is_tried_again_in_order_under_the_same_id
        an_endpoint_is_paused_disabled_and_caught_up
        who_leaves_takes_their_endpoints_along
    }
    once {
        a_policy_that_knows_mails_alone_keeps_no_request_back
        what_an_endpoint_was_sent_of_an_order_is_found
    }
}

/// Settings under which this machine may have endpoints.
pub const HERE: (&str, &str) = ("WEBHOOKS__PRIVATE_NETWORKS", "true");

/// What an endpoint was sent.
pub struct Request {
    first: String,
    headers: BTreeMap<String, String>,
    pub body: String,
}

impl Request {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let first = lines.next().unwrap().to_owned();
        let header = |line: &str| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap();
        Self { first, headers: lines.map(header).collect(), body: body.to_owned() }
    }

    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().to_owned()
    }

    /// Which of these secrets signed it, by an implementation that is not the signer.
    pub fn signed_by(&self, secrets: &[&str]) -> Vec<bool> {
        let signed = format!("{}.{}.{}", self.id(), self.headers["webhook-timestamp"], self.body);
        let signatures: Vec<Vec<u8>> = self.headers["webhook-signature"]
            .split(' ')
            .map(|signature| STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap())
            .collect();
        let made = |secret: &&str| {
            let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
            signatures.iter().any(|signature| ring::hmac::verify(&key, signed.as_bytes(), signature).is_ok())
        };
        secrets.iter().map(made).collect()
    }
}

pub fn requests(server: &Server) -> Vec<Request> {
    server.requests().iter().map(|bytes| Request::read(bytes)).collect()
}

pub fn kinds(server: &Server) -> Vec<String> {
    requests(server).iter().map(Request::kind).collect()
}

/// Makes an endpoint; its number and its secret.
pub async fn endpoint(app: &App, token: &str, new: Value) -> (i64, String) {
    let made = app.client.ok("POST", "/v1/webhook-endpoints", token, Some(new)).await;
    (made["endpoint"]["id"].as_i64().unwrap(), made["secret"].as_str().unwrap().to_owned())
}

pub fn at(server: &Server) -> String {
    format!("http://127.0.0.1:{}/hooks?shop=1", server.port)
}

pub async fn own(app: &App, server: &Server) -> (i64, String) {
    endpoint(app, &app.customer, json!({ "url": at(server) })).await
}

pub async fn seen(app: &App, id: i64) -> Value {
    app.client.ok("GET", &format!("/v1/webhook-endpoints/{id}"), &app.admin, None).await
}

pub async fn patch(app: &App, id: i64, change: Value) -> Value {
    app.client.ok("PATCH", &format!("/v1/webhook-endpoints/{id}"), &app.customer, Some(change)).await
}

pub async fn sent_to(app: &App, endpoint: i64) -> Vec<Value> {
    let path = format!("/v1/notifications?endpoint_id={endpoint}");
    let found = app.client.ok("GET", &path, &app.admin, None).await;
    found["items"].as_array().unwrap().clone()
}

/// Where what an endpoint is sent stands.
pub async fn states(app: &App, endpoint: i64) -> Vec<String> {
    sent_to(app, endpoint).await.iter().map(|n| n["state"].as_str().unwrap().to_owned()).collect()
}

pub async fn pass(app: &App, ms: u32) {
    app.clock.advance(ms);
    app.drain().await;
}

/// The order that the gate asks about.
const FIXTURE: &str = "4242424242";

/// A few minutes more than the pause after so many failures.
pub const PAUSES_MS: [u32; 3] = [6_000, 360_000, 2_200_000];

async fn each_change_is_a_signed_request_beside_its_mail(database: Database) {
    let (app, server) = (App::with(database, &[HERE]).await, Server::start().await);
    let (id, secret) = own(&app, &server).await;
    let order = app.order().await;
    app.change(order, "shipped").await;
    app.drain().await;
    let requests = requests(&server);
    let [placed, shipped] = requests.as_slice() else { panic!("{:?}", kinds(&server)) };
    assert_eq!(placed.first, "POST /hooks?shop=1 HTTP/1.1");
    assert_eq!(placed.headers["host"], format!("127.0.0.1:{}", server.port));
    assert_eq!(placed.headers["content-type"], "application/json");
    let now = app.clock.now_ms() / 1_000;
    assert!((now - placed.headers["webhook-timestamp"].parse::<i64>().unwrap()).abs() < 60);
    assert_eq!(placed.signed_by(&[&secret, "whsec_AAAA"]), [true, false]);
    assert!(placed.id().starts_with("msg_") && !placed.id().contains('.') && placed.id() != shipped.id());
    let event = shipped.event();
    assert_eq!((&event["type"], &event["data"]["order"]["status"]), (&json!("order.shipped"), &json!("shipped")));
    assert_eq!(event["data"]["order"]["id"], order);
    assert_eq!(event["data"]["customer"]["email"], "ada@example.com");
    assert_eq!(placed.event()["data"]["order"]["lines"][0]["sku"], "CUP");
    // No mail is missing or told twice for it, and the order's own list has the mails.
    assert_eq!(app.subjects().len(), 2);
    assert_eq!(app.notifications(order).await.as_array().unwrap().len(), 2);
    let told = sent_to(&app, id).await;
    assert_eq!(told.iter().map(|n| n["message_id"].as_str().unwrap()).collect::<Vec<_>>(), [placed.id(), shipped.id()]);
    assert_eq!((&told[1]["order_id"], &told[1]["order_version"]), (&json!(order), &json!(2)));
    assert_eq!((&told[1]["endpoint_id"], &told[1]["journal"][0]["relay"]), (&json!(id), &json!(id.to_string())));
    assert_eq!(journal(&told[0]), ["send body delivered 200 -"]);
    assert!(seen(&app, id).await["delivered_at"].is_string());
    assert_eq!(server.connections(), 1, "a connection is kept");
    app.end().await;
}

async fn a_change_goes_to_those_it_concerns(database: Database) {
    let app = App::with(database, &[HERE]).await;
    let [all, some, own_, other] =
        [Server::start().await, Server::start().await, Server::start().await, Server::start().await];
    app.host.service.sign_up(user("grace@example.com", "Grace")).await.unwrap();
    let grace = app.client.log_in("grace@example.com").await;
    endpoint(&app, &app.admin, json!({ "url": at(&all), "orders": "all" })).await;
    let kind = json!({ "url": at(&some), "orders": "all", "kinds": ["order.shipped"] });
    endpoint(&app, &app.admin, kind).await;
    own(&app, &own_).await;
    endpoint(&app, &grace, json!({ "url": at(&other) })).await;
    let order = app.order().await;
    let silent = json!({ "note": "Counted again.", "silent_reason": "nothing for the customer" });
    app.client.ok("POST", &format!("/v1/orders/{order}/notes"), &app.admin, Some(silent)).await;
    app.change(order, "shipped").await;
    app.client
        .ok("POST", "/v1/orders", &grace, Some(json!({ "items": [{ "product_id": app.product, "quantity": 1 }] })))
        .await;
    app.drain().await;
    assert_eq!(kinds(&all).len(), 4);
    assert!(kinds(&all).contains(&"order.noted".to_owned()), "{:?}", kinds(&all));
    assert_eq!(kinds(&some), ["order.shipped"]);
    assert_eq!(kinds(&own_), ["order.placed", "order.shipped"], "a silent change is silent towards its customer");
    assert_eq!(kinds(&other), ["order.placed"]);
    app.end().await;
}

async fn what_fails_is_tried_again_in_order_under_the_same_id(database: Database) {
    let app = App::with(database, &[HERE, ("CAPS__JITTER_PERCENT", "0")]).await;
    let server = Server::start().await;
    let (id, secret) = own(&app, &server).await;
    server.then(Act::Answer(answer(500, "{\"why\": \"the disk is full\"}")));
    let order = app.order().await;
    app.drain().await;
    app.change(order, "shipped").await;
    app.drain().await;
    assert_eq!(kinds(&server), ["order.placed"], "the next waits for it");
    assert_eq!(app.subjects().len(), 2, "and the mails do not");
    let failing = seen(&app, id).await;
    assert!(failing["failing_since"].is_string());
    assert_eq!(failing["failure"], "it answered 500");
    assert_eq!(sent_to(&app, id).await[0]["journal"][0]["reply"], "{\"why\": \"the disk is full\"}");
    server.then(Act::CutAnswer(answer(200, "{}"), 5));
    pass(&app, PAUSES_MS[0]).await;
    pass(&app, PAUSES_MS[1]).await;
    let requests = requests(&server);
    assert_eq!(kinds(&server), ["order.placed", "order.placed", "order.placed", "order.shipped"]);
    assert!(requests[..3].iter().all(|request| request.id() == requests[0].id() && request.body == requests[0].body));
    assert!(requests.iter().all(|request| request.signed_by(&[&secret]) == [true]));
    let told = sent_to(&app, id).await;
    assert_eq!(
        journal(&told[0]),
        ["send body deferred 500 retry", "send body in-doubt - retry", "send body delivered 200 -"]
    );
    assert_eq!(states(&app, id).await, ["sent", "sent"]);
    let well = seen(&app, id).await;
    assert!(well["failing_since"].is_null() && well["failure"].is_null());
    app.end().await;
}

async fn an_endpoint_is_paused_disabled_and_caught_up(database: Database) {
    let (app, server) = (App::with(database, &[HERE]).await, Server::start().await);
    let (id, _) = own(&app, &server).await;
    patch(&app, id, json!({ "state": "paused" })).await;
    let order = app.order().await;
    app.drain().await;
    assert_eq!((states(&app, id).await, kinds(&server).len()), (vec!["not sent".to_owned()], 0));
    let resumed = patch(&app, id, json!({ "state": "active" })).await;
    assert_eq!((&resumed["version"], &resumed["state"]), (&json!(3), &json!("active")));
    app.drain().await;
    assert_eq!(kinds(&server), ["order.placed"]);
    server.then(Act::Answer(answer(410, "")));
    app.change(order, "shipped").await;
    app.drain().await;
    let gone = seen(&app, id).await;
    assert_eq!((&gone["state"], &gone["reason"]), (&json!("disabled"), &json!("it answered 410: it is gone")));
    app.change(order, "delivered").await;
    app.drain().await;
    assert_eq!(states(&app, id).await, ["sent", "failed", "skipped"]);
    let told = sent_to(&app, id).await;
    assert_eq!(told[2]["reason"], "its endpoint is disabled: it answered 410: it is gone");
    assert_eq!(app.subjects().len(), 3);
    let path = format!("/v1/notifications/{}/retry", told[2]["id"]);
    let (status, refusal) = app.client.call("POST", &path, &app.admin, Some(json!({ "why": "early" }))).await;
    assert_eq!((status.as_u16(), &refusal["detail"]), (409, &json!("its endpoint is disabled; resume it first")));
    patch(&app, id, json!({ "state": "active" })).await;
    for state in ["failed", "skipped", "sent"] {
        let again = json!({ "act": "retry", "filter": { "state": state, "endpoint_id": id }, "why": "it is back" });
        app.client.ok("POST", "/v1/notifications/operations", &app.admin, Some(again)).await;
        eventually("the retry", async || {
            app.drain().await;
            let found = app.client.ok("GET", "/v1/notifications/operations", &app.admin, None).await;
            found["items"].as_array().unwrap().iter().all(|operation| operation["state"] == "succeeded")
        })
        .await;
    }
    app.drain().await;
    assert_eq!(states(&app, id).await, ["sent"; 3]);
    let ids: Vec<_> = told.iter().map(|n| n["message_id"].clone()).collect();
    let requests = requests(&server);
    let again: Vec<_> = requests[requests.len() - 3..].iter().map(|request| json!(request.id())).collect();
    assert_eq!((requests.len(), again), (7, ids), "placed, gone, two caught up, and all of them again");
    app.end().await;
}

async fn who_leaves_takes_their_endpoints_along(database: Database) {
    let (app, theirs, shops) = (App::with(database, &[HERE]).await, Server::start().await, Server::start().await);
    let (own, _) = own(&app, &theirs).await;
    let (all, _) = endpoint(&app, &app.admin, json!({ "url": at(&shops), "orders": "all" })).await;
    shops.then(Act::Answer(answer(200, "Hello Ada Lovelace")));
    let order = app.order().await;
    app.drain().await;
    app.change(order, "shipped").await;
    let user = app.customer_id().await;
    let (status, _) = app.client.call("DELETE", &format!("/v1/users/{user}"), &app.admin, None).await;
    assert_eq!(status, 204);
    app.drain().await;
    let (status, _) = app.client.call("GET", &format!("/v1/webhook-endpoints/{own}"), &app.admin, None).await;
    assert_eq!((status.as_u16(), states(&app, own).await), (404, vec!["sent".to_owned(), "skipped".to_owned()]));
    assert_eq!(kinds(&theirs), ["order.placed"]);
    // The shop hears that it was shipped, and no more of whom to.
    let told = requests(&shops);
    assert_eq!(told.len(), 2);
    assert!(told[0].body.contains("Ada") && !told[1].body.contains("Ada") && told[1].body.contains("Deleted"));
    let kept = app.database.texts("select coalesce(reply, '') from notification_attempts").await;
    assert!(!kept.iter().any(|reply| reply.contains("Ada")), "{kept:?}");
    app.change(order, "delivered").await;
    app.drain().await;
    assert_eq!(kinds(&shops).last().unwrap(), "order.delivered");
    assert_eq!(states(&app, all).await, ["sent"; 3]);
    let last = app.notifications(order).await[2].clone();
    assert_eq!((&last["state"], &last["reason"]), (&json!("skipped"), &json!("the customer has left")));
    app.end().await;
}

async fn a_policy_that_knows_mails_alone_keeps_no_request_back() {
    let (app, server) = (App::with(sqlite().await, &[HERE]).await, Server::start().await);
    let (id, _) = own(&app, &server).await;
    let digest = upload(&app, std::fs::read(env!("MISBEHAVING_WASM")).unwrap()).await;
    for act in ["merge", "unknown_relay"] {
        let config = json!({ "admit": act, "on_failure": act, "spare_order": FIXTURE });
        let new = json!({ "slot": "policy", "digest": digest, "config": config });
        let revision = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await;
        stage(&app, revision["id"].as_i64().unwrap(), json!({ "stage": "active" })).await;
        server.then(Act::Answer(answer(500, "")));
        app.order().await;
        app.drain().await;
        pass(&app, 5_000).await;
        let last = sent_to(&app, id).await.pop().unwrap();
        assert!(!journal(&last).iter().any(|line| line.starts_with("fault")), "{last}");
        assert_eq!(
            (journal(&last).last().unwrap().as_str(), &last["state"]),
            ("send body delivered 200 -", &json!("sent"))
        );
    }
    let new = json!({ "slot": "policy", "digest": digest, "config": { "admit": "tell_suppression", "spare_order": FIXTURE } });
    let revision = app.client.ok("POST", "/v1/plugins/revisions", &app.admin, Some(new)).await;
    stage(&app, revision["id"].as_i64().unwrap(), json!({ "stage": "active" })).await;
    app.order().await;
    app.drain().await;
    assert_eq!(sent_to(&app, id).await.pop().unwrap()["reason"], "[(\"channel\", \"webhook\")]");
    app.end().await;
}

async fn what_an_endpoint_was_sent_of_an_order_is_found() {
    let (app, server) = (App::with(sqlite().await, &[HERE]).await, Server::start().await);
    let (id, _) = own(&app, &server).await;
    let (first, second) = (app.order().await, app.order().await);
    app.change(second, "shipped").await;
    app.drain().await;
    let found = async |query: String| {
        let page = app.client.ok("GET", &format!("/v1/notifications?{query}"), &app.admin, None).await;
        page["items"].as_array().unwrap().iter().map(|n| n["order_id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(found(format!("endpoint_id={id}&order_id={second}")).await, [second, second]);
    assert_eq!(found(format!("endpoint_id={id}&order_id={first}&state=sent")).await, [first]);
    assert_eq!(found(format!("endpoint_id={id}")).await, [first, second, second]);
    assert_eq!(found(format!("order_id={second}")).await.len(), 2, "its mails");
    assert_eq!(found("endpoint_id=4711".to_owned()).await, Vec::<i64>::new());
    app.end().await;
}
