//! How a claim ends.

use std::collections::HashSet;

use serde::Serialize;

use super::{
    ATTEMPTS, Held, LANES, Provenance, QUEUE, Token, delete_held, make_due_next, merge, object, postgres, row, sqlite,
    update_held,
};
use crate::notification::{Transition, bounded};
use crate::store::dialect::Column::{self, Int, Text};
use crate::store::dialect::Table;
use crate::store::insert::Insert;
use crate::store::users::json;
use crate::store::{Db, Dialect, Result, Store, Tx, with_tx};

/// A row for the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Note {
    /// "send", "decision" or "fault".
    pub kind: &'static str,
    /// How far it got.
    pub phase: Option<String>,
    /// "delivered", a class of failure, or an error code.
    pub class: Option<String>,
    /// The SMTP reply code, or the HTTP status.
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

impl Note {
    /// A plugin failed in a call, and somebody else stood in. Of a renderer only `render` is called.
    pub fn fault(
        call: &str,
        by: (String, i64),
        (code, text): (&str, &str),
        seed: Option<i64>,
        started_at: i64,
    ) -> Self {
        let (digest, revision) = (Some(by.0), Some(by.1));
        let provenance = if call == "render" {
            Provenance { renderer_digest: digest, renderer_revision: revision, seed, ..Provenance::default() }
        } else {
            Provenance { policy_digest: digest, policy_revision: revision, seed, ..Provenance::default() }
        };
        Self {
            kind: "fault",
            phase: Some(call.to_owned()),
            class: Some(code.to_owned()),
            reply: Some(bounded(text)),
            provenance,
            started_at,
            ..Self::default()
        }
    }
}

/// How a claim ends.
#[derive(Clone, Debug)]
pub struct Finish {
    /// Whose.
    pub claim: Token,
    /// The lane.
    pub lane: i64,
    /// The place in the lane.
    pub place: i64,
    /// Charged attempts, this one included.
    pub attempts: i64,
    /// What becomes of the event.
    pub transition: Transition,
    /// What is written beside it.
    pub notes: Vec<Note>,
    /// An intent of this event is open, and the note of kind "send" closes it. False: one that this claim may have
    /// recorded all the same is taken back, because its mail did not go out.
    pub intent: bool,
}

impl Store {
    /// Ends claims; true for each that still held. What did not hold is somebody else's by now and stays as it is.
    pub async fn finish(&self, finishes: &[Finish]) -> Result<Vec<bool>> {
        let now = self.dialect().now_ms(self.offset_ms());
        let in_one = |f: &&Finish| self.dialect() != Dialect::MySql && f.is_plain();
        let (plain, others): (Vec<_>, Vec<_>) = finishes.iter().partition(in_one);
        let held = match &self.db {
            Db::Sqlite { writer, .. } if others.is_empty() => sqlite::end(writer, &now, &plain).await?,
            _ => {
                let mut tx = match &self.db {
                    Db::Postgres(pg) => Tx::Postgres(pg.begin_with(&postgres::lock(&plain)).await?),
                    _ => self.begin().await?,
                };
                let mut held = finish(&mut tx, &others, &now).await?;
                held.extend(end_plain(&mut tx, &plain, &now).await?);
                tx.commit().await?;
                held
            }
        };
        Ok(finishes.iter().map(|f| held.contains(&f.claim)).collect())
    }
}

impl Finish {
    /// Whether it is an end and asks for no more than the outcome of an open intent: what most mails come to.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.transition, Transition::End { .. })
            && self.intent
            && (self.notes.is_empty() || matches!(&self.notes[..], [note] if note.kind == "send"))
    }

    /// The state of an end, and why.
    pub(super) fn outcome(&self) -> (&'static str, &str) {
        match &self.transition {
            Transition::End { state, reason } => (state.as_str(), reason),
            Transition::Later { .. } | Transition::GiveBack | Transition::Merge => ("", ""),
        }
    }
}

/// Ends claims that are [plain](Finish::is_plain); says which.
async fn end_plain(tx: &mut Tx, plain: &[&Finish], now: &str) -> Result<HashSet<Token>> {
    if plain.is_empty() {
        return Ok(HashSet::new());
    }
    match tx {
        Tx::Sqlite(turn) => sqlite::end_within(turn.connection(), now, plain).await,
        Tx::Postgres(session) => postgres::end(session, now, plain).await,
        Tx::MySql(..) => finish(tx, plain, now).await,
    }
}

/// Ends claims, whatever they ask for; says which.
async fn finish(tx: &mut Tx, finishes: &[&Finish], now: &str) -> Result<HashSet<Token>> {
    let merged = merge::merge(tx, finishes).await?;
    let others = finishes.iter().copied().filter(|f| !matches!(f.transition, Transition::Merge));
    let finishes: &[&Finish] = &others.chain(&merged).collect::<Vec<_>>();
    let mut held = dequeue(tx, finishes).await?;
    held.extend(postpone(tx, finishes, now).await?);
    held.extend(give_back(tx, finishes, now).await?);
    let alive: Vec<&Finish> = finishes.iter().copied().filter(|f| held.contains(&f.claim)).collect();
    take_back(tx, &alive).await?;
    journal(tx, &alive, now).await?;
    end(tx, &alive, now).await?;
    push_followers(tx, &alive, now).await?;
    Ok(held)
}

/// Takes what ends out of the queue.
async fn dequeue(tx: &mut Tx, finishes: &[&Finish]) -> Result<HashSet<Token>> {
    let ends = finishes.iter().filter(|f| matches!(f.transition, Transition::End { .. }));
    let rows: Vec<_> = ends.map(|f| row(&f.claim)).collect();
    if rows.is_empty() { Ok(HashSet::new()) } else { delete_held(tx, &rows).await }
}

/// Sets when an event comes back.
async fn postpone(tx: &mut Tx, finishes: &[&Finish], now: &str) -> Result<HashSet<Token>> {
    let row = |f: &&Finish| match &f.transition {
        Transition::Later { delay_ms, relay } => Some(serde_json::json!({
            "event": f.claim.event, "token": f.claim.token, "delay": delay_ms, "new_attempts": f.attempts,
            "new_relay": relay,
        })),
        Transition::End { .. } | Transition::GiveBack | Transition::Merge => None,
    };
    let rows: Vec<_> = finishes.iter().filter_map(row).collect();
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let set =
        format!("due_at = {now} + x.delay, attempts = x.new_attempts, relay = x.new_relay, phase = 0, claims = 0");
    let columns = [Int("delay"), Int("new_attempts"), Text("new_relay")];
    update_held(tx, &rows, &columns, &set, &Held { ends: true, expiry: None }).await
}

/// Undoes claims: as if they had never been.
async fn give_back(tx: &mut Tx, finishes: &[&Finish], now: &str) -> Result<HashSet<Token>> {
    let back = finishes.iter().filter(|f| matches!(f.transition, Transition::GiveBack));
    let row = |f: &&Finish| {
        let phase = i64::from(f.intent);
        serde_json::json!({ "event": f.claim.event, "token": f.claim.token, "new_phase": phase })
    };
    let rows: Vec<_> = back.map(row).collect();
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let set = format!("due_at = {now}, phase = x.new_phase, claims = q.claims - 1");
    update_held(tx, &rows, &[Int("new_phase")], &set, &Held { ends: true, expiry: None }).await
}

/// Pushes what waits behind a postponed event in its lane: a claim must not wade through it.
async fn push_followers(tx: &mut Tx, alive: &[&Finish], now: &str) -> Result<()> {
    let row = |f: &&Finish| match &f.transition {
        Transition::Later { delay_ms, .. } => {
            Some(serde_json::json!({ "lane": f.lane, "place": f.place, "delay": delay_ms }))
        }
        Transition::End { .. } | Transition::GiveBack | Transition::Merge => None,
    };
    let rows: Vec<_> = alive.iter().filter_map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let set = format!("due_at = {}(q.due_at, {now} + x.delay)", tx.dialect().greatest());
    let columns = [Int("lane"), Int("place"), Int("delay")];
    let matching = "q.lane = x.lane and q.place > x.place";
    let lanes = Table { name: QUEUE, index: Some(LANES) };
    let sql = tx.dialect().update(lanes, &columns, &set, matching);
    with_tx!(tx, |c| sqlx::query(sql).bind(json(&rows)).execute(c).await.map(drop))?;
    Ok(())
}

#[derive(Serialize)]
struct NoteRow<'a> {
    #[serde(flatten)]
    claim: &'a Token,
    #[serde(flatten)]
    note: &'a Note,
}

const NOTE_COLUMNS: [Column; 19] = [
    Int("state_id"),
    Int("epoch"),
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
            let row = NoteRow { claim: &finish.claim, note };
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
            Int("event"),
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
        let matching = "q.state_id = x.event and q.kind = 'send' and q.ended_at is null";
        let sql = dialect.update(ATTEMPTS, &columns, &set, matching);
        let rows: Vec<_> = closed
            .iter()
            .map(|row| {
                let n = row.note;
                serde_json::json!({
                    "event": row.claim.event, "new_phase": n.phase, "new_class": n.class, "new_code": n.code,
                    "new_enhanced": n.enhanced, "new_reply": n.reply, "new_verdict": n.verdict,
                    "new_reason": n.reason, "new_delay_ms": n.delay_ms,
                })
            })
            .collect();
        with_tx!(tx, |c| sqlx::query(sql).bind(json(&rows)).execute(c).await.map(drop))?;
    }
    let fixed = [("repeats", "1"), ("ended_at", now)];
    let insert = Insert { table: "notification_attempts", columns: &NOTE_COLUMNS, fixed: &fixed };
    insert.rows(tx, &added.iter().map(object).collect::<Vec<_>>()).await
}

/// Adds to the journal of an event what happened beside its claims; the epoch is the time.
pub(crate) async fn note_beside(tx: &mut Tx, event: i64, notes: &[Note], offset_ms: i64) -> Result<()> {
    let now = tx.dialect().now_ms(offset_ms);
    let claim = |note: &Note| Token { event, token: note.started_at };
    let rows: Vec<_> = notes.iter().map(|note| object(&NoteRow { claim: &claim(note), note })).collect();
    let fixed = [("repeats", "1"), ("ended_at", now.as_str())];
    Insert { table: "notification_attempts", columns: &NOTE_COLUMNS, fixed: &fixed }.rows(tx, &rows).await
}

/// Takes intents back that were recorded for mails that then did not go out: the lease ended or the host stopped.
async fn take_back(tx: &mut Tx, alive: &[&Finish]) -> Result<()> {
    let rows: Vec<_> = alive.iter().filter(|f| !f.intent).map(|f| row(&f.claim)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let matching = "q.state_id = x.event and q.epoch = x.token and q.kind = 'send' and q.ended_at is null";
    let sql = tx.dialect().delete(ATTEMPTS, "id", &[Int("event"), Int("token")], matching, "");
    with_tx!(tx, |c| sqlx::query(sql).bind(json(&rows)).execute(c).await.map(drop))?;
    Ok(())
}

/// Counts a wait in the journal's last row when that is a wait too.
async fn repeat(tx: &mut Tx, finish: &Finish, now: &str) -> Result<bool> {
    let sql = "select id, verdict from notification_attempts where state_id = $1 order by id desc limit 1";
    let sql = tx.dialect().sql(sql);
    let last: Option<(i64, Option<String>)> =
        with_tx!(tx, |c| sqlx::query_as(sql).bind(finish.claim.event).fetch_optional(c).await)?;
    let Some((id, _)) = last.filter(|(_, verdict)| verdict.as_deref() == Some("wait")) else { return Ok(false) };
    let text =
        format!("update notification_attempts set repeats = repeats + 1, epoch = $1, ended_at = {now} where id = $2");
    let sql = tx.dialect().sql(&text);
    with_tx!(tx, |c| sqlx::query(sql).bind(finish.claim.token).bind(id).execute(c).await.map(drop))?;
    Ok(true)
}

/// Says what became of events that left the queue, and makes the next of their lanes due.
async fn end(tx: &mut Tx, alive: &[&Finish], now: &str) -> Result<()> {
    let end = |f: &&Finish| match &f.transition {
        Transition::End { state, reason } => Some((
            serde_json::json!({
                "event": f.claim.event, "new_state": state.as_str(), "new_attempts": f.attempts, "new_reason": reason,
            }),
            (f.lane, f.place),
        )),
        Transition::Later { .. } | Transition::GiveBack | Transition::Merge => None,
    };
    let (rows, left): (Vec<_>, Vec<_>) = alive.iter().filter_map(end).unzip();
    if rows.is_empty() {
        return Ok(());
    }
    let columns = [Int("event"), Text("new_state"), Int("new_attempts"), Text("new_reason")];
    let set = format!("state = x.new_state, attempts = x.new_attempts, reason = x.new_reason, completed_at = {now}");
    let sql = tx.dialect().update("notification_states", &columns, &set, "q.id = x.event");
    with_tx!(tx, |c| sqlx::query(sql).bind(json(&rows)).execute(c).await.map(drop))?;
    make_due_next(tx, &left, now).await
}
