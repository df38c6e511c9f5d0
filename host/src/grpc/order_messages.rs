//! Between the messages of orders and the shop's nouns. Destructured without `..`, as in `convert`.

use tonic::Status;

use super::convert::{at, field, money, pairs, take, web};
use super::filters::unix_ms;
use super::pb;
use crate::shop::order::{
    self, Address, Change, Codes, Invoice, Item, Items, Link, NewInvoice, NewNote, NewOrder, NewRefund, NewTracking,
    Order, OrderDiscount, OrderLine, Parcels, Payment, PaymentReport, Refund, StatusChange, TaxLine, Tracking,
};
use crate::shop::text::{DiscountCode, Line};

impl TryFrom<pb::CreateOrderRequest> for NewOrder {
    type Error = Status;

    fn try_from(request: pb::CreateOrderRequest) -> Result<Self, Status> {
        let pb::CreateOrderRequest { items, payment_method, ship_to, bill_to, attributes, .. } = request;
        let pb::CreateOrderRequest { request_id: _, gift_message, discount_codes, .. } = request;
        Ok(Self {
            items: take("items", items.into_iter().map(item).collect::<Vec<_>>())?,
            payment_method: take("payment_method", payment_method)?,
            ship_to: ship_to.map(|a| address("ship_to", a)).transpose()?,
            bill_to: bill_to.map(|a| address("bill_to", a)).transpose()?,
            gift_message: text("gift_message", gift_message)?,
            discount_codes: codes(discount_codes)?,
            attributes: super::convert::attributes(attributes)?,
        })
    }
}

fn codes(codes: Vec<String>) -> Result<Codes, Status> {
    let codes: Result<Vec<DiscountCode>, Status> = codes.into_iter().map(|code| take("discount_codes", code)).collect();
    take("discount_codes", codes?)
}

impl From<OrderDiscount> for pb::OrderDiscount {
    fn from(discount: OrderDiscount) -> Self {
        let OrderDiscount { code, label, amount } = discount;
        Self { code: code.into(), label: label.into(), amount: Some(amount.into()) }
    }
}

fn item(item: pb::OrderItem) -> Item {
    let pb::OrderItem { product_id, quantity } = item;
    Item { product_id, quantity }
}

/// Pieces; none: not said.
fn items(name: &str, items: Vec<pb::OrderItem>) -> Result<Option<Items>, Status> {
    let items: Vec<Item> = items.into_iter().map(item).collect();
    if items.is_empty() { Ok(None) } else { take(name, items).map(Some) }
}

fn text<T: TryFrom<String, Error = String>>(name: &str, text: Option<String>) -> Result<Option<T>, Status> {
    text.map(|text| take(name, text)).transpose()
}

impl From<Item> for pb::OrderItem {
    fn from(item: Item) -> Self {
        let Item { product_id, quantity } = item;
        Self { product_id, quantity }
    }
}

fn address(name: &str, address: pb::Address) -> Result<Address, Status> {
    let inner = |field: &str| format!("{name}.{field}");
    let pb::Address { name: addressee, lines, city, region, postal_code, country, company, phone } = address;
    let lines: Result<Vec<Line>, Status> = lines.into_iter().map(|l| take(&inner("lines"), l)).collect();
    Ok(Address {
        name: take(&inner("name"), addressee)?,
        lines: take(&inner("lines"), lines?)?,
        city: take(&inner("city"), city)?,
        region: take(&inner("region"), region)?,
        postal_code: take(&inner("postal_code"), postal_code)?,
        country: take(&inner("country"), country)?,
        company: take(&inner("company"), company)?,
        phone: take(&inner("phone"), phone)?,
    })
}

impl From<Address> for pb::Address {
    fn from(address: Address) -> Self {
        let Address { name, company, lines, city, region, postal_code, country, phone } = address;
        Self {
            name: name.into(),
            lines: Vec::from(lines).into_iter().map(Into::into).collect(),
            city: city.into(),
            region: region.into(),
            postal_code: postal_code.into(),
            country: country.into(),
            company: company.into(),
            phone: phone.into(),
        }
    }
}

pub(super) fn changed(status: i32) -> Result<order::Status, Status> {
    match pb::OrderStatus::try_from(status) {
        Ok(pb::OrderStatus::Pending) => Ok(order::Status::Pending),
        Ok(pb::OrderStatus::PartlyShipped) => Ok(order::Status::PartlyShipped),
        Ok(pb::OrderStatus::Shipped) => Ok(order::Status::Shipped),
        Ok(pb::OrderStatus::Delivered) => Ok(order::Status::Delivered),
        Ok(pb::OrderStatus::Cancelled) => Ok(order::Status::Cancelled),
        Ok(pb::OrderStatus::Unspecified) | Err(_) => Err(field("status", "must be a status that an order can have")),
    }
}

fn parcels(parcels: Vec<pb::Tracking>) -> Result<Parcels, Status> {
    let parcel = |t: pb::Tracking| {
        let pb::Tracking { carrier, number, url, items, since_version: _ } = t;
        Ok(NewTracking {
            carrier: take("tracking.carrier", carrier)?,
            number: take("tracking.number", number)?,
            url: web("tracking.url", url)?,
            items: self::items("tracking.items", items)?,
        })
    };
    let parcels: Result<Vec<NewTracking>, Status> = parcels.into_iter().map(parcel).collect();
    take("tracking", parcels?)
}

impl TryFrom<pb::ChangeOrderStatusRequest> for Change {
    type Error = Status;

    fn try_from(request: pb::ChangeOrderStatusRequest) -> Result<Self, Status> {
        let pb::ChangeOrderStatusRequest {
            id: _,
            status,
            tracking,
            etag: _,
            request_id: _,
            note,
            silent_reason,
            cancel_reason,
        } = request;
        Ok(Self::Status(StatusChange {
            status: changed(status)?,
            tracking: parcels(tracking)?,
            cancel_reason: text("cancel_reason", cancel_reason)?,
            note: text("note", note)?,
            silent_reason: text("silent_reason", silent_reason)?,
        }))
    }
}

impl TryFrom<pb::RecordOrderRefundRequest> for Change {
    type Error = Status;

    fn try_from(request: pb::RecordOrderRefundRequest) -> Result<Self, Status> {
        let pb::RecordOrderRefundRequest {
            id: _,
            amount,
            items,
            restock,
            reason,
            note,
            silent_reason,
            etag: _,
            request_id: _,
        } = request;
        Ok(Self::Refund(NewRefund {
            amount: amount.map(|amount| take("amount", money("amount", Some(amount))?)).transpose()?,
            items: self::items("items", items)?,
            restock,
            reason: take("reason", reason)?,
            note: text("note", note)?,
            silent_reason: text("silent_reason", silent_reason)?,
        }))
    }
}

impl TryFrom<pb::RecordOrderPaymentRequest> for Change {
    type Error = Status;

    fn try_from(request: pb::RecordOrderPaymentRequest) -> Result<Self, Status> {
        let pb::RecordOrderPaymentRequest { id: _, due, failure, link, note, silent_reason, etag: _, request_id: _ } =
            request;
        Ok(Self::Payment(PaymentReport {
            due: take("due", money("due", due)?)?,
            failure: text("failure", failure)?,
            link: link.map(self::link).transpose()?,
            note: text("note", note)?,
            silent_reason: text("silent_reason", silent_reason)?,
        }))
    }
}

impl TryFrom<pb::RecordOrderInvoiceRequest> for Change {
    type Error = Status;

    fn try_from(request: pb::RecordOrderInvoiceRequest) -> Result<Self, Status> {
        let pb::RecordOrderInvoiceRequest {
            id: _,
            number,
            issued_at,
            seller_vat_id,
            buyer_vat_id,
            link,
            note,
            silent_reason,
            etag: _,
            request_id: _,
        } = request;
        Ok(Self::Invoice(NewInvoice {
            number: take("number", number)?,
            issued_at: unix_ms("issued_at", issued_at)?,
            seller_vat_id: take("seller_vat_id", seller_vat_id)?,
            buyer_vat_id: take("buyer_vat_id", buyer_vat_id)?,
            link: link.map(self::link).transpose()?,
            note: text("note", note)?,
            silent_reason: text("silent_reason", silent_reason)?,
        }))
    }
}

impl TryFrom<pb::AddOrderNoteRequest> for Change {
    type Error = Status;

    fn try_from(request: pb::AddOrderNoteRequest) -> Result<Self, Status> {
        let pb::AddOrderNoteRequest { id: _, note, silent_reason, etag: _, request_id: _ } = request;
        Ok(Self::Note(NewNote { note: take("note", note)?, silent_reason: text("silent_reason", silent_reason)? }))
    }
}

fn link(link: pb::Link) -> Result<Link, Status> {
    let pb::Link { url, expires_at } = link;
    let expires_at = unix_ms("link.expires_at", expires_at)?;
    Ok(Link { url: take("link.url", url)?, expires_at })
}

impl From<Link> for pb::Link {
    fn from(link: Link) -> Self {
        let Link { url, expires_at } = link;
        Self { url: url.into(), expires_at: expires_at.map(at) }
    }
}

impl From<Tracking> for pb::Tracking {
    fn from(tracking: Tracking) -> Self {
        let Tracking { since_version, carrier, number, url, items } = tracking;
        Self {
            carrier: carrier.into(),
            number: number.into(),
            url: url.map(Into::into),
            items: items.into_iter().map(Into::into).collect(),
            since_version,
        }
    }
}

impl From<Refund> for pb::Refund {
    fn from(refund: Refund) -> Self {
        let Refund { since_version, amount, reason, items } = refund;
        Self {
            since_version,
            amount: Some(amount.into()),
            reason: reason.into(),
            items: items.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Payment> for pb::Payment {
    fn from(payment: Payment) -> Self {
        let Payment { due, failure, link } = payment;
        Self { due: due.map(Into::into), failure: failure.map(Into::into), link: link.map(Into::into) }
    }
}

impl From<Invoice> for pb::Invoice {
    fn from(invoice: Invoice) -> Self {
        let Invoice { number, issued_at, seller_vat_id, buyer_vat_id, link } = invoice;
        Self {
            number: number.into(),
            issued_at: Some(at(issued_at)),
            seller_vat_id: seller_vat_id.into(),
            buyer_vat_id: buyer_vat_id.into(),
            link: link.map(Into::into),
        }
    }
}

impl From<TaxLine> for pb::TaxLine {
    fn from(line: TaxLine) -> Self {
        let TaxLine { label, rate_basis_points, net, amount } = line;
        Self { label: label.into(), rate_basis_points, net: Some(net.into()), amount: Some(amount.into()) }
    }
}

impl From<order::Status> for pb::OrderStatus {
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

impl From<OrderLine> for pb::OrderLine {
    fn from(line: OrderLine) -> Self {
        let OrderLine {
            product_id,
            sku,
            name,
            quantity,
            shipped_quantity,
            refunded_quantity,
            open_quantity,
            unit_price,
            discount,
            total,
            url,
            image,
            attributes,
        } = line;
        Self {
            product_id,
            sku: sku.into(),
            name: name.into(),
            quantity,
            unit_price: Some(unit_price.into()),
            total: Some(total.into()),
            url: url.map(Into::into),
            image: image.map(Into::into),
            attributes: pairs(attributes),
            shipped_quantity,
            refunded_quantity,
            open_quantity,
            discount: discount.map(Into::into),
        }
    }
}

impl From<Order> for pb::Order {
    fn from(order: Order) -> Self {
        let Order {
            id,
            user_id,
            version,
            status,
            lines,
            subtotal,
            discount,
            discounts,
            tax,
            taxes,
            prices_include_tax,
            shipping,
            total,
            payment_method,
            payment,
            ship_to,
            bill_to,
            tracking,
            refunds,
            invoice,
            note,
            gift_message,
            cancel_reason,
            attributes,
            placed_at,
            updated_at,
        } = order;
        Self {
            id,
            user_id,
            version,
            status: pb::OrderStatus::from(status).into(),
            lines: lines.into_iter().map(Into::into).collect(),
            subtotal: Some(subtotal.into()),
            discount: Some(discount.into()),
            tax: Some(tax.into()),
            shipping: Some(shipping.into()),
            total: Some(total.into()),
            payment_method: payment_method.into(),
            ship_to: ship_to.map(Into::into),
            bill_to: bill_to.map(Into::into),
            tracking: tracking.into_iter().map(Into::into).collect(),
            note: note.map(Into::into),
            attributes: pairs(attributes),
            placed_at: Some(at(placed_at)),
            updated_at: Some(at(updated_at)),
            taxes: taxes.into_iter().map(Into::into).collect(),
            prices_include_tax,
            payment: Some(payment.into()),
            refunds: refunds.into_iter().map(Into::into).collect(),
            invoice: invoice.map(Into::into),
            gift_message: gift_message.map(Into::into),
            cancel_reason: cancel_reason.map(Into::into),
            discounts: discounts.into_iter().map(Into::into).collect(),
        }
    }
}
