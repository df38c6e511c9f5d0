//! What clients of a REST API expect beside its use cases.

use std::time::Duration;

use ecomm::grpc::pb;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{App, eventually, sqlite};
use crate::both_apis::{channel, with};
use crate::database::Database;
use crate::harness::tests;
use crate::logs::statements;

tests! {
    once {
        a_thing_that_has_not_changed_is_not_sent_again
        a_request_has_a_name
        pages_link_to_the_next
        requests_are_limited_by_user
        only_pages_of_the_settings_may_use_it
        the_api_describes_itself
        a_slow_client_is_cut_off_and_junk_is_answered
        a_client_that_leaves_takes_its_work_along
        answers_are_compressed_for_who_asks
        a_broken_database_is_not_described_to_clients
        odd_text_is_kept_as_it_is_or_refused
    }
    on_each_server_on_one_thread {
        a_list_never_asks_once_for_each_item
    }
    on_each_server {
        what_an_operator_ends_may_be_asked_again
    }
    behind_each_pooler {
        what_waits_for_others_in_vain_may_be_asked_again
    }
}

async fn a_thing_that_has_not_changed_is_not_sent_again() {
    let app = App::start(sqlite().await).await;
    let path = format!("/v1/products/{}", app.product);
    let (_, headers, _) = app.client.with(("GET", &path), "", &[], None).await;
    let tag = headers["etag"].to_str().unwrap().to_owned();
    let get = async |tags: &str| app.client.with(("GET", &path), "", &[("if-none-match", tags)], None).await.0;
    let many = format!("\"9\", W/{tag}");
    for (tags, status) in [(tag.as_str(), 304), ("*", 304), (many.as_str(), 304), ("\"9\"", 200), ("junk", 200)] {
        assert_eq!(get(tags).await, status, "{tags}");
    }
    app.client.ok("PATCH", &path, &app.admin, Some(json!({ "stock": 5 }))).await;
    assert_eq!(get(&tag).await, 200);
    app.end().await;
}

async fn a_request_has_a_name() {
    let app = App::start(sqlite().await).await;
    let named = async |name: &str| app.client.with(("GET", "/v1/orders"), "", &[("x-request-id", name)], None).await;
    let (_, headers, problem) = named("mine-42").await;
    assert_eq!(
        (headers["x-request-id"].to_str().unwrap(), problem["request_id"].as_str()),
        ("mine-42", Some("mine-42"))
    );
    // What is not fit for a log is replaced.
    for odd in ["two words", "", &"x".repeat(129), "\u{fc}"] {
        let (_, headers, problem) = named(odd).await;
        assert_eq!(headers["x-request-id"].to_str().unwrap().len(), 36, "{odd}");
        assert_eq!(headers["x-request-id"].to_str().ok(), problem["request_id"].as_str());
    }
    app.end().await;
}

async fn pages_link_to_the_next() {
    let app = App::start(sqlite().await).await;
    app.order().await;
    app.order().await;
    let (_, headers, page) =
        app.client.with(("GET", "/v1/orders?limit=1&status=pending"), &app.customer, &[], None).await;
    let next =
        format!("</v1/orders?limit=1&status=pending&cursor={}>; rel=\"next\"", page["next_cursor"].as_str().unwrap());
    assert_eq!(headers["link"].to_str().unwrap(), next);
    let path = next[1..].split_once('>').unwrap().0.to_owned();
    let (_, headers, page) = app.client.with(("GET", &path), &app.customer, &[], None).await;
    assert!(!headers.contains_key("link") && page["next_cursor"].is_null());
    app.end().await;
}

async fn requests_are_limited_by_user() {
    let app = App::with(sqlite().await, &[("LIMITS__REQUESTS_PER_MINUTE_MAX", "5")]).await;
    let mut remaining = Vec::new();
    let (last, problem) = loop {
        let (status, headers, problem) = app.client.with(("GET", "/v1/orders"), &app.customer, &[], None).await;
        if status != 200 {
            assert_eq!(status, 429);
            break (headers, problem);
        }
        assert_eq!(headers["ratelimit-policy"], "\"default\";q=5;w=60");
        remaining.push(headers["ratelimit"].to_str().unwrap().to_owned());
    };
    assert_eq!(remaining.len(), 5);
    assert_eq!(remaining[0], "\"default\";r=4;t=60");
    assert!(last["retry-after"].to_str().unwrap().parse::<u32>().unwrap() <= 60);
    assert_eq!(problem["type"], "urn:ecomm:problem:too-many-requests");
    // Others, and probes, are not touched.
    assert_eq!(app.client.with(("GET", "/readyz"), "", &[], None).await.0, 200);
    app.end().await;
}

async fn only_pages_of_the_settings_may_use_it() {
    let app = App::with(sqlite().await, &[("HTTP__CORS_ORIGINS", "[\"https://shop.example\"]")]).await;
    let ask = async |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "PATCH")];
        app.client.with(("OPTIONS", "/v1/orders"), "", &headers, None).await.1
    };
    let allowed = ask("https://shop.example").await;
    assert_eq!(allowed["access-control-allow-origin"], "https://shop.example");
    assert!(allowed["access-control-allow-headers"].to_str().unwrap().contains("idempotency-key"));
    assert!(!ask("https://evil.example").await.contains_key("access-control-allow-origin"));
    app.end().await;
}

/// The description names every path that the router serves, and every answer has a schema.
async fn the_api_describes_itself() {
    let app = App::start(sqlite().await).await;
    let document = app.client.ok("GET", "/openapi.json", "", None).await;
    assert_eq!(document["openapi"], "3.1.0");
    let source = concat!(include_str!("../../src/http.rs"), include_str!("../../src/http/plugins.rs"));
    let routed: Vec<&str> = source.split(".route(\"/v1").skip(1).map(|r| r.split('"').next().unwrap()).collect();
    assert!(routed.len() > 15);
    for path in &routed {
        assert!(document["paths"][format!("/v1{path}")].is_object(), "{path} is not described");
    }
    assert_eq!(document["paths"].as_object().unwrap().len(), routed.len());
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["responses"]["4XX"].is_object(), "{method} {path}");
        }
    }
    // The pages to try it are ours: nothing is loaded from elsewhere.
    for path in ["docs", "docs/"] {
        let page = app.client.http.get(format!("{}/{path}", app.client.base)).send().await.unwrap();
        assert!(page.status().is_success(), "{path}");
        let page = page.text().await.unwrap();
        assert!(page.contains("swagger-ui-bundle.js") && !page.contains("://"), "{page}");
    }
    let script = app.client.http.get(format!("{}/docs/swagger-ui-bundle.js", app.client.base)).send().await.unwrap();
    assert!(script.status().is_success() && script.bytes().await.unwrap().len() > 100_000);
    assert_eq!(app.client.call("GET", "/docs/../secret", "", None).await.0.as_u16(), 404);
    app.end().await;
}

/// Sends bytes and gives back all that is answered until the connection ends.
async fn raw(app: &App, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(app.host.http.unwrap()).await.unwrap();
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn a_slow_client_is_cut_off_and_junk_is_answered() {
    let app = App::with(sqlite().await, &[("HTTP__HEADER_MS_MAX", "300"), ("HTTP__REQUEST_MS_MAX", "700")]).await;
    // Headers that never end; a body that never comes.
    assert_eq!(raw(&app, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ").await, "");
    let body = b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{";
    assert!(raw(&app, body).await.starts_with("HTTP/1.1 408"));
    let large = format!("GET /livez HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n", "x".repeat(100_000));
    assert!(raw(&app, large.as_bytes()).await.starts_with("HTTP/1.1 431"));
    assert!(raw(&app, b"\x16\x03\x01 not http\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    assert!(
        raw(&app, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.starts_with("HTTP/1.1 204")
    );
    app.end().await;
}

/// Nobody waits any more: the work for them stops, and its locks are gone.
async fn a_client_that_leaves_takes_its_work_along() {
    let app = App::start(sqlite().await).await;
    let lock = app.host.service.clone();
    let new = json!({ "items": [{ "product_id": app.product, "quantity": 1 }] });
    let leaving = app
        .client
        .http
        .post(format!("{}/v1/orders", app.client.base))
        .bearer_auth(&app.customer)
        .json(&new)
        .timeout(Duration::from_micros(200));
    let _ = leaving.send().await;
    app.order().await;
    eventually("an order", async || lock.ready().await.is_ok()).await;
    assert!(app.database.number("select count(*) from orders").await >= 1);
    app.end().await;
}

async fn answers_are_compressed_for_who_asks() {
    let app = App::start(sqlite().await).await;
    for _ in 0..5 {
        app.order().await;
    }
    let ask = async |path: &str, encoding: &str| {
        let request = app.client.http.get(format!("{}{path}", app.client.base)).bearer_auth(&app.customer);
        let answer = request.header("accept-encoding", encoding).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        let (encoding, vary) = (header("content-encoding"), header("vary").unwrap_or_default());
        (encoding, vary, answer.bytes().await.unwrap().len())
    };
    let (encoding, _, plain) = ask("/v1/orders", "identity").await;
    assert_eq!(encoding, None);
    let (encoding, vary, small) = ask("/v1/orders", "br, gzip").await;
    assert_eq!(encoding.as_deref(), Some("gzip"));
    assert!(vary.contains("accept-encoding") && small * 3 < plain, "{vary} {small} {plain}");
    assert_eq!(ask("/v1/users/2", "gzip").await.0, None, "too short to be worth it");
    app.end().await;
}

/// Defect 20: the database's words are nobody's business.
async fn a_broken_database_is_not_described_to_clients() {
    let app = App::start(sqlite().await).await;
    app.database.execute("alter table products rename to gone").await;
    let (status, problem) = app.client.call("GET", "/v1/products", "", None).await;
    assert_eq!(status.as_u16(), 500);
    let said = problem.to_string().to_lowercase();
    for word in ["sql", "table", "select", "products", "database"] {
        assert!(!said.contains(word), "{said}");
    }
    app.database.execute("alter table gone rename to products").await;
    app.client.ok("GET", "/v1/products", "", None).await;
    app.end().await;
}

/// Asks for an order to be shipped; the status, the pause that is asked for, and the problem.
async fn ship(app: &App, order: i64) -> (u16, Option<String>, Value) {
    let (path, body) = (format!("/v1/orders/{order}/status"), Some(json!({ "status": "shipped" })));
    let (status, headers, answer) = app.client.with(("PATCH", &path), &app.admin, &[], body).await;
    (status, headers.get("retry-after").map(|pause| pause.to_str().unwrap().to_owned()), answer)
}

/// A statement that an operator ends says nothing of what was asked.
async fn what_an_operator_ends_may_be_asked_again(database: Database) {
    let app = App::start(database).await;
    let order = app.order().await;
    let (waiting, end) = if app.database.kind.speaks_postgres() {
        let of_ours = "from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        (format!("select pid::bigint {of_ours}"), "select pg_cancel_backend(")
    } else {
        let of_ours = "from information_schema.processlist where db = database() and info like '%for update%'";
        (format!("select cast(id as signed) {of_ours} and id <> connection_id()"), "kill query (")
    };
    let holding = app.database.hold(&format!("select id from orders where id = {order} for update")).await;
    let ended = async {
        let waits = format!("select count(*) from ({waiting}) w");
        eventually("a request waits", async || app.database.number(&waits).await > 0).await;
        let statement = app.database.number(&waiting).await;
        app.database.execute(&format!("{end}{statement})")).await;
    };
    let ((status, pause, problem), ()) = tokio::join!(ship(&app, order), ended);
    assert_eq!((status, pause.as_deref()), (503, Some("1")), "{problem}");
    assert_eq!(problem["type"], "urn:ecomm:problem:database-unavailable");
    holding.release().await;
    assert_eq!(ship(&app, order).await.0, 200);
    app.end().await;
}

/// Nor does a lock that does not come free in time, however often it is tried.
async fn what_waits_for_others_in_vain_may_be_asked_again(database: Database) {
    let named = database.texts("select current_database()::text").await.remove(0);
    database.execute(&format!("alter database {named} set lock_timeout = 50")).await;
    let app = App::start(database).await;
    let order = app.order().await;
    let holding = app.database.hold(&format!("select id from orders where id = {order} for update")).await;
    let (status, pause, problem) = ship(&app, order).await;
    assert_eq!((status, pause.as_deref()), (503, Some("1")), "{problem}");
    assert_eq!(problem["type"], "urn:ecomm:problem:contended");
    let shipped = pb::OrderStatus::Shipped.into();
    let request = with(&app.admin, pb::ChangeOrderStatusRequest { id: order, status: shipped, ..Default::default() });
    let mut orders = pb::order_service_client::OrderServiceClient::new(channel(&app).await);
    let refused = orders.change_order_status(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Aborted, "{refused}");
    holding.release().await;
    assert_eq!(ship(&app, order).await.0, 200);
    app.end().await;
}

/// Defect 33: one order or many, a list costs the same statements. On one thread, whose statements are counted;
/// `SQLite`'s are made on a thread of its own, and are the same texts.
async fn a_list_never_asks_once_for_each_item(database: Database) {
    let app = App::start(database).await;
    let mut counts = Vec::new();
    for _ in 0..3 {
        for _ in 0..5 {
            app.order().await;
        }
        for path in ["/v1/orders?limit=100", "/v1/notifications?limit=100", "/v1/products?limit=100"] {
            let before = statements();
            app.client.ok("GET", path, &app.admin, None).await;
            counts.push((path, statements() - before));
        }
    }
    // The worker beside it may make one or two of its own meanwhile.
    assert!(counts.iter().all(|(_, n)| (1..5).contains(n)), "{counts:?}");
    app.end().await;
}

async fn odd_text_is_kept_as_it_is_or_refused() {
    let app = App::start(sqlite().await).await;
    let price = json!({ "amount": 1, "currency": "USD" });
    for (i, name) in
        ["\u{5e9}\u{5dc}\u{5d5}\u{5dd}", "\u{1f469}\u{200d}\u{1f680}", "'; drop table orders; --", "<script>"]
            .iter()
            .enumerate()
    {
        let new = json!({ "sku": format!("ODD-{i}"), "name": name, "price": price, "stock": 1 });
        let made = app.client.ok("POST", "/v1/products", &app.admin, Some(new)).await;
        let read = app.client.ok("GET", &format!("/v1/products/{}", made["id"]), "", None).await;
        assert_eq!(read["name"], *name);
    }
    for name in ["\u{0}", "a\nb", "\u{85}", " "] {
        let new = json!({ "sku": "BAD", "name": name, "price": price, "stock": 1 });
        let (status, problem) = app.client.call("POST", "/v1/products", &app.admin, Some(new)).await;
        assert_eq!((status.as_u16(), &problem["errors"][0]["pointer"]), (422, &json!("/name")));
    }
    // An address of 200 characters logs in (defect 14).
    let email = format!("{}@{}.example.com", "a".repeat(60), ["b".repeat(60), "c".repeat(60)].join("."));
    let new = json!({ "email": email, "name": "Long", "password": crate::app::PASSWORD });
    app.client.ok("POST", "/v1/users", "", Some(new)).await;
    assert!(matches!(app.client.session(&email).await["access_token"], Value::String(_)));
    app.end().await;
}
