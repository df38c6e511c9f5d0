//! What those who watch a host are told that has to be asked for.

use tokio_util::sync::CancellationToken;

use super::{QueueStatus, Service, Slot, TROUBLED_MAX};
use crate::metrics::{Calls, QueueSample, SAMPLE_EVERY, Sample};

/// How long a host that stops tries to say so.
const LEAVE_MAX: std::time::Duration = std::time::Duration::from_secs(2);

/// With more in the queue nobody counts what waits in lanes: that reads all of it.
const COUNTED_MAX: i64 = 100_000;

impl Service {
    /// Asks for it until the host stops, and says meanwhile that the host is there; `roles` is what it does.
    pub async fn observe(self: std::sync::Arc<Self>, roles: String, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let looking = async {
                let status = self.store.queue_status().await;
                let status = status.inspect_err(|e| tracing::debug!(error = %e, "the queue could not be looked at"));
                let status = status.ok();
                let behind = match &status {
                    Some(status) if status.queued + status.under_way <= COUNTED_MAX => self.store.blocked().await.ok(),
                    _ => None,
                };
                self.beat(&roles, status.as_ref()).await;
                if self.metrics.is_on() {
                    let troubled = self.store.troubled(TROUBLED_MAX).await.ok();
                    let endpoints = self.store.count_endpoints().await.unwrap_or_default();
                    self.metrics.sample(self.sample(status.zip(troubled), behind, endpoints));
                }
                tokio::time::sleep(SAMPLE_EVERY).await;
            };
            // A database that does not answer must not keep the host from stopping.
            tokio::select! {
                () = stop.cancelled() => {}
                () = looking => {}
            }
        }
        if !matches!(tokio::time::timeout(LEAVE_MAX, self.store.leave(&self.host)).await, Ok(Ok(()))) {
            tracing::debug!("the other hosts will see by themselves that this one has stopped");
        }
    }

    fn sample(
        &self,
        status: Option<(QueueStatus, (i64, i64))>,
        behind: Option<i64>,
        endpoints: Vec<(&'static str, &'static str, i64)>,
    ) -> Sample {
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
        let queue = status.map(|(status, troubled)| QueueSample {
            queued: status.queued,
            under_way: status.under_way,
            troubled,
            overdue_ms: status.overdue_ms(),
            is_paused: status.paused.is_some(),
            paused_parts: status.paused_parts.len(),
            behind,
        });
        let (connections, relays) = (self.store.connections(), self.mailer.standing());
        let compiling = i64::try_from(self.plugins.compiling()).unwrap_or(i64::MAX);
        let calls = Slot::ALL.map(|slot| {
            let (active, limit) = self.plugins.calls(slot);
            (slot.as_str(), active, limit)
        });
        Sample { queue, connections, endpoints, relays, compiling, calls, revisions }
    }
}
