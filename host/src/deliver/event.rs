//! What a delivery gets and what it reports.

use std::sync::Arc;

use crate::endpoint::Target;
use crate::notification::{
    Admission, Class, Failure, Notification, OrderStatus, QueuedChange, Situation, State, Transition, Verdict, bounded,
};
use crate::plugin::{Email, Fault};
use crate::suppression::Suppressed;

/// An event, as it was claimed.
#[derive(Clone, Debug)]
pub struct Event {
    /// What it says.
    pub notification: Arc<Notification>,
    /// An intent of an earlier claim was found.
    pub in_doubt: bool,
    /// Charged so far.
    pub attempts: u32,
    /// Which relay the policy asked for.
    pub relay: Option<String>,
    /// Unix milliseconds.
    pub queued_at: i64,
    /// Unix milliseconds, by the clock that queued it.
    pub claimed_at: i64,
    /// Unix milliseconds; none before the first failure.
    pub first_failed_at: Option<i64>,
    /// Which date its mail was given when it was first handed over, unix milliseconds; none before.
    pub dated_at: Option<i64>,
    /// Where the order stands now.
    pub newest_status: Option<OrderStatus>,
    /// What is queued behind it, oldest first.
    pub queued: Vec<QueuedChange>,
    /// The last failures, oldest first.
    pub history: Vec<Failure>,
    /// Whether an operator had it tried again, or a policy sent it once more, to an address that nothing stood against.
    pub is_requeued: bool,
    /// What stands against its address.
    pub suppressed: Option<Suppressed>,
    /// Which webhook's endpoint it goes to; none: it is a mail.
    pub target: Option<Arc<Target>>,
}

impl Event {
    /// Whether what stands against its address keeps it from being sent. Where that only bounced before, it is sent if a
    /// policy wants it to be, or an operator who had it tried again since.
    pub(super) fn is_stopped_by(&self, suppressed: &Suppressed, ignores: bool) -> bool {
        let is_asked_for = self.is_requeued && suppressed.since <= self.queued_at;
        !(suppressed.cause.may_be_ignored() && (ignores || is_asked_for))
    }
}

/// What is put down before a message is handed over.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Which relay.
    pub relay: String,
    /// Who rendered; digest and revision; none: the host made a request.
    pub renderer: Option<(String, i64)>,
    /// Who admitted; none: the host's own rule.
    pub policy: Option<(String, i64)>,
    /// Which variant of the mail the policy chose.
    pub ab_variant: Option<String>,
    /// What the policy saw.
    pub situation: Situation,
    /// SHA-256 of the message's bytes.
    pub message_hash: String,
    /// The date in its header, unix milliseconds.
    pub dated_at: i64,
}

/// What is written down about an event, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A plugin failed, and somebody else stood in.
    Fault {
        /// Which call.
        call: &'static str,
        /// Who.
        by: (String, i64),
        /// How.
        fault: Fault,
    },
    /// The policy kept the mail back.
    Decision {
        /// "wait", "skip" or "hold".
        verdict: &'static str,
        /// Why.
        reason: String,
        /// How long it asked to wait.
        delay_ms: Option<i64>,
        /// Who; none: the host.
        by: Option<(String, i64)>,
        /// What it saw.
        situation: Option<Box<Situation>>,
    },
    /// An attempt came to its end.
    Attempt {
        /// None: delivered.
        class: Option<Class>,
        /// How far it got.
        phase: String,
        /// The SMTP reply code, or the HTTP status.
        code: Option<u16>,
        /// The enhanced status code.
        enhanced: Option<String>,
        /// The reply's text.
        reply: String,
        /// Which relay.
        relay: String,
        /// What the policy made of a failure: "retry", "give-up" or "hold".
        verdict: Option<&'static str>,
        /// Why.
        reason: String,
        /// When to try again.
        delay_ms: Option<i64>,
        /// Who decided; none: the host's own rule.
        by: Option<(String, i64)>,
        /// What the policy saw when it admitted a mail that then failed; an intent that is on record has it already.
        situation: Option<Box<Situation>>,
    },
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What becomes of it now.
    pub transition: Transition,
    /// Charged, this time included.
    pub attempts: u32,
    /// For the journal.
    pub notes: Vec<Note>,
    /// What chance was drawn from.
    pub seed: u64,
    /// What shadows are to be measured by.
    pub observed: Observed,
}

impl Report {
    /// Of an event that no channel takes: it is left to an operator. An intent of an earlier claim is closed: nobody else will.
    pub(super) fn held(reason: &str, event: &Event, seed: u64) -> Self {
        let reason = bounded(reason);
        let transition = Transition::End { state: State::Held, reason: reason.clone() };
        let note = if event.in_doubt {
            Note::Attempt {
                class: Some(Class::InDoubt),
                phase: "body".to_owned(),
                code: None,
                enhanced: None,
                reply: String::new(),
                relay: String::new(),
                verdict: Some("hold"),
                reason,
                delay_ms: None,
                by: None,
                situation: None,
            }
        } else {
            Note::Decision { verdict: "hold", reason, delay_ms: None, by: None, situation: None }
        };
        let attempts = event.attempts + u32::from(event.in_doubt);
        Self { transition, attempts, notes: vec![note], seed, observed: Observed::default() }
    }
}

/// The real answers, where a shadow is to see the same event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The mail, and which variant of it was asked for.
    pub email: Option<(Email, Option<String>)>,
    /// What the policy saw and said.
    pub admission: Option<(Situation, Admission)>,
    /// What failed, what the policy saw of it and said.
    pub verdict: Option<(Failure, Situation, Verdict)>,
}
