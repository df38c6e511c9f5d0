use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::Civil;
use crate::config::{Config, InDoubt, QuietHours, RenderFailed};
use crate::contract::OrderStatus;
use crate::decisions::{
    Admission, Brief, Failure, FailureClass, Holding, OrderBrief, Retrying, Sending, Situation, SubjectBrief, Verdict,
};
use crate::reports::{Reaction, Report, ReportKind, Suppressing};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// The host's shortest pause: when a throttled relay takes the next mail is the host's affair.
const THROTTLED_RETRY_MS: u64 = 1_000;

/// What clocks show in time zones: the host's affair, which has their rules.
pub trait Zones {
    /// What they show at a point in time.
    fn civil_time(&self, unix_ms: u64, time_zone: &str) -> Civil;
    /// When they show that; none if there is no such day.
    fn unix_ms(&self, civil: Civil, time_zone: &str) -> Option<u64>;
}

/// Kinds that say where an order stands and nothing else: a later one says it better.
const STATUS_KINDS: [&str; 5] =
    ["order.placed", "order.partly-shipped", "order.shipped", "order.delivered", "order.cancelled"];

/// Whether to send now.
pub fn admit(config: &Config, b: &Brief, s: &Situation, zones: &impl Zones) -> Admission {
    if is_webhook(s) {
        // A program reads it: it is neither woken at night, nor does it take the last change for all of them.
        return Admission::Send(Sending { relay: None, ab_variant: None, attributes: Vec::new() });
    }
    let tells_status = STATUS_KINDS.contains(&b.kind.as_str());
    if let SubjectBrief::Order(order) = &b.subject {
        if config.skip_superseded && tells_status && !same(&order.status, &order.newest_status) {
            return Admission::Skip("the order has moved on".to_owned());
        }
        if config.hold_above.get(&order.total.currency).is_some_and(|most| order.total.amount > *most) {
            return Admission::Hold(unhurried(format!("order {} costs more than hold_above", order.number)));
        }
    }
    if config.merge_queued && tells_status && !s.queued.is_empty() {
        return Admission::Merge;
    }
    let zone = &b.customer.time_zone;
    // Whoever is to verify an address or set a password waits for the mail, whatever the hour.
    let is_awaited = matches!(b.subject, SubjectBrief::Account);
    let quiet_hours = config.quiet_hours.filter(|_| !is_awaited);
    let quiet_ms = quiet_hours.and_then(|quiet| until_awake_ms(quiet, s.now.unix_ms, zone, zones));
    if let Some(wait_ms) = quiet_ms.or_else(|| until_domain_ms(config, s)) {
        return Admission::Wait(wait_ms);
    }
    let relay = match &b.subject {
        // What was chosen after a failure is not chosen back.
        SubjectBrief::Order(order) if attribute(s, "relay").is_none() => preferred(config, order, s),
        _ => None,
    };
    Admission::Send(Sending { relay, ab_variant: variant(config, b.customer.id), attributes: Vec::new() })
}

/// What a failed attempt means.
pub fn on_failure(config: &Config, b: &Brief, f: &Failure, s: &Situation) -> Verdict {
    if is_webhook(s) {
        return on_failed_request(config, f, s);
    }
    if let Some(failing_ms) = s.first_failed_at.map(|first| s.now.unix_ms.saturating_sub(first.unix_ms))
        && config.escalate_after_hours > 0
        && failing_ms >= u64::from(config.escalate_after_hours) * HOUR_MS
    {
        let reason = format!("{} has been failing for {} h: {}", b.kind, failing_ms / HOUR_MS, f.reply_text);
        return Verdict::Hold(Holding { reason, urgent: true });
    }
    match &f.failure_class {
        FailureClass::InDoubt if config.in_doubt == InDoubt::Hold => {
            let why = "the relay's answer was lost; the mail may have been delivered";
            return Verdict::Hold(unhurried(why.to_owned()));
        }
        FailureClass::RenderFailed if config.render_failed == RenderFailed::Hold => {
            return Verdict::Hold(unhurried(format!("could not be rendered: {}", f.reply_text)));
        }
        FailureClass::Rejected if !retried_all_the_same(config, f) => {
            return Verdict::GiveUp(format!("refused for good: {}", f.reply_text));
        }
        // Neither says anything of the mail: the host's pace and the wait that the reply names decide.
        FailureClass::Throttled => return elsewhere(f, s).unwrap_or(retry(THROTTLED_RETRY_MS)),
        FailureClass::Greylisted => return retry(config.greylisted_retry_ms),
        _ => {}
    }
    let attempts_max = match f.failure_class {
        FailureClass::NotHandedOver => config.unreachable_attempts_max.max(config.attempts_max),
        _ => config.attempts_max,
    };
    if s.attempts >= attempts_max {
        return Verdict::GiveUp(format!("attempt {} of {attempts_max} failed: {}", s.attempts, f.reply_text));
    }
    match f.failure_class {
        FailureClass::NotHandedOver => elsewhere(f, s).unwrap_or(retry(backoff_ms(config, s.attempts))),
        _ => retry(backoff_ms(config, s.attempts)),
    }
}

/// What follows from a report: of a mail that came back, what the config says.
pub fn on_report(config: &Config, r: &Report, s: &Situation) -> Reaction {
    if !matches!(r.report_kind, ReportKind::Bounced) {
        return Reaction::Note;
    }
    let code = r.enhanced_code.as_deref().unwrap_or_default();
    if config.resend_bounced.iter().any(|with| begins(code, with))
        && s.attempts < config.attempts_max
        && let Some(other) = next_relay(&r.relay, s)
    {
        return Reaction::Resend(Retrying { after_ms: 0, relay: Some(other), attributes: Vec::new() });
    }
    // The longest that fits says most of it.
    let days = config.suppress_bounced.iter().filter(|(with, _)| begins(code, with)).max_by_key(|(with, _)| with.len());
    if let Some((_, days)) = days {
        return Reaction::Suppress(Suppressing {
            reason: format!("came back: {code} {}", r.report_text),
            for_ms: Some(u64::from(*days) * DAY_MS),
            all_categories: true,
            attributes: Vec::new(),
        });
    }
    if config.hold_bounced {
        return Reaction::Hold(unhurried(format!("came back: {code} {}", r.report_text)));
    }
    Reaction::Note
}

/// Whether it is a request to an endpoint of a webhook.
fn is_webhook(s: &Situation) -> bool {
    attribute(s, "channel") == Some("webhook")
}

fn attribute<'s>(s: &'s Situation, name: &str) -> Option<&'s str> {
    s.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A request that may have arrived is sent again: its endpoint knows it by its id.
fn on_failed_request(config: &Config, f: &Failure, s: &Situation) -> Verdict {
    let pauses = &config.webhook_retries_ms;
    match f.failure_class {
        FailureClass::Rejected => Verdict::GiveUp(format!("refused for good: {}", f.reply_text)),
        FailureClass::Throttled => retry(THROTTLED_RETRY_MS),
        _ => match pauses.get(usize::try_from(s.attempts.saturating_sub(1)).unwrap_or(usize::MAX)) {
            Some(pause_ms) => retry(*pause_ms),
            None => Verdict::GiveUp(format!("attempt {} of {} failed: {}", s.attempts, pauses.len() + 1, f.reply_text)),
        },
    }
}

fn unhurried(reason: String) -> Holding {
    Holding { reason, urgent: false }
}

fn retry(after_ms: u64) -> Verdict {
    Verdict::Retry(Retrying { after_ms, relay: None, attributes: Vec::new() })
}

/// The relay for the order's country, while it is available.
fn preferred(config: &Config, order: &OrderBrief, s: &Situation) -> Option<String> {
    let name = config.relays_by_country.get(&order.ship_to_country)?;
    s.relays.iter().any(|relay| relay.available && relay.name == *name).then(|| name.clone())
}

/// The customer's variant: spread evenly, and always the same. The multiplier is that of Fibonacci hashing (Knuth, The Art
/// of Computer Programming 3, 6.4), so that customers with numbers in a row do not take turns.
fn variant(config: &Config, customer: u64) -> Option<String> {
    let spread = customer.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let place = spread % u64::try_from(config.ab_variants.len()).ok().filter(|count| *count > 0)?;
    config.ab_variants.get(usize::try_from(place).ok()?).cloned()
}

/// None unless the recipient's domain throttled of late, else the milliseconds until it is left in peace no longer.
fn until_domain_ms(config: &Config, s: &Situation) -> Option<u64> {
    let until = s.domain.throttled_at?.unix_ms.saturating_add(config.domain_pause_ms);
    until.checked_sub(s.now.unix_ms).filter(|left| *left > 0)
}

/// The next relay that is available, in turn, so that each is tried before one is tried again.
fn next_relay(relay: &str, s: &Situation) -> Option<String> {
    let at = s.relays.iter().position(|known| known.name == relay).map_or(0, |at| at + 1);
    let mut others = s.relays.iter().skip(at).chain(s.relays.iter().take(at));
    others.find(|other| other.available && other.name != relay).map(|other| other.name.clone())
}

/// At once by the next relay that is available, if the failure was this relay's and there is another.
fn elsewhere(f: &Failure, s: &Situation) -> Option<Verdict> {
    let other = s.relays.iter().find(|relay| relay.available && relay.name != f.relay)?;
    Some(Verdict::Retry(Retrying { after_ms: 0, relay: Some(other.name.clone()), attributes: Vec::new() }))
}

/// first, first x factor, first x factor^2, … up to the longest pause.
fn backoff_ms(config: &Config, attempts: u32) -> u64 {
    let factor = u64::from(config.backoff_factor).saturating_pow(attempts.saturating_sub(1));
    config.backoff_first_ms.saturating_mul(factor).min(config.backoff_max_ms)
}

/// Whether an enhanced status code is this one, or one of its kind: "5.7.1" begins with "5.7", and "5.71.1" does not.
fn begins(code: &str, with: &str) -> bool {
    code.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || with.ends_with('.'))
}

fn retried_all_the_same(config: &Config, f: &Failure) -> bool {
    f.enhanced_code.as_deref().is_some_and(|code| config.retry_permanent.iter().any(|with| begins(code, with)))
}

/// None outside the quiet hours, else the milliseconds until they end by the customer's clocks, whatever these do until then.
fn until_awake_ms(quiet: QuietHours, now_ms: u64, time_zone: &str, zones: &impl Zones) -> Option<u64> {
    let QuietHours { from, until } = quiet;
    let now = zones.civil_time(now_ms, time_zone);
    let hour = u32::from(now.hour);
    let is_quiet = if from < until { (from..until).contains(&hour) } else { hour >= from || hour < until };
    if !is_quiet {
        return None;
    }
    let awake = Civil { hour: u8::try_from(until).unwrap_or_default(), minute: 0, second: 0, ..now };
    let at = |civil| zones.unix_ms(civil, time_zone);
    let end_ms = if hour < until {
        at(awake)
    } else {
        // There is no 32nd of a month, nor a 13th month.
        at(Civil { day: now.day + 1, ..awake })
            .or_else(|| at(Civil { month: now.month + 1, day: 1, ..awake }))
            .or_else(|| at(Civil { year: now.year + 1, month: 1, day: 1, ..awake }))
    };
    Some(end_ms?.saturating_sub(now_ms).max(1))
}

fn same(a: &OrderStatus, b: &OrderStatus) -> bool {
    match (a, b) {
        (OrderStatus::Other(a), OrderStatus::Other(b)) => a == b,
        _ => core::mem::discriminant(a) == core::mem::discriminant(b),
    }
}

#[cfg(test)]
mod tests;
