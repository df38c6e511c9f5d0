//! Addresses that get no more mails, or none of a category, and why. Pure.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::DAY_MS;
use crate::mac::Keys;
use crate::notification::Category;
use crate::shop::text::{Email, OptionalLine};

/// An address of which a server said that it is none gets no mail for so long; then it is tried again.
pub(crate) const BOUNCED_MS: i64 = 180 * DAY_MS;

/// Why an address gets no more mails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SuppressionCause)]
pub enum Cause {
    /// A server said that there is no such mailbox, or a policy decided it by what came back.
    Bounced,
    /// Somebody reported a mail as unwanted.
    Complained,
    /// Somebody asked for no more.
    Unsubscribed,
    /// An operator decided it.
    #[default]
    Manual,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bounced, Self::Complained, Self::Unsubscribed, Self::Manual];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bounced => "bounced",
            Self::Complained => "complained",
            Self::Unsubscribed => "unsubscribed",
            Self::Manual => "manual",
        }
    }

    /// Whether a policy may send all the same: a mailbox may be there again. What people asked for holds.
    pub fn may_be_ignored(self) -> bool {
        self == Self::Bounced
    }
}

impl TryFrom<String> for Cause {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let cause = Self::ALL.into_iter().find(|cause| cause.as_str() == text);
        cause.ok_or_else(|| format!("\"{text}\" is no cause: bounced, complained, unsubscribed or manual"))
    }
}

/// Which mails an address does not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SuppressionCategory)]
pub enum Scope {
    /// None at all.
    #[default]
    All,
    /// About orders and the account.
    Transactional,
    /// Asked for by the customer.
    Requested,
    /// Agreed to in general.
    Marketing,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::All, Self::Transactional, Self::Requested, Self::Marketing];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Transactional => "transactional",
            Self::Requested => "requested",
            Self::Marketing => "marketing",
        }
    }

    /// What is stopped by a complaint about a mail of a category: who does not want what nobody chooses wants nothing.
    pub fn of_complaint(category: &Category) -> Self {
        match category {
            Category::Requested => Self::Requested,
            Category::Marketing => Self::Marketing,
            Category::Transactional | Category::Other(_) => Self::All,
        }
    }

    /// A category's; all where this version does not know it.
    pub fn of(category: &Category) -> Self {
        match category {
            Category::Transactional => Self::Transactional,
            Category::Requested => Self::Requested,
            Category::Marketing => Self::Marketing,
            Category::Other(_) => Self::All,
        }
    }

    /// Whether mails of a category are among them.
    pub fn covers(self, category: &Category) -> bool {
        match self {
            Self::All => true,
            Self::Transactional => *category == Category::Transactional,
            Self::Requested => *category == Category::Requested,
            Self::Marketing => *category == Category::Marketing,
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let scope = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        scope.ok_or_else(|| format!("\"{text}\" is no category: all, transactional, requested or marketing"))
    }
}

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Suppression {
    /// Counts up.
    pub id: i64,
    /// Whose; null once its user has left: the address is then known by a keyed hash alone.
    pub address: Option<String>,
    /// Which mails it does not get.
    pub category: Scope,
    /// Why.
    pub cause: Cause,
    /// Who found it: an operator, a relay.
    pub source: String,
    /// What else is known of it.
    pub note: String,
    /// Since when.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// Until when; null: until it is lifted.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<i64>,
}

/// An address that is to get no more mails. An entry of the same category and cause is renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSuppression {
    /// Whose.
    pub address: Email,
    /// Which mails it does not get.
    #[serde(default)]
    pub category: Scope,
    /// Why.
    #[serde(default)]
    pub cause: Cause,
    /// What else is known of it.
    #[serde(default)]
    pub note: OptionalLine,
    /// Until when; null: until it is lifted.
    #[serde(default, with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<i64>,
}

impl NewSuppression {
    /// A server said at a time (unix milliseconds) that there is no such mailbox; the note says which mail it was.
    pub fn bounced(address: Email, note: &str, now: i64) -> Self {
        let note = note.to_owned().try_into().unwrap_or_default();
        Self { address, category: Scope::All, cause: Cause::Bounced, note, expires_at: Some(now + BOUNCED_MS) }
    }
}

/// Which entries are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuppressionFilter {
    /// Of this address.
    pub address: Option<Email>,
    /// For this cause.
    pub cause: Option<Cause>,
    /// Of this category.
    pub category: Option<Scope>,
}

/// What a mail about to be sent runs into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressed {
    /// Which entry.
    pub id: i64,
    /// Why.
    pub cause: Cause,
    /// Since when, unix milliseconds.
    pub since: i64,
}

impl Suppressed {
    /// The strictest of the entries that stand in a mail's way.
    pub fn of(entries: impl IntoIterator<Item = Suppression>, category: &Category) -> Option<Self> {
        let covering = entries.into_iter().filter(|entry| entry.category.covers(category));
        let strictest = covering.min_by_key(|entry| (entry.cause.may_be_ignored(), entry.id))?;
        let Suppression { id, cause, created_at, .. } = strictest;
        Some(Self { id, cause, since: created_at })
    }

    /// For the record.
    pub fn reason(&self) -> String {
        let what = match self.cause {
            Cause::Bounced => "a mail came back",
            Cause::Complained => "a mail was reported as unwanted",
            Cause::Unsubscribed => "no more mails were asked for",
            Cause::Manual => "an operator decided it",
        };
        let (id, since) = (self.id, crate::clock::rfc3339::text(self.since));
        format!("the address is suppressed (entry {id}, {}): {what} on {since}", self.cause.as_str())
    }
}

/// Whether a reply says of a recipient that there is none, for good (RFC 3463 3.2; 5.1.10 of RFC 7505).
pub fn says_nobody(enhanced: &str) -> bool {
    ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"].contains(&enhanced)
}

/// What an address is found by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressKey {
    /// The hash's first bytes: an index of numbers.
    pub key: i64,
    /// HMAC-SHA-256 in hex.
    pub hash: String,
}

/// Makes keys of addresses, with the hosts' secret and those before it. Cheap to clone.
#[derive(Clone)]
pub struct AddressKeys(Keys);

impl AddressKeys {
    /// `secrets` begins with the one in use.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a SecretString>) -> Self {
        Self(Keys::new(secrets, b"ecomm suppressed address"))
    }

    /// An address's keys, the one in use first. Capitals make no other address: no server in use tells them apart.
    pub fn of(&self, address: &Email) -> Vec<AddressKey> {
        let (local, _) = address.as_str().rsplit_once('@').unwrap_or((address.as_str(), ""));
        let known_as = format!("{}@{}", local.to_lowercase(), address.domain());
        let key = |hash: [u8; 32]| {
            let mut first = [0; 8];
            first.copy_from_slice(&hash[..8]);
            AddressKey { key: i64::from_be_bytes(first), hash: crate::hex::encode(&hash) }
        };
        self.0.each(known_as.as_bytes()).map(key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64, category: Scope, cause: Cause) -> Suppression {
        let (source, note) = (String::new(), String::new());
        Suppression { id, address: None, category, cause, source, note, created_at: 0, expires_at: None }
    }

    #[test]
    fn what_people_asked_for_goes_before_what_servers_said() {
        let entries = [
            entry(1, Scope::All, Cause::Bounced),
            entry(2, Scope::Marketing, Cause::Unsubscribed),
            entry(3, Scope::All, Cause::Complained),
        ];
        let of = |entries: &[Suppression], category| Suppressed::of(entries.to_vec(), &category).map(|s| s.id);
        assert_eq!(of(&entries, Category::Transactional), Some(3));
        assert_eq!(of(&entries, Category::Marketing), Some(2));
        assert_eq!(of(&entries[..2], Category::Transactional), Some(1));
        assert_eq!(of(&entries[1..2], Category::Transactional), None);
        assert_eq!(of(&entries[1..2], Category::Other("survey".to_owned())), None);
        assert_eq!(of(&entries[..1], Category::Other("survey".to_owned())), Some(1));
    }

    #[test]
    fn an_address_has_one_key_however_it_is_written() {
        let [new, old] = ["new", "old"].map(SecretString::from);
        let keys = AddressKeys::new([&new, &old].into_iter());
        let of = |text: &str| keys.of(&text.to_owned().try_into().expect("an address"));
        assert_eq!(of("Ada@Example.com"), of("ada@example.COM"));
        assert_ne!(of("ada@example.com"), of("bob@example.com"));
        assert_eq!(of("ada@example.com").len(), 2);
        let retired = AddressKeys::new([&old].into_iter());
        assert_eq!(of("ada@example.com")[1..], retired.of(&"ada@example.com".to_owned().try_into().expect("one"))[..]);
    }
}
