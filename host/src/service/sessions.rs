use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{Error, Service};
use crate::clock::Clock;
use crate::shop::user::Credentials;

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Which user.
    pub user_id: i64,
    /// May change the shop.
    pub is_admin: bool,
}

impl Principal {
    /// Only admins pass.
    pub fn must_be_admin(&self) -> Result<(), Error> {
        if self.is_admin { Ok(()) } else { Err(Error::Forbidden) }
    }
}

/// A log-in that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Session {
    /// A JWT (RFC 7519), for the `Authorization: Bearer` header (RFC 6750).
    pub access_token: String,
    /// Unix milliseconds.
    #[serde(with = "crate::clock::rfc3339")]
    pub expires_at: i64,
    /// Who logged in.
    pub user_id: i64,
}

/// Makes and reads access tokens: HS256, with issuer, audience, type and algorithm pinned.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    lifetime_ms: i64,
}

const ISSUER: &str = "ecomm";
const AUDIENCE: &str = "ecomm-api";
/// The media type of access tokens (RFC 9068 2.1).
const TYPE: &str = "at+jwt";
/// The shortest secret (RFC 7518 3.2: as long as the hash).
pub const SECRET_BYTES_MIN: usize = 32;

/// A hash that no password has, so that an unknown address costs as much as a wrong password.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: i64,
    admin: bool,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// Signs with `secret`, at least [`SECRET_BYTES_MIN`] long.
    pub fn new(secret: &SecretString, lifetime_ms: i64) -> Self {
        let secret = secret.expose_secret().as_bytes();
        Self { encoding: EncodingKey::from_secret(secret), decoding: DecodingKey::from_secret(secret), lifetime_ms }
    }

    fn issue(&self, principal: Principal, session_id: i64, now_ms: i64) -> Result<(String, i64), Error> {
        let expires_at = now_ms + self.lifetime_ms;
        let header = Header { typ: Some(TYPE.to_owned()), ..Header::new(Algorithm::HS256) };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: principal.user_id.to_string(),
            sid: session_id,
            admin: principal.is_admin,
            iat: now_ms.div_euclid(1_000),
            exp: expires_at.div_euclid(1_000),
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.encoding);
        let token = token.map_err(|e| Error::Internal(crate::store::Error::Commit(e.to_string())))?;
        Ok((token, expires_at))
    }

    /// Who a token speaks for. One answer for whatever is wrong with it.
    pub fn principal(&self, token: &str, clock: &Clock) -> Result<Principal, Error> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // By our clock, below, so that tests can move it.
        validation.validate_exp = false;
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation);
        let decoded = decoded.map_err(|_| Error::Unauthenticated)?;
        let Claims { sub, admin, exp, .. } = decoded.claims;
        let is_live = exp > clock.now_ms().div_euclid(1_000) && decoded.header.typ.as_deref() == Some(TYPE);
        let user_id = sub.parse().map_err(|_| Error::Unauthenticated)?;
        if is_live { Ok(Principal { user_id, is_admin: admin }) } else { Err(Error::Unauthenticated) }
    }
}

impl Service {
    /// Logs in. The answer does not tell whether it was the address or the password.
    pub async fn log_in(&self, credentials: Credentials) -> Result<Session, Error> {
        let found = self.store.user_by_email(credentials.email.as_str()).await?;
        let (user, hash) = found.map_or((None, NOBODY.to_owned()), |(user, hash)| (Some(user), hash));
        let permit = self.hashing.acquire().await;
        let checking = tokio::task::spawn_blocking(move || {
            let password = credentials.password.secret().expose_secret().as_bytes();
            PasswordHash::new(&hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
        });
        let is_right = checking.await.unwrap_or(false);
        drop(permit);
        let user = user.filter(|_| is_right).ok_or(Error::WrongCredentials)?;
        let principal = Principal { user_id: user.id, is_admin: user.is_admin };
        let now = self.clock.now_ms();
        let session_id = self.store.insert_session(user.id, now + self.tokens.lifetime_ms).await?;
        let (access_token, expires_at) = self.tokens.issue(principal, session_id, now)?;
        Ok(Session { access_token, expires_at, user_id: user.id })
    }

    /// Who a bearer token speaks for.
    pub fn authenticate(&self, token: Option<&str>) -> Result<Principal, Error> {
        self.tokens.principal(token.ok_or(Error::Unauthenticated)?, &self.clock)
    }
}
