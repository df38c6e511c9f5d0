use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::patch::{Patch, from_value, merged};
use super::{Error, Once, Page, PageRequest, Principal, Service};
use crate::clock::Clock;
use crate::notification::Customer;
use crate::shop::Attributes;
use crate::shop::text::{Email, Line};
use crate::shop::user::{NewUser, Password, Profile, Role, User, english, utc};
use crate::store::{self, Store, Tx, notifications, suppressions, users};

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
    /// Signs a customer up. Anybody may.
    pub async fn sign_up(&self, new: NewUser) -> Result<User, Error> {
        let hash = self.hash(&new.password).await?;
        insert(&self.store, &new, &hash, false).await
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
    /// user's other sessions. Mail that is queued goes to the new address.
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
        self.once(who, "update-user", once, change).await
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
        let Profile { email, name, locale, time_zone, attributes } = merged(&before, patch)?;
        let is_guarded = email != before.email || new_hash.is_some();
        if is_guarded && !who.is_admin {
            if rights.current_password.is_none() {
                let why = "is needed to change the e-mail address or the password";
                return Err(Error::invalid("/current_password", why));
            }
            if proven != Some(hash) {
                return Err(Error::invalid("/current_password", "is wrong"));
            }
        }
        if email != before.email {
            // Nobody would find it when its user leaves.
            suppressions::redact(tx, &self.address_keys.of(&before.email)).await?;
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
        let now = self.clock.now_ms();
        let loses_rights = (user.is_admin && !is_admin) || (user.role.is_some() && user.role != role);
        let user = User {
            email,
            name,
            locale,
            time_zone,
            attributes,
            is_admin,
            role,
            version: user.version + 1,
            updated_at: now,
            ..user
        };
        users::write(tx, &user, new_hash).await.map_err(taken)?;
        if is_guarded || loses_rights {
            let but = if who.user_id == id { who.session_id } else { 0 };
            users::revoke_sessions(tx, id, but, now).await?;
        }
        if Profile::from(user.clone()) != before {
            notifications::readdress(tx, &user.clone().into()).await?;
        }
        change.commit(user).await
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
        self.once(who, "delete-user", None, || self.try_delete(who, id, expected)).await
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
        notifications::redact(&mut tx, &nobody, self.store.offset_ms()).await?;
        Ok(tx.commit().await?)
    }

    async fn hash(&self, password: &Password) -> Result<String, Error> {
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
fn nobody(id: i64) -> Customer {
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
    insert(store, &new, &hash, true).await
}

async fn insert(store: &Store, new: &NewUser, hash: &str, is_admin: bool) -> Result<User, Error> {
    store.insert_user(new, hash, is_admin).await.map_err(taken)
}

fn taken(e: store::Error) -> Error {
    if e.is_taken() { Error::Taken("the e-mail address is taken".to_owned()) } else { e.into() }
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
