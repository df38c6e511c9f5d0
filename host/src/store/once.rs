//! What requests with an idempotency key were answered.

use serde::Serialize;

use super::users::json;
use super::{Dialect, Result, Store, Tx, with_tx};

/// An earlier request with the same key.
#[derive(sqlx::FromRow)]
pub(crate) struct Before {
    pub(crate) fingerprint: String,
    /// None: it has not been answered yet.
    pub(crate) answer: Option<String>,
}

/// Takes the key, or says what it was taken for. Waits for a transaction that has taken it and is still under way.
pub(crate) async fn begin(tx: &mut Tx, scope: &str, name: &str, fingerprint: &str, now: i64) -> Result<Option<Before>> {
    let dialect = tx.dialect();
    let (insert, conflict) =
        if dialect == Dialect::MySql { ("insert ignore", "") } else { ("insert", "on conflict do nothing") };
    let sql = dialect.sql(&format!(
        "{insert} into idempotency_keys (scope, name, fingerprint, created_at) values ($1, $2, $3, $4) {conflict}"
    ));
    let taken = with_tx!(&mut *tx, |c| sqlx::query(sql)
        .bind(scope)
        .bind(name)
        .bind(fingerprint)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    if taken == 1 {
        return Ok(None);
    }
    let sql = dialect.sql("select fingerprint, answer from idempotency_keys where scope = $1 and name = $2");
    Ok(Some(with_tx!(tx, |c| sqlx::query_as(sql).bind(scope).bind(name).fetch_one(c).await)?))
}

/// Keeps the answer.
pub(crate) async fn end<T: Serialize>(tx: &mut Tx, scope: &str, name: &str, answer: &T) -> Result<()> {
    let sql = tx.dialect().sql("update idempotency_keys set answer = $1 where scope = $2 and name = $3");
    with_tx!(tx, |c| sqlx::query(sql).bind(json(answer)).bind(scope).bind(name).execute(c).await.map(drop))?;
    Ok(())
}

impl Store {
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
