use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Error, Principal};
use crate::clock::Clock;
use crate::shop::user::Role;

/// The shortest secret (RFC 7518 3.2: as long as the hash).
pub const SECRET_BYTES_MIN: usize = 32;

const ISSUER: &str = "ecomm";

/// What a token is for. Type and audience are pinned, so that neither kind passes for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Access,
    Refresh,
}

impl Use {
    /// The media type (RFC 9068 2.1 for access tokens).
    fn media_type(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
        }
    }

    fn audience(self) -> &'static str {
        match self {
            Self::Access => "ecomm-api",
            Self::Refresh => "ecomm-sessions",
        }
    }
}

/// Makes and reads tokens (JWT, RFC 7519): HS256, with issuer, audience, type and algorithm pinned. The first secret
/// signs; the others are still believed, so that a secret can be replaced without logging everybody out.
pub struct Tokens {
    keys: Vec<Key>,
    /// How long an access token is valid.
    pub access_ms: i64,
    /// How long a refresh token is valid.
    pub refresh_ms: i64,
    /// How long after a renewal the token that was spent on it still gets the same successor.
    pub grace_ms: i64,
}

struct Key {
    /// What tokens call it: a part of the secret's hash.
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    fingerprint: Hmac<Sha256>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: i64,
    #[serde(default)]
    admin: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    iat: i64,
    exp: i64,
    jti: String,
}

impl Tokens {
    /// Signs with the first of `secrets`, each at least [`SECRET_BYTES_MIN`] long, and believes all of them.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn new<'a>(
        secrets: impl IntoIterator<Item = &'a SecretString>,
        access_ms: i64,
        refresh_ms: i64,
        grace_ms: i64,
    ) -> Self {
        let key = |secret: &SecretString| {
            let secret = secret.expose_secret().as_bytes();
            Key {
                id: crate::plugin::digest(secret)[..16].to_owned(),
                encoding: EncodingKey::from_secret(secret),
                decoding: DecodingKey::from_secret(secret),
                fingerprint: Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"),
            }
        };
        Self { keys: secrets.into_iter().map(key).collect(), access_ms, refresh_ms, grace_ms }
    }

    /// What may be kept of a request that may hold a password: nobody guesses it from that without the secret. By each
    /// secret, the newest first.
    pub(super) fn fingerprints(&self, request: &[u8]) -> Vec<String> {
        let fingerprint = |key: &Key| {
            let mut mac = key.fingerprint.clone();
            mac.update(b"ecomm request\0");
            mac.update(request);
            crate::hex::encode(&mac.finalize().into_bytes())
        };
        self.keys.iter().map(fingerprint).collect()
    }

    /// What the forms of a session carry, by each secret, the newest first: no other page can know it.
    pub(super) fn form_tokens(&self, session_id: i64) -> Vec<String> {
        let token = |key: &Key| {
            let mut mac = key.fingerprint.clone();
            mac.update(b"ecomm form\0");
            mac.update(&session_id.to_be_bytes());
            crate::hex::encode(&mac.finalize().into_bytes())
        };
        self.keys.iter().map(token).collect()
    }

    /// An access token and when it ends.
    pub(super) fn access(&self, principal: Principal, clock: &Clock) -> Result<(String, i64), Error> {
        let (key, now_ms) = (self.signing()?, clock.now_ms());
        let token = sign(key, Use::Access, principal, self.access_ms, now_ms, clock.uuid().to_string())?;
        Ok((token, now_ms + self.access_ms))
    }

    /// The first refresh token of a session, and when it ends. No two are the same.
    pub(super) fn refresh(&self, who: Principal, clock: &Clock) -> Result<(String, i64), Error> {
        let (key, now_ms) = (self.signing()?, clock.now_ms());
        let token = sign(key, Use::Refresh, bare(who), self.refresh_ms, now_ms, clock.uuid().to_string())?;
        Ok((token, now_ms + self.refresh_ms))
    }

    /// What comes after the refresh token whose hash is `spent`, renewed at `now_ms`, and when it ends: by each secret,
    /// the newest first. Always the same for the same: who renews twice with one token gets one successor. Nobody
    /// can guess it without the secret.
    pub(super) fn successors(&self, who: Principal, spent: &str, now_ms: i64) -> Result<Vec<(String, i64)>, Error> {
        let successor = |key: &Key| {
            let mut mac = key.fingerprint.clone();
            mac.update(b"ecomm successor\0");
            mac.update(spent.as_bytes());
            let name = crate::hex::encode(&mac.finalize().into_bytes());
            Ok((sign(key, Use::Refresh, bare(who), self.refresh_ms, now_ms, name)?, now_ms + self.refresh_ms))
        };
        self.keys.iter().map(successor).collect()
    }

    fn signing(&self) -> Result<&Key, Error> {
        self.keys.first().ok_or_else(|| failed("there is no secret to sign with"))
    }

    /// Who an access token speaks for. One answer for whatever is wrong with it.
    pub fn principal(&self, token: &str, clock: &Clock) -> Result<Principal, Error> {
        self.read(Use::Access, token, clock).ok_or(Error::Unauthenticated)
    }

    /// Whose session a refresh token renews; that it is the session's newest is for the store to say.
    pub(super) fn renews(&self, token: &str, clock: &Clock) -> Result<Principal, Error> {
        self.read(Use::Refresh, token, clock).ok_or(Error::WrongRefreshToken)
    }

    fn read(&self, use_: Use, token: &str, clock: &Clock) -> Option<Principal> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let key = self.keys.iter().find(|k| Some(&k.id) == header.kid.as_ref())?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[use_.audience()]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // By our clock, below, so that tests can move it.
        validation.validate_exp = false;
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).ok()?;
        let Claims { sub, sid, admin, role, exp, .. } = decoded.claims;
        let is_live = exp > clock.now_ms().div_euclid(1_000);
        let is_kind = decoded.header.typ.as_deref() == Some(use_.media_type());
        let user_id = sub.parse().ok()?;
        (is_live && is_kind).then_some(Principal { user_id, session_id: sid, is_admin: admin, role })
    }
}

/// A refresh token gives no rights but to renew.
fn bare(who: Principal) -> Principal {
    Principal { is_admin: false, role: None, ..who }
}

fn sign(key: &Key, use_: Use, who: Principal, lifetime_ms: i64, now_ms: i64, name: String) -> Result<String, Error> {
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: use_.audience().to_owned(),
        sub: who.user_id.to_string(),
        sid: who.session_id,
        admin: who.is_admin,
        role: who.role,
        iat: now_ms.div_euclid(1_000),
        exp: (now_ms + lifetime_ms).div_euclid(1_000),
        jti: name,
    };
    let header =
        Header { typ: Some(use_.media_type().to_owned()), kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, &claims, &key.encoding).map_err(|e| failed(&e.to_string()))
}

fn failed(why: &str) -> Error {
    Error::Internal(crate::store::Error::Undone(why.to_owned()))
}
