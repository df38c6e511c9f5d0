//! A guest that does what its config says, and none of it is good. For the host's tests.

#[expect(clippy::pedantic, reason = "generated; wit/v1 documents every item")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/v1",
        inline: "
            package test:misbehaving;
            world misbehaving {
                include ecomm:notification/renderer-plugin@1.0.0;
                include ecomm:notification/policy-plugin@1.0.0;
            }
        ",
        world: "test:misbehaving/misbehaving",
        generate_all,
        pub_export_macro: false,
    });
}

use std::sync::OnceLock;

use bindings::ecomm::notification::log::{self, Level};
use bindings::ecomm::notification::types::{Email, Notification};
use bindings::exports::ecomm::notification::policy::{Admission, Failure, Situation, Verdict};
use serde::Deserialize;

/// One key for each export.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    configure: Act,
    render: Act,
    admit: Act,
    on_failure: Act,
    /// What `admit` answers as a wait and `on-failure` as a retry, when their act is `delay`.
    delay_ms: u64,
    /// Fixtures of the gate carry this order number and are left in peace.
    spare_order: Option<String>,
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
    /// Skips the mail.
    Skip,
    /// Logs more and longer lines than allowed.
    Chatter,
}

/// A tenth of a second or a few.
const DAWDLE_ROUNDS: u64 = 180_000_000;

static CONFIG: OnceLock<Config> = OnceLock::new();

fn config() -> &'static Config {
    CONFIG.get_or_init(Config::default)
}

fn act(act: Act, n: Option<&Notification>) -> Act {
    match (&config().spare_order, n) {
        (Some(number), Some(n)) if *number == n.order.number => Act::Behave,
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

/// Takes the config, then does what it says for `configure`.
pub fn configure(json: &str) -> Result<(), String> {
    let parsed: Config = serde_json::from_str(json).map_err(|e| format!("config: {e}"))?;
    let chosen = parsed.configure;
    CONFIG.set(parsed).map_err(|_| "configure was called twice".to_owned())?;
    perform(chosen);
    if chosen == Act::Error { Err("delay_ms: refused as asked".to_owned()) } else { Ok(()) }
}

/// Renders the shortest mail, or misbehaves.
pub fn render(n: &Notification) -> Result<Email, String> {
    let mut email = Email {
        subject: format!("Order {}", n.order.number),
        text: "From the misbehaving guest.".to_owned(),
        html: None,
        from_name: None,
        reply_to: None,
        headers: Vec::new(),
        attachments: Vec::new(),
    };
    match act(config().render, Some(n)) {
        Act::Error => return Err("refused as asked".to_owned()),
        Act::HugeOutput => email.text = "x".repeat(64 << 20),
        Act::InjectHeader => "Hello\r\nBcc: everyone@example.com".clone_into(&mut email.subject),
        Act::OwnedHeader => email.headers.push(("Message-ID".to_owned(), "<mine@example.com>".to_owned())),
        Act::EmptySubject => email.subject.clear(),
        _ => {}
    }
    Ok(email)
}

/// Sends, or misbehaves.
pub fn admit(n: &Notification) -> Admission {
    match act(config().admit, Some(n)) {
        Act::Delay => Admission::Wait(config().delay_ms),
        Act::UnknownRelay => Admission::Send(Some("nowhere".to_owned())),
        Act::HugeOutput => Admission::Skip("x".repeat(64 << 20)),
        Act::Hold => Admission::Hold("held as asked".to_owned()),
        Act::Skip => Admission::Skip("skipped as asked".to_owned()),
        _ => Admission::Send(None),
    }
}

/// Retries, or misbehaves.
pub fn on_failure(n: &Notification) -> Verdict {
    match act(config().on_failure, Some(n)) {
        Act::Delay => Verdict::Retry(config().delay_ms),
        Act::UnknownRelay => Verdict::RetryVia((1_000, "nowhere".to_owned())),
        Act::HugeOutput => Verdict::GiveUp("x".repeat(64 << 20)),
        Act::Hold => Verdict::Hold("held as asked".to_owned()),
        _ => Verdict::Retry(1_000),
    }
}

struct Component;

impl bindings::exports::ecomm::notification::renderer::Guest for Component {
    fn configure(config: String) -> Result<(), String> {
        configure(&config)
    }

    fn render(n: Notification) -> Result<Email, String> {
        render(&n)
    }
}

impl bindings::exports::ecomm::notification::policy::Guest for Component {
    fn configure(config: String) -> Result<(), String> {
        configure(&config)
    }

    fn admit(n: Notification, _: Situation) -> Admission {
        admit(&n)
    }

    fn on_failure(n: Notification, _: Failure, _: Situation) -> Verdict {
        on_failure(&n)
    }
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "the component ABI's export glue")]
mod component {
    use super::Component;

    crate::bindings::export!(Component with_types_in crate::bindings);
}
