//! What the templates see: every value already in the customer's language and zone.

use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::Config;
use crate::contract::{Address, Line, Money, Notification, OrderStatus, Tracking};
use crate::templates::{ENGLISH, GERMAN};

/// A language that has its own number and date formats.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    English,
    German,
}

/// What is the same in every mail, made once.
pub(crate) struct Fixed {
    /// English, German.
    labels: [Value; 2],
    colors: Value,
}

impl Fixed {
    pub(crate) fn new(config: &Config) -> Self {
        let labels = [ENGLISH, GERMAN].map(|labels| Value::from(Serde(labels)));
        Self { labels, colors: Value::from(Serde(&config.colors)) }
    }
}

#[derive(Serialize)]
pub(crate) struct View<'a> {
    shop: Shop<'a>,
    customer: &'a str,
    t: Value,
    order: Order<'a>,
    colors: Value,
    logo_url: Option<&'a str>,
    footer: Option<&'a str>,
}

#[derive(Serialize)]
struct Shop<'a> {
    name: &'a str,
    url: Option<&'a str>,
    support_email: &'a str,
}

#[derive(Serialize)]
struct Order<'a> {
    number: &'a str,
    status: &'a str,
    placed_on: String,
    lines: Vec<LineView<'a>>,
    subtotal: String,
    /// Absent when zero, like `tax` and `shipping`.
    discount: Option<String>,
    tax: Option<String>,
    shipping: Option<String>,
    total: String,
    payment_method: &'a str,
    ship_to: Option<Vec<String>>,
    tracking: Vec<Parcel<'a>>,
}

#[derive(Serialize)]
struct LineView<'a> {
    name: &'a str,
    sku: &'a str,
    url: Option<&'a str>,
    quantity: u32,
    unit_price: String,
    total: String,
}

#[derive(Serialize)]
struct Parcel<'a> {
    carrier: &'a str,
    number: &'a str,
    url: Option<&'a str>,
}

impl<'a> View<'a> {
    pub(crate) fn new(n: &'a Notification, config: &'a Config, fixed: &Fixed, format: Format) -> Self {
        let order = &n.order;
        let unless_zero = |m: &Money| (m.amount != 0).then(|| money(m, format));
        Self {
            shop: Shop {
                name: config.shop_name.as_deref().unwrap_or(&n.shop.name),
                url: web(&n.shop.url),
                support_email: &n.shop.support_email,
            },
            customer: &n.customer.name,
            t: fixed.labels[usize::from(format == Format::German)].clone(),
            order: Order {
                number: &order.number,
                status: status(&order.status),
                placed_on: date(order.placed_at, n.utc_offset_minutes, format),
                lines: order.lines.iter().map(|l| line(l, format)).collect(),
                subtotal: money(&order.subtotal, format),
                discount: unless_zero(&order.discount),
                tax: unless_zero(&order.tax),
                shipping: unless_zero(&order.shipping),
                total: money(&order.total, format),
                payment_method: &order.payment_method,
                ship_to: order.ship_to.as_ref().map(address),
                tracking: order.tracking.iter().map(parcel).collect(),
            },
            colors: fixed.colors.clone(),
            logo_url: config.logo_url.as_deref(),
            footer: config.footer.as_deref(),
        }
    }
}

pub(crate) fn status(status: &OrderStatus) -> &str {
    match status {
        OrderStatus::Pending => "pending",
        OrderStatus::Shipped => "shipped",
        OrderStatus::Delivered => "delivered",
        OrderStatus::Cancelled => "cancelled",
        OrderStatus::Other(name) => name,
    }
}

fn line(l: &Line, format: Format) -> LineView<'_> {
    LineView {
        name: &l.name,
        sku: &l.sku,
        url: l.url.as_deref().and_then(web),
        quantity: l.quantity,
        unit_price: money(&l.unit_price, format),
        total: money(&l.total, format),
    }
}

fn parcel(t: &Tracking) -> Parcel<'_> {
    Parcel { carrier: &t.carrier, number: &t.number, url: t.url.as_deref().and_then(web) }
}

fn address(a: &Address) -> Vec<String> {
    let town = [a.postal_code.as_str(), a.city.as_str()].join(" ");
    let mut lines = vec![a.name.clone()];
    lines.extend(a.lines.iter().cloned());
    lines.extend([town.trim().to_owned(), a.region.clone(), a.country.clone()]);
    lines.retain(|l| !l.is_empty());
    lines
}

/// Only web addresses become links: escaping does not defuse `javascript:`.
fn web(url: &str) -> Option<&str> {
    (url.starts_with("https://") || url.starts_with("http://")).then_some(url)
}

/// "$1,234.50" or "1.234,50 $": decimals by the currency's exponent, never by floating point.
pub(crate) fn money(m: &Money, format: Format) -> String {
    let digits = m.amount.unsigned_abs().to_string();
    let exponent = usize::from(m.exponent);
    let padded = format!("{digits:0>width$}", width = exponent + 1);
    let (whole, fraction) = padded.split_at(padded.len() - exponent);
    let (group, point) = match format {
        Format::English => (',', '.'),
        Format::German => ('.', ','),
    };
    let mut number = String::with_capacity(padded.len() + 8);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            number.push(group);
        }
        number.push(digit);
    }
    if exponent > 0 {
        number.push(point);
        number.push_str(fraction);
    }
    let sign = if m.amount < 0 { "-" } else { "" };
    let symbol = match m.currency.as_str() {
        "USD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        "JPY" => "¥",
        code => code,
    };
    match format {
        Format::English if symbol.len() == 3 && symbol.is_ascii() => format!("{sign}{symbol} {number}"),
        Format::English => format!("{sign}{symbol}{number}"),
        Format::German => format!("{sign}{number} {symbol}"),
    }
}

const MONTHS: [[&str; 12]; 2] = [
    [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
];

/// The local calendar date; days to civil as in Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn date(unix_ms: u64, utc_offset_minutes: i32, format: Format) -> String {
    let local_ms = i128::from(unix_ms) + i128::from(utc_offset_minutes) * 60_000;
    let days = i64::try_from(local_ms.div_euclid(86_400_000)).unwrap_or_default() + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 2 } else { shifted_month - 10 };
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let names = &MONTHS[usize::from(format == Format::German)];
    let name = names[usize::try_from(month).unwrap_or_default()];
    match format {
        Format::English => format!("{name} {day}, {year}"),
        Format::German => format!("{day}. {name} {year}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Money, date, money};

    #[test]
    fn money_follows_the_exponent() {
        let m = |amount, currency: &str, exponent| Money { amount, currency: currency.to_owned(), exponent };
        assert_eq!(money(&m(1999, "USD", 2), Format::English), "$19.99");
        assert_eq!(money(&m(5, "USD", 2), Format::English), "$0.05");
        assert_eq!(money(&m(123_456_789, "EUR", 2), Format::German), "1.234.567,89 €");
        assert_eq!(money(&m(1_500, "JPY", 0), Format::English), "¥1,500");
        assert_eq!(money(&m(-1_234_567, "KWD", 3), Format::English), "-KWD 1,234.567");
        assert_eq!(money(&m(i64::MIN, "USD", 2), Format::English), "-$92,233,720,368,547,758.08");
    }

    #[test]
    fn dates_are_local() {
        assert_eq!(date(0, 0, Format::English), "January 1, 1970");
        assert_eq!(date(951_782_400_000, 0, Format::German), "29. Februar 2000");
        assert_eq!(date(951_782_400_000, -1, Format::English), "February 28, 2000");
        assert_eq!(date(1_795_300_000_000, 60, Format::English), "November 21, 2026");
    }
}
