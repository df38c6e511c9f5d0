//! One SMTP connection, driven phase by phase over lettre's protocol code.
//!
//! lettre's own transport is not used: a send that is cancelled half-way goes back to its pool and shifts every later
//! reply by one, so that a rejected mail is reported as sent (lettre 0.11.23; `tests/it/relay.rs` holds the case); it
//! hides how far a send got; and its sockets wait for delayed acknowledgements.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;

use super::relay::Protection;
use super::{Message, RelaySettings, reply};
use crate::lease::{Lease, NotRecorded};
use crate::notification::{Class, bounded};
use crate::outbound::socket::{self, Counted, Socket};
use crate::outbound::{Broken, Deadlines, Greeted, Intent, Late, Taken, Transacted, held, record, within};
use crate::trace;

/// A connection that has greeted.
pub(super) struct Smtp {
    connection: AsyncSmtpConnection,
    written: Arc<AtomicU64>,
    /// The relay takes an envelope in one piece (PIPELINING, RFC 2920).
    pipelines: bool,
    /// The envelope that was written behind the last message: only that message may come next.
    ahead: Option<String>,
}

/// How a message is announced.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    /// MAIL, RCPT and DATA, a line each.
    commands: String,
    /// Its addresses need SMTPUTF8 (RFC 6531).
    is_international: bool,
}

impl AsyncTokioStream for Counted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Socket::Plain(s) => s.peer_addr(),
            Socket::Tls(s) => s.get_ref().0.peer_addr(),
        }
    }
}

impl Smtp {
    pub(super) async fn connect(
        connecting: impl Future<Output = io::Result<TcpStream>>,
        relay: &RelaySettings,
        protection: &Protection,
        hello: &ClientId,
        deadlines: &Deadlines,
    ) -> Result<(Self, Greeted), Broken> {
        let written = Arc::new(AtomicU64::new(0));
        let narrow = Arc::new(AtomicBool::new(matches!(protection, Protection::Starttls(_))));
        let opening = socket::open(connecting, protection.implicit(), written.clone(), narrow.clone());
        let opened = trace::timed("smtp connect", within(deadlines.connect_ms_max, opening)).await;
        let (stream, mut certificate) = opened.map_err(|why| Broken::silent("connect", &why.to_string()))?;
        let mut smtp = Self::greeted(Box::new(stream), written, hello, deadlines).await?;
        if let Protection::Starttls(parameters) = protection {
            let upgrading = Box::pin(smtp.connection.starttls(TlsParameters::clone(parameters), hello));
            trace::timed("smtp starttls", survived("starttls", deadlines.command_ms_max, upgrading)).await?;
            narrow.store(false, Ordering::Relaxed);
            certificate = smtp.connection.peer_certificate().ok();
        }
        let extensions = smtp.extensions(hello, deadlines).await?;
        if !relay.username.is_empty() {
            let credentials = Credentials::new(relay.username.clone(), relay.password.expose_secret().to_owned());
            smtp.log_in(&credentials, deadlines).await?;
        }
        let greeted = Greeted { extensions, certificate, is_logged_in: !relay.username.is_empty() };
        Ok((smtp, greeted))
    }

    /// Takes the greeting over a connection that is open, and answers it.
    pub(super) async fn greeted(
        stream: Box<dyn AsyncTokioStream>,
        written: Arc<AtomicU64>,
        hello: &ClientId,
        deadlines: &Deadlines,
    ) -> Result<Self, Broken> {
        let greeting = Box::pin(AsyncSmtpConnection::connect_with_transport(stream, hello));
        let greeting = survived("greeting", deadlines.command_ms_max, greeting);
        let reached = |broken: Broken| Broken {
            phase: if written.load(Ordering::Relaxed) == 0 { "greeting" } else { "ehlo" },
            ..broken
        };
        let connection = trace::timed("smtp greeting", greeting).await.map_err(reached)?;
        Ok(Self { connection, written, pipelines: false, ahead: None })
    }

    /// What the relay can do, a line each. Asked once more: lettre keeps of the first answer what it knows.
    pub(super) async fn extensions(&mut self, hello: &ClientId, deadlines: &Deadlines) -> Result<Vec<String>, Broken> {
        let said = within(deadlines.command_ms_max, self.connection.command(Ehlo::new(hello.clone())));
        let said = done("ehlo", trace::timed("smtp ehlo", said).await.map_err(|e| broken("ehlo", e))?)?;
        // The first line is its name.
        let extensions: Vec<String> = said.message().skip(1).map(str::to_ascii_uppercase).collect();
        self.pipelines = extensions.iter().any(|line| line == "PIPELINING");
        Ok(extensions)
    }

    /// Says who we are.
    pub(super) async fn log_in(&mut self, credentials: &Credentials, deadlines: &Deadlines) -> Result<(), Broken> {
        let login = self.connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials);
        let said = trace::timed("smtp auth", within(deadlines.command_ms_max, login)).await;
        done("auth", said.map_err(|e| broken("auth", e))?).map(drop)
    }

    /// One mail: the envelope while the intent is committed, then the message, and behind it the next one's envelope. Ended by the
    /// lease whatever the deadlines say.
    pub(super) async fn transact(
        &mut self,
        is_reused: bool,
        message: &Message,
        (deadlines, lease): (&Deadlines, &Lease),
        intent: Intent<'_, impl Future<Output = Result<(), NotRecorded>>>,
        behind: impl FnOnce() -> Option<String>,
    ) -> Transacted {
        // A refused envelope waits for the commit too: the attempt's end then closes the intent.
        let recording = record(intent, deadlines, lease);
        let (enveloped, recorded) = tokio::join!(self.offer(&message.envelope, deadlines, lease), recording);
        if let Err(broken) = enveloped {
            // Silence or a good-bye (RFC 5321 3.8) to a connection that had waited says nothing about the mail.
            let hung_up = broken.phase == "mail" && matches!(broken.code, None | Some(421));
            let stale = is_reused && hung_up && lease.left_ms() > 0;
            return if stale { Transacted::Stale } else { Transacted::Failed(reply::of(&broken), broken) };
        }
        if let Err(why) = recorded {
            return Transacted::NotRecorded(why);
        }
        let mut data = mail_data(&message.text);
        let length = data.len() as u64;
        if self.pipelines && data.len() <= BEHIND_BYTES_MAX {
            self.ahead = behind();
            data.extend(self.ahead.as_deref());
        }
        lease.hand_over();
        let before = self.written.load(Ordering::Relaxed);
        // As a command, in one piece: lettre's `message` writes the final dot apart, which costs both sides a wake-up.
        let sent = trace::timed("smtp body", held(lease, deadlines.body_ms_max, self.connection.command(data))).await;
        match sent {
            Ok(response) => match done("body", response) {
                Ok(response) => Transacted::Done(Taken {
                    code: response.code().into(),
                    reply: bounded(&response.message().collect::<Vec<_>>().join(" ")),
                }),
                Err(broken) => Transacted::Failed(Class::InDoubt, broken),
            },
            Err(e) => {
                let broken = broken("body", e);
                let out = self.written.load(Ordering::Relaxed) - before;
                let class = if broken.code.is_some() { reply::of(&broken) } else { after_body(out, length) };
                Transacted::Failed(class, broken)
            }
        }
    }

    async fn offer(&mut self, envelope: &Envelope, deadlines: &Deadlines, lease: &Lease) -> Result<(), Broken> {
        let ahead = self.ahead.take();
        if ahead.as_ref().is_some_and(|ahead| *ahead != envelope.commands) {
            return Err(Broken::silent("mail", "another message's envelope was sent"));
        }
        if envelope.is_international && !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(Broken {
                phase: "mail",
                code: Some(550),
                enhanced: Some("5.6.7".to_owned()),
                reply: "the relay does not take addresses outside ASCII (no SMTPUTF8)".to_owned(),
                unusable: false,
                is_general: false,
            });
        }
        self.say(&envelope.commands, ahead.is_some(), deadlines, lease).await
    }

    /// MAIL, RCPT and DATA: in one piece, which may have been sent, or each after the reply to the one before. Each reply is its
    /// phase's.
    async fn say(
        &mut self,
        commands: &str,
        were_sent: bool,
        deadlines: &Deadlines,
        lease: &Lease,
    ) -> Result<(), Broken> {
        let mut refused: Option<Broken> = None;
        let mut lines = commands.split_inclusive("\r\n");
        let steps =
            [("mail", deadlines.command_ms_max), ("rcpt", deadlines.command_ms_max), ("data", deadlines.data_ms_max)];
        for (n, (phase, ms)) in steps.into_iter().enumerate() {
            let mut step = trace::step(STEPS[n]);
            let line = lines.next().unwrap_or_default();
            let reply = match n {
                0 if self.pipelines && !were_sent => held(lease, ms, self.connection.command(commands)).await,
                _ if self.pipelines => held(lease, ms, self.connection.read_response()).await,
                _ => held(lease, ms, self.connection.command(line)).await,
            };
            if reply.is_err() {
                step.fail("failed");
            }
            drop(step);
            match reply {
                Ok(reply) if phase == "data" => match &mut refused {
                    // It waits for a message that will not come.
                    Some(refused) => refused.unusable = true,
                    None if reply.has_code(354) => {}
                    None => return Err(Broken::silent(phase, "the relay did not answer DATA with 354")),
                },
                // What is said next may be the answer to anything.
                Ok(reply) => done(phase, reply).map(drop)?,
                Err(e) => {
                    let broken = broken(phase, e);
                    let last = !self.pipelines || broken.unusable;
                    let unusable = broken.unusable;
                    let first = refused.get_or_insert(broken);
                    first.unusable |= unusable;
                    if last {
                        break;
                    }
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Forgets a refused transaction, so that the connection can serve again.
    pub(super) async fn reset(&mut self, deadlines: &Deadlines) -> bool {
        if self.ahead.is_some() {
            return false;
        }
        let said = within(deadlines.command_ms_max, self.connection.command(Rset)).await;
        said.is_ok_and(|said| done("rset", said).is_ok())
    }

    /// Says good-bye; nobody waits long for the answer.
    pub(super) async fn quit(mut self) {
        let _ = tokio::time::timeout(Duration::from_secs(1), self.connection.quit()).await;
    }
}

impl Envelope {
    pub(super) fn new(returns_to: &Address, to: &Address, text: &str) -> Self {
        let is_ascii = |a: &Address| a.user().is_ascii() && a.domain().is_ascii();
        let is_international = !is_ascii(to) || !is_ascii(returns_to);
        let mut parameters = Vec::new();
        if is_international {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !text.is_ascii() {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let mail = Mail::new(Some(returns_to.clone()), parameters);
        let commands = format!("{mail}{}{Data}", Rcpt::new(to.clone(), Vec::new()));
        Self { commands, is_international }
    }

    /// What may be sent to any relay that takes it in one piece, whatever else it can do.
    pub(super) fn for_any_relay(&self) -> Option<&str> {
        (!self.is_international).then_some(&*self.commands)
    }
}

/// A step in which lettre reads what a relay can do: it panics where a line of that is blank (0.11.23).
async fn survived<T>(
    phase: &'static str,
    ms: u64,
    step: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, Broken> {
    match AssertUnwindSafe(within(ms, step)).catch_unwind().await {
        Ok(done) => done.map_err(|e| broken(phase, e)),
        Err(_) => Err(Broken::silent(phase, "what the relay says that it can do cannot be read: a line is blank")),
    }
}

/// The message as it goes over the wire (RFC 5321 4.1.1.4): dots at the beginning of lines doubled (4.5.2), and the line
/// that ends it.
pub(super) fn mail_data(text: &str) -> String {
    let mut data = String::with_capacity(text.len() + 2 + END.len());
    let mut rest = text;
    if rest.starts_with('.') {
        data.push('.');
    }
    while let Some(at) = memchr::memmem::find(rest.as_bytes(), b"\r\n.") {
        data.push_str(&rest[..at + 3]);
        data.push('.');
        rest = &rest[at + 3..];
    }
    data.push_str(rest);
    if !data.ends_with("\r\n") {
        data.push_str("\r\n");
    }
    data.push_str(END);
    data
}

/// Behind a larger message nothing is sent: it may take long.
const BEHIND_BYTES_MAX: usize = 256 << 10;

/// The steps of an envelope, as a trace names them.
const STEPS: [&str; 3] = ["smtp mail", "smtp rcpt", "smtp data"];

/// What ends the mail data.
const END: &str = ".\r\n";

/// Whether a message whose reply was lost may have been taken, of `length` bytes on the wire: once the first byte of what
/// ends it was written. Under STARTTLS the count is of ciphertext and errs on the side of doubt.
fn after_body(written: u64, length: u64) -> Class {
    if written > length - END.len() as u64 { Class::InDoubt } else { Class::NotHandedOver }
}

/// A reply that says that a step is done (2yz, RFC 5321 4.2.1): lettre takes 3yz, which asks for more, for as good.
fn done(phase: &'static str, reply: Response) -> Result<Response, Broken> {
    if reply.code().severity == Severity::PositiveCompletion {
        return Ok(reply);
    }
    let code = u16::from(reply.code());
    Err(Broken::silent(phase, &format!("the relay answered with {code}, which is neither yes nor no")))
}

fn broken(phase: &'static str, late: Late<lettre::transport::smtp::Error>) -> Broken {
    let Late::Failed(error) = late else { return Broken::silent(phase, &late.to_string()) };
    let said = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    let Some(code) = error.status().map(u16::from) else { return Broken::silent(phase, &said) };
    let unusable = code == 421 || !matches!(phase, "mail" | "rcpt" | "data" | "body");
    Broken {
        phase,
        code: Some(code),
        enhanced: enhanced(code, &said),
        reply: bounded(&said),
        unusable,
        is_general: false,
    }
}

/// The enhanced status code at the start of a reply (RFC 3463 2), if its class fits the code's.
fn enhanced(code: u16, text: &str) -> Option<String> {
    let word = text.split_whitespace().next()?;
    let parts: Vec<&str> = word.split('.').collect();
    let fits = |p: &&str| (1..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit());
    let class = (code / 100).to_string();
    (parts.len() == 3 && parts.iter().all(fits) && parts[0] == class).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Class, after_body, enhanced, mail_data};

    #[test]
    fn dots_are_doubled_and_the_end_is_a_line() {
        assert_eq!(mail_data(".a\r\n..b\r\nc.d\r\n.\r\n"), "..a\r\n...b\r\nc.d\r\n..\r\n.\r\n");
        assert_eq!(mail_data("a"), "a\r\n.\r\n");
    }

    #[test]
    fn doubt_begins_with_the_first_byte_of_the_end() {
        assert_eq!(mail_data(".a\r\n").len(), 8);
        assert_eq!(after_body(0, 8), Class::NotHandedOver);
        assert_eq!(after_body(5, 8), Class::NotHandedOver);
        assert_eq!(after_body(6, 8), Class::InDoubt);
    }

    #[test]
    fn enhanced_codes_must_fit() {
        assert_eq!(enhanced(550, "5.1.1 no such user").as_deref(), Some("5.1.1"));
        assert_eq!(enhanced(450, "4.7.1").as_deref(), Some("4.7.1"));
        for text in ["4.1.1 x", "5.1 x", "5.1.1111 x", "no", "", "5.a.1"] {
            assert_eq!(enhanced(550, text), None, "{text}");
        }
    }
}
