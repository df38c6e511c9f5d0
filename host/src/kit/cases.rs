//! Generated events and situations: whatever the contract allows, and seldom happens.

use serde_json::{Map, Value, json};

use super::draw::Draw;
use super::project::Event;
use crate::clock::HOUR_MS;
use crate::notification::report::Reported;
use crate::notification::{Channel, Class, Failure, OrderStatus, Payload, QueuedChange, Relay, Situation};
use crate::plugin::{Question, Revision, Slot, failures, reports, samples};

/// Where a text of the event shows up as a tag, it was not escaped.
pub(super) const TAG: &str = "x-ecomm";
/// Where it shows up as an attribute.
pub(super) const ATTRIBUTE: &str = "x-ecomm-attribute";

/// Texts for names and notes; the first is plain.
const TEXTS: [&str; 14] = [
    "Ada Lovelace",
    "x",
    "O'Brien & Söhne",
    "\"><x-ecomm x-ecomm-attribute='1'>",
    "' x-ecomm-attribute=1 y='",
    "</title></style><x-ecomm>",
    "--><x-ecomm>",
    "{{ 7 * 7 }} {% if %} ${7*7} %s %n \\u0041",
    "عائشة بنت أبي بكر",
    "עברית and English",
    "\u{202e}drawkcab",
    "Zoë 👩\u{200d}💻 e\u{301} \u{1f1e6}\u{1f1f9}",
    "&lt;b&gt; &amp;amp; &#60;",
    "a name that goes on and on and on and on and on and on and on and on and on until it ends",
];
/// Keys whose values are free texts.
const TEXT_KEYS: [&str; 13] = [
    "name",
    "note",
    "gift_message",
    "cancel_reason",
    "label",
    "reason",
    "carrier",
    "city",
    "company",
    "failure",
    "region",
    "tracking_number",
    "code",
];
/// Keys that an event may do without.
const OPTIONAL_KEYS: [&str; 15] = [
    "url",
    "image_url",
    "tracking_url",
    "note",
    "gift_message",
    "cancel_reason",
    "ship_to",
    "bill_to",
    "invoice",
    "link",
    "unsubscribe_url",
    "preferences_url",
    "due",
    "failure",
    "discounts",
];
const CURRENCIES: [&str; 5] = ["EUR", "USD", "JPY", "KWD", "BHD"];
const LOCALES: [&str; 10] = ["en", "de", "de-AT", "ar", "he", "ja", "tlh", "zh-Hant-TW", "pt-BR", "sr-Latn"];
const ZONES: [&str; 6] =
    ["UTC", "Europe/Vienna", "Pacific/Kiritimati", "America/St_Johns", "Asia/Kathmandu", "America/New_York"];
/// Among them: nights in which clocks change, a leap day, the end of a year.
const TIMES: [&str; 6] = [
    "2026-06-01T12:00:00Z",
    "2026-03-29T00:59:59Z",
    "2026-10-25T00:30:00Z",
    "2028-02-29T23:59:59Z",
    "2026-12-31T23:59:59Z",
    "2026-03-08T07:00:00Z",
];
const AMOUNTS: [u64; 6] = [1_999, 0, 1, 100, 1_234_567, 999_999_999_999];
/// Seldom many: a case of 500 lines takes as long as a hundred of others.
const LINES: [usize; 12] = [1, 0, 2, 3, 5, 1, 2, 3, 1, 2, 20, 100];
/// The most lines of an order.
const LINES_MAX: usize = 500;

/// An event and what a component is asked about it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) event: Event,
    pub(super) question: Question,
}

/// What a component is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Mails,
    Attempts,
    AttemptsAndReports,
}

impl From<&Revision> for Asked {
    fn from(revision: &Revision) -> Self {
        match revision.slot {
            Slot::Renderer => Self::Mails,
            Slot::Policy if revision.answers_reports() => Self::AttemptsAndReports,
            Slot::Policy => Self::Attempts,
        }
    }
}

/// The case that these choices lead to.
pub(super) fn generate(asked: Asked, relays: &[Relay], draw: &mut Draw) -> Case {
    let payload = payload(draw);
    let question = match asked {
        Asked::Mails => Question::Render {
            ab_variant: draw.once_in(8).then(|| draw.pick(&TEXTS[1..3]).to_owned()),
            seed: draw.below(u64::MAX),
        },
        Asked::AttemptsAndReports if draw.once_in(4) => report(draw, relays, payload.occurred_at),
        Asked::Attempts | Asked::AttemptsAndReports => question(draw, relays, payload.occurred_at),
    };
    Case { event: Event::new("generated".to_owned(), payload), question }
}

/// # Panics
/// Never: a test reads what thousands of choices lead to.
fn payload(draw: &mut Draw) -> Payload {
    let (_, sample) = draw.pick(samples());
    let mut value: Value = serde_json::from_str(sample).expect("a sample is JSON");
    let currency = draw.pick(&CURRENCIES);
    vary(&mut value, currency, draw);
    value["customer"]["locale"] = json!(draw.pick(&LOCALES));
    value["customer"]["time_zone"] = json!(draw.pick(&ZONES));
    value["occurred_at"] = json!(draw.pick(&TIMES));
    if let Some(order) = value.pointer_mut("/subject/order") {
        order["placed_at"] = json!(draw.pick(&TIMES));
        if draw.once_in(12) {
            order["status"] = json!("returned");
        }
        repeat_lines(order, draw);
    }
    if draw.once_in(20) {
        value["subject"] = json!({ "other": "cart" });
        value["kind"] = json!("cart.abandoned");
        value["category"] = json!("reminder");
    }
    Payload::read(&value.to_string()).expect("a varied sample is an event")
}

/// As many lines as chosen, each like one of the sample's.
fn repeat_lines(order: &mut Value, draw: &mut Draw) {
    let count = if draw.once_in(200) { LINES_MAX } else { draw.pick(&LINES) };
    let Some(lines) = order["lines"].as_array_mut() else { return };
    let kept = std::mem::take(lines);
    lines.extend(kept.iter().cycle().take(if kept.is_empty() { 0 } else { count }).cloned());
    // What is told of a line by its number must be told of one that is there.
    let lines = lines.len();
    for parts in ["shipments", "refunds"] {
        for told in order.get_mut(parts).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(parts) = told.get_mut("parts").and_then(Value::as_array_mut) {
                parts.retain(|part| part["line_number"].as_u64().is_some_and(|number| number <= lines as u64));
            }
        }
    }
}

fn vary(value: &mut Value, currency: &str, draw: &mut Draw) {
    match value {
        Value::Object(map) => {
            drop_some(map, draw);
            for (key, value) in map.iter_mut() {
                match (key.as_str(), &*value) {
                    ("currency", _) => *value = json!(currency),
                    ("amount", Value::Number(_)) if draw.once_in(4) => *value = json!(draw.pick(&AMOUNTS)),
                    (key, Value::String(_)) if TEXT_KEYS.contains(&key) && draw.once_in(3) => {
                        *value = json!(draw.pick(&TEXTS));
                    }
                    _ => vary(value, currency, draw),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|value| vary(value, currency, draw)),
        _ => {}
    }
}

/// The shop's own address is no optional one.
fn drop_some(map: &mut Map<String, Value>, draw: &mut Draw) {
    if map.contains_key("support_email") {
        return;
    }
    for key in OPTIONAL_KEYS {
        // A link is nothing without its address, and an event's link may be what it is about.
        let is_link = key == "url" && (map.contains_key("expires_at") || map.len() == 1);
        if map.contains_key(key) && !is_link && draw.once_in(5) {
            map.remove(key);
        }
    }
}

fn question(draw: &mut Draw, relays: &[Relay], occurred_at: i64) -> Question {
    let situation = situation(draw, relays, occurred_at);
    let situation = if draw.once_in(4) {
        Situation {
            channel: Channel::Webhook,
            relays: vec![Relay { name: "1".to_owned(), available: true }],
            queued: Vec::new(),
            newest_status: None,
            ..situation
        }
    } else {
        situation
    };
    if situation.attempts == 0 || draw.once_in(3) {
        return Question::Admit(situation);
    }
    let failure = failure(draw, situation.now);
    Question::OnFailure(failure.clone(), situation.after(&failure))
}

fn report(draw: &mut Draw, relays: &[Relay], occurred_at: i64) -> Question {
    let situation = situation(draw, relays, occurred_at);
    let all = reports();
    let report = all[usize::try_from(draw.below(all.len() as u64)).unwrap_or_default()].clone();
    let words = if draw.once_in(4) { draw.pick(&TEXTS).to_owned() } else { report.words.clone() };
    let enhanced = if draw.once_in(4) { None } else { report.enhanced.clone() };
    let report = Reported { at: situation.now, sent_at: occurred_at, words, enhanced, ..report };
    Question::OnReport(report, Situation { attempts: situation.attempts.max(1), ..situation })
}

fn situation(draw: &mut Draw, relays: &[Relay], occurred_at: i64) -> Situation {
    let attempts = u32::try_from(draw.below(25)).unwrap_or_default();
    let now = occurred_at + draw.pick(&[0, 1, 60_000, HOUR_MS, 30 * HOUR_MS]);
    let history: Vec<Failure> = (0..attempts.min(3)).map(|_| failure(draw, now)).collect();
    Situation {
        now,
        seed: draw.below(u64::MAX),
        attempts,
        attempts_max: 25,
        queued_at: occurred_at,
        first_failed_at: (attempts > 0).then_some(occurred_at),
        age_max_ms: 72 * HOUR_MS,
        history,
        relays: relays.iter().map(|r| Relay { available: !draw.once_in(4), ..r.clone() }).collect(),
        domain_throttled_at: draw.once_in(5).then_some(now - 1_000),
        suppressed: None,
        newest_status: Some(
            draw.pick(
                &[OrderStatus::Pending, OrderStatus::PartlyShipped, OrderStatus::Shipped, OrderStatus::Cancelled]
                    .each_ref(),
            )
            .clone(),
        ),
        queued: queued(draw, now),
        channel: Channel::Mail,
        named_relay: None,
    }
}

fn queued(draw: &mut Draw, now: i64) -> Vec<QueuedChange> {
    let change = |version| QueuedChange { kind: "order.shipped".to_owned(), version, queued_at: now };
    (0..draw.pick(&[0, 0, 1, 10])).map(change).collect()
}

fn failure(draw: &mut Draw, at: i64) -> Failure {
    let all = failures();
    let failure = all[usize::try_from(draw.below(all.len() as u64)).unwrap_or_default()].clone();
    let is_reply = !matches!(failure.class, Class::NotHandedOver | Class::InDoubt | Class::RenderFailed);
    let reply = if draw.once_in(4) { draw.pick(&TEXTS).to_owned() } else { failure.reply.clone() };
    let code = if is_reply { failure.code.map(|code| code - code % 10 + draw.pick(&[0, 1, 2, 4])) } else { None };
    Failure { at, code, reply, ..failure }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Draw, generate};
    use crate::notification::Relay;

    #[test]
    fn whatever_is_chosen_is_an_event() {
        let relays = [Relay { name: "default".to_owned(), available: true }];
        let mut most_lines = 0;
        for seed in 0..3_000 {
            for asked in [Asked::Mails, Asked::Attempts, Asked::AttemptsAndReports] {
                let mut draw = Draw::seeded(seed);
                let case = generate(asked, &relays, &mut draw);
                most_lines = most_lines.max(case.event.notification.payload.lines());
                let again = generate(asked, &relays, &mut Draw::given(&draw.made()));
                assert_eq!(again.event.notification.payload, case.event.notification.payload, "{seed}");
                // Whatever shrinking makes of choices is one, too.
                generate(asked, &relays, &mut Draw::given(&[seed, seed * 7, seed * 31]));
            }
        }
        assert_eq!(most_lines, super::LINES_MAX);
    }
}
