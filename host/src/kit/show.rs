//! What a component says to one event, and what that took.

use super::golden;
use super::project::Event;
use crate::notification::report::Reported;
use crate::notification::{Failure, Situation};
use crate::plugin::{Budget, Email, Fault, Offline, Output, Question, Response, Revision, Slot, failures, reports};

/// What a component is asked about an event.
pub fn questions(offline: &Offline, revision: &Revision, event: &Event) -> Vec<Question> {
    let situation = Situation { now: event.notification.payload.occurred_at, ..offline.situation() };
    let failed = |failure: Failure| {
        let failure = Failure { at: situation.now, ..failure };
        let situation = Situation { attempts: 1, first_failed_at: Some(situation.now), ..situation.clone() };
        Question::OnFailure(failure.clone(), situation.after(&failure))
    };
    let reported = |report: Reported| {
        let report = Reported { at: situation.now, sent_at: situation.now, ..report };
        Question::OnReport(report, Situation { attempts: 1, ..situation.clone() })
    };
    match revision.slot {
        Slot::Renderer => vec![Question::Render { ab_variant: None, seed: 1 }],
        Slot::Policy => {
            let reports = if revision.answers_reports() { reports() } else { Vec::new() };
            let failed = failures().into_iter().map(failed);
            let reported = reports.into_iter().map(reported);
            std::iter::once(Question::Admit(situation.clone())).chain(failed).chain(reported).collect()
        }
    }
}

/// An answer, or why there is none.
#[derive(Debug)]
pub struct Shown {
    /// What was asked.
    pub question: Question,
    /// What it said, and what that took.
    pub answer: Result<Response, Fault>,
    /// What it might have taken.
    pub budget: Budget,
}

/// Asks a component all that its slot is asked about an event.
pub async fn show(offline: &Offline, revision: &Revision, event: &Event) -> Vec<Shown> {
    let mut all = Vec::new();
    for question in questions(offline, revision, event) {
        let answer = offline.ask(revision, &event.notification, &question).await;
        all.push(Shown { question, answer, budget: offline.budget(&event.notification) });
    }
    all
}

impl Shown {
    /// The mail, if it is one.
    pub fn email(&self) -> Option<&Email> {
        match &self.answer {
            Ok(Response { output: Output::Email(email), .. }) => Some(email),
            _ => None,
        }
    }

    /// In words: the mail without its HTML, the decision, or what went wrong.
    pub fn text(&self) -> String {
        match &self.answer {
            Ok(Response { output: Output::Email(email), .. }) => golden::text(email),
            Ok(Response { output: Output::Admission(admission), .. }) => {
                format!("{}: {}", self.question.name(), json(admission))
            }
            Ok(Response { output: Output::Verdict(verdict), .. }) => {
                format!("{}: {}", self.question.name(), json(verdict))
            }
            Ok(Response { output: Output::Reaction(reaction), .. }) => {
                format!("{}: {}", self.question.name(), json(reaction))
            }
            Err(fault) => format!("{}: {fault} ({})", self.question.name(), fault.code()),
        }
    }

    /// What it took: "fuel 1.2 % (241064), memory 1.7 % (1114112 bytes), time 0.3 ms of 250 ms, 5 KB".
    pub fn cost(&self) -> Option<String> {
        let Response { usage, time_us, output } = self.answer.as_ref().ok()?;
        #[expect(clippy::cast_precision_loss, reason = "for people, to a tenth")]
        let percent = |used: u64, max: u64| used as f64 * 100.0 / max.max(1) as f64;
        let Budget { fuel_max, memory_bytes_max, time_ms_max, .. } = self.budget;
        let (fuel, memory) =
            (percent(usage.fuel, fuel_max), percent(usage.memory_bytes as u64, memory_bytes_max as u64));
        let size = match output {
            Output::Email(email) => email.text.len() + email.html.as_ref().map_or(0, String::len),
            Output::Admission(_) | Output::Verdict(_) | Output::Reaction(_) => 0,
        };
        Some(format!(
            "fuel {fuel:.1} % ({}), memory {memory:.1} % ({} bytes), time {}.{} ms of {time_ms_max} ms, text and HTML {size} bytes",
            usage.fuel,
            usage.memory_bytes,
            time_us / 1_000,
            time_us % 1_000 / 100,
        ))
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
