//! What a mail that comes back says: a delivery status notification (RFC 3464, in a multipart/report of RFC 6522), a complaint
//! (ARF, RFC 5965), an automatic reply (RFC 3834), or qmail's notice of failure. Pure; whatever the bytes are, it ends.

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders as _, PartType};
use sha2::{Digest as _, Sha256};

use crate::notification::report::{Reading, ReportKind, Said, reporter, status_code, words};

/// What is read of a mail; what is behind it is the mail that it is about.
pub const BYTES_MAX: usize = 256 << 10;
/// The most recipients of one mail that are read.
const RECIPIENTS_MAX: usize = 10;

/// Reads a mail. `from_nobody`: its reverse path was empty, as that of a machine's message is. None: somebody wrote it.
///
/// # Panics
/// Where the parser has a fault; the mail is then to be taken for [`unreadable`].
pub fn read(bytes: &[u8], from_nobody: bool) -> Option<Reading> {
    let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
    let Some(message) = MessageParser::default().parse(bytes) else {
        return from_nobody.then(|| unreadable(bytes));
    };
    let identity = identity(&message, bytes);
    let digest = |nth: usize, what: &str| {
        let mut hash = Sha256::new();
        hash.update(identity);
        hash.update(nth.to_be_bytes());
        hash.update(what);
        crate::hex::encode(&hash.finalize())
    };
    let mut reading = quoted(&message);
    if let Some(part) = part(&message, &["delivery-status", "global-delivery-status"]) {
        reading.said = statuses(&fields(part), &digest);
    } else if let Some(part) = part(&message, &["feedback-report"]) {
        let (said, return_path) = complaint(&fields(part), &digest);
        reading.said.push(said);
        reading.return_path = return_path.or(reading.return_path);
    }
    if reading.said.is_empty() {
        reading.said.extend(other(&message, from_nobody, &digest));
    }
    (!reading.said.is_empty()).then_some(reading)
}

/// What is noted of a mail that came back and cannot be read.
pub fn unreadable(bytes: &[u8]) -> Reading {
    let said = Said {
        kind: ReportKind::Other,
        enhanced: None,
        words: "it cannot be read".to_owned(),
        reporter: String::new(),
        recipients: Vec::new(),
        digest: crate::hex::encode(&Sha256::digest(bytes)),
    };
    Reading { said: vec![said], ..Reading::default() }
}

/// What a mail is known by: its Message-ID; else what servers do not change on its way, its date and its body.
fn identity(message: &Message<'_>, bytes: &[u8]) -> [u8; 32] {
    let hash = if let Some(id) = message.message_id() {
        Sha256::digest(id.as_bytes())
    } else {
        let body = memchr::memmem::find(bytes, b"\r\n\r\n").map_or(bytes, |at| &bytes[at..]);
        let date = message.header_raw("Date").unwrap_or_default();
        Sha256::new().chain_update(date).chain_update(body).finalize()
    };
    hash.into()
}

/// The first part of type message and one of these subtypes.
fn part<'a, 'm>(message: &'a Message<'m>, subtypes: &[&str]) -> Option<&'a MessagePart<'m>> {
    message.parts.iter().find(|part| is_of(part, "message", subtypes))
}

fn is_of(part: &MessagePart<'_>, kind: &str, subtypes: &[&str]) -> bool {
    part.content_type().is_some_and(|media| {
        media.c_type.eq_ignore_ascii_case(kind)
            && media.c_subtype.as_ref().is_some_and(|of| subtypes.iter().any(|s| of.eq_ignore_ascii_case(s)))
    })
}

/// What it quotes of the mail that it is about.
fn quoted(message: &Message<'_>) -> Reading {
    for part in &message.parts {
        let of = |original: &Message<'_>| Reading {
            said: Vec::new(),
            return_path: original.return_address().map(str::to_owned),
            message_id: original.message_id().map(str::to_owned),
        };
        let found = match &part.body {
            PartType::Message(original) => Some(of(original)),
            _ if is_of(part, "text", &["rfc822-headers"])
                || is_of(part, "message", &["global-headers", "rfc822", "global"]) =>
            {
                MessageParser::default().parse_headers(part.contents()).as_ref().map(of)
            }
            _ => None,
        };
        if let Some(found) = found.filter(|found| found.message_id.is_some() || found.return_path.is_some()) {
            return found;
        }
    }
    Reading::default()
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

/// What stands behind the type of a value such as "dns; mx.example" or "smtp; 550 5.1.1 no such user"; the whole where there is no
/// type, as some servers leave it out.
fn value(typed: &str) -> &str {
    let is_type = |text: &str| {
        let text = text.trim();
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-' || b == b'8' || b == b'2')
    };
    typed.split_once(';').filter(|(kind, _)| is_type(kind)).map_or(typed, |(_, value)| value).trim()
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
        let of = ["final-recipient", "original-recipient"].map(|name| value(field(group, name)));
        Said {
            kind,
            enhanced: status_code(field(group, "status"), diagnostic),
            words: words(if diagnostic.is_empty() { field(group, "status") } else { diagnostic }),
            reporter: reporter(if remote.is_empty() { reporting } else { remote }),
            recipients: addresses(of),
            digest: digest(nth, field(group, "action")),
        }
    };
    recipients.enumerate().map(said).collect()
}

fn addresses<const N: usize>(of: [&str; N]) -> Vec<String> {
    let of = of.map(|address| address.trim_matches(['<', '>']).trim());
    of.into_iter().filter(|address| address.contains('@')).map(str::to_owned).collect()
}

/// What a complaint says (RFC 5965 3), and where the mail would have come back to.
fn complaint(groups: &[Vec<(String, String)>], digest: &dyn Fn(usize, &str) -> String) -> (Said, Option<String>) {
    let all = groups.concat();
    let feedback = field(&all, "feedback-type");
    let is_complaint = ["abuse", "fraud"].iter().any(|kind| feedback.eq_ignore_ascii_case(kind));
    let kind = if is_complaint { ReportKind::Complained } else { ReportKind::Other };
    let by = [field(&all, "reporting-mta"), field(&all, "user-agent")].into_iter().find(|by| !by.is_empty());
    let said = Said {
        kind,
        enhanced: None,
        words: words(&format!("feedback type: {feedback}")),
        reporter: reporter(value(by.unwrap_or_default())),
        recipients: addresses([field(&all, "original-rcpt-to")]),
        digest: digest(0, feedback),
    };
    let from = field(&all, "original-mail-from").trim_matches(['<', '>']);
    (said, Some(from.to_owned()).filter(|from| !from.is_empty()))
}

/// What a mail says that has none of these forms; none: somebody wrote it.
fn other(message: &Message<'_>, from_nobody: bool, digest: &dyn Fn(usize, &str) -> String) -> Option<Said> {
    let from = message.from().and_then(|from| from.first()).and_then(|from| from.address());
    let said = |kind: ReportKind, enhanced, says: &str, recipients| Said {
        kind,
        enhanced,
        words: words(says),
        reporter: reporter(from.and_then(|address| address.rsplit_once('@')).map_or("", |(_, domain)| domain)),
        recipients,
        digest: digest(0, kind.as_str()),
    };
    let subject = message.subject().unwrap_or_default();
    let failed = message.header_raw("X-Failed-Recipients").map(|failed| failed.trim().to_owned());
    if let Some((recipient, says)) = message.body_text(0).as_deref().and_then(of_qmail) {
        return Some(said(ReportKind::Bounced, status_code("", &says), &says, vec![recipient]));
    }
    // Exim's notice, where it is not a report.
    if let Some(failed) = failed {
        let failed: Vec<&str> = failed.split(',').take(RECIPIENTS_MAX).collect();
        let failed = failed.into_iter().flat_map(|address| addresses([address])).collect();
        return Some(said(ReportKind::Bounced, None, subject, failed));
    }
    let is_report = message.parts.first().is_some_and(|root| is_of(root, "multipart", &["report"]));
    if !is_report && is_answer(message) {
        return Some(said(ReportKind::Answered, None, subject, Vec::new()));
    }
    from_nobody.then(|| said(ReportKind::Other, None, subject, Vec::new()))
}

/// Of whom a notice of qmail's says that the mail failed, and why: the paragraph that begins with the address.
fn of_qmail(text: &str) -> Option<(String, String)> {
    let text = text.replace("\r\n", "\n");
    if !text.trim_start().starts_with("Hi. This is the") {
        return None;
    }
    let paragraph = text.split("\n\n").find(|paragraph| paragraph.starts_with('<'))?;
    let (recipient, says) = paragraph.strip_prefix('<')?.split_once(">:")?;
    Some((recipient.to_owned(), says.split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// Whether a machine answers for somebody (RFC 3834 5), or says so in one of the ways that are older than that, or Exchange's.
fn is_answer(message: &Message<'_>) -> bool {
    let says = |name: &'static str| message.header_raw(name).map(|value| value.trim().to_ascii_lowercase());
    let submitted = says("Auto-Submitted").unwrap_or_default();
    submitted.starts_with("auto-replied")
        || (submitted.starts_with("auto-generated") && says("In-Reply-To").is_some())
        || ["X-Autoreply", "X-Autorespond", "X-MS-Exchange-Generated-Message-Source"]
            .iter()
            .any(|name| says(name).is_some())
        || says("Precedence").is_some_and(|value| value == "auto_reply")
}
