//! What canaries and the revisions beside them did in each host, for all hosts to judge by.

use super::{Result, Store, with_tx};

impl Store {
    /// Writes down what this host saw since a canary's step began, which the slot's version names; gives what every host saw.
    pub(crate) async fn share_canary_counts(
        &self,
        slot: &str,
        version: i64,
        host: &str,
        counts: &str,
    ) -> Result<Vec<String>> {
        let mut tx = self.begin().await?;
        let dialect = tx.dialect();
        // The slot's row stands for the set of its counts: of two looks at one time, the second finds what the first wrote.
        let lock = dialect.sql(&format!("select version from plugin_slots q where q.slot = $1 {}", dialect.lock()));
        let _: Option<i64> = with_tx!(&mut tx, |c| sqlx::query_scalar(lock).bind(slot).fetch_optional(c).await)?;
        let sql = dialect.sql("select host, counts from plugin_canary_counts where slot = $1 and version = $2");
        let rows: Vec<(String, String)> =
            with_tx!(&mut tx, |c| sqlx::query_as(sql).bind(slot).bind(version).fetch_all(c).await)?;
        let (ours, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(of, _)| of == host);
        match ours.first() {
            Some((_, written)) if written == counts => {}
            Some(_) => {
                let sql = dialect
                    .sql("update plugin_canary_counts set counts = $1 where slot = $2 and version = $3 and host = $4");
                with_tx!(&mut tx, |c| sqlx::query(sql)
                    .bind(counts)
                    .bind(slot)
                    .bind(version)
                    .bind(host)
                    .execute(c)
                    .await
                    .map(drop))?;
            }
            None => {
                let sql = dialect.sql("delete from plugin_canary_counts where slot = $1 and version < $2");
                with_tx!(&mut tx, |c| sqlx::query(sql).bind(slot).bind(version).execute(c).await.map(drop))?;
                let sql = dialect
                    .sql("insert into plugin_canary_counts (slot, version, host, counts) values ($1, $2, $3, $4)");
                with_tx!(&mut tx, |c| sqlx::query(sql)
                    .bind(slot)
                    .bind(version)
                    .bind(host)
                    .bind(counts)
                    .execute(c)
                    .await
                    .map(drop))?;
            }
        }
        tx.commit().await?;
        Ok(others.into_iter().map(|(_, counts)| counts).chain([counts.to_owned()]).collect())
    }
}
