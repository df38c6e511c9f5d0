//! A client of the gRPC API, for operators: of a host far away, or of the use cases in this process.

mod answers;
mod endpoints;
mod notifications;
mod plugin_answers;
mod plugins;
mod suppressions;

use std::error::Error as _;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderValue, Request, Response, Uri};
use tonic::service::Routes;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::pb::host_service_client::HostServiceClient;
use super::pb::host_service_server::HostServiceServer;
use super::pb::notification_service_server::NotificationServiceServer;
use super::pb::plugin_service_server::PluginServiceServer;
use super::pb::session_service_client::SessionServiceClient;
use super::pb::suppression_service_server::SuppressionServiceServer;
use super::pb::webhook_service_server::WebhookServiceServer;
use super::{Api, Local, MESSAGE_BYTES_MAX, pb};
use crate::service::{HostInfo, Principal, Service, Session};

/// How long a host may take to be reached.
const CONNECT: Duration = Duration::from_secs(10);
/// A host that does not answer a ping for so long is gone.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// The largest answer, in bytes: a mail that was sent, with its attachments.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What calls go through.
type Transport = BoxCloneSyncService<Request<Body>, Response<Body>, StdError>;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address, or what goes with it, cannot be used.
    #[error("{0}")]
    Address(String),
    /// The token is none.
    #[error("the token has characters that no token has")]
    Token,
    /// No host answers there.
    #[error("{server} does not answer: {why}")]
    Away {
        /// Where.
        server: String,
        /// Why.
        why: String,
    },
    /// The host does not know who asks.
    #[error("{0}")]
    Unauthenticated(String),
    /// The host would not, or could not.
    #[error("{0}")]
    Refused(String),
    /// The connection broke, or the host is too busy or on its way out: the same call may do later.
    #[error("{0}")]
    Passing(String),
    /// The answer is not of this version of the API.
    #[error("the host's answer has no readable {0}: it may be of another version than this command")]
    Unreadable(&'static str),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let message = || match status.source() {
            // A connection that broke says so in its causes.
            Some(cause) if status.code() != Code::Ok => crate::cause::chain(cause),
            _ => status.message().to_owned(),
        };
        match status.code() {
            Code::Unauthenticated => Self::Unauthenticated(message()),
            Code::Unavailable | Code::ResourceExhausted | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown => {
                Self::Passing(message())
            }
            _ => Self::Refused(message()),
        }
    }
}

/// A host's address, and how to trust it.
#[derive(Clone, Debug)]
pub struct Server {
    url: Uri,
    /// Certificates of authorities, PEM; those of the system when none.
    authorities: Option<Vec<u8>>,
}

impl Server {
    /// Of `https://HOST[:PORT]` or `http://HOST[:PORT]`, and what to check its certificate by.
    ///
    /// # Errors
    ///
    /// When it is no such address.
    pub fn new(url: &str, authorities: Option<Vec<u8>>) -> Result<Self, Error> {
        let wrong = || Error::Address(format!("\"{url}\" must be an address such as https://shop.example:50051"));
        let read: Uri = url.parse().map_err(|_| wrong())?;
        let is_web = matches!(read.scheme_str(), Some("http" | "https"));
        let is_bare = read.path_and_query().is_none_or(|path| path.as_str() == "/");
        let has_user = read.authority().is_none_or(|authority| authority.as_str().contains('@'));
        if !is_web || !is_bare || has_user {
            return Err(wrong());
        }
        Ok(Self { url: read, authorities })
    }

    /// As it is written everywhere.
    pub fn name(&self) -> String {
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        format!("{}://{}", self.url.scheme_str().unwrap_or_default(), authority.to_ascii_lowercase())
    }

    /// Whether what is said there cannot be read on the way.
    pub fn is_private(&self) -> bool {
        let host = self.url.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        is_here || self.url.scheme_str() == Some("https")
    }

    fn endpoint(&self) -> Result<Endpoint, tonic::transport::Error> {
        let endpoint = Endpoint::from(self.url.clone())
            .user_agent(concat!("ecomm/", env!("CARGO_PKG_VERSION")))?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE);
        if self.url.scheme_str() != Some("https") {
            return Ok(endpoint);
        }
        let tls = ClientTlsConfig::new();
        endpoint.tls_config(match &self.authorities {
            Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
            None => tls.with_native_roots(),
        })
    }
}

/// For how long a call is to wait.
fn wait(time: Duration) -> Option<prost_types::Duration> {
    Some(time).filter(|time| !time.is_zero()).and_then(|time| time.try_into().ok())
}

/// Calls the services of one host.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    bearer: Arc<RwLock<Option<HeaderValue>>>,
}

impl Client {
    /// A host far away; without a token only sessions can be begun and renewed.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn connect(server: &Server, token: Option<&str>) -> Result<Self, Error> {
        let away = |e: tonic::transport::Error| Error::Away { server: server.name(), why: crate::cause::chain(&e) };
        let channel = server.endpoint().map_err(away)?.connect().await.map_err(away)?;
        let bearer = Arc::<RwLock<Option<HeaderValue>>>::default();
        let shown = bearer.clone();
        let transport = channel.map_err(StdError::from).map_request(move |mut request: Request<Body>| {
            if let Some(bearer) = &*shown.read().unwrap_or_else(PoisonError::into_inner) {
                request.headers_mut().insert(AUTHORIZATION, bearer.clone());
            }
            request
        });
        let client = Self { transport: BoxCloneSyncService::new(transport), bearer };
        if let Some(token) = token {
            client.show(token)?;
        }
        Ok(client)
    }

    /// Shows this token from now on.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn show(&self, token: &str) -> Result<(), Error> {
        let bearer = HeaderValue::try_from(format!("Bearer {token}"));
        let mut bearer = bearer.map_err(|_| Error::Token)?;
        bearer.set_sensitive(true);
        *self.bearer.write().unwrap_or_else(PoisonError::into_inner) = Some(bearer);
        Ok(())
    }

    /// The use cases of this process, as `who`.
    pub fn local(service: &Arc<Service>, who: Principal) -> Self {
        let api = Api(service.clone(), CancellationToken::new());
        let notifications = NotificationServiceServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let plugins = PluginServiceServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let routes = Routes::new(notifications)
            .add_service(plugins)
            .add_service(HostServiceServer::new(api.clone()))
            .add_service(SuppressionServiceServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(WebhookServiceServer::new(api).max_decoding_message_size(MESSAGE_BYTES_MAX));
        let transport = ServiceExt::<Request<Body>>::map_err(routes, StdError::from);
        let transport = transport.map_request(move |mut request: Request<Body>| {
            request.extensions_mut().insert(Local(who));
            request
        });
        Self { transport: BoxCloneSyncService::new(transport), bearer: Arc::default() }
    }

    /// The hosts that are there.
    pub async fn hosts(&self) -> Result<Vec<HostInfo>, Error> {
        let mut calls = HostServiceClient::new(self.transport.clone());
        answers::each(calls.list_hosts(pb::ListHostsRequest {}).await?.into_inner().hosts, answers::host)
    }

    /// Logs in.
    pub async fn log_in(&self, email: &str, password: &str) -> Result<Session, Error> {
        let request = pb::CreateSessionRequest { email: email.to_owned(), password: password.to_owned() };
        let answer = SessionServiceClient::new(self.transport.clone()).create_session(request).await?;
        answers::session(answer.into_inner().session)
    }

    /// Renews a session; its refresh token is spent by it.
    pub async fn renew(&self, refresh_token: &str) -> Result<Session, Error> {
        let request = pb::RenewSessionRequest { refresh_token: refresh_token.to_owned() };
        let answer = SessionServiceClient::new(self.transport.clone()).renew_session(request).await?;
        answers::session(answer.into_inner().session)
    }

    /// Ends the session that asks.
    pub async fn log_out(&self) -> Result<(), Error> {
        let request = pb::DeleteSessionRequest { id: None };
        SessionServiceClient::new(self.transport.clone()).delete_session(request).await?;
        Ok(())
    }
}
