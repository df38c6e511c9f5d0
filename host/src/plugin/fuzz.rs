//! What a component may be, and what it may say of itself; see [`crate::fuzz`].

use super::gate::contract;
use super::{Budget, Email, Fault, Manifest, Slot, check};
use crate::fuzz::texts;

/// A component, up to where the compiler begins.
pub(crate) fn components(bytes: &[u8]) {
    let (start, rest) = bytes.split_at(bytes.len().min(5));
    let begins = contract::check_start(start, rest);
    let kind = contract::check_kind(bytes);
    assert!(begins.is_ok() || kind.is_err(), "what is refused at its start is refused as a whole");
    let Ok(anatomy) = contract::anatomy(bytes) else { return };
    for slot in Slot::ALL {
        let _ = contract::check(slot, &anatomy);
    }
}

/// A config's schema, and a config.
pub(crate) fn schemas(bytes: &[u8]) {
    let mut parts = texts(bytes);
    let schema = parts.next().unwrap_or_default().to_owned();
    let text = |text: &str| text.to_owned();
    let manifest = Manifest { name: text("a"), version: text("1"), config_schema: schema, ..Manifest::default() };
    let Ok(manifest) = manifest.check() else { return };
    let _ = manifest.check_config(parts.next().unwrap_or("{}"));
}

/// What is taken of a rendered mail.
pub(crate) fn take(email: Email) -> Result<Email, Fault> {
    let budget =
        Budget { fuel_max: 1, fuel_per_line: 1, time_ms_max: 1, memory_bytes_max: 1 << 20, output_bytes_max: 1 << 20 };
    check::email(email, &budget)
}
