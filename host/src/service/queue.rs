use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::plugins::{must_be_short, name};
use super::{Error, Principal, QueuePart, QueueStatus, Service};
use crate::notification::KINDS;

/// How soon a host follows a part of the queue that was paused or resumed elsewhere.
const LOOK: Duration = Duration::from_secs(1);

impl Service {
    /// How the queue stands. For viewers.
    pub async fn queue_status(&self, who: Principal) -> Result<QueueStatus, Error> {
        who.must_look()?;
        Ok(self.store.queue_status().await?)
    }

    /// The part of the queue that a request names; all of it when it names none.
    pub fn queue_part(&self, relay: Option<String>, kind: Option<String>) -> Result<QueuePart, Error> {
        match (relay, kind) {
            (None, None) => Ok(QueuePart::All),
            (Some(relay), None) => Ok(QueuePart::Relay(relay)),
            (None, Some(kind)) => Ok(QueuePart::Kind(kind)),
            (Some(_), Some(_)) => {
                Err(Error::invalid("/kind", "must not be given beside a relay: pause each by itself"))
            }
        }
    }

    /// Keeps every host from claiming another notification, or only from offering mails to a relay or sending those of a
    /// kind, until it is resumed; what is under way is delivered. Orders go on and theirs are queued. Paused already, it
    /// stays paused as it was. For operators.
    pub async fn pause_queue(&self, who: Principal, part: QueuePart, why: &str) -> Result<QueueStatus, Error> {
        who.must_operate()?;
        must_be_short(why)?;
        self.must_be_there(&part)?;
        let (store, by, paused) = (&self.store, &name(who), &part);
        self.once(who, "pause-queue", None, || async move { Ok(store.pause(paused, by, why).await?) }).await?;
        tracing::info!(by = %by, "the queue is paused: {part:?}");
        self.follow_pauses().await?;
        self.queue_status(who).await
    }

    /// Lets hosts deliver again. For operators.
    pub async fn resume_queue(&self, who: Principal, part: QueuePart) -> Result<QueueStatus, Error> {
        who.must_operate()?;
        let (store, resumed) = (&self.store, &part);
        self.once(who, "resume-queue", None, || async move { Ok(store.resume(resumed).await?) }).await?;
        tracing::info!(by = %name(who), "the queue is resumed: {part:?}");
        self.follow_pauses().await?;
        self.enqueued();
        self.queue_status(who).await
    }

    /// A name that is none of them would pause nothing, and nobody would know.
    fn must_be_there(&self, part: &QueuePart) -> Result<(), Error> {
        let one_of = |field: &str, named: &str, all: &[&str]| {
            if all.contains(&named) {
                return Ok(());
            }
            Err(Error::invalid(field, &format!("must be one of: {}", all.join(", "))))
        };
        match part {
            QueuePart::All => Ok(()),
            QueuePart::Relay(relay) => {
                let names = self.mailer.names();
                one_of("/relay", relay, &names.iter().map(String::as_str).collect::<Vec<_>>())
            }
            QueuePart::Kind(kind) => one_of("/kind", kind, &KINDS),
        }
    }

    /// Keeps this host to what is paused now.
    pub async fn follow_pauses(&self) -> Result<(), Error> {
        let (mut relays, mut kinds) = (BTreeSet::new(), BTreeSet::new());
        for part in self.store.paused_parts().await? {
            relays.extend(part.relay);
            kinds.extend(part.kind);
        }
        self.mailer.pause(relays, kinds);
        Ok(())
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
