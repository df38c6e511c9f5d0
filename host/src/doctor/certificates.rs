//! Whether the certificates that clients are shown, and those that relays show, will be valid for a while.

use std::path::PathBuf;

use super::{Check, Finding};
use crate::certificate::Certificate;
use crate::clock::{Clock, DAY_MS};
use crate::config::Config;

/// Below so many days a certificate should have been renewed; by ACME's usual schedule it was at 30.
const DAYS_MIN: i64 = 21;

/// Those that this host shows.
pub(super) fn examine(config: &Config, clock: &Clock) -> Vec<Finding> {
    let Config { http, grpc, inbound, .. } = config;
    let of = [
        ("http", &http.tls_certificate_path, &http.tls_key_path),
        ("grpc", &grpc.tls_certificate_path, &grpc.tls_key_path),
        ("inbound", &inbound.tls_certificate_path, &inbound.tls_key_path),
    ];
    let now_ms = clock.now_ms();
    let shown = |(section, chain, key): (&'static str, &PathBuf, &PathBuf)| match Certificate::load(
        section,
        (chain, key),
        now_ms,
    ) {
        Ok(None) => None,
        Ok(Some(certificate)) => {
            let advice = "have it renewed: a host does not start with one that has expired, and clients do not connect";
            Some(valid(section, "what clients are shown", certificate.ends_at(), now_ms, advice))
        }
        Err(e) => {
            Some(Finding::fault(Check::Certificate, section, e.to_string(), "no host starts with these settings"))
        }
    };
    of.into_iter().filter_map(shown).collect()
}

/// How long one is valid.
pub(super) fn valid(of: &str, subject: &str, ends_at: i64, now_ms: i64, advice: &str) -> Finding {
    let days = (ends_at - now_ms).div_euclid(DAY_MS);
    let says = format!("{subject} is valid for {days} more days");
    if days < DAYS_MIN {
        Finding::warning(Check::Certificate, of, says, advice)
    } else {
        Finding::ok(Check::Certificate, of, says)
    }
}
