//! One stored event, run by a candidate and by the active revision.

use std::sync::Arc;

use super::read;
use crate::notification::{Admission, Failure, Holding, Notification, Relay, Request, Sending, Situation, Verdict};
use crate::plugin::{Email, Fault, Plugins, Revision};
use crate::store::stored::{Sent, StoredDecision, StoredEvent};

/// What is other than before.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) subject: bool,
    pub(super) body: bool,
    pub(super) decision: bool,
}

/// How one event came out.
pub(super) struct Outcome {
    pub(super) changed: Changed,
    pub(super) fault: bool,
    pub(super) fuel: u64,
    pub(super) time_us: u64,
    pub(super) example: Option<serde_json::Value>,
}

/// What a replay runs over.
pub(super) enum Item {
    Event(StoredEvent),
    Decision(Box<StoredDecision>),
}

/// Two revisions and one event.
pub(super) struct Run<'a> {
    pub(super) plugins: &'a Plugins,
    pub(super) candidate: &'a Revision,
    pub(super) baseline: &'a Revision,
    pub(super) clock: &'a crate::clock::Clock,
}

impl Run<'_> {
    /// None: the stored event cannot be read.
    pub(super) async fn one(&self, item: Item) -> Option<Outcome> {
        match item {
            Item::Event(event) => self.render(event).await,
            Item::Decision(decision) => self.decide(decision).await,
        }
    }

    async fn render(&self, event: StoredEvent) -> Option<Outcome> {
        let n = read(event.id, event.message_id, &event.payload).ok()?;
        let seed = event.seed.unwrap_or(42).cast_unsigned();
        let request = Request { ab_variant: event.ab_variant.as_deref(), seed };
        let begun = self.clock.monotonic_us();
        let new = self.plugins.render_measured(self.candidate, &n, &request).await;
        let time_us = self.clock.monotonic_us() - begun;
        let old = self.plugins.render_by(self.baseline, &n, &request).await.ok();
        let (fuel, new, why) = match new {
            Ok((email, usage)) => (usage.fuel, Some(email), None),
            Err(fault) => (0, None, Some(fault.to_string())),
        };
        let subject = |e: &Option<Email>| e.as_ref().map(|e| e.subject.clone());
        let fault = new.is_none();
        let subject_changed = !fault && subject(&new) != subject(&old);
        let blank = |e: &Option<Email>| e.clone().map(|e| Email { subject: String::new(), ..e });
        let body_changed = !fault && blank(&new) != blank(&old);
        let example = (fault || subject_changed || body_changed).then(|| {
            serde_json::json!({
                "notification_id": event.id, "fault": why,
                "before": old.as_ref().map(|e| [&e.subject, &e.text]),
                "after": new.as_ref().map(|e| [&e.subject, &e.text]),
            })
        });
        let changed = Changed { subject: subject_changed, body: body_changed, decision: false };
        Some(Outcome { changed, fault, fuel, time_us, example })
    }

    /// Both questions that the policy was asked: whether to send, and, where the mail was tried and failed, what of it.
    async fn decide(&self, stored: Box<StoredDecision>) -> Option<Outcome> {
        let n = Arc::new(read(stored.state_id, stored.message_id, &stored.payload).ok()?);
        let situation: Situation = serde_json::from_str(&stored.situation).ok()?;
        let after = stored.failure.map(|f| (situation.clone().after(&f), f));
        let begun = self.clock.monotonic_us();
        let new = self.answers(self.candidate, &n, &situation, after.as_ref()).await;
        let time_us = self.clock.monotonic_us() - begun;
        let (fuel, new, why) = match new {
            Ok((answers, fuel)) => (fuel, Some(answers), None),
            Err(fault) => (0, None, Some(fault.to_string())),
        };
        if let (Some((admission, None)), Some(sent)) = (&new, &stored.sent)
            && sent.by == self.baseline.number
            && leads_to(admission, sent, &situation.relays)
        {
            return Some(Outcome { changed: Changed::default(), fault: false, fuel, time_us, example: None });
        }
        let old = self.answers(self.baseline, &n, &situation, after.as_ref()).await.ok().map(|(a, _)| a);
        let fault = new.is_none();
        let decision = !fault && new != old;
        let example = (fault || decision).then(|| {
            serde_json::json!({
                "notification_id": stored.state_id, "fault": why,
                "before": old.as_ref().map(in_words), "after": new.as_ref().map(in_words),
            })
        });
        Some(Outcome { changed: Changed { decision, ..Changed::default() }, fault, fuel, time_us, example })
    }

    async fn answers(
        &self,
        by: &Revision,
        n: &Arc<Notification>,
        situation: &Situation,
        after: Option<&(Situation, Failure)>,
    ) -> Result<(Answers, u64), Fault> {
        let (admission, mut usage) = self.plugins.admit_by(by, n, situation).await?;
        let mut verdict = None;
        if let Some((situation, failure)) = after {
            let (answer, more) = self.plugins.on_failure_by(by, n, failure, situation).await?;
            usage.fuel += more.fuel;
            verdict = Some(answer);
        }
        Ok(((admission, verdict), usage.fuel))
    }
}

/// What a policy said to a mail, and to its failure.
type Answers = (Admission, Option<Verdict>);

/// Whether a mail so admitted goes out as it did for certain. Where it does and the journal has it so, the active
/// revision need not be asked again what it said then: a plugin is a pure function.
fn leads_to(admission: &Admission, sent: &Sent, relays: &[Relay]) -> bool {
    let Admission::Send(Sending { relay, ab_variant }) = admission else { return false };
    let is_same_relay = match relay {
        Some(named) => *named == sent.relay,
        // By the first that was available, or by the one that an earlier verdict named: only with one is that certain.
        None => matches!(relays, [only] if only.name == sent.relay),
    };
    is_same_relay && *ab_variant == sent.ab_variant
}

fn in_words((admission, verdict): &Answers) -> String {
    let by = |relay: &Option<String>| relay.as_ref().map(|relay| format!(" by {relay}")).unwrap_or_default();
    let hold = |h: &Holding| format!("hold{}: {}", if h.urgent { " as urgent" } else { "" }, h.reason);
    let admission = match admission {
        Admission::Send(Sending { relay, ab_variant }) => {
            let variant = ab_variant.as_ref().map(|variant| format!(" as variant {variant}")).unwrap_or_default();
            format!("send{}{variant}", by(relay))
        }
        Admission::Wait(ms) => format!("wait {ms} ms"),
        Admission::Skip(why) => format!("skip: {why}"),
        Admission::Hold(holding) => hold(holding),
        Admission::Merge => "merge".to_owned(),
    };
    match verdict {
        None => admission,
        Some(Verdict::Retry(ms, relay)) => format!("{admission}, then retry after {ms} ms{}", by(relay)),
        Some(Verdict::GiveUp(why)) => format!("{admission}, then give up: {why}"),
        Some(Verdict::Hold(holding)) => format!("{admission}, then {}", hold(holding)),
    }
}

#[cfg(test)]
mod tests {
    use super::leads_to;
    use crate::notification::{Admission, Relay, Sending};
    use crate::store::stored::Sent;

    #[test]
    fn what_the_journal_answers_for_the_active_revision() {
        let relay = |name: &str| Relay { name: name.to_owned(), available: true };
        let send = |relay: Option<&str>, variant: Option<&str>| {
            Admission::Send(Sending { relay: relay.map(str::to_owned), ab_variant: variant.map(str::to_owned) })
        };
        let by = |relay: &str| Sent { by: 1, relay: relay.to_owned(), ab_variant: None };
        let (one, two) = (vec![relay("a")], vec![relay("a"), relay("b")]);
        assert!(leads_to(&send(None, None), &by("a"), &one));
        assert!(!leads_to(&send(None, Some("B")), &by("a"), &one), "another variant");
        assert!(!leads_to(&send(None, None), &by("gone"), &one));
        assert!(!leads_to(&send(None, None), &by("a"), &two), "an earlier verdict may have named it");
        assert!(leads_to(&send(Some("b"), None), &by("b"), &two));
        assert!(!leads_to(&send(Some("b"), None), &by("a"), &two));
        assert!(!leads_to(&Admission::Skip("no".to_owned()), &by("a"), &one));
        assert!(!leads_to(&Admission::Wait(1), &by("a"), &one));
    }
}
