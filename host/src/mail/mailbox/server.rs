//! Enough of RFC 5321 to take mail from a well-behaved client.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Act, Mailbox, Phase};

/// The longest command line (RFC 5321 4.5.3.1.4 asks for 512 octets and more).
const LINE_BYTES_MAX: u64 = 4_096;
/// The largest message.
const MESSAGE_BYTES_MAX: usize = 40 << 20;
/// The most connections at one time.
const CONNECTIONS_MAX: usize = 1_000;

pub(super) async fn serve(mailbox: Mailbox, listener: TcpListener, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                // An accept that fails is the peer's trouble; the listener lives on.
                if let Ok((socket, _)) = accepted {
                    connections.spawn(talk(mailbox.clone(), socket));
                }
            }
        }
    }
}

async fn talk(mailbox: Mailbox, socket: TcpStream) {
    let _ = socket.set_nodelay(true);
    mailbox.0.connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let takes = mailbox.account().connect();
    let _connected = Connected(&mailbox);
    if !takes {
        let mut socket = socket;
        let _ = say(&mut socket, "421 4.3.2 too many connections").await;
        return;
    }
    if let Ok(End::Upgrade(mut socket)) = session(&mailbox, socket, true).await
        && let Some(acceptor) = &mailbox.0.tls
    {
        let _ = socket.write_all(b"220 go ahead\r\n").await;
        if let Ok(stream) = acceptor.accept(socket).await {
            let _ = session(&mailbox, stream, false).await;
        }
    }
}

/// A connection that the account counts.
struct Connected<'a>(&'a Mailbox);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.account().disconnect();
    }
}

/// How a session ended.
enum End<S> {
    Quit,
    /// The client asked for TLS.
    Upgrade(S),
}

/// A fault that ends the connection.
fn dropped() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "as injected")
}

async fn session<S: AsyncRead + AsyncWrite + Unpin>(mailbox: &Mailbox, stream: S, plain: bool) -> io::Result<End<S>> {
    let mut stream = BufReader::with_capacity(16 << 10, BufWriter::with_capacity(1 << 10, stream));
    if plain {
        answer(mailbox, &mut stream, Phase::Greeting, None, "220 mailbox.localhost ESMTP").await?;
    }
    // None: MAIL was not taken; empty: RCPT was not.
    let (mut from, mut to) = (None, String::new());
    let mut line = Vec::new();
    loop {
        line.clear();
        settle(&mut stream).await?;
        if (&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await? == 0 {
            return Ok(End::Quit);
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let verb = text.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" | "HELO" => {
                let starttls = if plain && mailbox.0.tls.is_some() { "250-STARTTLS\r\n" } else { "" };
                let pipelining = if mailbox.pipelines() { "250-PIPELINING\r\n" } else { "" };
                let hello = format!(
                    "250-mailbox.localhost\r\n250-SIZE {MESSAGE_BYTES_MAX}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                     {pipelining}{starttls}250 ENHANCEDSTATUSCODES"
                );
                answer(mailbox, &mut stream, Phase::Ehlo, None, &hello).await?;
            }
            "STARTTLS" if plain && mailbox.0.tls.is_some() => {
                return Ok(End::Upgrade(stream.into_inner().into_inner()));
            }
            "MAIL" => {
                to.clear();
                let taken = answer(mailbox, &mut stream, Phase::Mail, None, "250 2.1.0 ok").await?;
                from = taken.then(|| path(text).to_owned());
            }
            "RCPT" if from.is_none() => say(&mut stream, "503 5.5.1 MAIL first").await?,
            "RCPT" => {
                path(text).clone_into(&mut to);
                if !answer(mailbox, &mut stream, Phase::Rcpt, Some(&to), "250 2.1.5 ok").await? {
                    to.clear();
                }
            }
            "DATA" if to.is_empty() => say(&mut stream, "503 5.5.1 MAIL and RCPT first").await?,
            "DATA" => {
                if answer(mailbox, &mut stream, Phase::Data, Some(&to), "354 go ahead").await? {
                    message(mailbox, &mut stream, from.as_deref().unwrap_or_default(), &to).await?;
                }
                to.clear();
            }
            "RSET" => {
                to.clear();
                say(&mut stream, "250 2.0.0 ok").await?;
            }
            "NOOP" => say(&mut stream, "250 2.0.0 ok").await?,
            "QUIT" => {
                say(&mut stream, "221 2.0.0 bye").await?;
                stream.flush().await?;
                return Ok(End::Quit);
            }
            _ => say(&mut stream, "500 5.5.2 unknown command").await?,
        }
    }
}

/// Reads the message and answers for it.
async fn message<S: AsyncRead + AsyncWrite + Unpin>(
    mailbox: &Mailbox,
    stream: &mut BufReader<BufWriter<S>>,
    from: &str,
    to: &str,
) -> io::Result<()> {
    let body_fault = mailbox.fault(Phase::Body, Some(to));
    let mut bytes = Vec::with_capacity(8 << 10);
    let end = loop {
        settle(stream).await?;
        let piece = stream.fill_buf().await?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if body_fault.is_some() {
            return Err(dropped());
        }
        let before = bytes.len();
        bytes.extend_from_slice(piece);
        if let Some(end) = end_of_data(&bytes, before) {
            stream.consume(end + END.len() - before);
            break end;
        }
        let length = piece.len();
        stream.consume(length);
        if bytes.len() > MESSAGE_BYTES_MAX {
            say(stream, "552 5.3.4 too large").await?;
            stream.flush().await?;
            return Err(dropped());
        }
    };
    bytes.truncate(end);
    unstuff(&mut bytes);
    match mailbox.fault(Phase::Dot, Some(to)) {
        None if !mailbox.account().take(mailbox.0.clock.monotonic_ms()) => {
            say(stream, "454 4.7.0 Throttling failure: Maximum sending rate exceeded.").await
        }
        None => {
            mailbox.keep(from, to, bytes).await;
            say(stream, "250 2.0.0 kept").await
        }
        Some(Act::Reply(line)) => say(stream, &line).await,
        Some(act) => {
            mailbox.keep(from, to, bytes).await;
            perform(act).await
        }
    }
}

/// The line that ends a message (RFC 5321 4.1.1.4).
const END: &[u8] = b".\r\n";

/// Where the line is that ends a message, of which `before` bytes were looked through earlier.
fn end_of_data(bytes: &[u8], before: usize) -> Option<usize> {
    if bytes.starts_with(END) {
        return Some(0);
    }
    // It may have begun in the piece before.
    let from = before.saturating_sub(2 + END.len() - 1);
    memchr::memmem::find(&bytes[from..], b"\r\n.\r\n").map(|at| from + at + 2)
}

/// Takes away the dot that every line beginning with one was given (RFC 5321 4.5.2).
fn unstuff(bytes: &mut Vec<u8>) {
    let mut stuffed: Vec<usize> = memchr::memmem::find_iter(bytes, b"\r\n.").map(|at| at + 2).collect();
    if bytes.starts_with(b".") {
        stuffed.insert(0, 0);
    }
    let mut stuffed = stuffed.into_iter().peekable();
    let mut at = 0;
    if stuffed.peek().is_some() {
        bytes.retain(|_| {
            let is_stuffed = stuffed.next_if_eq(&at).is_some();
            at += 1;
            !is_stuffed
        });
    }
}

/// Answers as usual (true) or as injected (false).
async fn answer<S: AsyncWrite + Unpin>(
    mailbox: &Mailbox,
    stream: &mut S,
    phase: Phase,
    to: Option<&str>,
    usual: &str,
) -> io::Result<bool> {
    match mailbox.fault(phase, to) {
        None => say(stream, usual).await.map(|()| true),
        Some(Act::Reply(line)) => say(stream, &line).await.map(|()| false),
        Some(act) => {
            stream.flush().await?;
            perform(act).await.map(|()| false)
        }
    }
}

async fn perform(act: Act) -> io::Result<()> {
    if act == Act::Hang {
        std::future::pending::<()>().await;
    }
    Err(dropped())
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, line: &str) -> io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await
}

/// Sends the replies before waiting for more: those to a pipelined envelope together (RFC 2920 3.2).
async fn settle<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<BufWriter<S>>) -> io::Result<()> {
    if stream.buffer().is_empty() { stream.flush().await } else { Ok(()) }
}

/// The address between the angle brackets.
fn path(line: &str) -> &str {
    line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::{end_of_data, unstuff};

    #[test]
    fn a_message_ends_with_a_dot_on_its_own_line_wherever_it_is_cut() {
        let whole = b"a\r\n..\r\n.b\r\n.\r\nMAIL";
        for cut in 0..whole.len() {
            assert_eq!(end_of_data(&whole[..cut], 0), (cut >= 14).then_some(11), "{cut}");
            assert_eq!(end_of_data(whole, cut.min(13)), Some(11), "{cut}");
        }
        assert_eq!(end_of_data(b".\r\n", 0), Some(0));
        assert_eq!(end_of_data(b".\r\n", 1), Some(0));
    }

    #[test]
    fn one_dot_goes() {
        for (sent, meant) in [("..a\r\n...b\r\nc.\r\n", ".a\r\n..b\r\nc.\r\n"), ("a\r\n", "a\r\n"), ("", "")] {
            let mut bytes = sent.as_bytes().to_vec();
            unstuff(&mut bytes);
            assert_eq!(bytes, meant.as_bytes());
        }
    }
}
