//! What can be bought.

use serde::{Deserialize, Serialize};

use super::Attributes;
use super::text::{Line, OptionalLine, Prose, Sku, WebAddress};
use crate::money::{AMOUNT_MAX, Money};

/// The most pieces that can be in stock.
pub const STOCK_MAX: i64 = 1_000_000_000;

/// Something for sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
    /// What one piece costs: without the tax, unless `pricing.prices_include_tax` is set.
    pub price: Money,
    /// Pieces that can be ordered.
    pub stock: i64,
    /// The product's page.
    pub url: Option<WebAddress>,
    /// A picture.
    pub image: Option<WebAddress>,
    /// Values that templates and policies may use.
    pub attributes: Attributes,
    /// Raised by every change, also of the stock by orders.
    pub version: i64,
    /// When it was taken out of the shop.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub archived_at: Option<i64>,
    /// When it came into the shop.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// The last change.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: i64,
}

impl From<Product> for NewProduct {
    fn from(product: Product) -> Self {
        let Product {
            id: _,
            sku,
            name,
            description,
            category,
            price,
            stock,
            url,
            image,
            attributes,
            version: _,
            archived_at: _,
            created_at: _,
            updated_at: _,
        } = product;
        Self { sku, name, description, category, price: Price(price), stock: Stock(stock), url, image, attributes }
    }
}

/// Which products, in which order.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ProductFilter {
    /// Words of the name, the sku or the description, in any case.
    pub search: Option<Line>,
    /// Of this category.
    pub category: Option<Line>,
    /// From this price on, in minor units.
    pub price_min: Option<i64>,
    /// Up to this price, in minor units.
    pub price_max: Option<i64>,
    /// Archived ones too; for admins.
    #[serde(default)]
    pub archived: bool,
    /// In which order.
    #[serde(default)]
    pub sort: ProductSort,
}

/// In which order products are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum ProductSort {
    /// By age.
    #[default]
    #[serde(rename = "created_at")]
    Oldest,
    /// By age, the youngest first.
    #[serde(rename = "-created_at")]
    Newest,
    /// By price.
    #[serde(rename = "price")]
    Cheapest,
    /// By price, the highest first.
    #[serde(rename = "-price")]
    Dearest,
    /// By name.
    #[serde(rename = "name")]
    Name,
}

/// A product to be created.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
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
    #[serde(default)]
    pub category: OptionalLine,
    /// What one piece costs: without the tax, unless `pricing.prices_include_tax` is set.
    pub price: Price,
    /// Pieces that can be ordered.
    #[schema(value_type = i64, minimum = 0, maximum = 1_000_000_000)]
    #[serde(deserialize_with = "crate::money::whole")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Money", into = "Money")]
pub struct Price(Money);

impl utoipa::PartialSchema for Price {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
        let amount = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(AMOUNT_MAX));
        ObjectBuilder::new()
            .description(Some("An amount that something may cost."))
            .property("amount", amount.description(Some("Minor units.")))
            .required("amount")
            .property("currency", utoipa::openapi::Ref::from_schema_name("Currency"))
            .required("currency")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .into()
    }
}

impl utoipa::ToSchema for Price {}

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
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
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
