//! Notifications: which there are, and what became of one, from the order's change to its end.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use futures_util::future::BoxFuture;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{
    Failed, Page, act as form, badge, foreign, more, number, page, page_at, span, table, text_document, time,
};
use super::session::{Act, Operator};
use super::{App, bulk, see};
use crate::notification::report::{Delivery, Report, Reported};
use crate::notification::{Filter, State as Standing};
use crate::service::{Entry, Error, Record, Reproduction, Retry, Slot, Subject};

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    delivery: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    order: String,
    #[serde(default)]
    customer: String,
    #[serde(default)]
    endpoint: String,
    #[serde(default)]
    relay: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    older_h: String,
    #[serde(default)]
    ended_h: String,
    #[serde(default)]
    newest_first: String,
    #[serde(default)]
    cursor: String,
}

const STATES: [&str; 5] = ["not sent", "sent", "failed", "skipped", "held"];

impl Asked {
    /// What was asked, as addresses and forms have it.
    pub(super) fn query(&self) -> [(&'static str, &str); 11] {
        [
            ("state", &self.state),
            ("delivery", &self.delivery),
            ("kind", &self.kind),
            ("order", &self.order),
            ("customer", &self.customer),
            ("endpoint", &self.endpoint),
            ("relay", &self.relay),
            ("reason", &self.reason),
            ("older_h", &self.older_h),
            ("ended_h", &self.ended_h),
            ("newest_first", &self.newest_first),
        ]
    }

    pub(super) fn filter(&self, now: i64) -> Result<Filter, Error> {
        let text = |value: &str| Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        let ago = |name, hours: &str| {
            let ago = |hours: i64| now.saturating_sub(hours.saturating_mul(3_600_000));
            Ok::<_, Error>(number(name, hours)?.map(ago))
        };
        let state = text(&self.state).map(Standing::try_from).transpose();
        let state = state.map_err(|detail| Error::invalid("/state", &detail))?;
        Ok(Filter {
            state,
            order_id: number("order", &self.order)?,
            user_id: number("customer", &self.customer)?,
            endpoint_id: number("endpoint", &self.endpoint)?,
            created_before: ago("older_h", &self.older_h)?,
            ended_since: ago("ended_h", &self.ended_h)?,
            kind: text(&self.kind),
            relay: text(&self.relay),
            reason: text(&self.reason),
            cancelled: None,
            delivery: text(&self.delivery)
                .map(Delivery::try_from)
                .transpose()
                .map_err(|e| Error::invalid("/delivery", &e))?,
            newest_first: !self.newest_first.is_empty(),
        })
    }
}

pub(super) async fn list(
    State(app): State<App>,
    operator: Operator,
    Query(asked): Query<Asked>,
) -> Result<Page, Failed> {
    let filter = asked.filter(app.clock.now_ms())?;
    let found = app.notifications(operator.who, &filter, &page_at(&asked.cursor)).await?;
    let row = |record: &Record| {
        let last = record.journal.iter().rev().find(|entry| entry.kind == "send");
        html! {
            th scope="row" { a href={ "/console/notifications/" (record.id) } { (record.id) } }
            td { (record.kind) }
            td { (record.about()) }
            td { (badge(record.state.as_str())) @if let Some(delivery) = record.delivery { " " (badge(delivery.as_str())) } }
            td { (record.attempts) }
            td { @if let Some(relay) = last.and_then(|entry| entry.relay.as_deref()) { (relay) } }
            td { (time(record.created_at)) }
            td.wide { (record.reason) }
        }
    };
    let field = |name: &str, label: &str, value: &str, kind: &str| {
        html! { label { (label) input name=(name) value=(value) type=(kind) autocomplete="off"; } }
    };
    let query = asked.query();
    let head = ["Notification", "Kind", "About", "State", "Attempts", "Relay", "Made", "Reason"];
    Ok(page(
        &operator,
        "Notifications",
        &html! {
            h1 { "Notifications" }
            form.filter method="get" role="search" {
                label { "State" select.choice name="state" {
                    option value="" { "any" }
                    @for state in STATES { option value=(state) selected[asked.state == state] { (state) } }
                } }
                label { "Delivery" select.choice name="delivery" {
                    option value="" { "any" }
                    @for known in Delivery::ALL.map(Delivery::as_str) { option value=(known) selected[asked.delivery == known] { (known) } }
                } }
                (field("kind", "Kind", &asked.kind, "text"))
                (field("order", "Order", &asked.order, "number"))
                (field("customer", "Customer", &asked.customer, "number"))
                (field("endpoint", "Endpoint", &asked.endpoint, "number"))
                (field("relay", "Relay", &asked.relay, "text"))
                (field("reason", "Reason has", &asked.reason, "text"))
                (field("older_h", "Older than hours", &asked.older_h, "number"))
                (field("ended_h", "Ended within hours", &asked.ended_h, "number"))
                label.check { input type="checkbox" name="newest_first" checked[!asked.newest_first.is_empty()]; "Newest first" }
                button { "Show" }
            }
            (table("Notifications", &head, &found.items.iter().map(row).collect::<Vec<_>>()))
            (more(found.next.as_deref(), "/console/notifications", &query))
            (bulk::of_list(&operator, &asked, &filter))
        },
    ))
}

pub(super) async fn one(State(app): State<App>, operator: Operator, Path(id): Path<i64>) -> Result<Page, Failed> {
    let record = app.notification(operator.who, id).await?;
    let made = app.reproduce(operator.who, id).await;
    let is_operator = operator.who.must_operate().is_ok();
    let path = format!("/console/notifications/{id}");
    Ok(page(
        &operator,
        &format!("Notification {id}"),
        &html! {
            h1 {
                "Notification " (id) " " (badge(record.state.as_str()))
                @if let Some(delivery) = record.delivery { " " (badge(delivery.as_str())) }
            }
            dl {
                dt { "Kind" } dd { (record.kind) }
                dt { "About" } dd {
                    @if let Some(order) = record.order_id.filter(|_| operator.who.is_admin) {
                        a href={ "/console/orders/" (order) } { (record.about()) }
                    } @else { (record.about()) }
                }
                dt { "Message-ID" } dd { code { (record.message_id) } }
                @if !record.reason.is_empty() { dt { "Reason" } dd { (record.reason) } }
            }
            @if is_operator { (acts(&operator, &record, &path)) }
            h2 { "What happened" }
            (timeline(&record))
            @if record.endpoint_id.is_none() {
                h2 { "The mail" }
                (mail_of(&made, &path))
            }
        },
    ))
}

fn acts(operator: &Operator, record: &Record, path: &str) -> Markup {
    let late = html! {
        label.check { input type="checkbox" name="allow_late"; "Even after a newer mail of the order" }
    };
    html! {
        div.acts {
            @match record.state {
                Standing::NotSent => {
                    details { summary { "Hold" } (form(operator, &format!("{path}/hold"), "Hold", &html! {})) }
                    details { summary { "Cancel" } (form(operator, &format!("{path}/cancel"), "Cancel", &html! {})) }
                }
                Standing::Held => {
                    details { summary { "Release" } (form(operator, &format!("{path}/retry"), "Release", &late)) }
                    details { summary { "Cancel" } (form(operator, &format!("{path}/cancel"), "Cancel", &html! {})) }
                }
                Standing::Failed | Standing::Skipped => {
                    details { summary { "Try again" } (form(operator, &format!("{path}/retry"), "Try again", &late)) }
                }
                Standing::Sent if record.endpoint_id.is_some() => {
                    details { summary { "Send again" } (form(operator, &format!("{path}/retry"), "Send again", &late)) }
                }
                Standing::Sent => {}
            }
        }
    }
}

fn timeline(record: &Record) -> Markup {
    let mut before = record.created_at;
    let mut steps = Vec::new();
    for entry in &record.journal {
        steps.push(step(entry, entry.started_at - before));
        before = entry.ended_at.unwrap_or(entry.started_at);
    }
    html! {
        ol.timeline {
            li { (time(record.created_at)) " " strong { "The order changed" } ": " (record.kind) " was queued with it." }
            @for step in steps { (step) }
            @if let Some(at) = record.completed_at {
                li { (time(at)) " " (badge(record.state.as_str())) " after " (span(at - record.created_at)) }
            } @else {
                li { "In the queue." }
            }
            @for report in &record.reports { (reported(report)) }
        }
    }
}

fn reported(report: &Report) -> Markup {
    let code = report.enhanced.as_deref().unwrap_or_default();
    html! {
        li {
            (time(report.received_at)) " "
            strong { @if report.reporter.is_empty() { "A server" } @else { (report.reporter) } }
            " reported " (badge(report.kind.as_str()))
            @if report.is_past { " before it was sent once more" }
            @if !report.words.is_empty() { blockquote { (code) " " (report.words) } }
        }
    }
}

fn step(entry: &Entry, waited_ms: i64) -> Markup {
    let revision = |revision: Option<i64>| {
        html! { @if let Some(n) = revision { a href={ "/console/plugins/revisions/" (n) } { "revision " (n) } } }
    };
    let code = entry.code.map(|code| format!("{code} ")).unwrap_or_default();
    html! {
        li {
            (time(entry.started_at))
            @if waited_ms >= 1_000 { " " small { "after " (span(waited_ms)) } }
            " "
            @match entry.kind.as_str() {
                "send" => {
                    strong { "Attempt" } " by " (entry.relay.as_deref().unwrap_or("no relay"))
                    @if let Some(ended) = entry.ended_at { ", " (span(ended - entry.started_at)) }
                    " " (badge(entry.class.as_deref().unwrap_or("in the open")))
                    @if let Some(phase) = &entry.phase { " at " (phase) }
                }
                "fault" => { strong { "A component failed" } " in " (entry.phase.as_deref().unwrap_or("")) " " (badge(entry.class.as_deref().unwrap_or(""))) }
                _ if entry.phase.as_deref() == Some(Reported::PHASE) => {
                    strong { @if entry.policy_revision.is_some() { "The policy" } @else { "The host" } }
                    " about a report " (badge(entry.class.as_deref().unwrap_or("")))
                }
                _ if entry.policy_revision.is_none() => { strong { "An operator" } }
                _ => { strong { "The policy" } }
            }
            @if entry.repeats > 1 { " " (entry.repeats) " times" }
            @if let Some(reply) = &entry.reply { @if !reply.is_empty() { blockquote { (code) (entry.enhanced.as_deref().unwrap_or("")) " " (reply) } } }
            @if let Some(verdict) = &entry.verdict {
                p { (badge(verdict)) @if let Some(ms) = entry.delay_ms { " in " (span(ms)) } " " (entry.reason.as_deref().unwrap_or("")) }
            }
            p.by {
                @if entry.renderer_revision.is_some() { "Written by " (revision(entry.renderer_revision)) ". " }
                @if entry.policy_revision.is_some() { "Decided by " (revision(entry.policy_revision)) "." }
                @if let Some(variant) = &entry.ab_variant { " Variant " (variant) "." }
            }
        }
    }
}

fn mail_of(made: &Result<Reproduction, Error>, path: &str) -> Markup {
    let frames = |title: &str| {
        html! {
            p { (title) }
            div.frames {
                figure { figcaption { "Phone" } iframe.phone title="The mail at the width of a phone" sandbox src={ (path) "/mail" } {} }
                figure { figcaption { "Desktop" } iframe.desktop title="The mail at the width of a desktop" sandbox src={ (path) "/mail" } {} }
            }
            figure { figcaption { "Text" } iframe.text title="The text of the mail" sandbox src={ (path) "/mail?part=text" } {} }
        }
    };
    match made {
        Ok(made) => {
            let title = if made.is_same {
                "Made again, it is what was sent, byte for byte."
            } else {
                "It cannot be made again as it was sent: address, host or component have changed."
            };
            html! {
                (frames(title))
                p { "Revision " a href={ "/console/plugins/revisions/" (made.revision) } { (made.revision) } ", seed " (made.seed) ", SHA-256 " code { (made.sent_hash) } " · " a href={ (path) "/source" } { "Source" } }
            }
        }
        Err(Error::NotFound(_)) => {
            frames("It was not offered to a relay yet; this is what the active renderer would write now.")
        }
        Err(e) => html! { p.problem { (e) } },
    }
}

#[derive(Deserialize)]
pub(super) struct Part {
    #[serde(default)]
    part: String,
}

/// The HTML or the text of a mail, as it was sent, or as it would be.
pub(super) async fn mail(
    State(app): State<App>,
    operator: Operator,
    Path(id): Path<i64>,
    Query(Part { part }): Query<Part>,
) -> Result<Response, Failed> {
    let (text, html) = match app.write_again(operator.who, id).await {
        Ok((_, email)) => (email.text, email.html),
        Err(Error::NotFound(_)) => {
            let slots = app.plugin_slots(operator.who)?;
            let active = slots.iter().find(|slot| slot.slot == Slot::Renderer).map_or(0, |slot| slot.active.revision);
            let subject = Subject { notification: Some(id), payload: None };
            let preview = app.preview(operator.who, active, subject).await?;
            let fault = preview.active.fault.unwrap_or_default();
            preview.active.email.map_or((fault, None), |email| (email.text, email.html))
        }
        Err(e) => return Err(e.into()),
    };
    Ok(document(html.filter(|_| part != "text"), &text))
}

/// A mail's HTML, or its text where it has none.
pub(super) fn document(html: Option<String>, text: &str) -> Response {
    foreign("text/html; charset=utf-8", html.unwrap_or_else(|| text_document(text)))
}

/// The message as it went over the wire.
pub(super) async fn source(
    State(app): State<App>,
    operator: Operator,
    Path(id): Path<i64>,
) -> Result<Response, Failed> {
    let made = app.reproduce(operator.who, id).await?;
    Ok(foreign("text/plain; charset=utf-8", made.message))
}

pub(super) async fn act(
    State(app): State<App>,
    Path((id, act)): Path<(i64, String)>,
    form: Act,
) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let subject = format!("notification {id}");
    let retry = Retry { why: why.to_owned(), allow_late: !form.field("allow_late").is_empty() };
    let doing: BoxFuture<'_, Result<Record, Error>> = match act.as_str() {
        "retry" => Box::pin(app.retry_notification(who, id, &retry)),
        "cancel" => Box::pin(app.cancel_notification(who, id, why)),
        "hold" => Box::pin(app.hold_notification(who, id, why)),
        _ => return Err(Error::NotFound("act").into()),
    };
    app.recorded(who, &format!("{act}-notification"), &subject, why, doing).await?;
    Ok(see(&format!("/console/notifications/{id}")))
}
