//! The store's verbs beside the model's: the same seeded steps, the same answers, the same rows.

use ecomm::notification::Transition;
use ecomm::store::queue::{Claimable, Claimed, Finish};

use super::random;
use super::table::{ALL, Claim, End, Event, LEASE, Table, Time};
use crate::app::App;
use crate::database::Database;
use crate::store::{finish, intent, sent};

const WALKS: u64 = 8;
const STEPS: usize = 40;
/// Lanes of a walk, and changes of an order.
const LANES: usize = 2;
const CHANGES: [&str; 3] = ["pending", "shipped", "delivered"];
/// A step of the model's time in milliseconds: no walk takes so long.
const STEP_MS: u32 = 10_000_000;

/// A walk under way: the model, and which order is which lane.
struct Walk<'a> {
    app: &'a App,
    began_at: i64,
    now: Time,
    table: Table,
    orders: Vec<(i64, u8)>,
    claims: Vec<(Claim, Claimed)>,
}

pub async fn the_store_does_what_the_model_does(database: Database) {
    let app = App::start(database).await;
    for seed in 1..=WALKS {
        let began_at = app.clock.now_ms();
        let (table, orders, claims) = (Table::default(), Vec::new(), Vec::new());
        let mut walk = Walk { app: &app, began_at, now: 0, table, orders, claims };
        let mut state = seed;
        for step in 0..STEPS {
            walk.step(&mut state).await;
            assert_eq!(walk.rows().await, walk.expected(), "seed {seed}, step {step}");
        }
        app.database.execute("delete from notification_events_queue").await;
    }
    app.end().await;
}

impl Walk<'_> {
    async fn step(&mut self, state: &mut u64) {
        let store = &self.app.host.service.store;
        let which = (!self.claims.is_empty()).then(|| random(state) % self.claims.len());
        match (random(state) % 9, which) {
            (0 | 1, _) => self.enqueue(state).await,
            (2, _) => {
                self.app.clock.advance(STEP_MS);
                self.now += 1;
            }
            (3 | 4, Some(which)) => {
                let (claim, claimed) = &self.claims[which];
                let held = store.hand_over(&[intent(claimed)]).await.unwrap();
                assert_eq!(held, [self.table.hand_over(*claim, self.now, ALL)]);
            }
            (5, Some(which)) => {
                let (claim, claimed) = &self.claims[which];
                let held = store.renew(&[claimed.claim], lease_ms()).await.unwrap();
                assert_eq!(held, [self.table.renew(*claim, self.now, ALL)]);
            }
            (6 | 7, Some(which)) => self.finish(which, state).await,
            _ => self.claim().await,
        }
    }

    /// Another change of an order, or another order.
    async fn enqueue(&mut self, state: &mut u64) {
        let at = random(state) % LANES;
        if at >= self.orders.len() {
            self.orders.push((self.app.order().await, 1));
        } else if let Some(change) = CHANGES.get(usize::from(self.orders[at].1)) {
            self.orders[at].1 += 1;
            self.app.change(self.orders[at].0, change).await;
        } else {
            return;
        }
        let lane = at.min(self.orders.len() - 1);
        self.table.enqueue((u8::try_from(lane).unwrap(), self.orders[lane].1), self.now);
    }

    /// All that is due.
    async fn claim(&mut self) {
        let mut claimed = self.app.host.service.store.claim(Claimable::All, [0, 100, 0, 0], lease_ms()).await.unwrap();
        claimed.sort_by_key(|claimed| self.event(claimed));
        let expected = self.table.claimable(self.now, ALL);
        assert_eq!(claimed.iter().map(|claimed| self.event(claimed)).collect::<Vec<_>>(), expected);
        for claimed in claimed {
            let (claim, is_begun) = self.table.claim(self.event(&claimed), 0, self.now);
            assert_eq!((claimed.claim.token, claimed.in_doubt), (i64::from(claim.epoch), is_begun));
            self.claims.push((claim, claimed));
        }
    }

    /// In any way, whether or not the claim still holds.
    async fn finish(&mut self, which: usize, state: &mut u64) {
        let (claim, claimed) = &self.claims[which];
        let later = Transition::Later { delay_ms: i64::from(STEP_MS), relay: None };
        let ways = [(End::Sent, sent()), (End::Later, later), (End::GivenBack, Transition::GiveBack)];
        let (end, transition) = ways[random(state) % ways.len()].clone();
        let end_of_claim = Finish { intent: end != End::GivenBack, ..finish(claimed, transition) };
        let held = self.app.host.service.store.finish(&[end_of_claim]).await.unwrap();
        assert_eq!(held, [self.table.finish(*claim, end, self.now, ALL)]);
    }

    fn event(&self, claimed: &Claimed) -> Event {
        let lane = self.orders.iter().position(|(order, _)| *order == claimed.lane).expect("of this walk");
        (u8::try_from(lane).unwrap(), u8::try_from(claimed.place).unwrap())
    }

    /// The queue as it is, and as the model has it: lane, place, due, epoch, claims, phase.
    async fn rows(&self) -> Vec<[i64; 6]> {
        let columns = "concat(lane, ' ', place, ' ', due_at, ' ', epoch, ' ', claims, ' ', phase)";
        let sql = format!("select {columns} from notification_events_queue order by lane, place");
        let number = |text: &str| text.parse::<i64>().unwrap();
        let row = |text: String| {
            let numbers: Vec<i64> = text.split(' ').map(number).collect();
            let lane = self.orders.iter().position(|(order, _)| *order == numbers[0]).unwrap();
            let due = (numbers[2] - self.began_at + i64::from(STEP_MS / 2)) / i64::from(STEP_MS);
            [i64::try_from(lane).unwrap(), numbers[1], due, numbers[3], numbers[4], numbers[5]]
        };
        self.app.database.texts(&sql).await.into_iter().map(row).collect()
    }

    fn expected(&self) -> Vec<[i64; 6]> {
        let row = |((lane, place), row): (&Event, &super::table::Row)| {
            [*lane, *place, row.due, row.epoch, row.claims, u8::from(row.is_begun)].map(i64::from)
        };
        self.table.rows.iter().map(row).collect()
    }
}

fn lease_ms() -> i64 {
    i64::from(LEASE) * i64::from(STEP_MS)
}
