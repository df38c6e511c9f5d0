use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

use crate::contract::{ConfigError, Manifest};

/// 5 s, 5 and 30 min, 2, 5, 10, 14, 20 and 20 h.
const WEBHOOK_RETRIES_MS: [u64; 9] =
    [5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 72_000_000];

/// The operator's config, JSON. Every key may be left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many charged attempts before giving up; 1 to 25, by default 3.
    pub attempts_max: u32,
    /// The same for attempts that handed nothing over: a relay that is away for hours is no reason to give up a mail.
    /// 1 to 25, by default 25.
    pub unreachable_attempts_max: u32,
    /// The pause after the first failure, in milliseconds; 1,000 to 86,400,000, by default 30,000.
    pub backoff_first_ms: u64,
    /// What the pause is multiplied with after each further failure; 1 to 10, by default 4.
    pub backoff_factor: u32,
    /// The longest pause, in milliseconds; by default 3,600,000.
    pub backoff_max_ms: u64,
    /// The pause after a greylisting reply, in milliseconds, if the reply does not name a longer one; 1,000 to 86,400,000,
    /// by default 300,000.
    pub greylisted_retry_ms: u64,
    /// What to do when a mail may or may not have been delivered.
    pub in_doubt: InDoubt,
    /// What to do when no revision could render the mail.
    pub render_failed: RenderFailed,
    /// Permanent replies that are retried all the same, as enhanced status codes or their beginnings:
    /// "5.2.2" (mailbox full), "5.7" (policy).
    pub retry_permanent: Vec<String>,
    /// Whether to skip the mail of a change that the order has since moved past.
    pub skip_superseded: bool,
    /// Whether to tell a change with the next one, where that is queued already.
    pub merge_queued: bool,
    /// When not to disturb the customer.
    pub quiet_hours: Option<QuietHours>,
    /// How long mails to a domain wait after it said that it is sent too much, in milliseconds; 0: not at all.
    pub domain_pause_ms: u64,
    /// Variants of the mails, of which each customer always gets the same one.
    pub ab_variants: Vec<String>,
    /// By currency, in minor units: mails of orders that cost more are left to an operator.
    pub hold_above: BTreeMap<String, i64>,
    /// By the country that an order goes to: the relay to use while it is available.
    pub relays_by_country: BTreeMap<String, String>,
    /// How long a mail may fail before an operator is to look at once; 0: as long as the host allows.
    pub escalate_after_hours: u32,
    /// The pauses after failed requests to an endpoint of a webhook, in milliseconds, each 1,000 to 86,400,000; after as many and
    /// one more it is given up. At most 24; by default those that Standard Webhooks suggests, within three days.
    pub webhook_retries_ms: Vec<u64>,
    /// Mails that came back with one of these enhanced status codes, or a code that begins so, are sent once more by another relay:
    /// "5.7" (refused for its sender).
    pub resend_bounced: Vec<String>,
    /// By enhanced status code, or its beginning: for how many days an address gets no mails from which one came back so:
    /// "5.2.2" (mailbox full).
    pub suppress_bounced: BTreeMap<String, u32>,
    /// Whether mails that came back, and for which nothing else is set, are left to an operator.
    pub hold_bounced: bool,
}

/// What to do when a mail may or may not have been delivered.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum InDoubt {
    /// Send it again: at worst it arrives twice, with the same Message-ID.
    Resend,
    /// Leave it to an operator.
    Hold,
}

/// What to do when no revision could render the mail.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RenderFailed {
    /// Leave it to an operator.
    Hold,
    /// Try again like after a temporary reply.
    Retry,
}

/// Hours of the customer's local day; may cross midnight.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// The first quiet hour, 0 to 23.
    pub from: u32,
    /// The first hour that is not quiet, 0 to 23.
    pub until: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            unreachable_attempts_max: 25,
            backoff_first_ms: 30_000,
            backoff_factor: 4,
            backoff_max_ms: 3_600_000,
            greylisted_retry_ms: 300_000,
            in_doubt: InDoubt::Resend,
            render_failed: RenderFailed::Hold,
            retry_permanent: Vec::new(),
            skip_superseded: false,
            merge_queued: false,
            quiet_hours: None,
            domain_pause_ms: 0,
            ab_variants: Vec::new(),
            hold_above: BTreeMap::new(),
            relays_by_country: BTreeMap::new(),
            escalate_after_hours: 0,
            webhook_retries_ms: WEBHOOK_RETRIES_MS.to_vec(),
            resend_bounced: Vec::new(),
            suppress_bounced: BTreeMap::new(),
            hold_bounced: false,
        }
    }
}

/// What the component says of itself.
pub fn manifest() -> Manifest {
    Manifest {
        name: "default-policy".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: "Sends at once, retries with exponential backoff, gives up on permanent replies.".to_owned(),
        locales: Vec::new(),
        config_schema: include_str!("../config.schema.json").to_owned(),
        attributes: Vec::new(),
    }
}

impl Config {
    /// Reads the JSON text and checks what its schema does not say, or what a host may not have checked.
    pub fn parse(json: &str) -> Result<Self, ConfigError> {
        let refuse = |pointer: &str, message: String| ConfigError { pointer: pointer.to_owned(), message };
        let config: Self = serde_json::from_str(json).map_err(|e| refuse("", format!("{e}")))?;
        let day_ms = 86_400_000;
        let ranges = [
            ("/attempts_max", u64::from(config.attempts_max), 1, 25),
            ("/unreachable_attempts_max", u64::from(config.unreachable_attempts_max), 1, 25),
            ("/backoff_first_ms", config.backoff_first_ms, 1_000, day_ms),
            ("/backoff_factor", u64::from(config.backoff_factor), 1, 10),
            ("/greylisted_retry_ms", config.greylisted_retry_ms, 1_000, day_ms),
            ("/backoff_max_ms", config.backoff_max_ms, config.backoff_first_ms, day_ms),
            ("/domain_pause_ms", config.domain_pause_ms, 0, day_ms),
            ("/escalate_after_hours", u64::from(config.escalate_after_hours), 0, 72),
        ];
        for (key, value, least, most) in ranges {
            if value < least || value > most {
                return Err(refuse(key, format!("{value} is not within {least} to {most}")));
            }
        }
        let pauses = &config.webhook_retries_ms;
        if pauses.len() > 24 || pauses.iter().any(|pause| !(1_000..=day_ms).contains(pause)) {
            let message = format!("must be at most 24 pauses, each within 1000 to {day_ms}");
            return Err(refuse("/webhook_retries_ms", message));
        }
        let codes = (config.retry_permanent.iter().map(|code| ("/retry_permanent", code)))
            .chain(config.resend_bounced.iter().map(|code| ("/resend_bounced", code)))
            .chain(config.suppress_bounced.keys().map(|code| ("/suppress_bounced", code)));
        for (pointer, code) in codes {
            if !code.starts_with("5.") || !code.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
                let message = format!("\"{code}\" is not the beginning of a code such as \"5.2.2\"");
                return Err(refuse(pointer, message));
            }
        }
        if let Some((code, days)) = config.suppress_bounced.iter().find(|(_, days)| !(1..=366).contains(*days)) {
            let message = format!("{days} days for \"{code}\" are not within 1 to 366");
            return Err(refuse("/suppress_bounced", message));
        }
        if let Some(QuietHours { from, until }) = config.quiet_hours
            && (from > 23 || until > 23 || from == until)
        {
            return Err(refuse("/quiet_hours", "from and until must be two different hours, 0 to 23".to_owned()));
        }
        Ok(config)
    }
}
