//! A component tried on the gate's fixtures: one call after the other, then as many at once as traffic may make.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{Gate, Progress, Step, Trial};
use crate::clock::Clock;
use crate::notification::{Failure, Request, Situation};
use crate::plugin::fault::{Fault, LoadError};
use crate::plugin::fixture::{self, Fixture};
use crate::plugin::sandbox::{Budget, Sandbox, Usage};
use crate::plugin::{Revision, Slot, check};

/// How much more of each budget a call is given that went over one, to learn what would have been enough.
const GENEROSITY: u64 = 10;
/// What a component that draws random numbers draws them from here.
const SEED: u64 = 42;

/// The largest part of each budget that a call used, in hundredths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Shares {
    /// Of `plugins.call.fuel_max` and `fuel_per_line`.
    pub fuel_percent: f64,
    /// Of `plugins.call.memory_bytes_max`.
    pub memory_percent: f64,
    /// Of `plugins.call.time_ms_max`, on this machine and as busy as it was.
    pub time_percent: f64,
}

/// What came of it.
pub(super) struct Tried {
    pub(super) trials: Vec<Trial>,
    pub(super) shares: Shares,
    pub(super) warnings: Vec<String>,
}

/// What a component is asked.
#[derive(Clone, Debug)]
enum Question {
    Render,
    Admit,
    OnFailure(Failure),
}

impl Question {
    fn name(&self) -> String {
        match self {
            Self::Render => "render".to_owned(),
            Self::Admit => "admit".to_owned(),
            Self::OnFailure(failure) => format!("on-failure {}", failure.class.as_str()),
        }
    }
}

/// One call of the gate's.
#[derive(Clone)]
struct Call {
    revision: Arc<Revision>,
    sandbox: Sandbox,
    relays: Arc<[String]>,
    clock: Clock,
}

impl Call {
    /// What it used, and how long it took in microseconds.
    async fn run(&self, budget: &Budget, fixture: &Fixture, question: &Question) -> Result<(Usage, u64), Fault> {
        let n = &fixture.notification;
        let situation = fixture::situation(&self.relays);
        let begun = self.clock.monotonic_us();
        let (revision, sandbox) = (&self.revision, &self.sandbox);
        let usage = match question {
            Question::Render => {
                let request = Request { ab_variant: None, seed: SEED };
                let (email, usage) = sandbox.render(revision, budget, n, &request).await?;
                check::email(email, budget)?;
                usage
            }
            Question::Admit => {
                let (admission, usage) = sandbox.admit(revision, budget, n, &situation).await?;
                check::admission(admission, &situation)?;
                usage
            }
            Question::OnFailure(f) => {
                let situation = Situation { attempts: 1, history: vec![f.clone()], ..situation };
                let (verdict, usage) = sandbox.on_failure(revision, budget, n, f, &situation).await?;
                check::verdict(verdict, &situation)?;
                usage
            }
        };
        Ok((usage, self.clock.monotonic_us() - begun))
    }
}

impl Gate {
    /// Calls every export on the fixtures, as traffic would.
    pub(super) async fn try_out(&self, revision: Arc<Revision>, progress: &Progress) -> Result<Tried, LoadError> {
        let mut tried = Tried { trials: Vec::new(), shares: Shares::default(), warnings: Vec::new() };
        let questions: Vec<Question> = match revision.slot {
            Slot::Renderer => vec![Question::Render],
            Slot::Policy => std::iter::once(Question::Admit)
                .chain(fixture::failures().into_iter().map(Question::OnFailure))
                .collect(),
        };
        let (sandbox, relays, clock) = (self.sandbox.clone(), self.relays.clone(), self.clock.clone());
        let call = Call { revision, sandbox, relays, clock };
        let fixtures = fixture::all();
        let of = u32::try_from(fixtures.len()).unwrap_or_default();
        for (done, fixture) in (0..).zip(&fixtures) {
            progress.send_replace(Step::Trying(done, of));
            let budget = self.call.for_lines(fixture.notification.payload.lines());
            for question in &questions {
                let (usage, time_us) = match call.run(&budget, fixture, question).await {
                    Ok(used) => used,
                    Err(fault) => {
                        let advice = self.advice(&call, fixture, question, &fault).await;
                        return Err(LoadError::Fixture { fixture: fixture.name.clone(), fault, advice });
                    }
                };
                tried.shares = tried.shares.or(usage, time_us, &budget);
                let fixture = format!("{}: {}", question.name(), fixture.name);
                tried.trials.push(Trial { fixture, usage, time_us });
            }
        }
        tried.warnings.extend(self.all_at_once(&call, &fixtures, &questions[0]).await?);
        Ok(tried)
    }

    /// As many calls at one time as traffic may make. One that is too slow then is no fault: how many processors there
    /// are and what else they do is not the component's affair. Whatever else fails is.
    async fn all_at_once(
        &self,
        call: &Call,
        fixtures: &[Fixture],
        question: &Question,
    ) -> Result<Option<String>, LoadError> {
        let mut calls = JoinSet::new();
        for fixture in fixtures.iter().cycle().take(self.calls_max as usize).cloned() {
            let (call, question) = (call.clone(), question.clone());
            let budget = self.call.for_lines(fixture.notification.payload.lines());
            calls.spawn(async move { (call.run(&budget, &fixture, &question).await, fixture.name) });
        }
        let mut slow = 0;
        while let Some(ended) = calls.join_next().await {
            let (answer, name) = ended.map_err(|e| LoadError::Host(e.to_string()))?;
            match answer {
                Ok(_) => {}
                Err(Fault::Deadline(_)) => slow += 1,
                Err(fault) => {
                    let fixture = format!("{name}, {} calls at once", self.calls_max);
                    return Err(LoadError::Fixture { fixture, fault, advice: String::new() });
                }
            }
        }
        let (all, max) = (self.calls_max, self.call.time_ms_max);
        Ok((slow > 0).then(|| {
            format!(
                "{slow} of {all} calls at once took longer than {max} ms on this machine (plugins.call.time_ms_max)"
            )
        }))
    }

    /// What would have been enough: the call once more, with ten times the budget.
    async fn advice(&self, call: &Call, fixture: &Fixture, question: &Question, fault: &Fault) -> String {
        let lines = fixture.notification.payload.lines();
        let budget = self.call.for_lines(lines);
        let used = match fault {
            Fault::Fuel(_) | Fault::Deadline(_) => call.run(&budget.times(GENEROSITY), fixture, question).await,
            _ => return advice(fault, "plugins.call"),
        };
        let fuel = |units: u64| millions(units);
        match (fault, used) {
            (Fault::Fuel(max), Ok((usage, _))) => format!(
                "; needs {} of {} fuel: plugins.call.fuel_max + {lines} x plugins.call.fuel_per_line",
                fuel(usage.fuel),
                fuel(*max)
            ),
            (Fault::Deadline(max), Ok((_, time_us))) => {
                format!("; needs {} of {max} ms here: plugins.call.time_ms_max", time_us.div_ceil(1_000))
            }
            (_, Err(_)) => format!("; {GENEROSITY} times as much is not enough either"),
            _ => String::new(),
        }
    }
}

/// What a fault that one call shows means for a component's author.
pub(super) fn advice(fault: &Fault, section: &str) -> String {
    match fault {
        Fault::Fuel(_) => format!("; the setting is {section}.fuel_max"),
        Fault::Deadline(_) => format!("; the setting is {section}.time_ms_max"),
        Fault::Memory(_) => format!("; the setting is {section}.memory_bytes_max"),
        Fault::Output(_) => format!("; the setting is {section}.output_bytes_max"),
        Fault::Trap(said) if said.contains("unreachable") => {
            "; it gave no reason: a toolchain that stubs WASI out loses its words (jco componentize: leave out \
             --backend-qjs-stub-wasi)"
                .to_owned()
        }
        _ => String::new(),
    }
}

/// 49.9 M.
fn millions(units: u64) -> String {
    // Up: what is said to be enough is.
    let tenths = units.div_ceil(100_000);
    format!("{}.{} M", tenths / 10, tenths % 10)
}

impl Shares {
    fn or(self, usage: Usage, time_us: u64, budget: &Budget) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a share for people, to a tenth")]
        let share = |used: u64, max: u64| (used as f64 * 1_000.0 / max.max(1) as f64).round() / 10.0;
        Self {
            fuel_percent: self.fuel_percent.max(share(usage.fuel, budget.fuel_max)),
            memory_percent: self.memory_percent.max(share(usage.memory_bytes as u64, budget.memory_bytes_max as u64)),
            time_percent: self.time_percent.max(share(time_us, budget.time_ms_max.saturating_mul(1_000))),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_said_to_be_enough_is() {
        assert_eq!(super::millions(49_900_000), "49.9 M");
        assert_eq!(super::millions(49_900_001), "50.0 M");
        assert_eq!(super::millions(1), "0.1 M");
    }
}
