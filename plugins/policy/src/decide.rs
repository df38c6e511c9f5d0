use alloc::borrow::ToOwned as _;
use alloc::format;

use crate::config::{Config, InDoubt, QuietHours, RenderFailed};
use crate::contract::{Notification, OrderStatus};
use crate::decisions::{Admission, Class, Failure, Situation, Verdict};

const MINUTES_PER_DAY: i64 = 24 * 60;
/// The host's shortest pause: when a throttled relay takes the next mail is the host's affair.
const THROTTLED_RETRY_MS: u64 = 1_000;

/// Whether to send now.
pub fn admit(config: &Config, n: &Notification, s: &Situation) -> Admission {
    if config.skip_superseded && !same(&n.order.status, &s.newest_status) {
        return Admission::Skip("the order has moved on".to_owned());
    }
    if let Some(wait_ms) = config.quiet_hours.and_then(|quiet| until_awake_ms(quiet, s)) {
        return Admission::Wait(wait_ms);
    }
    Admission::Send(None)
}

/// What a failed attempt means.
pub fn on_failure(config: &Config, f: &Failure, s: &Situation) -> Verdict {
    match &f.class {
        Class::InDoubt if config.in_doubt == InDoubt::Hold => {
            return Verdict::Hold("the relay's answer was lost; the mail may have been delivered".to_owned());
        }
        Class::RenderFailed if config.render_failed == RenderFailed::Hold => {
            return Verdict::Hold(format!("could not be rendered: {}", f.reply));
        }
        Class::Rejected if !retried_all_the_same(config, f) => {
            return Verdict::GiveUp(format!("refused for good: {}", f.reply));
        }
        // Neither says anything of the mail: the host's pace and the wait that the reply names decide.
        Class::Throttled => return elsewhere(f, s).unwrap_or(Verdict::Retry(THROTTLED_RETRY_MS)),
        Class::Greylisted => return Verdict::Retry(config.greylisted_retry_ms),
        _ => {}
    }
    let attempts_max = match f.class {
        Class::NotHandedOver => config.unreachable_attempts_max.max(config.attempts_max),
        _ => config.attempts_max,
    };
    if s.attempts >= attempts_max {
        return Verdict::GiveUp(format!("attempt {} of {attempts_max} failed: {}", s.attempts, f.reply));
    }
    match f.class {
        Class::NotHandedOver => elsewhere(f, s).unwrap_or(Verdict::Retry(backoff_ms(config, s.attempts))),
        _ => Verdict::Retry(backoff_ms(config, s.attempts)),
    }
}

/// At once by the next relay that is available, if the failure was this relay's and there is another.
fn elsewhere(f: &Failure, s: &Situation) -> Option<Verdict> {
    let other = s.relays.iter().find(|relay| relay.available && relay.name != f.relay)?;
    Some(Verdict::RetryVia((0, other.name.clone())))
}

/// first, first x factor, first x factor^2, … up to the longest pause.
fn backoff_ms(config: &Config, attempts: u32) -> u64 {
    let factor = u64::from(config.backoff_factor).saturating_pow(attempts.saturating_sub(1));
    config.backoff_first_ms.saturating_mul(factor).min(config.backoff_max_ms)
}

fn retried_all_the_same(config: &Config, f: &Failure) -> bool {
    let begins = |code: &str, with: &str| {
        code.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || with.ends_with('.'))
    };
    f.enhanced.as_deref().is_some_and(|code| config.retry_permanent.iter().any(|with| begins(code, with)))
}

/// None outside the quiet hours, else the milliseconds until they end.
fn until_awake_ms(quiet: QuietHours, s: &Situation) -> Option<u64> {
    let local_minutes = i64::try_from(s.now / 60_000).ok()? + i64::from(s.utc_offset_minutes);
    let minute = local_minutes.rem_euclid(MINUTES_PER_DAY);
    let (from, until) = (i64::from(quiet.from) * 60, i64::from(quiet.until) * 60);
    let is_quiet = if from < until { (from..until).contains(&minute) } else { minute >= from || minute < until };
    let left = u64::try_from((until - minute).rem_euclid(MINUTES_PER_DAY)).ok()?;
    is_quiet.then(|| left * 60_000 - s.now % 60_000)
}

fn same(a: &OrderStatus, b: &OrderStatus) -> bool {
    match (a, b) {
        (OrderStatus::Other(a), OrderStatus::Other(b)) => a == b,
        _ => core::mem::discriminant(a) == core::mem::discriminant(b),
    }
}

#[cfg(test)]
mod tests {
    use super::{backoff_ms, on_failure, until_awake_ms};
    use crate::Config;
    use crate::config::QuietHours;
    use crate::contract::OrderStatus;
    use crate::decisions::Relay;
    use crate::decisions::{Class, Failure, Situation, Verdict};

    fn situation(attempts: u32) -> Situation {
        Situation {
            now: 0,
            utc_offset_minutes: 0,
            seed: 1,
            attempts,
            attempts_max: 25,
            queued_at: 0,
            age_max_ms: 1,
            history: Vec::new(),
            relays: Vec::new(),
            newest_status: OrderStatus::Pending,
        }
    }

    fn failure(class: Class, enhanced: Option<&str>) -> Failure {
        Failure {
            at: 0,
            class,
            phase: "rcpt".to_owned(),
            code: None,
            enhanced: enhanced.map(str::to_owned),
            reply: "no".to_owned(),
            relay: "default".to_owned(),
        }
    }

    fn config(json: &str) -> Config {
        Config::parse(json).expect("must be taken")
    }

    #[test]
    fn pauses_grow_to_the_longest() {
        let config = Config::default();
        let pauses: Vec<u64> = (1..=6).map(|n| backoff_ms(&config, n)).collect();
        assert_eq!(pauses, [30_000, 120_000, 480_000, 1_920_000, 3_600_000, 3_600_000]);
    }

    #[test]
    fn verdicts() {
        let c = Config::default();
        assert!(matches!(on_failure(&c, &failure(Class::Deferred, None), &situation(1)), Verdict::Retry(30_000)));
        assert!(matches!(on_failure(&c, &failure(Class::Deferred, None), &situation(3)), Verdict::GiveUp(_)));
        assert!(matches!(on_failure(&c, &failure(Class::NotHandedOver, None), &situation(24)), Verdict::Retry(_)));
        assert!(matches!(on_failure(&c, &failure(Class::NotHandedOver, None), &situation(25)), Verdict::GiveUp(_)));
        assert!(matches!(on_failure(&c, &failure(Class::Rejected, Some("5.1.1")), &situation(1)), Verdict::GiveUp(_)));
        assert!(matches!(on_failure(&c, &failure(Class::InDoubt, None), &situation(1)), Verdict::Retry(_)));
        assert!(matches!(on_failure(&c, &failure(Class::RenderFailed, None), &situation(0)), Verdict::Hold(_)));
        let c = config(r#"{"in_doubt": "hold", "retry_permanent": ["5.7"], "render_failed": "retry"}"#);
        assert!(matches!(on_failure(&c, &failure(Class::InDoubt, None), &situation(1)), Verdict::Hold(_)));
        assert!(matches!(on_failure(&c, &failure(Class::Rejected, Some("5.7.1")), &situation(1)), Verdict::Retry(_)));
        assert!(matches!(on_failure(&c, &failure(Class::Rejected, Some("5.71.1")), &situation(1)), Verdict::GiveUp(_)));
        assert!(matches!(on_failure(&c, &failure(Class::RenderFailed, None), &situation(0)), Verdict::Retry(_)));
    }

    #[test]
    fn what_says_nothing_of_the_mail_never_ends_it() {
        let c = Config::default();
        let many = situation(25);
        assert!(matches!(on_failure(&c, &failure(Class::Throttled, None), &many), Verdict::Retry(1_000)));
        assert!(matches!(on_failure(&c, &failure(Class::Greylisted, None), &many), Verdict::Retry(300_000)));
        let relay = |name: &str, available| Relay { name: name.to_owned(), available };
        let relays = |second| vec![relay("default", true), relay("second", second)];
        let s = Situation { relays: relays(true), ..situation(1) };
        for class in [Class::Throttled, Class::NotHandedOver] {
            let verdict = on_failure(&c, &failure(class, None), &s);
            assert!(matches!(&verdict, Verdict::RetryVia((0, name)) if name == "second"));
        }
        assert!(matches!(on_failure(&c, &failure(Class::Deferred, None), &s), Verdict::Retry(30_000)));
        let s = Situation { relays: relays(false), ..situation(1) };
        assert!(matches!(on_failure(&c, &failure(Class::NotHandedOver, None), &s), Verdict::Retry(30_000)));
    }

    #[test]
    fn quiet_hours_cross_midnight() {
        let quiet = QuietHours { from: 22, until: 7 };
        let at = |minute: u64, offset| Situation { now: minute * 60_000, utc_offset_minutes: offset, ..situation(0) };
        assert_eq!(until_awake_ms(quiet, &at(12 * 60, 0)), None);
        assert_eq!(until_awake_ms(quiet, &at(23 * 60, 0)), Some(8 * 3_600_000));
        assert_eq!(until_awake_ms(quiet, &at(6 * 60, 0)), Some(3_600_000));
        assert_eq!(until_awake_ms(quiet, &at(6 * 60, 60)), None);
        assert_eq!(until_awake_ms(quiet, &at(23 * 60, -120)), None);
    }

    #[test]
    fn errors_name_the_key() {
        let error = |json: &str| Config::parse(json).expect_err("must be refused");
        assert!(error(r#"{"attempts": 3}"#).contains("attempts"));
        assert!(error(r#"{"attempts_max": 0}"#).starts_with("attempts_max"));
        assert!(error(r#"{"backoff_first_ms": 10}"#).starts_with("backoff_first_ms"));
        assert!(error(r#"{"backoff_max_ms": 1000}"#).starts_with("backoff_max_ms"));
        assert!(error(r#"{"retry_permanent": ["4.2"]}"#).starts_with("retry_permanent"));
        assert!(error(r#"{"quiet_hours": {"from": 7, "until": 7}}"#).starts_with("quiet_hours"));
        assert!(error(r#"{"in_doubt": "drop"}"#).contains("drop"));
    }
}
