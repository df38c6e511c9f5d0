//! Work that is asked for one by one and done together: whatever waits when a round ends goes into the next, and
//! nobody waits for a timer.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::store;

/// How often a round that lost a deadlock is tried again.
const TRIES_MAX: usize = 5;

/// Those who ask for the same work. Cheap to clone.
pub struct Group<T, A> {
    shared: Arc<Shared<T, A>>,
}

struct Shared<T, A> {
    state: Mutex<State<T, A>>,
    /// Rounds under way at one time.
    rounds_max: usize,
    /// The most that one round carries.
    size_max: usize,
    /// Whether what was asked for is worked on even when who asked is gone.
    to_the_end: bool,
}

struct State<T, A> {
    waiting: Vec<(T, Asker<A>)>,
    under_way: usize,
    /// Ended with the group.
    rounds: JoinSet<()>,
}

type Asker<A> = oneshot::Sender<store::Result<A>>;

impl<T, A> Clone for Group<T, A> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T, A> Shared<T, A> {
    fn state(&self) -> MutexGuard<'_, State<T, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts as under way until it finds nobody waiting, or is dropped.
struct Rounds<T, A> {
    shared: Arc<Shared<T, A>>,
    ended: bool,
}

impl<T, A> Rounds<T, A> {
    /// The next round. None: nobody waits, and a caller that asks from now on begins rounds of their own.
    fn next(&mut self) -> Option<(Vec<T>, Vec<Asker<A>>)> {
        let mut state = self.shared.state();
        if !self.shared.to_the_end {
            state.waiting.retain(|(_, asker)| !asker.is_closed());
        }
        if state.waiting.is_empty() {
            state.under_way -= 1;
            self.ended = true;
            return None;
        }
        let size = state.waiting.len().min(self.shared.size_max);
        Some(state.waiting.drain(..size).unzip())
    }
}

impl<T, A> Drop for Rounds<T, A> {
    fn drop(&mut self) {
        if !self.ended {
            let mut state = self.shared.state();
            state.under_way -= 1;
            if state.under_way == 0 {
                // The work panicked. Who waits hears of it now, not when somebody else asks.
                state.waiting.clear();
            }
        }
    }
}

impl<T: Clone + Send + Sync + 'static, A: Send + 'static> Group<T, A> {
    /// A group of which `rounds_max` rounds of at most `size_max` are under way at one time. Who does not wait for the
    /// answer any longer is left out, and a round for which nobody waits is broken off.
    pub fn new(rounds_max: usize, size_max: usize) -> Self {
        Self::with(rounds_max, size_max, false)
    }

    /// The same, but whatever was asked for is worked on to the end.
    pub fn to_the_end(rounds_max: usize, size_max: usize) -> Self {
        Self::with(rounds_max, size_max, true)
    }

    fn with(rounds_max: usize, size_max: usize, to_the_end: bool) -> Self {
        let state = Mutex::new(State { waiting: Vec::new(), under_way: 0, rounds: JoinSet::new() });
        Self { shared: Arc::new(Shared { state, rounds_max, size_max, to_the_end }) }
    }

    /// Has `item` worked on with whatever else waits. `work` answers each item in its place, or fails for all: then
    /// each is tried alone, unless the database is away.
    pub async fn ask<F, W>(&self, item: T, work: F) -> store::Result<A>
    where
        F: Fn(Arc<[T]>) -> W + Send + Sync + 'static,
        W: Future<Output = store::Result<Vec<A>>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.shared.state();
            state.waiting.push((item, sender));
            if state.under_way < self.shared.rounds_max {
                state.under_way += 1;
                while state.rounds.try_join_next().is_some() {}
                let rounds = Rounds { shared: self.shared.clone(), ended: false };
                state.rounds.spawn(work_all(rounds, work));
            }
        }
        receiver.await.unwrap_or_else(|_| Err(cut_short()))
    }
}

async fn work_all<T, A, F, W>(mut rounds: Rounds<T, A>, work: F)
where
    T: Clone,
    F: Fn(Arc<[T]>) -> W,
    W: Future<Output = store::Result<Vec<A>>>,
{
    loop {
        // Tasks that are about to ask do so first: rounds are fewer and larger, and on an idle host nobody waits longer.
        tokio::task::yield_now().await;
        let Some((items, mut askers)) = rounds.next() else { break };
        let items: Arc<[T]> = items.into();
        let gone = nobody_waits(&mut askers, rounds.shared.to_the_end);
        let answers = tokio::select! {
            biased;
            () = gone => continue,
            answers = tried(&work, items.clone()) => answers,
        };
        match answers {
            Ok(answers) => {
                for (asker, answer) in askers.into_iter().zip(answers) {
                    let _ = asker.send(Ok(answer));
                }
            }
            // One bad row must not keep the others from being worked on.
            Err(e) if e.is_refusal() && askers.len() > 1 => {
                for (item, asker) in items.iter().zip(askers) {
                    let alone = tried(&work, [item.clone()].into()).await;
                    let _ = asker.send(alone.and_then(|mut answers| answers.pop().ok_or_else(cut_short)));
                }
            }
            Err(e) => {
                let e = Arc::new(e);
                for asker in askers {
                    let _ = asker.send(Err(store::Error::Shared(e.clone())));
                }
            }
        }
    }
}

async fn tried<T, A, F, W>(work: &F, items: Arc<[T]>) -> store::Result<Vec<A>>
where
    F: Fn(Arc<[T]>) -> W,
    W: Future<Output = store::Result<Vec<A>>>,
{
    let mut tries = 1;
    loop {
        match work(items.clone()).await {
            Err(e) if e.is_transient() && tries < TRIES_MAX => tries += 1,
            done => return done,
        }
    }
}

async fn nobody_waits<A>(askers: &mut [Asker<A>], to_the_end: bool) {
    if to_the_end {
        std::future::pending::<()>().await;
    }
    for asker in askers {
        asker.closed().await;
    }
}

fn cut_short() -> store::Error {
    store::Error::Undone("the work ended before its time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doubles numbers; a round is as long as the test wants it to be.
    #[derive(Clone)]
    struct Doubler {
        gate: Arc<tokio::sync::Semaphore>,
        rounds: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl Doubler {
        fn new() -> Self {
            Self { gate: Arc::new(tokio::sync::Semaphore::new(0)), rounds: Arc::default() }
        }

        fn rounds(&self) -> Vec<Vec<u32>> {
            self.rounds.lock().unwrap().clone()
        }

        async fn ask(&self, group: &Group<u32, u32>, item: u32) -> store::Result<u32> {
            let this = self.clone();
            let work = move |items: Arc<[u32]>| {
                let this = this.clone();
                async move {
                    this.rounds.lock().unwrap().push(items.to_vec());
                    this.gate.acquire().await.unwrap().forget();
                    assert!(!items.contains(&66), "as the test wants it");
                    if items.contains(&13) {
                        return Err(store::Error::OutOfStock);
                    }
                    if items.contains(&99) {
                        return Err(store::Error::Undone("away".to_owned()));
                    }
                    Ok(items.iter().map(|n| n * 2).collect())
                }
            };
            group.ask(item, work).await
        }

        async fn begun(&self, rounds: usize) {
            while self.rounds().len() < rounds {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Asks for the first, and for the others once its round is under way; then lets everything happen.
    async fn behind_one(group: &Group<u32, u32>, doubler: &Doubler, items: &[u32]) -> Vec<store::Result<u32>> {
        let others = async {
            doubler.begun(1).await;
            let asked = futures_util::future::join_all(items[1..].iter().map(|n| doubler.ask(group, *n)));
            let go = async {
                tokio::task::yield_now().await;
                doubler.gate.add_permits(100);
            };
            tokio::join!(asked, go).0
        };
        let (first, others) = tokio::join!(doubler.ask(group, items[0]), others);
        std::iter::once(first).chain(others).collect()
    }

    #[tokio::test]
    async fn whoever_waits_goes_into_the_next_round() {
        let (group, doubler) = (Group::new(1, 3), Doubler::new());
        let answers: Vec<u32> =
            behind_one(&group, &doubler, &[1, 2, 3, 4, 5]).await.into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(answers, [2, 4, 6, 8, 10]);
        assert_eq!(doubler.rounds(), [vec![1], vec![2, 3, 4], vec![5]]);
        // Nobody waits any longer: the next one begins rounds again.
        assert_eq!(doubler.ask(&group, 6).await.unwrap(), 12);
    }

    #[tokio::test]
    async fn a_refused_one_is_refused_alone() {
        let (group, doubler) = (Group::new(1, 9), Doubler::new());
        let answers = behind_one(&group, &doubler, &[1, 2, 13, 4]).await;
        let answers: Vec<_> = answers.into_iter().map(Result::ok).collect();
        assert_eq!(answers, [Some(2), Some(4), None, Some(8)]);
        assert_eq!(doubler.rounds(), [vec![1], vec![2, 13, 4], vec![2], vec![13], vec![4]]);
    }

    #[tokio::test]
    async fn what_fails_for_all_is_not_tried_one_by_one() {
        let (group, doubler) = (Group::new(1, 9), Doubler::new());
        let answers = behind_one(&group, &doubler, &[1, 2, 99, 4]).await;
        assert_eq!(answers.iter().filter(|a| matches!(a, Err(store::Error::Shared(_)))).count(), 3);
        assert_eq!(doubler.rounds(), [vec![1], vec![2, 99, 4]]);
    }

    #[tokio::test]
    async fn who_is_gone_is_left_out() {
        let (group, doubler) = (Group::new(1, 9), Doubler::new());
        let gone = async {
            doubler.begun(1).await;
            tokio::select! {
                biased;
                _ = doubler.ask(&group, 7) => panic!("not before the first round ends"),
                () = tokio::task::yield_now() => {}
            }
        };
        // The only one of a round, and one that waits: the round is broken off, and neither is worked on.
        tokio::select! {
            biased;
            _ = doubler.ask(&group, 1) => panic!("not before the gate opens"),
            () = gone => {}
        }
        doubler.gate.add_permits(1);
        assert_eq!(doubler.ask(&group, 2).await.unwrap(), 4);
        assert_eq!(doubler.rounds(), [vec![1], vec![2]]);
    }

    #[tokio::test]
    async fn a_panic_leaves_nobody_waiting() {
        let (group, doubler) = (Group::new(1, 9), Doubler::new());
        let answers = behind_one(&group, &doubler, &[66, 1, 2]).await;
        assert!(answers.iter().all(|a| matches!(a, Err(store::Error::Undone(_)))), "{answers:?}");
        assert_eq!(doubler.ask(&group, 3).await.unwrap(), 6);
    }

    #[tokio::test]
    async fn to_the_end_nobody_is_left_out() {
        let (group, doubler) = (Group::to_the_end(1, 9), Doubler::new());
        tokio::select! {
            biased;
            _ = doubler.ask(&group, 1) => panic!("not before the gate opens"),
            () = doubler.begun(1) => {}
        }
        doubler.gate.add_permits(2);
        assert_eq!(doubler.ask(&group, 2).await.unwrap(), 4);
        assert_eq!(doubler.rounds(), [vec![1], vec![2]]);
        assert_eq!(doubler.gate.available_permits(), 0);
    }
}
