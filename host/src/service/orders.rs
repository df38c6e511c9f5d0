use std::sync::Arc;

use futures_util::Stream;

use super::notifications::by;
use super::plugins::name;
use super::users::nobody;
use super::{Error, Once, Page, PageRequest, Principal, Service};
use crate::notification::{Customer, Lane, Payload};
use crate::shop::order::{Change, Changed, Kind, Order, OrderFilter, Status, StatusChange};
use crate::shop::text::Line;
use crate::store::notifications::NewEvent;
use crate::store::{Tx, orders};
use crate::trace;

impl Service {
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

    /// Changes an order. For admins. The notification is recorded in the same transaction.
    pub async fn change_order(
        &self,
        who: Principal,
        id: i64,
        change: Change,
        expected: Option<i64>,
        once: Option<&Once>,
    ) -> Result<Order, Error> {
        who.must_be_admin()?;
        self.make(who, id, change, expected, once).await
    }

    /// Cancels an order that is pending: one's own, or any for admins. Its pieces return to the stock.
    pub async fn cancel_order(&self, who: Principal, id: i64, expected: Option<i64>) -> Result<Order, Error> {
        self.make(who, id, Change::Status(StatusChange::to(Status::Cancelled)), expected, None).await
    }

    async fn make(
        &self,
        who: Principal,
        id: i64,
        change: Change,
        expected: Option<i64>,
        once: Option<&Once>,
    ) -> Result<Order, Error> {
        let may_restock = match &change {
            Change::Status(change) => change.status == Status::Cancelled,
            Change::Refund(_) => true,
            Change::Payment(_) | Change::Invoice(_) | Change::Note(_) => false,
        };
        let make = || self.try_change(who, id, change.clone(), expected, once);
        let order = self.once(who, name_of(&change), once, make).await?;
        self.changed(order.id);
        if may_restock {
            self.restocked.notify_one();
        }
        Ok(order)
    }

    async fn try_change(
        &self,
        who: Principal,
        id: i64,
        change: Change,
        expected: Option<i64>,
        once: Option<&Once>,
    ) -> Result<Order, Error> {
        let mut span = trace::enqueue();
        let mut work = self.begin(who, name_of(&change), once).await?;
        let tx = &mut work.tx;
        let order = orders::lock(tx, id).await?.filter(|o| who.is_admin || o.user_id == who.user_id);
        let order = order.ok_or(Error::NotFound("order"))?;
        super::must_match(expected, order.version)?;
        let previous = order.status;
        let silent = change.silent_reason().map(|why| silent(who, why));
        let bill = if let Change::Invoice(bill) = &change { Some(bill.number.clone()) } else { None };
        let changed = order.clone().change(change, self.clock.now_ms());
        let Some(changed) = changed.map_err(|e| Error::Conflict(e.to_string()))? else {
            return work.commit(order).await;
        };
        let Changed { kind, .. } = changed;
        if let Some(number) = bill {
            self.number_invoice(tx, &number, id).await?;
        }
        let order = orders::advance(tx, changed).await?;
        let customer = orders::customer(tx, &order).await?.map(Into::into);
        // Endpoints of the shop hear of it all the same.
        let silent = if customer.is_some() { silent } else { Some("the customer has left".to_owned()) };
        let customer = customer.unwrap_or_else(|| nobody(order.user_id));
        let event = self.event(kind, &order, Some(previous), customer, span.traceparent());
        let is_heard = self.store.is_heard(tx).await?;
        orders::notify(tx, &[NewEvent { silent, ..event }], is_heard, self.store.offset_ms()).await?;
        let done = work.commit(order).await;
        if done.is_err() {
            span.fail("not-committed");
        }
        done
    }

    async fn number_invoice(&self, tx: &mut Tx, number: &Line, order_id: i64) -> Result<(), Error> {
        match orders::number_invoice(tx, number, order_id).await {
            Ok(None) => Ok(()),
            Ok(Some(other)) => Err(Error::Taken(format!("the invoice number is that of order {other}"))),
            Err(e) if e.is_taken() => Err(Error::Taken("the invoice number is another order's".to_owned())),
            Err(e) => Err(e.into()),
        }
    }

    /// The notification of a change that has just been made.
    pub(super) fn event(
        &self,
        kind: Kind,
        order: &Order,
        previous: Option<Status>,
        customer: Customer,
        trace: Option<String>,
    ) -> NewEvent {
        NewEvent {
            lane: Lane::Order(order.id),
            place: order.version,
            silent: None,
            message_id: self.message_id(),
            payload: Payload { trace, ..Payload::of_change(kind, order, previous, customer, &self.shop) },
        }
    }

    /// The order now and after each change, until it is delivered or cancelled or nobody listens.
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

    /// A change is committed: wakes the workers and those who watch the order.
    pub(super) fn changed(&self, order_id: i64) {
        self.enqueued();
        self.changes.announce(order_id);
    }

    pub(super) fn message_id(&self) -> String {
        format!("{}@{}", self.clock.uuid(), self.message_id_domain)
    }
}

/// What idempotency keys of a change are for.
fn name_of(change: &Change) -> &'static str {
    match change {
        Change::Status(_) => "change-order-status",
        Change::Refund(_) => "record-order-refund",
        Change::Payment(_) => "record-order-payment",
        Change::Invoice(_) => "record-order-invoice",
        Change::Note(_) => "add-order-note",
    }
}

/// Why no mail goes out of a change.
fn silent(who: Principal, why: &Line) -> String {
    format!("silent, {}", by(&name(who), why.as_str()))
}
