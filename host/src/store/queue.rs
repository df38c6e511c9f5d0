//! The queue's verbs. Each takes a slice, each is one transaction, each is fenced by the epoch.
//!
//! An event is claimed by moving its `due_at` a lease into the future and raising its `epoch`; whoever finishes it
//! must show that epoch. Only the oldest event of an order is claimable, so a row that stays is the lane's lock.

mod claim;

use std::collections::HashSet;

use serde::Serialize;

pub use claim::Claimed;

use super::dialect::Column::{self, Int, Text};
use super::users::json;
use super::{Result, Store, Tx, with_tx};
use crate::notification::Transition;

const QUEUE: &str = "notification_events_queue";

/// Which claim of which event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Token {
    /// The row in the queue.
    pub event: i64,
    /// The fencing token.
    pub token: i64,
}

/// What is put down before a message is handed over.
#[derive(Clone, Debug, Serialize)]
pub struct Intent {
    /// Whose.
    #[serde(flatten)]
    pub claim: Token,
    /// The notification.
    pub state_id: i64,
    /// Which relay.
    pub relay: String,
    /// Who rendered and who admitted.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// What the policy saw, as JSON.
    pub situation: String,
    /// SHA-256 of the message's bytes.
    pub message_hash: String,
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

/// A row for the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Note {
    /// "send", "decision" or "fault".
    pub kind: &'static str,
    /// How far it got.
    pub phase: Option<String>,
    /// "delivered", a class of failure, or an error code.
    pub class: Option<String>,
    /// The SMTP reply code.
    pub code: Option<i64>,
    /// The enhanced status code.
    pub enhanced: Option<String>,
    /// The reply's or the fault's text.
    pub reply: Option<String>,
    /// Which relay.
    pub relay: Option<String>,
    /// What the policy decided.
    pub verdict: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// How long it asked to wait.
    pub delay_ms: Option<i64>,
    /// Who had a hand in it.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// What the policy saw, as JSON.
    pub situation: Option<String>,
    /// Unix milliseconds.
    pub started_at: i64,
}

/// How a claim ends.
#[derive(Clone, Debug)]
pub struct Finish {
    /// Whose.
    pub claim: Token,
    /// The notification.
    pub state_id: i64,
    /// The lane.
    pub order_id: i64,
    /// The place in the lane.
    pub order_version: i64,
    /// Charged attempts, this one included.
    pub attempts: i64,
    /// What becomes of the event.
    pub transition: Transition,
    /// What is written beside it.
    pub notes: Vec<Note>,
    /// An intent of this event is open; the note of kind "send" closes it.
    pub intent: bool,
}

impl Store {
    /// Writes intents; true for each claim that still held. The proof that the database can be written to.
    pub async fn hand_over(&self, intents: &[Intent]) -> Result<Vec<bool>> {
        let mut tx = self.begin().await?;
        let (dialect, now) = (tx.dialect(), tx.dialect().now_ms(self.offset_ms()));
        let claims: Vec<Token> = intents.iter().map(|i| i.claim).collect();
        let held = fence(&mut tx, &claims, Some(&now)).await?;
        let rows: Vec<&Intent> = intents.iter().filter(|i| held.contains(&i.claim)).collect();
        if !rows.is_empty() {
            let rows = json(&rows);
            let sql = dialect.update(QUEUE, &[Int("event")], "phase = 1", "q.id = x.event");
            with_tx!(&mut tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
            let columns = [
                Int("state_id"),
                Int("token"),
                Text("relay"),
                Text("renderer_digest"),
                Int("renderer_revision"),
                Text("policy_digest"),
                Int("policy_revision"),
                Int("seed"),
                Text("situation"),
                Text("message_hash"),
            ];
            let sql = dialect.sql(&format!(
                "insert into notification_attempts (state_id, epoch, kind, relay, renderer_digest, renderer_revision, \
                 policy_digest, policy_revision, seed, situation, message_hash, repeats, started_at) \
                 select x.state_id, x.token, 'send', x.relay, x.renderer_digest, x.renderer_revision, \
                 x.policy_digest, x.policy_revision, x.seed, x.situation, x.message_hash, 1, {now} from {}",
                dialect.rows(1, &columns)
            ));
            with_tx!(&mut tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
        }
        tx.commit().await?;
        Ok(intents.iter().map(|i| held.contains(&i.claim)).collect())
    }

    /// Moves the leases on; true for each claim that still held.
    pub async fn renew(&self, claims: &[Token], lease_ms: i64) -> Result<Vec<bool>> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let held = fence(&mut tx, claims, Some(&now)).await?;
        let rows: Vec<&Token> = claims.iter().filter(|c| held.contains(c)).collect();
        let set = format!("due_at = {now} + {lease_ms}");
        let sql = tx.dialect().update(QUEUE, &[Int("event")], &set, "q.id = x.event");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(json(&rows)).execute(c).await.map(drop))?;
        tx.commit().await?;
        Ok(claims.iter().map(|c| held.contains(c)).collect())
    }

    /// Ends claims; true for each that still held. What did not hold is somebody else's by now and stays as it is.
    pub async fn finish(&self, finishes: &[Finish]) -> Result<Vec<bool>> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let claims: Vec<Token> = finishes.iter().map(|f| f.claim).collect();
        let held = fence(&mut tx, &claims, None).await?;
        let alive: Vec<&Finish> = finishes.iter().filter(|f| held.contains(&f.claim)).collect();
        journal(&mut tx, &alive, &now).await?;
        end(&mut tx, &alive, &now).await?;
        postpone(&mut tx, &alive, &now).await?;
        give_back(&mut tx, &alive, &now).await?;
        tx.commit().await?;
        Ok(claims.iter().map(|c| held.contains(c)).collect())
    }

    /// Makes every lane's oldest event due that was never claimed and only inherited its time: repairs the race of
    /// an enqueue with the end of the event before it. Says how many.
    pub async fn sweep(&self) -> Result<u64> {
        let mut tx = self.begin().await?;
        let (dialect, now) = (tx.dialect(), tx.dialect().now_ms(self.offset_ms()));
        let sql = dialect.sql(&format!(
            "select q.id from {QUEUE} q where q.epoch = 0 and q.due_at > {now} and not exists (select 1 from {QUEUE} p \
             where p.order_id = q.order_id and p.order_version < q.order_version)"
        ));
        let late: Vec<i64> = with_tx!(&mut tx, |c| sqlx::query_scalar(sql).fetch_all(c).await)?;
        make_due(&mut tx, &late, &now, "q.id = x.event and q.epoch = 0").await?;
        tx.commit().await?;
        Ok(late.len() as u64)
    }

    /// How many events wait, and in how many milliseconds the first is due (negative: overdue).
    pub async fn backlog(&self) -> Result<(i64, Option<i64>)> {
        let now = self.dialect().now_ms(self.offset_ms());
        let sql = self.dialect().sql(&format!("select count(*), min(due_at) - {now} from {QUEUE}"));
        Ok(super::with_pool!(self, |pool| sqlx::query_as(sql).fetch_one(pool).await)?)
    }
}

/// The events whose claim still holds, locked until the transaction ends; with `now`, whose lease has not run out.
async fn fence(tx: &mut Tx, claims: &[Token], now: Option<&str>) -> Result<HashSet<Token>> {
    let dialect = tx.dialect();
    let unexpired = now.map_or_else(String::new, |now| format!("and q.due_at > {now}"));
    let sql = dialect.sql(&format!(
        "select q.id, q.epoch from {} {} {QUEUE} q where q.id = x.event and q.epoch = x.token {unexpired} order by q.id {}",
        dialect.rows(1, &[Int("event"), Int("token")]),
        dialect.join(),
        dialect.lock(),
    ));
    let held: Vec<(i64, i64)> = with_tx!(tx, |c| sqlx::query_as(sql).bind(json(&claims)).fetch_all(c).await)?;
    Ok(held.into_iter().map(|(event, token)| Token { event, token }).collect())
}

#[derive(Serialize)]
struct NoteRow<'a> {
    state_id: i64,
    token: i64,
    #[serde(flatten)]
    note: &'a Note,
}

const NOTE_COLUMNS: [Column; 19] = [
    Int("state_id"),
    Int("token"),
    Text("kind"),
    Text("phase"),
    Text("class"),
    Int("code"),
    Text("enhanced"),
    Text("reply"),
    Text("relay"),
    Text("verdict"),
    Text("reason"),
    Int("delay_ms"),
    Text("renderer_digest"),
    Int("renderer_revision"),
    Text("policy_digest"),
    Int("policy_revision"),
    Int("seed"),
    Text("situation"),
    Int("started_at"),
];

async fn journal(tx: &mut Tx, alive: &[&Finish], now: &str) -> Result<()> {
    let mut closed = Vec::new();
    let mut added = Vec::new();
    for finish in alive {
        for note in &finish.notes {
            let row = NoteRow { state_id: finish.state_id, token: finish.claim.token, note };
            if note.kind == "send" && finish.intent {
                closed.push(row);
            } else if note.verdict.as_deref() == Some("wait") && repeat(tx, finish, now).await? {
                // Counted in the row before.
            } else {
                added.push(row);
            }
        }
    }
    let dialect = tx.dialect();
    if !closed.is_empty() {
        let columns = [
            Int("state_id"),
            Text("new_phase"),
            Text("new_class"),
            Int("new_code"),
            Text("new_enhanced"),
            Text("new_reply"),
            Text("new_verdict"),
            Text("new_reason"),
            Int("new_delay_ms"),
        ];
        let set = format!(
            "phase = x.new_phase, class = x.new_class, code = x.new_code, enhanced = x.new_enhanced, \
             reply = x.new_reply, verdict = x.new_verdict, reason = x.new_reason, delay_ms = x.new_delay_ms, \
             ended_at = {now}"
        );
        let matching = "q.state_id = x.state_id and q.kind = 'send' and q.ended_at is null";
        let sql = dialect.update("notification_attempts", &columns, &set, matching);
        let rows: Vec<_> = closed
            .iter()
            .map(|row| {
                let n = row.note;
                serde_json::json!({
                    "state_id": row.state_id, "new_phase": n.phase, "new_class": n.class, "new_code": n.code,
                    "new_enhanced": n.enhanced, "new_reply": n.reply, "new_verdict": n.verdict,
                    "new_reason": n.reason, "new_delay_ms": n.delay_ms,
                })
            })
            .collect();
        with_tx!(tx, |c| sqlx::query(sql).bind(json(&rows)).execute(c).await.map(drop))?;
    }
    if !added.is_empty() {
        let sql = dialect.sql(&format!(
            "insert into notification_attempts (state_id, epoch, kind, phase, class, code, enhanced, reply, relay, \
             verdict, reason, delay_ms, renderer_digest, renderer_revision, policy_digest, policy_revision, seed, \
             situation, repeats, started_at, ended_at) select x.state_id, x.token, x.kind, x.phase, x.class, x.code, \
             x.enhanced, x.reply, x.relay, x.verdict, x.reason, x.delay_ms, x.renderer_digest, x.renderer_revision, \
             x.policy_digest, x.policy_revision, x.seed, x.situation, 1, x.started_at, {now} from {}",
            dialect.rows(1, &NOTE_COLUMNS)
        ));
        with_tx!(tx, |c| sqlx::query(sql).bind(json(&added)).execute(c).await.map(drop))?;
    }
    Ok(())
}

/// Counts a wait in the journal's last row when that is a wait too.
async fn repeat(tx: &mut Tx, finish: &Finish, now: &str) -> Result<bool> {
    let sql = "select id, verdict from notification_attempts where state_id = $1 order by id desc limit 1";
    let sql = tx.dialect().sql(sql);
    let last: Option<(i64, Option<String>)> =
        with_tx!(tx, |c| sqlx::query_as(sql).bind(finish.state_id).fetch_optional(c).await)?;
    let Some((id, _)) = last.filter(|(_, verdict)| verdict.as_deref() == Some("wait")) else { return Ok(false) };
    let text =
        format!("update notification_attempts set repeats = repeats + 1, epoch = $1, ended_at = {now} where id = $2");
    let sql = tx.dialect().sql(&text);
    with_tx!(tx, |c| sqlx::query(sql).bind(finish.claim.token).bind(id).execute(c).await.map(drop))?;
    Ok(true)
}

async fn end(tx: &mut Tx, alive: &[&Finish], now: &str) -> Result<()> {
    let rows: Vec<_> = alive
        .iter()
        .filter_map(|f| match &f.transition {
            Transition::End { state, reason } => Some(serde_json::json!({
                "event": f.claim.event, "lane": f.order_id, "state_id": f.state_id, "new_state": state.as_str(),
                "new_attempts": f.attempts, "new_reason": reason,
            })),
            Transition::Later { .. } | Transition::GiveBack => None,
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let (rows, dialect) = (json(&rows), tx.dialect());
    let sql = dialect.delete(QUEUE, &[Int("event")], "q.id = x.event");
    with_tx!(tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
    let columns = [Int("state_id"), Text("new_state"), Int("new_attempts"), Text("new_reason")];
    let set = format!("state = x.new_state, attempts = x.new_attempts, reason = x.new_reason, completed_at = {now}");
    let sql = dialect.update("notification_states", &columns, &set, "q.id = x.state_id");
    with_tx!(tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
    let sql = dialect.sql(&format!(
        "select q.id from {} {} {QUEUE} q where q.order_id = x.lane and q.due_at > {now} and not exists (select 1 \
         from {QUEUE} p where p.order_id = q.order_id and p.order_version < q.order_version)",
        dialect.rows(1, &[Int("lane")]),
        dialect.join(),
    ));
    let next: Vec<i64> = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(&rows).fetch_all(c).await)?;
    make_due(tx, &next, now, "q.id = x.event").await
}

async fn make_due(tx: &mut Tx, ids: &[i64], now: &str, matching: &str) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = ids.iter().map(|id| serde_json::json!({ "event": id })).collect();
    let sql = tx.dialect().update(QUEUE, &[Int("event")], &format!("due_at = {now}"), matching);
    with_tx!(tx, |c| sqlx::query(sql).bind(json(&rows)).execute(c).await.map(drop))?;
    Ok(())
}

/// Sets when an event comes back, and pushes what waits behind it in its lane: a claim must not wade through them.
async fn postpone(tx: &mut Tx, alive: &[&Finish], now: &str) -> Result<()> {
    let rows: Vec<_> = alive
        .iter()
        .filter_map(|f| match &f.transition {
            Transition::Later { delay_ms, relay } => Some(serde_json::json!({
                "event": f.claim.event, "lane": f.order_id, "place": f.order_version, "delay": delay_ms,
                "new_attempts": f.attempts, "new_relay": relay,
            })),
            Transition::End { .. } | Transition::GiveBack => None,
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let (rows, dialect) = (json(&rows), tx.dialect());
    let set = format!(
        "due_at = {now} + x.delay, attempts = x.new_attempts, relay = x.new_relay, phase = 0, claims = 0, \
         epoch = q.epoch + 1"
    );
    let columns = [Int("event"), Int("delay"), Int("new_attempts"), Text("new_relay")];
    let sql = dialect.update(QUEUE, &columns, &set, "q.id = x.event");
    with_tx!(tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
    let set = format!("due_at = {}(q.due_at, {now} + x.delay)", dialect.greatest());
    let columns = [Int("lane"), Int("place"), Int("delay")];
    let sql = dialect.update(QUEUE, &columns, &set, "q.order_id = x.lane and q.order_version > x.place");
    with_tx!(tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
    Ok(())
}

async fn give_back(tx: &mut Tx, alive: &[&Finish], now: &str) -> Result<()> {
    let back = |f: &&&Finish| matches!(f.transition, Transition::GiveBack);
    let rows: Vec<Token> = alive.iter().filter(back).map(|f| f.claim).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let sql = tx.dialect().update(
        QUEUE,
        &[Int("event")],
        &format!("due_at = {now}, claims = 0, epoch = q.epoch + 1"),
        "q.id = x.event",
    );
    with_tx!(tx, |c| sqlx::query(sql).bind(json(&rows)).execute(c).await.map(drop))?;
    Ok(())
}
