//! Whether secrets can be guessed.

use std::path::Path;

use secrecy::ExposeSecret;

use super::{Check, Finding};
use crate::config::Config;

/// What a secret should hold, by an estimate that finds about 113 bits in 32 random hexadecimal digits, which have 128.
const ENTROPY_BITS_MIN: f64 = 100.0;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let advice = "make one with `openssl rand -hex 32`, and move this one to auth.retired_secrets until the last session has ended";
    let one = |subject: &str, secret: &str| {
        let bits = entropy_bits(secret.as_bytes());
        if bits < ENTROPY_BITS_MIN {
            let says = format!(
                "looks like one that can be guessed: its characters repeat ({bits:.0} of {ENTROPY_BITS_MIN} bits)"
            );
            return Finding::warning(Check::Secrets, subject, says, advice);
        }
        Finding::ok(Check::Secrets, subject, "long, and not of a pattern")
    };
    let mut findings = vec![one("auth.secret", config.auth.secret.expose_secret())];
    if !config.auth.retired_secrets.is_empty() {
        let days = config.auth.refresh_token_ms / crate::clock::DAY_MS;
        let says = format!("{} are still believed", config.auth.retired_secrets.len());
        let advice = format!("take them out {days} days after they were retired");
        findings.push(Finding::warning(Check::Secrets, "auth.retired_secrets", says, advice));
    }
    let url = config.database.url.expose_secret();
    if !url.starts_with("sqlite:")
        && let Ok(url) = url::Url::parse(url)
        && let Some(host) = url.host_str()
        && !is_local(host)
        && !url.query_pairs().any(|(key, value)| is_protected(&key, &value))
    {
        let says = format!("passwords and orders travel to {host} over a connection that may be unprotected");
        let advice = "end database.url with ?sslmode=verify-full (PostgreSQL) or ?ssl-mode=VERIFY_IDENTITY (MySQL)";
        findings.push(Finding::warning(Check::Secrets, "database.url", says, advice));
    }
    for key in &config.mail.dkim {
        findings.extend(readable_by_others(&key.key_path));
    }
    findings.extend(links(config));
    findings
}

/// Whether the links in mails lead to this host, and protected.
fn links(config: &Config) -> Option<Finding> {
    let url = url::Url::parse(config.accounts.pages_url.as_str()).ok()?;
    let host = url.host_str()?;
    if is_local(host) {
        // With the mailbox alone nobody receives a mail.
        let (says, advice) = (
            format!("links in mails lead to {host}, which customers do not reach"),
            "set accounts.pages_url to the address under which they reach this host's pages",
        );
        let sends = !config.mail.relays.is_empty();
        return sends.then(|| Finding::warning(Check::Secrets, "accounts.pages_url", says, advice));
    }
    if url.scheme() == "https" {
        return Some(Finding::ok(Check::Secrets, "accounts.pages_url", "links in mails lead to it by https"));
    }
    let says = "links in mails, which set passwords, are followed unprotected; one-click unsubscribing asks for https (RFC 8058)";
    Some(Finding::warning(Check::Secrets, "accounts.pages_url", says, "serve the pages by https, and say so here"))
}

#[cfg(unix)]
fn readable_by_others(path: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o007 != 0).then(|| {
        let says = format!("everybody on this machine can read {}", path.display());
        Finding::warning(
            Check::Secrets,
            "mail.dkim",
            says,
            "let nobody but the host read it: chmod 600, or 640 with its group",
        )
    })
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> Option<Finding> {
    None
}

/// Whether a parameter of a URL asks for TLS and for a certificate that is checked.
fn is_protected(key: &str, value: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "");
    key == "sslmode" && value.to_ascii_lowercase().replace('_', "-").starts_with("verify-")
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Shannon's estimate from how often each byte occurs: too high for words, low for what repeats.
fn entropy_bits(secret: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in secret {
        counts[usize::from(*byte)] += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "secrets are short")]
    let length = secret.len() as f64;
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) * (length / f64::from(*count)).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::{ENTROPY_BITS_MIN, entropy_bits, is_local, is_protected};

    #[test]
    fn what_repeats_holds_little() {
        assert!(entropy_bits(b"--------------------------------") < 1.0);
        assert!(entropy_bits(b"changeme-changeme-changeme-change") < ENTROPY_BITS_MIN);
        assert!(entropy_bits(b"5d41402abc4b2a76b9719d911017c592") > ENTROPY_BITS_MIN);
        assert!(entropy_bits(b"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08") > 200.0);
    }

    #[test]
    fn protected_is_what_checks_a_certificate() {
        assert!(is_protected("sslmode", "verify-full") && is_protected("ssl-mode", "VERIFY_IDENTITY"));
        assert!(!is_protected("sslmode", "require") && !is_protected("ssl-mode", "DISABLED"));
        assert!(is_local("127.0.0.1") && is_local("[::1]") && is_local("localhost") && !is_local("10.0.0.1"));
    }
}
