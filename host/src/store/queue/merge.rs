//! Ends that tell a notification with the next of its lane.

use super::finish::Finish;
use super::{QUEUE, Token};
use crate::notification::{Payload, State, Transition};
use crate::store::notifications::PAYLOADS;
use crate::store::users::json;
use crate::store::{Result, Tx, with_tx};

/// Puts what is to be merged into the next notification of its lane; says what becomes of each then. The next one cannot
/// be claimed while this one is there, and a change of its payload waits for its row in the queue.
pub(super) async fn merge(tx: &mut Tx, finishes: &[&Finish]) -> Result<Vec<Finish>> {
    let mut settled = Vec::new();
    for finish in finishes.iter().filter(|f| matches!(f.transition, Transition::Merge)) {
        let transition = if is_held(tx, &finish.claim).await? { one(tx, finish).await? } else { Transition::GiveBack };
        settled.push(Finish { transition, ..Finish::clone(finish) });
    }
    Ok(settled)
}

async fn one(tx: &mut Tx, finish: &Finish) -> Result<Transition> {
    let sql = tx.dialect().sql(&format!(
        "select q.state_id from {QUEUE} q where q.lane = $1 and q.place > $2 order by q.place \
         limit 1 {}",
        tx.dialect().lock()
    ));
    let (lane, place) = (finish.lane, finish.place);
    let next: Option<i64> =
        with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(lane).bind(place).fetch_optional(c).await)?;
    let Some(next) = next else { return Ok(Transition::GiveBack) };
    let (earlier, later) = (payload(tx, finish.claim.event).await?, payload(tx, next).await?);
    let (Some(earlier), Some(mut later)) = (earlier, later) else {
        let reason = format!("notification {next} cannot be read, so this one cannot be merged into it");
        return Ok(Transition::End { state: State::Held, reason });
    };
    // What is about no order lists no other: its news would be told by nobody.
    if earlier.order().is_none() || later.order().is_none() {
        return Ok(Transition::GiveBack);
    }
    later.merge(earlier);
    let sql = tx.dialect().sql("update notification_payloads set payload = $1 where state_id = $2");
    with_tx!(tx, |c| sqlx::query(sql).bind(json(&later)).bind(next).execute(c).await.map(drop))?;
    Ok(Transition::End { state: State::Skipped, reason: format!("merged into notification {next}") })
}

async fn is_held(tx: &mut Tx, claim: &Token) -> Result<bool> {
    let lock = tx.dialect().lock();
    let sql =
        tx.dialect().sql(&format!("select q.state_id from {QUEUE} q where q.state_id = $1 and q.epoch = $2 {lock}"));
    let held: Option<i64> =
        with_tx!(tx, |c| sqlx::query_scalar(sql).bind(claim.event).bind(claim.token).fetch_optional(c).await)?;
    Ok(held.is_some())
}

/// What is stored, as it is now; none if it cannot be read.
async fn payload(tx: &mut Tx, event: i64) -> Result<Option<Payload>> {
    let lock = tx.dialect().lock();
    let sql = tx.dialect().sql(&format!("select q.payload from {PAYLOADS} q where q.state_id = $1 {lock}"));
    let text: Option<String> = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(event).fetch_optional(c).await)?;
    Ok(text.and_then(|text| Payload::read(&text).ok()))
}
