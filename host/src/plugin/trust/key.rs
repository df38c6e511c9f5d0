use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::DecodePublicKey as _;
use p256::ecdsa::signature::Verifier as _;

use super::Signer;

/// A public key: Ed25519, or ECDSA on P-256.
#[derive(Clone, Debug)]
pub struct PublicKey {
    path: PathBuf,
    /// SHA-256 of its `SubjectPublicKeyInfo`.
    id: String,
    algorithm: Algorithm,
}

#[derive(Clone, Debug)]
enum Algorithm {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

/// Why there is no key to check with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "{} is not a public key for signatures: expected PEM (\"-----BEGIN PUBLIC KEY-----\") of Ed25519 or of ECDSA on P-256",
        .0.display()
    )]
    Content(PathBuf),
    /// Signatures are looked at, and no key is named.
    #[error("plugins.trust.signatures asks for signatures, but plugins.trust.key_paths names no key")]
    None,
}

impl PublicKey {
    /// Reads the PEM file of a public key.
    pub async fn read(path: &Path) -> Result<Self, KeyError> {
        let read = |source| KeyError::Read { path: path.to_owned(), source };
        let text = tokio::fs::read_to_string(path).await.map_err(read)?;
        Self::from_pem(path, &text).ok_or_else(|| KeyError::Content(path.to_owned()))
    }

    /// The key in a PEM text; `path` names it.
    pub fn from_pem(path: &Path, text: &str) -> Option<Self> {
        // PEM may have lines around it (RFC 7468, section 2); the decoder takes none.
        let pem = &text[text.find("-----BEGIN PUBLIC KEY-----")?..];
        let (der, algorithm) = if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem) {
            (key.to_public_key_der().ok()?, Algorithm::Ed25519(key))
        } else {
            let key = p256::ecdsa::VerifyingKey::from_public_key_pem(pem).ok()?;
            (key.to_public_key_der().ok()?, Algorithm::P256(key))
        };
        Some(Self { path: path.to_owned(), id: crate::plugin::digest(der.as_bytes()), algorithm })
    }

    /// Whether the signature of the message is by this key.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.algorithm {
            Algorithm::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Algorithm::P256(key) => {
                p256::ecdsa::DerSignature::try_from(signature).is_ok_and(|s| key.verify(message, &s).is_ok())
            }
        }
    }

    /// What reports say of it.
    pub fn signer(&self) -> Signer {
        Signer { key: self.path.display().to_string(), key_id: self.id.clone() }
    }
}
