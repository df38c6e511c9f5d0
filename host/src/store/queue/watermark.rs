//! Where a claim begins to look. What was claimed leaves entries in the index by time, which `PostgreSQL` and `MySQL` clear away later,
//! and not at all while an old transaction might still read them; and what waits for others of its lane stays where it was. Each claim
//! steps over all of that again. Where that has become slow, claims begin at what was claimed last, and only now and then at the
//! beginning: there is what became the head of its lane since, and what took long to commit.

use std::sync::{Mutex, PoisonError};

use crate::clock::Clock;
use crate::notification::URGENCIES;

/// A claim from the beginning that is no slower, in milliseconds, is how the next one begins too.
const SWIFT_MS: i64 = 2;
/// The same for each ten events that it took.
const SWIFT_MS_PER_TEN: i64 = 1;
/// Otherwise claims from the beginning take this part of the time.
const WHOLE_ONE_IN: i64 = 20;
/// A claim that finds nothing is followed by one from the beginning where that takes no longer, in milliseconds: it is then known that
/// nothing is due.
const AGAIN_MS: i64 = 50;
/// By so much earlier than the last claimed event was due, in milliseconds: events commit a little later than they are due.
const MARGIN_MS: i64 = 250;

/// What a host knows of where its claims should begin.
#[derive(Debug)]
pub(in crate::store) struct Watermark {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Since when an event must be due to be looked for, of each urgency.
    from: [i64; URGENCIES],
    /// Until when claims need not begin at the beginning, by the monotonic clock.
    rest_until_ms: i64,
    /// What the last one took that did.
    whole_ms: i64,
}

/// Where one claim begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) from: [i64; URGENCIES],
    is_whole: bool,
    begun_ms: i64,
}

impl Look {
    fn whole(begun_ms: i64) -> Self {
        Self { from: [BEGINNING; URGENCIES], is_whole: true, begun_ms }
    }
}

impl Watermark {
    pub(in crate::store) fn new(clock: Clock) -> Self {
        let state = State { from: [BEGINNING; URGENCIES], rest_until_ms: i64::MIN, whole_ms: 0 };
        Self { clock, state: Mutex::new(state) }
    }

    pub(super) fn look(&self) -> Look {
        let begun_ms = self.clock.monotonic_ms();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if begun_ms >= state.rest_until_ms {
            Look::whole(begun_ms)
        } else {
            Look { from: state.from, is_whole: false, begun_ms }
        }
    }

    /// What a claim took: of each event the urgency, and when the last of that urgency was due.
    pub(super) fn took(&self, look: Look, dues: impl ExactSizeIterator<Item = (usize, i64)>) {
        let took_ms = self.clock.monotonic_ms() - look.begun_ms;
        let swift_ms = SWIFT_MS + i64::try_from(dues.len() / 10).unwrap_or_default() * SWIFT_MS_PER_TEN;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (urgency, due) in dues {
            if let Some(from) = state.from.get_mut(urgency) {
                *from = due - MARGIN_MS;
            }
        }
        if look.is_whole {
            state.whole_ms = took_ms;
            if took_ms > swift_ms {
                state.rest_until_ms = self.clock.monotonic_ms() + took_ms * WHOLE_ONE_IN;
            }
        }
    }

    /// Where to look once more after a claim that found nothing; none where that is known, or too slow to be done each time.
    pub(super) fn again(&self, look: Look) -> Option<Look> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_worth_it = !look.is_whole && state.whole_ms <= AGAIN_MS;
        is_worth_it.then(|| Look::whole(self.clock.monotonic_ms()))
    }
}

/// Before anything is due.
const BEGINNING: i64 = i64::MIN;

#[cfg(test)]
mod tests {
    use super::{BEGINNING, MARGIN_MS, Watermark};
    use crate::clock::Clock;

    #[test]
    fn a_slow_claim_spares_the_next_ones_the_way() {
        let clock = Clock::system();
        let watermark = Watermark::new(clock.clone());
        let from = |watermark: &Watermark| watermark.look().from;
        // Swift: nothing is spared.
        watermark.took(watermark.look(), [(1, 5_000)].into_iter());
        assert_eq!(from(&watermark), [BEGINNING; 4]);
        // Slow: what was claimed since is left out, of its urgency alone, for twenty times as long.
        let look = watermark.look();
        clock.advance(100);
        watermark.took(look, [(1, 6_000)].into_iter());
        assert_eq!(from(&watermark), [BEGINNING, 6_000 - MARGIN_MS, BEGINNING, BEGINNING]);
        // A slow one that did not begin at the beginning changes nothing of that.
        let look = watermark.look();
        clock.advance(500);
        watermark.took(look, [(1, 7_000)].into_iter());
        assert_eq!(from(&watermark)[1], 7_000 - MARGIN_MS);
        assert!(watermark.again(look).is_none(), "it took a hundred milliseconds");
        clock.advance(1_600);
        assert_eq!(from(&watermark), [BEGINNING; 4]);
        // Not so slow: whoever finds nothing looks again.
        let look = watermark.look();
        assert!(watermark.again(look).is_none(), "it was from the beginning");
        clock.advance(30);
        watermark.took(look, [(1, 8_000)].into_iter());
        let look = watermark.look();
        assert_eq!(look.from[1], 8_000 - MARGIN_MS);
        assert_eq!(watermark.again(look).map(|look| look.from), Some([BEGINNING; 4]));
    }
}
