//! Endpoints of webhooks: servers of customers or of the shop that are sent a request for each change of an order
//! (Standard Webhooks, <https://github.com/standard-webhooks/standard-webhooks>). Pure.

mod secret;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::notification::KINDS;
use crate::shop::text::{OptionalLine, WebAddress};

pub use secret::{Secret, SecretKeys, Signing};

/// The kind of a notification that only tries an endpoint.
pub const TEST_KIND: &str = "webhook.test";

/// How long a secret that was replaced signs beside its successor, in milliseconds.
pub const SECRET_OVERLAP_MS: i64 = 24 * 3_600_000;
/// The most secrets of one endpoint that sign at one time.
pub const SECRETS_MAX: usize = 4;

/// Whose orders an endpoint hears of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WebhookOrders)]
pub enum Orders {
    /// The orders of the endpoint's user, but for changes that are silent.
    #[default]
    Own,
    /// All orders of the shop. For operators.
    All,
}

impl Orders {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::All => "all",
        }
    }
}

impl TryFrom<String> for Orders {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let found = [Self::Own, Self::All].into_iter().find(|orders| orders.as_str() == text);
        found.ok_or_else(|| format!("\"{text}\" is not one of: own, all"))
    }
}

/// Whether an endpoint is sent what it hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = WebhookState)]
pub enum State {
    /// It is.
    Active,
    /// Requests wait in the queue until it is active again.
    Paused,
    /// It failed for too long, or said that it is gone (410): requests are skipped. They can be tried again later.
    Disabled,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Paused, Self::Disabled];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

impl TryFrom<String> for State {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let state = Self::ALL.into_iter().find(|state| state.as_str() == text);
        state.ok_or_else(|| format!("\"{text}\" is no state: active, paused or disabled"))
    }
}

/// The kinds of notifications that an endpoint is sent: of orders; none named: all of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Kinds(Vec<String>);

impl Kinds {
    /// Whether a kind is among them.
    pub fn has(&self, kind: &str) -> bool {
        if self.0.is_empty() { KINDS.contains(&kind) } else { self.0.iter().any(|named| named == kind) }
    }

    /// As they are stored: a later version may have more kinds.
    pub fn kept(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Those that are named.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for Kinds {
    type Error = String;

    fn try_from(mut names: Vec<String>) -> Result<Self, String> {
        if names.len() > KINDS.len() {
            return Err(format!("must be at most {} kinds", KINDS.len()));
        }
        names.sort();
        names.dedup();
        match names.iter().find(|name| !KINDS.contains(&name.as_str())) {
            Some(name) => Err(format!("\"{name}\" is none of: {}", KINDS.join(", "))),
            None => Ok(Self(names)),
        }
    }
}

impl From<Kinds> for Vec<String> {
    fn from(kinds: Kinds) -> Self {
        kinds.0
    }
}

impl utoipa::PartialSchema for Kinds {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
        let kind = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(KINDS));
        let text = "The kinds of notifications that it is sent, all of orders; none named: all of these.";
        ArrayBuilder::new().items(kind).max_items(Some(KINDS.len())).description(Some(text)).into()
    }
}

impl ToSchema for Kinds {}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub struct Endpoint {
    /// Counts up.
    pub id: i64,
    /// Whose it is; null: the shop's, and it hears of all orders.
    pub user_id: Option<i64>,
    /// Where requests go.
    pub url: WebAddress,
    /// What it is for.
    pub description: OptionalLine,
    /// What it is sent.
    pub kinds: Kinds,
    /// Whether it is sent anything.
    pub state: State,
    /// Why it is in this state, for people.
    pub reason: String,
    /// Raised by every change of its owner's.
    pub version: i64,
    /// Since when requests fail without one that arrives, unix milliseconds.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub failing_since: Option<i64>,
    /// What came of the last request that failed.
    pub failure: Option<String>,
    /// When a request arrived last, to the minute, unix milliseconds.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub delivered_at: Option<i64>,
    /// The secrets that sign its requests, the newest first.
    pub secrets: Vec<SecretInfo>,
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: i64,
}

/// What is said of a secret: never the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WebhookSecretInfo)]
pub struct SecretInfo {
    /// Counts up for each endpoint.
    pub version: u32,
    /// Until when it signs, unix milliseconds; null: until it is replaced.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<i64>,
}

/// An endpoint that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhookEndpoint)]
pub struct NewEndpoint {
    /// Where requests go: https, and no address of a private network.
    #[schema(schema_with = https_address)]
    pub url: WebAddress,
    /// What it is for.
    #[serde(default)]
    pub description: OptionalLine,
    /// What it is sent.
    #[serde(default)]
    pub kinds: Kinds,
    /// Whose orders it hears of.
    #[serde(default)]
    pub orders: Orders,
}

/// What its owner may change of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookEndpointPatch)]
pub struct Changeable {
    /// Where requests go.
    #[schema(schema_with = https_address)]
    pub url: WebAddress,
    /// What it is for.
    #[serde(default)]
    pub description: OptionalLine,
    /// What it is sent.
    #[serde(default)]
    pub kinds: Kinds,
    /// "active" or "paused": only the host disables.
    #[schema(schema_with = wanted_state)]
    pub state: State,
}

fn https_address() -> utoipa::openapi::Object {
    let text = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String);
    let text = text
        .max_length(Some(1_000))
        .description(Some("Where requests go: https, and no address of a private network."));
    text.pattern(Some(r"^https://([a-z0-9]{1,63}\.){0,2}[a-z][a-z0-9]{0,61}(/[A-Za-z0-9._~/-]*)?$")).build()
}

fn wanted_state() -> utoipa::openapi::Object {
    let text = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String);
    text.enum_values(Some(["active", "paused"])).description(Some("Only the host disables.")).build()
}

/// Where one request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The endpoint, as it stood when the event was claimed.
    pub endpoint: Endpoint,
    /// What signs the request, the newest first.
    pub secrets: Vec<Secret>,
    /// When a request to it failed last, unix milliseconds.
    pub failed_at: Option<i64>,
}

/// An endpoint's address, in its parts.
///
/// # Errors
/// Says why it is none.
pub fn check_url(url: &WebAddress, private_networks: bool) -> Result<url::Url, &'static str> {
    let parsed = url::Url::parse(url.as_str()).map_err(|_| "must be a web address")?;
    if parsed.scheme() != "https" && !private_networks {
        return Err("must begin with https://");
    }
    if !parsed.username().is_empty() || parsed.password().is_some() || parsed.fragment().is_some() {
        return Err("must have neither a user's name nor a fragment");
    }
    Ok(parsed)
}

/// An address without its path, which may let whoever knows it in.
pub fn origin(url: &WebAddress) -> String {
    url::Url::parse(url.as_str()).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Kinds, WebAddress, check_url};

    #[test]
    fn only_protected_addresses_without_credentials_are_taken() {
        let check = |url: &str, private| check_url(&WebAddress::try_from(url.to_owned()).expect(url), private);
        assert!(check("https://hooks.example/a?b=c", false).is_ok());
        assert!(check("http://hooks.example/", false).is_err() && check("http://hooks.example/", true).is_ok());
        for bad in ["https://ada@hooks.example/", "https://:x@hooks.example/", "https://hooks.example/#a"] {
            assert!(check(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_hears_of_orders_and_of_nothing_else() {
        let kinds = |names: &[&str]| Kinds::try_from(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        let all = kinds(&[]).expect("all");
        assert!(all.has("order.shipped") && !all.has("account.reset-password") && !all.has("product.back-in-stock"));
        let some = kinds(&["order.shipped", "order.placed", "order.shipped"]).expect("two");
        assert_eq!(some.names(), ["order.placed", "order.shipped"]);
        assert!(some.has("order.placed") && !some.has("order.delivered"));
        assert!(kinds(&["account.closed"]).is_err());
        assert!(kinds(&["order.placed"; 50]).is_err());
    }
}
