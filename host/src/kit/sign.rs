//! Private keys and what they sign: Ed25519, and ECDSA on P-256. Keys are read and written as cosign does: PKCS #8 (RFC 5958)
//! in PEM, encrypted with a password (scrypt, RFC 7914, and `NaCl`'s secretbox) or plain.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::Aead as _;
use crypto_secretbox::{KeyInit as _, XSalsa20Poly1305};
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use serde::{Deserialize, Serialize};

use super::{Error, read};
use crate::plugin::Signature;

/// What the PEM of an encrypted key is called; cosign's older name for it too.
const ENCRYPTED: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];

/// What a new key's password costs to try: scrypt's N (2 to this power), r and p.
const COST: (u8, u32, u32) = (16, 8, 1);
/// The most that a key file may ask for: 1 GiB of memory and a few seconds.
const COST_MAX: (u8, u32, u32) = (20, 8, 4);

/// A key that signs.
pub enum PrivateKey {
    /// Ed25519 (RFC 8032).
    Ed25519(Box<ed25519_dalek::SigningKey>),
    /// ECDSA on P-256, with SHA-256.
    P256(Box<p256::ecdsa::SigningKey>),
}

/// How an encrypted key is written.
#[derive(Serialize, Deserialize)]
struct Encrypted {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Scrypt,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Scrypt {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

impl PrivateKey {
    /// A new Ed25519 key.
    pub fn generate() -> Self {
        Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&random())))
    }

    /// Reads a key; `password` is asked for one if it is encrypted.
    pub fn open(path: &Path, password: impl FnOnce() -> String) -> Result<Self, Error> {
        let text = read(path)?;
        let wrong = |why: &str| Error::Content { path: path.to_owned(), why: why.to_owned() };
        let expected = "it is not a private key: expected PEM of Ed25519 or of ECDSA on P-256, as `ecomm plugin keygen`, \
                        cosign or openssl (PKCS #8) write it";
        let pem = text.find("-----BEGIN ").map(|at| text[at..].trim_end()).ok_or_else(|| wrong(expected))?;
        let (label, body) = pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|_| wrong(expected))?;
        let der = match label {
            "PRIVATE KEY" => body,
            label if ENCRYPTED.contains(&label) => decrypt(&body, &password()).map_err(|why| wrong(&why))?,
            _ => return Err(wrong(expected)),
        };
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_der(&der) {
            return Ok(Self::Ed25519(Box::new(key)));
        }
        let key = p256::ecdsa::SigningKey::from_pkcs8_der(&der).map_err(|_| wrong(expected))?;
        Ok(Self::P256(Box::new(key)))
    }

    /// The key in PEM, encrypted with the password.
    pub fn to_encrypted_pem(&self, password: &str) -> Result<String, String> {
        let der = match self {
            Self::Ed25519(key) => key.to_pkcs8_der(),
            Self::P256(key) => key.to_pkcs8_der(),
        };
        let body = encrypt(der.map_err(|e| e.to_string())?.as_bytes(), password)?;
        pem_rfc7468::encode_string(ENCRYPTED[0], pem_rfc7468::LineEnding::LF, &body).map_err(|e| e.to_string())
    }

    /// Its public half in PEM.
    pub fn public_pem(&self) -> Result<String, String> {
        let pem = match self {
            Self::Ed25519(key) => key.verifying_key().to_public_key_pem(LineEnding::LF),
            Self::P256(key) => key.verifying_key().to_public_key_pem(LineEnding::LF),
        };
        pem.map_err(|e| e.to_string())
    }

    /// The message's signature, in base64.
    pub fn sign(&self, message: &[u8]) -> String {
        match self {
            Self::Ed25519(key) => STANDARD.encode(key.sign(message).to_bytes()),
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                STANDARD.encode(signature.to_der())
            }
        }
    }

    /// A component's signature, by itself.
    pub fn sign_component(&self, wasm: &[u8]) -> Signature {
        Signature { signature: self.sign(wasm), image: None }
    }
}

/// Writes a new pair of keys, `NAME.key` and `NAME.pub`; neither may be there.
pub fn generate(name: &Path, password: &str) -> Result<(PathBuf, PathBuf), Error> {
    let (secret, public) = (with_extension(name, ".key"), with_extension(name, ".pub"));
    if let Some(there) = [&secret, &public].into_iter().find(|path| path.exists()) {
        return Err(Error::Exists(there.clone()));
    }
    let key = PrivateKey::generate();
    let content = |path: &Path| {
        let path = path.to_owned();
        move |why| Error::Content { path, why }
    };
    write_secret(&secret, &key.to_encrypted_pem(password).map_err(content(&secret))?)?;
    super::write(&public, key.public_pem().map_err(content(&public))?.as_bytes())?;
    Ok((secret, public))
}

/// A path with a text added to its name.
fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(extension);
    name.into()
}

/// Only its owner may read it, from the first moment.
pub fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|source| Error::File { path: path.to_owned(), source })
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

fn derived(password: &str, salt: &[u8], (log_n, r, p): (u8, u32, u32)) -> Result<[u8; 32], String> {
    let params = scrypt::Params::new(log_n, r, p, 32).map_err(|e| e.to_string())?;
    let mut key = [0; 32];
    scrypt::scrypt(password.as_bytes(), salt, &params, &mut key).map_err(|e| e.to_string())?;
    Ok(key)
}

fn encrypt(plain: &[u8], password: &str) -> Result<Vec<u8>, String> {
    let (salt, nonce) = (random::<32>(), random::<24>());
    let key = derived(password, &salt, COST)?;
    let sealed = XSalsa20Poly1305::new(&key.into()).encrypt(&nonce.into(), plain).map_err(|e| e.to_string())?;
    let (log_n, r, p) = COST;
    let encrypted = Encrypted {
        kdf: Kdf { name: "scrypt".to_owned(), params: Scrypt { n: 1 << log_n, r, p }, salt: STANDARD.encode(salt) },
        cipher: Cipher { name: "nacl/secretbox".to_owned(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(sealed),
    };
    serde_json::to_vec(&encrypted).map_err(|e| e.to_string())
}

fn decrypt(body: &[u8], password: &str) -> Result<Vec<u8>, String> {
    let Encrypted { kdf, cipher, ciphertext } =
        serde_json::from_slice(body).map_err(|e| format!("the encrypted key cannot be read: {e}"))?;
    if kdf.name != "scrypt" || cipher.name != "nacl/secretbox" {
        return Err(format!(
            "the key is encrypted by {} and {}, not by scrypt and nacl/secretbox",
            kdf.name, cipher.name
        ));
    }
    let Scrypt { n, r, p } = kdf.params;
    let log_n = u8::try_from(n.checked_ilog2().unwrap_or_default()).unwrap_or(u8::MAX);
    if !n.is_power_of_two() || log_n > COST_MAX.0 || r > COST_MAX.1 || p > COST_MAX.2 {
        return Err(format!("the key's password costs more than is taken to try (scrypt N={n}, r={r}, p={p})"));
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|e| format!("the encrypted key cannot be read: {e}"));
    let nonce: [u8; 24] =
        decode(&cipher.nonce)?.try_into().map_err(|_| "the key's nonce has not 24 bytes".to_owned())?;
    let key = derived(password, &decode(&kdf.salt)?, (log_n, r, p))?;
    let opened = XSalsa20Poly1305::new(&key.into()).decrypt(&nonce.into(), decode(&ciphertext)?.as_slice());
    opened.map_err(|_| "the password is wrong, or the file was changed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by other programs (hashlib's scrypt, `PyNaCl`, pyca/cryptography): the private key 00 01 … 1f.
    const ENCRYPTED_KEY: &str = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjoxMDI0LCJyIjo4
LCJwIjoxfSwic2FsdCI6IkFBRUNBd1FGQmdjSUNRb0xEQTBPRHhBUkVoTVVGUllY
R0JrYUd4d2RIaDg9In0sImNpcGhlciI6eyJuYW1lIjoibmFjbC9zZWNyZXRib3gi
LCJub25jZSI6IkFBRUNBd1FGQmdjSUNRb0xEQTBPRHhBUkVoTVVGUllYIn0sImNp
cGhlcnRleHQiOiJSSDY1RzhOeE9hblp1b2ltZTFCREJpaVdBaU5nSnJXS24xOE5P
clhJbWppVEgrN0xBMjd0NmJFVW1zV0dHUUlTNnVpSWR6cnBmdU0xVTNBdHJGSzlF
Zz09In0=
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
";
    const ITS_PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=
-----END PUBLIC KEY-----
";
    const ITS_SIGNATURE: &str =
        "dUl/dhotOh9B95mIZLHFHkuc9eHfqswMl4JiUmVacJR2eblbOwVRdKUUqypRZGdQQ4Ss8Q5tF3takdVcR9+jBQ==";
    const P256_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAQIDBAUGBwgJCgsM
DQ4PEBESExQVFhcYGRobHB0eHyChRANCAARRXD1uueOWuQTT/sp/VP3NDMHpl783
XcpRWtCmw7QDX0U2vjpQ8xj7+aVHWQKiIVAr7w1X4IxTsswKVvF9n5NU
-----END PRIVATE KEY-----
";
    const P256_SIGNATURE: &str =
        "MEUCIDLPdRWwUBx2wqXhrkvSB4D0qDRMJ36rf3PuE3K1PwxBAiEAgeWqaFyDRFj/X6dQqXNOVEJUd/P5JcCycKjqO+NnNeU=";
    const MESSAGE: &[u8] = b"a component";

    fn open(text: &str, password: &str) -> Result<PrivateKey, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        PrivateKey::open(file.path(), || password.to_owned()).map_err(|e| e.to_string())
    }

    #[test]
    fn keys_and_signatures_of_others_are_ours() {
        let key = open(ENCRYPTED_KEY, "a password").unwrap();
        assert_eq!((key.sign(MESSAGE).as_str(), key.public_pem().unwrap().as_str()), (ITS_SIGNATURE, ITS_PUBLIC_KEY));
        let wrong = open(ENCRYPTED_KEY, "another").err().unwrap();
        assert!(wrong.ends_with("the password is wrong, or the file was changed"), "{wrong}");
        // ECDSA need not be the same each time; both must be taken.
        let key = open(P256_KEY, "").unwrap();
        let public = crate::plugin::PublicKey::from_pem(Path::new("p256.pub"), &key.public_pem().unwrap()).unwrap();
        for signature in [P256_SIGNATURE, &key.sign(MESSAGE)] {
            assert!(public.verifies(MESSAGE, &STANDARD.decode(signature).unwrap()), "{signature}");
            assert!(!public.verifies(b"another", &STANDARD.decode(signature).unwrap()));
        }
    }

    #[test]
    fn a_new_key_is_read_back() {
        let key = PrivateKey::generate();
        let text = key.to_encrypted_pem("a password").unwrap();
        let again = open(&text, "a password").unwrap();
        assert_eq!((key.sign(MESSAGE), key.public_pem()), (again.sign(MESSAGE), again.public_pem()));
    }

    #[test]
    fn what_is_no_key_says_what_is() {
        for text in ["", "nonsense", ITS_PUBLIC_KEY, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            let why = open(text, "").err().unwrap();
            assert!(why.contains("it is not a private key: expected PEM"), "{why}");
        }
        let costly = br#"{"kdf":{"name":"scrypt","params":{"N":1073741824,"r":8,"p":1},"salt":""},
            "cipher":{"name":"nacl/secretbox","nonce":""},"ciphertext":""}"#;
        let text = pem_rfc7468::encode_string(ENCRYPTED[0], pem_rfc7468::LineEnding::LF, costly).unwrap();
        let why = open(&text, "").err().unwrap();
        assert!(why.contains("costs more than is taken to try (scrypt N=1073741824, r=8, p=1)"), "{why}");
    }
}
