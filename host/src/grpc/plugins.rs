//! The plugin service.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::convert::field;
use super::pb::{self, PluginStage};
use super::plugin_messages::named;
use super::{Api, filters, status};
use crate::service::{Move, NewPluginRevision, Plan, ReplayRequest, Require, Subject, Terms};

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

    async fn add_plugin_signature(
        &self,
        request: Request<pb::AddPluginSignatureRequest>,
    ) -> Answer<pb::AddPluginSignatureResponse> {
        let who = self.caller(&request)?;
        let pb::AddPluginSignatureRequest { digest, signature } = request.into_inner();
        let signature = signature.ok_or_else(|| field("signature", "must be given"))?;
        let added = self.0.add_signature(who, &digest, signature.into()).await.map_err(status)?;
        Ok(Response::new(pb::AddPluginSignatureResponse { signature: Some(added.into()) }))
    }

    async fn list_plugin_signatures(
        &self,
        request: Request<pb::ListPluginSignaturesRequest>,
    ) -> Answer<pb::ListPluginSignaturesResponse> {
        let who = self.caller(&request)?;
        let found = self.0.signatures(who, &request.into_inner().digest).await.map_err(status)?;
        Ok(Response::new(pb::ListPluginSignaturesResponse { signatures: found.into_iter().map(Into::into).collect() }))
    }

    async fn create_plugin_revision(
        &self,
        request: Request<pb::CreatePluginRevisionRequest>,
    ) -> Answer<pb::CreatePluginRevisionResponse> {
        let who = self.caller(&request)?;
        let pb::CreatePluginRevisionRequest { slot, digest, config_json, why, source } = request.into_inner();
        let config = if config_json.is_empty() {
            None
        } else {
            let read = serde_json::from_str(&config_json);
            Some(read.map_err(|e| field("config_json", &format!("must be a JSON object: {e}")))?)
        };
        let slot = named(slot)?.ok_or_else(|| field("slot", "must be given"))?;
        let [digest, source] = [digest, source].map(|text| Some(text).filter(|text| !text.is_empty()));
        let new = NewPluginRevision { slot, digest, config, source, why };
        let operation = self.0.start_install(who, new).await.map_err(status)?.operation;
        Ok(Response::new(pb::CreatePluginRevisionResponse { operation: Some(operation.into()) }))
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
        let operation = self.0.start_reload(who, slot).await.map_err(status)?.operation;
        Ok(Response::new(pb::ReloadPluginResponse { operation: Some(operation.into()) }))
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
            differences: preview.differences.into_iter().map(Into::into).collect(),
        }))
    }

    async fn replay_plugin_revision(
        &self,
        request: Request<pb::ReplayPluginRevisionRequest>,
    ) -> Answer<pb::ReplayPluginRevisionResponse> {
        let who = self.caller(&request)?;
        let pb::ReplayPluginRevisionRequest { id, last } = request.into_inner();
        let asked = ReplayRequest { last: Some(last).filter(|n| *n != 0), ..ReplayRequest::default() };
        let operation = self.0.start_replay(who, id, asked).await.map_err(status)?.operation;
        Ok(Response::new(pb::ReplayPluginRevisionResponse { operation: Some(operation.into()) }))
    }

    async fn get_plugin_operation(
        &self,
        request: Request<pb::GetPluginOperationRequest>,
    ) -> Answer<pb::GetPluginOperationResponse> {
        let who = self.caller(&request)?;
        let pb::GetPluginOperationRequest { id, wait } = request.into_inner();
        let operation = self.0.wait_for_operation(who, id, filters::wait(wait)?).await.map_err(status)?;
        Ok(Response::new(pb::GetPluginOperationResponse { operation: Some(operation.into()) }))
    }

    type WatchPluginOperationStream = Answers<pb::WatchPluginOperationResponse>;

    async fn watch_plugin_operation(
        &self,
        request: Request<pb::WatchPluginOperationRequest>,
    ) -> Answer<Self::WatchPluginOperationStream> {
        let who = self.caller(&request)?;
        let id = request.into_inner().id;
        self.0.operation(who, id).await.map_err(status)?;
        let looks = futures_util::stream::unfold(Some(self.0.clone()), move |service| async move {
            let service = service?;
            tokio::time::sleep(LOOK).await;
            match service.operation(who, id).await {
                Ok(operation) => {
                    let next = (!operation.has_ended()).then_some(service);
                    Some((Ok(pb::WatchPluginOperationResponse { operation: Some(operation.into()) }), next))
                }
                Err(e) => Some((Err(status(e)), None)),
            }
        });
        Ok(Response::new(Box::pin(looks.take_until(self.1.clone().cancelled_owned()))))
    }

    async fn list_plugin_operations(
        &self,
        request: Request<pb::ListPluginOperationsRequest>,
    ) -> Answer<pb::ListPluginOperationsResponse> {
        let who = self.caller(&request)?;
        let pb::ListPluginOperationsRequest { page_size, page_token } = request.into_inner();
        let found = self.0.operations(who, &filters::page(page_size, page_token)?).await.map_err(status)?;
        Ok(Response::new(pb::ListPluginOperationsResponse {
            operations: found.items.into_iter().map(Into::into).collect(),
            next_page_token: found.next.unwrap_or_default(),
        }))
    }

    async fn cancel_plugin_operation(
        &self,
        request: Request<pb::CancelPluginOperationRequest>,
    ) -> Answer<pb::CancelPluginOperationResponse> {
        let who = self.caller(&request)?;
        let operation = self.0.cancel_operation(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::CancelPluginOperationResponse { operation: Some(operation.into()) }))
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
