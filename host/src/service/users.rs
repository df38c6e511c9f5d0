use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use secrecy::ExposeSecret;

use super::{Error, Service};
use crate::clock::Clock;
use crate::shop::user::{NewUser, Password, User};
use crate::store::{self, Store};

impl Service {
    /// Signs a customer up. Anybody may.
    pub async fn sign_up(&self, new: NewUser) -> Result<User, Error> {
        let _permit = self.hashing.acquire().await;
        create(&self.store, &self.clock, new, false).await
    }
}

/// Makes an admin; for the command line, not for the APIs.
pub async fn create_admin(store: &Store, clock: &Clock, new: NewUser) -> Result<User, Error> {
    create(store, clock, new, true).await
}

async fn create(store: &Store, clock: &Clock, new: NewUser, is_admin: bool) -> Result<User, Error> {
    let hash = hash(clock, &new.password).await?;
    match store.insert_user(&new, &hash, is_admin).await {
        Err(e) if e.is_taken() => Err(Error::Taken("the e-mail address is taken".to_owned())),
        done => Ok(done?),
    }
}

/// Argon2id with the crate's defaults, 19 MiB and 2 passes (OWASP's first choice).
async fn hash(clock: &Clock, password: &Password) -> Result<String, Error> {
    let (password, salt) = (password.secret().clone(), clock.random::<16>());
    let hashing = tokio::task::spawn_blocking(move || {
        let hash = Argon2::default().hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
        hash.map(|h| h.to_string())
    });
    let hash = hashing.await.map_err(|e| e.to_string()).and_then(|h| h.map_err(|e| e.to_string()));
    hash.map_err(|why| Error::Internal(store::Error::Commit(why)))
}
