//! A policy in Rust: no mail on a customer's Sunday, give up on what was refused for good, else try again later and later.

#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "policy-plugin", generate_all });
}

use std::sync::OnceLock;

use bindings::ecomm::format::zone;
use bindings::ecomm::notification::types::{ConfigError, Manifest};
use bindings::exports::ecomm::notification::{plugin, policy};
use policy::{Admission, Brief, Failure, FailureClass, Holding, Retrying, Sending, Situation, Verdict};

/// What the operator may change.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Whether mails wait for Monday.
    quiet_sundays: bool,
    /// The first retry comes after so many milliseconds; each further one after twice as many.
    retry_ms: u64,
    attempts_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { quiet_sundays: false, retry_ms: 30_000, attempts_max: 12 }
    }
}

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "quiet_sundays": {"description": "Whether mails wait for the customer's Monday.", "type": "boolean"},
    "retry_ms": {"description": "After this comes the first retry.", "type": "integer", "minimum": 1000, "maximum": 3600000},
    "attempts_max": {"type": "integer", "minimum": 1, "maximum": 25}
  }
}"#;

static CONFIG: OnceLock<Config> = OnceLock::new();

const HOUR_MS: u64 = 3_600_000;
/// The longest time between two attempts.
const RETRY_MS_MAX: u64 = 6 * HOUR_MS;

/// How long until the customer's Monday; none on other days.
fn until_monday(now_ms: u64, time_zone: &str) -> Option<u64> {
    // Asked again then, so an hour more or less on a day that clocks change does no harm.
    let now = zone::civil_time(now_ms, time_zone);
    let left = HOUR_MS * u64::from(24 - now.hour) - 60_000 * u64::from(now.minute);
    (weekday(now.year, now.month, now.day) == 0).then_some(left)
}

/// 0 is Sunday (Sakamoto's method).
fn weekday(year: i32, month: u8, day: u8) -> i32 {
    let year = if month < 3 { year - 1 } else { year };
    let of_month = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4][usize::from(month.clamp(1, 12)) - 1];
    (year + year / 4 - year / 100 + year / 400 + of_month + i32::from(day)).rem_euclid(7)
}

struct Component;

impl plugin::Guest for Component {
    fn describe() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: "Quiet Sundays, and retries that come later and later.".to_owned(),
            locales: Vec::new(),
            config_schema: SCHEMA.to_owned(),
            attributes: Vec::new(),
        }
    }

    fn configure(config: String) -> Result<(), ConfigError> {
        let refused = |message: String| ConfigError { pointer: String::new(), message };
        let config = serde_json::from_str(&config).map_err(|e| refused(e.to_string()))?;
        CONFIG.set(config).map_err(|_| refused("configure was called twice".to_owned()))
    }
}

impl policy::Guest for Component {
    fn admit(b: Brief, s: Situation) -> Admission {
        let is_quiet = CONFIG.get().is_some_and(|config| config.quiet_sundays);
        match until_monday(s.now.unix_ms, &b.customer.time_zone).filter(|_| is_quiet) {
            Some(wait_ms) => Admission::Wait(wait_ms),
            None => Admission::Send(Sending { relay: None, ab_variant: None, attributes: Vec::new() }),
        }
    }

    fn on_failure(_: Brief, f: Failure, s: Situation) -> Verdict {
        let config = CONFIG.get_or_init(Config::default);
        match f.failure_class {
            FailureClass::Rejected => return Verdict::GiveUp(f.reply_text),
            FailureClass::RenderFailed => return Verdict::Hold(Holding { reason: f.reply_text, urgent: false }),
            _ if s.attempts >= config.attempts_max => return Verdict::GiveUp(f.reply_text),
            _ => {}
        }
        let doublings = s.attempts.saturating_sub(1).min(20);
        let after_ms = (config.retry_ms << doublings).min(RETRY_MS_MAX);
        Verdict::Retry(Retrying { after_ms, relay: None, attributes: Vec::new() })
    }
}

bindings::export!(Component with_types_in bindings);
