//! Orders and their lines. Every change is written together with its notification.

use super::conditions::{Arg, Conditions};
use super::dialect::Column::{Int, Text};
use super::tx::insert_id;
use super::users::{self, json};
use super::{Error, Result, Store, Tx, notifications, products, with_pool, with_tx};
use crate::money::{Currency, Money};
use crate::shop::order::{Item, NewOrder, Order, OrderFilter, OrderLine, OrderSort, Status, Totals, Tracking};
use crate::shop::product::Product;
use crate::shop::text::WebAddress;
use crate::shop::user::User;

const COLUMNS: &str = "id, user_id, version, status, currency, subtotal, discount, tax, shipping, total, \
    payment_method, ship_to, bill_to, tracking, attributes, placed_at, updated_at";
const LINE_COLUMNS: &str =
    "q.order_id, q.product_id, q.sku, q.name, q.quantity, q.unit_price, q.total, q.url, q.image, q.attributes";

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    user_id: i64,
    version: i64,
    status: String,
    currency: String,
    subtotal: i64,
    discount: i64,
    tax: i64,
    shipping: i64,
    total: i64,
    payment_method: String,
    ship_to: Option<String>,
    bill_to: Option<String>,
    tracking: String,
    attributes: String,
    placed_at: i64,
    updated_at: i64,
}

#[derive(sqlx::FromRow)]
struct LineRow {
    order_id: i64,
    product_id: i64,
    sku: String,
    name: String,
    quantity: i64,
    unit_price: i64,
    total: i64,
    url: Option<String>,
    image: Option<String>,
    attributes: String,
}

impl Row {
    fn with_lines(self, lines: &mut std::iter::Peekable<std::vec::IntoIter<LineRow>>) -> Result<Order> {
        let id = self.id;
        let corrupt = |why: String| Error::Corrupt { what: "order", id, why };
        let unreadable = |e: serde_json::Error| corrupt(e.to_string());
        let currency = Currency::try_from(self.currency).map_err(corrupt)?;
        let money = |amount| Money::new(amount, currency);
        let mut own = Vec::new();
        while let Some(line) = lines.next_if(|l| l.order_id == id) {
            own.push(OrderLine {
                product_id: line.product_id,
                sku: line.sku.try_into().map_err(corrupt)?,
                name: line.name.try_into().map_err(corrupt)?,
                quantity: u32::try_from(line.quantity).map_err(|e| corrupt(e.to_string()))?,
                unit_price: money(line.unit_price),
                total: money(line.total),
                url: line.url.map(WebAddress::try_from).transpose().map_err(corrupt)?,
                image: line.image.map(WebAddress::try_from).transpose().map_err(corrupt)?,
                attributes: serde_json::from_str(&line.attributes).map_err(unreadable)?,
            });
        }
        Ok(Order {
            id,
            user_id: self.user_id,
            version: self.version,
            status: self.status.try_into().map_err(corrupt)?,
            lines: own,
            subtotal: money(self.subtotal),
            discount: money(self.discount),
            tax: money(self.tax),
            shipping: money(self.shipping),
            total: money(self.total),
            payment_method: self.payment_method.try_into().map_err(corrupt)?,
            ship_to: self.ship_to.map(|a| serde_json::from_str(&a)).transpose().map_err(unreadable)?,
            bill_to: self.bill_to.map(|a| serde_json::from_str(&a)).transpose().map_err(unreadable)?,
            tracking: serde_json::from_str(&self.tracking).map_err(unreadable)?,
            attributes: serde_json::from_str(&self.attributes).map_err(unreadable)?,
            placed_at: self.placed_at,
            updated_at: self.updated_at,
        })
    }
}

impl Store {
    /// One order.
    pub(crate) async fn order(&self, id: i64) -> Result<Option<Order>> {
        let sql = self.dialect().sql(&format!("select {COLUMNS} from orders where id = $1"));
        let rows: Vec<Row> = with_pool!(self, |pool| sqlx::query_as(sql).bind(id).fetch_all(pool).await)?;
        Ok(self.with_lines(rows).await?.pop())
    }

    /// Orders that pass the filter, of one user or of all, by id from `before` down or from `after` up.
    pub(crate) async fn orders(
        &self,
        user_id: Option<i64>,
        filter: &OrderFilter,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Order>> {
        let mut query = Conditions::default();
        let OrderFilter { user_id: _, status, created_after, created_before, sort } = filter;
        if let Some(user_id) = user_id {
            query.and("user_id = ?", Arg::Int(user_id));
        }
        if let Some(status) = status {
            query.and("status = ?", Arg::Text(status.as_str().to_owned()));
        }
        if let Some(at) = created_after {
            query.and("placed_at > ?", Arg::Int(*at));
        }
        if let Some(at) = created_before {
            query.and("placed_at < ?", Arg::Int(*at));
        }
        let after = after.map(|id| (None, id));
        let order = query.behind(None, "id", *sort == OrderSort::Newest, after.as_ref());
        let rows = query.fetch(self, &format!("select {COLUMNS} from orders"), &order, limit).await?;
        self.with_lines(rows).await
    }

    async fn with_lines(&self, rows: Vec<Row>) -> Result<Vec<Order>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let sql = lines_sql(self.dialect(), rows.first().is_some_and(|f| rows.last().is_some_and(|l| f.id > l.id)));
        let ids = order_ids(&rows);
        let lines: Vec<LineRow> = with_pool!(self, |pool| sqlx::query_as(sql).bind(ids).fetch_all(pool).await)?;
        let mut lines = lines.into_iter().peekable();
        rows.into_iter().map(|row| row.with_lines(&mut lines)).collect()
    }
}

/// Who orders, and what. None: there is no such user.
pub(crate) async fn prepare(tx: &mut Tx, user_id: i64, items: &[Item]) -> Result<Option<(User, Vec<Product>)>> {
    let Some(user) = users::user(tx, user_id).await? else { return Ok(None) };
    Ok(Some((user, products::of_order(tx, items).await?)))
}

/// Takes an order's pieces out of stock; false when there are not so many. The last step before the commit: a product
/// that many want is locked no longer than that.
pub(crate) async fn take_stock(tx: &mut Tx, order: &Order) -> Result<bool> {
    let moves: Vec<_> = order.lines.iter().map(|l| (l.product_id, -i64::from(l.quantity))).collect();
    products::move_stock(tx, &moves).await
}

/// Writes the order and its lines.
pub(crate) async fn insert(
    tx: &mut Tx,
    user_id: i64,
    new: NewOrder,
    lines: Vec<OrderLine>,
    totals: Totals,
    now: i64,
) -> Result<Order> {
    let Totals { subtotal, discount, tax, shipping, total } = totals;
    let NewOrder { items: _, payment_method, ship_to, bill_to, attributes } = new;
    let id = insert_id!(
        tx,
        "insert into orders (user_id, version, status, currency, subtotal, discount, tax, shipping, total, \
         payment_method, ship_to, bill_to, tracking, attributes, placed_at, updated_at) \
         values ($1, 1, 'pending', $2, $3, $4, $5, $6, $7, $8, $9, $10, '[]', $11, $12, $13)",
        user_id,
        total.currency.code(),
        subtotal.amount,
        discount.amount,
        tax.amount,
        shipping.amount,
        total.amount,
        payment_method.as_str(),
        ship_to.as_ref().map(json),
        bill_to.as_ref().map(json),
        json(&attributes),
        now,
        now,
    );
    insert_lines(tx, id, &lines).await?;
    Ok(Order {
        id,
        user_id,
        version: 1,
        status: Status::Pending,
        lines,
        subtotal,
        discount,
        tax,
        shipping,
        total,
        payment_method,
        ship_to,
        bill_to,
        tracking: Vec::new(),
        attributes,
        placed_at: now,
        updated_at: now,
    })
}

async fn insert_lines(tx: &mut Tx, order_id: i64, lines: &[OrderLine]) -> Result<()> {
    let dialect = tx.dialect();
    let columns = [
        Int("line"),
        Int("product"),
        Text("sku"),
        Text("name"),
        Int("quantity"),
        Int("unit_price"),
        Int("total"),
        Text("url"),
        Text("image"),
        Text("attributes"),
    ];
    let sql = dialect.sql(&format!(
        "insert into order_items (order_id, line, product_id, sku, name, quantity, unit_price, total, url, image, \
         attributes) select $1, x.line, x.product, x.sku, x.name, x.quantity, x.unit_price, x.total, x.url, \
         x.image, x.attributes from {}",
        dialect.rows(2, &columns)
    ));
    let rows: Vec<_> = lines
        .iter()
        .enumerate()
        .map(|(line, l)| {
            serde_json::json!({
                "line": line, "product": l.product_id, "sku": l.sku, "name": l.name, "quantity": l.quantity,
                "unit_price": l.unit_price.amount, "total": l.total.amount, "url": l.url, "image": l.image,
                "attributes": json(&l.attributes),
            })
        })
        .collect();
    with_tx!(tx, |connection| sqlx::query(sql).bind(order_id).bind(json(&rows)).execute(connection).await.map(drop))?;
    Ok(())
}

/// The order, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: i64) -> Result<Option<Order>> {
    let dialect = tx.dialect();
    let sql = dialect.sql(&format!("select {COLUMNS} from orders q where id = $1 {}", dialect.lock()));
    let rows: Vec<Row> = with_tx!(tx, |connection| sqlx::query_as(sql).bind(id).fetch_all(connection).await)?;
    if rows.is_empty() {
        return Ok(None);
    }
    let (sql, ids) = (lines_sql(dialect, false), order_ids(&rows));
    let lines: Vec<LineRow> = with_tx!(tx, |connection| sqlx::query_as(sql).bind(ids).fetch_all(connection).await)?;
    let mut lines = lines.into_iter().peekable();
    rows.into_iter().next().map(|row| row.with_lines(&mut lines)).transpose()
}

/// Writes the status, the parcels and the next version of a locked order; a cancelled order's pieces return.
pub(crate) async fn advance(
    tx: &mut Tx,
    mut order: Order,
    status: Status,
    tracking: Vec<Tracking>,
    now: i64,
) -> Result<Order> {
    if status == Status::Cancelled {
        let moves: Vec<_> = order.lines.iter().map(|l| (l.product_id, i64::from(l.quantity))).collect();
        products::move_stock(tx, &moves).await?;
    }
    order.status = status;
    order.tracking.extend(tracking);
    order.version += 1;
    order.updated_at = now;
    let sql =
        tx.dialect().sql("update orders set status = $1, tracking = $2, version = $3, updated_at = $4 where id = $5");
    with_tx!(tx, |connection| sqlx::query(sql)
        .bind(status.as_str())
        .bind(json(&order.tracking))
        .bind(order.version)
        .bind(now)
        .bind(order.id)
        .execute(connection)
        .await
        .map(drop))?;
    Ok(order)
}

/// Records the notification of a change in the change's own transaction.
pub(crate) async fn notify(
    tx: &mut Tx,
    payload: &crate::notification::Payload,
    message_id: &str,
    offset_ms: i64,
) -> Result<i64> {
    notifications::enqueue(tx, payload, message_id, offset_ms).await
}

/// The user of a locked order, as the transaction sees it; none: they have left.
pub(crate) async fn customer(tx: &mut Tx, order: &Order) -> Result<Option<User>> {
    users::user(tx, order.user_id).await
}

fn lines_sql(dialect: super::Dialect, newest_first: bool) -> sqlx::AssertSqlSafe<String> {
    dialect.sql(&format!(
        "select {LINE_COLUMNS} from {} {} order_items q where q.order_id = x.parent order by q.order_id {}, q.line",
        dialect.rows(1, &[Int("parent")]),
        dialect.join(),
        if newest_first { "desc" } else { "asc" },
    ))
}

fn order_ids(rows: &[Row]) -> String {
    json(&rows.iter().map(|r| serde_json::json!({ "parent": r.id })).collect::<Vec<_>>())
}
