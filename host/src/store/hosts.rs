//! Which hosts there are: each says every few seconds that it is there.

use super::{Result, Store, with_pool, with_tx};
use crate::clock::DAY_MS;

/// A host that was not there for so long has ended, in milliseconds.
const SILENT_MS_MAX: i64 = 30_000;
/// And is forgotten after so many.
const FORGET_MS: i64 = DAY_MS;

/// A run of a host.
#[derive(Clone, Debug, PartialEq, Eq, sqlx_macros::FromRow)]
pub(crate) struct HostRow {
    /// Random.
    pub(crate) host: String,
    pub(crate) version: String,
    /// The newest step of the schema that its program knows.
    pub(crate) schema_known: i64,
    pub(crate) roles: String,
    /// Unix milliseconds, as all that follow.
    pub(crate) started_at: i64,
    pub(crate) seen_at: i64,
    /// Mails that relays took from it since it started.
    pub(crate) sent: i64,
    /// Mails that it gave up since it started.
    pub(crate) failed: i64,
}

impl Store {
    /// Says that a host is there; `seen_at` is the database's to say.
    pub(crate) async fn beat(&self, row: &HostRow) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql =
            tx.dialect().sql(&format!("update hosts set seen_at = {now}, sent = $1, failed = $2 where host = $3"));
        let known = with_tx!(&mut tx, |c| sqlx::query(sql)
            .bind(row.sent)
            .bind(row.failed)
            .bind(&row.host)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
        if known == 0 {
            let sql = tx.dialect().sql(&format!("delete from hosts where seen_at < {now} - {FORGET_MS}"));
            with_tx!(&mut tx, |c| sqlx::query(sql).execute(c).await.map(drop))?;
            let sql = tx.dialect().sql(&format!(
                "insert into hosts (host, version, schema_known, roles, started_at, seen_at, sent, failed) \
                 values ($1, $2, $3, $4, {now}, {now}, $5, $6)"
            ));
            with_tx!(&mut tx, |c| sqlx::query(sql)
                .bind(&row.host)
                .bind(&row.version)
                .bind(row.schema_known)
                .bind(&row.roles)
                .bind(row.sent)
                .bind(row.failed)
                .execute(c)
                .await
                .map(drop))?;
        }
        tx.commit().await
    }

    /// The hosts that are there, the oldest first.
    pub(crate) async fn hosts(&self) -> Result<Vec<HostRow>> {
        let now = self.dialect().now_ms(self.offset_ms());
        let sql = self.dialect().sql(&format!(
            "select host, version, schema_known, roles, started_at, seen_at, sent, failed from hosts \
             where seen_at > {now} - {SILENT_MS_MAX} order by started_at, host"
        ));
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).fetch_all(pool).await)?)
    }

    /// Takes a host out that stops.
    pub(crate) async fn leave(&self, host: &str) -> Result<()> {
        let sql = self.dialect().sql("delete from hosts where host = $1");
        let mut tx = self.begin().await?;
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(host).execute(c).await.map(drop))?;
        tx.commit().await
    }
}
