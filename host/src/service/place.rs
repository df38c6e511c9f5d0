//! Orders are placed together: those that come while a transaction is under way share the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Error, Once, Principal, Service};
use crate::group::Group;
use crate::money::Money;
use crate::notification::Customer;
use crate::shop::discount::{Discount, NotGiven, take_off};
use crate::shop::order::{Item, Kind, NewOrder, Order, OrderLine};
use crate::shop::product::Product;
use crate::shop::text::DiscountCode;
use crate::shop::user::User;
use crate::store::orders::{self, NewRow};
use crate::store::{self, Tx, discounts, once};
use crate::trace;

const PLACE: &str = "place-order";
/// The most orders that one transaction carries.
const GROUP_MAX: usize = 32;
/// Transactions of orders at one time: while one is committed, the next is worked on.
const ROUNDS_MAX: usize = 2;

/// Who waits for an order to be placed.
pub struct Counter(Group<Placing, Result<Order, Error>>);

impl Default for Counter {
    fn default() -> Self {
        Self(Group::new(ROUNDS_MAX, GROUP_MAX))
    }
}

#[derive(Clone)]
struct Placing {
    who: Principal,
    new: NewOrder,
    once: Option<Once>,
    trace: Option<String>,
}

/// An order that can be written.
struct Draft {
    order: NewRow,
    customer: Customer,
    who: Principal,
    once: Option<Once>,
    trace: Option<String>,
}

impl Service {
    /// Places an order for the caller: prices, stock, sums and the notification in one transaction.
    pub async fn place_order(
        self: &Arc<Self>,
        who: Principal,
        new: NewOrder,
        once: Option<&Once>,
    ) -> Result<Order, Error> {
        let mut span = trace::enqueue();
        let trace = span.traceparent();
        let place = async || {
            let service = self.clone();
            let place = move |group: Arc<[Placing]>| {
                let service = service.clone();
                async move {
                    let placing = service.place_all(&group);
                    service.metrics.round("place-orders", |_| group.len(), &service.clock, placing).await
                }
            };
            let placing = Placing { who, new: new.clone(), once: once.cloned(), trace: trace.clone() };
            self.counter.0.ask(placing, place).await?
        };
        let order = self.once(who, PLACE, once, place).await.inspect_err(|_| span.fail("not-committed"))?;
        self.changed(order.id);
        Ok(order)
    }

    /// Places orders in one transaction: those that can be, and says why the others cannot. Fails for all when one is
    /// refused as late as it is written; alone, it is then plain whose fault that is.
    async fn place_all(&self, group: &[Placing]) -> store::Result<Vec<Result<Order, Error>>> {
        let mut tx = self.store.begin().await?;
        let (mut answers, mut drafts) = (Vec::new(), Vec::new());
        for draft in self.drafts(&mut tx, group).await? {
            match draft {
                Ok(draft) => {
                    drafts.push(draft);
                    answers.push(None);
                }
                Err(e) => answers.push(Some(Err(e))),
            }
        }
        let mut placed = Vec::new().into_iter();
        if !drafts.is_empty() {
            match self.write(&mut tx, drafts).await {
                Ok(orders) => placed = orders.into_iter(),
                Err(e) if group.len() == 1 => return refusal(e).map(|e| vec![Err(e)]),
                Err(e) => return Err(e),
            }
            tx.commit().await?;
        }
        Ok(answers.into_iter().filter_map(|a| a.or_else(|| placed.next().map(Ok))).collect())
    }

    /// Reads what the orders are made of, and makes them: earlier ones take from the stock first.
    async fn drafts(&self, tx: &mut Tx, group: &[Placing]) -> store::Result<Vec<Result<Draft, Error>>> {
        let keys = group.iter().filter_map(Placing::key);
        // Alone, a key that is taken shows when it is written.
        let taken = if group.len() > 1 { once::taken(tx, keys).await? } else { BTreeSet::new() };
        let users: BTreeSet<i64> = group.iter().map(|p| p.who.user_id).collect();
        let users = orders::customers(tx, users).await?;
        let users: BTreeMap<i64, User> = users.into_iter().map(|u| (u.id, u)).collect();
        let products: BTreeSet<i64> = group.iter().flat_map(|p| p.new.items.as_slice()).map(|i| i.product_id).collect();
        let products = orders::products(tx, products).await?;
        let mut stock: BTreeMap<i64, Product> = products.into_iter().map(|p| (p.id, p)).collect();
        let (mut discounts, mut given_before) = codes(tx, group).await?;
        let draft = |placing: &Placing| {
            if placing.key().is_some_and(|key| taken.contains(&key)) {
                return Err(Error::InFlight);
            }
            // The token outlived its user.
            let user = users.get(&placing.who.user_id).ok_or(Error::Unauthenticated)?;
            let mut lines = lines(placing.new.items.as_slice(), &stock)?;
            let given = given(placing, &discounts, &given_before, self.clock.now_ms(), &lines)?;
            let off = take_off(&given, &mut lines);
            let country = placing.new.ship_to.as_ref().map(|address| &address.country);
            let totals = self.pricing.totals(&lines, off, country).map_err(|e| Error::Conflict(e.to_string()))?;
            let given: Vec<i64> = given.into_iter().map(|discount| discount.id).collect();
            for line in &lines {
                stock.entry(line.product_id).and_modify(|p| p.stock -= i64::from(line.quantity));
            }
            for discount in discounts.values_mut().filter(|discount| given.contains(&discount.id)) {
                discount.uses += 1;
                *given_before.entry((discount.id, user.id)).or_default() += 1;
            }
            let order = NewRow { user_id: user.id, new: placing.new.clone(), lines, totals, discounts: given };
            let Placing { who, once, trace, .. } = placing.clone();
            Ok(Draft { order, customer: user.clone().into(), who, once, trace })
        };
        Ok(group.iter().map(draft).collect())
    }

    async fn write(&self, tx: &mut Tx, drafts: Vec<Draft>) -> store::Result<Vec<Order>> {
        let now = self.clock.now_ms();
        let (mut rows, mut rest) = (Vec::new(), Vec::new());
        for Draft { order, customer, who, once, trace } in drafts {
            rows.push(order);
            rest.push((customer, who, once, trace));
        }
        let orders = orders::insert(tx, rows, now).await?;
        let (mut events, mut keys) = (Vec::new(), Vec::new());
        for (order, (customer, who, once, trace)) in orders.iter().zip(rest) {
            events.push(self.event(Kind::Placed, order, None, customer, trace));
            keys.extend(once.map(|once| once.keep(who, PLACE, order)));
        }
        let is_heard = self.store.is_heard(tx).await?;
        orders::notify(tx, &events, is_heard, self.store.offset_ms()).await?;
        once::keep(tx, &keys, now).await?;
        orders::take_stock(tx, &orders).await?;
        Ok(orders)
    }
}

/// The discounts of all codes that are given, locked; and how often their customers used them before.
async fn codes(tx: &mut Tx, group: &[Placing]) -> store::Result<(Discounts, Uses)> {
    let wanted = |placing: &Placing| placing.new.discount_codes.as_slice().to_vec();
    let codes: BTreeSet<DiscountCode> = group.iter().flat_map(wanted).collect();
    if codes.is_empty() {
        return Ok((Discounts::new(), Uses::new()));
    }
    let found = discounts::by_code(tx, codes.iter().collect()).await?;
    let discounts: Discounts = found.into_iter().map(|discount| (discount.code.clone(), discount)).collect();
    let limited = |placing: &Placing| {
        let own = wanted(placing).into_iter().filter_map(|code| discounts.get(&code));
        let own = own.filter(|discount| discount.uses_per_customer_max.is_some());
        own.map(|discount| (discount.id, placing.who.user_id)).collect::<Vec<_>>()
    };
    let uses = discounts::uses_by(tx, group.iter().flat_map(limited)).await?;
    Ok((discounts, uses))
}

type Discounts = BTreeMap<DiscountCode, Discount>;
/// By discount and user.
type Uses = BTreeMap<(i64, i64), u32>;

/// What an order is given for its codes.
fn given<'d>(
    placing: &Placing,
    discounts: &'d Discounts,
    uses: &Uses,
    now: i64,
    lines: &[OrderLine],
) -> Result<Vec<&'d Discount>, Error> {
    let give = |code: &DiscountCode| {
        let discount = discounts.get(code).ok_or_else(|| NotGiven::Unknown(code.as_str().to_owned()))?;
        let by_customer = uses.get(&(discount.id, placing.who.user_id)).copied().unwrap_or_default();
        discount.given(now, by_customer, lines).map(|()| discount)
    };
    let given = placing.new.discount_codes.as_slice().iter().map(give).collect::<Result<_, NotGiven>>();
    given.map_err(|why| Error::Conflict(why.to_string()))
}

impl Placing {
    fn key(&self) -> Option<(String, String)> {
        self.once.as_ref().map(|once| once.name(self.who, PLACE))
    }
}

/// Why one order was not written, when that is its client's to know.
fn refusal(e: store::Error) -> store::Result<Error> {
    match e {
        e if e.is_taken() => Ok(Error::InFlight),
        store::Error::OutOfStock => {
            Ok(Error::Conflict("somebody was faster: not all of this is in stock any more".to_owned()))
        }
        e => Err(e),
    }
}

/// The order's lines out of the products: our prices, and only what is in stock.
fn lines(items: &[Item], stock: &BTreeMap<i64, Product>) -> Result<Vec<OrderLine>, Error> {
    let mut lines = Vec::with_capacity(items.len());
    for item in items {
        let product = stock.get(&item.product_id);
        let product = product.ok_or_else(|| Error::Conflict(format!("there is no product {}", item.product_id)))?;
        if product.stock < i64::from(item.quantity) {
            return Err(Error::Conflict(format!(
                "only {} of \"{}\" are in stock",
                product.stock,
                product.sku.as_str()
            )));
        }
        let total = product.price.amount.checked_mul(item.quantity.into());
        let total = total.ok_or_else(|| Error::Conflict("the total is too large".to_owned()))?;
        let Product { id, sku, name, url, image, attributes, .. } = product.clone();
        lines.push(OrderLine {
            product_id: id,
            sku,
            name,
            quantity: item.quantity,
            shipped_quantity: 0,
            refunded_quantity: 0,
            open_quantity: item.quantity,
            unit_price: product.price,
            discount: None,
            total: Money::new(total, product.price.currency),
            url,
            image,
            attributes,
        });
    }
    Ok(lines)
}
