//! Mailgun: one event, beside an HMAC of a time and a token. The signature says nothing of the event: a token is good for one
//! body, as far as this host has seen it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Refusal, reading, report, text};
use crate::notification::report::{Reading, ReportKind};

/// Tokens that are remembered.
const TOKENS_MAX: usize = 10_000;

/// Which body came with which token.
#[derive(Default)]
pub(super) struct Tokens(Mutex<VecDeque<(String, [u8; 32])>>);

impl Tokens {
    pub(super) fn check(&self, key: &str, said: &Value, body: &[u8]) -> Result<(), Refusal> {
        let (time, token) = (text(said, "/signature/timestamp"), text(said, "/signature/token"));
        let signature = crate::hex::decode(text(said, "/signature/signature")).unwrap_or_default();
        let keyed = Hmac::<Sha256>::new_from_slice(key.as_bytes());
        let verified = keyed.is_ok_and(|mut keyed| {
            keyed.update(time.as_bytes());
            keyed.update(token.as_bytes());
            keyed.verify_slice(&signature).is_ok()
        });
        if !verified || token.is_empty() {
            return Err(Refusal::Distrusted("its signature does not hold: is the key that of its webhooks?"));
        }
        let body: [u8; 32] = Sha256::digest(body).into();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.iter().find(|(other, _)| other == token) {
            Some((_, before)) if *before != body => {
                Err(Refusal::Distrusted("its token came with another event before"))
            }
            Some(_) => Ok(()),
            None => {
                known.push_back((token.chars().take(100).collect(), body));
                if known.len() > TOKENS_MAX {
                    known.pop_front();
                }
                Ok(())
            }
        }
    }
}

pub(super) fn read(said: &Value) -> Vec<Reading> {
    let Some(event) = said.get("event-data") else { return Vec::new() };
    let kind = match (text(event, "/event"), text(event, "/severity")) {
        ("failed", "temporary") => ReportKind::Delayed,
        ("failed" | "rejected", _) => ReportKind::Bounced,
        ("delivered", _) => ReportKind::Delivered,
        ("complained", _) => ReportKind::Complained,
        _ => return Vec::new(),
    };
    let words = ["/delivery-status/message", "/delivery-status/description", "/reject/reason", "/reason"];
    let words = words.map(|pointer| text(event, pointer)).into_iter().find(|words| !words.is_empty());
    let status = text(event, "/delivery-status/enhanced-code");
    let host = text(event, "/delivery-status/mx-host");
    let by = if host.is_empty() { "mailgun" } else { host };
    let words = (status, words.unwrap_or_default());
    let said = report(kind, ("mailgun", text(event, "/id")), words, by, text(event, "/recipient"));
    // Mails that its API takes have its own sender in the envelope; a variable has ours.
    let paths = ["/user-variables/return-path", "/envelope/sender"];
    let return_path = paths.map(|pointer| text(event, pointer)).into_iter().find(|path| !path.is_empty());
    vec![reading(said, return_path.unwrap_or_default(), text(event, "/message/headers/message-id"))]
}
