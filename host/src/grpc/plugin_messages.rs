//! The plugin service's messages, out of what the use cases give.

use tonic::Status;

use super::convert::{at, field};
use super::pb::{self, PluginOperationState, PluginSlotName, PluginStage};
use crate::service::{
    Attachment, Change, Counts, Difference, Email, Example, Operation, Rendered, Replay, RevisionInfo, Serving,
    Signature, SignatureInfo, SignedImage, Signer, Slot, SlotInfo,
};

/// The slot of a number; none when unspecified.
pub(super) fn named(slot: i32) -> Result<Option<Slot>, Status> {
    match PluginSlotName::try_from(slot) {
        Ok(PluginSlotName::Unspecified) => Ok(None),
        Ok(PluginSlotName::Renderer) => Ok(Some(Slot::Renderer)),
        Ok(PluginSlotName::Policy) => Ok(Some(Slot::Policy)),
        Err(_) => Err(field("slot", "must be renderer or policy")),
    }
}

pub(super) fn number(slot: &str) -> i32 {
    let name = if slot == "policy" { PluginSlotName::Policy } else { PluginSlotName::Renderer };
    name.into()
}

impl From<pb::PluginSignature> for Signature {
    fn from(signature: pb::PluginSignature) -> Self {
        let pb::PluginSignature { signature, image } = signature;
        let image = image.map(|pb::PluginSignedImage { payload, manifest }| SignedImage { payload, manifest });
        Self { signature, image }
    }
}

impl From<Signature> for pb::PluginSignature {
    fn from(signature: Signature) -> Self {
        let Signature { signature, image } = signature;
        let image = image.map(|SignedImage { payload, manifest }| pb::PluginSignedImage { payload, manifest });
        Self { signature, image }
    }
}

impl From<SignatureInfo> for pb::PluginSignatureInfo {
    fn from(info: SignatureInfo) -> Self {
        let SignatureInfo { signature, signer, created_at, created_by } = info;
        let signer = signer.map(|Signer { key, key_id }| pb::PluginSigner { key, key_id });
        Self { signature: Some(signature.into()), signer, create_time: Some(at(created_at)), created_by }
    }
}

impl From<Counts> for pb::PluginCounts {
    fn from(counts: Counts) -> Self {
        let Counts { running, calls, faults, rejected, shadowed, diverged, shadow_faults, shadow_skipped } = counts;
        Self { running, calls, faults, rejected, shadowed, diverged, shadow_faults, shadow_skipped }
    }
}

impl From<Serving> for pb::PluginServing {
    fn from(serving: Serving) -> Self {
        let Serving { revision, digest, origin, counts, is_circuit_open, last_divergence } = serving;
        let last_divergence = last_divergence.map(|d| pb::PluginDivergence {
            notification_id: d.notification_id,
            differences: d.differences.into_iter().map(Into::into).collect(),
        });
        Self { revision, digest, origin, counts: Some(counts.into()), is_circuit_open, last_divergence }
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
        let Email { subject, text, html, from_name, reply_to, headers, attachments } = email.unwrap_or_default();
        let headers = headers.into_iter().map(|(name, value)| pb::PluginMailHeader { name, value }).collect();
        let attachment = |Attachment { name, content_type, content_id, data: _ }: Attachment| {
            pb::PluginMailAttachment { name, content_type, content_id }
        };
        let attachments = attachments.into_iter().map(attachment).collect();
        Self { revision, subject, text, html, fault, fuel, from_name, reply_to, headers, attachments }
    }
}

impl From<Difference> for pb::PluginDifference {
    fn from(Difference { field, diff }: Difference) -> Self {
        Self { field, diff }
    }
}

impl From<Example> for pb::PluginReplayExample {
    fn from(Example { notification_id, fault, differences }: Example) -> Self {
        Self { notification_id, fault, differences: differences.into_iter().map(Into::into).collect() }
    }
}

impl From<Replay> for pb::PluginReplay {
    fn from(replay: Replay) -> Self {
        Self {
            revision: replay.revision,
            baseline: replay.baseline,
            last: replay.last,
            events: replay.events,
            unreadable: replay.unreadable,
            changed_subjects: replay.changed_subjects,
            changed_bodies: replay.changed_bodies,
            changed_decisions: replay.changed_decisions,
            faults: replay.faults,
            changed_percent: replay.changed_percent,
            fuel: replay.fuel.to_vec(),
            time_us: replay.time_us.to_vec(),
            changed_fields: replay.changed_fields,
            examples: replay.examples.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Operation> for pb::PluginOperation {
    fn from(operation: Operation) -> Self {
        let Operation { id, kind, slot, revision, state, step, done, of, problem, replay, .. } = operation;
        let state = match state.as_str() {
            "succeeded" => PluginOperationState::Succeeded,
            "failed" => PluginOperationState::Failed,
            "cancelled" => PluginOperationState::Cancelled,
            _ => PluginOperationState::Running,
        };
        Self {
            id,
            kind,
            slot: number(&slot),
            revision,
            state: state.into(),
            step,
            done,
            of,
            problem: problem.map(|p| pb::PluginOperationProblem { code: p.code, detail: p.detail }),
            replay: replay.map(Into::into),
            created_at: Some(at(operation.created_at)),
            created_by: operation.created_by,
            updated_at: Some(at(operation.updated_at)),
        }
    }
}
