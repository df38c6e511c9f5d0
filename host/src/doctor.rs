//! An operator's check-up: asks whatever a host of these settings depends on, and says of each thing whether it is well and what to
//! do if it is not. It serves, sends and claims nothing; as at every start, this program's built-ins may be noted in a database that
//! is of its schema, and compiled code kept.

mod certificates;
mod database;
mod disk;
mod dns;
mod relays;
mod reputation;
mod secrets;
mod strays;
mod webhooks;

use std::net::SocketAddr;

use serde::Serialize;

use crate::clock::Clock;
use crate::config::Config;
use crate::shop::text::Email;

/// How a thing is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to do.
    Ok,
    /// Mails go out; something should be looked at.
    Warning,
    /// Mails do not go out, or not all of them.
    Fault,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// The settings can be read.
    Settings,
    /// Secrets cannot be guessed, and do not travel unprotected.
    Secrets,
    /// The database answers, quickly, and is of a version that is tested; its clock and its connections.
    Database,
    /// The schema is this program's.
    Schema,
    /// Mails that are due are sent.
    Queue,
    /// Few mails come back, and few are called unwanted.
    Reputation,
    /// The shop's endpoints of webhooks take what they are sent.
    Webhooks,
    /// What should serve in a slot can be prepared.
    Plugins,
    /// A relay takes mails from here.
    Relay,
    /// What clients are shown, and what a relay shows, will be valid for a while.
    Certificate,
    /// A test mail was accepted.
    Mail,
    /// The sender's domain says whose mails are its own (SPF, DMARC, DKIM), and takes answers (MX).
    Dns,
    /// There is room where the host writes.
    Disk,
}

impl Check {
    /// All, in the order in which they are made.
    pub const ALL: [Self; 13] = [
        Self::Settings,
        Self::Secrets,
        Self::Database,
        Self::Schema,
        Self::Queue,
        Self::Reputation,
        Self::Webhooks,
        Self::Plugins,
        Self::Relay,
        Self::Certificate,
        Self::Mail,
        Self::Dns,
        Self::Disk,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Secrets => "secrets",
            Self::Database => "database",
            Self::Schema => "schema",
            Self::Queue => "queue",
            Self::Reputation => "reputation",
            Self::Webhooks => "webhooks",
            Self::Plugins => "plugins",
            Self::Relay => "relay",
            Self::Certificate => "certificate",
            Self::Mail => "mail",
            Self::Dns => "dns",
            Self::Disk => "disk",
        }
    }
}

/// One line of a check-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// Which one, such as a relay's name; empty where there is only one.
    pub subject: String,
    /// How it was found.
    pub level: Level,
    /// What was found.
    pub says: String,
    /// What to do about it; empty where there is nothing to do.
    pub advice: String,
}

impl Finding {
    /// Nothing to do.
    pub fn ok(check: Check, subject: &str, says: impl Into<String>) -> Self {
        Self { check, subject: subject.to_owned(), level: Level::Ok, says: says.into(), advice: String::new() }
    }

    /// Something should be looked at.
    pub fn warning(check: Check, subject: &str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        let (level, subject) = (Level::Warning, subject.to_owned());
        Self { check, subject, level, says: says.into(), advice: advice.into() }
    }

    /// Mails do not go out.
    pub fn fault(check: Check, subject: &str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Fault, ..Self::warning(check, subject, says, advice) }
    }
}

/// What else may be asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Who is sent a test mail by each relay.
    pub send_test: Option<Email>,
    /// Where names are looked up; the system's resolver if none.
    pub resolver: Option<SocketAddr>,
    /// By which names the sender's domain publishes its DKIM keys.
    pub dkim_selectors: Vec<String>,
}

/// Looks at everything, in the order in which a mail meets it.
pub async fn examine(config: &Config, options: &Options, clock: &Clock) -> Vec<Finding> {
    let mut findings = secrets::examine(config);
    findings.extend(Box::pin(database::examine(config, clock)).await);
    findings.extend(certificates::examine(config, clock));
    findings.extend(relays::examine(config, options.send_test.as_ref(), clock).await);
    findings.extend(dns::examine(config, options, clock.now_ms()).await);
    findings.extend(disk::examine(config));
    findings
}
