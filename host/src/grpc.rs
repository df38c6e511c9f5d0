//! The gRPC API: the same use cases behind the `ecomm.v1` services, with reflection, health and gRPC-Web.

pub mod client;
mod convert;
mod discounts;
mod endpoints;
mod filters;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hosts;
mod measure;
mod notifications;
mod order_messages;
mod orders;
mod plugin_messages;
mod plugins;
mod secured;
mod services;
mod suppressions;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tonic_web::GrpcWebLayer;

use crate::service::{Client, Error, Principal, Service};

/// The generated code of `proto/ecomm/v1`.
#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::pedantic,
    reason = "generated; proto/ecomm/v1 documents every item"
)]
pub mod pb {
    tonic::include_proto!("ecomm.v1");
}

/// The contract, for reflection.
const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("ecomm.v1");

/// The most bytes of a message.
pub const MESSAGE_BYTES_MAX: usize = 256 << 10;
/// The most bytes of a call's metadata.
const METADATA_BYTES_MAX: u32 = 32 << 10;
/// A client that does not answer a ping for so long is gone.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// The domain of our error reasons (`google.rpc.ErrorInfo`).
const DOMAIN: &str = "ecomm";

/// How gRPC is served.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where; port 0: any that is free.
    pub listen: std::net::SocketAddr,
    /// Calls under way at one time on one connection.
    pub calls_per_connection_max: u32,
    /// How long a call may take, in milliseconds; a client's own deadline counts if it is shorter. Streams are not
    /// cut while they flow.
    pub call_ms_max: u64,
    /// A PEM file with the certificate's chain; without one there is no TLS.
    pub tls_certificate_path: PathBuf,
    /// A PEM file with its key.
    pub tls_key_path: PathBuf,
}

/// The services, each behind the same use cases. Streams end when the host stops.
#[derive(Clone)]
struct Api(Arc<Service>, CancellationToken);

/// Who calls within this process. An extension of a request, which nothing that comes over a connection has.
#[derive(Clone, Copy)]
struct Local(Principal);

/// Serves until stopped; calls under way end first.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Arc<Service>,
    settings: Settings,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let (metrics, tracer, clock) = (service.metrics.clone(), service.tracer.clone(), service.clock.clone());
    let measure = measure::Measure { metrics, tracer, clock };
    let api = Api(service, stop.clone());
    let (health, health_service) = tonic_health::server::health_reporter();
    macro_rules! service {
        ($module:ident :: $name:ident) => {{
            let service = pb::$module::$name::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
            serving(&health, &service).await;
            service
        }};
    }
    let router = tonic::transport::Server::builder()
        .accept_http1(true)
        .concurrency_limit_per_connection(settings.calls_per_connection_max as usize)
        .timeout(Duration::from_millis(settings.call_ms_max))
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .http2_max_header_list_size(METADATA_BYTES_MAX)
        .layer(measure)
        .layer(GrpcWebLayer::new())
        .add_service(service!(user_service_server::UserServiceServer))
        .add_service(service!(session_service_server::SessionServiceServer))
        .add_service(service!(product_service_server::ProductServiceServer))
        .add_service(service!(discount_service_server::DiscountServiceServer))
        .add_service(service!(order_service_server::OrderServiceServer))
        .add_service(service!(notification_service_server::NotificationServiceServer))
        .add_service(service!(plugin_service_server::PluginServiceServer))
        .add_service(service!(host_service_server::HostServiceServer))
        .add_service(service!(suppression_service_server::SuppressionServiceServer))
        .add_service(service!(webhook_service_server::WebhookServiceServer))
        .add_service(health_service)
        .add_optional_service(reflection().build_v1().ok())
        .add_optional_service(reflection().build_v1alpha().ok());
    match tls {
        None => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            router.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await
        }
        Some(tls) => {
            let incoming = secured::incoming(listener, tls, stop.clone());
            router.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()).await
        }
    }
}

async fn serving<S: tonic::server::NamedService>(health: &tonic_health::server::HealthReporter, _: &S) {
    health.set_serving::<S>().await;
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

impl Api {
    /// Who is asking, by the `authorization` metadata.
    fn caller<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        self.maybe_caller(request)?.ok_or_else(|| status(Error::Unauthenticated))
    }

    /// Who is asking, if they say. Counts the call.
    fn maybe_caller<T>(&self, request: &Request<T>) -> Result<Option<Principal>, Status> {
        if let Some(Local(who)) = request.extensions().get() {
            return Ok(Some(*who));
        }
        let who = match request.metadata().get("authorization") {
            None => None,
            Some(value) => {
                let value = value.to_str().ok().and_then(|v| v.split_once(' '));
                let bearer = value.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
                Some(self.0.authenticate(bearer.map(|(_, token)| token.trim())).map_err(status)?)
            }
        };
        self.count(request, who)?;
        Ok(who)
    }

    /// The address that a call comes from.
    fn client<T>(&self, request: &Request<T>) -> Option<IpAddr> {
        let forwarded = request.metadata().get_all("x-forwarded-for").iter().map(AsciiMetadataValue::as_encoded_bytes);
        let peer = request.remote_addr()?.ip();
        Some(self.0.proxies.client(peer, forwarded.collect::<Vec<_>>().into_iter()))
    }

    /// Counts a call; one that asks for no token is its address's.
    fn count<T>(&self, request: &Request<T>, who: Option<Principal>) -> Result<(), Status> {
        let from = self.client(request);
        self.0.throttle.request(Client::of(who, from)).map(drop).map_err(status)
    }
}

/// The only place of the gRPC API that logs errors.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn status(error: Error) -> Status {
    let (code, reason) = match &error {
        Error::Invalid { .. } => (Code::InvalidArgument, "INVALID"),
        Error::NotFound(_) => (Code::NotFound, "NOT_FOUND"),
        Error::Conflict(_) => (Code::FailedPrecondition, "CONFLICT"),
        Error::Cancelled => (Code::Cancelled, "CANCELLED"),
        Error::Refused(_) => (Code::FailedPrecondition, "COMPONENT_REFUSED"),
        Error::Taken(_) => (Code::AlreadyExists, "TAKEN"),
        Error::Unauthenticated => (Code::Unauthenticated, "UNAUTHENTICATED"),
        Error::WrongCredentials => (Code::Unauthenticated, "WRONG_CREDENTIALS"),
        Error::WrongRefreshToken => (Code::Unauthenticated, "WRONG_REFRESH_TOKEN"),
        Error::TooMany { .. } => (Code::ResourceExhausted, "TOO_MANY_REQUESTS"),
        Error::Stale { .. } => (Code::Aborted, "STALE"),
        Error::InFlight => (Code::Aborted, "IN_FLIGHT"),
        Error::KeyReused => (Code::InvalidArgument, "REQUEST_ID_REUSED"),
        Error::Forbidden => (Code::PermissionDenied, "FORBIDDEN"),
        Error::Distrusted(_) => (Code::PermissionDenied, "DISTRUSTED"),
        Error::Unavailable(_) => (Code::Unavailable, "UNAVAILABLE"),
        Error::StorageFull(e) => {
            tracing::error!(error = %e, "the database is full");
            (Code::Unavailable, "STORAGE_FULL")
        }
        Error::DatabaseAway(e) => {
            tracing::error!(error = %e, "the database does not answer");
            (Code::Unavailable, "DATABASE_UNAVAILABLE")
        }
        Error::Contended(e) => {
            tracing::warn!(error = %e, "a call lost to others each time that it was tried");
            (Code::Aborted, "CONTENDED")
        }
        Error::Internal(e) => {
            tracing::error!(error = %e, "a call failed");
            (Code::Internal, "INTERNAL")
        }
    };
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, std::collections::HashMap::new());
    match &error {
        Error::Invalid { pointer, detail } => {
            let path = pointer.trim_start_matches('/').replace('/', ".");
            details.add_bad_request_violation(path, detail);
        }
        Error::TooMany { retry_after } => {
            details.set_retry_info(Some(*retry_after));
        }
        Error::StorageFull(_) => {
            details.set_retry_info(Some(Duration::from_secs(30)));
        }
        Error::InFlight | Error::DatabaseAway(_) | Error::Contended(_) => {
            details.set_retry_info(Some(Duration::from_secs(1)));
        }
        _ => {}
    }
    Status::with_error_details(code, error.to_string(), details)
}
