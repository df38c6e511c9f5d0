//! Who mails are from, and which relays take them, as an operator says it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{DomainSettings, Transport, dkim};
use crate::outbound::Deadlines;
use crate::shop::text::{Email, Line};

/// Who mails are from, and which relays take them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The sender's address; its domain makes the Message-IDs.
    pub from: Email,
    /// The sender's display name, unless the renderer says otherwise.
    pub from_name: Line,
    /// Where answers go, unless the renderer says otherwise; the sender when empty.
    #[serde(default)]
    pub reply_to: Option<Email>,
    /// Where mails come back to that cannot be delivered, each to a sub-address of its own (VERP); to the sender when empty.
    #[serde(default)]
    pub return_path: Option<Email>,
    /// How this host introduces itself (EHLO, RFC 5321 4.1.1.1).
    pub hello_name: Line,
    /// Headers that are for the relay, such as which of its configurations counts. `{return_path}` stands for where the mail comes
    /// back to. Not signed: relays take them away.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Keys that sign what is sent.
    #[serde(default)]
    pub dkim: Vec<dkim::key::KeySettings>,
    /// How long each step may take.
    pub deadlines: Deadlines,
    /// By preference.
    pub relays: Vec<RelaySettings>,
    /// Recipients' domains for which there are limits of their own.
    #[serde(default)]
    pub domains: Vec<DomainSettings>,
}

/// A relay that takes mails.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelaySettings {
    /// What policies call it.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What it speaks.
    #[serde(default)]
    pub transport: Transport,
    /// Amazon SES: the region that requests are signed for; from the host's name when empty.
    #[serde(default)]
    pub region: String,
    /// Mailgun: the domain that sends; the sender's when empty.
    #[serde(default)]
    pub domain: String,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// A PEM file of more authorities to trust; none when empty.
    #[serde(default)]
    pub ca_path: PathBuf,
    /// Who logs in; nobody when empty.
    #[serde(default)]
    pub username: String,
    /// The password.
    #[serde(default)]
    pub password: SecretString,
    /// The most connections at one time.
    #[serde(default = "connections_max")]
    pub connections_max: u32,
    /// The most mails in any second, as the relay counts them; 0: no limit but what its answers teach.
    #[serde(default)]
    pub mails_per_second_max: u32,
    /// The most mails in 24 hours; 0: any number.
    #[serde(default)]
    pub mails_per_day_max: u32,
    /// The most mails over one connection.
    #[serde(default = "mails_max")]
    pub mails_per_connection_max: u32,
    /// How long a connection may wait for its next mail, in milliseconds.
    #[serde(default = "idle_ms_max")]
    pub idle_ms_max: i64,
}

impl RelaySettings {
    /// A relay with every other setting at its default.
    pub fn new(name: &str, host: &str, port: u16) -> Self {
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            port,
            transport: Transport::default(),
            region: String::new(),
            domain: String::new(),
            tls: Tls::default(),
            ca_path: PathBuf::new(),
            username: String::new(),
            password: SecretString::default(),
            connections_max: connections_max(),
            mails_per_second_max: 0,
            mails_per_day_max: 0,
            mails_per_connection_max: mails_max(),
            idle_ms_max: idle_ms_max(),
        }
    }
}

fn connections_max() -> u32 {
    16
}
fn mails_max() -> u32 {
    1_000
}
fn idle_ms_max() -> i64 {
    30_000
}

/// How a connection is protected. Certificates are verified in both protected ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// STARTTLS (RFC 3207); a relay without it gets no mail.
    #[default]
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// Unprotected: loopback only.
    None,
}
