//! The worker's loop: wake or poll, claim, deliver so many at one time, record. Knows no plugin and no mail.
//!
//! An event is claimed for a lease, which is renewed while its delivery is under way. Intents and ends are recorded
//! in groups: whatever waits when the previous commit returns goes into the next, and nobody waits for a timer.

mod count;
mod examine;
mod leases;
mod record;
mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::deliver::{Deliver, Event, Note, Observed, Report};
use crate::group::Group;
use crate::lease::{Lease, NotRecorded};
use crate::link::Links;
use crate::metrics::Metrics;
use crate::notification::{Portions, Transition, URGENCIES, Urgency};
use crate::store::queue::{Claimable, Claimed, Finish, Intent};
use crate::store::{self, Store};
use crate::trace::{self, Span, Tracer};
pub use examine::Addresses;
use leases::Leases;
pub use requests::Requests;

/// The most intents or ends that one commit carries.
const GROUP_MAX: usize = 500;
/// How often an outcome is tried to be recorded while the database is away: ten minutes.
const RECORD_TRIES_MAX: u32 = 1_200;
const RECORD_PAUSE: Duration = Duration::from_millis(500);
/// The shortest pause between two looks at a queue in which nothing was due.
const LOOK_MS_MIN: u64 = 20;

/// How the worker works.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Events under way at one time.
    pub in_flight_max: usize,
    /// Events claimed at one time.
    pub claim_max: usize,
    /// How long a claim holds unless renewed, in milliseconds.
    pub lease_ms: i64,
    /// How often to look without being woken, in milliseconds.
    pub poll_ms: u64,
    /// How often lanes are looked over, in milliseconds.
    pub sweep_ms: i64,
    /// How long events under way may take to end once the host stops, in milliseconds.
    pub drain_ms_max: u64,
    /// Claims in a row without a recorded end before an event is held as one that crashes the host.
    pub claims_max: i64,
}

/// The worker. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    store: Store,
    deliver: Deliver,
    settings: Settings,
    clock: Clock,
    metrics: Metrics,
    tracer: Tracer,
    wake: Arc<Notify>,
    leases: Leases,
    addresses: Addresses,
    requests: Requests,
    links: Links,
    intents: Group<Intent, bool>,
    ends: Group<Finish, bool>,
    /// When the first of the events that went back to the queue is due again, by the monotonic clock.
    soonest_ms: Arc<AtomicI64>,
    /// A claim got no answer: it may have been taken all the same.
    is_unsure: Arc<AtomicBool>,
    /// For what may end the host: one at a time, so that no other is suspected with it for long.
    suspects: Arc<Semaphore>,
}

impl Queue {
    /// A worker; `wake` wakes it when something was enqueued.
    pub fn new(
        store: Store,
        deliver: Deliver,
        settings: Settings,
        clock: Clock,
        (metrics, tracer): (Metrics, Tracer),
        wake: Arc<Notify>,
        (addresses, requests, links): (Addresses, Requests, Links),
    ) -> Self {
        let (intents, ends) = (Group::new(1, GROUP_MAX), Group::to_the_end(1, GROUP_MAX));
        Self {
            store,
            deliver,
            settings,
            clock,
            metrics,
            tracer,
            wake,
            leases: Leases::default(),
            addresses,
            requests,
            links,
            intents,
            ends,
            soonest_ms: Arc::new(AtomicI64::new(i64::MAX)),
            is_unsure: Arc::default(),
            suspects: Arc::new(Semaphore::new(1)),
        }
    }

    /// Works until stopped; then lets what is under way end, and gives back what does not in time.
    pub async fn run(&self, stop: CancellationToken) {
        let mut keeper = self.keeper();
        let mut under_way = JoinSet::new();
        let mut swept_ms = self.clock.monotonic_ms();
        // Not restarted by what ends meanwhile: deliveries that end all the time must not keep the poll from coming.
        let mut polled_ms = swept_ms;
        let poll_ms = i64::try_from(self.settings.poll_ms).unwrap_or(i64::MAX);
        let (mut more, mut portions) = (true, Portions::default());
        while !stop.is_cancelled() {
            if let Some(limit) = self.room(under_way.len()).filter(|_| more) {
                more = self.claim(limit, &mut portions, &mut under_way).await.1;
                continue;
            }
            if self.clock.monotonic_ms() - swept_ms >= self.settings.sweep_ms {
                swept_ms = self.clock.monotonic_ms();
                if let Err(e) = self.store.sweep().await {
                    tracing::warn!(error = %e, "the queue's lanes could not be looked over");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => more = true,
                () = tokio::time::sleep(self.pause(polled_ms.saturating_add(poll_ms))) => {
                    polled_ms = self.clock.monotonic_ms();
                    more = true;
                }
                Some(ended) = under_way.join_next() => report_panic(ended),
            }
            while let Some(ended) = under_way.try_join_next() {
                report_panic(ended);
            }
        }
        self.drain(&mut under_way).await;
        keeper.shutdown().await;
    }

    /// Works until nothing is due; for tests, which move the clock.
    pub async fn run_until_idle(&self) {
        let mut keeper = self.keeper();
        let (mut under_way, mut portions) = (JoinSet::new(), Portions::default());
        loop {
            let claimed = match self.room(under_way.len()) {
                Some(limit) => self.claim(limit, &mut portions, &mut under_way).await.0,
                None => 0,
            };
            if claimed == 0 && under_way.join_next().await.map(report_panic).is_none() {
                break;
            }
        }
        keeper.shutdown().await;
    }

    /// Renews the leases of what is under way.
    fn keeper(&self) -> JoinSet<()> {
        let mut keeper = JoinSet::new();
        keeper.spawn(self.leases.clone().keep(self.store.clone(), self.clock.clone(), self.settings.lease_ms));
        keeper
    }

    async fn record_intent(&self, intent: Intent) -> store::Result<bool> {
        let (store, metrics, clock) = (self.store.clone(), self.metrics.clone(), self.clock.clone());
        let record = move |batch: Arc<[Intent]>| {
            let (store, metrics, clock) = (store.clone(), metrics.clone(), clock.clone());
            async move { metrics.round("record-intent", |_| batch.len(), &clock, store.hand_over(&batch)).await }
        };
        self.intents.ask(intent, record).await
    }

    async fn record_end(&self, finish: Finish) -> store::Result<bool> {
        let (store, metrics, clock) = (self.store.clone(), self.metrics.clone(), self.clock.clone());
        let record = move |batch: Arc<[Finish]>| {
            let (store, metrics, clock) = (store.clone(), metrics.clone(), clock.clone());
            async move { metrics.round("record-end", |_| batch.len(), &clock, store.finish(&batch)).await }
        };
        self.ends.ask(finish, record).await
    }

    /// How long to wait before looking again: until an event of ours is due again, or until the poll.
    fn pause(&self, poll_at_ms: i64) -> Duration {
        let (now, soonest) = (self.clock.monotonic_ms(), self.soonest_ms.load(Ordering::Relaxed));
        if soonest <= now {
            // It is looked for this time.
            let _ = self.soonest_ms.compare_exchange(soonest, i64::MAX, Ordering::Relaxed, Ordering::Relaxed);
        }
        let left_ms = u64::try_from(soonest.min(poll_at_ms) - now).unwrap_or_default();
        Duration::from_millis(left_ms.max(LOOK_MS_MIN))
    }

    /// How many to claim now. None while too few are free: claims of a handful cost a commit each.
    fn room(&self, under_way: usize) -> Option<usize> {
        let free = self.settings.in_flight_max.saturating_sub(under_way);
        (free > 0 && free >= self.settings.in_flight_max / 4).then(|| free.min(self.settings.claim_max))
    }

    /// Claims and starts; says how many, and whether more may be due.
    async fn claim(&self, limit: usize, portions: &mut Portions, under_way: &mut JoinSet<()>) -> (usize, bool) {
        let (mut begun, mut more) = (0, false);
        for asked in portions.next(i64::try_from(limit).unwrap_or(i64::MAX)) {
            let Some(urgencies) = self.claim_portions(asked, under_way).await else { break };
            begun += urgencies.len();
            more |= portions.saw(asked, urgencies);
            if begun >= limit {
                break;
            }
        }
        (begun, more)
    }

    /// Claims so many of each urgency and starts them; says which came. None: the database did not answer.
    async fn claim_portions(&self, portions: [i64; URGENCIES], under_way: &mut JoinSet<()>) -> Option<Vec<Urgency>> {
        self.release_unknown().await;
        // Measured before the claim: the database's lease begins later and so ends later.
        let until_ms = self.clock.monotonic_ms() + self.settings.lease_ms;
        let claimable = if self.suspects.available_permits() > 0 { Claimable::All } else { Claimable::Unsuspected };
        // Held twice by what measures it.
        let claiming = Box::pin(self.store.claim(claimable, portions, self.settings.lease_ms));
        let size = |claimed: &store::Result<Vec<Claimed>>| claimed.as_ref().map_or(0, Vec::len);
        let claimed = match self.metrics.round("claim", size, &self.clock, claiming).await {
            Ok(claimed) => claimed,
            Err(e) => {
                self.is_unsure.fetch_or(!e.is_refusal() || e.is_away(), Ordering::Relaxed);
                if !e.is_transient() {
                    tracing::error!(error = %e, "the queue cannot be claimed from; trying again");
                    tokio::time::sleep(Duration::from_millis(self.settings.poll_ms)).await;
                }
                return None;
            }
        };
        let urgencies = claimed.iter().map(|event| event.urgency).collect();
        let (mut begun, mut back) = (Vec::with_capacity(claimed.len()), Vec::new());
        for event in claimed {
            let alone = if event.is_suspected() {
                let Ok(permit) = self.suspects.clone().try_acquire_owned() else {
                    back.push(record::give_back(&event));
                    continue;
                };
                Some(permit)
            } else {
                None
            };
            begun.push((event, alone));
        }
        // First: the one that is tried may end the host, and the others must not be charged for it.
        self.give_back(&back).await;
        for (event, alone) in begun {
            let lease = Lease::until(&self.clock, until_ms);
            self.leases.insert(&event, &lease);
            under_way.spawn(self.clone().one(event, lease, alone));
        }
        Some(urgencies)
    }

    /// Ends claims that this host may have without knowing, which nobody would work on until their leases end.
    async fn release_unknown(&self) {
        if self.is_unsure.load(Ordering::Relaxed) && self.store.release_unknown(&self.leases.events()).await.is_ok() {
            self.is_unsure.store(false, Ordering::Relaxed);
        }
    }

    /// Gives leases back, uncharged.
    async fn give_back(&self, back: &[Finish]) {
        if !back.is_empty()
            && let Err(e) = self.store.finish(back).await
        {
            tracing::error!(error = %e, "leases could not be given back; they run out by themselves");
        }
    }

    /// One claimed event, to its recorded end; a suspect's permit ends with it.
    async fn one(self, claimed: Claimed, lease: Lease, alone: Option<OwnedSemaphorePermit>) {
        let _guard = self.leases.forget_on_panic(claimed.claim);
        let (begun_us, since_queued_ms) = (self.clock.monotonic_us(), claimed.claimed_at - claimed.queued_at);
        let (finish, seen) = match self.examine(claimed).await {
            Err(finish) => (*finish, None),
            Ok((claimed, event)) => {
                let span = self.attempt(&event);
                let (finish, seed, observed) = {
                    let delivering = std::pin::pin!(self.deliver_one(&claimed, &event, &lease));
                    span.around(delivering).await
                };
                (finish, Some((event, seed, observed, span)))
            }
        };
        let claim = finish.claim;
        if let Transition::Later { delay_ms, .. } = &finish.transition {
            let due_ms = self.clock.monotonic_ms().saturating_add(*delay_ms).saturating_add(1);
            self.soonest_ms.fetch_min(due_ms, Ordering::Relaxed);
        }
        let is_recorded = match &seen {
            Some((_, _, _, span)) => span.around(self.record(&finish)).await,
            None => self.record(&finish).await,
        };
        if is_recorded {
            self.count(&finish, since_queued_ms, self.clock.monotonic_us() - begun_us);
            if let Some((event, seed, observed, mut span)) = seen {
                span.set("ecomm.outcome", count::outcome(&finish.transition));
                self.learn(&event, &finish).await;
                self.deliver.shadow(&event, seed, &observed);
            }
        }
        self.leases.remove(claim);
        if alone.is_some() {
            drop(alone);
            // For the next of its kind.
            self.wake.notify_one();
        }
    }

    /// Writes down what became of an event; false when it could not be, or was not this claim's to write any more. Late is
    /// better than never: unrecorded, a delivered mail would be in doubt and go out again.
    async fn record(&self, finish: &Finish) -> bool {
        let id = finish.claim.event;
        let mut step = trace::step("record end");
        for tries in 1..=RECORD_TRIES_MAX {
            match self.record_end(finish.clone()).await {
                Ok(true) => return true,
                Ok(false) => {
                    tracing::warn!(notification.id = id, "the claim had ended before its outcome was recorded");
                    break;
                }
                Err(e) if tries == RECORD_TRIES_MAX => {
                    tracing::error!(notification.id = id, error = %e, "an outcome could not be recorded");
                }
                Err(e) => {
                    if tries == 1 {
                        tracing::warn!(notification.id = id, error = %e, "an outcome is not recorded yet");
                    }
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
            }
        }
        step.fail("not-recorded");
        false
    }

    /// This attempt as a part of the trace in which the event was queued. Before it lies the wait since then, or since
    /// the last failure.
    fn attempt(&self, event: &Event) -> Span {
        let since = event.history.last().map_or(event.queued_at, |failure| failure.at.max(event.queued_at));
        let mut span = self.tracer.attempt(event.notification.payload.trace.as_deref(), (since, event.claimed_at));
        trace::messaging(&mut span, "process", "deliver");
        span.set_with("messaging.message.id", || event.notification.message_id.clone());
        span.set("ecomm.notification.id", event.notification.id);
        span
    }

    async fn deliver_one(&self, claimed: &Claimed, event: &Event, lease: &Lease) -> (Finish, u64, Observed) {
        let began_at = self.clock.now_ms();
        let handed_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let hand_over = |intent, seed| {
            let intent = record::intent(claimed, intent, seed);
            let flag = handed_over.clone();
            async move {
                match trace::timed("record intent", self.record_intent(intent)).await {
                    Ok(true) => {
                        flag.store(true, std::sync::atomic::Ordering::Release);
                        Ok(())
                    }
                    Ok(false) => Err(NotRecorded("the claim is no longer ours".to_owned())),
                    Err(e) => Err(NotRecorded(e.to_string())),
                }
            }
        };
        let Report { transition, attempts, notes, seed, observed } = self.deliver.event(event, lease, hand_over).await;
        // An intent whose mail was not offered after all, since no connection came free, is taken back.
        let is_tried = notes.iter().any(|note| matches!(note, Note::Attempt { .. }));
        let intent = claimed.in_doubt || (is_tried && handed_over.load(std::sync::atomic::Ordering::Acquire));
        let notes = record::notes(notes, seed, began_at);
        (record::finish(claimed, transition, i64::from(attempts), notes, intent), seed, observed)
    }

    /// Lets what is under way end; gives back, uncharged, what was not handed over in time.
    async fn drain(&self, under_way: &mut JoinSet<()>) {
        let all = async {
            while let Some(ended) = under_way.join_next().await {
                report_panic(ended);
            }
        };
        if tokio::time::timeout(Duration::from_millis(self.settings.drain_ms_max), all).await.is_ok() {
            return;
        }
        under_way.shutdown().await;
        self.give_back(&self.leases.not_handed_over()).await;
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(e) = ended
        && e.is_panic()
    {
        tracing::error!(error = %e, "a delivery panicked; its event is claimed again when its lease ends");
    }
}
