//! Endpoints of webhooks: how each fares, and what is done about it.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::layout::{Failed, Page, act as form, badge, more, page as framed, page_at, table, time};
use super::session::{Act, Operator};
use super::{App, see};
use crate::endpoint::{Endpoint, NewEndpoint, Orders, State as Standing, origin};
use crate::notification::KINDS;
use crate::service::{Error, Revealed};
use crate::shop::text::{OptionalLine, WebAddress};

const PATH: &str = "/console/webhooks";

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    cursor: String,
}

pub(super) async fn list(
    State(app): State<App>,
    operator: Operator,
    Query(asked): Query<Asked>,
) -> Result<Page, Failed> {
    let found = app.endpoints(operator.who, &page_at(&asked.cursor)).await?;
    let row = |endpoint: &Endpoint| {
        html! {
            th scope="row" { a href={ (PATH) "/" (endpoint.id) } { (endpoint.id) } }
            td { (badge(endpoint.state.as_str())) }
            td { @if let Some(user) = endpoint.user_id { "user " (user) } @else { "all" } }
            td.wide { (endpoint.url.as_str()) }
            td { @if let Some(at) = endpoint.delivered_at { (time(at)) } @else { "never" } }
            td { @if let Some(since) = endpoint.failing_since { (time(since)) } }
            td.wide { (endpoint.failure.as_deref().unwrap_or_default()) }
        }
    };
    let head = ["Endpoint", "State", "Orders of", "Address", "Arrived", "Failing since", "Failure"];
    let add = html! {
        label { "Address" input type="url" name="url" required autocomplete="off" placeholder="https://"; }
        label { "Description" input name="description" maxlength="200" autocomplete="off"; }
        fieldset { legend { "Kinds; none: all" }
            @for kind in KINDS { label.check { input type="checkbox" name={ "kind:" (kind) }; (kind) } }
        }
    };
    Ok(framed(
        &operator,
        "Webhooks",
        &html! {
            h1 { "Webhooks" }
            p { "Servers that are sent a signed request for each change of an order." }
            (table("Endpoints", &head, &found.items.iter().map(row).collect::<Vec<_>>()))
            (more(found.next.as_deref(), PATH, &[]))
            @if operator.who.must_operate().is_ok() {
                details { summary { "Add an endpoint for all orders" } (form(&operator, PATH, "Add", &add)) }
            }
        },
    ))
}

pub(super) async fn one(State(app): State<App>, operator: Operator, Path(id): Path<i64>) -> Result<Page, Failed> {
    let endpoint = app.endpoint(operator.who, id).await?;
    Ok(shown(&operator, &endpoint, None))
}

fn shown(operator: &Operator, endpoint: &Endpoint, secret: Option<&str>) -> Page {
    let Endpoint { id, user_id, url, description, kinds, state, reason, failing_since, .. } = endpoint;
    let requests = |state: &str| format!("/console/notifications?endpoint={id}&state={state}&newest_first=on");
    framed(
        operator,
        &format!("Webhook {id}"),
        &html! {
            h1 { "Endpoint " (id) " " (badge(state.as_str())) }
            @if let Some(secret) = secret {
                p role="status" { "The secret, which is shown this once: " code { (secret) } }
            }
            dl {
                dt { "Address" } dd { code { (url.as_str()) } }
                @if !description.as_str().is_empty() { dt { "Description" } dd { (description.as_str()) } }
                dt { "Orders" } dd { @if let Some(user) = user_id { "of user " (user) } @else { "all" } }
                dt { "Kinds" } dd { @if kinds.names().is_empty() { "all" } @else { (kinds.names().join(", ")) } }
                @if !reason.is_empty() { dt { "State" } dd { (state.as_str()) ", " (reason) } }
                dt { "Arrived" } dd { @if let Some(at) = endpoint.delivered_at { (time(at)) } @else { "never" } }
                @if let Some(since) = failing_since { dt { "Failing since" } dd { (time(*since)) } }
                @if let Some(failure) = &endpoint.failure { dt { "Failure" } dd { (failure) } }
                dt { "Secrets" } dd {
                    @for info in &endpoint.secrets {
                        "version " (info.version) @if let Some(until) = info.expires_at { " until " (time(until)) } " "
                    }
                }
            }
            @if operator.who.must_operate().is_ok() { (acts(operator, endpoint)) }
            h2 { "Requests" }
            p {
                @for state in ["not sent", "sent", "failed", "skipped", "held"] {
                    a href=(requests(state)) { (state) } " "
                }
            }
            p { "Below the lists of what was sent, failed or was skipped, all of it can be sent again." }
        },
    )
}

fn acts(operator: &Operator, endpoint: &Endpoint) -> Markup {
    let path = |act: &str| format!("{PATH}/{}/{act}", endpoint.id);
    let none = html! {};
    html! {
        div.acts {
            @if endpoint.state == Standing::Active {
                details { summary { "Pause" } (form(operator, &path("pause"), "Pause", &none)) }
                details { summary { "Test" } (form(operator, &path("test"), "Send a test", &none)) }
            } @else {
                details { summary { "Resume" } (form(operator, &path("resume"), "Resume", &none)) }
            }
            details { summary { "New secret" } (form(operator, &path("rotate"), "Make a new secret", &none)) }
            details { summary { "Delete" } (form(operator, &path("delete"), "Delete", &none)) }
        }
    }
}

pub(super) async fn add(State(app): State<App>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let field = |name: &str| form.field(name).trim().to_owned();
    let kinds: Vec<String> =
        KINDS.iter().filter(|kind| !form.field(&format!("kind:{kind}")).is_empty()).map(|k| (*k).to_owned()).collect();
    let new = NewEndpoint {
        url: WebAddress::try_from(field("url")).map_err(|why| Error::invalid("/url", &why))?,
        description: OptionalLine::try_from(field("description"))
            .map_err(|why| Error::invalid("/description", &why))?,
        kinds: kinds.try_into().map_err(|why: String| Error::invalid("/kinds", &why))?,
        orders: Orders::All,
    };
    // The path may be a secret, and what is on record is short.
    let subject: String = origin(&new.url).chars().take(200).collect();
    let making = Box::pin(app.create_endpoint(who, &new));
    let Revealed { endpoint, secret } = app.recorded(who, "create-webhook", &subject, why, making).await?;
    Ok(shown(&form.operator, &endpoint, Some(&secret.text())).into_response())
}

pub(super) async fn act(
    State(app): State<App>,
    Path((id, what)): Path<(i64, String)>,
    form: Act,
) -> Result<Response, Failed> {
    let (who, why, subject) = (form.operator.who, form.why()?, format!("webhook {id}"));
    let at = format!("{PATH}/{id}");
    let state = |state: Standing| [("state".to_owned(), json!(state.as_str()))].into_iter().collect();
    let stand = async |verb: &'static str, patch: serde_json::Map<String, Value>| {
        let changing = Box::pin(app.change_endpoint(who, id, &patch, None));
        app.recorded(who, verb, &subject, why, changing).await
    };
    match what.as_str() {
        "pause" => drop(stand("pause-webhook", state(Standing::Paused)).await?),
        "resume" => drop(stand("resume-webhook", state(Standing::Active)).await?),
        "test" => drop(app.recorded(who, "test-webhook", &subject, why, Box::pin(app.test_endpoint(who, id))).await?),
        "rotate" => {
            let rotating = Box::pin(app.rotate_endpoint_secret(who, id));
            let Revealed { endpoint, secret } =
                app.recorded(who, "rotate-webhook-secret", &subject, why, rotating).await?;
            return Ok(shown(&form.operator, &endpoint, Some(&secret.text())).into_response());
        }
        "delete" => {
            app.recorded(who, "delete-webhook", &subject, why, Box::pin(app.delete_endpoint(who, id, None))).await?;
            return Ok(see(PATH));
        }
        _ => return Err(Error::NotFound("act").into()),
    }
    Ok(see(&at))
}
