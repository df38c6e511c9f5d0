//! What a host counts and measures, for those who watch it: one set of instruments, read by Prometheus or sent by OTLP. Names
//! are those of OpenTelemetry's semantic conventions where these have one.
//!
//! No label comes from outside: relays, revisions, routes and methods are known, and a process has few of each.

mod sample;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use prometheus::{Registry, TextEncoder};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::notification::Channel;

pub(crate) use sample::{Calls, QueueSample, Sample};
use sample::{Latest, observe};

/// How often what has to be asked for is asked for.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// Seconds, as HTTP's semantic convention has them, and finer for what takes microseconds.
const SECONDS: [f64; 17] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    1.0, 2.5, 10.0,
];
/// Seconds between an order's change and its mail: hours where a relay is away.
const LATENCY: [f64; 14] =
    [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0, 3_600.0, 21_600.0, 86_400.0];

/// How much is done together: up to a batch of the worker, and nothing where others were quicker.
const SIZES: [f64; 9] = [0.0, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0];

/// What those who watch may see, and how.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where Prometheus reads `/metrics`, without asking who reads; nowhere when empty. Port 0: any that is free.
    pub listen: String,
    /// Where metrics are sent to by OTLP over gRPC, such as `http://127.0.0.1:4317`; nowhere when empty.
    pub otlp_endpoint: String,
    /// How often they are sent, in milliseconds.
    pub otlp_interval_ms: u64,
    /// Which part of the requests is traced to the end of what they caused, 0 to 1, besides those whose clients sample them;
    /// 0: none at all. Sent to `otlp_endpoint`.
    pub traces_sampled: f64,
}

/// Why nothing can be measured as the settings ask for.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The address cannot be read.
    #[error("telemetry.listen: \"{0}\" is no address: expected one such as 127.0.0.1:9464, or nothing")]
    Listen(String),
    /// The part is none.
    #[error("telemetry.traces_sampled: must be within 0 and 1, not {0}")]
    Sampled(f64),
    /// The exporter cannot be made.
    #[error("telemetry: {0}")]
    Exporter(String),
}

/// A host's instruments; those that are off cost nothing. Clones are the same.
#[derive(Clone, Default)]
pub struct Metrics(Option<Arc<Instruments>>, Arc<Totals>);

/// What is counted whether anybody watches or not.
#[derive(Default)]
struct Totals {
    sent: AtomicU64,
    failed: AtomicU64,
}

struct Instruments {
    provider: SdkMeterProvider,
    registry: Registry,
    http: Histogram<f64>,
    rpc: Histogram<f64>,
    attempts: Counter<u64>,
    ended: Counter<u64>,
    reports: Counter<u64>,
    latency: Histogram<f64>,
    process: Histogram<f64>,
    plugin: Histogram<f64>,
    round: Histogram<f64>,
    size: Histogram<u64>,
    latest: Latest,
}

/// What is known of an event that has left the worker.
pub(crate) struct Ended<'a> {
    /// "sent", "failed", "skipped", "held", "merged" or, of one that goes on, "retry", "wait" or "given-back".
    pub(crate) outcome: &'static str,
    /// How it went out.
    pub(crate) channel: Channel,
    /// Since it was queued, where a relay or an endpoint took it, in milliseconds.
    pub(crate) latency_ms: Option<i64>,
    /// From claim to recorded end, in microseconds.
    pub(crate) took_us: u64,
    /// Relay, phase and class ("delivered" when none) of each attempt.
    pub(crate) attempts: Vec<(&'a str, &'a str, &'a str)>,
}

impl Metrics {
    /// Instruments as the settings ask for; none when nobody is to see them.
    pub fn new(settings: &Settings, host: &str) -> Result<Self, MetricsError> {
        let (listens, sends) = (settings.address()?.is_some(), !settings.otlp_endpoint.is_empty());
        if !listens && !sends {
            return Ok(Self::default());
        }
        let failed = |e: &dyn std::fmt::Display| MetricsError::Exporter(e.to_string());
        let registry = Registry::new();
        let mut provider = SdkMeterProvider::builder().with_resource(resource(host));
        let reader = opentelemetry_prometheus::exporter().with_registry(registry.clone());
        provider = provider.with_reader(reader.build().map_err(|e| failed(&e))?);
        if sends {
            let exporter = opentelemetry_otlp::MetricExporter::builder().with_tonic();
            let exporter = exporter.with_endpoint(&settings.otlp_endpoint).build().map_err(|e| failed(&e))?;
            let every = Duration::from_millis(settings.otlp_interval_ms.max(1));
            provider = provider.with_reader(PeriodicReader::builder(exporter).with_interval(every).build());
        }
        let provider = provider.build();
        let meter = provider.meter("ecomm");
        let instruments = Instruments::new(provider, registry, &meter);
        Ok(Self(Some(Arc::new(instruments)), Arc::default()))
    }

    /// All that was counted, as Prometheus reads it (text format 0.0.4).
    pub fn text(&self) -> String {
        let Some(this) = &self.0 else { return String::new() };
        TextEncoder::new().encode_to_string(&this.registry.gather()).unwrap_or_default()
    }

    /// Sends what was not sent yet, at the end.
    pub async fn close(&self) {
        let Some(this) = self.0.clone() else { return };
        let closing = tokio::task::spawn_blocking(move || this.provider.shutdown());
        if let Ok(Err(e)) = closing.await {
            tracing::warn!(error = %e, "the last metrics were not sent");
        }
    }

    /// Whether anybody watches.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Mails that relays took from this host, and mails that it gave up, since it started.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.1.sent.load(Ordering::Relaxed), self.1.failed.load(Ordering::Relaxed))
    }

    /// A request over REST was answered; `route` is ours, not the client's.
    pub(crate) fn request(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let Some(this) = &self.0 else { return };
        let labels = [
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ];
        this.http.record(took.as_secs_f64(), &labels);
    }

    /// A call over gRPC was answered.
    pub(crate) fn call(&self, method: &'static str, code: i32, took: Duration) {
        let Some(this) = &self.0 else { return };
        let labels = [
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", method),
            KeyValue::new("rpc.response.status_code", i64::from(code)),
        ];
        this.rpc.record(took.as_secs_f64(), &labels);
    }

    /// A server reported on a mail, or on none that is known.
    pub(crate) fn report(&self, kind: &'static str, outcome: &'static str) {
        let Some(this) = &self.0 else { return };
        this.reports.add(1, &[KeyValue::new("ecomm.report.kind", kind), KeyValue::new("ecomm.outcome", outcome)]);
    }

    /// A component was asked in a delivery; `outcome` is "ok" or a fault's code.
    pub(crate) fn plugin_call(&self, call: &'static str, revision: i64, outcome: &'static str, took_us: u64) {
        let Some(this) = &self.0 else { return };
        let labels = [
            KeyValue::new("ecomm.plugin.call", call),
            KeyValue::new("ecomm.plugin.revision", revision),
            KeyValue::new("ecomm.outcome", outcome),
        ];
        this.plugin.record(Duration::from_micros(took_us).as_secs_f64(), &labels);
    }

    /// What was asked for one by one is done together, in one transaction or query.
    pub(crate) async fn round<T>(
        &self,
        verb: &'static str,
        size: impl FnOnce(&T) -> usize,
        clock: &Clock,
        doing: impl Future<Output = T>,
    ) -> T {
        let Some(this) = &self.0 else { return doing.await };
        let begun_us = clock.monotonic_us();
        let done = doing.await;
        let verb = [KeyValue::new("ecomm.verb", verb)];
        this.round.record(Duration::from_micros(clock.monotonic_us() - begun_us).as_secs_f64(), &verb);
        this.size.record(size(&done) as u64, &verb);
        done
    }

    /// An event has left the worker, and that is recorded.
    pub(crate) fn ended(&self, ended: &Ended<'_>) {
        match ended.outcome {
            "sent" => self.1.sent.fetch_add(1, Ordering::Relaxed),
            "failed" => self.1.failed.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        let Some(this) = &self.0 else { return };
        let channel = KeyValue::new("ecomm.channel", ended.channel.as_str());
        let outcome = [KeyValue::new("ecomm.outcome", ended.outcome), channel];
        this.ended.add(1, &outcome);
        let operation = [
            KeyValue::new("messaging.system", "ecomm"),
            KeyValue::new("messaging.operation.name", "deliver"),
            KeyValue::new("ecomm.outcome", ended.outcome),
        ];
        this.process.record(Duration::from_micros(ended.took_us).as_secs_f64(), &operation);
        if let Some(latency_ms) = ended.latency_ms.filter(|_| ended.channel == Channel::Mail) {
            let latency = Duration::from_millis(u64::try_from(latency_ms).unwrap_or_default());
            this.latency.record(latency.as_secs_f64(), &[]);
        }
        for (relay, phase, class) in &ended.attempts {
            // Customers make endpoints; labels are to be few.
            let relay = if ended.channel == Channel::Mail { *relay } else { ended.channel.as_str() };
            let labels = [
                KeyValue::new("ecomm.relay", relay.to_owned()),
                KeyValue::new("ecomm.smtp.phase", (*phase).to_owned()),
                KeyValue::new("ecomm.class", (*class).to_owned()),
            ];
            this.attempts.add(1, &labels);
        }
    }

    /// Keeps what was asked for just now; what is not in it any more is not told any more.
    pub(crate) fn sample(&self, sample: Sample) {
        if let Some(this) = &self.0 {
            *this.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(sample);
        }
    }
}

/// Who tells: this run of this host.
pub(crate) fn resource(host: &str) -> Resource {
    let resource = Resource::builder().with_service_name("ecomm");
    let resource = resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    resource.with_attribute(KeyValue::new("service.instance.id", host.to_owned())).build()
}

impl Settings {
    /// Where to listen, if anywhere.
    pub fn address(&self) -> Result<Option<std::net::SocketAddr>, MetricsError> {
        if self.listen.is_empty() {
            return Ok(None);
        }
        self.listen.parse().map(Some).map_err(|_| MetricsError::Listen(self.listen.clone()))
    }
}

impl Instruments {
    fn new(provider: SdkMeterProvider, registry: Registry, meter: &Meter) -> Self {
        let seconds = |name: &'static str, says: &'static str, bounds: &[f64]| {
            let histogram = meter.f64_histogram(name).with_description(says).with_unit("s");
            histogram.with_boundaries(bounds.to_vec()).build()
        };
        let counter = |name: &'static str, says: &'static str| meter.u64_counter(name).with_description(says).build();
        let latest = Latest::default();
        observe(meter, &latest);
        Self {
            http: seconds("http.server.request.duration", "How long requests over REST took.", &SECONDS),
            rpc: seconds("rpc.server.call.duration", "How long calls over gRPC took.", &SECONDS),
            attempts: counter("ecomm.attempts", "Attempts at a relay, by how far they got and what the reply means."),
            ended: counter("ecomm.deliveries", "Events that left a worker, by what became of them."),
            reports: counter(
                "ecomm.reports",
                "What servers reported of mails after a relay took them, by kind and by what became of it.",
            ),
            latency: seconds("ecomm.mail.latency", "From an order's change to the relay's acceptance.", &LATENCY),
            process: seconds("messaging.process.duration", "From a claim to its recorded end.", &SECONDS),
            plugin: seconds("ecomm.plugin.call.duration", "How long a component took in a delivery.", &SECONDS),
            round: seconds(
                "ecomm.group.duration",
                "How long what was done together took, its commit with it.",
                &SECONDS,
            ),
            size: meter
                .u64_histogram("ecomm.group.size")
                .with_description("How much was done together.")
                .with_boundaries(SIZES.to_vec())
                .build(),
            latest,
            provider,
            registry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(listen: &str) -> Settings {
        Settings {
            listen: listen.to_owned(),
            otlp_endpoint: String::new(),
            otlp_interval_ms: 1_000,
            traces_sampled: 0.0,
        }
    }

    #[test]
    fn what_is_counted_is_said() {
        let metrics = Metrics::new(&settings("127.0.0.1:0"), "a host").unwrap();
        metrics.request("GET", "/v1/orders/{id}", 200, Duration::from_millis(3));
        metrics.ended(&Ended {
            outcome: "sent",
            channel: Channel::Mail,
            latency_ms: Some(40),
            took_us: 900,
            attempts: vec![("main", "body", "delivered")],
        });
        metrics.ended(&Ended {
            outcome: "later",
            channel: Channel::Webhook,
            latency_ms: Some(40),
            took_us: 900,
            attempts: vec![("4711", "body", "deferred")],
        });
        let text = metrics.text();
        let scope = "otel_scope_name=\"ecomm\"";
        for line in [
            format!(
                "http_server_request_duration_seconds_count{{http_request_method=\"GET\",\
                 http_response_status_code=\"200\",http_route=\"/v1/orders/{{id}}\",{scope}}} 1"
            ),
            format!("ecomm_deliveries_total{{ecomm_channel=\"mail\",ecomm_outcome=\"sent\",{scope}}} 1"),
            format!("ecomm_mail_latency_seconds_bucket{{{scope},le=\"0.05\"}} 1"),
            format!(
                "ecomm_attempts_total{{ecomm_class=\"delivered\",ecomm_relay=\"main\",ecomm_smtp_phase=\"body\",{scope}}} 1"
            ),
            format!("ecomm_mail_latency_seconds_count{{{scope}}} 1"),
            format!(
                "ecomm_attempts_total{{ecomm_class=\"deferred\",ecomm_relay=\"webhook\",ecomm_smtp_phase=\"body\",{scope}}} 1"
            ),
        ] {
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn nobody_watches_by_default_of_an_empty_address() {
        let off = Metrics::new(&settings(""), "a host").unwrap();
        assert!(!off.is_on());
        off.request("GET", "/", 200, Duration::ZERO);
        assert_eq!(off.text(), "");
        let wrong = Metrics::new(&settings("nonsense"), "a host").err().unwrap().to_string();
        assert!(wrong.starts_with("telemetry.listen: \"nonsense\" is no address"), "{wrong}");
    }
}
