//! Components on their way to a revision that can serve: through the gate, with the code that other hosts compiled.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::operations::Kind;
use super::plugins::{must_be_short, name};
use super::{Error, Principal, Revision, RevisionInfo, Service, Slot, SlotInfo, Started};
use crate::plugin::{self, Candidate, Care, Progress};
use crate::store::plugins::{NewRevision, RevisionRow};

/// Of this host: compiled code is not for another.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Compiled code that is larger is not kept in the database, in bytes.
const CODE_BYTES_MAX: usize = 256 << 20;

/// A revision that is to be prepared.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPluginRevision {
    /// Where it is to serve.
    pub slot: Slot,
    /// The component, by its digest; the built-in when none.
    #[serde(default)]
    pub digest: Option<String>,
    /// What `configure` gets: an object.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub config: Option<serde_json::Map<String, Value>>,
    /// Why, for the history.
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^[^\\u0000]*$")]
    pub why: String,
}

/// What is to become a revision, and who wants it why.
pub(super) struct Wanted<'a> {
    pub(super) slot: Slot,
    pub(super) wasm: Arc<[u8]>,
    pub(super) config: String,
    pub(super) origin: &'a str,
    pub(super) why: &'a str,
    pub(super) by: &'a str,
}

impl Service {
    /// Begins to take a component with a config through the gate; it is ready then, and serves nobody. The same one again
    /// is the same revision, unless that was quarantined. For operators.
    pub async fn start_install(
        self: &Arc<Self>,
        who: Principal,
        new: NewPluginRevision,
    ) -> Result<Started<RevisionInfo>, Error> {
        who.must_operate()?;
        let NewPluginRevision { slot, digest, config, why } = new;
        must_be_short(&why)?;
        let config = Value::Object(config.unwrap_or_default()).to_string();
        let (wasm, origin): (Arc<[u8]>, _) = match digest {
            None => (plugin::builtin(slot).into(), plugin::BUILT_IN),
            Some(digest) => {
                let wasm = self.store.component(&digest).await?;
                (wasm.ok_or(Error::NotFound("component: upload it first"))?.into(), "upload")
            }
        };
        self.begin_operation(who, (Kind::Install, slot, None), |this, progress| async move {
            let wanted = Wanted { slot, wasm, config, origin, why: &why, by: &name(who) };
            let revision = this.take(wanted, &progress.gate).await?;
            Ok((this.revision_info(revision.number).await?, Some(revision.number)))
        })
        .await
    }

    /// Begins to read the component and config that a slot's settings name again; they serve if they pass the gate. For
    /// operators.
    pub async fn start_reload(self: &Arc<Self>, who: Principal, slot: Slot) -> Result<Started<SlotInfo>, Error> {
        who.must_operate()?;
        self.begin_operation(who, (Kind::Reload, slot, None), |this, progress| async move {
            let revision = this.reload(slot, &name(who), &progress.gate).await?;
            Ok((this.plugin_slot(who, slot)?, Some(revision.number)))
        })
        .await
    }

    /// The same, for the host itself: at a signal.
    pub async fn reload(self: &Arc<Self>, slot: Slot, by: &str, progress: &Progress) -> Result<Arc<Revision>, Error> {
        let (wasm, config, origin) = match self.plugins.configured(slot).await? {
            Some(configured) => configured,
            None => (plugin::builtin(slot).into(), "{}".to_owned(), plugin::BUILT_IN.to_owned()),
        };
        let wanted = Wanted { slot, wasm, config, origin: &origin, why: "reload", by };
        let revision = self.take(wanted, progress).await?;
        if self.slot_row(slot).await?.active != Some(revision.number) {
            self.transit(revision.number, super::Move::Activate, None, "reload", by, None).await?;
        }
        Ok(revision)
    }

    /// Through the gate and into the database.
    pub(super) async fn take(
        self: &Arc<Self>,
        wanted: Wanted<'_>,
        progress: &Progress,
    ) -> Result<Arc<Revision>, Error> {
        let Wanted { slot, wasm, config, origin, why, by } = wanted;
        let digest = plugin::digest(&wasm);
        let new =
            |report| NewRevision { slot: slot.as_str(), digest: &digest, config: &config, origin, report, why, by };
        let same = self.store.same_revision(&new("")).await?.filter(|r| r.idle_stage != "quarantined");
        if let Some(same) = same {
            return self.prepared(same.id).await;
        }
        let candidate = Candidate {
            slot,
            wasm: wasm.clone(),
            config: config.clone(),
            origin: origin.to_owned(),
            code: None,
            care: Care::Gate,
        };
        let mut revision = self.admit(candidate, &digest, progress).await?;
        let report = serde_json::to_string(&revision.report).unwrap_or_default();
        self.store.keep_component(&digest, &wasm, &revision.report.metadata.to_string(), by).await?;
        revision.number = self.store.add_revision(&new(&report)).await?;
        let revision = Arc::new(revision);
        self.plugins.keep(revision.clone());
        Ok(revision)
    }

    /// A revision that can serve: the one that is in memory, or from the database. Dropped, it is prepared all the same:
    /// a caller who asks again finds it.
    pub(super) async fn prepared(self: &Arc<Self>, id: i64) -> Result<Arc<Revision>, Error> {
        if let Some(revision) = self.plugins.prepared(id) {
            return Ok(revision);
        }
        let this = self.clone();
        #[expect(clippy::disallowed_methods, reason = "ends by itself; what it gives is kept")]
        let preparing = tokio::spawn(async move { this.prepare(id).await });
        preparing.await.unwrap_or(Err(Error::Cancelled))
    }

    async fn prepare(&self, id: i64) -> Result<Arc<Revision>, Error> {
        let RevisionRow { slot, digest, config, origin, .. } =
            self.store.revision(id).await?.ok_or(Error::NotFound("revision"))?;
        let slot = Slot::ALL.into_iter().find(|s| s.as_str() == slot).ok_or(Error::NotFound("slot"))?;
        let wasm = self.store.component(&digest).await?.ok_or(Error::NotFound("component"))?.into();
        let candidate = Candidate { slot, wasm, config, origin, code: None, care: Care::Gate };
        let mut revision = self.admit(candidate, &digest, &Progress::default()).await?;
        revision.number = id;
        let revision = Arc::new(revision);
        self.plugins.keep(revision.clone());
        Ok(revision)
    }

    /// Through the gate, with the code that another host kept in the database; code that is compiled here is kept there.
    async fn admit(&self, mut candidate: Candidate, digest: &str, progress: &Progress) -> Result<Revision, Error> {
        let missing = self.plugins.missing_code(candidate.slot, digest, &candidate.config).await;
        if let Some(name) = &missing {
            candidate.code = self.store.code(name).await?;
        }
        let admitted = self.plugins.admit(candidate, progress).await?;
        if let (Some(name), Some(code)) = (missing, admitted.code.filter(|code| code.len() <= CODE_BYTES_MAX)) {
            // Without it, another host compiles again.
            if let Err(e) = self.store.keep_code(&name, digest, VERSION, &code).await {
                tracing::warn!(error = %e, plugin.digest = digest, "compiled code could not be kept for other hosts");
            }
        }
        Ok(admitted.revision)
    }
}
