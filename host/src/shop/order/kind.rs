//! What happened to an order, as its customer is told.

use super::Status;

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was placed.
    Placed,
    /// Some of it is on its way.
    PartlyShipped,
    /// All of it is on its way.
    Shipped,
    /// It arrived.
    Delivered,
    /// It will not be sent.
    Cancelled,
    /// Money was paid back.
    Refunded,
    /// Money came: less is due than before.
    PaymentReceived,
    /// Money did not come.
    PaymentFailed,
    /// It was billed.
    Invoiced,
    /// The shop has something to say, or something changed that has no name here.
    Noted,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Placed,
        Self::PartlyShipped,
        Self::Shipped,
        Self::Delivered,
        Self::Cancelled,
        Self::Refunded,
        Self::PaymentReceived,
        Self::PaymentFailed,
        Self::Invoiced,
        Self::Noted,
    ];

    /// The name that notifications have.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "order.placed",
            Self::PartlyShipped => "order.partly-shipped",
            Self::Shipped => "order.shipped",
            Self::Delivered => "order.delivered",
            Self::Cancelled => "order.cancelled",
            Self::Refunded => "order.refunded",
            Self::PaymentReceived => "order.payment-received",
            Self::PaymentFailed => "order.payment-failed",
            Self::Invoiced => "order.invoiced",
            Self::Noted => "order.noted",
        }
    }
}

impl From<Status> for Kind {
    fn from(status: Status) -> Self {
        match status {
            Status::Pending => Self::Placed,
            Status::PartlyShipped => Self::PartlyShipped,
            Status::Shipped => Self::Shipped,
            Status::Delivered => Self::Delivered,
            Status::Cancelled => Self::Cancelled,
        }
    }
}
