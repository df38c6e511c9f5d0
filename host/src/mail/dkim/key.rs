//! A key that signs, and what of it stands in the DNS.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The size of a new RSA key in bits: verifiers need not take more (RFC 8301 3.2).
const RSA_BITS: usize = 2_048;

/// The longest string of a TXT record, in bytes (RFC 1035 3.3).
const TEXT_BYTES_MAX: usize = 255;

/// A key, and when it signs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// The sender's domain, or one above it.
    pub domain: String,
    /// Under which name of the domain its public half is found.
    pub selector: String,
    /// A file of the private key, PKCS #8 in PEM.
    #[serde(default)]
    pub key_path: PathBuf,
    /// The key itself, where it is no file.
    #[serde(default)]
    pub key: SecretString,
    /// From when on it signs, by the mail's date; always when left out.
    #[serde(default, with = "crate::clock::rfc3339::option")]
    pub signs_from: Option<i64>,
    /// Until when.
    #[serde(default, with = "crate::clock::rfc3339::option")]
    pub signs_until: Option<i64>,
}

impl KeySettings {
    /// A key in a file, which always signs.
    pub fn new(domain: &str, selector: &str, key_path: &Path) -> Self {
        Self {
            domain: domain.to_owned(),
            selector: selector.to_owned(),
            key_path: key_path.to_owned(),
            key: SecretString::default(),
            signs_from: None,
            signs_until: None,
        }
    }

    /// Where its public half is found in the DNS.
    pub fn record_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain).to_ascii_lowercase()
    }

    /// Whether it signs a mail of this date, unix milliseconds.
    pub(super) fn is_valid(&self, dated_at: i64) -> bool {
        self.signs_from.is_none_or(|from| from <= dated_at) && self.signs_until.is_none_or(|until| dated_at < until)
    }
}

/// A key cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none, or there are two.
    #[error("set either key_path or key")]
    None,
    /// Its file cannot be read.
    #[error("{path}: {why}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: std::io::Error,
    },
    /// It is none.
    #[error(
        "it is not a private key of RSA or Ed25519: expected PKCS #8 in PEM, as `ecomm dkim new` or `openssl genpkey` write it"
    )]
    Unknown,
    /// It is too short or too long.
    #[error("an RSA key of {0} bits: expected 2048 to 4096; shorter ones count as none (RFC 8301 3.2)")]
    Bits(usize),
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, which every verifier knows.
    Rsa,
    /// Ed25519 (RFC 8463): shorter and faster, and not known to all.
    Ed25519,
}

/// A key that signs.
pub enum Key {
    /// RSA.
    Rsa(Box<RsaKeyPair>),
    /// Ed25519.
    Ed25519(Box<Ed25519KeyPair>),
}

impl Key {
    /// Reads the key of the settings.
    pub fn open(settings: &KeySettings) -> Result<Self, KeyError> {
        let KeySettings { key_path, key, .. } = settings;
        let given = key.expose_secret();
        match (key_path.as_os_str().is_empty(), given.is_empty()) {
            (true, false) => Self::read(given),
            (false, true) => {
                let text = std::fs::read_to_string(key_path);
                Self::read(&text.map_err(|why| KeyError::File { path: key_path.clone(), why })?)
            }
            _ => Err(KeyError::None),
        }
    }

    fn read(pem: &str) -> Result<Self, KeyError> {
        let at = pem.find("-----BEGIN ").ok_or(KeyError::Unknown)?;
        let (label, der) = pem_rfc7468::decode_vec(pem[at..].trim_end().as_bytes()).map_err(|_| KeyError::Unknown)?;
        let rsa = match label {
            "PRIVATE KEY" => {
                if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
                    return Ok(Self::Ed25519(Box::new(key)));
                }
                RsaKeyPair::from_pkcs8(&der)
            }
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der),
            _ => return Err(KeyError::Unknown),
        };
        // ring says only that the size is not for it.
        rsa.map(|key| Self::Rsa(Box::new(key))).map_err(|_| match rsa_bits(&der) {
            Some(bits) if !(2_048..=4_096).contains(&bits) => KeyError::Bits(bits),
            _ => KeyError::Unknown,
        })
    }

    /// A new private key, PKCS #8 in PEM.
    pub fn generate(algorithm: Algorithm) -> Result<String, String> {
        match algorithm {
            Algorithm::Rsa => {
                let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, RSA_BITS).map_err(|e| e.to_string())?;
                Ok(key.to_pkcs8_pem(LineEnding::LF).map_err(|e| e.to_string())?.to_string())
            }
            Algorithm::Ed25519 => {
                let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|e| e.to_string())?;
                pem_rfc7468::encode_string("PRIVATE KEY", pem_rfc7468::LineEnding::LF, der.as_ref())
                    .map_err(|e| e.to_string())
            }
        }
    }

    /// The name of its algorithm in a signature and in the DNS.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "rsa",
            Self::Ed25519(_) => "ed25519",
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| "the mail cannot be signed by its RSA key".to_owned())?;
                Ok(signature)
            }
            // Of the hash (RFC 8463 3).
            Self::Ed25519(key) => Ok(key.sign(&Sha256::digest(message)).as_ref().to_vec()),
        }
    }

    /// Its public half, as it stands in the DNS (RFC 6376 3.6.1, RFC 8463 4), in base64.
    pub fn public(&self) -> Result<String, String> {
        match self {
            Self::Ed25519(key) => Ok(STANDARD.encode(key.public_key().as_ref())),
            Self::Rsa(key) => {
                use rsa::pkcs1::DecodeRsaPublicKey as _;
                use rsa::pkcs8::EncodePublicKey as _;
                let key = rsa::RsaPublicKey::from_pkcs1_der(key.public().as_ref()).map_err(|e| e.to_string())?;
                Ok(STANDARD.encode(key.to_public_key_der().map_err(|e| e.to_string())?.as_bytes()))
            }
        }
    }

    /// The text of its record in the DNS.
    pub fn record(&self) -> Result<String, String> {
        Ok(format!("v=DKIM1; k={}; p={}", self.algorithm(), self.public()?))
    }

    /// The same as a line of a zone, each string as long as it may be.
    pub fn zone_line(&self, name: &str) -> Result<String, String> {
        let record = self.record()?;
        let strings = record.as_bytes().chunks(TEXT_BYTES_MAX).map(|part| str::from_utf8(part).unwrap_or_default());
        let strings: Vec<String> = strings.map(|part| format!("\"{part}\"")).collect();
        Ok(format!("{name}. 3600 IN TXT ( {} )", strings.join(" ")))
    }
}

/// How long an RSA key is, PKCS #8 or PKCS #1.
fn rsa_bits(der: &[u8]) -> Option<usize> {
    use rsa::pkcs1::DecodeRsaPrivateKey as _;
    use rsa::pkcs8::DecodePrivateKey as _;
    use rsa::traits::PublicKeyParts as _;
    let key = rsa::RsaPrivateKey::from_pkcs8_der(der).ok().or_else(|| rsa::RsaPrivateKey::from_pkcs1_der(der).ok())?;
    Some(key.n().bits())
}
