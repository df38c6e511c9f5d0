//! Follows, in this host, what the database says about who serves; and moves canaries on or back as they are judged.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::install::Wanted;
use super::stage::Move;
use super::{Error, Revision, Service, Slot};
use crate::plugin::{BUILT_IN, Canary, Configured, Lineage, LoadError, Progress, builtin};
use crate::store::plugins::{NewRevision, SlotRow};
use crate::store::{self, Store};

/// How often a host looks whether another has changed who serves: they converge within two seconds.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Gives a built-in its number: that of the same code before, or a new one.
pub(crate) async fn number(store: &Store, mut revision: Revision) -> Result<Revision, store::Error> {
    let (slot, report) = (revision.slot, serde_json::to_string(&revision.report).unwrap_or_default());
    let new = NewRevision {
        slot: slot.as_str(),
        digest: &revision.digest,
        config: "{}",
        origin: BUILT_IN,
        report: &report,
        why: "came with the host",
        by: "host",
    };
    revision.number = if let Some(same) = store.same_revision(&new).await? {
        same.id
    } else {
        let metadata = revision.report.metadata.to_string();
        store.keep_component(&revision.digest, builtin(slot), &metadata, "host").await?;
        store.add_revision(&new).await?
    };
    Ok(revision)
}

impl Service {
    /// Takes up what the database says, and what the settings name if that is new. A component that is refused does
    /// not stop the host.
    pub async fn take_up_plugins(self: &Arc<Self>) -> Vec<(Slot, Error)> {
        let mut refused = Vec::new();
        for slot in Slot::ALL {
            let taken = match self.take_up_slot(slot).await {
                Ok(()) => self.take_configured(slot).await,
                failed => failed,
            };
            if let Err(e) = taken {
                refused.push((slot, e));
            }
        }
        refused
    }

    /// Takes up what the database says of a slot.
    pub async fn take_up_slot(self: &Arc<Self>, slot: Slot) -> Result<(), Error> {
        self.follow(slot, &self.slot_row(slot).await?).await
    }

    /// Lets what the settings name serve, unless it was taken before: then the operators' word since holds.
    async fn take_configured(self: &Arc<Self>, slot: Slot) -> Result<(), Error> {
        let Some(configured) = self.plugins.configured(slot).await? else { return Ok(()) };
        let Configured { wasm, signatures, config, origin } = configured;
        let digest = crate::plugin::digest(&wasm);
        let new = NewRevision {
            slot: slot.as_str(),
            digest: &digest,
            config: &config,
            origin: &origin,
            report: "",
            why: "",
            by: "",
        };
        if self.store.same_revision(&new).await?.is_some() {
            return Ok(());
        }
        let why = "named by the settings";
        let wanted = Wanted { slot, wasm, signatures, config, origin: &origin, why, by: "host" };
        let revision = self.take(wanted, &Progress::default()).await?;
        self.transit(revision.number, Move::Activate, None, why, "host", None).await?;
        Ok(())
    }

    /// Lets this host run a slot as the database has it. Everything is prepared before anything is replaced.
    pub(super) async fn follow(self: &Arc<Self>, slot: Slot, row: &SlotRow) -> Result<(), Error> {
        let now = self.plugins.routing().slot(slot).clone();
        if row.version <= now.version || !self.preparing.may_try(slot, row.version, self.clock.monotonic_ms()) {
            return Ok(());
        }
        self.preparing.begin(slot, row);
        let followed = self.replace(slot, row, &now).await;
        self.preparing.end(slot, row, followed.as_ref().err(), self.clock.monotonic_ms());
        followed
    }

    async fn replace(self: &Arc<Self>, slot: Slot, row: &SlotRow, now: &Lineage) -> Result<(), Error> {
        let prepare = async |id: Option<i64>| -> Result<Option<Arc<Revision>>, Error> {
            match id {
                Some(id) => self.prepared_to_serve(id).await.map(Some),
                None => Ok(None),
            }
        };
        let (active, refused) = match prepare(row.active).await {
            // It must not serve, nor must what served before it: that may have been taken out.
            Err(e @ Error::Refused(LoadError::Untrusted(_))) => (None, Some(e)),
            prepared => (prepared?, None),
        };
        let active = active.unwrap_or_else(|| now.builtin.clone());
        let canary = prepare(row.canary).await?.map(|revision| {
            let percent = u32::try_from(row.percent).unwrap_or_default();
            // Beside another active revision it is another comparison.
            let same = now.canary.as_ref().filter(|_| now.active.number == active.number);
            let same = same.filter(|c| c.revision.number == revision.number && c.percent == percent);
            let began = (revision.counts(), active.counts());
            let began_ms = self.clock.monotonic_ms();
            same.cloned().unwrap_or_else(|| Canary { revision, percent, began, began_ms })
        });
        // Those stand by or look on: one that cannot be had any more must not keep the others from serving.
        let at_hand = async |id: Option<i64>| match prepare(id).await {
            Err(e @ (Error::Refused(_) | Error::NotFound(_))) => {
                tracing::warn!(plugin.revision = id, error = %e, "{slot}: it cannot be prepared; going on without it");
                Ok(None)
            }
            prepared => prepared,
        };
        let next = Lineage {
            version: row.version,
            last_good: at_hand(row.previous).await?,
            shadow: at_hand(row.shadow).await?,
            builtin: now.builtin.clone(),
            canary,
            active,
        };
        self.plugins.route(slot, &next);
        refused.map_or(Ok(()), Err)
    }

    /// Looks after the slots until the host stops.
    pub async fn watch_plugins(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            match self.look_after_plugins().await {
                // Said already, once.
                Ok(()) | Err(Error::Refused(_) | Error::NotFound(_)) => {}
                Err(e) => tracing::warn!(error = %e, "who serves could not be looked after; trying again"),
            }
        }
    }

    /// One look: follows the database, then judges the canaries.
    pub async fn look_after_plugins(self: &Arc<Self>) -> Result<(), Error> {
        let mut looked = Ok(());
        for row in self.store.slots().await? {
            let Some(slot) = Slot::ALL.into_iter().find(|s| s.as_str() == row.slot) else { continue };
            // The other slot is looked after all the same.
            looked = looked.and(self.look_after_slot(slot, &row).await);
        }
        looked
    }

    async fn look_after_slot(self: &Arc<Self>, slot: Slot, row: &SlotRow) -> Result<(), Error> {
        self.follow(slot, row).await?;
        let lineage = self.plugins.routing().slot(slot).clone();
        // Until this host follows, what it sees is of another step.
        let Some(canary) = lineage.canary.clone().filter(|_| lineage.version == row.version) else { return Ok(()) };
        let seen = self.seen_of(slot, &canary, &lineage.active, row.version).await?;
        let Some((to, plan, why)) = self.judge(&canary, seen, row) else { return Ok(()) };
        let id = canary.revision.number;
        match self.transit(id, to, plan.as_ref(), &why, "host", Some(row.version)).await {
            Ok(_) => tracing::info!(plugin.revision = id, "{slot}: {}: {why}", to.as_str()),
            // Another host may have been faster.
            Err(Error::Stale { .. } | Error::Conflict(_)) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}
