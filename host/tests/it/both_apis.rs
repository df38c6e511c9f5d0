//! The same use cases through REST and gRPC, and what bad input gets at either.

use ecomm::grpc::pb;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use crate::app::{App, PASSWORD, sqlite};
use crate::harness::tests;

tests! {
    once {
        an_order_over_grpc_becomes_a_mail
        grpc_refuses_with_the_status_to_match
        rest_refuses_with_a_problem
        orders_are_their_owners_own
        an_unknown_address_and_a_wrong_password_look_the_same
        prices_and_sums_are_the_servers
        pages_neither_skip_nor_repeat
    }
}

pub async fn channel(app: &App) -> tonic::transport::Channel {
    let address = format!("http://{}", app.host.grpc.unwrap());
    tonic::transport::Endpoint::from_shared(address).unwrap().connect().await.unwrap()
}

pub fn with<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

async fn an_order_over_grpc_becomes_a_mail() {
    let app = App::start(sqlite().await).await;
    let channel = channel(&app).await;
    let mut users = pb::user_service_client::UserServiceClient::new(channel.clone());
    let mut sessions = pb::session_service_client::SessionServiceClient::new(channel.clone());
    let mut products = pb::product_service_client::ProductServiceClient::new(channel.clone());
    let mut orders = pb::order_service_client::OrderServiceClient::new(channel.clone());
    let mut notifications = pb::notification_service_client::NotificationServiceClient::new(channel.clone());
    let mut plugins = pb::plugin_service_client::PluginServiceClient::new(channel);

    let new = pb::CreateUserRequest {
        email: "grete@example.de".to_owned(),
        name: "Grete".to_owned(),
        password: PASSWORD.to_owned(),
        locale: "de-AT".to_owned(),
        time_zone: "Europe/Vienna".to_owned(),
        ..Default::default()
    };
    let user = users.create_user(new).await.unwrap().into_inner().user.unwrap();
    let credentials = pb::CreateSessionRequest { email: user.email.clone(), password: PASSWORD.to_owned() };
    let session = sessions.create_session(credentials).await.unwrap().into_inner().session.unwrap();
    assert_eq!(session.user_id, user.id);

    let new = pb::CreateProductRequest {
        sku: "TASSE".to_owned(),
        name: "Tasse <groß>".to_owned(),
        price: Some(pb::Money { amount: 123_456, currency: "EUR".to_owned() }),
        stock: 3,
        ..Default::default()
    };
    let product = products.create_product(with(&app.admin, new)).await.unwrap().into_inner().product.unwrap();
    let rest = app.client.ok("GET", &format!("/v1/products/{}", product.id), "", None).await;
    assert_eq!((rest["name"].as_str(), rest["price"]["amount"].as_i64()), (Some("Tasse <groß>"), Some(123_456)));

    let items = vec![pb::OrderItem { product_id: product.id, quantity: 1 }];
    let new = pb::CreateOrderRequest { items, ..Default::default() };
    let order = orders.create_order(with(&session.access_token, new)).await.unwrap().into_inner().order.unwrap();
    let shipped = pb::ChangeOrderStatusRequest {
        id: order.id,
        status: pb::OrderStatus::Shipped.into(),
        tracking: vec![pb::Tracking { carrier: "Post".to_owned(), number: "RR1".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    orders.change_order_status(with(&app.admin, shipped)).await.unwrap();
    app.drain().await;
    let subjects = app.subjects();
    assert_eq!(subjects[0], format!("Ihre Bestellung {} bei My Shop", order.id));
    assert_eq!(subjects[1], format!("Bestellung {} ist unterwegs", order.id));

    let list = pb::ListNotificationsRequest { order_id: Some(order.id), ..Default::default() };
    let found = notifications.list_notifications(with(&app.admin, list)).await.unwrap().into_inner().notifications;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].state(), pb::NotificationState::Sent);
    assert_eq!(found[0].journal[0].class.as_deref(), Some("delivered"));

    let page = orders.list_orders(with(&session.access_token, pb::ListOrdersRequest::default())).await.unwrap();
    assert_eq!(page.into_inner().orders[0].id, order.id);
    let get = pb::GetOrderRequest { id: order.id };
    let one = orders.get_order(with(&session.access_token, get)).await.unwrap().into_inner().order.unwrap();
    assert_eq!((one.status(), one.version), (pb::OrderStatus::Shipped, 2));
    let list = with(&app.admin, pb::ListPluginSlotsRequest {});
    let served = plugins.list_plugin_slots(list).await.unwrap().into_inner().slots;
    assert_eq!(served.len(), 2);
    let reload = pb::ReloadPluginRequest { slot: pb::PluginSlotName::Renderer.into() };
    let begun = plugins.reload_plugin(with(&app.admin, reload)).await.unwrap().into_inner().operation.unwrap();
    let watch = with(&app.admin, pb::WatchPluginOperationRequest { id: begun.id });
    let told: Vec<_> = plugins.watch_plugin_operation(watch).await.unwrap().into_inner().collect().await;
    let ended = told.last().unwrap().as_ref().unwrap().operation.clone().unwrap();
    assert_eq!(ended.state(), pb::PluginOperationState::Succeeded);
    let list = with(&app.admin, pb::ListPluginSlotsRequest {});
    let slots = plugins.list_plugin_slots(list).await.unwrap().into_inner().slots;
    assert!(slots[0].version > served[0].version);
    app.end().await;
}

async fn grpc_refuses_with_the_status_to_match() {
    let app = App::start(sqlite().await).await;
    let channel = channel(&app).await;
    let mut orders = pb::order_service_client::OrderServiceClient::new(channel.clone());
    let mut products = pb::product_service_client::ProductServiceClient::new(channel.clone());
    let mut users = pb::user_service_client::UserServiceClient::new(channel);
    let code = |refused: Result<_, Status>| refused.map(|_: tonic::Response<_>| ()).unwrap_err().code();

    let order = pb::CreateOrderRequest::default();
    assert_eq!(code(orders.create_order(order.clone()).await), Code::Unauthenticated);
    assert_eq!(code(orders.create_order(with("junk", order.clone())).await), Code::Unauthenticated);
    assert_eq!(code(orders.create_order(with(&app.customer, order)).await), Code::InvalidArgument);
    let id = app.order().await;
    let change =
        |status: pb::OrderStatus| pb::ChangeOrderStatusRequest { id, status: status.into(), ..Default::default() };
    let forbidden = orders.change_order_status(with(&app.customer, change(pb::OrderStatus::Shipped))).await;
    assert_eq!(forbidden.unwrap_err().code(), Code::PermissionDenied);
    let unspecified = orders.change_order_status(with(&app.admin, change(pb::OrderStatus::Unspecified))).await;
    assert_eq!(unspecified.unwrap_err().code(), Code::InvalidArgument);
    let skipping = orders.change_order_status(with(&app.admin, change(pb::OrderStatus::Delivered))).await;
    assert_eq!(skipping.unwrap_err().code(), Code::FailedPrecondition);
    let missing = products.get_product(pb::GetProductRequest { id: 999 }).await;
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
    let taken = pb::CreateUserRequest {
        email: "ada@example.com".to_owned(),
        name: "Ada".to_owned(),
        password: PASSWORD.to_owned(),
        ..Default::default()
    };
    assert_eq!(users.create_user(taken).await.unwrap_err().code(), Code::AlreadyExists);
    let large = pb::CreateUserRequest { name: "x".repeat(300_000), ..Default::default() };
    assert_eq!(users.create_user(large).await.unwrap_err().code(), Code::OutOfRange);
    app.end().await;
}

/// Status, code and the pointer of the first flaw.
async fn refused(app: &App, method: &str, path: &str, token: &str, kind: &str, body: &str) -> String {
    let mut request = app.client.http.request(method.parse().unwrap(), format!("{}{path}", app.client.base));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if !kind.is_empty() {
        request = request.header("content-type", kind).body(body.to_owned());
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{method} {path} {status}");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status);
    let code = problem["type"].as_str().unwrap().strip_prefix("urn:ecomm:problem:").unwrap().to_owned();
    let pointer = problem["errors"][0]["pointer"].as_str().unwrap_or_default();
    format!("{status} {code} {pointer}").trim_end().to_owned()
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rest_refuses_with_a_problem() {
    let app = App::start(sqlite().await).await;
    let json = "application/json";
    let (admin, customer) = (app.admin.clone(), app.customer.clone());
    let product = |change: &str| {
        let mut product = json!({ "sku": "A", "name": "A", "price": { "amount": 1, "currency": "USD" }, "stock": 1 });
        let change: Value = serde_json::from_str(change).unwrap();
        product.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        product.to_string()
    };
    let deep = "[".repeat(10_000);
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(300_000));
    for (method, path, token, kind, body, expected) in [
        ("GET", "/nowhere", "", "", String::new(), "404 not-found"),
        ("DELETE", "/v1/products", "", "", String::new(), "405 method"),
        ("POST", "/v1/users", "", "text/plain", "{}".to_owned(), "415 media-type"),
        ("POST", "/v1/users", "", json, "{".to_owned(), "400 malformed"),
        ("POST", "/v1/users", "", json, deep, "400 malformed"),
        ("POST", "/v1/users", "", json, "\u{0}".to_owned(), "400 malformed"),
        ("POST", "/v1/users", "", json, large, "413 too-large"),
        ("POST", "/v1/users", "", json, r#"{"email": "x"}"#.to_owned(), "422 invalid /email"),
        ("POST", "/v1/users", "", json, r#"{"email": 7}"#.to_owned(), "422 invalid /email"),
        ("POST", "/v1/users", "", json, r#"{"is_admin": true}"#.to_owned(), "422 invalid /is_admin"),
        ("POST", "/v1/users", "", json, "[]".to_owned(), "422 invalid"),
        (
            "POST",
            "/v1/plugins/revisions/1/preview",
            &admin,
            json,
            format!(r#"{{"notification": {}}}"#, i64::MAX),
            "404 not-found",
        ),
        (
            "POST",
            "/v1/products",
            &admin,
            json,
            product(r#"{"price": {"amount": -1, "currency": "USD"}}"#),
            "422 invalid /price",
        ),
        (
            "POST",
            "/v1/products",
            &admin,
            json,
            product(r#"{"price": {"amount": 1.5, "currency": "USD"}}"#),
            "422 invalid /price/amount",
        ),
        (
            "POST",
            "/v1/products",
            &admin,
            json,
            product(r#"{"price": {"amount": 1, "currency": "usd"}}"#),
            "422 invalid /price/currency",
        ),
        ("POST", "/v1/products", &admin, json, product(r#"{"stock": -1}"#), "422 invalid /stock"),
        ("POST", "/v1/products", &admin, json, product(r#"{"url": "javascript:x"}"#), "422 invalid /url"),
        ("POST", "/v1/products", &admin, json, product(r#"{"sku": "CUP"}"#), "409 taken"),
        ("POST", "/v1/products", &customer, json, product("{}"), "403 forbidden"),
        ("POST", "/v1/products", "", json, product("{}"), "401 unauthenticated"),
        ("GET", "/v1/products/x", "", "", String::new(), "404 not-found"),
        ("GET", "/v1/products/9999", "", "", String::new(), "404 not-found"),
        ("GET", "/v1/products?limit=0", "", "", String::new(), "422 invalid /limit"),
        ("GET", "/v1/products?limit=x", "", "", String::new(), "400 query"),
        ("GET", "/v1/products?cursor=%00", "", "", String::new(), "422 invalid /cursor"),
        ("POST", "/v1/orders", &customer, json, r#"{"items": []}"#.to_owned(), "422 invalid /items"),
        (
            "POST",
            "/v1/orders",
            &customer,
            json,
            r#"{"items": [{"product_id": 9999, "quantity": 1}]}"#.to_owned(),
            "409 conflict",
        ),
        (
            "POST",
            "/v1/orders",
            &customer,
            json,
            r#"{"items": [{"product_id": 1, "quantity": 0}]}"#.to_owned(),
            "422 invalid /items",
        ),
        (
            "POST",
            "/v1/orders",
            &customer,
            json,
            r#"{"items": [{"product_id": 1, "quantity": 1, "price": 1}]}"#.to_owned(),
            "422 invalid /items/0/price",
        ),
        (
            "POST",
            "/v1/orders",
            &customer,
            json,
            r#"{"items": [{"product_id": 1, "quantity": 5000}]}"#.to_owned(),
            "409 conflict",
        ),
        ("GET", "/v1/orders", "junk", "", String::new(), "401 unauthenticated"),
    ] {
        assert_eq!(refused(&app, method, path, token, kind, &body).await, expected, "{method} {path} {body:.80}");
    }
    app.end().await;
}

async fn orders_are_their_owners_own() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    let other = json!({ "email": "eve@example.com", "name": "Eve", "password": PASSWORD });
    app.client.ok("POST", "/v1/users", "", Some(other)).await;
    let eve = app.client.log_in("eve@example.com").await;
    let path = format!("/v1/orders/{order}");
    for (token, status) in [(&app.customer, 200), (&app.admin, 200), (&eve, 404)] {
        assert_eq!(app.client.call("GET", &path, token, None).await.0.as_u16(), status);
    }
    assert_eq!(app.client.ok("GET", "/v1/orders", &eve, None).await["items"], json!([]));
    let notifications = format!("{path}/notifications");
    assert_eq!(app.client.call("GET", &notifications, &eve, None).await.0.as_u16(), 404);
    // Where it stands is the customer's to know, how relays and components fared is not.
    app.drain().await;
    let own = app.client.ok("GET", &notifications, &app.customer, None).await;
    assert_eq!((&own[0]["state"], &own[0]["journal"]), (&json!("sent"), &json!([])));
    app.end().await;
}

async fn an_unknown_address_and_a_wrong_password_look_the_same() {
    let app = App::start(sqlite().await).await;
    let log_in = async |email: &str| {
        let body = json!({ "email": email, "password": "not the password" });
        app.client.call("POST", "/v1/sessions", "", Some(body)).await
    };
    let (unknown, wrong) = (log_in("nobody@example.com").await, log_in("ada@example.com").await);
    let but_its_name = |(status, mut problem): (reqwest::StatusCode, serde_json::Value)| {
        problem["request_id"] = json!(null);
        (status.as_u16(), problem)
    };
    let unknown = but_its_name(unknown);
    assert_eq!(unknown, but_its_name(wrong));
    assert_eq!(unknown.0, 401);
    app.end().await;
}

async fn prices_and_sums_are_the_servers() {
    let settings = [("PRICING__TAX_BASIS_POINTS", "2000"), ("PRICING__SHIPPING_FLAT", "499")];
    let app = App::with(sqlite().await, &settings).await;
    let order = app.order().await;
    let order = app.client.ok("GET", &format!("/v1/orders/{order}"), &app.customer, None).await;
    let amount = |key: &str| order[key]["amount"].as_i64().unwrap();
    // 2 x 19.99, and 20 % of 39.98 + 4.99 is 8.994.
    assert_eq!(["subtotal", "shipping", "tax", "total"].map(amount), [3_998, 499, 899, 5_396]);
    app.end().await;
}

async fn pages_neither_skip_nor_repeat() {
    let app = App::start(sqlite().await).await;
    for _ in 0..5 {
        app.order().await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/orders?limit=2".to_owned();
    loop {
        let page = app.client.ok("GET", &path, &app.customer, None).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|o| o["id"].as_i64().unwrap()));
        // New ones are newer than the cursor and change nothing.
        app.order().await;
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/orders?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    app.end().await;
}
