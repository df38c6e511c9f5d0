//! What the gate tries a component on: every status, and values that are legal and hostile.

use crate::notification::{Class, Customer, Failure, Notification, Payload, Relay, Situation};
use crate::shop::order::{Order, Status};
use crate::shop::{Attributes, Shop};

/// The order number that only fixtures carry.
pub(crate) const ORDER_ID: i64 = 4_242_424_242;

/// A named event.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) notification: Notification,
}

/// One event of each status, one of them with hostile text, one in a language without templates.
pub(crate) fn all() -> Vec<Fixture> {
    let mut fixtures: Vec<Fixture> = Status::ALL
        .into_iter()
        .map(|status| Fixture { name: status.to_string(), notification: notification(status, "Ada Lovelace", "en", 5) })
        .collect();
    let hostile = "<script>alert(1)</script> \"{{ 7 * 7 }}\" \u{202e}مرحبا 🙂";
    fixtures.push(Fixture {
        name: "hostile text".to_owned(),
        notification: notification(Status::Pending, hostile, "de-AT", 1),
    });
    fixtures.push(Fixture {
        name: "unknown language, 100 lines".to_owned(),
        notification: notification(Status::Shipped, "Ada", "tlh", 100),
    });
    fixtures
}

/// An event that nobody caused.
///
/// # Panics
/// Never: the JSON is ours.
pub(crate) fn notification(status: Status, name: &str, locale: &str, lines: usize) -> Notification {
    let money = |amount: i64| serde_json::json!({ "amount": amount, "currency": "USD" });
    let line = |i: usize| {
        serde_json::json!({
            "product_id": i, "sku": format!("SKU-{i}"), "name": format!("{name} no. {i}").chars().take(200).collect::<String>(),
            "quantity": 2, "unit_price": money(1_999), "total": money(3_998),
            "url": format!("https://shop.example/p/{i}"), "image": null, "attributes": {},
        })
    };
    let amount = 3_998 * i64::try_from(lines).unwrap_or_default();
    let shipped = matches!(status, Status::Shipped | Status::Delivered);
    let tracking =
        serde_json::json!([{ "carrier": "Post", "number": "RR123456785AT", "url": "https://post.example/t" }]);
    let order = serde_json::json!({
        "id": ORDER_ID, "user_id": 1, "version": 2, "status": status,
        "lines": (1..=lines).map(line).collect::<Vec<_>>(),
        "subtotal": money(amount), "discount": money(0), "tax": money(0), "shipping": money(499), "total": money(amount + 499),
        "payment_method": "card",
        "ship_to": { "name": name, "lines": ["12 St James's Square"], "city": "London", "postal_code": "SW1Y 4JH", "country": "GB" },
        "bill_to": null, "tracking": if shipped { tracking } else { serde_json::json!([]) },
        "attributes": { "gift": "yes" }, "placed_at": "2026-01-09T23:06:40Z", "updated_at": "2026-01-09T23:12:40Z",
    });
    let order: Order = serde_json::from_value(order).expect("the fixture is an order");
    let customer = serde_json::json!({
        "id": 1, "name": name, "email": "ada@example.com", "locale": locale, "time_zone": "Europe/London", "attributes": {},
    });
    let customer: Customer = serde_json::from_value(customer).expect("the fixture is a customer");
    let shop = Shop {
        name: "Fixture & Sons".to_owned(),
        url: "https://shop.example".to_owned(),
        support_email: "help@shop.example".to_owned(),
        attributes: Attributes::default(),
    };
    let previous = (status != Status::Pending).then_some(Status::Pending);
    Notification {
        id: 1,
        message_id: "00000000-0000-4000-8000-000000000000@shop.example".to_owned(),
        payload: Payload::of_change(&order, previous, customer, &shop),
    }
}

/// A situation, as it is before the first attempt.
pub(crate) fn situation() -> Situation {
    Situation {
        now: 1_768_000_400_000,
        utc_offset_minutes: 0,
        seed: 42,
        attempts: 0,
        attempts_max: 25,
        queued_at: 1_768_000_360_000,
        age_max_ms: 259_200_000,
        history: Vec::new(),
        relays: vec![Relay { name: "default".to_owned(), available: true }],
        newest_status: Status::Pending,
    }
}

/// A failure of each class.
pub(crate) fn failures() -> Vec<Failure> {
    let failure = |class, phase: &str, code, enhanced: Option<&str>| Failure {
        at: 1_768_000_400_000,
        class,
        phase: phase.to_owned(),
        code,
        enhanced: enhanced.map(str::to_owned),
        reply: "as the fixture says".to_owned(),
        relay: "default".to_owned(),
    };
    vec![
        failure(Class::Deferred, "rcpt", Some(451), Some("4.7.1")),
        failure(Class::Rejected, "rcpt", Some(550), Some("5.1.1")),
        failure(Class::NotHandedOver, "connect", None, None),
        failure(Class::InDoubt, "body", None, None),
        failure(Class::RenderFailed, "render", None, None),
    ]
}
