//! What the gate tries a component on: every status, and values that are legal and unexpected or hostile.

use std::sync::Arc;

use crate::notification::report::{ReportKind, Reported};
use crate::notification::subject::Subject;
use crate::notification::{
    Category, Channel, Class, Customer, Failure, Notification, OrderStatus, Payload, Relay, Situation,
};
use crate::shop::order::{Order, Status};
use crate::shop::{Attributes, Shop};

/// The order number that only fixtures carry.
pub(crate) const ORDER_ID: i64 = 4_242_424_242;

const MESSAGE_ID: &str = "00000000-0000-4000-8000-000000000000@shop.example";

macro_rules! events {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../plugins/events/", $name, ".json")))),*]
    };
}

/// One for each mail that a shop sends: the samples of `plugins/events`.
pub(crate) const EVENTS: [(&str, &str); 21] = events! {
    "order-placed" "order-partly-shipped" "order-shipped" "order-delivered" "order-cancelled" "order-refunded"
    "order-payment-received" "order-payment-failed" "order-invoiced" "order-gift" "order-noted" "order-discounted" "order-tax-included"
    "order-digest" "account-verify-email" "account-reset-password" "account-password-changed" "account-email-changed"
    "account-new-log-in" "account-closed" "product-back-in-stock"
};

/// A named event.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) notification: Arc<Notification>,
}

/// Which event, in which language and place.
#[derive(Clone, Copy)]
struct Case {
    status: Status,
    name: &'static str,
    locale: &'static str,
    time_zone: &'static str,
    currency: &'static str,
    /// RFC 3339.
    at: &'static str,
    lines: usize,
    /// Discount and tax, in minor units.
    extras: (i64, i64),
    /// Whatever may be left out is.
    is_bare: bool,
}

const PLAIN: Case = Case {
    status: Status::Pending,
    name: "Ada Lovelace",
    locale: "en",
    time_zone: "Europe/London",
    currency: "USD",
    at: "2026-01-09T23:12:40Z",
    lines: 5,
    extras: (0, 0),
    is_bare: false,
};

/// Events of each status, and such as a component may not expect: hostile text, scripts that run from right to left,
/// currencies of no and of three decimals, days that begin elsewhere, much and little.
pub(crate) fn all() -> Vec<Fixture> {
    let of = |name: &str, case: Case| Fixture { name: name.to_owned(), notification: Arc::new(case.event()) };
    let mut fixtures: Vec<Fixture> = EVENTS.iter().map(|(name, payload)| sample(name, payload)).collect();
    fixtures.extend(Status::ALL.into_iter().map(|status| of(&status.to_string(), Case { status, ..PLAIN })));
    fixtures.extend(later());
    let hostile = "<script>alert(1)</script> \"{{ 7 * 7 }}\" \u{202e}مرحبا 🙂";
    let shipped = Status::Shipped;
    fixtures.extend([
        of("hostile text", Case { name: hostile, locale: "de-AT", lines: 1, ..PLAIN }),
        of("unknown language, 100 lines", Case { status: shipped, name: "Ada", locale: "tlh", lines: 100, ..PLAIN }),
        of("right to left", Case { name: "عائشة بنت أبي بكر", locale: "ar", time_zone: "Asia/Riyadh", ..PLAIN }),
        of("emoji in a name", Case { name: "Zoë 👩\u{200d}💻 e\u{301}", status: Status::Delivered, ..PLAIN }),
        of("yen, no decimals", Case { currency: "JPY", locale: "ja", time_zone: "Asia/Tokyo", ..PLAIN }),
        of("dinar, three decimals", Case { currency: "KWD", extras: (1, 500), ..PLAIN }),
        of("discount and tax", Case { extras: (1_500, 2_345), ..PLAIN }),
        of("nothing that is optional", Case { is_bare: true, lines: 1, status: shipped, ..PLAIN }),
        of("another day there", Case { time_zone: "Pacific/Kiritimati", at: "2026-12-31T23:59:59Z", ..PLAIN }),
        of("clocks go forward", Case { time_zone: "America/New_York", at: "2026-03-08T07:00:00Z", ..PLAIN }),
        of("clocks go back", Case { time_zone: "Europe/Vienna", at: "2026-10-25T00:30:00Z", ..PLAIN }),
    ]);
    fixtures
}

impl Case {
    /// An event that nobody caused.
    ///
    /// # Panics
    /// Never: the JSON is ours.
    fn event(self) -> Notification {
        let customer = serde_json::json!({
            "id": 1, "name": self.name, "email": "ada@example.com", "locale": self.locale, "time_zone": self.time_zone,
            "attributes": {},
        });
        let customer: Customer = serde_json::from_value(customer).expect("the fixture is a customer");
        let shop = Shop {
            name: "Fixture & Sons".to_owned(),
            url: "https://shop.example".to_owned(),
            support_email: "help@shop.example".to_owned(),
            order_url: None,
            attributes: Attributes::default(),
        };
        let previous = (self.status != Status::Pending).then_some(Status::Pending);
        Notification {
            id: 1,
            message_id: MESSAGE_ID.to_owned(),
            payload: Payload::of_change(self.status.into(), &self.order(), previous, customer, &shop),
        }
    }

    fn order(self) -> Order {
        let Self { status, name, currency, at, lines, extras: (discount, tax), is_bare, .. } = self;
        let money = |amount: i64| serde_json::json!({ "amount": amount, "currency": currency });
        let line = |i: usize| {
            let url = (!is_bare).then(|| format!("https://shop.example/p/{i}"));
            serde_json::json!({
                "product_id": i, "sku": format!("SKU-{i}"),
                "name": format!("{name} no. {i}").chars().take(200).collect::<String>(),
                "quantity": 2, "open_quantity": 2, "unit_price": money(1_999), "total": money(3_998), "url": url, "image": null,
                "attributes": {},
            })
        };
        let amount = 3_998 * i64::try_from(lines).unwrap_or_default();
        let address = serde_json::json!({
            "name": name, "lines": ["12 St James's Square"], "city": "London", "postal_code": "SW1Y 4JH", "country": "GB",
        });
        let is_sent = matches!(status, Status::PartlyShipped | Status::Shipped | Status::Delivered);
        let tracking = match (is_sent, is_bare) {
            (false, _) => serde_json::json!([]),
            (true, true) => serde_json::json!([{ "carrier": "Post", "number": "1", "url": null }]),
            (true, false) => {
                let since = if status == Status::Delivered { 1 } else { 2 };
                let (number, url) = ("RR123456785AT", "https://post.example/t");
                serde_json::json!([{ "since_version": since, "carrier": "Post", "number": number, "url": url }])
            }
        };
        let order = serde_json::json!({
            "id": ORDER_ID, "user_id": 1, "version": 2, "status": status,
            "lines": (1..=lines).map(line).collect::<Vec<_>>(),
            "subtotal": money(amount), "discount": money(discount), "tax": money(tax),
            "shipping": money(if is_bare { 0 } else { 499 }),
            "total": money(amount - discount + tax + if is_bare { 0 } else { 499 }),
            "payment_method": if is_bare { "" } else { "card" },
            "ship_to": (!is_bare).then_some(address), "bill_to": null, "tracking": tracking,
            "attributes": if is_bare { serde_json::json!({}) } else { serde_json::json!({ "gift": "yes" }) },
            "placed_at": at, "updated_at": at,
        });
        let mut order: Order = serde_json::from_value(order).expect("the fixture is an order");
        order.settle_pieces();
        if let (Status::PartlyShipped, Some(line)) = (status, order.lines.first_mut()) {
            (line.shipped_quantity, line.open_quantity) = (1, 1);
        }
        order
    }
}

/// An event of the samples.
///
/// # Panics
/// Never: a test reads them all.
fn sample(name: &str, payload: &str) -> Fixture {
    let payload = Payload::read(payload).expect("the sample is a payload");
    let notification = Notification { id: 1, message_id: MESSAGE_ID.to_owned(), payload };
    Fixture { name: name.to_owned(), notification: Arc::new(notification) }
}

/// What a later contract may know.
fn later() -> [Fixture; 2] {
    let of = |name: &str, change: fn(&mut Payload)| {
        let mut notification = PLAIN.event();
        change(&mut notification.payload);
        Fixture { name: name.to_owned(), notification: Arc::new(notification) }
    };
    let status = |payload: &mut Payload| {
        "order.returned".clone_into(&mut payload.kind);
        if let Subject::Order(order) = &mut payload.subject {
            order.status = OrderStatus::Other("returned".to_owned());
        }
    };
    let subject = |payload: &mut Payload| {
        "cart.abandoned".clone_into(&mut payload.kind);
        (payload.category, payload.subject) =
            (Category::Other("reminder".to_owned()), Subject::Other("cart".to_owned()));
    };
    [of("a status of a later contract", status), of("a subject of a later contract", subject)]
}

/// A situation, as it is before the first attempt.
pub(crate) fn situation(relays: &[String]) -> Situation {
    let relay = |name: &String| Relay { name: name.clone(), available: true };
    Situation {
        now: 1_768_000_400_000,
        seed: 42,
        attempts: 0,
        attempts_max: 25,
        queued_at: 1_768_000_360_000,
        first_failed_at: None,
        age_max_ms: 259_200_000,
        history: Vec::new(),
        relays: relays.iter().map(relay).collect(),
        domain_throttled_at: None,
        suppressed: None,
        channel: Channel::Mail,
        named_relay: None,
        newest_status: Some(OrderStatus::Pending),
        queued: Vec::new(),
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
        failure(Class::Throttled, "greeting", Some(421), Some("4.7.0")),
        failure(Class::Greylisted, "rcpt", Some(450), Some("4.7.1")),
    ]
}

/// A report of each kind that a policy is asked about.
pub(crate) fn reports() -> Vec<Reported> {
    let report = |kind, enhanced: Option<&str>| Reported {
        at: 1_768_000_400_000,
        kind,
        enhanced: enhanced.map(str::to_owned),
        words: "as the fixture says".to_owned(),
        reporter: "mx.example".to_owned(),
        relay: "default".to_owned(),
        sent_at: 1_768_000_360_000,
    };
    vec![
        report(ReportKind::Delayed, Some("4.4.1")),
        report(ReportKind::Bounced, Some("5.1.1")),
        report(ReportKind::Bounced, Some("5.2.2")),
        report(ReportKind::Bounced, Some("5.7.1")),
        report(ReportKind::Complained, None),
        report(ReportKind::Answered, None),
        report(ReportKind::Other, None),
    ]
}
