//! An order, as the templates see it.

use std::borrow::Cow;

use serde::Serialize;

use super::{Labels, Style, web};
use crate::contract::{Address, Line, LinePart, Money, Order, OrderStatus, Refund, Shipment};

/// The most parcels that a mail shows: as many as one change brings.
const PARCELS_MAX: usize = 20;

#[derive(Serialize)]
pub(super) struct OrderView<'a> {
    number: &'a str,
    status: &'a str,
    lines: Vec<LineView<'a>>,
    /// How many more lines there are, in words.
    more_lines: Option<String>,
    totals: Vec<Total<'a>>,
    ship_to: Option<Vec<Cow<'a, str>>>,
    bill_to: Option<Vec<Cow<'a, str>>>,
    parcels: Vec<Parcel<'a>>,
    gift_message: Option<&'a str>,
    url: Option<&'a str>,
}

#[derive(Serialize)]
struct LineView<'a> {
    name: Cow<'a, str>,
    sku: &'a str,
    url: Option<&'a str>,
    image_url: Option<&'a str>,
    quantity: u32,
    unit_price: String,
    /// With its sign; absent when zero.
    discount: Option<String>,
    total: String,
}

/// A line under the order's lines.
#[derive(Serialize)]
struct Total<'a> {
    label: Cow<'a, str>,
    amount: String,
    /// "sum" for what is to be paid, "in" for what is in it already, "part" for what it is made of.
    role: &'static str,
}

#[derive(Serialize)]
struct Parcel<'a> {
    carrier: Cow<'a, str>,
    number: &'a str,
    url: Option<&'a str>,
    parts: Vec<PartView<'a>>,
    /// How many more there are, in words.
    more_parts: Option<String>,
}

#[derive(Serialize)]
struct PartView<'a> {
    name: Cow<'a, str>,
    quantity: u32,
}

impl<'a> OrderView<'a> {
    pub(super) fn new(order: &'a Order, style: Style<'a>) -> Self {
        let Style { config, labels, .. } = style;
        let more = order.lines.len().saturating_sub(config.lines_max);
        Self {
            number: &order.number,
            status: status(&order.status, labels),
            lines: order.lines.iter().take(config.lines_max).map(|l| line(l, style)).collect(),
            more_lines: (more > 0).then(|| style.language.around("more_lines", "count", more)),
            totals: totals(order, style),
            ship_to: order.ship_to.as_ref().map(|to| isolated(to, style)),
            // Once there is a bill, it says whom it is for.
            bill_to: order.bill_to.as_ref().filter(|_| order.invoice.is_some()).map(|to| isolated(to, style)),
            parcels: parcels(order, style),
            gift_message: order.gift_message.as_deref(),
            url: order.url.as_deref().and_then(web),
        }
    }
}

/// How the total comes about, and what of it is paid back or open.
fn totals<'a>(order: &'a Order, style: Style<'a>) -> Vec<Total<'a>> {
    let Style { language, labels, writer, .. } = style;
    let row = |role, label: &'a str, amount| Total { label: label.into(), amount, role };
    let mut rows = vec![row("part", labels.get("subtotal"), writer.money(&order.subtotal))];
    for discount in &order.discounts {
        let label = match &discount.code {
            Some(code) => Cow::Owned(format!("{} ({code})", discount.label)),
            None => Cow::Borrowed(discount.label.as_str()),
        };
        rows.push(Total { label: style.isolated(label), amount: writer.less(&discount.amount), role: "part" });
    }
    if order.discounts.is_empty() && order.discount.amount != 0 {
        rows.push(row("part", labels.get("discount"), writer.less(&order.discount)));
    }
    if order.shipping.amount != 0 {
        rows.push(row("part", labels.get("shipping"), writer.money(&order.shipping)));
    }
    let mut taxes: Vec<(Cow<'a, str>, &Money)> =
        order.taxes.iter().map(|tax| (style.isolated(&tax.label), &tax.amount)).collect();
    if taxes.is_empty() && order.tax.amount != 0 {
        taxes.push((labels.get("tax").into(), &order.tax));
    }
    let total = row("sum", labels.get("total"), writer.money(&order.total));
    if order.prices_include_tax {
        rows.push(total);
        let included = |tax| language.around("tax_included", "tax", tax).into();
        let row = |(tax, amount)| Total { label: included(tax), amount: writer.money(amount), role: "in" };
        rows.extend(taxes.into_iter().map(row));
    } else {
        rows.extend(taxes.into_iter().map(|(label, amount)| Total {
            label,
            amount: writer.money(amount),
            role: "part",
        }));
        rows.push(total);
    }
    if let Some(last) = order.refunds.last() {
        let amount = order.refunds.iter().fold(0_i64, |sum, refund| sum.saturating_add(refund.amount.amount));
        rows.push(row("part", labels.get("refunded"), writer.less(&Money { amount, ..last.amount.clone() })));
    }
    // What is not sent is not paid either.
    let due = order.payment.due.as_ref().filter(|_| !matches!(order.status, OrderStatus::Cancelled));
    rows.extend(due.map(|due| row("sum", labels.get("due"), writer.money(due))));
    rows
}

/// The status in the customer's language.
pub(crate) fn status<'a>(status: &'a OrderStatus, labels: &'a Labels) -> &'a str {
    match status {
        OrderStatus::Pending => labels.get("status_pending"),
        OrderStatus::PartlyShipped => labels.get("status_partly_shipped"),
        OrderStatus::Shipped => labels.get("status_shipped"),
        OrderStatus::Delivered => labels.get("status_delivered"),
        OrderStatus::Cancelled => labels.get("status_cancelled"),
        OrderStatus::Other(name) => name,
    }
}

fn line<'a>(l: &'a Line, style: Style<'a>) -> LineView<'a> {
    let writer = style.writer;
    LineView {
        name: style.isolated(&l.name),
        sku: &l.sku,
        url: l.url.as_deref().and_then(web),
        image_url: l.image_url.as_deref().and_then(web),
        quantity: l.quantity,
        unit_price: writer.money(&l.unit_price),
        discount: (l.discount.amount != 0).then(|| writer.less(&l.discount)),
        total: writer.money(&l.total),
    }
}

/// The parcels that this change brought; all if it brought none. At most [`PARCELS_MAX`], the newest, with as many of their
/// contents as a mail shows lines.
fn parcels<'a>(order: &'a Order, style: Style<'a>) -> Vec<Parcel<'a>> {
    let is_new = |shipment: &&Shipment| shipment.since_version == order.version;
    let new = order.shipments.iter().filter(is_new).count();
    let shown = if new > 0 { new } else { order.shipments.len() }.min(PARCELS_MAX);
    let mut room = style.config.lines_max;
    let newest = order.shipments.iter().skip(order.shipments.len() - shown);
    newest.map(|shipment| parcel(shipment, &order.lines, style, &mut room)).collect()
}

fn parcel<'a>(shipment: &'a Shipment, lines: &'a [Line], style: Style<'a>, room: &mut usize) -> Parcel<'a> {
    let part = |part: &LinePart| {
        let line = lines.iter().find(|line| line.number == part.line_number)?;
        Some(PartView { name: style.isolated(&line.name), quantity: part.quantity })
    };
    let shown = shipment.parts.len().min(*room);
    *room -= shown;
    let more = shipment.parts.len() - shown;
    Parcel {
        carrier: style.isolated(&shipment.carrier),
        number: &shipment.tracking_number,
        url: shipment.tracking_url.as_deref().and_then(web),
        parts: shipment.parts.iter().take(shown).filter_map(part).collect(),
        more_parts: (more > 0).then(|| style.language.around("more_lines", "count", more)),
    }
}

/// Those that this change brought.
pub(crate) fn new_refunds(order: &Order) -> impl Iterator<Item = &Refund> {
    order.refunds.iter().filter(|refund| refund.since_version == order.version)
}

fn isolated<'a>(to: &Address, style: Style<'a>) -> Vec<Cow<'a, str>> {
    address(to).into_iter().map(|line| style.isolated(line)).collect()
}

/// The lines of a postal address, as they are written on a parcel.
pub(crate) fn address(a: &Address) -> Vec<String> {
    let town = [a.postal_code.as_str(), a.city.as_str()].join(" ");
    let mut lines = vec![a.name.clone(), a.company.clone()];
    lines.extend(a.lines.iter().cloned());
    lines.extend([town.trim().to_owned(), a.region.clone(), a.country.clone()]);
    lines.retain(|l| !l.is_empty());
    lines
}
