//! What may be asked to happen to an order.

use serde::Deserialize;

use super::{Items, Link, Status};
use crate::shop::product::Price;
use crate::shop::text::{Line, Note, OptionalLine, WebAddress};

/// The most parcels that one change brings.
const NEW_PARCELS_MAX: usize = 20;

/// A change of an order's status.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusChange {
    /// Where it stands now. `partly_shipped`: the parcels of this change are on their way, and say what is in them, and more
    /// is to come. `shipped`: all is on its way that was not yet.
    pub status: Status,
    /// The parcels; only with `partly_shipped` and `shipped`.
    #[serde(default)]
    #[schema(value_type = Vec<NewTracking>, max_items = 20)]
    pub tracking: Parcels,
    /// Why it is cancelled, in the shop's words; only with `cancelled`.
    #[serde(default)]
    pub cancel_reason: Option<Line>,
    /// What the shop says to the customer about it: in the mail, and with the order until its next change.
    #[serde(default)]
    pub note: Option<Note>,
    /// Given, the customer gets no mail of this change: its notification is recorded as skipped, with who made the change
    /// and this reason. An operator can still send it.
    #[serde(default)]
    pub silent_reason: Option<Line>,
}

impl StatusChange {
    /// To this status, with nothing beside.
    pub fn to(status: Status) -> Self {
        Self { status, tracking: Parcels::default(), cancel_reason: None, note: None, silent_reason: None }
    }
}

/// One parcel that is on its way.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, expecting = "a parcel")]
pub struct NewTracking {
    /// Who carries it.
    pub carrier: Line,
    /// The carrier's number.
    pub number: Line,
    /// The carrier's page.
    #[serde(default)]
    pub url: Option<WebAddress>,
    /// What is in it, by product. May be left out with `shipped`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<super::Item>>, min_items = 1, max_items = 100)]
    pub items: Option<Items>,
}

/// At most 20 parcels.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Vec<NewTracking>")]
pub struct Parcels(Vec<NewTracking>);

impl TryFrom<Vec<NewTracking>> for Parcels {
    type Error = String;

    fn try_from(parcels: Vec<NewTracking>) -> Result<Self, String> {
        if parcels.len() > NEW_PARCELS_MAX {
            return Err(format!("must be at most {NEW_PARCELS_MAX} parcels"));
        }
        Ok(Self(parcels))
    }
}

impl Parcels {
    /// The parcels.
    pub fn into_inner(self) -> Vec<NewTracking> {
        self.0
    }
}

/// Money that is paid back: an amount, pieces, or an amount for pieces.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRefund {
    /// How much. Left out: what the pieces cost, their share of the discount and of the tax with it, so that all pieces,
    /// paid back one by one, make the whole sum; all that is left where nothing of the order will be sent; never more than is
    /// left of what was paid. 0 with `items` takes them back without paying.
    #[serde(default)]
    pub amount: Option<Price>,
    /// For which pieces, by product. Those that were not sent yet come first: they return to the stock and will not be sent.
    #[serde(default)]
    #[schema(value_type = Option<Vec<super::Item>>, min_items = 1, max_items = 100)]
    pub items: Option<Items>,
    /// Whether they were sent and are back in stock: those then come first.
    #[serde(default)]
    pub restock: bool,
    /// The shop's words for why.
    #[serde(default)]
    pub reason: OptionalLine,
    /// What the shop says to the customer about it: in the mail, and with the order until its next change.
    #[serde(default)]
    pub note: Option<Note>,
    /// Given, the customer gets no mail of this change, as with a change of the status.
    #[serde(default)]
    pub silent_reason: Option<Line>,
}

/// What became of a payment. The customer is told that it came if less is due than before; if not, and nothing failed, of a
/// change. What says nothing new changes nothing.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentReport {
    /// What is still to be paid: 0 when all is.
    pub due: Price,
    /// Why it failed, in words for the customer. Left out: something was paid.
    #[serde(default)]
    pub failure: Option<Line>,
    /// Where the rest can be paid.
    #[serde(default)]
    pub link: Option<Link>,
    /// What the shop says to the customer about it: in the mail, and with the order until its next change.
    #[serde(default)]
    pub note: Option<Note>,
    /// Given, the customer gets no mail of this change, as with a change of the status.
    #[serde(default)]
    pub silent_reason: Option<Line>,
}

/// The bill of an order: its first, or another one instead. What says nothing new changes nothing.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvoice {
    /// Its number; no other order may have it.
    pub number: Line,
    /// Its date; when left out, now, or that of the invoice of the same number.
    #[serde(default, with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub issued_at: Option<i64>,
    /// The shop's VAT identification number.
    #[serde(default)]
    pub seller_vat_id: OptionalLine,
    /// The customer's.
    #[serde(default)]
    pub buyer_vat_id: OptionalLine,
    /// Where it can be downloaded. The default renderer attaches one that it writes as well.
    #[serde(default)]
    pub link: Option<Link>,
    /// What the shop says to the customer about it: in the mail, and with the order until its next change.
    #[serde(default)]
    pub note: Option<Note>,
    /// Given, the customer gets no mail of this change, as with a change of the status.
    #[serde(default)]
    pub silent_reason: Option<Line>,
}

/// Something that the shop says to the customer about an order while nothing else happens to it.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    /// What it says.
    pub note: Note,
    /// Given, the customer gets no mail of it, as with a change of the status.
    #[serde(default)]
    pub silent_reason: Option<Line>,
}

/// Something that happens to an order.
#[derive(Clone, Debug)]
pub enum Change {
    /// It moves on.
    Status(StatusChange),
    /// Money is paid back.
    Refund(NewRefund),
    /// Money came, or did not.
    Payment(PaymentReport),
    /// It is billed.
    Invoice(NewInvoice),
    /// The shop has something to say.
    Note(NewNote),
}

impl Change {
    /// Why the customer gets no mail of it; none: they get one.
    pub fn silent_reason(&self) -> Option<&Line> {
        match self {
            Self::Status(StatusChange { silent_reason, .. })
            | Self::Refund(NewRefund { silent_reason, .. })
            | Self::Payment(PaymentReport { silent_reason, .. })
            | Self::Invoice(NewInvoice { silent_reason, .. })
            | Self::Note(NewNote { silent_reason, .. }) => silent_reason.as_ref(),
        }
    }
}

macro_rules! from {
    ($($variant:ident($request:ty)),*) => {
        $(impl From<$request> for Change {
            fn from(request: $request) -> Self {
                Self::$variant(request)
            }
        })*
    };
}

from!(Status(StatusChange), Refund(NewRefund), Payment(PaymentReport), Invoice(NewInvoice), Note(NewNote));
