//! Whether the database is there, fit, and of this program's schema; then what stands in it.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::{Check, Finding, reputation, strays, webhooks};
use crate::clock::{Clock, DAY_MS};
use crate::config::Config;
use crate::host;
use crate::service::{Service, Slot};
use crate::store::{Examined, Store};

/// Leases and due times are the database's; schedules and dates of mails the host's.
const SKEW_MS_MAX: i64 = 1_000;
/// Each mail takes several round trips.
const LATENCY_US_MAX: u64 = 20_000;
/// A mail that is due waits for nothing but a worker.
const OVERDUE_MS_MAX: i64 = 300_000;
/// Connections that other clients of the server may need.
const SPARE_CONNECTIONS: i64 = 10;

/// The oldest versions that are supported, as the README says.
const SUPPORTED: [(&str, u32, u32); 4] =
    [("SQLite", 3, 46), ("MySQL", 8, 4), ("MariaDB", 10, 6), ("PostgreSQL", 15, 0)];

pub(super) async fn examine(config: &Config, clock: &Clock) -> Vec<Finding> {
    if let Some(path) = Store::sqlite_path(config.database.url.expose_secret()) {
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => {
                let says = format!("{} is not there yet", path.display());
                let advice = "`ecomm serve` and `ecomm migrate` make it; if there should be one, set database.url to its absolute path";
                return vec![Finding::warning(Check::Database, "", says, advice)];
            }
            Err(e) => {
                let says = format!("{}: {e}", path.display());
                return vec![Finding::fault(
                    Check::Database,
                    "",
                    says,
                    "let the user that runs the host look into the folder",
                )];
            }
        }
    }
    let store = match host::connect(&config.database, clock.clone()).await {
        Ok(store) => store,
        Err(e) => {
            return vec![Finding::fault(Check::Database, "", e.to_string(), "check database.url, and that it runs")];
        }
    };
    let examined = store.examine().await;
    store.close().await;
    let examined = match examined {
        Ok(examined) => examined,
        Err(e) => return vec![Finding::fault(Check::Database, "", e.to_string(), "check the user's rights")],
    };
    let mut findings = server(&examined, config);
    let (schema, is_current) = schema(&examined);
    findings.push(schema);
    if is_current {
        let mut config = config.clone();
        config.database.migrate_on_start = false;
        findings.extend(Box::pin(contents(config, clock)).await);
    }
    findings
}

fn server(examined: &Examined, config: &Config) -> Vec<Finding> {
    let Examined { product, version, latency_us, ahead_ms, connections_max, schema: _ } = examined;
    let named = format!("{product} {version}");
    let mut findings = Vec::new();
    if is_unsupported(product, version) {
        let says = format!("{named} is older than any that is supported");
        findings.push(Finding::warning(Check::Database, "version", says, "upgrade it"));
    }
    #[expect(clippy::cast_precision_loss, reason = "it is shown")]
    let ms = *latency_us as f64 / 1_000.0;
    if *latency_us > LATENCY_US_MAX {
        let says = format!("{named} takes {ms:.1} ms for a round trip");
        let advice = "each mail takes several: bring the workers nearer to it";
        findings.push(Finding::warning(Check::Database, "latency", says, advice));
    } else {
        findings.push(Finding::ok(Check::Database, "", format!("{named}, {ms:.1} ms for a round trip")));
    }
    if ahead_ms.abs() > SKEW_MS_MAX + i64::try_from(latency_us / 1_000).unwrap_or(0) {
        let way = if *ahead_ms > 0 { "ahead of" } else { "behind" };
        let says = format!("its clock is {} ms {way} this machine's", ahead_ms.abs());
        findings.push(Finding::warning(Check::Database, "clock", says, "let both follow a time server (NTP)"));
    }
    if let Some(most) = connections_max
        && i64::from(config.database.connections_max) + SPARE_CONNECTIONS > *most
    {
        let says =
            format!("it takes {most} connections, and this host alone may open {}", config.database.connections_max);
        let advice = "raise its max_connections, or lower database.connections_max";
        findings.push(Finding::warning(Check::Database, "connections", says, advice));
    }
    findings
}

fn is_unsupported(product: &str, version: &str) -> bool {
    let mut numbers = version.split(['.', '-', ' ']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    SUPPORTED.iter().any(|(name, major, minor)| *name == product && version < (*major, *minor))
}

fn schema(examined: &Examined) -> (Finding, bool) {
    let schema = &examined.schema;
    let list = |numbers: &[i64]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (known, applied) = (schema.known, schema.applied.unwrap_or(0));
    let finding = if !schema.broken.is_empty() {
        let says = format!("step {} was applied half-way, or is not this program's", list(&schema.broken));
        let advice = "`ecomm migrate` goes on with one that was broken off; else restore the database from before, or use the \
                      program that applied it";
        Finding::fault(Check::Schema, "", says, advice)
    } else if applied > known {
        let says = format!("its schema is number {applied}, and this program knows {known}");
        if schema.allows_this_program() {
            let advice = "it works on it as well: go on with the upgrade";
            return (Finding::warning(Check::Schema, "", says, advice), true);
        }
        Finding::fault(Check::Schema, "", says, "use the newer program that brought it there")
    } else if schema.applied.is_none() {
        Finding::warning(Check::Schema, "", "there is none yet", "`ecomm serve` makes it, or `ecomm migrate`")
    } else if !schema.pending.is_empty() {
        let says = format!("steps {} are still to be applied", list(&schema.pending));
        Finding::warning(Check::Schema, "", says, "`ecomm serve` applies them at start, or `ecomm migrate` now")
    } else {
        return (Finding::ok(Check::Schema, "", format!("number {applied}, as this program's")), true);
    };
    (finding, false)
}

/// What only a schema that is up to date can tell.
async fn contents(config: Config, clock: &Clock) -> Vec<Finding> {
    let trust = config.plugins.trust.check().await;
    if let Err(e) = trust {
        let advice = "correct plugins.trust.key_paths: a host with these settings does not start";
        return vec![Finding::fault(Check::Plugins, "trust", e.to_string(), advice)];
    }
    let delay_ms_max = strays::delay_ms_max(&config.caps, config.queue.lease_ms);
    let service = match host::unprepared(config, clock.clone()).await {
        Ok(service) => service,
        Err(e) => {
            return vec![Finding::fault(
                Check::Plugins,
                "",
                e.to_string(),
                "a host with these settings does not start",
            )];
        }
    };
    let mut findings = vec![queue(&service).await];
    findings.extend(strays::examine(&service.store, delay_ms_max).await);
    findings.extend(reputation::examine(&service.store).await);
    findings.push(webhooks::examine(&service.store).await);
    for slot in Slot::ALL {
        findings.push(plugin(&service, slot).await);
    }
    service.store.close().await;
    findings
}

async fn queue(service: &Service) -> Finding {
    let status = match service.store.queue_status().await {
        Ok(status) => status,
        Err(e) => return Finding::fault(Check::Queue, "", e.to_string(), "see the database's log"),
    };
    let overdue_ms = status.overdue_ms();
    if let Some(pause) = status.paused {
        let says = format!("paused by {}: {}", pause.who, pause.why);
        return Finding::fault(Check::Queue, "", says, "`ecomm notification resume` lets mails go out again");
    }
    if overdue_ms > OVERDUE_MS_MAX {
        let says = format!("{} queued; the oldest is due for {}", status.queued, span(overdue_ms));
        let advice = "see that a worker runs (`ecomm serve`), and what it logs";
        return Finding::fault(Check::Queue, "", says, advice);
    }
    if !status.paused_parts.is_empty() {
        let parts = status.paused_parts.iter().map(|part| {
            let named = part.relay.as_ref().or(part.kind.as_ref()).map_or("", String::as_str);
            format!("{named} is paused by {}: {}", part.who, part.why)
        });
        let says = parts.collect::<Vec<_>>().join("; ");
        return Finding::warning(Check::Queue, "", says, "`ecomm notification resume --relay` or `--kind` ends each");
    }
    Finding::ok(Check::Queue, "", format!("{} queued, {} under way", status.queued, status.under_way))
}

fn span(ms: i64) -> String {
    match ms {
        ms if ms >= 2 * DAY_MS => format!("{} days", ms / DAY_MS),
        ms if ms >= 7_200_000 => format!("{} hours", ms / 3_600_000),
        ms => format!("{} minutes", ms / 60_000),
    }
}

async fn plugin(service: &Arc<Service>, slot: Slot) -> Finding {
    let taken = service.take_up_slot(slot).await;
    let lineage = service.plugins.routing().slot(slot).clone();
    let serving = &lineage.active;
    let named = if serving.number == lineage.builtin.number {
        "the built-in".to_owned()
    } else {
        format!("revision {}", serving.number)
    };
    if let Err(e) = service.plugins.configured(slot).await {
        let advice = format!("correct plugins.{slot}.path and config_path, or leave them empty");
        return Finding::fault(Check::Plugins, slot.as_str(), e.to_string(), advice);
    }
    match taken {
        Ok(()) => Finding::ok(Check::Plugins, slot.as_str(), format!("{named} serves, and can be prepared here")),
        Err(e) => {
            let says = format!("what should serve cannot be prepared, and {named} stands in: {e}");
            let advice =
                format!("`ecomm plugin ls` shows it; `ecomm plugin rollback {slot}` goes back to what served before");
            Finding::fault(Check::Plugins, slot.as_str(), says, advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_unsupported, schema};
    use crate::doctor::Level;
    use crate::store::{Examined, Schema};

    #[test]
    fn versions_are_read_as_databases_write_them() {
        assert!(
            is_unsupported("MariaDB", "10.5.12-MariaDB-1") && !is_unsupported("MariaDB", "10.11.6-MariaDB-0+deb12u1")
        );
        assert!(is_unsupported("PostgreSQL", "14.9 (Debian 14.9-1)") && !is_unsupported("PostgreSQL", "17.0"));
        assert!(is_unsupported("MySQL", "8.0.36") && !is_unsupported("MySQL", "9.1.0"));
    }

    #[test]
    fn a_schema_is_compared() {
        let of = |applied: Option<i64>, broken: &[i64], pending: &[i64]| {
            let oldest_program = applied.map(|applied| applied - 1);
            let (broken, pending) = (broken.to_vec(), pending.to_vec());
            let schema_of = Schema { applied, known: 3, broken, pending, oldest_program };
            let examined = Examined {
                product: "SQLite",
                version: "3.50".to_owned(),
                latency_us: 1,
                ahead_ms: 0,
                connections_max: None,
                schema: schema_of,
            };
            let (finding, is_current) = schema(&examined);
            (finding.level, is_current)
        };
        assert_eq!(of(Some(3), &[], &[]), (Level::Ok, true));
        assert_eq!(of(Some(2), &[], &[3]), (Level::Warning, false));
        assert_eq!(of(None, &[], &[1, 2, 3]), (Level::Warning, false));
        assert_eq!(of(Some(4), &[], &[]), (Level::Warning, true));
        assert_eq!(of(Some(5), &[], &[]), (Level::Fault, false));
        assert_eq!(of(Some(3), &[2], &[]), (Level::Fault, false));
    }
}
