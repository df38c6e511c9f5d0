//! Discounts, and which orders they were given to.

use std::collections::{BTreeMap, BTreeSet};

use super::conditions::{Arg, Conditions};
use super::dialect::Column::{Int, Text};
use super::insert::Insert;
use super::tx::insert_id;
use super::users::json;
use super::{Dialect, Error, Result, Store, Tx, with_pool, with_tx};
use crate::money::{Currency, Money};
use crate::shop::discount::{Discount, NewDiscount};
use crate::shop::text::DiscountCode;

const COLUMNS: &str = "q.id, q.code, q.label, q.basis_points, q.amount, q.currency, q.products, q.subtotal_min, \
    q.starts_at, q.ends_at, q.uses_max, q.uses_per_customer_max, q.uses, q.version, q.archived_at, q.created_at, q.updated_at";

#[derive(sqlx_macros::FromRow)]
struct Row {
    id: i64,
    code: String,
    label: String,
    basis_points: Option<i64>,
    amount: Option<i64>,
    currency: Option<String>,
    products: String,
    subtotal_min: Option<i64>,
    starts_at: Option<i64>,
    ends_at: Option<i64>,
    uses_max: Option<i64>,
    uses_per_customer_max: Option<i64>,
    uses: i64,
    version: i64,
    archived_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<Row> for Discount {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let corrupt = |why: String| Error::Corrupt { what: "discount", id, why };
        let currency = row.currency.map(Currency::try_from).transpose().map_err(corrupt)?;
        let money = |amount: Option<i64>| amount.zip(currency).map(|(amount, currency)| Money::new(amount, currency));
        let number = |n: Option<i64>| n.map(u32::try_from).transpose().map_err(|e| corrupt(e.to_string()));
        Ok(Self {
            id,
            code: row.code.try_into().map_err(corrupt)?,
            label: row.label.try_into().map_err(corrupt)?,
            basis_points: number(row.basis_points)?,
            amount: money(row.amount),
            product_ids: serde_json::from_str(&row.products).map_err(|e| corrupt(e.to_string()))?,
            subtotal_min: money(row.subtotal_min),
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            uses_max: number(row.uses_max)?,
            uses_per_customer_max: number(row.uses_per_customer_max)?,
            uses: row.uses,
            version: row.version,
            archived_at: row.archived_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl Store {
    /// One discount.
    pub(crate) async fn discount(&self, id: i64) -> Result<Option<Discount>> {
        let sql = self.dialect().sql(&format!("select {COLUMNS} from discounts q where q.id = $1"));
        let row: Option<Row> = with_pool!(self, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)?;
        row.map(Discount::try_from).transpose()
    }

    /// Discounts, the newest first, with an id below `before`; of this code.
    pub(crate) async fn discounts(
        &self,
        code: Option<&DiscountCode>,
        archived_too: bool,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Discount>> {
        let mut query = Conditions::default();
        if let Some(code) = code {
            query.and("q.code = ?", Arg::Text(code.as_str().to_owned()));
        }
        if !archived_too {
            query.fixed("q.archived_at is null");
        }
        let order = query.behind(None, "q.id", true, before.map(|id| (None, id)).as_ref());
        let rows: Vec<Row> = query.fetch(self, &format!("select {COLUMNS} from discounts q"), &order, limit).await?;
        rows.into_iter().map(Discount::try_from).collect()
    }
}

/// Adds a discount; [`Error::is_taken`] when its code is.
pub(crate) async fn insert(tx: &mut Tx, new: &NewDiscount, now: i64) -> Result<Discount> {
    let Terms { basis_points, amount, currency, products, subtotal_min, uses_max, uses_per_customer_max } = new.into();
    let id = insert_id!(
        tx,
        "insert into discounts (code, label, basis_points, amount, currency, products, subtotal_min, starts_at, ends_at, \
         uses_max, uses_per_customer_max, uses, version, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 1, $12, $13)",
        new.code.as_str(),
        new.label.as_str(),
        basis_points,
        amount,
        currency.as_deref(),
        &products,
        subtotal_min,
        new.starts_at,
        new.ends_at,
        uses_max,
        uses_per_customer_max,
        now,
        now,
    );
    lock(tx, id).await?.ok_or_else(|| Error::Undone("the discount that was made is not there".to_owned()))
}

/// One discount, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: i64) -> Result<Option<Discount>> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!("select {COLUMNS} from discounts q where q.id = $1 {}", dialect.lock()));
    let row: Option<Row> = with_tx!(tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)?;
    row.map(Discount::try_from).transpose()
}

/// Writes a locked discount; [`Error::is_taken`] when its code is.
pub(crate) async fn write(tx: &mut Tx, discount: &Discount, new: &NewDiscount, now: i64) -> Result<Discount> {
    let Terms { basis_points, amount, currency, products, subtotal_min, uses_max, uses_per_customer_max } = new.into();
    let sql = tx.dialect().sql(
        "update discounts set code = $1, label = $2, basis_points = $3, amount = $4, currency = $5, products = $6, \
         subtotal_min = $7, starts_at = $8, ends_at = $9, uses_max = $10, uses_per_customer_max = $11, \
         version = version + 1, updated_at = $12 where id = $13",
    );
    with_tx!(&mut *tx, |c| sqlx::query(sql)
        .bind(new.code.as_str())
        .bind(new.label.as_str())
        .bind(basis_points)
        .bind(amount)
        .bind(&currency)
        .bind(&products)
        .bind(subtotal_min)
        .bind(new.starts_at)
        .bind(new.ends_at)
        .bind(uses_max)
        .bind(uses_per_customer_max)
        .bind(now)
        .bind(discount.id)
        .execute(c)
        .await
        .map(drop))?;
    lock(tx, discount.id).await?.ok_or_else(|| Error::Undone("the discount that was written is not there".to_owned()))
}

/// Takes a locked discount out of the shop.
pub(crate) async fn archive(tx: &mut Tx, id: i64, now: i64) -> Result<()> {
    let sql = "update discounts set archived_at = $1, updated_at = $2, version = version + 1 where id = $3";
    let sql = tx.dialect().sql(sql);
    with_tx!(tx, |c| sqlx::query(sql).bind(now).bind(now).bind(id).execute(c).await.map(drop))?;
    Ok(())
}

/// What a discount takes off and how often, as it is stored.
struct Terms {
    basis_points: Option<i64>,
    amount: Option<i64>,
    currency: Option<String>,
    products: String,
    subtotal_min: Option<i64>,
    uses_max: Option<i64>,
    uses_per_customer_max: Option<i64>,
}

impl From<&NewDiscount> for Terms {
    fn from(new: &NewDiscount) -> Self {
        let (amount, least) = (new.amount.map(Money::from), new.subtotal_min.map(Money::from));
        Self {
            basis_points: new.basis_points.map(|points| u32::from(points).into()),
            amount: amount.map(|amount| amount.amount),
            currency: amount.or(least).map(|money| money.currency.code().to_owned()),
            products: json(&new.product_ids),
            subtotal_min: least.map(|least| least.amount),
            uses_max: new.uses_max.map(|most| u32::from(most).into()),
            uses_per_customer_max: new.uses_per_customer_max.map(|most| u32::from(most).into()),
        }
    }
}

/// The discounts of these codes, locked until the transaction ends: who else gives them waits, and counts what was given. By their
/// numbers, as all who lock several do.
pub(crate) async fn by_code(tx: &mut Tx, codes: BTreeSet<&DiscountCode>) -> Result<Vec<Discount>> {
    let dialect = tx.dialect();
    let rows: Vec<_> = codes.iter().map(|code| serde_json::json!({ "wanted": code.as_str() })).collect();
    // As the column is written, or no index is used.
    let wanted = if dialect == Dialect::MySql { "convert(x.wanted using ascii)" } else { "x.wanted" };
    let sql = dialect.sql(&format!(
        "select q.id from {} {} discounts q where q.code = {wanted}",
        dialect.rows(1, &[Text("wanted")]),
        dialect.join(),
    ));
    let ids: Vec<i64> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(json(&rows)).fetch_all(c).await)?;
    let ids: BTreeSet<i64> = ids.into_iter().collect();
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        // One whose code was changed meanwhile is another.
        found.extend(lock(tx, id).await?.filter(|discount| codes.contains(&discount.code)));
    }
    Ok(found)
}

/// How often locked discounts were given to users.
pub(crate) async fn uses_by(
    tx: &mut Tx,
    pairs: impl IntoIterator<Item = (i64, i64)>,
) -> Result<BTreeMap<(i64, i64), u32>> {
    let dialect = tx.dialect();
    let pairs: BTreeSet<(i64, i64)> = pairs.into_iter().collect();
    let rows: Vec<_> =
        pairs.iter().map(|(discount, user)| serde_json::json!({ "given": discount, "customer": user })).collect();
    let mut uses = BTreeMap::new();
    if rows.is_empty() {
        return Ok(uses);
    }
    // A locking read: another would not see what was committed since the transaction began.
    let sql = dialect.sql(&format!(
        "select q.discount_id, q.user_id from {} {} discount_uses q \
         where q.discount_id = x.given and q.user_id = x.customer {}",
        dialect.rows(1, &[Int("given"), Int("customer")]),
        dialect.join(),
        dialect.share(),
    ));
    let found: Vec<(i64, i64)> = with_tx!(tx, |c| sqlx::query_as(sql).bind(json(&rows)).fetch_all(c).await)?;
    for pair in found {
        *uses.entry(pair).or_default() += 1;
    }
    Ok(uses)
}

/// Writes down which orders were given which discounts, to which users.
pub(super) async fn give(tx: &mut Tx, given: impl Iterator<Item = (i64, i64, i64)>) -> Result<()> {
    let given: Vec<(i64, i64, i64)> = given.collect();
    if given.is_empty() {
        return Ok(());
    }
    let row = |(order, discount, user): &(i64, i64, i64)| serde_json::json!({ "order_id": order, "discount_id": discount, "user_id": user });
    let columns = [Int("order_id"), Int("discount_id"), Int("user_id")];
    let insert = Insert { table: "discount_uses", columns: &columns, fixed: &[] };
    insert.rows(tx, &given.iter().map(row).collect::<Vec<_>>()).await?;
    let mut uses: BTreeMap<i64, i64> = BTreeMap::new();
    for (_, discount, _) in given {
        *uses.entry(discount).or_default() += 1;
    }
    count(tx, uses).await
}

/// Gives back what an order was given.
pub(super) async fn give_back(tx: &mut Tx, order: i64) -> Result<()> {
    let sql = tx.dialect().sql("select discount_id from discount_uses where order_id = $1 order by discount_id");
    let given: Vec<i64> = with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(order).fetch_all(c).await)?;
    if given.is_empty() {
        return Ok(());
    }
    count(tx, given.into_iter().map(|discount| (discount, -1)).collect()).await?;
    tx.delete("delete from discount_uses where order_id = $1", &[order]).await.map(drop)
}

/// Counts uses, by discount in the order in which they are locked.
async fn count(tx: &mut Tx, uses: BTreeMap<i64, i64>) -> Result<()> {
    let rows: Vec<_> =
        uses.iter().map(|(discount, more)| serde_json::json!({ "given": discount, "more": more })).collect();
    let sql =
        tx.dialect().update("discounts", &[Int("given"), Int("more")], "uses = q.uses + x.more", "q.id = x.given");
    with_tx!(tx, |c| sqlx::query(sql).bind(json(&rows)).execute(c).await.map(drop))?;
    Ok(())
}
