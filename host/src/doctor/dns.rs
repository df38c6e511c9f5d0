//! What the sender's domain says of its mails in the DNS: without it, relays accept them and mailboxes do not.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::{Check, Finding, Options};
use crate::config::Config;
use crate::mail::dkim::key::{Key, KeySettings};
use crate::shop::text::Email;

/// How long one attempt at a name server may take; there are two.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Domains that are nobody's (RFC 2606, RFC 6761).
const RESERVED: [&str; 8] =
    ["example", "test", "invalid", "localhost", "example.com", "example.org", "example.net", "local"];

/// Domains of mailboxes for everybody, whose owners publish that nobody else sends for them (DMARC: reject or quarantine).
const MAILBOXES: [&str; 12] = [
    "aol.com",
    "gmail.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "outlook.com",
    "web.de",
    "yahoo.com",
    "ymail.com",
];

pub(super) async fn examine(config: &Config, options: &Options, now: i64) -> Vec<Finding> {
    let domain = config.mail.from.domain();
    if MAILBOXES.contains(&domain) {
        let says =
            format!("mails are from {domain}, for which nobody else may send: mailboxes refuse them or sort them out");
        let advice = "set mail.from to an address of the shop's own domain; mail.reply_to may stay where it is";
        return vec![Finding::fault(Check::Dns, domain, says, advice)];
    }
    if RESERVED.iter().any(|end| domain == *end || domain.ends_with(&format!(".{end}"))) {
        let says = format!("mails are from {domain}, which is for examples only");
        return vec![Finding::warning(
            Check::Dns,
            domain,
            says,
            "set mail.from to an address of the shop's own domain",
        )];
    }
    let resolver = match resolver(options.resolver) {
        Ok(resolver) => resolver,
        Err(e) => return vec![unanswered(domain, &e)],
    };
    // SPF looks at the domain that mails come back to (RFC 7208 2.4).
    let returns = config.mail.return_path.as_ref().map_or(domain, Email::domain);
    let spf = match texts(&resolver, returns).await {
        Ok(texts) => spf(returns, &texts),
        Err(e) => return vec![unanswered(returns, &e)],
    };
    let mut findings = vec![spf];
    findings.push(match policy(&resolver, domain).await {
        Ok((name, texts)) => dmarc(&name, &texts),
        Err(e) => unanswered(domain, &e),
    });
    for selector in &options.dkim_selectors {
        let key = format!("{selector}._domainkey.{domain}");
        findings.push(match texts(&resolver, &key).await {
            Ok(texts) => dkim(&key, &texts),
            Err(e) => unanswered(&key, &e),
        });
    }
    // One whose time is over stays for mails that are made again, and may have been withdrawn.
    let tried_until = now - config.caps.age_max_ms;
    for settings in config.mail.dkim.iter().filter(|key| key.signs_until.is_none_or(|until| until > tried_until)) {
        findings.push(published(&resolver, settings).await);
    }
    if options.dkim_selectors.is_empty() && config.mail.dkim.is_empty() {
        let says = "DKIM was not looked up: the relay signs, and its selector is known to it alone";
        findings.push(Finding::ok(Check::Dns, domain, format!("{says}; give it as --dkim-selector")));
    }
    if returns == domain {
        findings.push(receives(&resolver, domain, "answers and bounces").await);
    } else {
        findings.push(receives(&resolver, domain, "answers").await);
        findings.push(receives(&resolver, returns, "bounces").await);
        let is_within = |inner: &str, outer: &str| inner.ends_with(&format!(".{outer}"));
        if !is_within(returns, domain) && !is_within(domain, returns) {
            let says = format!(
                "mails come back to another domain than they are from: DMARC does not count its SPF for {domain}"
            );
            findings.push(Finding::warning(
                Check::Dns,
                returns,
                says,
                "set mail.return_path to one below the sender's domain",
            ));
        }
    }
    findings
}

/// Whether mails to a domain arrive anywhere.
async fn receives(resolver: &TokioResolver, domain: &str, what: &str) -> Finding {
    match exchangers(resolver, domain).await {
        Ok(0) => {
            let says = format!("it has no MX record: {what} do not come back");
            Finding::warning(Check::Dns, domain, says, "publish one, or use a domain that has one")
        }
        Ok(n) => Finding::ok(Check::Dns, domain, format!("{n} MX: {what} come back")),
        Err(e) => unanswered(domain, &e),
    }
}

fn resolver(at: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let mut builder = match at {
        None => TokioResolver::builder_tokio()?,
        Some(address) => {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            server.connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut server.connections {
                connection.port = address.port();
            }
            let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    (options.timeout, options.attempts) = (ANSWER_MAX, 2);
    builder.build()
}

fn unanswered(name: &str, e: &NetError) -> Finding {
    let advice = "ask one that answers with --resolver ADDRESS:PORT, or from a machine that has one";
    Finding::warning(Check::Dns, name, format!("no resolver answered: {e}"), advice)
}

/// What a name has of a type; nothing where there is no such name.
async fn lookup(resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Vec<RData>, NetError> {
    match resolver.lookup(format!("{name}."), kind).await {
        Ok(found) => Ok(found.answers().iter().map(|record| record.data.clone()).collect()),
        Err(e) if e.is_no_records_found() || e.is_nx_domain() => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// A name's texts, each put together (RFC 7208 3.3).
async fn texts(resolver: &TokioResolver, name: &str) -> Result<Vec<String>, NetError> {
    let text = |data: &RData| match data {
        RData::TXT(text) => Some(text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect::<String>()),
        _ => None,
    };
    Ok(lookup(resolver, name, RecordType::TXT).await?.iter().filter_map(text).collect())
}

/// The domain's DMARC record, else that of the nearest domain above it that has one (RFC 7489 6.6.3 asks the organisation's, which
/// only a list of public suffixes can tell).
async fn policy(resolver: &TokioResolver, domain: &str) -> Result<(String, Vec<String>), NetError> {
    let mut above = domain;
    loop {
        let name = format!("_dmarc.{above}");
        let mut texts = texts(resolver, &name).await?;
        texts.retain(|text| text.starts_with("v=DMARC1"));
        match above.split_once('.') {
            Some((_, rest)) if texts.is_empty() && rest.contains('.') => above = rest,
            _ if texts.is_empty() => return Ok((format!("_dmarc.{domain}"), texts)),
            _ => return Ok((name, texts)),
        }
    }
}

async fn exchangers(resolver: &TokioResolver, name: &str) -> Result<usize, NetError> {
    // A null MX (RFC 7505) says that there is none.
    let is_one = |data: &&RData| matches!(data, RData::MX(mx) if !mx.exchange.is_root());
    Ok(lookup(resolver, name, RecordType::MX).await?.iter().filter(is_one).count())
}

fn spf(domain: &str, texts: &[String]) -> Finding {
    let is_policy = |text: &&String| {
        let text = text.to_ascii_lowercase();
        text == "v=spf1" || text.starts_with("v=spf1 ")
    };
    let policies: Vec<&String> = texts.iter().filter(is_policy).collect();
    match policies.as_slice() {
        [] => {
            let says = "it has no SPF record (RFC 7208): mailboxes cannot tell that the relay may send for it";
            Finding::warning(
                Check::Dns,
                domain,
                says,
                "publish the TXT record that the relay's provider names, such as \"v=spf1 include:… -all\"",
            )
        }
        [one] if one.to_ascii_lowercase().split_whitespace().any(|term| term == "+all" || term == "all") => {
            let says = format!("SPF lets everybody send for it: {one}");
            Finding::warning(Check::Dns, domain, says, "end it with \"-all\" or \"~all\"")
        }
        [one] => Finding::ok(Check::Dns, domain, format!("SPF: {one}")),
        more => {
            let says = format!("it has {} SPF records, which count as none (RFC 7208 4.5)", more.len());
            Finding::warning(Check::Dns, domain, says, "make one of them")
        }
    }
}

fn dmarc(name: &str, texts: &[String]) -> Finding {
    let [one] = texts else {
        let says = format!(
            "{} DMARC records (RFC 7489 6.6.3 asks for one): large providers refuse bulk mail without",
            texts.len()
        );
        return Finding::warning(
            Check::Dns,
            name,
            says,
            "publish one TXT record, such as \"v=DMARC1; p=none; rua=mailto:…\" to begin with",
        );
    };
    Finding::ok(Check::Dns, name, format!("DMARC: {one}"))
}

/// Whether the key that signs is the one that verifiers find.
async fn published(resolver: &TokioResolver, settings: &KeySettings) -> Finding {
    let name = settings.record_name();
    let key = match Key::open(settings) {
        Ok(key) => key,
        Err(e) => {
            return Finding::fault(Check::Dns, &name, e.to_string(), "a host with these settings does not start");
        }
    };
    let (Ok(ours), Ok(record)) = (key.public(), key.record()) else {
        return Finding::fault(Check::Dns, &name, "the key cannot be published", "make one with `ecomm dkim new`");
    };
    let texts = match texts(resolver, &name).await {
        Ok(texts) => texts,
        Err(e) => return unanswered(&name, &e),
    };
    match public_key(&texts) {
        Some(there) if there == ours => Finding::ok(Check::Dns, &name, "DKIM: the key that signs is published"),
        found => {
            let what = if found.is_some() { "another key is published there" } else { "it is not published" };
            let says = format!("DKIM: mails are signed by a key, and {what}: mailboxes take that for a forgery");
            Finding::fault(Check::Dns, &name, says, format!("publish the TXT record \"{record}\" (`ecomm dkim dns`)"))
        }
    }
}

/// The key of a record, without the blanks that may stand in it (RFC 6376 3.2).
fn public_key(texts: &[String]) -> Option<String> {
    texts.iter().find_map(|text| {
        let text: String = text.split_whitespace().collect();
        text.split(';').find_map(|tag| tag.strip_prefix("p=").map(str::to_owned))
    })
}

fn dkim(name: &str, texts: &[String]) -> Finding {
    match public_key(texts).map(|key| !key.is_empty()) {
        Some(true) => Finding::ok(Check::Dns, name, "DKIM: the key is published"),
        Some(false) => {
            let says = "the DKIM key was revoked (RFC 6376 3.6.1: p= is empty)";
            Finding::warning(Check::Dns, name, says, "let the relay sign by another selector")
        }
        None => {
            let says = "there is no DKIM key (RFC 6376): signatures by this selector cannot be checked";
            Finding::warning(Check::Dns, name, says, "publish the TXT record that the relay's provider names")
        }
    }
}
