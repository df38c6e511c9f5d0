//! Between the host's nouns and the contract's. Destructured without `..`: a new field does not compile until it is
//! mapped or left out on purpose. Times of day follow from the customer's time zone.

mod answers;
mod order;

use super::{records, wit, wit_policy, wit_reports};
use crate::money::Money;
use crate::notification::report::{ReportKind, Reported};
use crate::notification::subject::{Account, Link, Product, Subject};
use crate::notification::{
    Category, Channel, Class, Customer, Failure, MergedChange, Notification, OrderStatus, Payload, QueuedChange, Relay,
    Request, Situation,
};
use crate::shop::text::{TimeZone, WebAddress};
use crate::shop::{Attributes, Shop};

/// Converts what is told to one customer; texts are borrowed or owned, as `S` says.
#[derive(Clone, Copy)]
struct To<'a>(&'a TimeZone);

/// A notification, all of it.
pub(super) fn notification<'a, S: From<&'a str>>(n: &'a Notification) -> records::Notification<S> {
    let Notification { id, message_id, payload } = n;
    let Payload {
        kind,
        category,
        occurred_at,
        shop,
        customer,
        subject,
        merged,
        unsubscribe_url,
        preferences_url,
        attributes,
        trace: _,
    } = payload;
    let to = To(&customer.time_zone);
    records::Notification {
        id: unsigned(*id),
        kind: S::from(kind),
        category: category.into(),
        message_id: S::from(message_id),
        occurred_at: to.moment(*occurred_at),
        shop: self::shop(shop),
        customer: self::customer(customer),
        subject: to.subject(subject),
        merged: merged.iter().map(|change| to.merged(change)).collect(),
        unsubscribe_url: unsubscribe_url.as_ref().map(web),
        preferences_url: preferences_url.as_ref().map(web),
        attributes: pairs(attributes),
    }
}

/// What a policy is given of a notification.
pub(super) fn brief<'a>(n: &'a Notification, s: &Situation) -> records::Brief<&'a str> {
    let payload = &n.payload;
    let subject = match &payload.subject {
        Subject::Order(order) => records::SubjectBrief::Order(order::brief(order, s.newest_status.as_ref())),
        Subject::Account(_) => records::SubjectBrief::Account,
        Subject::Product(product) => records::SubjectBrief::Product(unsigned(product.id)),
        Subject::Other(name) => records::SubjectBrief::Other(name.as_str()),
    };
    records::Brief {
        id: unsigned(n.id),
        kind: &payload.kind,
        category: (&payload.category).into(),
        occurred_at: To(&payload.customer.time_zone).moment(payload.occurred_at),
        customer: customer(&payload.customer),
        subject,
    }
}

/// What a renderer is asked with.
pub(super) fn request<'a>(request: &Request<'a>) -> records::Request<&'a str> {
    let Request { ab_variant, seed } = *request;
    records::Request { ab_variant, seed, attributes: Vec::new() }
}

/// A failure, as the customer's clocks show it.
pub(super) fn failure<'a>(n: &'a Notification, f: &'a Failure) -> records::Failure<&'a str> {
    To(&n.payload.customer.time_zone).failure(f)
}

/// A report, as the customer's clocks show it.
pub(super) fn report<'a>(n: &'a Notification, r: &'a Reported) -> records::Report<&'a str> {
    let Reported { at, kind, enhanced, words, reporter, relay, sent_at } = r;
    let to = To(&n.payload.customer.time_zone);
    records::Report {
        received_at: to.moment(*at),
        report_kind: (*kind).into(),
        enhanced_code: enhanced.as_deref(),
        report_text: words,
        reporter,
        relay,
        sent_at: to.moment(*sent_at),
        attributes: Vec::new(),
    }
}

/// What a decision may depend on.
pub(super) fn situation<'a>(n: &'a Notification, s: &'a Situation) -> records::Situation<&'a str> {
    let Situation {
        now,
        seed,
        attempts,
        attempts_max,
        queued_at,
        first_failed_at,
        age_max_ms,
        history,
        relays,
        domain_throttled_at,
        newest_status: _,
        queued,
        suppressed,
        channel,
        named_relay,
    } = s;
    let to = To(&n.payload.customer.time_zone);
    let relay = |r: &'a Relay| {
        let Relay { name, available } = r;
        records::Relay { name: name.as_str(), available: *available, attributes: Vec::new() }
    };
    let change = |q: &'a QueuedChange| {
        let QueuedChange { kind, version, queued_at } = q;
        records::QueuedChange { kind: kind.as_str(), version: *version, queued_at: to.moment(*queued_at) }
    };
    records::Situation {
        now: to.moment(*now),
        seed: *seed,
        attempts: *attempts,
        attempts_max: *attempts_max,
        queued_at: to.moment(*queued_at),
        first_failed_at: first_failed_at.map(|at| to.moment(at)),
        age_max_ms: unsigned(*age_max_ms),
        history: history.iter().map(|f| to.failure(f)).collect(),
        relays: relays.iter().map(relay).collect(),
        domain: records::Domain {
            name: if *channel == Channel::Mail { n.payload.customer.email.domain() } else { "" },
            throttled_at: domain_throttled_at.map(|at| to.moment(at)),
            attributes: Vec::new(),
        },
        queued: queued.iter().map(change).collect(),
        attributes: {
            let channel = (*channel != Channel::Mail).then_some(("channel", channel.as_str()));
            let relay = named_relay.as_deref().map(|relay| ("relay", relay));
            // By name.
            let suppression = suppressed.as_ref().map(|s| ("suppression", s.cause.as_str()));
            [channel, relay, suppression].into_iter().flatten().collect()
        },
    }
}

impl To<'_> {
    fn moment(self, unix_ms: i64) -> records::Moment {
        records::Moment { unix_ms: unsigned(unix_ms), utc_offset_minutes: self.0.utc_offset_minutes(unix_ms) }
    }

    fn link<'a, S: From<&'a str>>(self, link: &'a Link) -> records::Link<S> {
        let Link { url, expires_at, stamp: _ } = link;
        records::Link { url: web(url), expires_at: expires_at.map(|at| self.moment(at)) }
    }

    fn subject<'a, S: From<&'a str>>(self, subject: &'a Subject) -> records::Subject<S> {
        match subject {
            Subject::Order(order) => records::Subject::Order(self.order(order)),
            Subject::Account(account) => {
                let Account { email, link, attributes } = &**account;
                records::Subject::Account(records::Account {
                    email: S::from(email.as_str()),
                    link: link.as_ref().map(|link| self.link(link)),
                    attributes: pairs(attributes),
                })
            }
            Subject::Product(product) => {
                let Product { id, sku, name, price, url, image_url, attributes } = &**product;
                records::Subject::Product(records::Product {
                    id: unsigned(*id),
                    sku: S::from(sku.as_str()),
                    name: S::from(name.as_str()),
                    price: money(price),
                    url: url.as_ref().map(web),
                    image_url: image_url.as_ref().map(web),
                    attributes: pairs(attributes),
                })
            }
            Subject::Other(name) => records::Subject::Other(S::from(name)),
        }
    }

    fn merged<'a, S: From<&'a str>>(self, change: &'a MergedChange) -> records::MergedChange<S> {
        let MergedChange { kind, version, status, occurred_at, note } = change;
        records::MergedChange {
            kind: S::from(kind),
            version: *version,
            status: status.into(),
            occurred_at: self.moment(*occurred_at),
            note: note.as_deref().map(S::from),
        }
    }

    fn failure(self, failure: &Failure) -> records::Failure<&str> {
        let Failure { at, class, phase, code, enhanced, reply, relay } = failure;
        records::Failure {
            failed_at: self.moment(*at),
            failure_class: (*class).into(),
            phase,
            reply_code: *code,
            enhanced_code: enhanced.as_deref(),
            reply_text: reply,
            relay,
            attributes: Vec::new(),
        }
    }
}

fn shop<'a, S: From<&'a str>>(shop: &'a Shop) -> records::Shop<S> {
    let Shop { name, url, support_email, order_url: _, attributes } = shop;
    records::Shop {
        name: S::from(name),
        url: S::from(url),
        support_email: S::from(support_email),
        attributes: pairs(attributes),
    }
}

fn customer<'a, S: From<&'a str>>(customer: &'a Customer) -> records::Customer<S> {
    let Customer { id, name, email, locale, time_zone, attributes } = customer;
    records::Customer {
        id: unsigned(*id),
        name: S::from(name.as_str()),
        email: S::from(email.as_str()),
        locale: S::from(locale.as_str()),
        time_zone: S::from(time_zone.as_str()),
        attributes: pairs(attributes),
    }
}

fn money<'a, S: From<&'a str>>(money: &'a Money) -> records::Money<S> {
    let Money { amount, currency } = money;
    records::Money { amount: *amount, currency: S::from(currency.code()), exponent: currency.exponent() }
}

impl From<&OrderStatus> for wit::OrderStatus {
    fn from(status: &OrderStatus) -> Self {
        match status {
            OrderStatus::Pending => Self::Pending,
            OrderStatus::PartlyShipped => Self::PartlyShipped,
            OrderStatus::Shipped => Self::Shipped,
            OrderStatus::Delivered => Self::Delivered,
            OrderStatus::Cancelled => Self::Cancelled,
            OrderStatus::Other(name) => Self::Other(name.clone()),
        }
    }
}

impl From<&Category> for wit::Category {
    fn from(category: &Category) -> Self {
        match category {
            Category::Transactional => Self::Transactional,
            Category::Requested => Self::Requested,
            Category::Marketing => Self::Marketing,
            Category::Other(name) => Self::Other(name.clone()),
        }
    }
}

impl From<Class> for wit_policy::FailureClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Deferred => Self::Deferred,
            Class::Rejected => Self::Rejected,
            Class::NotHandedOver => Self::NotHandedOver,
            Class::InDoubt => Self::InDoubt,
            Class::RenderFailed => Self::RenderFailed,
            Class::Throttled => Self::Throttled,
            Class::Greylisted => Self::Greylisted,
        }
    }
}

impl From<ReportKind> for wit_reports::ReportKind {
    fn from(kind: ReportKind) -> Self {
        match kind {
            ReportKind::Delayed => Self::Delayed,
            ReportKind::Bounced => Self::Bounced,
            ReportKind::Complained => Self::Complained,
            ReportKind::Answered => Self::Answered,
            // What arrived is not asked about.
            ReportKind::Delivered | ReportKind::Other => Self::Other(kind.as_str().to_owned()),
        }
    }
}

fn web<'a, S: From<&'a str>>(address: &'a WebAddress) -> S {
    S::from(address.as_str())
}

fn pairs<'a, S: From<&'a str>>(attributes: &'a Attributes) -> records::Attributes<S> {
    attributes.iter().map(|(k, v)| (S::from(k), S::from(v))).collect()
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}
