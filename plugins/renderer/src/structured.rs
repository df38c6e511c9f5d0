//! An order as data (schema.org, JSON-LD 1.1): mail programs make cards of it, which say where the parcel is.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::contract::{self, LinePart, Money, OrderStatus};
use crate::view::web;

/// The most lines of an order that are told, and the most pieces of a parcel: a card shows fewer.
const LINES_MAX: usize = 25;
/// The most parcels, the newest first: what is of interest is still on its way.
const PARCELS_MAX: usize = 5;

/// The order of a mail, and its parcels, as a script element holds them. `placed_at` is in UTC (RFC 3339).
pub(crate) fn of(n: &contract::Notification, order: &contract::Order, shop: &str, placed_at: &str) -> String {
    let data = Thing::Order(Box::new(Placed {
        context: CONTEXT,
        merchant: Thing::Organization { name: shop },
        order_number: &order.number,
        order_status: status(&order.status),
        order_date: placed_at,
        price_currency: &order.total.currency,
        price: decimal(&order.total),
        accepted_offer: order.lines.iter().take(LINES_MAX).map(offer).collect(),
        customer: Thing::Person { name: &n.customer.name },
        url: order.url.as_deref().and_then(web),
        billing_address: order.bill_to.as_ref().map(address),
    }));
    let parcels = order.shipments.iter().rev().take(PARCELS_MAX).map(|shipment| parcel(order, shop, shipment));
    let all: Vec<Thing<'_>> = std::iter::once(data).chain(parcels).collect();
    let mut text = Vec::with_capacity(2_048);
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, InScript(CompactFormatter));
    // Neither a map with keys that are no texts nor a writer that fails is there.
    all.serialize(&mut serializer).expect("texts and numbers are JSON");
    String::from_utf8(text).expect("JSON is UTF-8")
}

const CONTEXT: &str = "http://schema.org";

/// What schema.org has a name for.
#[derive(Serialize)]
#[serde(tag = "@type")]
enum Thing<'a> {
    Organization {
        name: &'a str,
    },
    Person {
        name: &'a str,
    },
    Order(Box<Placed<'a>>),
    #[serde(rename = "Order")]
    OrderOf {
        #[serde(rename = "orderNumber")]
        number: &'a str,
        merchant: Box<Thing<'a>>,
    },
    ParcelDelivery(Box<Parcel<'a>>),
    Product {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        sku: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        image: Option<&'a str>,
    },
    #[serde(rename_all = "camelCase")]
    Offer {
        item_offered: Box<Thing<'a>>,
        price: String,
        price_currency: &'a str,
        eligible_quantity: Box<Thing<'a>>,
    },
    QuantitativeValue {
        value: u32,
    },
    #[serde(rename_all = "camelCase")]
    PostalAddress {
        name: &'a str,
        street_address: String,
        address_locality: &'a str,
        address_region: &'a str,
        postal_code: &'a str,
        address_country: &'a str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Placed<'a> {
    #[serde(rename = "@context")]
    context: &'static str,
    merchant: Thing<'a>,
    order_number: &'a str,
    order_status: &'static str,
    order_date: &'a str,
    price_currency: &'a str,
    price: String,
    accepted_offer: Vec<Thing<'a>>,
    customer: Thing<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_address: Option<Thing<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Parcel<'a> {
    #[serde(rename = "@context")]
    context: &'static str,
    carrier: Thing<'a>,
    item_shipped: Vec<Thing<'a>>,
    part_of_order: Thing<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    tracking_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_address: Option<Thing<'a>>,
}

/// Those of schema.org/OrderStatus.
fn status(status: &OrderStatus) -> &'static str {
    match status {
        OrderStatus::Shipped => "http://schema.org/OrderInTransit",
        OrderStatus::Delivered => "http://schema.org/OrderDelivered",
        OrderStatus::Cancelled => "http://schema.org/OrderCancelled",
        OrderStatus::Pending | OrderStatus::PartlyShipped | OrderStatus::Other(_) => {
            "http://schema.org/OrderProcessing"
        }
    }
}

fn offer(line: &contract::Line) -> Thing<'_> {
    Thing::Offer {
        item_offered: Box::new(Thing::Product {
            name: &line.name,
            sku: Some(&line.sku),
            url: line.url.as_deref().and_then(web),
            image: line.image_url.as_deref().and_then(web),
        }),
        price: decimal(&line.unit_price),
        price_currency: &line.unit_price.currency,
        eligible_quantity: Box::new(Thing::QuantitativeValue { value: line.quantity }),
    }
}

fn parcel<'a>(order: &'a contract::Order, shop: &'a str, shipment: &'a contract::Shipment) -> Thing<'a> {
    let item = |line: &'a contract::Line| Thing::Product { name: &line.name, sku: None, url: None, image: None };
    let part = |part: &LinePart| order.lines.iter().find(|line| line.number == part.line_number).map(item);
    let item_shipped = if shipment.parts.is_empty() {
        order.lines.iter().take(1).map(item).collect()
    } else {
        shipment.parts.iter().take(LINES_MAX).filter_map(part).collect()
    };
    Thing::ParcelDelivery(Box::new(Parcel {
        context: CONTEXT,
        carrier: Thing::Organization { name: &shipment.carrier },
        item_shipped,
        part_of_order: Thing::OrderOf { number: &order.number, merchant: Box::new(Thing::Organization { name: shop }) },
        tracking_number: &shipment.tracking_number,
        tracking_url: shipment.tracking_url.as_deref().and_then(web),
        delivery_address: order.ship_to.as_ref().map(address),
    }))
}

fn address(address: &contract::Address) -> Thing<'_> {
    Thing::PostalAddress {
        name: &address.name,
        street_address: address.lines.join(", "),
        address_locality: &address.city,
        address_region: &address.region,
        postal_code: &address.postal_code,
        address_country: &address.country,
    }
}

/// "19.99": with a point, whatever the language.
fn decimal(money: &Money) -> String {
    let decimals = usize::from(money.exponent);
    let digits = format!("{:0>1$}", money.amount.unsigned_abs(), decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    let sign = if money.amount < 0 { "-" } else { "" };
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

/// JSON of which nothing ends a script element or begins a comment in it (HTML Living Standard, 4.12.1.3), and nothing is
/// taken for a character reference by programs that do not know that there is none.
struct InScript(CompactFormatter);

impl Formatter for InScript {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '&']) {
            self.0.write_string_fragment(writer, &rest[..at])?;
            writer.write_all(if rest[at..].starts_with('<') { b"\\u003c" } else { b"\\u0026" })?;
            rest = &rest[at + 1..];
        }
        self.0.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;
    use crate::contract::Money;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        let of = |amount, exponent| decimal(&Money { amount, currency: "XXX".to_owned(), exponent });
        assert_eq!([of(1999, 2), of(5, 2), of(0, 2), of(-5, 2)], ["19.99", "0.05", "0.00", "-0.05"]);
        assert_eq!([of(1999, 0), of(1, 3), of(i64::MIN, 0)], ["1999", "0.001", "-9223372036854775808"]);
    }
}
