//! One trace, from a client's request to the relay's reply, over two hosts and a restart; read by a collector of ours.

use std::sync::{Arc, Mutex};

use ecomm::config::Config;
use ecomm::host::{Host, Roles};
use ecomm::mail::mailbox::Phase;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;

use crate::app::{App, environment, reply, sqlite};
use crate::both_apis::channel;
use crate::database::Database;
use crate::harness::tests;

tests! {
    on_each_database {
        a_trace_goes_on_over_hosts_and_restarts
    }
    once {
        calls_are_traced_as_requests_are
        what_nobody_samples_leaves_no_trace
        a_collector_that_is_away_keeps_no_mail
        the_part_is_one
    }
}

/// Keeps what it is sent, with the run of the host that sent it.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>, Arc<Mutex<Vec<String>>>);

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        let scopes = request.into_inner().resource_metrics.into_iter().flat_map(|of_host| of_host.scope_metrics);
        self.1.lock().unwrap().extend(scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name));
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        for of_host in request.into_inner().resource_spans {
            let resource = of_host.resource.unwrap_or_default();
            let host = resource.attributes.iter().find(|a| a.key == "service.instance.id");
            let host = format!("{:?}", host.and_then(|a| a.value.clone()));
            let spans = of_host.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| (host.clone(), span)));
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> (Self, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let this = Self::default();
        let (traces, metrics) = (TraceServiceServer::new(this.clone()), MetricsServiceServer::new(this.clone()));
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            let incoming = tonic::transport::server::TcpIncoming::from(listener);
            let server = tonic::transport::Server::builder().add_service(traces).add_service(metrics);
            server.serve_with_incoming(incoming).await
        });
        (this, address)
    }

    fn spans(&self) -> Vec<(String, Span)> {
        let mut spans = self.0.lock().unwrap().clone();
        spans.sort_by_key(|(_, span)| (span.start_time_unix_nano, span.end_time_unix_nano));
        spans
    }
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn named<'a>(spans: &'a [(String, Span)], name: &str) -> Vec<&'a Span> {
    spans.iter().map(|(_, span)| span).filter(|span| span.name == name).collect()
}

async fn a_trace_goes_on_over_hosts_and_restarts(database: Database) {
    let (collector, address) = Collector::start().await;
    let telemetry = [("TELEMETRY__OTLP_ENDPOINT", address.as_str()), ("TELEMETRY__TRACES_SAMPLED", "0.0000001")];
    let app = App::with(database, &telemetry).await;
    let new = json!({ "items": [{ "product_id": app.product, "quantity": 2 }] });
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers = [("traceparent", traceparent.as_str())];
    let (status, _, order) = app.client.with(("POST", "/v1/orders"), &app.customer, &headers, Some(new)).await;
    assert_eq!(status, 201, "{order}");
    // The first host delivers, and its relay wants it later; it ends.
    app.fail(Phase::Rcpt, reply("450 4.2.1 ada@example.com is asked too often"), 1);
    app.drain().await;
    let database = app.end_keeping().await;
    // Another run delivers it.
    let config = Config::load(None, environment(&database, &telemetry)).unwrap();
    let clock = ecomm::clock::Clock::system();
    let mut host = Host::start(config, Roles { worker: false, ..Roles::ALL }, clock.clone()).await.unwrap();
    host.prepared().await;
    clock.advance(3_600_000);
    host.queue.run_until_idle().await;
    assert_eq!(database.texts("select state from notification_states").await, ["sent"]);
    host.stop().await;

    let spans: Vec<_> =
        collector.spans().into_iter().filter(|(_, span)| ecomm::hex::encode(&span.trace_id) == TRACE).collect();
    let names: Vec<_> = spans.iter().map(|(_, span)| span.name.as_str()).collect();
    let request = named(&spans, "POST /v1/orders");
    assert_eq!(
        (request.len(), ecomm::hex::encode(&request[0].parent_span_id)),
        (1, "00f067aa0ba902b7".to_owned()),
        "{names:?}"
    );
    let made = named(&spans, "create notifications");
    assert_eq!((made.len(), &made[0].parent_span_id), (1, &request[0].span_id), "{names:?}");
    let attempts = named(&spans, "process notifications");
    assert_eq!(attempts.len(), 2, "{names:?}");
    assert!(attempts.iter().all(|attempt| attempt.parent_span_id == made[0].span_id));
    let outcome = |span: &Span, key: &str| {
        span.attributes.iter().find(|a| a.key == key).map(|a| format!("{:?}", a.value)).unwrap_or_default()
    };
    assert!(outcome(attempts[0], "ecomm.outcome").contains("later"), "{:?}", attempts[0]);
    assert!(outcome(attempts[1], "ecomm.outcome").contains("sent"), "{:?}", attempts[1]);
    let steps = |parent: &Span| {
        let of = spans.iter().map(|(_, span)| span).filter(|span| span.parent_span_id == parent.span_id);
        of.map(|span| span.name.as_str()).collect::<std::collections::BTreeSet<_>>()
    };
    let first = ["policy admit", "policy on-failure", "record end", "render", "send", "wait in queue"];
    assert!(steps(attempts[0]).iter().eq(&first), "{:?}", steps(attempts[0]));
    let second = ["policy admit", "record end", "render", "send", "wait in queue"];
    assert!(steps(attempts[1]).iter().eq(&second), "{:?}", steps(attempts[1]));
    let sent = *named(&spans, "send").last().unwrap();
    for step in ["record intent", "smtp connect", "smtp ehlo", "smtp mail", "smtp rcpt", "smtp data", "smtp body"] {
        assert!(steps(sent).contains(step), "{step}: {:?}", steps(sent));
    }
    // Each attempt is of another run, and each says how long it waited.
    let run = |span: &Span| &spans.iter().find(|(_, other)| other.span_id == span.span_id).unwrap().0;
    assert_ne!(run(attempts[0]), run(attempts[1]));
    let waits = named(&spans, "wait in queue");
    assert!(waits.iter().all(|wait| wait.end_time_unix_nano >= wait.start_time_unix_nano), "{waits:?}");
    let refused = named(&spans, "send")[0];
    assert_eq!(refused.status.as_ref().unwrap().message, "deferred");
    // Nobody's address, and nothing that a relay said.
    let all = format!("{spans:?}");
    assert!(!all.contains("ada@example.com") && !all.contains("asked too often") && !all.contains("Lovelace"));
}

async fn calls_are_traced_as_requests_are() {
    let (collector, address) = Collector::start().await;
    let telemetry = [("TELEMETRY__OTLP_ENDPOINT", address.as_str()), ("TELEMETRY__TRACES_SAMPLED", "1")];
    let app = App::with(sqlite().await, &telemetry).await;
    let mut orders = ecomm::grpc::pb::order_service_client::OrderServiceClient::new(channel(&app).await);
    let new = ecomm::grpc::pb::CreateOrderRequest {
        items: vec![ecomm::grpc::pb::OrderItem { product_id: app.product, quantity: 1 }],
        ..Default::default()
    };
    let mut request = crate::both_apis::with(&app.customer, new);
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01").parse().unwrap());
    orders.create_order(request).await.unwrap();
    app.drain().await;
    app.end().await;
    let spans: Vec<_> =
        collector.spans().into_iter().filter(|(_, span)| ecomm::hex::encode(&span.trace_id) == TRACE).collect();
    assert_eq!(named(&spans, "ecomm.v1.OrderService/CreateOrder").len(), 1);
    assert_eq!(named(&spans, "process notifications").len(), 1);
    // The last metrics come with the end.
    let metrics = collector.1.lock().unwrap().clone();
    for name in ["ecomm.deliveries", "ecomm.mail.latency", "rpc.server.call.duration", "ecomm.group.size"] {
        assert!(metrics.iter().any(|metric| metric == name), "{name}: {metrics:?}");
    }
    // What has no client's trace begins one.
    let ours = collector.spans().into_iter().filter(|(_, span)| span.name == "POST /v1/sessions").count();
    assert_eq!(ours, 2);
}

async fn what_nobody_samples_leaves_no_trace() {
    let (collector, address) = Collector::start().await;
    for part in ["0", "1"] {
        let telemetry = [("TELEMETRY__OTLP_ENDPOINT", address.as_str()), ("TELEMETRY__TRACES_SAMPLED", part)];
        let app = App::with(sqlite().await, &telemetry).await;
        let new = json!({ "items": [{ "product_id": app.product, "quantity": 2 }] });
        // Traced by none, or by a client that did not sample it.
        let sampled = if part == "0" { "01" } else { "00" };
        for traceparent in [format!("00-{TRACE}-00f067aa0ba902b7-{sampled}"), "00-nonsense-01".to_owned()] {
            if part == "1" && traceparent.contains("nonsense") {
                continue;
            }
            let headers = [("traceparent", traceparent.as_str())];
            let made = app.client.with(("POST", "/v1/orders"), &app.customer, &headers, Some(new.clone())).await;
            assert_eq!(made.0, 201);
        }
        app.drain().await;
        assert!(app.states().await.iter().all(|state| state == "sent"));
        let kept = "select count(*) from notification_payloads where payload like '%\"trace\"%'";
        assert_eq!(app.database.number(kept).await, 0);
        app.end().await;
    }
    assert!(named(&collector.spans(), "process notifications").is_empty());
    assert!(named(&collector.spans(), "POST /v1/orders").is_empty());
}

async fn a_collector_that_is_away_keeps_no_mail() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    // It takes connections and says nothing.
    let address = format!("http://{}", listener.local_addr().unwrap());
    let telemetry = [("TELEMETRY__OTLP_ENDPOINT", address.as_str()), ("TELEMETRY__TRACES_SAMPLED", "1")];
    let app = App::with(sqlite().await, &telemetry).await;
    for _ in 0..20 {
        app.order().await;
    }
    app.drain().await;
    assert_eq!(app.mailbox.messages().len(), 20);
    app.end().await;
}

async fn the_part_is_one() {
    let database = sqlite().await;
    let config = Config::load(None, environment(&database, &[("TELEMETRY__TRACES_SAMPLED", "1.5")])).unwrap();
    let why = Host::start(config, Roles::ALL, ecomm::clock::Clock::system()).await.err().unwrap();
    let why = ecomm::cause::chain(&why);
    assert!(why.contains("telemetry.traces_sampled: must be within 0 and 1, not 1.5"), "{why}");
}
