//! At a glance: whether mails go out, and what holds them up.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::layout::{Failed, Page, act, badge, page as framed, span, table, time};
use super::session::{Act, Operator};
use super::{App, see};
use crate::notification::KINDS;
use crate::service::{
    Beat, Error, HostInfo, Principal, QueuePart, QueuePartPause, QueueStatus, RelayStanding, TROUBLED_MAX,
};

pub(super) async fn page(State(app): State<App>, operator: Operator) -> Result<Page, Failed> {
    let status = app.queue_status(operator.who).await?;
    let standing = standing(&app, operator.who, &status).await?;
    let (paused, parts) = (status.paused, status.paused_parts);
    let relays = app.relays(operator.who)?;
    let slots = app.plugin_slots(operator.who)?;
    let hosts = app.hosts(operator.who).await?;
    let slot = |slot: &crate::service::SlotInfo| {
        let serves = &slot.active;
        html! {
            th scope="row" { (slot.slot.as_str()) }
            td { a href={ "/console/plugins/revisions/" (serves.revision) } { "Revision " (serves.revision) } " " (serves.origin) }
            td { (serves.counts.calls) }
            td { (serves.counts.faults) }
            td {
                @if serves.is_circuit_open { (badge("circuit open")) " " }
                @if let Some(canary) = &slot.canary { "canary " (canary.revision) " at " (slot.percent) " %" }
                @if let Some(preparation) = &slot.preparation { (preparation.state) ": " (preparation.detail) }
            }
        }
    };
    let host = |host: &HostInfo| {
        html! {
            th scope="row" { code { (host.host.get(..8).unwrap_or(&host.host)) } @if host.is_this { " (this one)" } }
            td { (host.version) }
            td { (host.roles.join(", ")) }
            td { (time(host.started_at)) }
            td { (host.sent) }
            td { (host.failed) }
        }
    };
    Ok(framed(
        &operator,
        "Overview",
        &html! {
            h1 { "Overview" }
            @if let Some(pause) = &paused {
                p.problem role="alert" { "The queue is paused since " (time(pause.since)) " by " (pause.who) ": " (pause.why) }
            }
            div #live data-source="/console/live" { (standing) }
            p #live-state role="status" {}
            @if paused.is_some() {
                (act(&operator, "/console/queue/resume", "Resume the queue", &html! {}))
            } @else {
                details { summary { "Pause the queue" }
                    p { "No host claims another mail until it is resumed; orders go on, and what is under way is delivered." }
                    (act(&operator, "/console/queue/pause", "Pause", &html! {}))
                }
            }
            (of_parts(&operator, &parts, &relays))
            h2 { "What serves" }
            (table("Slots", &["Slot", "Active", "Calls in this host", "Faults", "Also"], &slots.iter().map(slot).collect::<Vec<_>>()))
            h2 { "Hosts" }
            (table("Hosts", &["Host", "Version", "Roles", "Since", "Sent", "Given up"], &hosts.iter().map(host).collect::<Vec<_>>()))
        },
    ))
}

/// Relays and kinds: which are paused, and forms to pause one and to resume it.
fn of_parts(operator: &Operator, parts: &[QueuePartPause], relays: &[RelayStanding]) -> Markup {
    html! {
        @for pause in parts {
            p.problem role="alert" {
                (part_of(pause)) " is paused since " (time(pause.since)) " by " (pause.who) ": " (pause.why)
            }
            (act(operator, "/console/queue/resume", &format!("Resume {}", part_of(pause)), &html! {
                input type="hidden" name="part" value=(part_of(pause));
            }))
        }
        details { summary { "Pause a relay or a kind" }
            p { "Mails that may go by another relay do; the rest of an order waits behind its mail of a paused kind." }
            (act(operator, "/console/queue/pause", "Pause this part", &html! {
                label { "What" select.choice name="part" {
                    @for relay in relays { option { "relay " (relay.name) } }
                    @for kind in KINDS { option { "kind " (kind) } }
                } }
            }))
        }
    }
}

/// The longest name of a part, in bytes.
const PART_BYTES_MAX: usize = 150;

/// As forms name it.
fn part_of(pause: &QueuePartPause) -> String {
    match (&pause.relay, &pause.kind) {
        (Some(relay), _) => format!("relay {relay}"),
        (None, kind) => format!("kind {}", kind.as_deref().unwrap_or_default()),
    }
}

/// Which part a form names, and what the audit calls it.
fn part(named: &str) -> Result<(QueuePart, &str), Error> {
    if named.contains('\0') || named.len() > PART_BYTES_MAX {
        return Err(Error::invalid("/part", &format!("must be a relay or a kind, in at most {PART_BYTES_MAX} bytes")));
    }
    let (relay, kind) = match named.split_once(' ') {
        Some(("relay", name)) => (Some(name), None),
        Some(("kind", name)) => (None, Some(name)),
        _ if named.is_empty() => (None, None),
        // Never more than was meant; and it is written down before it is done.
        _ => return Err(Error::invalid("/part", "must be a relay or a kind")),
    };
    let part = QueuePart { relay: relay.map(str::to_owned), kind: kind.map(str::to_owned) };
    Ok((part, if named.is_empty() { "queue" } else { named }))
}

/// What changes by the second.
pub(super) async fn standing(app: &App, who: Principal, status: &QueueStatus) -> Result<Markup, Error> {
    let (failed, held) = app.troubled(who).await?;
    let beats = app.pulse(who)?;
    let most = |count: i64| if count >= TROUBLED_MAX { format!("{count} or more") } else { count.to_string() };
    let tile = |name: &str, value: String, path: &str| {
        html! { a.tile href=(path) { span.value { (value) } span { (name) } } }
    };
    let last = beats.last().cloned().unwrap_or_default();
    Ok(html! {
        div.tiles {
            (tile("queued", status.queued.to_string(), "/console/notifications?state=not+sent"))
            (tile("under way", status.under_way.to_string(), "/console/notifications?state=not+sent"))
            (tile("overdue", span(status.overdue_ms()), "/console/notifications?state=not+sent"))
            (tile("held", most(held), "/console/notifications?state=held&newest_first=on"))
            (tile("failed", most(failed), "/console/notifications?state=failed&newest_first=on"))
            (tile("sent a second", format!("{:.1}", last.sent_per_s), "/console/notifications?state=sent&newest_first=on"))
        }
        div.graphs {
            (graph("Mails sent a second, last hour", &beats, |beat| beat.sent_per_s, |value| format!("{value:.1}")))
            (graph("Oldest overdue, last hour", &beats, |beat| ms(beat.overdue_ms), |value| {
                // Whole milliseconds.
                #[expect(clippy::cast_possible_truncation, reason = "it came from an integer")]
                let ms = value as i64;
                span(ms)
            }))
        }
        p.relays {
            @for RelayStanding { name, is_reached, is_paused, connections, connections_max, per_second } in app.relays(who)? {
                span class={ "badge " (if is_reached && !is_paused { "good" } else { "bad" }) } {
                    (name) @if is_paused { " paused" } @else if !is_reached { " not reached" }
                } " "
                (connections) " of " (connections_max) " connections"
                @if let Some(rate) = per_second { ", " (format!("{rate:.1}")) " mails/s at most" }
                ". "
            }
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "it is drawn")]
fn ms(ms: i64) -> f64 {
    ms as f64
}

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 60.0;

fn graph(title: &str, beats: &[Beat], value: impl Fn(&Beat) -> f64, show: impl Fn(f64) -> String) -> Markup {
    let most = beats.iter().map(&value).fold(0.0, f64::max);
    let scale = if most > 0.0 { (HEIGHT - 2.0) / most } else { 0.0 };
    let now = beats.last().map_or(0, |beat| beat.at);
    let points = beats.iter().map(|beat| {
        // One unit for each ten seconds: where nothing was seen there is a gap in time.
        let x = WIDTH - ms(now - beat.at) / 10_000.0;
        format!("{x:.1},{:.1}", HEIGHT - 1.0 - value(beat) * scale)
    });
    let points = points.collect::<Vec<_>>().join(" ");
    let label = format!("{title}: now {}, at most {}", show(beats.last().map_or(0.0, &value)), show(most));
    html! {
        figure {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) preserveAspectRatio="none" {
                polyline points=(points) {}
            }
            figcaption { (title) ", at most " (show(most)) }
        }
    }
}

pub(super) async fn pause(State(app): State<App>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let (part, subject) = part(form.field("part"))?;
    app.recorded(who, "pause-queue", subject, why, Box::pin(app.pause_queue(who, part, why))).await?;
    Ok(see("/console"))
}

pub(super) async fn resume(State(app): State<App>, form: Act) -> Result<Response, Failed> {
    let (who, why) = (form.operator.who, form.why()?);
    let (part, subject) = part(form.field("part"))?;
    app.recorded(who, "resume-queue", subject, why, Box::pin(app.resume_queue(who, part))).await?;
    Ok(see("/console"))
}
