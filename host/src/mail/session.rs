//! A connection to a relay, whatever it speaks: SMTP, or a provider's HTTP API.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::MaybeDone;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::extension::ClientId;
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::api::Api;
use super::http::Http;
use super::smtp::Smtp;
use super::{Message, RelaySettings, reply};
use crate::lease::{Lease, NotRecorded};
use crate::notification::{Class, bounded};

/// How long each step of a session may take, in milliseconds; the defaults are those of RFC 5321 4.5.3.2.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// TCP and TLS.
    pub connect_ms_max: u64,
    /// The greeting, EHLO, AUTH, MAIL, RCPT and RSET, each.
    pub command_ms_max: u64,
    /// DATA, until 354.
    pub data_ms_max: u64,
    /// The message, until its reply. Shorter than 10 minutes makes duplicates (RFC 5321 4.5.3.2.6).
    pub body_ms_max: u64,
}

/// How a connection is protected, ready to use.
pub(super) enum Protection {
    None,
    Starttls(Box<TlsParameters>),
    Implicit(TlsConnector, ServerName<'static>),
}

/// A step went wrong.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) phase: &'static str,
    pub(super) code: Option<u16>,
    pub(super) enhanced: Option<String>,
    pub(super) reply: String,
    /// The connection's state is unknown; it must not be used again.
    pub(super) unusable: bool,
    /// Another mail would fare alike: the relay is left alone for a while.
    pub(super) is_general: bool,
}

/// What came of one transaction.
pub(super) enum Transacted {
    /// The relay took the message.
    Done(Taken),
    /// Nothing was answered on a connection that had waited: the relay had hung up, another one may do.
    Stale,
    /// The intent could not be recorded; the connection waits for a body that will not come.
    NotRecorded(String),
    /// The relay refused, or the connection broke.
    Failed(Class, Broken),
}

/// What a relay said when it took a message.
pub(super) struct Taken {
    pub(super) code: u16,
    /// Its words, cut.
    pub(super) reply: String,
}

/// A connection that is ready for mails.
pub(super) struct Session {
    line: Line,
    pub(super) mails: u32,
    pub(super) idle_since_ms: i64,
    /// Counts the connection while it is open.
    pub(super) open: Option<Arc<()>>,
    pub(super) greeted: Greeted,
}

enum Line {
    Smtp(Box<Smtp>),
    Http(Box<Http>),
}

/// What a relay said of itself when the connection was made.
pub(super) struct Greeted {
    /// What it can do (RFC 5321 4.1.1.1), a line each; nothing of an HTTP API.
    pub(super) extensions: Vec<String>,
    /// Its certificate, in DER; none without TLS.
    pub(super) certificate: Option<Vec<u8>>,
    /// Whether it accepted a log-in.
    pub(super) is_logged_in: bool,
}

/// How the relay is spoken to.
pub(super) struct Peer<'a> {
    pub(super) settings: &'a RelaySettings,
    pub(super) protection: &'a Protection,
    pub(super) hello: &'a ClientId,
    /// None: SMTP.
    pub(super) api: Option<&'a Arc<Api>>,
}

impl Session {
    pub(super) async fn connect(peer: Peer<'_>, deadlines: &Deadlines) -> Result<Self, Broken> {
        let Peer { settings, protection, hello, api } = peer;
        let (line, greeted) = match api {
            None => {
                let (smtp, greeted) = Smtp::connect(settings, protection, hello, deadlines).await?;
                (Line::Smtp(Box::new(smtp)), greeted)
            }
            Some(api) => {
                let (http, greeted) = Http::connect(settings, protection, api.clone(), deadlines).await?;
                (Line::Http(Box::new(http)), greeted)
            }
        };
        Ok(Self { line, mails: 0, idle_since_ms: 0, open: None, greeted })
    }

    /// One mail: nothing of the message is written before the intent is recorded. Ended by the lease whatever the deadlines
    /// say.
    pub(super) async fn transact(
        &mut self,
        message: &Message,
        deadlines: &Deadlines,
        lease: &Lease,
        intent: Pin<&mut MaybeDone<impl Future<Output = Result<(), NotRecorded>>>>,
    ) -> Transacted {
        let is_reused = self.mails > 0;
        self.mails += 1;
        match &mut self.line {
            Line::Smtp(smtp) => smtp.transact(is_reused, message, deadlines, lease, intent).await,
            Line::Http(http) => http.transact(is_reused, message, deadlines, lease, intent).await,
        }
    }

    /// Makes the connection ready for another mail after one was refused; false if it cannot be used any more.
    pub(super) async fn reset(&mut self, deadlines: &Deadlines) -> bool {
        match &mut self.line {
            Line::Smtp(smtp) => smtp.reset(deadlines).await,
            Line::Http(_) => true,
        }
    }

    /// Says good-bye, where that is done; nobody waits long for the answer.
    pub(super) async fn quit(self) {
        match self.line {
            Line::Smtp(smtp) => smtp.quit().await,
            Line::Http(_) => {}
        }
    }
}

/// Waits until the intent is on record, which it must be before the first byte of the message.
pub(super) async fn record(
    mut intent: Pin<&mut MaybeDone<impl Future<Output = Result<(), NotRecorded>>>>,
    deadlines: &Deadlines,
    lease: &Lease,
) -> Result<(), String> {
    let recording = async {
        intent.as_mut().await;
        Ok::<(), std::convert::Infallible>(())
    };
    held(lease, deadlines.command_ms_max, recording).await.map_err(|late| late.to_string())?;
    match intent.output_mut() {
        Some(Ok(())) => Ok(()),
        Some(Err(why)) => Err(why.to_string()),
        None => Err("the intent is not on record yet".to_owned()),
    }
}

/// Why a step did not come to its end.
#[derive(Debug)]
pub(super) enum Late<E> {
    Failed(E),
    Deadline(u64),
    Lease,
}

impl<E: std::fmt::Display> std::fmt::Display for Late<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(e) => e.fmt(f),
            Self::Deadline(ms) => write!(f, "no answer within {ms} ms"),
            Self::Lease => f.write_str("the lease on the event ended"),
        }
    }
}

pub(super) async fn within<T, E>(ms: u64, step: impl Future<Output = Result<T, E>>) -> Result<T, Late<E>> {
    match tokio::time::timeout(Duration::from_millis(ms), step).await {
        Ok(done) => done.map_err(Late::Failed),
        Err(_) => Err(Late::Deadline(ms)),
    }
}

pub(super) async fn held<T, E>(lease: &Lease, ms: u64, step: impl Future<Output = Result<T, E>>) -> Result<T, Late<E>> {
    if lease.left_ms() == 0 {
        return Err(Late::Lease);
    }
    tokio::select! {
        biased;
        done = within(ms, step) => done,
        () = lease.ended() => Err(Late::Lease),
    }
}

impl Broken {
    pub(super) fn silent(phase: &'static str, why: &str) -> Self {
        Self { phase, code: None, enhanced: None, reply: bounded(why), unusable: true, is_general: false }
    }

    /// The class of a failure before the message went out.
    pub(super) fn class(&self) -> Class {
        reply::class(self.phase, self.code, self.enhanced.as_deref(), &self.reply)
    }
}
