use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::stage;
use super::{Change, Counts, Divergence, Error, Page, PageRequest, Principal, Revision, Service, Slot};
use crate::store::plugins::{RevisionRow, SlotRow};

/// A component with its config, as operators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PluginRevision)]
pub struct RevisionInfo {
    /// Its number; counts up over all slots.
    pub id: i64,
    /// "renderer" or "policy".
    pub slot: String,
    /// SHA-256 of the component.
    pub digest: String,
    /// "built-in", a path, or "upload".
    pub origin: String,
    /// "ready", "shadow", "canary", "active", "retired" or "quarantined".
    pub stage: String,
    /// Why it is there, or why it is at its stage.
    pub why: String,
    /// What `configure` gets.
    pub config: Value,
    /// What the gate found.
    pub report: Value,
    /// When.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// Who.
    pub created_by: String,
}

/// A revision that serves in this host.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PluginServing)]
pub struct Serving {
    /// Its number.
    pub revision: i64,
    /// SHA-256 of the component.
    pub digest: String,
    /// "built-in", a path, or "upload".
    pub origin: String,
    /// What its calls came to in this host.
    pub counts: Counts,
    /// Whether it failed so often in a row that it is left out for now.
    pub is_circuit_open: bool,
    /// Where, as a shadow in this host, its answer was last another than the real one.
    pub last_divergence: Option<Divergence>,
}

impl From<&Arc<Revision>> for Serving {
    fn from(r: &Arc<Revision>) -> Self {
        let (digest, origin) = (r.digest.clone(), r.origin.clone());
        let (counts, is_circuit_open, last_divergence) = (r.counts(), r.is_circuit_open(), r.divergence());
        Self { revision: r.number, digest, origin, counts, is_circuit_open, last_divergence }
    }
}

/// Who serves a slot, as this host runs it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PluginSlot)]
pub struct SlotInfo {
    /// "renderer" or "policy".
    pub slot: Slot,
    /// Raised by every change; its entity tag.
    pub version: i64,
    /// Serves.
    pub active: Serving,
    /// Takes over when the active one fails, and is what a rollback goes to.
    pub previous: Option<Serving>,
    /// Serves a part of the orders.
    pub canary: Option<Serving>,
    /// Which part of a hundred.
    pub percent: u32,
    /// Sees live events and answers nobody.
    pub shadow: Option<Serving>,
    /// Came with the host; the last to stand in.
    pub builtin: Serving,
    /// Why this host does not run the slot as it should yet; none: it does.
    pub preparation: Option<super::Preparation>,
}

/// A component that was taken in.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PluginComponent)]
pub struct ComponentInfo {
    /// SHA-256; its name from now on.
    pub digest: String,
    /// Its size.
    pub bytes: i64,
    /// Name, version, authors, licence, source: what its author wrote into it.
    pub metadata: Value,
}

/// The longest reason, in characters.
const WHY_MAX: usize = 500;

impl Service {
    /// Who serves what, as this host runs it. For viewers.
    pub fn plugin_slots(&self, who: Principal) -> Result<Vec<SlotInfo>, Error> {
        who.must_look()?;
        let routing = self.plugins.routing();
        let mut preparations = self.preparations();
        let info = |slot: Slot| {
            let lineage = routing.slot(slot);
            SlotInfo {
                slot,
                version: lineage.version,
                active: (&lineage.active).into(),
                previous: lineage.last_good.as_ref().map(Into::into),
                canary: lineage.canary.as_ref().map(|c| (&c.revision).into()),
                percent: lineage.canary.as_ref().map_or(0, |c| c.percent),
                shadow: lineage.shadow.as_ref().map(Into::into),
                builtin: (&lineage.builtin).into(),
                preparation: preparations.extract_if(.., |p| p.slot == slot.as_str()).next(),
            }
        };
        Ok(Slot::ALL.into_iter().map(info).collect())
    }

    /// One of them.
    pub(super) fn plugin_slot(&self, who: Principal, slot: Slot) -> Result<SlotInfo, Error> {
        self.plugin_slots(who)?.into_iter().find(|s| s.slot == slot).ok_or(Error::NotFound("slot"))
    }

    /// A page of revisions, the newest first, of one slot or of all. For viewers.
    pub async fn revisions(
        &self,
        who: Principal,
        slot: Option<Slot>,
        page: &PageRequest,
    ) -> Result<Page<RevisionInfo>, Error> {
        who.must_look()?;
        let (limit, before) = (page.limit()?, page.after_id()?.unwrap_or(i64::MAX));
        let rows = self.store.revisions(slot.map(Slot::as_str), before, limit + 1).await?;
        let slots = self.slots_by_number().await?;
        let rows = rows.into_iter().map(|row| info(row, &slots)).collect();
        Ok(Page::cut(rows, limit, |r| r.id))
    }

    /// One revision, with the gate's report. For viewers.
    pub async fn revision(&self, who: Principal, id: i64) -> Result<RevisionInfo, Error> {
        who.must_look()?;
        self.revision_info(id).await
    }

    pub(super) async fn revision_info(&self, id: i64) -> Result<RevisionInfo, Error> {
        let row = self.store.revision(id).await?.ok_or(Error::NotFound("revision"))?;
        Ok(info(row, &self.slots_by_number().await?))
    }

    /// The slots, and the built-in by its number where that serves.
    async fn slots_by_number(&self) -> Result<Vec<SlotRow>, Error> {
        let routing = self.plugins.routing();
        let mut rows = self.store.slots().await?;
        for row in &mut rows {
            if let Some(slot) = Slot::ALL.into_iter().find(|slot| slot.as_str() == row.slot) {
                row.active = row.active.or(Some(routing.slot(slot).builtin.number));
            }
        }
        Ok(rows)
    }

    /// What was done, the newest first. For viewers.
    pub async fn plugin_history(
        &self,
        who: Principal,
        slot: Option<Slot>,
        page: &PageRequest,
    ) -> Result<Page<Change>, Error> {
        who.must_look()?;
        let (limit, before) = (page.limit()?, page.after_id()?.unwrap_or(i64::MAX));
        let items = self.store.plugin_history(slot.map(Slot::as_str), before, limit + 1).await?;
        Ok(Page::cut(items, limit, |c| c.id))
    }

    /// Forgets compiled code that no revision needs which serves, served before or is ready, here and in the database;
    /// says how many files and bytes went here. For operators.
    pub async fn collect_garbage(&self, who: Principal) -> Result<(usize, u64), Error> {
        who.must_operate()?;
        self.store.forget_code(super::install::VERSION).await?;
        self.forget_code_here().await
    }

    /// Forgets this host's own compiled code of what may not serve any more.
    pub(super) async fn forget_code_here(&self) -> Result<(usize, u64), Error> {
        let (mut kept, there) = (Vec::new(), self.store.components().await?);
        let mut before = i64::MAX;
        loop {
            let rows = self.store.revisions(None, before, 500).await?;
            let Some(last) = rows.last() else { break };
            before = last.id;
            let needed = rows.into_iter().filter(|r| r.idle_stage != "quarantined" && there.contains(&r.digest));
            kept.extend(needed.map(|r| (r.digest, r.slot, r.config)));
        }
        Ok(self.plugins.collect_garbage(&kept).await)
    }
}

/// A principal's name in the history.
pub(super) fn name(who: Principal) -> String {
    if who.user_id == 0 { "command line".to_owned() } else { format!("user {}", who.user_id) }
}

pub(super) fn must_be_short(why: &str) -> Result<(), Error> {
    if why.chars().count() > WHY_MAX || why.contains('\0') {
        return Err(Error::invalid("/why", &format!("may have {WHY_MAX} characters")));
    }
    Ok(())
}

fn info(row: RevisionRow, slots: &[SlotRow]) -> RevisionInfo {
    let RevisionRow { id, slot, digest, config, origin, idle_stage, report, why, created_at, created_by } = row;
    let stage = slots
        .iter()
        .find(|s| s.slot == slot)
        .map_or(idle_stage.as_str(), |s| stage::stage(s, id, &idle_stage))
        .to_owned();
    let json = |text: String| serde_json::from_str(&text).unwrap_or_default();
    let (config, report) = (json(config), json(report));
    RevisionInfo { id, slot, digest, origin, stage, why, config, report, created_at, created_by }
}
