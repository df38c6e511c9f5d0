//! Products and their stock.

use super::dialect::Column::Int;
use super::tx::insert_id;
use super::users::json;
use super::{Error, Result, Store, Tx, with_pool, with_tx};
use crate::money::{Currency, Money};
use crate::shop::order::Item;
use crate::shop::product::{NewProduct, Product};
use crate::shop::text::WebAddress;

const COLUMNS: &str = "q.id, q.sku, q.name, q.description, q.category, q.price_amount, q.price_currency, q.stock, \
    q.url, q.image, q.attributes, q.version, q.created_at, q.updated_at";

#[derive(sqlx::FromRow)]
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
            url: row.url.map(WebAddress::try_from).transpose().map_err(corrupt)?,
            image: row.image.map(WebAddress::try_from).transpose().map_err(corrupt)?,
            attributes: serde_json::from_str(&row.attributes).map_err(|e| corrupt(e.to_string()))?,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl Store {
    /// Adds a product; [`Error::is_taken`] when the unit is.
    pub(crate) async fn insert_product(&self, new: &NewProduct) -> Result<Product> {
        let now = self.clock.now_ms();
        let NewProduct { sku, name, description, category, price, stock, url, image, attributes } = new.clone();
        let (price, stock) = (Money::from(price), i64::from(stock));
        let mut tx = self.begin().await?;
        let id = insert_id!(
            &mut tx,
            "insert into products (sku, name, description, category, price_amount, price_currency, stock, url, image, \
             attributes, version, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12)",
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
            now,
            now,
        );
        tx.commit().await?;
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
            created_at: now,
            updated_at: now,
        })
    }

    /// One product.
    pub(crate) async fn product(&self, id: i64) -> Result<Option<Product>> {
        let sql = self.dialect().sql(&format!("select {COLUMNS} from products q where q.id = $1"));
        let row: Option<Row> = with_pool!(self, |pool| sqlx::query_as(sql).bind(id).fetch_optional(pool).await)?;
        row.map(Product::try_from).transpose()
    }

    /// Products with an id above `after`, by id.
    pub(crate) async fn products_after(&self, after: i64, limit: i64) -> Result<Vec<Product>> {
        let text = format!("select {COLUMNS} from products q where q.id > $1 order by q.id limit $2");
        let sql = self.dialect().sql(&text);
        let rows: Vec<Row> =
            with_pool!(self, |pool| sqlx::query_as(sql).bind(after).bind(limit).fetch_all(pool).await)?;
        rows.into_iter().map(Product::try_from).collect()
    }
}

/// The products of an order, locked until the transaction ends, by id.
pub(super) async fn lock(tx: &mut Tx, items: &[Item]) -> Result<Vec<Product>> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!(
        "select {COLUMNS} from {} {} products q where q.id = x.product order by q.id {}",
        dialect.rows(1, &[Int("product")]),
        dialect.join(),
        dialect.lock(),
    ));
    let rows = json(&items.iter().map(|i| serde_json::json!({ "product": i.product_id })).collect::<Vec<_>>());
    let rows: Vec<Row> = with_tx!(tx, |connection| sqlx::query_as(sql).bind(rows).fetch_all(connection).await)?;
    rows.into_iter().map(Product::try_from).collect()
}

/// Moves so many pieces of each product, which must be locked: out of stock (negative) or back (positive).
pub(super) async fn move_stock(tx: &mut Tx, moves: &[(i64, i64)]) -> Result<()> {
    let sql = tx.dialect().update(
        "products",
        &[Int("product"), Int("pieces")],
        "stock = q.stock + x.pieces",
        "q.id = x.product",
    );
    let rows: Vec<_> =
        moves.iter().map(|(product, pieces)| serde_json::json!({ "product": product, "pieces": pieces })).collect();
    with_tx!(tx, |connection| sqlx::query(sql).bind(json(&rows)).execute(connection).await.map(drop))?;
    Ok(())
}
