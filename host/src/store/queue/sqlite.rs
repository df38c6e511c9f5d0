//! `SQLite`'s texts of the verbs that every mail needs: any number of statements, sent together. Parameter 1 is a JSON array
//! with an array for each row, its columns by their places.

use std::collections::HashSet;

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, SqliteConnection};

use super::claim::{self, Row};
use super::due::due_by_urgency;
use super::finish::Finish;
use super::{Claimable, Intent, QUEUE, Token, tokens};
use crate::notification::URGENCIES;
use crate::store::users::json;
use crate::store::writer::Writer;
use crate::store::{Dialect, Result};

/// What the writer's connection needs: a table of its own, for which events a claim took. What an update returns would be
/// copied twice, payloads and all.
pub(in crate::store) const SCRATCH: &str = "create temp table claimed (state_id integer primary key)";

/// Takes heads that are due, and reads what belongs to them.
pub(super) async fn claim(
    writer: &Writer,
    claimable: Claimable,
    now: &str,
    portions: [i64; URGENCIES],
    (lease_ms, holder): (i64, i64),
) -> Result<Vec<Row>> {
    let due = due_by_urgency(Dialect::Sqlite, claimable, now, (|place| (0, place + 2), ""), portions);
    let limits: Vec<i64> = due.iter().map(|due| due.limit).collect();
    let due: Vec<String> = due.into_iter().map(|due| format!("select state_id from ({})", due.sql)).collect();
    let sql = format!(
        "delete from temp.claimed; \
         insert into temp.claimed (state_id) {}; \
         update {QUEUE} set {} where state_id in temp.claimed; \
         select {} from temp.claimed c cross join {QUEUE} q cross join notification_states s \
         left join orders o on o.id = q.lane left join notification_payloads p on p.state_id = c.state_id \
         where q.state_id = c.state_id and s.id = c.state_id",
        due.join(" union all "),
        claim::leased(now, "$1", holder),
        claim::row_columns(now, "0"),
    );
    let (turn, rows) = writer.run(&sql, arguments(lease_ms, &limits)?).await?;
    turn.commit().await?;
    Ok(rows)
}

/// Writes intents; says for which claims.
pub(super) async fn hand_over(writer: &Writer, now: &str, intents: &[Intent]) -> Result<HashSet<Token>> {
    let x = rows(&[
        "event",
        "token",
        "relay",
        "renderer",
        "renderer_no",
        "policy",
        "policy_no",
        "seed",
        "variant",
        "situation",
        "hash",
        "dated",
    ]);
    let held = "q.state_id = x.event and q.epoch = x.token";
    let sql = format!(
        "update {QUEUE} as q set phase = 1 from {x} where {held} and q.due_at > {now} returning state_id, epoch; \
         insert into notification_attempts (state_id, epoch, relay, renderer_digest, renderer_revision, policy_digest, \
         policy_revision, seed, ab_variant, situation, message_hash, dated_at, kind, repeats, started_at) \
         select x.event, x.token, x.relay, x.renderer, x.renderer_no, x.policy, x.policy_no, x.seed, x.variant, x.situation, \
         x.hash, x.dated, 'send', 1, {now} from {x} cross join {QUEUE} q where {held} and q.phase = 1"
    );
    let row = |i: &Intent| {
        let by = &i.provenance;
        json(&(
            i.claim.event,
            i.claim.token,
            &i.relay,
            &by.renderer_digest,
            by.renderer_revision,
            &by.policy_digest,
            by.policy_revision,
            by.seed,
            &i.ab_variant,
            &i.situation,
            &i.message_hash,
            i.dated_at,
        ))
    };
    let (turn, held) = writer.run(&sql, arguments(list(intents.iter().map(row)), &[])?).await?;
    turn.commit().await?;
    Ok(tokens(held))
}

/// Ends claims that are [plain](Finish::is_plain); says which.
pub(super) async fn end(writer: &Writer, now: &str, ends: &[&Finish]) -> Result<HashSet<Token>> {
    let (turn, held) = writer.run(&end_sql(now), arguments(end_rows(ends), &[])?).await?;
    turn.commit().await?;
    Ok(tokens(held))
}

/// The same in a transaction that does more.
pub(super) async fn end_within(
    connection: &mut SqliteConnection,
    now: &str,
    ends: &[&Finish],
) -> Result<HashSet<Token>> {
    let query = sqlx::query_as_with(AssertSqlSafe(end_sql(now)), arguments(end_rows(ends), &[])?);
    Ok(tokens(query.fetch_all(connection).await?))
}

/// The row leaves the queue last: it is what shows that a claim still held. `cross join` and `due_at + 0` (which is in no
/// index) have the planner begin with the given rows and find what comes next by its lane.
fn end_sql(now: &str) -> String {
    let x = rows(&[
        "event", "token", "state", "attempts", "why", "notes", "phase", "class", "code", "enhanced", "reply",
        "verdict", "reason", "delay_ms",
    ]);
    let is_held = "h.state_id = x.event and h.epoch = x.token";
    let held = format!("from {x} cross join {QUEUE} h where {is_held}");
    let next_of_held =
        format!("from {x} cross join {QUEUE} h cross join {QUEUE} q where {is_held} and q.lane = h.lane");
    format!(
        "update notification_attempts as a set phase = x.phase, class = x.class, code = x.code, \
         enhanced = x.enhanced, reply = x.reply, verdict = x.verdict, reason = x.reason, delay_ms = x.delay_ms, \
         ended_at = {now} {held} and x.notes = 1 and a.state_id = x.event and a.kind = 'send' and a.ended_at is null; \
         update notification_states as s set state = x.state, attempts = x.attempts, reason = x.why, \
         completed_at = {now} {held} and s.id = x.event; \
         update {QUEUE} set due_at = {now} where state_id in (select q.state_id {next_of_held} \
         and q.place > h.place and q.claims = 0 and q.due_at + 0 > {now} and not exists (select 1 from {QUEUE} p \
         where p.lane = q.lane and p.place < q.place and p.state_id <> h.state_id \
         and p.state_id not in (select value ->> 0 from jsonb_each($1)))); \
         delete from {QUEUE} where state_id in (select h.state_id {held}) returning state_id, epoch"
    )
}

fn end_rows(ends: &[&Finish]) -> String {
    let row = |end: &&Finish| {
        let (state, why) = end.outcome();
        let note = end.notes.first();
        let text = |f: fn(&super::Note) -> &Option<String>| note.and_then(|n| f(n).as_deref());
        json(&(
            end.claim.event,
            end.claim.token,
            state,
            end.attempts,
            why,
            i64::from(note.is_some()),
            text(|n| &n.phase),
            text(|n| &n.class),
            note.and_then(|n| n.code),
            text(|n| &n.enhanced),
            text(|n| &n.reply),
            text(|n| &n.verdict),
            text(|n| &n.reason),
            note.and_then(|n| n.delay_ms),
        ))
    };
    list(ends.iter().map(row))
}

/// A table `x` out of parameter 1.
fn rows(columns: &[&str]) -> String {
    let column = |(place, name): (usize, &&str)| format!("value ->> {place} as {name}");
    let columns: Vec<_> = columns.iter().enumerate().map(column).collect();
    format!("(select {} from jsonb_each($1)) as x", columns.join(", "))
}

fn list(rows: impl Iterator<Item = String>) -> String {
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}

fn arguments<'a>(
    first: impl sqlx::Encode<'a, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    more: &[i64],
) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    let added = arguments.add(first).and_then(|()| more.iter().try_for_each(|n| arguments.add(*n)));
    added.map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}
