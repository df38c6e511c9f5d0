//! What orders cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{OrderDiscount, OrderLine, TaxLine};
use crate::money::{self, AMOUNT_MAX, Money};
use crate::shop::text::{Country, Line, OptionalLine};

/// What the shop adds to the lines' sum: a rule for every country, and others for those that are named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pricing {
    /// Tax on the discounted subtotal and the shipping, in hundredths of a per cent: 2000 is 20 %.
    pub tax_basis_points: u32,
    /// The same for orders that go to these countries.
    #[serde(default)]
    pub tax_basis_points_by_country: BTreeMap<Country, u32>,
    /// What the tax is called on a bill, such as "VAT 20 %". Empty: mails call it tax in the customer's language.
    #[serde(default)]
    pub tax_label: OptionalLine,
    /// The same for orders that go to these countries.
    #[serde(default)]
    pub tax_label_by_country: BTreeMap<Country, Line>,
    /// Whether the prices and the shipping have the tax in them.
    #[serde(default)]
    pub prices_include_tax: bool,
    /// Shipping of every order, in minor units of its currency.
    pub shipping_flat: i64,
    /// The same for orders that go to these countries.
    #[serde(default)]
    pub shipping_flat_by_country: BTreeMap<Country, i64>,
    /// From this sum of what is ordered on, before discounts, in minor units, shipping is free; 0: never.
    pub shipping_free_from: i64,
}

/// An order's sums, all in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// The lines' sum.
    pub subtotal: Money,
    /// Subtracted from it.
    pub discount: Money,
    /// What makes it.
    pub discounts: Vec<OrderDiscount>,
    /// Added, unless the prices have it in them.
    pub tax: Money,
    /// By rate.
    pub taxes: Vec<TaxLine>,
    /// Whether the prices have it in them.
    pub prices_include_tax: bool,
    /// Added.
    pub shipping: Money,
    /// What the customer pays.
    pub total: Money,
}

/// Why an order has no sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    /// Two products are priced in different currencies.
    #[error("all products of an order must be priced in one currency")]
    Currencies,
    /// The total is more than an order may cost.
    #[error("an order may cost at most {AMOUNT_MAX} minor units")]
    TooMuch,
    /// There is nothing to add up.
    #[error("an order needs a line")]
    Empty,
}

impl Pricing {
    /// Adds up the lines of an order that goes to `country`, of which `discounts` are taken off as a whole.
    pub fn totals(
        &self,
        lines: &[OrderLine],
        discounts: Vec<OrderDiscount>,
        country: Option<&Country>,
    ) -> Result<Totals, PricingError> {
        let flat = country.and_then(|c| self.shipping_flat_by_country.get(c)).unwrap_or(&self.shipping_flat);
        let rate = *country.and_then(|c| self.tax_basis_points_by_country.get(c)).unwrap_or(&self.tax_basis_points);
        let label = country.and_then(|c| self.tax_label_by_country.get(c)).cloned();
        let label = label.or_else(|| String::from(self.tax_label.clone()).try_into().ok());
        let first = lines.first().ok_or(PricingError::Empty)?.total;
        let mut subtotal = 0_i64;
        for line in lines {
            if line.total.currency != first.currency {
                return Err(PricingError::Currencies);
            }
            subtotal = subtotal.checked_add(line.total.amount).ok_or(PricingError::TooMuch)?;
        }
        // By what is ordered, not by what is taken off.
        let ordered = lines.iter().map(OrderLine::full_price).fold(0, i64::saturating_add);
        let free = self.shipping_free_from > 0 && ordered >= self.shipping_free_from;
        let shipping = if free { 0 } else { *flat };
        let discount: i64 = discounts.iter().map(|discount| discount.amount.amount).sum();
        let taxed = (subtotal - discount).checked_add(shipping).ok_or(PricingError::TooMuch)?;
        let (tax, net, total) = if self.prices_include_tax {
            let tax = money::part(taxed, rate.into(), 10_000 + i64::from(rate)).ok_or(PricingError::TooMuch)?;
            (tax, taxed - tax, Some(taxed))
        } else {
            let tax = money::share(taxed, rate).ok_or(PricingError::TooMuch)?;
            (tax, taxed, taxed.checked_add(tax))
        };
        let total = total.filter(|t| *t <= AMOUNT_MAX).ok_or(PricingError::TooMuch)?;
        let line = |label| TaxLine { label, rate_basis_points: rate, net: first.with(net), amount: first.with(tax) };
        Ok(Totals {
            subtotal: first.with(subtotal),
            discount: first.with(discount),
            discounts,
            tax: first.with(tax),
            taxes: label.filter(|_| rate > 0).map(line).into_iter().collect(),
            prices_include_tax: self.prices_include_tax,
            shipping: first.with(shipping),
            total: first.with(total),
        })
    }
}
