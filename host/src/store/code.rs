//! Compiled code that hosts keep for one another, so that a cluster compiles a component once.

use super::plugins::PART_BYTES;
use super::{Result, Store, with_tx};

impl Store {
    /// The code of this name.
    pub(crate) async fn code(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.parts("select content from plugin_code where name = $1 order by part", name).await
    }

    /// Keeps a component's code in place of what has its name.
    pub(crate) async fn keep_code(&self, name: &str, digest: &str, version: &str, code: &[u8]) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql("delete from plugin_code where name = $1");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(name).execute(c).await.map(drop))?;
        for (part, content) in (0_i64..).zip(code.chunks(PART_BYTES)) {
            let sql = tx
                .dialect()
                .sql("insert into plugin_code (name, part, digest, version, content) values ($1, $2, $3, $4, $5)");
            let written = with_tx!(&mut tx, |c| sqlx::query(sql)
                .bind(name)
                .bind(part)
                .bind(digest)
                .bind(version)
                .bind(content)
                .execute(c)
                .await
                .map(drop));
            match written.map_err(super::Error::from) {
                // Another host was faster; it wrote the same.
                Err(e) if e.is_taken() => return Ok(()),
                written => written?,
            }
        }
        tx.commit().await
    }

    /// Forgets the code of other versions of the host, and of components of which no revision may serve.
    pub(crate) async fn forget_code(&self, version: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql(
            "delete from plugin_code where version <> $1 or digest not in \
             (select digest from plugin_revisions where rests <> 'quarantined')",
        );
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(version).execute(c).await.map(drop))?;
        tx.commit().await
    }
}
