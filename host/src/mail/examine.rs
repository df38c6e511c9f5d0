//! What a check-up learns of a relay from one connection: nothing is offered to it.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::relay::{Relay, Speaks};
use super::{RelaySettings, Tls, Transport};
use crate::outbound::{Deadlines, Protocol};

/// No step of a check-up is waited for longer: its operator sits before a terminal.
const STEP_MS_MAX: u64 = 10_000;

/// What a relay says of itself.
#[derive(Clone, Debug)]
pub struct Examined {
    /// What policies call it.
    pub relay: String,
    /// Host and port.
    pub address: String,
    /// What it speaks.
    pub transport: Transport,
    /// How the connection is protected.
    pub tls: Tls,
    /// Whether it asked for a log-in that it accepted.
    pub is_logged_in: bool,
    /// From the first packet to the last greeting or log-in, in milliseconds.
    pub took_ms: i64,
    /// What it can do, a line each, in upper case (RFC 5321 4.1.1.1).
    pub extensions: Vec<String>,
    /// What it identified itself with; none without TLS.
    pub certificate: Option<Certificate>,
    /// What kept mails from being offered to it.
    pub refusal: Option<Refusal>,
}

/// A certificate that was found valid.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Whose it is, as it says itself.
    pub subject: String,
    /// Until when it is valid, unix milliseconds.
    pub ends_at: i64,
}

/// A step of a session that failed.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Which: connect, greeting, ehlo, starttls, auth.
    pub phase: &'static str,
    /// The relay's words, or the network's.
    pub why: String,
}

impl Examined {
    /// The largest message that it takes (RFC 1870), in bytes; none: it names no limit.
    pub fn size_max(&self) -> Option<u64> {
        self.parameters("SIZE").and_then(|size| size.parse().ok()).filter(|size| *size > 0)
    }

    /// What stands behind an extension's keyword; none: the relay does not have it.
    pub fn parameters(&self, keyword: &str) -> Option<&str> {
        self.extensions.iter().find_map(|line| {
            let (word, rest) = line.split_once([' ', '=']).unwrap_or((line, ""));
            (word == keyword).then_some(rest)
        })
    }
}

impl Relay {
    pub(super) async fn examine(&self) -> Examined {
        let RelaySettings { name, host, port, tls, transport, .. } = &self.protocol.settings;
        let short = |ms: u64| ms.min(STEP_MS_MAX);
        let Deadlines { connect_ms_max, command_ms_max, .. } = self.deadlines;
        let deadlines = Deadlines {
            connect_ms_max: short(connect_ms_max),
            command_ms_max: short(command_ms_max),
            ..self.deadlines
        };
        let began_ms = self.clock.monotonic_ms();
        let connected = self.protocol.connect(&deadlines).await;
        let mut examined = Examined {
            relay: name.clone(),
            address: format!("{host}:{port}"),
            transport: *transport,
            tls: *tls,
            is_logged_in: false,
            took_ms: self.clock.monotonic_ms() - began_ms,
            extensions: Vec::new(),
            certificate: None,
            refusal: None,
        };
        match connected {
            Ok((line, greeted)) => {
                examined.is_logged_in = greeted.is_logged_in;
                examined.certificate = greeted.certificate.as_deref().and_then(certificate);
                examined.extensions = greeted.extensions;
                Speaks::quit(line).await;
            }
            Err((_, broken)) => examined.refusal = Some(Refusal { phase: broken.phase, why: broken.reply }),
        }
        examined
    }
}

fn certificate(der: &[u8]) -> Option<Certificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let ends_at = certificate.validity().not_after.timestamp().saturating_mul(1_000);
    Some(Certificate { subject: certificate.subject().to_string(), ends_at })
}
