//! What is kept of orders as JSON: their parts, payments, refunds and bills.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::shop::kept;
use crate::shop::order::{Invoice, Item, Link, Order, OrderLine, Refund, Tracking};
use crate::shop::text::{Line, OptionalLine};
use crate::store::users::json;
use crate::store::{Error, Result, Tx, with_tx};

/// What is kept of an order's parts, from its first change on. Beside the columns that earlier versions read.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Parts {
    /// By line.
    lines: Vec<Pieces>,
    /// By parcel.
    parcels: Vec<Contents>,
}

#[derive(Serialize, Deserialize)]
struct Pieces {
    shipped: u32,
    refunded: u32,
    open: u32,
}

#[derive(Serialize, Deserialize)]
struct Contents {
    since_version: i64,
    items: Vec<Item>,
}

impl Parts {
    pub(super) fn of(order: &Order) -> Self {
        let pieces = |line: &OrderLine| Pieces {
            shipped: line.shipped_quantity,
            refunded: line.refunded_quantity,
            open: line.open_quantity,
        };
        let contents = |t: &Tracking| Contents { since_version: t.since_version, items: t.items.clone() };
        Self { lines: order.lines.iter().map(pieces).collect(), parcels: order.tracking.iter().map(contents).collect() }
    }

    /// Puts them into an order of which nothing is sent, as far as they go.
    pub(super) fn put_into(self, order: &mut Order) {
        for (line, Pieces { shipped, refunded, open }) in order.lines.iter_mut().zip(self.lines) {
            (line.shipped_quantity, line.refunded_quantity, line.open_quantity) = (shipped, refunded, open);
        }
        for (parcel, Contents { since_version, items }) in order.tracking.iter_mut().zip(self.parcels) {
            (parcel.since_version, parcel.items) = (since_version, items);
        }
        // A host that knew no parts of orders may have moved it on.
        order.settle_pieces();
    }
}

/// The parcels as every version reads them.
pub(super) fn parcels(tracking: &[Tracking]) -> String {
    let parcel = |t: &Tracking| serde_json::json!({ "carrier": t.carrier, "number": t.number, "url": t.url });
    json(&tracking.iter().map(parcel).collect::<Vec<_>>())
}

/// What a payment said beside what is due.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) failure: Option<Line>,
    pub(super) link: Option<Link>,
}

/// JSON that may not be there.
pub(super) fn kept_or<T: DeserializeOwned + Default>(text: Option<&str>) -> serde_json::Result<T> {
    text.map_or_else(|| Ok(T::default()), kept::read)
}

/// Takes a user out of their orders. What bookkeeping needs stays: what was paid back, and the bill's number and date.
pub(crate) async fn redact(tx: &mut Tx, user_id: i64) -> Result<()> {
    let sql = tx.dialect().sql(
        "update orders set ship_to = null, bill_to = null, note = null, gift_message = null, cancel_reason = null, \
         payment = null where user_id = $1",
    );
    with_tx!(&mut *tx, |c| sqlx::query(sql).bind(user_id).execute(c).await.map(drop))?;
    let sql = tx.dialect().sql(
        "select id, refunds, invoice from orders where user_id = $1 and (refunds is not null or invoice is not null)",
    );
    let told: Vec<(i64, Option<String>, Option<String>)> =
        with_tx!(&mut *tx, |c| sqlx::query_as(sql).bind(user_id).fetch_all(c).await)?;
    for (id, refunds, invoice) in told {
        let corrupt = |e: serde_json::Error| Error::Corrupt { what: "order", id, why: e.to_string() };
        let mut refunds: Vec<Refund> = kept_or(refunds.as_deref()).map_err(corrupt)?;
        for refund in &mut refunds {
            refund.reason = OptionalLine::default();
        }
        let invoice: Option<Invoice> = kept_or(invoice.as_deref()).map_err(corrupt)?;
        let invoice = invoice.map(|bill| Invoice { buyer_vat_id: OptionalLine::default(), link: None, ..bill });
        let sql = tx.dialect().sql("update orders set refunds = $1, invoice = $2 where id = $3");
        with_tx!(&mut *tx, |c| sqlx::query(sql)
            .bind(some(&refunds))
            .bind(invoice.as_ref().map(json))
            .bind(id)
            .execute(c)
            .await
            .map(drop))?;
    }
    Ok(())
}

/// A list as JSON; nothing of an empty one.
pub(super) fn some<T: Serialize>(list: &[T]) -> Option<String> {
    (!list.is_empty()).then(|| json(&list))
}
