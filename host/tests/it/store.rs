//! The queue's verbs on every database.

use ecomm::notification::{State, Transition};
use ecomm::store::queue::{Claimable, Claimed, Finish, Intent, Note, Provenance};

use crate::app::App;
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        only_the_head_of_a_lane_is_claimed
        an_end_makes_the_next_of_its_lane_due
        a_retry_pushes_what_waits_behind_it
        every_verb_is_fenced
        an_ended_claim_does_not_pass_the_fence
        an_intent_that_led_to_nothing_is_taken_back
        a_row_that_cannot_be_read_costs_only_itself
        intents_and_ends_are_journalled
        a_batch_ends_in_several_ways
        the_sweep_frees_what_only_inherited_its_time
        eight_workers_claim_each_event_once
        stock_is_exact_under_concurrency
        a_change_happens_once
    }
    behind_each_pooler {
        what_fails_as_it_begins_leaves_its_connection_usable
    }
}

pub fn finish(claimed: &Claimed, transition: Transition) -> Finish {
    Finish {
        claim: claimed.claim,
        lane: claimed.lane,
        place: claimed.place,
        attempts: claimed.attempts + 1,
        intent: matches!(transition, Transition::End { .. }),
        transition,
        notes: Vec::new(),
    }
}

pub fn intent(claimed: &Claimed) -> Intent {
    Intent {
        claim: claimed.claim,
        relay: "default".to_owned(),
        provenance: Provenance::default(),
        ab_variant: None,
        situation: "{}".to_owned(),
        message_hash: "x".to_owned(),
        dated_at: claimed.claimed_at,
    }
}

pub fn sent() -> Transition {
    Transition::End { state: State::Sent, reason: "250 ok".to_owned() }
}

pub async fn claim(app: &App, limit: i64) -> Vec<Claimed> {
    app.host.service.store.claim(Claimable::All, [0, limit, 0, 0], 60_000).await.unwrap()
}

async fn only_the_head_of_a_lane_is_claimed(database: Database) {
    let app = App::start(database).await;
    let (first, second) = (app.order().await, app.order().await);
    app.change(first, "shipped").await;
    app.change(second, "cancelled").await;
    let mut heads: Vec<_> = claim(&app, 10).await.iter().map(|c| (c.lane, c.place)).collect();
    heads.sort_unstable();
    assert_eq!(heads, [(first, 1), (second, 1)]);
    assert!(claim(&app, 10).await.is_empty());
    app.clock.advance(60_001);
    assert_eq!(claim(&app, 1).await.len(), 1);
    app.end().await;
}

async fn an_end_makes_the_next_of_its_lane_due(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let head = claim(&app, 10).await.remove(0);
    // Enqueued behind a leased head, it waits with it.
    app.change(order, "shipped").await;
    assert!(claim(&app, 10).await.is_empty());
    let store = &app.host.service.store;
    assert_eq!(store.finish(&[finish(&head, sent())]).await.unwrap(), [true]);
    let next = claim(&app, 10).await;
    assert_eq!(next.iter().map(|c| c.place).collect::<Vec<_>>(), [2]);
    assert_eq!(next[0].notification().unwrap().payload.kind, "order.shipped");
    app.end().await;
}

async fn a_retry_pushes_what_waits_behind_it(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    app.change(order, "shipped").await;
    let head = claim(&app, 10).await.remove(0);
    let later = Transition::Later { delay_ms: 300_000, relay: Some("default".to_owned()) };
    app.host.service.store.finish(&[finish(&head, later)]).await.unwrap();
    // Statements of one transaction may see the clock a little apart.
    let apart = "select max(due_at) - min(due_at) from notification_events_queue";
    assert!(app.database.number(apart).await < 1_000);
    app.clock.advance(299_000);
    assert!(claim(&app, 10).await.is_empty());
    app.clock.advance(1_001);
    let again = claim(&app, 10).await;
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].place, again[0].attempts, again[0].relay.as_deref()), (1, 1, Some("default")));
    app.end().await;
}

async fn every_verb_is_fenced(database: Database) {
    let app = App::start(database).await;
    app.order().await;
    app.order().await;
    let store = &app.host.service.store;
    let old = claim(&app, 10).await;
    app.clock.advance(60_001);
    let new = claim(&app, 1).await.remove(0);
    let stale = old.iter().find(|o| o.claim.event == new.claim.event).unwrap();
    let expired = old.iter().find(|o| o.claim.event != new.claim.event).unwrap();
    let intents = [intent(stale), intent(expired), intent(&new)];
    assert_eq!(store.hand_over(&intents).await.unwrap(), [false, false, true]);
    assert_eq!(store.renew(&[stale.claim, expired.claim, new.claim], 1).await.unwrap(), [false, false, true]);
    // Nobody else has claimed the expired one, so what became of it still counts.
    let ends = [finish(stale, sent()), finish(expired, sent()), finish(&new, sent())];
    assert_eq!(store.finish(&ends).await.unwrap(), [false, true, true]);
    assert_eq!(store.finish(&ends).await.unwrap(), [false, false, false]);
    assert_eq!(app.states().await, ["sent", "sent"]);
    app.end().await;
}

async fn an_ended_claim_does_not_pass_the_fence(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let store = &app.host.service.store;
    for transition in [Transition::GiveBack, Transition::Later { delay_ms: 0, relay: None }] {
        let head = claim(&app, 1).await.remove(0);
        assert_eq!(store.finish(&[finish(&head, transition)]).await.unwrap(), [true]);
        assert_eq!(store.hand_over(&[intent(&head)]).await.unwrap(), [false]);
        assert_eq!(store.finish(&[finish(&head, sent())]).await.unwrap(), [false]);
    }
    assert_eq!(app.notifications(order).await[0]["state"], "not sent");
    app.end().await;
}

async fn an_intent_that_led_to_nothing_is_taken_back(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let store = &app.host.service.store;
    for transition in [Transition::GiveBack, Transition::Later { delay_ms: 0, relay: None }] {
        let head = claim(&app, 1).await.remove(0);
        assert!(!head.in_doubt);
        assert_eq!(store.hand_over(&[intent(&head)]).await.unwrap(), [true]);
        let end = Finish { attempts: head.attempts, ..finish(&head, transition) };
        assert_eq!(store.finish(&[end]).await.unwrap(), [true]);
        assert_eq!(app.notifications(order).await[0]["journal"], serde_json::json!([]));
    }
    assert!(!claim(&app, 1).await.remove(0).in_doubt);
    app.end().await;
}

async fn a_row_that_cannot_be_read_costs_only_itself(database: Database) {
    let app = App::start(database).await;
    let (bad, none, good) = (app.order().await, app.order().await, app.order().await);
    let its = format!("(select id from notification_states where lane = {bad})");
    app.database.execute(&format!("update notification_payloads set payload = 'x' where state_id = {its}")).await;
    let its = format!("(select id from notification_states where lane = {none})");
    app.database.execute(&format!("delete from notification_payloads where state_id = {its}")).await;
    app.drain().await;
    assert_eq!(app.states().await, ["held", "held", "sent"]);
    assert_eq!(app.subjects(), [format!("Your order {good} at My Shop")]);
    app.end().await;
}

async fn intents_and_ends_are_journalled(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let store = &app.host.service.store;
    let head = claim(&app, 1).await.remove(0);
    let provenance = Provenance { seed: Some(-7), ..Provenance::default() };
    store.hand_over(&[Intent { provenance, ..intent(&head) }]).await.unwrap();
    app.clock.advance(60_001);
    let again = claim(&app, 1).await.remove(0);
    assert!(again.in_doubt);
    let note = Note {
        kind: "send",
        phase: Some("body".to_owned()),
        class: Some("in-doubt".to_owned()),
        reply: Some("Zeichen: ä 🙂 '\"\\".to_owned()),
        ..Note::default()
    };
    let later = Transition::Later { delay_ms: 1, relay: None };
    let end = Finish { notes: vec![note], intent: true, ..finish(&again, later) };
    store.finish(&[end]).await.unwrap();
    let entry = app.notifications(order).await[0]["journal"][0].clone();
    assert_eq!((entry["class"].as_str(), entry["seed"].as_i64()), (Some("in-doubt"), Some(-7)));
    assert_eq!(entry["reply"], "Zeichen: ä 🙂 '\"\\");
    app.clock.advance(2);
    let third = claim(&app, 1).await.remove(0);
    assert!(!third.in_doubt);
    assert_eq!(third.history.len(), 1);
    app.end().await;
}

async fn a_batch_ends_in_several_ways(database: Database) {
    let app = App::start(database).await;
    let mut orders = Vec::new();
    for _ in 0..4 {
        orders.push(app.order().await);
    }
    let store = &app.host.service.store;
    let claimed = claim(&app, 4).await;
    let intents: Vec<_> = claimed[..2].iter().map(intent).collect();
    assert_eq!(store.hand_over(&intents).await.unwrap(), [true, true]);
    let note = |kind: &'static str, class: &str| Note { kind, class: Some(class.to_owned()), ..Note::default() };
    let mut stale = claimed[3].clone();
    stale.claim.token += 1;
    let skip = Transition::End { state: State::Skipped, reason: "told already".to_owned() };
    let ends = [
        Finish { notes: vec![note("send", "delivered")], ..finish(&claimed[0], sent()) },
        Finish {
            intent: true,
            notes: vec![note("send", "deferred")],
            ..finish(&claimed[1], Transition::Later { delay_ms: 1_000, relay: None })
        },
        Finish { intent: false, notes: vec![note("decision", "skip")], ..finish(&claimed[2], skip) },
        finish(&stale, sent()),
    ];
    assert_eq!(store.finish(&ends).await.unwrap(), [true, true, true, false]);
    assert_eq!(app.states().await, ["sent", "not sent", "skipped", "not sent"]);
    assert_eq!(app.queued().await, 2);
    let mut classes = Vec::new();
    for order in orders {
        let journal = app.notifications(order).await[0]["journal"].clone();
        classes.push(journal[0]["class"].as_str().map(ToOwned::to_owned));
    }
    assert_eq!(
        classes.iter().map(Option::as_deref).collect::<Vec<_>>(),
        [Some("delivered"), Some("deferred"), Some("skip"), None]
    );
    app.end().await;
}

async fn the_sweep_frees_what_only_inherited_its_time(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let head = claim(&app, 1).await.remove(0);
    app.change(order, "shipped").await;
    let store = &app.host.service.store;
    assert_eq!(store.sweep().await.unwrap(), 0);
    // As if the enqueue had not seen the head leave: the row goes without making the next one due.
    app.database.execute(&format!("delete from notification_events_queue where state_id = {}", head.claim.event)).await;
    assert!(claim(&app, 1).await.is_empty());
    assert_eq!(store.sweep().await.unwrap(), 1);
    assert_eq!(claim(&app, 1).await[0].place, 2);
    app.end().await;
}

async fn eight_workers_claim_each_event_once(database: Database) {
    let app = App::start(database).await;
    for _ in 0..40 {
        app.order().await;
    }
    let worker = || async {
        let mut mine = Vec::new();
        let mut empty = 0;
        while empty < 3 {
            match app.host.service.store.claim(Claimable::All, [0, 3, 0, 0], 60_000).await {
                Ok(claimed) if claimed.is_empty() => empty += 1,
                Ok(claimed) => mine.extend(claimed.iter().map(|c| c.claim.event)),
                Err(e) => assert!(e.is_transient(), "{e}"),
            }
        }
        mine
    };
    let mut all: Vec<i64> = futures_util::future::join_all((0..8).map(|_| worker())).await.concat();
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!((count, all.len()), (40, 40));
    app.end().await;
}

async fn stock_is_exact_under_concurrency(database: Database) {
    let app = App::start(database).await;
    let new =
        serde_json::json!({ "sku": "LAST", "name": "Last", "price": { "amount": 1, "currency": "USD" }, "stock": 1 });
    let last = app.client.ok("POST", "/v1/products", &app.admin, Some(new)).await["id"].clone();
    let placing = (0..12).map(|_| {
        let new = serde_json::json!({ "items": [{ "product_id": last, "quantity": 1 }] });
        app.client.call("POST", "/v1/orders", &app.customer, Some(new))
    });
    let answers = futures_util::future::join_all(placing).await;
    let with = |code: u16| answers.iter().filter(|(status, _)| status.as_u16() == code).count();
    assert_eq!((with(201), with(409)), (1, 11));
    let left = app.database.number("select stock from products where sku = 'LAST'").await;
    assert_eq!((left, app.queued().await), (0, 1));
    app.end().await;
}

async fn a_change_happens_once(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let path = format!("/v1/orders/{order}/status");
    let shipping =
        (0..10).map(|_| app.client.call("PATCH", &path, &app.admin, Some(serde_json::json!({ "status": "shipped" }))));
    let answers = futures_util::future::join_all(shipping).await;
    assert_eq!(answers.iter().filter(|(status, _)| status.is_success()).count(), 1);
    assert_eq!(app.queued().await, 2);
    app.end().await;
}

/// The rows that an end needs are locked by somebody else, and the server gives up waiting: each connection of the host goes on
/// to be good for something.
async fn what_fails_as_it_begins_leaves_its_connection_usable(database: Database) {
    let named = database.texts("select current_database()::text").await.remove(0);
    database.execute(&format!("alter database {named} set lock_timeout = 50")).await;
    let app = App::with(database, &[("DATABASE__CONNECTIONS_MAX", "2")]).await;
    app.order().await;
    let claimed = claim(&app, 1).await.remove(0);
    let end = Finish { intent: true, ..finish(&claimed, sent()) };
    let holding = app.database.hold("select state_id from notification_events_queue for update").await;
    for _ in 0..4 {
        app.host.service.store.finish(std::slice::from_ref(&end)).await.unwrap_err();
    }
    holding.release().await;
    assert_eq!(app.host.service.store.finish(&[end]).await.unwrap(), [true]);
    assert_eq!(app.states().await, ["sent"]);
    app.end().await;
}
