//! The settings: defaults, then a file, then the environment. `config.default.toml` is both defaults and manual.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use toml::{Table, Value};

use crate::mail::{self, mailbox};
use crate::notification::Caps;
use crate::shop::Shop;
use crate::shop::order::Pricing;
use crate::{plugin, queue};

/// Every setting with its default.
pub const DEFAULTS: &str = include_str!("../config.default.toml");
/// Environment variables that begin with it are settings.
pub const PREFIX: &str = "ECOMM__";

/// The settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where everything is kept.
    pub database: Database,
    /// Tokens and passwords.
    pub auth: Auth,
    /// Who may ask how often.
    pub limits: crate::service::Limits,
    /// Mails about accounts.
    pub accounts: crate::service::Accounts,
    /// The REST API.
    pub http: crate::http::Settings,
    /// The pages for operators.
    pub console: crate::console::Settings,
    /// Whose word is taken for where requests come from.
    pub proxies: crate::proxy::Settings,
    /// The gRPC API.
    pub grpc: crate::grpc::Settings,
    /// Who sells.
    pub shop: Shop,
    /// What the shop adds to the lines' sum.
    pub pricing: Pricing,
    /// Who mails are from, and which relays take them.
    pub mail: mail::Settings,
    /// The mailbox for development.
    pub mailbox: mailbox::Settings,
    /// The worker.
    pub queue: queue::Settings,
    /// What no policy can exceed.
    pub caps: Caps,
    /// The plugin host.
    pub plugins: plugin::Settings,
    /// Where reports of mails are taken.
    pub inbound: crate::inbound::Settings,
    /// Requests to endpoints of webhooks.
    pub webhooks: crate::webhook::Settings,
    /// What is forgotten, and when.
    pub retention: crate::service::Retention,
    /// Who sees what a host counts.
    pub telemetry: crate::metrics::Settings,
    /// The log.
    pub log: Log,
}

/// Where everything is kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite:PATH`, `mysql://…`, `mariadb://…` or `postgres://…`.
    pub url: SecretString,
    /// Connections; for `SQLite`, readers.
    pub connections_max: u32,
    /// The most that an `SQLite` file may take, in bytes; 0: no limit.
    pub bytes_max: u64,
    /// How long to wait for a connection.
    pub connect_timeout_ms: u64,
    /// For how long a host that cannot reach its database at start tries again, in milliseconds.
    pub wait_ms: u64,
    /// Whether statements are prepared once for each connection; for `PostgreSQL`.
    pub prepared_statements: bool,
    /// Whether hosts wake each other through the database; for `PostgreSQL`.
    pub listen: bool,
    /// Bring the schema up to date at start.
    pub migrate_on_start: bool,
}

/// Tokens and passwords.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Signs tokens.
    pub secret: SecretString,
    /// No longer sign, and are still believed.
    #[serde(default)]
    pub retired_secrets: Vec<SecretString>,
    /// How long an access token is valid.
    pub access_token_ms: i64,
    /// How long a refresh token is valid.
    pub refresh_token_ms: i64,
    /// How long a refresh token that was just spent still gets the same successor.
    pub renewal_grace_ms: i64,
    /// Passwords hashed at one time.
    pub hashing_max: usize,
}

impl Auth {
    /// The secret in use, and those before it.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        std::iter::once(&self.secret).chain(&self.retired_secrets)
    }
}

/// The log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A filter of tracing-subscriber.
    pub filter: String,
    /// Text or JSON.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not TOML.
    #[error("{path} is not TOML: {why}")]
    Syntax {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// A setting is wrong.
    #[error("{key}: {why}")]
    Setting {
        /// Which.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Config {
    /// The defaults, overridden by the file and by `environment`.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let Some(path) = file else { return Self::of(None, environment) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| ConfigError::Read { path: name.clone(), source })?;
        Self::of(Some((&name, &text)), environment)
    }

    /// The same of a file that is known by its name and read already.
    pub(crate) fn of(
        file: Option<(&str, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = parse("config.default.toml", DEFAULTS)?;
        if let Some((name, text)) = file {
            merge(&mut settings, parse(name, text)?);
        }
        for (name, value) in environment {
            if let Some(key) = name.strip_prefix(PREFIX) {
                set(&mut settings, key, value)?;
            }
        }
        let settings = Value::Table(settings);
        let config: Self = serde_path_to_error::deserialize(settings)
            .map_err(|e| ConfigError::Setting { key: e.path().to_string(), why: e.inner().message().to_owned() })?;
        config.check()?;
        Ok(config)
    }

    /// What no type says.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key: &str, why: &str| Err(ConfigError::Setting { key: key.to_owned(), why: why.to_owned() });
        let secret = self.auth.secret.expose_secret().len();
        if secret < crate::service::SECRET_BYTES_MIN {
            return wrong(
                "auth.secret",
                &format!(
                    "has {secret} bytes and needs {}; make one with `openssl rand -hex 32` and set ECOMM__AUTH__SECRET",
                    crate::service::SECRET_BYTES_MIN
                ),
            );
        }
        if self.auth.retired_secrets.iter().any(|s| s.expose_secret().len() < crate::service::SECRET_BYTES_MIN) {
            return wrong("auth.retired_secrets", "one is shorter than a secret may be");
        }
        if self.mailbox.enabled && !self.mailbox.listen.ip().is_loopback() {
            return wrong("mailbox.listen", "must be a loopback address: the mailbox takes everything from everybody");
        }
        let webhooks = &self.webhooks;
        if webhooks.in_flight_max == 0 || webhooks.in_flight_per_user_max == 0 || webhooks.connections_max == 0 {
            return wrong("webhooks", "in_flight_max, in_flight_per_user_max and connections_max must be 1 or more");
        }
        let worker = &self.queue;
        if worker.in_flight_max == 0 || worker.claim_max == 0 || worker.lease_ms < 1_000 || worker.poll_ms == 0 {
            return wrong("queue", "in_flight_max, claim_max and poll_ms must be 1 or more, lease_ms 1000 or more");
        }
        let kept = self.retention;
        if kept.per_second_max < 10 {
            return wrong(
                "retention.per_second_max",
                "must be 10 or more: another host would take over between two batches",
            );
        }
        if kept.notifications_days > 0 && !(1..=kept.notifications_days).contains(&kept.contents_days) {
            let why = "must be at most retention.notifications_days, and not 0 where that is not: contents go with their notification";
            return wrong("retention.contents_days", why);
        }
        if kept.components_days > 0 && !(1..=kept.components_days).contains(&kept.contents_days) {
            let why =
                "must be at least retention.contents_days, and 0 where that is: a component makes its mails again";
            return wrong("retention.components_days", why);
        }
        if self.plugins.configure.memory_bytes_max > self.plugins.call.memory_bytes_max {
            return wrong("plugins.configure.memory_bytes_max", "must be at most plugins.call.memory_bytes_max");
        }
        Ok(())
    }
}

fn parse(path: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|e: toml::de::Error| ConfigError::Syntax { path: path.to_owned(), why: e.to_string() })
}

/// Tables merge, everything else replaces.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// `DATABASE__URL` is `database.url`; `…_FILE` reads the value from a file. A value is read as TOML where the default
/// is not text.
fn set(settings: &mut Table, name: &str, value: String) -> Result<(), ConfigError> {
    let key = name.to_ascii_lowercase().replace("__", ".");
    let (key, value) = match key.strip_suffix("_file") {
        Some(key) => {
            let text = std::fs::read_to_string(&value);
            let text = text.map_err(|source| ConfigError::Read { path: value, source })?;
            (key.to_owned(), text.trim_end().to_owned())
        }
        None => (key, value),
    };
    let wrong = |why: String| ConfigError::Setting { key: key.clone(), why };
    let mut table = settings;
    let (sections, last) = key.rsplit_once('.').unwrap_or(("", &key));
    for section in sections.split('.').filter(|s| !s.is_empty()) {
        let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        table = entry.as_table_mut().ok_or_else(|| wrong("is not a section".to_owned()))?;
    }
    let typed = match table.get(last) {
        Some(Value::String(_)) | None => Value::String(value),
        Some(_) => format!("x = {value}")
            .parse::<Table>()
            .ok()
            .and_then(|mut t| t.remove("x"))
            .ok_or_else(|| wrong(format!("\"{value}\" is not a value of its kind")))?,
    };
    table.insert(last.to_owned(), typed);
    Ok(())
}
