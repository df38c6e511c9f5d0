//! What answers of endpoints mean, and what is made of their silence.

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::host::{Host, Roles};
use serde_json::json;

use crate::app::{App, Client, environment, eventually, journal, sqlite};
use crate::database::Database;
use crate::endpoints::{HERE, PAUSES_MS, at, kinds, own, pass, patch, requests, seen, sent_to, states};
use crate::harness::tests;
use crate::mail_apis::server::{Act, Server, answer, with_header};

tests! {
    on_each_server {
        a_host_that_knew_of_no_endpoint_hears_of_the_first
    }
    once {
        a_request_that_was_cut_is_told_apart_from_one_that_was_not
        only_the_status_of_an_answer_counts
        an_answer_says_when_to_come_again
        an_endpoint_that_fails_for_days_is_disabled
        what_was_sent_elsewhere_says_nothing_of_an_endpoint
    }
}

async fn a_request_that_was_cut_is_told_apart_from_one_that_was_not() {
    let (app, server) =
        (App::with(sqlite().await, &[HERE, ("CAPS__JITTER_PERCENT", "0")]).await, Server::start().await);
    let (id, _) = own(&app, &server).await;
    app.order().await;
    app.drain().await;
    let whole = server.requests()[0].len();
    for cut in [1, 40, whole / 2, whole - 1] {
        server.then(Act::CutRequest(cut));
        app.order().await;
        app.drain().await;
        let told = sent_to(&app, id).await;
        // All of it had left this host: what its receiver read of it nobody knows.
        assert_eq!(journal(told.last().unwrap()), ["send body in-doubt - retry"], "{cut}");
        // An endpoint that said nothing is left alone for a moment; then it comes again.
        pass(&app, 6_000).await;
    }
    server.then(Act::AnswerAndClose(answer(200, "")));
    app.order().await;
    app.drain().await;
    app.order().await;
    app.drain().await;
    let told = sent_to(&app, id).await;
    let last: Vec<_> = told[told.len() - 2..].iter().map(journal).collect();
    assert_eq!(
        last,
        [["send body delivered 200 -"], ["send body delivered 200 -"]],
        "a closed connection is no failure"
    );
    app.end().await;
}

async fn only_the_status_of_an_answer_counts() {
    let (app, server) = (App::with(sqlite().await, &[HERE]).await, Server::start().await);
    let (id, _) = own(&app, &server).await;
    let long = answer(200, &"x".repeat(200_000));
    let odd = "HTTP/1.1 204 No Content\r\n\r\n".to_owned();
    for said in [long, odd, answer(202, "\u{0}\u{1F600}"), answer(200, "")] {
        server.then(Act::Answer(said));
        app.order().await;
        app.drain().await;
    }
    server.then(Act::CutAnswer(answer(200, "a body that does not come"), 80));
    app.order().await;
    app.drain().await;
    assert_eq!(states(&app, id).await, ["sent"; 5]);
    server.then(Act::Answer(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned(),
    ));
    app.order().await;
    app.drain().await;
    let told = sent_to(&app, id).await;
    assert_eq!(journal(told.last().unwrap()), ["send body deferred 302 retry"], "nobody is followed");
    app.end().await;
}

async fn an_answer_says_when_to_come_again() {
    let (app, server) =
        (App::with(sqlite().await, &[HERE, ("CAPS__JITTER_PERCENT", "0")]).await, Server::start().await);
    let (id, _) = own(&app, &server).await;
    server.then(Act::Answer(with_header(503, "retry-after: 120", "later")));
    app.order().await;
    app.drain().await;
    let told = sent_to(&app, id).await;
    assert_eq!(told[0]["journal"][0]["reply"], "Retry-After: 120; later");
    pass(&app, 100_000).await;
    assert_eq!(server.requests().len(), 1, "the policy's pause is shorter");
    pass(&app, 21_000).await;
    assert_eq!((server.requests().len(), states(&app, id).await), (2, vec!["sent".to_owned()]));
    app.end().await;
}

async fn an_endpoint_that_fails_for_days_is_disabled() {
    let more = [HERE, ("CAPS__JITTER_PERCENT", "0"), ("WEBHOOKS__DISABLE_AFTER_HOURS", "1")];
    let (app, server) = (App::with(sqlite().await, &more).await, Server::start().await);
    let (id, _) = own(&app, &server).await;
    for _ in 0..9 {
        server.then(Act::Answer(answer(503, "later")));
    }
    app.order().await;
    app.drain().await;
    for pause_ms in PAUSES_MS {
        pass(&app, pause_ms).await;
        assert_eq!(seen(&app, id).await["state"], "active");
    }
    pass(&app, 7_300_000).await;
    let disabled = seen(&app, id).await;
    assert_eq!(disabled["state"], "disabled");
    assert_eq!(disabled["reason"], "nothing has arrived for 2 h; last: it answered 503");
    pass(&app, 20_000_000).await;
    assert_eq!((server.requests().len(), states(&app, id).await), (5, vec!["skipped".to_owned()]));
    let (status, _) = app.client.call("POST", &format!("/v1/webhook-endpoints/{id}/test"), &app.customer, None).await;
    assert_eq!(status, 409);
    let active = patch(&app, id, json!({ "state": "active" })).await;
    assert!(active["failing_since"].is_null());
    app.end().await;
}

/// An answer that comes after the endpoint's address was changed is that of the old one.
async fn what_was_sent_elsewhere_says_nothing_of_an_endpoint() {
    let more = [HERE, ("WEBHOOKS__ANSWER_MS_MAX", "1000"), ("CAPS__JITTER_PERCENT", "0")];
    let app = App::with(sqlite().await, &more).await;
    let (old, new) = (Server::start().await, Server::start().await);
    let (id, _) = own(&app, &old).await;
    old.then(Act::Silence);
    app.order().await;
    let moving = async {
        eventually("the request", async || old.requests().len() == 1).await;
        patch(&app, id, json!({ "url": at(&new) })).await;
    };
    tokio::join!(app.drain(), moving);
    let moved = seen(&app, id).await;
    assert!(moved["failing_since"].is_null() && moved["failure"].is_null(), "{moved}");
    pass(&app, 6_000).await;
    assert_eq!((kinds(&new), states(&app, id).await), (vec!["order.placed".to_owned()], vec!["sent".to_owned()]));
    assert_eq!(requests(&old)[0].id(), requests(&new)[0].id());
    app.end().await;
}

/// A host that has just asked believes for a moment that there is none: the first one is not said to be there before.
async fn a_host_that_knew_of_no_endpoint_hears_of_the_first(database: Database) {
    let (app, server) = (App::with(database, &[HERE]).await, Server::start().await);
    let config = Config::load(None, environment(&app.database, &[HERE])).unwrap();
    let roles = Roles { worker: false, ..Roles::ALL };
    let other = Box::pin(Host::start(config, roles, Clock::system())).await.unwrap();
    let there = Client::new(other.http.unwrap());
    let order = json!({ "items": [{ "product_id": app.product, "quantity": 1 }] });
    there.ok("POST", "/v1/orders", &app.customer, Some(order.clone())).await;
    let (id, _) = own(&app, &server).await;
    there.ok("POST", "/v1/orders", &app.customer, Some(order)).await;
    app.drain().await;
    assert_eq!((kinds(&server), sent_to(&app, id).await.len()), (vec!["order.placed".to_owned()], 1));
    other.stop().await;
    app.end().await;
}
