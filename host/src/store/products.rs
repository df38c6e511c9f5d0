//! Products and their stock.

use std::collections::{BTreeMap, BTreeSet};

use super::conditions::{Arg, Conditions, escaped};
use super::dialect::Column::Int;
use super::tx::insert_id;
use super::users::json;
use super::{Dialect, Error, Result, Store, Tx, stock_alerts, with_pool, with_tx};
use crate::money::{Currency, Money};
use crate::shop::kept;
use crate::shop::product::{NewProduct, Product, ProductFilter, ProductSort};
use crate::shop::text::{WebAddress, folded};

const COLUMNS: &str = "q.id, q.sku, q.name, q.description, q.category, q.price_amount, q.price_currency, q.stock, \
    q.url, q.image, q.attributes, q.version, q.archived_at, q.created_at, q.updated_at";

#[derive(sqlx_macros::FromRow)]
struct Row {
    id: i64,
    sku: String,
    name: String,
    description: String,
    category: String,
    price_amount: i64,
    price_currency: String,
    stock: i64,
    url: Option<String>,
    image: Option<String>,
    attributes: String,
    version: i64,
    archived_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<Row> for Product {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let id = row.id;
        let corrupt = |why: String| Error::Corrupt { what: "product", id, why };
        let currency = Currency::try_from(row.price_currency).map_err(corrupt)?;
        Ok(Self {
            id,
            sku: row.sku.try_into().map_err(corrupt)?,
            name: row.name.try_into().map_err(corrupt)?,
            description: row.description.try_into().map_err(corrupt)?,
            category: row.category.try_into().map_err(corrupt)?,
            price: Money::new(row.price_amount, currency),
            stock: row.stock,
            url: row.url.and_then(kept::web_address),
            image: row.image.and_then(kept::web_address),
            attributes: serde_json::from_str(&row.attributes).map_err(|e| corrupt(e.to_string()))?,
            version: row.version,
            archived_at: row.archived_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl Store {
    /// Each of the products, if it is there.
    pub(crate) async fn products_by_id(&self, wanted: &[i64]) -> Result<Vec<Option<Product>>> {
        let (sql, ids) = (by_id(self.dialect()), ids(wanted.iter().copied().collect::<BTreeSet<_>>()));
        let rows: Vec<Row> = with_pool!(self, |pool| sqlx::query_as(sql).bind(ids).fetch_all(pool).await)?;
        let found = rows.into_iter().map(|row| Product::try_from(row).map(|p| (p.id, p)));
        let found: BTreeMap<i64, Product> = found.collect::<Result<_>>()?;
        Ok(wanted.iter().map(|id| found.get(id).cloned()).collect())
    }

    /// Products that pass the filter, in its order, beginning behind `after` (the sorted value and the id).
    pub(crate) async fn products(
        &self,
        filter: &ProductFilter,
        archived_too: bool,
        after: Option<&(Option<String>, i64)>,
        limit: i64,
    ) -> Result<Vec<Product>> {
        let mut query = Conditions::default();
        let ProductFilter { search, category, price_min, price_max, archived: _, sort } = filter;
        if !archived_too {
            query.fixed("q.archived_at is null");
        }
        for word in search.iter().flat_map(|s| s.as_str().split_whitespace()) {
            query.and("q.search_text like ? escape '!'", Arg::Text(format!("%{}%", escaped(&folded(word)))));
        }
        if let Some(category) = category {
            query.and("q.category = ?", Arg::Text(category.as_str().to_owned()));
        }
        if let Some(least) = price_min {
            query.and("q.price_amount >= ?", Arg::Int(*least));
        }
        if let Some(most) = price_max {
            query.and("q.price_amount <= ?", Arg::Int(*most));
        }
        let (column, descends) = match sort {
            ProductSort::Oldest => (None, false),
            ProductSort::Newest => (None, true),
            ProductSort::Cheapest => (Some("q.price_amount"), false),
            ProductSort::Dearest => (Some("q.price_amount"), true),
            ProductSort::Name => (Some("q.name"), false),
        };
        let order = query.behind(column, "q.id", descends, after);
        let rows: Vec<Row> = query.fetch(self, &format!("select {COLUMNS} from products q"), &order, limit).await?;
        rows.into_iter().map(Product::try_from).collect()
    }
}

/// Adds a product; [`Error::is_taken`] when the unit is.
pub(crate) async fn insert(tx: &mut Tx, new: &NewProduct, now: i64) -> Result<Product> {
    let NewProduct { sku, name, description, category, price, stock, url, image, attributes } = new.clone();
    let (price, stock) = (Money::from(price), i64::from(stock));
    let id = insert_id!(
        tx,
        "insert into products (sku, name, description, category, price_amount, price_currency, stock, url, image, \
         attributes, search_text, version, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $13)",
        sku.as_str(),
        name.as_str(),
        description.as_str(),
        category.as_str(),
        price.amount,
        price.currency.code(),
        stock,
        url.as_ref().map(WebAddress::as_str),
        image.as_ref().map(WebAddress::as_str),
        json(&attributes),
        search_text([name.as_str(), sku.as_str(), description.as_str()]),
        now,
        now,
    );
    Ok(Product {
        id,
        sku,
        name,
        description,
        category,
        price,
        stock,
        url,
        image,
        attributes,
        version: 1,
        archived_at: None,
        created_at: now,
        updated_at: now,
    })
}

/// One product, locked until the transaction ends.
pub(crate) async fn lock_one(tx: &mut Tx, id: i64) -> Result<Option<Product>> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!("select {COLUMNS} from products q where q.id = $1 {}", dialect.lock()));
    let row: Option<Row> = with_tx!(tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)?;
    row.map(Product::try_from).transpose()
}

/// Writes a locked product; [`Error::is_taken`] when the unit is.
pub(crate) async fn write(tx: &mut Tx, product: Product, new: NewProduct, now: i64) -> Result<Product> {
    let NewProduct { sku, name, description, category, price, stock, url, image, attributes } = new;
    let (price, stock, version) = (Money::from(price), i64::from(stock), product.version + 1);
    let sql = tx.dialect().sql(
        "update products set sku = $1, name = $2, description = $3, category = $4, price_amount = $5, \
         price_currency = $6, stock = $7, url = $8, image = $9, attributes = $10, search_text = $11, version = $12, \
         updated_at = $13 where id = $14",
    );
    with_tx!(tx, |c| sqlx::query(sql)
        .bind(sku.as_str())
        .bind(name.as_str())
        .bind(description.as_str())
        .bind(category.as_str())
        .bind(price.amount)
        .bind(price.currency.code())
        .bind(stock)
        .bind(url.as_ref().map(WebAddress::as_str))
        .bind(image.as_ref().map(WebAddress::as_str))
        .bind(json(&attributes))
        .bind(search_text([name.as_str(), sku.as_str(), description.as_str()]))
        .bind(version)
        .bind(now)
        .bind(product.id)
        .execute(c)
        .await
        .map(drop))?;
    if product.stock == 0 && stock > 0 {
        stock_alerts::note_restocked(tx, [product.id]).await?;
    }
    Ok(Product {
        sku,
        name,
        description,
        category,
        price,
        stock,
        url,
        image,
        attributes,
        version,
        updated_at: now,
        ..product
    })
}

/// In which of its texts a product is found; no word that is searched for goes over the end of one.
pub(super) fn search_text(texts: [&str; 3]) -> String {
    folded(&texts.join("\n"))
}

/// Takes a locked product out of the shop.
pub(crate) async fn archive(tx: &mut Tx, id: i64, now: i64) -> Result<()> {
    let sql = "update products set archived_at = $1, updated_at = $2, version = version + 1 where id = $3";
    let sql = tx.dialect().sql(sql);
    with_tx!(tx, |c| sqlx::query(sql).bind(now).bind(now).bind(id).execute(c).await.map(drop))?;
    Ok(())
}

/// Those of the products that are there, archived ones too, by any reader.
fn by_id(dialect: Dialect) -> sqlx::AssertSqlSafe<String> {
    dialect.sql(&format!(
        "select {COLUMNS} from {} {} products q where q.id = x.product",
        dialect.rows(1, &[Int("product")]),
        dialect.join(),
    ))
}

fn ids(products: impl IntoIterator<Item = i64>) -> String {
    json(&products.into_iter().map(|id| serde_json::json!({ "product": id })).collect::<Vec<_>>())
}

/// Those of the products that can be ordered, as the transaction sees them.
pub(crate) async fn on_sale(tx: &mut Tx, products: impl IntoIterator<Item = i64>) -> Result<Vec<Product>> {
    let (sql, ids) = (by_id(tx.dialect()), ids(products));
    let rows: Vec<Row> = with_tx!(tx, |connection| sqlx::query_as(sql).bind(ids).fetch_all(connection).await)?;
    // Not in the statement: without statistics a planner takes "is null" for so rare that it reads the whole table.
    rows.into_iter().filter(|row| row.archived_at.is_none()).map(Product::try_from).collect()
}

/// Moves so many pieces of each product: out of stock (negative) or back (positive). [`Error::OutOfStock`], and the
/// transaction is good for nothing, when one has not so many left. Late in a transaction: others that want the same product wait for
/// its commit.
pub(super) async fn move_stock(tx: &mut Tx, moves: &[(i64, i64)]) -> Result<()> {
    let dialect = tx.dialect();
    // By id, so that orders hardly ever wait for each other in a circle. Where they do, the database picks one that is
    // tried again.
    let mut by_product = BTreeMap::new();
    for (product, pieces) in moves {
        *by_product.entry(product).or_insert(0) += pieces;
    }
    let row = |(product, pieces)| serde_json::json!({ "product": product, "pieces": pieces });
    let rows = json(&by_product.iter().map(row).collect::<Vec<_>>());
    let columns = [Int("product"), Int("pieces")];
    let matching = "q.id = x.product and q.stock + x.pieces >= 0";
    let sql = dialect.update("products", &columns, "stock = q.stock + x.pieces, version = q.version + 1", matching);
    let done = with_tx!(tx, |c| sqlx::query(sql).bind(&rows).execute(c).await.map(|done| done.rows_affected()))?;
    if done != by_product.len() as u64 {
        return Err(Error::OutOfStock);
    }
    let back = by_product.iter().filter(|(_, pieces)| **pieces > 0).map(|(product, _)| **product);
    let back: Vec<i64> = back.collect();
    if back.is_empty() { Ok(()) } else { stock_alerts::note_restocked(tx, back).await }
}
