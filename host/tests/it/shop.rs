//! What a shop does, on every database.

use ecomm::mail::mailbox::Phase;
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, reply, text};
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        a_patch_changes_what_it_names_and_zero_and_null_count
        of_two_writers_one_is_stale
        an_idempotency_key_makes_retries_one_order
        products_are_found_by_what_is_asked
        orders_are_found_by_what_is_asked
        an_archived_product_stays_in_its_orders
        customers_cancel_their_own_and_the_stock_returns
        queued_mail_goes_to_the_new_address
        a_user_who_leaves_is_nobody_and_the_orders_stay
        an_order_under_way_does_not_remember_who_left
        taxes_and_shipping_follow_the_country
        amounts_are_exact
    }
}

pub async fn product(app: &App, sku: &str, name: &str, amount: i64, category: &str) -> i64 {
    let price = json!({ "amount": amount, "currency": "USD" });
    let new = json!({ "sku": sku, "name": name, "price": price, "stock": 10, "category": category });
    app.client.ok("POST", "/v1/products", &app.admin, Some(new)).await["id"].as_i64().unwrap()
}

pub async fn ids(app: &App, path: &str, token: &str) -> Vec<i64> {
    let (mut seen, mut next) = (Vec::new(), path.to_owned());
    loop {
        let page = app.client.ok("GET", &next, token, None).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("{path}&cursor={cursor}"),
            None => return seen,
        }
    }
}

async fn a_patch_changes_what_it_names_and_zero_and_null_count(database: Database) {
    let app = App::start(database).await;
    let at = format!("/v1/products/{}", app.product);
    let patch = async |patch: Value| app.client.call("PATCH", &at, &app.admin, Some(patch)).await;
    patch(json!({ "url": "https://shop.example/cup", "category": "Cups", "attributes": { "a": "1", "b": "2" } })).await;
    let (status, after) =
        patch(json!({ "stock": 0, "url": null, "attributes": { "a": null, "c": "3" }, "price": { "amount": 0 } }))
            .await;
    assert_eq!(status.as_u16(), 200);
    assert_eq!((&after["stock"], &after["url"], &after["category"]), (&json!(0), &Value::Null, &json!("Cups")));
    assert_eq!((&after["attributes"], &after["price"]["amount"]), (&json!({ "b": "2", "c": "3" }), &json!(0)));
    assert_eq!((&after["price"]["currency"], &after["version"]), (&json!("USD"), &json!(3)));
    assert_eq!(app.client.ok("GET", &at, "", None).await, after);
    for (bad, pointer) in [
        (json!({ "name": null }), ""),
        (json!({ "stock": -1 }), "/stock"),
        (json!({ "price": { "currency": "usd" } }), "/price/currency"),
        (json!({ "colour": "red" }), "/colour"),
    ] {
        let (status, problem) = patch(bad).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!(pointer)));
    }
    assert_eq!(app.client.call("PATCH", &at, &app.customer, Some(json!({}))).await.0.as_u16(), 403);
    app.end().await;
}

async fn of_two_writers_one_is_stale(database: Database) {
    let app = App::start(database).await;
    let path = format!("/v1/products/{}", app.product);
    let (_, headers, _) = app.client.with(("GET", &path), "", &[], None).await;
    let tag = headers["etag"].to_str().unwrap().to_owned();
    let write = |stock: i64| {
        let body = Some(json!({ "stock": stock }));
        let (app, path, tag) = (&app, &path, &tag);
        async move { app.client.with(("PATCH", path), &app.admin, &[("if-match", tag)], body).await }
    };
    let (one, two) = tokio::join!(write(50), write(60));
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    assert_eq!(app.client.with(("DELETE", &path), &app.admin, &[("if-match", &tag)], None).await.0, 412);
    // An order that takes from the stock is a writer too: a stock that was counted before it would sell its pieces again.
    let (_, headers, _) = app.client.with(("GET", &path), "", &[], None).await;
    let tag = headers["etag"].to_str().unwrap().to_owned();
    let order = app.order().await;
    let body = Some(json!({ "stock": 15 }));
    assert_eq!(app.client.with(("PATCH", &path), &app.admin, &[("if-match", &tag)], body).await.0, 412);
    assert_eq!(app.client.with(("GET", &path), "", &[("if-none-match", &tag)], None).await.0, 200);
    let path = format!("/v1/orders/{order}");
    assert_eq!(app.client.with(("DELETE", &path), &app.admin, &[("if-match", "\"7\"")], None).await.0, 412);
    assert_eq!(app.client.with(("DELETE", &path), &app.admin, &[("if-match", "\"1\"")], None).await.0, 200);
    app.end().await;
}

async fn an_idempotency_key_makes_retries_one_order(database: Database) {
    let app = App::start(database).await;
    let place = |key: &'static str, quantity: i64| {
        let body = json!({ "items": [{ "product_id": app.product, "quantity": quantity }] });
        let app = &app;
        async move { app.client.with(("POST", "/v1/orders"), &app.customer, &[("idempotency-key", key)], Some(body)).await }
    };
    let (first, again) = (place("a", 1).await, place("a", 1).await);
    assert_eq!((first.0, again.0), (201, 201));
    assert_eq!((&first.2, &first.1["location"]), (&again.2, &again.1["location"]));
    let (status, _, problem) = place("a", 2).await;
    assert_eq!((status, problem["type"].as_str()), (422, Some("urn:ecomm:problem:idempotency-key-reused")));
    // At one time: one is placed, the others hear that it is under way, or get its answer.
    let answers = futures_util::future::join_all((0..10).map(|_| place("b", 1))).await;
    let placed: std::collections::BTreeSet<String> =
        answers.iter().filter(|a| a.0 == 201).map(|a| a.2["id"].to_string()).collect();
    assert_eq!(placed.len(), 1);
    assert!(answers.iter().all(|a| a.0 == 201 || (a.0 == 409 && a.1.contains_key("retry-after"))));
    assert_eq!(app.database.number("select count(*) from orders").await, 2);
    assert_eq!(app.queued().await, 2);
    // What failed can be tried again with its key, and another user's key is another key.
    assert_eq!(place("c", 1_000).await.0, 409);
    assert_eq!(place("c", 1_000).await.0, 409);
    let body = json!({ "items": [{ "product_id": app.product, "quantity": 3 }] });
    let other = app.client.with(("POST", "/v1/orders"), &app.admin, &[("idempotency-key", "a")], Some(body)).await;
    assert_eq!(other.0, 201);
    app.end().await;
}

async fn products_are_found_by_what_is_asked(database: Database) {
    let app = App::start(database).await;
    let cup = app.product;
    let red = product(&app, "RED", "Red 100% Wool", 500, "Wool").await;
    let blue = product(&app, "BLUE", "blue wool", 2_500, "Wool").await;
    let odd = product(&app, "ODD", "ÄPFEL 🍏", 500, "Fruit").await;
    for (query, found) in [
        ("", vec![cup, red, blue, odd]),
        ("q=WOOL", vec![red, blue]),
        ("q=wool%20red", vec![red]),
        ("q=100%25", vec![red]),
        ("q=_", vec![]),
        ("q=%F0%9F%8D%8F", vec![odd]),
        ("q=%27%20or%201=1%20--", vec![]),
        ("category=Wool", vec![red, blue]),
        ("price_min=500&price_max=1999", vec![cup, red, odd]),
        ("sort=-created_at", vec![odd, blue, red, cup]),
        ("sort=price", vec![red, odd, cup, blue]),
        ("sort=-price", vec![blue, cup, odd, red]),
    ] {
        for limit in [1, 2, 100] {
            let path = format!("/v1/products?limit={limit}&{query}");
            assert_eq!(ids(&app, &path, "").await, found, "{path}");
        }
    }
    assert_eq!(ids(&app, "/v1/products?limit=1&sort=name", "").await.len(), 4);
    // A cursor belongs to its order.
    for (sort, other) in [("name", "price"), ("created_at", "price"), ("created_at", "name"), ("price", "created_at")] {
        let page = app.client.ok("GET", &format!("/v1/products?limit=1&sort={sort}"), "", None).await;
        let path = format!("/v1/products?sort={other}&cursor={}", page["next_cursor"].as_str().unwrap());
        let (status, problem) = app.client.call("GET", &path, "", None).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("/cursor")), "{path}");
    }
    for bad in ["limit=0", "limit=101", "limit=x", "sort=size", "cursor=%00", "cursor=AAAA", "colour=red", "q="] {
        let (status, problem) = app.client.call("GET", &format!("/v1/products?{bad}"), "", None).await;
        assert!(status.is_client_error() && problem["type"].is_string(), "{bad}: {status}");
    }
    app.end().await;
}

async fn orders_are_found_by_what_is_asked(database: Database) {
    let app = App::start(database).await;
    let (first, second) = (app.order().await, app.order().await);
    app.change(first, "shipped").await;
    let eve = json!({ "email": "eve@example.com", "name": "Eve", "password": PASSWORD });
    let eve_id = app.client.ok("POST", "/v1/users", "", Some(eve)).await["id"].as_i64().unwrap();
    let eve = app.client.log_in("eve@example.com").await;
    let new = json!({ "items": [{ "product_id": app.product, "quantity": 1 }] });
    let third = app.client.ok("POST", "/v1/orders", &eve, Some(new)).await["id"].as_i64().unwrap();
    let of_eve = format!("user_id={eve_id}");
    for (token, query, found) in [
        (&app.customer, "", vec![second, first]),
        (&eve, "", vec![third]),
        (&app.admin, "", vec![third, second, first]),
        (&app.admin, "sort=created_at", vec![first, second, third]),
        (&app.admin, of_eve.as_str(), vec![third]),
        (&app.admin, "status=shipped", vec![first]),
        (&app.customer, "status=pending", vec![second]),
        (&app.admin, "created_after=2020-01-01T00:00:00Z", vec![third, second, first]),
        (&app.admin, "created_before=2020-01-01T00:00:00Z", vec![]),
    ] {
        assert_eq!(ids(&app, &format!("/v1/orders?limit=2&{query}"), token).await, found, "{query}");
    }
    let asked = format!("/v1/orders?{of_eve}");
    assert_eq!(app.client.call("GET", &asked, &app.customer, None).await.0.as_u16(), 403);
    let listed = app.client.ok("GET", "/v1/notifications?limit=3&state=not%20sent", &app.admin, None).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    assert!(listed["next_cursor"].is_string());
    app.end().await;
}

async fn an_archived_product_stays_in_its_orders(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let path = format!("/v1/products/{}", app.product);
    assert_eq!(app.client.call("DELETE", &path, &app.admin, None).await.0.as_u16(), 204);
    assert_eq!(app.client.call("GET", &path, "", None).await.0.as_u16(), 404);
    assert_eq!(app.client.ok("GET", "/v1/products", "", None).await["items"], json!([]));
    assert!(app.client.ok("GET", &path, &app.admin, None).await["archived_at"].is_string());
    assert_eq!(ids(&app, "/v1/products?archived=true", &app.admin).await, [app.product]);
    let new = json!({ "items": [{ "product_id": app.product, "quantity": 1 }] });
    assert_eq!(app.client.call("POST", "/v1/orders", &app.customer, Some(new)).await.0.as_u16(), 409);
    let order = app.client.ok("GET", &format!("/v1/orders/{order}"), &app.customer, None).await;
    assert_eq!(order["lines"][0]["name"], "Cup");
    assert_eq!(app.client.call("DELETE", "/v1/products/999", &app.admin, None).await.0.as_u16(), 404);
    app.end().await;
}

async fn customers_cancel_their_own_and_the_stock_returns(database: Database) {
    let app = App::start(database).await;
    let eve = json!({ "email": "eve@example.com", "name": "Eve", "password": PASSWORD });
    app.client.ok("POST", "/v1/users", "", Some(eve)).await;
    let eve = app.client.log_in("eve@example.com").await;
    let path = format!("/v1/orders/{}", app.order().await);
    assert_eq!(app.client.call("DELETE", &path, &eve, None).await.0.as_u16(), 404);
    let cancelled = app.client.ok("DELETE", &path, &app.customer, None).await;
    assert_eq!((&cancelled["status"], &cancelled["version"]), (&json!("cancelled"), &json!(2)));
    assert_eq!(app.client.call("DELETE", &path, &app.customer, None).await.0.as_u16(), 409);
    assert_eq!(app.database.number("select stock from products").await, 100);
    app.drain().await;
    assert_eq!(app.states().await, ["sent", "sent"]);
    app.end().await;
}

async fn queued_mail_goes_to_the_new_address(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    // An admin ships, the customer is written to (defect 46), at the address of now.
    app.change(order, "shipped").await;
    let session = app.client.session("ada@example.com").await;
    let at = format!("/v1/users/{}", session["user_id"]);
    let patch =
        json!({ "email": "Ada@New.Example", "locale": "de", "name": "Gräfin Ada", "current_password": PASSWORD });
    let token = session["access_token"].as_str().unwrap();
    app.client.ok("PATCH", &at, token, Some(patch)).await;
    app.drain().await;
    let mails = app.mailbox.messages();
    assert_eq!(mails.iter().map(|m| m.to.as_str()).collect::<Vec<_>>(), ["ada@new.example"; 2]);
    assert!(mails[1].subject.contains("unterwegs"), "{}", mails[1].subject);
    let not_free = json!({ "email": "admin@shop.example", "current_password": PASSWORD });
    assert_eq!(app.client.call("PATCH", &at, token, Some(not_free)).await.0.as_u16(), 409);
    app.end().await;
}

async fn a_user_who_leaves_is_nobody_and_the_orders_stay(database: Database) {
    let app = App::start(database).await;
    let address =
        json!({ "name": "Ada Lovelace", "lines": ["12 St James's Square"], "city": "London", "country": "GB" });
    let new = json!({ "items": [{ "product_id": app.product, "quantity": 1 }], "ship_to": address });
    let key = [("idempotency-key", "first")];
    let (_, _, placed) = app.client.with(("POST", "/v1/orders"), &app.customer, &key, Some(new)).await;
    let order = placed["id"].as_i64().unwrap();
    app.drain().await;
    // Relays repeat whom they refuse, and policies see it.
    for refused in ["450 4.2.1 <ada@example.com> later", "550 5.1.1 <ada@example.com> unknown"] {
        app.fail(Phase::Rcpt, reply(refused), 1);
    }
    app.order().await;
    app.drain().await;
    app.clock.advance(70_000);
    app.drain().await;
    let kept = async || {
        let mut texts = Vec::new();
        for (column, table) in [
            ("payload", "notification_payloads"),
            ("reason", "notification_states"),
            ("reply", "notification_attempts"),
            ("reason", "notification_attempts"),
            ("situation", "notification_attempts"),
            ("ship_to", "orders"),
            ("email", "users"),
            ("answer", "idempotency_keys"),
        ] {
            let sql = format!("select {column} from {table} where {column} is not null");
            texts.push(app.database.texts(&sql).await.concat());
        }
        texts
    };
    let names = |text: &String| text.contains("Ada") || text.contains("ada@") || text.contains("St James");
    assert!(kept().await.iter().all(names));
    app.change(order, "shipped").await;
    let session = app.client.session("ada@example.com").await;
    let path = format!("/v1/users/{}", session["user_id"]);
    let token = session["access_token"].as_str().unwrap();
    assert_eq!(app.client.call("DELETE", &path, token, None).await.0.as_u16(), 204);
    assert_eq!(app.client.call("DELETE", &path, &app.admin, None).await.0.as_u16(), 404);
    app.drain().await;
    let states = ["sent", "failed", "skipped"].map(str::to_owned).to_vec();
    assert_eq!((app.states().await, app.queued().await), (states, 0));
    let kept = kept().await;
    assert!(!kept.iter().any(names), "{kept:?}");
    // Sessions ended, and who takes the address later gets none of them.
    let again = json!({ "email": "ada@example.com", "name": "Ada II", "password": PASSWORD });
    app.client.ok("POST", "/v1/users", "", Some(again)).await;
    let renewal = json!({ "refresh_token": session["refresh_token"] });
    assert_eq!(app.client.call("POST", "/v1/sessions/renew", "", Some(renewal)).await.0.as_u16(), 401);
    // The order can still be moved on; nobody is told.
    app.change(order, "delivered").await;
    assert_eq!(app.client.ok("GET", &format!("/v1/orders/{order}"), &app.admin, None).await["version"], 3);
    assert_eq!(app.mailbox.messages().len(), 1);
    assert!(text(&app.mailbox.messages()[0]).contains("Ada"));
    app.end().await;
}

async fn an_order_under_way_does_not_remember_who_left(database: Database) {
    let app = App::start(database).await;
    for round in 0..10 {
        let email = format!("leaver-{round}@example.com");
        let new = json!({ "email": email, "name": "A Leaver", "password": PASSWORD });
        app.client.ok("POST", "/v1/users", "", Some(new)).await;
        let session = app.client.session(&email).await;
        let (token, path) = (session["access_token"].as_str().unwrap(), format!("/v1/users/{}", session["user_id"]));
        let order = || Some(json!({ "items": [{ "product_id": app.product, "quantity": 1 }] }));
        let place = async || app.client.call("POST", "/v1/orders", token, order()).await.0.as_u16();
        let (left, ..) = tokio::join!(app.client.call("DELETE", &path, &app.admin, None), place(), place(), place());
        assert_eq!(left.0.as_u16(), 204);
        let payloads = app.database.texts("select payload from notification_payloads").await;
        assert!(!payloads.iter().any(|p| p.contains("leaver-")), "round {round}");
    }
    app.end().await;
}

async fn taxes_and_shipping_follow_the_country(database: Database) {
    let settings = [
        ("PRICING__TAX_BASIS_POINTS", "1000"),
        ("PRICING__TAX_BASIS_POINTS_BY_COUNTRY", "{ AT = 2000 }"),
        ("PRICING__SHIPPING_FLAT", "900"),
        ("PRICING__SHIPPING_FLAT_BY_COUNTRY", "{ AT = 490 }"),
        ("PRICING__SHIPPING_FREE_FROM", "10000"),
    ];
    let app = App::with(database, &settings).await;
    // 19.99 each; tax on goods and shipping, half up.
    for (country, quantity, sums) in [
        ("AT", 1, [1_999, 490, 498, 2_987]),
        ("GB", 1, [1_999, 900, 290, 3_189]),
        ("AT", 6, [11_994, 0, 2_399, 14_393]),
    ] {
        let address = json!({ "name": "Ada", "lines": ["1"], "city": "X", "country": country });
        let new = json!({ "items": [{ "product_id": app.product, "quantity": quantity }], "ship_to": address });
        let order = app.client.ok("POST", "/v1/orders", &app.customer, Some(new)).await;
        let amount = |key: &str| order[key]["amount"].as_i64().unwrap();
        assert_eq!(["subtotal", "shipping", "tax", "total"].map(amount), sums, "{country} {quantity}");
    }
    app.end().await;
}

/// Defect 23: what binary fractions cannot hold.
async fn amounts_are_exact(database: Database) {
    let app = App::start(database).await;
    for (sku, amount) in [("A", 10_i64), ("B", 20), ("C", 1_677_721_701), ("D", 1_999), ("E", 999_999_999_999)] {
        let id = product(&app, sku, "Exact", amount, "x").await;
        let read = app.client.ok("GET", &format!("/v1/products/{id}"), "", None).await;
        assert_eq!(read["price"]["amount"].as_i64(), Some(amount));
    }
    let price = json!({ "amount": 1.5, "currency": "USD" });
    let new = json!({ "sku": "F", "name": "Half", "price": price, "stock": 1 });
    assert_eq!(app.client.call("POST", "/v1/products", &app.admin, Some(new)).await.0.as_u16(), 422);
    app.end().await;
}
