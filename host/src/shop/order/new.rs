//! Orders that are to be placed.

use serde::{Deserialize, Serialize};

use super::Address;
use crate::shop::Attributes;
use crate::shop::discount::CODES_MAX;
use crate::shop::text::{DiscountCode, Note, OptionalLine};

/// The most lines an order may have.
pub const LINES_MAX: usize = 100;
/// The most pieces of one product in an order.
pub const QUANTITY_MAX: u32 = 10_000;

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
    /// What the receiver of a present is to read.
    #[serde(default)]
    pub gift_message: Option<Note>,
    /// What the customer has taken off.
    #[serde(default)]
    #[schema(value_type = Vec<DiscountCode>, max_items = 3)]
    pub discount_codes: Codes,
    /// Values that templates and policies may use.
    #[serde(default)]
    pub attributes: Attributes,
}

/// At most [`CODES_MAX`] codes; one that stands there twice is one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<DiscountCode>")]
pub struct Codes(Vec<DiscountCode>);

impl TryFrom<Vec<DiscountCode>> for Codes {
    type Error = String;

    fn try_from(codes: Vec<DiscountCode>) -> Result<Self, String> {
        if codes.len() > CODES_MAX {
            return Err(format!("must hold at most {CODES_MAX} codes"));
        }
        let mut once: Vec<DiscountCode> = Vec::new();
        for code in codes {
            if !once.contains(&code) {
                once.push(code);
            }
        }
        Ok(Self(once))
    }
}

impl Codes {
    /// The codes, as they were given.
    pub fn as_slice(&self) -> &[DiscountCode] {
        &self.0
    }
}

/// 1 to [`LINES_MAX`] items; those of one product are added up.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<Item>")]
pub struct Items(Vec<Item>);

/// So many pieces of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "an item: a product_id with a quantity")]
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

    /// The same.
    pub fn into_inner(self) -> Vec<Item> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, Items};

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
