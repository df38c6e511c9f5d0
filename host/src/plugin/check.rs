//! What the host takes from a plugin. Everything else is refused as a whole, never repaired.

use serde::Serialize;

use super::Fault;
use super::sandbox::Budget;
use crate::notification::report::{Reaction, ReportKind, Reported};
use crate::notification::{Admission, Channel, Sending, Situation, Verdict, bounded};
use crate::shop::text;

/// A mail, as far as a renderer decides it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Email {
    /// One line, not empty.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: Option<String>,
    /// The sender's display name.
    pub from_name: Option<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// More headers, none of which the host owns.
    pub headers: Vec<(String, String)>,
    /// Files.
    pub attachments: Vec<Attachment>,
}

/// A file in a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Shown inline under this id.
    pub content_id: Option<String>,
    /// Its bytes.
    #[serde(skip)]
    pub data: Vec<u8>,
}

impl Attachment {
    /// Its kind, size and content, for people: "application/pdf, 3 bytes, sha256:ba7816bf8f01".
    pub(crate) fn summary(&self) -> String {
        format!("{}, {} bytes, sha256:{}", self.content_type, self.data.len(), &super::digest(&self.data)[..12])
    }
}

/// The longest subject, name, content-id or header value, in bytes: a header line ends at 998 octets (RFC 5322 2.1.1).
pub(super) const HEADER_BYTES_MAX: usize = 900;
/// The most headers that a renderer may add.
pub(super) const HEADERS_MAX: usize = 20;
/// The most files in a mail.
pub(super) const ATTACHMENTS_MAX: usize = 20;

const OWNED: [&str; 13] = [
    "from",
    "sender",
    "to",
    "cc",
    "bcc",
    "date",
    "message-id",
    "reply-to",
    "subject",
    "return-path",
    "received",
    "auto-submitted",
    "mime-version",
];
const OWNED_PREFIXES: [&str; 4] = ["content-", "dkim-", "arc-", "resent-"];

/// Takes a rendered mail or says what is wrong with it.
pub(super) fn email(email: Email, budget: &Budget) -> Result<Email, Fault> {
    let bad = |what: &str| Err(Fault::BadOutput(what.to_owned()));
    if email.subject.trim().is_empty() {
        return bad("the subject is empty");
    }
    if email.text.trim().is_empty() {
        return bad("the text is empty");
    }
    if email.text.contains('\0') || email.html.as_ref().is_some_and(|h| h.contains('\0')) {
        return bad("the text or the HTML holds a NUL");
    }
    let bare = |t: &str| memchr::memchr_iter(b'\r', t.as_bytes()).any(|at| t.as_bytes().get(at + 1) != Some(&b'\n'));
    if bare(&email.text) || email.html.as_deref().is_some_and(bare) {
        return bad("the text or the HTML holds a carriage return without a line feed");
    }
    line("the subject", &email.subject)?;
    if let Some(name) = &email.from_name {
        line("from-name", name)?;
    }
    if let Some(address) = &email.reply_to
        && text::Email::try_from(address.clone()).is_err()
    {
        return bad("reply-to is not an address");
    }
    if email.headers.len() > HEADERS_MAX || email.attachments.len() > ATTACHMENTS_MAX {
        return Err(Fault::BadOutput(format!(
            "a mail may have {HEADERS_MAX} more headers and {ATTACHMENTS_MAX} attachments"
        )));
    }
    for (name, value) in &email.headers {
        header(name, value)?;
    }
    for a in &email.attachments {
        line("an attachment's name", &a.name)?;
        if a.content_type.parse::<ContentType>().is_err() {
            return Err(Fault::BadOutput(format!("\"{}\" is not a media type", bounded(&a.content_type))));
        }
        if let Some(id) = &a.content_id {
            if id.is_empty() || !id.bytes().all(|b| b.is_ascii_graphic() && !b"<>".contains(&b)) {
                return bad("a content-id must be visible ASCII without angle brackets");
            }
            line("a content-id", id)?;
        }
    }
    let bytes = email.text.len()
        + email.html.as_ref().map_or(0, String::len)
        + email.attachments.iter().map(|a| a.data.len()).sum::<usize>();
    if bytes > budget.output_bytes_max {
        return Err(Fault::Output(budget.output_bytes_max));
    }
    Ok(email)
}

fn header(name: &str, value: &str) -> Result<(), Fault> {
    // RFC 5322 2.2: printable ASCII without the colon.
    let fits = !name.is_empty() && name.len() <= 70 && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    if !fits {
        return Err(Fault::BadOutput(format!("\"{}\" is not a header's name", bounded(name))));
    }
    let lower = name.to_ascii_lowercase();
    if OWNED.contains(&lower.as_str()) || OWNED_PREFIXES.iter().any(|p| lower.starts_with(p)) {
        return Err(Fault::BadOutput(format!("the header {name} is the host's to set")));
    }
    line(&format!("the header {name}"), value)
}

fn line(what: &str, value: &str) -> Result<(), Fault> {
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Fault::BadOutput(format!("{what} holds a line break or another control character")));
    }
    if value.len() > HEADER_BYTES_MAX {
        return Err(Fault::BadOutput(format!("{what} has more than {HEADER_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// A media type without parameters (RFC 6838 4.2).
struct ContentType;

impl std::str::FromStr for ContentType {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        let token = |t: &str| {
            (1..=127).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        match s.split_once('/') {
            Some((kind, subtype)) if token(kind) && token(subtype) && kind != "multipart" => Ok(Self),
            _ => Err(()),
        }
    }
}

/// Takes an admission, or says that it names no relay of ours or merges with nothing. A policy that knows mails alone may do
/// both of a request: it goes to its endpoint, and each change by itself.
pub(super) fn admission(admission: Admission, s: &Situation) -> Result<Admission, Fault> {
    match &admission {
        Admission::Merge if s.channel == Channel::Webhook => return Ok(Admission::Send(Sending::default())),
        Admission::Send(sending) if s.channel == Channel::Webhook => {
            return Ok(Admission::Send(Sending { relay: None, ..sending.clone() }));
        }
        Admission::Send(Sending { relay: Some(name), .. }) => known(name, s)?,
        Admission::Merge if s.queued.is_empty() => {
            return Err(Fault::BadOutput("merges with the next change, and none is queued".to_owned()));
        }
        _ => {}
    }
    Ok(admission)
}

/// Takes a verdict, or says that it names no relay of ours.
pub(super) fn verdict(verdict: Verdict, s: &Situation) -> Result<Verdict, Fault> {
    match &verdict {
        Verdict::Retry(after_ms, Some(_)) if s.channel == Channel::Webhook => Ok(Verdict::Retry(*after_ms, None)),
        Verdict::Retry(_, Some(name)) => known(name, s).map(|()| verdict),
        _ => Ok(verdict),
    }
}

/// Takes what a policy makes of a report, or says that it names no relay of ours or sends again what did not come back.
pub(super) fn reaction(reaction: Reaction, r: &Reported, s: &Situation) -> Result<Reaction, Fault> {
    match &reaction {
        Reaction::Resend(..) if r.kind != ReportKind::Bounced => {
            let kind = r.kind.as_str();
            Err(Fault::BadOutput(format!("only a mail that bounced can be sent again; this report says \"{kind}\"")))
        }
        Reaction::Resend(_, Some(name)) => known(name, s).map(|()| reaction),
        _ => Ok(reaction),
    }
}

fn known(name: &str, s: &Situation) -> Result<(), Fault> {
    if s.relays.iter().any(|r| r.name == name) {
        return Ok(());
    }
    Err(Fault::BadOutput(format!("there is no relay \"{}\"", bounded(name))))
}

#[cfg(test)]
mod tests {
    use super::{Attachment, Email, email};
    use crate::plugin::Budget;

    fn refused(change: impl FnOnce(&mut Email)) -> String {
        let budget =
            Budget { fuel_max: 1, fuel_per_line: 0, time_ms_max: 1, memory_bytes_max: 1, output_bytes_max: 1_000 };
        let mut mail = Email { subject: "s".to_owned(), text: "t".to_owned(), ..Email::default() };
        assert!(email(mail.clone(), &budget).is_ok());
        change(&mut mail);
        email(mail, &budget).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_is_not_a_mail_is_refused() {
        insta::assert_snapshot!(refused(|m| m.subject = "a\r\nBcc: b@c.de".to_owned()), @"answered what cannot be used: the subject holds a line break or another control character");
        insta::assert_snapshot!(refused(|m| m.subject.clear()), @"answered what cannot be used: the subject is empty");
        insta::assert_snapshot!(refused(|m| m.text = " \n".to_owned()), @"answered what cannot be used: the text is empty");
        insta::assert_snapshot!(refused(|m| m.html = Some("\0".to_owned())), @"answered what cannot be used: the text or the HTML holds a NUL");
        insta::assert_snapshot!(refused(|m| m.text = "a\r.\r\n".to_owned()), @"answered what cannot be used: the text or the HTML holds a carriage return without a line feed");
        insta::assert_snapshot!(refused(|m| m.from_name = Some("a\nb".to_owned())), @"answered what cannot be used: from-name holds a line break or another control character");
        insta::assert_snapshot!(refused(|m| m.reply_to = Some("x".to_owned())), @"answered what cannot be used: reply-to is not an address");
        for name in ["Message-ID", "to", "Content-Type", "DKIM-Signature", "ARC-Seal"] {
            let why = refused(|m| m.headers.push((name.to_owned(), "x".to_owned())));
            assert!(why.contains("host's to set"), "{why}");
        }
        insta::assert_snapshot!(refused(|m| m.headers.push(("X: y".to_owned(), "z".to_owned()))), @r#"answered what cannot be used: "X: y" is not a header's name"#);
        insta::assert_snapshot!(refused(|m| m.headers.push(("X-A".to_owned(), "z\n".to_owned()))), @"answered what cannot be used: the header X-A holds a line break or another control character");
        insta::assert_snapshot!(refused(|m| m.text = "x".repeat(1_001)), @"answered more than 1000 bytes");
        let file = |content_type: &str, id: &str| Attachment {
            name: "a".to_owned(),
            content_type: content_type.to_owned(),
            content_id: Some(id.to_owned()),
            data: Vec::new(),
        };
        insta::assert_snapshot!(refused(|m| m.attachments.push(file("text", "x"))), @r#"answered what cannot be used: "text" is not a media type"#);
        insta::assert_snapshot!(refused(|m| m.attachments.push(file("text/plain", "<x>"))), @"answered what cannot be used: a content-id must be visible ASCII without angle brackets");
        insta::assert_snapshot!(refused(|m| m.attachments.push(file("text/plain", &"x".repeat(901)))), @"answered what cannot be used: a content-id has more than 900 bytes");
    }
}
