//! How long calls take and how they end, for those who watch.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use prost::Message as _;
use tonic::Code;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::DESCRIPTORS;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::trace::{Span, Tracer};

/// The paths of our methods: any other is the client's to make up, and counts as one.
static METHODS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap_or_default().file;
    let services = files.iter().flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
    let methods = services.flat_map(|(package, service)| {
        service.method.iter().map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
    });
    methods.collect()
});

/// Measures every call.
#[derive(Clone)]
pub(super) struct Measure {
    pub(super) metrics: Metrics,
    pub(super) tracer: Tracer,
    pub(super) clock: Clock,
}

impl<S> Layer<S> for Measure {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, measure: self.clone() }
    }
}

/// A service whose calls are measured.
#[derive(Clone)]
pub(super) struct Measured<S> {
    inner: S,
    measure: Measure,
}

impl<S, B, R> Service<Request<B>> for Measured<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = METHODS.get(request.uri().path()).map_or("_OTHER", |path| path.trim_start_matches('/'));
        let measure = self.measure.clone();
        let begun_us = measure.clock.monotonic_us();
        let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        let trace = measure.tracer.request(method, traceparent);
        let answering = self.inner.call(request);
        Box::pin(async move {
            let mut call = Call { measure, method, begun_us, code: Code::Cancelled, trace };
            let answer = call.trace.around(answering).await;
            // An error comes at once, in the headers; what a stream ends with is not known yet.
            call.code = answer.as_ref().map_or(Code::Unknown, |response| {
                response.headers().get("grpc-status").map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()))
            });
            answer
        })
    }
}

/// A call under way. Counted when it is dropped: its deadline or its client may end it before its answer.
struct Call {
    measure: Measure,
    method: &'static str,
    begun_us: u64,
    code: Code,
    trace: Span,
}

impl Drop for Call {
    fn drop(&mut self) {
        let Measure { metrics, clock, .. } = &self.measure;
        let took = Duration::from_micros(clock.monotonic_us() - self.begun_us);
        metrics.call(self.method, self.code.into(), took);
        let is_ours = matches!(
            self.code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        );
        if is_ours {
            self.trace.fail("server-error");
        }
        self.trace.set("rpc.system.name", "grpc");
        self.trace.set("rpc.method", self.method);
        self.trace.set("rpc.response.status_code", i64::from(i32::from(self.code)));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn our_methods_have_names() {
        assert!(super::METHODS.contains("/ecomm.v1.OrderService/CreateOrder"), "{:?}", *super::METHODS);
        assert!(super::METHODS.len() > 40, "{}", super::METHODS.len());
    }
}
