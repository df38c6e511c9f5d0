//! What is broken, and how often.

mod databases;
mod embedded;
mod hosts;
mod points;
mod relays;

use std::time::Duration;

use crate::Arguments;
use crate::database::{Kind, Server};
use crate::judge::Verdict;
use crate::rig::{Plan, Rig};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    Kills,
    Points,
    Stalls,
    Restarts,
    Upgrades,
    Clocks,
    DatabaseKills,
    Failover,
    FailoverAsync,
    ReadOnly,
    Cuts,
    HalfOpen,
    Slow,
    DiskFull,
    FilesAway,
    BackupKills,
    MigrateKills,
    RelayFaults,
    RelaySlow,
    RelayThrottles,
    RelayDies,
}

impl Scenario {
    pub const ALL: &[Self] = &[
        Self::Kills,
        Self::Points,
        Self::Stalls,
        Self::Restarts,
        Self::Upgrades,
        Self::Clocks,
        Self::DatabaseKills,
        Self::Failover,
        Self::FailoverAsync,
        Self::ReadOnly,
        Self::Cuts,
        Self::HalfOpen,
        Self::Slow,
        Self::DiskFull,
        Self::FilesAway,
        Self::BackupKills,
        Self::MigrateKills,
        Self::RelayFaults,
        Self::RelaySlow,
        Self::RelayThrottles,
        Self::RelayDies,
    ];

    /// A minute of them, with a program that is not optimised.
    pub const QUICK: &[Self] = &[
        Self::Kills,
        Self::Points,
        Self::Restarts,
        Self::Upgrades,
        Self::FilesAway,
        Self::BackupKills,
        Self::RelayFaults,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Kills => "hosts-killed",
            Self::Points => "host-killed-at-each-step",
            Self::Stalls => "hosts-stopped-for-three-leases",
            Self::Restarts => "hosts-restarted",
            Self::Upgrades => "hosts-upgraded",
            Self::Clocks => "clocks-wrong",
            Self::DatabaseKills => "database-killed",
            Self::Failover => "database-failed-over",
            Self::FailoverAsync => "database-failed-over-asynchronous",
            Self::ReadOnly => "database-read-only",
            Self::Cuts => "database-connections-cut",
            Self::HalfOpen => "database-half-open",
            Self::Slow => "database-slow",
            Self::DiskFull => "disk-full",
            Self::FilesAway => "files-moved-away",
            Self::BackupKills => "backup-killed",
            Self::MigrateKills => "migrate-killed",
            Self::RelayFaults => "relay-fails-in-each-phase",
            Self::RelaySlow => "relay-slow",
            Self::RelayThrottles => "relay-throttles",
            Self::RelayDies => "relay-dies-beside-another",
        }
    }

    /// Whether such a database can be broken in this way.
    pub fn is_for(self, kind: Kind) -> bool {
        match self {
            Self::DatabaseKills | Self::ReadOnly | Self::Cuts | Self::HalfOpen | Self::Slow => kind != Kind::Sqlite,
            Self::Failover | Self::FailoverAsync => kind == Kind::Postgres,
            Self::DiskFull | Self::FilesAway | Self::BackupKills => kind == Kind::Sqlite,
            _ => true,
        }
    }

    /// What it needs that is not here.
    pub fn lacks(self, arguments: &Arguments) -> Option<&'static str> {
        match self {
            Self::DiskFull if !rustix::process::geteuid().is_root() => Some("root, for a small disk"),
            Self::Points if !points::has_strace() => Some("strace"),
            Self::Clocks if hosts::faketime().is_none() => Some("faketime"),
            Self::Upgrades if arguments.last_release().is_none() => Some("--last-release"),
            _ => None,
        }
    }

    /// Whether no mail may be in doubt, and none be charged an attempt.
    pub fn is_graceful(self) -> bool {
        matches!(self, Self::Restarts | Self::Upgrades)
    }

    /// What of the things that must not be this cannot but lead to.
    pub fn may_lead_to(self, what: &str) -> bool {
        match self {
            // What was committed and had not reached the standby is gone with the server.
            Self::FailoverAsync => !what.contains("error"),
            _ => false,
        }
    }

    fn plan(self, arguments: &Arguments) -> Plan {
        let has_short_lease = !arguments.long || self == Self::Stalls;
        let lease = has_short_lease.then_some(("QUEUE__LEASE_MS", hosts::SHORT_LEASE_MS));
        let settings: &[_] = match self {
            Self::RelayFaults => relays::DEADLINES,
            _ => &[],
        };
        let settings = lease.into_iter().chain(settings.iter().copied()).collect();
        let proxied = matches!(self, Self::Failover | Self::FailoverAsync | Self::Cuts | Self::HalfOpen | Self::Slow);
        let relay_proxied = self == Self::RelaySlow;
        let (program, rate, seed) = (arguments.program.clone(), arguments.rate, arguments.seed);
        Plan { program, rate, seed, hosts: 4, proxied, relay_proxied, settings, relays: String::new() }
    }

    pub async fn run(self, arguments: &Arguments, server: &mut Server) -> Verdict {
        let times = |short: usize, long: usize| if arguments.long { long } else { short };
        let seconds = |short, long| Duration::from_secs(if arguments.long { long } else { short });
        let mut plan = self.plan(arguments);
        match self {
            Self::RelayDies => return relays::one_dies(plan, server, times(1, 5)).await,
            Self::DiskFull => return embedded::disk_full(plan, times(1, 5)).await,
            Self::MigrateKills => return hosts::killed_while_they_migrate(plan, server, times(4, 40)).await,
            Self::Clocks => return hosts::wrong_clocks(plan, server, times(2, 20)).await,
            Self::Points => (plan.hosts, plan.rate) = (1, 0),
            Self::Upgrades => plan.hosts = 3,
            _ => {}
        }
        let mut rig = Rig::start(plan, server).await;
        if self == Self::Upgrades {
            let last = arguments.last_release().expect("looked for");
            rig.work_with(last).await;
            hosts::upgraded(&mut rig, last, times(2, 20)).await;
            return rig.judge().await;
        }
        rig.work().await;
        match self {
            Self::Kills => hosts::killed(&mut rig, times(5, 100)).await,
            Self::Points => points::killed_at_each(&mut rig, times(20, 1)).await,
            Self::Stalls => hosts::stalled(&mut rig, times(1, 4)).await,
            Self::Restarts => hosts::restarted(&mut rig, times(4, 50)).await,
            Self::DatabaseKills => databases::killed(&mut rig, server, times(2, 20)).await,
            Self::Failover => databases::failed_over(&mut rig, server, true).await,
            Self::FailoverAsync => databases::failed_over(&mut rig, server, false).await,
            Self::ReadOnly => databases::read_only(&mut rig, server, seconds(5, 60)).await,
            Self::Cuts => databases::cut(&mut rig, times(60, 1_000)).await,
            Self::HalfOpen => databases::half_open(&mut rig, times(1, 5)).await,
            Self::Slow => databases::slow(&mut rig, seconds(5, 60)).await,
            Self::FilesAway => embedded::files_away(&mut rig, times(3, 20)).await,
            Self::BackupKills => embedded::killed_while_it_backs_up(&mut rig, times(5, 50)).await,
            Self::RelayFaults => relays::fails(&mut rig, times(12, 1_000)).await,
            Self::RelaySlow => relays::slow(&mut rig, seconds(3, 30)).await,
            Self::RelayThrottles => relays::throttles(&mut rig, seconds(3, 60)).await,
            Self::Upgrades | Self::Clocks | Self::DiskFull | Self::MigrateKills | Self::RelayDies => unreachable!(),
        }
        rig.judge().await
    }
}
