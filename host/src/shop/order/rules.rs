//! What a change makes of an order: where it stands, and where its pieces are.

use super::change::{Change, NewNote, NewTracking, StatusChange};
use super::{Item, Items, Kind, Order, OrderLine, Status, Tracking};
use crate::money::Money;

/// The most parcels of an order.
pub const PARCELS_MAX: usize = 100;

/// An order that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// As it is now.
    pub order: Order,
    /// What its customer is told.
    pub kind: Kind,
    /// Pieces that are in stock again, by product.
    pub returned: Vec<(i64, i64)>,
}

/// Why a change does not go together with an order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The status machine has no such move.
    #[error("an order that is {0} cannot become {1}")]
    Move(Status, Status),
    /// Parcels came with another status.
    #[error("parcels go only with the statuses \"partly_shipped\" and \"shipped\"")]
    Parcels,
    /// A reason to cancel came with another status.
    #[error("a cancel_reason goes only with the status \"cancelled\"")]
    Reason,
    /// Which pieces are on their way is not said.
    #[error("an order becomes partly_shipped by parcels, each of which says what is in it (items)")]
    Contents,
    /// Nothing is left to be sent.
    #[error("nothing would be left to be sent: the status is \"shipped\"")]
    NothingLeft,
    /// Something is left to be sent.
    #[error("{0} pieces of product {1} would be in no parcel: put them into one, or say \"partly_shipped\"")]
    Left(u32, i64),
    /// The order has other products.
    #[error("the order has no product {0}")]
    Product(i64),
    /// More pieces than are to be sent.
    #[error("only {1} pieces of product {0} are still to be sent")]
    Open(i64, u32),
    /// More pieces than could be paid back.
    #[error("only {1} pieces of product {0} are not paid back yet")]
    Pieces(i64, u32),
    /// Neither an amount nor pieces.
    #[error("a refund says how much is paid back (amount), for which pieces (items), or both")]
    Nothing,
    /// No pieces, and the amount is zero.
    #[error("nothing would be paid back: without pieces (items), a refund has an amount above zero")]
    Zero,
    /// More than was paid.
    #[error("at most {left} {currency} in minor units can be paid back: the rest is paid back already, or was never paid", left = .0.amount, currency = .0.currency.code())]
    TooMuch(Money),
    /// An amount in another currency.
    #[error("the order is in {0}")]
    Currency(String),
    /// More is due than the order costs.
    #[error("at most {total} {currency} in minor units can be due: it is the order's total less what was paid back", total = .0.amount, currency = .0.currency.code())]
    Due(Money),
    /// A failed payment leaves something to be paid.
    #[error("a payment that failed leaves something due")]
    NothingDue,
    /// The order will not be sent, so nobody is to pay for it.
    #[error("an order that is cancelled is not paid any more")]
    Cancelled,
    /// So many are enough.
    #[error("an order has at most {0} {1}")]
    Many(usize, &'static str),
}

impl Order {
    /// The order after a change at a time in unix milliseconds; none: it is as it was.
    pub fn change(self, change: Change, now: i64) -> Result<Option<Changed>, ChangeError> {
        // Two changes within a millisecond still have an order.
        let updated_at = now.max(self.updated_at);
        let order = Self { version: self.version + 1, updated_at, ..self };
        let mut changed = Changed { order, kind: Kind::Noted, returned: Vec::new() };
        let is_new = match change {
            Change::Status(change) => changed.go_on(change).map(|()| true)?,
            Change::Refund(refund) => changed.pay_back(refund).map(|()| true)?,
            Change::Payment(report) => changed.take_payment(report)?,
            Change::Invoice(invoice) => changed.bill(invoice),
            Change::Note(NewNote { note, silent_reason: _ }) => {
                changed.order.note = Some(note);
                true
            }
        };
        Ok(is_new.then_some(changed))
    }

    /// Puts its pieces where its status says they are: what was still to be sent is on its way, or will not be sent.
    pub(crate) fn settle_pieces(&mut self) {
        for line in &mut self.lines {
            match self.status {
                Status::Pending | Status::PartlyShipped => {}
                Status::Shipped | Status::Delivered => line.shipped_quantity += std::mem::take(&mut line.open_quantity),
                Status::Cancelled => line.open_quantity = 0,
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.lines.iter().any(|line| line.open_quantity > 0)
    }

    pub(super) fn line(&mut self, product_id: i64) -> Result<&mut OrderLine, ChangeError> {
        self.lines.iter_mut().find(|line| line.product_id == product_id).ok_or(ChangeError::Product(product_id))
    }

    /// Puts pieces into a parcel.
    fn pack(&mut self, items: &[Item]) -> Result<(), ChangeError> {
        for item in items {
            let line = self.line(item.product_id)?;
            let open = line.open_quantity.checked_sub(item.quantity);
            line.open_quantity = open.ok_or(ChangeError::Open(item.product_id, line.open_quantity))?;
            line.shipped_quantity += item.quantity;
        }
        Ok(())
    }
}

impl Changed {
    fn go_on(&mut self, change: StatusChange) -> Result<(), ChangeError> {
        let StatusChange { status, tracking, cancel_reason, note, silent_reason: _ } = change;
        let (order, parcels) = (&mut self.order, tracking.into_inner());
        if !order.status.allows(status) {
            return Err(ChangeError::Move(order.status, status));
        }
        let is_sent = matches!(status, Status::PartlyShipped | Status::Shipped);
        if !is_sent && !parcels.is_empty() {
            return Err(ChangeError::Parcels);
        }
        if cancel_reason.is_some() && status != Status::Cancelled {
            return Err(ChangeError::Reason);
        }
        let says_all = !parcels.is_empty() && parcels.iter().all(|parcel| parcel.items.is_some());
        self.send(parcels)?;
        let order = &mut self.order;
        let left = order.lines.iter().find(|line| line.open_quantity > 0);
        match (status, left) {
            (Status::PartlyShipped, _) if !says_all => return Err(ChangeError::Contents),
            (Status::PartlyShipped, None) => return Err(ChangeError::NothingLeft),
            (Status::Shipped, Some(line)) if says_all => {
                return Err(ChangeError::Left(line.open_quantity, line.product_id));
            }
            (Status::Cancelled, _) => {
                let open = order.lines.iter().filter(|line| line.open_quantity > 0);
                self.returned = open.map(|line| (line.product_id, line.open_quantity.into())).collect();
            }
            _ => {}
        }
        (order.status, order.cancel_reason, order.note) = (status, cancel_reason, note);
        self.kind = status.into();
        // What no parcel says it holds goes with those that say nothing, or with none that the shop tells of.
        order.settle_pieces();
        Ok(())
    }

    fn send(&mut self, parcels: Vec<NewTracking>) -> Result<(), ChangeError> {
        let order = &mut self.order;
        if order.tracking.len() + parcels.len() > PARCELS_MAX {
            return Err(ChangeError::Many(PARCELS_MAX, "parcels"));
        }
        for NewTracking { carrier, number, url, items } in parcels {
            let items = items.map_or_else(Vec::new, Items::into_inner);
            order.pack(&items)?;
            order.tracking.push(Tracking { since_version: order.version, carrier, number, url, items });
        }
        Ok(())
    }
}
