//! What the hosts of all tests log, at every level of ours: no address, name, password, token, secret or word of a mail.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::app::{PASSWORD, SECRET};
use crate::harness::tests;

/// Ours at every level; of what we build on, what an operator can turn up without seeing what goes over the wire.
const FILTER: &str = "info,ecomm=trace,sqlx=debug,lettre=trace,tonic=debug,axum=trace,tower_http=trace";

/// What tests call their customers, what mails greet them with, and how tokens and private keys begin.
const SECRETS: [&str; 8] =
    ["ada@", "admin@shop.example", "Lovelace", PASSWORD, SECRET, "eyJ", "PRIVATE KEY", "Thank you for your order"];

tests! {
    once {
        every_line_is_looked_at
    }
    without_runtime {
        every_field_is_told
    }
}

/// The guide's table of fields is that of the sources.
fn every_field_is_told() {
    let mut used = BTreeSet::new();
    for (file, text) in crate::tidy::code(&[""]) {
        for (at, _) in text.match_indices("tracing::") {
            let Some((level, rest)) = text[at + "tracing::".len()..].split_once("!(") else { continue };
            if !["error", "warn", "info", "debug", "trace"].contains(&level) {
                continue;
            }
            let fields = rest.split('"').next().unwrap();
            for field in fields.split(',').map(str::trim).filter(|f| !f.is_empty() && !f.starts_with("target:")) {
                let (name, _) = field.split_once(" = ").unwrap_or_else(|| panic!("{file}: {field} has no name"));
                used.insert(name.to_owned());
            }
        }
    }
    let guide = include_str!("../../../docs/operators.md").split_once("### The log").unwrap().1;
    let rows = guide.lines().skip_while(|line| !line.starts_with("| ---")).skip(1).take_while(|l| l.starts_with('|'));
    let told = rows.flat_map(|row| row.split('|').nth(1).unwrap().split(','));
    let told: BTreeSet<_> = told.map(|name| name.trim().trim_matches('`').to_owned()).collect();
    assert!(used.len() > 15);
    assert_eq!(used, told);
}

async fn every_line_is_looked_at() {
    assert!(is_leak("to=<ada@example.com>") && is_leak("authorization: Bearer eyJhbGciOi"));
    assert!(!is_leak("notification.id=7 an outcome is not recorded yet"));
    let before = LINES.load(Ordering::Relaxed);
    tracing::trace!(target: "ecomm::anywhere", "the lowest level of ours");
    assert!(LINES.load(Ordering::Relaxed) > before);
}

fn is_leak(line: &str) -> bool {
    SECRETS.iter().any(|secret| line.contains(secret))
}

static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Statements of the tests themselves.
static EXPECTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LINES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static STATEMENTS: Cell<usize> = const { Cell::new(0) };
}

/// How many statements the store's driver reported on this thread.
pub fn statements() -> usize {
    STATEMENTS.get()
}

/// A test makes this statement itself: it may say what hosts bind.
pub fn expect(sql: &str) {
    if is_leak(sql) {
        EXPECTED.lock().unwrap_or_else(PoisonError::into_inner).push(sql.to_owned());
    }
}

/// Looks at each line from now on.
pub fn watch() {
    let filter = tracing_subscriber::EnvFilter::new(FILTER);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Sieve);
    log.init();
}

/// # Errors
/// The lines that tell what they must not.
pub fn are_discreet() -> Result<(), String> {
    let leaks = LEAKS.lock().unwrap_or_else(PoisonError::into_inner);
    if leaks.is_empty() { Ok(()) } else { Err(leaks.join("\n")) }
}

struct Sieve;

impl Write for Sieve {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.fetch_add(1, Ordering::Relaxed);
        let text = String::from_utf8_lossy(line);
        if text.contains(" sqlx::query: ") {
            STATEMENTS.set(STATEMENTS.get() + 1);
        }
        let is_expected =
            || EXPECTED.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|sql| text.contains(sql.as_str()));
        if is_leak(&text) && !is_expected() {
            LEAKS.lock().unwrap_or_else(PoisonError::into_inner).push(text.trim_end().to_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
