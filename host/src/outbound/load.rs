//! How busy a relay or a recipient's domain is: what waits for it, and how long it takes over a mail. One that takes its
//! time is given fewer places to wait in, so that what goes elsewhere finds some.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::Clock;

/// So many seconds' worth of mails may wait for it.
const WAITING_SECONDS: f64 = 2.0;
/// The fewest that may wait.
const WAITING_MIN: usize = 2;
/// The weight of the newest mail in the average time.
const NEWEST: f64 = 0.2;
/// One that takes so long over a mail, in milliseconds, is slow; or one that takes so long and so many times as long as
/// the relay takes over its mails altogether.
const SLOW_MS: f64 = 3_000.0;
const SLOWER_MS: f64 = 1_000.0;
const SLOWER_TIMES: f64 = 3.0;
/// What is too much for it goes back to the queue for so long, in milliseconds.
const PARK_MS_MIN: f64 = 500.0;
const PARK_MS_MAX: f64 = 30_000.0;
/// What goes back comes again spread over as much time once more, in so many steps.
const SPREAD: u32 = 64;

pub(crate) struct Load {
    state: Mutex<State>,
    freed: Notify,
    clock: Clock,
}

#[derive(Default)]
struct State {
    waiting: usize,
    /// Those that hold a place, waiting or not.
    held: usize,
    /// When each transaction that is under way began, and its number.
    running: BTreeSet<(i64, u64)>,
    next: u64,
    /// Of a transaction, in milliseconds; none before the first has ended.
    average_ms: Option<f64>,
    /// When the last one ended.
    ended_ms: i64,
    parked: u32,
}

impl State {
    /// What a mail takes: the average, or longer when nothing has ended for longer.
    fn latency_ms(&self, now: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of an uptime fit")]
        let silent_ms = self.running.first().map_or(0.0, |(began, _)| (now - began.max(&self.ended_ms)) as f64);
        self.average_ms.unwrap_or(0.0).max(silent_ms)
    }
}

impl Load {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { state: Mutex::default(), freed: Notify::new(), clock }
    }

    /// When to ask again, in milliseconds, if it is slow and as many wait as `connections` get through in a while, or all
    /// of those are taken; none: there is room. Where mails are quick, waiting costs less than coming again.
    pub(crate) fn full(&self, connections: u32) -> Option<i64> {
        let now = self.clock.monotonic_ms();
        let mut state = self.state();
        let latency_ms = state.latency_ms(now);
        if latency_ms < SLOW_MS {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of mails")]
        let room = (f64::from(connections) * WAITING_SECONDS * 1_000.0 / latency_ms) as usize;
        let is_full = state.waiting >= room.max(WAITING_MIN) || state.running.len() >= connections as usize;
        is_full.then(|| park_ms(&mut state, latency_ms))
    }

    /// When what had no place in time comes again, in milliseconds.
    pub(crate) fn park_ms(&self) -> i64 {
        let now = self.clock.monotonic_ms();
        let mut state = self.state();
        let latency_ms = state.latency_ms(now);
        park_ms(&mut state, latency_ms)
    }

    /// Whether it takes its time over mails, and whether anything is known of it.
    pub(crate) fn is_slow(&self) -> bool {
        self.state().latency_ms(self.clock.monotonic_ms()) >= SLOW_MS
    }

    /// The same of a domain at a relay: what the relay takes over all its mails is not the domain's doing.
    pub(crate) fn is_slow_at(&self, relay: &Self) -> bool {
        let now = self.clock.monotonic_ms();
        let usual_ms = relay.state().average_ms;
        let latency_ms = self.state().latency_ms(now);
        usual_ms.map_or(latency_ms >= SLOW_MS, |usual| latency_ms >= (SLOWER_TIMES * usual).max(SLOWER_MS))
    }

    pub(crate) fn is_known(&self) -> bool {
        self.state().average_ms.is_some()
    }

    /// Counts a mail as waiting until the guard is dropped.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.state().waiting += 1;
        Waiting(self)
    }

    /// A place, if fewer than `limit` are held.
    pub(crate) fn hold(&self, limit: usize) -> Option<Held<'_>> {
        let mut state = self.state();
        if state.held >= limit {
            return None;
        }
        state.held += 1;
        Some(Held(self))
    }

    /// Has one more of those that wait for a place look for it.
    pub(crate) fn wake(&self) {
        self.freed.notify_one();
    }

    /// Ends when a place may have come free.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Measures a transaction until the guard is dropped.
    pub(crate) fn run(&self) -> Running<'_> {
        let began = self.clock.monotonic_ms();
        let mut state = self.state();
        state.next += 1;
        let key = (began, state.next);
        state.running.insert(key);
        Running { load: self, key }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn park_ms(state: &mut State, latency_ms: f64) -> i64 {
    state.parked = (state.parked + 1) % SPREAD;
    let base_ms = latency_ms.clamp(PARK_MS_MIN, PARK_MS_MAX);
    #[expect(clippy::cast_possible_truncation, reason = "at most a minute")]
    let ms = (base_ms * (1.0 + f64::from(state.parked) / f64::from(SPREAD))) as i64;
    ms
}

pub(crate) struct Waiting<'a>(&'a Load);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

pub(crate) struct Held<'a>(&'a Load);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.state().held -= 1;
        self.0.freed.notify_one();
    }
}

pub(crate) struct Running<'a> {
    load: &'a Load,
    key: (i64, u64),
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let now = self.load.clock.monotonic_ms();
        let mut state = self.load.state();
        state.running.remove(&self.key);
        state.ended_ms = now;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of an uptime fit")]
        let took_ms = (now - self.key.0) as f64;
        state.average_ms = Some(state.average_ms.map_or(took_ms, |average| average + NEWEST * (took_ms - average)));
    }
}

#[cfg(test)]
mod tests {
    use super::Load;
    use crate::clock::Clock;

    #[test]
    fn room_follows_what_a_mail_takes() {
        let clock = Clock::system();
        let load = Load::new(clock.clone());
        let mut waiting = Vec::new();
        // Nothing is known: nothing is refused.
        for _ in 0..1_000 {
            waiting.push(load.wait());
        }
        assert_eq!(load.full(16), None);
        // A tarpit is known by the mail that it holds, before that has ended.
        let running = load.run();
        clock.advance(10_000);
        assert!(load.is_slow() && load.full(16).is_some_and(|ms| (10_000..=20_100).contains(&ms)));
        waiting.truncate(2);
        assert_eq!(load.full(16), None, "16 connections get three mails through in two seconds");
        drop(running);
        assert!(load.is_slow() && load.is_known());
        // It recovers mail by mail.
        for _ in 0..20 {
            drop(load.run());
        }
        assert!(!load.is_slow());
        for _ in 0..400 {
            waiting.push(load.wait());
        }
        assert_eq!(load.full(16), None);
    }

    #[test]
    fn a_domain_is_measured_against_its_relay() {
        let clock = Clock::system();
        let (relay, domain) = (Load::new(clock.clone()), Load::new(clock.clone()));
        let spend = |loads: &[&Load], ms: u32| {
            let running: Vec<_> = loads.iter().map(|load| load.run()).collect();
            clock.advance(ms);
            drop(running);
        };
        // All that this relay takes takes long.
        spend(&[&relay, &domain], 5_000);
        assert!(!domain.is_slow_at(&relay));
        for _ in 0..30 {
            spend(&[&relay], 100);
        }
        assert!(domain.is_slow_at(&relay));
        for _ in 0..30 {
            spend(&[&domain], 500);
        }
        assert!(!domain.is_slow_at(&relay), "slower, but nobody need mind");
    }

    #[test]
    fn places_are_counted() {
        let load = Load::new(Clock::system());
        let (one, two) = (load.hold(2), load.hold(2));
        assert!(one.is_some() && two.is_some() && load.hold(2).is_none());
        drop(one);
        assert!(load.hold(2).is_some());
    }
}
