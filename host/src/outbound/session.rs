//! A connection to whoever takes messages, whatever is spoken over it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::MaybeDone;
use serde::{Deserialize, Serialize};

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

/// A step went wrong.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) phase: &'static str,
    pub(crate) code: Option<u16>,
    pub(crate) enhanced: Option<String>,
    pub(crate) reply: String,
    /// The connection's state is unknown; it must not be used again.
    pub(crate) unusable: bool,
    /// Another message would fare alike: the peer is left alone for a while.
    pub(crate) is_general: bool,
}

/// What came of one transaction.
pub(crate) enum Transacted {
    /// It was taken.
    Done(Taken),
    /// Nothing was answered on a connection that had waited: the peer had hung up, another one may do.
    Stale,
    /// The intent could not be recorded; the connection waits for a body that will not come.
    NotRecorded(String),
    /// It was refused, or the connection broke.
    Failed(Class, Broken),
}

/// What was said when a message was taken.
pub(crate) struct Taken {
    pub(crate) code: u16,
    /// The answer's words, cut.
    pub(crate) reply: String,
}

/// What a relay or an endpoint said of itself when the connection was made.
pub(crate) struct Greeted {
    /// What it can do (RFC 5321 4.1.1.1), a line each; nothing over HTTP.
    pub(crate) extensions: Vec<String>,
    /// Its certificate, in DER; none without TLS.
    pub(crate) certificate: Option<Vec<u8>>,
    /// Whether it accepted a log-in.
    pub(crate) is_logged_in: bool,
}

/// The intent of a hand-over, which may be on record already.
pub(crate) type Intent<'a, F> = Pin<&'a mut MaybeDone<F>>;

/// What is spoken with one peer: how it is connected to, and how it is offered one message.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// What is handed over.
    type Message: Sync;
    /// A connection that is open.
    type Line: Send;

    /// Opens a connection that is ready for a message.
    fn connect(
        &self,
        deadlines: &Deadlines,
    ) -> impl Future<Output = Result<(Self::Line, Greeted), (Class, Broken)>> + Send;

    /// What may go out behind the message before this one, on the same connection; none: nothing.
    fn envelope<'a>(&self, message: &'a Self::Message) -> Option<&'a str>;

    /// Offers one message: nothing of it but its envelope is written before the intent is recorded. Ended by the lease whatever the
    /// deadlines say. `behind` is asked at most once, for the envelope of the next message, if that can be written behind this one:
    /// the connection must then carry that message next, or none.
    fn transact<F: Future<Output = Result<(), NotRecorded>> + Send>(
        &self,
        line: &mut Self::Line,
        is_reused: bool,
        message: &Self::Message,
        limits: (&Deadlines, &Lease),
        intent: Intent<'_, F>,
        behind: impl FnOnce() -> Option<String> + Send,
    ) -> impl Future<Output = Transacted> + Send;

    /// Makes the connection ready for another message after one was refused; false if it cannot be used any more.
    fn reset(line: &mut Self::Line, deadlines: &Deadlines) -> impl Future<Output = bool> + Send;

    /// Says good-bye, where that is done; nobody waits long for the answer.
    fn quit(line: Self::Line) -> impl Future<Output = ()> + Send;
}

/// A connection that is ready for messages.
pub(super) struct Session<L> {
    pub(super) line: L,
    pub(super) messages: u32,
    pub(super) idle_since_ms: i64,
    /// Counts the connection while it is open.
    pub(super) _open: Arc<()>,
}

/// Waits until the intent is on record, which it must be before the first byte of the message.
pub(crate) async fn record(
    mut intent: Intent<'_, impl Future<Output = Result<(), NotRecorded>>>,
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
pub(crate) enum Late<E> {
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

pub(crate) async fn within<T, E>(ms: u64, step: impl Future<Output = Result<T, E>>) -> Result<T, Late<E>> {
    match tokio::time::timeout(Duration::from_millis(ms), step).await {
        Ok(done) => done.map_err(Late::Failed),
        Err(_) => Err(Late::Deadline(ms)),
    }
}

pub(crate) async fn held<T, E>(lease: &Lease, ms: u64, step: impl Future<Output = Result<T, E>>) -> Result<T, Late<E>> {
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
    pub(crate) fn silent(phase: &'static str, why: &str) -> Self {
        Self { phase, code: None, enhanced: None, reply: bounded(why), unusable: true, is_general: false }
    }
}
