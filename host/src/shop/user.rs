//! Customers and admins.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Attributes;
use super::text::{Email, Line, Locale, TimeZone};

/// Somebody who can log in. The password hash stays in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct User {
    /// Made by the database.
    pub id: i64,
    /// Unique; mail goes here.
    pub email: Email,
    /// When a link was followed that was sent to it; null: not yet.
    #[serde(default, with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub email_verified_at: Option<i64>,
    /// Replaces the address once a link was followed that was sent to this one.
    pub pending_email: Option<Email>,
    /// How many passwords there were before this one.
    #[serde(skip)]
    pub password_no: i64,
    /// As mails address them.
    pub name: Line,
    /// Which language mails are in.
    pub locale: Locale,
    /// Which zone the times in mails are in.
    pub time_zone: TimeZone,
    /// May change the shop.
    pub is_admin: bool,
    /// What they may do with components and notifications, who are not admins.
    pub role: Option<Role>,
    /// Values that templates and policies may use.
    pub attributes: Attributes,
    /// Raised by every change.
    pub version: i64,
    /// When they signed up.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// The last change.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: i64,
}

/// What somebody who is not an admin may do with components and notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at components, stages and evidence, and at notifications with their journals.
    Viewer,
    /// The same, and install, stage, activate and roll back; and retry, hold and cancel notifications, pause the queue.
    Operator,
}

impl Role {
    /// The word for the database and the APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

impl TryFrom<String> for Role {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        [Self::Viewer, Self::Operator]
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| "must be viewer or operator".to_owned())
    }
}

/// What users may change of themselves, and admins of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Mail goes here, also mail that is queued already.
    pub email: Email,
    /// As mails address them.
    pub name: Line,
    /// "en" when cleared.
    #[serde(default = "english")]
    pub locale: Locale,
    /// "UTC" when cleared.
    #[serde(default = "utc")]
    pub time_zone: TimeZone,
    /// Values that templates and policies may use.
    #[serde(default)]
    pub attributes: Attributes,
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        let User {
            id: _,
            email,
            email_verified_at: _,
            pending_email: _,
            password_no: _,
            name,
            locale,
            time_zone,
            is_admin: _,
            role: _,
            attributes,
            version: _,
            created_at: _,
            updated_at: _,
        } = user;
        Self { email, name, locale, time_zone, attributes }
    }
}

/// A sign-up. Rights are not asked for here: `ecomm admin create` makes admins.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Must not be taken.
    pub email: Email,
    /// As mails address them.
    pub name: Line,
    /// The password.
    #[schema(value_type = String, min_length = 10, max_length = 200)]
    pub password: Password,
    /// "en" when left out.
    #[serde(default = "english")]
    pub locale: Locale,
    /// "UTC" when left out.
    #[serde(default = "utc")]
    pub time_zone: TimeZone,
    /// Values that templates and policies may use.
    #[serde(default)]
    pub attributes: Attributes,
}

/// A log-in.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Who.
    pub email: Email,
    /// The password.
    #[schema(value_type = String, min_length = 10, max_length = 200)]
    pub password: Password,
}

/// Somebody has forgotten their password.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordReset {
    /// Whose.
    pub email: Email,
}

/// What a link does that was sent to somebody.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailVerification {
    /// What its address ends with.
    #[schema(min_length = 1, max_length = 200)]
    pub token: String,
}

/// Another password, by a link that was sent to somebody.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// What the link's address ends with.
    #[schema(min_length = 1, max_length = 200)]
    pub token: String,
    /// The new password.
    #[schema(value_type = String, min_length = 10, max_length = 200)]
    pub password: Password,
}

/// A refresh token, as a client shows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct RefreshToken(SecretString);

impl TryFrom<String> for RefreshToken {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.len() > 2_000 {
            return Err("must be 1 to 2,000 characters".to_owned());
        }
        Ok(Self(text.into()))
    }
}

impl RefreshToken {
    /// The token, to be read.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

/// A renewal.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// The newest one of the session.
    #[schema(value_type = String, min_length = 1, max_length = 2_000)]
    pub refresh_token: RefreshToken,
}

/// A password of 10 to 200 characters (NIST SP 800-63B: length is what counts).
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Password(SecretString);

impl TryFrom<String> for Password {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !(10..=200).contains(&text.chars().count()) {
            return Err("must be 10 to 200 characters".to_owned());
        }
        Ok(Self(text.into()))
    }
}

impl Password {
    /// The password, to be hashed or compared.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

/// "en".
///
/// # Panics
/// Never: the tag is valid.
pub fn english() -> Locale {
    Locale::try_from("en".to_owned()).expect("a valid tag")
}

/// "UTC".
///
/// # Panics
/// Never: the zone exists.
pub fn utc() -> TimeZone {
    TimeZone::try_from("UTC".to_owned()).expect("a valid zone")
}
