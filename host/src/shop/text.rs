//! Validated pieces of text: a value of these types is within its limits and safe in a mail.

use std::fmt;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use utoipa::openapi::schema::ObjectBuilder;

/// Characters that are no control characters, at least one of them no space.
const LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";

macro_rules! text {
    ($(#[doc = $doc_text:literal])* $name:ident, $schema:expr, $check:expr) => {
        $(#[doc = $doc_text])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let describe: fn(ObjectBuilder) -> ObjectBuilder = $schema;
                let text = ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String);
                describe(text).description(Some(concat!($($doc_text),*).trim())).into()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let check: fn(String) -> Result<String, String> = $check;
                check(text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text!(
    /// One line of 1 to 200 characters without control characters.
    Line, |b| b.min_length(Some(1)).max_length(Some(200)).pattern(Some(LINE)), |s| line(s, 200)
);
text!(
    /// One line of at most 200 characters, possibly empty.
    OptionalLine, |b| b.max_length(Some(200)).pattern(Some(format!("^$|{LINE}"))), |s| if s.is_empty() { Ok(s) } else { line(s, 200) }
);
text!(
    /// Up to 10,000 characters of text, possibly empty, line breaks allowed.
    Prose, |b| b.max_length(Some(10_000)).pattern(Some(r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$")), |s| {
        let odd = s.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        if s.chars().count() > 10_000 || odd {
            return Err("must be at most 10,000 characters without control characters".to_owned());
        }
        Ok(s)
    }
);
text!(
    /// 1 to 2,000 characters of text, line breaks allowed, at least one of them no space.
    Note, |b| b.min_length(Some(1)).max_length(Some(2_000)).pattern(Some(r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$")), |s| {
        let odd = s.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        if s.trim().is_empty() || s.chars().count() > 2_000 || odd {
            return Err("must be 1 to 2,000 characters without control characters".to_owned());
        }
        Ok(s)
    }
);
text!(
    /// A stock-keeping unit: 1 to 64 letters, digits, dots, dashes and underscores.
    Sku, |b| b.min_length(Some(1)).max_length(Some(64)).pattern(Some("^[A-Za-z0-9._-]+$")), |s| {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if s.is_empty() || s.len() > 64 || !s.chars().all(fits) {
            return Err("must be 1 to 64 letters, digits, dots, dashes or underscores".to_owned());
        }
        Ok(s)
    }
);
text!(
    /// What customers give to have something taken off: 3 to 40 letters, digits, dashes or underscores, in any case.
    DiscountCode, |b| b.min_length(Some(3)).max_length(Some(40)).pattern(Some("^[A-Za-z0-9_-]+$")), |s| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if !(3..=40).contains(&s.len()) || !s.chars().all(fits) {
            return Err("must be 3 to 40 letters, digits, dashes or underscores".to_owned());
        }
        Ok(s.to_ascii_uppercase())
    }
);
text!(
    /// A web address, http or https, of at most 1,000 characters.
    WebAddress, |b| b.max_length(Some(1_000)).pattern(Some(r"^https?://([a-z0-9]{1,63}\.){0,2}[a-z][a-z0-9]{0,61}(/[A-Za-z0-9._~/-]*)?$")), |s| {
        let refused = |why: &str| format!("must be an http or https address of at most 1,000 characters{why}");
        let begins = s.starts_with("https://") || s.starts_with("http://");
        // The parser would take them away, or take the rest for what it is not.
        if !begins || s.len() > 1_000 || s.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(refused(""));
        }
        url::Url::parse(&s).map(|_| s).map_err(|e| refused(&format!(": {e}")))
    }
);
text!(
    /// A language tag (BCP 47) of at most 35 characters.
    Locale, |b| b.max_length(Some(35)).pattern(Some("^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")), |s| {
        let subtag = |t: &str| (1..=8).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric());
        let first = s.split('-').next().unwrap_or_default();
        if s.len() > 35 || first.len() < 2 || !first.bytes().all(|b| b.is_ascii_alphabetic()) || !s.split('-').all(subtag) {
            return Err("must be a BCP 47 language tag, such as \"de-AT\"".to_owned());
        }
        Ok(s)
    }
);
text!(
    /// A time zone of the IANA database.
    TimeZone, |b| {
        let names = jiff::tz::db().available().map(|name| name.to_string()).filter(|name| name.contains('/') || name == "UTC");
        b.enum_values(Some(names.collect::<Vec<_>>()))
    }, |s| match jiff::tz::TimeZone::get(&s) {
        Ok(zone) => Ok(zone.iana_name().unwrap_or(&s).to_owned()),
        Err(_) => Err("must be an IANA time zone, such as \"Europe/Vienna\"".to_owned()),
    }
);
text!(
    /// A country (ISO 3166-1 alpha-2).
    Country, |b| b.pattern(Some("^[A-Z]{2}$")), |s| {
        if s.len() != 2 || !s.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err("must be an ISO 3166-1 alpha-2 code in capitals, such as \"AT\"".to_owned());
        }
        Ok(s)
    }
);
text!(
    /// An e-mail address that mail can be sent to, in lower case, at most 254 octets (RFC 5321 4.5.3.1.3). A domain outside
    /// ASCII is kept in its ASCII form (UTS 46, RFC 5891): the same mailbox is the same text, and every relay takes it.
    Email, |b| b.max_length(Some(254)).pattern(Some(r"^[a-z0-9_+-]{1,64}@[a-z0-9]{1,63}(\.[a-z0-9]{1,63}){1,2}$")).format(Some(utoipa::openapi::SchemaFormat::Custom("email".to_owned()))), |s| {
        let s = s.trim().to_lowercase();
        let refused = || "must be an e-mail address".to_owned();
        let (local, domain) = s.rsplit_once('@').ok_or_else(refused)?;
        // An unquoted dot-atom only (RFC 5321 4.1.2): quoted local parts are legal and unused.
        let atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
        if local.is_empty() || local.len() > 64 || dots || !local.chars().all(atom) {
            return Err(refused());
        }
        // Two hyphens in the third and fourth place are in use, whatever UTS 46 says by default.
        let (deny, hyphens, length) = (AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify);
        let domain = Uts46::new().to_ascii(domain.as_bytes(), deny, hyphens, length);
        let domain = domain.map_err(|_| "must be an e-mail address with a domain name (UTS 46)".to_owned())?;
        let s = format!("{local}@{domain}");
        if s.len() > 254 || !domain.contains('.') { Err(refused()) } else { Ok(s) }
    }
);

/// A text as it is searched for: without case (Unicode's full folding), composition, compatibility variants and the
/// accents of European scripts, and with one i. What is searched and what is searched for go through it, so that every
/// database finds the same.
pub fn folded(text: &str) -> String {
    let is_accent = |c: &char| matches!(c, '\u{300}'..='\u{36f}');
    let bare = text.nfkd().filter(|c| !is_accent(c)).collect::<String>();
    let folded = caseless::default_case_fold_str(&bare);
    folded.nfkd().filter(|c| !is_accent(c)).map(|c| if c == 'ı' { 'i' } else { c }).collect()
}

fn line(s: String, chars_max: usize) -> Result<String, String> {
    let count = s.chars().count();
    if s.trim().is_empty() || count > chars_max || s.chars().any(char::is_control) {
        return Err(format!("must be one line of 1 to {chars_max} characters"));
    }
    Ok(s)
}

impl Default for OptionalLine {
    /// Nothing.
    fn default() -> Self {
        Self(String::new())
    }
}

impl OptionalLine {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<DiscountCode> for Line {
    fn from(code: DiscountCode) -> Self {
        Self(code.0)
    }
}

impl From<Line> for OptionalLine {
    fn from(line: Line) -> Self {
        Self(line.0)
    }
}

impl Email {
    /// What stands after the @, in lower case and as A-labels.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').unwrap_or_default().1
    }

    /// One that was taken before, perhaps when less was asked of a domain: as it should be now, if it can be.
    pub(crate) fn kept(text: String) -> Self {
        Self::try_from(text.clone()).unwrap_or(Self(text))
    }
}

impl TimeZone {
    /// The zone's offset from UTC at a point in time, in minutes.
    pub fn utc_offset_minutes(&self, unix_ms: i64) -> i32 {
        let zone = zone_named(&self.0);
        let at = jiff::Timestamp::from_millisecond(unix_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        zone.to_offset(at).seconds() / 60
    }
}

/// The rules of the IANA time zone of that name; of UTC if there is none.
pub(crate) fn zone_named(name: &str) -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::get(name).unwrap_or(jiff::tz::TimeZone::UTC)
}

/// The lines of an address: one to five.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Line>", into = "Vec<Line>")]
pub struct AddressLines(Vec<Line>);

impl TryFrom<Vec<Line>> for AddressLines {
    type Error = String;

    fn try_from(lines: Vec<Line>) -> Result<Self, String> {
        if !(1..=5).contains(&lines.len()) {
            return Err("must be 1 to 5 lines".to_owned());
        }
        Ok(Self(lines))
    }
}

impl AddressLines {
    /// The lines, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Line> {
        self.0.iter()
    }
}

impl From<AddressLines> for Vec<Line> {
    fn from(lines: AddressLines) -> Self {
        lines.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Email, Line, Locale, Sku, TimeZone, WebAddress, folded};

    fn ok<T: TryFrom<String>>(text: &str) -> bool {
        T::try_from(text.to_owned()).is_ok()
    }

    #[test]
    fn good_and_bad() {
        for good in ["a@b.co", "Ada.Lovelace+x@example.com", "jürgen@exämple.de", "a@r3---sn.example.com"] {
            assert!(ok::<Email>(good), "{good}");
        }
        for same in ["ada@bücher.example", "Ada@BÜCHER.example", "ada@bu\u{308}cher.example", "ada@bücher。example"]
        {
            let email = Email::try_from(same.to_owned()).expect(same);
            assert_eq!(email.as_str(), "ada@xn--bcher-kva.example");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "",
            "a",
            "a@b",
            "a@@b.co",
            "a b@c.de",
            "a\r\n@b.co",
            ".a@b.co",
            "a@-b.co",
            "<a@b.co>",
            &long,
            "a@b_c.co",
            "a@xn--0.co",
            "a@b.co..",
        ] {
            assert!(!ok::<Email>(bad), "{bad}");
        }
        assert!(ok::<Line>("Ada") && !ok::<Line>(" ") && !ok::<Line>("a\nb") && !ok::<Line>(&"x".repeat(201)));
        assert!(ok::<Sku>("A-1.b_2") && !ok::<Sku>("a b") && !ok::<Sku>(""));
        assert!(ok::<Locale>("de-AT") && ok::<Locale>("zh-Hant-TW") && !ok::<Locale>("d") && !ok::<Locale>("de_AT"));
        assert!(ok::<TimeZone>("Europe/Vienna") && !ok::<TimeZone>("Europe/Atlantis") && !ok::<TimeZone>("../etc"));
        assert!(ok::<WebAddress>("https://example.com/a?b") && !ok::<WebAddress>("javascript:alert(1)"));
        for bad in ["http://[", "http://", "https://a b", "https://exa mple.com", "http://a:99999", "https:example.com"]
        {
            assert!(!ok::<WebAddress>(bad), "{bad}");
        }
    }

    #[test]
    fn folding_forgets_case_and_accents() {
        for (one, other) in [
            ("Über", "über"),
            ("u\u{308}ber", "Über"),
            ("Straße", "STRASSE"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("İSTANBUL", "istanbul"),
            ("ısparta", "ISPARTA"),
            ("ﬁt", "FIT"),
        ] {
            assert_eq!(folded(one), folded(other), "{one}, {other}");
        }
        assert_ne!(folded("Tee"), folded("Tea"));
    }

    #[test]
    fn offsets_follow_daylight_saving() {
        let vienna = TimeZone::try_from("Europe/Vienna".to_owned()).expect("a zone");
        assert_eq!(vienna.utc_offset_minutes(1_768_000_000_000), 60);
        assert_eq!(vienna.utc_offset_minutes(1_783_000_000_000), 120);
    }
}
