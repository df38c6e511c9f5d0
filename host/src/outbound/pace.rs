//! How fast one relay takes mails: learnt from its answers, below the configured cap. Pure: time is an argument.
//!
//! Until a relay throttles, it takes what it is given. From then on the rate follows the curve of CUBIC (RFC 9438): a
//! little less after each throttling reply, back at the rate that was throttled after [`PLATEAU_MS`], slowly past it, then
//! faster and faster, so that a raised limit is found within a minute, and a constant one costs few refusals. The rate is
//! kept to in two ways: mails are spaced, a little closer than the rate says, and no window of a second holds more than it
//! says. Providers count in windows; spacing alone would use less of them the more the mails' times vary.
//!
//! The configured cap counts as the strictest provider does: a mail is begun only if fewer than the cap were answered in
//! the second before or are under way. So no window of a second at the relay, wherever it begins, holds more.

use std::collections::VecDeque;

/// After a throttling reply, the share of the rate that is kept.
const KEPT: f64 = 0.97;
/// The same while the relay takes nothing at all.
const KEPT_IN_VAIN: f64 = 0.5;
/// When the rate is back where it was throttled, in milliseconds.
const PLATEAU_MS: f64 = 12_000.0;
/// By which share of itself the rate has grown when it has been past that for as long again.
const GROWTH: f64 = 0.1;
/// What was accepted in a window says so long, in milliseconds, what the relay takes.
const PEAK_MS: i64 = 30_000;
/// Throttled again within this, in milliseconds, the relay takes less than it did.
const AGAIN_MS: i64 = 3_000;
/// How much closer than the learnt rate mails are spaced, as a share of what it has beyond a mail a second.
const CLOSER: f64 = 0.2;
/// The slowest learnt rate: a mail a minute.
const RATE_MIN: f64 = 1.0 / 60.0;
/// A rate above this, in mails per second, is no limit any more.
const RATE_MAX: f64 = 20_000.0;
/// The windows that providers count in are this long, in milliseconds; one more for the clock's grain.
const WINDOW_MS: i64 = 1_001;
/// The wait, if only the end of a mail under way shows it, in milliseconds.
const LOOK_AGAIN_MS: i64 = 5;

/// The pace of one relay.
#[derive(Debug)]
pub(super) struct Pace {
    /// Mails per second; the operator's cap.
    cap: Option<u32>,
    /// What is known since the relay last throttled; none: it has not.
    throttled: Option<Throttled>,
    /// The most mails that were accepted in a window of late, and when.
    peak: (usize, i64),
    /// When the next mail may begin, at the learnt rate.
    next_ms: f64,
    under_way: u32,
    /// When each mail of the last window was accepted.
    accepted: VecDeque<i64>,
    /// When each mail of the last window was answered, whatever the answer; kept only under a cap.
    answered: VecDeque<i64>,
}

/// A rate that a relay throttled.
#[derive(Clone, Copy, Debug)]
struct Throttled {
    /// In mails per second.
    rate: f64,
    /// The share of it that is kept at first.
    kept: f64,
    since_ms: i64,
}

impl Pace {
    /// A relay that has not throttled yet.
    pub(super) fn new(cap: Option<u32>) -> Self {
        let (accepted, answered) = (VecDeque::new(), VecDeque::new());
        Self { cap, throttled: None, peak: (0, 0), next_ms: 0.0, under_way: 0, accepted, answered }
    }

    /// The learnt rate in mails per second; none: no limit is known.
    fn learnt(&self, now: i64) -> Option<f64> {
        let Throttled { rate, kept, since_ms } = self.throttled?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of an uptime fit")]
        let t = ((now - since_ms) as f64 - PLATEAU_MS) / PLATEAU_MS;
        let rate = rate * (1.0 + if t < 0.0 { 1.0 - kept } else { GROWTH } * t * t * t);
        (rate < RATE_MAX).then_some(rate.max(RATE_MIN))
    }

    /// The rate in mails per second, by what is learnt and by the cap; none: no limit is known.
    pub(super) fn rate(&self, now: i64) -> Option<f64> {
        match (self.learnt(now), self.cap.map(|cap| f64::from(cap).max(RATE_MIN))) {
            (Some(learnt), Some(cap)) => Some(learnt.min(cap)),
            (learnt, cap) => learnt.or(cap),
        }
    }

    /// The operator's cap, or this host's share of it.
    pub(super) fn set_cap(&mut self, cap: Option<u32>) {
        self.cap = cap;
    }

    /// What it allows itself in a second, or has just done.
    pub(super) fn used(&mut self, now: i64) -> u32 {
        forget(&mut self.answered, now);
        let done = u32::try_from(self.answered.len()).unwrap_or(u32::MAX).saturating_add(self.under_way);
        self.cap.map_or(0, |cap| cap.max(done))
    }

    /// Begins a mail, or says in how many milliseconds to ask again.
    pub(super) fn begin(&mut self, now: i64) -> Result<(), i64> {
        if let Some(cap) = self.cap {
            // Without a share there is nothing to wait for but another one.
            let look_again_ms = if cap == 0 { WINDOW_MS } else { LOOK_AGAIN_MS };
            has_room(&mut self.answered, self.under_way, cap as usize, look_again_ms, now)?;
        }
        if let Some(rate) = self.learnt(now) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between a minute's and RATE_MAX"
            )]
            let window_max = rate.ceil() as usize;
            has_room(&mut self.accepted, self.under_way, window_max, LOOK_AGAIN_MS, now)?;
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of an uptime fit")]
            let now = now as f64;
            if self.next_ms > now {
                #[expect(clippy::cast_possible_truncation, reason = "at most a minute")]
                return Err(((self.next_ms - now).ceil() as i64).max(1));
            }
            // What a sleep overslept is made up for, but never more than one mail of it.
            let interval_ms = 1_000.0 / (rate + CLOSER * (rate - 1.0).max(0.0));
            self.next_ms = self.next_ms.max(now - interval_ms) + interval_ms;
        }
        self.under_way += 1;
        Ok(())
    }

    /// Whether the rate was cut at `began` or later.
    pub(super) fn was_throttled_since(&self, began: i64) -> bool {
        self.throttled.is_some_and(|throttled| began <= throttled.since_ms)
    }

    /// A mail that was begun came to nothing: the relay was not asked.
    pub(super) fn forgo(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The relay took a mail, or refused it for the mail's own sake.
    pub(super) fn taken(&mut self, now: i64) {
        self.answer(now);
        forget(&mut self.accepted, now);
        self.accepted.push_back(now);
        if self.accepted.len() >= self.peak.0 || now - self.peak.1 > PEAK_MS {
            self.peak = (self.accepted.len(), now);
        }
    }

    /// The relay throttled a mail that was begun at `began`.
    pub(super) fn throttle(&mut self, now: i64, began: i64) {
        self.answer(now);
        forget(&mut self.accepted, now);
        // What was under way when the rate was last cut says nothing of the new rate.
        if self.was_throttled_since(began) {
            return;
        }
        let measured = self.accepted.len();
        let is_again = self.throttled.is_some_and(|known| now - known.since_ms < AGAIN_MS);
        if is_again || self.throttled.is_none() || now - self.peak.1 > PEAK_MS {
            self.peak = (measured, now);
        }
        #[expect(clippy::cast_precision_loss, reason = "the mails of a second, and milliseconds of an uptime")]
        let [measured, peak, now_ms] = [measured as f64, self.peak.0 as f64, now as f64];
        let (rate, kept) = match self.learnt(now) {
            None => (peak, KEPT),
            // In vain: the relay's window is longer than ours, or it has closed altogether.
            Some(rate) if measured < 1.0 && rate >= 1.0 => (rate, KEPT_IN_VAIN),
            Some(rate) if measured < 1.0 => (rate * KEPT_IN_VAIN, KEPT),
            Some(rate) => (rate.min(if is_again { peak + 1.0 } else { peak }), KEPT),
        };
        let rate = rate.max(RATE_MIN);
        self.throttled = Some(Throttled { rate, kept, since_ms: now });
        let kept_rate = (rate * kept).max(RATE_MIN);
        self.next_ms = now_ms + 1_000.0 / kept_rate;
        // After a burst, the relay's window is full until the first of it is out.
        if let Some(first) = self.accepted.front().filter(|_| measured >= kept_rate.floor()) {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of an uptime fit")]
            let free_ms = (first + WINDOW_MS) as f64;
            self.next_ms = self.next_ms.max(free_ms);
        }
    }

    fn answer(&mut self, now: i64) {
        self.forgo();
        if self.cap.is_some() {
            forget(&mut self.answered, now);
            self.answered.push_back(now);
        }
    }
}

/// Whether one more fits into the last window, with those under way; else in how many milliseconds to ask again.
fn has_room(
    times: &mut VecDeque<i64>,
    under_way: u32,
    window_max: usize,
    look_again_ms: i64,
    now: i64,
) -> Result<(), i64> {
    forget(times, now);
    if under_way as usize + times.len() < window_max {
        return Ok(());
    }
    let free_ms = times.front().map_or(look_again_ms, |at| at + WINDOW_MS - now);
    Err(free_ms.max(1))
}

fn forget(times: &mut VecDeque<i64>, now: i64) {
    while times.front().is_some_and(|at| now - at >= WINDOW_MS) {
        times.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::Pace;

    /// A provider that takes so many mails in any second, counted when they arrive.
    struct Provider {
        limit: usize,
        window_ms: i64,
        taken: VecDeque<i64>,
    }

    impl Provider {
        fn offer(&mut self, now: i64) -> bool {
            while self.taken.front().is_some_and(|at| now - at >= self.window_ms) {
                self.taken.pop_front();
            }
            let takes = self.taken.len() < self.limit;
            if takes {
                self.taken.push_back(now);
            }
            takes
        }
    }

    /// One host's sender: up to 16 mails under way, each answered after a delay that varies; with `tail`, one in ten
    /// takes up to 160 ms.
    struct Sender {
        tail: bool,
        pace: Pace,
        under_way: Vec<(i64, i64, i64)>,
        accepted: usize,
        refused: usize,
    }

    impl Sender {
        fn new(cap: Option<u32>) -> Self {
            Self { tail: false, pace: Pace::new(cap), under_way: Vec::new(), accepted: 0, refused: 0 }
        }

        /// One millisecond.
        fn step(&mut self, now: i64, seed: &mut u64, provider: &mut Provider) {
            let ended: Vec<_> = self.under_way.extract_if(.., |(_, arrives, _)| *arrives <= now).collect();
            for (began, _, _) in ended {
                if provider.offer(now) {
                    self.accepted += 1;
                    self.pace.taken(now);
                } else {
                    self.refused += 1;
                    self.pace.throttle(now, began);
                }
            }
            while self.under_way.len() < 16 && self.pace.begin(now).is_ok() {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let random = i64::try_from((*seed >> 33) % 1_000).unwrap();
                let late = if self.tail && random >= 900 { 60 + random - 900 } else { 0 };
                self.under_way.push((now, now + 2 + random % 20 + late, 0));
            }
        }
    }

    fn run(senders: &mut [Sender], provider: &mut Provider, from: i64, ms: i64, seed: &mut u64) -> (usize, usize) {
        let count = |senders: &[Sender]| senders.iter().fold((0, 0), |(a, r), s| (a + s.accepted, r + s.refused));
        let before = count(senders);
        for now in from..from + ms {
            for sender in senders.iter_mut() {
                sender.step(now, seed, provider);
            }
        }
        let after = count(senders);
        (after.0 - before.0, after.1 - before.1)
    }

    /// From its first mail on, and also where the times that mails take vary a lot.
    #[test]
    fn a_relay_that_throttles_is_used_to_its_limit() {
        for (hosts, tail) in [(1, false), (2, false), (1, true), (2, true)] {
            for limit in [14, 50, 200] {
                for seed in 1..=5 {
                    let mut seed = seed;
                    let mut provider = Provider { limit, window_ms: 1_000, taken: VecDeque::new() };
                    let mut senders: Vec<_> = (0..hosts).map(|_| Sender { tail, ..Sender::new(None) }).collect();
                    for (from, ms) in [(0, 120_000), (120_000, 880_000)] {
                        let (taken, refused) = run(&mut senders, &mut provider, from, ms, &mut seed);
                        let used = taken * 100_000 / (limit * usize::try_from(ms).unwrap());
                        let what = format!("{hosts} hosts, limit {limit}: {used} % used, {refused} refused of {taken}");
                        assert!(used >= 96, "{what}");
                        // What was under way when the relay first throttled came for nothing: once.
                        let first = if from == 0 { 16 * hosts } else { 0 };
                        assert!((refused - first.min(refused)) * 50 <= taken, "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_relay_that_counts_in_other_windows_is_used_as_well() {
        for (window_ms, limit, used_min) in [(10_000, 140, 92), (60_000, 600, 90), (1_000, 1, 88), (1_000, 5, 96)] {
            let (mut seed, mut provider) = (7, Provider { limit, window_ms, taken: VecDeque::new() });
            let mut senders = [Sender::new(None)];
            let (taken, _) = run(&mut senders, &mut provider, 0, 1_800_000, &mut seed);
            let used = taken * 100 * usize::try_from(window_ms).unwrap() / (limit * 1_800_000);
            assert!(used >= used_min, "{limit} in {window_ms} ms: {used} % used");
        }
    }

    #[test]
    fn a_raised_limit_is_found_within_a_minute() {
        for seed in 1..=5 {
            let mut seed = seed;
            let mut provider = Provider { limit: 14, window_ms: 1_000, taken: VecDeque::new() };
            let mut senders = [Sender::new(None)];
            run(&mut senders, &mut provider, 0, 100_000, &mut seed);
            provider.limit = 28;
            run(&mut senders, &mut provider, 100_000, 60_000, &mut seed);
            let (taken, _) = run(&mut senders, &mut provider, 160_000, 100_000, &mut seed);
            assert!(taken >= 28 * 95, "{taken}");
        }
    }

    #[test]
    fn a_relay_that_closes_is_left_alone_and_found_again() {
        let (mut seed, mut provider) = (7, Provider { limit: 14, window_ms: 1_000, taken: VecDeque::new() });
        let mut senders = [Sender::new(None)];
        run(&mut senders, &mut provider, 0, 60_000, &mut seed);
        provider.limit = 0;
        let (taken, refused) = run(&mut senders, &mut provider, 60_000, 600_000, &mut seed);
        assert_eq!(taken, 0);
        assert!(refused < 120, "{refused}");
        provider.limit = 14;
        run(&mut senders, &mut provider, 660_000, 240_000, &mut seed);
        let (taken, _) = run(&mut senders, &mut provider, 900_000, 60_000, &mut seed);
        assert!(taken >= 14 * 57, "{taken}");
    }

    #[test]
    fn a_cap_equal_to_the_limit_is_never_throttled() {
        let (mut seed, mut provider) = (7, Provider { limit: 14, window_ms: 1_000, taken: VecDeque::new() });
        let mut senders = [Sender::new(Some(14))];
        let (taken, refused) = run(&mut senders, &mut provider, 0, 200_000, &mut seed);
        assert_eq!(refused, 0);
        assert!(taken >= 14 * 200 * 95 / 100, "{taken}");
    }
}
