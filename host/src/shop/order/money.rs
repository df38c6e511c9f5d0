//! An order's money after it was placed: what is due, what is paid back, the bill. Exact.

use super::change::{NewInvoice, NewRefund, PaymentReport};
use super::rules::{ChangeError, Changed};
use super::{Invoice, Item, Items, Kind, Order, OrderLine, Payment, Refund, Status};
use crate::money::{Money, part};
use crate::shop::product::Price;
use crate::shop::text::Note;

/// The most refunds of an order.
pub const REFUNDS_MAX: usize = 100;

impl Order {
    /// What was paid back.
    pub fn refunded(&self) -> i64 {
        self.refunds.iter().map(|refund| refund.amount.amount).sum()
    }

    /// What the pieces that were paid back cost, with their share of the discount and of the tax. By all of them rather than
    /// by those of one refund, so that roundings do not add up.
    fn worth_of_refunded(&self) -> i64 {
        let pieces = |line: &OrderLine| {
            part(line.total.amount, line.refunded_quantity.into(), line.quantity.into()).unwrap_or(0)
        };
        let goods = self.lines.iter().map(pieces).fold(0, i64::saturating_add);
        let off = part(goods, self.discount.amount, self.subtotal.amount).unwrap_or(0);
        let goods = goods - off;
        if self.prices_include_tax {
            return goods;
        }
        let taxed = self.subtotal.amount - self.discount.amount + self.shipping.amount;
        goods + part(goods, self.tax.amount, taxed).unwrap_or(0)
    }

    fn same_currency(&self, price: Price) -> Result<Money, ChangeError> {
        let money = Money::from(price);
        if money.currency != self.total.currency {
            return Err(ChangeError::Currency(self.total.currency.into()));
        }
        Ok(money)
    }

    /// What is still to be paid: all of it that was not paid back, as long as nobody said otherwise.
    fn owed(&self) -> i64 {
        self.payment.due.map_or(self.total.amount - self.refunded(), |due| due.amount)
    }

    /// Whether a note would be news.
    fn is_news(&self, note: Option<&Note>) -> bool {
        note.is_some() && note != self.note.as_ref()
    }
}

impl Changed {
    /// False if it says nothing new.
    pub(super) fn take_payment(&mut self, report: PaymentReport) -> Result<bool, ChangeError> {
        let PaymentReport { due, failure, link, note, silent_reason: _ } = report;
        let order = &mut self.order;
        let due = order.same_currency(due)?;
        let most = order.total.with(order.total.amount - order.refunded());
        if due.amount > most.amount {
            return Err(ChangeError::Due(most));
        }
        match (&failure, order.status) {
            (Some(_), Status::Cancelled) => return Err(ChangeError::Cancelled),
            (Some(_), _) if due.amount == 0 => return Err(ChangeError::NothingDue),
            _ => {}
        }
        self.kind = match &failure {
            Some(_) => Kind::PaymentFailed,
            None if due.amount < order.owed() => Kind::PaymentReceived,
            None => Kind::Noted,
        };
        let payment = Payment { due: Some(due), failure, link };
        let is_new = payment != order.payment || order.is_news(note.as_ref());
        (order.payment, order.note) = (payment, note);
        Ok(is_new)
    }

    /// False if it says nothing new.
    pub(super) fn bill(&mut self, invoice: NewInvoice) -> bool {
        let NewInvoice { number, issued_at, seller_vat_id, buyer_vat_id, link, note, silent_reason: _ } = invoice;
        let order = &mut self.order;
        let before = order.invoice.as_ref().filter(|before| before.number == number).map(|before| before.issued_at);
        let issued_at = issued_at.or(before).unwrap_or(order.updated_at);
        let invoice = Some(Invoice { number, issued_at, seller_vat_id, buyer_vat_id, link });
        let is_new = invoice != order.invoice || order.is_news(note.as_ref());
        (order.invoice, order.note) = (invoice, note);
        self.kind = Kind::Invoiced;
        is_new
    }

    pub(super) fn pay_back(&mut self, refund: NewRefund) -> Result<(), ChangeError> {
        let NewRefund { amount, items, restock, reason, note, silent_reason: _ } = refund;
        let items = items.map_or_else(Vec::new, Items::into_inner);
        if amount.is_none() && items.is_empty() {
            return Err(ChangeError::Nothing);
        }
        if self.order.refunds.len() == REFUNDS_MAX {
            return Err(ChangeError::Many(REFUNDS_MAX, "refunds"));
        }
        let before = self.order.worth_of_refunded();
        for item in &items {
            self.take_back(item, restock)?;
        }
        let order = &mut self.order;
        let due = order.payment.due.map_or(0, |due| due.amount);
        let left = order.total.with((order.total.amount - due - order.refunded()).max(0));
        // Nothing was sent, the shipping was for nothing too.
        let is_all = matches!(order.status, Status::Pending | Status::Cancelled)
            && order.lines.iter().all(|line| line.refunded_quantity == line.quantity);
        let worth = if is_all { left.amount } else { order.worth_of_refunded() - before };
        let amount = match amount {
            Some(amount) => order.same_currency(amount)?,
            None => left.with(worth.min(left.amount)),
        };
        if amount.amount == 0 && items.is_empty() {
            return Err(ChangeError::Zero);
        }
        if amount.amount > left.amount {
            return Err(ChangeError::TooMuch(left));
        }
        self.kind = if amount.amount > 0 { Kind::Refunded } else { Kind::Noted };
        order.refunds.push(Refund { since_version: order.version, amount, reason, items });
        order.note = note;
        // Who gets the rest has all that is to come.
        order.status = match order.status {
            Status::Pending if !order.is_open() => Status::Cancelled,
            Status::PartlyShipped if !order.is_open() => Status::Shipped,
            status => status,
        };
        Ok(())
    }

    fn take_back(&mut self, item: &Item, restock: bool) -> Result<(), ChangeError> {
        let is_cancelled = self.order.status == Status::Cancelled;
        let line = self.order.line(item.product_id)?;
        let left = line.quantity - line.refunded_quantity;
        if item.quantity > left {
            return Err(ChangeError::Pieces(item.product_id, left));
        }
        line.refunded_quantity += item.quantity;
        // The pieces of a cancelled order have returned with it.
        if is_cancelled {
            return Ok(());
        }
        let sent_left = left - line.open_quantity;
        let sent =
            if restock { item.quantity.min(sent_left) } else { item.quantity - item.quantity.min(line.open_quantity) };
        line.open_quantity -= item.quantity - sent;
        let returned = if restock { item.quantity } else { item.quantity - sent };
        if returned > 0 {
            self.returned.push((item.product_id, returned.into()));
        }
        Ok(())
    }
}
