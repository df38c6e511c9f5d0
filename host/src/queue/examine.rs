//! What is known of a claimed event before it is delivered, what stands against its address among it, and what its relay then
//! says of that address.

use std::sync::Arc;

use super::{GROUP_MAX, Queue, record};
use crate::deliver::Event;
use crate::group::Group;
use crate::notification::{Class, State, Transition};
use crate::store::queue::{Claimed, Finish};
use crate::store::{self, suppressions};
use crate::suppression::{AddressKey, AddressKeys, NewSuppression, Suppressed, Suppression, says_nobody};

/// For how long an event waits, up to twice, when the database could not be asked about it.
const UNREAD_MS: i64 = 1_000;

/// Finds what stands against addresses. Cheap to clone.
#[derive(Clone)]
pub struct Addresses {
    /// Events that are claimed together ask together.
    found: Group<Vec<AddressKey>, Vec<Suppression>>,
    keys: AddressKeys,
}

impl Addresses {
    /// By their keyed hashes.
    pub fn new(keys: AddressKeys) -> Self {
        Self { found: Group::new(2, GROUP_MAX), keys }
    }
}

impl Queue {
    /// Events that cannot be worked on end here.
    pub(super) async fn examine(&self, claimed: Claimed) -> Result<(Claimed, Event), Box<Finish>> {
        let held = |reason: String| Box::new(record::hold(&claimed, reason, self.clock.now_ms()));
        if claimed.claims > self.settings.claims_max {
            return Err(held(format!("claimed {} times without an end: it crashes the host", claimed.claims - 1)));
        }
        let (mut notification, target) = match claimed.request() {
            None => (claimed.notification().map_err(held)?, None),
            Some(request) => {
                let (notification, target) = self.requested(&claimed, request).await?;
                (notification, Some(target))
            }
        };
        if notification.payload.is_over(claimed.claimed_at) {
            let reason = "its link ran out before the mail could be sent".to_owned();
            return Err(Box::new(record::end(&claimed, State::Skipped, "skip", reason, self.clock.now_ms())));
        }
        self.links.complete(&mut notification);
        let mut event = Event {
            notification: Arc::new(notification),
            in_doubt: claimed.in_doubt,
            attempts: u32::try_from(claimed.attempts).unwrap_or(u32::MAX),
            relay: claimed.relay.clone(),
            queued_at: claimed.queued_at,
            claimed_at: claimed.claimed_at,
            first_failed_at: claimed.first_failed_at,
            dated_at: claimed.dated_at,
            newest_status: claimed.newest_status.clone(),
            queued: claimed.queued.clone(),
            history: claimed.history.clone(),
            is_requeued: claimed.is_requeued(),
            suppressed: None,
            target,
        };
        if event.target.is_some() {
            return Ok((claimed, event));
        }
        match self.suppressed(&event).await {
            Ok(suppressed) => event.suppressed = suppressed,
            Err(e) if e.is_unreadable() => {
                tracing::error!(notification.id = event.notification.id, error = %e, "what stands against an address cannot be read");
                return Err(held(format!("what stands against its address cannot be read: {e}")));
            }
            Err(e) => return Err(Box::new(self.unread(&claimed, &e))),
        }
        Ok((claimed, event))
    }

    /// What becomes of an event of which the database does not tell enough: nothing was done yet, and it comes again when the
    /// database does.
    pub(super) fn unread(&self, claimed: &Claimed, e: &store::Error) -> Finish {
        if e.is_transient() {
            return record::give_back(claimed);
        }
        tracing::warn!(notification.id = claimed.claim.event, error = %e, "the database does not tell enough of an event; trying again");
        self.later(claimed, UNREAD_MS)
    }

    /// What stands against a mail.
    async fn suppressed(&self, event: &Event) -> store::Result<Option<Suppressed>> {
        let payload = &event.notification.payload;
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let look = move |addresses: Arc<[_]>| {
            let (store, now) = (store.clone(), clock.now_ms());
            async move { store.suppressed(&addresses, now).await }
        };
        let entries = self.addresses.found.ask(self.addresses.keys.of(&payload.customer.email), look).await?;
        Ok(Suppressed::of(entries, &payload.category))
    }

    /// Learns of a mail that failed that there is no such mailbox, and of one that arrived that there is one. Lost with the
    /// host, it is learnt by the next mail.
    pub(super) async fn learn(&self, event: &Event, finish: &Finish) {
        if let Some(target) = &event.target {
            return self.learn_of_endpoint(target, finish).await;
        }
        if let (Some(suppressed), Transition::End { state: State::Sent, .. }) = (&event.suppressed, &finish.transition)
            && let Err(e) = self.store.lift_bounce(suppressed).await
        {
            tracing::warn!(notification.id = event.notification.id, error = %e, "a bounce was not taken back");
        }
        if !matches!(finish.transition, Transition::End { state: State::Failed | State::Held, .. }) {
            return;
        }
        let says_nobody = finish.notes.iter().rev().find(|note| note.kind == "send").filter(|note| {
            note.class.as_deref() == Some(Class::Rejected.as_str()) && note.enhanced.as_deref().is_some_and(says_nobody)
        });
        let Some(note) = says_nobody else { return };
        if event.notification.payload.kind == "account.closed" {
            // Its user has left: nobody would find the address again.
            return;
        }
        let (address, now) = (event.notification.payload.customer.email.clone(), self.clock.now_ms());
        let keys = self.addresses.keys.of(&address);
        let relay = note.relay.as_deref().unwrap_or_default();
        let said = format!("notification {}: {}", event.notification.id, note.enhanced.as_deref().unwrap_or_default());
        let (new, source) = (NewSuppression::bounced(address, &said, now), suppressions::by_relay(relay));
        let written = async {
            let mut tx = self.store.begin().await?;
            suppressions::suppress(&mut tx, &keys, &new, &source, now).await?;
            tx.commit().await
        };
        if let Err(e) = written.await {
            tracing::warn!(notification.id = event.notification.id, error = %e, "a bounce was not noted");
        }
    }
}
