//! Between the host's nouns and the contract's. Destructured without `..`: a new field does not compile until it is
//! mapped or left out on purpose.

use super::{records, wit, wit_policy};
use crate::money::Money;
use crate::notification::{Admission, Class, Customer, Failure, Notification, Payload, Situation, Verdict};
use crate::plugin::{Attachment, Email};
use crate::shop::order::{Address, Order, OrderLine, Status, Tracking};
use crate::shop::text::{Line, WebAddress};
use crate::shop::{Attributes, Shop};

impl<'a> From<&'a Notification> for records::Notification<'a> {
    fn from(n: &'a Notification) -> Self {
        let Notification { id, message_id, payload } = n;
        let Payload { kind, occurred_at, utc_offset_minutes, shop, customer, order, previous, attributes } = payload;
        Self {
            id: unsigned(*id),
            kind,
            message_id,
            occurred_at: unsigned(*occurred_at),
            utc_offset_minutes: *utc_offset_minutes,
            shop: shop.into(),
            customer: customer.into(),
            order: self::order(order, *previous),
            attributes: pairs(attributes),
        }
    }
}

/// A notification, its order in a status of a later contract if one is given.
pub(super) fn notification<'a>(n: &'a Notification, later: Option<&str>) -> records::Notification<'a> {
    let mut converted = records::Notification::from(n);
    if let Some(status) = later {
        converted.order.status = wit::OrderStatus::Other(status.to_owned());
    }
    converted
}

impl<'a> From<&'a Shop> for records::Shop<'a> {
    fn from(shop: &'a Shop) -> Self {
        let Shop { name, url, support_email, attributes } = shop;
        Self { name, url, support_email, attributes: pairs(attributes) }
    }
}

impl<'a> From<&'a Customer> for records::Customer<'a> {
    fn from(customer: &'a Customer) -> Self {
        let Customer { id, name, email, locale, time_zone, attributes } = customer;
        Self {
            id: unsigned(*id),
            name: name.as_str(),
            email: email.as_str(),
            locale: locale.as_str(),
            time_zone: time_zone.as_str(),
            attributes: pairs(attributes),
        }
    }
}

fn order(order: &Order, previous: Option<Status>) -> records::Order<'_> {
    let Order {
        id,
        user_id: _,
        version,
        status,
        lines,
        subtotal,
        discount,
        tax,
        shipping,
        total,
        payment_method,
        ship_to,
        bill_to,
        tracking,
        attributes,
        placed_at,
        updated_at: _,
    } = order;
    records::Order {
        id: unsigned(*id),
        number: id.to_string(),
        version: u32::try_from(*version).unwrap_or(u32::MAX),
        status: (*status).into(),
        previous: previous.map(Into::into),
        placed_at: unsigned(*placed_at),
        lines: lines.iter().map(Into::into).collect(),
        subtotal: subtotal.into(),
        discount: discount.into(),
        tax: tax.into(),
        shipping: shipping.into(),
        total: total.into(),
        payment_method: payment_method.as_str(),
        ship_to: ship_to.as_ref().map(Into::into),
        bill_to: bill_to.as_ref().map(Into::into),
        tracking: tracking.iter().map(Into::into).collect(),
        attributes: pairs(attributes),
    }
}

impl<'a> From<&'a OrderLine> for records::Line<'a> {
    fn from(line: &'a OrderLine) -> Self {
        let OrderLine { product_id, sku, name, quantity, unit_price, total, url, image, attributes } = line;
        Self {
            product_id: unsigned(*product_id),
            sku: sku.as_str(),
            name: name.as_str(),
            quantity: *quantity,
            unit_price: unit_price.into(),
            total: total.into(),
            url: url.as_ref().map(WebAddress::as_str),
            image: image.as_ref().map(WebAddress::as_str),
            attributes: pairs(attributes),
        }
    }
}

impl<'a> From<&'a Money> for records::Money<'a> {
    fn from(money: &'a Money) -> Self {
        let Money { amount, currency } = money;
        Self { amount: *amount, currency: currency.code(), exponent: currency.exponent() }
    }
}

impl<'a> From<&'a Address> for records::Address<'a> {
    fn from(address: &'a Address) -> Self {
        let Address { name, lines, city, region, postal_code, country } = address;
        Self {
            name: name.as_str(),
            lines: lines.iter().map(Line::as_str).collect(),
            city: city.as_str(),
            region: region.as_str(),
            postal_code: postal_code.as_str(),
            country: country.as_str(),
        }
    }
}

impl<'a> From<&'a Tracking> for records::Tracking<'a> {
    fn from(tracking: &'a Tracking) -> Self {
        let Tracking { carrier, number, url } = tracking;
        Self { carrier: carrier.as_str(), number: number.as_str(), url: url.as_ref().map(WebAddress::as_str) }
    }
}

impl From<Status> for wit::OrderStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Pending,
            Status::Shipped => Self::Shipped,
            Status::Delivered => Self::Delivered,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

impl<'a> From<&'a Failure> for records::Failure<'a> {
    fn from(failure: &'a Failure) -> Self {
        let Failure { at, class, phase, code, enhanced, reply, relay } = failure;
        Self {
            at: unsigned(*at),
            class: match class {
                Class::Deferred => wit_policy::Class::Deferred,
                Class::Rejected => wit_policy::Class::Rejected,
                Class::NotHandedOver => wit_policy::Class::NotHandedOver,
                Class::InDoubt => wit_policy::Class::InDoubt,
                Class::RenderFailed => wit_policy::Class::RenderFailed,
                Class::Throttled => wit_policy::Class::Throttled,
                Class::Greylisted => wit_policy::Class::Greylisted,
            },
            phase,
            code: *code,
            enhanced: enhanced.as_deref(),
            reply,
            relay,
        }
    }
}

impl<'a> From<&'a Situation> for records::Situation<'a> {
    fn from(situation: &'a Situation) -> Self {
        let Situation {
            now,
            utc_offset_minutes,
            seed,
            attempts,
            attempts_max,
            queued_at,
            age_max_ms,
            history,
            relays,
            newest_status,
        } = situation;
        Self {
            now: unsigned(*now),
            utc_offset_minutes: *utc_offset_minutes,
            seed: *seed,
            attempts: *attempts,
            attempts_max: *attempts_max,
            queued_at: unsigned(*queued_at),
            age_max_ms: unsigned(*age_max_ms),
            history: history.iter().map(Into::into).collect(),
            relays: relays.iter().map(|r| records::Relay { name: &r.name, available: r.available }).collect(),
            newest_status: (*newest_status).into(),
        }
    }
}

impl From<wit::Email> for Email {
    fn from(email: wit::Email) -> Self {
        let wit::Email { subject, text, html, from_name, reply_to, headers, attachments } = email;
        let attachment = |a| {
            let wit::Attachment { name, content_type, content_id, data } = a;
            Attachment { name, content_type, content_id, data }
        };
        Self {
            subject,
            text,
            html,
            from_name,
            reply_to,
            headers,
            attachments: attachments.into_iter().map(attachment).collect(),
        }
    }
}

impl From<wit_policy::Admission> for Admission {
    fn from(admission: wit_policy::Admission) -> Self {
        match admission {
            wit_policy::Admission::Send(relay) => Self::Send(relay),
            wit_policy::Admission::Wait(ms) => Self::Wait(ms),
            wit_policy::Admission::Skip(why) => Self::Skip(why),
            wit_policy::Admission::Hold(why) => Self::Hold(why),
        }
    }
}

impl From<wit_policy::Verdict> for Verdict {
    fn from(verdict: wit_policy::Verdict) -> Self {
        match verdict {
            wit_policy::Verdict::Retry(ms) => Self::Retry(ms, None),
            wit_policy::Verdict::RetryVia((ms, relay)) => Self::Retry(ms, Some(relay)),
            wit_policy::Verdict::GiveUp(why) => Self::GiveUp(why),
            wit_policy::Verdict::Hold(why) => Self::Hold(why),
        }
    }
}

fn pairs(attributes: &Attributes) -> records::Attributes<'_> {
    attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}
