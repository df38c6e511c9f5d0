//! Keys out of the hosts' secrets, and what is signed with them (HMAC-SHA-256). Pure.

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// The keys for one purpose, that of the secret in use first, then those of secrets before it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Keys(Arc<[Hmac<Sha256>]>);

impl Keys {
    /// `secrets` begins with the one in use.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub(crate) fn new<'a>(secrets: impl Iterator<Item = &'a SecretString>, purpose: &[u8]) -> Self {
        let derive = |secret: &SecretString| {
            let secret = secret.expose_secret().as_bytes();
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
            mac.update(purpose);
            Hmac::new_from_slice(&mac.finalize().into_bytes()).expect("HMAC takes keys of any length")
        };
        Self(secrets.map(derive).collect())
    }

    /// The MAC of a message by each key.
    pub(crate) fn each(&self, message: &[u8]) -> impl Iterator<Item = [u8; 32]> {
        self.0.iter().map(move |key| key.clone().chain_update(message).finalize().into_bytes().into())
    }

    /// Whether one of the keys made a MAC, which may be cut: how much there has to be of it is the caller's.
    pub(crate) fn made(&self, message: &[u8], mac: &[u8]) -> bool {
        self.0.iter().any(|key| key.clone().chain_update(message).verify_truncated_left(mac).is_ok())
    }
}
