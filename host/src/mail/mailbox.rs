//! A mailbox for development and tests: an SMTP server on loopback that delivers to nobody. It keeps what it gets
//! readable, in memory and on disk, and fails on request, so that faults are met through the real session.

mod limits;
mod server;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use limits::{Limits, Refused};

use crate::clock::Clock;
use limits::Account;

/// How long the time at the beginning of a file's name is, from 2001 to 2286.
const MILLISECONDS_DIGITS: usize = 13;

/// How the mailbox is set up.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whether there is one. It then takes the mail when `mail.relays` is empty.
    pub enabled: bool,
    /// Where it listens; loopback only.
    pub listen: SocketAddr,
    /// Where it writes each mail as an `.eml`; nowhere when empty.
    pub path: PathBuf,
    /// How many mails it keeps in memory; older ones go.
    pub messages_max: usize,
}

/// A mail that arrived.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Mail)]
pub struct Received {
    /// Counts up from 1.
    pub id: u64,
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub received_at: i64,
    /// From the envelope.
    pub from: String,
    /// From the envelope.
    pub to: String,
    /// Decoded.
    pub subject: String,
    /// Without angle brackets.
    pub message_id: String,
    /// The message as it came over the wire, dots unstuffed.
    #[serde(skip)]
    pub bytes: Arc<[u8]>,
}

/// Where in a session a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Instead of the greeting.
    Greeting,
    /// Instead of the answer to EHLO.
    Ehlo,
    /// Instead of the answer to MAIL.
    Mail,
    /// Instead of the answer to RCPT.
    Rcpt,
    /// Instead of 354.
    Data,
    /// Half-way through the message.
    Body,
    /// After the final dot, before its answer. The mail is kept, as a relay that fails here may do.
    Dot,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Answers this line, such as "451 4.7.1 later".
    Reply(String),
    /// Closes the connection.
    Drop,
    /// Answers nothing, ever.
    Hang,
}

/// A fault to be met.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Where.
    pub phase: Phase,
    /// What.
    pub act: Act,
    /// How many times.
    pub times: u32,
    /// Only for mails to this address; in phases after RCPT.
    pub to: Option<String>,
}

/// The mailbox. Cheap to clone.
#[derive(Clone)]
pub struct Mailbox(Arc<Inner>);

struct Inner {
    path: PathBuf,
    messages_max: usize,
    clock: Clock,
    messages: Mutex<VecDeque<Received>>,
    faults: Mutex<Vec<Fault>>,
    count: watch::Sender<u64>,
    connections: std::sync::atomic::AtomicU64,
    pipelines: AtomicBool,
    account: Mutex<Account>,
    tls: Option<TlsAcceptor>,
}

impl Mailbox {
    /// An empty mailbox; `tls` makes it offer STARTTLS.
    pub fn new(path: PathBuf, messages_max: usize, tls: Option<TlsAcceptor>, clock: Clock) -> Self {
        let count = watch::Sender::new(0);
        let (messages, faults) = (Mutex::default(), Mutex::default());
        let connections = std::sync::atomic::AtomicU64::new(0);
        Self(Arc::new(Inner {
            path,
            messages_max,
            clock,
            messages,
            faults,
            count,
            connections,
            pipelines: AtomicBool::new(true),
            account: Mutex::default(),
            tls,
        }))
    }

    /// Whether clients may send an envelope in one piece (RFC 2920), from the next EHLO on.
    pub fn set_pipelining(&self, pipelines: bool) {
        self.0.pipelines.store(pipelines, Ordering::Relaxed);
    }

    /// From now on takes no more than this, as a provider's account does.
    pub fn limit(&self, limits: Limits) {
        self.account().limits = limits;
    }

    /// How often a limit was met.
    pub fn refused(&self) -> Refused {
        self.account().refused
    }

    fn account(&self) -> std::sync::MutexGuard<'_, Account> {
        self.0.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pipelines(&self) -> bool {
        self.0.pipelines.load(Ordering::Relaxed)
    }

    /// Serves SMTP until cancelled.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) {
        server::serve(self.clone(), listener, stop).await;
    }

    /// What has arrived and is still kept, oldest first.
    pub fn messages(&self) -> Vec<Received> {
        self.0.messages.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// One mail.
    pub fn message(&self, id: u64) -> Option<Received> {
        self.0.messages.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|m| m.id == id).cloned()
    }

    /// How many mails have arrived; changes with each.
    pub fn count(&self) -> watch::Receiver<u64> {
        self.0.count.subscribe()
    }

    /// How many connections were made.
    pub fn connections(&self) -> u64 {
        self.0.connections.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Will be met once somebody comes to its phase.
    pub fn inject(&self, fault: Fault) {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// How many of them nobody has met yet.
    pub fn faults(&self) -> usize {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn fault(&self, phase: Phase, to: Option<&str>) -> Option<Act> {
        let mut faults = self.0.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |f: &Fault| f.phase == phase && f.to.as_deref().is_none_or(|only| Some(only) == to);
        let at = faults.iter().position(fits)?;
        faults[at].times = faults[at].times.saturating_sub(1);
        let act = faults[at].act.clone();
        if faults[at].times == 0 {
            faults.remove(at);
        }
        Some(act)
    }

    /// Removes the files of mails that came before `until`, unix milliseconds; says how many.
    pub async fn forget_files(&self, until: i64) -> u64 {
        if self.0.path.as_os_str().is_empty() {
            return 0;
        }
        let Ok(mut folder) = tokio::fs::read_dir(&self.0.path).await else { return 0 };
        let mut removed = 0;
        while let Ok(Some(file)) = folder.next_entry().await {
            let name = file.file_name();
            // What others put there is theirs.
            let name = name.to_str().and_then(|name| name.strip_suffix(".eml")).and_then(|name| name.split_once('-'));
            let at = name.map(|(at, _)| at).filter(|at| at.len() == MILLISECONDS_DIGITS);
            let is_old = at.and_then(|at| at.parse::<i64>().ok()).is_some_and(|at| at < until);
            if is_old && tokio::fs::remove_file(file.path()).await.is_ok() {
                removed += 1;
            }
        }
        removed
    }

    /// Keeps a mail; on disk first, so that a reader who hears of it finds it there.
    async fn keep(&self, from: &str, to: &str, bytes: Vec<u8>) {
        let mut received = Received {
            id: 0,
            received_at: self.0.clock.now_ms(),
            from: from.to_owned(),
            to: to.to_owned(),
            subject: decode_words(&header(&bytes, "Subject")),
            message_id: header(&bytes, "Message-ID").trim_matches(['<', '>']).to_owned(),
            bytes: bytes.into(),
        };
        if !self.0.path.as_os_str().is_empty() {
            let name = format!("{}-{}.eml", received.received_at, received.message_id.replace(['/', '\\'], "_"));
            if let Err(e) = tokio::fs::write(self.0.path.join(name), &received.bytes).await {
                tracing::warn!(error = %e, "the mailbox cannot write a mail to disk");
            }
        }
        {
            let mut messages = self.0.messages.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.count.send_modify(|n| *n += 1);
            received.id = *self.0.count.borrow();
            messages.push_back(received);
            while messages.len() > self.0.messages_max {
                messages.pop_front();
            }
        }
    }
}

/// A header's value, unfolded (RFC 5322 2.2.3); empty when there is none.
fn header(message: &[u8], name: &str) -> String {
    let head = memchr::memmem::find(message, b"\r\n\r\n").unwrap_or(message.len());
    let head = String::from_utf8_lossy(&message[..head]).replace("\r\n ", " ").replace("\r\n\t", " ");
    head.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}

/// Decodes the encoded words (RFC 2047) of a header, base64 ones: others we do not write.
fn decode_words(text: &str) -> String {
    let mut out = String::new();
    for (i, word) in text.split(' ').enumerate() {
        let encoded = word.strip_prefix("=?utf-8?b?").and_then(|w| w.strip_suffix("?="));
        let decoded = encoded.and_then(|w| base64::engine::general_purpose::STANDARD.decode(w).ok());
        let is_encoded = decoded.is_some();
        let after_encoded = i > 0 && text.split(' ').nth(i - 1).is_some_and(|w| w.starts_with("=?utf-8?b?"));
        if i > 0 && !(is_encoded && after_encoded) {
            out.push(' ');
        }
        match decoded {
            Some(bytes) => out.push_str(&String::from_utf8_lossy(&bytes)),
            None => out.push_str(word),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{decode_words, header};

    #[test]
    fn headers_are_unfolded_and_decoded() {
        let message = b"Subject: =?utf-8?b?SMOkbGxv?=\r\n =?utf-8?b?IFdlbHQ=?= x\r\nTo: a\r\n\r\nSubject: no";
        assert_eq!(decode_words(&header(message, "subject")), "H\u{e4}llo Welt x");
        assert_eq!(header(message, "From"), "");
    }
}
