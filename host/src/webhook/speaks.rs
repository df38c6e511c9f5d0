//! How an endpoint is spoken to: one POST for each request.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Request;
use super::address::is_public;
use crate::clock::Clock;
use crate::lease::{Lease, NotRecorded};
use crate::notification::{Class, bounded};
use crate::outbound::http::{Answer, Http, USER_AGENT};
use crate::outbound::{Broken, Deadlines, Greeted, Intent, Protocol, Taken, Transacted};
use crate::shop::text::WebAddress;

pub(super) struct Speaks {
    host: String,
    port: u16,
    /// What stands in the request's line.
    path: String,
    authority: HeaderValue,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    private_networks: bool,
    clock: Clock,
}

impl Speaks {
    pub(super) fn new(
        url: &WebAddress,
        tls: &TlsConnector,
        private_networks: bool,
        clock: Clock,
    ) -> Result<Self, String> {
        let url = crate::endpoint::check_url(url, private_networks)?;
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let authority = HeaderValue::try_from(authority).map_err(|e| e.to_string())?;
        // Brackets are the address's, not the host's.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match url.scheme() {
            "https" => Some((tls.clone(), ServerName::try_from(host.clone()).map_err(|e| e.to_string())?)),
            _ => None,
        };
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Ok(Self { host, port, path, authority, tls, private_networks, clock })
    }

    /// Connects to the addresses that the host's name has at this moment: another look at it could find others.
    async fn open(&self) -> io::Result<TcpStream> {
        // Which names there are in private networks is nothing for those who name endpoints.
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await.into_iter().flatten();
        let allowed: Vec<SocketAddr> = found.filter(|at| self.private_networks || is_public(at.ip())).collect();
        if allowed.is_empty() {
            return Err(io::Error::other("its name leads to no address of the public internet"));
        }
        TcpStream::connect(allowed.as_slice()).await
    }

    fn request(&self, request: &Request) -> Result<hyper::Request<Full<Bytes>>, String> {
        let at = self.clock.now_ms().div_euclid(1_000);
        hyper::Request::post(&self.path)
            .header("host", self.authority.clone())
            .header("user-agent", USER_AGENT)
            .header("content-type", "application/json")
            .header("content-length", request.body.len())
            .header("webhook-id", &request.id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", request.signatures(at))
            .body(Full::from(request.body.clone()))
            .map_err(|e| e.to_string())
    }
}

/// What a reply begins with that says when to come again, in seconds (RFC 9110 10.2.3).
const RETRY_AFTER: &str = "Retry-After: ";

/// When to come again, as a reply says, in milliseconds.
pub(crate) fn wait_ms(reply: &str) -> Option<u64> {
    let (seconds, _) = reply.strip_prefix(RETRY_AFTER)?.split_once(';')?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000)
}

/// What an answer means. Only its status counts; its words are for people.
fn read(answer: &Answer) -> Result<Taken, (Class, Broken)> {
    let code = answer.status.as_u16();
    let words = answer.words();
    let later = answer.headers.get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let reply = match later {
        Some(seconds) => bounded(&format!("{RETRY_AFTER}{seconds}; {words}")),
        None => bounded(&words),
    };
    match class(code) {
        None => Ok(Taken { code, reply }),
        Some(class) => {
            let broken =
                Broken { phase: "body", code: Some(code), enhanced: None, reply, unusable: false, is_general: false };
            Err((class, broken))
        }
    }
}

/// None: taken. An endpoint that is gone is sent nothing more; whatever else it answers may be mended.
fn class(status: u16) -> Option<Class> {
    match status {
        200..=299 => None,
        410 => Some(Class::Rejected),
        429 => Some(Class::Throttled),
        _ => Some(Class::Deferred),
    }
}

impl Protocol for Speaks {
    type Message = Request;
    type Line = Box<Http>;

    async fn connect(&self, deadlines: &Deadlines) -> Result<(Box<Http>, Greeted), (Class, Broken)> {
        let connected = Http::connect(self.open(), self.tls.as_ref(), deadlines).await;
        let (http, greeted) = connected.map_err(|broken| (Class::NotHandedOver, broken))?;
        Ok((Box::new(http), greeted))
    }

    fn envelope<'a>(&self, _: &'a Request) -> Option<&'a str> {
        None
    }

    async fn transact<F: Future<Output = Result<(), NotRecorded>> + Send>(
        &self,
        line: &mut Box<Http>,
        is_reused: bool,
        message: &Request,
        limits: (&Deadlines, &Lease),
        intent: Intent<'_, F>,
        _: impl FnOnce() -> Option<String> + Send,
    ) -> Transacted {
        match line.transact(is_reused, || self.request(message), read, limits, intent).await {
            // Silence costs the next one as much time: the endpoint is left alone for a while.
            Transacted::Failed(class, broken) if broken.code.is_none() => {
                Transacted::Failed(class, Broken { is_general: true, ..broken })
            }
            done => done,
        }
    }

    async fn reset(_: &mut Box<Http>, _: &Deadlines) -> bool {
        true
    }

    async fn quit(_: Box<Http>) {}
}

#[cfg(test)]
mod tests {
    use super::{Class, class};

    #[test]
    fn only_success_is_taken_and_only_gone_is_final() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(class(status), None, "{status}");
        }
        for status in [100, 301, 302, 308, 400, 401, 404, 408, 500, 502, 503] {
            assert_eq!(class(status), Some(Class::Deferred), "{status}");
        }
        assert_eq!((class(410), class(429)), (Some(Class::Rejected), Some(Class::Throttled)));
    }
}
