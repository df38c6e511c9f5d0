//! The queue alone: claim and fenced completion, nothing between.

use std::time::Instant;

use ecomm::notification::{State, Transition};
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
                    let claimed = store.claim(Claimable::All, portions(batch), 60_000).await.expect("claimed");
                    if claimed.is_empty() {
                        break;
                    }
                    done += claimed.len();
                    let ends: Vec<Finish> = claimed.iter().map(end).collect();
                    let held = store.finish(&ends).await.expect("finished");
                    assert!(held.into_iter().all(|held| held), "nobody else is here");
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

/// As the worker asks while only orders' mails wait.
fn portions(batch: i64) -> [i64; 4] {
    if batch < 4 { [0, batch, 0, 0] } else { [1, batch - 3, 1, 1] }
}

fn end(claimed: &Claimed) -> Finish {
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
