use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use secrecy::ExposeSecret;

use super::{Error, Service};
use crate::shop::user::{NewUser, Password, User};

impl Service {
    /// Signs a customer up. Anybody may.
    pub async fn sign_up(&self, new: NewUser) -> Result<User, Error> {
        self.create_user(new, false).await
    }

    /// Makes an admin; for the command line, not for the APIs.
    pub async fn create_admin(&self, new: NewUser) -> Result<User, Error> {
        self.create_user(new, true).await
    }

    async fn create_user(&self, new: NewUser, is_admin: bool) -> Result<User, Error> {
        let hash = self.hash(&new.password).await?;
        match self.store.insert_user(&new, &hash, is_admin).await {
            Err(e) if e.is_taken() => Err(Error::Taken("the e-mail address is taken".to_owned())),
            done => Ok(done?),
        }
    }

    /// Argon2id with the parameters of RFC 9106's second choice's successor in the crate: 19 MiB, 2 passes.
    async fn hash(&self, password: &Password) -> Result<String, Error> {
        let (password, salt) = (password.secret().clone(), self.clock.random::<16>());
        let _permit = self.hashing.acquire().await;
        let hashing = tokio::task::spawn_blocking(move || {
            let hash = Argon2::default().hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
            hash.map(|h| h.to_string())
        });
        let hash = hashing.await.map_err(|e| e.to_string()).and_then(|h| h.map_err(|e| e.to_string()));
        hash.map_err(|why| Error::Internal(crate::store::Error::Commit(why)))
    }
}
