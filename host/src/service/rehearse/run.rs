//! One stored event, run by a candidate and by the active revision.

use std::sync::Arc;

use super::{Example, read};
use crate::notification::report::{Reaction, Reported};
use crate::notification::{Admission, Failure, Notification, Relay, Request, Sending, Situation, Verdict};
use crate::plugin::{
    Code, Fault, Plugins, Revision, admission_in_words, decision_difference, email_differences, email_fields,
    reaction_in_words, verdict_in_words,
};
use crate::store::stored::{Sent, StoredDecision, StoredEvent};

/// What a policy decides, as the fields of its answers are called.
const DECISIONS: [&str; 3] = ["admission", "verdict", "reaction"];

/// How one event came out.
#[derive(Default)]
pub(super) struct Outcome {
    /// The fields that differ.
    pub(super) fields: Vec<&'static str>,
    pub(super) fault: bool,
    pub(super) fuel: u64,
    pub(super) time_us: u64,
    pub(super) example: Option<Example>,
}

impl Outcome {
    pub(super) fn changes(&self, field: &str) -> bool {
        self.fields.contains(&field)
    }

    /// Whether a policy decided otherwise.
    pub(super) fn changes_decision(&self) -> bool {
        self.fields.iter().any(|field| DECISIONS.contains(field))
    }

    /// Whether a mail differs in more than its subject.
    pub(super) fn changes_body(&self) -> bool {
        self.fields.iter().any(|field| *field != "subject" && !DECISIONS.contains(field))
    }
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
    /// Whether it also says how answers differ.
    pub(super) tells: bool,
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
        let new = self.plugins.render_by(Code::Metered, self.candidate, &n, &request).await;
        let time_us = self.clock.monotonic_us() - begun;
        let old = self.plugins.render_by(Code::Metered, self.baseline, &n, &request).await.ok();
        let old = old.map(|(email, _)| email);
        let (fuel, new, why) = match new {
            Ok((email, usage)) => (usage.fuel, Some(email), None),
            Err(fault) => (0, None, Some(fault.to_string())),
        };
        let notification_id = event.id;
        let Some(new) = new else {
            let example = self.tells.then(|| Example { notification_id, fault: why, ..Example::default() });
            return Some(Outcome { fault: true, fuel, time_us, example, ..Outcome::default() });
        };
        // What the active revision cannot write was no mail before.
        let old = old.unwrap_or_default();
        let fields = email_fields(&old, &new);
        let example = (self.tells && !fields.is_empty()).then(|| Example {
            notification_id,
            differences: email_differences(&old, &new),
            ..Example::default()
        });
        Some(Outcome { fields, fault: false, fuel, time_us, example })
    }

    /// What the policy was asked: whether to send, and, where the mail was tried and failed, what of it; or what follows from a
    /// report.
    async fn decide(&self, stored: Box<StoredDecision>) -> Option<Outcome> {
        let n = Arc::new(read(stored.state_id, stored.message_id, &stored.payload).ok()?);
        let situation: Situation = serde_json::from_str(&stored.situation).ok()?;
        let asked = match (stored.reported, stored.failure) {
            (Some(report), _) => Asked::Report(report),
            (None, Some(f)) => Asked::Failed(Box::new(situation.clone().after(&f)), f),
            (None, None) => Asked::Admission,
        };
        let begun = self.clock.monotonic_us();
        let new = self.answers(self.candidate, &n, &situation, &asked).await;
        let time_us = self.clock.monotonic_us() - begun;
        let (fuel, new, why) = match new {
            Ok((answers, fuel)) => (fuel, Some(answers), None),
            Err(fault) => (0, None, Some(fault.to_string())),
        };
        if let (Some(Answers { admission: Some(admission), verdict: None, .. }), Some(sent)) = (&new, &stored.sent)
            && sent.by == self.baseline.number
            && leads_to(admission, sent, &situation.relays)
        {
            return Some(Outcome { fuel, time_us, ..Outcome::default() });
        }
        let old = self.answers(self.baseline, &n, &situation, &asked).await.ok().map(|(a, _)| a);
        let notification_id = stored.state_id;
        let Some(new) = new else {
            let example = self.tells.then(|| Example { notification_id, fault: why, ..Example::default() });
            return Some(Outcome { fault: true, fuel, time_us, example, ..Outcome::default() });
        };
        let old = old.as_ref().map(in_words).unwrap_or_default();
        let new = in_words(&new);
        let differences: Vec<_> = DECISIONS
            .into_iter()
            .zip(old.iter().zip(&new))
            .filter_map(|(field, (old, new))| Some((field, decision_difference(field, old, new)?)))
            .collect();
        let fields: Vec<_> = differences.iter().map(|(field, _)| *field).collect();
        let differences = differences.into_iter().map(|(_, difference)| difference).collect();
        let example =
            (self.tells && !fields.is_empty()).then(|| Example { notification_id, differences, ..Example::default() });
        Some(Outcome { fields, fault: false, fuel, time_us, example })
    }

    async fn answers(
        &self,
        by: &Revision,
        n: &Arc<Notification>,
        situation: &Situation,
        asked: &Asked,
    ) -> Result<(Answers, u64), Fault> {
        let mut answers = Answers::default();
        if let Asked::Report(report) = asked {
            let (reaction, usage) = self.plugins.on_report_by(Code::Metered, by, n, report, situation).await?;
            return Ok((Answers { reaction: Some(reaction), ..answers }, usage.fuel));
        }
        let (admission, mut usage) = self.plugins.admit_by(Code::Metered, by, n, situation).await?;
        answers.admission = Some(admission);
        if let Asked::Failed(situation, failure) = asked {
            let (verdict, more) = self.plugins.on_failure_by(Code::Metered, by, n, failure, situation).await?;
            usage.fuel += more.fuel;
            answers.verdict = Some(verdict);
        }
        Ok((answers, usage.fuel))
    }
}

/// What a policy was asked about a mail, beside whether to send it.
enum Asked {
    Admission,
    /// What of its failure, in the situation after it.
    Failed(Box<Situation>, Failure),
    /// What follows from a report, and nothing else.
    Report(Reported),
}

/// What a policy said to a mail, to its failure, or to what was reported of it.
#[derive(Default)]
struct Answers {
    admission: Option<Admission>,
    verdict: Option<Verdict>,
    reaction: Option<Reaction>,
}

/// Whether a mail so admitted goes out as it did for certain. Where it does and the journal has it so, the active
/// revision need not be asked again what it said then: a plugin is a pure function.
fn leads_to(admission: &Admission, sent: &Sent, relays: &[Relay]) -> bool {
    let Admission::Send(Sending { relay, ab_variant, .. }) = admission else { return false };
    let is_same_relay = match relay {
        Some(named) => *named == sent.relay,
        // By the first that was available, or by the one that an earlier verdict named: only with one is that certain.
        None => matches!(relays, [only] if only.name == sent.relay),
    };
    is_same_relay && *ab_variant == sent.ab_variant
}

/// Each that was given, or nothing, as [`DECISIONS`] names them.
fn in_words(answers: &Answers) -> [String; 3] {
    let Answers { admission, verdict, reaction } = answers;
    [
        admission.as_ref().map(admission_in_words).unwrap_or_default(),
        verdict.as_ref().map(verdict_in_words).unwrap_or_default(),
        reaction.as_ref().map(reaction_in_words).unwrap_or_default(),
    ]
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
            Admission::Send(Sending {
                relay: relay.map(str::to_owned),
                ab_variant: variant.map(str::to_owned),
                ..Sending::default()
            })
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
