//! One act on all notifications that match: how many these are, the act, and how far it is.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::audit::Asked as Paged;
use super::layout::{Failed, Page, act as form, address, badge, more, page, page_at, table, time};
use super::notifications::Asked;
use super::session::{Act, Operator};
use super::{App, see};
use crate::notification::Filter;
use crate::service::{Error, NewNotificationOperation, NotificationAct, NotificationOperation};

const ACTS: [NotificationAct; 3] = [NotificationAct::Retry, NotificationAct::Cancel, NotificationAct::Hold];

/// So many characters of a filter are on record.
const SUBJECT_MAX: usize = 200;

fn verb(act: NotificationAct) -> &'static str {
    match act {
        NotificationAct::Retry => "Try all again",
        NotificationAct::Cancel => "Cancel all",
        NotificationAct::Hold => "Hold all",
    }
}

/// Below a list: what can be done to all of it.
pub(super) fn of_list(operator: &Operator, asked: &Asked, filter: &Filter) -> Markup {
    let possible = |act: &NotificationAct| act.is_for(filter);
    let address = |act: NotificationAct| {
        address("/console/notifications/bulk", [("act", act.as_str())].into_iter().chain(asked.query()))
    };
    html! {
        nav.more aria-label="All that match" {
            @if operator.who.must_operate().is_ok() {
                @for act in ACTS.into_iter().filter(possible) { a href=(address(act)) { (verb(act)) " that match" } " · " }
            }
            a href="/console/notifications/operations" { "Acts on many" }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    act: NotificationAct,
}

/// How many match, before anything is done.
pub(super) async fn question(
    State(app): State<App>,
    operator: Operator,
    Query(Which { act }): Query<Which>,
    Query(asked): Query<Asked>,
) -> Result<Page, Failed> {
    let filter = asked.filter(app.clock.now_ms())?;
    let new = NewNotificationOperation {
        act,
        filter,
        why: String::new(),
        allow_late: false,
        matches_max: None,
        validate_only: true,
    };
    let found = app.start_notification_operation(operator.who, new, None).await?;
    let which = html! {
        input type="hidden" name="act" value=(act.as_str());
        // What is shown is what is agreed to.
        input type="hidden" name="matches_max" value=(found.matched);
        input type="hidden" name="filter" value=(serde_json::to_string(&found.filter).unwrap_or_default());
        @if act == NotificationAct::Retry {
            label.check { input type="checkbox" name="allow_late"; "Even after a newer mail of the order" }
        }
    };
    Ok(page(
        &operator,
        "Notifications",
        &html! {
            h1 { (found.matched) @if found.matched == 1 { " notification matches" } @else { " notifications match" } }
            (conditions(&found.filter))
            @if found.matched > 0 { (form(&operator, "/console/notifications/bulk", verb(act), &which)) }
            p { a href="/console/notifications" { "Back to the list" } }
        },
    ))
}

fn conditions(filter: &Filter) -> Markup {
    let json = serde_json::to_value(filter).unwrap_or_default();
    let given = json.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    html! {
        dl {
            @for (name, value) in given {
                dt { (name.replace('_', " ")) }
                dd { @match value.as_str() { Some(text) => (text), None => (value) } }
            }
        }
    }
}

pub(super) async fn begin(State(app): State<App>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let act = ACTS.into_iter().find(|act| act.as_str() == form.field("act"));
    let act = act.ok_or_else(|| Error::invalid("/act", "must be retry, cancel or hold"))?;
    let new = NewNotificationOperation {
        act,
        filter: serde_json::from_str(form.field("filter"))
            .map_err(|e| Error::invalid("/filter", &format!("must be a filter: {e}")))?,
        why: why.to_owned(),
        allow_late: !form.field("allow_late").is_empty(),
        matches_max: form.number("matches_max")?,
        validate_only: false,
    };
    let subject: String = form.field("filter").chars().take(SUBJECT_MAX).collect();
    let doing = app.start_notification_operation(who, new, None);
    let begun = app.recorded(who, &format!("{}-matching", act.as_str()), &subject, why, Box::pin(doing)).await?;
    Ok(see(&format!("/console/notifications/operations/{}", begun.id)))
}

pub(super) async fn list(
    State(app): State<App>,
    operator: Operator,
    Query(asked): Query<Paged>,
) -> Result<Page, Failed> {
    let found = app.notification_operations(operator.who, &page_at(&asked.cursor)).await?;
    let row = |operation: &NotificationOperation| {
        html! {
            th scope="row" { a href={ "/console/notifications/operations/" (operation.id) } { (operation.id) } }
            td { (operation.act.as_str()) }
            td { (badge(&operation.state)) }
            td { (operation.done) " of " (operation.matched) }
            td { (operation.refused) }
            td { (time(operation.created_at)) }
            td { (operation.created_by) }
            td.wide { (operation.why) }
        }
    };
    let head = ["Operation", "Act", "State", "Done", "Refused", "Began", "By", "Why"];
    Ok(page(
        &operator,
        "Notifications",
        &html! {
            h1 { "Acts on many notifications" }
            (table("Operations", &head, &found.items.iter().map(row).collect::<Vec<_>>()))
            (more(found.next.as_deref(), "/console/notifications/operations", &[]))
        },
    ))
}

pub(super) async fn one(State(app): State<App>, operator: Operator, Path(id): Path<i64>) -> Result<Page, Failed> {
    let operation = app.notification_operation(operator.who, id).await?;
    let NotificationOperation { act, matched, done, refused, state, .. } = &operation;
    let is_running = !operation.has_ended();
    let refusals = operation.refusals.iter().map(|r| html! { td { (r.count) } td.wide { (r.reason) } });
    let cancel = format!("/console/notifications/operations/{id}/cancel");
    Ok(page(
        &operator,
        "Notifications",
        &html! {
            h1 { "Operation " (id) ": " (act.as_str()) }
            div #operation data-running[is_running] {
                p role="status" { (badge(state)) " " (done) " done, " (refused) " refused of " (matched) " that matched." }
                progress aria-label="Looked at" value=(done + refused) max=((*matched).max(done + refused).max(1)) {}
                @if let Some(detail) = &operation.detail { p.problem { (detail) } }
                @if *refused > 0 {
                    h2 { "Stayed as they were" }
                    (table("Refusals", &["How many", "Why"], &refusals.collect::<Vec<_>>()))
                }
                @if is_running && operator.who.must_operate().is_ok() { (form(&operator, &cancel, "Cancel", &html! {})) }
            }
            (conditions(&operation.filter))
            p { "Begun by " (operation.created_by) " at " (time(operation.created_at)) ": " (operation.why) }
            p { a href="/console/notifications/operations" { "Acts on many" } }
        },
    ))
}

pub(super) async fn cancel(State(app): State<App>, Path(id): Path<i64>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let doing = app.cancel_notification_operation(who, id);
    app.recorded(who, "cancel-operation", &format!("operation {id} on notifications"), why, Box::pin(doing)).await?;
    Ok(see(&format!("/console/notifications/operations/{id}")))
}
