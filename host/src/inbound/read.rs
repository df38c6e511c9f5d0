//! What a mail that comes back says: a delivery status notification (RFC 3464, in a multipart/report of RFC 6522), a complaint
//! (ARF, RFC 5965) or an automatic reply (RFC 3834). Pure; whatever the bytes are, it ends and fails no one.

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders as _, PartType};
use sha2::{Digest as _, Sha256};

use crate::notification::bounded;
use crate::notification::report::{REPORTER_CHARS_MAX, Reading, ReportKind, Said, status_code};

/// What is read of a mail; what is behind it is the mail that it is about.
pub const BYTES_MAX: usize = 256 << 10;
/// The most recipients of one mail that are read.
const RECIPIENTS_MAX: usize = 10;

/// Reads a mail. `from_nobody`: its reverse path was empty, as that of a machine's message is. None: somebody wrote it.
pub fn read(bytes: &[u8], from_nobody: bool) -> Option<Reading> {
    let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
    // What a parser has not thought of must not bring the mail back for ever.
    std::panic::catch_unwind(|| read_message(bytes, from_nobody)).ok()?
}

fn read_message(bytes: &[u8], from_nobody: bool) -> Option<Reading> {
    let message = MessageParser::default().parse(bytes)?;
    let identity = match message.message_id() {
        Some(id) => Sha256::digest(id.as_bytes()),
        None => Sha256::digest(bytes),
    };
    let digest = |nth: usize, what: &str| {
        let mut hash = Sha256::new();
        hash.update(identity);
        hash.update(nth.to_be_bytes());
        hash.update(what);
        crate::hex::encode(&hash.finalize())
    };
    let mut reading = quoted(&message);
    let status = part(&message, &["delivery-status", "global-delivery-status"]);
    let feedback = part(&message, &["feedback-report"]);
    if let Some(part) = status {
        reading.said = statuses(&fields(part), &digest);
    } else if let Some(part) = feedback {
        let (said, return_path) = complaint(&fields(part), &digest);
        reading.said.push(said);
        reading.return_path = return_path.or(reading.return_path);
    }
    if reading.said.is_empty() {
        let kind = if is_answer(&message) { ReportKind::Answered } else { ReportKind::Other };
        if kind == ReportKind::Other && !from_nobody {
            return None;
        }
        let words = bounded(message.subject().unwrap_or_default());
        let reporter = message.from().and_then(|from| from.first()).and_then(|from| from.address());
        let reporter = reporter.and_then(|address| address.rsplit_once('@')).map_or("", |(_, domain)| domain);
        let digest = digest(0, kind.as_str());
        reading.said.push(Said { kind, enhanced: None, words, reporter: name(reporter), digest });
    }
    Some(reading)
}

/// The first part of type message and one of these subtypes.
fn part<'a, 'm>(message: &'a Message<'m>, subtypes: &[&str]) -> Option<&'a MessagePart<'m>> {
    message.parts.iter().find(|part| {
        part.content_type().is_some_and(|media| {
            media.c_type.eq_ignore_ascii_case("message")
                && media.c_subtype.as_ref().is_some_and(|of| subtypes.iter().any(|s| of.eq_ignore_ascii_case(s)))
        })
    })
}

/// What it quotes of the mail that it is about.
fn quoted(message: &Message<'_>) -> Reading {
    for part in message.parts.iter().skip(1) {
        let of = |original: &Message<'_>| Reading {
            said: Vec::new(),
            return_path: original.return_address().map(str::to_owned),
            message_id: original.message_id().map(str::to_owned),
        };
        let found = match &part.body {
            PartType::Message(original) => Some(of(original)),
            _ if is_headers(part) => MessageParser::default().parse_headers(part.contents()).as_ref().map(of),
            _ => None,
        };
        if let Some(found) = found.filter(|found| found.message_id.is_some()) {
            return found;
        }
    }
    Reading::default()
}

/// Whether a part holds the headers of a mail alone, or a mail that the parser leaves as it is.
fn is_headers(part: &MessagePart<'_>) -> bool {
    part.content_type().is_some_and(|media| {
        let of = media.c_subtype.as_deref().unwrap_or_default();
        ["rfc822-headers", "global-headers", "rfc822", "global"].iter().any(|s| of.eq_ignore_ascii_case(s))
    })
}

/// Groups of fields, each name in lower case; groups are parted by an empty line.
type Groups = Vec<Vec<(String, String)>>;

fn fields(part: &MessagePart<'_>) -> Groups {
    let text = String::from_utf8_lossy(part.contents()).replace("\r\n", "\n");
    let mut groups = Groups::new();
    let mut group: Vec<(String, String)> = Vec::new();
    for line in text.split('\n') {
        if line.trim().is_empty() {
            if !group.is_empty() {
                groups.push(std::mem::take(&mut group));
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = group.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            group.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    groups.extend(Some(group).filter(|group| !group.is_empty()));
    groups
}

fn field<'a>(group: &'a [(String, String)], name: &str) -> &'a str {
    group.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// What stands behind the type of a value such as "dns; mx.example" or "smtp; 550 5.1.1 no such user".
fn value(typed: &str) -> &str {
    typed.split_once(';').map_or(typed, |(_, value)| value).trim()
}

/// What a delivery status notification says of each recipient (RFC 3464 2.3).
fn statuses(groups: &[Vec<(String, String)>], digest: &dyn Fn(usize, &str) -> String) -> Vec<Said> {
    let reporting = groups.first().map_or("", |group| value(field(group, "reporting-mta")));
    let recipients = groups.iter().filter(|group| !field(group, "action").is_empty()).take(RECIPIENTS_MAX);
    let said = |(nth, group): (usize, &Vec<(String, String)>)| {
        let kind = match field(group, "action").split([' ', '(']).next().unwrap_or_default() {
            action if action.eq_ignore_ascii_case("failed") => ReportKind::Bounced,
            action if action.eq_ignore_ascii_case("delayed") => ReportKind::Delayed,
            action if action.eq_ignore_ascii_case("delivered") => ReportKind::Delivered,
            // Relayed or expanded: another server knows more, and need not say so.
            _ => ReportKind::Other,
        };
        let diagnostic = value(field(group, "diagnostic-code"));
        let remote = value(field(group, "remote-mta"));
        Said {
            kind,
            enhanced: status_code(field(group, "status"), diagnostic),
            words: bounded(if diagnostic.is_empty() { field(group, "status") } else { diagnostic }),
            reporter: name(if remote.is_empty() { reporting } else { remote }),
            digest: digest(nth, field(group, "action")),
        }
    };
    recipients.enumerate().map(said).collect()
}

/// What a complaint says (RFC 5965 3), and where the mail would have come back to.
fn complaint(groups: &[Vec<(String, String)>], digest: &dyn Fn(usize, &str) -> String) -> (Said, Option<String>) {
    let all = groups.concat();
    let feedback = field(&all, "feedback-type");
    let is_complaint = ["abuse", "fraud"].iter().any(|kind| feedback.eq_ignore_ascii_case(kind));
    let kind = if is_complaint { ReportKind::Complained } else { ReportKind::Other };
    let reporter = [field(&all, "reporting-mta"), field(&all, "user-agent")].into_iter().find(|by| !by.is_empty());
    let said = Said {
        kind,
        enhanced: None,
        words: bounded(&format!("feedback type: {feedback}")),
        reporter: name(value(reporter.unwrap_or_default())),
        digest: digest(0, feedback),
    };
    let from = field(&all, "original-mail-from").trim_matches(['<', '>']);
    (said, Some(from.to_owned()).filter(|from| !from.is_empty()))
}

/// Whether a machine answers for somebody (RFC 3834 5), or says so in one of the ways that are older than that.
fn is_answer(message: &Message<'_>) -> bool {
    let says = |name: &'static str| message.header_raw(name).map(|value| value.trim().to_ascii_lowercase());
    says("Auto-Submitted").is_some_and(|value| value.starts_with("auto-replied"))
        || ["X-Autoreply", "X-Autorespond"].iter().any(|name| says(name).is_some())
        || says("Precedence").is_some_and(|value| value == "auto_reply")
}

fn name(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(REPORTER_CHARS_MAX).collect()
}
