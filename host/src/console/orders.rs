//! Orders, and what a small shop does to them. For admins.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::layout::{Failed, Page, act, badge, money, more, page, page_at, table, time};
use super::session::{Act, Operator};
use super::shop::read;
use super::{App, see};
use crate::service::Error;
use crate::shop::order::{
    Change, Item, NewInvoice, NewNote, NewRefund, Order, OrderFilter, OrderLine, PaymentReport, Status, StatusChange,
};

/// The longest reason to send no mail, as `Line` has it.
const SILENT_CHARS_MAX: usize = 200;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    status: String,
}

pub(super) async fn orders(
    State(app): State<App>,
    operator: Operator,
    Query(asked): Query<Asked>,
) -> Result<Page, Failed> {
    operator.who.must_be_admin()?;
    let status = Some(asked.status.clone()).filter(|status| !status.is_empty()).map(Status::try_from).transpose();
    let status = status.map_err(|detail| Error::invalid("/status", &detail))?;
    let filter = OrderFilter { status, ..OrderFilter::default() };
    let found = app.orders(operator.who, &filter, &page_at(&asked.cursor)).await?;
    let row = |order: &Order| {
        html! {
            th scope="row" { a href={ "/console/orders/" (order.id) } { (order.id) } }
            td { (badge(order.status.as_str())) }
            td { a href={ "/console/users/" (order.user_id) } { (order.user_id) } }
            td { (order.lines.len()) }
            td { (money(&order.total)) }
            td { (time(order.placed_at)) }
        }
    };
    let rows: Vec<Markup> = found.items.iter().map(row).collect();
    Ok(page(
        &operator,
        "Orders",
        &html! {
            h1 { "Orders" }
            form.filter method="get" role="search" {
                label { "Status" select.choice name="status" {
                    option value="" { "any" }
                    @for status in Status::ALL { option value=(status) selected[asked.status == status.as_str()] { (status) } }
                } }
                button { "Show" }
            }
            (table("Orders", &["Order", "Status", "Customer", "Lines", "Total", "Placed"], &rows))
            (more(found.next.as_deref(), "/console/orders", &[("status", &asked.status)]))
        },
    ))
}

pub(super) async fn order(State(app): State<App>, operator: Operator, Path(id): Path<i64>) -> Result<Page, Failed> {
    operator.who.must_be_admin()?;
    let order = app.order(operator.who, id).await?;
    let notifications = app.notifications_of(operator.who, id).await?;
    let line = |line: &OrderLine| {
        html! {
            th scope="row" { (line.name.as_str()) }
            td { (line.quantity) } td { (line.shipped_quantity) } td { (line.open_quantity) } td { (line.refunded_quantity) }
            td { (money(&line.unit_price)) } td { @if let Some(discount) = &line.discount { (money(discount)) } } td { (money(&line.total)) }
        }
    };
    let lines = order.lines.iter().map(line).collect::<Vec<_>>();
    Ok(page(
        &operator,
        &format!("Order {id}"),
        &html! {
            h1 { "Order " (id) " " (badge(order.status.as_str())) }
            (table("Lines", &["Product", "Pieces", "Sent", "To be sent", "Paid back", "Price", "Less", "Sum"], &lines))
            (facts(&order))
            (acts(&operator, &order))
            h2 { "Notifications" }
            (table("Notifications", &["Notification", "Kind", "State", "Attempts", "Made"], &notifications.iter().map(|record| html! {
                th scope="row" { a href={ "/console/notifications/" (record.id) } { (record.id) } }
                td { (record.kind) } td { (badge(record.state.as_str())) } td { (record.attempts) } td { (time(record.created_at)) }
            }).collect::<Vec<_>>()))
        },
    ))
}

/// What is known of an order beside its lines.
fn facts(order: &Order) -> Markup {
    let sums = [
        ("Subtotal", &order.subtotal),
        ("Discount", &order.discount),
        ("Shipping", &order.shipping),
        ("Tax", &order.tax),
        ("Total", &order.total),
    ];
    html! {
        dl {
            @for (name, sum) in sums { dt { (name) } dd { (money(sum)) } }
            @for discount in &order.discounts {
                dt { "Discount code" } dd { (discount.code.as_str()) ": " (discount.label.as_str()) ", " (money(&discount.amount)) }
            }
            @if let Some(due) = &order.payment.due { dt { "Still to be paid" } dd { (money(due)) } }
            @if let Some(failure) = &order.payment.failure { dt { "The payment failed" } dd { (failure.as_str()) } }
            @for refund in &order.refunds { dt { "Paid back" } dd { (money(&refund.amount)) " " (refund.reason.as_str()) } }
            @if let Some(invoice) = &order.invoice { dt { "Invoice" } dd { (invoice.number.as_str()) ", " (time(invoice.issued_at)) } }
            dt { "Customer" } dd { a href={ "/console/users/" (order.user_id) } { (order.user_id) } }
            @if let Some(reason) = &order.cancel_reason { dt { "Cancelled" } dd { (reason.as_str()) } }
            @if let Some(message) = &order.gift_message { dt { "Gift message" } dd { (message.as_str()) } }
            @if let Some(note) = &order.note { dt { "Note" } dd { (note.as_str()) } }
            @for parcel in &order.tracking {
                dt { "Parcel" }
                dd { (parcel.carrier.as_str()) " " (parcel.number.as_str()) @if !parcel.items.is_empty() { ": " (contents(order, &parcel.items)) } }
            }
        }
    }
}

fn contents(order: &Order, items: &[Item]) -> String {
    let name = |item: &Item| order.lines.iter().find(|line| line.product_id == item.product_id);
    let part = |item: &Item| Some(format!("{} × {}", item.quantity, name(item)?.name.as_str()));
    items.iter().filter_map(part).collect::<Vec<_>>().join(", ")
}

/// The forms, one for each thing that can happen to it now.
fn acts(operator: &Operator, order: &Order) -> Markup {
    let form = |what: &str, act_name: &str, fields: Markup| {
        let note = what != "notes";
        html! {
            details { summary { (act_name) }
                (act(operator, &format!("/console/orders/{}/{what}", order.id), act_name, &html! {
                    input type="hidden" name="version" value=(order.version);
                    (fields)
                    @if note { label { "Note to the customer" textarea name="note" rows="3" maxlength="2000" {} } }
                    label.check { input type="checkbox" name="silent" value="1"; " Send no mail of it; the reason is recorded" }
                }))
            }
        }
    };
    // Of one piece there is no part.
    let open: u32 = order.lines.iter().map(|line| line.open_quantity).sum();
    let can = |next: &Status| order.status.allows(*next) && (*next != Status::PartlyShipped || open > 1);
    let next = Status::ALL.into_iter().filter(can);
    let moving = |next: Status| {
        html! {
            input type="hidden" name="status" value=(next);
            @if matches!(next, Status::PartlyShipped | Status::Shipped) {
                label { "Carrier" input name="carrier" maxlength="200" autocomplete="off"; }
                label { "Parcel number" input name="number" maxlength="200" autocomplete="off"; }
            }
            @if next == Status::PartlyShipped { (pieces(order, |line| line.open_quantity)) }
            @if next == Status::Cancelled { label { "Reason for the customer" input name="cancel_reason" maxlength="200"; } }
        }
    };
    let unpaid = order.payment.due.map_or(0, |due| due.amount);
    let left = order.total.amount - order.refunded();
    let link = order.payment.link.as_ref().map_or("", |link| link.url.as_str());
    html! {
        div.acts {
            @for next in next { (form("status", &format!("Mark as {}", next.as_str().replace('_', " ")), moving(next))) }
            (form("refunds", "Pay back", html! {
                (pieces(order, |line| line.quantity - line.refunded_quantity))
                label { "Amount, in minor units of " (order.total.currency.code()) "; empty: what the pieces cost"
                    input type="number" name="amount" min="0" max=(left - unpaid);
                }
                label { "Reason for the customer" input name="reason" maxlength="200"; }
                label.check { input type="checkbox" name="restock" value="1"; " Pieces that were sent are back in stock" }
            }))
            (form("payment", "Record a payment", html! {
                label { "Still to be paid, in minor units of " (order.total.currency.code())
                    input type="number" name="due" min="0" max=(left) value="0" required;
                }
                label { "Why it failed; empty: something was paid" input name="failure" maxlength="200"; }
                label { "Page to pay the rest at" input type="url" name="link" maxlength="1000" value=(link); }
            }))
            (form("invoice", "Send an invoice", html! {
                label { "Number" input name="number" maxlength="200" required autocomplete="off"; }
                label { "VAT number of the shop" input name="seller_vat_id" maxlength="200"; }
                label { "VAT number of the customer" input name="buyer_vat_id" maxlength="200"; }
                label { "Page to download it from" input type="url" name="link" maxlength="1000"; }
            }))
            (form("notes", "Write to the customer", html! {
                label { "Note to the customer" textarea name="note" rows="3" maxlength="2000" required {} }
            }))
        }
    }
}

/// A field for each line of which there is something left.
fn pieces(order: &Order, left: impl Fn(&OrderLine) -> u32) -> Markup {
    html! {
        @for line in order.lines.iter().filter(|line| left(line) > 0) {
            label { "Pieces of " (line.name.as_str())
                input type="number" name={ "pieces-" (line.product_id) } min="0" max=(left(line)) value="0";
            }
        }
    }
}

pub(super) async fn change(
    State(app): State<App>,
    Path((id, what)): Path<(i64, String)>,
    form: Act,
) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let order = app.order(who, id).await?;
    let change = asked(&form, &order, &what, why)?;
    let name = match &change {
        Change::Status(change) => format!("mark-{}", change.status),
        Change::Refund(_) => "refund".to_owned(),
        Change::Payment(_) => "record-payment".to_owned(),
        Change::Invoice(_) => "invoice".to_owned(),
        Change::Note(_) => "write-note".to_owned(),
    };
    let doing = app.change_order(who, id, change, form.number("version")?, None);
    app.recorded(who, &name, &format!("order {id}"), why, Box::pin(doing)).await?;
    Ok(see(&format!("/console/orders/{id}")))
}

/// The change that a form asks for, by the rules of the API.
fn asked(form: &Act, order: &Order, what: &str, why: &str) -> Result<Change, Error> {
    let filled = |name: &str| Some(form.field(name)).filter(|text| !text.is_empty());
    let sum = |name: &str| -> Result<Option<Value>, Error> {
        let amount = form.number::<i64>(name)?;
        Ok(amount.map(|amount| json!({ "amount": amount, "currency": order.total.currency })))
    };
    let link = filled("link").map(|url| json!({ "url": url }));
    let mut items = Vec::new();
    for line in &order.lines {
        let quantity = form.number::<u32>(&format!("pieces-{}", line.product_id))?.filter(|pieces| *pieces > 0);
        items.extend(quantity.map(|quantity| json!({ "product_id": line.product_id, "quantity": quantity })));
    }
    let items = (!items.is_empty()).then_some(items);
    let tracking = match (form.field("carrier"), form.field("number")) {
        ("", "") => json!([]),
        (carrier, number) => json!([{ "carrier": carrier, "number": number, "items": items }]),
    };
    let is_silent = form.field("silent") == "1";
    if is_silent && why.chars().count() > SILENT_CHARS_MAX {
        let detail = format!(
            "at most {SILENT_CHARS_MAX} characters where no mail is sent: the reason stands with the notification"
        );
        return Err(Error::invalid("/why", &detail));
    }
    let with = |mut request: Value| {
        request["note"] = json!(filled("note"));
        request["silent_reason"] = json!(is_silent.then_some(why));
        request
    };
    Ok(match what {
        "status" => read::<StatusChange>(with(json!({
            "status": form.field("status"), "tracking": tracking, "cancel_reason": filled("cancel_reason"),
        })))?
        .into(),
        "refunds" => read::<NewRefund>(with(json!({
            "amount": sum("amount")?, "items": items, "reason": form.field("reason"),
            "restock": form.field("restock") == "1",
        })))?
        .into(),
        "payment" => {
            read::<PaymentReport>(with(json!({ "due": sum("due")?, "failure": filled("failure"), "link": link })))?
                .into()
        }
        "invoice" => read::<NewInvoice>(with(json!({
            "number": form.field("number"), "seller_vat_id": form.field("seller_vat_id"),
            "buyer_vat_id": form.field("buyer_vat_id"), "link": link,
        })))?
        .into(),
        "notes" => read::<NewNote>(with(json!({})))?.into(),
        _ => return Err(Error::NotFound("page")),
    })
}
