//! What an endpoint is sent. Pure.

use serde::Serialize;

use crate::clock::rfc3339;
use crate::endpoint::{Secret, TEST_KIND, Target};
use crate::notification::subject::{Order, Subject};
use crate::notification::{Customer, Notification};

/// A request, before it is signed: each attempt has a time of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The `webhook-id`: the same in every attempt.
    pub(super) id: String,
    /// The event, as JSON.
    pub(super) body: String,
    /// SHA-256 of the body, in hex.
    pub hash: String,
    /// What signs it.
    pub(super) secrets: Vec<Secret>,
}

/// The event.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    /// When it happened.
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Order { notification_id: i64, customer: &'a Customer, order: &'a Order },
    Test { endpoint_id: i64 },
}

impl Request {
    /// What a notification tells an endpoint.
    ///
    /// # Errors
    /// Says what it is not about.
    ///
    /// # Panics
    /// Never: our values have text keys and no failing parts.
    pub fn new(n: &Notification, target: &Target) -> Result<Self, String> {
        let payload = &n.payload;
        let data = match &payload.subject {
            Subject::Order(order) => Data::Order { notification_id: n.id, customer: &payload.customer, order },
            _ if payload.kind == TEST_KIND => Data::Test { endpoint_id: target.endpoint.id },
            _ => return Err(format!("a request of the kind \"{}\" is not about an order", payload.kind)),
        };
        let event = Event { kind: &payload.kind, timestamp: rfc3339::text(payload.occurred_at), data };
        let body = serde_json::to_string(&event).expect("our own values serialise");
        let hash = crate::plugin::digest(body.as_bytes());
        Ok(Self { id: n.message_id.clone(), body, hash, secrets: target.secrets.clone() })
    }

    /// The value of `webhook-signature` for an attempt at a time, in unix seconds: one by each secret.
    pub(super) fn signatures(&self, at: i64) -> String {
        self.secrets.iter().map(|secret| secret.sign(&self.id, at, &self.body)).collect::<Vec<_>>().join(" ")
    }
}
