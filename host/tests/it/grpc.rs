//! What clients of a gRPC API expect beside its use cases, and that both doors mean the same.

use std::time::Duration;

use ecomm::grpc::pb;
use futures_util::StreamExt;
use serde_json::json;
use tonic::{Code, Request, Status};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient as Older;
use tonic_types::StatusExt;

use crate::app::{App, PASSWORD, sqlite};
use crate::both_apis::{channel, with};
use crate::harness::tests;

tests! {
    once {
        it_describes_itself_and_says_how_it_is
        errors_say_what_programs_need
        calls_without_a_token_are_counted
        a_watched_order_tells_each_change_until_its_end
        a_field_mask_sets_zero_and_clears
        a_request_id_makes_retries_one_order
        a_deadline_that_is_over_ends_the_call
        browsers_can_call_it
        both_doors_mean_the_same
    }
}

type Orders = pb::order_service_client::OrderServiceClient<tonic::transport::Channel>;
type Products = pb::product_service_client::ProductServiceClient<tonic::transport::Channel>;

async fn it_describes_itself_and_says_how_it_is() {
    let app = App::start(sqlite().await).await;
    let channel = channel(&app).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    for service in ["", "ecomm.v1.OrderService", "ecomm.v1.SessionService"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving, "{service}");
    }
    let mut reflection = ServerReflectionClient::new(channel.clone());
    let ask = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = reflection.server_reflection_info(tokio_stream_once(ask)).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(listed) = answer else { panic!("{answer:?}") };
    assert!(listed.service.iter().any(|s| s.name == "ecomm.v1.OrderService"));
    let ask = tonic_reflection::pb::v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(tonic_reflection::pb::v1alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    assert!(Older::new(channel).server_reflection_info(tokio_stream_once(ask)).await.is_ok());
    app.end().await;
}

fn tokio_stream_once<T: Send + 'static>(item: T) -> impl futures_util::Stream<Item = T> + Send + 'static {
    futures_util::stream::iter([item])
}

async fn errors_say_what_programs_need() {
    let app = App::with(sqlite().await, &[("LIMITS__LOG_INS_PER_ACCOUNT_MAX", "1")]).await;
    let channel = channel(&app).await;
    let mut products = Products::new(channel.clone());
    let price = Some(pb::Money { amount: -1, currency: "USD".to_owned() });
    let bad = pb::CreateProductRequest { sku: "A".to_owned(), name: "A".to_owned(), price, ..Default::default() };
    let refused = products.create_product(with(&app.admin, bad)).await.unwrap_err();
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "INVALID");
    assert_eq!(details.error_info().unwrap().domain, "ecomm");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "price");
    let mut sessions = pb::session_service_client::SessionServiceClient::new(channel);
    let credentials = pb::CreateSessionRequest { email: "ada@example.com".to_owned(), password: PASSWORD.to_owned() };
    // The set-up logged in once.
    let refused = sessions.create_session(credentials).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.get_error_details().retry_info().unwrap().retry_delay.unwrap() >= Duration::from_secs(1));
    app.end().await;
}

async fn calls_without_a_token_are_counted() {
    let app = App::with(sqlite().await, &[("LIMITS__REQUESTS_PER_MINUTE_MAX", "5")]).await;
    let channel = channel(&app).await;
    let mut users = pb::user_service_client::UserServiceClient::new(channel.clone());
    let mut sessions = pb::session_service_client::SessionServiceClient::new(channel);
    // Of five, two were for the set-up. The sixth is one too many, whatever it asks for.
    for _ in 0..3 {
        let refused = users.create_user(pb::CreateUserRequest::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let refused = [
        users.create_user(pb::CreateUserRequest::default()).await.unwrap_err(),
        sessions.create_session(pb::CreateSessionRequest::default()).await.unwrap_err(),
        sessions.renew_session(pb::RenewSessionRequest::default()).await.unwrap_err(),
    ];
    assert_eq!(refused.map(|r| r.code()), [Code::ResourceExhausted; 3]);
    app.end().await;
}

async fn a_watched_order_tells_each_change_until_its_end() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    let mut orders = Orders::new(channel(&app).await);
    let missing = orders.watch_order(with(&app.customer, pb::WatchOrderRequest { id: 999 })).await;
    assert_eq!(missing.unwrap_err().code(), Code::NotFound);
    let mut watched =
        orders.watch_order(with(&app.customer, pb::WatchOrderRequest { id: order })).await.unwrap().into_inner();
    let mut next = async || watched.next().await.map(|o| o.unwrap().order.unwrap().status());
    assert_eq!(next().await, Some(pb::OrderStatus::Pending));
    app.change(order, "shipped").await;
    assert_eq!(next().await, Some(pb::OrderStatus::Shipped));
    app.change(order, "delivered").await;
    assert_eq!(next().await, Some(pb::OrderStatus::Delivered));
    assert_eq!(next().await, None);
    app.end().await;
}

async fn a_field_mask_sets_zero_and_clears() {
    let app = App::start(sqlite().await).await;
    let mut products = Products::new(channel(&app).await);
    let get = pb::GetProductRequest { id: app.product };
    let before = products.get_product(get).await.unwrap().into_inner().product.unwrap();
    let update = |paths: &[&str], etag: &str| pb::UpdateProductRequest {
        product: Some(pb::Product { id: app.product, stock: 0, name: "Ignored".to_owned(), ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() }),
        etag: etag.to_owned(),
        request_id: String::new(),
    };
    let after = products.update_product(with(&app.admin, update(&["stock", "url"], "\"1\""))).await.unwrap();
    let after = after.into_inner().product.unwrap();
    assert_eq!((after.stock, after.name, after.version), (0, before.name, 2));
    let code = |refused: Result<tonic::Response<pb::UpdateProductResponse>, Status>| refused.unwrap_err().code();
    assert_eq!(code(products.update_product(with(&app.admin, update(&["stock"], "1"))).await), Code::Aborted);
    assert_eq!(code(products.update_product(with(&app.admin, update(&["id"], ""))).await), Code::InvalidArgument);
    assert_eq!(code(products.update_product(with(&app.admin, update(&["price"], ""))).await), Code::InvalidArgument);
    assert_eq!(
        code(products.update_product(with(&app.customer, update(&["stock"], ""))).await),
        Code::PermissionDenied
    );
    app.end().await;
}

/// A key counts at either door for itself, and within a door for the same call.
async fn a_request_id_makes_retries_one_order() {
    let app = App::start(sqlite().await).await;
    let mut orders = Orders::new(channel(&app).await);
    let new = |quantity| pb::CreateOrderRequest {
        items: vec![pb::OrderItem { product_id: app.product, quantity }],
        attributes: (0..20).map(|i| (format!("k{i}"), "v".to_owned())).collect(),
        request_id: "once".to_owned(),
        ..Default::default()
    };
    let mut place = async |quantity| orders.create_order(with(&app.customer, new(quantity))).await;
    let first = place(1).await.unwrap().into_inner().order;
    assert_eq!(place(1).await.unwrap().into_inner().order, first);
    assert_eq!(place(2).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(app.database.number("select count(*) from orders").await, 1);
    app.end().await;
}

/// Somebody else holds the database while the deadline passes; the order that waited for it is then not placed.
async fn a_deadline_that_is_over_ends_the_call() {
    use sqlx::{Connection, Executor, SqliteConnection};
    let app = App::start(sqlite().await).await;
    let mut orders = Orders::new(channel(&app).await);
    let mut other = SqliteConnection::connect(&app.database.url).await.unwrap();
    other.execute("begin immediate").await.unwrap();
    let new = || pb::CreateOrderRequest {
        items: vec![pb::OrderItem { product_id: app.product, quantity: 1 }],
        ..Default::default()
    };
    let mut request = with(&app.customer, new());
    request.set_timeout(Duration::from_millis(100));
    let refused = orders.create_order(request).await.unwrap_err();
    assert!(matches!(refused.code(), Code::Cancelled | Code::DeadlineExceeded), "{refused}");
    other.execute("rollback").await.unwrap();
    orders.create_order(with(&app.customer, new())).await.unwrap();
    assert_eq!(app.database.number("select count(*) from orders").await, 1);
    app.end().await;
}

/// gRPC-Web over HTTP/1.1, as a browser speaks it.
async fn browsers_can_call_it() {
    let app = App::start(sqlite().await).await;
    let mut body = vec![0, 0, 0, 0, 2, 8];
    body.push(u8::try_from(app.product).unwrap());
    let url = format!("http://{}/ecomm.v1.ProductService/GetProduct", app.host.grpc.unwrap());
    let request = app.client.http.post(url).header("content-type", "application/grpc-web+proto").body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
    let answer = response.bytes().await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("CUP") && text.contains("grpc-status:0"), "{text}");
    app.end().await;
}

/// The HTTP status that means the same.
fn http<T>(answer: Result<tonic::Response<T>, Status>) -> u16 {
    match answer.map_or_else(|e| e.code(), |_| Code::Ok) {
        Code::Ok => 200,
        Code::InvalidArgument => 422,
        Code::NotFound => 404,
        Code::FailedPrecondition | Code::AlreadyExists => 409,
        Code::Aborted => 412,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        code => panic!("{code:?}"),
    }
}

/// Any success.
fn ok(status: u16) -> u16 {
    if status < 300 { 200 } else { status }
}

/// Every use case that one door offers, the other offers, with the same outcome.
async fn both_doors_mean_the_same() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    let channel = channel(&app).await;
    let (mut orders, mut products) = (Orders::new(channel.clone()), Products::new(channel.clone()));
    let mut users = pb::user_service_client::UserServiceClient::new(channel.clone());
    let mut notifications = pb::notification_service_client::NotificationServiceClient::new(channel);
    let rest = async |method: &str, path: String, token: &str, body: Option<serde_json::Value>| {
        app.client.call(method, &path, token, body).await.0.as_u16()
    };
    let request = |token: &str, anonymous: bool| (token.to_owned(), anonymous);
    for (token, is_anonymous) in [request("", true), request(&app.customer, false), request(&app.admin, false)] {
        macro_rules! asks {
            ($message:expr) => {
                if is_anonymous { Request::new($message) } else { with(&token, $message) }
            };
        }
        for id in [order, 999] {
            let one = http(orders.get_order(asks!(pb::GetOrderRequest { id })).await);
            assert_eq!(one, rest("GET", format!("/v1/orders/{id}"), &token, None).await, "get order {id}");
            let list = pb::ListNotificationsRequest { order_id: Some(id), ..Default::default() };
            let told = http(notifications.list_notifications(asks!(list)).await);
            assert_eq!(told, rest("GET", format!("/v1/orders/{id}/notifications"), &token, None).await, "told {id}");
            let one = http(users.get_user(asks!(pb::GetUserRequest { id })).await);
            assert_eq!(one, rest("GET", format!("/v1/users/{id}"), &token, None).await, "get user {id}");
            let one = http(products.get_product(asks!(pb::GetProductRequest { id })).await);
            assert_eq!(one, rest("GET", format!("/v1/products/{id}"), &token, None).await, "get product {id}");
            let moved = pb::ChangeOrderStatusRequest { id, status: 3, ..Default::default() };
            let moved = http(orders.change_order_status(asks!(moved)).await);
            let body = Some(json!({ "status": "delivered" }));
            assert_eq!(moved, rest("PATCH", format!("/v1/orders/{id}/status"), &token, body).await, "status {id}");
            let stale = pb::CancelOrderRequest { id, etag: "7".to_owned() };
            let stale = http(orders.cancel_order(asks!(stale)).await);
            let headers = [("if-match", "\"7\"")];
            let path = format!("/v1/orders/{id}");
            assert_eq!(stale, app.client.with(("DELETE", &path), &token, &headers, None).await.0, "cancel {id}");
        }
        let page = http(users.list_users(asks!(pb::ListUsersRequest::default())).await);
        assert_eq!(page, rest("GET", "/v1/users".to_owned(), &token, None).await, "users");
        let page = pb::ListOrdersRequest { page_size: 101, ..Default::default() };
        let page = http(orders.list_orders(asks!(page)).await);
        assert_eq!(page, rest("GET", "/v1/orders?limit=101".to_owned(), &token, None).await, "orders");
        let page = http(notifications.list_notifications(asks!(pb::ListNotificationsRequest::default())).await);
        assert_eq!(page, rest("GET", "/v1/notifications".to_owned(), &token, None).await, "notifications");
        let taken = pb::CreateProductRequest {
            sku: "CUP".to_owned(),
            name: "Cup".to_owned(),
            price: Some(pb::Money { amount: 1, currency: "USD".to_owned() }),
            ..Default::default()
        };
        let taken = http(products.create_product(asks!(taken)).await);
        let body = json!({ "sku": "CUP", "name": "Cup", "price": { "amount": 1, "currency": "USD" }, "stock": 0 });
        assert_eq!(taken, rest("POST", "/v1/products".to_owned(), &token, Some(body)).await, "taken");
        let new = pb::CreateOrderRequest {
            items: vec![pb::OrderItem { product_id: app.product, quantity: 1 }],
            ..Default::default()
        };
        let placed = http(orders.create_order(asks!(new)).await);
        let body = json!({ "items": [{ "product_id": app.product, "quantity": 1 }] });
        assert_eq!(placed, ok(rest("POST", "/v1/orders".to_owned(), &token, Some(body)).await), "place");
    }
    app.end().await;
}
