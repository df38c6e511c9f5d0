//! A relay: how it is connected to, and what is spoken with it, SMTP or a provider's HTTP API.

use std::future::Future;
use std::sync::Arc;

use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::api::Api;
use super::smtp::Smtp;
use super::{MailerError, Message, RelaySettings, Settings, Tls, reply};
use crate::clock::Clock;
use crate::lease::{Lease, NotRecorded};
use crate::notification::Class;
use crate::outbound::http::Http;
use crate::outbound::{Broken, Deadlines, Greeted, Intent, Limits, Pauses, Peer, Protocol, Transacted, tls};

/// The longest that a relay which cannot be reached is left alone, in milliseconds.
const AWAY_MS_MAX: i64 = 60_000;

/// A relay, with what is known of it.
pub(super) type Relay = Peer<Speaks>;

/// How a relay is spoken to.
pub(super) struct Speaks {
    /// Its place among the relays.
    pub(super) number: usize,
    pub(super) settings: RelaySettings,
    protection: Protection,
    hello: ClientId,
    /// None: it speaks SMTP.
    api: Option<Arc<Api>>,
}

/// How a connection is protected, ready to use.
pub(super) enum Protection {
    None,
    Starttls(Box<TlsParameters>),
    Implicit((TlsConnector, ServerName<'static>)),
}

/// A connection that is open.
pub(super) enum Line {
    Smtp(Box<Smtp>),
    Http(Box<Http>, Arc<Api>),
}

/// The relay of these settings, in its place among the others.
pub(super) fn relay(
    number: usize,
    settings: RelaySettings,
    mail: &Settings,
    pauses: Arc<Pauses>,
    clock: Clock,
) -> Result<Relay, MailerError> {
    let loopback = settings.host == "localhost"
        || settings.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if settings.tls == Tls::None && !loopback {
        return Err(MailerError::Unprotected(settings.name));
    }
    let api = Api::new(&settings, mail.from.domain(), &clock)?.map(Arc::new);
    let protection = protection(&settings).map_err(|why| MailerError::Tls { name: settings.name.clone(), why })?;
    let limits = Limits {
        noun: "the relay",
        name: settings.name.clone(),
        connections_max: settings.connections_max,
        per_second_max: settings.mails_per_second_max,
        per_day_max: settings.mails_per_day_max,
        per_connection_max: settings.mails_per_connection_max,
        idle_ms_max: settings.idle_ms_max,
        away_ms_max: AWAY_MS_MAX,
    };
    let hello = ClientId::Domain(mail.hello_name.as_str().to_owned());
    let speaks = Speaks { number, settings, protection, hello, api };
    Ok(Peer::new(speaks, limits, mail.deadlines, pauses, clock))
}

impl Protection {
    /// What protects it from the first byte on.
    pub(super) fn implicit(&self) -> Option<&(TlsConnector, ServerName<'static>)> {
        match self {
            Self::Implicit(tls) => Some(tls),
            Self::None | Self::Starttls(_) => None,
        }
    }
}

impl Protocol for Speaks {
    type Message = Message;
    type Line = Line;

    async fn connect(&self, deadlines: &Deadlines) -> Result<(Line, Greeted), (Class, Broken)> {
        let Self { settings, protection, .. } = self;
        let connecting = TcpStream::connect((settings.host.as_str(), settings.port));
        let connected = if let Some(api) = &self.api {
            let connecting = Http::connect(connecting, protection.implicit(), deadlines);
            connecting.await.map(|(http, greeted)| (Line::Http(Box::new(http), api.clone()), greeted))
        } else {
            let connecting = Smtp::connect(connecting, settings, protection, &self.hello, deadlines);
            connecting.await.map(|(smtp, greeted)| (Line::Smtp(Box::new(smtp)), greeted))
        };
        connected.map_err(|broken| (reply::of(&broken), broken))
    }

    fn envelope<'a>(&self, message: &'a Message) -> Option<&'a str> {
        if self.api.is_none() { message.envelope.for_any_relay() } else { None }
    }

    async fn transact<F: Future<Output = Result<(), NotRecorded>> + Send>(
        &self,
        line: &mut Line,
        is_reused: bool,
        message: &Message,
        limits: (&Deadlines, &Lease),
        intent: Intent<'_, F>,
        behind: impl FnOnce() -> Option<String> + Send,
    ) -> Transacted {
        match line {
            Line::Smtp(smtp) => smtp.transact(is_reused, message, limits, intent, behind).await,
            Line::Http(http, api) => {
                http.transact(is_reused, || api.request(message), |answer| api.read(answer), limits, intent).await
            }
        }
    }

    async fn reset(line: &mut Line, deadlines: &Deadlines) -> bool {
        match line {
            Line::Smtp(smtp) => smtp.reset(deadlines).await,
            Line::Http(..) => true,
        }
    }

    async fn quit(line: Line) {
        match line {
            Line::Smtp(smtp) => smtp.quit().await,
            Line::Http(..) => {}
        }
    }
}

fn protection(settings: &RelaySettings) -> Result<Protection, String> {
    match settings.tls {
        Tls::None => Ok(Protection::None),
        Tls::Starttls => {
            let mut builder = TlsParameters::builder(settings.host.clone());
            if !settings.ca_path.as_os_str().is_empty() {
                let pem =
                    std::fs::read(&settings.ca_path).map_err(|e| format!("{}: {e}", settings.ca_path.display()))?;
                builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|e| e.to_string())?);
            }
            Ok(Protection::Starttls(Box::new(builder.build().map_err(|e| e.to_string())?)))
        }
        Tls::Implicit => {
            let name = ServerName::try_from(settings.host.clone()).map_err(|e| e.to_string())?;
            Ok(Protection::Implicit((tls::connector(&settings.ca_path)?, name)))
        }
    }
}
