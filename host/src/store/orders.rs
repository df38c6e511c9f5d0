//! Orders and their lines. Every change is written together with its notification.

mod parts;

pub(crate) use parts::redact;
use parts::{Parts, Said, kept_or, parcels, some};

use super::conditions::{Arg, Conditions};
use super::dialect::Column::{Int, Text};
use super::insert::Insert;
use super::notifications::NewEvent;
use super::users::{self, json};
use super::{Error, Result, Store, Tx, discounts, notifications, products, with_pool, with_tx};
use crate::money::{Currency, Money};
use crate::shop::kept;
use crate::shop::order::{Changed, NewOrder, Order, OrderFilter, OrderLine, OrderSort, Payment, Status, Totals};
use crate::shop::product::Product;
use crate::shop::text::{Line, Note, WebAddress};
use crate::shop::user::User;

const COLUMNS: &str = "id, user_id, version, status, currency, subtotal, discount, discounts, tax, taxes, prices_include_tax, \
    shipping, total, payment_method, payment_due, payment, ship_to, bill_to, tracking, parts, refunds, invoice, note, \
    gift_message, cancel_reason, attributes, placed_at, updated_at";
const LINE_COLUMNS: &str = "q.order_id, q.product_id, q.sku, q.name, q.quantity, q.unit_price, q.discount, q.total, q.url, q.image, q.attributes";

#[derive(sqlx_macros::FromRow)]
struct Row {
    id: i64,
    user_id: i64,
    version: i64,
    status: String,
    currency: String,
    subtotal: i64,
    discount: i64,
    discounts: Option<String>,
    tax: i64,
    taxes: Option<String>,
    prices_include_tax: i64,
    shipping: i64,
    total: i64,
    payment_method: String,
    payment_due: Option<i64>,
    payment: Option<String>,
    ship_to: Option<String>,
    bill_to: Option<String>,
    tracking: String,
    parts: Option<String>,
    refunds: Option<String>,
    invoice: Option<String>,
    note: Option<String>,
    gift_message: Option<String>,
    cancel_reason: Option<String>,
    attributes: String,
    placed_at: i64,
    updated_at: i64,
}

#[derive(sqlx_macros::FromRow)]
struct LineRow {
    order_id: i64,
    product_id: i64,
    sku: String,
    name: String,
    quantity: i64,
    unit_price: i64,
    discount: i64,
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
            let quantity = u32::try_from(line.quantity).map_err(|e| corrupt(e.to_string()))?;
            own.push(OrderLine {
                product_id: line.product_id,
                sku: line.sku.try_into().map_err(corrupt)?,
                name: line.name.try_into().map_err(corrupt)?,
                quantity,
                shipped_quantity: 0,
                refunded_quantity: 0,
                open_quantity: quantity,
                unit_price: money(line.unit_price),
                discount: (line.discount > 0).then(|| money(line.discount)),
                total: money(line.total),
                url: line.url.and_then(kept::web_address),
                image: line.image.and_then(kept::web_address),
                attributes: serde_json::from_str(&line.attributes).map_err(unreadable)?,
            });
        }
        let Said { failure, link } = kept_or(self.payment.as_deref()).map_err(unreadable)?;
        let mut order = Order {
            id,
            user_id: self.user_id,
            version: self.version,
            status: self.status.try_into().map_err(corrupt)?,
            lines: own,
            subtotal: money(self.subtotal),
            discount: money(self.discount),
            discounts: kept_or(self.discounts.as_deref()).map_err(unreadable)?,
            tax: money(self.tax),
            taxes: kept_or(self.taxes.as_deref()).map_err(unreadable)?,
            prices_include_tax: self.prices_include_tax != 0,
            shipping: money(self.shipping),
            total: money(self.total),
            payment_method: self.payment_method.try_into().map_err(corrupt)?,
            payment: Payment { due: self.payment_due.map(money), failure, link },
            ship_to: self.ship_to.map(|a| serde_json::from_str(&a)).transpose().map_err(unreadable)?,
            bill_to: self.bill_to.map(|a| serde_json::from_str(&a)).transpose().map_err(unreadable)?,
            tracking: kept::read(&self.tracking).map_err(unreadable)?,
            refunds: kept_or(self.refunds.as_deref()).map_err(unreadable)?,
            invoice: kept_or(self.invoice.as_deref()).map_err(unreadable)?,
            note: self.note.map(TryInto::try_into).transpose().map_err(corrupt)?,
            gift_message: self.gift_message.map(TryInto::try_into).transpose().map_err(corrupt)?,
            cancel_reason: self.cancel_reason.map(TryInto::try_into).transpose().map_err(corrupt)?,
            attributes: serde_json::from_str(&self.attributes).map_err(unreadable)?,
            placed_at: self.placed_at,
            updated_at: self.updated_at,
        };
        kept_or::<Parts>(self.parts.as_deref()).map_err(unreadable)?.put_into(&mut order);
        Ok(order)
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

/// Those of the users who are there, who stay as they are until the transaction ends.
pub(crate) async fn customers(tx: &mut Tx, ids: impl IntoIterator<Item = i64>) -> Result<Vec<User>> {
    users::users(tx, ids).await
}

/// Those of the products that can be ordered.
pub(crate) async fn products(tx: &mut Tx, ids: impl IntoIterator<Item = i64>) -> Result<Vec<Product>> {
    products::on_sale(tx, ids).await
}

/// Takes the orders' pieces out of stock; [`Error::OutOfStock`] when there are not so many. The last step before the
/// commit: a product that many want is locked no longer than that.
pub(crate) async fn take_stock(tx: &mut Tx, orders: &[Order]) -> Result<()> {
    let lines = orders.iter().flat_map(|o| &o.lines);
    let moves: Vec<_> = lines.map(|l| (l.product_id, -i64::from(l.quantity))).collect();
    products::move_stock(tx, &moves).await
}

/// An order to be written.
pub(crate) struct NewRow {
    pub(crate) user_id: i64,
    pub(crate) new: NewOrder,
    pub(crate) lines: Vec<OrderLine>,
    pub(crate) totals: Totals,
    /// Which discounts it was given.
    pub(crate) discounts: Vec<i64>,
}

/// Writes orders and their lines.
pub(crate) async fn insert(tx: &mut Tx, rows: Vec<NewRow>, now: i64) -> Result<Vec<Order>> {
    let given: Vec<Vec<i64>> = rows.iter().map(|row| row.discounts.clone()).collect();
    let orders: Vec<Order> = rows.into_iter().map(|row| row.placed(now)).collect();
    let columns = [
        Int("user_id"),
        Int("version"),
        Text("status"),
        Text("currency"),
        Int("subtotal"),
        Int("discount"),
        Text("discounts"),
        Int("tax"),
        Text("taxes"),
        Int("prices_include_tax"),
        Int("shipping"),
        Int("total"),
        Text("payment_method"),
        Text("ship_to"),
        Text("bill_to"),
        Text("tracking"),
        Text("gift_message"),
        Text("attributes"),
        Int("placed_at"),
        Int("updated_at"),
    ];
    let row = |o: &Order| {
        serde_json::json!({
            "user_id": o.user_id, "version": o.version, "status": o.status.as_str(),
            "currency": o.total.currency.code(), "subtotal": o.subtotal.amount, "discount": o.discount.amount,
            "discounts": some(&o.discounts),
            "tax": o.tax.amount, "taxes": some(&o.taxes), "prices_include_tax": i64::from(o.prices_include_tax),
            "shipping": o.shipping.amount, "total": o.total.amount,
            "payment_method": o.payment_method.as_str(), "ship_to": o.ship_to.as_ref().map(json),
            "bill_to": o.bill_to.as_ref().map(json), "tracking": parcels(&o.tracking),
            "gift_message": o.gift_message.as_ref().map(Note::as_str),
            "attributes": json(&o.attributes), "placed_at": o.placed_at, "updated_at": o.updated_at,
        })
    };
    let insert = Insert { table: "orders", columns: &columns, fixed: &[] };
    let ids = insert.ids(tx, &orders.iter().map(row).collect::<Vec<_>>()).await?;
    let orders: Vec<Order> = orders.into_iter().zip(ids).map(|(order, id)| Order { id, ..order }).collect();
    insert_lines(tx, &orders).await?;
    let given = orders.iter().zip(given).flat_map(|(order, given)| given.into_iter().map(move |id| (order, id)));
    discounts::give(tx, given.map(|(order, id)| (order.id, id, order.user_id))).await?;
    Ok(orders)
}

impl NewRow {
    /// The order as it stands once it is placed, but for its id.
    fn placed(self, now: i64) -> Order {
        let Totals { subtotal, discount, discounts, tax, taxes, prices_include_tax, shipping, total } = self.totals;
        let NewOrder { items: _, payment_method, ship_to, bill_to, gift_message, discount_codes: _, attributes } =
            self.new;
        Order {
            id: 0,
            user_id: self.user_id,
            version: 1,
            status: Status::Pending,
            lines: self.lines,
            subtotal,
            discount,
            discounts,
            tax,
            taxes,
            prices_include_tax,
            shipping,
            total,
            payment_method,
            payment: Payment::default(),
            ship_to,
            bill_to,
            tracking: Vec::new(),
            refunds: Vec::new(),
            invoice: None,
            note: None,
            gift_message,
            cancel_reason: None,
            attributes,
            placed_at: now,
            updated_at: now,
        }
    }
}

async fn insert_lines(tx: &mut Tx, orders: &[Order]) -> Result<()> {
    let columns = [
        Int("order_id"),
        Int("line"),
        Int("product_id"),
        Text("sku"),
        Text("name"),
        Int("quantity"),
        Int("unit_price"),
        Int("discount"),
        Int("total"),
        Text("url"),
        Text("image"),
        Text("attributes"),
    ];
    let lines = orders.iter().flat_map(|order| order.lines.iter().enumerate().map(|line| (order.id, line)));
    let row = |(order_id, (line, l)): (i64, (usize, &OrderLine))| {
        serde_json::json!({
            "order_id": order_id, "line": line, "product_id": l.product_id, "sku": l.sku.as_str(),
            "name": l.name.as_str(), "quantity": l.quantity, "unit_price": l.unit_price.amount,
            "discount": l.discount.map_or(0, |discount| discount.amount), "total": l.total.amount, "url": l.url.as_ref().map(WebAddress::as_str),
            "image": l.image.as_ref().map(WebAddress::as_str), "attributes": json(&l.attributes),
        })
    };
    let insert = Insert { table: "order_items", columns: &columns, fixed: &[] };
    insert.rows(tx, &lines.map(row).collect::<Vec<_>>()).await
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

/// Locks an order without reading it.
pub(crate) async fn keep(tx: &mut Tx, id: i64) -> Result<()> {
    let sql = tx.dialect().sql(&format!("select q.id from orders q where q.id = $1 {}", tx.dialect().lock()));
    with_tx!(tx, |c| sqlx::query_scalar::<_, i64>(sql).bind(id).fetch_optional(c).await.map(drop))?;
    Ok(())
}

/// Writes what changes of a locked order; pieces that are in stock again return.
pub(crate) async fn advance(tx: &mut Tx, changed: Changed) -> Result<Order> {
    let Changed { order, kind: _, returned } = changed;
    // Once: nothing is given back of one that was cancelled before.
    if order.status == Status::Cancelled {
        discounts::give_back(tx, order.id).await?;
    }
    if !returned.is_empty() {
        products::move_stock(tx, &returned).await?;
    }
    let Payment { due, failure, link } = order.payment.clone();
    let said = (failure.is_some() || link.is_some()).then(|| json(&Said { failure, link }));
    let sql = tx.dialect().sql(
        "update orders set status = $1, tracking = $2, note = $3, version = $4, updated_at = $5, parts = $6, refunds = $7, \
         payment_due = $8, payment = $9, invoice = $10, cancel_reason = $11 where id = $12",
    );
    with_tx!(tx, |connection| sqlx::query(sql)
        .bind(order.status.as_str())
        .bind(parcels(&order.tracking))
        .bind(order.note.as_ref().map(Note::as_str))
        .bind(order.version)
        .bind(order.updated_at)
        .bind(json(&Parts::of(&order)))
        .bind(some(&order.refunds))
        .bind(due.map(|due| due.amount))
        .bind(said)
        .bind(order.invoice.as_ref().map(json))
        .bind(order.cancel_reason.as_ref().map(Line::as_str))
        .bind(order.id)
        .execute(connection)
        .await
        .map(drop))?;
    Ok(order)
}

/// Gives an invoice number to an order; the order that has it already, if that is another one.
pub(crate) async fn number_invoice(tx: &mut Tx, number: &Line, order_id: i64) -> Result<Option<i64>> {
    let sql = tx.dialect().sql("select order_id from invoice_numbers where number = $1");
    let owner: Option<i64> =
        with_tx!(&mut *tx, |c| sqlx::query_scalar(sql).bind(number.as_str()).fetch_optional(c).await)?;
    if owner.is_none() {
        let sql = tx.dialect().sql("insert into invoice_numbers (number, order_id) values ($1, $2)");
        with_tx!(tx, |c| sqlx::query(sql).bind(number.as_str()).bind(order_id).execute(c).await.map(drop))?;
    }
    Ok(owner.filter(|owner| *owner != order_id))
}

/// Records the notifications of changes in the changes' own transaction.
pub(crate) async fn notify(tx: &mut Tx, events: &[NewEvent], is_heard: bool, offset_ms: i64) -> Result<()> {
    notifications::enqueue(tx, events, is_heard, offset_ms).await.map(drop)
}

/// The user of a locked order, who stays as they are until the transaction ends; none: they have left.
pub(crate) async fn customer(tx: &mut Tx, order: &Order) -> Result<Option<User>> {
    Ok(users::users(tx, [order.user_id]).await?.pop())
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
