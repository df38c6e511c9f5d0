//! A guest that does what its config says, and none of it is good. For the host's tests.

#[expect(clippy::pedantic, reason = "generated; wit/v1 documents every item")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        inline: "
            package test:misbehaving;
            world misbehaving {
                include ecomm:notification/renderer-plugin@1.0.0;
                include ecomm:notification/reporting-policy-plugin@1.0.0;
            }
        ",
        world: "test:misbehaving/misbehaving",
        generate_all,
        pub_export_macro: false,
    });
}

use std::sync::OnceLock;

use bindings::ecomm::format::{link, text, zone};
use bindings::ecomm::notification::event;
use bindings::ecomm::notification::log::{self, Level};
use bindings::ecomm::notification::types::{ConfigError, Email, Manifest, Notification, Subject};
use bindings::exports::ecomm::notification::policy::{
    Admission, Brief, Failure, Holding, Retrying, Sending, Situation, SubjectBrief, Verdict,
};
use bindings::exports::ecomm::notification::renderer::Request;
use bindings::exports::ecomm::notification::reports::{Reaction, Report, Suppressing};
use serde::Deserialize;

/// One key for each export.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    configure: Act,
    render: Act,
    admit: Act,
    on_failure: Act,
    on_report: Act,
    /// What `admit` answers as a wait, `on-failure` as a retry and `on-report` as sending again, when their act is `delay`.
    delay_ms: u64,
    /// Fixtures of the gate carry this order number, or are about something else, and are left in peace.
    spare_order: Option<String>,
    /// What `admit` has the renderer asked for when its act is `variant`.
    ab_variant: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Act {
    #[default]
    Behave,
    /// Never returns.
    Loop,
    /// Computes for a while, far longer than any renderer should.
    Dawdle,
    /// Sleeps for an hour.
    Sleep,
    /// Allocates without end.
    HogMemory,
    /// Recurses without end.
    Recurse,
    /// Executes `unreachable`.
    Trap,
    /// Panics with a message.
    Panic,
    /// Answers 64 MiB.
    HugeOutput,
    /// Puts a header into the subject.
    InjectHeader,
    /// Sets a header that the host owns.
    OwnedHeader,
    /// Answers an empty subject.
    EmptySubject,
    /// Answers the delay of the config.
    Delay,
    /// Answers an error.
    Error,
    /// Names a relay that does not exist.
    UnknownRelay,
    /// Writes to stderr, which leaves a handle behind.
    Stderr,
    /// Holds the mail.
    Hold,
    /// Holds the mail, and wants somebody to look at once.
    HoldUrgent,
    /// Skips the mail.
    Skip,
    /// Merges the mail into the next.
    Merge,
    /// Merges the mail into the next if there is one.
    MergeIfQueued,
    /// Asks for the variant of the config, or writes the one it was asked for into the subject.
    Variant,
    /// Writes what the host's helpers say of the order into the subject.
    Helpers,
    /// Asks for the whole notification, and skips the mail with its kind and number of lines.
    Whole,
    /// Answers what a later contract may know.
    Other,
    /// Answers an attribute that a later contract may know.
    Attribute,
    /// Sends although the address bounced before.
    IgnoreSuppression,
    /// Has the address suppressed, in the mail's category, for the delay of the config.
    Suppress,
    /// Skips, and says what stands against the address.
    TellSuppression,
    /// Reads WASI's clock and says what it says.
    Clock,
    /// Writes names into HTML as they are.
    Unescaped,
    /// Retries sooner after each attempt.
    Sooner,
    /// Logs more and longer lines than allowed.
    Chatter,
}

/// A tenth of a second or a few.
const DAWDLE_ROUNDS: u64 = 180_000_000;

static CONFIG: OnceLock<Config> = OnceLock::new();

fn config() -> &'static Config {
    CONFIG.get_or_init(Config::default)
}

/// `about`: the number of the order that is asked about, if it is about one.
fn act(act: Act, about: Option<&str>) -> Act {
    match &config().spare_order {
        Some(number) if about.is_none_or(|about| about == number) => Act::Behave,
        _ => {
            perform(act);
            act
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is the misbehaviour")]
fn perform(act: Act) {
    match act {
        Act::Loop => {
            let mut n = 0_u64;
            loop {
                n = std::hint::black_box(n.wrapping_add(1));
            }
        }
        Act::Dawdle => {
            let mut n = 0_u64;
            while n < DAWDLE_ROUNDS {
                n = std::hint::black_box(n + 1);
            }
        }
        Act::Sleep => std::thread::sleep(std::time::Duration::from_hours(1)),
        Act::HogMemory => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        Act::Recurse => {
            std::hint::black_box(recurse(1));
        }
        Act::Trap => trap(),
        Act::Panic => panic!("the panic that was asked for"),
        Act::Stderr => eprintln!("written to stderr"),
        Act::Chatter => {
            for _ in 0..100 {
                log::write(Level::Warn, &"x".repeat(5_000));
            }
        }
        _ => {}
    }
}

/// Keeps nothing in linear memory, so that it is the call stack that overflows.
#[inline(never)]
fn recurse(n: u64) -> u64 {
    if n == u64::MAX { 0 } else { recurse(n + 1).wrapping_mul(3).wrapping_add(n) }
}

#[cfg(target_family = "wasm")]
fn trap() {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_family = "wasm"))]
fn trap() {
    std::process::abort()
}

/// Says what it is.
pub fn describe() -> Manifest {
    Manifest {
        name: "misbehaving".to_owned(),
        version: "0.1.0".to_owned(),
        description: "Does what its config says, and none of it is good.".to_owned(),
        locales: Vec::new(),
        config_schema: String::new(),
        attributes: Vec::new(),
    }
}

/// Takes the config, then does what it says for `configure`.
pub fn configure(json: &str) -> Result<(), ConfigError> {
    let refuse = |pointer: &str, message: String| ConfigError { pointer: pointer.to_owned(), message };
    let parsed: Config = serde_json::from_str(json).map_err(|e| refuse("", format!("config: {e}")))?;
    let chosen = parsed.configure;
    CONFIG.set(parsed).map_err(|_| refuse("", "configure was called twice".to_owned()))?;
    perform(chosen);
    if chosen == Act::Error { Err(refuse("/delay_ms", "refused as asked".to_owned())) } else { Ok(()) }
}

/// Renders the shortest mail, or misbehaves.
pub fn render(n: &Notification, r: &Request) -> Result<Email, String> {
    let about = match &n.subject {
        Subject::Order(order) => Some(order.number.as_str()),
        _ => None,
    };
    let mut email = Email {
        subject: format!("Order {}", about.unwrap_or("none")),
        text: "From the misbehaving guest.".to_owned(),
        html: None,
        from_name: None,
        reply_to: None,
        headers: Vec::new(),
        attachments: Vec::new(),
        attributes: Vec::new(),
    };
    match act(config().render, about) {
        Act::Error => return Err("refused as asked".to_owned()),
        Act::HugeOutput => email.text = "x".repeat(64 << 20),
        Act::InjectHeader => "Hello\r\nBcc: everyone@example.com".clone_into(&mut email.subject),
        Act::OwnedHeader => email.headers.push(("Message-ID".to_owned(), "<mine@example.com>".to_owned())),
        Act::EmptySubject => email.subject.clear(),
        Act::Variant => email.subject = format!("{} {}", email.subject, r.ab_variant.as_deref().unwrap_or("-")),
        Act::Attribute => email.attributes.push(later()),
        Act::Helpers => email.subject = helped(n),
        #[expect(clippy::disallowed_methods, reason = "this is the misbehaviour")]
        Act::Clock => email.subject = format!("{:?}", std::time::SystemTime::now()),
        Act::Unescaped => {
            email.text.clone_from(&n.customer.name);
            email.html = Some(format!("<p>{}</p>", n.customer.name));
        }
        _ => {}
    }
    Ok(email)
}

/// Every helper once.
fn helped(n: &Notification) -> String {
    let zone::Civil { year, month, day, hour, minute, .. } = zone::civil_time(1_761_345_000_000, "Europe/Vienna");
    let back = zone::unix_ms(zone::Civil { year, month, day, hour, minute, second: 0 }, "Europe/Vienna");
    let locale = &n.customer.locale;
    let items = ["<a>", "b"].map(str::to_owned);
    [
        text::money(locale, 123_456, "EUR", 2),
        text::number(locale, 123_456, 1),
        text::date(locale, text::Day { year, month, day }, text::Length::Medium),
        text::time_of_day(locale, hour, minute),
        text::escape_html(&text::conjunction(locale, &items)),
        format!("{:?} {} {back:?}", text::plural(locale, 1), text::is_right_to_left(locale)),
        link::token("unsubscribe", "7"),
    ]
    .join(" | ")
}

fn later() -> (String, String) {
    ("later".to_owned(), "yes".to_owned())
}

fn sending(relay: Option<String>) -> Sending {
    Sending { relay, ab_variant: None, attributes: Vec::new() }
}

fn retrying(after_ms: u64) -> Retrying {
    Retrying { after_ms, relay: None, attributes: Vec::new() }
}

fn about(b: &Brief) -> Option<&str> {
    match &b.subject {
        SubjectBrief::Order(order) => Some(&order.number),
        _ => None,
    }
}

/// Sends, or misbehaves.
pub fn admit(b: &Brief, s: &Situation) -> Admission {
    let hold = |urgent| Admission::Hold(Holding { reason: "held as asked".to_owned(), urgent });
    match act(config().admit, about(b)) {
        Act::Delay => Admission::Wait(config().delay_ms),
        Act::UnknownRelay => Admission::Send(sending(Some("nowhere".to_owned()))),
        Act::HugeOutput => Admission::Skip("x".repeat(64 << 20)),
        Act::Hold => hold(false),
        Act::HoldUrgent => hold(true),
        Act::Skip => Admission::Skip("skipped as asked".to_owned()),
        Act::Merge => Admission::Merge,
        Act::MergeIfQueued if !s.queued.is_empty() => Admission::Merge,
        Act::Variant => Admission::Send(Sending { ab_variant: config().ab_variant.clone(), ..sending(None) }),
        Act::Whole => Admission::Skip(whole()),
        Act::Other => Admission::Other("escalate".to_owned()),
        Act::Attribute => Admission::Send(Sending { attributes: vec![later()], ..sending(None) }),
        Act::IgnoreSuppression => {
            let attributes = vec![("suppression".to_owned(), "ignore".to_owned())];
            Admission::Send(Sending { attributes, ..sending(None) })
        }
        Act::TellSuppression => Admission::Skip(format!("{:?}", s.attributes)),
        _ => Admission::Send(sending(None)),
    }
}

/// What is in the notification and not in the brief; it is the same whenever it is asked for.
fn whole() -> String {
    let (once, again) = (event::get(), event::get());
    let lines = |n: &Notification| match &n.subject {
        Subject::Order(order) => order.lines.len(),
        _ => 0,
    };
    format!("{}: {} and {} lines, for {}", once.kind, lines(&once), lines(&again), again.message_id)
}

/// Retries, or misbehaves.
pub fn on_failure(b: &Brief, s: &Situation) -> Verdict {
    let hold = |urgent| Verdict::Hold(Holding { reason: "held as asked".to_owned(), urgent });
    match act(config().on_failure, about(b)) {
        Act::Delay => Verdict::Retry(retrying(config().delay_ms)),
        Act::Sooner => Verdict::Retry(retrying(100_000 - 1_000 * u64::from(s.attempts))),
        Act::UnknownRelay => Verdict::Retry(Retrying { relay: Some("nowhere".to_owned()), ..retrying(1_000) }),
        Act::HugeOutput => Verdict::GiveUp("x".repeat(64 << 20)),
        Act::Hold => hold(false),
        Act::HoldUrgent => hold(true),
        Act::Other => Verdict::Other("escalate".to_owned()),
        Act::Attribute => Verdict::Retry(Retrying { attributes: vec![later()], ..retrying(1_000) }),
        _ => Verdict::Retry(retrying(1_000)),
    }
}

/// Notes, or misbehaves.
pub fn on_report(b: &Brief, r: &Report) -> Reaction {
    let hold = |urgent| Reaction::Hold(Holding { reason: format!("held for {}", r.report_text), urgent });
    match act(config().on_report, about(b)) {
        Act::Delay => Reaction::Resend(retrying(config().delay_ms)),
        Act::UnknownRelay => Reaction::Resend(Retrying { relay: Some("nowhere".to_owned()), ..retrying(1_000) }),
        Act::Hold => hold(false),
        Act::HoldUrgent => hold(true),
        Act::Suppress => Reaction::Suppress(Suppressing {
            reason: format!("as asked, {:?}", r.report_kind),
            for_ms: Some(config().delay_ms),
            all_categories: false,
            attributes: Vec::new(),
        }),
        Act::Other => Reaction::Other("escalate".to_owned()),
        Act::Attribute => Reaction::Resend(Retrying { attributes: vec![later()], ..retrying(1_000) }),
        _ => Reaction::Note,
    }
}

struct Component;

impl bindings::exports::ecomm::notification::plugin::Guest for Component {
    fn describe() -> Manifest {
        describe()
    }

    fn configure(config: String) -> Result<(), ConfigError> {
        configure(&config)
    }
}

impl bindings::exports::ecomm::notification::renderer::Guest for Component {
    fn render(n: Notification, r: Request) -> Result<Email, String> {
        render(&n, &r)
    }
}

impl bindings::exports::ecomm::notification::policy::Guest for Component {
    fn admit(b: Brief, s: Situation) -> Admission {
        admit(&b, &s)
    }

    fn on_failure(b: Brief, _: Failure, s: Situation) -> Verdict {
        on_failure(&b, &s)
    }
}

impl bindings::exports::ecomm::notification::reports::Guest for Component {
    fn on_report(b: Brief, r: Report, _: Situation) -> Reaction {
        on_report(&b, &r)
    }
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "the component ABI's export glue")]
mod component {
    use super::Component;

    crate::bindings::export!(Component with_types_in crate::bindings);
}
