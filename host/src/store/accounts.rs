//! What users are told of their accounts: where it stands in their lane, and who asked for it without a log-in.

use std::collections::{BTreeMap, BTreeSet};

use super::dialect::Column::Int;
use super::notifications::{self, NewEvent};
use super::tx::insert_id;
use super::users::json;
use super::{Dialect, Error, Result, Store, Tx, contents, with_pool, with_tx};
use crate::notification::{Lane, Payload};

/// Somebody says that they have forgotten the password of an address. Whether there is such a user is looked up later.
#[derive(Clone, Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub(crate) struct ResetRequest {
    pub(crate) id: i64,
    pub(crate) email: String,
}

/// Requests that one transaction answers.
const REQUESTS_MAX: usize = 20;

impl Store {
    /// Writes down that somebody wants another password: one insert, whether there is such a user or not.
    pub(crate) async fn insert_reset_request(&self, email: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.clock.now_ms();
        insert_id!(&mut tx, "insert into password_reset_requests (email, created_at) values ($1, $2)", email, now);
        tx.commit().await
    }

    /// Whether there are requests.
    pub(crate) async fn has_reset_requests(&self) -> Result<bool> {
        let sql = "select id from password_reset_requests limit 1";
        let found: Option<i64> = with_pool!(self, |pool| sqlx::query_scalar(sql).fetch_optional(pool).await)?;
        Ok(found.is_some())
    }

    /// Forgets what the last mails of users who have left said, once these have ended; says how many.
    pub(crate) async fn forget_farewells(&self) -> Result<u64> {
        let sql = self.dialect().sql(&format!(
            "select f.state_id from farewells f {} notification_states s on s.id = f.state_id \
             where s.completed_at is not null order by f.state_id limit {FAREWELLS_MAX}",
            if self.dialect() == Dialect::MySql { "straight_join" } else { "join" }
        ));
        let ended: Vec<i64> = with_pool!(self, |pool| sqlx::query_scalar(sql).fetch_all(pool).await)?;
        if ended.is_empty() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        contents::forget(&mut tx, &ended).await?;
        for id in &ended {
            tx.delete("delete from farewells where state_id = $1", &[*id]).await?;
        }
        tx.commit().await?;
        Ok(ended.len() as u64)
    }
}

/// Mails to users who have left whose contents are forgotten at one time.
const FAREWELLS_MAX: i64 = 100;

/// When a user's mails of a kind were queued since a time, unix milliseconds: the oldest, and how many.
pub(crate) async fn recent(tx: &mut Tx, user_id: i64, kind: &str, since: i64) -> Result<(Option<i64>, i64)> {
    let sql = tx.dialect().sql(
        "select min(created_at), count(*) from notification_states \
         where lane in ($1, $2) and kind = $3 and created_at > $4",
    );
    let [account, beside] = Lane::of_user(user_id);
    Ok(with_tx!(tx, |c| sqlx::query_as(sql).bind(account).bind(beside).bind(kind).bind(since).fetch_one(c).await)?)
}

/// Takes requests, which are gone when the transaction commits. Those that another host takes are left out.
pub(crate) async fn take_reset_requests(tx: &mut Tx) -> Result<Vec<ResetRequest>> {
    let lock = if tx.dialect() == Dialect::Sqlite { "" } else { "for update skip locked" };
    let text = format!("select id, email from password_reset_requests order by id limit {REQUESTS_MAX} {lock}");
    let sql = tx.dialect().sql(&text);
    let found: Vec<ResetRequest> = with_tx!(&mut *tx, |c| sqlx::query_as(sql).fetch_all(c).await)?;
    for request in &found {
        tx.delete("delete from password_reset_requests where id = $1", &[request.id]).await?;
    }
    Ok(found)
}

/// Queues mails that are about users and not about orders, each behind those of its lane. The users' rows are locked until the
/// transaction ends. The notifications' numbers.
pub(crate) async fn tell(tx: &mut Tx, mails: Vec<(Lane, String, Payload)>, offset_ms: i64) -> Result<Vec<i64>> {
    let members: BTreeSet<i64> = mails.iter().filter_map(|(lane, ..)| lane.user()).collect();
    if members.len() != mails.len() {
        return Err(Error::Undone("of two mails to one user, either could be the first".to_owned()));
    }
    let rows = json(&members.into_iter().map(|id| serde_json::json!({ "member": id })).collect::<Vec<_>>());
    let (dialect, columns) = (tx.dialect(), [Int("member")]);
    let sql = dialect.update("users", &columns, "last_place = q.last_place + 1", "q.id = x.member");
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(drop))?;
    let sql = dialect.sql(&format!(
        "select q.id, q.last_place from {} {} users q where q.id = x.member",
        dialect.rows(1, &columns),
        dialect.join(),
    ));
    let places: Vec<(i64, i64)> = with_tx!(&mut *tx, |c| sqlx::query_as(sql).bind(&rows).fetch_all(c).await)?;
    let places: BTreeMap<i64, i64> = places.into_iter().collect();
    let event = |(lane, message_id, payload): (Lane, String, Payload)| {
        let place = lane.user().and_then(|user| places.get(&user)).copied()?;
        Some(NewEvent { lane, place, silent: None, message_id, payload })
    };
    let events: Vec<NewEvent> = mails.into_iter().filter_map(event).collect();
    if events.is_empty() { Ok(Vec::new()) } else { notifications::enqueue(tx, &events, false, offset_ms).await }
}

/// Has what a mail says forgotten once it has ended: its user has left.
pub(crate) async fn note_farewell(tx: &mut Tx, state_id: i64) -> Result<()> {
    let sql = tx.dialect().sql("insert into farewells (state_id) values ($1)");
    with_tx!(tx, |c| sqlx::query(sql).bind(state_id).execute(c).await.map(drop))?;
    Ok(())
}
