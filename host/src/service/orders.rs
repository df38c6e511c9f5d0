use std::sync::Arc;

use futures_util::Stream;

use super::{Error, Once, Page, PageRequest, Principal, Service};
use crate::money::Money;
use crate::notification::Payload;
use crate::shop::order::{Item, NewOrder, Order, OrderFilter, OrderLine, Parcels, Status, StatusChange};
use crate::shop::product::Product;
use crate::store::orders;

const PLACE: &str = "place-order";
const CHANGE: &str = "change-order-status";

impl Service {
    /// Places an order for the caller: prices, stock, sums and the notification in one transaction.
    pub async fn place_order(&self, who: Principal, new: NewOrder, once: Option<&Once>) -> Result<Order, Error> {
        let order = self.once(who, PLACE, once, || self.try_place(who, new.clone(), once)).await?;
        self.changed(order.id);
        Ok(order)
    }

    async fn try_place(&self, who: Principal, new: NewOrder, once: Option<&Once>) -> Result<Order, Error> {
        let mut change = self.begin(who, PLACE, once).await?;
        let (tx, now) = (&mut change.tx, self.clock.now_ms());
        let prepared = orders::prepare(tx, who.user_id, new.items.as_slice()).await?;
        // The token outlived its user.
        let (user, products) = prepared.ok_or(Error::Unauthenticated)?;
        let lines = lines(new.items.as_slice(), products)?;
        let country = new.ship_to.as_ref().map(|address| &address.country);
        let totals = self.pricing.totals(&lines, country).map_err(|e| Error::Conflict(e.to_string()))?;
        let order = orders::insert(tx, who.user_id, new, lines, totals, now).await?;
        let payload = Payload::of_change(&order, None, user.into(), &self.shop);
        orders::notify(tx, &payload, &self.message_id(), self.store.offset_ms()).await?;
        if !orders::take_stock(tx, &order).await? {
            return Err(Error::Conflict("somebody was faster: not all of this is in stock any more".to_owned()));
        }
        change.commit(order).await
    }

    /// One order: the caller's own, or any for admins.
    pub async fn order(&self, who: Principal, id: i64) -> Result<Order, Error> {
        let order = self.store.order(id).await?.filter(|o| who.is_admin || o.user_id == who.user_id);
        order.ok_or(Error::NotFound("order"))
    }

    /// A page of orders: the caller's own, or everybody's for admins.
    pub async fn orders(&self, who: Principal, filter: &OrderFilter, page: &PageRequest) -> Result<Page<Order>, Error> {
        let user_id = if who.is_admin { filter.user_id } else { Some(who.user_id) };
        if !who.is_admin && filter.user_id.is_some_and(|asked| asked != who.user_id) {
            return Err(Error::Forbidden);
        }
        let limit = page.limit()?;
        let items = self.store.orders(user_id, filter, page.after_id()?, limit + 1).await?;
        Ok(Page::cut(items, limit, |o| o.id))
    }

    /// Moves an order on. For admins. The notification is recorded in the same transaction.
    pub async fn change_status(
        &self,
        who: Principal,
        id: i64,
        change: StatusChange,
        expected: Option<i64>,
        once: Option<&Once>,
    ) -> Result<Order, Error> {
        who.must_be_admin()?;
        let order = self.once(who, CHANGE, once, || self.try_change(who, id, change.clone(), expected, once)).await?;
        self.changed(order.id);
        Ok(order)
    }

    /// Cancels an order that is pending: one's own, or any for admins. Its pieces return to the stock.
    pub async fn cancel_order(&self, who: Principal, id: i64, expected: Option<i64>) -> Result<Order, Error> {
        let cancel = || StatusChange { status: Status::Cancelled, tracking: Parcels::default() };
        let order = self.once(who, CHANGE, None, || self.try_change(who, id, cancel(), expected, None)).await?;
        self.changed(order.id);
        Ok(order)
    }

    async fn try_change(
        &self,
        who: Principal,
        id: i64,
        change: StatusChange,
        expected: Option<i64>,
        once: Option<&Once>,
    ) -> Result<Order, Error> {
        let StatusChange { status, tracking } = change;
        let tracking = tracking.into_inner();
        if status != Status::Shipped && !tracking.is_empty() {
            return Err(Error::Conflict("parcels go only with the status \"shipped\"".to_owned()));
        }
        let mut change = self.begin(who, CHANGE, once).await?;
        let tx = &mut change.tx;
        let order = orders::lock(tx, id).await?.filter(|o| who.is_admin || o.user_id == who.user_id);
        let order = order.ok_or(Error::NotFound("order"))?;
        super::must_match(expected, order.version)?;
        let previous = order.status;
        if !previous.allows(status) {
            return Err(Error::Conflict(format!("an order that is {previous} cannot become {status}")));
        }
        // Two changes within a millisecond still have an order.
        let now = self.clock.now_ms().max(order.updated_at);
        let order = orders::advance(tx, order, status, tracking, now).await?;
        if let Some(customer) = orders::customer(tx, &order).await? {
            let payload = Payload::of_change(&order, Some(previous), customer.into(), &self.shop);
            orders::notify(tx, &payload, &self.message_id(), self.store.offset_ms()).await?;
        }
        change.commit(order).await
    }

    /// The order now and after each change, until it cannot change any more or nobody listens.
    pub fn watch_order(
        self: Arc<Self>,
        who: Principal,
        id: i64,
    ) -> impl Stream<Item = Result<Order, Error>> + Send + 'static {
        let state = (self, 0_i64, false);
        futures_util::stream::unfold(state, move |(service, seen, ended)| async move {
            if ended {
                return None;
            }
            loop {
                let changed = service.changes.notified(id);
                match service.order(who, id).await {
                    Ok(order) if order.version > seen => {
                        let ends = matches!(order.status, Status::Delivered | Status::Cancelled);
                        let seen = order.version;
                        return Some((Ok(order), (service, seen, ends)));
                    }
                    Ok(_) => changed.await,
                    Err(e) => return Some((Err(e), (service, seen, true))),
                }
            }
        })
    }

    /// A change is committed: tells the workers and whoever watches the order.
    fn changed(&self, order_id: i64) {
        self.enqueued();
        self.changes.tell(order_id);
    }

    fn message_id(&self) -> String {
        format!("{}@{}", self.clock.uuid(), self.message_id_domain)
    }
}

/// The order's lines out of the products: our prices, and only what is in stock.
fn lines(items: &[Item], products: Vec<Product>) -> Result<Vec<OrderLine>, Error> {
    let mut products = products.into_iter().peekable();
    let mut lines = Vec::with_capacity(items.len());
    for item in items {
        let Some(product) = products.next_if(|p| p.id == item.product_id) else {
            return Err(Error::Conflict(format!("there is no product {}", item.product_id)));
        };
        if product.stock < i64::from(item.quantity) {
            return Err(Error::Conflict(format!(
                "only {} of \"{}\" are in stock",
                product.stock,
                product.sku.as_str()
            )));
        }
        let total = product.price.amount.checked_mul(item.quantity.into());
        let total = total.ok_or_else(|| Error::Conflict("the total is too large".to_owned()))?;
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
