//! Postmark: one record, called with a user and a password that stand in the webhook's address (RFC 7617). It keeps no Message-ID
//! of ours: a mail says by its metadata which it is (`[mail.headers]`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Refusal, reading, report, text};
use crate::notification::report::{Reading, ReportKind};

pub(super) fn check<'h>(key: &str, header: impl Fn(&str) -> Option<&'h str>) -> Result<(), Refusal> {
    let expected = format!("Basic {}", STANDARD.encode(key));
    let given = header("authorization").unwrap_or_default();
    // How long it takes to compare hashes tells nothing of what was hashed.
    let is_theirs = Sha256::digest(expected) == Sha256::digest(given);
    if is_theirs { Ok(()) } else { Err(Refusal::Distrusted("the user and password of its address are not the key's")) }
}

pub(super) fn read(said: &Value) -> Vec<Reading> {
    let kind = match (text(said, "/RecordType"), text(said, "/Type")) {
        ("Bounce", "SpamComplaint") | ("SpamComplaint", _) => ReportKind::Complained,
        ("Bounce", "AutoResponder") => ReportKind::Answered,
        (
            "Bounce",
            "Transient" | "DnsError" | "ChallengeVerification" | "OpenRelayTest" | "Subscribe" | "Unsubscribe",
        ) => ReportKind::Other,
        ("Bounce", _) => ReportKind::Bounced,
        ("Delivery", _) => ReportKind::Delivered,
        _ => return Vec::new(),
    };
    let words = [text(said, "/Details"), text(said, "/Description")].into_iter().find(|words| !words.is_empty());
    // A bounce has a number of its own; a delivery is its mail's only one.
    let id = said.get("ID").map(ToString::to_string).unwrap_or_default() + text(said, "/MessageID");
    // It says of a hard bounce that there is no such mailbox, not always by which code.
    let status = if text(said, "/Type") == "HardBounce" { "5.1.1" } else { "" };
    let recipient = [text(said, "/Email"), text(said, "/Recipient")].into_iter().find(|to| !to.is_empty());
    let words = (status, words.unwrap_or_default());
    let said_of_it = report(kind, ("postmark", &id), words, "postmark", recipient.unwrap_or_default());
    let metadata = said.get("Metadata").and_then(Value::as_object);
    let mut values = metadata.into_iter().flat_map(|metadata| metadata.values()).filter_map(Value::as_str);
    let return_path = values.find(|value| value.contains('@')).unwrap_or_default();
    vec![reading(said_of_it, return_path, "")]
}
