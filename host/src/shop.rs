//! What is sold, to whom, and what became of it: pure nouns and rules.

pub mod discount;
pub(crate) mod kept;
pub mod order;
pub mod product;
pub mod text;
pub mod user;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use text::WebAddress;

/// Free key-value pairs beside the typed fields: at most 50, keys of 64 and values of 500 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Attributes(BTreeMap<String, String>);

/// The most pairs that one thing may carry.
pub const ATTRIBUTES_MAX: usize = 50;

impl TryFrom<BTreeMap<String, String>> for Attributes {
    type Error = String;

    fn try_from(map: BTreeMap<String, String>) -> Result<Self, String> {
        if map.len() > ATTRIBUTES_MAX {
            return Err(format!("must hold at most {ATTRIBUTES_MAX} pairs"));
        }
        let fits = |s: &str, max: usize| s.chars().count() <= max && !s.contains('\0');
        match map.iter().find(|(k, v)| k.is_empty() || !fits(k, 64) || !fits(v, 500)) {
            Some((key, _)) => Err(format!("\"{key}\": keys have 1 to 64 characters, values at most 500")),
            None => Ok(Self(map)),
        }
    }
}

impl utoipa::PartialSchema for Attributes {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        let value = ObjectBuilder::new().schema_type(Type::String).max_length(Some(500)).pattern(Some(r"^[^\u0000]*$"));
        let key = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(64));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some(
                "Free key-value pairs, at most 50: keys of 1 to 64 and values of at most 500 characters.",
            ))
            .property_names(Some(key.pattern(Some(r"^[^\u0000]+$")).build()))
            .additional_properties(Some(value))
            .max_properties(Some(ATTRIBUTES_MAX))
            .into()
    }
}

impl utoipa::ToSchema for Attributes {}

impl Attributes {
    /// The pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    /// The pairs, given away.
    pub fn into_inner(self) -> BTreeMap<String, String> {
        self.0
    }
}

/// The seller, as its mails name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shop {
    /// The shop's name.
    pub name: String,
    /// Its web address.
    pub url: String,
    /// Where customers write to.
    pub support_email: String,
    /// The page of an order; mails about it link there.
    #[serde(default, skip_serializing)]
    pub order_url: Option<OrderPage>,
    /// Values that templates may use.
    #[serde(default)]
    pub attributes: Attributes,
}

/// The address of an order's page, a web address with `{number}` where the order's number stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OrderPage(String);

const NUMBER: &str = "{number}";

impl TryFrom<String> for OrderPage {
    type Error = String;

    fn try_from(address: String) -> Result<Self, String> {
        let page = Self(address);
        if page.0.contains(NUMBER) && page.of("1").is_some() {
            return Ok(page);
        }
        Err(format!("\"{}\" is no web address with {NUMBER} where an order's number stands", page.0))
    }
}

impl OrderPage {
    /// The page of the order of this number; none where the number makes no address of it.
    pub fn of(&self, number: &str) -> Option<WebAddress> {
        WebAddress::try_from(self.0.replace(NUMBER, number)).ok()
    }
}
