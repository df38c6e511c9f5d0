use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::accounts::Told;
use super::once::tried;
use super::patch::{Patch, from_value, merged};
use super::{Error, Once, Page, PageRequest, Principal, Service};
use crate::clock::Clock;
use crate::notification::Customer;
use crate::shop::Attributes;
use crate::shop::text::{Email, Line};
use crate::shop::user::{NewUser, Password, Profile, Role, User, english, utc};
use crate::store::{self, Store, Tx, accounts, contents, endpoints, suppressions, users};

/// What a patch says of a field that may be cleared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change<T> {
    Keep,
    Clear,
    Set(T),
}

/// What a change asks for beside the profile.
struct Rights {
    password: Option<Password>,
    current_password: Option<Password>,
    is_admin: Option<bool>,
    role: Change<Role>,
}

impl Service {
    /// Signs a customer up. Anybody may. A link to verify the address is sent to it, where that is asked for.
    pub async fn sign_up(&self, new: NewUser) -> Result<User, Error> {
        if self.accounts.verify_emails {
            self.throttle.verify(new.email.as_str())?;
        }
        let hash = self.hash(&new.password).await?;
        let user = tried(|| self.try_sign_up(&new, &hash)).await?;
        self.enqueued();
        Ok(user)
    }

    async fn try_sign_up(&self, new: &NewUser, hash: &str) -> Result<User, Error> {
        let mut tx = self.store.begin().await?;
        let user = users::insert(&mut tx, new, hash, false, self.clock.now_ms()).await.map_err(taken)?;
        if self.accounts.verify_emails {
            self.tell(&mut tx, &user, Told::verify(&user.email)).await?;
        }
        tx.commit().await?;
        Ok(user)
    }

    /// One user: oneself, or anybody for admins.
    pub async fn user(&self, who: Principal, id: i64) -> Result<User, Error> {
        who.must_be(id)?;
        self.store.user(id).await?.ok_or(Error::NotFound("user"))
    }

    /// A page of users, oldest first. For admins.
    pub async fn users(&self, who: Principal, page: &PageRequest) -> Result<Page<User>, Error> {
        who.must_be_admin()?;
        let limit = page.limit()?;
        let items = self.store.users_after(page.after_id()?.unwrap_or(0), limit + 1).await?;
        Ok(Page::cut(items, limit, |u| u.id))
    }

    /// Changes a user: the fields of [`Profile`], `password`, and for admins `is_admin` and `role`. Customers who change their
    /// own address or password give `current_password`. A new password, a new address and a loss of rights end the
    /// user's other sessions. Mail that is queued goes to the new address. Where addresses are verified, one that a customer
    /// gives replaces theirs once a link was followed that is sent to it.
    pub async fn update_user(
        &self,
        who: Principal,
        id: i64,
        patch: &Patch,
        expected: Option<i64>,
        once: Option<&Once>,
    ) -> Result<User, Error> {
        who.must_be(id)?;
        let mut patch = patch.clone();
        let rights = Rights {
            password: take(&mut patch, "password")?,
            current_password: take(&mut patch, "current_password")?,
            is_admin: take(&mut patch, "is_admin")?,
            role: if patch.contains_key("role") {
                take(&mut patch, "role")?.map_or(Change::Clear, Change::Set)
            } else {
                Change::Keep
            },
        };
        if rights.is_admin.is_some() || rights.role != Change::Keep {
            who.must_be_admin()?;
        }
        let hash = match &rights.password {
            Some(password) => Some(self.hash(password).await?),
            None => None,
        };
        let change = || self.try_update(who, id, &patch, &rights, hash.as_deref(), expected, once);
        let user = self.once(who, "update-user", once, change).await?;
        self.enqueued();
        Ok(user)
    }

    #[expect(clippy::too_many_arguments, reason = "one call's, each a different thing")]
    async fn try_update(
        &self,
        who: Principal,
        id: i64,
        patch: &Patch,
        rights: &Rights,
        new_hash: Option<&str>,
        expected: Option<i64>,
        once: Option<&Once>,
    ) -> Result<User, Error> {
        let proven = self.proven(who, id, rights).await?;
        let mut change = self.begin(who, "update-user", once).await?;
        let tx = &mut change.tx;
        let (user, hash) = users::lock(tx, id).await?.ok_or(Error::NotFound("user"))?;
        still_admin(tx, who, &user).await?;
        super::must_match(expected, user.version)?;
        let before = Profile::from(user.clone());
        let Profile { email: asked, name, locale, time_zone, attributes } = merged(&before, patch)?;
        let is_guarded = asked != before.email || new_hash.is_some();
        if is_guarded && !who.is_admin {
            if rights.current_password.is_none() {
                let why = "is needed to change the e-mail address or the password";
                return Err(Error::invalid("/current_password", why));
            }
            if proven != Some(hash) {
                return Err(Error::invalid("/current_password", "is wrong"));
            }
        }
        let is_admin = rights.is_admin.unwrap_or(user.is_admin);
        if user.is_admin && !is_admin && users::count_admins(tx).await? == 1 {
            return Err(Error::Conflict("the last admin stays admin".to_owned()));
        }
        let role = match rights.role {
            Change::Keep => user.role,
            Change::Clear => None,
            Change::Set(role) => Some(role),
        };
        let (now, was) = (self.clock.now_ms(), user.clone());
        let loses_rights = (user.is_admin && !is_admin) || (user.role.is_some() && user.role != role);
        let user = if patch.contains_key("email") {
            self.with_address(tx, who, user, asked).await?
        } else if new_hash.is_some() {
            // Who knew the old password may have asked for it.
            User { pending_email: None, ..user }
        } else {
            user
        };
        let user = User {
            name,
            locale,
            time_zone,
            attributes,
            is_admin,
            role,
            // A link to set a password works for the one and the address that it was made for.
            password_no: user.password_no + i64::from(new_hash.is_some() || user.email != was.email),
            version: user.version + 1,
            updated_at: now,
            ..user
        };
        users::write(tx, &user, new_hash).await.map_err(taken)?;
        if is_guarded || loses_rights {
            let but = if who.user_id == id { who.session_id } else { 0 };
            users::revoke_sessions(tx, id, but, now).await?;
        }
        if user.email != was.email {
            self.moved(tx, &was, &user).await?;
        } else if Profile::from(user.clone()) != before {
            contents::readdress(tx, &user.clone().into()).await?;
        }
        if new_hash.is_some() && self.accounts.notices {
            self.tell(tx, &user, Told::of("account.password-changed", &user.email)).await?;
        }
        change.commit(user).await
    }

    /// A user with another address, or with one that is to be theirs.
    async fn with_address(&self, tx: &mut Tx, who: Principal, user: User, email: Email) -> Result<User, Error> {
        if email == user.email {
            return Ok(User { pending_email: None, ..user });
        }
        let user = if self.accounts.verify_emails && !who.is_admin {
            if users::id_of(tx, email.as_str()).await?.is_some() {
                return Err(address_taken());
            }
            User { pending_email: Some(email), ..user }
        } else {
            User { email, pending_email: None, email_verified_at: None, ..user }
        };
        if self.accounts.verify_emails {
            let address = user.pending_email.as_ref().unwrap_or(&user.email);
            if !who.is_admin {
                self.may_verify(tx, user.id, address).await?;
            }
            self.tell(tx, &user, Told::verify(address)).await?;
        }
        Ok(user)
    }

    /// The hash that the given current password was checked against, if it is right. Before the transaction: nobody
    /// else's change is to wait for it. Counted like a log-in: a stolen access token is no way to guess faster.
    async fn proven(&self, who: Principal, id: i64, rights: &Rights) -> Result<Option<String>, Error> {
        let Some(password) = rights.current_password.clone().filter(|_| !who.is_admin) else { return Ok(None) };
        let user = self.user(who, id).await?;
        self.throttle.log_in(user.email.as_str(), None)?;
        let hash = self.store.password_hash(id).await?.ok_or(Error::NotFound("user"))?;
        Ok(self.is_password(password, hash.clone()).await.then_some(hash))
    }

    /// Makes a user nobody: address, name and password go, also from what is kept of their mails; what is queued for
    /// them is skipped, their sessions end, their orders stay. Oneself, or anybody for admins.
    pub async fn delete_user(&self, who: Principal, id: i64, expected: Option<i64>) -> Result<(), Error> {
        who.must_be(id)?;
        self.once(who, "delete-user", None, || self.try_delete(who, id, expected)).await?;
        self.enqueued();
        Ok(())
    }

    async fn try_delete(&self, who: Principal, id: i64, expected: Option<i64>) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let (user, _) = users::lock(&mut tx, id).await?.ok_or(Error::NotFound("user"))?;
        still_admin(&mut tx, who, &user).await?;
        super::must_match(expected, user.version)?;
        if user.is_admin && users::count_admins(&mut tx).await? == 1 {
            return Err(Error::Conflict("the last admin cannot be deleted".to_owned()));
        }
        let nobody = nobody(id);
        suppressions::redact(&mut tx, &self.address_keys.of(&user.email)).await?;
        users::anonymise(&mut tx, id, &nobody, self.clock.now_ms()).await?;
        contents::redact(&mut tx, &nobody, self.store.offset_ms()).await?;
        endpoints::delete_of(&mut tx, id, self.clock.now_ms()).await?;
        if self.accounts.notices {
            // Who they were is in this mail alone, and goes when it has ended.
            let id = self.tell(&mut tx, &user, Told::of("account.closed", &user.email)).await?;
            accounts::note_farewell(&mut tx, id).await?;
        }
        Ok(tx.commit().await?)
    }

    pub(super) async fn hash(&self, password: &Password) -> Result<String, Error> {
        let _permit = self.hashing.acquire().await;
        hash(&self.clock, password).await
    }
}

/// Who asks as an admin must be one still: with the token of before, rights that were taken could be taken back.
async fn still_admin(tx: &mut Tx, who: Principal, user: &User) -> Result<(), Error> {
    let is_admin = if who.is_admin && who.user_id != user.id {
        users::users(tx, [who.user_id]).await?.pop().is_some_and(|who| who.is_admin)
    } else {
        user.is_admin
    };
    if who.is_admin && !is_admin { Err(Error::Forbidden) } else { Ok(()) }
}

/// Takes what is not part of the profile out of the patch. Null and absent are the same: none of these can be cleared.
fn take<T: serde::de::DeserializeOwned>(patch: &mut Patch, key: &str) -> Result<Option<T>, Error> {
    match patch.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => from_value(value).map(Some).map_err(|e| match e {
            Error::Invalid { pointer, detail } => Error::Invalid { pointer: format!("/{key}{pointer}"), detail },
            other => other,
        }),
    }
}

/// Who a deleted user is afterwards.
pub(super) fn nobody(id: i64) -> Customer {
    Customer {
        id,
        name: Line::try_from("Deleted".to_owned()).expect("a valid name"),
        email: Email::try_from(format!("deleted-{id}@deleted.invalid")).expect("a valid address"),
        locale: english(),
        time_zone: utc(),
        attributes: Attributes::default(),
    }
}

/// Makes an admin; for the command line, not for the APIs.
pub async fn create_admin(store: &Store, clock: &Clock, new: NewUser) -> Result<User, Error> {
    let hash = hash(clock, &new.password).await?;
    let mut tx = store.begin().await?;
    let user = users::insert(&mut tx, &new, &hash, true, clock.now_ms()).await.map_err(taken)?;
    tx.commit().await?;
    Ok(user)
}

pub(super) fn taken(e: store::Error) -> Error {
    if e.is_taken() { address_taken() } else { e.into() }
}

fn address_taken() -> Error {
    Error::Taken("the e-mail address is taken".to_owned())
}

/// Argon2id with the crate's defaults, 19 MiB and 2 passes (OWASP's first choice).
async fn hash(clock: &Clock, password: &Password) -> Result<String, Error> {
    let (password, salt) = (password.secret().clone(), clock.random::<16>());
    let hashing = tokio::task::spawn_blocking(move || {
        let hash = Argon2::default().hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
        hash.map(|h| h.to_string())
    });
    let hash = hashing.await.map_err(|e| e.to_string()).and_then(|h| h.map_err(|e| e.to_string()));
    hash.map_err(|why| Error::Internal(store::Error::Undone(why)))
}
