//! A component tried on the gate's fixtures: one call after the other, then as many at once as traffic may make.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{Gate, Progress, Step, Trial};
use crate::clock::Clock;
use crate::notification::{Channel, Class, Failure, Relay, Situation};
use crate::plugin::ask::{Output, Question, Response, ask};
use crate::plugin::cache::Key;
use crate::plugin::fault::{Fault, LoadError};
use crate::plugin::fixture::{self, Fixture};
use crate::plugin::sandbox::{Budget, Sandbox, Usage};
use crate::plugin::{Impure, Revision, Slot};

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
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Tried {
    pub(super) trials: Vec<Trial>,
    pub(super) shares: Shares,
    pub(super) warnings: Vec<String>,
}

/// One call of the gate's.
#[derive(Clone)]
struct Call {
    revision: Arc<Revision>,
    sandbox: Sandbox,
    clock: Clock,
}

impl Call {
    async fn run(&self, budget: &Budget, fixture: &Fixture, question: &Question) -> Result<Response, Fault> {
        ask(&self.sandbox, &self.clock, budget, &self.revision, &fixture.notification, question).await
    }

    /// Where there is live code, it must say the same. It may take its time: how busy the machine is, is no matter here.
    async fn must_say_the_same_live(
        &self,
        budget: &Budget,
        fixture: &Fixture,
        question: &Question,
        said: &Output,
    ) -> Result<(), LoadError> {
        if self.revision.guests.live.is_none() {
            return Ok(());
        }
        let live = Self { sandbox: self.sandbox.live(), ..self.clone() };
        match live.run(&budget.times(GENEROSITY), fixture, question).await {
            Ok(response) if response.output == *said => Ok(()),
            other => {
                let how = other.map_or_else(|fault| fault.to_string(), |_| "another answer".to_owned());
                let on = format!("{} on \"{}\"", question.name(), fixture.name);
                Err(LoadError::Host(format!("the two codes of the component differ, {on}: {how}")))
            }
        }
    }

    /// Whether the component says something else where WASI's clock and random numbers are others.
    async fn is_impure(&self, budget: &Budget, fixture: &Fixture, question: &Question, said: &Output) -> bool {
        let elsewhere = Self { sandbox: self.sandbox.elsewhere(), ..self.clone() };
        !elsewhere.run(budget, fixture, question).await.is_ok_and(|response| response.output == *said)
    }
}

impl Gate {
    /// What trying a component comes to. Code that is not new, and passed in a host of this version with these settings, is not tried again.
    pub(super) async fn tried(
        &self,
        key: &Key,
        is_known: bool,
        revision: Arc<Revision>,
        progress: &Progress,
    ) -> Result<Tried, LoadError> {
        let Self { configure, call, calls_max, impure, relays, is_serving, .. } = self;
        let terms = (configure, call, calls_max, impure, &**relays, is_serving);
        let terms = serde_json::to_vec(&terms).map_err(|e| LoadError::Host(e.to_string()))?;
        if is_known && let Some(tried) = self.cache.tried(key, &terms).await {
            return Ok(tried);
        }
        let tried = self.try_out(revision, progress).await?;
        self.cache.keep_tried(key, &terms, &tried).await;
        Ok(tried)
    }

    /// Calls every export on the fixtures, as traffic would.
    async fn try_out(&self, revision: Arc<Revision>, progress: &Progress) -> Result<Tried, LoadError> {
        let mut tried = Tried::default();
        let questions = questions(&revision, &self.relays);
        let call = Call { revision, sandbox: self.sandbox.clone(), clock: self.clock.clone() };
        let fixtures = fixture::all();
        let mut impure = None;
        let of = u32::try_from(fixtures.len()).unwrap_or_default();
        for (done, fixture) in (0..).zip(&fixtures) {
            progress.send_replace(Step::Trying(done, of));
            let budget = self.call.for_lines(fixture.notification.payload.lines());
            for question in &questions {
                let Response { output, usage, time_us } = match call.run(&budget, fixture, question).await {
                    Ok(response) => response,
                    Err(fault) => {
                        let advice = self.advice(&call, fixture, question, &fault).await;
                        return Err(LoadError::Fixture { fixture: fixture.name.clone(), fault, advice });
                    }
                };
                call.must_say_the_same_live(&budget, fixture, question, &output).await?;
                tried.shares = tried.shares.or(usage, time_us, &budget);
                if impure.is_none() && call.is_impure(&budget, fixture, question, &output).await {
                    impure = Some(fixture.name.clone());
                }
                let fixture = format!("{}: {}", question.name(), fixture.name);
                tried.trials.push(Trial { fixture, usage, time_us });
            }
        }
        match impure {
            Some(fixture) if self.impure == Impure::Refuse => return Err(LoadError::Impure { fixture }),
            Some(fixture) => tried.warnings.push(LoadError::Impure { fixture }.to_string()),
            None => {}
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
        // What serves is tried as it serves.
        let sandbox = if call.revision.guests.live.is_some() { self.sandbox.live() } else { self.sandbox.clone() };
        let call = &Call { sandbox, ..call.clone() };
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
            (Fault::Fuel(max), Ok(Response { usage, .. })) => format!(
                "; needs {} of {} fuel: plugins.call.fuel_max + {lines} x plugins.call.fuel_per_line",
                fuel(usage.fuel),
                fuel(*max)
            ),
            (Fault::Deadline(max), Ok(Response { time_us, .. })) => {
                format!("; needs {} of {max} ms here: plugins.call.time_ms_max", time_us.div_ceil(1_000))
            }
            (_, Err(_)) => format!("; {GENEROSITY} times as much is not enough either"),
            _ => String::new(),
        }
    }
}

/// What the gate asks a component.
fn questions(revision: &Revision, relays: &[String]) -> Vec<Question> {
    let situation = fixture::situation(relays);
    match revision.slot {
        Slot::Renderer => vec![Question::Render { ab_variant: None, seed: SEED }],
        Slot::Policy => {
            let failed = |f: Failure| {
                let situation = Situation { attempts: 1, history: vec![f.clone()], ..situation.clone() };
                Question::OnFailure(f, situation)
            };
            let failed = fixture::failures().into_iter().map(failed);
            let endpoint = Relay { name: "1".to_owned(), available: true };
            let webhook = Situation { channel: Channel::Webhook, relays: vec![endpoint], ..situation.clone() };
            let lost = fixture::failures().into_iter().find(|f| f.class == Class::InDoubt);
            let lost = lost.map(|f| {
                let f = Failure { relay: "1".to_owned(), ..f };
                let after = Situation { attempts: 1, history: vec![f.clone()], ..webhook.clone() };
                Question::OnFailure(f, after)
            });
            let requests = std::iter::once(Question::Admit(webhook)).chain(lost);
            let reports = if revision.answers_reports() { fixture::reports() } else { Vec::new() };
            let sent = Situation { attempts: 1, ..situation.clone() };
            let reports = reports.into_iter().map(|report| Question::OnReport(report, sent.clone()));
            std::iter::once(Question::Admit(situation.clone())).chain(failed).chain(requests).chain(reports).collect()
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
