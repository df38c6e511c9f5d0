//! Answers as people like to read them.

use std::fmt::Write;

use ecomm::clock::rfc3339;
use ecomm::kit::bench;
use ecomm::kit::conformance::Outcome;
use ecomm::service::{Change, Difference, Operation, Preview, Rendered, RevisionInfo, Serving, SlotInfo};

use crate::cli::output::{columns, row, table};

pub(super) fn list(slots: &[SlotInfo], revisions: &[RevisionInfo]) -> String {
    let mut rows = vec![row(&["SLOT", "VERSION", "ACTIVE", "PREVIOUS", "CANARY", "SHADOW", "BUILT-IN"])];
    let number = |s: Option<&Serving>| {
        let Some(s) = s else { return "-".to_owned() };
        let circuit = if s.is_circuit_open { " (circuit open)" } else { "" };
        let running = if s.counts.running > 0 { format!(" ({} running)", s.counts.running) } else { String::new() };
        format!("{}{circuit}{running}", s.revision)
    };
    for slot in slots {
        let canary = slot.canary.as_ref().map(|c| format!("{} ({} %)", c.revision, slot.percent));
        rows.push(vec![
            slot.slot.to_string(),
            slot.version.to_string(),
            number(Some(&slot.active)),
            number(slot.previous.as_ref()),
            canary.unwrap_or_else(|| "-".to_owned()),
            number(slot.shadow.as_ref()),
            number(Some(&slot.builtin)),
        ]);
    }
    let mut text = table(&rows);
    for preparation in slots.iter().filter_map(|slot| slot.preparation.as_ref()) {
        let revision = preparation.revision.map_or_else(|| "the built-in".to_owned(), |id| format!("revision {id}"));
        let _ = writeln!(text, "{}: {revision}: {} {}", preparation.slot, preparation.state, preparation.detail);
    }
    if !revisions.is_empty() {
        let mut rows = vec![row(&["REVISION", "SLOT", "STAGE", "COMPONENT", "DIGEST", "ORIGIN", "BY", "WHY"])];
        for r in revisions {
            let (id, component, digest) =
                (r.id.to_string(), component(&r.report), r.digest.get(..12).unwrap_or(&r.digest));
            rows.push(row(&[&id, &r.slot, &r.stage, &component, digest, &r.origin, &r.created_by, &r.why]));
        }
        let _ = write!(text, "\n{}", table(&rows));
    }
    text
}

/// The name and version that a component gives itself.
fn component(report: &serde_json::Value) -> String {
    let of = |key: &str| report["manifest"][key].as_str().unwrap_or_default();
    let named = format!("{} {}", of("name"), of("version"));
    if named.trim().is_empty() { "-".to_owned() } else { named.trim().to_owned() }
}

pub(super) fn revision(r: &RevisionInfo) -> String {
    let rows = [
        row(&["revision", &r.id.to_string()]),
        row(&["slot", &r.slot]),
        row(&["stage", &r.stage]),
        row(&["why", &r.why]),
        row(&["digest", &r.digest]),
        row(&["origin", &r.origin]),
        row(&["installed", &format!("{} by {}", rfc3339::text(r.created_at), r.created_by)]),
        row(&["config", &r.config.to_string()]),
    ];
    columns(&rows) + &report(&r.report)
}

/// What the gate found.
pub(super) fn report(report: &serde_json::Value) -> String {
    let manifest = &report["manifest"];
    let mut rows: Vec<_> = ["name", "version", "description"]
        .map(|key| row(&[key, manifest[key].as_str().unwrap_or_default()]))
        .into_iter()
        .chain([row(&["locales", &manifest["locales"].to_string()])])
        .collect();
    let keys = [
        "metadata",
        "signer",
        "contract",
        "data",
        "imports",
        "bytes",
        "snapshotted",
        "making",
        "prepared_ms",
        "cached",
    ];
    rows.extend(keys.iter().map(|key| row(&[key, &report[key].to_string()])));
    for warning in report["warnings"].as_array().into_iter().flatten() {
        rows.push(row(&["warning", warning.as_str().unwrap_or_default()]));
    }
    let mut text = columns(&rows);
    let mut rows = vec![row(&["FIXTURE", "FUEL", "MEMORY", "TIME"])];
    for trial in report["trials"].as_array().into_iter().flatten() {
        rows.push(vec![
            trial["fixture"].as_str().unwrap_or_default().to_owned(),
            trial["fuel"].to_string(),
            format!("{} KiB", trial["memory_bytes"].as_u64().unwrap_or_default() / 1024),
            format!("{} us", trial["time_us"]),
        ]);
    }
    let _ = write!(text, "\n{}", columns(&rows));
    text
}

pub(super) fn history(changes: &[Change]) -> String {
    let mut rows = vec![row(&["WHEN", "SLOT", "VERSION", "ACTION", "REVISION", "BY", "WHY"])];
    for c in changes {
        let action = if c.percent > 0 { format!("{} {} %", c.action, c.percent) } else { c.action.clone() };
        let revision = c.revision.map_or_else(|| "built-in".to_owned(), |r| r.to_string());
        let (when, version) = (rfc3339::text(c.created_at), c.version.to_string());
        rows.push(row(&[&when, &c.slot, &version, &action, &revision, &c.created_by, &c.why]));
    }
    table(&rows)
}

pub(super) fn preview(preview: &Preview) -> String {
    let side = |name: &str, r: &Rendered| {
        let mail = match (&r.email, &r.fault) {
            (Some(email), _) => format!("Subject: {}\n\n{}", email.subject, email.text),
            (None, fault) => format!("no mail: {}", fault.clone().unwrap_or_default()),
        };
        format!("== {name}: revision {}, {} fuel\n{mail}\n", r.revision, r.fuel)
    };
    let sides = format!("{}\n{}\n", side("candidate", &preview.candidate), side("active", &preview.active));
    if preview.is_same {
        return sides + "-- the same mail";
    }
    sides + "-- another mail, from the active revision's to the candidate's:\n" + &differences(&preview.differences)
}

fn differences(all: &[Difference]) -> String {
    all.iter().flat_map(|Difference { field, diff }| [field, ":\n", diff.trim_end(), "\n"]).collect()
}

pub(super) fn operations(operations: &[Operation]) -> String {
    let mut rows = vec![row(&["ID", "KIND", "SLOT", "REVISION", "STATE", "STEP", "BEGAN", "BY", "PROBLEM"])];
    for o in operations {
        let revision = o.revision.map(|r| r.to_string()).unwrap_or_default();
        let step = if o.of == 0 { o.step.clone() } else { format!("{} {} of {}", o.step, o.done, o.of) };
        let problem = o.problem.as_ref().map(|p| p.detail.as_str()).unwrap_or_default();
        let (id, began) = (o.id.to_string(), rfc3339::text(o.created_at));
        rows.push(row(&[&id, &o.kind, &o.slot, &revision, &o.state, &step, &began, &o.created_by, problem]));
    }
    table(&rows)
}

pub(super) fn operation(o: &Operation) -> String {
    let mut text = operations(std::slice::from_ref(o));
    let Some(r) = &o.replay else { return text };
    text += &columns(&[
        row(&["replay", &format!("revision {} beside {}", r.revision, r.baseline)]),
        row(&["events", &format!("{} ({} unreadable)", r.events, r.unreadable)]),
        row(&["changed", &format!("{:.2} %", r.changed_percent)]),
        row(&["subjects", &r.changed_subjects.to_string()]),
        row(&["bodies", &r.changed_bodies.to_string()]),
        row(&["decisions", &r.changed_decisions.to_string()]),
        row(&["faults", &r.faults.to_string()]),
        row(&["fuel", &format!("p50 {} p99 {}", r.fuel[0], r.fuel[1])]),
        row(&["time", &format!("p50 {} us p99 {} us", r.time_us[0], r.time_us[1])]),
    ]);
    for (field, events) in &r.changed_fields {
        let _ = writeln!(text, "changed {field}: {events}");
    }
    for example in &r.examples {
        let fault = example.fault.as_ref().map(|fault| format!(": {fault}")).unwrap_or_default();
        let _ = writeln!(text, "notification {}{fault}", example.notification_id);
        text += &differences(&example.differences);
    }
    text
}

/// What a project's tests came to.
pub(super) fn outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    for warning in &outcome.warnings {
        let _ = writeln!(text, "note: {warning}");
    }
    for finding in &outcome.failures {
        let _ = writeln!(text, "FAILED {} ({}): {}", finding.broken.property, finding.event, finding.broken.what);
        if let Some(path) = &finding.kept {
            let _ = writeln!(text, "  the smallest event that shows it: {}", path.display());
        }
    }
    for change in &outcome.goldens_changed {
        let _ = writeln!(text, "CHANGED {}", change.file);
        let _ = writeln!(text, "{}", change.diff);
    }
    let golden = match (outcome.has_goldens, outcome.goldens_changed.len()) {
        (false, _) => "no golden answers yet: `ecomm plugin test --accept` keeps them".to_owned(),
        (true, 0) => format!("{} golden files as accepted", outcome.goldens_same),
        (true, changed) => format!(
            "{changed} golden files changed, {} as accepted: `ecomm plugin test --accept` takes the changes",
            outcome.goldens_same
        ),
    };
    let result = if outcome.passed() { "passed" } else { "FAILED" };
    let _ = writeln!(text, "{result}: the gate, {} generated events, {golden}", outcome.cases);
    text
}

/// A component's costs beside the built-in's, and how they compare.
pub(super) fn bench(rows: &[bench::Row; 2]) -> String {
    let [own, theirs] = rows;
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    let line = |what: &str, of: fn(&bench::Row) -> u64| {
        let (own, theirs) = (of(own), of(theirs));
        let ratio = if theirs == 0 { "-".to_owned() } else { format!("{:.2}", own as f64 / theirs as f64) };
        row(&[what, &own.to_string(), &theirs.to_string(), &ratio])
    };
    columns(&[
        row(&["", &own.name, &theirs.name, "RATIO"]),
        line("fuel", |r| r.fuel),
        line("call, median us", |r| r.median_us),
        line("call, p99 us", |r| r.p99_us),
        line("first call, us", |r| r.first_us),
        line("memory, bytes", |r| r.memory_bytes as u64),
        line("component, bytes", |r| r.bytes as u64),
        line("compiled, bytes", |r| r.code_bytes as u64),
        line("compiling, ms", |r| r.compile_ms.unsigned_abs()),
    ])
}
