//! What a relay's reply is about: the mail, its recipient for now, or the relay itself. Pure.

use crate::notification::Class;
use crate::outbound::Broken;

/// Enhanced status codes (RFC 3463, RFC 7372 and providers' own) that speak of the sender's rate or the relay's load:
/// system full, not accepting, congestion, too many recipients, and "security or policy" without a detail, which large
/// providers use for their rate limits.
const THROTTLED: [&str; 9] = ["4.3.1", "4.3.2", "4.4.5", "4.5.3", "4.7.0", "4.7.28", "4.7.500", "4.7.650", "4.7.651"];

/// Words of replies that speak of the sender's rate or the relay's load, in lower case.
const THROTTLED_WORDS: [&str; 19] = [
    "throttl",
    "rate limit",
    "rate-limit",
    "ratelimit",
    "sending rate",
    "sending limit",
    "sending quota",
    "daily quota",
    "hourly quota",
    "too many connections",
    "too many concurrent",
    "too many messages",
    "too many mails",
    "too many recipients",
    "too fast",
    "too quickly",
    "server busy",
    "overload",
    "system load",
];

/// Words of greylisting, in lower case.
const GREYLISTED_WORDS: [&str; 2] = ["greylist", "graylist"];

/// The longest wait that a reply may name.
pub(super) const WAIT_MS_MAX: u64 = 86_400_000;

/// The class of a failure before the message went out whole.
pub(super) fn of(broken: &Broken) -> Class {
    class(broken.phase, broken.code, broken.enhanced.as_deref(), &broken.reply)
}

fn class(phase: &str, code: Option<u16>, enhanced: Option<&str>, text: &str) -> Class {
    let before_mail = matches!(phase, "connect" | "greeting" | "ehlo" | "starttls" | "auth");
    match code {
        None => Class::NotHandedOver,
        // RFC 5321 3.8: the relay closes the connection, whatever it was asked.
        Some(421) => Class::Throttled,
        Some(400..=499) if before_mail => Class::Throttled,
        Some(_) if before_mail => Class::NotHandedOver,
        Some(400..=499) => temporary(phase, enhanced, &text.to_lowercase()),
        Some(_) => Class::Rejected,
    }
}

fn temporary(phase: &str, enhanced: Option<&str>, text: &str) -> Class {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let is_recipients = matches!(phase, "rcpt" | "data" | "body");
    if says(&GREYLISTED_WORDS) {
        return if is_recipients { Class::Greylisted } else { Class::Throttled };
    }
    if says(&THROTTLED_WORDS) || enhanced.is_some_and(|code| THROTTLED.contains(&code)) {
        return Class::Throttled;
    }
    if is_recipients && enhanced == Some("4.7.1") && wait_ms(text).is_some() {
        return Class::Greylisted;
    }
    Class::Deferred
}

/// How long a reply asks to wait, in milliseconds: "in 300 seconds", "for 5 minutes", "in 00:04:59", "after 1h".
pub(super) fn wait_ms(text: &str) -> Option<u64> {
    let text = text.to_lowercase();
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')')).collect();
    let mut found = None;
    for (n, word) in words.iter().enumerate() {
        let word = word.trim_end_matches('.');
        let next = words.get(n + 1).copied().unwrap_or_default();
        found = found.max(clock(word).or_else(|| quantity(word, next)));
    }
    found.map(|seconds: u64| seconds.saturating_mul(1_000).min(WAIT_MS_MAX))
}

/// "00:04:59" in seconds.
fn clock(word: &str) -> Option<u64> {
    let parts: Vec<&str> = word.split(':').collect();
    let [hours, minutes, seconds] = parts[..] else { return None };
    let number = |part: &str| (part.len() <= 2).then(|| part.parse::<u64>().ok()).flatten();
    Some(number(hours)? * 3_600 + number(minutes)? * 60 + number(seconds)?)
}

/// "300 seconds", "5 min", "90s" in seconds.
fn quantity(word: &str, next: &str) -> Option<u64> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = word[..digits].parse().ok()?;
    let unit = if digits == word.len() { next.trim_end_matches('.') } else { &word[digits..] };
    let seconds = match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3_600,
        _ => return None,
    };
    Some(number.saturating_mul(seconds))
}

#[cfg(test)]
mod tests {
    use super::{Class, class, wait_ms};

    #[test]
    fn a_reply_is_about_the_mail_its_recipient_or_the_relay() {
        use Class::{Deferred, Greylisted, NotHandedOver, Rejected, Throttled};
        let table = [
            ("body", 454, Some("4.7.0"), "Throttling failure: Maximum sending rate exceeded.", Throttled),
            ("greeting", 421, Some("4.3.2"), "too many connections", Throttled),
            ("greeting", 450, None, "not now", Throttled),
            ("auth", 454, Some("4.7.0"), "Temporary authentication failure", Throttled),
            ("greeting", 554, Some("5.3.2"), "no", NotHandedOver),
            ("auth", 535, Some("5.7.8"), "bad credentials", NotHandedOver),
            ("body", 421, None, "closing", Throttled),
            ("mail", 452, Some("4.3.1"), "Insufficient system storage", Throttled),
            ("mail", 451, Some("4.4.5"), "congestion", Throttled),
            ("rcpt", 452, Some("4.5.3"), "Too many recipients", Throttled),
            ("rcpt", 450, Some("4.7.28"), "unusual rate of mail", Throttled),
            ("mail", 451, Some("4.7.650"), "temporarily rate limited due to IP reputation", Throttled),
            ("mail", 450, None, "You are sending too fast", Throttled),
            ("mail", 451, None, "Greylisted, come back later", Throttled),
            ("rcpt", 451, Some("4.7.1"), "Greylisting in action, please come back in 00:04:59", Greylisted),
            ("rcpt", 450, Some("4.7.1"), "<a@b>: try again in 5 minutes", Greylisted),
            ("rcpt", 450, Some("4.2.0"), "Recipient address rejected: Greylisted", Greylisted),
            ("rcpt", 450, Some("4.7.1"), "Access denied", Deferred),
            ("rcpt", 452, Some("4.2.2"), "mailbox over quota", Deferred),
            ("rcpt", 450, Some("4.2.1"), "mailbox busy", Deferred),
            ("body", 451, Some("4.3.0"), "local error in processing", Deferred),
            ("rcpt", 550, Some("5.1.1"), "no such user", Rejected),
            ("body", 554, Some("5.7.1"), "rate limit of spam words exceeded", Rejected),
        ];
        for (phase, code, enhanced, text, expected) in table {
            assert_eq!(class(phase, Some(code), enhanced, text), expected, "{phase} {code} {enhanced:?} {text}");
        }
        assert_eq!(class("mail", None, None, "connection reset"), NotHandedOver);
    }

    #[test]
    fn the_wait_that_a_reply_names_is_read() {
        let table = [
            ("Greylisted for 300 seconds (see http://example.org/help)", Some(300_000)),
            ("please come back in 00:04:59", Some(299_000)),
            ("try again in 5 minutes.", Some(300_000)),
            ("retry after 90s", Some(90_000)),
            ("wait 1 hour, please", Some(3_600_000)),
            ("wait 999999999999 hours", Some(86_400_000)),
            ("[2001:db8::1] blocked, 5 messages", None),
            ("no", None),
        ];
        for (text, expected) in table {
            assert_eq!(wait_ms(text), expected, "{text}");
        }
    }
}
