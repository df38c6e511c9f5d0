//! Whose turn it is at a relay that takes only so many mails a second. A few wait here, in the order in which they came;
//! the others go back to the queue, spread so that they neither come back all at once nor too late.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Untried;
use super::pace::Pace;
use super::wait::before_lease_ends;
use crate::clock::Clock;
use crate::lease::Lease;

/// So many seconds' worth of mails wait at the relay.
const WAITING_SECONDS: f64 = 2.0;
/// The fewest and the most that wait there: an event that waits is one that is not delivered elsewhere.
const WAITING_MIN: f64 = 2.0;
const WAITING_MAX: f64 = 64.0;
/// Who would wait longer than this goes back to the queue, in milliseconds.
const WAIT_MS_MAX: i64 = 2_000;
/// Once the mails of a day are used up: when to ask again, in milliseconds.
const DAY_WAIT_MS: i64 = 60_000;
/// How many mails of the day a host keeps at least, so that the first of many need not wait.
const DAY_STOCK_MIN: i64 = 10;
/// So many mails a second come back from the queue at least, to ask again.
const PARKED_PER_SECOND: f64 = 500.0;

pub(crate) struct Turns {
    pace: Mutex<Pace>,
    line: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
    /// When the last of those that went back to the queue comes again, in microseconds.
    parked_us: AtomicI64,
    /// Under a cap for a day: how many mails of it are left, and how many were begun since that was last asked.
    day: Option<(AtomicI64, AtomicI64)>,
    clock: Clock,
}

/// A mail that was begun. Dropped unsaid, it counts as never offered.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    began_ms: i64,
    said: bool,
}

impl Turns {
    /// `is_daily`: there is a cap for a day, and no mail of it was given yet.
    pub(crate) fn new(per_second_max: Option<u32>, is_daily: bool, clock: Clock) -> Self {
        Self {
            pace: Mutex::new(Pace::new(per_second_max)),
            line: tokio::sync::Mutex::new(()),
            waiting: AtomicUsize::new(0),
            parked_us: AtomicI64::new(0),
            day: is_daily.then(Default::default),
            clock,
        }
    }

    /// Mails a second, as learnt or capped; none while no limit is known.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.pace().rate(self.clock.monotonic_ms())
    }

    /// 0 while there is room to wait in, else the shortest time after which to ask again, in milliseconds.
    pub(crate) fn wait_ms(&self) -> i64 {
        if self.is_day_over() {
            return DAY_WAIT_MS;
        }
        let Some(rate) = self.rate() else { return 0 };
        if self.waiting.load(Ordering::Relaxed) < room(rate) { 0 } else { pause_ms(rate) }
    }

    /// When a mail for which there is no room comes again, in milliseconds from now.
    pub(crate) fn park_ms(&self) -> i64 {
        let now = self.clock.monotonic_ms();
        let rate = self.pace().rate(now).unwrap_or(PARKED_PER_SECOND);
        let pause_ms = if self.is_day_over() { DAY_WAIT_MS } else { pause_ms(rate) };
        #[expect(clippy::cast_possible_truncation, reason = "at most 2,000")]
        let spacing_us = (1_000_000.0 / PARKED_PER_SECOND.max(2.0 * rate)) as i64;
        let soonest_us = (now + pause_ms) * 1_000;
        let next = |last: i64| Some(last.max(soonest_us) + spacing_us);
        let last = self.parked_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
        (last.max(soonest_us) + spacing_us) / 1_000 - now
    }

    /// Waits for the turn; the error says when to come back.
    pub(crate) async fn take(&self, lease: &Lease) -> Result<Turn<'_>, Untried> {
        if self.waiting.load(Ordering::Relaxed) == 0
            && let Ok(turn) = self.begin()
        {
            return Ok(turn);
        }
        let why = || "as many are sent there as it takes in a while".to_owned();
        if self.wait_ms() > 0 {
            return Err(Untried { delay_ms: self.park_ms(), why: why() });
        }
        let _counted = Counted::new(&self.waiting);
        let _first = before_lease_ends(lease, self.line.lock()).await?;
        loop {
            match self.begin() {
                Ok(turn) => return Ok(turn),
                Err(ms) if ms > WAIT_MS_MAX => return Err(Untried { delay_ms: ms, why: why() }),
                Err(ms) => {
                    let pause = Duration::from_millis(u64::try_from(ms).unwrap_or_default());
                    before_lease_ends(lease, tokio::time::sleep(pause)).await?;
                }
            }
        }
    }

    fn is_day_over(&self) -> bool {
        self.day.as_ref().is_some_and(|(left, _)| left.load(Ordering::Relaxed) <= 0)
    }

    /// Counts mails of the day that are used, or come back.
    fn spend(&self, mails: i64) {
        if let Some((left, used)) = &self.day {
            left.fetch_sub(mails, Ordering::Relaxed);
            used.fetch_add(mails, Ordering::Relaxed);
        }
    }

    /// This host may begin so many mails in a second from now on, and more of the day.
    pub(crate) fn share(&self, per_second: Option<u32>, day_given: i64) {
        if per_second.is_some() {
            self.pace().set_cap(per_second);
        }
        if let Some((left, _)) = &self.day {
            left.fetch_add(day_given, Ordering::Relaxed);
        }
    }

    /// How many mails in a second this host allows itself or has just begun; and of the day: how many it has left, and how
    /// many more it could do with until it asks again.
    pub(crate) fn used(&self) -> (u32, Option<(i64, i64)>) {
        let per_second = self.pace().used(self.clock.monotonic_ms());
        let day = self.day.as_ref().map(|(left, used)| {
            let left = left.load(Ordering::Relaxed);
            (left, (DAY_STOCK_MIN + 2 * used.swap(0, Ordering::Relaxed) - left).max(0))
        });
        (per_second, day)
    }

    fn begin(&self) -> Result<Turn<'_>, i64> {
        let began_ms = self.clock.monotonic_ms();
        if self.is_day_over() {
            return Err(DAY_WAIT_MS);
        }
        self.pace().begin(began_ms)?;
        self.spend(1);
        Ok(Turn { turns: self, began_ms, said: false })
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Whether the relay has throttled since: the turn is of a rate that is not its rate any more.
    pub(crate) fn is_outdated(&self) -> bool {
        self.turns.pace().was_throttled_since(self.began_ms)
    }

    /// The relay took the mail, or refused it for its own sake.
    pub(crate) fn taken(&mut self) {
        if !std::mem::replace(&mut self.said, true) {
            self.turns.pace().taken(self.turns.clock.monotonic_ms());
        }
    }

    /// The relay throttled.
    pub(crate) fn throttled(&mut self) {
        if !std::mem::replace(&mut self.said, true) {
            self.turns.spend(-1);
            self.turns.pace().throttle(self.turns.clock.monotonic_ms(), self.began_ms);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.said {
            self.turns.spend(-1);
            self.turns.pace().forgo();
        }
    }
}

/// One that waits, counted while it does.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many may wait at a relay of this rate.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between the two limits")]
fn room(rate: f64) -> usize {
    (rate * WAITING_SECONDS).clamp(WAITING_MIN, WAITING_MAX) as usize
}

/// How long until half of those that may wait have gone, in milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "between the two limits")]
fn pause_ms(rate: f64) -> i64 {
    let half = (rate * WAITING_SECONDS).clamp(WAITING_MIN, WAITING_MAX) / 2.0;
    (half * 1_000.0 / rate).clamp(20.0, 60_000.0) as i64
}
