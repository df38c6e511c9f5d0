//! One revision: what the gate found, what it would write, and where it may go from here.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{Failed, Page, act, badge, json, page as framed, table, time, token};
use super::notifications::document;
use super::session::{Act, Operator};
use super::{App, see};
use crate::service::{
    Error, Move, Operation, PageRequest, Plan, Preview, ReplayRequest, RevisionInfo, Serving, SlotInfo, Subject, Terms,
};

pub(super) async fn page(State(app): State<App>, operator: Operator, Path(id): Path<i64>) -> Result<Page, Failed> {
    let who = operator.who;
    let revision = app.revision(who, id).await?;
    let slot = app.plugin_slots(who)?.into_iter().find(|slot| slot.slot.as_str() == revision.slot);
    let slot = slot.ok_or(Error::NotFound("slot"))?;
    let operations = app.operations(who, &PageRequest { limit: Some(50), cursor: None }).await?;
    let replay = operations.items.iter().find(|operation| operation.kind == "replay" && operation.revision == Some(id));
    let manifest = &revision.report["manifest"];
    Ok(framed(
        &operator,
        "Plugins",
        &html! {
            h1 { "Revision " (id) ", " (revision.slot) " " (badge(&revision.stage)) }
            dl {
                dt { "Component" } dd { (manifest["name"].as_str().unwrap_or("")) " " (manifest["version"].as_str().unwrap_or("")) " from " (revision.origin) }
                dt { "SHA-256" } dd { code { (revision.digest) } }
                dt { "Made" } dd { (time(revision.created_at)) " by " (revision.created_by) }
                @if !revision.why.is_empty() { dt { "Why" } dd { (revision.why) } }
            }
            (standing(&slot, id))
            @if who.must_operate().is_ok() { (stages(&operator, &revision, &slot)) }
            @if revision.slot == "renderer" { (preview_form(id)) }
            h2 { "Replay" }
            p { "Runs it over stored notifications beside the active revision; nothing is sent." }
            @if let Some(operation) = replay { (replayed(operation)) }
            @if who.must_operate().is_ok() {
                (act(&operator, &format!("/console/plugins/revisions/{id}/replay"), "Replay", &html! {
                    label { "The last" input type="number" name="last" value="1000" min="1" max="10000000"; }
                }))
            }
            h2 { "Config" }
            (json(&revision.config))
            @if who.must_operate().is_ok() { (configure(&operator, &revision)) }
            details { summary { "What the gate found" } (json(&revision.report)) }
        },
    ))
}

/// What it does in this host, beside the active one.
fn standing(slot: &SlotInfo, id: i64) -> Markup {
    let row = |stage: &str, serving: &Serving| {
        let counts = &serving.counts;
        let percent = |bad: u64, of: u64| if of == 0 { "–".to_owned() } else { format!("{:.2} %", share(bad, of)) };
        html! {
            th scope="row" { (stage) ", revision " (serving.revision) }
            td { (counts.calls) }
            td { (percent(counts.faults + counts.rejected, counts.calls)) }
            td { (counts.shadowed) }
            td { (percent(counts.diverged, counts.shadowed)) }
        }
    };
    let mut rows = vec![row("active", &slot.active)];
    let others = [("canary", &slot.canary), ("shadow", &slot.shadow)];
    let others = others.into_iter().filter_map(|(stage, serving)| serving.as_ref().map(|serving| (stage, serving)));
    rows.extend(others.filter(|(_, serving)| serving.revision == id).map(|(stage, serving)| row(stage, serving)));
    table("Calls in this host", &["Stage", "Calls", "Bad", "Seen as a shadow", "Other answers"], &rows)
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
fn share(part: u64, of: u64) -> f64 {
    part as f64 * 100.0 / of as f64
}

fn stages(operator: &Operator, revision: &RevisionInfo, slot: &SlotInfo) -> Markup {
    let path = format!("/console/plugins/revisions/{}/stage", revision.id);
    let stage = |to: &str, verb: &str, more: &Markup| {
        act(
            operator,
            &path,
            verb,
            &html! {
                input type="hidden" name="to" value=(to);
                input type="hidden" name="version" value=(slot.version);
                (more)
            },
        )
    };
    let is_active = revision.stage == "active";
    html! {
        div.acts {
            @if is_active {
                details { summary { "Roll back" }
                    p { "To what served before." }
                    (act(operator, &format!("/console/plugins/slots/{}/rollback", revision.slot), "Roll back", &html! {
                        input type="hidden" name="version" value=(slot.version);
                    }))
                }
            } @else if revision.stage != "quarantined" {
                details { summary { "Shadow" } p { "It sees live events and answers nobody." } (stage("shadow", "Shadow", &html! {})) }
                details { summary { @if revision.stage == "canary" { "Promote" } @else { "Canary" } }
                    p { "It answers a share of the orders, always the same ones; back by itself if it does worse." }
                    (stage("canary", "Canary", &html! {
                        label { "Share, in a hundred" input type="number" name="percent" value="5" min="1" max="100" required; }
                        label { "Further steps" input name="steps" placeholder="25, 100" pattern="[0-9, ]*" autocomplete="off"; }
                        label.check { input type="checkbox" name="then_activate"; "Then activate" }
                    }))
                }
                details { summary { "Activate" } p { "It answers all." } (stage("activate", "Activate", &html! {})) }
                @if matches!(revision.stage.as_str(), "shadow" | "canary") {
                    details { summary { "Retire" } p { "It serves nowhere, and may come back." } (stage("retire", "Retire", &html! {})) }
                }
                details { summary { "Quarantine" } p { "It serves nowhere, and may not come back." } (stage("quarantine", "Quarantine", &html! {})) }
            }
        }
    }
}

/// The config as a form of its schema's simple fields; whatever else is in it stays.
fn configure(operator: &Operator, revision: &RevisionInfo) -> Markup {
    let schema = &revision.report["manifest"]["config_schema"];
    let properties = schema["properties"].as_object();
    let simple = |property: &serde_json::Value| {
        matches!(property["type"].as_str(), Some("string" | "integer" | "number" | "boolean"))
    };
    let text = serde_json::to_string_pretty(&revision.config).unwrap_or_default();
    html! {
        details { summary { "Another config for this component" }
            form.stacked method="post" action="/console/plugins" data-config {
                (token(operator))
                input type="hidden" name="slot" value=(revision.slot);
                input type="hidden" name="from" value=(if revision.origin == "built-in" { "built-in" } else { "component" });
                input type="hidden" name="digest" value=(if revision.origin == "built-in" { "" } else { &revision.digest });
                @for (name, property) in properties.into_iter().flatten().filter(|(_, property)| simple(property)) {
                    label {
                        (name)
                        @if let Some(says) = property["description"].as_str() { small { (says) } }
                        input data-key=(name) data-type=(property["type"].as_str().unwrap_or("string")) autocomplete="off"
                            value=(match &revision.config[name] { serde_json::Value::Null => String::new(), serde_json::Value::String(text) => text.clone(), other => other.to_string() });
                    }
                }
                label { "The whole config, a JSON object" textarea name="config" rows="8" spellcheck="false" { (text) } }
                label { "Why" input name="why" required maxlength="500" autocomplete="off"; }
                button { "Take through the gate" }
            }
        }
    }
}

fn preview_form(id: i64) -> Markup {
    html! {
        h2 { "Preview" }
        form.filter method="get" action={ "/console/plugins/revisions/" (id) "/preview" } {
            label { "Notification" input type="number" name="notification" min="1" required; }
            button { "Show side by side" }
        }
    }
}

fn replayed(operation: &Operation) -> Markup {
    let Some(replay) = &operation.replay else { return html! { p { (badge(&operation.state)) " " (operation.step) } } };
    html! {
        p { (badge(&operation.state)) " " (replay.events) " of " (replay.last) " events beside revision " (replay.baseline) ": "
            (format!("{:.2}", replay.changed_percent)) " % changed, " (replay.faults) " without a usable answer." }
        @if !replay.changed_fields.is_empty() {
            ul { @for (field, events) in &replay.changed_fields { li { (field) ": " (events) } } }
        }
        @for example in &replay.examples {
            details { summary { "Notification " (example.notification_id) }
                @if let Some(fault) = &example.fault { p.problem { (fault) } }
                @for difference in &example.differences { h3 { (difference.field) } pre tabindex="0" { (difference.diff) } }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    notification: i64,
}

pub(super) async fn preview(
    State(app): State<App>,
    operator: Operator,
    Path(id): Path<i64>,
    Query(Asked { notification }): Query<Asked>,
) -> Result<Page, Failed> {
    let Preview { candidate, active, is_same, differences } = shown(&app, &operator, id, notification).await?;
    let frame = |title: &str, side: &str, rendered: &crate::service::Rendered| {
        html! {
            figure {
                figcaption { (title) ", revision " (rendered.revision) }
                @if let Some(fault) = &rendered.fault { p.problem { (fault) } }
                @else { iframe.desktop title=(title) sandbox src={ "/console/plugins/revisions/" (id) "/preview/" (side) "?notification=" (notification) } {} }
            }
        }
    };
    Ok(framed(
        &operator,
        "Plugins",
        &html! {
            h1 { "Notification " (notification) " by revision " a href={ "/console/plugins/revisions/" (id) } { (id) } }
            p { @if is_same { "The two mails are the same." } @else { "The two mails differ." } }
            div.frames { (frame("Active", "active", &active)) (frame("Candidate", "candidate", &candidate)) }
            @for difference in &differences { h2 { (difference.field) } pre tabindex="0" { (difference.diff) } }
        },
    ))
}

pub(super) async fn previewed(
    State(app): State<App>,
    operator: Operator,
    Path((id, side)): Path<(i64, String)>,
    Query(Asked { notification }): Query<Asked>,
) -> Result<Response, Failed> {
    let Preview { candidate, active, .. } = shown(&app, &operator, id, notification).await?;
    let rendered = if side == "active" { active } else { candidate };
    let email = rendered.email.ok_or(Error::NotFound("mail"))?;
    Ok(document(email.html, &email.text))
}

async fn shown(app: &App, operator: &Operator, id: i64, notification: i64) -> Result<Preview, Error> {
    app.preview(operator.who, id, Subject { notification: Some(notification), payload: None }).await
}

pub(super) async fn stage(State(app): State<App>, Path(id): Path<i64>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let mut plan = None;
    let to = match form.field("to") {
        "shadow" => Move::Shadow,
        "activate" => Move::Activate,
        "retire" => Move::Retire,
        "quarantine" => Move::Quarantine,
        "canary" => {
            let steps = form.field("steps").split(',').map(str::trim).filter(|step| !step.is_empty());
            let wrong = |_| Error::invalid("/steps", "must be numbers and commas");
            let steps = steps.map(str::parse).collect::<Result<Vec<u32>, _>>().map_err(wrong)?;
            let then_activate = !form.field("then_activate").is_empty();
            plan = (!steps.is_empty() || then_activate).then_some(Plan { steps, then_activate });
            Move::Canary(form.number("percent")?.unwrap_or(0))
        }
        _ => return Err(Error::NotFound("stage").into()),
    };
    let terms = Terms { plan: plan.as_ref(), require: None, why, expected: form.number("version")? };
    let doing = app.move_revision(who, id, to, terms);
    app.recorded(who, to.as_str(), &format!("revision {id}"), why, Box::pin(doing)).await?;
    Ok(see(&format!("/console/plugins/revisions/{id}")))
}

pub(super) async fn replay(State(app): State<App>, Path(id): Path<i64>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let request = ReplayRequest { last: form.number("last")?, ..ReplayRequest::default() };
    let doing = async { app.start_replay(who, id, request).await?.within(std::time::Duration::from_secs(2)).await };
    app.recorded(who, "start-replay", &format!("revision {id}"), why, Box::pin(doing)).await?;
    Ok(see(&format!("/console/plugins/revisions/{id}")))
}
