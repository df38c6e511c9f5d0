//! What requests with an idempotency key were answered.

use std::collections::BTreeSet;

use super::dialect::Column::{Int, Text};
use super::insert::Insert;
use super::users::json;
use super::{Result, Store, Tx, with_pool, with_tx};

/// An earlier request with the same key.
#[derive(sqlx_macros::FromRow)]
pub(crate) struct Kept {
    pub(crate) fingerprint: String,
    pub(crate) answer: String,
}

/// A key, and what was answered to it.
#[derive(Clone, Debug)]
pub(crate) struct Keep {
    pub(crate) scope: String,
    pub(crate) name: String,
    pub(crate) fingerprint: String,
    pub(crate) answer: String,
}

/// Takes the keys and keeps the answers; [`super::Error::is_taken`] when one is taken. Waits for a transaction that has
/// taken it and is still under way.
pub(crate) async fn keep(tx: &mut Tx, keys: &[Keep], now: i64) -> Result<()> {
    let columns = [Text("scope"), Text("name"), Text("fingerprint"), Text("answer"), Int("created_at")];
    let row = |key: &Keep| {
        let Keep { scope, name, fingerprint, answer } = key;
        serde_json::json!({
            "scope": scope, "name": name, "fingerprint": fingerprint, "answer": answer, "created_at": now,
        })
    };
    let insert = Insert { table: "idempotency_keys", columns: &columns, fixed: &[] };
    insert.rows(tx, &keys.iter().map(row).collect::<Vec<_>>()).await
}

/// Those of the keys, each a scope and a name, that are taken.
pub(crate) async fn taken(
    tx: &mut Tx,
    keys: impl Iterator<Item = (String, String)>,
) -> Result<BTreeSet<(String, String)>> {
    let keys: Vec<_> = keys.map(|(scope, name)| serde_json::json!({ "scope": scope, "name": name })).collect();
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!(
        "select q.scope, q.name from {} {} idempotency_keys q where q.scope = x.scope and q.name = x.name",
        dialect.rows(1, &[Text("scope"), Text("name")]),
        dialect.join(),
    ));
    let taken: Vec<_> = with_tx!(tx, |c| sqlx::query_as(sql).bind(json(&keys)).fetch_all(c).await)?;
    Ok(taken.into_iter().collect())
}

/// Forgets a user's keys: an answer that was kept says who they were.
pub(crate) async fn forget(tx: &mut Tx, user_id: i64) -> Result<()> {
    let sql = tx.dialect().sql("delete from idempotency_keys where scope like $1");
    with_tx!(tx, |c| sqlx::query(sql).bind(format!("{user_id}:%")).execute(c).await.map(drop))?;
    Ok(())
}

impl Store {
    /// What was answered to the key, if it was.
    pub(crate) async fn kept(&self, scope: &str, name: &str) -> Result<Option<Kept>> {
        let sql = self.dialect().sql("select fingerprint, answer from idempotency_keys where scope = $1 and name = $2");
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).bind(scope).bind(name).fetch_optional(pool).await)?)
    }

    /// Forgets keys from before `until`; says how many.
    pub(crate) async fn forget_keys(&self, until: i64) -> Result<u64> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql("delete from idempotency_keys where created_at < $1");
        let gone =
            with_tx!(&mut tx, |c| sqlx::query(sql).bind(until).execute(c).await.map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(gone)
    }
}
