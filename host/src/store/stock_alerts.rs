//! Who wants to hear when a product can be had again.

use super::users::json;
use super::{Dialect, Result, Store, Tx, with_pool, with_tx};

/// Alerts that one transaction tells.
const BATCH_MAX: i64 = 200;

impl Store {
    /// A product that can be had again and has not told everybody yet.
    pub(crate) async fn restocked(&self) -> Result<Option<i64>> {
        let sql = "select product_id from restocked_products order by product_id limit 1";
        Ok(with_pool!(self, |pool| sqlx::query_scalar(sql).fetch_optional(pool).await)?)
    }
}

/// Notes that a user wants to hear of a product; one that is noted stays.
pub(crate) async fn add(tx: &mut Tx, product_id: i64, user_id: i64, now: i64) -> Result<()> {
    let ignore = match tx.dialect() {
        Dialect::Sqlite | Dialect::Postgres => "on conflict (product_id, user_id) do nothing",
        Dialect::MySql => "on duplicate key update created_at = created_at",
    };
    let sql = tx
        .dialect()
        .sql(&format!("insert into stock_alerts (product_id, user_id, created_at) values ($1, $2, $3) {ignore}"));
    with_tx!(tx, |c| sqlx::query(sql).bind(product_id).bind(user_id).bind(now).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets that a user wants to hear of a product.
pub(crate) async fn remove(tx: &mut Tx, product_id: i64, user_id: i64) -> Result<()> {
    tx.delete("delete from stock_alerts where product_id = $1 and user_id = $2", &[product_id, user_id]).await?;
    Ok(())
}

/// Forgets all that a user wants to hear.
pub(crate) async fn remove_of(tx: &mut Tx, user_id: i64) -> Result<()> {
    tx.delete("delete from stock_alerts where user_id = $1", &[user_id]).await?;
    Ok(())
}

/// Notes of those products that can be had again that it is to be told, where somebody wants to hear it. In the transaction
/// that put them back into stock.
pub(crate) async fn note_restocked(tx: &mut Tx, products: impl IntoIterator<Item = i64>) -> Result<()> {
    let dialect = tx.dialect();
    let rows = json(&products.into_iter().map(|id| serde_json::json!({ "product": id })).collect::<Vec<_>>());
    let (ignore, done) = match dialect {
        Dialect::Sqlite | Dialect::Postgres => ("", "on conflict (product_id) do nothing"),
        Dialect::MySql => ("ignore", ""),
    };
    let sql = dialect.sql(&format!(
        "insert {ignore} into restocked_products (product_id) select x.product from {} \
         where exists (select 1 from stock_alerts a where a.product_id = x.product) {done}",
        dialect.rows(1, &[super::dialect::Column::Int("product")]),
    ));
    with_tx!(tx, |c| sqlx::query(sql).bind(rows).execute(c).await.map(drop))?;
    Ok(())
}

/// Takes a restocked product, and some of those who want to hear of it; none when another host has it. What is taken is gone
/// when the transaction commits, the product once nobody is left.
pub(crate) async fn take(tx: &mut Tx, product_id: i64) -> Result<Option<Vec<i64>>> {
    let lock = if tx.dialect() == Dialect::Sqlite { "" } else { "for update skip locked" };
    let text = format!("select product_id from restocked_products where product_id = $1 {lock}");
    let sql = tx.dialect().sql(&text);
    let taken: Option<i64> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(product_id).fetch_optional(c).await)?;
    if taken.is_none() {
        return Ok(None);
    }
    let text = format!("select user_id from stock_alerts where product_id = $1 order by user_id limit {BATCH_MAX}");
    let sql = tx.dialect().sql(&text);
    let users: Vec<i64> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(product_id).fetch_all(c).await)?;
    if i64::try_from(users.len()).is_ok_and(|count| count < BATCH_MAX) {
        done(tx, product_id).await?;
    }
    if let Some(last) = users.last() {
        tx.delete("delete from stock_alerts where product_id = $1 and user_id <= $2", &[product_id, *last]).await?;
    }
    Ok(Some(users))
}

/// Nothing more is to be told of a product for now.
pub(crate) async fn done(tx: &mut Tx, product_id: i64) -> Result<()> {
    tx.delete("delete from restocked_products where product_id = $1", &[product_id]).await?;
    Ok(())
}
