//! An order, whole and in brief.

use super::{To, money, pairs, records, unsigned, web};
use crate::notification::OrderStatus;
use crate::notification::subject::order::{
    Address, Discount, Invoice, LinePart, Order, OrderLine, Payment, Refund, Shipment, TaxLine,
};
use crate::shop::text::Line;

/// What a policy is given of an order.
pub(super) fn brief<'a>(order: &'a Order, newest: Option<&OrderStatus>) -> records::OrderBrief<&'a str> {
    records::OrderBrief {
        id: unsigned(order.id),
        number: &order.number,
        version: order.version,
        status: (&order.status).into(),
        previous_status: order.previous_status.as_ref().map(Into::into),
        newest_status: newest.unwrap_or(&order.status).into(),
        total: money(&order.total),
        line_count: u32::try_from(order.lines.len()).unwrap_or(u32::MAX),
        ship_to_country: order.ship_to.as_ref().map_or("", |address| address.country.as_str()),
    }
}

impl To<'_> {
    pub(super) fn order<'a, S: From<&'a str>>(self, order: &'a Order) -> records::Order<S> {
        let Order {
            id,
            number,
            version,
            status,
            previous_status,
            placed_at,
            lines,
            subtotal,
            discounts,
            discount,
            shipping,
            taxes,
            tax,
            prices_include_tax,
            total,
            payment,
            ship_to,
            bill_to,
            shipments,
            refunds,
            invoice,
            gift_message,
            note,
            cancel_reason,
            url,
            attributes,
        } = order;
        records::Order {
            id: unsigned(*id),
            number: S::from(number),
            version: *version,
            status: status.into(),
            previous_status: previous_status.as_ref().map(Into::into),
            placed_at: self.moment(*placed_at),
            lines: (1..).zip(lines).map(|(number, l)| line(number, l)).collect(),
            subtotal: money(subtotal),
            discounts: discounts.iter().map(self::discount).collect(),
            discount: money(discount),
            shipping: money(shipping),
            taxes: taxes.iter().map(tax_line).collect(),
            tax: money(tax),
            prices_include_tax: *prices_include_tax,
            total: money(total),
            payment: self.payment(payment),
            ship_to: ship_to.as_ref().map(address),
            bill_to: bill_to.as_ref().map(address),
            shipments: shipments.iter().map(shipment).collect(),
            refunds: refunds.iter().map(refund).collect(),
            invoice: invoice.as_ref().map(|invoice| self.invoice(invoice)),
            gift_message: gift_message.as_deref().map(S::from),
            note: note.as_deref().map(S::from),
            cancel_reason: cancel_reason.as_deref().map(S::from),
            url: url.as_ref().map(web),
            attributes: pairs(attributes),
        }
    }

    fn payment<'a, S: From<&'a str>>(self, payment: &'a Payment) -> records::Payment<S> {
        let Payment { method, due, link, failure, attributes } = payment;
        records::Payment {
            method: S::from(method.as_str()),
            due: due.as_ref().map(money),
            link: link.as_ref().map(|link| self.link(link)),
            failure: failure.as_ref().map(|why| S::from(why.as_str())),
            attributes: pairs(attributes),
        }
    }

    fn invoice<'a, S: From<&'a str>>(self, invoice: &'a Invoice) -> records::Invoice<S> {
        let Invoice { number, issued_at, seller_vat_id, buyer_vat_id, link, attributes } = invoice;
        records::Invoice {
            number: S::from(number.as_str()),
            issued_at: self.moment(*issued_at),
            seller_vat_id: S::from(seller_vat_id.as_str()),
            buyer_vat_id: S::from(buyer_vat_id.as_str()),
            link: link.as_ref().map(|link| self.link(link)),
            attributes: pairs(attributes),
        }
    }
}

fn line<'a, S: From<&'a str>>(number: u32, line: &'a OrderLine) -> records::Line<S> {
    let OrderLine {
        product_id,
        sku,
        name,
        quantity,
        shipped_quantity,
        refunded_quantity,
        unit_price,
        discount,
        total,
        tax_rate_basis_points,
        url,
        image_url,
        attributes,
    } = line;
    let no_discount = || records::Money { amount: 0, ..money(total) };
    records::Line {
        number,
        product_id: unsigned(*product_id),
        sku: S::from(sku.as_str()),
        name: S::from(name.as_str()),
        quantity: *quantity,
        shipped_quantity: *shipped_quantity,
        refunded_quantity: *refunded_quantity,
        unit_price: money(unit_price),
        discount: discount.as_ref().map_or_else(no_discount, money),
        total: money(total),
        tax_rate_basis_points: *tax_rate_basis_points,
        url: url.as_ref().map(web),
        image_url: image_url.as_ref().map(web),
        attributes: pairs(attributes),
    }
}

fn discount<'a, S: From<&'a str>>(discount: &'a Discount) -> records::Discount<S> {
    let Discount { label, code, amount, attributes } = discount;
    records::Discount {
        label: S::from(label.as_str()),
        code: code.as_ref().map(|code| S::from(code.as_str())),
        amount: money(amount),
        attributes: pairs(attributes),
    }
}

fn tax_line<'a, S: From<&'a str>>(tax: &'a TaxLine) -> records::TaxLine<S> {
    let TaxLine { label, rate_basis_points, net, amount, attributes } = tax;
    records::TaxLine {
        label: S::from(label.as_str()),
        rate_basis_points: *rate_basis_points,
        net: money(net),
        amount: money(amount),
        attributes: pairs(attributes),
    }
}

fn address<'a, S: From<&'a str>>(address: &'a Address) -> records::Address<S> {
    let Address { name, company, lines, city, region, postal_code, country, phone, attributes } = address;
    records::Address {
        name: S::from(name.as_str()),
        company: S::from(company.as_str()),
        lines: lines.iter().map(Line::as_str).map(S::from).collect(),
        city: S::from(city.as_str()),
        region: S::from(region.as_str()),
        postal_code: S::from(postal_code.as_str()),
        country: S::from(country.as_str()),
        phone: S::from(phone.as_str()),
        attributes: pairs(attributes),
    }
}

fn shipment<'a, S: From<&'a str>>(shipment: &'a Shipment) -> records::Shipment<S> {
    let Shipment { since_version, carrier, tracking_number, tracking_url, parts, attributes } = shipment;
    records::Shipment {
        since_version: *since_version,
        carrier: S::from(carrier.as_str()),
        tracking_number: S::from(tracking_number.as_str()),
        tracking_url: tracking_url.as_ref().map(web),
        parts: self::parts(parts),
        attributes: pairs(attributes),
    }
}

fn refund<'a, S: From<&'a str>>(refund: &'a Refund) -> records::Refund<S> {
    let Refund { since_version, amount, reason, parts, attributes } = refund;
    records::Refund {
        since_version: *since_version,
        amount: money(amount),
        reason: S::from(reason.as_str()),
        parts: self::parts(parts),
        attributes: pairs(attributes),
    }
}

fn parts(parts: &[LinePart]) -> Vec<records::LinePart> {
    let part = |part: &LinePart| {
        let LinePart { line_number, quantity } = *part;
        records::LinePart { line_number, quantity }
    };
    parts.iter().map(part).collect()
}
