//! What the templates see: every value already in the customer's language and zone.

pub(crate) mod order;

use std::borrow::Cow;

use minijinja::value::Value;
use serde::Serialize;

use crate::Config;
use crate::config::FooterLink;
use crate::contract::{Account, Link, MergedChange, Notification, Product, Subject};
use crate::format::Writer;
use crate::messages::Language;
use order::{OrderView, new_refunds};

#[derive(Serialize)]
pub(crate) struct View<'a> {
    shop: ShopView<'a>,
    customer: &'a str,
    language: &'a str,
    /// "ltr" or "rtl", and which sides lines begin and end at.
    dir: &'static str,
    start: &'static str,
    end: &'static str,
    t: Value,
    pub(crate) subject: String,
    pub(crate) preheader: String,
    pub(crate) headline: String,
    pub(crate) intro: String,
    pub(crate) action: Option<Action<'a>>,
    /// What the shop says about this change, and why it came about.
    notes: Vec<&'a str>,
    /// When and where, how it is paid, by which numbers.
    facts: Vec<Fact<'a>>,
    /// One of these is there, or none.
    order: Option<OrderView<'a>>,
    product: Option<ProductView<'a>>,
    pub(crate) merged: Option<Merged<'a>>,
    /// schema.org data as JSON, fit for a script element.
    pub(crate) structured_data: Option<Value>,
    preferences_url: Option<&'a str>,
    unsubscribe_url: Option<&'a str>,
    colors: &'a Value,
    logo_url: Option<&'a str>,
    dark_logo_url: Option<&'a str>,
    footer: Option<&'a str>,
    legal: &'a [String],
    links: &'a [FooterLink],
}

#[derive(Serialize)]
struct ShopView<'a> {
    name: &'a str,
    url: Option<&'a str>,
    support_email: &'a str,
}

/// What to follow.
#[derive(Serialize)]
pub(crate) struct Action<'a> {
    label: String,
    url: &'a str,
    /// A sentence that says until when it works.
    until: Option<String>,
}

/// Earlier changes that have no mail of their own.
#[derive(Serialize)]
pub(crate) struct Merged<'a> {
    title: String,
    pub(crate) changes: Vec<Change<'a>>,
}

#[derive(Serialize)]
pub(crate) struct Change<'a> {
    on: String,
    pub(crate) headline: String,
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct Fact<'a> {
    label: &'a str,
    value: Cow<'a, str>,
}

#[derive(Serialize)]
struct ProductView<'a> {
    name: &'a str,
    url: Option<&'a str>,
    image_url: Option<&'a str>,
}

/// How one mail is written.
#[derive(Clone, Copy)]
pub(crate) struct Style<'a> {
    pub(crate) config: &'a Config,
    pub(crate) tag: &'a str,
    pub(crate) is_right_to_left: bool,
    pub(crate) language: &'a Language,
    pub(crate) labels: &'a Labels,
    pub(crate) writer: Writer<'a>,
    pub(crate) colors: &'a Value,
}

impl<'a> Style<'a> {
    /// A value that stands in a text: it must not turn the words around it (Unicode Bidirectional Algorithm, isolates).
    pub(crate) fn isolated(self, value: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let value = value.into();
        if self.is_right_to_left && !value.is_empty() {
            return Cow::Owned(format!("\u{2068}{value}\u{2069}"));
        }
        value
    }
}

/// The labels of a language, for us and for templates.
pub(crate) struct Labels {
    pub(crate) by_name: std::collections::BTreeMap<&'static str, String>,
    pub(crate) value: Value,
}

impl Labels {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.by_name.get(name).map_or("", String::as_str)
    }
}

impl<'a> View<'a> {
    /// The texts are still empty: they are of the language.
    pub(crate) fn new(n: &'a Notification, style: Style<'a>, action: Option<&str>) -> Self {
        let Style { config, tag, is_right_to_left, labels, .. } = style;
        let (order, product) = match &n.subject {
            Subject::Order(order) => (Some(OrderView::new(order, style)), None),
            Subject::Product(product) => (None, Some(ProductView::new(product))),
            Subject::Account(_) | Subject::Other(_) => (None, None),
        };
        let (start, end) = if is_right_to_left { ("right", "left") } else { ("left", "right") };
        let locale = n.customer.locale.as_str();
        Self {
            shop: ShopView { name: shop(n, config), url: web(&n.shop.url), support_email: &n.shop.support_email },
            customer: &n.customer.name,
            language: tag,
            dir: if is_right_to_left { "rtl" } else { "ltr" },
            start,
            end,
            t: labels.value.clone(),
            subject: String::new(),
            preheader: String::new(),
            headline: String::new(),
            intro: String::new(),
            action: self::action(n, style, action),
            notes: notes(n),
            facts: facts(n, style),
            order,
            product,
            merged: merged(n, style),
            structured_data: None,
            preferences_url: n.preferences_url.as_deref().and_then(web),
            unsubscribe_url: n.unsubscribe_url.as_deref().and_then(web),
            colors: style.colors,
            logo_url: config.logo_url.as_deref(),
            dark_logo_url: config.dark_logo_url.as_deref(),
            footer: config.of_footer(locale, |own| own.line.as_deref()).or(config.footer.as_deref()),
            legal: config.of_footer(locale, |own| own.legal.as_deref()).or(config.legal.as_deref()).unwrap_or_default(),
            links: config.of_footer(locale, |own| own.links.as_deref()).or(config.links.as_deref()).unwrap_or_default(),
        }
    }
}

/// What the mail calls the shop.
pub(crate) fn shop<'a>(n: &'a Notification, config: &'a Config) -> &'a str {
    config.shop_name.as_deref().unwrap_or(&n.shop.name)
}

/// What the mail asks the customer to follow: what its kind is about, or else the parcel, or the order's page.
fn action<'a>(n: &'a Notification, style: Style<'a>, label: Option<&str>) -> Option<Action<'a>> {
    let or = |name: &str| label.unwrap_or_else(|| style.labels.get(name)).to_owned();
    let to = |name: &str, link: &'a Link| {
        let until = link.expires_at.as_ref().map(|at| style.writer.date_and_time(at));
        let until = until.map(|date| style.language.around("until", "date", style.isolated(date)));
        Some(Action { label: or(name), url: web(&link.url)?, until })
    };
    match &n.subject {
        Subject::Order(order) => {
            let pay = || order.payment.link.as_ref().and_then(|link| to("pay", link));
            let asked = match n.kind.as_str() {
                "order.payment-failed" => pay(),
                // What is left of it, if something is.
                "order.payment-received" | "order.noted" => order.payment.due.as_ref().and_then(|_| pay()),
                "order.invoiced" => order.invoice.as_ref().and_then(|bill| to("continue", bill.link.as_ref()?)),
                _ => None,
            };
            let mut new = order.shipments.iter().filter(|shipment| shipment.since_version == order.version);
            let parcel = new.find_map(|shipment| shipment.tracking_url.as_deref().and_then(web));
            let page = order.url.as_deref().and_then(web);
            let open = |url, name: &str| Action { label: or(name), url, until: None };
            asked.or_else(|| parcel.map(|url| open(url, "track"))).or_else(|| page.map(|url| open(url, "open_order")))
        }
        Subject::Account(account) => account.link.as_ref().and_then(|link| to("continue", link)),
        Subject::Product(product) => {
            Some(Action { label: or("continue"), url: product.url.as_deref().and_then(web)?, until: None })
        }
        Subject::Other(_) => None,
    }
}

fn notes(n: &Notification) -> Vec<&str> {
    let Subject::Order(order) = &n.subject else { return Vec::new() };
    let why = match n.kind.as_str() {
        "order.cancelled" => order.cancel_reason.as_deref(),
        "order.payment-failed" => order.payment.failure.as_deref(),
        _ => None,
    };
    let refunds = new_refunds(order).map(|refund| refund.reason.as_str());
    why.into_iter().chain(refunds).chain(order.note.as_deref()).filter(|note| !note.is_empty()).collect()
}

fn facts<'a>(n: &'a Notification, style: Style<'a>) -> Vec<Fact<'a>> {
    let Style { labels, writer, .. } = style;
    let mut facts = Vec::new();
    let mut say = |name: &str, value: Cow<'a, str>| {
        if !value.is_empty() {
            facts.push(Fact { label: labels.get(name), value: style.isolated(value) });
        }
    };
    match &n.subject {
        Subject::Order(order) => {
            say("payment", order.payment.method.as_str().into());
            if let Some(invoice) = &order.invoice {
                say("invoice", format!("{}, {}", invoice.number, writer.date(&invoice.issued_at)).into());
                say("our_vat_id", invoice.seller_vat_id.as_str().into());
                say("your_vat_id", invoice.buyer_vat_id.as_str().into());
            }
        }
        Subject::Account(Account { attributes, .. }) => {
            say("when", writer.date_and_time(&n.occurred_at).into());
            let from = attributes.iter().find(|(name, _)| name == "address");
            say("from_where", from.map_or("", |(_, address)| address).into());
        }
        Subject::Product(_) | Subject::Other(_) => {}
    }
    facts
}

fn merged<'a>(n: &'a Notification, style: Style<'a>) -> Option<Merged<'a>> {
    let change = |change: &'a MergedChange| Change {
        on: style.writer.date(&change.occurred_at),
        headline: String::new(),
        note: change.note.as_deref(),
    };
    (!n.merged.is_empty()).then(|| Merged {
        title: style.language.around("merged", "count", n.merged.len()),
        changes: n.merged.iter().map(change).collect(),
    })
}

impl<'a> ProductView<'a> {
    fn new(product: &'a Product) -> Self {
        let web = |url: &'a Option<String>| url.as_deref().and_then(web);
        Self { name: &product.name, url: web(&product.url), image_url: web(&product.image_url) }
    }
}

/// Only web addresses become links: escaping does not defuse `javascript:`.
pub(crate) fn web(url: &str) -> Option<&str> {
    (url.starts_with("https://") || url.starts_with("http://")).then_some(url)
}
