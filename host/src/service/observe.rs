//! What those who watch a host are told that has to be asked for.

use tokio_util::sync::CancellationToken;

use super::{Service, Slot};
use crate::metrics::{Calls, QueueSample, SAMPLE_EVERY, Sample};

impl Service {
    /// Asks for it until the host stops, if anybody watches.
    pub async fn observe(self: std::sync::Arc<Self>, stop: CancellationToken) {
        while self.metrics.is_on() {
            self.metrics.sample(self.sample().await);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SAMPLE_EVERY) => {}
            }
        }
    }

    async fn sample(&self) -> Sample {
        let status = self.store.queue_status().await;
        let status = status.inspect_err(|e| tracing::debug!(error = %e, "the queue could not be looked at"));
        let routing = self.plugins.routing();
        let mut revisions = Vec::new();
        for slot in Slot::ALL {
            let lineage = routing.slot(slot);
            let canary = lineage.canary.as_ref().map(|canary| &canary.revision);
            let stages = [("active", Some(&lineage.active)), ("canary", canary), ("shadow", lineage.shadow.as_ref())];
            for (stage, revision) in stages {
                let Some(revision) = revision else { continue };
                let counted = revision.counts();
                let counts = [
                    ("answered", counted.calls.saturating_sub(counted.faults)),
                    ("fault", counted.faults),
                    ("rejected", counted.rejected),
                    ("shadowed", counted.shadowed),
                    ("diverged", counted.diverged),
                    ("shadow-fault", counted.shadow_faults),
                ];
                revisions.push(Calls { slot: slot.as_str(), stage, revision: revision.number, counts });
            }
        }
        let queue = status.ok().map(|status| QueueSample {
            queued: status.queued,
            under_way: status.under_way,
            overdue_ms: status.first_due_in_ms.map_or(0, |due_in| (-due_in).max(0)),
            is_paused: status.paused.is_some(),
        });
        Sample { queue, connections: self.store.connections(), relays: self.mailer.standing(), revisions }
    }
}
