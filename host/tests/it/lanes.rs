//! Mails that are not about an order wait in lanes of their own, and the urgent ones not for long.

use ecomm::notification::Transition;
use ecomm::store::queue::{Claimable, Claimed};

use crate::accounts::SETTINGS;
use crate::app::App;
use crate::database::Database;
use crate::harness::tests;
use crate::store::finish;

tests! {
    on_each_database {
        urgent_mails_overtake_and_starve_nobody
        what_is_about_no_order_is_merged_into_nothing
    }
}

async fn urgent_mails_overtake_and_starve_nobody(database: Database) {
    let app = App::with(database, &SETTINGS).await;
    app.drain().await;
    for _ in 0..30 {
        app.order().await;
    }
    let path = format!("/v1/users/{}/email-verification", app.customer_id().await);
    app.client.ok("POST", &path, &app.customer, None).await;
    let store = &app.host.service.store;
    let claim = async |portions| {
        let claimed = store.claim(Claimable::All, portions, 60_000).await.unwrap();
        let kind = |c: &Claimed| c.notification().unwrap().payload.kind;
        claimed.iter().map(kind).collect::<Vec<_>>()
    };
    assert_eq!(claim([0, 4, 0, 0]).await, ["order.placed"; 4], "of each urgency its portion alone");
    // It came last, and is claimed before the others.
    let second = claim([1, 3, 1, 0]).await;
    assert_eq!(second.iter().filter(|kind| *kind == "account.verify-email").count(), 1, "{second:?}");
    assert_eq!(second.len(), 4, "{second:?}");
    assert!(claim([5, 0, 3, 0]).await.is_empty());
    assert_eq!(claim([100, 100, 100, 0]).await.len(), 30 - 4 - 3);
    app.end().await;
}

/// Only an order's mail lists others: a policy that merges whatever it is asked about loses none.
async fn what_is_about_no_order_is_merged_into_nothing(database: Database) {
    let app = App::with(database, &SETTINGS).await;
    app.drain().await;
    let path = format!("/v1/users/{}/email-verification", app.customer_id().await);
    for _ in 0..2 {
        app.client.ok("POST", &path, &app.customer, None).await;
    }
    let before = app.mailbox.messages().len();
    let store = &app.host.service.store;
    let claimed = store.claim(Claimable::All, [10, 0, 0, 0], 60_000).await.unwrap();
    assert_eq!(claimed.len(), 1, "one of a lane");
    assert_eq!(store.finish(&[finish(&claimed[0], Transition::Merge)]).await.unwrap(), [true]);
    app.drain().await;
    assert_eq!((app.mailbox.messages().len() - before, app.queued().await), (2, 0));
    app.end().await;
}
