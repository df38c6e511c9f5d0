//! Addresses that get no more mails.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{Failed, Page, act, badge, more, page as framed, page_at, table, time};
use super::session::{Act, Operator};
use super::{App, see};
use crate::service::Error;
use crate::suppression::{Cause, NewSuppression, Scope, Suppression, SuppressionFilter};

const PATH: &str = "/console/suppressions";

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    address: String,
    #[serde(default)]
    cause: String,
    #[serde(default)]
    cursor: String,
}

/// A field of a form or of a filter, unless it is empty.
fn given<T: TryFrom<String, Error = String>>(name: &str, value: &str) -> Result<Option<T>, Error> {
    let read = |text: &str| text.to_owned().try_into().map_err(|why: String| Error::invalid(&format!("/{name}"), &why));
    Some(value.trim()).filter(|text| !text.is_empty()).map(read).transpose()
}

pub(super) async fn page(
    State(app): State<App>,
    operator: Operator,
    Query(asked): Query<Asked>,
) -> Result<Page, Failed> {
    let (address, cause) = (given("address", &asked.address)?, given("cause", &asked.cause)?);
    let filter = SuppressionFilter { address, cause, category: None };
    let found = app.suppressions(operator.who, &filter, &page_at(&asked.cursor)).await?;
    let may_change = operator.who.must_operate().is_ok();
    let row = |entry: &Suppression| {
        html! {
            th scope="row" { (entry.id) }
            td { @if let Some(address) = &entry.address { (address) } @else { "of a user who has left" } }
            td { (entry.category.as_str()) }
            td { (badge(entry.cause.as_str())) }
            td { (time(entry.created_at)) }
            td { @if let Some(until) = entry.expires_at { (time(until)) } @else { "lifted" } }
            td.wide { (entry.source) @if !entry.note.is_empty() { ": " (entry.note) } }
            td { @if may_change { details { summary { "Lift" }
                (act(&operator, &format!("{PATH}/{}/lift", entry.id), "Lift", &html! {}))
            } } }
        }
    };
    let rows: Vec<Markup> = found.items.iter().map(row).collect();
    Ok(framed(
        &operator,
        "Suppressions",
        &html! {
            h1 { "Suppressions" }
            p { "Addresses that get no more mails, or none of a category: a notification to one of them is skipped." }
            form.filter method="get" role="search" {
                label { "Address" input type="email" name="address" value=(asked.address) autocomplete="off"; }
                label { "Cause" select.choice name="cause" {
                    option value="" { "any" }
                    @for cause in Cause::ALL { option value=(cause.as_str()) selected[asked.cause == cause.as_str()] { (cause.as_str()) } }
                } }
                button { "Search" }
            }
            (table("Suppressions", &["Entry", "Address", "Mails", "Cause", "Since", "Until", "Source", "Lift"], &rows))
            (more(found.next.as_deref(), PATH, &[("address", &asked.address), ("cause", &asked.cause)]))
            @if may_change {
                details { summary { "Suppress an address" }
                    (act(&operator, PATH, "Suppress", &html! {
                        label { "Address" input type="email" name="address" required autocomplete="off"; }
                        label { "Mails" select.choice name="category" {
                            @for scope in Scope::ALL { option value=(scope.as_str()) { (scope.as_str()) } }
                        } }
                        label { "Cause" select.choice name="cause" {
                            @for cause in Cause::ALL { option value=(cause.as_str()) selected[cause == Cause::Manual] { (cause.as_str()) } }
                        } }
                    }))
                }
            }
        },
    ))
}

pub(super) async fn add(State(app): State<App>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let address =
        given("address", form.field("address"))?.ok_or_else(|| Error::invalid("/address", "must be given"))?;
    let new = NewSuppression {
        address,
        category: given("category", form.field("category"))?.unwrap_or_default(),
        cause: given("cause", form.field("cause"))?.unwrap_or_default(),
        // What is said goes with its user, which the audit's entry does not.
        note: why.chars().take(200).collect::<String>().try_into().unwrap_or_default(),
        expires_at: None,
    };
    let subject = format!("an address ({})", new.cause.as_str());
    app.recorded(who, "suppress", &subject, why, Box::pin(app.suppress(who, &new))).await?;
    Ok(see(PATH))
}

pub(super) async fn lift(State(app): State<App>, Path(id): Path<i64>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let lifting = Box::pin(app.lift_suppression(who, id));
    app.recorded(who, "lift-suppression", &format!("suppression {id}"), why, lifting).await?;
    Ok(see(PATH))
}
