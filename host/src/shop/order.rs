//! Orders: what they are, what they cost and how they change.

mod change;
mod kind;
mod money;
mod new;
mod pricing;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Attributes;
use super::text::{AddressLines, Country, DiscountCode, Line, Note, OptionalLine, Sku, WebAddress};
use crate::money::Money;

pub use change::{Change, NewInvoice, NewNote, NewRefund, NewTracking, Parcels, PaymentReport, StatusChange};
pub use kind::Kind;
pub use money::REFUNDS_MAX;
pub use new::{Codes, Item, Items, LINES_MAX, NewOrder, QUANTITY_MAX};
pub use pricing::{Pricing, PricingError, Totals};
pub use rules::{ChangeError, Changed, PARCELS_MAX};

/// Where an order stands. `pending → partly_shipped → shipped → delivered`, where the second may come several times or not
/// at all, or `pending → cancelled`. Pieces that are paid back before they are sent are not sent: without the last of them,
/// `pending` becomes `cancelled` and `partly_shipped` becomes `shipped`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OrderStatus)]
pub enum Status {
    /// Placed, not sent yet.
    Pending,
    /// Some pieces are on their way, others are still to be sent.
    PartlyShipped,
    /// All pieces are on their way that are to be sent.
    Shipped,
    /// Arrived.
    Delivered,
    /// Will not be sent; its pieces are in stock again.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Pending, Self::PartlyShipped, Self::Shipped, Self::Delivered, Self::Cancelled];

    /// The name that the store and the APIs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::PartlyShipped => "partly_shipped",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether an order may go from here to `next`.
    pub fn allows(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending, Self::PartlyShipped | Self::Shipped | Self::Cancelled)
                | (Self::PartlyShipped, Self::PartlyShipped | Self::Shipped)
                | (Self::Shipped, Self::Delivered)
        )
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
    /// What makes it, by code.
    #[serde(default)]
    pub discounts: Vec<OrderDiscount>,
    /// On the discounted subtotal and the shipping, or in them.
    pub tax: Money,
    /// The tax by rate; empty when the shop has no name for it, or takes none.
    #[serde(default)]
    pub taxes: Vec<TaxLine>,
    /// Whether the prices and the shipping have the tax in them: then the total is the subtotal less the discount plus the
    /// shipping, else plus the tax.
    #[serde(default)]
    pub prices_include_tax: bool,
    /// What sending costs.
    pub shipping: Money,
    /// What the customer pays.
    pub total: Money,
    /// How they pay.
    pub payment_method: OptionalLine,
    /// How far it is paid, as the shop was told.
    #[serde(default)]
    pub payment: Payment,
    /// Where it goes.
    pub ship_to: Option<Address>,
    /// Where the bill goes.
    pub bill_to: Option<Address>,
    /// The parcels, the oldest first.
    pub tracking: Vec<Tracking>,
    /// What was paid back, the oldest first.
    #[serde(default)]
    pub refunds: Vec<Refund>,
    /// The bill, once there is one.
    #[serde(default)]
    pub invoice: Option<Invoice>,
    /// What the shop said to the customer about the newest change.
    pub note: Option<Note>,
    /// What the buyer wants the receiver of a present to read.
    #[serde(default)]
    pub gift_message: Option<Note>,
    /// Why it was cancelled, in the shop's words.
    #[serde(default)]
    pub cancel_reason: Option<Line>,
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
    /// Pieces that were ordered.
    pub quantity: u32,
    /// Of them on their way or arrived.
    #[serde(default)]
    pub shipped_quantity: u32,
    /// Of them paid back.
    #[serde(default)]
    pub refunded_quantity: u32,
    /// Of them still to be sent.
    #[serde(default)]
    pub open_quantity: u32,
    /// What one piece cost.
    pub unit_price: Money,
    /// What was taken off it by a discount on the product; null: nothing.
    #[serde(default)]
    pub discount: Option<Money>,
    /// The price times the pieces, less the discount.
    pub total: Money,
    /// The product's page.
    pub url: Option<WebAddress>,
    /// Its picture.
    pub image: Option<WebAddress>,
    /// The product's attributes.
    pub attributes: Attributes,
}

impl OrderLine {
    /// What the pieces cost before any discount.
    pub(in crate::shop) fn full_price(&self) -> i64 {
        self.unit_price.amount.saturating_mul(self.quantity.into())
    }

    /// Takes an amount off, which is at most the total.
    pub(in crate::shop) fn take_off(&mut self, amount: i64) {
        if amount > 0 {
            let before = self.discount.map_or(0, |discount| discount.amount);
            self.discount = Some(self.total.with(before + amount));
            self.total.amount -= amount;
        }
    }
}

/// What a code took off an order as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OrderDiscount {
    /// What the customer gave, in capitals.
    pub code: DiscountCode,
    /// What mails and bills call it.
    pub label: Line,
    /// How much.
    pub amount: Money,
}

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an address")]
pub struct Address {
    /// Who gets it.
    pub name: Line,
    /// The company, where there is one.
    #[serde(default, skip_serializing_if = "OptionalLine::is_empty")]
    pub company: OptionalLine,
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
    /// For the carrier, where one is given.
    #[serde(default, skip_serializing_if = "OptionalLine::is_empty")]
    pub phone: OptionalLine,
}

/// One parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tracking {
    /// The order's version that added it.
    #[serde(default = "first_change")]
    pub since_version: i64,
    /// Who carries it.
    pub carrier: Line,
    /// The carrier's number.
    pub number: Line,
    /// The carrier's page.
    #[serde(default)]
    pub url: Option<WebAddress>,
    /// What is in it, by product; empty when the shop does not say.
    #[serde(default)]
    pub items: Vec<Item>,
}

/// The version of parcels that were kept without one: orders were sent as a whole, by their first change.
fn first_change() -> i64 {
    2
}

/// Money that was paid back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Refund {
    /// The order's version that added it.
    pub since_version: i64,
    /// How much.
    pub amount: Money,
    /// The shop's words for why.
    pub reason: OptionalLine,
    /// For which pieces, by product; empty when it is not for pieces.
    pub items: Vec<Item>,
}

/// How far an order is paid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Payment {
    /// What is still to be paid; none: the shop was not told.
    pub due: Option<Money>,
    /// Why the last payment failed; none when it did not.
    pub failure: Option<Line>,
    /// Where it can be paid.
    pub link: Option<Link>,
}

/// A page for the customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "a link")]
pub struct Link {
    /// Where it is.
    pub url: WebAddress,
    /// Until when it is there; none: for ever.
    #[serde(default, with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<i64>,
}

/// The bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Invoice {
    /// Its number: no other order has it.
    pub number: Line,
    /// Its date.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub issued_at: i64,
    /// The shop's VAT identification number, where it has one.
    pub seller_vat_id: OptionalLine,
    /// The customer's, where they have one.
    pub buyer_vat_id: OptionalLine,
    /// Where it can be downloaded.
    pub link: Option<Link>,
}

/// The tax of one rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaxLine {
    /// What it is called on a bill, such as "VAT 20 %".
    pub label: Line,
    /// Hundredths of a per cent: 2000 is 20 %.
    pub rate_basis_points: u32,
    /// What it is taken of, without the tax.
    pub net: Money,
    /// The tax.
    pub amount: Money,
}
