//! Signatures of components: added and never changed.

use super::{Result, Store, with_pool, with_tx};
use crate::plugin::SIGNATURES_MAX;

/// A signature, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub(crate) struct SignatureRow {
    /// JSON.
    pub(crate) content: String,
    /// Unix milliseconds.
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
}

impl Store {
    /// Keeps a signature of a kept component, unless it is kept already; false when there are too many.
    pub(crate) async fn keep_signature(&self, digest: &str, content: &str, by: &str) -> Result<bool> {
        let hash = crate::plugin::digest(content.as_bytes());
        let mut tx = self.begin().await?;
        let dialect = tx.dialect();
        // The component's row stands for the set of its signatures: two that come at one time are counted in turn.
        let lock =
            dialect.sql(&format!("select bytes from plugin_components q where q.digest = $1 {}", dialect.lock()));
        let _: Option<i64> = with_tx!(&mut tx, |c| sqlx::query_scalar(lock).bind(digest).fetch_optional(c).await)?;
        let others = dialect.sql("select hash from plugin_signatures where digest = $1");
        let others: Vec<String> = with_tx!(&mut tx, |c| sqlx::query_scalar(others).bind(digest).fetch_all(c).await)?;
        if others.contains(&hash) {
            return Ok(true);
        }
        if others.len() >= SIGNATURES_MAX {
            return Ok(false);
        }
        let sql = dialect.sql(
            "insert into plugin_signatures (digest, hash, content, created_at, created_by) values ($1, $2, $3, $4, $5)",
        );
        with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(digest)
            .bind(&hash)
            .bind(content)
            .bind(self.clock.now_ms())
            .bind(by)
            .execute(c)
            .await
            .map(drop))?;
        tx.commit().await?;
        Ok(true)
    }

    /// The signatures of a component, the oldest first.
    pub(crate) async fn signatures(&self, digest: &str) -> Result<Vec<SignatureRow>> {
        let sql = self.dialect().sql(
            "select content, created_at, created_by from plugin_signatures where digest = $1 order by created_at, hash",
        );
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).bind(digest).fetch_all(pool).await)?)
    }
}
