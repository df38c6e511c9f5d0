//! An order, as mails tell it: all that the contract can say of one.

use serde::{Deserialize, Serialize};

use super::Link;
use crate::money::Money;
use crate::shop::Attributes;
use crate::shop::text::{AddressLines, Country, Line, OptionalLine, Sku, WebAddress};

/// Where an order stands, a status of a later version among it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Status {
    /// Nothing is on its way.
    Pending,
    /// Some of it is on its way.
    PartlyShipped,
    /// All of it is on its way.
    Shipped,
    /// It arrived.
    Delivered,
    /// It will not be sent.
    Cancelled,
    /// By its name.
    Other(String),
}

/// Something taken off a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    /// What the customer knows it by.
    pub label: Line,
    /// The code that the customer gave.
    #[serde(default)]
    pub code: Option<Line>,
    /// What it takes off.
    pub amount: Money,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
}

/// The tax of one rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxLine {
    /// What it is called on a bill.
    pub label: Line,
    /// Hundredths of a per cent.
    pub rate_basis_points: u32,
    /// What it is taken of.
    pub net: Money,
    /// The tax.
    pub amount: Money,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// The product.
    pub product_id: i64,
    /// Its unit.
    pub sku: Sku,
    /// Its name.
    pub name: Line,
    /// Pieces ordered.
    pub quantity: u32,
    /// Of them on their way or arrived.
    #[serde(default)]
    pub shipped_quantity: u32,
    /// Of them paid back.
    #[serde(default)]
    pub refunded_quantity: u32,
    /// What one piece costs.
    pub unit_price: Money,
    /// What is taken off the line; nothing when left out.
    #[serde(default)]
    pub discount: Option<Money>,
    /// The price times the pieces, less the discount.
    pub total: Money,
    /// Hundredths of a per cent; none when the order is taxed as a whole.
    #[serde(default)]
    pub tax_rate_basis_points: Option<u32>,
    /// The product's page.
    #[serde(default)]
    pub url: Option<WebAddress>,
    /// Its picture.
    #[serde(default)]
    pub image_url: Option<WebAddress>,
    /// The product's attributes.
    #[serde(default)]
    pub attributes: Attributes,
}

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Who gets what is sent there.
    pub name: Line,
    /// The company.
    #[serde(default)]
    pub company: OptionalLine,
    /// Street, house, floor.
    pub lines: AddressLines,
    /// City or town.
    pub city: Line,
    /// State, province or county.
    #[serde(default)]
    pub region: OptionalLine,
    /// Postal code.
    #[serde(default)]
    pub postal_code: OptionalLine,
    /// The country.
    pub country: Country,
    /// For the carrier.
    #[serde(default)]
    pub phone: OptionalLine,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
}

/// Pieces of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinePart {
    /// Which line: 1 is the first.
    pub line_number: u32,
    /// How many pieces.
    pub quantity: u32,
}

/// One parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// The order's version that added it.
    pub since_version: u32,
    /// Who carries it.
    pub carrier: Line,
    /// The carrier's number.
    #[serde(default)]
    pub tracking_number: OptionalLine,
    /// The carrier's page.
    #[serde(default)]
    pub tracking_url: Option<WebAddress>,
    /// What is in it; empty when the shop does not say.
    #[serde(default)]
    pub parts: Vec<LinePart>,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
}

/// Money that was paid back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The order's version that added it.
    pub since_version: u32,
    /// How much.
    pub amount: Money,
    /// Why.
    #[serde(default)]
    pub reason: OptionalLine,
    /// For which pieces.
    #[serde(default)]
    pub parts: Vec<LinePart>,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
}

/// How an order is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The shop's words for how.
    #[serde(default)]
    pub method: OptionalLine,
    /// What is still to be paid.
    #[serde(default)]
    pub due: Option<Money>,
    /// Where it can be paid.
    #[serde(default)]
    pub link: Option<Link>,
    /// Why the last payment failed.
    #[serde(default)]
    pub failure: Option<Line>,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
}

/// The bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Its number.
    pub number: Line,
    /// Its date, unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    pub issued_at: i64,
    /// The shop's VAT identification number.
    #[serde(default)]
    pub seller_vat_id: OptionalLine,
    /// The customer's.
    #[serde(default)]
    pub buyer_vat_id: OptionalLine,
    /// Where it can be downloaded.
    #[serde(default)]
    pub link: Option<Link>,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
}

/// An order, as a mail tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The shop's number for it.
    pub id: i64,
    /// What the customer knows it by.
    pub number: String,
    /// Raised by every change.
    pub version: u32,
    /// Where it stands.
    pub status: Status,
    /// Where it stood before; none when it was just placed.
    #[serde(default)]
    pub previous_status: Option<Status>,
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    pub placed_at: i64,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// The lines' sum.
    pub subtotal: Money,
    /// What is taken off the order, one by one.
    #[serde(default)]
    pub discounts: Vec<Discount>,
    /// The sum of that.
    pub discount: Money,
    /// What sending costs.
    pub shipping: Money,
    /// The tax by rate.
    #[serde(default)]
    pub taxes: Vec<TaxLine>,
    /// All tax.
    pub tax: Money,
    /// Whether prices, shipping and discount have the tax in them.
    #[serde(default)]
    pub prices_include_tax: bool,
    /// What the customer pays.
    pub total: Money,
    /// How it is paid.
    pub payment: Payment,
    /// Where it goes.
    #[serde(default)]
    pub ship_to: Option<Address>,
    /// Where the bill goes.
    #[serde(default)]
    pub bill_to: Option<Address>,
    /// All parcels, the oldest first.
    #[serde(default)]
    pub shipments: Vec<Shipment>,
    /// All refunds, the oldest first.
    #[serde(default)]
    pub refunds: Vec<Refund>,
    /// The bill.
    #[serde(default)]
    pub invoice: Option<Invoice>,
    /// For the receiver of a present.
    #[serde(default)]
    pub gift_message: Option<String>,
    /// What the shop says about this change.
    #[serde(default)]
    pub note: Option<String>,
    /// Why it was cancelled.
    #[serde(default)]
    pub cancel_reason: Option<String>,
    /// The order's page.
    #[serde(default)]
    pub url: Option<WebAddress>,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
}

impl From<String> for Status {
    fn from(name: String) -> Self {
        match name.as_str() {
            "pending" => Self::Pending,
            "partly-shipped" => Self::PartlyShipped,
            "shipped" => Self::Shipped,
            "delivered" => Self::Delivered,
            "cancelled" => Self::Cancelled,
            _ => Self::Other(name),
        }
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => "pending".to_owned(),
            Status::PartlyShipped => "partly-shipped".to_owned(),
            Status::Shipped => "shipped".to_owned(),
            Status::Delivered => "delivered".to_owned(),
            Status::Cancelled => "cancelled".to_owned(),
            Status::Other(name) => name,
        }
    }
}
