//! `PostgreSQL`'s texts of the verbs that every mail needs, in as few statements as can be. In between statements a
//! transaction waits for a busy host to come round to the next, and everybody in its group with it.

use std::collections::HashSet;

use super::claim::{self, Row};
use super::due::due_by_urgency;
use super::finish::{Finish, Note};
use super::{Claimable, Intent, QUEUE, Token, tokens};
use crate::notification::URGENCIES;
use crate::store::postgres::Session;
use crate::store::{Dialect, Result};

/// Takes heads that are due, and reads what belongs to them. `materialized` keeps the planner from running the limited
/// select more than once.
pub(super) async fn claim(
    session: &mut Session,
    claimable: Claimable,
    now: &str,
    (portions, from): ([i64; URGENCIES], [i64; URGENCIES]),
    (lease_ms, holder): (i64, i64),
) -> Result<Vec<Row>> {
    let parameters = |place| (2 + 2 * place, 3 + 2 * place);
    let due =
        due_by_urgency(Dialect::Postgres, claimable, now, (parameters, "for no key update skip locked"), portions);
    let named = due.iter().enumerate().map(|(i, due)| format!("due_{i} as materialized ({})", due.sql));
    let found = (0..due.len()).map(|i| format!("select state_id from due_{i}"));
    let last = due.iter().enumerate().map(|(i, due)| {
        let urgency = due.urgency.number();
        format!("when {urgency} then (select max(due_at) from due_{i}) ")
    });
    let last_due = format!("case q.urgency {}end", last.collect::<String>());
    let sql = Dialect::Postgres.sql(&format!(
        "with {}, q as (update {QUEUE} set {} where state_id in ({}) \
         returning state_id, lane, place, urgency, epoch, phase, attempts, claims, relay, created_at) \
         select {} from q cross join notification_states s left join orders o on o.id = q.lane \
         left join notification_payloads p on p.state_id = s.id \
         where s.id = q.state_id order by q.state_id",
        named.collect::<Vec<_>>().join(", "),
        claim::leased(now, "$1", holder),
        found.collect::<Vec<_>>().join(" union all "),
        claim::row_columns(now, &last_due),
    ));
    let mut query = sqlx::query_as(sql).bind(lease_ms);
    for due in &due {
        query = query.bind(from[due.urgency.place()]).bind(due.limit);
    }
    Ok(query.fetch_all(session).await?)
}

/// Writes intents; says for which claims.
pub(super) async fn hand_over(session: &mut Session, now: &str, intents: &[Intent]) -> Result<HashSet<Token>> {
    let sql = Dialect::Postgres.sql(&format!(
        "with held as (update {QUEUE} q set phase = 1 from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], \
         $5::bigint[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::bigint[]) \
         as x(event, token, by_relay, renderer, renderer_no, policy, policy_no, chance, variant, seen, hash, dated) \
         where q.state_id = x.event and q.epoch = x.token and q.due_at > {now} returning x.*) \
         insert into notification_attempts (state_id, epoch, relay, renderer_digest, renderer_revision, \
         policy_digest, policy_revision, seed, ab_variant, situation, message_hash, dated_at, kind, repeats, started_at) \
         select event, token, by_relay, renderer, renderer_no, policy, policy_no, chance, variant, seen, hash, dated, \
         'send', 1, {now} \
         from held returning state_id, epoch"
    ));
    let by = |f: fn(&super::Provenance) -> Option<i64>| intents.iter().map(|i| f(&i.provenance)).collect::<Vec<_>>();
    let found: Vec<(i64, i64)> = sqlx::query_as(sql)
        .bind(intents.iter().map(|i| i.claim.event).collect::<Vec<_>>())
        .bind(intents.iter().map(|i| i.claim.token).collect::<Vec<_>>())
        .bind(intents.iter().map(|i| i.relay.as_str()).collect::<Vec<_>>())
        .bind(intents.iter().map(|i| i.provenance.renderer_digest.as_deref()).collect::<Vec<_>>())
        .bind(by(|p| p.renderer_revision))
        .bind(intents.iter().map(|i| i.provenance.policy_digest.as_deref()).collect::<Vec<_>>())
        .bind(by(|p| p.policy_revision))
        .bind(by(|p| p.seed))
        .bind(intents.iter().map(|i| i.ab_variant.as_deref()).collect::<Vec<_>>())
        .bind(intents.iter().map(|i| i.situation.as_str()).collect::<Vec<_>>())
        .bind(intents.iter().map(|i| i.message_hash.as_str()).collect::<Vec<_>>())
        .bind(intents.iter().map(|i| i.dated_at).collect::<Vec<_>>())
        .fetch_all(session)
        .await?;
    Ok(tokens(found))
}

/// What an [`end`] needs to have locked by an earlier statement of its transaction: an enqueue behind one of these has
/// committed by then, and the end sees it, or waits for the end.
pub(super) fn lock(ends: &[&Finish]) -> String {
    let events: Vec<_> = ends.iter().map(|end| end.claim.event.to_string()).collect();
    format!("select 1 from {QUEUE} where state_id = any ('{{{}}}') order by state_id for update", events.join(","))
}

/// Ends claims that are [plain](Finish::is_plain); says which. All parts see the queue as it was before: what makes the next of a
/// lane due has to look past rows that are being deleted. `due_at + 0` keeps the planner from reading what is not due yet.
pub(super) async fn end(session: &mut Session, now: &str, ends: &[&Finish]) -> Result<HashSet<Token>> {
    let sql = Dialect::Postgres.sql(&format!(
        "with gone as (delete from {QUEUE} q using unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], \
         $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::text[], $11::text[], $12::text[], \
         $13::text[], $14::bigint[]) as x(event, token, new_state, new_attempts, new_reason, notes, phase, class, code, \
         enhanced, reply, verdict, reason, delay_ms) \
         where q.state_id = x.event and q.epoch = x.token returning x.*, q.lane, q.place), \
         closed as (update notification_attempts a set phase = g.phase, class = g.class, code = g.code, \
         enhanced = g.enhanced, reply = g.reply, verdict = g.verdict, reason = g.reason, delay_ms = g.delay_ms, \
         ended_at = {now} from gone g \
         where a.state_id = g.event and a.kind = 'send' and a.ended_at is null and g.notes = 1), \
         ended as (update notification_states s set state = g.new_state, attempts = g.new_attempts, \
         reason = g.new_reason, completed_at = {now} from gone g where s.id = g.event), \
         next as (update {QUEUE} q set due_at = {now} from gone g where q.lane = g.lane and q.place > g.place \
         and q.claims = 0 and q.due_at + 0 > {now} \
         and q.state_id not in (select event from gone) and not exists (select 1 from {QUEUE} p \
         where p.lane = q.lane and p.place < q.place \
         and p.state_id not in (select event from gone))) \
         select event, token from gone"
    ));
    let (states, reasons): (Vec<_>, Vec<_>) = ends.iter().map(|f| f.outcome()).unzip();
    let note = |f: fn(&Note) -> Option<&str>| ends.iter().map(|e| e.notes.first().and_then(f)).collect::<Vec<_>>();
    let number = |f: fn(&Note) -> Option<i64>| ends.iter().map(|e| e.notes.first().and_then(f)).collect::<Vec<_>>();
    let found: Vec<(i64, i64)> = sqlx::query_as(sql)
        .bind(ends.iter().map(|e| e.claim.event).collect::<Vec<_>>())
        .bind(ends.iter().map(|e| e.claim.token).collect::<Vec<_>>())
        .bind(states)
        .bind(ends.iter().map(|e| e.attempts).collect::<Vec<_>>())
        .bind(reasons)
        .bind(ends.iter().map(|e| i64::from(!e.notes.is_empty())).collect::<Vec<_>>())
        .bind(note(|n| n.phase.as_deref()))
        .bind(note(|n| n.class.as_deref()))
        .bind(number(|n| n.code))
        .bind(note(|n| n.enhanced.as_deref()))
        .bind(note(|n| n.reply.as_deref()))
        .bind(note(|n| n.verdict.as_deref()))
        .bind(note(|n| n.reason.as_deref()))
        .bind(number(|n| n.delay_ms))
        .fetch_all(session)
        .await?;
    Ok(tokens(found))
}
