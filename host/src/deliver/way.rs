//! How an event goes out: by mail, or to a webhook's endpoint. What differs between channels is here, and nothing else of
//! `deliver` knows.

use std::future::Future;

use super::{Deliver, Event};
use crate::endpoint::TEST_KIND;
use crate::lease::{Lease, NotRecorded};
use crate::mail::{Mailer, Message};
use crate::notification::{Caps, Channel, Class, Failure, Relay, Verdict};
use crate::outbound::{Outcome, Untried};
use crate::shop::text::Email;
use crate::webhook::{self, Request};

/// The way of one event.
pub(super) enum Way<'a> {
    Mail { mailer: &'a Mailer, kind: &'a str, to: &'a Email },
    Webhook(webhook::Way),
}

/// What is handed over, and to whom.
pub(super) enum Outgoing<'a> {
    Mail(&'a Mailer, Message),
    Webhook(&'a webhook::Way, Request),
}

impl Outgoing<'_> {
    /// SHA-256 of its bytes, in hex.
    pub(super) fn hash(&self) -> String {
        match self {
            Self::Mail(_, message) => message.hash.clone(),
            Self::Webhook(_, request) => request.hash.clone(),
        }
    }

    /// Hands it over.
    pub(super) async fn send(
        &self,
        relay: &str,
        lease: &Lease,
        hand_over: impl Future<Output = Result<(), NotRecorded>> + Send,
    ) -> Result<Outcome, Untried> {
        match self {
            Self::Mail(mailer, message) => mailer.send(relay, message, lease, hand_over).await,
            Self::Webhook(way, request) => way.send(request, lease, hand_over).await,
        }
    }
}

impl<'a> Way<'a> {
    /// The error says why there is none.
    pub(super) fn of(event: &'a Event, with: &'a Deliver) -> Result<Self, String> {
        let payload = &event.notification.payload;
        match &event.target {
            None => Ok(Self::Mail { mailer: &with.mailer, kind: &payload.kind, to: &payload.customer.email }),
            Some(target) => with.webhooks.to(target).map(Self::Webhook),
        }
    }

    pub(super) fn channel(&self) -> Channel {
        match self {
            Self::Mail { .. } => Channel::Mail,
            Self::Webhook(_) => Channel::Webhook,
        }
    }

    /// Why the event should not be looked at now: operators paused what it needs.
    pub(super) fn paused(&self) -> Option<Untried> {
        match self {
            Self::Mail { mailer, kind, .. } => mailer.refuse_kind(kind).or_else(|| mailer.refuse_all()),
            // A paused endpoint's event does not come here.
            Self::Webhook(_) => None,
        }
    }

    /// Whether it is not given up for its age: operators keep it, or kept it of late, from this relay, or from any.
    pub(super) fn is_spared(&self, relay: Option<&str>) -> bool {
        match self {
            Self::Mail { mailer, kind, .. } => mailer.is_spared(kind, relay),
            Self::Webhook(_) => false,
        }
    }

    /// What a policy's answer to a failure comes to: a test says how it went, and is not tried again.
    pub(super) fn ruled(&self, kind: &str, failure: &Failure, verdict: Verdict) -> Verdict {
        match (self, verdict) {
            (Self::Webhook(_), Verdict::Retry(..)) if kind == TEST_KIND && failure.class != Class::Throttled => {
                Verdict::GiveUp(failure.reply.clone())
            }
            (_, verdict) => verdict,
        }
    }

    /// Those that would take it, as a policy sees them.
    pub(super) fn relays(&self) -> Vec<Relay> {
        match self {
            Self::Mail { mailer, .. } => mailer.relays(),
            Self::Webhook(way) => vec![Relay { name: way.name().to_owned(), available: way.retry_in_ms() == 0 }],
        }
    }

    /// When the recipient's domain last throttled, unix milliseconds.
    pub(super) fn domain_throttled_at(&self) -> Option<i64> {
        match self {
            Self::Mail { mailer, to, .. } => mailer.domain_throttled_at(to),
            Self::Webhook(_) => None,
        }
    }

    /// The one that takes it: the named one, else the first that is available.
    pub(super) fn choose(&self, named: Option<&str>) -> &str {
        match self {
            Self::Mail { mailer, to, .. } => mailer.choose(named, to),
            Self::Webhook(way) => way.name(),
        }
    }

    /// Whether one may be tried now.
    pub(super) fn is_available(&self, relay: &str) -> bool {
        match self {
            Self::Mail { mailer, .. } => mailer.retry_in_ms(relay) == 0,
            Self::Webhook(way) => way.retry_in_ms() == 0,
        }
    }

    /// Why nothing should be made for one now; none: it may be sent.
    pub(super) fn refuse(&self, relay: &str) -> Option<Untried> {
        match self {
            Self::Mail { mailer, to, .. } => mailer.refuse(relay, to),
            Self::Webhook(way) => way.refuse(),
        }
    }

    /// The shortest pause that a failure allows, in milliseconds.
    pub(super) fn shortest_pause_ms(&self, failure: &Failure, verdict: &Verdict, caps: &Caps) -> u64 {
        match self {
            Self::Mail { mailer, .. } => mailer.shortest_pause_ms(failure, verdict, caps),
            Self::Webhook(_) => {
                webhook::wait_ms(&failure.reply).unwrap_or(0).clamp(caps.retry_min_ms, caps.retry_max_ms)
            }
        }
    }
}
