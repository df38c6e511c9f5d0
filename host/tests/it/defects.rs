//! What went wrong in the system that this one replaces, and the test that keeps each from happening here. The tests of
//! this file are those that no other file is the room of.

use ecomm::grpc::pb;
use serde_json::{Value, json};
use tonic::{Code, Request};

use crate::app::{App, PASSWORD, sqlite};
use crate::both_apis::{channel, with};
use crate::database::Database;
use crate::harness::tests;

/// What each defect was, and the test that would fail with it.
const DEFECTS: [(&str, &str); 49] = [
    ("sign-up took is_admin from the body", "defects::sign_up_makes_no_admins"),
    ("users could promote themselves", "defects::nobody_promotes_themselves"),
    ("a refresh token passed for an access token", "sessions::foreign_tokens_are_refused"),
    ("gRPC asked nobody who they are", "defects::every_call_of_grpc_asks_who_calls"),
    ("anyone could do the worker's and the admin's work", "defects::every_call_of_grpc_asks_who_calls"),
    ("password hashes left over gRPC", "defects::password_hashes_appear_in_no_api"),
    ("any user could delete any order", "defects::others_orders_cannot_be_cancelled"),
    ("customers moved their own orders on, admins could not", "defects::only_admins_move_orders_on"),
    ("a default secret was compiled in", "settings::wrong_settings_are_named"),
    ("any algorithm and audience was accepted", "sessions::foreign_tokens_are_refused"),
    ("an expired access token could not be renewed", "defects::an_expired_access_token_is_renewed"),
    ("logging out left the refresh token alive", "sessions::logging_out_ends_the_session_that_it_names"),
    ("a spent refresh token still worked", "sessions::a_refresh_token_works_once"),
    ("refresh tokens were kept in clear and cut", "defects::a_long_address_logs_in_and_no_token_is_kept"),
    ("rights outlived demotion and deletion", "sessions::rights_follow_at_the_next_renewal"),
    ("log-ins told who exists", "both_apis::an_unknown_address_and_a_wrong_password_look_the_same"),
    ("a long password ended the process", "defects::a_long_password_is_answered"),
    ("a wrong id ended the request without an answer", "defects::a_wrong_id_is_answered"),
    ("nothing was validated", "both_apis::rest_refuses_with_a_problem"),
    ("SQL was told to clients", "rest::a_broken_database_is_not_described_to_clients"),
    ("deleting what is not there succeeded", "defects::deleting_what_is_not_there_says_so"),
    ("slow and large requests were served for ever", "rest::a_slow_client_is_cut_off_and_junk_is_answered"),
    ("money was binary fractions", "shop::amounts_are_exact"),
    ("clients named the prices", "both_apis::prices_and_sums_are_the_servers"),
    ("stock was never taken", "store::stock_is_exact_under_concurrency"),
    ("one arbitrary order was listed", "defects::all_ones_orders_are_listed_and_each_can_be_got"),
    ("an order with notifications could not be cancelled", "delivery::cancelling_returns_the_stock"),
    ("created things had no id", "defects::a_thing_looks_the_same_made_changed_and_got"),
    ("answers had as many shapes as endpoints", "defects::a_thing_looks_the_same_made_changed_and_got"),
    ("zero could not be set", "shop::a_patch_changes_what_it_names_and_zero_and_null_count"),
    ("of two writers one was lost", "shop::of_two_writers_one_is_stale"),
    ("a change could happen twice", "store::a_change_happens_once"),
    ("lists asked once for each item", "rest::a_list_never_asks_once_for_each_item"),
    ("what was ordered could not be deleted", "shop::an_archived_product_stays_in_its_orders"),
    ("a migration failed on tables with rows", "migrations::older_data_is_migrated"),
    ("a failed transaction was left open", "defects::an_order_and_its_notification_are_one"),
    ("passwords over gRPC were kept in clear", "defects::a_password_over_grpc_is_hashed"),
    ("the notification was a second transaction", "defects::an_order_and_its_notification_are_one"),
    ("certificates were not verified", "tls::starttls_is_verified"),
    ("every replica sent every mail", "cluster::two_hosts_deliver_a_thousand_events"),
    ("a rejection was retried, a delay was not", "delivery::a_rejection_frees_its_lane"),
    ("what failed was forgotten", "delivery::failure_at_the_maximum_marks_failed"),
    ("a long reply was sent again for ever", "delivery::a_long_reply_is_recorded_cut"),
    ("an empty request meant success", "defects::an_empty_change_is_no_change"),
    ("shipped arrived before pending", "delivery::a_retry_keeps_its_lane_waiting"),
    ("mail went to the caller's address", "shop::queued_mail_goes_to_the_new_address"),
    ("a crash sent mails without bound", "crash::killed_after_the_dot_the_mail_arrives_at_most_twice"),
    ("each mail opened a connection", "relay::connections_are_few_and_used_again"),
    ("mails were plain and readiness was a guess", "delivery::whole_path"),
];

/// Each defect has a test that is there.
fn each_defect_has_its_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    for (defect, test) in DEFECTS {
        let (file, name) = test.split_once("::").unwrap();
        let source = std::fs::read_to_string(format!("{folder}/{file}.rs")).unwrap();
        let listed = source
            .split_once("\ntests! {")
            .is_some_and(|(_, s)| s.split("\n}\n").next().unwrap().split_whitespace().any(|word| word == name));
        assert!(listed, "{test} does not run, which keeps: {defect}");
    }
}

tests! {
    on_each_database {
        an_order_and_its_notification_are_one
    }
    once {
        sign_up_makes_no_admins
        nobody_promotes_themselves
        every_call_of_grpc_asks_who_calls
        password_hashes_appear_in_no_api
        others_orders_cannot_be_cancelled
        only_admins_move_orders_on
        an_expired_access_token_is_renewed
        a_long_address_logs_in_and_no_token_is_kept
        a_long_password_is_answered
        a_wrong_id_is_answered
        deleting_what_is_not_there_says_so
        all_ones_orders_are_listed_and_each_can_be_got
        a_thing_looks_the_same_made_changed_and_got
        a_password_over_grpc_is_hashed
        an_empty_change_is_no_change
    }
    without_runtime {
        each_defect_has_its_test
    }
}

async fn sign_up_makes_no_admins() {
    let app = App::start(sqlite().await).await;
    let eve = json!({ "email": "eve@example.com", "name": "Eve", "password": PASSWORD, "is_admin": true });
    let (status, problem) = app.client.call("POST", "/v1/users", "", Some(eve)).await;
    assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("/is_admin")));
    assert_eq!(app.database.number("select count(*) from users where admin_since is not null").await, 1);
    app.end().await;
}

async fn nobody_promotes_themselves() {
    let app = App::start(sqlite().await).await;
    let id = app.database.number("select id from users where email = 'ada@example.com'").await;
    let (path, admin) = (format!("/v1/users/{id}"), json!({ "is_admin": true }));
    assert_eq!(app.client.call("PATCH", &path, &app.customer, Some(admin)).await.0.as_u16(), 403);
    let mut users = pb::user_service_client::UserServiceClient::new(channel(&app).await);
    let update = pb::UpdateUserRequest {
        user: Some(pb::User { id, is_admin: true, ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["is_admin".to_owned()] }),
        ..Default::default()
    };
    assert_eq!(users.update_user(with(&app.customer, update)).await.unwrap_err().code(), Code::PermissionDenied);
    let again = app.client.log_in("ada@example.com").await;
    assert_eq!(app.client.call("GET", "/v1/users", &again, None).await.0.as_u16(), 403);
    app.end().await;
}

/// Every method of the contract, with an empty message, as nobody and as a customer.
async fn every_call_of_grpc_asks_who_calls() {
    const FOR_ANYBODY: &str = "CreateSession RenewSession CreateUser VerifyEmail RequestPasswordReset ResetPassword \
                               GetProduct ListProducts";
    const FOR_ADMINS: [&str; 9] = [
        "ChangeOrderStatus",
        "CreateProduct",
        "UpdateProduct",
        "DeleteProduct",
        "ListUsers",
        "HoldNotification",
        "GetQueue",
        "PauseQueue",
        "ResumeQueue",
    ];
    let app = App::start(sqlite().await).await;
    let call = async |method: &str, token: Option<&str>| {
        let url = format!("http://{}{method}", app.host.grpc.unwrap());
        let request = app.client.http.post(url).header("content-type", "application/grpc-web+proto");
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let response = request.body(vec![0_u8; 5]).send().await.unwrap();
        let status = response.headers().get("grpc-status").map(|s| s.to_str().unwrap().to_owned());
        // An answer carries its status behind it.
        let body = response.bytes().await.unwrap();
        let trailer = String::from_utf8_lossy(&body).split_once("grpc-status:").map(|(_, s)| s.trim().to_owned());
        let status = status.or(trailer).unwrap();
        Code::from_bytes(status.split_whitespace().next().unwrap().as_bytes())
    };
    let mut called = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/ecomm/v1")).unwrap() {
        let proto = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let Some((_, service)) = proto.split_once("\nservice ") else { continue };
        let (service, methods) = service.split_once(" {").unwrap();
        for method in methods.split("\n}").next().unwrap().lines().filter_map(|l| l.trim().strip_prefix("rpc ")) {
            let method = method.split('(').next().unwrap();
            let path = format!("/ecomm.v1.{service}/{method}");
            let (nobody, customer) = (call(&path, None).await, call(&path, Some(&app.customer)).await);
            assert_eq!(
                nobody == Code::Unauthenticated,
                !FOR_ANYBODY.split_whitespace().any(|open| open == method),
                "{path}: {nobody:?}"
            );
            if FOR_ADMINS.contains(&method) {
                // An empty message may be refused for itself.
                assert!(matches!(customer, Code::PermissionDenied | Code::InvalidArgument), "{path}: {customer:?}");
            }
            called += 1;
        }
    }
    assert!(called >= 24, "{called}");
    app.end().await;
}

async fn password_hashes_appear_in_no_api() {
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/ecomm/v1")).unwrap() {
        let proto = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for message in proto.split("\nmessage ").skip(1) {
            let name = message.split_whitespace().next().unwrap();
            let (fields, _) = message.split_once("\n}").unwrap_or((message, ""));
            assert!(name.ends_with("Request") || !fields.contains("password"), "{name}");
        }
    }
    let app = App::start(sqlite().await).await;
    let mut users = pb::user_service_client::UserServiceClient::new(channel(&app).await);
    let listed = users.list_users(with(&app.admin, pb::ListUsersRequest::default())).await.unwrap();
    let listed = [format!("{listed:?}"), app.client.ok("GET", "/v1/users", &app.admin, None).await.to_string()];
    for said in listed {
        assert!(said.contains("ada@example.com"));
        assert!(!said.contains("argon2") && !said.contains("password"), "{said}");
    }
    app.end().await;
}

async fn others_orders_cannot_be_cancelled() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    app.client.ok("POST", "/v1/users", "", Some(json!(crate::snapshots::eve()))).await;
    let eve = app.client.log_in("eve@example.com").await;
    let path = format!("/v1/orders/{order}");
    assert_eq!(app.client.call("DELETE", &path, &eve, None).await.0.as_u16(), 404);
    assert_eq!(app.client.ok("GET", &path, &app.customer, None).await["status"], "pending");
    app.end().await;
}

async fn only_admins_move_orders_on() {
    let app = App::start(sqlite().await).await;
    let path = format!("/v1/orders/{}/status", app.order().await);
    let shipped = || Some(json!({ "status": "shipped" }));
    assert_eq!(app.client.call("PATCH", &path, &app.customer, shipped()).await.0.as_u16(), 403);
    assert_eq!(app.client.ok("PATCH", &path, &app.admin, shipped()).await["status"], "shipped");
    app.end().await;
}

async fn an_expired_access_token_is_renewed() {
    let app = App::with(sqlite().await, &[("AUTH__ACCESS_TOKEN_MS", "60000")]).await;
    let session = app.client.session("ada@example.com").await;
    app.clock.advance(120_000);
    let access = session["access_token"].as_str().unwrap();
    assert_eq!(app.client.call("GET", "/v1/orders", access, None).await.0.as_u16(), 401);
    let body = json!({ "refresh_token": session["refresh_token"] });
    let renewed = app.client.ok("POST", "/v1/sessions/renew", "", Some(body)).await;
    app.client.ok("GET", "/v1/orders", renewed["access_token"].as_str().unwrap(), None).await;
    app.end().await;
}

async fn a_long_address_logs_in_and_no_token_is_kept() {
    let app = App::start(sqlite().await).await;
    let labels = ["d".repeat(60), "e".repeat(60), "f".repeat(50), "com".to_owned()].join(".");
    let email = format!("{}@{labels}", "l".repeat(60));
    let body = json!({ "email": email, "name": "Long", "password": PASSWORD });
    app.client.ok("POST", "/v1/users", "", Some(body)).await;
    let session = app.client.session(&email).await;
    let refresh = session["refresh_token"].as_str().unwrap();
    for part in refresh.split('.').chain([refresh]).filter(|p| p.len() > 20) {
        let kept = format!("select count(*) from sessions where token_hash like '%{part}%'");
        assert_eq!(app.database.number(&kept).await, 0);
    }
    app.end().await;
}

async fn a_long_password_is_answered() {
    let app = App::start(sqlite().await).await;
    let mut users = pb::user_service_client::UserServiceClient::new(channel(&app).await);
    for (length, code) in [(100, Code::Ok), (201, Code::InvalidArgument), (100_000, Code::InvalidArgument)] {
        let new = pb::CreateUserRequest {
            email: format!("long{length}@example.com"),
            name: "Long".to_owned(),
            password: "p".repeat(length),
            ..Default::default()
        };
        assert_eq!(users.create_user(new).await.map_or_else(|e| e.code(), |_| Code::Ok), code, "{length}");
    }
    app.client.ok("GET", "/readyz", "", None).await;
    app.end().await;
}

async fn a_wrong_id_is_answered() {
    let app = App::start(sqlite().await).await;
    for id in ["abc", "-1", "0", "1e3", "99999999999999999999", "%00", "..", "1;drop"] {
        for (method, noun) in [("DELETE", "orders"), ("GET", "orders"), ("GET", "products"), ("DELETE", "products")] {
            let (status, problem) = app.client.call(method, &format!("/v1/{noun}/{id}"), &app.admin, None).await;
            assert_eq!((status.as_u16(), &problem["status"]), (404, &json!(404)), "{method} {noun} {id}: {problem}");
        }
    }
    app.end().await;
}

async fn deleting_what_is_not_there_says_so() {
    let app = App::start(sqlite().await).await;
    for noun in ["orders", "products", "users", "sessions"] {
        let (status, _) = app.client.call("DELETE", &format!("/v1/{noun}/999"), &app.admin, None).await;
        assert_eq!(status.as_u16(), 404, "{noun}");
    }
    app.end().await;
}

async fn all_ones_orders_are_listed_and_each_can_be_got() {
    let app = App::start(sqlite().await).await;
    let placed = [app.order().await, app.order().await];
    let listed = app.client.ok("GET", "/v1/orders?sort=created_at", &app.customer, None).await;
    let listed: Vec<_> = listed["items"].as_array().unwrap().iter().map(|o| o["id"].as_i64().unwrap()).collect();
    assert_eq!(listed, placed);
    for id in placed {
        assert_eq!(app.client.ok("GET", &format!("/v1/orders/{id}"), &app.customer, None).await["id"], id);
    }
    app.end().await;
}

async fn a_thing_looks_the_same_made_changed_and_got() {
    let app = App::start(sqlite().await).await;
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let price = json!({ "amount": 1999, "currency": "USD" });
    let new = json!({ "sku": "BOWL", "name": "Bowl", "price": price, "stock": 3 });
    let made = app.client.ok("POST", "/v1/products", &app.admin, Some(new)).await;
    let path = format!("/v1/products/{}", made["id"]);
    assert_eq!(app.client.ok("GET", &path, "", None).await, made);
    assert!(made["id"].as_i64().unwrap() > 0 && !made["created_at"].as_str().unwrap().starts_with("0001"), "{made}");
    let changed = app.client.ok("PATCH", &path, &app.admin, Some(json!({ "stock": 4 }))).await;
    assert_eq!((keys(&changed), app.client.ok("GET", &path, "", None).await), (keys(&made), changed));

    let items = json!({ "items": [{ "product_id": app.product, "quantity": 2 }] });
    let placed = app.client.ok("POST", "/v1/orders", &app.customer, Some(items)).await;
    let path = format!("/v1/orders/{}", placed["id"]);
    assert_eq!(app.client.ok("GET", &path, &app.customer, None).await, placed);
    let status = json!({ "status": "shipped" });
    let shipped = app.client.ok("PATCH", &format!("{path}/status"), &app.admin, Some(status)).await;
    assert_eq!((keys(&shipped), &shipped["total"]), (keys(&placed), &placed["total"]));
    assert_eq!(app.client.ok("GET", &path, &app.customer, None).await, shipped);
    app.end().await;
}

/// The write behind the order's fails: then nothing of the order is there, nor of the stock's change, and the next
/// transaction on the connection finds nothing left open.
async fn an_order_and_its_notification_are_one(database: Database) {
    let app = App::start(database).await;
    app.database.execute("alter table notification_states rename to elsewhere").await;
    let items = json!({ "items": [{ "product_id": app.product, "quantity": 2 }] });
    for _ in 0..8 {
        let (status, _) = app.client.call("POST", "/v1/orders", &app.customer, Some(items.clone())).await;
        assert_eq!(status.as_u16(), 500);
    }
    app.database.execute("alter table elsewhere rename to notification_states").await;
    assert_eq!(app.database.number("select count(*) from orders").await, 0);
    assert_eq!(app.database.number("select stock from products").await, 100);
    app.order().await;
    assert_eq!(app.database.number("select count(*) from orders").await, 1);
    assert_eq!(app.queued().await, 1);
    app.end().await;
}

async fn a_password_over_grpc_is_hashed() {
    let app = App::start(sqlite().await).await;
    let mut users = pb::user_service_client::UserServiceClient::new(channel(&app).await);
    let new = pb::CreateUserRequest {
        email: "eve@example.com".to_owned(),
        name: "Eve".to_owned(),
        password: PASSWORD.to_owned(),
        ..Default::default()
    };
    users.create_user(Request::new(new)).await.unwrap();
    app.client.log_in("eve@example.com").await;
    let kept = app.database.texts("select password_hash from users").await;
    assert!(kept.iter().all(|hash| hash.starts_with("$argon2id$")), "{kept:?}");
    app.end().await;
}

async fn an_empty_change_is_no_change() {
    let app = App::start(sqlite().await).await;
    let order = app.order().await;
    let mut orders = pb::order_service_client::OrderServiceClient::new(channel(&app).await);
    for status in [0, 99] {
        let change = pb::ChangeOrderStatusRequest { id: order, status, ..Default::default() };
        let refused = orders.change_order_status(with(&app.admin, change)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    app.end().await;
}
