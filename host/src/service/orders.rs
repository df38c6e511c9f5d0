use super::{Error, Page, PageRequest, Principal, Service};
use crate::money::Money;
use crate::notification::Payload;
use crate::shop::order::{Item, NewOrder, Order, OrderLine, Status, StatusChange};
use crate::shop::product::Product;
use crate::store::orders;

/// How often a transaction that lost a deadlock is tried again.
const TRIES_MAX: usize = 5;

impl Service {
    /// Places an order for the caller: prices, stock, sums and the notification in one transaction.
    pub async fn place_order(&self, who: Principal, new: NewOrder) -> Result<Order, Error> {
        let mut tries = 1;
        let order = loop {
            match self.try_place(who, new.clone()).await {
                Err(Error::Internal(e)) if e.is_transient() && tries < TRIES_MAX => tries += 1,
                done => break done?,
            }
        };
        self.enqueued();
        Ok(order)
    }

    async fn try_place(&self, who: Principal, new: NewOrder) -> Result<Order, Error> {
        let now = self.clock.now_ms();
        let mut tx = self.store.begin().await?;
        let prepared = orders::prepare(&mut tx, who.user_id, new.items.as_slice()).await?;
        // The token outlived its user.
        let (user, products) = prepared.ok_or(Error::Unauthenticated)?;
        let lines = lines(new.items.as_slice(), products)?;
        let totals = self.pricing.totals(&lines).map_err(|e| Error::invalid("/items", &e.to_string()))?;
        let order = orders::insert(&mut tx, who.user_id, new, lines, totals, now).await?;
        let payload = Payload::of_change(&order, None, user.into(), &self.shop);
        orders::notify(&mut tx, &payload, &self.message_id(), self.store.offset_ms()).await?;
        tx.commit().await?;
        Ok(order)
    }

    /// One order: the caller's own, or any for admins.
    pub async fn order(&self, who: Principal, id: i64) -> Result<Order, Error> {
        let order = self.store.order(id).await?.filter(|o| who.is_admin || o.user_id == who.user_id);
        order.ok_or(Error::NotFound("order"))
    }

    /// A page of the caller's orders, newest first.
    pub async fn orders(&self, who: Principal, page: &PageRequest) -> Result<Page<Order>, Error> {
        let limit = page.limit()?;
        let items = self.store.orders_of(who.user_id, page.after(i64::MAX)?, limit + 1).await?;
        Ok(Page::cut(items, limit, |o| o.id))
    }

    /// Moves an order on. For admins. The notification is recorded in the same transaction.
    pub async fn change_status(&self, who: Principal, id: i64, change: StatusChange) -> Result<Order, Error> {
        who.must_be_admin()?;
        let mut tries = 1;
        let order = loop {
            match self.try_change(id, change.clone()).await {
                Err(Error::Internal(e)) if e.is_transient() && tries < TRIES_MAX => tries += 1,
                done => break done?,
            }
        };
        self.enqueued();
        Ok(order)
    }

    async fn try_change(&self, id: i64, change: StatusChange) -> Result<Order, Error> {
        let StatusChange { status, tracking } = change;
        let tracking = tracking.into_inner();
        if status != Status::Shipped && !tracking.is_empty() {
            return Err(Error::invalid("/tracking", "goes only with the status \"shipped\""));
        }
        let mut tx = self.store.begin().await?;
        let order = orders::lock(&mut tx, id).await?.ok_or(Error::NotFound("order"))?;
        let previous = order.status;
        if !previous.allows(status) {
            return Err(Error::Conflict(format!("an order that is {previous} cannot become {status}")));
        }
        // Two changes within a millisecond still have an order.
        let now = self.clock.now_ms().max(order.updated_at);
        let order = orders::advance(&mut tx, order, status, tracking, now).await?;
        let customer = orders::customer(&mut tx, &order).await?;
        let payload = Payload::of_change(&order, Some(previous), customer.into(), &self.shop);
        orders::notify(&mut tx, &payload, &self.message_id(), self.store.offset_ms()).await?;
        tx.commit().await?;
        Ok(order)
    }

    fn message_id(&self) -> String {
        format!("{}@{}", self.clock.uuid(), self.message_id_domain)
    }
}

/// The order's lines out of locked products: our prices, and only what is in stock.
fn lines(items: &[Item], products: Vec<Product>) -> Result<Vec<OrderLine>, Error> {
    let mut products = products.into_iter().peekable();
    let mut lines = Vec::with_capacity(items.len());
    for item in items {
        let Some(product) = products.next_if(|p| p.id == item.product_id) else {
            let detail = format!("there is no product {}", item.product_id);
            return Err(Error::invalid("/items", &detail));
        };
        if product.stock < i64::from(item.quantity) {
            return Err(Error::Conflict(format!(
                "only {} of \"{}\" are in stock",
                product.stock,
                product.sku.as_str()
            )));
        }
        let total = product.price.amount.checked_mul(item.quantity.into());
        let total = total.ok_or_else(|| Error::invalid("/items", "the total is too large"))?;
        lines.push(OrderLine {
            product_id: product.id,
            sku: product.sku,
            name: product.name,
            quantity: item.quantity,
            unit_price: product.price,
            total: Money::new(total, product.price.currency),
            url: product.url,
            image: product.image,
            attributes: product.attributes,
        });
    }
    Ok(lines)
}
