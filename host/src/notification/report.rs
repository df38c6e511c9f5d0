//! What other servers say of a mail after a relay took it: it was delivered, it is late, it came back, it was unwanted.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Holding, Situation};
use crate::clock::DAY_MS;
use crate::suppression::BOUNCED_MS;

/// What became of a mail after a relay took it, as far as it is known. What is further down outweighs what is above: it counts
/// whichever report arrives first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// A server could not hand it over yet and goes on trying.
    Delayed,
    /// A server says that it handed it over.
    Delivered,
    /// It came back: no server tries any more.
    Bounced,
    /// Its recipient reported it as unwanted.
    Complained,
}

impl Delivery {
    /// All of them, the weightiest last.
    pub const ALL: [Self; 4] = [Self::Delayed, Self::Delivered, Self::Bounced, Self::Complained];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::Complained => "complained",
        }
    }
}

impl TryFrom<String> for Delivery {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|delivery| delivery.as_str() == text);
        found.ok_or_else(|| format!("\"{text}\" is no delivery: delayed, delivered, bounced or complained"))
    }
}

/// What a report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReportKind {
    /// The mail is late (RFC 3464 2.3.3, "delayed").
    Delayed,
    /// It was handed over ("delivered").
    Delivered,
    /// It came back ("failed").
    Bounced,
    /// Its recipient complained (RFC 5965).
    Complained,
    /// A machine answered (RFC 3834), as where somebody is on holiday.
    Answered,
    /// Something that says nothing of the delivery, or not in a form that is known.
    Other,
}

impl ReportKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Delayed, Self::Delivered, Self::Bounced, Self::Complained, Self::Answered, Self::Other];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Other => "other",
            Self::Delayed | Self::Delivered | Self::Bounced | Self::Complained => {
                self.delivery().map_or("", Delivery::as_str)
            }
        }
    }

    /// What is known of the delivery by it.
    pub fn delivery(self) -> Option<Delivery> {
        match self {
            Self::Delayed => Some(Delivery::Delayed),
            Self::Delivered => Some(Delivery::Delivered),
            Self::Bounced => Some(Delivery::Bounced),
            Self::Complained => Some(Delivery::Complained),
            Self::Answered | Self::Other => None,
        }
    }
}

impl TryFrom<String> for ReportKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| format!("\"{text}\" is no kind of report"))
    }
}

/// A report, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DeliveryReport)]
pub struct Report {
    /// What it says.
    pub kind: ReportKind,
    /// The enhanced status code (RFC 3463), where one is given.
    pub enhanced: Option<String>,
    /// The remote server's words, cut to [`super::REPLY_BYTES_MAX`].
    pub words: String,
    /// Who says so: a server's name, as it gives it.
    pub reporter: String,
    /// When it arrived here, unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub received_at: i64,
    /// Whether the mail was sent once more since: it says nothing of what became of it.
    pub is_past: bool,
}

/// One thing that a mail says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What it is.
    pub kind: ReportKind,
    /// The enhanced status code.
    pub enhanced: Option<String>,
    /// In the remote server's words.
    pub words: String,
    /// Which server says so.
    pub reporter: String,
    /// Of whom it says so; nobody when it does not tell.
    pub recipients: Vec<String>,
    /// SHA-256 in hex: the same for the same thing said again.
    pub digest: String,
}

/// What a mail says, and of which mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What it says.
    pub said: Vec<Said>,
    /// Where the mail that it is about would come back to, as it quotes it.
    pub return_path: Option<String>,
    /// The Message-ID of that mail, without angle brackets, as it quotes it.
    pub message_id: Option<String>,
}

/// A report, as a policy is told of it; see `wit/v1/reports.wit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// When it arrived, unix milliseconds.
    pub at: i64,
    /// What it says.
    pub kind: ReportKind,
    /// The enhanced status code (RFC 3463).
    pub enhanced: Option<String>,
    /// The remote server's words.
    pub words: String,
    /// Who says so.
    pub reporter: String,
    /// To which relay the mail was handed over last.
    pub relay: String,
    /// When, unix milliseconds.
    pub sent_at: i64,
}

/// What of a report the journal keeps beside its columns: in one text with the situation, which is kept so for every decision.
#[derive(Serialize)]
struct Seen<'a> {
    #[serde(flatten)]
    situation: &'a Situation,
    report: Origin,
}

/// Of a kept text the part that is no situation.
#[derive(Deserialize)]
struct SeenReport {
    report: Origin,
}

#[derive(Serialize, Deserialize)]
struct Origin {
    reporter: String,
    sent_at: i64,
}

impl Reported {
    /// What the journal has as the phase of a decision about a report.
    pub const PHASE: &str = "report";

    /// What a policy saw, as the journal keeps it; the remote server's words are a column of their own, to be forgotten.
    pub fn seen(&self, situation: &Situation) -> String {
        let report = Origin { reporter: self.reporter.clone(), sent_at: self.sent_at };
        serde_json::to_string(&Seen { situation, report }).unwrap_or_default()
    }

    /// The rest of it, as the journal keeps it: who reported, and when the mail was sent.
    pub fn origin(seen: &str) -> Option<(String, i64)> {
        let SeenReport { report } = serde_json::from_str(seen).ok()?;
        Some((report.reporter, report.sent_at))
    }
}

/// A policy's answer to a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reaction {
    /// Nothing more.
    Note,
    /// The mail once more, after so many milliseconds, by the named relay or any.
    Resend(u64, Option<String>),
    /// The address gets no mails for a while.
    Suppress(Suppressing),
    /// Left to an operator.
    Hold(Holding),
}

/// How an address is suppressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suppressing {
    /// Why.
    pub reason: String,
    /// For so many milliseconds; none: as long as the host by itself.
    pub for_ms: Option<u64>,
    /// From mails of every category, or of the reported mail's.
    pub all_categories: bool,
}

/// The shortest time that a policy can have an address suppressed.
const SUPPRESSED_MS_MIN: u64 = 3_600_000;
/// The longest.
const SUPPRESSED_MS_MAX: u64 = 366 * DAY_MS.cast_unsigned();

impl Suppressing {
    /// For how long, in milliseconds, within the host's bounds.
    pub fn bounded_ms(&self) -> i64 {
        self.for_ms.map_or(BOUNCED_MS, |ms| ms.clamp(SUPPRESSED_MS_MIN, SUPPRESSED_MS_MAX).cast_signed())
    }
}

impl Reaction {
    /// The journal's word for it.
    pub fn verdict(&self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Resend(..) => "resend",
            Self::Suppress(_) => "suppress",
            Self::Hold(holding) => holding.verdict(),
        }
    }

    /// The same of one that the host does not do.
    pub fn refused(&self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Resend(..) => "resend-refused",
            Self::Suppress(_) => "suppress-refused",
            Self::Hold(_) => "hold-refused",
        }
    }

    /// Why, in the policy's words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Note | Self::Resend(..) => "",
            Self::Suppress(suppressing) => &suppressing.reason,
            Self::Hold(holding) => &holding.reason,
        }
    }
}

/// The most reports that are kept of one mail, but for one that is the first to say so of the delivery.
pub const REPORTS_MAX: usize = 20;
/// The longest name of who reports, in characters.
pub const REPORTER_CHARS_MAX: usize = 100;

/// A server's words as they are kept: at most [`super::REPLY_BYTES_MAX`], and nothing that a terminal obeys.
pub fn words(text: &str) -> String {
    super::bounded(&text.replace(char::is_control, " "))
}

/// A server's name as it gives it: what a name can be made of, so that it is no address of somebody's.
pub fn reporter(text: &str) -> String {
    let is_part = |c: &char| c.is_ascii_alphanumeric() || "._-:/[]".contains(*c);
    text.trim().chars().take_while(is_part).take(REPORTER_CHARS_MAX).collect()
}

/// Whether what was said is said of an address, or of nobody in particular.
pub fn is_of(said: &Said, address: &str) -> bool {
    let address = address.to_lowercase();
    said.recipients.is_empty() || said.recipients.iter().any(|recipient| recipient.to_lowercase() == address)
}

/// The longest enhanced status code: three digits each behind the class (RFC 3463 2).
const STATUS_CHARS_MAX: usize = 9;

/// The enhanced status code (RFC 3463) in a report's status; the one in the remote server's words where this one leaves open what it was (x.0.0).
pub fn status_code(status: &str, diagnostic: &str) -> Option<String> {
    let is_code = |word: &str| {
        let mut parts = word.split('.');
        let class = parts.next().is_some_and(|class| ["2", "4", "5"].contains(&class));
        let mut is_number =
            || parts.next().is_some_and(|n| (1..=3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()));
        class && is_number() && is_number() && parts.next().is_none() && word.len() <= STATUS_CHARS_MAX
    };
    let find = |text: &str| {
        let mut words = text.split(|c: char| c.is_whitespace() || "-()[]:;,".contains(c));
        words.find(|word| is_code(word)).map(str::to_owned)
    };
    let given = find(status);
    if given.as_ref().is_none_or(|code| code.ends_with(".0.0")) { find(diagnostic).or(given) } else { given }
}

/// What is known of a delivery by all its reports.
pub fn delivery(reports: &[Report]) -> Option<Delivery> {
    reports.iter().filter(|report| !report.is_past).filter_map(|report| report.kind.delivery()).max()
}

#[cfg(test)]
mod tests {
    use super::{Delivery, Report, ReportKind, delivery};

    #[test]
    fn what_weighs_more_counts_whichever_came_first() {
        let report = |kind| Report {
            kind,
            enhanced: None,
            words: String::new(),
            reporter: String::new(),
            received_at: 0,
            is_past: false,
        };
        let of = |kinds: &[ReportKind]| delivery(&kinds.iter().copied().map(report).collect::<Vec<_>>());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[ReportKind::Other, ReportKind::Answered]), None);
        assert_eq!(of(&[ReportKind::Bounced, ReportKind::Delayed]), Some(Delivery::Bounced));
        assert_eq!(of(&[ReportKind::Delayed, ReportKind::Delivered]), Some(Delivery::Delivered));
        assert_eq!(of(&[ReportKind::Complained, ReportKind::Delivered]), Some(Delivery::Complained));
        let mut past = report(ReportKind::Bounced);
        past.is_past = true;
        assert_eq!(delivery(&[past, report(ReportKind::Delayed)]), Some(Delivery::Delayed));
        for kind in ReportKind::ALL {
            assert_eq!(ReportKind::try_from(kind.as_str().to_owned()), Ok(kind));
        }
    }
}
