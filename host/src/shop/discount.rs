//! Discounts: what a code takes off an order, when, and how often. Pure.

use serde::{Deserialize, Serialize};

use super::order::{LINES_MAX, OrderDiscount, OrderLine};
use super::product::Price;
use super::text::{DiscountCode, Line};
use crate::money::{self, Money};

/// The most codes of an order.
pub const CODES_MAX: usize = 3;

/// What is taken off an order by a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Discount {
    /// Made by the database.
    pub id: i64,
    /// What customers give, in capitals.
    pub code: DiscountCode,
    /// What mails and bills call it.
    pub label: Line,
    /// The part that it takes off, in hundredths of a per cent: 1000 is 10 %. Null: it takes an amount off.
    pub basis_points: Option<u32>,
    /// The amount that it takes off; never more than there is to be paid.
    pub amount: Option<Money>,
    /// The products that it is taken off; empty: the order as a whole.
    pub product_ids: Vec<i64>,
    /// The least that the products of an order cost together before any discount; null: anything.
    pub subtotal_min: Option<Money>,
    /// From when on it is given; null: at once.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<i64>,
    /// Until when; null: for ever.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<i64>,
    /// To how many orders it is given; null: to all.
    pub uses_max: Option<u32>,
    /// To how many of one customer's; null: to all.
    pub uses_per_customer_max: Option<u32>,
    /// To how many it was given; those that were cancelled gave it back.
    pub uses: i64,
    /// Raised by every change, not by uses.
    pub version: i64,
    /// When it was taken out of the shop.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub archived_at: Option<i64>,
    /// When it was made.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// The last change.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: i64,
}

/// 1 to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UpTo<const MAX: u32>(u32);

/// Hundredths of a per cent.
pub type BasisPoints = UpTo<10_000>;
/// How often.
pub type Uses = UpTo<1_000_000_000>;

impl<const MAX: u32> TryFrom<i64> for UpTo<MAX> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let within = u32::try_from(number).ok().filter(|number| (1..=MAX).contains(number));
        within.map(Self).ok_or_else(|| format!("must be within 1 to {MAX}"))
    }
}

impl<const MAX: u32> From<UpTo<MAX>> for u32 {
    fn from(number: UpTo<MAX>) -> Self {
        number.0
    }
}

/// A discount to be made: with a part (`basis_points`) or an `amount`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDiscount {
    /// What customers give, in any case. Must not be taken, not even by an archived one.
    pub code: DiscountCode,
    /// What mails and bills call it, such as "Spring sale".
    pub label: Line,
    /// The part that it takes off, in hundredths of a per cent: 1000 is 10 %.
    #[serde(default, deserialize_with = "crate::money::whole_or_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    pub basis_points: Option<BasisPoints>,
    /// The amount that it takes off; never more than there is to be paid.
    #[serde(default)]
    pub amount: Option<Price>,
    /// The products that it is taken off; empty: the order as a whole.
    #[serde(default, deserialize_with = "crate::money::wholes")]
    #[schema(max_items = 100)]
    pub product_ids: Vec<i64>,
    /// The least that the products of an order cost together before any discount.
    #[serde(default)]
    pub subtotal_min: Option<Price>,
    /// From when on it is given; at once when null.
    #[serde(default, with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<i64>,
    /// Until when; for ever when null.
    #[serde(default, with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<i64>,
    /// To how many orders it is given; to all when null.
    #[serde(default, deserialize_with = "crate::money::whole_or_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000_000)]
    pub uses_max: Option<Uses>,
    /// To how many of one customer's; to all when null.
    #[serde(default, deserialize_with = "crate::money::whole_or_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000_000)]
    pub uses_per_customer_max: Option<Uses>,
}

/// Why a discount cannot be as it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitDiscount {
    /// Neither a part nor an amount, or both.
    #[error("a discount takes off either a part (basis_points) or an amount")]
    Off,
    /// It would take nothing off.
    #[error("amount must be above zero")]
    Nothing,
    /// It is over before it begins.
    #[error("ends_at must come after starts_at")]
    Times,
    /// One order has one currency.
    #[error("amount and subtotal_min must be in one currency")]
    Currencies,
}

impl NewDiscount {
    /// What no field says alone.
    pub fn check(&self) -> Result<(), UnfitDiscount> {
        if self.basis_points.is_some() == self.amount.is_some() {
            return Err(UnfitDiscount::Off);
        }
        if self.amount.is_some_and(|amount| Money::from(amount).amount == 0) {
            return Err(UnfitDiscount::Nothing);
        }
        if self.starts_at.zip(self.ends_at).is_some_and(|(starts, ends)| starts >= ends) {
            return Err(UnfitDiscount::Times);
        }
        let currency = |price: Price| Money::from(price).currency;
        if self.amount.zip(self.subtotal_min).is_some_and(|(a, b)| currency(a) != currency(b)) {
            return Err(UnfitDiscount::Currencies);
        }
        Ok(())
    }

    /// The most products are the most lines of an order.
    pub const PRODUCTS_MAX: usize = LINES_MAX;
}

impl From<Discount> for NewDiscount {
    fn from(discount: Discount) -> Self {
        let Discount {
            id: _,
            code,
            label,
            basis_points,
            amount,
            product_ids,
            subtotal_min,
            starts_at,
            ends_at,
            uses_max,
            uses_per_customer_max,
            uses: _,
            version: _,
            archived_at: _,
            created_at: _,
            updated_at: _,
        } = discount;
        let price = |money: Money| Price::try_from(money).ok();
        Self {
            code,
            label,
            basis_points: basis_points.map(UpTo),
            amount: amount.and_then(price),
            product_ids,
            subtotal_min: subtotal_min.and_then(price),
            starts_at,
            ends_at,
            uses_max: uses_max.map(UpTo),
            uses_per_customer_max: uses_per_customer_max.map(UpTo),
        }
    }
}

/// Why a code takes nothing off an order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGiven {
    /// There is none, or none any more.
    #[error("there is no discount code \"{0}\"")]
    Unknown(String),
    /// Too early.
    #[error("the discount code \"{0}\" cannot be used yet")]
    Early(String),
    /// Too late.
    #[error("the discount code \"{0}\" has expired")]
    Over(String),
    /// All of it is given away.
    #[error("the discount code \"{0}\" is used up")]
    UsedUp(String),
    /// To this customer it was given often enough.
    #[error("you have used the discount code \"{0}\" already")]
    UsedByCustomer(String),
    /// Too little is ordered.
    #[error("the discount code \"{code}\" asks for products of at least {amount} {currency} in minor units", amount = .least.amount, currency = .least.currency.code())]
    Little {
        /// The code.
        code: String,
        /// What it asks for.
        least: Money,
    },
    /// None of its products is ordered.
    #[error("the discount code \"{0}\" is for other products")]
    Products(String),
    /// It is for orders in another currency.
    #[error("the discount code \"{0}\" is for orders in another currency")]
    Currency(String),
}

impl Discount {
    /// Whether it is given at a time, after so many uses by its customer, to an order of these lines.
    pub fn given(&self, now: i64, by_customer: u32, lines: &[OrderLine]) -> Result<(), NotGiven> {
        let code = || self.code.as_str().to_owned();
        if self.archived_at.is_some() {
            return Err(NotGiven::Unknown(code()));
        }
        if self.starts_at.is_some_and(|starts| now < starts) {
            return Err(NotGiven::Early(code()));
        }
        if self.ends_at.is_some_and(|ends| now >= ends) {
            return Err(NotGiven::Over(code()));
        }
        if self.uses_max.is_some_and(|most| self.uses >= i64::from(most)) {
            return Err(NotGiven::UsedUp(code()));
        }
        if self.uses_per_customer_max.is_some_and(|most| by_customer >= most) {
            return Err(NotGiven::UsedByCustomer(code()));
        }
        let Some(currency) = lines.first().map(|line| line.total.currency) else { return Ok(()) };
        if [self.amount, self.subtotal_min].into_iter().flatten().any(|money| money.currency != currency) {
            return Err(NotGiven::Currency(code()));
        }
        let goods = lines.iter().map(OrderLine::full_price).fold(0, i64::saturating_add);
        if let Some(least) = self.subtotal_min.filter(|least| goods < least.amount) {
            return Err(NotGiven::Little { code: code(), least });
        }
        if !self.product_ids.is_empty() && !lines.iter().any(|line| self.product_ids.contains(&line.product_id)) {
            return Err(NotGiven::Products(code()));
        }
        Ok(())
    }

    /// What it takes off a sum.
    fn off(&self, sum: i64) -> i64 {
        match (self.basis_points, self.amount) {
            (Some(points), _) => money::share(sum, points).unwrap_or(0).min(sum),
            (None, amount) => amount.map_or(0, |amount| amount.amount.min(sum)),
        }
    }

    /// Takes it off its products' lines, each its part: rounded so that the parts make the whole.
    fn take_off_lines(&self, lines: &mut [OrderLine]) {
        let mut own: Vec<_> = lines.iter_mut().filter(|line| self.product_ids.contains(&line.product_id)).collect();
        let sum: i64 = own.iter().map(|line| line.total.amount).sum();
        let off = self.off(sum);
        let (mut before, mut given) = (0, 0);
        for line in &mut own {
            before += line.total.amount;
            let until = money::part(off, before, sum).unwrap_or(0);
            line.take_off(until - given);
            given = until;
        }
    }
}

/// Takes discounts off an order's lines: those of products off their lines, then the others, one after the other, off what is
/// left. The latter are what is taken off the order as a whole.
pub fn take_off(discounts: &[&Discount], lines: &mut [OrderLine]) -> Vec<OrderDiscount> {
    let (of_products, of_orders): (Vec<&Discount>, _) =
        discounts.iter().partition(|discount| !discount.product_ids.is_empty());
    for discount in of_products {
        discount.take_off_lines(lines);
    }
    let Some(currency) = lines.first().map(|line| line.total.currency) else { return Vec::new() };
    let mut left = lines.iter().map(|line| line.total.amount).fold(0, i64::saturating_add);
    let taken = |discount: &Discount| {
        let off = discount.off(left);
        left -= off;
        let Discount { code, label, .. } = discount.clone();
        OrderDiscount { code, label, amount: Money::new(off, currency) }
    };
    of_orders.into_iter().map(taken).collect()
}

#[cfg(test)]
mod tests;
