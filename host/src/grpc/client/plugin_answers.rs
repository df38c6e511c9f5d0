//! The same of components.

use serde_json::Value;

use super::super::pb::{self, PluginOperationState, PluginStage};
use super::Error;
use super::answers::{at, each, given, slot};
use crate::service::{
    Attachment, Change, ComponentInfo, Counts, Difference, Divergence, Email, Example, Operation, OperationProblem,
    Preparation, Preview, Rendered, Replay, RevisionInfo, Serving, SlotInfo,
};

fn json(name: &'static str, text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|_| Error::Unreadable(name))
}

pub(super) fn component(answer: &pb::UploadPluginComponentResponse) -> Result<ComponentInfo, Error> {
    let pb::UploadPluginComponentResponse { digest, bytes, metadata_json } = answer;
    Ok(ComponentInfo { digest: digest.clone(), bytes: *bytes, metadata: json("metadata_json", metadata_json)? })
}

fn counts(counts: pb::PluginCounts) -> Counts {
    let pb::PluginCounts { running, calls, faults, rejected, shadowed, diverged, shadow_faults, shadow_skipped } =
        counts;
    Counts { running, calls, faults, rejected, shadowed, diverged, shadow_faults, shadow_skipped }
}

fn difference(pb::PluginDifference { field, diff }: pb::PluginDifference) -> Difference {
    Difference { field, diff }
}

fn differences(all: Vec<pb::PluginDifference>) -> Vec<Difference> {
    all.into_iter().map(difference).collect()
}

fn serving(serving: pb::PluginServing) -> Result<Serving, Error> {
    let pb::PluginServing { revision, digest, origin, counts, is_circuit_open, last_divergence } = serving;
    let divergence = |pb::PluginDivergence { notification_id, differences: found }| Divergence {
        notification_id,
        differences: differences(found),
    };
    Ok(Serving {
        revision,
        digest,
        origin,
        counts: self::counts(given("counts", counts)?),
        is_circuit_open,
        last_divergence: last_divergence.map(divergence),
    })
}

pub(super) fn slot_info(info: pb::PluginSlot) -> Result<SlotInfo, Error> {
    let pb::PluginSlot { slot: name, version, active, previous, canary, percent, shadow, builtin, preparation } = info;
    let slot = slot(name)?;
    let preparation = preparation.map(|pb::PluginPreparation { revision, state, detail }| Preparation {
        slot: slot.to_string(),
        revision,
        state,
        detail,
    });
    Ok(SlotInfo {
        slot,
        version,
        active: serving(given("active", active)?)?,
        previous: previous.map(serving).transpose()?,
        canary: canary.map(serving).transpose()?,
        percent,
        shadow: shadow.map(serving).transpose()?,
        builtin: serving(given("builtin", builtin)?)?,
        preparation,
    })
}

pub(super) fn revision(revision: pb::PluginRevision) -> Result<RevisionInfo, Error> {
    let pb::PluginRevision {
        id,
        slot: name,
        digest,
        origin,
        stage,
        why,
        config_json,
        report_json,
        created_at,
        created_by,
    } = revision;
    let stage = match PluginStage::try_from(stage) {
        Ok(PluginStage::Ready) => "ready",
        Ok(PluginStage::Shadow) => "shadow",
        Ok(PluginStage::Canary) => "canary",
        Ok(PluginStage::Active) => "active",
        Ok(PluginStage::Retired) => "retired",
        Ok(PluginStage::Quarantined) => "quarantined",
        Ok(PluginStage::Unspecified) | Err(_) => return Err(Error::Unreadable("stage")),
    };
    Ok(RevisionInfo {
        id,
        slot: slot(name)?.to_string(),
        digest,
        origin,
        stage: stage.to_owned(),
        why,
        config: json("config_json", &config_json)?,
        report: json("report_json", &report_json)?,
        created_at: at("created_at", created_at)?,
        created_by,
    })
}

pub(super) fn change(change: pb::PluginChange) -> Result<Change, Error> {
    let pb::PluginChange { id, slot: name, version, revision, action, percent, why, created_at, created_by } = change;
    Ok(Change {
        id,
        slot: slot(name)?.to_string(),
        version,
        revision,
        action,
        percent: percent.into(),
        why,
        created_at: at("created_at", created_at)?,
        created_by,
    })
}

fn rendered(rendering: pb::PluginRendering) -> Rendered {
    let pb::PluginRendering { revision, subject, text, html, fault, fuel, from_name, reply_to, headers, attachments } =
        rendering;
    let headers = headers.into_iter().map(|pb::PluginMailHeader { name, value }| (name, value)).collect();
    let attachment = |pb::PluginMailAttachment { name, content_type, content_id }| Attachment {
        name,
        content_type,
        content_id,
        // Not in the API.
        data: Vec::new(),
    };
    let attachments = attachments.into_iter().map(attachment).collect();
    let email = Email { subject, text, html, from_name, reply_to, headers, attachments };
    Rendered { revision, email: Some(email).filter(|_| fault.is_none()), fault, fuel }
}

pub(super) fn preview(preview: pb::PreviewPluginRevisionResponse) -> Result<Preview, Error> {
    let pb::PreviewPluginRevisionResponse { candidate, active, is_same, differences: found } = preview;
    Ok(Preview {
        candidate: rendered(given("candidate", candidate)?),
        active: rendered(given("active", active)?),
        is_same,
        differences: differences(found),
    })
}

pub(super) fn operation(operation: pb::PluginOperation) -> Result<Operation, Error> {
    let pb::PluginOperation {
        id,
        kind,
        slot: name,
        revision,
        state,
        step,
        done,
        of,
        problem,
        replay,
        created_at,
        created_by,
        updated_at,
    } = operation;
    let state = match PluginOperationState::try_from(state) {
        Ok(PluginOperationState::Running) => "running",
        Ok(PluginOperationState::Succeeded) => "succeeded",
        Ok(PluginOperationState::Failed) => "failed",
        Ok(PluginOperationState::Cancelled) => "cancelled",
        Ok(PluginOperationState::Unspecified) | Err(_) => return Err(Error::Unreadable("state")),
    };
    let problem = problem.map(|pb::PluginOperationProblem { code, detail }| OperationProblem { code, detail });
    Ok(Operation {
        id,
        kind,
        slot: slot(name)?.to_string(),
        revision,
        state: state.to_owned(),
        step,
        done,
        of,
        problem,
        replay: replay.map(self::replay).transpose()?,
        created_at: at("created_at", created_at)?,
        created_by,
        updated_at: at("updated_at", updated_at)?,
    })
}

fn replay(replay: pb::PluginReplay) -> Result<Replay, Error> {
    let pb::PluginReplay {
        revision,
        baseline,
        last,
        events,
        unreadable,
        changed_subjects,
        changed_bodies,
        changed_decisions,
        changed_fields,
        faults,
        changed_percent,
        fuel,
        time_us,
        examples,
    } = replay;
    let example = |pb::PluginReplayExample { notification_id, fault, differences: found }| {
        Ok(Example { notification_id, fault, differences: differences(found) })
    };
    Ok(Replay {
        revision,
        baseline,
        last,
        events,
        unreadable,
        changed_subjects,
        changed_bodies,
        changed_decisions,
        changed_fields,
        faults,
        changed_percent,
        fuel: fuel.try_into().map_err(|_| Error::Unreadable("fuel"))?,
        time_us: time_us.try_into().map_err(|_| Error::Unreadable("time_us"))?,
        examples: each(examples, example)?,
    })
}
