//! What a host that is gone had claimed is claimed by others at once, and not when its leases end.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Service;
use crate::alive::Process;
use crate::store::Result;

/// How often a host says that it is there, and looks for those that are not.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// A host that has said nothing for so long is taken for gone: three looks.
const SILENT_MS_MAX: i64 = 3_000;

impl Service {
    /// Takes over until the host stops. A shop with an embedded database has one host at a time: it takes over once, from the run
    /// before.
    pub async fn watch_hosts(self: Arc<Self>, stop: CancellationToken) {
        let this = Process::this();
        let mut said_ms = i64::MIN;
        while !stop.is_cancelled() {
            let began_ms = self.clock.monotonic_ms();
            // Who could not say lately that it is there itself, does not know that others are not.
            let knows_silence = began_ms.saturating_sub(said_ms) < SILENT_MS_MAX;
            match self.take_over(&this, knows_silence).await {
                Ok(()) if !self.store.is_shared() => return,
                Ok(()) => said_ms = began_ms,
                Err(e) => tracing::debug!(error = %e, "the hosts could not be watched; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
        }
    }

    async fn take_over(&self, this: &Process, knows_silence: bool) -> Result<()> {
        if self.store.is_shared() {
            self.store.still_there(&self.host).await?;
        }
        for other in self.store.other_holders().await? {
            let is_certain = other.process().is_over(this);
            let is_silent = knows_silence && other.silent_ms >= SILENT_MS_MAX;
            if is_certain || is_silent {
                let taken = self.store.take_over(other.number, is_certain).await?;
                if taken > 0 {
                    tracing::info!(queue.taken_over = taken, "a host is gone; what it had claimed is claimed anew");
                    self.wake.notify_one();
                }
            }
        }
        Ok(())
    }
}
