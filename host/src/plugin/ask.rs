//! What a component can be asked beside deliveries, and what it says: by the gate, and by an author's tools.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::sandbox::{Budget, Sandbox, Usage};
use super::{Email, Revision, check};
use crate::clock::Clock;
use crate::notification::report::{Reaction, Reported};
use crate::notification::{Admission, Failure, Notification, Request, Situation, Verdict};

/// What a component is asked about a notification.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// What the mail says.
    Render {
        /// The variant that a policy chose.
        ab_variant: Option<String>,
        /// The only source of randomness.
        seed: u64,
    },
    /// Whether to send it.
    Admit(Situation),
    /// What becomes of it after a failure.
    OnFailure(Failure, Situation),
    /// What follows from a report.
    OnReport(Reported, Situation),
}

impl Question {
    /// In words: "render", "admit", "on-failure rejected", "on-report bounced".
    pub fn name(&self) -> String {
        match self {
            Self::Render { .. } => "render".to_owned(),
            Self::Admit(_) => "admit".to_owned(),
            Self::OnFailure(failure, _) => format!("on-failure {}", failure.class.as_str()),
            Self::OnReport(report, _) => format!("on-report {}", report.kind.as_str()),
        }
    }
}

/// What a component says, as far as the host takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// A mail.
    Email(Email),
    /// Whether to send.
    Admission(Admission),
    /// What becomes of it.
    Verdict(Verdict),
    /// What follows from a report.
    Reaction(Reaction),
}

/// What a call came to.
#[derive(Clone, Debug)]
pub struct Response {
    /// What it said.
    pub output: Output,
    /// Instructions and memory.
    pub usage: Usage,
    /// Microseconds, with a fresh instance.
    pub time_us: u64,
}

/// Asks a fresh instance of a component, and refuses what the host would refuse.
pub(super) async fn ask(
    sandbox: &Sandbox,
    clock: &Clock,
    budget: &Budget,
    revision: &Revision,
    n: &Arc<Notification>,
    question: &Question,
) -> Result<Response, Fault> {
    let begun = clock.monotonic_us();
    let (output, usage) = match question {
        Question::Render { ab_variant, seed } => {
            let request = Request { ab_variant: ab_variant.as_deref(), seed: *seed };
            let (email, usage) = sandbox.render(revision, budget, n, &request).await?;
            (Output::Email(check::email(email, budget)?), usage)
        }
        Question::Admit(s) => {
            let (admission, usage) = sandbox.admit(revision, budget, n, s).await?;
            (Output::Admission(check::admission(admission, s)?), usage)
        }
        Question::OnFailure(f, s) => {
            let (verdict, usage) = sandbox.on_failure(revision, budget, n, f, s).await?;
            (Output::Verdict(check::verdict(verdict, s)?), usage)
        }
        Question::OnReport(r, s) => {
            let (reaction, usage) = sandbox.on_report(revision, budget, n, r, s).await?;
            (Output::Reaction(check::reaction(reaction, r, s)?), usage)
        }
    };
    Ok(Response { output, usage, time_us: clock.monotonic_us() - begun })
}
