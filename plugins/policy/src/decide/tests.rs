use jiff::{Timestamp, civil, tz};

use super::{Zones, backoff_ms, on_failure, on_report, until_awake_ms};
use crate::config::QuietHours;
use crate::contract::{Category, Customer, Moment, Money, OrderStatus};
use crate::decisions::{
    Admission, Brief, Domain, Failure, FailureClass, OrderBrief, QueuedChange, Relay, Retrying, Situation,
    SubjectBrief, Verdict,
};
use crate::reports::{Reaction, Report, ReportKind};
use crate::{Civil, Config};

const HOUR_MS: u64 = 3_600_000;

/// As the host's.
struct Iana;

impl Zones for Iana {
    fn civil_time(&self, unix_ms: u64, time_zone: &str) -> Civil {
        let at = Timestamp::from_millisecond(unix_ms.cast_signed()).expect("in range");
        let c = tz::TimeZone::get(time_zone).expect("a zone").to_datetime(at);
        let small = i8::unsigned_abs;
        Civil {
            year: c.year().into(),
            month: small(c.month()),
            day: small(c.day()),
            hour: small(c.hour()),
            minute: small(c.minute()),
            second: small(c.second()),
        }
    }

    fn unix_ms(&self, c: Civil, time_zone: &str) -> Option<u64> {
        let [month, day, hour] = [c.month, c.day, c.hour].map(u8::cast_signed);
        let year = i16::try_from(c.year).ok()?;
        let at = civil::DateTime::new(year, month, day, hour, 0, 0, 0).ok()?;
        let at = tz::TimeZone::get(time_zone).expect("a zone").to_ambiguous_timestamp(at).compatible().ok()?;
        Some(at.as_millisecond().cast_unsigned())
    }
}

fn admit(config: &Config, b: &Brief, s: &Situation) -> Admission {
    super::admit(config, b, s, &Iana)
}

fn utc(unix_ms: u64) -> Moment {
    Moment { unix_ms, utc_offset_minutes: 0 }
}

fn brief() -> Brief {
    let text = str::to_owned;
    Brief {
        id: 1,
        kind: text("order.shipped"),
        category: Category::Transactional,
        occurred_at: utc(0),
        customer: Customer {
            id: 7,
            name: text("Ada"),
            email: text("ada@example.com"),
            locale: text("en"),
            time_zone: text("UTC"),
            attributes: Vec::new(),
        },
        subject: SubjectBrief::Order(OrderBrief {
            id: 42,
            number: text("42"),
            version: 2,
            status: OrderStatus::Shipped,
            previous_status: Some(OrderStatus::Pending),
            newest_status: OrderStatus::Shipped,
            total: Money { amount: 10_000, currency: text("EUR"), exponent: 2 },
            line_count: 1,
            ship_to_country: text("AT"),
        }),
    }
}

fn situation(attempts: u32) -> Situation {
    Situation {
        now: utc(100 * HOUR_MS),
        seed: 1,
        attempts,
        attempts_max: 25,
        queued_at: utc(0),
        first_failed_at: None,
        age_max_ms: 1,
        history: Vec::new(),
        relays: Vec::new(),
        domain: Domain { name: "example.com".to_owned(), throttled_at: None, attributes: Vec::new() },
        queued: Vec::new(),
        attributes: Vec::new(),
    }
}

fn failure(failure_class: FailureClass, enhanced: Option<&str>) -> Failure {
    Failure {
        failed_at: utc(0),
        failure_class,
        phase: "rcpt".to_owned(),
        reply_code: None,
        enhanced_code: enhanced.map(str::to_owned),
        reply_text: "no".to_owned(),
        relay: "default".to_owned(),
        attributes: Vec::new(),
    }
}

fn config(json: &str) -> Config {
    Config::parse(json).expect("must be taken")
}

fn after(c: &Config, class: FailureClass, enhanced: Option<&str>, s: &Situation) -> Verdict {
    on_failure(c, &brief(), &failure(class, enhanced), s)
}

fn retried_ms(verdict: &Verdict) -> Option<u64> {
    match verdict {
        Verdict::Retry(Retrying { after_ms, relay: None, .. }) => Some(*after_ms),
        _ => None,
    }
}

fn relay(name: &str, available: bool) -> Relay {
    Relay { name: name.to_owned(), available, attributes: Vec::new() }
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
    assert_eq!(retried_ms(&after(&c, FailureClass::Deferred, None, &situation(1))), Some(30_000));
    assert!(matches!(after(&c, FailureClass::Deferred, None, &situation(3)), Verdict::GiveUp(_)));
    assert!(matches!(after(&c, FailureClass::NotHandedOver, None, &situation(24)), Verdict::Retry(_)));
    assert!(matches!(after(&c, FailureClass::NotHandedOver, None, &situation(25)), Verdict::GiveUp(_)));
    assert!(matches!(after(&c, FailureClass::Rejected, Some("5.1.1"), &situation(1)), Verdict::GiveUp(_)));
    assert!(matches!(after(&c, FailureClass::InDoubt, None, &situation(1)), Verdict::Retry(_)));
    assert!(matches!(after(&c, FailureClass::RenderFailed, None, &situation(0)), Verdict::Hold(_)));
    let c = config(r#"{"in_doubt": "hold", "retry_permanent": ["5.7"], "render_failed": "retry"}"#);
    assert!(matches!(after(&c, FailureClass::InDoubt, None, &situation(1)), Verdict::Hold(_)));
    assert!(matches!(after(&c, FailureClass::Rejected, Some("5.7.1"), &situation(1)), Verdict::Retry(_)));
    assert!(matches!(after(&c, FailureClass::Rejected, Some("5.71.1"), &situation(1)), Verdict::GiveUp(_)));
    assert!(matches!(after(&c, FailureClass::RenderFailed, None, &situation(0)), Verdict::Retry(_)));
}

#[test]
fn what_says_nothing_of_the_mail_never_ends_it() {
    let c = Config::default();
    let many = situation(25);
    assert_eq!(retried_ms(&after(&c, FailureClass::Throttled, None, &many)), Some(1_000));
    assert_eq!(retried_ms(&after(&c, FailureClass::Greylisted, None, &many)), Some(300_000));
    let s = Situation { relays: vec![relay("default", true), relay("second", true)], ..situation(1) };
    for class in [FailureClass::Throttled, FailureClass::NotHandedOver] {
        let verdict = after(&c, class, None, &s);
        assert!(matches!(&verdict, Verdict::Retry(r) if r.after_ms == 0 && r.relay.as_deref() == Some("second")));
    }
    assert_eq!(retried_ms(&after(&c, FailureClass::Deferred, None, &s)), Some(30_000));
    let s = Situation { relays: vec![relay("default", true), relay("second", false)], ..situation(1) };
    assert_eq!(retried_ms(&after(&c, FailureClass::NotHandedOver, None, &s)), Some(30_000));
}

#[test]
fn quiet_hours_end_by_the_customer_s_clocks() {
    let quiet = QuietHours { from: 22, until: 7 };
    let left = |at: &str, zone: &str| {
        let at: Timestamp = at.parse().expect("a time");
        until_awake_ms(quiet, at.as_millisecond().cast_unsigned(), zone, &Iana).map(|ms| ms / 60_000)
    };
    assert_eq!(left("2026-06-01T12:00:00Z", "UTC"), None);
    assert_eq!(left("2026-06-01T23:00:00Z", "UTC"), Some(8 * 60));
    assert_eq!(left("2026-06-01T06:00:00Z", "UTC"), Some(60));
    assert_eq!(left("2026-06-01T06:00:00Z", "Europe/Vienna"), None);
    assert_eq!(left("2026-06-01T23:00:00Z", "America/Noronha"), None);
    // Over the end of a month and of a year.
    assert_eq!(left("2026-06-30T23:00:00Z", "UTC"), Some(8 * 60));
    assert_eq!(left("2026-12-31T22:00:00Z", "UTC"), Some(9 * 60));
    // The night in which clocks go forward is an hour shorter, the one in which they go back an hour longer.
    assert_eq!(left("2026-03-28T22:00:00Z", "Europe/Vienna"), Some(7 * 60));
    assert_eq!(left("2026-10-24T21:00:00Z", "Europe/Vienna"), Some(9 * 60));
    assert_eq!(left("2026-10-23T21:00:00Z", "Europe/Vienna"), Some(8 * 60));
}

#[test]
fn whoever_waits_for_a_link_gets_it_at_night() {
    let c = config(r#"{"quiet_hours": {"from": 0, "until": 23}}"#);
    assert!(matches!(admit(&c, &brief(), &situation(0)), Admission::Wait(_)));
    let awaited = Brief { subject: SubjectBrief::Account, ..brief() };
    assert!(matches!(admit(&c, &awaited, &situation(0)), Admission::Send(_)));
}

#[test]
fn a_domain_that_throttled_is_left_in_peace() {
    let c = config(r#"{"domain_pause_ms": 600000}"#);
    let throttled = |ago_ms: u64| {
        let mut s = situation(0);
        s.domain.throttled_at = Some(utc(s.now.unix_ms - ago_ms));
        s
    };
    assert!(matches!(admit(&c, &brief(), &throttled(200_000)), Admission::Wait(400_000)));
    assert!(matches!(admit(&c, &brief(), &throttled(600_000)), Admission::Send(_)));
    assert!(matches!(admit(&Config::default(), &brief(), &throttled(1)), Admission::Send(_)));
}

#[test]
fn a_change_is_told_with_the_next_one() {
    let change = QueuedChange { kind: "order.delivered".to_owned(), version: 3, queued_at: utc(0) };
    let s = Situation { queued: vec![change], ..situation(0) };
    assert!(matches!(admit(&config(r#"{"merge_queued": true}"#), &brief(), &s), Admission::Merge));
    assert!(matches!(admit(&config(r#"{"merge_queued": true}"#), &brief(), &situation(0)), Admission::Send(_)));
    assert!(matches!(admit(&Config::default(), &brief(), &s), Admission::Send(_)));
}

#[test]
fn each_customer_keeps_one_variant() {
    let c = config(r#"{"ab_variants": ["plain", "merry"]}"#);
    let chosen = |id: u64| {
        let mut b = brief();
        b.customer.id = id;
        match admit(&c, &b, &situation(0)) {
            Admission::Send(sending) => sending.ab_variant.expect("a variant"),
            _ => panic!("must be sent"),
        }
    };
    let merry = (1..=1_000).filter(|id| chosen(*id) == "merry").count();
    assert!((450..=550).contains(&merry), "{merry} of 1,000");
    assert_eq!(chosen(7), chosen(7));
}

#[test]
fn what_costs_much_is_left_to_an_operator() {
    assert!(matches!(admit(&config(r#"{"hold_above": {"EUR": 9999}}"#), &brief(), &situation(0)), Admission::Hold(_)));
    for enough in [r#"{"hold_above": {"EUR": 10000}}"#, r#"{"hold_above": {"USD": 1}}"#] {
        assert!(matches!(admit(&config(enough), &brief(), &situation(0)), Admission::Send(_)), "{enough}");
    }
}

#[test]
fn a_country_has_its_relay_while_that_is_available() {
    let c = config(r#"{"relays_by_country": {"AT": "vienna"}}"#);
    let by = |available| {
        let s = Situation { relays: vec![relay("default", true), relay("vienna", available)], ..situation(0) };
        match admit(&c, &brief(), &s) {
            Admission::Send(sending) => sending.relay,
            _ => panic!("must be sent"),
        }
    };
    assert_eq!((by(true).as_deref(), by(false)), (Some("vienna"), None));
}

#[test]
fn what_fails_for_long_is_urgent() {
    let c = config(r#"{"escalate_after_hours": 4}"#);
    let failing = |hours: u64| {
        let first = Some(utc(situation(0).now.unix_ms - hours * HOUR_MS));
        after(&c, FailureClass::Deferred, None, &Situation { first_failed_at: first, ..situation(1) })
    };
    assert!(matches!(failing(3), Verdict::Retry(_)));
    assert!(matches!(failing(4), Verdict::Hold(holding) if holding.urgent));
}

#[test]
fn errors_name_the_place() {
    let error = |json: &str| Config::parse(json).expect_err("must be refused");
    let place = |json: &str| error(json).pointer;
    assert!(error(r#"{"attempts": 3}"#).message.contains("attempts"));
    assert_eq!(place(r#"{"attempts_max": 0}"#), "/attempts_max");
    assert_eq!(place(r#"{"backoff_first_ms": 10}"#), "/backoff_first_ms");
    assert_eq!(place(r#"{"backoff_max_ms": 1000}"#), "/backoff_max_ms");
    assert_eq!(place(r#"{"retry_permanent": ["4.2"]}"#), "/retry_permanent");
    assert_eq!(place(r#"{"quiet_hours": {"from": 7, "until": 7}}"#), "/quiet_hours");
    assert!(error(r#"{"in_doubt": "drop"}"#).message.contains("drop"));
}

#[test]
fn a_request_to_an_endpoint_waits_for_nobody_and_is_tried_for_three_days() {
    let attributes = vec![("channel".to_owned(), "webhook".to_owned())];
    let at = |attempts| Situation { attributes: attributes.clone(), ..situation(attempts) };
    let night = config(r#"{"quiet_hours": {"from": 0, "until": 23}, "merge_queued": true, "hold_above": {"EUR": 1}}"#);
    let change = QueuedChange { kind: "order.delivered".to_owned(), version: 3, queued_at: utc(0) };
    let s = Situation { queued: vec![change], ..at(0) };
    assert!(matches!(admit(&night, &brief(), &s), Admission::Send(sending) if sending.relay.is_none()));
    let default = Config::default();
    let pauses: Vec<u64> =
        (1..).map_while(|n| retried_ms(&after(&default, FailureClass::InDoubt, None, &at(n)))).collect();
    assert_eq!(pauses, default.webhook_retries_ms);
    assert!(pauses.iter().sum::<u64>() < 72 * HOUR_MS);
    assert!(matches!(after(&default, FailureClass::Deferred, None, &at(10)), Verdict::GiveUp(_)));
    assert!(matches!(after(&default, FailureClass::Rejected, None, &at(1)), Verdict::GiveUp(_)));
    assert_eq!(retried_ms(&after(&default, FailureClass::Throttled, None, &at(20))), Some(1_000));
    let none = config(r#"{"webhook_retries_ms": []}"#);
    assert!(matches!(after(&none, FailureClass::NotHandedOver, None, &at(1)), Verdict::GiveUp(_)));
    for bad in ["[999]", "[86400001]", &format!("[{}1000]", "1000,".repeat(24))] {
        assert!(Config::parse(&format!(r#"{{"webhook_retries_ms": {bad}}}"#)).is_err(), "{bad}");
    }
}

fn report(report_kind: ReportKind, enhanced: Option<&str>) -> Report {
    Report {
        received_at: utc(0),
        report_kind,
        enhanced_code: enhanced.map(str::to_owned),
        report_text: "no".to_owned(),
        reporter: String::new(),
        relay: "default".to_owned(),
        sent_at: utc(0),
        attributes: Vec::new(),
    }
}

#[test]
fn what_follows_from_a_bounce_is_the_config_s_and_nothing_from_anything_else() {
    let bounced = |config: &Config, code, s: &Situation| on_report(config, &report(ReportKind::Bounced, code), s);
    let two = Situation { relays: vec![relay("default", true), relay("second", true)], ..situation(1) };
    assert!(matches!(bounced(&Config::default(), Some("5.7.1"), &two), Reaction::Note));
    let c = config(
        r#"{"resend_bounced": ["5.7"], "suppress_bounced": {"5.2": 2, "5.2.2": 7, "5.7": 1}, "hold_bounced": true}"#,
    );
    let other = |reaction: &Reaction| match reaction {
        Reaction::Resend(retrying) => retrying.relay.clone(),
        _ => None,
    };
    assert_eq!(other(&bounced(&c, Some("5.7.1"), &two)).as_deref(), Some("second"));
    assert_eq!(other(&bounced(&c, Some("5.71.1"), &two)), None);
    let days = |reaction: &Reaction| match reaction {
        Reaction::Suppress(suppressing) => suppressing.for_ms.map(|ms| ms / (24 * HOUR_MS)),
        _ => None,
    };
    let alone = Situation { relays: vec![relay("default", true), relay("second", false)], ..situation(1) };
    assert_eq!(days(&bounced(&c, Some("5.7.1"), &alone)), Some(1), "by which relay");
    assert_eq!(days(&bounced(&c, Some("5.7.1"), &Situation { attempts: 3, ..two.clone() })), Some(1), "used up");
    assert_eq!([Some("5.2.2"), Some("5.2.1")].map(|code| days(&bounced(&c, code, &two))), [Some(7), Some(2)]);
    assert!(matches!(bounced(&c, None, &two), Reaction::Hold(_)));
    for kind in [ReportKind::Delayed, ReportKind::Complained, ReportKind::Answered, ReportKind::Other("x".to_owned())] {
        assert!(matches!(on_report(&c, &report(kind, Some("5.7.1")), &two), Reaction::Note));
    }
    for json in
        [r#"{"resend_bounced": ["4.7"]}"#, r#"{"suppress_bounced": {"5.2": 0}}"#, r#"{"suppress_bounced": {"x": 1}}"#]
    {
        assert!(Config::parse(json).is_err(), "{json}");
    }
}
