use std::collections::BTreeMap;
use std::net::IpAddr;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::accounts::Told;
use super::once::tried;
use super::{Error, Service};
use crate::shop::Attributes;
use crate::shop::user::{Credentials, Password, RefreshToken, Role};
use crate::store::users::{self, SessionRow};

/// Who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Which user.
    pub user_id: i64,
    /// By which log-in.
    pub session_id: i64,
    /// May change the shop.
    pub is_admin: bool,
    /// What they may do with components and notifications, who are not admins.
    pub role: Option<Role>,
}

impl Principal {
    /// Only admins pass.
    pub fn must_be_admin(&self) -> Result<(), Error> {
        if self.is_admin { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// Only those pass who may see what components do: viewers, operators, admins.
    pub fn must_look(&self) -> Result<(), Error> {
        if self.is_admin || self.role.is_some() { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// Only those pass who may change what components do: operators and admins.
    pub fn must_operate(&self) -> Result<(), Error> {
        if self.is_admin || self.role == Some(Role::Operator) { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// Only the user and admins pass; to others there is no such user.
    pub(super) fn must_be(&self, user_id: i64) -> Result<(), Error> {
        if self.is_admin || self.user_id == user_id { Ok(()) } else { Err(Error::NotFound("user")) }
    }
}

/// A log-in or its renewal that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Session {
    /// Which log-in; the same after each renewal.
    pub id: i64,
    /// Who logged in.
    pub user_id: i64,
    /// For the `Authorization: Bearer` header (RFC 6750).
    pub access_token: String,
    /// When the access token ends.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: i64,
    /// Renews the session once: each renewal gives a new one. Used again within `auth.renewal_grace_ms` it gives the
    /// same new one; later, or when that has been used, it ends the session.
    pub refresh_token: String,
    /// When the refresh token ends.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub refresh_expires_at: i64,
}

/// A log-in, as its owner sees it in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct SessionInfo {
    /// Names it when it is to be revoked.
    pub id: i64,
    /// When.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// The last renewal; none yet when null.
    #[serde(with = "crate::clock::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub renewed_at: Option<i64>,
    /// When it ends unless renewed.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: i64,
    /// Whether it is the one that asks.
    pub is_current: bool,
}

/// The most sessions that are listed.
const SESSIONS_MAX: i64 = 100;

/// A hash that no password has, so that an unknown address costs as much as a wrong password.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Service {
    /// Logs in. The answer does not tell whether it was the address or the password. `from` is where the request
    /// came from; failures are counted for it and for the account.
    pub async fn log_in(&self, credentials: Credentials, from: Option<IpAddr>) -> Result<Session, Error> {
        let Credentials { email, password } = credentials;
        self.throttle.log_in(email.as_str(), from)?;
        let found = self.store.user_by_email(email.as_str()).await?;
        let (user, hash) = found.map_or((None, NOBODY.to_owned()), |(user, hash)| (Some(user), hash));
        let is_right = self.is_password(password, hash.clone()).await;
        let user = user.filter(|_| is_right).ok_or(Error::WrongCredentials)?;
        let nobody_yet = Principal { user_id: user.id, session_id: 0, is_admin: user.is_admin, role: user.role };
        let expires_at = self.clock.now_ms() + self.tokens.refresh_ms;
        let begun = tried(|| self.try_begin_session(user.id, &hash, expires_at, from)).await?;
        let session_id = begun.ok_or(Error::WrongCredentials)?;
        let who = Principal { session_id, ..nobody_yet };
        let first = self.tokens.refresh(who, &self.clock)?;
        self.store.begin_session(session_id, &token_hash(&first.0), first.1).await?;
        self.session(who, first)
    }

    /// Records a log-in; none: `hash` is not the user's password any longer. One from a network that the user was not seen in
    /// before, who was seen in another, is told to them.
    async fn try_begin_session(
        &self,
        user_id: i64,
        hash: &str,
        expires_at: i64,
        from: Option<IpAddr>,
    ) -> Result<Option<i64>, Error> {
        let now = self.clock.now_ms();
        let mut tx = self.store.begin().await?;
        let locked = users::lock(&mut tx, user_id).await?.filter(|(_, newest)| newest == hash);
        let Some((user, _)) = locked else { return Ok(None) };
        let networks = from.map(|from| self.links.networks(user_id, from)).unwrap_or_default();
        let mut is_elsewhere = self.accounts.notices && !networks.is_empty();
        for network in &networks {
            is_elsewhere = is_elsewhere && users::is_elsewhere(&mut tx, user_id, network).await?;
        }
        let id =
            users::insert_session(&mut tx, user_id, networks.first().map(String::as_str), (now, expires_at)).await?;
        if let Some(from) = from.filter(|_| is_elsewhere) {
            let attributes = BTreeMap::from([("address".to_owned(), from.to_canonical().to_string())]);
            let attributes = Attributes::try_from(attributes).unwrap_or_default();
            let told = Told { attributes, ..Told::of("account.new-log-in", &user.email) };
            self.tell(&mut tx, &user, told).await?;
        }
        tx.commit().await?;
        if is_elsewhere {
            self.enqueued();
        }
        Ok(Some(id))
    }

    /// Renews a session: a new access token with the user's rights of now, and a new refresh token. The old one is
    /// spent; who shows it again has stolen it or was stolen from, and the session ends (RFC 9700 4.14.2). But a client
    /// with two tabs, or one that missed the answer, shows it again at once: for a while it gets the same successor,
    /// unless that has been spent as well.
    pub async fn renew_session(&self, token: &RefreshToken) -> Result<Session, Error> {
        let asked = self.tokens.renews(token.secret().expose_secret(), &self.clock)?;
        let row = self.store.session(asked.session_id).await?.ok_or(Error::WrongRefreshToken)?;
        let is_live = row.revoked_at.is_none() && row.expires_at > self.clock.now_ms();
        if !is_live || row.user_id != asked.user_id {
            return Err(Error::WrongRefreshToken);
        }
        let spent = token_hash(token.secret().expose_secret());
        let user = self.store.user(row.user_id).await?.ok_or(Error::WrongRefreshToken)?;
        let who = Principal { is_admin: user.is_admin, role: user.role, ..asked };
        let now = self.clock.now_ms();
        let successor = self.tokens.successors(who, &spent, now)?.swap_remove(0);
        if self.store.renew_session(row.id, &spent, &token_hash(&successor.0), (now, successor.1)).await? {
            return self.session(who, successor);
        }
        if let Some(successor) = self.same_again(who, &spent).await? {
            return self.session(who, successor);
        }
        tracing::warn!(session.id = row.id, "a spent refresh token was used again; its session ends");
        self.store.revoke_session(row.user_id, row.id).await?;
        Err(Error::WrongRefreshToken)
    }

    /// The successor that `spent` was renewed to, if that was a moment ago and is the session's newest.
    async fn same_again(&self, who: Principal, spent: &str) -> Result<Option<(String, i64)>, Error> {
        let row = self.store.session(who.session_id).await?.ok_or(Error::WrongRefreshToken)?;
        let Some(renewed_at) = row.renewed_at.filter(|_| row.revoked_at.is_none()) else { return Ok(None) };
        let is_newest = row.spent_hash.as_deref() == Some(spent);
        if !is_newest || self.clock.now_ms() - renewed_at > self.tokens.grace_ms {
            return Ok(None);
        }
        let successors = self.tokens.successors(who, spent, renewed_at)?;
        Ok(successors.into_iter().find(|(token, _)| row.token_hash.as_deref() == Some(&token_hash(token))))
    }

    /// The caller's sessions that are alive, newest first, at most a hundred.
    pub async fn sessions(&self, who: Principal) -> Result<Vec<SessionInfo>, Error> {
        let rows = self.store.sessions_of(who.user_id, SESSIONS_MAX).await?;
        let info = |row: SessionRow| SessionInfo {
            id: row.id,
            created_at: row.created_at,
            renewed_at: row.renewed_at,
            expires_at: row.expires_at,
            is_current: row.id == who.session_id,
        };
        Ok(rows.into_iter().map(info).collect())
    }

    /// Ends one of the caller's sessions; none: the one that asks. Its access token runs out by itself.
    pub async fn end_session(&self, who: Principal, session_id: Option<i64>) -> Result<(), Error> {
        let ended = self.store.revoke_session(who.user_id, session_id.unwrap_or(who.session_id)).await?;
        if ended || session_id.is_none() { Ok(()) } else { Err(Error::NotFound("session")) }
    }

    /// Who a bearer token speaks for.
    pub fn authenticate(&self, token: Option<&str>) -> Result<Principal, Error> {
        self.tokens.principal(token.ok_or(Error::Unauthenticated)?, &self.clock)
    }

    /// What the forms of a session's pages carry, so that no other page can send one (CSRF).
    pub fn form_token(&self, who: Principal) -> String {
        self.tokens.form_tokens(who.session_id).swap_remove(0)
    }

    /// Whether a form is of this session's pages.
    pub fn is_form_token(&self, who: Principal, token: &str) -> bool {
        // Hashed, so that the time of the comparison tells nothing.
        let given = token_hash(token);
        self.tokens.form_tokens(who.session_id).iter().any(|right| token_hash(right) == given)
    }

    pub(super) async fn is_password(&self, password: Password, hash: String) -> bool {
        let _permit = self.hashing.acquire().await;
        let checking = tokio::task::spawn_blocking(move || {
            let password = password.secret().expose_secret().as_bytes();
            PasswordHash::new(&hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
        });
        checking.await.unwrap_or(false)
    }

    fn session(&self, who: Principal, (refresh_token, refresh_expires_at): (String, i64)) -> Result<Session, Error> {
        let (access_token, expires_at) = self.tokens.access(who, &self.clock)?;
        Ok(Session {
            id: who.session_id,
            user_id: who.user_id,
            access_token,
            expires_at,
            refresh_token,
            refresh_expires_at,
        })
    }
}

/// What the store keeps of a refresh token.
fn token_hash(token: &str) -> String {
    crate::plugin::digest(token.as_bytes())
}
