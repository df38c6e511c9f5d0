//! What requests with an idempotency key were answered.

use serde::Serialize;

use super::users::json;
use super::{Result, Store, Tx, with_pool, with_tx};

/// An earlier request with the same key.
#[derive(sqlx::FromRow)]
pub(crate) struct Kept {
    pub(crate) fingerprint: String,
    pub(crate) answer: String,
}

/// Takes the key and keeps the answer; [`super::Error::is_taken`] when it is taken. Waits for a transaction that has
/// taken it and is still under way.
pub(crate) async fn keep<T: Serialize>(
    tx: &mut Tx,
    scope: &str,
    name: &str,
    fingerprint: &str,
    answer: &T,
    now: i64,
) -> Result<()> {
    let sql = tx
        .dialect()
        .sql("insert into idempotency_keys (scope, name, fingerprint, answer, created_at) values ($1, $2, $3, $4, $5)");
    with_tx!(tx, |c| sqlx::query(sql)
        .bind(scope)
        .bind(name)
        .bind(fingerprint)
        .bind(json(answer))
        .bind(now)
        .execute(c)
        .await
        .map(drop))?;
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
