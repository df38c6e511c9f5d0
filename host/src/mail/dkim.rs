//! Signatures by the sender's domain (DKIM, RFC 6376; Ed25519 by RFC 8463): they say that a mail is the domain's own and was not
//! changed on its way. Each mail is signed by every key that is valid at its date, so that the same mail is signed the same again.

pub mod key;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use key::{Key, KeyError, KeySettings};

/// Keys at one time; a selector is usually followed by one more, of each algorithm.
const KEYS_MAX: usize = 16;

/// Columns of a folded header (RFC 5322 2.1.1).
const COLUMNS_MAX: usize = 76;

/// Headers that are signed once more than they are there, so that nobody can add another (RFC 6376 8.15).
const OVERSIGNED: [&str; 13] = [
    "from",
    "sender",
    "to",
    "cc",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "list-unsubscribe",
    "list-unsubscribe-post",
];

/// Who signs.
#[derive(Default)]
pub(super) struct Signers(Vec<Signer>);

struct Signer {
    settings: KeySettings,
    key: Key,
}

/// The keys do not work as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum DkimError {
    /// One of them cannot sign.
    #[error("mail.dkim: the key \"{selector}\" of {domain}: {why}")]
    Key {
        /// The selector.
        selector: String,
        /// The domain.
        domain: String,
        /// Why.
        why: KeyError,
    },
    /// Its name is none.
    #[error("mail.dkim: \"{0}\" is no selector: expected labels of letters, digits and hyphens, such as \"s2026\"")]
    Selector(String),
    /// Its domain is none.
    #[error("mail.dkim: \"{0}\" is no domain: expected one such as shop.example")]
    NoDomain(String),
    /// The domain's signature would not count for DMARC.
    #[error("mail.dkim: mails are from {from}, so that a key of {domain} does not speak for them (RFC 7489 3.1.1)")]
    Domain {
        /// The key's.
        domain: String,
        /// The sender's.
        from: String,
    },
    /// Two keys share a name in the DNS.
    #[error("mail.dkim: there are two keys with the selector \"{0}\"; each needs one of its own")]
    Twice(String),
    /// More than a mail should carry.
    #[error("mail.dkim: at most {KEYS_MAX} keys; remove the oldest")]
    Many,
    /// Its time ends before it begins.
    #[error("mail.dkim: the key \"{0}\" signs until a time that is not after signs_from")]
    Never(String),
}

impl Signers {
    /// Reads the keys; `from` is the sender's domain.
    pub(super) fn new(settings: &[KeySettings], from: &str) -> Result<Self, DkimError> {
        let mut signers: Vec<Signer> = Vec::new();
        if settings.len() > KEYS_MAX {
            return Err(DkimError::Many);
        }
        for one in settings {
            let KeySettings { domain, selector, signs_from, signs_until, .. } = one;
            check(one)?;
            let (above, below) = (domain.to_ascii_lowercase(), from.to_ascii_lowercase());
            if below != above && !below.ends_with(&format!(".{above}")) {
                return Err(DkimError::Domain { domain: domain.clone(), from: from.to_owned() });
            }
            if signers.iter().any(|s| s.settings.record_name() == one.record_name()) {
                return Err(DkimError::Twice(selector.clone()));
            }
            if matches!((signs_from, signs_until), (Some(from), Some(until)) if until <= from) {
                return Err(DkimError::Never(selector.clone()));
            }
            let key = Key::open(one).map_err(|why| DkimError::Key {
                selector: selector.clone(),
                domain: domain.clone(),
                why,
            })?;
            signers.push(Signer { settings: one.clone(), key });
        }
        Ok(Self(signers))
    }

    /// The headers that sign a message of these headers and this body, dated so (unix milliseconds).
    pub(super) fn sign(&self, headers: &str, body: &str, dated_at: i64) -> Result<String, String> {
        let mut valid = self.0.iter().filter(|signer| signer.settings.is_valid(dated_at)).peekable();
        if valid.peek().is_none() {
            return Ok(String::new());
        }
        let body_hash = STANDARD.encode(Sha256::digest(relaxed_body(body)));
        let (names, signed) = relaxed_headers(headers);
        let mut signatures = String::new();
        for Signer { settings, key } in valid {
            let KeySettings { domain, selector, .. } = settings;
            let (algorithm, at) = (key.algorithm(), dated_at.div_euclid(1_000));
            let mut header = format!(
                "DKIM-Signature: v=1; a={algorithm}-sha256; c=relaxed/relaxed; d={domain};\r\n s={selector}; t={at};\r\n h="
            );
            fold(&mut header, names.split_inclusive(':'), 3);
            header.push_str(";\r\n bh=");
            header.push_str(&body_hash);
            header.push_str(";\r\n b=");
            let mut hashed = signed.clone();
            // The signature is a part of what it signs, but for its value.
            hashed.push_str(relaxed_header(&header).trim_end_matches("\r\n"));
            let signature = STANDARD.encode(key.sign(hashed.as_bytes())?);
            let pieces = signature.as_bytes().chunks(70).map(|piece| str::from_utf8(piece).unwrap_or_default());
            fold(&mut header, pieces, 3);
            header.push_str("\r\n");
            signatures.push_str(&header);
        }
        Ok(signatures)
    }
}

/// Whether the key's name can be one.
pub fn check(settings: &KeySettings) -> Result<(), DkimError> {
    let KeySettings { domain, selector, .. } = settings;
    if !is_selector(selector) {
        return Err(DkimError::Selector(selector.clone()));
    }
    if !is_selector(domain) || !domain.contains('.') {
        return Err(DkimError::NoDomain(domain.clone()));
    }
    Ok(())
}

/// Labels of the DNS (RFC 6376 3.1).
fn is_selector(selector: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    selector.len() <= 200 && selector.split('.').all(is_label)
}

/// Appends words to a header's line, of which so many columns are taken, and begins others.
fn fold<'a>(header: &mut String, words: impl Iterator<Item = &'a str>, taken: usize) {
    let mut column = taken;
    for word in words {
        if column + word.len() > COLUMNS_MAX && column > taken {
            header.push_str("\r\n ");
            column = 1;
        }
        header.push_str(word);
        column += word.len();
    }
}

/// The names of what is signed, from the last header to the first, as verifiers look for them, and the relaxed headers
/// (RFC 6376 3.4.2, 5.4.2).
fn relaxed_headers(headers: &str) -> (String, String) {
    let mut lines: Vec<String> = Vec::new();
    for line in headers.split_inclusive("\r\n").filter(|line| *line != "\r\n") {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    let (mut names, mut signed) = (Vec::new(), String::with_capacity(headers.len()));
    for line in lines.iter().rev() {
        let relaxed = relaxed_header(line);
        let name = relaxed.split(':').next().unwrap_or_default();
        // Others may be headers, and cannot stand in the list of the signed ones.
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            continue;
        }
        names.push(name.to_owned());
        signed.push_str(&relaxed);
    }
    names.extend(OVERSIGNED.map(str::to_owned));
    (names.join(":"), signed)
}

/// One header: its name in small letters, unfolded, each run of blanks one space.
fn relaxed_header(header: &str) -> String {
    let (name, value) = header.split_once(':').unwrap_or((header, ""));
    let mut relaxed = name.trim_end().to_ascii_lowercase();
    relaxed.push(':');
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    for (n, word) in value.split(blank).filter(|word| !word.is_empty()).enumerate() {
        if n > 0 {
            relaxed.push(' ');
        }
        relaxed.push_str(word);
    }
    relaxed.push_str("\r\n");
    relaxed
}

/// A body: each run of blanks one space, none at the end of a line, no empty lines at the end (RFC 6376 3.4.4).
fn relaxed_body(body: &str) -> String {
    let mut relaxed = String::with_capacity(body.len());
    let mut kept = 0;
    for line in body.split("\r\n") {
        let mut blank = false;
        for c in line.trim_end_matches([' ', '\t']).chars() {
            if matches!(c, ' ' | '\t') {
                blank = true;
                continue;
            }
            if std::mem::take(&mut blank) {
                relaxed.push(' ');
            }
            relaxed.push(c);
        }
        let is_empty = relaxed.ends_with("\r\n") || relaxed.is_empty();
        relaxed.push_str("\r\n");
        if !is_empty {
            kept = relaxed.len();
        }
    }
    relaxed.truncate(kept);
    relaxed
}

#[cfg(test)]
mod tests {
    use super::{fold, is_selector, relaxed_body, relaxed_header, relaxed_headers};

    #[test]
    fn the_examples_of_the_rfc_are_relaxed() {
        // RFC 6376 3.4.5, example 1.
        let (names, headers) = relaxed_headers("A: X\r\nB : Y\t\r\n\tZ  \r\n");
        assert_eq!(headers, "b:Y Z\r\na:X\r\n");
        assert!(names.starts_with("b:a:from:sender:to:"), "{names}");
        // What would end the list of names is not signed.
        assert_eq!(relaxed_headers("X;Y: z\r\nA: X\r\n").1, "a:X\r\n");
        assert_eq!(relaxed_body(" C \r\nD \t E\r\n\r\n\r\n"), " C\r\nD E\r\n");
    }

    #[test]
    fn bodies_end_once() {
        for (body, relaxed) in [
            ("", ""),
            ("\r\n\r\n", ""),
            (" \r\n\t\r\n", ""),
            ("a", "a\r\n"),
            ("a\r\n", "a\r\n"),
            ("\r\na\r\n \r\n", "\r\na\r\n"),
            ("a\r\n\r\nb  c\t\r\n", "a\r\n\r\nb c\r\n"),
            ("\ta  b", " a b\r\n"),
        ] {
            assert_eq!(relaxed_body(body), relaxed, "{body:?}");
        }
        assert_eq!(relaxed_header("Subject:  a\r\n  b \r\n"), "subject:a b\r\n");
        assert_eq!(relaxed_header("X:\r\n"), "x:\r\n");
    }

    #[test]
    fn lines_are_folded_and_selectors_are_labels() {
        let mut header = "h=".to_owned();
        fold(&mut header, ["a".repeat(70), "b".repeat(70), "c".to_owned()].iter().map(String::as_str), 3);
        assert_eq!(header, format!("h={}\r\n {}c", "a".repeat(70), "b".repeat(70)));
        assert!(is_selector("s2026") && is_selector("a.b-c"));
        for wrong in ["", "a..b", "-a", "a-", "a_b", "a;b", &"a".repeat(64), "é"] {
            assert!(!is_selector(wrong), "{wrong}");
        }
    }
}
