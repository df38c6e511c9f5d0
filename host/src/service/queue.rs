use super::plugins::{must_be_short, name};
use super::{Error, Principal, QueueStatus, Service};

impl Service {
    /// How the queue stands. For viewers.
    pub async fn queue_status(&self, who: Principal) -> Result<QueueStatus, Error> {
        who.must_look()?;
        Ok(self.store.queue_status().await?)
    }

    /// Keeps every host from claiming another notification, until it is resumed; what is claimed is delivered. Orders go
    /// on and theirs are queued. Paused already, it stays paused as it was. For operators.
    pub async fn pause_queue(&self, who: Principal, why: &str) -> Result<QueueStatus, Error> {
        who.must_operate()?;
        must_be_short(why)?;
        let (store, by) = (&self.store, &name(who));
        self.once(who, "pause-queue", None, || async move { Ok(store.pause(by, why).await?) }).await?;
        tracing::info!(by = %by, "the queue is paused");
        self.queue_status(who).await
    }

    /// Lets hosts deliver again. For operators.
    pub async fn resume_queue(&self, who: Principal) -> Result<QueueStatus, Error> {
        who.must_operate()?;
        let store = &self.store;
        self.once(who, "resume-queue", None, || async move { Ok(store.resume().await?) }).await?;
        tracing::info!(by = %name(who), "the queue is resumed");
        self.enqueued();
        self.queue_status(who).await
    }
}
