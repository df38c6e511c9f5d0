//! What other servers say of a mail after a relay took it: it was delivered, it is late, it came back, it was unwanted.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    reports.iter().filter_map(|report| report.kind.delivery()).max()
}

#[cfg(test)]
mod tests {
    use super::{Delivery, Report, ReportKind, delivery};

    #[test]
    fn what_weighs_more_counts_whichever_came_first() {
        let report =
            |kind| Report { kind, enhanced: None, words: String::new(), reporter: String::new(), received_at: 0 };
        let of = |kinds: &[ReportKind]| delivery(&kinds.iter().copied().map(report).collect::<Vec<_>>());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[ReportKind::Other, ReportKind::Answered]), None);
        assert_eq!(of(&[ReportKind::Bounced, ReportKind::Delayed]), Some(Delivery::Bounced));
        assert_eq!(of(&[ReportKind::Delayed, ReportKind::Delivered]), Some(Delivery::Delivered));
        assert_eq!(of(&[ReportKind::Complained, ReportKind::Delivered]), Some(Delivery::Complained));
        for kind in ReportKind::ALL {
            assert_eq!(ReportKind::try_from(kind.as_str().to_owned()), Ok(kind));
        }
    }
}
