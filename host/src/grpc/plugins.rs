//! The plugin service, and its messages.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::convert::{at, field};
use super::pb::{self, PluginSlotName, PluginStage};
use super::{Api, filters, status};
use crate::service::{
    Change, Counts, Move, NewPluginRevision, Plan, Rendered, Replay, ReplayRequest, Require, RevisionInfo, Serving,
    Slot, SlotInfo, Subject, Terms,
};

type Answer<T> = Result<Response<T>, Status>;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// How often a watched thing is looked at.
const LOOK: Duration = Duration::from_millis(200);

#[tonic::async_trait]
impl pb::plugin_service_server::PluginService for Api {
    async fn list_plugin_slots(
        &self,
        request: Request<pb::ListPluginSlotsRequest>,
    ) -> Answer<pb::ListPluginSlotsResponse> {
        let slots = self.0.plugin_slots(self.caller(&request)?).map_err(status)?;
        Ok(Response::new(pb::ListPluginSlotsResponse { slots: slots.into_iter().map(Into::into).collect() }))
    }

    type WatchPluginSlotsStream = Answers<pb::WatchPluginSlotsResponse>;

    async fn watch_plugin_slots(
        &self,
        request: Request<pb::WatchPluginSlotsRequest>,
    ) -> Answer<Self::WatchPluginSlotsStream> {
        let who = self.caller(&request)?;
        self.0.plugin_slots(who).map_err(status)?;
        let looks = futures_util::stream::unfold((self.0.clone(), Vec::new()), move |(service, seen)| async move {
            loop {
                let slots = match service.plugin_slots(who) {
                    Ok(slots) => slots,
                    Err(e) => return Some((Err(status(e)), (service, seen))),
                };
                let now: Vec<i64> = slots.iter().map(|s| s.version).collect();
                if now != seen {
                    let slots = slots.into_iter().map(Into::into).collect();
                    return Some((Ok(pb::WatchPluginSlotsResponse { slots }), (service, now)));
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(Response::new(Box::pin(looks.take_until(self.1.clone().cancelled_owned()))))
    }

    async fn upload_plugin_component(
        &self,
        request: Request<Streaming<pb::UploadPluginComponentRequest>>,
    ) -> Answer<pb::UploadPluginComponentResponse> {
        let mut upload = self.0.upload(self.caller(&request)?).map_err(status)?;
        let mut parts = request.into_inner();
        while let Some(part) = parts.message().await? {
            upload.take(&part.content).map_err(status)?;
        }
        let component = upload.end().await.map_err(status)?;
        Ok(Response::new(pb::UploadPluginComponentResponse {
            digest: component.digest,
            bytes: component.bytes,
            metadata_json: component.metadata.to_string(),
        }))
    }

    async fn create_plugin_revision(
        &self,
        request: Request<pb::CreatePluginRevisionRequest>,
    ) -> Answer<pb::CreatePluginRevisionResponse> {
        let who = self.caller(&request)?;
        let pb::CreatePluginRevisionRequest { slot, digest, config_json, why } = request.into_inner();
        let config = if config_json.is_empty() {
            None
        } else {
            let read = serde_json::from_str(&config_json);
            Some(read.map_err(|e| field("config_json", &format!("must be a JSON object: {e}")))?)
        };
        let slot = named(slot)?.ok_or_else(|| field("slot", "must be given"))?;
        let new = NewPluginRevision { slot, digest: Some(digest).filter(|d| !d.is_empty()), config, why };
        let revision = self.0.install(who, new).await.map_err(status)?;
        Ok(Response::new(pb::CreatePluginRevisionResponse { revision: Some(revision.into()) }))
    }

    async fn get_plugin_revision(
        &self,
        request: Request<pb::GetPluginRevisionRequest>,
    ) -> Answer<pb::GetPluginRevisionResponse> {
        let who = self.caller(&request)?;
        let revision = self.0.revision(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::GetPluginRevisionResponse { revision: Some(revision.into()) }))
    }

    async fn list_plugin_revisions(
        &self,
        request: Request<pb::ListPluginRevisionsRequest>,
    ) -> Answer<pb::ListPluginRevisionsResponse> {
        let who = self.caller(&request)?;
        let pb::ListPluginRevisionsRequest { slot, page_size, page_token } = request.into_inner();
        let page = filters::page(page_size, page_token)?;
        let found = self.0.revisions(who, named(slot)?, &page).await.map_err(status)?;
        Ok(Response::new(pb::ListPluginRevisionsResponse {
            revisions: found.items.into_iter().map(Into::into).collect(),
            next_page_token: found.next.unwrap_or_default(),
        }))
    }

    async fn move_plugin_revision(
        &self,
        request: Request<pb::MovePluginRevisionRequest>,
    ) -> Answer<pb::MovePluginRevisionResponse> {
        let who = self.caller(&request)?;
        let asked = request.into_inner();
        let to = match asked.stage() {
            PluginStage::Shadow => Move::Shadow,
            PluginStage::Canary => Move::Canary(asked.percent.max(1)),
            PluginStage::Active => Move::Activate,
            PluginStage::Retired => Move::Retire,
            PluginStage::Quarantined => Move::Quarantine,
            PluginStage::Unspecified | PluginStage::Ready => {
                return Err(field("stage", "must be shadow, canary, active, retired or quarantined"));
            }
        };
        let pb::MovePluginRevisionRequest { id, steps, then_activate, require, why, etag, .. } = asked;
        let plan = (then_activate || !steps.is_empty()).then_some(Plan { steps, then_activate });
        let require = require.map(|pb::PluginRequirement { replay, changed_percent_max, faults_max }| Require {
            replay,
            changed_percent_max,
            faults_max,
        });
        let expected = filters::etag(&etag)?;
        let terms = Terms { plan: plan.as_ref(), require, why: &why, expected };
        let slot = self.0.move_revision(who, id, to, terms).await.map_err(status)?;
        Ok(Response::new(pb::MovePluginRevisionResponse { slot: Some(slot.into()) }))
    }

    async fn roll_back_plugin(
        &self,
        request: Request<pb::RollBackPluginRequest>,
    ) -> Answer<pb::RollBackPluginResponse> {
        let who = self.caller(&request)?;
        let pb::RollBackPluginRequest { slot, to, why, etag } = request.into_inner();
        let slot = named(slot)?.ok_or_else(|| field("slot", "must be given"))?;
        let (to, expected) = (Some(to).filter(|to| *to != 0), filters::etag(&etag)?);
        let slot = self.0.roll_back(who, slot, to, &why, expected).await.map_err(status)?;
        Ok(Response::new(pb::RollBackPluginResponse { slot: Some(slot.into()) }))
    }

    async fn reload_plugin(&self, request: Request<pb::ReloadPluginRequest>) -> Answer<pb::ReloadPluginResponse> {
        let who = self.caller(&request)?;
        let slot = named(request.into_inner().slot)?.ok_or_else(|| field("slot", "must be given"))?;
        let slot = self.0.reload_plugin(who, slot).await.map_err(status)?;
        Ok(Response::new(pb::ReloadPluginResponse { slot: Some(slot.into()) }))
    }

    async fn list_plugin_changes(
        &self,
        request: Request<pb::ListPluginChangesRequest>,
    ) -> Answer<pb::ListPluginChangesResponse> {
        let who = self.caller(&request)?;
        let pb::ListPluginChangesRequest { slot, page_size, page_token } = request.into_inner();
        let page = filters::page(page_size, page_token)?;
        let found = self.0.plugin_history(who, named(slot)?, &page).await.map_err(status)?;
        Ok(Response::new(pb::ListPluginChangesResponse {
            changes: found.items.into_iter().map(Into::into).collect(),
            next_page_token: found.next.unwrap_or_default(),
        }))
    }

    async fn preview_plugin_revision(
        &self,
        request: Request<pb::PreviewPluginRevisionRequest>,
    ) -> Answer<pb::PreviewPluginRevisionResponse> {
        let who = self.caller(&request)?;
        let pb::PreviewPluginRevisionRequest { id, notification_id } = request.into_inner();
        let preview = self
            .0
            .preview(who, id, Subject { notification: Some(notification_id), payload: None })
            .await
            .map_err(status)?;
        Ok(Response::new(pb::PreviewPluginRevisionResponse {
            candidate: Some(preview.candidate.into()),
            active: Some(preview.active.into()),
            is_same: preview.is_same,
        }))
    }

    type ReplayPluginRevisionStream = Answers<pb::ReplayPluginRevisionResponse>;

    async fn replay_plugin_revision(
        &self,
        request: Request<pb::ReplayPluginRevisionRequest>,
    ) -> Answer<Self::ReplayPluginRevisionStream> {
        let who = self.caller(&request)?;
        let pb::ReplayPluginRevisionRequest { id, last } = request.into_inner();
        let asked = ReplayRequest { last: Some(last).filter(|n| *n != 0), ..ReplayRequest::default() };
        let begun = self.0.start_replay(who, id, asked).await.map_err(status)?;
        let looks = futures_util::stream::unfold(Some(self.0.clone()), move |service| async move {
            let service = service?;
            tokio::time::sleep(LOOK).await;
            match service.replay(who, begun.id) {
                Ok(replay) => {
                    let next = (!replay.is_done).then_some(service);
                    Some((Ok(replay.into()), next))
                }
                Err(e) => Some((Err(status(e)), None)),
            }
        });
        Ok(Response::new(Box::pin(looks.take_until(self.1.clone().cancelled_owned()))))
    }

    async fn reproduce_notification(
        &self,
        request: Request<pb::ReproduceNotificationRequest>,
    ) -> Answer<pb::ReproduceNotificationResponse> {
        let who = self.caller(&request)?;
        let made = self.0.reproduce(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::ReproduceNotificationResponse {
            revision: made.revision,
            digest: made.digest,
            seed: made.seed,
            sent_hash: made.sent_hash,
            made_hash: made.made_hash,
            is_same: made.is_same,
            message: made.message,
        }))
    }
}

/// The slot of a number; none when unspecified.
fn named(slot: i32) -> Result<Option<Slot>, Status> {
    match PluginSlotName::try_from(slot) {
        Ok(PluginSlotName::Unspecified) => Ok(None),
        Ok(PluginSlotName::Renderer) => Ok(Some(Slot::Renderer)),
        Ok(PluginSlotName::Policy) => Ok(Some(Slot::Policy)),
        Err(_) => Err(field("slot", "must be renderer or policy")),
    }
}

fn number(slot: &str) -> i32 {
    let name = if slot == "policy" { PluginSlotName::Policy } else { PluginSlotName::Renderer };
    name.into()
}

impl From<Counts> for pb::PluginCounts {
    fn from(counts: Counts) -> Self {
        let Counts { running, calls, faults, rejected, shadowed, diverged, shadow_faults, shadow_skipped } = counts;
        Self { running, calls, faults, rejected, shadowed, diverged, shadow_faults, shadow_skipped }
    }
}

impl From<Serving> for pb::PluginServing {
    fn from(serving: Serving) -> Self {
        let Serving { revision, digest, origin, counts, is_resting } = serving;
        Self { revision, digest, origin, counts: Some(counts.into()), is_resting }
    }
}

impl From<SlotInfo> for pb::PluginSlot {
    fn from(info: SlotInfo) -> Self {
        let SlotInfo { slot, version, active, previous, canary, percent, shadow, builtin, preparation } = info;
        Self {
            slot: number(slot.as_str()),
            version,
            active: Some(active.into()),
            previous: previous.map(Into::into),
            canary: canary.map(Into::into),
            percent,
            shadow: shadow.map(Into::into),
            builtin: Some(builtin.into()),
            preparation: preparation.map(|p| pb::PluginPreparation {
                revision: p.revision,
                state: p.state,
                detail: p.detail,
            }),
        }
    }
}

impl From<RevisionInfo> for pb::PluginRevision {
    fn from(info: RevisionInfo) -> Self {
        let RevisionInfo { id, slot, digest, origin, stage, why, config, report, created_at, created_by } = info;
        let stage = match stage.as_str() {
            "shadow" => PluginStage::Shadow,
            "canary" => PluginStage::Canary,
            "active" => PluginStage::Active,
            "retired" => PluginStage::Retired,
            "quarantined" => PluginStage::Quarantined,
            _ => PluginStage::Ready,
        };
        Self {
            id,
            slot: number(&slot),
            digest,
            origin,
            stage: stage.into(),
            why,
            config_json: config.to_string(),
            report_json: report.to_string(),
            created_at: Some(at(created_at)),
            created_by,
        }
    }
}

impl From<Change> for pb::PluginChange {
    fn from(change: Change) -> Self {
        let Change { id, slot, version, revision, action, percent, why, created_at, created_by } = change;
        Self {
            id,
            slot: number(&slot),
            version,
            revision,
            action,
            percent: u32::try_from(percent).unwrap_or_default(),
            why,
            created_at: Some(at(created_at)),
            created_by,
        }
    }
}

impl From<Rendered> for pb::PluginRendering {
    fn from(rendered: Rendered) -> Self {
        let Rendered { revision, email, fault, fuel } = rendered;
        let email = email.unwrap_or_default();
        Self { revision, subject: email.subject, text: email.text, html: email.html, fault, fuel }
    }
}

impl From<Replay> for pb::ReplayPluginRevisionResponse {
    fn from(replay: Replay) -> Self {
        Self {
            replay: replay.id,
            is_done: replay.is_done,
            error: replay.error,
            events: replay.events,
            unreadable: replay.unreadable,
            changed_subjects: replay.changed_subjects,
            changed_bodies: replay.changed_bodies,
            changed_decisions: replay.changed_decisions,
            faults: replay.faults,
            changed_percent: replay.changed_percent,
            fuel: replay.fuel.to_vec(),
            time_us: replay.time_us.to_vec(),
            examples_json: replay.examples.iter().map(ToString::to_string).collect(),
        }
    }
}
