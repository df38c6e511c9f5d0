//! One event: ask the policy, render, hand over, ask what a failure means. No SQL, no loop.

mod event;
mod way;

use std::future::Future;

pub use event::{Event, Intent, Note, Observed, Report};

use crate::clock::Clock;
use crate::lease::{Lease, NotRecorded};
use crate::mail::Mailer;
use crate::notification::{
    self, Admission, Caps, Class, Failure, Request, Sending, Situation, State, Transition, Verdict, bounded,
};
use crate::outbound::{Outcome, Untried};
use crate::plugin::{Answer, Email, Fault, Plugins, Revision};
use crate::trace;
use crate::webhook::Webhooks;
use way::{Outgoing, Way};

/// What a delivery needs. Cheap to clone.
#[derive(Clone)]
pub struct Deliver {
    /// Who renders and decides.
    pub plugins: std::sync::Arc<Plugins>,
    /// Who sends mails.
    pub mailer: Mailer,
    /// Who sends requests to endpoints of webhooks.
    pub webhooks: Webhooks,
    /// What nobody may exceed.
    pub caps: Caps,
    /// Time and randomness.
    pub clock: Clock,
}

/// Works on one event, from claim to report.
struct Delivery<'a> {
    with: &'a Deliver,
    event: &'a Event,
    way: &'a Way<'a>,
    seed: u64,
    notes: Vec<Note>,
    observed: Observed,
    renderer: Option<i64>,
    admitted: Option<Situation>,
    ab_variant: Option<String>,
}

impl Deliver {
    /// Delivers one event. `hand_over` records the intent; it is called at most once.
    pub async fn event<F>(
        &self,
        event: &Event,
        lease: &Lease,
        hand_over: impl FnOnce(Intent, u64) -> F + Send,
    ) -> Report
    where
        F: Future<Output = Result<(), NotRecorded>> + Send,
    {
        let seed = u64::from_le_bytes(self.clock.random());
        let way = match Way::of(event, self) {
            Ok(way) => way,
            Err(reason) => return Report::held(&reason, event, seed),
        };
        let mut delivery = Delivery {
            with: self,
            event,
            way: &way,
            seed,
            notes: Vec::new(),
            observed: Observed::default(),
            renderer: None,
            admitted: None,
            ab_variant: None,
        };
        let (transition, attempts) = delivery.run(lease, hand_over).await;
        Report { transition, attempts, notes: delivery.notes, seed, observed: delivery.observed }
    }

    /// Shows an event to the shadows, once its end is recorded.
    pub fn shadow(&self, event: &Event, seed: u64, observed: &Observed) {
        if let Some((email, ab_variant)) = &observed.email {
            let request = Request { ab_variant: ab_variant.as_deref(), seed };
            self.plugins.shadow_render(&event.notification, &request, email);
        }
        if let Some((situation, admission)) = &observed.admission {
            self.plugins.shadow_admit(&event.notification, situation, admission);
        }
        if let Some((failure, situation, verdict)) = &observed.verdict {
            self.plugins.shadow_on_failure(&event.notification, failure, situation, verdict);
        }
    }
}

impl<'a> Delivery<'a> {
    async fn run<F>(&mut self, lease: &Lease, hand_over: impl FnOnce(Intent, u64) -> F + Send) -> (Transition, u32)
    where
        F: Future<Output = Result<(), NotRecorded>> + Send,
    {
        if self.event.in_doubt {
            let failure = self.failure(Class::InDoubt, "body", "an earlier attempt ended without an answer", "");
            return self.settle(failure).await;
        }
        if let Some(Untried { delay_ms, .. }) = self.way.paused() {
            return (Transition::Later { delay_ms, relay: self.event.relay.clone() }, self.event.attempts);
        }
        let (situation, named, policy) = match self.admit().await {
            Ok(admitted) => admitted,
            Err(transition) => return (transition, self.event.attempts),
        };
        let relay = self.way.choose(named.as_deref()).to_owned();
        if let Some(untried) = self.way.refuse(&relay) {
            return self.untried(untried, named, &relay).await;
        }
        let (outgoing, renderer) = match self.make().await {
            Ok(made) => made,
            Err(why) => {
                let failure = self.failure(Class::RenderFailed, "render", &why, "");
                return self.settle(failure).await;
            }
        };
        match self.send(&outgoing, &relay, renderer, policy, situation, lease, hand_over).await {
            Ok(outcome) => self.outcome(outcome).await,
            Err(untried) => self.untried(untried, named, &relay).await,
        }
    }

    /// What kept a mail from being offered to its relay is nobody's failed attempt, until the event is too old.
    async fn untried(&mut self, untried: Untried, named: Option<String>, relay: &str) -> (Transition, u32) {
        let Untried { delay_ms, why } = untried;
        let event = self.event;
        let is_overdue =
            notification::is_overdue(&self.with.caps, event.queued_at, event.first_failed_at, event.claimed_at);
        if !is_overdue || self.is_spared(Some(relay)) {
            // It goes by another relay at once, if there is one that would take it.
            let next = self.way.choose(named.as_deref());
            let delay_ms = if next != relay && self.way.refuse(next).is_none() { 0 } else { delay_ms };
            return (Transition::Later { delay_ms, relay: named }, event.attempts);
        }
        let failure = self.failure(Class::NotHandedOver, "connect", &why, relay);
        self.settle(failure).await
    }

    /// An operator who pauses a relay or a kind gives up no mail.
    fn is_spared(&self, relay: Option<&str>) -> bool {
        self.way.is_spared(relay)
    }

    /// Asks the policy; what keeps the mail back comes as the error.
    async fn admit(&mut self) -> Result<(Situation, Option<String>, Option<(String, i64)>), Transition> {
        let situation = self.situation(None);
        let asking = asked("policy admit", self.with.plugins.admit_event(&self.event.notification, &situation));
        let Answer { value, by, faults } = asking.await;
        self.faults("admit", faults);
        if self.with.plugins.routing().policy.shadow.is_some() {
            self.observed.admission = Some((situation.clone(), value.clone()));
        }
        let by = by.as_deref().map(identity);
        let age_ms = if self.is_spared(None) { 0 } else { self.event.claimed_at - self.event.queued_at };
        if let Some(transition) = notification::admit(&value, &self.with.caps, age_ms) {
            let transition = match transition {
                // What an earlier verdict chose holds as long as it waits.
                Transition::Later { delay_ms, .. } => Transition::Later { delay_ms, relay: self.event.relay.clone() },
                transition => transition,
            };
            let delay_ms = match &transition {
                Transition::Later { delay_ms, .. } => Some(*delay_ms),
                _ => None,
            };
            let (verdict, reason) = match value {
                Admission::Send(_) | Admission::Wait(_) => ("wait", String::new()),
                Admission::Skip(why) => ("skip", bounded(&why)),
                Admission::Hold(holding) => (self.hold(&holding), bounded(&holding.reason)),
                Admission::Merge => ("merge", String::new()),
            };
            let situation = Some(Box::new(situation));
            self.notes.push(Note::Decision { verdict, reason, delay_ms, by, situation });
            return Err(transition);
        }
        let sending = match value {
            Admission::Send(sending) => sending,
            _ => Sending::default(),
        };
        if let Some(suppressed) = &self.event.suppressed
            && self.event.is_stopped_by(suppressed, sending.ignores_suppression)
        {
            let (reason, situation) = (suppressed.reason(), Some(Box::new(situation)));
            self.notes.push(Note::Decision {
                verdict: "skip",
                reason: reason.clone(),
                delay_ms: None,
                by: None,
                situation,
            });
            return Err(Transition::End { state: State::Skipped, reason });
        }
        let Sending { relay: named, ab_variant, .. } = sending;
        self.ab_variant = ab_variant;
        self.admitted = Some(situation.clone());
        // What an earlier verdict chose holds while that relay is available.
        let earlier = self.event.relay.clone().filter(|relay| self.way.is_available(relay));
        Ok((situation, named.or(earlier), by))
    }

    /// What goes out: a mail, and who wrote it, or a request.
    async fn make(&mut self) -> Result<(Outgoing<'a>, Option<(String, i64)>), String> {
        let n = &self.event.notification;
        match self.way {
            Way::Mail { mailer, .. } => {
                let (email, renderer) = self.render().await?;
                let message = mailer.build(n, &email, self.seed, self.dated_at())?;
                Ok((Outgoing::Mail(mailer, message), Some(renderer)))
            }
            Way::Webhook(way) => Ok((Outgoing::Webhook(way, way.request(n)?), None)),
        }
    }

    async fn render(&mut self) -> Result<(Email, (String, i64)), String> {
        let request = Request { ab_variant: self.ab_variant.as_deref(), seed: self.seed };
        let asking = asked("render", self.with.plugins.render(&self.event.notification, &request));
        let Answer { value, by, faults } = asking.await;
        let last = faults.last().map_or_else(String::new, |(_, fault)| fault.to_string());
        self.faults("render", faults);
        match (value, by) {
            (Some(email), Some(revision)) => {
                if self.with.plugins.routing().renderer.shadow.is_some() {
                    self.observed.email = Some((email.clone(), self.ab_variant.clone()));
                }
                self.renderer = Some(revision.number);
                Ok((email, identity(&revision)))
            }
            _ => Err(last),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is a different thing, and all go into the intent")]
    async fn send<F>(
        &self,
        outgoing: &Outgoing<'_>,
        relay: &str,
        renderer: Option<(String, i64)>,
        policy: Option<(String, i64)>,
        situation: Situation,
        lease: &Lease,
        hand_over: impl FnOnce(Intent, u64) -> F + Send,
    ) -> Result<Outcome, Untried>
    where
        F: Future<Output = Result<(), NotRecorded>> + Send,
    {
        let message_hash = outgoing.hash();
        let dated_at = self.dated_at();
        let (relay_name, ab_variant) = (relay.to_owned(), self.ab_variant.clone());
        let intent = Intent { relay: relay_name, renderer, policy, ab_variant, situation, message_hash, dated_at };
        let seed = self.seed;
        // Each function that passes it on would have room for it.
        let recording = Box::pin(async move { hand_over(intent, seed).await });
        let mut span = trace::step("send");
        span.set_with("ecomm.relay", || relay.to_owned());
        let sent = span.around(outgoing.send(relay, lease, recording)).await;
        match &sent {
            Ok(Outcome { result: Ok(()), .. }) => {}
            Ok(Outcome { result: Err(class), phase, code, .. }) => {
                span.fail(class.as_str());
                span.set("ecomm.smtp.phase", *phase);
                span.set("ecomm.smtp.code", code.map_or(0, i64::from));
            }
            Err(_) => span.fail("untried"),
        }
        sent
    }

    /// The date that the mail was given when it was first handed over: now, if that is still to come.
    fn dated_at(&self) -> i64 {
        self.event.dated_at.unwrap_or(self.event.claimed_at)
    }

    async fn outcome(&mut self, outcome: Outcome) -> (Transition, u32) {
        let Outcome { result, phase, code, enhanced, reply, relay } = outcome;
        let Err(class) = result else {
            let attempts = self.event.attempts + 1;
            self.notes.push(Note::Attempt {
                class: None,
                phase: phase.to_owned(),
                code,
                enhanced,
                reply: reply.clone(),
                relay,
                verdict: None,
                reason: String::new(),
                delay_ms: None,
                by: None,
                situation: None,
            });
            return (Transition::End { state: State::Sent, reason: reply }, attempts);
        };
        if class == Class::Rejected
            && let Some(renderer) = self.renderer
        {
            self.with.plugins.rejected(renderer);
        }
        let failure = Failure { code, enhanced, ..self.failure(class, phase, &reply, &relay) };
        self.settle(failure).await
    }

    /// Asks the policy what a failure means, and writes both down. What says nothing of the mail is not charged.
    async fn settle(&mut self, failure: Failure) -> (Transition, u32) {
        let charged = u32::from(failure.class.is_charged());
        let attempts = self.event.attempts + charged;
        let situation = self.situation(Some(&failure));
        let n = &self.event.notification;
        let asking = asked("policy on-failure", self.with.plugins.on_failure(n, &failure, &situation));
        let Answer { value, by, faults } = asking.await;
        self.faults("on-failure", faults);
        let value = self.way.ruled(&n.payload.kind, &failure, value);
        if self.with.plugins.routing().policy.shadow.is_some() {
            self.observed.verdict = Some((failure.clone(), situation, value.clone()));
        }
        let first_failed_at = self.event.first_failed_at.filter(|_| !self.is_spared(Some(&failure.relay)));
        let age_ms = first_failed_at.map_or(0, |first| self.event.claimed_at - first);
        let shortest_ms = self.way.shortest_pause_ms(&failure, &value, &self.with.caps);
        let transition = notification::settle(&value, &self.with.caps, attempts, age_ms, shortest_ms, self.seed);
        let delay_ms = match &transition {
            Transition::Later { delay_ms, .. } => Some(*delay_ms),
            _ => None,
        };
        let (verdict, reason) = match value {
            Verdict::Retry(..) => ("retry", String::new()),
            Verdict::GiveUp(why) => ("give-up", bounded(&why)),
            Verdict::Hold(holding) => (self.hold(&holding), bounded(&holding.reason)),
        };
        let Failure { at: _, class, phase, code, enhanced, reply, relay } = failure;
        self.notes.push(Note::Attempt {
            class: Some(class),
            phase,
            code,
            enhanced,
            reply,
            relay,
            verdict: Some(verdict),
            reason,
            delay_ms,
            by: by.as_deref().map(identity),
            situation: self.admitted.take().map(Box::new),
        });
        (transition, attempts)
    }

    /// The journal's word for what is left to an operator, who is called if it is urgent.
    fn hold(&self, holding: &notification::Holding) -> &'static str {
        holding.call(self.event.notification.id);
        holding.verdict()
    }

    fn failure(&self, class: Class, phase: &str, reply: &str, relay: &str) -> Failure {
        Failure {
            at: self.with.clock.now_ms(),
            class,
            phase: phase.to_owned(),
            code: None,
            enhanced: None,
            reply: bounded(reply),
            relay: relay.to_owned(),
        }
    }

    fn situation(&self, failure: Option<&Failure>) -> Situation {
        let event = self.event;
        let now = self.with.clock.now_ms();
        let before = Situation {
            now,
            seed: self.seed,
            attempts: event.attempts,
            attempts_max: self.with.caps.attempts_max,
            queued_at: event.queued_at,
            first_failed_at: event.first_failed_at,
            age_max_ms: self.with.caps.age_max_ms,
            history: event.history.clone(),
            relays: self.way.relays(),
            domain_throttled_at: self.way.domain_throttled_at(),
            newest_status: event.newest_status.clone(),
            queued: event.queued.clone(),
            suppressed: event.suppressed.clone(),
            channel: self.way.channel(),
            named_relay: event.relay.clone(),
        };
        match failure {
            Some(failure) => before.after(failure),
            None => before,
        }
    }

    fn faults(&mut self, call: &'static str, faults: Vec<(std::sync::Arc<Revision>, Fault)>) {
        let note = |(by, fault): (std::sync::Arc<Revision>, Fault)| Note::Fault { call, by: identity(&by), fault };
        self.notes.extend(faults.into_iter().map(note));
    }
}

/// A question to a component, as a step of the trace.
async fn asked<T>(name: &'static str, question: impl Future<Output = Answer<T>>) -> Answer<T> {
    let mut span = trace::step(name);
    let answer = question.await;
    if let Some(revision) = &answer.by {
        span.set("ecomm.plugin.revision", revision.number);
    }
    if let Some((_, fault)) = answer.faults.first() {
        span.fail(fault.code());
    }
    answer
}

fn identity(revision: &Revision) -> (String, i64) {
    (revision.digest.clone(), revision.number)
}
