//! The shop's order, as mails tell it.

use super::Link;
use super::order::{
    Address, Discount, Invoice, LinePart, Order, OrderLine, Payment, Refund, Shipment, Status, TaxLine,
};
use crate::shop::{Attributes, order};

impl From<order::Status> for Status {
    fn from(status: order::Status) -> Self {
        match status {
            order::Status::Pending => Self::Pending,
            order::Status::PartlyShipped => Self::PartlyShipped,
            order::Status::Shipped => Self::Shipped,
            order::Status::Delivered => Self::Delivered,
            order::Status::Cancelled => Self::Cancelled,
        }
    }
}

impl Order {
    /// The shop's order right after a change, and where it stood before.
    pub fn after_change(order: &order::Order, previous: Option<order::Status>) -> Self {
        let shipment = |parcel: &order::Tracking| Shipment {
            since_version: number(parcel.since_version),
            carrier: parcel.carrier.clone(),
            tracking_number: parcel.number.clone().into(),
            tracking_url: parcel.url.clone(),
            parts: parts(order, &parcel.items),
            attributes: Attributes::default(),
        };
        let refund = |refund: &order::Refund| Refund {
            since_version: number(refund.since_version),
            amount: refund.amount,
            reason: refund.reason.clone(),
            parts: parts(order, &refund.items),
            attributes: Attributes::default(),
        };
        Self {
            id: order.id,
            number: order.id.to_string(),
            version: number(order.version),
            status: order.status.into(),
            previous_status: previous.map(Into::into),
            placed_at: order.placed_at,
            lines: order.lines.iter().map(OrderLine::from).collect(),
            subtotal: order.subtotal,
            discounts: order.discounts.iter().map(Discount::from).collect(),
            discount: order.discount,
            shipping: order.shipping,
            taxes: order.taxes.iter().map(TaxLine::from).collect(),
            tax: order.tax,
            prices_include_tax: order.prices_include_tax,
            total: order.total,
            payment: payment(order),
            ship_to: order.ship_to.as_ref().map(Address::from),
            bill_to: order.bill_to.as_ref().map(Address::from),
            shipments: order.tracking.iter().map(shipment).collect(),
            refunds: order.refunds.iter().map(refund).collect(),
            invoice: order.invoice.as_ref().map(Invoice::from),
            gift_message: order.gift_message.as_ref().map(|message| message.as_str().to_owned()),
            note: order.note.as_ref().map(|note| note.as_str().to_owned()),
            cancel_reason: order.cancel_reason.as_ref().map(|reason| reason.as_str().to_owned()),
            url: None,
            attributes: order.attributes.clone(),
        }
    }
}

impl From<&order::OrderLine> for OrderLine {
    fn from(line: &order::OrderLine) -> Self {
        Self {
            product_id: line.product_id,
            sku: line.sku.clone(),
            name: line.name.clone(),
            quantity: line.quantity,
            shipped_quantity: line.shipped_quantity,
            refunded_quantity: line.refunded_quantity,
            unit_price: line.unit_price,
            discount: line.discount,
            total: line.total,
            tax_rate_basis_points: None,
            url: line.url.clone(),
            image_url: line.image.clone(),
            attributes: line.attributes.clone(),
        }
    }
}

impl From<&order::OrderDiscount> for Discount {
    fn from(discount: &order::OrderDiscount) -> Self {
        let order::OrderDiscount { code, label, amount } = discount.clone();
        Self { label, code: Some(code.into()), amount, attributes: Attributes::default() }
    }
}

impl From<&order::TaxLine> for TaxLine {
    fn from(tax: &order::TaxLine) -> Self {
        let order::TaxLine { label, rate_basis_points, net, amount } = tax.clone();
        Self { label, rate_basis_points, net, amount, attributes: Attributes::default() }
    }
}

impl From<&order::Invoice> for Invoice {
    fn from(invoice: &order::Invoice) -> Self {
        let order::Invoice { number, issued_at, seller_vat_id, buyer_vat_id, link } = invoice.clone();
        let link = link.as_ref().map(Link::from);
        Self { number, issued_at, seller_vat_id, buyer_vat_id, link, attributes: Attributes::default() }
    }
}

fn payment(order: &order::Order) -> Payment {
    let order::Payment { due, failure, link } = order.payment.clone();
    Payment {
        method: order.payment_method.clone(),
        due: due.filter(|due| due.amount > 0),
        link: link.as_ref().map(Link::from),
        failure,
        attributes: Attributes::default(),
    }
}

impl From<&order::Address> for Address {
    fn from(address: &order::Address) -> Self {
        let order::Address { name, company, lines, city, region, postal_code, country, phone } = address.clone();
        Self { name, company, lines, city, region, postal_code, country, phone, attributes: Attributes::default() }
    }
}

impl From<&order::Link> for Link {
    fn from(link: &order::Link) -> Self {
        let order::Link { url, expires_at } = link.clone();
        Self { url, expires_at, stamp: None }
    }
}

/// A version, as the contract has it.
fn number(version: i64) -> u32 {
    u32::try_from(version).unwrap_or(u32::MAX)
}

/// Pieces by line: an order has one for each product.
fn parts(order: &order::Order, items: &[order::Item]) -> Vec<LinePart> {
    let part = |item: &order::Item| {
        let line = order.lines.iter().position(|line| line.product_id == item.product_id)?;
        Some(LinePart { line_number: u32::try_from(line + 1).ok()?, quantity: item.quantity })
    };
    items.iter().filter_map(part).collect()
}
