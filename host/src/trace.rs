//! One trace of a notification, where it is sampled: from the client's request by way of the queue to the relay's reply, over
//! hosts and restarts (W3C Trace Context; sent by OTLP). Names are those of OpenTelemetry's semantic conventions where these
//! have one. No address, no word of a mail and none of a relay's is in it.
//!
//! A delivery that is not sampled costs a look at a task-local for each step; a request, where tracing is on, a look at its
//! header and a number drawn.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};

use crate::metrics::{MetricsError, Settings, resource};

tokio::task_local! {
    /// What the steps of this task belong to.
    static CURRENT: Option<Parent>;
}

#[derive(Clone)]
struct Parent {
    tracer: SdkTracer,
    span: SpanContext,
}

/// Who begins traces and goes on with them, unless it is off. Clones are the same.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<(SdkTracerProvider, SdkTracer)>>);

impl Tracer {
    /// As the settings ask for; off unless spans are sent somewhere. `host` is this run of this host.
    pub fn new(settings: &Settings, host: &str) -> Result<Self, MetricsError> {
        let part = settings.traces_sampled;
        if !(0.0..=1.0).contains(&part) {
            return Err(MetricsError::Sampled(part));
        }
        if settings.otlp_endpoint.is_empty() || part == 0.0 {
            return Ok(Self::default());
        }
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(&settings.otlp_endpoint);
        let exporter = exporter.build().map_err(|e| MetricsError::Exporter(e.to_string()))?;
        // A client that sampled its part gets ours.
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(part)));
        let provider = SdkTracerProvider::builder().with_sampler(sampler).with_resource(resource(host));
        let provider = provider.with_batch_exporter(exporter).build();
        let tracer = provider.tracer("ecomm");
        Ok(Self(Some(Arc::new((provider, tracer)))))
    }

    /// A client's request, as a part of the client's trace if it named one.
    pub(crate) fn request(&self, name: impl Into<Cow<'static, str>>, traceparent: Option<&str>) -> Span {
        self.begin(name, SpanKind::Server, traceparent)
    }

    /// One attempt to deliver what was queued as a part of this trace; nothing when that was none.
    pub(crate) fn attempt(&self, traceparent: Option<&str>, waited_ms: (i64, i64)) -> Span {
        if traceparent.is_none() {
            return Span(None);
        }
        let span = self.begin("process notifications", SpanKind::Consumer, traceparent);
        if let Some((tracer, parent)) = &span.0 {
            let context = Context::new().with_remote_span_context(parent.span_context().clone());
            let waiting = tracer.span_builder("wait in queue").with_start_time(at(waited_ms.0));
            waiting.start_with_context(tracer, &context).end_with_timestamp(at(waited_ms.1));
        }
        span
    }

    fn begin(&self, name: impl Into<Cow<'static, str>>, kind: SpanKind, traceparent: Option<&str>) -> Span {
        let Some((_, tracer)) = self.0.as_deref() else { return Span(None) };
        let context = traceparent.map_or_else(Context::new, |traceparent| {
            let header = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
            TraceContextPropagator::new().extract_with_context(&Context::new(), &header)
        });
        Span::of(tracer, tracer.span_builder(name).with_kind(kind).start_with_context(tracer, &context))
    }

    /// Sends what was not sent yet, at the end.
    pub async fn close(&self) {
        let Some(this) = self.0.clone() else { return };
        let closing = tokio::task::spawn_blocking(move || this.0.shutdown());
        if let Ok(Err(e)) = closing.await {
            tracing::warn!(error = %e, "the last spans were not sent");
        }
    }
}

fn at(unix_ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(unix_ms).unwrap_or_default())
}

/// A part of a trace, which ends when it is dropped; nothing where nothing is sampled.
pub(crate) struct Span(Option<(SdkTracer, opentelemetry_sdk::trace::Span)>);

impl Span {
    fn of(tracer: &SdkTracer, span: opentelemetry_sdk::trace::Span) -> Self {
        Self(span.is_recording().then(|| (tracer.clone(), span)))
    }

    /// Says more about it.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some((_, span)) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// The same, of what costs something to say.
    pub(crate) fn set_with<V: Into<Value>>(&mut self, key: &'static str, value: impl FnOnce() -> V) {
        if self.0.is_some() {
            self.set(key, value());
        }
    }

    /// Names it once it is known what it is.
    pub(crate) fn rename(&mut self, name: impl FnOnce() -> String) {
        if let Some((_, span)) = &mut self.0 {
            span.update_name(name());
        }
    }

    /// It did not do what it was for; `class` is a word of ours.
    pub(crate) fn fail(&mut self, class: &'static str) {
        if let Some((_, span)) = &mut self.0 {
            span.set_attribute(KeyValue::new("error.type", class));
            span.set_status(Status::error(class));
        }
    }

    /// What is kept with a notification, so that its deliveries go on with the trace.
    pub(crate) fn traceparent(&self) -> Option<String> {
        let context = self.0.as_ref()?.1.span_context();
        Some(format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags()))
    }

    /// Does something whose steps are parts of this one.
    pub(crate) async fn around<F: Future>(&self, doing: F) -> F::Output {
        let parent = self.0.as_ref();
        let parent = parent.map(|(tracer, span)| Parent { tracer: tracer.clone(), span: span.span_context().clone() });
        CURRENT.scope(parent, doing).await
    }
}

/// A step of what this task does.
pub(crate) fn step(name: &'static str) -> Span {
    step_of(name, SpanKind::Internal)
}

/// A notification is made and queued.
pub(crate) fn enqueue() -> Span {
    let mut span = step_of("create notifications", SpanKind::Producer);
    messaging(&mut span, "create", "enqueue");
    span
}

/// The attributes of what is done with the queue.
pub(crate) fn messaging(span: &mut Span, kind: &'static str, operation: &'static str) {
    for (key, value) in [
        ("messaging.system", "ecomm"),
        ("messaging.destination.name", "notifications"),
        ("messaging.operation.type", kind),
        ("messaging.operation.name", operation),
    ] {
        span.set(key, value);
    }
}

fn step_of(name: &'static str, kind: SpanKind) -> Span {
    let Ok(Some(Parent { tracer, span })) = CURRENT.try_with(Clone::clone) else { return Span(None) };
    let context = Context::new().with_remote_span_context(span);
    let begun = tracer.span_builder(name).with_kind(kind).start_with_context(&tracer, &context);
    Span::of(&tracer, begun)
}

/// One step of what this task does, from here to its end.
pub(crate) async fn timed<T, E>(name: &'static str, doing: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let mut span = step(name);
    let done = doing.await;
    if done.is_err() {
        span.fail("failed");
    }
    done
}
