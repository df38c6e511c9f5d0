//! Twilio `SendGrid`: a list of events, signed with ECDSA on P-256 over the time and the body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use serde_json::Value;

use super::{Refusal, reading, report, text};
use crate::notification::report::{Reading, ReportKind};

const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

pub(super) fn public_key(key: &str) -> Option<VerifyingKey> {
    VerifyingKey::from_public_key_der(&STANDARD.decode(key).ok()?).ok()
}

pub(super) fn check<'h>(key: &str, header: impl Fn(&str) -> Option<&'h str>, body: &[u8]) -> Result<(), Refusal> {
    let refused = Refusal::Distrusted("its signature does not hold: is the key that of this webhook?");
    let (Some(signature), Some(time)) = (header(SIGNATURE), header(TIMESTAMP)) else {
        return Err(Refusal::Distrusted("it is not signed: switch on the signed event webhook"));
    };
    let signature = STANDARD.decode(signature).ok().and_then(|der| DerSignature::try_from(&der[..]).ok());
    let verified = signature
        .zip(public_key(key))
        .is_some_and(|(signature, key)| key.verify(&[time.as_bytes(), body].concat(), &signature).is_ok());
    if verified { Ok(()) } else { Err(refused) }
}

pub(super) fn read(said: &Value) -> Result<Vec<Reading>, Refusal> {
    let events = said.as_array().ok_or(Refusal::Unreadable("the body is no list of events"))?;
    Ok(events.iter().filter_map(event).collect())
}

fn event(event: &Value) -> Option<Reading> {
    let kind = match text(event, "/event") {
        "bounce" | "dropped" => ReportKind::Bounced,
        "deferred" => ReportKind::Delayed,
        "delivered" => ReportKind::Delivered,
        "spamreport" => ReportKind::Complained,
        _ => return None,
    };
    let words = [text(event, "/response"), text(event, "/reason")].into_iter().find(|words| !words.is_empty());
    let id = ("sendgrid", text(event, "/sg_event_id"));
    let words = (text(event, "/status"), words.unwrap_or_default());
    let said = report(kind, id, words, "sendgrid", text(event, "/email"));
    Some(reading(said, "", text(event, "/smtp-id")))
}
