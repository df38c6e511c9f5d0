//! What a notification can be about: the contract's `subject`, as it is stored and as a preview is given it. What the shop
//! does not say is left out of the JSON.

mod from_shop;
pub mod order;

use serde::{Deserialize, Serialize};

pub use order::Order;

use crate::money::Money;
use crate::shop::Attributes;
use crate::shop::text::{Email, Line, Sku, WebAddress};

/// What a notification is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An order, as it stood right after the change.
    Order(Box<Order>),
    /// The customer's account.
    Account(Box<Account>),
    /// A product that the customer asked about.
    Product(Box<Product>),
    /// Something that this version does not know, by its name.
    Other(String),
}

/// A link for one purpose and one customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where it leads.
    pub url: WebAddress,
    /// Until when it works, unix milliseconds; none: for ever.
    #[serde(default, with = "crate::clock::rfc3339::option")]
    pub expires_at: Option<i64>,
    /// What the token is bound to that the host puts at the end of the address when it sends the mail; none: the address is
    /// whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<i64>,
}

/// The customer's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The address that this is about.
    pub email: Email,
    /// What to follow.
    #[serde(default)]
    pub link: Option<Link>,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
}

/// A product that the customer asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The product.
    pub id: i64,
    /// Its unit.
    pub sku: Sku,
    /// Its name.
    pub name: Line,
    /// What one piece costs.
    pub price: Money,
    /// Its page.
    #[serde(default)]
    pub url: Option<WebAddress>,
    /// Its picture.
    #[serde(default)]
    pub image_url: Option<WebAddress>,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
}
