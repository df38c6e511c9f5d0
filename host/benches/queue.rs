//! The queue alone: claim and fenced completion, nothing between.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ecomm::notification::{State, Transition};
use ecomm::store::Store;
use ecomm::store::queue::{Claimable, Claimed, Finish};

use crate::rig;

/// How many claim at a time, how many events each, and of how many.
const SHARES: [(usize, i64, usize); 5] =
    [(1, 1, 1_500), (1, 10, 6_000), (1, 100, 15_000), (1, 500, 15_000), (4, 500, 30_000)];

pub(crate) async fn measure() {
    println!("\nqueue only: claim + fenced completion, events/s; the last column by four at a time");
    println!("{:<12} {:>10} {:>10} {:>10} {:>10} {:>10}", "", "batch 1", "10", "100", "500", "4 x 500");
    for database in rig::databases() {
        let host = rig::host(&database.fresh().await, false).await;
        let (who, product) = rig::shop(&host.service).await;
        print!("{:<12}", database.name);
        for (claimers, batch, events) in SHARES {
            rig::fill(&host.service, who, product, events).await;
            let mut rates = Vec::new();
            // Rounds, so that one pause of the machine does not make the figure.
            let rounds = 5;
            for round in 0..rounds {
                let share = if round + 1 == rounds { usize::MAX } else { events / rounds };
                let (begun, ended) = (Instant::now(), AtomicUsize::new(0));
                let claiming = (0..claimers).map(|_| end_all(&host.service.store, batch, share, &ended));
                futures_util::future::join_all(claiming).await;
                #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
                rates.push(ended.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64());
            }
            print!(" {:>10.0}", rig::median(rates));
        }
        println!();
        host.stop().await;
    }
}

/// Until so many have ended, or none is left.
async fn end_all(store: &Store, batch: i64, share: usize, ended: &AtomicUsize) {
    while ended.load(Ordering::Relaxed) < share {
        let now = claim_and_end(store, batch).await;
        if now == 0 {
            break;
        }
        ended.fetch_add(now, Ordering::Relaxed);
    }
}

/// Ends so many events at the most; says how many there were.
pub(crate) async fn claim_and_end(store: &Store, batch: i64) -> usize {
    let claimed = store.claim(Claimable::All, portions(batch), 60_000).await.expect("claimed");
    if !claimed.is_empty() {
        finish(store, claimed.iter().map(end)).await;
    }
    claimed.len()
}

pub(crate) async fn finish(store: &Store, ends: impl Iterator<Item = Finish>) {
    let held = store.finish(&ends.collect::<Vec<_>>()).await.expect("finished");
    assert!(held.into_iter().all(|held| held), "nobody else is here");
}

/// As the worker asks while only orders' mails wait.
fn portions(batch: i64) -> [i64; 4] {
    if batch < 4 { [0, batch, 0, 0] } else { [1, batch - 3, 1, 1] }
}

pub(crate) fn end(claimed: &Claimed) -> Finish {
    Finish {
        claim: claimed.claim,
        lane: claimed.lane,
        place: claimed.place,
        attempts: 1,
        transition: Transition::End { state: State::Sent, reason: String::new() },
        notes: Vec::new(),
        intent: true,
    }
}
