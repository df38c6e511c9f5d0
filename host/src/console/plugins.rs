//! Components: which revisions there are, what is under way, and new ones on their way in.

use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use maud::html;

use super::audit::Asked;
use super::layout::{Failed, Page, act, badge, more, page as framed, page_at, table, time, token};
use super::session::{Act, Operator};
use super::{App, see};
use crate::service::{Change, Error, NewPluginRevision, Operation, RevisionInfo, Slot};

/// How long an install is awaited before the list shows how far it is.
const WAIT: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) async fn page(
    State(app): State<App>,
    operator: Operator,
    Query(asked): Query<Asked>,
) -> Result<Page, Failed> {
    let (who, first) = (operator.who, crate::service::PageRequest { limit: Some(20), cursor: None });
    let found = app.revisions(who, None, &page_at(&asked.cursor)).await?;
    let operations = app.operations(who, &first).await?;
    let history = app.plugin_history(who, None, &first).await?;
    let is_operator = who.must_operate().is_ok();
    let revision = |revision: &RevisionInfo| {
        let manifest = &revision.report["manifest"];
        html! {
            th scope="row" { a href={ "/console/plugins/revisions/" (revision.id) } { (revision.id) } }
            td { (revision.slot) }
            td { (badge(&revision.stage)) }
            td { (manifest["name"].as_str().unwrap_or("")) " " (manifest["version"].as_str().unwrap_or("")) }
            td { (revision.origin) }
            td { (time(revision.created_at)) }
            td { (revision.created_by) }
            td.wide { (revision.why) }
        }
    };
    let operation = |operation: &Operation| {
        html! {
            th scope="row" { (operation.id) }
            td { (operation.kind) }
            td { (badge(&operation.state)) }
            td { (operation.step) @if operation.of > 0 { " " (operation.done) " of " (operation.of) } }
            td { @if let Some(n) = operation.revision { a href={ "/console/plugins/revisions/" (n) } { (n) } } }
            td.wide { @if let Some(problem) = &operation.problem { (problem.code) ": " (problem.detail) } }
            td {
                @if is_operator && operation.state == "running" {
                    (act(&operator, &format!("/console/plugins/operations/{}/cancel", operation.id), "Cancel", &html! {}))
                }
            }
        }
    };
    let change = |change: &Change| {
        html! {
            td { (time(change.created_at)) }
            td { (change.slot) }
            td { (change.action) @if change.percent > 0 { " " (change.percent) " %" } }
            td { @if let Some(n) = change.revision { a href={ "/console/plugins/revisions/" (n) } { (n) } } @else { "built-in" } }
            td { (change.created_by) }
            td.wide { (change.why) }
        }
    };
    let head = ["Revision", "Slot", "Stage", "Component", "From", "Made", "By", "Why"];
    Ok(framed(
        &operator,
        "Plugins",
        &html! {
            h1 { "Plugins" }
            (table("Revisions", &head, &found.items.iter().map(revision).collect::<Vec<_>>()))
            (more(found.next.as_deref(), "/console/plugins", &[]))
            @if is_operator { (install_form(&operator)) }
            h2 { "Under way and done" }
            (table("Operations", &["Operation", "Kind", "State", "Step", "Revision", "Problem", "Act"], &operations.items.iter().map(operation).collect::<Vec<_>>()))
            h2 { "History" }
            (table("History", &["When", "Slot", "Change", "Revision", "Who", "Why"], &history.items.iter().map(change).collect::<Vec<_>>()))
        },
    ))
}

fn install_form(operator: &Operator) -> maud::Markup {
    html! {
        section aria-labelledby="install" {
            h2 #install { "Install" }
            form.stacked method="post" action="/console/plugins" data-drop {
                (token(operator))
                fieldset {
                    legend { "Slot" }
                    @for slot in Slot::ALL {
                        label.check { input type="radio" name="slot" value=(slot.as_str()) required checked[slot == Slot::Renderer]; (slot.as_str()) }
                    }
                }
                label { "Component: a .wasm, dropped here or chosen" input type="file" accept=".wasm,application/wasm" data-upload="/console/plugins/components"; }
                label { "Which" select.choice name="from" {
                    option value="component" { "the one that was dropped or chosen, or that has this SHA-256" }
                    option value="built-in" { "the built-in, with the config below" }
                } }
                label { "Its SHA-256, if the host has it already" input name="digest" pattern="[0-9a-f]{64}" autocomplete="off" spellcheck="false"; }
                label { "Config, a JSON object" textarea name="config" rows="4" spellcheck="false" { "{}" } }
                label { "Why" input name="why" required maxlength="500" autocomplete="off"; }
                p data-status role="status" {}
                button { "Take through the gate" }
            }
        }
    }
}

/// A component as it comes, for the script; answered with its digest.
pub(super) async fn upload(State(app): State<App>, operator: Operator, request: Request) -> Response {
    let given = request.headers().get("x-form-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !app.is_form_token(operator.who, given) {
        return Failed::forged().into_response();
    }
    let refused = |e: Error| (Failed::from(e)).status_and_words();
    let mut upload = match app.upload(operator.who) {
        Ok(upload) => upload,
        Err(e) => return refused(e),
    };
    let mut body = request.into_body().into_data_stream();
    while let Some(piece) = body.next().await {
        let Ok(piece): Result<Bytes, _> = piece else {
            return (StatusCode::BAD_REQUEST, "the component did not arrive whole").into_response();
        };
        if let Err(e) = upload.take(&piece) {
            return refused(e);
        }
    }
    match upload.end().await {
        Ok(component) => component.digest.into_response(),
        Err(e) => refused(e),
    }
}

pub(super) async fn install(State(app): State<App>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let slot = slot(form.field("slot"))?;
    let wrong = |e: serde_json::Error| Error::invalid("/config", &format!("must be a JSON object: {e}"));
    let config = Some(form.field("config")).filter(|config| !config.is_empty());
    let config = config.map(serde_json::from_str).transpose().map_err(wrong)?;
    let digest = Some(form.field("digest").to_owned()).filter(|digest| !digest.is_empty());
    let digest = match (form.field("from"), digest) {
        ("built-in", _) => None,
        (_, Some(digest)) => Some(digest),
        _ => return Err(Error::invalid("/digest", "choose a component, or the built-in").into()),
    };
    let new = NewPluginRevision { slot, digest, config, source: None, why: why.to_owned() };
    let doing = async { app.start_install(who, new).await?.within(WAIT).await };
    app.recorded(who, "start-install", slot.as_str(), why, Box::pin(doing)).await?;
    Ok(see("/console/plugins"))
}

pub(super) async fn cancel(State(app): State<App>, Path(id): Path<i64>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    app.recorded(who, "cancel-operation", &format!("operation {id}"), why, Box::pin(app.cancel_operation(who, id)))
        .await?;
    Ok(see("/console/plugins"))
}

pub(super) async fn roll_back(State(app): State<App>, Path(name): Path<String>, form: Act) -> Result<Response, Failed> {
    let (who, why, slot) = (form.operator.who, form.why()?, slot(&name)?);
    let expected = form.number("version")?;
    app.recorded(who, "roll-back", &name, why, Box::pin(app.roll_back(who, slot, None, why, expected))).await?;
    Ok(see("/console/plugins"))
}

/// A slot by its name.
fn slot(name: &str) -> Result<Slot, Error> {
    Slot::ALL.into_iter().find(|slot| slot.as_str() == name).ok_or(Error::NotFound("slot"))
}
