use super::plugins::{must_be_short, name};
use super::{Error, Principal, QueueStatus, Service};

impl Service {
    /// How the queue stands. For admins.
    pub async fn queue_status(&self, who: Principal) -> Result<QueueStatus, Error> {
        who.must_be_admin()?;
        Ok(self.store.queue_status().await?)
    }

    /// Keeps every host from claiming another notification, until it is resumed; what is claimed is delivered. Orders go
    /// on and theirs are queued. Paused already, it stays paused as it was. For admins.
    pub async fn pause_queue(&self, who: Principal, why: &str) -> Result<QueueStatus, Error> {
        who.must_be_admin()?;
        must_be_short(why)?;
        let (store, by) = (&self.store, &name(who));
        self.once(who, "pause-queue", None, || async move { Ok(store.pause(by, why).await?) }).await?;
        tracing::info!(by = %by, "the queue is paused");
        self.queue_status(who).await
    }

    /// Lets hosts deliver again. For admins.
    pub async fn resume_queue(&self, who: Principal) -> Result<QueueStatus, Error> {
        who.must_be_admin()?;
        let store = &self.store;
        self.once(who, "resume-queue", None, || async move { Ok(store.resume().await?) }).await?;
        tracing::info!(by = %name(who), "the queue is resumed");
        self.enqueued();
        self.queue_status(who).await
    }
}
