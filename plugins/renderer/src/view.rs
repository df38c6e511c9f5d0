//! What the templates see: every value already in the customer's language and zone.

use minijinja::value::Value;
use serde::Serialize;

use crate::Config;
use crate::contract::{
    Account, Address, Invoice, Line, LinePart, Link, Notification, Order, OrderStatus, Product, Refund, Shipment,
    Subject,
};
use crate::format::Writer;

#[derive(Serialize)]
pub(crate) struct View<'a> {
    shop: ShopView<'a>,
    customer: &'a str,
    language: &'a str,
    t: Value,
    /// One of these is there, or none.
    order: Option<OrderView<'a>>,
    account: Option<AccountView<'a>>,
    product: Option<ProductView<'a>>,
    /// What the shop says about this change.
    note: Option<&'a str>,
    pub(crate) action: Option<Action<'a>>,
    pub(crate) merged: Vec<Merged<'a>>,
    pub(crate) headline: String,
    pub(crate) intro: String,
    preferences_url: Option<&'a str>,
    unsubscribe_url: Option<&'a str>,
    colors: Value,
    logo_url: Option<&'a str>,
    footer: Option<&'a str>,
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
    pub(crate) label: &'a str,
    url: &'a str,
    until: Option<String>,
}

/// An earlier change that has no mail of its own.
#[derive(Serialize)]
pub(crate) struct Merged<'a> {
    on: String,
    pub(crate) headline: String,
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct OrderView<'a> {
    number: &'a str,
    status: &'a str,
    placed_on: String,
    lines: Vec<LineView<'a>>,
    subtotal: String,
    discounts: Vec<Extra<'a>>,
    taxes: Vec<Extra<'a>>,
    prices_include_tax: bool,
    /// Absent when zero.
    shipping: Option<String>,
    total: String,
    payment_method: &'a str,
    payment_failure: Option<&'a str>,
    due: Option<String>,
    ship_to: Option<Vec<String>>,
    bill_to: Option<Vec<String>>,
    parcels: Vec<Parcel<'a>>,
    refunds: Vec<RefundView<'a>>,
    /// Those that this change brought.
    new_refunds: Vec<RefundView<'a>>,
    invoice: Option<InvoiceView<'a>>,
    gift_message: Option<&'a str>,
    cancel_reason: Option<&'a str>,
    url: Option<&'a str>,
}

#[derive(Serialize)]
struct LineView<'a> {
    name: &'a str,
    sku: &'a str,
    url: Option<&'a str>,
    quantity: u32,
    unit_price: String,
    /// Absent when zero.
    discount: Option<String>,
    total: String,
}

/// A discount or a tax.
#[derive(Serialize)]
struct Extra<'a> {
    label: &'a str,
    code: Option<&'a str>,
    amount: String,
}

#[derive(Serialize)]
struct Parcel<'a> {
    carrier: &'a str,
    number: &'a str,
    url: Option<&'a str>,
    parts: Vec<PartView<'a>>,
}

#[derive(Serialize)]
struct PartView<'a> {
    name: &'a str,
    quantity: u32,
}

#[derive(Serialize)]
struct RefundView<'a> {
    amount: String,
    reason: &'a str,
}

#[derive(Serialize)]
struct InvoiceView<'a> {
    number: &'a str,
    issued_on: String,
    seller_vat_id: &'a str,
    buyer_vat_id: &'a str,
}

#[derive(Serialize)]
struct AccountView<'a> {
    email: &'a str,
    /// When it happened.
    at: String,
    /// Where somebody logged in from.
    address: Option<&'a str>,
}

#[derive(Serialize)]
struct ProductView<'a> {
    name: &'a str,
    price: String,
    url: Option<&'a str>,
}

/// How one mail is written.
#[derive(Clone, Copy)]
pub(crate) struct Style<'a> {
    pub(crate) config: &'a Config,
    pub(crate) language: &'a str,
    pub(crate) writer: Writer<'a>,
    pub(crate) t: &'a Value,
    pub(crate) colors: &'a Value,
    /// What discounts and taxes are called that have no name.
    pub(crate) discount: &'a str,
    pub(crate) tax: &'a str,
    /// The words on the button.
    pub(crate) action: &'a str,
}

impl<'a> View<'a> {
    /// Headline and intro are still empty: they are templates themselves.
    pub(crate) fn new(n: &'a Notification, style: Style<'a>) -> Self {
        let Style { config, language, writer, t, colors, .. } = style;
        let (order, account, product) = match &n.subject {
            Subject::Order(order) => (Some(OrderView::new(order, style)), None, None),
            Subject::Account(Account { email, attributes, .. }) => {
                let address = attributes.iter().find(|(name, _)| name == "address").map(|(_, value)| value.as_str());
                (None, Some(AccountView { email, at: writer.date(&n.occurred_at), address }), None)
            }
            Subject::Product(Product { name, price, url, .. }) => {
                let url = url.as_deref().and_then(web);
                (None, None, Some(ProductView { name, price: writer.money(price), url }))
            }
            Subject::Other(_) => (None, None, None),
        };
        let note = match &n.subject {
            Subject::Order(order) => order.note.as_deref(),
            _ => None,
        };
        let merged = |change: &'a crate::contract::MergedChange| Merged {
            on: writer.date(&change.occurred_at),
            headline: String::new(),
            note: change.note.as_deref(),
        };
        Self {
            shop: ShopView {
                name: config.shop_name.as_deref().unwrap_or(&n.shop.name),
                url: web(&n.shop.url),
                support_email: &n.shop.support_email,
            },
            customer: &n.customer.name,
            language,
            t: t.clone(),
            order,
            account,
            product,
            note,
            action: action(n, style),
            merged: n.merged.iter().map(merged).collect(),
            headline: String::new(),
            intro: String::new(),
            preferences_url: n.preferences_url.as_deref().and_then(web),
            unsubscribe_url: n.unsubscribe_url.as_deref().and_then(web),
            colors: colors.clone(),
            logo_url: config.logo_url.as_deref(),
            footer: config.footer.as_deref(),
        }
    }
}

/// What the mail asks the customer to follow.
fn action<'a>(n: &'a Notification, style: Style<'a>) -> Option<Action<'a>> {
    let until = |link: &Link| link.expires_at.as_ref().map(|at| style.writer.date(at));
    let (url, until) = match &n.subject {
        Subject::Order(order) => {
            let link = match n.kind.as_str() {
                "order.payment-failed" => order.payment.link.as_ref(),
                "order.invoiced" => order.invoice.as_ref().and_then(|invoice| invoice.link.as_ref()),
                _ => None,
            };
            link.map(|link| (link.url.as_str(), until(link)))
        }
        Subject::Account(account) => account.link.as_ref().map(|link| (link.url.as_str(), until(link))),
        Subject::Product(product) => product.url.as_deref().map(|url| (url, None)),
        Subject::Other(_) => None,
    }?;
    Some(Action { label: style.action, url: web(url)?, until })
}

impl<'a> OrderView<'a> {
    fn new(order: &'a Order, style: Style<'a>) -> Self {
        let writer = style.writer;
        let discounts = order.discounts.iter();
        let discounts = discounts.map(|d| extra(&d.label, d.code.as_deref(), writer.money(&d.amount))).collect();
        let taxes = order.taxes.iter().map(|tax| extra(&tax.label, None, writer.money(&tax.amount))).collect();
        let all = |amount: &_, label| extra(label, None, writer.money(amount));
        let refund = |r: &'a Refund| RefundView { amount: writer.money(&r.amount), reason: &r.reason };
        let is_new = |r: &&Refund| r.since_version == order.version;
        Self {
            number: &order.number,
            status: status(&order.status),
            placed_on: writer.date(&order.placed_at),
            lines: order.lines.iter().map(|l| line(l, writer)).collect(),
            subtotal: writer.money(&order.subtotal),
            discounts: or_all(discounts, order.discount.amount, || all(&order.discount, style.discount)),
            taxes: or_all(taxes, order.tax.amount, || all(&order.tax, style.tax)),
            prices_include_tax: order.prices_include_tax,
            shipping: (order.shipping.amount != 0).then(|| writer.money(&order.shipping)),
            total: writer.money(&order.total),
            payment_method: &order.payment.method,
            payment_failure: order.payment.failure.as_deref(),
            due: order.payment.due.as_ref().map(|due| writer.money(due)),
            ship_to: order.ship_to.as_ref().map(address),
            bill_to: order.bill_to.as_ref().map(address),
            parcels: order.shipments.iter().map(|parcel| self::parcel(parcel, &order.lines)).collect(),
            refunds: order.refunds.iter().map(refund).collect(),
            new_refunds: order.refunds.iter().filter(is_new).map(refund).collect(),
            invoice: order.invoice.as_ref().map(|i| invoice(i, writer)),
            gift_message: order.gift_message.as_deref(),
            cancel_reason: order.cancel_reason.as_deref(),
            url: order.url.as_deref().and_then(web),
        }
    }
}

fn extra<'a>(label: &'a str, code: Option<&'a str>, amount: String) -> Extra<'a> {
    Extra { label, code, amount }
}

/// Each by its name, or all of it where the shop does not say.
fn or_all<'a>(each: Vec<Extra<'a>>, amount: i64, all: impl FnOnce() -> Extra<'a>) -> Vec<Extra<'a>> {
    if each.is_empty() && amount != 0 { vec![all()] } else { each }
}

pub(crate) fn status(status: &OrderStatus) -> &str {
    match status {
        OrderStatus::Pending => "pending",
        OrderStatus::PartlyShipped => "partly shipped",
        OrderStatus::Shipped => "shipped",
        OrderStatus::Delivered => "delivered",
        OrderStatus::Cancelled => "cancelled",
        OrderStatus::Other(name) => name,
    }
}

fn line<'a>(l: &'a Line, writer: Writer<'_>) -> LineView<'a> {
    LineView {
        name: &l.name,
        sku: &l.sku,
        url: l.url.as_deref().and_then(web),
        quantity: l.quantity,
        unit_price: writer.money(&l.unit_price),
        discount: (l.discount.amount != 0).then(|| writer.money(&l.discount)),
        total: writer.money(&l.total),
    }
}

fn parcel<'a>(shipment: &'a Shipment, lines: &'a [Line]) -> Parcel<'a> {
    let part = |part: &LinePart| {
        let line = lines.iter().find(|line| line.number == part.line_number)?;
        Some(PartView { name: &line.name, quantity: part.quantity })
    };
    Parcel {
        carrier: &shipment.carrier,
        number: &shipment.tracking_number,
        url: shipment.tracking_url.as_deref().and_then(web),
        parts: shipment.parts.iter().filter_map(part).collect(),
    }
}

fn invoice<'a>(invoice: &'a Invoice, writer: Writer<'_>) -> InvoiceView<'a> {
    InvoiceView {
        number: &invoice.number,
        issued_on: writer.date(&invoice.issued_at),
        seller_vat_id: &invoice.seller_vat_id,
        buyer_vat_id: &invoice.buyer_vat_id,
    }
}

pub(crate) fn address(a: &Address) -> Vec<String> {
    let town = [a.postal_code.as_str(), a.city.as_str()].join(" ");
    let mut lines = vec![a.name.clone(), a.company.clone()];
    lines.extend(a.lines.iter().cloned());
    lines.extend([town.trim().to_owned(), a.region.clone(), a.country.clone()]);
    lines.retain(|l| !l.is_empty());
    lines
}

/// Only web addresses become links: escaping does not defuse `javascript:`.
fn web(url: &str) -> Option<&str> {
    (url.starts_with("https://") || url.starts_with("http://")).then_some(url)
}
