//! What happens to an order after it was placed, beside its being sent as a whole: parcels one by one, notes, and what is refused,
//! with the mails that tell of it. Its money: `order_money`.

use ecomm::grpc::pb;
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, newest, sqlite};
use crate::both_apis::{channel, with};
use crate::console::Browser;
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        parcels_leave_one_by_one_and_each_has_its_mail
        what_is_said_of_an_order_goes_with_its_customer
    }
    once {
        what_does_not_go_together_is_refused_and_leaves_no_trace
        what_breaks_a_rule_is_pointed_at
        only_admins_change_orders_and_only_what_they_saw
        both_apis_change_orders
        a_cancelled_order_says_why
        the_console_has_a_form_for_each
    }
}

pub async fn order_of(app: &App, items: &[(i64, u32)]) -> i64 {
    let items: Vec<Value> = items.iter().map(|(product_id, quantity)| item(*product_id, *quantity)).collect();
    let new = json!({ "items": items, "payment_method": "card" });
    app.client.ok("POST", "/v1/orders", &app.customer, Some(new)).await["id"].as_i64().unwrap()
}

pub fn item(product_id: i64, quantity: u32) -> Value {
    json!({ "product_id": product_id, "quantity": quantity })
}

pub async fn product(app: &App, sku: &str, name: &str, amount: i64) -> i64 {
    let price = json!({ "amount": amount, "currency": "USD" });
    let new = json!({ "sku": sku, "name": name, "price": price, "stock": 100 });
    app.client.ok("POST", "/v1/products", &app.admin, Some(new)).await["id"].as_i64().unwrap()
}

pub async fn make(app: &App, order: i64, method: &str, what: &str, change: Value) -> Value {
    app.client.ok(method, &format!("/v1/orders/{order}/{what}"), &app.admin, Some(change)).await
}

/// What it is refused with.
pub async fn refused(app: &App, order: i64, method: &str, what: &str, change: Value) -> (u16, String) {
    let path = format!("/v1/orders/{order}/{what}");
    let (status, problem) = app.client.call(method, &path, &app.admin, Some(change)).await;
    (status.as_u16(), problem["detail"].as_str().unwrap_or_default().to_owned())
}

pub async fn stock(app: &App, product: i64) -> Value {
    app.client.ok("GET", &format!("/v1/products/{product}"), &app.admin, None).await["stock"].clone()
}

pub fn pieces(order: &Value) -> Vec<[i64; 3]> {
    let of = |line: &Value| {
        ["shipped_quantity", "refunded_quantity", "open_quantity"].map(|name| line[name].as_i64().unwrap())
    };
    order["lines"].as_array().unwrap().iter().map(of).collect()
}

pub fn dollars(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "USD" })
}

async fn parcels_leave_one_by_one_and_each_has_its_mail(database: Database) {
    let app = App::start(database).await;
    let pot = product(&app, "POT", "Tea pot", 4_900).await;
    let order = order_of(&app, &[(app.product, 3), (pot, 1)]).await;
    let parcel = |number: &str, items: Value| json!({ "carrier": "Post", "number": number, "items": items });
    let first = json!({ "status": "partly_shipped", "tracking": [parcel("RR1", json!([item(app.product, 2)]))] });
    let changed = make(&app, order, "PATCH", "status", first).await;
    assert_eq!((&changed["status"], pieces(&changed)), (&json!("partly_shipped"), vec![[2, 0, 1], [0, 0, 1]]));
    app.drain().await;
    let mail = newest(&app);
    assert!(mail.contains(&format!("Subject: Part of order {order} is on its way")), "{mail}");
    assert!(mail.contains("2 of 4 items") && mail.contains("RR1"), "{mail}");
    let second = json!({ "status": "partly_shipped", "tracking": [parcel("RR2", json!([item(app.product, 1)]))] });
    make(&app, order, "PATCH", "status", second).await;
    let last = json!({ "status": "shipped", "tracking": [parcel("RR3", json!([item(pot, 1)]))] });
    let changed = make(&app, order, "PATCH", "status", last).await;
    assert_eq!((&changed["status"], pieces(&changed)), (&json!("shipped"), vec![[3, 0, 0], [1, 0, 0]]));
    let since: Vec<_> = changed["tracking"].as_array().unwrap().iter().map(|t| t["since_version"].clone()).collect();
    assert_eq!(since, [2, 3, 4]);
    app.drain().await;
    assert!(newest(&app).contains(&format!("Subject: Order {order} is on its way")));
    // What is stored reads as what was answered.
    assert_eq!(app.client.ok("GET", &format!("/v1/orders/{order}"), &app.customer, None).await, changed);
    let found = app.client.ok("GET", "/v1/orders?status=partly_shipped", &app.admin, None).await;
    assert_eq!(found["items"], json!([]));
    let kinds: Vec<_> = app.notifications(order).await.as_array().unwrap().iter().map(|n| n["kind"].clone()).collect();
    assert_eq!(kinds, ["order.placed", "order.partly-shipped", "order.partly-shipped", "order.shipped"]);
    app.end().await;
}

async fn what_is_said_of_an_order_goes_with_its_customer(database: Database) {
    let app = App::start(database).await;
    let new = json!({ "items": [item(app.product, 2)], "gift_message": "Happy birthday, Grace!" });
    let order = app.client.ok("POST", "/v1/orders", &app.customer, Some(new)).await;
    assert_eq!(order["gift_message"], "Happy birthday, Grace!");
    let id = order["id"].as_i64().unwrap();
    app.drain().await;
    assert!(newest(&app).contains("Happy birthday, Grace!"));
    let noted = make(&app, id, "POST", "notes", json!({ "note": "It is snowing here." })).await;
    assert_eq!(
        (&noted["note"], &noted["version"], &noted["status"]),
        (&json!("It is snowing here."), &json!(2), &json!("pending"))
    );
    app.drain().await;
    let mail = newest(&app);
    assert!(mail.contains(&format!("Subject: Update on your order {id}")) && mail.contains("snowing"), "{mail}");
    make(&app, id, "PUT", "invoice", json!({ "number": "7", "buyer_vat_id": "DE123456789" })).await;
    make(&app, id, "POST", "refunds", json!({ "amount": dollars(2), "reason": "Ada is allergic" })).await;
    let link = json!({ "url": "https://pay.example/secret" });
    make(&app, id, "PUT", "payment", json!({ "due": dollars(1), "failure": "declined", "link": link })).await;
    app.client
        .ok(
            "DELETE",
            &format!("/v1/users/{}", app.customer_id().await),
            &app.customer,
            Some(json!({ "current_password": PASSWORD })),
        )
        .await;
    let left = app.client.ok("GET", &format!("/v1/orders/{id}"), &app.admin, None).await;
    for gone in ["gift_message", "note", "cancel_reason"] {
        assert_eq!(left[gone], Value::Null, "{left}");
    }
    // Bookkeeping needs these.
    let bill = &left["invoice"];
    assert_eq!((&bill["number"], &bill["buyer_vat_id"], &bill["link"]), (&json!("7"), &json!(""), &Value::Null));
    assert_eq!((&left["refunds"][0]["amount"], &left["refunds"][0]["reason"]), (&dollars(2), &json!("")));
    assert_eq!(left["payment"], json!({ "due": dollars(1), "failure": null, "link": null }));
    for table in ["orders", "notification_payloads"] {
        let column = if table == "orders" { "coalesce(refunds, '')" } else { "coalesce(payload, '')" };
        let kept = app.database.texts(&format!("select {column} from {table}")).await.join("\n");
        for word in ["secret", "birthday", "snowing", "DE123456789", "allergic", "declined"] {
            assert!(!kept.contains(word), "{table}: {kept}");
        }
    }
    app.end().await;
}

async fn what_does_not_go_together_is_refused_and_leaves_no_trace() {
    let app = App::start(sqlite().await).await;
    let order = order_of(&app, &[(app.product, 2)]).await;
    let before = app.client.ok("GET", &format!("/v1/orders/{order}"), &app.admin, None).await;
    let parcel = |items: Value| json!([{ "carrier": "Post", "number": "1", "items": items }]);
    let cup = app.product;
    for (method, what, change, expected) in [
        ("PATCH", "status", json!({ "status": "partly_shipped" }), "an order becomes partly_shipped by parcels"),
        (
            "PATCH",
            "status",
            json!({ "status": "partly_shipped", "tracking": parcel(Value::Null) }),
            "an order becomes partly",
        ),
        (
            "PATCH",
            "status",
            json!({ "status": "partly_shipped", "tracking": parcel(json!([item(cup, 2)])) }),
            "nothing would be left",
        ),
        (
            "PATCH",
            "status",
            json!({ "status": "partly_shipped", "tracking": parcel(json!([item(cup, 3)])) }),
            &format!("only 2 pieces of product {cup}"),
        ),
        (
            "PATCH",
            "status",
            json!({ "status": "shipped", "tracking": parcel(json!([item(cup, 1)])) }),
            &format!("1 pieces of product {cup} would be in no parcel"),
        ),
        (
            "PATCH",
            "status",
            json!({ "status": "shipped", "tracking": parcel(json!([item(99, 1)])) }),
            "the order has no product 99",
        ),
        (
            "PATCH",
            "status",
            json!({ "status": "cancelled", "tracking": parcel(json!([item(cup, 1)])) }),
            "parcels go only with",
        ),
        ("PATCH", "status", json!({ "status": "shipped", "cancel_reason": "x" }), "a cancel_reason goes only with"),
        ("PATCH", "status", json!({ "status": "delivered" }), "an order that is pending cannot become delivered"),
        ("POST", "refunds", json!({}), "a refund says how much"),
        ("POST", "refunds", json!({ "amount": dollars(0) }), "nothing would be paid back: without pieces"),
        ("POST", "refunds", json!({ "amount": dollars(3_999) }), "at most 3998 USD"),
        ("POST", "refunds", json!({ "amount": { "amount": 1, "currency": "EUR" } }), "the order is in USD"),
        (
            "POST",
            "refunds",
            json!({ "items": [item(cup, 3)] }),
            &format!("only 2 pieces of product {cup} are not paid back"),
        ),
        ("PUT", "payment", json!({ "due": dollars(3_999) }), "at most 3998 USD"),
        ("PUT", "payment", json!({ "due": dollars(0), "failure": "declined" }), "a payment that failed leaves"),
    ] {
        let (status, why) = refused(&app, order, method, what, change.clone()).await;
        assert_eq!((status, why.starts_with(expected)), (409, true), "{change}: {status} {why}");
    }
    assert_eq!(app.client.ok("GET", &format!("/v1/orders/{order}"), &app.admin, None).await, before);
    assert_eq!((app.queued().await, stock(&app, cup).await), (1, json!(98)));
    app.end().await;
}

async fn what_breaks_a_rule_is_pointed_at() {
    let app = App::start(sqlite().await).await;
    let order = order_of(&app, &[(app.product, 2)]).await;
    let cup = app.product;
    for (method, what, change) in [
        ("POST", "refunds", json!({ "amount": dollars(-1) })),
        ("POST", "refunds", json!({ "items": [] })),
        ("POST", "refunds", json!({ "items": [item(cup, 0)] })),
        ("PUT", "payment", json!({})),
        ("PUT", "payment", json!({ "due": dollars(1), "link": { "url": "javascript:alert(1)" } })),
        ("PUT", "invoice", json!({ "number": "" })),
        ("PUT", "invoice", json!({ "number": "1", "issued_at": "yesterday" })),
        ("POST", "notes", json!({ "note": " " })),
    ] {
        assert_eq!(refused(&app, order, method, what, change.clone()).await.0, 422, "{change}");
    }
    // In words of the API, not of the program.
    let path = format!("/v1/orders/{order}/refunds");
    let (_, problem) = app.client.call("POST", &path, &app.admin, Some(json!({ "amount": 5 }))).await;
    let says = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(says.contains("expected an amount in minor units with its currency"), "{problem}");
    app.end().await;
}

async fn only_admins_change_orders_and_only_what_they_saw() {
    let app = App::start(sqlite().await).await;
    let order = order_of(&app, &[(app.product, 2)]).await;
    for (method, what) in [("POST", "refunds"), ("PUT", "payment"), ("PUT", "invoice"), ("POST", "notes")] {
        let path = format!("/v1/orders/{order}/{what}");
        let mine = match what {
            "refunds" => json!({ "amount": dollars(1) }),
            "payment" => json!({ "due": dollars(0) }),
            "invoice" => json!({ "number": "1" }),
            _ => json!({ "note": "x" }),
        };
        assert_eq!(app.client.call(method, &path, &app.customer, Some(mine.clone())).await.0.as_u16(), 403);
        let stale = app.client.with((method, &path), &app.admin, &[("If-Match", "\"9\"")], Some(mine)).await;
        assert_eq!(stale.0, 412);
    }
    assert_eq!(app.queued().await, 1);
    app.end().await;
}

async fn both_apis_change_orders() {
    let app = App::start(sqlite().await).await;
    let order = order_of(&app, &[(app.product, 3)]).await;
    let mut orders = pb::order_service_client::OrderServiceClient::new(channel(&app).await);
    let items = |quantity| vec![pb::OrderItem { product_id: app.product, quantity }];
    let money = |amount| Some(pb::Money { amount, currency: "USD".to_owned() });
    let parcel =
        pb::Tracking { carrier: "Post".to_owned(), number: "RR1".to_owned(), items: items(1), ..Default::default() };
    let part = pb::ChangeOrderStatusRequest {
        id: order,
        status: pb::OrderStatus::PartlyShipped.into(),
        tracking: vec![parcel],
        ..Default::default()
    };
    let seen = orders.change_order_status(with(&app.admin, part)).await.unwrap().into_inner().order.unwrap();
    assert_eq!((seen.status(), seen.lines[0].open_quantity), (pb::OrderStatus::PartlyShipped, 2));
    assert_eq!((seen.tracking[0].since_version, &seen.tracking[0].items), (2, &items(1)));
    let refund = pb::RecordOrderRefundRequest {
        id: order,
        items: items(2),
        request_id: "once".to_owned(),
        ..Default::default()
    };
    for _ in 0..2 {
        let seen =
            orders.record_order_refund(with(&app.admin, refund.clone())).await.unwrap().into_inner().order.unwrap();
        assert_eq!((seen.status(), seen.refunds.len(), seen.version), (pb::OrderStatus::Shipped, 1, 3));
        assert_eq!(seen.refunds[0].amount, money(3_998));
    }
    let link = pb::Link { url: "https://pay.example/".to_owned(), expires_at: None };
    let report = pb::RecordOrderPaymentRequest {
        id: order,
        due: money(100),
        failure: Some("declined".to_owned()),
        link: Some(link.clone()),
        ..Default::default()
    };
    let seen = orders.record_order_payment(with(&app.admin, report)).await.unwrap().into_inner().order.unwrap();
    assert_eq!(
        seen.payment.unwrap(),
        pb::Payment { due: money(100), failure: Some("declined".to_owned()), link: Some(link) }
    );
    let bill = pb::RecordOrderInvoiceRequest { id: order, number: "42".to_owned(), ..Default::default() };
    let seen = orders.record_order_invoice(with(&app.admin, bill)).await.unwrap().into_inner().order.unwrap();
    assert!(seen.invoice.is_some_and(|bill| bill.number == "42" && bill.issued_at.is_some()));
    let note = pb::AddOrderNoteRequest { id: order, note: "Hello".to_owned(), ..Default::default() };
    let seen = orders.add_order_note(with(&app.admin, note.clone())).await.unwrap().into_inner().order.unwrap();
    assert_eq!((seen.note.as_deref(), seen.version), (Some("Hello"), 6));
    let refused = orders.add_order_note(with(&app.customer, note)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    app.end().await;
}

async fn a_cancelled_order_says_why() {
    let app = App::start(sqlite().await).await;
    let order = order_of(&app, &[(app.product, 1)]).await;
    let change = json!({ "status": "cancelled", "cancel_reason": "We cannot get it any more." });
    let changed = make(&app, order, "PATCH", "status", change).await;
    assert_eq!(changed["cancel_reason"], "We cannot get it any more.");
    app.drain().await;
    assert!(newest(&app).contains("We cannot get it any more."));
    // What was paid can still be paid back, and nobody is asked for more.
    make(&app, order, "POST", "refunds", json!({ "amount": dollars(1_999) })).await;
    let failed = refused(&app, order, "PUT", "payment", json!({ "due": dollars(0), "failure": "declined" })).await;
    assert_eq!(failed.0, 409);
    app.end().await;
}

async fn the_console_has_a_form_for_each() {
    let app = App::start(sqlite().await).await;
    let admin = Browser::log_in(&app, "admin@shop.example").await;
    let order = order_of(&app, &[(app.product, 3)]).await;
    let page = format!("/console/orders/{order}");
    let pieces = format!("pieces-{}", app.product);
    let acts: [(_, &[_], _); 6] = [
        ("status", &[("status", "partly_shipped"), ("carrier", "Post"), ("number", "RR1"), (&pieces, "1")], "1 × Cup"),
        ("refunds", &[(&pieces, "1"), ("reason", "broken")], " broken</dd>"),
        ("payment", &[("due", "100"), ("failure", "declined"), ("link", "https://pay.example/")], "declined"),
        ("invoice", &[("number", "2026-1"), ("seller_vat_id", "ATU1")], "2026-1"),
        ("notes", &[("note", "Soon."), ("silent", "1")], "Soon."),
        ("status", &[("status", "shipped")], "shipped"),
    ];
    for (version, (what, fields, expected)) in acts.into_iter().enumerate() {
        let version = (version + 1).to_string();
        let fields = [fields, &[("version", version.as_str())]].concat();
        let seen = admin.act(&format!("{page}/{what}"), &fields).await;
        assert!(seen.status == 200 && seen.text.contains(expected), "{what}: {} {}", seen.status, seen.text);
    }
    let open = admin.get(&page).await.text;
    assert!(!open.contains("Mark as partly shipped") && open.contains("Mark as delivered"), "{open}");
    let kinds: Vec<_> = app.notifications(order).await.as_array().unwrap().iter().map(|n| n["state"].clone()).collect();
    assert_eq!(kinds.iter().filter(|state| **state == "skipped").count(), 1, "the silent one");
    let long = "x".repeat(201);
    let refused = admin.act(&format!("{page}/notes"), &[("note", "x"), ("silent", "1"), ("why", &long)]).await;
    assert!(refused.status == 422 && refused.text.contains("at most 200"), "{}", refused.text);
    assert_eq!(admin.act(&format!("{page}/lost"), &[]).await.status, 404);
    app.end().await;
}
