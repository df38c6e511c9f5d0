use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::plugins::{must_be_short, name};
use super::{Error, Principal, QueueStatus, Service};
use crate::notification::KINDS;
use crate::store::queue::Part;

/// How soon a host follows a part of the queue that was paused or resumed elsewhere.
const LOOK: Duration = Duration::from_secs(1);

/// The longest name of a relay, in characters.
const RELAY_NAME_MAX: usize = 100;

/// The part of the queue that somebody names; all of it when they name none.
#[derive(Clone, Debug, Default)]
pub struct QueuePart {
    /// What goes by this relay.
    pub relay: Option<String>,
    /// What is of this kind.
    pub kind: Option<String>,
}

impl QueuePart {
    fn check(self) -> Result<Part, Error> {
        let Self { relay, kind } = self;
        if relay.as_ref().is_some_and(|name| name.contains('\0') || name.chars().count() > RELAY_NAME_MAX) {
            let says = format!("must be at most {RELAY_NAME_MAX} characters, none of them U+0000");
            return Err(Error::invalid("/relay", &says));
        }
        if kind.as_ref().is_some_and(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(Error::invalid("/kind", &format!("must be one of: {}", KINDS.join(", "))));
        }
        match (relay, kind) {
            (None, None) => Ok(Part::All),
            (Some(relay), None) => Ok(Part::Relay(relay)),
            (None, Some(kind)) => Ok(Part::Kind(kind)),
            (Some(_), Some(_)) => {
                Err(Error::Conflict("a relay and a kind are paused and resumed each by itself".to_owned()))
            }
        }
    }
}

impl Service {
    /// How the queue stands. For viewers.
    pub async fn queue_status(&self, who: Principal) -> Result<QueueStatus, Error> {
        who.must_look()?;
        Ok(self.store.queue_status().await?)
    }

    /// Keeps every host from claiming another notification, or only from offering mails to a relay or sending those of a
    /// kind, until it is resumed; what is under way is delivered. Orders go on and theirs are queued. Paused already, it
    /// stays paused as it was. For operators.
    pub async fn pause_queue(&self, who: Principal, part: QueuePart, why: &str) -> Result<QueueStatus, Error> {
        who.must_operate()?;
        must_be_short(why)?;
        let part = part.check()?;
        if let Part::Relay(relay) = &part
            && !self.mailer.names().contains(relay)
        {
            // One that is none of them would pause nothing, and nobody would know.
            let names = self.mailer.names().join(", ");
            return Err(Error::Conflict(format!("this host has no relay \"{relay}\"; it has: {names}")));
        }
        let (store, by, paused) = (&self.store, &name(who), &part);
        self.once(who, "pause-queue", None, || async move { Ok(store.pause(paused, by, why).await?) }).await?;
        tracing::info!(by = %by, "{part} is paused");
        self.know_soon().await;
        self.queue_status(who).await
    }

    /// Lets hosts deliver again. For operators.
    pub async fn resume_queue(&self, who: Principal, part: QueuePart) -> Result<QueueStatus, Error> {
        who.must_operate()?;
        let part = part.check()?;
        let (store, resumed) = (&self.store, &part);
        self.once(who, "resume-queue", None, || async move { Ok(store.resume(resumed).await?) }).await?;
        tracing::info!(by = %name(who), "{part} is resumed");
        self.know_soon().await;
        self.enqueued();
        self.queue_status(who).await
    }

    /// Keeps this host to what is paused now.
    pub async fn follow_pauses(&self) -> Result<(), Error> {
        let _one = self.following.lock().await;
        let (mut relays, mut kinds) = (BTreeSet::new(), BTreeSet::new());
        for part in self.store.paused_parts().await? {
            relays.extend(part.relay);
            kinds.extend(part.kind);
        }
        self.mailer.pause(relays, kinds);
        Ok(())
    }

    /// What is recorded holds, whether this host can read it at once or a second later.
    async fn know_soon(&self) {
        if let Err(e) = self.follow_pauses().await {
            tracing::warn!(error = %e, "it cannot be read yet what is paused");
        }
    }

    /// Waits until this host knows what is paused: no mail goes out before.
    pub async fn know_pauses(&self) {
        while let Err(e) = self.follow_pauses().await {
            tracing::warn!(error = %e, "it cannot be read what is paused; no mail goes out before");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Follows what is paused elsewhere until the host stops.
    pub async fn watch_pauses(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Err(e) = self.follow_pauses().await {
                tracing::debug!(error = %e, "it cannot be read what is paused; what was paused stays so");
            }
        }
    }
}
