//! What users are told of their accounts, and what the links in these mails do.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::once::tried;
use super::users::taken;
use super::{Error, Principal, Service, woken};
use crate::clock::HOUR_MS;
use crate::link::{Claim, Links, Purpose};
use crate::notification::subject::{Account, Link, Subject};
use crate::notification::{Lane, Payload};
use crate::shop::Attributes;
use crate::shop::text::{Email, WebAddress};
use crate::shop::user::{Password, User};
use crate::store::{self, Tx, accounts, contents, suppressions, users};

/// Mails about accounts.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Whether addresses are verified by a link that is sent to them.
    pub verify_emails: bool,
    /// Whether users are told of another password, another address, a log-in from elsewhere, and that their account is closed.
    pub notices: bool,
    /// Where customers reach this host's pages.
    pub pages_url: WebAddress,
    /// A page of the shop's own that verifies addresses; the token is put at its end. None: this host's.
    #[serde(default)]
    pub verify_url: Option<WebAddress>,
    /// A page of the shop's own that sets passwords; the token is put at its end. None: this host's.
    #[serde(default)]
    pub reset_url: Option<WebAddress>,
    /// How long a link to verify an address works, in milliseconds.
    pub verify_link_ms: i64,
    /// How long a link to set a password works, in milliseconds.
    pub reset_link_ms: i64,
    /// Mails with a link of one kind to one user in an hour, counted by all hosts together; 0: any number.
    pub mails_per_hour_max: i64,
}

/// How often a host looks for requests that another host took and did not answer.
const LOOK_EVERY: Duration = Duration::from_secs(5);

const VERIFY: &str = "account.verify-email";
const RESET: &str = "account.reset-password";

impl Accounts {
    /// The address of a page of this host.
    pub fn page(&self, path: &str) -> Option<WebAddress> {
        format!("{}{path}", self.pages_url.as_str().trim_end_matches('/')).try_into().ok()
    }

    fn link(&self, kind: &str, stamp: i64, now: i64) -> Option<Link> {
        let (own, lifetime_ms) = match kind {
            VERIFY => (&self.verify_url, self.verify_link_ms),
            RESET => (&self.reset_url, self.reset_link_ms),
            _ => return None,
        };
        let url = own.clone().or_else(|| self.page("/a/"))?;
        Some(Link { url, expires_at: Some(now + lifetime_ms), stamp: Some(stamp) })
    }
}

/// A mail about an account.
pub(super) struct Told<'a> {
    /// Such as "account.password-changed".
    pub(super) kind: &'static str,
    /// Where it goes.
    pub(super) to: &'a Email,
    /// The address that it is about.
    pub(super) about: &'a Email,
    /// What its link is bound to, where its kind has one.
    pub(super) stamp: i64,
    /// What else there is to say.
    pub(super) attributes: Attributes,
}

impl<'a> Told<'a> {
    /// To the address that it is about.
    pub(super) fn of(kind: &'static str, email: &'a Email) -> Self {
        Self { kind, to: email, about: email, stamp: 0, attributes: Attributes::default() }
    }

    /// Asks whether mails to an address arrive.
    pub(super) fn verify(email: &'a Email) -> Self {
        Self { stamp: Links::stamp(email), ..Self::of(VERIFY, email) }
    }
}

impl Service {
    /// Queues a mail about an account in the transaction of what it tells; the notification's number.
    pub(super) async fn tell(&self, tx: &mut Tx, user: &User, told: Told<'_>) -> store::Result<i64> {
        let now = self.clock.now_ms();
        let Told { kind, to, about, stamp, attributes } = told;
        let customer = crate::notification::Customer { email: to.clone(), ..user.clone().into() };
        let account = Account { email: about.clone(), link: self.accounts.link(kind, stamp, now), attributes };
        let subject = Subject::Account(Box::new(account));
        let payload = Payload::of(kind, now, customer, &self.shop, subject);
        // What goes to another address must keep none of theirs waiting.
        let lane = if *to == user.email { Lane::Account(user.id) } else { Lane::Beside(user.id) };
        let mail = (lane, self.message_id(), payload);
        let ids = accounts::tell(tx, vec![mail], self.store.offset_ms()).await?;
        Ok(ids.first().copied().unwrap_or_default())
    }

    /// Fails when a user was sent too many mails of a kind within the last hour.
    async fn must_be_seldom(&self, tx: &mut Tx, user_id: i64, kind: &str) -> Result<(), Error> {
        let (limit, now) = (self.accounts.mails_per_hour_max, self.clock.now_ms());
        if limit == 0 {
            return Ok(());
        }
        let (oldest, count) = accounts::recent(tx, user_id, kind, now - HOUR_MS).await?;
        if count < limit {
            return Ok(());
        }
        let wait_ms = oldest.map_or(HOUR_MS, |at| at + HOUR_MS - now);
        let retry_after = Duration::from_millis(u64::try_from(wait_ms).unwrap_or_default());
        Err(Error::TooMany { retry_after: retry_after.max(Duration::from_secs(1)) })
    }

    /// The same of mails that ask whether an address is theirs, and of those of all users to one address: it may be nobody's of
    /// them.
    pub(super) async fn may_verify(&self, tx: &mut Tx, user_id: i64, address: &Email) -> Result<(), Error> {
        self.throttle.verify(address.as_str())?;
        self.must_be_seldom(tx, user_id, VERIFY).await
    }

    /// Sends the link that verifies a user's new address once more. Oneself, or anybody for admins.
    pub async fn request_verification(&self, who: Principal, id: i64) -> Result<(), Error> {
        who.must_be(id)?;
        self.once(who, "request-verification", None, || self.try_request_verification(id)).await?;
        self.enqueued();
        Ok(())
    }

    async fn try_request_verification(&self, id: i64) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let (user, _) = users::lock(&mut tx, id).await?.ok_or(Error::NotFound("user"))?;
        let address = match &user.pending_email {
            Some(pending) => pending,
            None if user.email_verified_at.is_none() => &user.email,
            None => return Err(Error::Conflict("the address is verified".to_owned())),
        };
        self.may_verify(&mut tx, id, address).await?;
        self.tell(&mut tx, &user, Told::verify(address)).await?;
        Ok(tx.commit().await?)
    }

    /// Verifies an address by the token of a link that was sent to it; one that was to replace another does so now. Once
    /// that is done it says so again.
    pub async fn verify_email(&self, token: &str) -> Result<(), Error> {
        let claim = self.claim(token, Purpose::VerifyEmail)?;
        tried(|| self.try_verify(&claim)).await?;
        self.enqueued();
        Ok(())
    }

    async fn try_verify(&self, claim: &Claim) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let (user, _) = users::lock(&mut tx, claim.user_id).await?.ok_or_else(over)?;
        let is_pending = user.pending_email.as_ref().is_some_and(|email| Links::stamp(email) == claim.stamp);
        if !is_pending && Links::stamp(&user.email) != claim.stamp {
            return Err(over());
        }
        if !is_pending && user.email_verified_at.is_some() {
            return Ok(());
        }
        let now = self.clock.now_ms();
        let (before, version) = (user.clone(), user.version + 1);
        let email = user.pending_email.clone().filter(|_| is_pending).unwrap_or_else(|| user.email.clone());
        let pending_email = user.pending_email.clone().filter(|_| !is_pending);
        // A link to set a password that went to the old address is over.
        let password_no = user.password_no + i64::from(is_pending);
        let user =
            User { email, pending_email, email_verified_at: Some(now), password_no, version, updated_at: now, ..user };
        users::write(&mut tx, &user, None).await.map_err(taken)?;
        if is_pending {
            self.moved(&mut tx, &before, &user).await?;
        }
        Ok(tx.commit().await?)
    }

    /// What follows from another address, in the transaction that writes it: mails that are queued go there, what its owner
    /// asked for holds there as well, and the old one is told.
    pub(super) async fn moved(&self, tx: &mut Tx, before: &User, user: &User) -> store::Result<()> {
        let (old, new) = (self.address_keys.of(&before.email), self.address_keys.of(&user.email));
        suppressions::follow(tx, &old, &new, &user.email, self.clock.now_ms()).await?;
        // Nobody would find it when its user leaves.
        suppressions::redact(tx, &old).await?;
        contents::readdress(tx, &user.clone().into()).await?;
        if self.accounts.notices {
            let told = Told { about: &user.email, ..Told::of("account.email-changed", &before.email) };
            self.tell(tx, user, told).await?;
        }
        Ok(())
    }

    /// Has a link that sets another password sent to an address, if it is a user's. Whether it is, neither the answer tells nor
    /// the time it takes: it is looked up when the answer is out.
    pub async fn request_password_reset(&self, email: &Email, from: Option<std::net::IpAddr>) -> Result<(), Error> {
        self.throttle.log_in(email.as_str(), from)?;
        tried(async || Ok(self.store.insert_reset_request(email.as_str()).await?)).await?;
        self.resets.notify_one();
        Ok(())
    }

    /// Sets another password by the token of a link that was sent for that. It works once, and ends all sessions.
    pub async fn reset_password(&self, token: &str, password: &Password) -> Result<(), Error> {
        let claim = self.claim(token, Purpose::ResetPassword)?;
        let hash = self.hash(password).await?;
        tried(|| self.try_reset(&claim, &hash)).await?;
        self.enqueued();
        Ok(())
    }

    async fn try_reset(&self, claim: &Claim, hash: &str) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let (user, _) = users::lock(&mut tx, claim.user_id).await?.ok_or_else(over)?;
        if user.password_no != claim.stamp {
            return Err(over());
        }
        let now = self.clock.now_ms();
        let (password_no, version) = (user.password_no + 1, user.version + 1);
        // Who knew the old password may have asked for another address.
        let user = User { password_no, pending_email: None, version, updated_at: now, ..user };
        users::write(&mut tx, &user, Some(hash)).await?;
        users::revoke_sessions(&mut tx, user.id, 0, now).await?;
        if self.accounts.notices {
            self.tell(&mut tx, &user, Told::of("account.password-changed", &user.email)).await?;
        }
        Ok(tx.commit().await?)
    }

    pub(super) fn claim(&self, token: &str, purpose: Purpose) -> Result<Claim, Error> {
        let claim = self.links.read(token, self.clock.now_ms());
        claim.filter(|claim| claim.purpose == purpose).ok_or_else(over)
    }

    /// What a link is for that still works, whose it is, and the address that it is about; else the error says what to do.
    pub async fn follow_link(&self, token: &str) -> Result<(Purpose, User, Email), Error> {
        let claim = self.links.read(token, self.clock.now_ms()).ok_or_else(over)?;
        let user = self.store.user(claim.user_id).await?.ok_or_else(over)?;
        let is_of = |email: &Email| Links::stamp(email) == claim.stamp;
        let about = match claim.purpose {
            Purpose::VerifyEmail => {
                [Some(&user.email), user.pending_email.as_ref()].into_iter().flatten().find(|e| is_of(e))
            }
            Purpose::ResetPassword => Some(&user.email).filter(|_| user.password_no == claim.stamp),
            Purpose::Unsubscribe => None,
        };
        let about = about.cloned().ok_or_else(over)?;
        Ok((claim.purpose, user, about))
    }

    /// Answers requests for other passwords until the host stops.
    pub async fn answer_resets(self: Arc<Self>, stop: CancellationToken) {
        loop {
            if let Err(e) = self.answer_reset_requests().await {
                tracing::warn!(error = %crate::cause::chain(&e), "requests for other passwords could not be answered yet");
            }
            if !woken(&self.resets, LOOK_EVERY, &stop).await {
                return;
            }
        }
    }

    /// Answers the requests that are there.
    pub async fn answer_reset_requests(&self) -> Result<(), Error> {
        while self.store.has_reset_requests().await? {
            if !tried(|| self.try_answer()).await? {
                break;
            }
            self.enqueued();
        }
        Ok(())
    }

    /// Some of them in one transaction; false when others have them all.
    async fn try_answer(&self) -> Result<bool, Error> {
        let mut tx = self.store.begin().await?;
        let requests = accounts::take_reset_requests(&mut tx).await?;
        for request in &requests {
            let Some(id) = users::id_of(&mut tx, &request.email).await? else { continue };
            let user = match users::lock(&mut tx, id).await {
                Ok(Some((user, _))) => user,
                Ok(None) => continue,
                // One of many must not keep the others waiting.
                Err(e @ store::Error::Corrupt { .. }) => {
                    tracing::error!(error = %e, "a user cannot be sent a link for another password");
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            match self.must_be_seldom(&mut tx, id, RESET).await {
                Ok(()) => {}
                // Nobody is told: the answer to the request was given.
                Err(Error::TooMany { .. }) => continue,
                Err(e) => return Err(e),
            }
            let told = Told { stamp: user.password_no, ..Told::of(RESET, &user.email) };
            self.tell(&mut tx, &user, told).await?;
        }
        tx.commit().await?;
        Ok(!requests.is_empty())
    }
}

/// One answer for whatever is wrong with a token.
pub(super) fn over() -> Error {
    Error::NotFound("link that still works: ask for a new one")
}
