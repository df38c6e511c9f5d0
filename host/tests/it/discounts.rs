//! Codes that take something off: when they are given, how often, what is paid back of what was not paid, and what mails say.

use ecomm::grpc::pb;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{App, newest, sqlite, user};
use crate::both_apis::{channel, with};
use crate::console::Browser;
use crate::database::Database;
use crate::harness::tests;
use crate::parts::{dollars, item, make, product, stock};

tests! {
    on_each_database {
        a_code_takes_a_part_off_and_the_mail_says_so
        a_code_takes_an_amount_off_the_lines_of_its_products
        a_code_is_given_as_often_as_it_says_and_not_once_more
        what_is_cancelled_gives_its_code_back
    }
    once {
        a_code_that_is_not_given_says_why_and_leaves_no_trace
        what_breaks_a_rule_is_pointed_at
        discounts_are_kept_by_admins
        discounts_are_kept_over_grpc_as_well
        it_is_taken_off_before_the_tax
    }
}

async fn discount(app: &App, new: Value) -> Value {
    let mut all = json!({ "code": "SPRING", "label": "Spring sale" });
    all.as_object_mut().unwrap().extend(new.as_object().unwrap().clone());
    app.client.ok("POST", "/v1/discounts", &app.admin, Some(all)).await
}

async fn uses(app: &App, discount: &Value) -> Value {
    app.client.ok("GET", &format!("/v1/discounts/{}", discount["id"]), &app.admin, None).await["uses"].clone()
}

fn order(items: &[(i64, u32)], codes: &[&str]) -> Value {
    let items: Vec<Value> = items.iter().map(|(product_id, quantity)| item(*product_id, *quantity)).collect();
    json!({ "items": items, "discount_codes": codes })
}

async fn placed(app: &App, items: &[(i64, u32)], codes: &[&str]) -> Value {
    app.client.ok("POST", "/v1/orders", &app.customer, Some(order(items, codes))).await
}

/// Why an order is refused.
async fn refused(app: &App, token: &str, items: &[(i64, u32)], codes: &[&str]) -> (u16, String) {
    let (status, problem) = app.client.call("POST", "/v1/orders", token, Some(order(items, codes))).await;
    (status.as_u16(), problem["detail"].as_str().unwrap_or_default().to_owned())
}

async fn a_code_takes_a_part_off_and_the_mail_says_so(database: Database) {
    let app = App::start(database).await;
    let spring = discount(&app, json!({ "basis_points": 1_500, "code": "spring" })).await;
    assert_eq!((&spring["code"], &spring["uses"]), (&json!("SPRING"), &json!(0)));
    // However it is written, and once.
    let order = placed(&app, &[(app.product, 3)], &["Spring", "SPRING"]).await;
    assert_eq!(
        (&order["subtotal"], &order["discount"], &order["total"]),
        (&dollars(5_997), &dollars(900), &dollars(5_097))
    );
    assert_eq!(order["discounts"], json!([{ "code": "SPRING", "label": "Spring sale", "amount": dollars(900) }]));
    assert_eq!(order["lines"][0]["discount"], Value::Null);
    let id = order["id"].as_i64().unwrap();
    let read = app.client.ok("GET", &format!("/v1/orders/{id}"), &app.customer, None).await;
    assert_eq!(read, order);
    app.drain().await;
    let mail = newest(&app);
    for part in ["Spring sale (SPRING)", "9.00", "$50.97"] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let page = admin.get(&format!("/console/orders/{id}")).await.text;
    assert!(page.contains("SPRING: Spring sale, "), "{page}");
    // Each piece is paid back as it was paid; all of them make the whole.
    let mut back = Vec::new();
    app.change(id, "shipped").await;
    for _ in 0..3 {
        let order = make(&app, id, "POST", "refunds", json!({ "items": [item(app.product, 1)] })).await;
        back.push(order["refunds"].as_array().unwrap().last().unwrap()["amount"]["amount"].as_i64().unwrap());
    }
    assert_eq!((back.iter().sum::<i64>(), back), (5_097, vec![1_699, 1_699, 1_699]));
    assert_eq!(uses(&app, &spring).await, 1);
    app.end().await;
}

async fn a_code_takes_an_amount_off_the_lines_of_its_products(database: Database) {
    let app = App::start(database).await;
    let (plate, bowl) = (product(&app, "PLATE", "Plate", 333).await, product(&app, "BOWL", "Bowl", 1_000).await);
    discount(&app, json!({ "code": "TABLE", "amount": dollars(100), "product_ids": [plate, bowl] })).await;
    discount(&app, json!({ "code": "half", "basis_points": 5_000 })).await;
    let order = placed(&app, &[(app.product, 1), (plate, 3), (bowl, 1)], &["half", "table"]).await;
    let lines: Vec<(Value, Value)> =
        order["lines"].as_array().unwrap().iter().map(|l| (l["discount"].clone(), l["total"].clone())).collect();
    assert_eq!(lines, [(Value::Null, dollars(1_999)), (dollars(50), dollars(949)), (dollars(50), dollars(950))]);
    assert_eq!(
        (&order["subtotal"], &order["discount"], &order["total"]),
        (&dollars(3_898), &dollars(1_949), &dollars(1_949))
    );
    app.drain().await;
    let mail = newest(&app);
    assert!(mail.contains("0.50"), "{mail}");
    let id = order["id"].as_i64().unwrap();
    app.change(id, "shipped").await;
    // A piece of three that cost 9.49, of which half was paid.
    let mut back = 0;
    for (product, count) in [(plate, 1), (plate, 1), (plate, 1), (bowl, 1), (app.product, 1)] {
        let order = make(&app, id, "POST", "refunds", json!({ "items": [item(product, count)] })).await;
        back += order["refunds"].as_array().unwrap().last().unwrap()["amount"]["amount"].as_i64().unwrap();
    }
    assert_eq!(back, 1_949);
    app.end().await;
}

async fn a_code_is_given_as_often_as_it_says_and_not_once_more(database: Database) {
    let app = App::start(database).await;
    let cup = [(app.product, 1)];
    let few = discount(&app, json!({ "code": "FEW", "basis_points": 1_000, "uses_max": 3 })).await;
    let all = join_all((0..12).map(|_| refused(&app, &app.customer, &cup, &["FEW"]))).await;
    assert_eq!(all.iter().filter(|(status, _)| *status == 201).count(), 3, "{all:?}");
    let no: Vec<_> = all.iter().filter(|(status, _)| *status != 201).collect();
    assert!(no.iter().all(|no| **no == (409, "the discount code \"FEW\" is used up".to_owned())), "{no:?}");
    assert_eq!((uses(&app, &few).await, stock(&app, app.product).await), (json!(3), json!(97)));
    let once = discount(&app, json!({ "code": "ONCE", "amount": dollars(1), "uses_per_customer_max": 1 })).await;
    app.host.service.sign_up(user("bob@example.com", "Bob")).await.unwrap();
    let bob = app.client.log_in("bob@example.com").await;
    for token in [&app.customer, &bob] {
        let all = join_all((0..6).map(|_| refused(&app, token, &cup, &["ONCE"]))).await;
        assert_eq!(all.iter().filter(|(status, _)| *status == 201).count(), 1, "{all:?}");
        let no = all.iter().find(|(status, _)| *status != 201).unwrap();
        assert_eq!(no.1, "you have used the discount code \"ONCE\" already");
    }
    assert_eq!(uses(&app, &once).await, 2);
    app.end().await;
}

async fn what_is_cancelled_gives_its_code_back(database: Database) {
    let app = App::start(database).await;
    let one =
        discount(&app, json!({ "code": "ONE", "basis_points": 1_000, "uses_max": 1, "uses_per_customer_max": 1 }))
            .await;
    let two = discount(&app, json!({ "code": "TWO", "amount": dollars(100), "product_ids": [app.product] })).await;
    let first = placed(&app, &[(app.product, 1)], &["ONE", "TWO"]).await;
    assert_eq!((uses(&app, &one).await, uses(&app, &two).await), (json!(1), json!(1)));
    let path = format!("/v1/orders/{}", first["id"]);
    app.client.ok("DELETE", &path, &app.customer, None).await;
    assert_eq!((uses(&app, &one).await, uses(&app, &two).await), (json!(0), json!(0)));
    // By its last piece that is paid back as well, and once.
    let second = placed(&app, &[(app.product, 2)], &["ONE"]).await["id"].as_i64().unwrap();
    let back = make(&app, second, "POST", "refunds", json!({ "items": [item(app.product, 2)] })).await;
    assert_eq!((&back["status"], uses(&app, &one).await), (&json!("cancelled"), json!(0)));
    make(&app, second, "POST", "notes", json!({ "note": "Sorry." })).await;
    assert_eq!(uses(&app, &one).await, 0);
    // What an order was told it costs, it cost.
    assert_eq!(back["discount"], dollars(400));
    placed(&app, &[(app.product, 1)], &["ONE"]).await;
    app.end().await;
}

async fn a_code_that_is_not_given_says_why_and_leaves_no_trace() {
    let app = App::start(sqlite().await).await;
    let plate = product(&app, "PLATE", "Plate", 333).await;
    let now = app.clock.now_ms();
    let at = |ms: i64| ecomm::clock::rfc3339::text(now + ms);
    let gone = discount(&app, json!({ "code": "GONE", "basis_points": 1 })).await;
    let path = format!("/v1/discounts/{}", gone["id"]);
    let (status, ..) = app.client.with(("DELETE", &path), &app.admin, &[("If-Match", "\"1\"")], None).await;
    assert_eq!(status, 204);
    discount(&app, json!({ "code": "SOON", "basis_points": 1, "starts_at": at(60_000) })).await;
    discount(&app, json!({ "code": "OVER", "basis_points": 1, "ends_at": at(0) })).await;
    discount(&app, json!({ "code": "MUCH", "basis_points": 1, "subtotal_min": dollars(2_000) })).await;
    discount(&app, json!({ "code": "EURO", "amount": { "amount": 1, "currency": "EUR" } })).await;
    discount(&app, json!({ "code": "PLATES", "basis_points": 1, "product_ids": [plate] })).await;
    for (code, why) in [
        ("nope", "there is no discount code \"NOPE\""),
        ("gone", "there is no discount code \"GONE\""),
        ("soon", "the discount code \"SOON\" cannot be used yet"),
        ("over", "the discount code \"OVER\" has expired"),
        ("much", "the discount code \"MUCH\" asks for products of at least 2000 USD in minor units"),
        ("euro", "the discount code \"EURO\" is for orders in another currency"),
        ("plates", "the discount code \"PLATES\" is for other products"),
    ] {
        assert_eq!(refused(&app, &app.customer, &[(app.product, 1)], &[code]).await, (409, why.to_owned()));
    }
    let rows = "select (select count(*) from orders) + (select count(*) from discount_uses)";
    assert_eq!((app.database.number(rows).await, stock(&app, app.product).await), (0, json!(100)));
    app.clock.advance(60_000);
    placed(&app, &[(app.product, 1)], &["soon"]).await;
    placed(&app, &[(app.product, 2)], &["much"]).await;
    app.end().await;
}

async fn what_breaks_a_rule_is_pointed_at() {
    let app = App::start(sqlite().await).await;
    let four = order(&[(app.product, 1)], &["AAA", "BBB", "CCC", "DDD"]);
    let (status, problem) = app.client.call("POST", "/v1/orders", &app.customer, Some(four)).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("/discount_codes")), "{problem}");
    for (new, pointer) in [
        (json!({ "code": "a b" }), "/code"),
        (json!({ "basis_points": 10_001 }), "/basis_points"),
        (json!({ "basis_points": 1, "uses_max": 0 }), "/uses_max"),
        (json!({ "amount": { "amount": -1, "currency": "USD" } }), "/amount"),
        (json!({ "basis_points": 1, "product_ids": vec![1; 101] }), "/product_ids"),
    ] {
        let mut all = json!({ "code": "SPRING", "label": "Spring sale" });
        all.as_object_mut().unwrap().extend(new.as_object().unwrap().clone());
        let (status, problem) = app.client.call("POST", "/v1/discounts", &app.admin, Some(all)).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{problem}");
    }
    for (new, why) in [
        (json!({}), "a discount takes off either a part (basis_points) or an amount"),
        (
            json!({ "basis_points": 1, "starts_at": "2030-01-01T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z" }),
            "ends_at must come after starts_at",
        ),
    ] {
        let mut all = json!({ "code": "SPRING", "label": "Spring sale" });
        all.as_object_mut().unwrap().extend(new.as_object().unwrap().clone());
        let (status, problem) = app.client.call("POST", "/v1/discounts", &app.admin, Some(all)).await;
        assert_eq!((status.as_u16(), &problem["detail"]), (409, &json!(why)), "{problem}");
    }
    app.end().await;
}

async fn discounts_are_kept_by_admins() {
    let app = App::start(sqlite().await).await;
    let spring = discount(&app, json!({ "basis_points": 1_000 })).await;
    let path = format!("/v1/discounts/{}", spring["id"]);
    for (method, path) in [("GET", "/v1/discounts"), ("GET", path.as_str()), ("DELETE", path.as_str())] {
        assert_eq!(app.client.call(method, path, &app.customer, None).await.0.as_u16(), 403, "{method} {path}");
    }
    let (status, problem) = app
        .client
        .call("POST", "/v1/discounts", &app.admin, Some(json!({ "code": "spring", "label": "x", "basis_points": 1 })))
        .await;
    assert_eq!((status.as_u16(), &problem["detail"]), (409, &json!("the code \"SPRING\" is taken")));
    let change = json!({ "basis_points": null, "amount": dollars(500), "uses_max": 10 });
    let changed = app.client.ok("PATCH", &path, &app.admin, Some(change)).await;
    assert_eq!(
        (&changed["basis_points"], &changed["amount"], &changed["version"]),
        (&Value::Null, &dollars(500), &json!(2))
    );
    let (status, ..) =
        app.client.with(("PATCH", &path), &app.admin, &[("If-Match", "\"1\"")], Some(json!({ "label": "x" }))).await;
    assert_eq!(status, 412);
    app.end().await;
}

async fn discounts_are_kept_over_grpc_as_well() {
    let app = App::start(sqlite().await).await;
    discount(&app, json!({ "amount": dollars(500) })).await;
    let mut discounts = pb::discount_service_client::DiscountServiceClient::new(channel(&app).await);
    let new = pb::CreateDiscountRequest {
        code: "summer".to_owned(),
        label: "Summer".to_owned(),
        basis_points: Some(2_000),
        uses_per_customer_max: Some(1),
        request_id: "one".to_owned(),
        ..pb::CreateDiscountRequest::default()
    };
    for _ in 0..2 {
        let made =
            discounts.create_discount(with(&app.admin, new.clone())).await.unwrap().into_inner().discount.unwrap();
        assert_eq!((made.code.as_str(), made.basis_points, made.version), ("SUMMER", Some(2_000), 1));
    }
    let list = pb::ListDiscountsRequest::default();
    let listed = discounts.list_discounts(with(&app.admin, list)).await.unwrap().into_inner().discounts;
    assert_eq!(listed.iter().map(|d| d.code.as_str()).collect::<Vec<_>>(), ["SUMMER", "SPRING"]);
    let change = pb::UpdateDiscountRequest {
        discount: Some(pb::Discount {
            id: listed[0].id,
            ends_at: Some(prost_types::Timestamp { seconds: 2_000_000_000, nanos: 0 }),
            ..pb::Discount::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["ends_at".to_owned(), "uses_per_customer_max".to_owned()],
        }),
        etag: "1".to_owned(),
        request_id: String::new(),
    };
    let changed = discounts.update_discount(with(&app.admin, change)).await.unwrap().into_inner().discount.unwrap();
    assert_eq!(
        (changed.ends_at.unwrap().seconds, changed.uses_per_customer_max, changed.basis_points),
        (2_000_000_000, None, Some(2_000))
    );
    let delete = pb::DeleteDiscountRequest { id: listed[0].id, etag: String::new() };
    discounts.delete_discount(with(&app.admin, delete)).await.unwrap();
    let shown = app.client.ok("GET", "/v1/discounts?code=summer", &app.admin, None).await;
    assert_eq!(shown["items"], json!([]));
    let shown = app.client.ok("GET", "/v1/discounts?code=summer&archived=true", &app.admin, None).await;
    assert_eq!(shown["items"].as_array().unwrap().len(), 1);
    // Orders over gRPC give codes as well.
    let mut orders = pb::order_service_client::OrderServiceClient::new(channel(&app).await);
    let new = pb::CreateOrderRequest {
        items: vec![pb::OrderItem { product_id: app.product, quantity: 1 }],
        discount_codes: vec!["spring".to_owned()],
        ..pb::CreateOrderRequest::default()
    };
    let order = orders.create_order(with(&app.customer, new)).await.unwrap().into_inner().order.unwrap();
    assert_eq!((order.discounts[0].code.as_str(), order.total.unwrap().amount), ("SPRING", 1_499));
    app.end().await;
}

async fn it_is_taken_off_before_the_tax() {
    let pricing = [
        ("PRICING__TAX_BASIS_POINTS", "2000"),
        ("PRICING__SHIPPING_FLAT", "500"),
        ("PRICING__SHIPPING_FREE_FROM", "3000"),
    ];
    let app = App::with(sqlite().await, &pricing).await;
    discount(&app, json!({ "basis_points": 5_000 })).await;
    let order = placed(&app, &[(app.product, 1)], &["spring"]).await;
    let sums = ["subtotal", "discount", "shipping", "tax", "total"].map(|key| order[key]["amount"].as_i64().unwrap());
    assert_eq!(sums, [1_999, 1_000, 500, 300, 1_799]);
    // Whether shipping is free depends on what is ordered, not on what is taken off.
    let order = placed(&app, &[(app.product, 2)], &["spring"]).await;
    assert_eq!(order["shipping"]["amount"], 0);
    app.end().await;
}
