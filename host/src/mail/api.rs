//! Providers that take mails over HTTP: what a request is, and what an answer is about. A file for each. Pure, but for the time
//! that a signature names.

mod mailgun;
mod postmark;
mod ses;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MailerError, Message, RelaySettings, Tls};
use crate::clock::Clock;
use crate::notification::{Class, bounded};
use crate::outbound::http::{Answer, USER_AGENT};
use crate::outbound::{Broken, Taken};

/// What a relay speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// SMTP (RFC 5321).
    #[default]
    Smtp,
    /// Amazon SES, API v2: `username` is the id of the access key, `password` its secret.
    Ses,
    /// Mailgun, API v3: `password` is the API key.
    Mailgun,
    /// Postmark: `password` is the server's token.
    Postmark,
}

/// How a provider is spoken to.
pub(super) struct Api {
    kind: Kind,
    host: HeaderValue,
    clock: Clock,
}

enum Kind {
    Ses(ses::Ses),
    Mailgun(mailgun::Mailgun),
    Postmark(postmark::Postmark),
}

/// A request, before the headers that all have.
struct Draft {
    path: String,
    headers: Vec<(&'static str, HeaderValue)>,
    content_type: HeaderValue,
    body: String,
}

impl Api {
    /// None for a relay that speaks SMTP.
    pub(super) fn new(
        settings: &RelaySettings,
        sender_domain: &str,
        clock: &Clock,
    ) -> Result<Option<Self>, MailerError> {
        let refused = |why| MailerError::Api { name: settings.name.clone(), why };
        if settings.transport != Transport::Smtp && settings.tls == Tls::Starttls {
            return Err(refused("an HTTP API speaks TLS from the first byte; say tls = \"implicit\""));
        }
        let is_stray = |value: &str, of: Transport| !value.is_empty() && settings.transport != of;
        if is_stray(&settings.region, Transport::Ses) || is_stray(&settings.domain, Transport::Mailgun) {
            return Err(refused("region is for transport = \"ses\", domain for \"mailgun\""));
        }
        let password = settings.password.expose_secret();
        if settings.transport != Transport::Smtp && !is_word(password) {
            return Err(refused("password must be one word of ASCII"));
        }
        let kind = match settings.transport {
            Transport::Smtp => return Ok(None),
            Transport::Ses => ses::Ses::new(settings).map(Kind::Ses),
            Transport::Mailgun => {
                let domain = if settings.domain.is_empty() { sender_domain } else { &settings.domain };
                mailgun::Mailgun::new(domain, password).map(Kind::Mailgun)
            }
            Transport::Postmark => postmark::Postmark::new(password).map(Kind::Postmark),
        };
        let RelaySettings { host, port, .. } = settings;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let host = if *port == 443 { host } else { format!("{host}:{port}") };
        let host = HeaderValue::try_from(host).map_err(|_| refused("host is no host's name"))?;
        Ok(Some(Self { kind: kind.map_err(refused)?, host, clock: clock.clone() }))
    }

    /// What a mail is offered with.
    pub(super) fn request(&self, message: &Message) -> Result<Request<Full<Bytes>>, String> {
        let draft = match &self.kind {
            Kind::Ses(ses) => ses.draft(message, self.host.to_str().unwrap_or_default(), self.clock.now_ms()),
            Kind::Mailgun(mailgun) => mailgun.draft(message),
            Kind::Postmark(postmark) => postmark.draft(message)?,
        };
        let Draft { path, headers, content_type, body } = draft;
        let mut request = Request::post(path)
            .header("host", self.host.clone())
            .header("user-agent", USER_AGENT)
            .header("accept", "application/json")
            .header("content-type", content_type)
            .header("content-length", body.len());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(Full::from(body)).map_err(|e| e.to_string())
    }

    /// What an answer is about: the mail was taken, or the class of its failure.
    pub(super) fn read(&self, answer: &Answer) -> Result<Taken, (Class, Broken)> {
        let code = answer.status.as_u16();
        if let Some(why) = &answer.cut {
            // What it would have said is not known, and so not whether it is the provider's.
            return Err((Class::InDoubt, Broken { is_general: false, ..Broken::silent("body", why) }));
        }
        let said = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
        let reply = bounded(&answer.words());
        let (is_taken, known) = match &self.kind {
            Kind::Ses(_) => (said["MessageId"].is_string(), ses::class(answer, &said)),
            Kind::Mailgun(_) => (said["id"].is_string(), None),
            Kind::Postmark(_) => (said["ErrorCode"] == 0 && said["MessageID"].is_string(), postmark::class(&said)),
        };
        let class = match (answer.status.is_success(), is_taken) {
            (true, true) => return Ok(Taken { code, reply }),
            // It is no answer of the provider's: somebody else has the mail, or nobody.
            (true, false) => Class::InDoubt,
            (false, _) => known.unwrap_or_else(|| class(code)),
        };
        let is_general = class == Class::NotHandedOver || class == Class::InDoubt;
        let phase = if class == Class::NotHandedOver { "auth" } else { "body" };
        Err((class, Broken { phase, code: Some(code), enhanced: None, reply, unusable: false, is_general }))
    }
}

/// What a status is about (RFC 9110 15): this mail, this host's account, the provider's load, or nothing that is known.
fn class(status: u16) -> Class {
    match status {
        400 | 413 | 422 => Class::Rejected,
        // 420 is Mailgun's.
        420 | 429 | 503 => Class::Throttled,
        408 | 425 => Class::Deferred,
        // Something failed on the way or behind it, and what became of the mail nobody says.
        500 | 502 | 504 | 520..=599 => Class::InDoubt,
        // The account, the address, the path or the protocol: no mail would be taken.
        _ => Class::NotHandedOver,
    }
}

/// Whether a text can stand in a header as it is; it may be empty.
fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

/// A value that no log shows, of a text that [`is_word`].
fn secret(value: &str) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::try_from(value).map_err(|_| "password must be one word of ASCII")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::{Class, class};

    #[test]
    fn a_status_is_about_the_mail_the_account_or_the_provider() {
        for (statuses, expected) in [
            (&[400, 413, 422][..], Class::Rejected),
            (&[420, 429, 503], Class::Throttled),
            (&[408, 425], Class::Deferred),
            (&[500, 502, 504, 520, 524], Class::InDoubt),
            (&[101, 301, 401, 402, 403, 404, 411, 415, 421, 426, 431, 501, 505], Class::NotHandedOver),
        ] {
            for status in statuses {
                assert_eq!(class(*status), expected, "{status}");
            }
        }
    }
}
