//! What hosts stored before a notification had a subject: the shop's order as it was. Such rows may still be queued.

use serde::Deserialize;

use super::payload::{Category, Customer, Payload};
use super::subject::{Order, Subject};
use crate::shop::{Attributes, Shop, kept, order};

#[derive(Deserialize)]
struct Earlier {
    kind: String,
    occurred_at: i64,
    shop: Shop,
    customer: Customer,
    order: order::Order,
    previous: Option<order::Status>,
    #[serde(default)]
    attributes: Attributes,
}

/// Reads it as what would be stored today.
pub(super) fn read(text: &str) -> serde_json::Result<Payload> {
    let Earlier { kind, occurred_at, shop, customer, mut order, previous, attributes } = kept::read(text)?;
    order.lines.iter_mut().for_each(|line| line.open_quantity = line.quantity);
    order.settle_pieces();
    Ok(Payload {
        kind: if kind == "order.pending" { "order.placed".to_owned() } else { kind },
        category: Category::Transactional,
        occurred_at,
        shop,
        customer,
        subject: Subject::Order(Box::new(Order::after_change(&order, previous))),
        merged: Vec::new(),
        unsubscribe_url: None,
        preferences_url: None,
        attributes,
        trace: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::payload::Payload;
    use super::super::subject::order::Status;

    #[test]
    fn what_was_queued_before_is_still_told() {
        let money = r#"{"amount": 1999, "currency": "USD"}"#;
        let text = format!(
            r#"{{"kind": "order.shipped", "occurred_at": 1768000360000, "utc_offset_minutes": 60,
            "shop": {{"name": "Shop", "url": "https://shop.example", "support_email": "help@shop.example"}},
            "customer": {{"id": 7, "name": "Ada", "email": "ada@example.com", "locale": "en", "time_zone": "Europe/Vienna",
                "attributes": {{}}}},
            "order": {{"id": 42, "user_id": 7, "version": 2, "status": "shipped", "lines": [{{"product_id": 1, "sku": "A",
                "name": "Thing", "quantity": 1, "unit_price": {money}, "total": {money}, "url": "http://[", "image": null,
                "attributes": {{}}}}], "subtotal": {money}, "discount": {money}, "tax": {money}, "shipping": {money},
                "total": {money}, "payment_method": "", "ship_to": null, "bill_to": null,
                "tracking": [{{"carrier": "Post", "number": "1"}}], "attributes": {{}},
                "placed_at": "2026-01-09T23:12:40Z", "updated_at": "2026-01-09T23:12:40Z"}},
            "previous": "pending"}}"#
        );
        let payload = Payload::read(&text).expect("readable");
        let order = payload.order().expect("an order");
        assert_eq!((payload.kind.as_str(), payload.occurred_at), ("order.shipped", 1_768_000_360_000));
        assert_eq!((&order.status, order.version, order.lines[0].shipped_quantity), (&Status::Shipped, 2, 1));
        assert_eq!((order.shipments[0].since_version, &order.lines[0].url), (2, &None));
        let again = Payload::read(&serde_json::to_string(&payload).expect("JSON")).expect("readable");
        assert_eq!(again, payload);
    }
}
