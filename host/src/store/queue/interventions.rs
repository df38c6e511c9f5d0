//! What operators do to single notifications, where mails of an order may overtake one another if they say so; and what
//! policies have done to those that came back, where they may not.

use super::{QUEUE, make_due_next};
use crate::notification::{Lane, State, Urgency};
use crate::store::{Error, Result, Tx, with_tx};

/// Where a notification stands, locked until the transaction ends.
pub(crate) struct Standing {
    pub(crate) state: State,
    kind: String,
    lane: i64,
    place: i64,
    /// Its mail is on its way to a relay at this moment, or was when its host ended.
    pub(crate) is_handed_over: bool,
}

/// In which lane a notification is.
pub(crate) async fn lane_of(tx: &mut Tx, id: i64) -> Result<Option<Lane>> {
    let sql = tx.dialect().sql("select lane from notification_states where id = $1");
    let lane: Option<i64> = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(id).fetch_optional(c).await)?;
    Ok(lane.map(Lane::from))
}

/// Locks the row of the queue first, as a worker that ends a claim does.
pub(crate) async fn lock(tx: &mut Tx, id: i64) -> Result<Option<Standing>> {
    let lock = tx.dialect().lock();
    let sql = tx.dialect().sql(&format!("select q.phase from {QUEUE} q where q.state_id = $1 {lock}"));
    let phase: Option<i64> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(id).fetch_optional(c).await)?;
    let sql = tx
        .dialect()
        .sql(&format!("select q.state, q.kind, q.lane, q.place from notification_states q where q.id = $1 {lock}"));
    let row: Option<(String, String, i64, i64)> =
        with_tx!(tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)?;
    let Some((state, kind, lane, place)) = row else { return Ok(None) };
    let state = State::try_from(state).map_err(|why| Error::Corrupt { what: "notification", id, why })?;
    Ok(Some(Standing { state, kind, lane, place, is_handed_over: phase.is_some_and(|phase| phase > 0) }))
}

/// How long newer events of an order are kept from being claimed at the least while one is put before them: longer than
/// a claim that still saw them at the head. The end of the one before makes them due.
const KEPT_MS: i64 = 10_000;

/// Ends the claims of newer events of the order whose mails have not begun to be handed over, and waits for claims that
/// are under way: what is put before them goes first. What was never claimed stays known as that, for
/// [`Store::sweep`](crate::store::Store::sweep).
pub(crate) async fn take_from_workers(tx: &mut Tx, standing: &Standing, offset_ms: i64) -> Result<()> {
    let (dialect, now) = (tx.dialect(), tx.dialect().now_ms(offset_ms));
    let sql = dialect.sql(&format!(
        "update {QUEUE} set epoch = case when epoch > 0 then epoch + 1 else 0 end, claims = 0, \
         due_at = {greatest}(due_at, {now} + {KEPT_MS}) where lane = $1 and place > $2 and phase = 0",
        greatest = dialect.greatest(),
    ));
    let (lane, place) = (standing.lane, standing.place);
    with_tx!(tx, |c| sqlx::query(sql).bind(lane).bind(place).execute(c).await.map(drop))?;
    Ok(())
}

/// Whether a newer mail of the order was sent, or may have been: it is being handed over.
pub(crate) async fn is_late(tx: &mut Tx, standing: &Standing) -> Result<bool> {
    let sql = tx.dialect().sql(&format!(
        "select count(*) from notification_states s left join {QUEUE} q on q.state_id = s.id \
         where s.lane = $1 and s.place > $2 and (s.state = 'sent' or coalesce(q.phase, 0) > 0)"
    ));
    let (lane, place) = (standing.lane, standing.place);
    let newer: i64 = with_tx!(tx, |c| sqlx::query_scalar(sql).bind(lane).bind(place).fetch_one(c).await)?;
    Ok(newer > 0)
}

/// Puts a notification that ended back into the queue, due now and as if nothing had been tried. Late ones are marked in the
/// journal, where they can be counted.
pub(crate) async fn requeue(
    tx: &mut Tx,
    id: i64,
    standing: &Standing,
    is_late: bool,
    reason: &str,
    offset_ms: i64,
) -> Result<()> {
    let now = tx.dialect().now_ms(offset_ms);
    note(tx, id, if is_late { "retry-late" } else { "retry" }, reason, &now).await?;
    let sql = tx.dialect().sql("update notification_states set attempts = 0 where id = $1");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(id).execute(c).await.map(drop))?;
    put_back(tx, id, standing, (0, None), offset_ms).await
}

/// Puts a notification that ended back into the queue, due after a time and for a relay if one is named. Its attempts stay
/// charged. Epochs go on from the time, so that no claim of its earlier stay counts as held again.
pub(crate) async fn put_back(
    tx: &mut Tx,
    id: i64,
    standing: &Standing,
    (delay_ms, relay): (i64, Option<&str>),
    offset_ms: i64,
) -> Result<()> {
    let now = tx.dialect().now_ms(offset_ms);
    // Else the next attempt's end would be this one's too.
    let sql = tx.dialect().sql(&format!(
        "update notification_attempts set ended_at = {now} where state_id = $1 and kind = 'send' and ended_at is null"
    ));
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(id).execute(c).await.map(drop))?;
    let sql = tx
        .dialect()
        .sql("update notification_states set state = 'not sent', reason = '', completed_at = null where id = $1");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(id).execute(c).await.map(drop))?;
    let sql = tx.dialect().sql("update notification_reports set is_past = 1 where state_id = $1");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(id).execute(c).await.map(drop))?;
    let sql = tx.dialect().sql(&format!(
        "insert into {QUEUE} (state_id, lane, place, urgency, due_at, epoch, phase, attempts, claims, relay, created_at) \
         select s.id, s.lane, s.place, {}, {now} + $1, {now}, 0, s.attempts, 0, $2, {now} from notification_states s \
         where s.id = $3",
        Urgency::of(Lane::from(standing.lane), &standing.kind).number()
    ));
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(delay_ms).bind(relay).bind(id).execute(c).await.map(drop))?;
    if delay_ms > 0 {
        // A claim must not wade through what waits for it.
        let greatest = tx.dialect().greatest();
        let sql = tx
            .dialect()
            .sql(&format!("update {QUEUE} set due_at = {greatest}(due_at, {now} + $1) where lane = $2 and place > $3"));
        let (lane, place) = (standing.lane, standing.place);
        with_tx!(tx, |c| sqlx::query(sql).bind(delay_ms).bind(lane).bind(place).execute(c).await.map(drop))?;
    }
    Ok(())
}

/// Ends a notification as failed or held, whether it is queued or held; where it was queued, makes what comes next of its
/// order due. Who had claimed it can no longer hand it over. The journal says that it was a `verb`.
pub(crate) async fn end(
    tx: &mut Tx,
    id: i64,
    standing: &Standing,
    (verb, state): (&str, State),
    reason: &str,
    offset_ms: i64,
) -> Result<()> {
    let now = tx.dialect().now_ms(offset_ms);
    note(tx, id, verb, reason, &now).await?;
    conclude(tx, id, standing, state, reason, offset_ms).await
}

/// The same without a word in the journal, and of what was sent as well.
pub(crate) async fn conclude(
    tx: &mut Tx,
    id: i64,
    standing: &Standing,
    state: State,
    reason: &str,
    offset_ms: i64,
) -> Result<()> {
    let now = tx.dialect().now_ms(offset_ms);
    let sql = tx.dialect().sql(&format!(
        "update notification_states set state = '{}', reason = $1, completed_at = {now}, \
         attempts = coalesce((select q.attempts from {QUEUE} q where q.state_id = notification_states.id), attempts) \
         where id = $2",
        state.as_str()
    ));
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(reason).bind(id).execute(c).await.map(drop))?;
    let sql = tx.dialect().sql(&format!("delete from {QUEUE} where state_id = $1"));
    let left = with_tx!(&mut *tx, |c| sqlx::query(sql).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
    if left == 0 { Ok(()) } else { make_due_next(tx, &[(standing.lane, standing.place)], &now).await }
}

async fn note(tx: &mut Tx, id: i64, verdict: &str, reason: &str, now: &str) -> Result<()> {
    let sql = tx.dialect().sql(&format!(
        "insert into notification_attempts (state_id, epoch, kind, verdict, reason, repeats, started_at, ended_at) \
         values ($1, {now}, 'decision', $2, $3, 1, {now}, {now})"
    ));
    with_tx!(tx, |c| sqlx::query(sql).bind(id).bind(verdict).bind(reason).execute(c).await.map(drop))?;
    Ok(())
}
