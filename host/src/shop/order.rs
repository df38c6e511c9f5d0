//! Orders: what they cost and how they move.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Attributes;
use super::text::{AddressLines, Country, Line, Note, OptionalLine, Sku, WebAddress};
use crate::money::{self, AMOUNT_MAX, Money};

/// The most lines an order may have.
pub const LINES_MAX: usize = 100;
/// The most pieces of one product in an order.
pub const QUANTITY_MAX: u32 = 10_000;

/// Where an order stands. `pending → shipped → delivered`, `pending → cancelled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = OrderStatus)]
pub enum Status {
    /// Placed, not sent yet.
    Pending,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Will not be sent; its pieces are in stock again.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Shipped, Self::Delivered, Self::Cancelled];

    /// The name that the store and the APIs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether an order may go from here to `next`.
    pub fn allows(self, next: Self) -> bool {
        matches!((self, next), (Self::Pending, Self::Shipped | Self::Cancelled) | (Self::Shipped, Self::Delivered))
    }
}

impl TryFrom<String> for Status {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::ALL.into_iter().find(|s| s.as_str() == name).ok_or_else(|| format!("\"{name}\" is not a status"))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An order, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Order {
    /// Made by the database; also the number that customers see.
    pub id: i64,
    /// Whose it is.
    pub user_id: i64,
    /// 1 when placed; raised by every change.
    pub version: i64,
    /// Where it stands.
    pub status: Status,
    /// What was bought.
    pub lines: Vec<OrderLine>,
    /// The lines' sum.
    pub subtotal: Money,
    /// Subtracted from the subtotal.
    pub discount: Money,
    /// On the discounted subtotal and the shipping.
    pub tax: Money,
    /// What sending costs.
    pub shipping: Money,
    /// What the customer pays.
    pub total: Money,
    /// How they pay.
    pub payment_method: OptionalLine,
    /// Where it goes.
    pub ship_to: Option<Address>,
    /// Where the bill goes.
    pub bill_to: Option<Address>,
    /// The parcels.
    pub tracking: Vec<Tracking>,
    /// What the shop said to the customer about the newest change.
    pub note: Option<Note>,
    /// Values that templates and policies may use.
    pub attributes: Attributes,
    /// When, in unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub placed_at: i64,
    /// When, in unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: i64,
}

/// Which orders, in which order.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct OrderFilter {
    /// Of this user; for admins, who else see everybody's.
    pub user_id: Option<i64>,
    /// That stand there.
    pub status: Option<Status>,
    /// Placed later than this, in unix milliseconds.
    pub created_after: Option<i64>,
    /// Placed earlier than this, in unix milliseconds.
    pub created_before: Option<i64>,
    /// In which order.
    #[serde(default)]
    pub sort: OrderSort,
}

/// In which order orders are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum OrderSort {
    /// The youngest first.
    #[default]
    #[serde(rename = "-created_at")]
    Newest,
    /// The oldest first.
    #[serde(rename = "created_at")]
    Oldest,
}

/// A product in an order, as it was when the order was placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OrderLine {
    /// The product.
    pub product_id: i64,
    /// Its unit.
    pub sku: Sku,
    /// Its name.
    pub name: Line,
    /// Pieces.
    pub quantity: u32,
    /// What one piece cost.
    pub unit_price: Money,
    /// The price times the pieces.
    pub total: Money,
    /// The product's page.
    pub url: Option<WebAddress>,
    /// Its picture.
    pub image: Option<WebAddress>,
    /// The product's attributes.
    pub attributes: Attributes,
}

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Who gets it.
    pub name: Line,
    /// Street, house, floor; 1 to 5 lines.
    #[schema(value_type = Vec<Line>, min_items = 1, max_items = 5)]
    pub lines: AddressLines,
    /// City or town.
    pub city: Line,
    /// State, province or county, where one is used.
    #[serde(default)]
    pub region: OptionalLine,
    /// Postal code, where one is used.
    #[serde(default)]
    pub postal_code: OptionalLine,
    /// The country.
    pub country: Country,
}

/// One parcel of a shipment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tracking {
    /// Who carries it.
    pub carrier: Line,
    /// The carrier's number.
    pub number: Line,
    /// The carrier's page.
    #[serde(default)]
    pub url: Option<WebAddress>,
}

/// An order to be placed. Prices, tax and shipping are the server's to say.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// What is bought.
    #[schema(value_type = Vec<Item>, min_items = 1, max_items = 100)]
    pub items: Items,
    /// How it is paid; free text.
    #[serde(default)]
    pub payment_method: OptionalLine,
    /// Where it goes.
    #[serde(default)]
    pub ship_to: Option<Address>,
    /// Where the bill goes.
    #[serde(default)]
    pub bill_to: Option<Address>,
    /// Values that templates and policies may use.
    #[serde(default)]
    pub attributes: Attributes,
}

/// 1 to [`LINES_MAX`] items; those of one product are added up.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<Item>")]
pub struct Items(Vec<Item>);

/// So many pieces of a product.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Which product.
    #[serde(deserialize_with = "crate::money::whole")]
    pub product_id: i64,
    /// How many pieces; 1 to 10,000.
    #[serde(deserialize_with = "crate::money::whole")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub quantity: u32,
}

impl TryFrom<Vec<Item>> for Items {
    type Error = String;

    fn try_from(mut items: Vec<Item>) -> Result<Self, String> {
        if !(1..=LINES_MAX).contains(&items.len()) {
            return Err(format!("must hold 1 to {LINES_MAX} items"));
        }
        if let Some(item) = items.iter().find(|i| !(1..=QUANTITY_MAX).contains(&i.quantity)) {
            return Err(format!("product {}: quantity must be within 1 to {QUANTITY_MAX}", item.product_id));
        }
        // By product, so that orders take their rows in one order and never wait for each other in a circle; one that
        // stands there twice is one line.
        items.sort_by_key(|i| i.product_id);
        items.dedup_by(|more, kept| {
            let same = more.product_id == kept.product_id;
            kept.quantity += if same { more.quantity } else { 0 };
            same
        });
        Ok(Self(items))
    }
}

impl Items {
    /// The items, by product.
    pub fn as_slice(&self) -> &[Item] {
        &self.0
    }
}

/// A change of an order's status.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusChange {
    /// Where it stands now.
    pub status: Status,
    /// The parcels; only with `shipped`.
    #[serde(default)]
    #[schema(value_type = Vec<Tracking>, max_items = 20)]
    pub tracking: Parcels,
    /// What the shop says to the customer about it: in the mail, and with the order until its next change.
    #[serde(default)]
    pub note: Option<Note>,
    /// Given, the customer gets no mail of this change: its notification is recorded as skipped, with who made the change
    /// and this reason. An operator can still send it.
    #[serde(default)]
    pub silent_reason: Option<Line>,
}

impl StatusChange {
    /// To this status, with nothing beside.
    pub fn to(status: Status) -> Self {
        Self { status, tracking: Parcels::default(), note: None, silent_reason: None }
    }
}

/// At most 20 parcels.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<Tracking>")]
pub struct Parcels(Vec<Tracking>);

impl TryFrom<Vec<Tracking>> for Parcels {
    type Error = String;

    fn try_from(parcels: Vec<Tracking>) -> Result<Self, String> {
        if parcels.len() > 20 {
            return Err("must be at most 20 parcels".to_owned());
        }
        Ok(Self(parcels))
    }
}

impl Parcels {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parcels.
    pub fn into_inner(self) -> Vec<Tracking> {
        self.0
    }
}

/// What the shop adds to the lines' sum: a rule for every country, and others for those that are named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pricing {
    /// Tax on the discounted subtotal and the shipping, in hundredths of a per cent: 2000 is 20 %.
    pub tax_basis_points: u32,
    /// The same for orders that go to these countries.
    #[serde(default)]
    pub tax_basis_points_by_country: BTreeMap<Country, u32>,
    /// Shipping of every order, in minor units of its currency.
    pub shipping_flat: i64,
    /// The same for orders that go to these countries.
    #[serde(default)]
    pub shipping_flat_by_country: BTreeMap<Country, i64>,
    /// From this subtotal on, in minor units, shipping is free; 0: never.
    pub shipping_free_from: i64,
}

/// An order's sums, all in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// The lines' sum.
    pub subtotal: Money,
    /// Subtracted from it.
    pub discount: Money,
    /// Added.
    pub tax: Money,
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
    /// Adds up the lines of an order that goes to `country`.
    pub fn totals(&self, lines: &[OrderLine], country: Option<&Country>) -> Result<Totals, PricingError> {
        let flat = country.and_then(|c| self.shipping_flat_by_country.get(c)).unwrap_or(&self.shipping_flat);
        let rate = country.and_then(|c| self.tax_basis_points_by_country.get(c)).unwrap_or(&self.tax_basis_points);
        let first = lines.first().ok_or(PricingError::Empty)?.total;
        let mut subtotal = 0_i64;
        for line in lines {
            if line.total.currency != first.currency {
                return Err(PricingError::Currencies);
            }
            subtotal = subtotal.checked_add(line.total.amount).ok_or(PricingError::TooMuch)?;
        }
        let free = self.shipping_free_from > 0 && subtotal >= self.shipping_free_from;
        let shipping = if free { 0 } else { *flat };
        let taxed = subtotal.checked_add(shipping).ok_or(PricingError::TooMuch)?;
        let tax = money::share(taxed, *rate).ok_or(PricingError::TooMuch)?;
        let total = taxed.checked_add(tax).filter(|t| *t <= AMOUNT_MAX).ok_or(PricingError::TooMuch)?;
        Ok(Totals {
            subtotal: first.with(subtotal),
            discount: first.with(0),
            tax: first.with(tax),
            shipping: first.with(shipping),
            total: first.with(total),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, Items, Status};

    #[test]
    fn only_three_moves_are_allowed() {
        let allowed: Vec<String> = Status::ALL
            .iter()
            .flat_map(|a| Status::ALL.iter().filter(|b| a.allows(**b)).map(move |b| format!("{a} {b}")))
            .collect();
        assert_eq!(allowed, ["pending shipped", "pending cancelled", "shipped delivered"]);
    }

    #[test]
    fn items_are_checked_and_sorted() {
        let item = |product_id, quantity| Item { product_id, quantity };
        assert!(Items::try_from(vec![]).is_err());
        assert!(Items::try_from(vec![item(1, 0)]).is_err());
        let twice = Items::try_from(vec![item(1, 1), item(2, 5), item(1, 2)]).expect("valid");
        assert_eq!(twice.as_slice().iter().map(|i| i.quantity).collect::<Vec<_>>(), [3, 5]);
        let items = Items::try_from(vec![item(2, 1), item(1, 2)]).expect("valid");
        assert_eq!(items.as_slice()[0].product_id, 1);
    }
}
