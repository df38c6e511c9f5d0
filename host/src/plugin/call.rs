//! What a delivery asks of the plugins: who answers, who stands in, and who only looks on.

use std::sync::Arc;

use super::diff;
use super::health::Shadowed;
use super::sandbox::Sandbox;
use super::{Answer, Code, Email, Fault, Lineage, Plugins, Revision, Usage, check};
use crate::notification::report::{Reaction, Reported};
use crate::notification::{Admission, Failure, Notification, Request, Sending, Situation, Verdict};

/// Asks one after the other until one answers: the answer, who gave it, and who failed to.
macro_rules! ask {
    ($this:ident, $name:literal, $lineage:expr, $n:expr, |$revision:ident| $call:expr) => {
        ask!($this, $name, $lineage, $n, |_asked| true, |$revision| $call)
    };
    ($this:ident, $name:literal, $lineage:expr, $n:expr, |$asked:ident| $is_asked:expr, |$revision:ident| $call:expr) => {{
        let mut faults = Vec::new();
        let mut answered = (None, None);
        for $revision in $lineage.in_order($n.payload.sticky_id()).filter(|$asked| $is_asked) {
            if !$this.may_call(&$lineage, $revision) {
                continue;
            }
            let begun = $this.clock.monotonic_us();
            let answer = $call.await;
            let took_us = $this.clock.monotonic_us() - begun;
            $this.record($revision, answer.is_ok());
            let outcome = answer.as_ref().err().map_or("ok", Fault::code);
            $this.metrics.plugin_call($name, $revision.number, outcome, took_us);
            match answer {
                Ok(value) => {
                    answered = (Some(value), Some($revision.clone()));
                    break;
                }
                Err(fault) => faults.push(($revision.clone(), fault)),
            }
        }
        let (value, by) = answered;
        (value, by, faults)
    }};
}

impl Plugins {
    /// Renders the mail: by the order's canary or the active revision, else by the last good one, else by the built-in.
    pub async fn render(&self, n: &Notification, request: &Request<'_>) -> Answer<Option<Email>> {
        let routing = self.routing.load_full();
        let (value, by, faults) =
            ask!(self, "render", routing.renderer, n, |r| self.render_by(Code::Live, r, n, request));
        let value = value.map(|(email, _)| email);
        Answer { value, by, faults }
    }

    fn sandbox(&self, code: Code) -> &Sandbox {
        match code {
            Code::Metered => &self.metered,
            Code::Live => &self.live,
        }
    }

    /// Renders the mail by this revision or not at all; with what it used.
    pub async fn render_by(
        &self,
        code: Code,
        r: &Revision,
        n: &Notification,
        request: &Request<'_>,
    ) -> Result<(Email, Usage), Fault> {
        let budget = self.settings.call.for_lines(n.payload.lines());
        let (email, usage) = self.sandbox(code).render(r, &budget, n, request).await?;
        Ok((check::email(email, &budget)?, usage))
    }

    /// Asks the policy whether to send. When all fail, send: the host's own rule.
    pub async fn admit_event(&self, n: &Arc<Notification>, s: &Situation) -> Answer<Admission> {
        let routing = self.routing.load_full();
        let (value, by, faults) = ask!(self, "admit", routing.policy, n, |r| self.admit_by(Code::Live, r, n, s));
        Answer { value: value.map_or(Admission::Send(Sending::default()), |(admission, _)| admission), by, faults }
    }

    /// Asks this revision whether to send.
    pub async fn admit_by(
        &self,
        code: Code,
        r: &Revision,
        n: &Arc<Notification>,
        s: &Situation,
    ) -> Result<(Admission, Usage), Fault> {
        let budget = self.settings.call.for_lines(n.payload.lines());
        let (admission, usage) = self.sandbox(code).admit(r, &budget, n, s).await?;
        Ok((check::admission(admission, s)?, usage))
    }

    /// Asks the policy what a failure means. When all fail, the host's own rule decides.
    pub async fn on_failure(&self, n: &Arc<Notification>, f: &Failure, s: &Situation) -> Answer<Verdict> {
        let routing = self.routing.load_full();
        let (value, by, faults) =
            ask!(self, "on-failure", routing.policy, n, |r| self.on_failure_by(Code::Live, r, n, f, s));
        let native = || crate::notification::native_verdict(f, s.attempts);
        Answer { value: value.map_or_else(native, |(verdict, _)| verdict), by, faults }
    }

    /// Asks this revision what a failure means.
    pub async fn on_failure_by(
        &self,
        code: Code,
        revision: &Revision,
        n: &Arc<Notification>,
        f: &Failure,
        s: &Situation,
    ) -> Result<(Verdict, Usage), Fault> {
        let budget = self.settings.call.for_lines(n.payload.lines());
        let (verdict, usage) = self.sandbox(code).on_failure(revision, &budget, n, f, s).await?;
        Ok((check::verdict(verdict, s)?, usage))
    }

    /// Asks the policy what follows from a report. Where the one that serves the event does not say, and when all fail that do, it
    /// is noted: the host's own rule.
    pub async fn on_report(&self, n: &Arc<Notification>, r: &Reported, s: &Situation) -> Answer<Reaction> {
        let routing = self.routing.load_full();
        if !routing.policy.in_order(n.payload.sticky_id()).next().is_some_and(|serving| serving.answers_reports()) {
            return Answer { value: Reaction::Note, by: None, faults: Vec::new() };
        }
        let (value, by, faults) = ask!(
            self,
            "on-report",
            routing.policy,
            n,
            |asked| asked.answers_reports(),
            |revision| self.on_report_by(Code::Live, revision, n, r, s)
        );
        Answer { value: value.map_or(Reaction::Note, |(reaction, _)| reaction), by, faults }
    }

    /// Asks this revision what follows from a report; one that does not say has it noted.
    pub async fn on_report_by(
        &self,
        code: Code,
        revision: &Revision,
        n: &Arc<Notification>,
        r: &Reported,
        s: &Situation,
    ) -> Result<(Reaction, Usage), Fault> {
        if !revision.answers_reports() {
            return Ok((Reaction::Note, Usage::default()));
        }
        let budget = self.settings.call.for_lines(n.payload.lines());
        let (reaction, usage) = self.sandbox(code).on_report(revision, &budget, n, r, s).await?;
        Ok((check::reaction(reaction, r, s)?, usage))
    }

    /// Whether a revision is asked now: one whose circuit is open is not, but for the last.
    fn may_call(&self, lineage: &Lineage, revision: &Revision) -> bool {
        let is_last = revision.number == lineage.builtin.number;
        is_last || revision.health.may_try(self.clock.monotonic_ms(), &self.settings.breaker)
    }

    /// Counts an answer or the want of one.
    fn record(&self, revision: &Revision, is_good: bool) {
        if revision.health.called(is_good, self.clock.monotonic_ms(), &self.settings.breaker) {
            tracing::error!(
                plugin.revision = revision.number,
                "{}: circuit open, since it only failed of late",
                revision.slot
            );
        }
    }

    /// A relay refused a mail of this revision's writing for good.
    pub fn rejected(&self, number: i64) {
        if let Some(revision) = self.prepared(number) {
            revision.health.rejected();
        }
    }

    /// Lets the shadow renderer write the same mail, beside the traffic and unseen; what it makes of it is counted.
    pub fn shadow_render(self: &Arc<Self>, n: &Arc<Notification>, request: &Request<'_>, real: &Email) {
        let Some(shadow) = self.routing.load().renderer.shadow.clone() else { return };
        let (this, n, real) = (self.clone(), n.clone(), real.clone());
        let (variant, seed) = (request.ab_variant.map(str::to_owned), request.seed);
        self.shadow(&shadow.clone(), async move {
            let request = Request { ab_variant: variant.as_deref(), seed };
            match this.render_by(Code::Live, &shadow, &n, &request).await {
                Ok((email, _)) => Shadowed::of(&n, diff::emails(&real, &email)),
                Err(_) => Shadowed::Fault,
            }
        });
    }

    /// The same of a decision to admit.
    pub fn shadow_admit(self: &Arc<Self>, n: &Arc<Notification>, s: &Situation, real: &Admission) {
        let Some(shadow) = self.routing.load().policy.shadow.clone() else { return };
        let (this, n, s, real) = (self.clone(), n.clone(), s.clone(), real.clone());
        self.shadow(&shadow.clone(), async move {
            match this.admit_by(Code::Live, &shadow, &n, &s).await {
                Ok((admission, _)) => {
                    let [real, other] = [&real, &admission].map(diff::admission_in_words);
                    Shadowed::of(&n, diff::decision("admission", &real, &other).into_iter().collect())
                }
                Err(_) => Shadowed::Fault,
            }
        });
    }

    /// The same of a verdict upon a failure.
    pub fn shadow_on_failure(self: &Arc<Self>, n: &Arc<Notification>, f: &Failure, s: &Situation, real: &Verdict) {
        let Some(shadow) = self.routing.load().policy.shadow.clone() else { return };
        let (this, n, f, s, real) = (self.clone(), n.clone(), f.clone(), s.clone(), real.clone());
        self.shadow(&shadow.clone(), async move {
            match this.on_failure_by(Code::Live, &shadow, &n, &f, &s).await {
                Ok((verdict, _)) => {
                    let [real, other] = [&real, &verdict].map(diff::verdict_in_words);
                    Shadowed::of(&n, diff::decision("verdict", &real, &other).into_iter().collect())
                }
                Err(_) => Shadowed::Fault,
            }
        });
    }

    /// The same of a reaction to a report.
    pub fn shadow_on_report(self: &Arc<Self>, n: &Arc<Notification>, r: &Reported, s: &Situation, real: &Reaction) {
        let Some(shadow) = self.routing.load().policy.shadow.clone() else { return };
        let (this, n, r, s, real) = (self.clone(), n.clone(), r.clone(), s.clone(), real.clone());
        self.shadow(&shadow.clone(), async move {
            match this.on_report_by(Code::Live, &shadow, &n, &r, &s).await {
                Ok((reaction, _)) => {
                    let [real, other] = [&real, &reaction].map(diff::reaction_in_words);
                    Shadowed::of(&n, diff::decision("reaction", &real, &other).into_iter().collect())
                }
                Err(_) => Shadowed::Fault,
            }
        });
    }

    fn shadow(&self, shadow: &Arc<Revision>, seen: impl Future<Output = Shadowed> + Send + 'static) {
        let Ok(permit) = self.shadowing.clone().try_acquire_owned() else {
            shadow.health.shadowed(Shadowed::Skipped);
            return;
        };
        let shadow = shadow.clone();
        #[expect(clippy::disallowed_methods, reason = "ends by its budgets, and nobody waits for it")]
        tokio::spawn(async move {
            shadow.health.shadowed(seen.await);
            drop(permit);
        });
    }
}
