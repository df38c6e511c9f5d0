//! Long calls take turns: however slow a component is, a processor stays free for the APIs and for short calls.

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::UpdateDeadline;

use crate::plugin::engine::TICK_MS;

/// A call that has run for longer is a long one. The built-ins need a tenth of it, `CPython` about all of it.
const SHORT_MS: u64 = 8;

/// The long calls of a slot that may run at one time: one for each processor but one.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::of(processors.saturating_sub(1).max(1))
    }

    fn of(calls_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(calls_max)))
    }
}

/// How long one call has run, and its turn when it is a long one. Time in which it waits for a turn or for a processor
/// is not counted: the budget says what a component may take, however many calls there are.
pub(super) struct Running {
    ticks_left: u64,
    ticks_short: u64,
    turns: Turns,
    turn: Arc<OnceLock<OwnedSemaphorePermit>>,
}

impl Running {
    pub(super) fn new(time_ms_max: u64, turns: Turns) -> Self {
        let (ticks_left, ticks_short) = (time_ms_max.div_ceil(TICK_MS), SHORT_MS / TICK_MS);
        Self { ticks_left, ticks_short, turns, turn: Arc::default() }
    }

    /// Counts a tick of the epoch: the call lets others run, waits for a turn, or has used its time.
    pub(super) fn tick(&mut self) -> UpdateDeadline {
        self.ticks_left = self.ticks_left.saturating_sub(1);
        self.ticks_short = self.ticks_short.saturating_sub(1);
        if self.ticks_left == 0 {
            return UpdateDeadline::Interrupt;
        }
        if self.ticks_short > 0 || self.turn.get().is_some() {
            return UpdateDeadline::Yield(1);
        }
        let (turns, turn) = (self.turns.0.clone(), self.turn.clone());
        let wait = async move {
            if let Ok(permit) = turns.acquire_owned().await {
                let _ = turn.set(permit);
            }
            // With a turn at once the call must give way all the same, as after each tick.
            tokio::task::yield_now().await;
        };
        UpdateDeadline::YieldCustom(1, Box::pin(wait))
    }

    /// Lets the call run for as long as it likes.
    pub(super) fn lift(&mut self) {
        self.ticks_left = u64::MAX;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use wasmtime::UpdateDeadline;

    use super::{Running, SHORT_MS, TICK_MS, Turns};

    /// Ticks until the call is a long one; what it then waits for.
    fn until_long(call: &mut Running) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        for _ in 1..SHORT_MS / TICK_MS {
            assert!(matches!(call.tick(), UpdateDeadline::Yield(1)));
        }
        let UpdateDeadline::YieldCustom(1, wait) = call.tick() else { panic!("a long call goes on without a turn") };
        wait
    }

    #[tokio::test]
    async fn a_long_call_waits_until_another_ends() {
        let turns = Turns::of(1);
        let [mut first, mut second] = [0; 2].map(|_| Running::new(1_000, turns.clone()));
        until_long(&mut first).await;
        assert!(matches!(first.tick(), UpdateDeadline::Yield(1)), "its turn is its own until it ends");

        let mut wait = until_long(&mut second);
        for _ in 0..3 {
            assert!((&mut wait).now_or_never().is_none());
        }
        drop(first);
        wait.await;
        assert!(matches!(second.tick(), UpdateDeadline::Yield(1)));
    }

    #[tokio::test]
    async fn a_call_that_gives_up_waiting_takes_no_turn() {
        let turns = Turns::of(1);
        let [mut first, mut second, mut third] = [0; 3].map(|_| Running::new(1_000, turns.clone()));
        until_long(&mut first).await;
        let mut wait = until_long(&mut second);
        assert!((&mut wait).now_or_never().is_none());
        drop((wait, second, first));
        until_long(&mut third).await;
    }

    #[tokio::test]
    async fn only_time_that_a_call_runs_is_counted() {
        let mut call = Running::new(5 * TICK_MS, Turns::of(1));
        until_long(&mut call).await;
        assert!(matches!(call.tick(), UpdateDeadline::Interrupt), "the fifth tick");
        let mut lifted = Running::new(TICK_MS, Turns::of(1));
        lifted.lift();
        assert!(!matches!(lifted.tick(), UpdateDeadline::Interrupt));
    }
}
