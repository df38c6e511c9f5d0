//! Acts in the console.

use super::{Result, Store, tx, with_pool, with_tx};

#[derive(sqlx_macros::FromRow)]
pub(crate) struct ActRow {
    pub(crate) id: i64,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    pub(crate) act: String,
    pub(crate) subject: String,
    pub(crate) why: String,
    pub(crate) outcome: String,
}

impl Store {
    /// Writes down that an act begins; gives its id.
    pub(crate) async fn begin_act(&self, by: &str, act: &str, subject: &str, why: &str) -> Result<i64> {
        let mut tx = self.begin().await?;
        let now = tx.dialect().now_ms(self.offset_ms());
        let sql = format!(
            "insert into console_acts (created_at, created_by, act, subject, why, outcome) \
             values ({now}, $1, $2, $3, $4, 'begun')"
        );
        let id = tx::insert_id!(&mut tx, &sql, by, act, subject, why);
        tx.commit().await?;
        Ok(id)
    }

    /// Writes down what came of it.
    pub(crate) async fn end_act(&self, id: i64, outcome: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let sql = tx.dialect().sql("update console_acts set outcome = $1 where id = $2");
        with_tx!(&mut tx, |c| sqlx::query(sql).bind(outcome).bind(id).execute(c).await.map(drop))?;
        tx.commit().await
    }

    /// Acts with an id below `before`, the newest first.
    pub(crate) async fn acts(&self, before: i64, limit: i64) -> Result<Vec<ActRow>> {
        let sql = self.dialect().sql(
            "select id, created_at, created_by, act, subject, why, outcome from console_acts \
             where id < $1 order by id desc limit $2",
        );
        Ok(with_pool!(self, |pool| sqlx::query_as(sql).bind(before).bind(limit).fetch_all(pool).await)?)
    }
}
