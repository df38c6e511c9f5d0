//! Secrets of endpoints: symmetric, as Standard Webhooks has them. Kept encrypted under the hosts' secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead, KeyInit as _};
use crypto_secretbox::{Key, Nonce, XSalsa20Poly1305};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{SECRET_OVERLAP_MS, SECRETS_MAX, SecretInfo};
use crate::clock::Clock;
use crate::mac::Keys;

/// What a secret begins with where it is shown.
const PREFIX: &str = "whsec_";
/// Of a secret that we make; Standard Webhooks asks for 24 to 64.
const SECRET_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// A secret in the clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// As its owner is shown it, once.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The signature of a request: `v1,` and the MAC of its id, its time in unix seconds and its body.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn sign(&self, id: &str, at: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in [id, ".", &at.to_string(), ".", body] {
            mac.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// A secret as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sealed {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// Base64 of nonce and ciphertext (XSalsa20-Poly1305).
    text: String,
}

/// The secrets of one endpoint as they are stored, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signing(Vec<Sealed>);

/// Opens stored secrets. Cheap to clone.
#[derive(Clone)]
pub struct SecretKeys {
    keys: Keys,
    clock: Clock,
}

impl SecretKeys {
    /// `secrets` are the hosts', the one in use first.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a SecretString>, clock: Clock) -> Self {
        Self { keys: Keys::new(secrets, b"webhook secrets"), clock }
    }

    /// Puts a new secret before those of an endpoint, which sign beside it for a while longer.
    pub fn renew(&self, signing: &mut Signing) -> Secret {
        let now = self.clock.now_ms();
        signing.0.retain(|kept| kept.expires_at.is_none_or(|until| until > now));
        signing.0.truncate(SECRETS_MAX - 1);
        for kept in &mut signing.0 {
            kept.expires_at.get_or_insert(now + SECRET_OVERLAP_MS);
        }
        let version = signing.0.iter().map(|kept| kept.version).max().unwrap_or(0) + 1;
        let secret = Secret(self.clock.random::<SECRET_BYTES>().to_vec());
        signing.0.insert(0, Sealed { version, expires_at: None, text: self.seal(&secret) });
        secret
    }

    /// The secrets that sign now, and whether one was sealed by a secret of the hosts that is no longer in use.
    pub fn open(&self, signing: &Signing) -> (Vec<Secret>, bool) {
        let now = self.clock.now_ms();
        let current = signing.0.iter().filter(|kept| kept.expires_at.is_none_or(|until| until > now));
        let opened: Vec<(Secret, usize)> = current.filter_map(|kept| self.unseal(&kept.text)).collect();
        let is_old = opened.iter().any(|(_, by)| *by > 0);
        (opened.into_iter().map(|(secret, _)| secret).collect(), is_old)
    }

    /// Seals those again that an earlier secret of the hosts sealed. What none of this host's opens stays: another host's may.
    #[must_use]
    pub fn reseal(&self, signing: &Signing) -> Signing {
        let again = |kept: &Sealed| match self.unseal(&kept.text) {
            Some((secret, by)) if by > 0 => Sealed { text: self.seal(&secret), ..kept.clone() },
            _ => kept.clone(),
        };
        Signing(signing.0.iter().map(again).collect())
    }

    fn cipher(key: [u8; 32]) -> XSalsa20Poly1305 {
        XSalsa20Poly1305::new(&Key::from(key))
    }

    /// # Panics
    /// Never: what is sealed is short, and hosts have a secret.
    fn seal(&self, secret: &Secret) -> String {
        let nonce: [u8; NONCE_BYTES] = self.clock.random();
        let key = self.keys.each(b"seal").next().expect("hosts have a secret");
        let sealed = Self::cipher(key).encrypt(&Nonce::from(nonce), secret.0.as_slice()).expect("it is short");
        STANDARD.encode([nonce.as_slice(), &sealed].concat())
    }

    fn unseal(&self, sealed: &str) -> Option<(Secret, usize)> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let open = |key| Self::cipher(key).decrypt(&Nonce::from(*nonce), sealed).ok();
        let (by, opened) = self.keys.each(b"seal").enumerate().find_map(|(n, key)| Some((n, open(key)?)))?;
        Some((Secret(opened), by))
    }
}

impl Signing {
    /// What may be said of them, of those that sign at a time, unix milliseconds.
    pub fn info(&self, now: i64) -> Vec<SecretInfo> {
        let current = self.0.iter().filter(|kept| kept.expires_at.is_none_or(|until| until > now));
        current.map(|kept| SecretInfo { version: kept.version, expires_at: kept.expires_at }).collect()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use secrecy::SecretString;

    use super::{SECRET_OVERLAP_MS, SECRETS_MAX, STANDARD, Secret, SecretKeys, Signing};
    use crate::clock::Clock;

    fn keys(clock: &Clock, secrets: &[&str]) -> SecretKeys {
        let secrets: Vec<SecretString> = secrets.iter().map(|s| SecretString::from((*s).to_owned())).collect();
        SecretKeys::new(secrets.iter(), clock.clone())
    }

    #[test]
    fn a_signature_is_that_of_the_specifications_libraries() {
        let secret = Secret(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64"));
        assert_eq!(secret.text(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_replaced_secret_signs_for_a_while_and_a_new_secret_of_the_hosts_opens_none_but_what_it_seals() {
        let clock = Clock::system();
        let old = keys(&clock, &["the first secret"]);
        let mut signing = Signing::default();
        let first = old.renew(&mut signing);
        let second = old.renew(&mut signing);
        assert_eq!(old.open(&signing), (vec![second.clone(), first.clone()], false));
        assert_eq!(signing.info(clock.now_ms()).iter().map(|s| s.version).collect::<Vec<_>>(), [2, 1]);
        let rotated = keys(&clock, &["the second secret", "the first secret"]);
        assert_eq!(rotated.open(&signing), (vec![second.clone(), first], true));
        let again = rotated.reseal(&signing);
        let alone = keys(&clock, &["the second secret"]);
        assert_eq!(alone.open(&signing).0, Vec::<Secret>::new());
        assert_eq!(alone.open(&again).0.len(), 2);
        clock.advance(u32::try_from(SECRET_OVERLAP_MS + 1).expect("a day"));
        assert_eq!(alone.open(&again), (vec![second], false));
        for _ in 0..10 {
            alone.renew(&mut signing);
        }
        assert_eq!(alone.open(&signing).0.len(), SECRETS_MAX);
    }
}
