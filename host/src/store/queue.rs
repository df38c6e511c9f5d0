//! The queue's verbs. Each takes a slice, each is one transaction, each is fenced by the epoch.
//!
//! An event is claimed by moving its `due_at` a lease into the future and raising its `epoch`; a worker that finishes it
//! must show that epoch. Only the oldest event of an order is claimable, so a row that stays is the lane's lock.

mod claim;
mod due;
mod finish;
pub(crate) mod interventions;
mod merge;
mod pause;
mod postgres;
mod sqlite;
mod watermark;

use std::collections::HashSet;

use serde::Serialize;

pub(super) use claim::newest;
pub use claim::{Claimable, Claimed, UNSUSPECTED_CLAIMS_MAX};
pub(crate) use finish::note_beside;
pub use finish::{Finish, Note};
pub use pause::{Part, PartPause, Pause, Status};
pub(super) use sqlite::SCRATCH;
pub(super) use watermark::Watermark;

use super::dialect::Column::{self, Int, Text};
use super::dialect::Table;
use super::insert::Insert;
use super::users::json;
use super::{Db, Dialect, Result, Store, Tx, with_tx};

pub(super) const QUEUE: &str = "notification_events_queue";

/// The queue's index of lanes, as `MySQL` has to be told.
pub(super) const LANES: &str = "lanes";
pub(super) const ATTEMPTS: Table = Table { name: "notification_attempts", index: Some("attempts_state") };

/// That `q` is the oldest of its lane.
fn is_head(dialect: Dialect) -> String {
    let by_lane = dialect.by_index(LANES);
    format!(
        "not exists (select 1 from {QUEUE} p {by_lane} where p.lane = q.lane \
         and p.place < q.place)"
    )
}

/// Which claim of which event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Token {
    /// The notification, whose row in the queue it is.
    #[serde(rename = "state_id")]
    pub event: i64,
    /// The fencing token.
    #[serde(rename = "epoch")]
    pub token: i64,
}

/// What is put down before a message is handed over.
#[derive(Clone, Debug, Serialize)]
pub struct Intent {
    /// Whose.
    #[serde(flatten)]
    pub claim: Token,
    /// Which relay.
    pub relay: String,
    /// Who rendered and who admitted.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// Which variant of the mail the policy chose.
    pub ab_variant: Option<String>,
    /// What the policy saw, as JSON.
    pub situation: String,
    /// SHA-256 of the message's bytes.
    pub message_hash: String,
    /// The date in its header, unix milliseconds.
    pub dated_at: i64,
}

/// Which components had a hand in a decision or a mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// SHA-256 of the component that rendered.
    pub renderer_digest: Option<String>,
    /// Its revision.
    pub renderer_revision: Option<i64>,
    /// SHA-256 of the component that decided.
    pub policy_digest: Option<String>,
    /// Its revision.
    pub policy_revision: Option<i64>,
    /// What chance was drawn from, as its bits.
    pub seed: Option<i64>,
}

impl Store {
    /// Writes intents; true for each claim that still held. The proof that the database can be written to.
    pub async fn hand_over(&self, intents: &[Intent]) -> Result<Vec<bool>> {
        let now = self.dialect().now_ms(self.offset_ms());
        let held = match &self.db {
            Db::Sqlite { writer, .. } => sqlite::hand_over(writer, &now, intents).await?,
            Db::Postgres(pg) => {
                let mut session = pg.begin().await?;
                let held = postgres::hand_over(&mut session, &now, intents).await?;
                session.commit().await?;
                held
            }
            Db::MySql(..) => self.hand_over_by_steps(&now, intents).await?,
        };
        Ok(intents.iter().map(|i| held.contains(&i.claim)).collect())
    }

    async fn hand_over_by_steps(&self, now: &str, intents: &[Intent]) -> Result<HashSet<Token>> {
        let mut tx = self.begin().await?;
        let rows: Vec<_> = intents.iter().map(|i| row(&i.claim)).collect();
        let unexpired = Held { expiry: Some(now), ..Held::default() };
        let held = update_held(&mut tx, &rows, &[], "phase = 1", &unexpired).await?;
        let rows = intents.iter().filter(|i| held.contains(&i.claim)).map(object).collect::<Vec<_>>();
        let columns = [
            Int("state_id"),
            Int("epoch"),
            Text("relay"),
            Text("renderer_digest"),
            Int("renderer_revision"),
            Text("policy_digest"),
            Int("policy_revision"),
            Int("seed"),
            Text("ab_variant"),
            Text("situation"),
            Text("message_hash"),
            Int("dated_at"),
        ];
        let fixed = [("kind", "'send'"), ("repeats", "1"), ("started_at", now)];
        let insert = Insert { table: "notification_attempts", columns: &columns, fixed: &fixed };
        insert.rows(&mut tx, &rows).await?;
        tx.commit().await?;
        Ok(held)
    }

    /// Moves the leases on; true for each claim that still held.
    pub async fn renew(&self, claims: &[Token], lease_ms: i64) -> Result<Vec<bool>> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let rows: Vec<_> = claims.iter().map(row).collect();
        let set = format!("due_at = {now} + {lease_ms}");
        let unexpired = Held { expiry: Some(&now), ..Held::default() };
        let held = update_held(&mut tx, &rows, &[], &set, &unexpired).await?;
        tx.commit().await?;
        Ok(claims.iter().map(|c| held.contains(c)).collect())
    }

    /// Makes every lane's oldest event due that was never claimed and only inherited its time: repairs the race of
    /// an enqueue with the end of the event before it. Says how many.
    pub async fn sweep(&self) -> Result<u64> {
        let mut tx = self.begin().await?;
        let (dialect, now) = (tx.dialect(), tx.dialect().now_ms(self.offset_ms()));
        let sql = dialect.sql(&format!(
            "select q.state_id from {QUEUE} q where q.epoch = 0 and q.due_at > {now} and {}",
            is_head(dialect)
        ));
        let late: Vec<i64> = with_tx!(&mut tx, |c| sqlx::query_scalar(sql).fetch_all(c).await)?;
        make_due(&mut tx, &late, &now, "q.state_id = x.event and q.epoch = 0").await?;
        tx.commit().await?;
        Ok(late.len() as u64)
    }
}

/// Which claims count as held, beside showing the row's epoch.
#[derive(Default)]
struct Held<'a> {
    /// An expression for the present time: only those whose lease has not run out.
    expiry: Option<&'a str>,
    /// The update ends the claim: it raises the epoch.
    ends: bool,
}

const FENCE: &str = "q.state_id = x.event and q.epoch = x.token";

/// Updates the queue's rows whose claim still holds, and says which those are. `rows` are objects with "event",
/// "token" and `more`.
async fn update_held(
    tx: &mut Tx,
    rows: &[serde_json::Value],
    more: &[Column],
    set: &str,
    held: &Held<'_>,
) -> Result<HashSet<Token>> {
    let dialect = tx.dialect();
    let columns = [&[Int("event"), Int("token")], more].concat();
    let set = if held.ends { format!("{set}, epoch = q.epoch + 1") } else { set.to_owned() };
    let unexpired = held.expiry.map_or_else(String::new, |now| format!(" and q.due_at > {now}"));
    if dialect == Dialect::MySql {
        let found = lock(tx, rows, &unexpired).await?;
        let kept: Vec<_> = rows.iter().filter(|row| found.contains(&token(row))).collect();
        let sql = dialect.update(QUEUE, &columns, &set, FENCE);
        with_tx!(tx, |c| sqlx::query(sql).bind(json(&kept)).execute(c).await.map(drop))?;
        return Ok(found);
    }
    let raised = i64::from(held.ends);
    let matching = format!("{FENCE}{unexpired} returning state_id, epoch - {raised}");
    let sql = dialect.update(QUEUE, &columns, &set, &matching);
    let found: Vec<(i64, i64)> = with_tx!(tx, |c| sqlx::query_as(sql).bind(json(&rows)).fetch_all(c).await)?;
    Ok(tokens(found))
}

/// Deletes the queue's rows whose claim still holds, and says which those were.
async fn delete_held(tx: &mut Tx, rows: &[serde_json::Value]) -> Result<HashSet<Token>> {
    let dialect = tx.dialect();
    let columns = [Int("event"), Int("token")];
    if dialect == Dialect::MySql {
        let found = lock(tx, rows, "").await?;
        let sql = dialect.delete(QUEUE, "state_id", &columns, FENCE, "");
        with_tx!(tx, |c| sqlx::query(sql).bind(json(&rows)).execute(c).await.map(drop))?;
        return Ok(found);
    }
    let sql = dialect.delete(QUEUE, "state_id", &columns, FENCE, "returning state_id, epoch");
    let found: Vec<(i64, i64)> = with_tx!(tx, |c| sqlx::query_as(sql).bind(json(&rows)).fetch_all(c).await)?;
    Ok(tokens(found))
}

/// What `MySQL` needs instead of `returning`: the rows whose claim holds, locked until the transaction ends.
async fn lock(tx: &mut Tx, rows: &[serde_json::Value], unexpired: &str) -> Result<HashSet<Token>> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!(
        "select q.state_id, q.epoch from {} {} {QUEUE} q where {FENCE}{unexpired} order by q.state_id {}",
        dialect.rows(1, &[Int("event"), Int("token")]),
        dialect.join(),
        dialect.lock(),
    ));
    let found: Vec<(i64, i64)> = with_tx!(tx, |c| sqlx::query_as(sql).bind(json(&rows)).fetch_all(c).await)?;
    Ok(tokens(found))
}

fn tokens(found: Vec<(i64, i64)>) -> HashSet<Token> {
    found.into_iter().map(|(event, token)| Token { event, token }).collect()
}

fn token(row: &serde_json::Value) -> Token {
    let number = |key: &str| row[key].as_i64().unwrap_or_default();
    Token { event: number("event"), token: number("token") }
}

/// A value of ours with its columns' names.
///
/// # Panics
/// Never: our values have text keys and no failing parts.
fn object<T: Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).expect("our own values serialise")
}

fn row(claim: &Token) -> serde_json::Value {
    serde_json::json!({ "event": claim.event, "token": claim.token })
}

/// Events as rows of a parameter.
pub(super) fn events(ids: &[i64]) -> String {
    json(&ids.iter().map(|id| serde_json::json!({ "event": id })).collect::<Vec<_>>())
}

/// Makes events due.
async fn make_due(tx: &mut Tx, events: &[i64], now: &str, matching: &str) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let sql = tx.dialect().update(QUEUE, &[Int("event")], &format!("due_at = {now}"), matching);
    with_tx!(tx, |c| sqlx::query(sql).bind(self::events(events)).execute(c).await.map(drop))?;
    Ok(())
}

/// Makes what comes next of each lane due, where an event has left its place in it. What is claimed stays leased. Within the
/// transaction, but after the statement that took the event out: an enqueue that made it wait has committed by then, and
/// only a later statement sees what it added.
async fn make_due_next(tx: &mut Tx, left: &[(i64, i64)], now: &str) -> Result<()> {
    let dialect = tx.dialect();
    let row = |(lane, place): &(i64, i64)| serde_json::json!({ "lane": lane, "place": place });
    let rows = json(&left.iter().map(row).collect::<Vec<_>>());
    // Found by its lane: `due_at + 0` is in no index.
    let is_next = format!(
        "q.lane = x.lane and q.place > x.place and q.claims = 0 and q.due_at + 0 > {now} and {}",
        is_head(dialect)
    );
    let columns = [Int("lane"), Int("place")];
    if dialect != Dialect::MySql {
        let sql = dialect.update(QUEUE, &columns, &format!("due_at = {now}"), &is_next);
        with_tx!(tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
        return Ok(());
    }
    // It does not update a table that the condition reads.
    let (from, by_lane) = (dialect.rows(1, &columns), dialect.by_index(LANES));
    let sql = dialect.sql(&format!("select q.state_id from {from} straight_join {QUEUE} q {by_lane} where {is_next}"));
    let next: Vec<i64> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(&rows).fetch_all(c).await)?;
    make_due(tx, &next, now, "q.state_id = x.event").await
}
