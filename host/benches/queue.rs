//! The queue alone: claim and fenced completion, nothing between.

use std::time::Instant;

use ecomm::notification::{State, Transition};
use ecomm::store::Store;
use ecomm::store::queue::{Claimable, Claimed, Finish};

use crate::rig;

/// Events for each batch size.
const SHARES: [(i64, usize); 4] = [(1, 1_500), (10, 6_000), (100, 15_000), (500, 15_000)];

pub(crate) async fn measure() {
    println!("\nqueue only: claim + fenced completion, one connection at a time, events/s");
    println!("{:<12} {:>10} {:>10} {:>10} {:>10}", "", "batch 1", "10", "100", "500");
    for database in rig::databases() {
        let host = rig::host(&database.fresh().await, false).await;
        let (who, product) = rig::shop(&host.service).await;
        let mut row = Vec::new();
        for (batch, events) in SHARES {
            rig::fill(&host.service, who, product, events).await;
            let store = &host.service.store;
            let mut rates = Vec::new();
            // Rounds, so that one pause of the machine does not make the figure.
            let rounds = 5;
            for round in 0..rounds {
                let share = if round + 1 == rounds { usize::MAX } else { events / rounds };
                let begun = Instant::now();
                let mut done = 0;
                while done < share {
                    let ended = claim_and_end(store, batch).await;
                    if ended == 0 {
                        break;
                    }
                    done += ended;
                }
                #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
                rates.push(done as f64 / begun.elapsed().as_secs_f64());
            }
            row.push(rig::median(rates));
        }
        println!("{:<12} {:>10.0} {:>10.0} {:>10.0} {:>10.0}", database.name, row[0], row[1], row[2], row[3]);
        host.stop().await;
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
