//! Which fields of two answers differ, and how.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use similar::TextDiff;

use super::html::Page;
use super::{Attachment, Email};
use crate::notification::report::{Reaction, Suppressing};
use crate::notification::{Admission, Holding, Sending, Verdict};

/// A field of an answer that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = PluginDifference)]
pub struct Difference {
    /// "subject", "text", "html", "from-name", "reply-to", "headers", "attachments", "admission", "verdict", "reaction".
    pub field: String,
    /// Lines that went begin with "-", those that came with "+"; of HTML one line for each element and each text.
    pub diff: String,
}

/// The longest diff of one field, in bytes; more is cut.
const DIFF_BYTES_MAX: usize = 8_000;
/// The longest text whose lines are compared, in bytes.
const COMPARED_BYTES_MAX: usize = 512 << 10;

/// The fields in which two mails differ.
pub(crate) fn fields(before: &Email, after: &Email) -> Vec<&'static str> {
    let differs = [
        ("subject", before.subject != after.subject),
        ("from-name", before.from_name != after.from_name),
        ("reply-to", before.reply_to != after.reply_to),
        ("headers", before.headers != after.headers),
        ("text", before.text != after.text),
        ("html", before.html != after.html),
        ("attachments", before.attachments != after.attachments),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}

/// How two mails differ, field by field.
pub(crate) fn emails(before: &Email, after: &Email) -> Vec<Difference> {
    let lines = |field: &str, email: &Email| match field {
        "subject" => email.subject.clone(),
        "from-name" => email.from_name.clone().unwrap_or_default(),
        "reply-to" => email.reply_to.clone().unwrap_or_default(),
        "headers" => email.headers.iter().fold(String::new(), |all, (name, value)| all + name + ": " + value + "\n"),
        "text" => email.text.clone(),
        "html" => email.html.as_deref().map(|html| Page::read(html).outline).unwrap_or_default(),
        _ => email.attachments.iter().fold(String::new(), |all, file| all + &described(file) + "\n"),
    };
    let differ = |field: &&str| difference(field, &lines(field, before), &lines(field, after));
    fields(before, after).iter().map(differ).collect()
}

/// How two decisions differ, in words; `field` is "admission", "verdict" or "reaction".
pub(crate) fn decision(field: &'static str, before: &str, after: &str) -> Option<Difference> {
    (before != after).then(|| difference(field, before, after))
}

/// An admission, for people.
pub(crate) fn admission_in_words(admission: &Admission) -> String {
    match admission {
        Admission::Send(Sending { relay, ab_variant, ignores_suppression }) => {
            let variant = ab_variant.as_ref().map(|variant| format!(" as variant {variant}")).unwrap_or_default();
            let all_the_same = if *ignores_suppression { " though the address bounced" } else { "" };
            format!("send{}{variant}{all_the_same}", by(relay.as_deref()))
        }
        Admission::Wait(ms) => format!("wait {ms} ms"),
        Admission::Skip(why) => format!("skip: {why}"),
        Admission::Hold(holding) => hold(holding),
        Admission::Merge => "merge".to_owned(),
    }
}

/// A verdict, for people.
pub(crate) fn verdict_in_words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Retry(ms, relay) => format!("retry after {ms} ms{}", by(relay.as_deref())),
        Verdict::GiveUp(why) => format!("give up: {why}"),
        Verdict::Hold(holding) => hold(holding),
    }
}

/// A reaction to a report, for people.
pub(crate) fn reaction_in_words(reaction: &Reaction) -> String {
    match reaction {
        Reaction::Note => "note".to_owned(),
        Reaction::Resend(ms, relay) => format!("resend after {ms} ms{}", by(relay.as_deref())),
        Reaction::Suppress(suppressing) => {
            let Suppressing { reason, for_ms, all_categories } = suppressing;
            let what = if *all_categories { "all categories" } else { "its category" };
            let time = for_ms.map(|ms| format!(" for {ms} ms")).unwrap_or_default();
            format!("suppress {what}{time}: {reason}")
        }
        Reaction::Hold(holding) => hold(holding),
    }
}

fn by(relay: Option<&str>) -> String {
    relay.map(|relay| format!(" by {relay}")).unwrap_or_default()
}

fn hold(holding: &Holding) -> String {
    format!("hold{}: {}", if holding.urgent { " as urgent" } else { "" }, holding.reason)
}

fn difference(field: &str, before: &str, after: &str) -> Difference {
    let field = field.to_owned();
    if before.len().max(after.len()) > COMPARED_BYTES_MAX {
        let diff = format!("-{} bytes\n+{} bytes, too many to compare\n", before.len(), after.len());
        return Difference { field, diff };
    }
    let lines = TextDiff::from_lines(before, after);
    let mut diff = lines.unified_diff().context_radius(2).missing_newline_hint(false).to_string();
    if before.lines().eq(after.lines()) {
        // Nothing that is seen in lines.
        let _ = writeln!(diff, "(only in white space, or in what no mail program shows)");
    }
    if diff.len() > DIFF_BYTES_MAX {
        diff.truncate(diff.floor_char_boundary(DIFF_BYTES_MAX));
        diff.push_str("\n(cut)\n");
    }
    Difference { field, diff }
}

fn described(file: &Attachment) -> String {
    let id = file.content_id.as_ref().map(|id| format!(", shown as {id}")).unwrap_or_default();
    format!("{} ({}{id})", file.name, file.summary())
}

#[cfg(test)]
mod tests {
    use super::{Email, emails};

    #[test]
    fn a_mail_differs_by_field_and_element() {
        let html = |total: &str| {
            Some(format!("<table><tr><td align=right>Total:\n <b>{total}</b></td></tr></table><p>Same</p>"))
        };
        let mail = |subject: &str, total: &str| Email {
            subject: subject.to_owned(),
            text: format!("Hello\n\nTotal: {total}\n"),
            html: html(total),
            headers: vec![("X-A".to_owned(), "1".to_owned())],
            ..Email::default()
        };
        assert_eq!(emails(&mail("a", "€1"), &mail("a", "€1")), []);
        let told: String = emails(&mail("a", "€1"), &mail("b", "€2"))
            .into_iter()
            .flat_map(|d| [d.field, "\n".to_owned(), d.diff])
            .collect();
        insta::assert_snapshot!(told, @r#"
        subject
        @@ -1 +1 @@
        -a
        +b
        text
        @@ -1,3 +1,3 @@
         Hello
         
        -Total: €1
        +Total: €2
        html
        @@ -4,5 +4,5 @@
               Total:
               <b>
        -        €1
        +        €2
               </b>
             </td>
        "#);
        let spaced = Email { html: Some("<p>A</p> ".to_owned()), ..Email::default() };
        let plain = Email { html: Some("<p>A</p>".to_owned()), ..Email::default() };
        assert_eq!(emails(&plain, &spaced)[0].diff, "(only in white space, or in what no mail program shows)\n");
    }
}
