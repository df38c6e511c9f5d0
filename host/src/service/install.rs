//! Components on their way to a revision that can serve: through the gate, with the code that other hosts compiled.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::operations::Kind;
use super::plugins::{must_be_short, name};
use super::{Error, Principal, Revision, RevisionInfo, Service, Slot, SlotInfo, Started};
use crate::plugin::{self, Candidate, Care, Configured, Progress, Signature};
use crate::store::plugins::{NewRevision, RevisionRow};

/// Of this host: compiled code is not for another.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Compiled code that is larger is not kept in the database, in bytes.
const CODE_BYTES_MAX: usize = 256 << 20;

/// The longest address of a component, in characters.
const SOURCE_MAX: usize = 500;

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
    /// Where the component comes from, for people: its address in a registry, `oci://…`.
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^oci://[^\\u0000]*$")]
    pub source: Option<String>,
    /// Why, for the history.
    #[serde(default)]
    #[schema(max_length = 500, pattern = "^[^\\u0000]*$")]
    pub why: String,
}

/// What is to become a revision, and who wants it why.
pub(super) struct Wanted<'a> {
    pub(super) slot: Slot,
    pub(super) wasm: Arc<[u8]>,
    /// That came with it, beside those that are kept.
    pub(super) signatures: Vec<Signature>,
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
        let NewPluginRevision { slot, digest, config, source, why } = new;
        must_be_short(&why)?;
        let uploaded = origin(source)?;
        let config = Value::Object(config.unwrap_or_default()).to_string();
        let (wasm, origin): (Arc<[u8]>, _) = match digest {
            None => (plugin::builtin(slot).into(), plugin::BUILT_IN.to_owned()),
            Some(digest) => {
                let wasm = self.store.component(&digest).await?;
                (wasm.ok_or(Error::NotFound("component: upload it first"))?.into(), uploaded)
            }
        };
        self.begin_operation(who, (Kind::Install, slot, None), |this, progress| async move {
            let (origin, signatures) = (origin.as_str(), Vec::new());
            let wanted = Wanted { slot, wasm, signatures, config, origin, why: &why, by: &name(who) };
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
        let configured = self.plugins.configured(slot).await?.unwrap_or_else(|| Configured::built_in(slot));
        let Configured { wasm, signatures, config, origin } = configured;
        let wanted = Wanted { slot, wasm, signatures, config, origin: &origin, why: "reload", by };
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
        let Wanted { slot, wasm, signatures, config, origin, why, by } = wanted;
        let digest = plugin::digest(&wasm);
        let signed = self.must_be_trusted(&wasm, &digest, &signatures).await?;
        let new =
            |report| NewRevision { slot: slot.as_str(), digest: &digest, config: &config, origin, report, why, by };
        let same = self.store.same_revision(&new("")).await?.filter(|r| r.idle_stage != "quarantined");
        if let Some(same) = same {
            self.keep_signatures(&digest, &signatures, by).await?;
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
        signed.note_in(&mut revision);
        let report = serde_json::to_string(&revision.report).unwrap_or_default();
        self.store.keep_component(&digest, &wasm, &revision.report.metadata.to_string(), by).await?;
        self.keep_signatures(&digest, &signatures, by).await?;
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

    /// The same of one that is to serve: in memory, it may be there since before the keys changed.
    pub(super) async fn prepared_to_serve(self: &Arc<Self>, id: i64) -> Result<Arc<Revision>, Error> {
        if self.plugins.prepared(id).is_some() {
            self.must_still_be_trusted(id).await?;
        }
        self.prepared(id).await
    }

    async fn prepare(&self, id: i64) -> Result<Arc<Revision>, Error> {
        let row = self.store.revision(id).await?.ok_or(Error::NotFound("revision"))?;
        let RevisionRow { slot, digest, config, origin, .. } = row;
        let slot = Slot::ALL.into_iter().find(|s| s.as_str() == slot).ok_or(Error::NotFound("slot"))?;
        let wasm = self.store.component(&digest).await?;
        let wasm: Arc<[u8]> = wasm.ok_or_else(|| super::transit::forgotten(id))?.into();
        let signed = self.must_be_trusted(&wasm, &digest, &[]).await?;
        let candidate = Candidate { slot, wasm, config, origin, code: None, care: Care::Gate };
        let mut revision = self.admit(candidate, &digest, &Progress::default()).await?;
        signed.note_in(&mut revision);
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

/// The origin of an uploaded component.
fn origin(source: Option<String>) -> Result<String, Error> {
    let Some(source) = source else { return Ok("upload".to_owned()) };
    if !source.starts_with("oci://") || source.chars().count() > SOURCE_MAX || source.contains(char::is_control) {
        let detail = format!("must be an address in a registry, oci://…, of at most {SOURCE_MAX} characters");
        return Err(Error::invalid("/source", &detail));
    }
    Ok(source)
}
