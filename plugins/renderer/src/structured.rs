//! An order as data (schema.org, JSON-LD 1.1): mail programs make cards of it, which say where the parcel is.

use serde_json::{Value, json};

use crate::contract::{Address, Line, Money, Notification, Order, OrderStatus, Shipment};
use crate::format::Writer;
use crate::view::web;

/// The most parcels, the newest first: what is of interest is still on its way.
const PARCELS_MAX: usize = 5;

/// The order of a mail, and its parcels, as a script element holds them.
pub(crate) fn of(n: &Notification, order: &Order, lines_max: usize, writer: Writer<'_>) -> String {
    let mut data = json!({
        "@context": "http://schema.org",
        "@type": "Order",
        "merchant": { "@type": "Organization", "name": n.shop.name },
        "orderNumber": order.number,
        "orderStatus": status(&order.status),
        "orderDate": writer.formats.utc(&order.placed_at),
        "priceCurrency": order.total.currency,
        "price": decimal(&order.total),
        "acceptedOffer": order.lines.iter().take(lines_max).map(offer).collect::<Vec<_>>(),
        "customer": { "@type": "Person", "name": n.customer.name },
    });
    if let Some(url) = order.url.as_deref().and_then(web) {
        data["url"] = json!(url);
    }
    if let Some(to) = &order.bill_to {
        data["billingAddress"] = address(to);
    }
    let parcels = order.shipments.iter().rev().take(PARCELS_MAX).map(|shipment| parcel(n, order, shipment, lines_max));
    let all: Vec<Value> = std::iter::once(data).chain(parcels).collect();
    let text = if let [one] = &all[..] { one.to_string() } else { Value::Array(all).to_string() };
    // Nothing of it may end the script element or begin a comment in it (HTML Living Standard, 4.12.1.3), nor be taken for a
    // character reference by programs that do not know that there is none.
    text.replace('<', "\\u003c").replace('&', "\\u0026")
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

fn offer(line: &Line) -> Value {
    let mut item = json!({ "@type": "Product", "name": line.name, "sku": line.sku });
    for (key, url) in [("url", &line.url), ("image", &line.image_url)] {
        if let Some(url) = url.as_deref().and_then(web) {
            item[key] = json!(url);
        }
    }
    json!({
        "@type": "Offer",
        "itemOffered": item,
        "price": decimal(&line.unit_price),
        "priceCurrency": line.unit_price.currency,
        "eligibleQuantity": { "@type": "QuantitativeValue", "value": line.quantity },
    })
}

fn parcel(n: &Notification, order: &Order, shipment: &Shipment, lines_max: usize) -> Value {
    let name = |part: &crate::contract::LinePart| {
        let line = order.lines.iter().find(|line| line.number == part.line_number)?;
        Some(json!({ "@type": "Product", "name": line.name }))
    };
    let items: Vec<Value> = if shipment.parts.is_empty() {
        order.lines.iter().take(1).map(|line| json!({ "@type": "Product", "name": line.name })).collect()
    } else {
        shipment.parts.iter().take(lines_max).filter_map(name).collect()
    };
    let mut data = json!({
        "@context": "http://schema.org",
        "@type": "ParcelDelivery",
        "carrier": { "@type": "Organization", "name": shipment.carrier },
        "itemShipped": items,
        "partOfOrder": {
            "@type": "Order",
            "orderNumber": order.number,
            "merchant": { "@type": "Organization", "name": n.shop.name },
        },
    });
    if !shipment.tracking_number.is_empty() {
        data["trackingNumber"] = json!(shipment.tracking_number);
    }
    if let Some(url) = shipment.tracking_url.as_deref().and_then(web) {
        data["trackingUrl"] = json!(url);
    }
    if let Some(to) = &order.ship_to {
        data["deliveryAddress"] = address(to);
    }
    data
}

fn address(address: &Address) -> Value {
    json!({
        "@type": "PostalAddress",
        "name": address.name,
        "streetAddress": address.lines.join(", "),
        "addressLocality": address.city,
        "addressRegion": address.region,
        "postalCode": address.postal_code,
        "addressCountry": address.country,
    })
}

/// "19.99": with a point, whatever the language.
fn decimal(money: &Money) -> String {
    let decimals = usize::from(money.exponent);
    let digits = format!("{:0>1$}", money.amount.unsigned_abs(), decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    let sign = if money.amount < 0 { "-" } else { "" };
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
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
