//! The gRPC API: the same use cases behind the `ecomm.v1` services.

mod convert;
mod services;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Status};

use crate::service::{Error, Principal, Service};

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

/// The most bytes of a message.
pub const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// The services, each behind the same use cases.
#[derive(Clone)]
struct Api(Arc<Service>);

/// Serves until stopped; calls under way end first.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let api = Api(service);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    macro_rules! limited {
        ($server:ident :: $name:ident) => {
            pb::$server::$name::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
        };
    }
    tonic::transport::Server::builder()
        .add_service(limited!(user_service_server::UserServiceServer))
        .add_service(limited!(session_service_server::SessionServiceServer))
        .add_service(limited!(product_service_server::ProductServiceServer))
        .add_service(limited!(order_service_server::OrderServiceServer))
        .add_service(limited!(notification_service_server::NotificationServiceServer))
        .add_service(limited!(plugin_service_server::PluginServiceServer))
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
}

impl Api {
    /// Who is asking, by the `authorization` metadata.
    fn caller<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        let value = request.metadata().get("authorization").and_then(|v| v.to_str().ok());
        let bearer = value.and_then(|v| v.split_once(' ')).filter(|(s, _)| s.eq_ignore_ascii_case("bearer"));
        self.0.authenticate(bearer.map(|(_, token)| token.trim())).map_err(status)
    }
}

/// The only place of the gRPC API that logs errors.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn status(error: Error) -> Status {
    let code = match &error {
        Error::Invalid { .. } => Code::InvalidArgument,
        Error::NotFound(_) => Code::NotFound,
        Error::Conflict(_) | Error::Refused(_) => Code::FailedPrecondition,
        Error::Taken(_) => Code::AlreadyExists,
        Error::Unauthenticated | Error::WrongCredentials => Code::Unauthenticated,
        Error::Forbidden => Code::PermissionDenied,
        Error::Internal(e) => {
            tracing::error!(error = %e, "a call failed");
            Code::Internal
        }
    };
    Status::new(code, error.to_string())
}
