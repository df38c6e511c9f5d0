//! What a claim costs with much in the queue.

use std::time::{Duration, Instant};

use ecomm::host::Host;
use ecomm::notification::Transition;
use ecomm::service::Principal;
use ecomm::shop::order::Change;
use ecomm::store::queue::{Claimable, Claimed, Finish};
use sqlx::{Connection as _, PgConnection};

use crate::{queue, rig};

/// How many wait when it is measured.
const DEPTHS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// The most; `ECOMM_BENCH_QUEUED` says another number.
const DEPTH_MAX: usize = 100_000;
/// Of so many orders one has two events, of which the later waits for the earlier: its lane is blocked.
const BLOCKED_ONE_IN: usize = 10;
const TASKS: usize = 32;
/// Claims of each size that are timed.
const CLAIMS: usize = 500;
/// Events that end while an old transaction keeps `PostgreSQL` from tidying up after them, at most.
const ENDS_PINNED: usize = 100_000;

pub(crate) async fn measure() {
    let most = std::env::var("ECOMM_BENCH_QUEUED").ok().and_then(|n| n.parse().ok()).unwrap_or(DEPTH_MAX);
    println!(
        "\ndepth: a claim and the reading of what belongs to it, {CLAIMS} times; the events go back and stay queued"
    );
    for database in rig::databases() {
        let url = database.fresh().await;
        let host = rig::host(&url, false).await;
        let (who, product) = rig::shop(&host.service).await;
        let (mut queued, mut first) = (0, None);
        for depth in DEPTHS.into_iter().filter(|depth| *depth <= most) {
            fill(&host, who, product, depth - queued).await;
            queued = depth;
            let what = format!("{depth} queued, {} lanes blocked", depth / (BLOCKED_ONE_IN + 1));
            let middle = row(&host, database.name, &what, first).await;
            first = first.or(Some(middle));
        }
        if database.name == "PostgreSQL" {
            let mut other = PgConnection::connect(&url).await.expect("it answers");
            let mut old = other.begin_with("begin isolation level repeatable read").await.expect("a transaction");
            sqlx::query("select count(*) from products").execute(&mut *old).await.expect("it sees what there is");
            let (begun, ends) = (Instant::now(), ENDS_PINNED.min(queued / 2));
            drain(&host, ends).await;
            let what = format!("and {ends} ended beside a transaction of {:.0} s", begun.elapsed().as_secs_f64());
            row(&host, database.name, &what, first).await;
            old.rollback().await.expect("over");
        }
        let begun = Instant::now();
        let (ended, longest) = drain(&host, usize::MAX).await;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = ended as f64 / begun.elapsed().as_secs_f64();
        println!(
            "  {:<11} the rest, by claims of 500: {rate:.0} events/s, {:.0} ms between two claims at the most",
            database.name,
            longest.as_secs_f64() * 1_000.0
        );
        host.stop().await;
    }
}

/// So many more events, or a few less.
async fn fill(host: &Host, who: Principal, product: i64, events: usize) {
    let admin = Principal { user_id: 1, session_id: 0, is_admin: true, role: None };
    let orders = events * BLOCKED_ONE_IN / (BLOCKED_ONE_IN + 1);
    let mut tasks = tokio::task::JoinSet::new();
    for share in 0..TASKS {
        let service = host.service.clone();
        tasks.spawn(async move {
            for order in (share..orders).step_by(TASKS) {
                let placed = rig::place(&service, who, product).await;
                if order % BLOCKED_ONE_IN == 0 {
                    let change = serde_json::from_value(serde_json::json!({ "status": "shipped" })).expect("a change");
                    service.change_order(admin, placed.id, Change::Status(change), None, None).await.expect("shipped");
                }
            }
        });
    }
    tasks.join_all().await;
}

/// Prints a row, whose median of single claims it gives back; `first`: that of the first row.
async fn row(host: &Host, database: &str, what: &str, first: Option<f64>) -> f64 {
    let mut shown = Vec::new();
    for batch in [1, 100] {
        let mut times = claims(host, batch).await;
        shown.extend([rig::percentile(&mut times, 50), rig::percentile(&mut times, 99)]);
    }
    println!(
        "  {database:<11} {what:<52} one p50 {:.2} p99 {:.2} ms ({:.2} of the first)   100 p50 {:.2} p99 {:.2} ms",
        shown[0],
        shown[1],
        shown[0] / first.unwrap_or(shown[0]),
        shown[2],
        shown[3]
    );
    shown[0]
}

/// How long each claim took, in milliseconds.
async fn claims(host: &Host, batch: i64) -> Vec<f64> {
    let mut times = Vec::with_capacity(CLAIMS);
    for _ in 0..CLAIMS {
        let begun = Instant::now();
        let claimed = host.service.store.claim(Claimable::All, [0, batch, 0, 0], 60_000).await.expect("claimed");
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
        assert_eq!(i64::try_from(claimed.len()), Ok(batch), "there are enough");
        queue::finish(&host.service.store, claimed.iter().map(give_back)).await;
    }
    times
}

/// Ends so many events, or all; says how many, and the longest time from one claim to the next.
async fn drain(host: &Host, most: usize) -> (usize, Duration) {
    let (mut ended, mut longest) = (0, Duration::ZERO);
    while ended < most {
        let begun = Instant::now();
        let done = queue::claim_and_end(&host.service.store, 500).await;
        if done == 0 {
            break;
        }
        ended += done;
        longest = longest.max(begun.elapsed());
    }
    (ended, longest)
}

fn give_back(claimed: &Claimed) -> Finish {
    let attempts = claimed.attempts;
    Finish { attempts, transition: Transition::GiveBack, intent: false, ..queue::end(claimed) }
}
