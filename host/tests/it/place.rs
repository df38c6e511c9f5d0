//! Orders that are placed together, from one host and from two.

use std::sync::Arc;

use ecomm::clock::Clock;
use ecomm::config::Config;
use ecomm::host::{Host, Roles};
use ecomm::service::{Error, Once, Principal, Service};
use ecomm::shop::order::{NewOrder, Order};
use serde_json::json;

use crate::app::{App, environment};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        each_order_gets_its_own_answer
        a_key_that_another_host_took_spoils_nobody_elses_order
        two_hosts_share_the_last_pieces
    }
}

fn order(product: i64, quantity: u32) -> NewOrder {
    serde_json::from_value(json!({ "items": [{ "product_id": product, "quantity": quantity }] })).unwrap()
}

/// Another host on the same database, which serves nothing.
async fn second_host(app: &App) -> Host {
    let config = Config::load(None, environment(&app.database, &[("MAILBOX__ENABLED", "true")])).unwrap();
    Host::start(config, Roles { api: false, grpc: false, worker: false }, Clock::system()).await.unwrap()
}

async fn place_all(
    service: &Arc<Service>,
    who: Principal,
    orders: impl IntoIterator<Item = (NewOrder, Option<Once>)>,
) -> Vec<Result<Order, Error>> {
    let place =
        |(new, once): (NewOrder, Option<Once>)| async move { service.place_order(who, new, once.as_ref()).await };
    futures_util::future::join_all(orders.into_iter().map(place)).await
}

async fn each_order_gets_its_own_answer(database: Database) {
    let app = App::start(database).await;
    let service = &app.host.service;
    let who = service.authenticate(Some(&app.customer)).unwrap();
    // Of 100 in stock: every fourth asks for what is not there, every fourth for too much, and the others for two
    // and three pieces, which fit.
    let new = |n: u32| match n % 4 {
        0 => order(app.product + 1_000, 1),
        1 => order(app.product, 101),
        2 => order(app.product, 2),
        _ => order(app.product, 3),
    };
    let answers = place_all(service, who, (0..40).map(|n| (new(n), None))).await;
    let mut ids = Vec::new();
    for (n, answer) in (0..).zip(answers) {
        match (n % 4, answer) {
            (0, Err(Error::Conflict(why))) => assert!(why.contains("there is no product"), "{why}"),
            (1, Err(Error::Conflict(why))) => assert!(why.contains("are in stock"), "{why}"),
            (2 | 3, Ok(order)) => {
                assert_eq!(order.lines[0].quantity, n % 4);
                assert_eq!(service.order(who, order.id).await.unwrap(), order);
                ids.push(order.id);
            }
            (_, answer) => panic!("{n}: {answer:?}"),
        }
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20);
    assert_eq!(app.database.number("select stock from products where sku = 'CUP'").await, 50);
    assert_eq!(app.queued().await, 20);
    assert_eq!(app.database.number("select count(*) from order_items").await, 20);
    app.drain().await;
    assert_eq!(app.subjects().len(), 20);
    app.end().await;
}

async fn a_key_that_another_host_took_spoils_nobody_elses_order(database: Database) {
    let app = App::start(database).await;
    let other = second_host(&app).await;
    let who = app.host.service.authenticate(Some(&app.customer)).unwrap();
    let once = |key: &str| Some(app.host.service.idempotency_key(key, b"the same").unwrap());
    let first = other.service.place_order(who, order(app.product, 1), once("k3").as_ref()).await.unwrap();
    let keys: Vec<_> = (0..8).map(|n| once(&format!("k{n}"))).collect();
    let again = keys.into_iter().map(|key| (order(app.product, 1), key));
    let answers: Vec<Order> =
        place_all(&app.host.service, who, again).await.into_iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(answers[3], first);
    assert_eq!(app.database.number("select count(*) from orders").await, 8);
    assert_eq!(app.database.number("select count(*) from idempotency_keys").await, 8);
    assert_eq!(app.database.number("select stock from products where sku = 'CUP'").await, 92);
    // Both at the same time: one of them places it, and both say which.
    let both =
        |service| place_all(service, who, [(order(app.product, 1), once("race")), (order(app.product, 2), None)]);
    let (here, there) = tokio::join!(both(&app.host.service), both(&other.service));
    let raced: Vec<i64> = [&here[0], &there[0]].into_iter().flatten().map(|order| order.id).collect();
    assert!(!raced.is_empty() && raced.iter().all(|id| *id == raced[0]), "{here:?} {there:?}");
    assert!(here[1].is_ok() && there[1].is_ok(), "{here:?} {there:?}");
    assert_eq!(app.database.number("select count(*) from orders").await, 11);
    other.stop().await;
    app.end().await;
}

/// What one host reads, the other may have sold: then its orders are tried one by one.
async fn two_hosts_share_the_last_pieces(database: Database) {
    let app = App::start(database).await;
    let other = second_host(&app).await;
    let who = app.host.service.authenticate(Some(&app.customer)).unwrap();
    let many = || (0..30).map(|_| (order(app.product, 3), None));
    let (here, there) = tokio::join!(place_all(&app.host.service, who, many()), place_all(&other.service, who, many()));
    let placed = here.iter().chain(&there).filter(|answer| answer.is_ok()).count();
    let refused = here.iter().chain(&there).filter(|answer| matches!(answer, Err(Error::Conflict(_)))).count();
    assert_eq!((placed, refused), (33, 27));
    assert_eq!(app.database.number("select stock from products where sku = 'CUP'").await, 1);
    assert_eq!(app.queued().await, 33);
    other.stop().await;
    app.end().await;
}
