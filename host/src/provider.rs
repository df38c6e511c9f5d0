//! Mail providers that report by webhook what became of mails: whether a request is theirs, and what it says. Pure, but for the
//! certificate that Amazon signs with.
//!
//! What is said twice, or late, or out of order, changes nothing: each event has a digest of its own, and of all reports the
//! weightiest counts.

mod mailgun;
mod postmark;
mod sendgrid;
mod ses;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::notification::report::{Reading, ReportKind, Said, reporter, status_code, words as bounded};

/// Who reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Amazon SES, by SNS (signature version 2).
    Ses,
    /// Twilio `SendGrid`, by its signed event webhook.
    Sendgrid,
    /// Mailgun.
    Mailgun,
    /// Postmark.
    Postmark,
}

/// A webhook of a provider's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The end of its address: `/v1/webhooks/NAME`.
    pub name: String,
    /// Who calls it.
    pub provider: Provider,
    /// What tells that it is them: `SendGrid`'s public key, Mailgun's signing key, for Postmark "user:password" as in the address
    /// that it calls, for SES the topic's ARN.
    pub key: SecretString,
    /// For SES: how the addresses of certificates begin; Amazon's when empty.
    #[serde(default)]
    pub certificates_url: String,
}

/// A webhook cannot be used as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Two share a name, or it cannot stand in an address.
    #[error("inbound.webhooks: \"{0}\" stands there twice, or is no name: letters, digits and hyphens, at most 50")]
    Name(String),
    /// The key is none.
    #[error("inbound.webhooks: the key of \"{name}\" {expected}")]
    Key {
        /// Which webhook.
        name: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Nobody could tell what a report is about.
    #[error("inbound.webhooks: set mail.return_path as well: by it a report says which mail it is about")]
    NoReturnPath,
}

/// A request is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not the provider's.
    #[error("{0}")]
    Distrusted(&'static str),
    /// It is, and says what cannot be read.
    #[error("{0}")]
    Unreadable(&'static str),
    /// Whether it is cannot be told at the moment.
    #[error("the certificate that it is signed with cannot be fetched: {0}")]
    NoCertificate(String),
}

/// The most events that one request may report.
const EVENTS_MAX: usize = 2_000;
const NAME_CHARS_MAX: usize = 50;

/// The webhooks of a host.
#[derive(Default)]
pub struct Providers {
    all: Vec<Settings>,
    certificates: ses::Certificates,
    tokens: mailgun::Tokens,
}

impl Providers {
    /// Checks the settings.
    pub fn new(all: &[Settings]) -> Result<Self, WebhookError> {
        for (n, webhook) in all.iter().enumerate() {
            let name = &webhook.name;
            let is_name = (1..=NAME_CHARS_MAX).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !is_name || all[..n].iter().any(|other| other.name == *name) {
                return Err(WebhookError::Name(name.clone()));
            }
            let key = webhook.key.expose_secret();
            let (is_key, expected) = match webhook.provider {
                Provider::Ses => (key.starts_with("arn:"), "must be the topic's ARN"),
                Provider::Sendgrid => (sendgrid::public_key(key).is_some(), "must be a public key of ECDSA, in base64"),
                Provider::Mailgun => (!key.is_empty(), "must be the signing key of its webhooks"),
                Provider::Postmark => (key.len() > 8 && key.contains(':'), "must be \"user:password\""),
            };
            if !is_key {
                return Err(WebhookError::Key { name: name.clone(), expected });
            }
        }
        Ok(Self { all: all.to_vec(), ..Self::default() })
    }

    /// One of them.
    pub fn named(&self, name: &str) -> Option<&Settings> {
        self.all.iter().find(|webhook| webhook.name == name)
    }

    /// What a request to a webhook says, if it is the provider's; `header` looks up one of its headers.
    pub async fn read<'h>(
        &self,
        webhook: &Settings,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
    ) -> Result<Vec<Reading>, Refusal> {
        let key = webhook.key.expose_secret();
        // Signatures are of the bytes: these are looked at first where that can be.
        match webhook.provider {
            Provider::Sendgrid => sendgrid::check(key, header, body)?,
            Provider::Postmark => postmark::check(key, header)?,
            Provider::Ses | Provider::Mailgun => {}
        }
        let said: Value = serde_json::from_slice(body).map_err(|_| Refusal::Unreadable("the body is no JSON"))?;
        match webhook.provider {
            Provider::Sendgrid | Provider::Postmark => webhook.provider.events(&said),
            Provider::Mailgun => {
                self.tokens.check(key, &said, body)?;
                webhook.provider.events(&said)
            }
            Provider::Ses => {
                let message = self.certificates.check(key, &webhook.certificates_url, &said).await?;
                message.map_or(Ok(Vec::new()), |message| webhook.provider.events(&message))
            }
        }
    }
}

impl Provider {
    /// The events in what it says; whether it is the provider that says so has been looked at.
    pub(crate) fn events(self, said: &Value) -> Result<Vec<Reading>, Refusal> {
        let readings = match self {
            Self::Ses => ses::read(said),
            Self::Sendgrid => sendgrid::read(said)?,
            Self::Mailgun => mailgun::read(said),
            Self::Postmark => postmark::read(said),
        };
        if readings.len() > EVENTS_MAX {
            return Err(Refusal::Unreadable("a request may report 2,000 events"));
        }
        Ok(readings)
    }
}

/// The text at a JSON pointer; empty when there is none.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// An event as a report; its id is the provider's.
fn report(
    kind: ReportKind,
    (provider, id): (&str, &str),
    (status, words): (&str, &str),
    by: &str,
    recipient: &str,
) -> Said {
    let digest = crate::hex::encode(&Sha256::digest(format!("{provider}\n{id}\n{}", kind.as_str())));
    let recipients = Some(recipient.to_owned()).filter(|recipient| !recipient.is_empty()).into_iter().collect();
    let enhanced = status_code(status, words);
    Said { kind, enhanced, words: bounded(words), reporter: reporter(by), recipients, digest }
}

/// A report, of the mail that an address or a Message-ID names.
fn reading(said: Said, return_path: &str, message_id: &str) -> Reading {
    let given = |text: &str| Some(text.trim_matches(['<', '>']).to_owned()).filter(|text| !text.is_empty());
    Reading { said: vec![said], return_path: given(return_path), message_id: given(message_id) }
}
