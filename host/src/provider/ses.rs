//! Amazon SES by SNS: an envelope, signed with RSA by a certificate that its address names, with an event of SES in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;
use x509_parser::pem::parse_x509_pem;

use super::{Refusal, reading, report, text};
use crate::notification::report::{Reading, ReportKind};

/// How long a certificate, or the answer to a subscription, may take.
const FETCH_MAX: Duration = Duration::from_secs(10);
/// The largest certificate, in bytes.
const CERTIFICATE_BYTES_MAX: usize = 64 << 10;
/// Certificates that are remembered: Amazon has one for each region, and few of before.
const CERTIFICATES_MAX: usize = 50;

/// The certificates that SNS signs with, as they were fetched.
#[derive(Default)]
pub(super) struct Certificates {
    /// Made when it is first needed: most hosts have no such webhook.
    client: OnceLock<reqwest::Client>,
    known: Mutex<BTreeMap<String, Arc<Vec<u8>>>>,
}

impl Certificates {
    /// The event of SES in an envelope that SNS signed for a topic; none when SNS asks whether to send any, which is answered.
    pub(super) async fn check(&self, topic: &str, begins: &str, envelope: &Value) -> Result<Option<Value>, Refusal> {
        if text(envelope, "/TopicArn") != topic {
            return Err(Refusal::Distrusted("it is of another topic than the key's"));
        }
        if text(envelope, "/SignatureVersion") != "2" {
            return Err(Refusal::Distrusted(
                "its signature is of version 1 (SHA-1): set the topic's SignatureVersion to 2",
            ));
        }
        let kind = text(envelope, "/Type");
        let fields: &[&str] = match kind {
            "Notification" => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => {
                &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
            }
            _ => return Err(Refusal::Unreadable("this is no message of SNS")),
        };
        let present = fields.iter().filter_map(|name| Some([*name, "\n", envelope.get(name)?.as_str()?, "\n"]));
        let signed = present.collect::<Vec<_>>().concat().concat();
        let certificate = self.certificate(begins, text(envelope, "/SigningCertURL")).await?;
        let signature = STANDARD.decode(text(envelope, "/Signature")).unwrap_or_default();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, certificate.as_slice());
        if key.verify(signed.as_bytes(), &signature).is_err() {
            return Err(Refusal::Distrusted("its signature does not hold"));
        }
        match kind {
            "Notification" => {
                let event = serde_json::from_str(text(envelope, "/Message"));
                event.map(Some).map_err(|_| Refusal::Unreadable("the message is no event of SES"))
            }
            "SubscriptionConfirmation" => {
                let url = text(envelope, "/SubscribeURL");
                is_amazon_s(begins, url)?;
                self.fetch(url).await?;
                tracing::info!("the topic of a webhook was subscribed to");
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The public key (RFC 8017) of a certificate at an address of Amazon's.
    async fn certificate(&self, begins: &str, url: &str) -> Result<Arc<Vec<u8>>, Refusal> {
        is_amazon_s(begins, url)?;
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(url) {
            return Ok(known.clone());
        }
        let pem = self.fetch(url).await?;
        let unreadable = || Refusal::NoCertificate("there is none at its address".to_owned());
        let (_, pem) = parse_x509_pem(&pem).map_err(|_| unreadable())?;
        let certificate = pem.parse_x509().map_err(|_| unreadable())?;
        let key = Arc::new(certificate.public_key().subject_public_key.data.to_vec());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CERTIFICATES_MAX {
            known.clear();
        }
        known.insert(url.to_owned(), key.clone());
        Ok(key)
    }

    fn client(&self) -> reqwest::Result<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder().timeout(FETCH_MAX).redirect(reqwest::redirect::Policy::none());
        let client = client.build()?;
        Ok(self.client.get_or_init(|| client))
    }

    async fn fetch(&self, url: &str) -> Result<Vec<u8>, Refusal> {
        let failed = |e: reqwest::Error| Refusal::NoCertificate(crate::cause::chain(&e));
        let client = self.client().map_err(failed)?;
        let mut answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > CERTIFICATE_BYTES_MAX {
                return Err(Refusal::NoCertificate("it is too large".to_owned()));
            }
        }
        Ok(bytes)
    }
}

/// Whether an address is one of SNS's own: whoever answers at another may have signed anything.
fn is_amazon_s(begins: &str, url: &str) -> Result<(), Refusal> {
    let is_sns = || {
        let url = url::Url::parse(url).ok().filter(|url| url.scheme() == "https" && url.port().is_none());
        let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
        let host = url.as_ref().and_then(url::Url::host_str).and_then(|host| host.strip_prefix("sns."));
        let region =
            host.and_then(|host| host.strip_suffix(".amazonaws.com.cn").or(host.strip_suffix(".amazonaws.com")));
        region
            .is_some_and(|region| region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !region.is_empty())
    };
    let is_theirs = if begins.is_empty() { is_sns() } else { url.starts_with(begins) };
    if is_theirs { Ok(()) } else { Err(Refusal::Distrusted("it names an address that is not Amazon's")) }
}

/// What an event says: of each recipient, of which there is one.
pub(super) fn read(event: &Value) -> Vec<Reading> {
    // Topics of identities call it one way, configuration sets the other.
    let kind = [text(event, "/eventType"), text(event, "/notificationType")].into_iter().find(|kind| !kind.is_empty());
    let id = |of: &str| format!("{}/{}", text(event, "/mail/messageId"), text(event, of));
    let (kind, id, status, words) = match kind.unwrap_or_default() {
        "Bounce" => {
            let (status, words) = ("/bounce/bouncedRecipients/0/status", "/bounce/bouncedRecipients/0/diagnosticCode");
            (ReportKind::Bounced, id("/bounce/feedbackId"), text(event, status), text(event, words))
        }
        "Complaint" => {
            let feedback = text(event, "/complaint/complaintFeedbackType");
            let kind = if feedback == "not-spam" { ReportKind::Other } else { ReportKind::Complained };
            (kind, id("/complaint/feedbackId"), "", feedback)
        }
        "Delivery" => (ReportKind::Delivered, id("/delivery/timestamp"), "", text(event, "/delivery/smtpResponse")),
        "DeliveryDelay" => {
            let words = text(event, "/deliveryDelay/delayedRecipients/0/diagnosticCode");
            let status = text(event, "/deliveryDelay/delayedRecipients/0/status");
            (ReportKind::Delayed, id("/deliveryDelay/timestamp"), status, words)
        }
        _ => return Vec::new(),
    };
    let words = words.strip_prefix("smtp;").unwrap_or(words).trim();
    let of = [
        "/bounce/bouncedRecipients/0/emailAddress",
        "/complaint/complainedRecipients/0/emailAddress",
        "/delivery/recipients/0",
        "/deliveryDelay/delayedRecipients/0/emailAddress",
    ];
    let of = of.map(|pointer| text(event, pointer)).into_iter().find(|recipient| !recipient.is_empty());
    let said = report(kind, ("ses", &id), (status, words), "ses", of.unwrap_or_default());
    vec![reading(said, text(event, "/mail/source"), text(event, "/mail/commonHeaders/messageId"))]
}
