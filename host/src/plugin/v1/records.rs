//! What a plugin is given: the contract's records with every text borrowed from the host's nouns. The generated ones own
//! theirs, about seventy allocations for a call that lasts microseconds. The first call of every component compares these
//! with its own types, name by name.

use wasmtime::component::{ComponentType, Lower};

use super::wit::OrderStatus;
use super::wit_policy::Class;

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Notification<'a> {
    pub(super) id: u64,
    pub(super) kind: &'a str,
    #[component(name = "message-id")]
    pub(super) message_id: &'a str,
    #[component(name = "occurred-at")]
    pub(super) occurred_at: u64,
    #[component(name = "utc-offset-minutes")]
    pub(super) utc_offset_minutes: i32,
    pub(super) shop: Shop<'a>,
    pub(super) customer: Customer<'a>,
    pub(super) order: Order<'a>,
    pub(super) attributes: Attributes<'a>,
}

pub(super) type Attributes<'a> = Vec<(&'a str, &'a str)>;

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Shop<'a> {
    pub(super) name: &'a str,
    pub(super) url: &'a str,
    #[component(name = "support-email")]
    pub(super) support_email: &'a str,
    pub(super) attributes: Attributes<'a>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Customer<'a> {
    pub(super) id: u64,
    pub(super) name: &'a str,
    pub(super) email: &'a str,
    pub(super) locale: &'a str,
    #[component(name = "time-zone")]
    pub(super) time_zone: &'a str,
    pub(super) attributes: Attributes<'a>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Order<'a> {
    pub(super) id: u64,
    pub(super) number: String,
    pub(super) version: u32,
    pub(super) status: OrderStatus,
    pub(super) previous: Option<OrderStatus>,
    #[component(name = "placed-at")]
    pub(super) placed_at: u64,
    pub(super) lines: Vec<Line<'a>>,
    pub(super) subtotal: Money<'a>,
    pub(super) discount: Money<'a>,
    pub(super) tax: Money<'a>,
    pub(super) shipping: Money<'a>,
    pub(super) total: Money<'a>,
    #[component(name = "payment-method")]
    pub(super) payment_method: &'a str,
    #[component(name = "ship-to")]
    pub(super) ship_to: Option<Address<'a>>,
    #[component(name = "bill-to")]
    pub(super) bill_to: Option<Address<'a>>,
    pub(super) tracking: Vec<Tracking<'a>>,
    pub(super) attributes: Attributes<'a>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Line<'a> {
    #[component(name = "product-id")]
    pub(super) product_id: u64,
    pub(super) sku: &'a str,
    pub(super) name: &'a str,
    pub(super) quantity: u32,
    #[component(name = "unit-price")]
    pub(super) unit_price: Money<'a>,
    pub(super) total: Money<'a>,
    pub(super) url: Option<&'a str>,
    pub(super) image: Option<&'a str>,
    pub(super) attributes: Attributes<'a>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Money<'a> {
    pub(super) amount: i64,
    pub(super) currency: &'a str,
    pub(super) exponent: u8,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Address<'a> {
    pub(super) name: &'a str,
    pub(super) lines: Vec<&'a str>,
    pub(super) city: &'a str,
    pub(super) region: &'a str,
    #[component(name = "postal-code")]
    pub(super) postal_code: &'a str,
    pub(super) country: &'a str,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Tracking<'a> {
    pub(super) carrier: &'a str,
    pub(super) number: &'a str,
    pub(super) url: Option<&'a str>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Failure<'a> {
    pub(super) at: u64,
    pub(super) class: Class,
    pub(super) phase: &'a str,
    pub(super) code: Option<u16>,
    pub(super) enhanced: Option<&'a str>,
    pub(super) reply: &'a str,
    pub(super) relay: &'a str,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Relay<'a> {
    pub(super) name: &'a str,
    pub(super) available: bool,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Situation<'a> {
    pub(super) now: u64,
    #[component(name = "utc-offset-minutes")]
    pub(super) utc_offset_minutes: i32,
    pub(super) seed: u64,
    pub(super) attempts: u32,
    #[component(name = "attempts-max")]
    pub(super) attempts_max: u32,
    #[component(name = "queued-at")]
    pub(super) queued_at: u64,
    #[component(name = "age-max-ms")]
    pub(super) age_max_ms: u64,
    pub(super) history: Vec<Failure<'a>>,
    pub(super) relays: Vec<Relay<'a>>,
    #[component(name = "newest-status")]
    pub(super) newest_status: OrderStatus,
}
