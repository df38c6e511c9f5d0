//! What can be bought.

use serde::{Deserialize, Serialize};

use super::Attributes;
use super::text::{Line, OptionalLine, Prose, Sku, WebAddress};
use crate::money::{AMOUNT_MAX, Money};

/// The most pieces that can be in stock.
pub const STOCK_MAX: i64 = 1_000_000_000;

/// Something for sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Product {
    /// Made by the database.
    pub id: i64,
    /// Unique.
    pub sku: Sku,
    /// What it is called.
    pub name: Line,
    /// What it is.
    pub description: Prose,
    /// What kind of thing it is.
    pub category: OptionalLine,
    /// What one piece costs, without tax.
    pub price: Money,
    /// Pieces that can be ordered.
    pub stock: i64,
    /// The product's page.
    pub url: Option<WebAddress>,
    /// A picture.
    pub image: Option<WebAddress>,
    /// Values that templates and policies may use.
    pub attributes: Attributes,
    /// Raised by every change.
    pub version: i64,
    /// When, in unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    pub created_at: i64,
    /// When, in unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    pub updated_at: i64,
}

/// A product to be created.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewProduct {
    /// Must not be taken.
    pub sku: Sku,
    /// What it is called.
    pub name: Line,
    /// What it is.
    #[serde(default = "no_prose")]
    pub description: Prose,
    /// What kind of thing it is.
    #[serde(default = "no_line")]
    pub category: OptionalLine,
    /// What one piece costs, without tax.
    pub price: Price,
    /// Pieces that can be ordered.
    pub stock: Stock,
    /// The product's page.
    #[serde(default)]
    pub url: Option<WebAddress>,
    /// A picture.
    #[serde(default)]
    pub image: Option<WebAddress>,
    /// Values that templates and policies may use.
    #[serde(default)]
    pub attributes: Attributes,
}

/// Zero to [`AMOUNT_MAX`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "Money")]
pub struct Price(Money);

impl TryFrom<Money> for Price {
    type Error = String;

    fn try_from(money: Money) -> Result<Self, String> {
        if !(0..=AMOUNT_MAX).contains(&money.amount) {
            return Err(format!("amount must be within 0 to {AMOUNT_MAX} minor units"));
        }
        Ok(Self(money))
    }
}

impl From<Price> for Money {
    fn from(price: Price) -> Self {
        price.0
    }
}

/// Zero to [`STOCK_MAX`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "i64")]
pub struct Stock(i64);

impl TryFrom<i64> for Stock {
    type Error = String;

    fn try_from(pieces: i64) -> Result<Self, String> {
        if !(0..=STOCK_MAX).contains(&pieces) {
            return Err(format!("must be within 0 to {STOCK_MAX}"));
        }
        Ok(Self(pieces))
    }
}

impl From<Stock> for i64 {
    fn from(stock: Stock) -> Self {
        stock.0
    }
}

/// No text.
///
/// # Panics
/// Never: the empty text is valid.
pub fn no_prose() -> Prose {
    Prose::try_from(String::new()).expect("valid")
}

/// No text.
///
/// # Panics
/// Never: the empty text is valid.
pub fn no_line() -> OptionalLine {
    OptionalLine::try_from(String::new()).expect("valid")
}
