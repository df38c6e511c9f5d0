//! What mails say of their customer: written anew when they move, taken out when they leave.

use super::dialect::Column::{Int, Text};
use super::notifications::PAYLOADS;
use super::queue::{ATTEMPTS, events};
use super::users::json;
use super::{Result, Tx, reports, with_tx};
use crate::notification::{Customer, Lane, Payload};

/// A user's lanes `l`: those of their orders, and those of parameters 2 and 3.
const LANES_OF_USER: &str =
    "(select o.id as lane from orders o where o.user_id = $1 union all select $2 union all select $3) l";

/// The lanes `l` of a user's orders at endpoints: the arithmetic of [`Lane::Endpoint`], to which a test holds it.
const ENDPOINT_LANES_OF_USER: &str = "(select -4611686018427387905 - e.id * 1099511627776 - o.id as lane from orders o cross join webhook_endpoints e \
     where o.user_id = $1 and (e.user_id is null or e.user_id = $2)) l";

/// What is queued for a user.
async fn queued_for(tx: &mut Tx, user_id: i64, in_order: &str) -> Result<Vec<i64>> {
    let sql = tx.dialect().sql(&format!(
        "select q.state_id from {LANES_OF_USER} join notification_events_queue q on q.lane = l.lane {in_order}"
    ));
    let [account, beside] = Lane::of_user(user_id);
    let queued = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(user_id).bind(account).bind(beside).fetch_all(c).await)?;
    Ok(queued)
}

/// Sends what is queued for a user to where they are reached now, in the language and zone of now.
pub(crate) async fn readdress(tx: &mut Tx, customer: &Customer) -> Result<()> {
    // Locked before they are read: a merge may be about to change one.
    let in_order = format!("order by q.state_id {}", tx.dialect().lock());
    let queued = queued_for(tx, customer.id, &in_order).await?;
    let rows = events(&queued);
    let sql = tx.dialect().sql(&format!(
        "select q.state_id, q.payload from {} {} {PAYLOADS} q where q.state_id = x.event {}",
        tx.dialect().rows(1, &[Int("event")]),
        tx.dialect().join(),
        tx.dialect().lock(),
    ));
    let queued: Vec<(i64, String)> = with_tx!(&mut *tx, |c| sqlx::query_as(sql).bind(rows).fetch_all(c).await)?;
    rewrite(tx, queued, |payload| payload.readdress(customer)).await
}

/// The same of one that has just been queued again: what else is queued was readdressed when the user moved.
pub(crate) async fn readdress_one(tx: &mut Tx, id: i64, customer: &Customer) -> Result<()> {
    let lock = tx.dialect().lock();
    let sql = tx.dialect().sql(&format!("select q.state_id, q.payload from {PAYLOADS} q where q.state_id = $1 {lock}"));
    let queued: Vec<(i64, String)> = with_tx!(&mut *tx, |c| sqlx::query_as(sql).bind(id).fetch_all(c).await)?;
    rewrite(tx, queued, |payload| payload.readdress(customer)).await
}

/// Takes a user out of all that is kept of their mails: payloads, and what relays and plugins said of them. What is
/// still queued is skipped.
pub(crate) async fn redact(tx: &mut Tx, nobody: &Customer, offset_ms: i64) -> Result<()> {
    let now = tx.dialect().now_ms(offset_ms);
    let queued = queued_for(tx, nobody.id, "").await?;
    let rows = events(&queued);
    let sql = tx.dialect().delete("notification_events_queue", "state_id", &[Int("event")], "q.state_id = x.event", "");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
    let [account, beside] = Lane::of_user(nobody.id);
    let mut after = 0;
    loop {
        let sql = tx.dialect().sql(&format!(
            "select s.id, coalesce(p.payload, '') from {LANES_OF_USER} join notification_states s on s.lane = l.lane \
             left join notification_payloads p on p.state_id = s.id where s.id > $4 order by s.id limit $5"
        ));
        let kept: Vec<(i64, String)> = with_tx!(&mut *tx, |c| sqlx::query_as(sql)
            .bind(nobody.id)
            .bind(account)
            .bind(beside)
            .bind(after)
            .bind(REWRITES_MAX)
            .fetch_all(c)
            .await)?;
        let Some((last, _)) = kept.last() else { break };
        after = *last;
        forget_words(tx, &kept.iter().map(|(id, _)| *id).collect::<Vec<_>>()).await?;
        rewrite(tx, kept, |payload| payload.redact(nobody)).await?;
    }
    forget_answers(tx, nobody.id).await?;
    let set = format!("state = 'skipped', reason = 'the customer has left', completed_at = {now}");
    let sql =
        tx.dialect().update("notification_states", &[Int("event")], &set, "q.id = x.event and q.completed_at is null");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets what endpoints of webhooks answered when they were told of a user's orders: they may repeat what they were told. That
/// is the mails' and has gone with them.
async fn forget_answers(tx: &mut Tx, user_id: i64) -> Result<()> {
    let mut after = 0;
    loop {
        let sql = tx.dialect().sql(&format!(
            "select s.id from {ENDPOINT_LANES_OF_USER} join notification_states s on s.lane = l.lane \
             where s.id > $3 order by s.id limit $4"
        ));
        let told: Vec<i64> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql)
            .bind(user_id)
            .bind(user_id)
            .bind(after)
            .bind(REWRITES_MAX)
            .fetch_all(c)
            .await)?;
        let Some(last) = told.last() else { return Ok(()) };
        after = *last;
        forget_words(tx, &told).await?;
    }
}

/// Forgets what mails said, and what was said of them.
pub(super) async fn forget(tx: &mut Tx, mails: &[i64]) -> Result<()> {
    forget_words(tx, mails).await?;
    let rows = events(mails);
    let sql = tx.dialect().delete(PAYLOADS, "state_id", &[Int("event")], "q.state_id = x.event", "");
    with_tx!(tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets what relays and plugins said of mails: both saw the address, and relays repeat it. With a relay's words goes
/// what a policy saw of them, and with a report who made it.
async fn forget_words(tx: &mut Tx, mails: &[i64]) -> Result<()> {
    let rows = events(mails);
    // The states first: who forgets what is old locks in this order.
    let sql = tx.dialect().update("notification_states", &[Int("event")], "reason = ''", "q.id = x.event");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
    let set = "reply = null, reason = null, \
               situation = case when q.situation like '%\"history\":[]%' and coalesce(q.phase, '') <> 'report' \
               then q.situation end";
    let sql = tx.dialect().update(ATTEMPTS, &[Int("event")], set, "q.state_id = x.event");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
    reports::forget_words(tx, mails).await
}

/// Payloads that are rewritten at one time.
const REWRITES_MAX: i64 = 500;

/// Changes payloads. One that cannot be read is left as it is, for an operator.
async fn rewrite(tx: &mut Tx, rows: Vec<(i64, String)>, change: impl Fn(&mut Payload)) -> Result<()> {
    let changed = rows.into_iter().filter_map(|(id, text)| {
        let mut payload = Payload::read(&text).ok()?;
        change(&mut payload);
        Some(serde_json::json!({ "event": id, "new_payload": json(&payload) }))
    });
    let changed: Vec<_> = changed.collect();
    if changed.is_empty() {
        return Ok(());
    }
    let columns = [Int("event"), Text("new_payload")];
    let sql = tx.dialect().update(PAYLOADS, &columns, "payload = x.new_payload", "q.state_id = x.event");
    with_tx!(tx, |c| sqlx::query(sql).bind(json(&changed)).execute(c).await.map(drop))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ENDPOINT_LANES_OF_USER, Lane};

    #[test]
    fn lanes_of_endpoints_are_computed_alike() {
        let [first, step] = [-4_611_686_018_427_387_905_i64, 1_099_511_627_776];
        assert!(ENDPOINT_LANES_OF_USER.contains(&format!("select {first} - e.id * {step} - o.id")));
        for (endpoint, order) in [(1, 1), (3, 5), (4_194_303, 1_099_511_627_775)] {
            assert_eq!(i64::from(Lane::Endpoint { endpoint, order }), first - endpoint * step - order);
        }
    }
}
