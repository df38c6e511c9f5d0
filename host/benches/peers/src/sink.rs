//! An SMTP server that takes every mail, keeps none and counts them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use memchr::{memchr, memmem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Tally;

const END: &[u8] = b"\r\n.\r\n";
/// A mail of these fits in.
const BUFFERED: usize = 8 * 1_024;

/// Serves until it is dropped.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Sink {
    /// What arrives together is answered together (RFC 2920), `pause` later.
    pub(crate) async fn start(pause: Duration, tally: Arc<Tally>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                let tally = tally.clone();
                sessions.spawn(async move { serve(socket, pause, &tally).await });
            }
        });
        Self { address, _tasks: tasks }
    }
}

async fn serve(mut socket: TcpStream, pause: Duration, tally: &Tally) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.write_all(b"220 sink\r\n").await?;
    let mut session = Session { received: Vec::with_capacity(BUFFERED), at: 0, in_data: false };
    let mut answers = Vec::new();
    while socket.read_buf(&mut session.received).await? > 0 {
        while let Some(answer) = session.next() {
            if answer == Answer::Taken {
                tally.add();
            }
            answers.extend_from_slice(answer.text());
        }
        session.forget();
        if !pause.is_zero() && !answers.is_empty() {
            tokio::time::sleep(pause).await;
        }
        socket.write_all(&answers).await?;
        answers.clear();
    }
    Ok(())
}

/// What has arrived; answered up to `at`.
struct Session {
    received: Vec<u8>,
    at: usize,
    in_data: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Hello,
    Ok,
    Go,
    Taken,
    Bye,
    Unknown,
}

impl Answer {
    fn text(self) -> &'static [u8] {
        match self {
            Answer::Hello => b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
            Answer::Ok => b"250 ok\r\n",
            Answer::Go => b"354 go\r\n",
            Answer::Taken => b"250 taken\r\n",
            Answer::Bye => b"221 bye\r\n",
            Answer::Unknown => b"500 unknown\r\n",
        }
    }
}

impl Session {
    /// The answer to the next command or mail, once the whole of it has arrived.
    fn next(&mut self) -> Option<Answer> {
        let rest = &self.received[self.at..];
        if self.in_data {
            let Some(end) = memmem::find(rest, END) else {
                // The end may have arrived in part.
                self.at += rest.len().saturating_sub(END.len() - 1);
                return None;
            };
            self.at += end + END.len();
            self.in_data = false;
            return Some(Answer::Taken);
        }
        let end = memchr(b'\n', rest)?;
        let answer = match rest.get(..4).map(<[u8]>::to_ascii_uppercase).as_deref() {
            Some(b"EHLO") => Answer::Hello,
            Some(b"HELO" | b"MAIL" | b"RCPT" | b"RSET" | b"NOOP") => Answer::Ok,
            Some(b"DATA") => Answer::Go,
            Some(b"QUIT") => Answer::Bye,
            _ => Answer::Unknown,
        };
        self.in_data = answer == Answer::Go;
        self.at += end + 1;
        Some(answer)
    }

    fn forget(&mut self) {
        self.received.drain(..self.at);
        self.at = 0;
    }
}
