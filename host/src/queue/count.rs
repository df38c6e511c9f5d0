//! What those who watch a host are told of its worker.

use super::Queue;
use crate::metrics::Ended;
use crate::notification::{Channel, Lane, Transition};
use crate::store::queue::Finish;

impl Queue {
    /// For those who watch: what became of an event.
    pub(super) fn count(&self, finish: &Finish, since_queued_ms: i64, took_us: u64) {
        let outcome = outcome(&finish.transition);
        let tried = finish.notes.iter().filter(|note| note.kind == "send");
        let attempts = tried.filter_map(|note| {
            Some((
                note.relay.as_deref()?,
                note.phase.as_deref().unwrap_or("none"),
                note.class.as_deref().unwrap_or("delivered"),
            ))
        });
        let waited_ms = i64::try_from(took_us / 1_000).unwrap_or(i64::MAX).saturating_add(since_queued_ms);
        let latency_ms = (outcome == "sent").then_some(waited_ms);
        let channel = if Lane::from(finish.lane).endpoint().is_some() { Channel::Webhook } else { Channel::Mail };
        self.metrics.ended(&Ended { outcome, channel, latency_ms, took_us, attempts: attempts.collect() });
    }
}

pub(super) fn outcome(transition: &Transition) -> &'static str {
    match transition {
        Transition::End { state, .. } => state.as_str(),
        Transition::Later { .. } => "later",
        Transition::GiveBack => "given-back",
        Transition::Merge => "merged",
    }
}
