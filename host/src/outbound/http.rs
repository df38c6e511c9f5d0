//! One connection that takes requests (HTTP/1.1, RFC 9112), driven over hyper's protocol code. hyper's pooling client is not
//! used: it sends again by itself what a server may have taken, and hides how far a request got.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::session::{Broken, Deadlines, Greeted, Intent, Taken, Transacted, held, record, within};
use super::socket::{self, Counted};
use crate::cause;
use crate::lease::{Lease, NotRecorded};
use crate::notification::Class;
use crate::trace;

/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How a host names itself to servers (RFC 9110 10.1.5).
pub(crate) const USER_AGENT: &str = concat!("ecomm/", env!("CARGO_PKG_VERSION"));
/// How long an answer's body may take once its status has come.
const ANSWER_BODY_MAX: Duration = Duration::from_secs(10);

/// A connection that is open.
pub(crate) struct Http {
    requests: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<TokioIo<Counted>, Full<Bytes>>>>,
    is_over: bool,
    written: Arc<AtomicU64>,
}

/// What a server said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// Why the body did not come whole; none: it did.
    pub(crate) cut: Option<String>,
}

impl Answer {
    /// What it says for people, in one line: its body, or what its status means.
    pub(crate) fn words(&self) -> String {
        let words = self.body.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.is_empty() { self.status.canonical_reason().unwrap_or("no words").to_owned() } else { words }
    }
}

impl Http {
    pub(crate) async fn connect(
        connecting: impl Future<Output = io::Result<TcpStream>>,
        tls: Option<&(TlsConnector, ServerName<'static>)>,
        deadlines: &Deadlines,
    ) -> Result<(Self, Greeted), Broken> {
        let written = Arc::new(AtomicU64::new(0));
        let opening = socket::open(connecting, tls, written.clone(), Arc::new(AtomicBool::new(false)));
        let opened = trace::timed("http connect", within(deadlines.connect_ms_max, opening)).await;
        let (stream, certificate) = opened.map_err(|why| Broken::silent("connect", &why.to_string()))?;
        let (requests, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| Broken::silent("connect", &cause::chain(&e)))?;
        let greeted = Greeted { extensions: Vec::new(), certificate, is_logged_in: false };
        Ok((Self { requests, connection: Box::pin(connection), is_over: false, written }, greeted))
    }

    /// One request, made once the intent is recorded, and its answer. Ended by the lease whatever the deadlines say.
    pub(crate) async fn transact(
        &mut self,
        is_reused: bool,
        request: impl FnOnce() -> Result<Request<Full<Bytes>>, String> + Send,
        read: impl FnOnce(&Answer) -> Result<Taken, (Class, Broken)> + Send,
        (deadlines, lease): (&Deadlines, &Lease),
        intent: Intent<'_, impl Future<Output = Result<(), NotRecorded>>>,
    ) -> Transacted {
        if let Err(why) = record(intent, deadlines, lease).await {
            return Transacted::NotRecorded(why);
        }
        if let Err(late) = held(lease, deadlines.command_ms_max, self.ready()).await {
            // The server closed the connection while it waited; nothing of the request was written.
            let broken = Broken::silent("connect", &late.to_string());
            let is_stale = is_reused && lease.left_ms() > 0;
            return if is_stale { Transacted::Stale } else { Transacted::Failed(Class::NotHandedOver, broken) };
        }
        let request = match request() {
            Ok(request) => request,
            Err(why) => return Transacted::Failed(Class::Rejected, Broken::silent("body", &why)),
        };
        let length = length(&request);
        lease.hand_over();
        let before = self.written.load(Ordering::Relaxed);
        match trace::timed("http request", held(lease, deadlines.body_ms_max, self.exchange(request))).await {
            Ok(answer) => {
                // What is left of the request would go before the next one.
                self.is_over |= answer.cut.is_some() || self.written.load(Ordering::Relaxed) - before < length;
                match read(&answer) {
                    Ok(taken) => Transacted::Done(taken),
                    Err((class, broken)) => Transacted::Failed(class, Broken { unusable: self.is_over, ..broken }),
                }
            }
            Err(late) => {
                let class = after_request(self.written.load(Ordering::Relaxed) - before, length);
                Transacted::Failed(class, Broken::silent("body", &late.to_string()))
            }
        }
    }

    /// Waits until a request can be written; finds out whether the server has closed the connection.
    async fn ready(&mut self) -> Result<(), String> {
        if self.is_over {
            return Err("the connection is closed".to_owned());
        }
        tokio::select! {
            biased;
            ended = &mut self.connection => {
                self.is_over = true;
                Err(ended.map_or_else(|e| cause::chain(&e), |()| "the connection is closed".to_owned()))
            }
            ready = self.requests.ready() => ready.map_err(|e| cause::chain(&e)),
        }
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let requests = &mut self.requests;
        let mut answering = std::pin::pin!(async move {
            let response = requests.send_request(request).await.map_err(|e| cause::chain(&e))?;
            let (head, body) = response.into_parts();
            let reading = Limited::new(body, ANSWER_BYTES_MAX).collect();
            let (body, cut) = match tokio::time::timeout(ANSWER_BODY_MAX, reading).await {
                Ok(Ok(body)) => (String::from_utf8_lossy(&body.to_bytes()).into_owned(), None),
                Ok(Err(e)) => (String::new(), Some(cause::chain(&*e))),
                Err(_) => (String::new(), Some("the answer did not come to its end".to_owned())),
            };
            Ok(Answer { status: head.status, headers: head.headers, body, cut })
        });
        loop {
            tokio::select! {
                biased;
                answer = &mut answering => return answer,
                // What ended it, the answer's future says.
                _ = &mut self.connection, if !self.is_over => self.is_over = true,
            }
        }
    }
}

/// How many bytes a request has on the wire: hyper adds nothing to it. A test compares.
fn length(request: &Request<Full<Bytes>>) -> u64 {
    use hyper::body::Body;
    let line = request.method().as_str().len() + 1 + request.uri().to_string().len() + " HTTP/1.1\r\n".len();
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    (line + headers + 2) as u64 + request.body().size_hint().exact().unwrap_or_default()
}

/// Whether a request whose answer was lost may have been taken: once its last byte was written.
fn after_request(written: u64, length: u64) -> Class {
    if written >= length { Class::InDoubt } else { Class::NotHandedOver }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper::Request;
    use hyper::body::Bytes;
    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncReadExt;

    use super::{Class, after_request, http1, length};

    #[tokio::test]
    async fn a_request_is_as_long_on_the_wire_as_it_was_counted() {
        for body in ["", "x", &"long ".repeat(100_000)] {
            let (ours, mut theirs) = tokio::io::duplex(1 << 20);
            let (mut requests, connection) = http1::handshake(TokioIo::new(ours)).await.expect("a handshake");
            let request = Request::post("/v3/shop.example/messages.mime?a=b")
                .header("host", "api.example:8443")
                .header("authorization", "Basic abc")
                .header("content-length", body.len())
                .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
                .expect("a request");
            let expected = length(&request);
            let mut read = Vec::new();
            let sending = async { tokio::join!(requests.send_request(request), connection) };
            let reading = async {
                while (read.len() as u64) < expected {
                    assert!(theirs.read_buf(&mut read).await.expect("bytes") > 0);
                }
            };
            tokio::select! {
                biased;
                _ = sending => panic!("there is no answer"),
                () = reading => {}
            }
            assert_eq!(read.len() as u64, expected);
            assert!(read.ends_with(body.as_bytes()));
        }
    }

    #[test]
    fn doubt_begins_with_the_last_byte() {
        assert_eq!(after_request(9, 10), Class::NotHandedOver);
        assert_eq!(after_request(10, 10), Class::InDoubt);
    }

    #[test]
    fn connections_can_be_kept_by_many_threads() {
        fn kept<T: Send>() {}
        kept::<super::Http>();
    }
}
