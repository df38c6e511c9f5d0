//! Calls on components.

use std::time::Duration;

use pb::plugin_service_client::PluginServiceClient;

use super::super::pb::{self, PluginStage};
use super::super::plugin_messages::number;
use super::answers::{each, given};
use super::plugin_answers::{change, component, operation, preview, revision, slot_info};
use super::{ANSWER_BYTES_MAX, Client, Error, Transport, answers, wait};
use crate::service::{
    Change, ComponentInfo, Move, NewPluginRevision, Operation, Page, Preview, RevisionInfo, Signature, Slot, SlotInfo,
    Terms,
};

/// Bytes of a component in one message.
const PART_BYTES: usize = 64 << 10;
/// Items of a list.
const LISTED: i32 = 100;

impl Client {
    pub(super) fn plugin_calls(&self) -> PluginServiceClient<Transport> {
        PluginServiceClient::new(self.transport.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Who serves what, as the host runs it.
    pub async fn slots(&self) -> Result<Vec<SlotInfo>, Error> {
        let answer = self.plugin_calls().list_plugin_slots(pb::ListPluginSlotsRequest {}).await?.into_inner();
        each(answer.slots, slot_info)
    }

    /// Takes a component in.
    pub async fn upload(&self, wasm: &[u8]) -> Result<ComponentInfo, Error> {
        let parts: Vec<_> =
            wasm.chunks(PART_BYTES).map(|part| pb::UploadPluginComponentRequest { content: part.to_vec() }).collect();
        let request = futures_util::stream::iter(parts);
        component(&self.plugin_calls().upload_plugin_component(request).await?.into_inner())
    }

    /// Adds a signature to a component that was taken in.
    pub async fn add_signature(&self, digest: &str, signature: Signature) -> Result<(), Error> {
        let request = pb::AddPluginSignatureRequest { digest: digest.to_owned(), signature: Some(signature.into()) };
        self.plugin_calls().add_plugin_signature(request).await?;
        Ok(())
    }

    /// Begins to take a component with a config through the gate.
    pub async fn install(&self, new: NewPluginRevision) -> Result<Operation, Error> {
        let NewPluginRevision { slot, digest, config, source, why } = new;
        let request = pb::CreatePluginRevisionRequest {
            slot: number(slot.as_str()),
            digest: digest.unwrap_or_default(),
            config_json: config.map_or_else(String::new, |config| serde_json::Value::Object(config).to_string()),
            why,
            source: source.unwrap_or_default(),
        };
        let answer = self.plugin_calls().create_plugin_revision(request).await?.into_inner();
        operation(given("operation", answer.operation)?)
    }

    /// One revision.
    pub async fn revision(&self, id: i64) -> Result<RevisionInfo, Error> {
        let request = pb::GetPluginRevisionRequest { id };
        revision(given("revision", self.plugin_calls().get_plugin_revision(request).await?.into_inner().revision)?)
    }

    /// The newest revisions.
    pub async fn revisions(&self) -> Result<Page<RevisionInfo>, Error> {
        let request = pb::ListPluginRevisionsRequest { slot: 0, page_size: LISTED, page_token: String::new() };
        let answer = self.plugin_calls().list_plugin_revisions(request).await?.into_inner();
        answers::page(answer.revisions, answer.next_page_token, revision)
    }

    /// Moves a revision to another stage.
    pub async fn move_revision(&self, id: i64, to: Move, terms: Terms<'_>) -> Result<SlotInfo, Error> {
        let (stage, percent) = match to {
            Move::Shadow => (PluginStage::Shadow, 0),
            Move::Canary(percent) => (PluginStage::Canary, percent),
            Move::Activate => (PluginStage::Active, 0),
            Move::Retire => (PluginStage::Retired, 0),
            Move::Quarantine => (PluginStage::Quarantined, 0),
        };
        let Terms { plan, require, why, expected } = terms;
        let plan = plan.cloned().unwrap_or_default();
        let request = pb::MovePluginRevisionRequest {
            id,
            stage: stage.into(),
            percent,
            steps: plan.steps,
            then_activate: plan.then_activate,
            require: require.map(|r| pb::PluginRequirement {
                replay: r.replay,
                changed_percent_max: r.changed_percent_max,
                faults_max: r.faults_max,
            }),
            why: why.to_owned(),
            etag: etag(expected),
        };
        slot_info(given("slot", self.plugin_calls().move_plugin_revision(request).await?.into_inner().slot)?)
    }

    /// Lets another revision serve at once: the named one, or the one before.
    pub async fn roll_back(
        &self,
        slot: Slot,
        to: Option<i64>,
        why: String,
        expected: Option<i64>,
    ) -> Result<SlotInfo, Error> {
        let (slot, to, etag) = (number(slot.as_str()), to.unwrap_or_default(), etag(expected));
        let request = pb::RollBackPluginRequest { slot, to, why, etag };
        slot_info(given("slot", self.plugin_calls().roll_back_plugin(request).await?.into_inner().slot)?)
    }

    /// The newest of what was done.
    pub async fn changes(&self) -> Result<Page<Change>, Error> {
        let request = pb::ListPluginChangesRequest { slot: 0, page_size: LISTED, page_token: String::new() };
        let answer = self.plugin_calls().list_plugin_changes(request).await?.into_inner();
        answers::page(answer.changes, answer.next_page_token, change)
    }

    /// Renders a stored notification by a revision and by the active one.
    pub async fn preview(&self, id: i64, notification_id: i64) -> Result<Preview, Error> {
        let request = pb::PreviewPluginRevisionRequest { id, notification_id };
        preview(self.plugin_calls().preview_plugin_revision(request).await?.into_inner())
    }

    /// Begins to run a revision over stored events.
    pub async fn replay(&self, id: i64, last: u64) -> Result<Operation, Error> {
        let request = pb::ReplayPluginRevisionRequest { id, last };
        let answer = self.plugin_calls().replay_plugin_revision(request).await?.into_inner();
        operation(given("operation", answer.operation)?)
    }

    /// How far an operation is; at once, or when it has ended within the time.
    pub async fn operation(&self, id: i64, time: Duration) -> Result<Operation, Error> {
        let request = pb::GetPluginOperationRequest { id, wait: wait(time) };
        operation(given("operation", self.plugin_calls().get_plugin_operation(request).await?.into_inner().operation)?)
    }

    /// The newest operations.
    pub async fn operations(&self) -> Result<Page<Operation>, Error> {
        let request = pb::ListPluginOperationsRequest { page_size: LISTED, page_token: String::new() };
        let answer = self.plugin_calls().list_plugin_operations(request).await?.into_inner();
        answers::page(answer.operations, answer.next_page_token, operation)
    }

    /// Asks that an operation end early.
    pub async fn cancel_operation(&self, id: i64) -> Result<Operation, Error> {
        let request = pb::CancelPluginOperationRequest { id };
        let answer = self.plugin_calls().cancel_plugin_operation(request).await?.into_inner();
        operation(given("operation", answer.operation)?)
    }
}

/// The version that a change expects (AIP-154).
fn etag(expected: Option<i64>) -> String {
    expected.map_or_else(String::new, |version| version.to_string())
}
