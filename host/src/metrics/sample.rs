//! What has to be asked for, and the gauges that tell what was answered last.

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use crate::outbound::Standing;

/// What was asked for last.
pub(super) type Latest = Arc<Mutex<Option<Sample>>>;

/// How the queue stands for all hosts, and this host's part of the rest.
pub(crate) struct Sample {
    /// None while the database cannot be asked.
    pub(crate) queue: Option<QueueSample>,
    /// Connections of the pool: in use, idle.
    pub(crate) connections: (i64, i64),
    /// Endpoints of webhooks of all hosts: whose orders they hear of, how they fare, how many. None while the database cannot be
    /// asked.
    pub(crate) endpoints: Vec<(&'static str, &'static str, i64)>,
    /// How this host stands with each relay.
    pub(crate) relays: Vec<Standing>,
    /// Components that wait for the compiler of this host, or are in it.
    pub(crate) compiling: i64,
    /// Calls of each slot's components that are under way, and the most at one time.
    pub(crate) calls: [(&'static str, i64, i64); 2],
    /// Each revision that serves.
    pub(crate) revisions: Vec<Calls>,
}

/// How the queue stands.
pub(crate) struct QueueSample {
    pub(crate) queued: i64,
    pub(crate) under_way: i64,
    /// Those that failed and those that are held; of each so many at most as an operator is told.
    pub(crate) troubled: (i64, i64),
    pub(crate) overdue_ms: i64,
    pub(crate) is_paused: bool,
    pub(crate) paused_parts: usize,
    /// Those that wait for an earlier one of their order; none where too many are queued to count them.
    pub(crate) behind: Option<i64>,
}

/// What the calls of a revision came to.
pub(crate) struct Calls {
    pub(crate) slot: &'static str,
    pub(crate) stage: &'static str,
    pub(crate) revision: i64,
    /// So many of each outcome.
    pub(crate) counts: [(&'static str, u64); 6],
}

/// Gauges that tell what was asked for last.
pub(super) fn observe(meter: &Meter, latest: &Latest) {
    of_the_queue(meter, latest);
    of_relays(meter, latest);
    of_endpoints(meter, latest);
    of_components(meter, latest);
}

fn gauge((meter, latest): (&Meter, &Latest), name: &'static str, says: &'static str, unit: &'static str, tell: Tell) {
    let latest = latest.clone();
    let told = meter.f64_observable_gauge(name).with_description(says).with_unit(unit);
    told.with_callback(move |observer| {
        if let Some(sample) = &*latest.lock().unwrap_or_else(PoisonError::into_inner) {
            tell(sample, &|value, labels| observer.observe(value, labels));
        }
    })
    .build();
}

fn of_the_queue(meter: &Meter, latest: &Latest) {
    let gauge = |name, says, unit, tell: Tell| gauge((meter, latest), name, says, unit, tell);
    gauge("ecomm.database.reachable", "1 while the database answers.", "", |sample, observe| {
        observe(sample.queue.is_some().into(), &[]);
    });
    gauge(
        "ecomm.queue.notifications",
        "Notifications that wait or are under way, and those that need an operator, of all hosts.",
        "",
        |sample, observe| {
            if let Some(queue) = &sample.queue {
                observe(count(queue.queued), &[KeyValue::new("ecomm.state", "queued")]);
                observe(count(queue.under_way), &[KeyValue::new("ecomm.state", "leased")]);
                observe(count(queue.troubled.0), &[KeyValue::new("ecomm.state", "failed")]);
                observe(count(queue.troubled.1), &[KeyValue::new("ecomm.state", "held")]);
            }
        },
    );
    let says =
        "Notifications that wait for an earlier one of their order, of all hosts; left out while very many are queued.";
    gauge("ecomm.queue.blocked", says, "", |sample, observe| {
        if let Some(behind) = sample.queue.as_ref().and_then(|queue| queue.behind) {
            observe(count(behind), &[]);
        }
    });
    let says = "For how long the first that waits has been due, of all hosts.";
    gauge("ecomm.queue.oldest.overdue", says, "s", |sample, observe| {
        if let Some(queue) = &sample.queue {
            observe(count(queue.overdue_ms) / 1_000.0, &[]);
        }
    });
    gauge("ecomm.queue.paused", "1 while no host may claim.", "", |sample, observe| {
        if let Some(queue) = &sample.queue {
            observe(queue.is_paused.into(), &[]);
        }
    });
    gauge("ecomm.queue.paused.parts", "Relays and kinds of notifications that are paused.", "", |sample, observe| {
        if let Some(queue) = &sample.queue {
            observe(count(i64::try_from(queue.paused_parts).unwrap_or(i64::MAX)), &[]);
        }
    });
    gauge("db.client.connection.count", "Connections to the database.", "", |sample, observe| {
        let (used, idle) = sample.connections;
        observe(count(used), &[KeyValue::new("db.client.connection.state", "used")]);
        observe(count(idle), &[KeyValue::new("db.client.connection.state", "idle")]);
    });
}

fn of_relays(meter: &Meter, latest: &Latest) {
    let gauge = |name, says, unit, tell: Tell| gauge((meter, latest), name, says, unit, tell);
    gauge(
        "ecomm.relay.available",
        "1 unless the last try did not reach the relay and it may be tried.",
        "",
        |sample, observe| {
            for relay in &sample.relays {
                observe((relay.is_reached || relay.is_paused).into(), &[of(relay)]);
            }
        },
    );
    gauge("ecomm.relay.connections", "Connections to the relay that this host has open.", "", |sample, observe| {
        for relay in &sample.relays {
            observe(relay.connections.into(), &[of(relay)]);
        }
    });
    let says = "So many mails a second the relay takes from this host, as learnt or capped; 0 while no limit is known.";
    gauge("ecomm.relay.rate.limit", says, "", |sample, observe| {
        for relay in &sample.relays {
            observe(relay.per_second.unwrap_or_default(), &[of(relay)]);
        }
    });
}

fn of_endpoints(meter: &Meter, latest: &Latest) {
    let says = "Endpoints of webhooks, of all hosts.";
    gauge((meter, latest), "ecomm.webhook.endpoints", says, "", |sample, observe| {
        for (orders, state, endpoints) in &sample.endpoints {
            let labels = [KeyValue::new("ecomm.webhook.orders", *orders), KeyValue::new("ecomm.webhook.state", *state)];
            observe(count(*endpoints), &labels);
        }
    });
}

fn of_components(meter: &Meter, latest: &Latest) {
    let gauge = |name, says, unit, tell: Tell| gauge((meter, latest), name, says, unit, tell);
    let says = "Components that wait for this host's compiler, or are in it.";
    gauge("ecomm.plugin.compiling", says, "", |sample, observe| {
        observe(count(sample.compiling), &[]);
    });
    let says = "Calls of a slot's components that are under way in this host.";
    gauge("ecomm.plugin.calls.active", says, "", |sample, observe| {
        for (slot, active, _) in &sample.calls {
            observe(count(*active), &[KeyValue::new("ecomm.plugin.slot", *slot)]);
        }
    });
    let says = "The most calls of a slot's components at one time in this host; more wait.";
    gauge("ecomm.plugin.calls.limit", says, "", |sample, observe| {
        for (slot, _, limit) in &sample.calls {
            observe(count(*limit), &[KeyValue::new("ecomm.plugin.slot", *slot)]);
        }
    });
    let says = "What the calls of each revision that serves came to in this host.";
    gauge("ecomm.plugin.revision.calls", says, "", |sample, observe| {
        for Calls { slot, stage, revision, counts } in &sample.revisions {
            for (what, calls) in counts {
                let labels = [
                    KeyValue::new("ecomm.plugin.slot", *slot),
                    KeyValue::new("ecomm.plugin.stage", *stage),
                    KeyValue::new("ecomm.plugin.revision", *revision),
                    KeyValue::new("ecomm.outcome", *what),
                ];
                observe(count(i64::try_from(*calls).unwrap_or(i64::MAX)), &labels);
            }
        }
    });
}

fn of(relay: &Standing) -> KeyValue {
    KeyValue::new("ecomm.relay", relay.name.clone())
}

/// Tells of a sample.
type Tell = fn(&Sample, &dyn Fn(f64, &[KeyValue]));

#[expect(clippy::cast_precision_loss, reason = "for people, and exact far beyond what there is")]
fn count(number: i64) -> f64 {
    number as f64
}
