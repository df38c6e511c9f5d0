//! An order's money after it was placed: what is due, what is paid back, the bill. Exact.

use super::change::{NewInvoice, NewRefund, PaymentReport};
use super::rules::{ChangeError, Changed};
use super::{Invoice, Item, Items, Order, OrderLine, Payment, Refund, Status};
use crate::money::{Money, part};
use crate::shop::product::Price;

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
        let piece = |line: &OrderLine| line.unit_price.amount.saturating_mul(line.refunded_quantity.into());
        let goods = self.lines.iter().map(piece).fold(0, i64::saturating_add);
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

    pub(super) fn take_payment(&mut self, report: PaymentReport) -> Result<(), ChangeError> {
        let PaymentReport { due, failure, link, note, silent_reason: _ } = report;
        let due = self.same_currency(due)?;
        let most = self.total.with(self.total.amount - self.refunded());
        if due.amount > most.amount {
            return Err(ChangeError::Due(most));
        }
        match (&failure, self.status) {
            (Some(_), Status::Cancelled) => return Err(ChangeError::Cancelled),
            (Some(_), _) if due.amount == 0 => return Err(ChangeError::NothingDue),
            _ => {}
        }
        self.payment = Payment { due: Some(due), failure, link };
        self.note = note;
        Ok(())
    }

    pub(super) fn bill(&mut self, invoice: NewInvoice) {
        let NewInvoice { number, issued_at, seller_vat_id, buyer_vat_id, link, note, silent_reason: _ } = invoice;
        let issued_at = issued_at.unwrap_or(self.updated_at);
        self.invoice = Some(Invoice { number, issued_at, seller_vat_id, buyer_vat_id, link });
        self.note = note;
    }
}

impl Changed {
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
        let worth = order.total.with(order.worth_of_refunded() - before);
        let amount = amount.map(|amount| order.same_currency(amount)).transpose()?.unwrap_or(worth);
        let due = order.payment.due.map_or(0, |due| due.amount);
        let left = order.total.with(order.total.amount - due - order.refunded());
        if amount.amount == 0 {
            return Err(ChangeError::Zero);
        }
        if amount.amount > left.amount {
            return Err(ChangeError::TooMuch(left));
        }
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
        let unsent = line.open_quantity.min(item.quantity);
        line.open_quantity -= unsent;
        line.refunded_quantity += item.quantity;
        // The pieces of a cancelled order have returned with it.
        let sent = if restock && !is_cancelled { item.quantity - unsent } else { 0 };
        if unsent + sent > 0 {
            self.returned.push((item.product_id, (unsent + sent).into()));
        }
        Ok(())
    }
}
