//! How it goes: which hosts there are, and the last hour of the queue, as this host saw it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use utoipa::ToSchema;

use super::{Error, Principal, QueueStatus, Service};
use crate::outbound::Standing;
use crate::store::Store;
use crate::store::hosts::HostRow;

/// An hour, at one look every ten seconds.
const BEATS_MAX: usize = 360;

/// The most that are counted of what failed or is held.
pub const TROUBLED_MAX: i64 = 10_000;

/// A look at all hosts and their queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Beat {
    /// When, unix milliseconds.
    pub at: i64,
    /// Notifications that wait.
    pub queued: i64,
    /// Notifications that a host works on.
    pub under_way: i64,
    /// For how long the first that waits has been due.
    pub overdue_ms: i64,
    /// Mails that relays took from all hosts since the look before, in a second.
    pub sent_per_s: f64,
    /// Mails that were given up, in a second.
    pub failed_per_s: f64,
}

/// A host that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Host)]
pub struct HostInfo {
    /// This run of it: random.
    pub host: String,
    /// The program's.
    pub version: String,
    /// What it does: "api", "grpc", "worker".
    pub roles: Vec<String>,
    /// When it started.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub started_at: i64,
    /// When it was last there; every ten seconds.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: i64,
    /// Mails that relays took from it since it started.
    pub sent: i64,
    /// Mails that it gave up since it started.
    pub failed: i64,
    /// Whether it is the one that answers.
    pub is_this: bool,
}

/// What was seen in the last hour.
#[derive(Default)]
pub struct Pulse(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    beats: VecDeque<Beat>,
    /// What each host had sent and given up at the last look.
    before: HashMap<String, (i64, i64)>,
}

impl Pulse {
    fn see(&self, mut beat: Beat, hosts: &[HostRow]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = seen.beats.back() {
            let (mut sent, mut failed) = (0, 0);
            for host in hosts {
                // Of a host that is new, what it did before is not of this look.
                let (sent_before, failed_before) =
                    seen.before.get(&host.host).copied().unwrap_or((host.sent, host.failed));
                sent += (host.sent - sent_before).max(0);
                failed += (host.failed - failed_before).max(0);
            }
            (beat.sent_per_s, beat.failed_per_s) = (rate(sent, beat.at - last.at), rate(failed, beat.at - last.at));
        }
        seen.before = hosts.iter().map(|host| (host.host.clone(), (host.sent, host.failed))).collect();
        if seen.beats.len() == BEATS_MAX {
            seen.beats.pop_front();
        }
        seen.beats.push_back(beat);
    }

    fn beats(&self) -> Vec<Beat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).beats.iter().cloned().collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn rate(count: i64, in_ms: i64) -> f64 {
    if in_ms > 0 { count as f64 * 1_000.0 / in_ms as f64 } else { 0.0 }
}

impl Service {
    /// Says that this host is there, and keeps what it sees of the others and of the queue.
    pub(super) async fn beat(&self, roles: &str, status: Option<&QueueStatus>) {
        let (sent, failed) = self.metrics.totals();
        let row = HostRow {
            host: self.host.clone(),
            version: super::install::VERSION.to_owned(),
            schema_known: Store::schema_known(),
            roles: roles.to_owned(),
            started_at: 0,
            seen_at: 0,
            sent: i64::try_from(sent).unwrap_or(i64::MAX),
            failed: i64::try_from(failed).unwrap_or(i64::MAX),
        };
        let looked = async {
            self.store.beat(&row).await?;
            self.store.hosts().await
        };
        match looked.await {
            Ok(hosts) => {
                let Some(status) = status else { return };
                let beat = Beat {
                    at: self.clock.now_ms(),
                    queued: status.queued,
                    under_way: status.under_way,
                    overdue_ms: status.overdue_ms(),
                    ..Beat::default()
                };
                self.pulse.see(beat, &hosts);
            }
            Err(e) => tracing::debug!(error = %e, "the hosts could not be looked at"),
        }
    }

    /// The last hour, one look every ten seconds, the oldest first. For viewers.
    pub fn pulse(&self, who: Principal) -> Result<Vec<Beat>, Error> {
        who.must_look()?;
        Ok(self.pulse.beats())
    }

    /// The hosts that are there. For viewers.
    pub async fn hosts(&self, who: Principal) -> Result<Vec<HostInfo>, Error> {
        who.must_look()?;
        let info = |row: HostRow| HostInfo {
            is_this: row.host == self.host,
            roles: row.roles.split_whitespace().map(str::to_owned).collect(),
            host: row.host,
            version: row.version,
            started_at: row.started_at,
            seen_at: row.seen_at,
            sent: row.sent,
            failed: row.failed,
        };
        Ok(self.store.hosts().await?.into_iter().map(info).collect())
    }

    /// How many notifications failed, and how many are held; of each at most [`TROUBLED_MAX`]. For viewers.
    pub async fn troubled(&self, who: Principal) -> Result<(i64, i64), Error> {
        who.must_look()?;
        Ok(self.store.troubled(TROUBLED_MAX).await?)
    }

    /// How this host stands with each relay. For viewers.
    pub fn relays(&self, who: Principal) -> Result<Vec<Standing>, Error> {
        who.must_look()?;
        Ok(self.mailer.standing())
    }
}

#[cfg(test)]
mod tests {
    use super::{Beat, Pulse};
    use crate::store::hosts::HostRow;

    fn host(name: &str, sent: i64) -> HostRow {
        let (host, version, roles) = (name.to_owned(), String::new(), String::new());
        HostRow { host, version, schema_known: 0, roles, started_at: 0, seen_at: 0, sent, failed: 0 }
    }

    #[test]
    fn rates_are_of_what_each_host_did_since() {
        let pulse = Pulse::default();
        let at = |seconds: i64| Beat { at: seconds * 1_000, ..Beat::default() };
        pulse.see(at(0), &[host("a", 500)]);
        pulse.see(at(10), &[host("a", 600), host("b", 9_000)]);
        // One ended, and one began anew.
        pulse.see(at(20), &[host("b", 9_050)]);
        let rates: Vec<f64> = pulse.beats().iter().map(|beat| beat.sent_per_s).collect();
        assert_eq!(rates, [0.0, 10.0, 5.0]);
        for second in 0..1_000 {
            pulse.see(at(30 + second), &[]);
        }
        assert_eq!(pulse.beats().len(), super::BEATS_MAX);
    }
}
