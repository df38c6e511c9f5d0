//! What is known of a claimed event that goes to a webhook's endpoint, and what came of it says of the endpoint.

use std::sync::Arc;

use super::{GROUP_MAX, Queue, record};
use crate::endpoint::{SecretKeys, State, Target};
use crate::group::Group;
use crate::notification::{self, Notification, Transition, bounded};
use crate::store::endpoints::{Health, Kept, Request, Tells};
use crate::store::queue::{Claimed, Finish};

/// What a paused endpoint is to be sent is looked at again after so long, in milliseconds, and up to as much again; a resume makes
/// it due.
const PAUSED_MS: i64 = 600_000;
/// The same where its secrets are those of other hosts: one that has their key takes it.
const OTHERS_MS: i64 = 15_000;
/// What no host could sign for so long is left to an operator, in milliseconds.
const UNSIGNED_MS_MAX: i64 = 72 * HOUR_MS;
/// An endpoint that failed longer ago than any pause between attempts has not failed since: nothing was sent.
const SILENT_MS: i64 = 48 * HOUR_MS;
/// A success, or one more failure, is not written down again within so long, in milliseconds.
const NOTED_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
/// The status of an endpoint that is gone (RFC 9110 15.5.11).
const GONE: i64 = 410;

type Found = (Option<Kept>, Option<String>);

/// What requests to endpoints need. Cheap to clone.
#[derive(Clone)]
pub struct Requests {
    /// Events that are claimed together ask together.
    found: Group<(i64, Option<i64>), Found>,
    keys: SecretKeys,
    disable_after_ms: i64,
}

impl Requests {
    /// `disable_after_hours`: how long an endpoint may fail without a success; 0: as long as it likes.
    pub fn new(keys: SecretKeys, disable_after_hours: u32) -> Self {
        let disable_after_ms = i64::from(disable_after_hours) * HOUR_MS;
        Self { found: Group::new(2, GROUP_MAX), keys, disable_after_ms }
    }
}

impl Queue {
    /// What a request tells, and where it goes. Those that cannot go out end here, or wait.
    pub(super) async fn requested(
        &self,
        claimed: &Claimed,
        request: Request,
    ) -> Result<(Notification, Arc<Target>), Box<Finish>> {
        let of = match &request.tells {
            Tells::Of(id) => Some(*id),
            Tells::Test(_) => None,
        };
        let end = |state, verdict, reason: &str| {
            Box::new(record::end(claimed, state, verdict, reason.to_owned(), self.clock.now_ms()))
        };
        let store = self.store.clone();
        let look = move |asked: Arc<[_]>| {
            let store = store.clone();
            async move { store.requested(&asked).await }
        };
        let (kept, payload) = match self.requests.found.ask((request.endpoint, of), look).await {
            Ok(found) => found,
            Err(e) if !e.is_unreadable() => return Err(Box::new(self.unread(claimed, &e))),
            Err(e) => {
                tracing::error!(notification.id = claimed.claim.event, error = %e, "an endpoint cannot be read");
                return Err(end(notification::State::Held, "hold", &format!("its endpoint cannot be read: {e}")));
            }
        };
        let skipped = |reason: &str| end(notification::State::Skipped, "skip", reason);
        let Some(Kept { endpoint, signing, failed_at }) = kept else {
            return Err(skipped("its endpoint was deleted"));
        };
        match endpoint.state {
            State::Active => {}
            // What may have arrived is settled first: no request goes out for that.
            State::Paused if claimed.in_doubt => {}
            State::Paused => return Err(Box::new(self.later(claimed, PAUSED_MS))),
            State::Disabled => return Err(skipped(&format!("its endpoint is disabled: {}", endpoint.reason))),
        }
        let notification = match request.tells {
            Tells::Test(payload) => claimed.telling(*payload),
            Tells::Of(_) => {
                let payload =
                    payload.ok_or_else(|| skipped("what it told has been forgotten (retention.contents_days)"))?;
                claimed.telling_stored(&payload).map_err(|why| end(notification::State::Held, "hold", &why))?
            }
        };
        let (secrets, is_old) = self.requests.keys.open(&signing);
        if secrets.is_empty() && claimed.claimed_at - claimed.queued_at < UNSIGNED_MS_MAX {
            tracing::warn!(webhook.endpoint = endpoint.id, "no secret of this host opens those of an endpoint");
            return Err(Box::new(self.later(claimed, OTHERS_MS)));
        }
        if secrets.is_empty() {
            let why = "no secret of the hosts opens its endpoint's; give the endpoint a new one, then retry";
            return Err(end(notification::State::Held, "hold", why));
        }
        if is_old && let Err(e) = self.store.reseal(endpoint.id, &signing, &self.requests.keys.reseal(&signing)).await {
            tracing::warn!(webhook.endpoint = endpoint.id, error = %e, "secrets were not sealed anew");
        }
        Ok((notification, Arc::new(Target { endpoint, secrets, failed_at })))
    }

    /// Comes back later, uncharged, after so many milliseconds and up to as many again.
    pub(super) fn later(&self, claimed: &Claimed, ms: i64) -> Finish {
        if claimed.in_doubt {
            return record::give_back(claimed);
        }
        let spread = u64::from_le_bytes(self.clock.random()) % ms.unsigned_abs();
        let transition = Transition::Later { delay_ms: ms.saturating_add_unsigned(spread), relay: None };
        record::finish(claimed, transition, claimed.attempts, Vec::new(), claimed.in_doubt)
    }

    /// Writes down how an endpoint fares: what it needs and no more, since others do so at the same time.
    pub(super) async fn learn_of_endpoint(&self, target: &Target, finish: &Finish) {
        let now = self.clock.now_ms();
        let endpoint = &target.endpoint;
        let Some(health) = self.health(target, finish, now) else { return };
        if let Health::Disabled(_, reason) = &health {
            tracing::warn!(webhook.endpoint = endpoint.id, webhook.reason = reason, "the endpoint is disabled");
        }
        if let Err(e) = self.store.note_health(endpoint, &health, now).await {
            tracing::warn!(webhook.endpoint = endpoint.id, error = %e, "how an endpoint fares was not noted");
        }
    }

    fn health(&self, target: &Target, finish: &Finish, now: i64) -> Option<Health> {
        let endpoint = &target.endpoint;
        let note = finish.notes.iter().rev().find(|note| note.kind == "send")?;
        let is_of_late = |at: Option<i64>| at.is_some_and(|at| now - at < NOTED_MS);
        if note.class.as_deref() == Some("delivered") {
            let is_known = endpoint.failing_since.is_none() && is_of_late(endpoint.delivered_at);
            return (!is_known).then_some(Health::Delivered);
        }
        // Not its words: they may repeat what it was told of a customer.
        let why = match note.code {
            Some(code) => format!("it answered {code}"),
            None => bounded(note.reply.as_deref().unwrap_or_default()),
        };
        if note.code == Some(GONE) {
            return Some(Health::Disabled(why, "it answered 410: it is gone".to_owned()));
        }
        let limit_ms = self.requests.disable_after_ms;
        let failed_of_late = target.failed_at.is_some_and(|at| now - at < SILENT_MS);
        let since = endpoint.failing_since.filter(|_| failed_of_late);
        if let Some(since) = since.filter(|since| limit_ms > 0 && now - since >= limit_ms) {
            let hours = (now - since) / HOUR_MS;
            let reason = bounded(&format!("nothing has arrived for {hours} h; last: {why}"));
            return Some(Health::Disabled(why, reason));
        }
        let is_known = since.is_some() && is_of_late(target.failed_at);
        (!is_known).then_some(Health::Failed { why, is_first: since.is_none() })
    }
}
