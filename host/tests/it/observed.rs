//! What those who watch a host see.

use ecomm::mail::mailbox::Phase;
use serde_json::json;

use crate::app::{App, eventually, reply, sqlite};
use crate::both_apis::channel;
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        metrics_tell_what_happened
    }
    once {
        nothing_of_a_customer_is_in_a_label
        what_is_cut_off_is_counted_where_it_was
    }
}

async fn read(app: &App) -> String {
    let url = format!("http://{}/metrics", app.host.metrics.unwrap());
    let response = app.client.http.get(url).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    response.text().await.unwrap()
}

/// The value of the first line with this name and these labels.
fn value(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let mut lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let line = lines.find(|line| labels.iter().all(|label| line.contains(label)))?;
    line.rsplit(' ').next()?.parse().ok()
}

const ON: [(&str, &str); 1] = [("TELEMETRY__LISTEN", "127.0.0.1:0")];

async fn metrics_tell_what_happened(database: Database) {
    let reports = [("MAIL__RETURN_PATH", crate::reports::BASE), ("INBOUND__LISTEN", "127.0.0.1:0")];
    let app = App::with(database, &[&ON[..], &reports].concat()).await;
    app.fail(Phase::Rcpt, reply("450 4.2.0 busy"), 1);
    app.order().await;
    app.drain().await;
    app.clock.advance(3_600_000);
    app.drain().await;
    let (status, _) = app.client.call("GET", "/v1/orders/999", &app.customer, None).await;
    assert_eq!(status.as_u16(), 404);
    app.client.call("GET", "/v1/a/path/of/my/own", &app.customer, None).await;
    let mut orders = ecomm::grpc::pb::order_service_client::OrderServiceClient::new(channel(&app).await);
    let nobody = orders.list_orders(ecomm::grpc::pb::ListOrdersRequest::default()).await;
    assert_eq!(nobody.unwrap_err().code(), tonic::Code::Unauthenticated);
    assert!(
        crate::reports::report(&app, "", crate::reports::BASE, "Subject: failure notice\r\n").await.starts_with("250")
    );
    let text = read(&app).await;
    for (name, labels, at_least) in [
        ("ecomm_reports_total", &["ecomm_report_kind=\"none\"", "ecomm_outcome=\"of-no-mail\""][..], 1.0),
        ("ecomm_attempts_total", &["ecomm_relay=\"mailbox\"", "ecomm_smtp_phase=\"rcpt\""][..], 1.0),
        ("ecomm_attempts_total", &["ecomm_class=\"delivered\""], 1.0),
        ("ecomm_deliveries_total", &["ecomm_outcome=\"sent\""], 1.0),
        ("ecomm_deliveries_total", &["ecomm_outcome=\"later\""], 1.0),
        ("ecomm_mail_latency_seconds_count", &[], 1.0),
        ("messaging_process_duration_seconds_count", &["messaging_operation_name=\"deliver\""], 1.0),
        ("ecomm_plugin_call_duration_seconds_count", &["ecomm_plugin_call=\"render\"", "ecomm_outcome=\"ok\""], 2.0),
        ("ecomm_plugin_call_duration_seconds_count", &["ecomm_plugin_call=\"on-failure\""], 1.0),
        (
            "http_server_request_duration_seconds_count",
            &["http_route=\"/v1/orders/{id}\"", "http_response_status_code=\"404\""],
            1.0,
        ),
        ("http_server_request_duration_seconds_count", &["http_route=\"none\""], 1.0),
        (
            "rpc_server_call_duration_seconds_count",
            &["rpc_method=\"ecomm.v1.OrderService/ListOrders\"", "rpc_response_status_code=\"16\""],
            1.0,
        ),
    ] {
        let found = value(&text, name, labels);
        assert!(found.is_some_and(|found| found >= at_least), "{name} {labels:?}: {found:?} in\n{text}");
    }
    assert!(!text.contains("my/own"), "{text}");
    eventually("the queue was looked at", async || {
        let text = read(&app).await;
        value(&text, "ecomm_queue_notifications", &["ecomm_state=\"queued\""]).is_some()
            && value(&text, "ecomm_relay_available", &["ecomm_relay=\"mailbox\""]) == Some(1.0)
            && value(&text, "ecomm_queue_paused", &[]) == Some(0.0)
            && value(&text, "db_client_connection_count", &["db_client_connection_state=\"idle\""]).is_some()
            && value(&text, "ecomm_plugin_revision_calls", &["ecomm_plugin_stage=\"active\""]).is_some()
    })
    .await;
    is_told_of(&read(&app).await);
    app.end().await;
}

/// A request that is not done in time, and a call that its client gives up.
async fn what_is_cut_off_is_counted_where_it_was() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = App::with(sqlite().await, &[ON[0], ("HTTP__REQUEST_MS_MAX", "5000")]).await;
    let mut slow = tokio::net::TcpStream::connect(app.host.http.unwrap()).await.unwrap();
    let head = "POST /v1/users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    let mut users = ecomm::grpc::pb::user_service_client::UserServiceClient::new(channel(&app).await);
    let mut request = tonic::Request::new(ecomm::grpc::pb::CreateUserRequest {
        email: "b@example.com".to_owned(),
        name: "B".to_owned(),
        password: crate::app::PASSWORD.to_owned(),
        ..Default::default()
    });
    // Shorter than a password takes to be hashed.
    request.set_timeout(std::time::Duration::from_millis(1));
    users.create_user(request).await.unwrap_err();
    let cut_off = [
        (
            "http_server_request_duration_seconds_count",
            ["http_route=\"/v1/users\"", "http_response_status_code=\"408\""],
        ),
        (
            "rpc_server_call_duration_seconds_count",
            ["rpc_method=\"ecomm.v1.UserService/CreateUser\"", "rpc_response_status_code=\"1\""],
        ),
    ];
    for (name, labels) in cut_off {
        eventually(name, async || value(&read(&app).await, name, &labels) == Some(1.0)).await;
    }
    app.end().await;
}

/// The guide's table lists what there is, and the alerts ask for nothing else.
fn is_told_of(text: &str) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let mut there: Vec<_> = names.filter(|name| *name != "target_info").collect();
    there.sort_unstable();
    let guide = file("docs/operators.md");
    let rows = guide.split("| metric |").nth(1).unwrap().lines().skip(1).take_while(|l| l.starts_with('|'));
    let mut told: Vec<_> = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    told.sort_unstable();
    assert_eq!(there, told);
    let alerts = file("packaging/prometheus/alerts.yaml");
    let dashboard: serde_json::Value = serde_json::from_str(&file("packaging/grafana/ecomm.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let graphs: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(graphs.len() > 20, "{graphs:?}");
    let words = |text: &str| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned);
        let prefixes = ["ecomm_queue", "ecomm_relay_", "ecomm_group", "db_client_connection_count"];
        let is_metric = move |word: &String| {
            word.contains("_seconds") || word.ends_with("_total") || prefixes.iter().any(|p| word.starts_with(p))
        };
        words.filter(is_metric).collect::<Vec<_>>()
    };
    for word in words(&alerts).into_iter().chain(graphs.iter().flat_map(|graph| words(graph))) {
        let name = word.trim_end_matches("_count").trim_end_matches("_bucket");
        assert!(there.contains(&name) || there.contains(&word.as_str()), "{word}, which is asked for, is not there");
    }
    // Each question has its graph.
    for name in told {
        assert!(graphs.iter().any(|graph| graph.contains(name)), "{name} is on no graph");
    }
}

async fn nothing_of_a_customer_is_in_a_label() {
    let app = App::with(crate::app::sqlite().await, &ON).await;
    let order = app.order().await;
    app.drain().await;
    let path = format!("/v1/orders/{order}/notifications?state=secret-of-a-customer");
    app.client.call("GET", &path, &app.admin, None).await;
    app.client.call("GET", "/v1/users/ada@example.com", &app.admin, Some(json!({}))).await;
    let text = read(&app).await;
    let text: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    for word in ["ada", "example.com", "Lovelace", "secret", "Cup"] {
        assert!(!text.contains(word), "{word} is in\n{text}");
    }
    app.end().await;
}
