//! From what a delivery reports to what the store writes down.

use crate::deliver;
use crate::notification::{Class, State, Transition};
use crate::store::queue::{Claimed, Finish, Intent, Note, Provenance};

pub(super) fn intent(claimed: &Claimed, intent: deliver::Intent, seed: u64) -> Intent {
    let deliver::Intent { relay, renderer, policy, ab_variant, situation, message_hash, dated_at } = intent;
    let (policy_digest, policy_revision) = policy.unzip();
    let (renderer_digest, renderer_revision) = renderer.unzip();
    Intent {
        claim: claimed.claim,
        relay,
        provenance: Provenance {
            renderer_digest,
            renderer_revision,
            policy_digest,
            policy_revision,
            seed: Some(seed.cast_signed()),
        },
        ab_variant,
        situation: serde_json::to_string(&situation).unwrap_or_default(),
        message_hash,
        dated_at,
    }
}

pub(super) fn finish(
    claimed: &Claimed,
    transition: Transition,
    attempts: i64,
    notes: Vec<Note>,
    intent: bool,
) -> Finish {
    Finish { claim: claimed.claim, lane: claimed.lane, place: claimed.place, attempts, transition, notes, intent }
}

/// Holds what cannot be worked on.
pub(super) fn hold(claimed: &Claimed, reason: String, started_at: i64) -> Finish {
    end(claimed, State::Held, "hold", reason, started_at)
}

/// Ends what is not to be delivered, by a verdict of the host. An intent of an earlier claim is closed: nobody else will.
pub(super) fn end(claimed: &Claimed, state: State, verdict: &str, reason: String, started_at: i64) -> Finish {
    let open = claimed.in_doubt.then(|| Note {
        kind: "send",
        phase: Some("body".to_owned()),
        class: Some(Class::InDoubt.as_str().to_owned()),
        verdict: Some(verdict.to_owned()),
        reason: Some(reason.clone()),
        started_at,
        ..Note::default()
    });
    let attempts = claimed.attempts + i64::from(claimed.in_doubt);
    let transition = Transition::End { state, reason };
    finish(claimed, transition, attempts, open.into_iter().collect(), claimed.in_doubt)
}

/// Undoes a claim. An intent that this claim may have recorded goes too: its mail did not go out.
pub(super) fn give_back(claimed: &Claimed) -> Finish {
    finish(claimed, Transition::GiveBack, claimed.attempts, Vec::new(), claimed.in_doubt)
}

pub(super) fn notes(notes: Vec<deliver::Note>, seed: u64, started_at: i64) -> Vec<Note> {
    notes.into_iter().map(|note| self::note(note, seed, started_at)).collect()
}

fn note(note: deliver::Note, seed: u64, started_at: i64) -> Note {
    let seed = Some(seed.cast_signed());
    let decided = |by: Option<(String, i64)>| {
        let (policy_digest, policy_revision) = by.unzip();
        Provenance { policy_digest, policy_revision, seed, ..Provenance::default() }
    };
    match note {
        deliver::Note::Fault { call, by, fault } => {
            Note::fault(call, by, (fault.code(), &fault.to_string()), seed, started_at)
        }
        deliver::Note::Decision { verdict, reason, delay_ms, by, situation } => Note {
            kind: "decision",
            verdict: Some(verdict.to_owned()),
            reason: Some(reason),
            delay_ms,
            provenance: decided(by),
            situation: situation.map(|s| serde_json::to_string(&s).unwrap_or_default()),
            started_at,
            ..Note::default()
        },
        deliver::Note::Attempt {
            class,
            phase,
            code,
            enhanced,
            reply,
            relay,
            verdict,
            reason,
            delay_ms,
            by,
            situation,
        } => Note {
            kind: "send",
            phase: Some(phase),
            class: Some(class.map_or("delivered", |c| c.as_str()).to_owned()),
            code: code.map(i64::from),
            enhanced,
            reply: Some(reply),
            relay: Some(relay),
            verdict: verdict.map(str::to_owned),
            reason: Some(reason),
            delay_ms,
            provenance: decided(by),
            situation: situation.map(|s| serde_json::to_string(&s).unwrap_or_default()),
            started_at,
        },
    }
}
