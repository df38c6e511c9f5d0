//! A notification: what it says, where it stands, and how it moves.

mod earlier;
mod filter;
mod lane;
mod payload;
pub mod report;
pub mod subject;
mod transition;

use serde::{Deserialize, Serialize};

pub use filter::Filter;
pub use lane::{ENDPOINT_ID_MAX, ENDPOINT_ORDER_ID_MAX, Lane, MAIL_LANES_FROM, Portions, URGENCIES, Urgency};
pub use payload::{Category, Customer, KINDS, MergedChange, Payload};
pub use subject::order::Status as OrderStatus;
pub use transition::{admit, is_overdue, native_verdict, settle};

use crate::suppression::Suppressed;

/// A notification with its identity, as a plugin is asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The row in `notification_states`.
    pub id: i64,
    /// Of the mail, without angle brackets; the same in every attempt.
    pub message_id: String,
    /// What it says.
    pub payload: Payload,
}

/// Where a notification stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NotificationState)]
pub enum State {
    /// In the queue.
    #[serde(rename = "not sent")]
    NotSent,
    /// A relay accepted the mail.
    #[serde(rename = "sent")]
    Sent,
    /// Given up.
    #[serde(rename = "failed")]
    Failed,
    /// The policy decided against sending.
    #[serde(rename = "skipped")]
    Skipped,
    /// Waits for an operator.
    #[serde(rename = "held")]
    Held,
}

impl State {
    /// The name that the store and the APIs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not sent",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Held => "held",
        }
    }
}

impl TryFrom<String> for State {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        [Self::NotSent, Self::Sent, Self::Failed, Self::Skipped, Self::Held]
            .into_iter()
            .find(|s| s.as_str() == name)
            .ok_or_else(|| format!("\"{name}\" is not a state"))
    }
}

/// Why an attempt did not deliver; the `failure-class` of the plugin contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A temporary reply (4yz).
    Deferred,
    /// A permanent reply (5yz).
    Rejected,
    /// The message did not go out whole.
    NotHandedOver,
    /// The message went out whole, the answer was lost.
    InDoubt,
    /// No revision could render it.
    RenderFailed,
    /// The reply speaks of the sender's rate or the relay's load, not of the mail.
    Throttled,
    /// The recipient's server takes the mail later (RFC 6647).
    Greylisted,
}

impl Class {
    /// The name that the store and the APIs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deferred => "deferred",
            Self::Rejected => "rejected",
            Self::NotHandedOver => "not-handed-over",
            Self::InDoubt => "in-doubt",
            Self::RenderFailed => "render-failed",
            Self::Throttled => "throttled",
            Self::Greylisted => "greylisted",
        }
    }
}

impl Class {
    /// Whether a failure of this class counts as an attempt of the mail.
    pub fn is_charged(self) -> bool {
        match self {
            Self::Deferred | Self::Rejected | Self::NotHandedOver | Self::InDoubt => true,
            Self::RenderFailed | Self::Throttled | Self::Greylisted => false,
        }
    }
}

impl TryFrom<String> for Class {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        [
            Self::Deferred,
            Self::Rejected,
            Self::NotHandedOver,
            Self::InDoubt,
            Self::RenderFailed,
            Self::Throttled,
            Self::Greylisted,
        ]
        .into_iter()
        .find(|c| c.as_str() == name)
        .ok_or_else(|| format!("\"{name}\" is not a class"))
    }
}

/// One failed attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Unix milliseconds.
    pub at: i64,
    /// What came of it.
    pub class: Class,
    /// How far it got: "connect", "greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "render".
    pub phase: String,
    /// The SMTP reply code (RFC 5321 4.2), or the HTTP status.
    pub code: Option<u16>,
    /// The enhanced status code (RFC 3463).
    pub enhanced: Option<String>,
    /// The reply's text, cut to [`REPLY_BYTES_MAX`].
    pub reply: String,
    /// Which relay.
    pub relay: String,
}

/// How much of a reply is kept.
pub const REPLY_BYTES_MAX: usize = 1_000;
/// How many failures a policy sees.
pub const HISTORY_MAX: usize = 10;

/// What a policy decides upon; see `wit/v1/policy.wit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Situation {
    /// Unix milliseconds.
    pub now: i64,
    /// The only source of randomness.
    pub seed: u64,
    /// Charged so far.
    pub attempts: u32,
    /// The host's cap.
    pub attempts_max: u32,
    /// Unix milliseconds.
    pub queued_at: i64,
    /// Unix milliseconds; none before the first failure.
    pub first_failed_at: Option<i64>,
    /// The host's cap.
    pub age_max_ms: i64,
    /// The last [`HISTORY_MAX`] failures, oldest first.
    pub history: Vec<Failure>,
    /// By preference.
    pub relays: Vec<Relay>,
    /// When the recipient's domain last throttled, unix milliseconds; none when it did not of late.
    pub domain_throttled_at: Option<i64>,
    /// Where the order stands now; none when it is about none.
    pub newest_status: Option<OrderStatus>,
    /// What is queued behind it, oldest first: at most [`QUEUED_MAX`].
    pub queued: Vec<QueuedChange>,
    /// What stands against the recipient's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppressed>,
    /// How it goes out.
    #[serde(default, skip_serializing_if = "Channel::is_mail")]
    pub channel: Channel,
    /// Which relay the policy named when it had it tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_relay: Option<String>,
}

/// How a notification goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// As a mail, by a relay.
    #[default]
    Mail,
    /// As a request, to a webhook's endpoint.
    Webhook,
}

impl Channel {
    /// As plugins are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
    fn is_mail(&self) -> bool {
        *self == Self::Mail
    }
}

/// A later change of the same order that is queued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedChange {
    /// Its kind.
    pub kind: String,
    /// The order's version after it.
    pub version: u32,
    /// Unix milliseconds.
    pub queued_at: i64,
}

/// How many later changes a policy sees.
pub const QUEUED_MAX: usize = 10;

impl Situation {
    /// What a policy sees once the attempt that it admitted has failed. What says nothing of the mail is not charged.
    #[must_use]
    pub fn after(mut self, failure: &Failure) -> Self {
        self.now = self.now.max(failure.at);
        if failure.class != Class::Throttled {
            self.first_failed_at = self.first_failed_at.or(Some(failure.at));
        }
        self.attempts += u32::from(failure.class.is_charged());
        self.history.push(failure.clone());
        self.history.drain(..self.history.len().saturating_sub(HISTORY_MAX));
        self
    }
}

/// A relay, as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Its name in the config.
    pub name: String,
    /// Whether the host would use it now.
    pub available: bool,
}

/// A policy's answer before a send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// Now.
    Send(Sending),
    /// Ask again after so many milliseconds.
    Wait(u64),
    /// Never, and why.
    Skip(String),
    /// Left to an operator.
    Hold(Holding),
    /// Told with the next notification of the order.
    Merge,
}

/// How to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sending {
    /// By the named relay or the first available one.
    pub relay: Option<String>,
    /// Which variant of the mail is asked for.
    pub ab_variant: Option<String>,
    /// Although its address bounced before.
    pub ignores_suppression: bool,
}

/// What is left to an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// Why.
    pub reason: String,
    /// Whether somebody should look at once.
    pub urgent: bool,
}

/// A policy's answer to a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// After so many milliseconds, by the named relay or any.
    Retry(u64, Option<String>),
    /// Never again, and why.
    GiveUp(String),
    /// Left to an operator.
    Hold(Holding),
}

impl Holding {
    /// For when somebody has the time.
    pub fn unhurried(reason: String) -> Self {
        Self { reason, urgent: false }
    }

    /// Calls an operator to a notification, if it is urgent.
    pub fn call(&self, id: i64) {
        if self.urgent {
            tracing::error!(notification.id = id, "held as urgent by the policy: an operator should look at it now");
        }
    }

    /// The journal's word for it.
    pub fn verdict(&self) -> &'static str {
        if self.urgent { "hold-urgent" } else { "hold" }
    }
}

/// What a renderer is asked with, beside the notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    /// Which variant of the mail the policy chose.
    pub ab_variant: Option<&'a str>,
    /// The only source of randomness.
    pub seed: u64,
}

/// The longest name of a variant, in characters.
pub const AB_VARIANT_CHARS_MAX: usize = 64;

/// What no policy can exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caps {
    /// Charged attempts.
    pub attempts_max: u32,
    /// From the first failure on. What a policy made the mail wait before does not count.
    pub age_max_ms: i64,
    /// The shortest pause after a failure.
    pub retry_min_ms: u64,
    /// The longest.
    pub retry_max_ms: u64,
    /// The shortest wait before a send.
    pub wait_min_ms: u64,
    /// The longest.
    pub wait_max_ms: u64,
    /// The pause after a failure varies by so many per cent, either way.
    pub jitter_percent: u32,
}

/// What becomes of a claimed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Leaves the queue.
    End {
        /// The final state, [`State::NotSent`] excepted.
        state: State,
        /// Why, for people.
        reason: String,
    },
    /// Comes back after so many milliseconds, its lane with it.
    Later {
        /// From the database's now.
        delay_ms: i64,
        /// Which relay the policy asked for.
        relay: Option<String>,
    },
    /// Comes back at once, as if never claimed.
    GiveBack,
    /// Leaves the queue as skipped; the next event of its lane tells it. Comes back at once if there is none.
    Merge,
}

/// Cuts a text to [`REPLY_BYTES_MAX`], at a character's border, NUL taken out: `PostgreSQL` takes none.
pub fn bounded(text: &str) -> String {
    let mut text = text[..text.floor_char_boundary(REPLY_BYTES_MAX)].replace('\0', "\u{fffd}");
    // What stands for NUL is longer.
    text.truncate(text.floor_char_boundary(REPLY_BYTES_MAX));
    text
}
