//! What a plugin is given: the contract's records, generic in their texts. As arguments every text is borrowed from the
//! host's nouns (`&str`): the generated records own theirs, about seventy allocations for a call that lasts microseconds.
//! What an import answers has to own them (`String`). The first call of every component compares these types with its own,
//! name by name.

use wasmtime::component::{ComponentType, Lower};

use super::wit::{Category, OrderStatus};
use super::wit_policy::FailureClass;
use super::wit_reports::ReportKind;

pub(super) type Attributes<S> = Vec<(S, S)>;

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct Moment {
    #[component(name = "unix-ms")]
    pub(super) unix_ms: u64,
    #[component(name = "utc-offset-minutes")]
    pub(super) utc_offset_minutes: i32,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Money<S> {
    pub(super) amount: i64,
    pub(super) currency: S,
    pub(super) exponent: u8,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Link<S> {
    pub(super) url: S,
    #[component(name = "expires-at")]
    pub(super) expires_at: Option<Moment>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Discount<S> {
    pub(super) label: S,
    pub(super) code: Option<S>,
    pub(super) amount: Money<S>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct TaxLine<S> {
    pub(super) label: S,
    #[component(name = "rate-basis-points")]
    pub(super) rate_basis_points: u32,
    pub(super) net: Money<S>,
    pub(super) amount: Money<S>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Line<S> {
    pub(super) number: u32,
    #[component(name = "product-id")]
    pub(super) product_id: u64,
    pub(super) sku: S,
    pub(super) name: S,
    pub(super) quantity: u32,
    #[component(name = "shipped-quantity")]
    pub(super) shipped_quantity: u32,
    #[component(name = "refunded-quantity")]
    pub(super) refunded_quantity: u32,
    #[component(name = "unit-price")]
    pub(super) unit_price: Money<S>,
    pub(super) discount: Money<S>,
    pub(super) total: Money<S>,
    #[component(name = "tax-rate-basis-points")]
    pub(super) tax_rate_basis_points: Option<u32>,
    pub(super) url: Option<S>,
    #[component(name = "image-url")]
    pub(super) image_url: Option<S>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Address<S> {
    pub(super) name: S,
    pub(super) company: S,
    pub(super) lines: Vec<S>,
    pub(super) city: S,
    pub(super) region: S,
    #[component(name = "postal-code")]
    pub(super) postal_code: S,
    pub(super) country: S,
    pub(super) phone: S,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct LinePart {
    #[component(name = "line-number")]
    pub(super) line_number: u32,
    pub(super) quantity: u32,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Shipment<S> {
    #[component(name = "since-version")]
    pub(super) since_version: u32,
    pub(super) carrier: S,
    #[component(name = "tracking-number")]
    pub(super) tracking_number: S,
    #[component(name = "tracking-url")]
    pub(super) tracking_url: Option<S>,
    pub(super) parts: Vec<LinePart>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Refund<S> {
    #[component(name = "since-version")]
    pub(super) since_version: u32,
    pub(super) amount: Money<S>,
    pub(super) reason: S,
    pub(super) parts: Vec<LinePart>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Payment<S> {
    pub(super) method: S,
    pub(super) due: Option<Money<S>>,
    pub(super) link: Option<Link<S>>,
    pub(super) failure: Option<S>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Invoice<S> {
    pub(super) number: S,
    #[component(name = "issued-at")]
    pub(super) issued_at: Moment,
    #[component(name = "seller-vat-id")]
    pub(super) seller_vat_id: S,
    #[component(name = "buyer-vat-id")]
    pub(super) buyer_vat_id: S,
    pub(super) link: Option<Link<S>>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Order<S> {
    pub(super) id: u64,
    pub(super) number: S,
    pub(super) version: u32,
    pub(super) status: OrderStatus,
    #[component(name = "previous-status")]
    pub(super) previous_status: Option<OrderStatus>,
    #[component(name = "placed-at")]
    pub(super) placed_at: Moment,
    pub(super) lines: Vec<Line<S>>,
    pub(super) subtotal: Money<S>,
    pub(super) discounts: Vec<Discount<S>>,
    pub(super) discount: Money<S>,
    pub(super) shipping: Money<S>,
    pub(super) taxes: Vec<TaxLine<S>>,
    pub(super) tax: Money<S>,
    #[component(name = "prices-include-tax")]
    pub(super) prices_include_tax: bool,
    pub(super) total: Money<S>,
    pub(super) payment: Payment<S>,
    #[component(name = "ship-to")]
    pub(super) ship_to: Option<Address<S>>,
    #[component(name = "bill-to")]
    pub(super) bill_to: Option<Address<S>>,
    pub(super) shipments: Vec<Shipment<S>>,
    pub(super) refunds: Vec<Refund<S>>,
    pub(super) invoice: Option<Invoice<S>>,
    #[component(name = "gift-message")]
    pub(super) gift_message: Option<S>,
    pub(super) note: Option<S>,
    #[component(name = "cancel-reason")]
    pub(super) cancel_reason: Option<S>,
    pub(super) url: Option<S>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Account<S> {
    pub(super) email: S,
    pub(super) link: Option<Link<S>>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Product<S> {
    pub(super) id: u64,
    pub(super) sku: S,
    pub(super) name: S,
    pub(super) price: Money<S>,
    pub(super) url: Option<S>,
    #[component(name = "image-url")]
    pub(super) image_url: Option<S>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
#[expect(clippy::large_enum_variant, reason = "there is one, for the time of a call")]
pub(super) enum Subject<S> {
    #[component(name = "order")]
    Order(Order<S>),
    #[component(name = "account")]
    Account(Account<S>),
    #[component(name = "product")]
    Product(Product<S>),
    #[component(name = "other")]
    Other(S),
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct MergedChange<S> {
    pub(super) kind: S,
    pub(super) version: u32,
    pub(super) status: OrderStatus,
    #[component(name = "occurred-at")]
    pub(super) occurred_at: Moment,
    pub(super) note: Option<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Customer<S> {
    pub(super) id: u64,
    pub(super) name: S,
    pub(super) email: S,
    pub(super) locale: S,
    #[component(name = "time-zone")]
    pub(super) time_zone: S,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Shop<S> {
    pub(super) name: S,
    pub(super) url: S,
    #[component(name = "support-email")]
    pub(super) support_email: S,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Notification<S> {
    pub(super) id: u64,
    pub(super) kind: S,
    pub(super) category: Category,
    #[component(name = "message-id")]
    pub(super) message_id: S,
    #[component(name = "occurred-at")]
    pub(super) occurred_at: Moment,
    pub(super) shop: Shop<S>,
    pub(super) customer: Customer<S>,
    pub(super) subject: Subject<S>,
    pub(super) merged: Vec<MergedChange<S>>,
    #[component(name = "unsubscribe-url")]
    pub(super) unsubscribe_url: Option<S>,
    #[component(name = "preferences-url")]
    pub(super) preferences_url: Option<S>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Request<S> {
    #[component(name = "ab-variant")]
    pub(super) ab_variant: Option<S>,
    pub(super) seed: u64,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct OrderBrief<S> {
    pub(super) id: u64,
    pub(super) number: S,
    pub(super) version: u32,
    pub(super) status: OrderStatus,
    #[component(name = "previous-status")]
    pub(super) previous_status: Option<OrderStatus>,
    #[component(name = "newest-status")]
    pub(super) newest_status: OrderStatus,
    pub(super) total: Money<S>,
    #[component(name = "line-count")]
    pub(super) line_count: u32,
    #[component(name = "ship-to-country")]
    pub(super) ship_to_country: S,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
pub(super) enum SubjectBrief<S> {
    #[component(name = "order")]
    Order(OrderBrief<S>),
    #[component(name = "account")]
    Account,
    #[component(name = "product")]
    Product(u64),
    #[component(name = "other")]
    Other(S),
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Brief<S> {
    pub(super) id: u64,
    pub(super) kind: S,
    pub(super) category: Category,
    #[component(name = "occurred-at")]
    pub(super) occurred_at: Moment,
    pub(super) customer: Customer<S>,
    pub(super) subject: SubjectBrief<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
#[expect(clippy::struct_field_names, reason = "the contract's name, since `class` is a keyword of many languages")]
pub(super) struct Failure<S> {
    #[component(name = "failed-at")]
    pub(super) failed_at: Moment,
    #[component(name = "failure-class")]
    pub(super) failure_class: FailureClass,
    pub(super) phase: S,
    #[component(name = "reply-code")]
    pub(super) reply_code: Option<u16>,
    #[component(name = "enhanced-code")]
    pub(super) enhanced_code: Option<S>,
    #[component(name = "reply-text")]
    pub(super) reply_text: S,
    pub(super) relay: S,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
#[expect(clippy::struct_field_names, reason = "the contract's name, beside `failure-class`")]
pub(super) struct Report<S> {
    #[component(name = "received-at")]
    pub(super) received_at: Moment,
    #[component(name = "report-kind")]
    pub(super) report_kind: ReportKind,
    #[component(name = "enhanced-code")]
    pub(super) enhanced_code: Option<S>,
    #[component(name = "report-text")]
    pub(super) report_text: S,
    pub(super) reporter: S,
    pub(super) relay: S,
    #[component(name = "sent-at")]
    pub(super) sent_at: Moment,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Relay<S> {
    pub(super) name: S,
    pub(super) available: bool,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Domain<S> {
    pub(super) name: S,
    #[component(name = "throttled-at")]
    pub(super) throttled_at: Option<Moment>,
    pub(super) attributes: Attributes<S>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct QueuedChange<S> {
    pub(super) kind: S,
    pub(super) version: u32,
    #[component(name = "queued-at")]
    pub(super) queued_at: Moment,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Situation<S> {
    pub(super) now: Moment,
    pub(super) seed: u64,
    pub(super) attempts: u32,
    #[component(name = "attempts-max")]
    pub(super) attempts_max: u32,
    #[component(name = "queued-at")]
    pub(super) queued_at: Moment,
    #[component(name = "first-failed-at")]
    pub(super) first_failed_at: Option<Moment>,
    #[component(name = "age-max-ms")]
    pub(super) age_max_ms: u64,
    pub(super) history: Vec<Failure<S>>,
    pub(super) relays: Vec<Relay<S>>,
    pub(super) domain: Domain<S>,
    pub(super) queued: Vec<QueuedChange<S>>,
    pub(super) attributes: Attributes<S>,
}
