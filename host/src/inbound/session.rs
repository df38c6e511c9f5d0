//! One connection, as RFC 5321 has a server behave; where the client says LHLO, as RFC 2033 does. What is not needed to take
//! reports is not offered.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use smtp_proto::request::receiver::DataReceiver;
use smtp_proto::{Error as Syntax, Request};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter,
};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Server;
use super::read;
use crate::notification::report::Reading;
use crate::return_path::Recipient;

/// The longest command line, in bytes: what extensions may ask for included (RFC 5321 4.5.3.1.4).
const LINE_BYTES_MAX: u64 = 2_048;
/// Recipients of one mail (RFC 5321 4.5.3.1.8 asks for 100).
const RECIPIENTS_MAX: usize = 100;
/// Commands that were refused before the connection is ended.
const REFUSALS_MAX: u32 = 20;
/// How long the next command, or the next piece of a mail, may take (RFC 5321 4.5.3.2.7).
const WAIT_MAX: Duration = Duration::from_mins(5);
/// How long a whole mail may take.
const MESSAGE_MAX: Duration = Duration::from_mins(10);

const TOO_LARGE: &str = "552 5.3.4 the mail is larger than what is taken";

/// How a session ended.
pub(super) enum End<S> {
    Quit,
    /// The client asked for TLS.
    Upgrade(S),
}

/// A connection's side of the host.
pub(super) struct Session<'a> {
    pub(super) server: &'a Server,
    pub(super) offers_tls: bool,
}

/// What was agreed on before the mail.
#[derive(Default)]
struct Envelope {
    /// Whether the client greeted, and by LMTP.
    greeted: Option<bool>,
    /// Whether the reverse path is empty; none before MAIL.
    from_nobody: Option<bool>,
    to: Vec<Recipient>,
    refusals: u32,
}

pub(super) type Stream<S> = BufReader<BufWriter<S>>;

/// What a step comes to, where it is not over.
enum Step {
    Say(String),
    Data,
    Tls,
    Bye(&'static str),
}

impl Session<'_> {
    pub(super) async fn run<S>(&self, stream: S, greets: bool, stop: &CancellationToken) -> io::Result<End<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = BufReader::with_capacity(16 << 10, BufWriter::with_capacity(1 << 10, stream));
        if greets {
            say(&mut stream, &format!("220 {} ESMTP", self.server.name)).await?;
        }
        let mut envelope = Envelope::default();
        let mut line = Vec::new();
        loop {
            if stream.buffer().is_empty() {
                in_time(stream.flush()).await?;
            }
            line.clear();
            let read = async { (&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await };
            let length = tokio::select! {
                length = in_time(read) => length?,
                () = stop.cancelled() => {
                    say(&mut stream, &format!("421 4.3.2 {} is stopping", self.server.name)).await?;
                    stream.flush().await?;
                    return Ok(End::Quit);
                }
            };
            if length == 0 {
                return Ok(End::Quit);
            }
            let next = if line.ends_with(b"\n") {
                self.step(&mut envelope, &line)
            } else {
                // What is behind would be read as commands.
                Step::Bye("500 5.5.6 the line is too long")
            };
            match next {
                Step::Say(reply) => {
                    envelope.refusals += u32::from(reply.starts_with('5'));
                    say(&mut stream, &reply).await?;
                    if envelope.refusals >= REFUSALS_MAX {
                        return bye(&mut stream, "421 4.7.0 too many commands were refused").await;
                    }
                }
                Step::Data => self.message(&mut stream, &mut envelope).await?,
                Step::Tls => {
                    // What came with the command was said in clear (RFC 3207 4.2).
                    if !stream.buffer().is_empty() {
                        return bye(&mut stream, "554 5.5.1 STARTTLS must be the last command").await;
                    }
                    say(&mut stream, "220 2.0.0 go ahead").await?;
                    in_time(stream.flush()).await?;
                    return Ok(End::Upgrade(stream.into_inner().into_inner()));
                }
                Step::Bye(reply) => return bye(&mut stream, reply).await,
            }
        }
    }

    fn step(&self, envelope: &mut Envelope, line: &[u8]) -> Step {
        let say = |reply: &str| Step::Say(reply.to_owned());
        let request = match Request::parse(&mut line.iter()) {
            Ok(request) => request,
            Err(Syntax::UnknownCommand) => return say("500 5.5.2 unknown command"),
            Err(Syntax::UnsupportedParameter { .. }) => return say("555 5.5.4 a parameter is not known"),
            Err(Syntax::InvalidRecipientAddress | Syntax::InvalidSenderAddress) => {
                return say("553 5.1.3 this is no address");
            }
            Err(_) => return say("501 5.5.4 this cannot be read"),
        };
        match request {
            Request::Ehlo { .. } => self.greet(envelope, false),
            Request::Lhlo { .. } => self.greet(envelope, true),
            Request::Helo { .. } => {
                *envelope = Envelope { greeted: Some(false), refusals: envelope.refusals, ..Envelope::default() };
                Step::Say(format!("250 {}", self.server.name))
            }
            Request::StartTls if self.offers_tls => Step::Tls,
            Request::Rset => {
                envelope.clear();
                say("250 2.0.0 ok")
            }
            Request::Noop { .. } => say("250 2.0.0 ok"),
            Request::Quit => Step::Bye("221 2.0.0 bye"),
            Request::Mail { .. } if envelope.greeted.is_none() => say("503 5.5.1 EHLO or LHLO first"),
            Request::Mail { .. } if envelope.from_nobody.is_some() => say("503 5.5.1 there was a MAIL already"),
            Request::Mail { from } if from.size > self.server.settings.message_bytes_max => say(TOO_LARGE),
            Request::Mail { from } => {
                envelope.from_nobody = Some(from.address.is_empty());
                say("250 2.1.0 ok")
            }
            Request::Rcpt { .. } if envelope.from_nobody.is_none() => say("503 5.5.1 MAIL first"),
            Request::Rcpt { .. } if envelope.to.len() >= RECIPIENTS_MAX => say("452 4.5.3 too many recipients"),
            Request::Rcpt { to } => match self.server.service.return_paths.read(&to.address) {
                Some(recipient) => {
                    envelope.to.push(recipient);
                    say("250 2.1.5 ok")
                }
                None => say("550 5.1.1 no mail of ours comes back to this address"),
            },
            Request::Data if envelope.to.is_empty() => say("503 5.5.1 MAIL and RCPT first"),
            Request::Data => Step::Data,
            Request::Vrfy { .. } => say("252 2.5.0 it is seen when a mail comes"),
            _ => say("502 5.5.1 this command is not offered"),
        }
    }

    fn greet(&self, envelope: &mut Envelope, lmtp: bool) -> Step {
        *envelope = Envelope { greeted: Some(lmtp), refusals: envelope.refusals, ..Envelope::default() };
        let tls = if self.offers_tls { "250-STARTTLS\r\n" } else { "" };
        Step::Say(format!(
            "250-{}\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-SIZE {}\r\n{tls}250 ENHANCEDSTATUSCODES",
            self.server.name, self.server.settings.message_bytes_max
        ))
    }

    /// Takes a mail, and answers once what it says is written down: by LMTP for each recipient.
    async fn message<S>(&self, stream: &mut Stream<S>, envelope: &mut Envelope) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        say(stream, "354 go ahead").await?;
        in_time(stream.flush()).await?;
        let taking = take(stream, self.server.settings.message_bytes_max);
        let taken = tokio::time::timeout(MESSAGE_MAX, taking).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let (from_nobody, to) = (envelope.from_nobody.unwrap_or_default(), std::mem::take(&mut envelope.to));
        let is_lmtp = envelope.greeted.unwrap_or_default();
        envelope.clear();
        let mut replies = Vec::with_capacity(to.len());
        match taken {
            Some(bytes) => {
                let has_token = to.iter().any(|recipient| matches!(recipient, Recipient::Mail(_)));
                let reading = self.read(bytes, from_nobody, has_token).await;
                let mut noted: Vec<(Recipient, &str)> = Vec::new();
                for recipient in to {
                    let before = noted.iter().find(|(known, _)| *known == recipient).map(|(_, reply)| *reply);
                    let reply = match before {
                        Some(reply) => reply,
                        None => self.note(recipient, reading.as_ref()).await,
                    };
                    noted.push((recipient, reply));
                    replies.push(reply);
                }
            }
            None => replies = vec![TOO_LARGE; to.len()],
        }
        // By SMTP there is one answer for all: who sends the mail again says nothing twice.
        let worst = replies.iter().copied().find(|reply| !reply.starts_with('2')).or(replies.last().copied());
        let said = if is_lmtp { replies } else { worst.into_iter().collect() };
        for reply in said {
            say(stream, reply).await?;
        }
        Ok(())
    }

    /// Reads a mail beside the runtime: one made for that takes its time, and may find a fault of the parser's. What comes back
    /// to a mail's own address, or from nobody, is then noted all the same.
    async fn read(&self, bytes: Vec<u8>, from_nobody: bool, has_token: bool) -> Option<Reading> {
        let _turn = self.server.readers.acquire().await;
        let bytes = Arc::new(bytes);
        let reader = bytes.clone();
        let reading = tokio::task::spawn_blocking(move || read::read(&reader, from_nobody)).await;
        reading.unwrap_or_else(|e| {
            tracing::error!(error = %e, "a mail that came in cannot be read");
            (from_nobody || has_token).then(|| read::unreadable(&bytes))
        })
    }

    async fn note(&self, recipient: Recipient, reading: Option<&Reading>) -> &'static str {
        match self.server.service.take_report(recipient, reading).await {
            Ok(()) => "250 2.0.0 noted",
            Err(e) => {
                tracing::warn!(error = %crate::cause::chain(&e), "a report could not be written down; its sender keeps it");
                "451 4.3.0 it cannot be written down now; try again later"
            }
        }
    }
}

impl Envelope {
    /// The next mail begins.
    fn clear(&mut self) {
        (self.from_nobody, self.to) = (None, Vec::new());
    }
}

/// Reads a mail to its end; gives its beginning, or none if it is larger than what is taken.
pub(super) async fn take<S>(stream: &mut Stream<S>, bytes_max: usize) -> io::Result<Option<Vec<u8>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut receiver, mut bytes, mut length) = (DataReceiver::new(), Vec::new(), 0_usize);
    // It looks for a dot behind a line's end: there is one before the first line too.
    receiver.ingest(&mut b"\r\n".iter(), &mut Vec::new());
    loop {
        let piece = in_time(stream.fill_buf()).await?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (had, mut rest) = (piece.len(), piece.iter());
        let is_over = receiver.ingest(&mut rest, &mut bytes);
        let used = had - rest.len();
        stream.consume(used);
        length = length.saturating_add(used);
        // One more: at its end the receiver takes back the one that it put there last.
        bytes.truncate(read::BYTES_MAX + 1);
        if is_over {
            return Ok((length <= bytes_max).then_some(bytes));
        }
        // Who goes on for long after what is taken is not listened to any more.
        if length > bytes_max.saturating_mul(2) {
            bye::<S, S>(stream, TOO_LARGE).await?;
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// Turns a client away that is one too many.
pub(super) async fn turn_away(mut socket: TcpStream, name: &str) {
    let reply = format!("421 4.3.2 {name} has too many connections; try again later\r\n");
    let _ = in_time(socket.write_all(reply.as_bytes())).await;
}

async fn bye<S, T>(stream: &mut Stream<S>, reply: &str) -> io::Result<End<T>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    say(stream, reply).await?;
    in_time(stream.flush()).await?;
    Ok(End::Quit)
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut Stream<S>, line: &str) -> io::Result<()> {
    in_time(stream.write_all(format!("{line}\r\n").as_bytes())).await
}

pub(super) async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(WAIT_MAX, step).await.map_err(|_| io::ErrorKind::TimedOut)?
}
