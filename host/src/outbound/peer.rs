//! One that takes messages, a mail relay or a webhook's endpoint: its connections, and whether it is worth trying.

use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::maybe_done;
use tokio::sync::Semaphore;

use super::connections::{Connections, Permit};
use super::load::Load;
use super::pauses::Pauses;
use super::pipeline::{Next, Pipeline};
use super::session::{Broken, Deadlines, Protocol, Session, Taken, Transacted};
use super::turns::{Turn, Turns};
use super::wait::{UNTRIED_MS, unless_slow};
use super::{Limits, Outcome, Standing, Untried};
use crate::clock::Clock;
use crate::lease::{Lease, NotRecorded};
use crate::notification::Class;
use crate::quota::{Ask, Caps};
use crate::trace;

/// One that cannot be reached is left alone for this long, doubling with each probe in vain.
const PAUSE_MS_MIN: i64 = 1_000;
/// How many messages may have their intent on record for each connection. Those beyond one wait for a connection to come
/// free; a crash finds them in doubt though they were never offered.
const READY_PER_CONNECTION: usize = 4;
/// A host wants its relays while it has had a mail within so many milliseconds, whichever takes it.
const WANTED_MS: i64 = 10_000;

/// A connection that is open, and the right to use it.
type Open<L> = (Session<L>, Permit);

/// One that takes messages, by the protocol that it speaks.
pub(crate) struct Peer<P: Protocol> {
    /// How it is spoken to.
    pub(crate) protocol: P,
    /// What it is called, and what it may be given.
    pub(crate) limits: Limits,
    /// How long each step may take.
    pub(crate) deadlines: Deadlines,
    /// Time.
    pub(crate) clock: Clock,
    /// Whose intents may be on record: those that have a connection, and the next in line for one.
    ready: Semaphore,
    connections: Arc<Connections>,
    pipeline: Pipeline<Open<P::Line>>,
    turns: Turns,
    load: Load,
    pauses: Arc<Pauses>,
    /// When a message was last meant for it.
    wanted_ms: AtomicI64,
    idle: Mutex<Vec<Session<P::Line>>>,
    failures: AtomicU32,
    closed_until_ms: AtomicI64,
}

impl<P: Protocol> Peer<P> {
    pub(crate) fn new(protocol: P, limits: Limits, deadlines: Deadlines, pauses: Arc<Pauses>, clock: Clock) -> Self {
        let Limits { connections_max, per_second_max, per_day_max, .. } = limits;
        Self {
            protocol,
            deadlines,
            ready: Semaphore::new(connections_max as usize * READY_PER_CONNECTION),
            connections: Connections::new(connections_max, clock.clone()),
            pipeline: Pipeline::new(),
            turns: Turns::new((per_second_max > 0).then_some(per_second_max), per_day_max > 0, clock.clone()),
            load: Load::new(clock.clone()),
            pauses,
            wanted_ms: AtomicI64::new(clock.monotonic_ms()),
            clock,
            idle: Mutex::new(Vec::new()),
            failures: AtomicU32::new(0),
            closed_until_ms: AtomicI64::new(0),
            limits,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.limits.name
    }

    /// There is a message that it could take.
    pub(crate) fn want(&self) {
        self.wanted_ms.store(self.clock.monotonic_ms(), Ordering::Relaxed);
    }

    /// What this host would like to use of it.
    pub(crate) fn ask(&self) -> Ask {
        let Limits { name, connections_max, per_second_max, per_day_max, .. } = &self.limits;
        let wants = self.clock.monotonic_ms() - self.wanted_ms.load(Ordering::Relaxed) < WANTED_MS;
        let (per_second, day) = self.turns.used();
        let (day_left, day_wanted) = day.unwrap_or_default();
        Ask {
            relay: name.clone(),
            caps: Caps { connections: *connections_max, per_second: *per_second_max },
            used: Caps { connections: self.connections.used(), per_second },
            wants,
            per_day_max: (*per_day_max > 0).then_some(*per_day_max),
            day_left,
            day_wanted: if wants { day_wanted } else { -day_left.max(0) },
        }
    }

    /// Keeps to this share of it.
    pub(crate) fn limit(&self, caps: Caps, day_given: i64) {
        self.connections.share(caps.connections);
        // Others may want those that stand idle.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let excess = idle.len().min(self.connections.excess());
        drop(idle.drain(..excess));
        drop(idle);
        self.turns.share((self.limits.per_second_max > 0).then_some(caps.per_second), day_given);
    }

    /// How busy it is.
    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    /// The most connections at one time.
    pub(crate) fn connections(&self) -> u32 {
        self.connections.limit()
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing {
            name: self.limits.name.clone(),
            is_reached: self.failures.load(Ordering::Relaxed) == 0,
            is_paused: self.pauses.has_relay(self.name()),
            connections: self.connections.open(),
            connections_max: self.connections.limit(),
            per_second: self.turns.rate(),
        }
    }

    /// In how many milliseconds it may be tried again; 0: now.
    pub(crate) fn retry_in_ms(&self) -> i64 {
        let closed_ms = self.closed_until_ms.load(Ordering::Relaxed) - self.clock.monotonic_ms();
        let slow_ms = self.load.full(self.connections()).unwrap_or(0);
        self.pauses.wait_ms(self.name()).max(closed_ms).max(self.turns.wait_ms()).max(slow_ms).max(0)
    }

    /// Why a message should not be rendered for it now; none: it may be sent.
    pub(crate) fn refuse(&self) -> Option<Untried> {
        let why = || format!("{} is at its rate", self.called());
        let full = || (self.turns.wait_ms() > 0).then(|| Untried { delay_ms: self.turns.park_ms(), why: why() });
        let slow = || self.load.full(self.connections()).map(|delay_ms| self.slow(delay_ms));
        let shared = || (self.connections() == 0).then(|| self.slow(UNTRIED_MS));
        self.closed().or_else(shared).or_else(full).or_else(slow)
    }

    /// What it is called in sentences.
    fn called(&self) -> String {
        format!("{} \"{}\"", self.limits.noun, self.limits.name)
    }

    fn slow(&self, delay_ms: i64) -> Untried {
        let why = format!("as many wait for {} as it takes in a while", self.called());
        Untried { delay_ms, why }
    }

    /// Operators paused it, or it is away.
    fn closed(&self) -> Option<Untried> {
        self.pauses.relay(self.name()).or_else(|| self.away())
    }

    fn away(&self) -> Option<Untried> {
        let delay_ms = self.closed_until_ms.load(Ordering::Relaxed) - self.clock.monotonic_ms();
        let why = || format!("the circuit breaker of {} is open", self.called());
        (delay_ms > 0).then(|| Untried { delay_ms, why: why() })
    }

    pub(crate) async fn send(
        &self,
        message: &P::Message,
        recipient: Option<&Load>,
        lease: &Lease,
        hand_over: impl Future<Output = Result<(), NotRecorded>> + Send,
    ) -> Result<Outcome, Untried> {
        let queueing = trace::step("wait for connection");
        let mut turn = self.turns.take(lease).await?;
        let mut waiting = Some((self.load.wait(), queueing));
        // Or all its connections are other hosts'.
        let is_slow = || self.load.is_slow() || self.connections() == 0;
        let ready = unless_slow(lease, is_slow, self.ready.acquire()).await?;
        let ready = ready.ok_or_else(|| self.slow(self.load.park_ms()))?;
        let mut intent = std::pin::pin!(maybe_done(hand_over));
        loop {
            let (given, connection) = {
                let mut acquiring = std::pin::pin!(unless_slow(lease, is_slow, self.connection(message)));
                // The intent is committed meanwhile: no connection idles for it.
                let acquired = tokio::select! {
                    biased;
                    acquired = &mut acquiring => acquired?,
                    () = &mut intent => acquiring.await?,
                };
                acquired.ok_or_else(|| self.slow(self.load.park_ms()))?
            };
            // It throttled while this message waited for its connection. One whose envelope is out goes on.
            if given.is_none() && turn.is_outdated() {
                drop((connection, turn));
                turn = self.turns.take(lease).await?;
                continue;
            }
            // It may have been paused, or the circuit breaker opened, while others were served.
            if let Some(untried) = self.closed() {
                return Err(untried);
            }
            drop(waiting.take());
            let measured = (self.load.run(), recipient.map(Load::run));
            let mut session = match self.take(given).await {
                Ok(session) => session,
                Err((Class::Throttled, _)) if self.connections.refused() => {
                    tracing::debug!(relay.name = self.limits.name, "no more connections are taken");
                    drop((connection, measured));
                    continue;
                }
                Err((class, broken)) => {
                    self.leave_alone();
                    return Ok(self.outcome(class, &broken));
                }
            };
            let is_reused = session.messages > 0;
            session.messages += 1;
            let limits = (&self.deadlines, lease);
            let (messages, mut next) = (session.messages, None);
            let behind = || self.follow(messages, &turn, &mut next);
            let transacting =
                self.protocol.transact(&mut session.line, is_reused, message, limits, intent.as_mut(), behind);
            match transacting.await {
                Transacted::Done(taken) => {
                    self.reached();
                    turn.taken();
                    self.connections.accepted();
                    drop(measured);
                    self.pass_on((session, connection), next).await;
                    drop(ready);
                    return Ok(self.delivered(taken));
                }
                // It hung up while the connection waited; the message never began.
                Transacted::Stale => {}
                Transacted::NotRecorded(why) => {
                    let why = format!("the intent was not recorded: {why}");
                    return Err(Untried { delay_ms: UNTRIED_MS, why });
                }
                Transacted::Failed(class, broken) => {
                    self.failed(class, &broken, (session, connection), next, &mut turn).await;
                    return Ok(self.outcome(class, &broken));
                }
            }
        }
    }

    /// Takes from a failure what it says of the peer; the connection serves again if it can.
    async fn failed(
        &self,
        class: Class,
        broken: &Broken,
        mut open: Open<P::Line>,
        next: Option<Next<Open<P::Line>>>,
        turn: &mut Turn<'_>,
    ) {
        match class {
            Class::Throttled => turn.throttled(),
            Class::Deferred | Class::Rejected | Class::Greylisted => turn.taken(),
            Class::NotHandedOver | Class::InDoubt | Class::RenderFailed => {}
        }
        // The next one's envelope begins anew.
        let is_usable = !broken.unusable && (next.is_some() || P::reset(&mut open.0.line, &self.deadlines).await);
        if broken.is_general {
            self.leave_alone();
        } else if is_usable {
            self.reached();
        }
        if is_usable {
            self.pass_on(open, next).await;
        }
    }

    /// A connection that is free; or, with the session, one that carried the message before this one and then this one's envelope.
    async fn connection(&self, message: &P::Message) -> (Option<Session<P::Line>>, Permit) {
        if let Some(permit) = self.connections.free() {
            return (None, permit);
        }
        let Some(envelope) = self.protocol.envelope(message) else { return (None, self.connections.acquire().await) };
        loop {
            let mut waiter = self.pipeline.wait(envelope.to_owned());
            let given = tokio::select! {
                biased;
                permit = self.connections.acquire() => {
                    if waiter.leave() {
                        return (None, permit);
                    }
                    drop(permit);
                    waiter.given_soon().await
                }
                given = waiter.given() => given,
            };
            if let Some((session, permit)) = given {
                return (Some(session), permit);
            }
        }
    }

    /// The envelope that goes out behind a message, the so many-th of a connection that will be the next one's own.
    fn follow(&self, messages: u32, turn: &Turn<'_>, next: &mut Option<Next<Open<P::Line>>>) -> Option<String> {
        let is_kept = messages < self.limits.per_connection_max && self.connections.excess() == 0;
        let goes_on = is_kept && !turn.is_outdated() && self.closed().is_none() && !self.load.is_slow();
        let (envelope, waiting) = if goes_on { self.pipeline.next()? } else { return None };
        *next = Some(waiting);
        Some(envelope)
    }

    async fn pass_on(&self, open: Open<P::Line>, next: Option<Next<Open<P::Line>>>) {
        match next {
            // Where it has gone elsewhere, the connection ends: the peer waits for a message.
            Some(next) => drop(next.give(open)),
            None => self.give_back(open.0).await,
        }
    }

    async fn take(&self, given: Option<Session<P::Line>>) -> Result<Session<P::Line>, (Class, Broken)> {
        if let Some(session) = given {
            return Ok(session);
        }
        self.end_idle();
        let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(session) = waiting {
            return Ok(session);
        }
        let (line, _) = self.protocol.connect(&self.deadlines).await?;
        Ok(Session { line, messages: 0, idle_since_ms: 0, _open: self.connections.count() })
    }

    async fn give_back(&self, mut session: Session<P::Line>) {
        if session.messages >= self.limits.per_connection_max || self.connections.excess() > 0 {
            P::quit(session.line).await;
            return;
        }
        session.idle_since_ms = self.clock.monotonic_ms();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    fn leave_alone(&self) {
        // Connections that fail side by side are one failure.
        if self.away().is_some() {
            return;
        }
        let doubled = PAUSE_MS_MIN << self.failures.fetch_add(1, Ordering::Relaxed).min(10);
        let until = self.clock.monotonic_ms() + doubled.min(self.limits.away_ms_max);
        self.closed_until_ms.store(until, Ordering::Relaxed);
    }

    fn reached(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.closed_until_ms.store(0, Ordering::Relaxed);
    }

    fn delivered(&self, taken: Taken) -> Outcome {
        let Taken { code, reply } = taken;
        Outcome {
            result: Ok(()),
            phase: "body",
            code: Some(code),
            enhanced: None,
            reply,
            relay: self.limits.name.clone(),
        }
    }

    fn outcome(&self, class: Class, broken: &Broken) -> Outcome {
        Outcome {
            result: Err(class),
            phase: broken.phase,
            code: broken.code,
            enhanced: broken.enhanced.clone(),
            reply: broken.reply.clone(),
            relay: self.limits.name.clone(),
        }
    }

    /// Ends connections that have waited for as long as they may.
    pub(crate) fn end_idle(&self) {
        let now = self.clock.monotonic_ms();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|session| now - session.idle_since_ms <= self.limits.idle_ms_max);
    }

    pub(crate) async fn close(&self) {
        let sessions = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for session in sessions {
            P::quit(session.line).await;
        }
    }
}
