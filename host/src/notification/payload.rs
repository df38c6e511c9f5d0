//! What a notification says: written in the transaction of the change, kept beyond delivery.

use serde::{Deserialize, Serialize};

use super::earlier;
use super::subject::order::Status;
use super::subject::{Link, Order, Subject};
use crate::shop::text::{Email, Line, Locale, OptionalLine, TimeZone, WebAddress};
use crate::shop::{Attributes, Shop, order};

/// All that a plugin sees of an event, and of which trace it is a part. Times of day are not in it: they follow from the customer's time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// What happened: "order.placed", "order.shipped", …
    pub kind: String,
    /// What the customer can expect of the mail.
    #[serde(default)]
    pub category: Category,
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    pub occurred_at: i64,
    /// Who sells.
    pub shop: Shop,
    /// Who gets the mail.
    pub customer: Customer,
    /// What it is about.
    pub subject: Subject,
    /// Earlier changes that this mail tells as well, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<MergedChange>,
    /// Where the customer stops such mails.
    #[serde(default)]
    pub unsubscribe_url: Option<WebAddress>,
    /// Where the customer chooses which mails they get.
    #[serde(default)]
    pub preferences_url: Option<WebAddress>,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
    /// Of which trace its deliveries are a part (W3C Trace Context, `traceparent`). No plugin sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// What a customer can expect of a mail, and whether they may refuse it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Category {
    /// About an order or an account.
    #[default]
    Transactional,
    /// Asked for by the customer.
    Requested,
    /// Agreed to in general.
    Marketing,
    /// Of a later version, by its name.
    Other(String),
}

/// An earlier change that is told with a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedChange {
    /// The kind of its own notification.
    pub kind: String,
    /// The order's version after it.
    pub version: u32,
    /// Where the order stood after it.
    pub status: Status,
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    pub occurred_at: i64,
    /// What the shop said about it.
    #[serde(default)]
    pub note: Option<String>,
}

/// The most earlier changes that a mail tells; the oldest give way.
const MERGED_MAX: usize = 50;

/// Who gets the mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// The user.
    pub id: i64,
    /// As mails address them.
    pub name: Line,
    /// The mail's recipient.
    pub email: Email,
    /// Which language the mail is in.
    pub locale: Locale,
    /// Which zone its times are in.
    pub time_zone: TimeZone,
    /// Values that templates and policies may use.
    #[serde(default)]
    pub attributes: Attributes,
}

/// The kinds of notifications of orders, as their changes make them.
pub const KINDS: [&str; order::Kind::ALL.len()] = {
    let mut kinds = [""; order::Kind::ALL.len()];
    let mut i = 0;
    while i < kinds.len() {
        kinds[i] = order::Kind::ALL[i].as_str();
        i += 1;
    }
    kinds
};

impl Payload {
    /// The notification of a change that has just been made.
    pub fn of_change(
        kind: order::Kind,
        order: &order::Order,
        previous: Option<order::Status>,
        customer: Customer,
        shop: &Shop,
    ) -> Self {
        let mut changed = Order::after_change(order, previous);
        changed.url = shop.order_url.as_ref().and_then(|page| page.of(&changed.number));
        let subject = Subject::Order(Box::new(changed));
        Self::of(kind.as_str(), order.updated_at, customer, shop, subject)
    }

    /// A transactional notification, with nothing beside.
    pub fn of(kind: &str, occurred_at: i64, customer: Customer, shop: &Shop, subject: Subject) -> Self {
        Self {
            kind: kind.to_owned(),
            category: Category::Transactional,
            occurred_at,
            shop: shop.clone(),
            customer,
            subject,
            merged: Vec::new(),
            unsubscribe_url: None,
            preferences_url: None,
            attributes: Attributes::default(),
            trace: None,
        }
    }

    /// Reads what is stored, by this version of the host or by an earlier one.
    pub fn read(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text).or_else(|e| earlier::read(text).map_err(|_| e))
    }

    /// The order, if it is about one.
    pub fn order(&self) -> Option<&Order> {
        match &self.subject {
            Subject::Order(order) => Some(order),
            Subject::Account(_) | Subject::Product(_) | Subject::Other(_) => None,
        }
    }

    /// How many lines the order has; a call's budget grows with them.
    pub fn lines(&self) -> usize {
        self.order().map_or(0, |order| order.lines.len())
    }

    /// What all mails of one order share: a revision on trial writes all of them or none. For others it is the customer.
    pub fn sticky_id(&self) -> i64 {
        self.order().map_or(self.customer.id, |order| order.id)
    }

    /// Takes in an earlier notification of the same order that has no mail of its own, and what that took in before.
    pub fn merge(&mut self, earlier: Self) {
        let Subject::Order(order) = earlier.subject else { return };
        let own = MergedChange {
            kind: earlier.kind,
            version: order.version,
            status: order.status,
            occurred_at: earlier.occurred_at,
            note: order.note,
        };
        let later = std::mem::take(&mut self.merged);
        self.merged = earlier.merged.into_iter().chain([own]).chain(later).collect();
        self.merged.drain(..self.merged.len().saturating_sub(MERGED_MAX));
    }

    /// Whether the one thing that its mail asks for can no longer be done, at a time in unix milliseconds.
    pub fn is_over(&self, now: i64) -> bool {
        self.account_link().and_then(|link| link.expires_at).is_some_and(|until| until <= now)
    }

    /// Whether its mail has a link that is for its reader alone.
    pub fn has_secret(&self) -> bool {
        self.account_link().is_some_and(|link| link.stamp.is_some())
    }

    fn account_link(&self) -> Option<&Link> {
        match &self.subject {
            Subject::Account(account) => account.link.as_ref(),
            Subject::Order(_) | Subject::Product(_) | Subject::Other(_) => None,
        }
    }

    /// Sends it to where the customer is reached now. What is about an address goes where it went.
    pub fn readdress(&mut self, customer: &Customer) {
        let email = match (&self.subject, self.kind.as_str()) {
            // What happened to an account is told where it was known of then.
            (Subject::Account(_), kind) if kind != "account.reset-password" => self.customer.email.clone(),
            _ => customer.email.clone(),
        };
        self.customer = Customer { email, ..customer.clone() };
    }

    /// Takes the customer out of it.
    pub fn redact(&mut self, nobody: &Customer) {
        self.customer = nobody.clone();
        (self.unsubscribe_url, self.preferences_url) = (None, None);
        match &mut self.subject {
            Subject::Order(order) => {
                (order.ship_to, order.bill_to, order.gift_message, order.note) = (None, None, None, None);
                (order.payment.link, order.payment.failure, order.url) = (None, None, None);
                order.cancel_reason = None;
                if let Some(invoice) = &mut order.invoice {
                    (invoice.buyer_vat_id, invoice.link) = (OptionalLine::default(), None);
                }
                order.refunds.iter_mut().for_each(|refund| refund.reason = OptionalLine::default());
            }
            Subject::Account(account) => {
                account.email = nobody.email.clone();
                account.link = None;
                account.attributes = Attributes::default();
            }
            Subject::Product(_) | Subject::Other(_) => {}
        }
        self.merged.iter_mut().for_each(|change| change.note = None);
    }
}

impl From<String> for Category {
    fn from(name: String) -> Self {
        match name.as_str() {
            "transactional" => Self::Transactional,
            "requested" => Self::Requested,
            "marketing" => Self::Marketing,
            _ => Self::Other(name),
        }
    }
}

impl From<Category> for String {
    fn from(category: Category) -> Self {
        match category {
            Category::Transactional => "transactional".to_owned(),
            Category::Requested => "requested".to_owned(),
            Category::Marketing => "marketing".to_owned(),
            Category::Other(name) => name,
        }
    }
}
