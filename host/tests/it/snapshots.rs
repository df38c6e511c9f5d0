//! Every shape of answer and of error at both doors, as clients see it. A change here is a change for clients:
//! `INSTA_UPDATE=always cargo test snapshots` writes it down, and the changelog names it.

use std::fmt::Write;

use ecomm::grpc::pb;
use serde_json::{Value, json};
use tonic::{Request, Response, Status};
use tonic_types::StatusExt;

use crate::app::{App, PASSWORD, sqlite};
use crate::both_apis::{channel, with};
use crate::harness::tests;

tests! {
    once {
        rest
        grpc
    }
}

/// Another customer.
pub fn eve() -> Value {
    json!({ "email": "eve@example.com", "name": "Eve", "password": PASSWORD })
}

/// What is another in every run.
const VARYING: [&str; 16] = [
    "access_token",
    "refresh_token",
    "request_id",
    "message_id",
    "created_at",
    "updated_at",
    "placed_at",
    "completed_at",
    "received_at",
    "at",
    "digest",
    "report",
    "seed",
    "started_at",
    "ended_at",
    "message_hash",
];

fn fixed(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                let varies = VARYING.contains(&key.as_str())
                    || key.ends_with("_digest")
                    || key.ends_with("_ms")
                    || key.ends_with("expires_at");
                if varies && !value.is_null() {
                    *value = json!("…");
                } else {
                    fixed(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(fixed),
        _ => {}
    }
}

fn token<'a>(app: &'a App, who: &str) -> &'a str {
    match who {
        "admin" => &app.admin,
        "ada" => &app.customer,
        _ => "",
    }
}

async fn rest() {
    let app = App::with(sqlite().await, &[("LIMITS__LOG_INS_PER_ACCOUNT_MAX", "4")]).await;
    let mut said = String::new();
    let mut ask = async |who: &str, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>| {
        let token = token(&app, who);
        let (status, answered, mut body) = app.client.with((method, path), token, headers, body).await;
        fixed(&mut body);
        let _ = writeln!(said, "{method} {path} ({who})\n{status}");
        for name in ["content-type", "location", "etag", "link", "allow", "www-authenticate"] {
            if let Some(value) = answered.get(name) {
                let _ = writeln!(said, "{name}: {}", value.to_str().unwrap());
            }
        }
        let _ = writeln!(said, "{}\n", if body.is_null() { String::new() } else { format!("{body:#}") });
    };
    let order = || Some(json!({ "items": [{ "product_id": app.product, "quantity": 2 }] }));
    let product = json!({ "sku": "BOWL", "name": "Bowl", "price": { "amount": 5, "currency": "EUR" }, "stock": 1 });
    let credentials = |password: &str| Some(json!({ "email": "ada@example.com", "password": password }));

    ask("nobody", "POST", "/v1/users", &[], Some(eve())).await;
    ask("nobody", "POST", "/v1/users", &[], Some(eve())).await;
    ask("nobody", "POST", "/v1/sessions", &[], credentials(PASSWORD)).await;
    ask("nobody", "POST", "/v1/sessions", &[], credentials("not the password")).await;
    ask("nobody", "POST", "/v1/sessions", &[], credentials("not the password")).await;
    ask("nobody", "POST", "/v1/sessions", &[], credentials("not the password")).await;
    ask("nobody", "POST", "/v1/sessions/renew", &[], Some(json!({ "refresh_token": "x" }))).await;
    ask("ada", "GET", "/v1/sessions", &[], None).await;
    ask("admin", "GET", "/v1/users?limit=1", &[], None).await;
    ask("ada", "GET", "/v1/users", &[], None).await;
    ask("ada", "PATCH", "/v1/users/2", &[], Some(json!({ "locale": "de" }))).await;
    ask("ada", "PATCH", "/v1/users/2", &[], Some(json!({ "password": "another password" }))).await;
    ask("admin", "POST", "/v1/products", &[], Some(product.clone())).await;
    ask("admin", "POST", "/v1/products", &[], Some(product)).await;
    ask("admin", "POST", "/v1/products", &[], Some(json!({ "sku": "", "name": "Bowl" }))).await;
    ask("nobody", "GET", "/v1/products?search=bow", &[], None).await;
    ask("nobody", "GET", "/v1/products/2", &[("if-none-match", "\"1\"")], None).await;
    ask("nobody", "GET", "/v1/products?limit=0", &[], None).await;
    ask("nobody", "GET", "/v1/products?colour=red", &[], None).await;
    ask("admin", "PATCH", "/v1/products/2", &[("if-match", "\"7\"")], Some(json!({ "stock": 0 }))).await;
    ask("admin", "PATCH", "/v1/products/2", &[], Some(json!({ "stock": null }))).await;
    ask("admin", "DELETE", "/v1/products/2", &[], None).await;
    ask("nobody", "GET", "/v1/products/2", &[], None).await;
    ask("ada", "POST", "/v1/orders", &[("idempotency-key", "k")], order()).await;
    ask("ada", "POST", "/v1/orders", &[("idempotency-key", "k")], Some(json!({ "items": [] }))).await;
    let other = Some(json!({ "items": [{ "product_id": app.product, "quantity": 3 }] }));
    ask("ada", "POST", "/v1/orders", &[("idempotency-key", "k")], other).await;
    ask("ada", "POST", "/v1/orders", &[("idempotency-key", "")], order()).await;
    let many = json!({ "items": [{ "product_id": app.product, "quantity": 500 }] });
    ask("ada", "POST", "/v1/orders", &[], Some(many)).await;
    ask("nobody", "POST", "/v1/orders", &[], order()).await;
    ask("ada", "GET", "/v1/orders", &[], None).await;
    ask("ada", "GET", "/v1/orders/999", &[], None).await;
    let parcel = json!({ "carrier": "DHL", "number": "1" });
    let shipped = json!({ "status": "shipped", "tracking": [parcel] });
    ask("admin", "PATCH", "/v1/orders/1/status", &[], Some(shipped)).await;
    ask("admin", "PATCH", "/v1/orders/1/status", &[], Some(json!({ "status": "pending" }))).await;
    ask("admin", "PATCH", "/v1/orders/1/status", &[], Some(json!({ "status": "lost" }))).await;
    app.drain().await;
    ask("admin", "GET", "/v1/orders/1/notifications", &[], None).await;
    ask("ada", "GET", "/v1/notifications?limit=1", &[], None).await;
    ask("admin", "GET", "/v1/plugins", &[], None).await;
    ask("admin", "GET", "/v1/mailbox", &[], None).await;
    ask("nobody", "GET", "/v1/nowhere", &[], None).await;
    ask("nobody", "PUT", "/v1/products", &[], None).await;
    ask("admin", "POST", "/v1/products", &[("content-type", "text/plain")], None).await;
    ask("ada", "DELETE", "/v1/sessions/current", &[], None).await;
    insta::assert_snapshot!(said);
    app.end().await;
}

/// An answer or an error, without what is another in every run.
fn told<T: std::fmt::Debug>(call: &str, answer: Result<Response<T>, Status>) -> String {
    let (head, text) = match answer {
        Ok(answer) => (String::new(), format!("{:#?}", answer.into_inner())),
        Err(status) => {
            (format!("{:?}: {}\n", status.code(), status.message()), format!("{:#?}", status.get_error_details()))
        }
    };
    let mut lines = Vec::new();
    for line in text.lines() {
        let key = line.trim().split(':').next().unwrap();
        // A seed or a hash, on a line of its own.
        let is_drawn = key.trim_matches([',', '"', '-']).len() > 15
            && key.chars().all(|c| c.is_ascii_hexdigit() || ",\"-".contains(c));
        let varies = is_drawn || VARYING.contains(&key) || ["seconds", "nanos", "etag_time"].contains(&key);
        // A message's first line opens it; only plain values vary.
        if varies && !line.ends_with('{') && !line.ends_with('(') && !line.ends_with("None,") {
            let key = if is_drawn { "" } else { key };
            lines.push(format!("{}{key}: …", " ".repeat(line.len() - line.trim_start().len())));
        } else if !(head.contains(':') && line.ends_with(": None,")) {
            lines.push(line.to_owned());
        }
    }
    format!("{call}\n{head}{}\n\n", lines.join("\n"))
}

async fn grpc() {
    let app = App::start(sqlite().await).await;
    let channel = channel(&app).await;
    let mut users = pb::user_service_client::UserServiceClient::new(channel.clone());
    let mut sessions = pb::session_service_client::SessionServiceClient::new(channel.clone());
    let mut products = pb::product_service_client::ProductServiceClient::new(channel.clone());
    let mut orders = pb::order_service_client::OrderServiceClient::new(channel.clone());
    let mut notifications = pb::notification_service_client::NotificationServiceClient::new(channel);
    let mut said = String::new();
    /// Calls as somebody and writes down what was answered.
    macro_rules! ask {
        ($client:ident.$method:ident, $who:expr, $message:expr) => {
            let request = if $who.is_empty() { Request::new($message) } else { with($who, $message) };
            said += &told(stringify!($method), $client.$method(request).await);
        };
    }
    let (admin, ada) = (app.admin.as_str(), app.customer.as_str());
    let new = pb::CreateUserRequest {
        email: "eve@example.com".to_owned(),
        name: "Eve".to_owned(),
        password: PASSWORD.to_owned(),
        ..Default::default()
    };
    ask!(users.create_user, "", new.clone());
    ask!(users.create_user, "", new);
    ask!(users.get_user, ada, pb::GetUserRequest { id: 1 });
    ask!(users.list_users, ada, pb::ListUsersRequest::default());
    ask!(users.list_users, admin, pb::ListUsersRequest { page_size: 1, ..Default::default() });
    let credentials = pb::CreateSessionRequest { email: "eve@example.com".to_owned(), password: PASSWORD.to_owned() };
    ask!(sessions.create_session, "", credentials);
    ask!(sessions.renew_session, "", pb::RenewSessionRequest { refresh_token: "x".to_owned() });
    ask!(sessions.list_sessions, "", pb::ListSessionsRequest::default());
    ask!(sessions.list_sessions, ada, pb::ListSessionsRequest::default());
    let product = pb::CreateProductRequest {
        sku: "BOWL".to_owned(),
        name: "Bowl".to_owned(),
        price: Some(pb::Money { amount: 5, currency: "EUR".to_owned() }),
        stock: 1,
        ..Default::default()
    };
    ask!(products.create_product, admin, product.clone());
    ask!(products.create_product, admin, product);
    ask!(products.create_product, admin, pb::CreateProductRequest::default());
    ask!(products.list_products, "", pb::ListProductsRequest::default());
    ask!(products.get_product, "", pb::GetProductRequest { id: 999 });
    ask!(products.delete_product, admin, pb::DeleteProductRequest { id: 2, ..Default::default() });
    let items = |quantity| vec![pb::OrderItem { product_id: app.product, quantity }];
    ask!(orders.create_order, ada, pb::CreateOrderRequest { items: items(2), ..Default::default() });
    ask!(orders.create_order, ada, pb::CreateOrderRequest { items: items(500), ..Default::default() });
    ask!(orders.create_order, ada, pb::CreateOrderRequest::default());
    ask!(orders.get_order, "", pb::GetOrderRequest { id: 1 });
    ask!(orders.list_orders, ada, pb::ListOrdersRequest::default());
    let shipped = pb::ChangeOrderStatusRequest { id: 1, status: 2, ..Default::default() };
    ask!(orders.change_order_status, admin, shipped.clone());
    ask!(orders.change_order_status, admin, shipped);
    ask!(orders.cancel_order, ada, pb::CancelOrderRequest { id: 1, etag: "\"1\"".to_owned() });
    app.drain().await;
    let list = pb::ListNotificationsRequest { order_id: Some(1), ..Default::default() };
    ask!(notifications.list_notifications, admin, list);
    ask!(notifications.get_notification, admin, pb::GetNotificationRequest { id: 999 });
    insta::assert_snapshot!(said);
    app.end().await;
}
