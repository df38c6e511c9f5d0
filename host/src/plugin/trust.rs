//! Whose components may serve: signatures, and the keys of the settings that they are checked with.

mod key;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::LoadError;
pub use key::{KeyError, PublicKey};

/// The largest signature that is taken, with the manifest and payload that it is about, in bytes.
pub const SIGNATURE_BYTES_MAX: usize = 128 << 10;

/// The most signatures of a component that are kept or looked at.
pub const SIGNATURES_MAX: usize = 16;

/// The media type of a component in a manifest (the Wasm OCI artifact layout of the CNCF's TAG Runtime).
pub const WASM_MEDIA_TYPE: &str = "application/wasm";

/// Whose signature a component needs before it serves.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// What becomes of a component without a trusted signature.
    pub signatures: Signatures,
    /// Files of public keys, in PEM: Ed25519, or ECDSA on P-256, as cosign and openssl write them. Read again at every check.
    pub key_paths: Vec<PathBuf>,
}

/// What becomes of a component without a trusted signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signatures {
    /// It serves; nobody looks.
    Off,
    /// It serves, and the gate's report says so.
    Warn,
    /// It is refused, and does not serve.
    Required,
}

/// A signature of a component, by itself or as cosign puts it beside an image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[schema(as = PluginSignature)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The signature in base64: 64 bytes of Ed25519 (RFC 8032), or ECDSA on P-256 with SHA-256 in DER. It is of the component's
    /// bytes, or of `image.payload` where there is an image.
    #[schema(max_length = 1024)]
    pub signature: String,
    /// What a signature of an image in a registry is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<SignedImage>,
}

/// An image of a registry that holds a component, and what was signed about it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[schema(as = PluginSignedImage)]
#[serde(deny_unknown_fields)]
pub struct SignedImage {
    /// The signed text, as it is in the registry: a payload in the format of "simple signing", which names the manifest's
    /// SHA-256.
    #[schema(max_length = 16384)]
    pub payload: String,
    /// The image's manifest, as it is in the registry. It names the component's SHA-256.
    #[schema(max_length = 65536)]
    pub manifest: String,
}

/// Who signed a component: a trusted key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[schema(as = PluginSigner)]
pub struct Signer {
    /// The file that the settings name.
    pub key: String,
    /// SHA-256 of the key (DER of its `SubjectPublicKeyInfo`), in hex.
    pub key_id: String,
}

/// Why a signature is no signature of a component.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// It has too many bytes.
    #[error("the signature has {bytes} bytes with what it is about; {SIGNATURE_BYTES_MAX} may be")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// It is no base64.
    #[error("the signature is not base64: {0}")]
    Encoding(base64::DecodeError),
    /// What it is about cannot be read.
    #[error("the image's {what} cannot be read: {why}")]
    Image {
        /// The payload or the manifest.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// It is about something else.
    #[error("the signature is about {of}, not about this component ({digest})")]
    Other {
        /// What it is about.
        of: String,
        /// The component's SHA-256.
        digest: String,
    },
}

/// The file of a component's signature: its name and `.sig`.
pub fn signature_file(component: &Path) -> PathBuf {
    let mut path = component.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

/// The signature in the file beside a component's, if there is one: its name and `.sig`.
pub async fn beside(component: &Path) -> Result<Vec<Signature>, LoadError> {
    let path = signature_file(component);
    match tokio::fs::read(&path).await {
        Ok(file) => Ok(vec![Signature::detached(&file)]),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(LoadError::Read { path, source }),
    }
}

impl Signature {
    /// A signature by itself, as `cosign sign-blob` and `openssl pkeyutl` write it: in base64, or its bytes.
    pub fn detached(file: &[u8]) -> Self {
        let text = std::str::from_utf8(file).map(str::trim).ok().filter(|text| STANDARD.decode(text).is_ok());
        Self { signature: text.map_or_else(|| STANDARD.encode(file), str::to_owned), image: None }
    }

    /// Whether it is of a component at all; by whom is another question.
    pub fn check(&self, digest: &str) -> Result<Vec<u8>, SignatureError> {
        let image = self.image.as_ref();
        let bytes = self.signature.len() + image.map_or(0, |image| image.payload.len() + image.manifest.len());
        if bytes > SIGNATURE_BYTES_MAX {
            return Err(SignatureError::TooLarge { bytes });
        }
        if let Some(image) = image {
            image.check(digest)?;
        }
        STANDARD.decode(self.signature.trim()).map_err(SignatureError::Encoding)
    }

    /// The first of the keys that it is by.
    pub fn by<'k>(&self, wasm: &[u8], digest: &str, keys: &'k [PublicKey]) -> Option<&'k PublicKey> {
        let signature = self.check(digest).ok()?;
        let message = self.image.as_ref().map_or(wasm, |image| image.payload.as_bytes());
        keys.iter().find(|key| key.verifies(message, &signature))
    }
}

impl SignedImage {
    /// The payload must be about the manifest, and the manifest about the component and nothing else.
    fn check(&self, digest: &str) -> Result<(), SignatureError> {
        let read = |what, text: &str| {
            let unreadable = |e: serde_json::Error| SignatureError::Image { what, why: e.to_string() };
            serde_json::from_str::<Value>(text).map_err(unreadable)
        };
        let payload = read("payload", &self.payload)?;
        let named = payload.pointer("/critical/image/docker-manifest-digest").and_then(Value::as_str);
        let manifest_digest = format!("sha256:{}", super::digest(self.manifest.as_bytes()));
        if named != Some(&manifest_digest) {
            let of = format!("the manifest {}", named.unwrap_or("that it does not name"));
            return Err(SignatureError::Other { of, digest: digest.to_owned() });
        }
        let manifest = read("manifest", &self.manifest)?;
        let layer = component_layer(&manifest).map_err(|why| SignatureError::Image { what: "manifest", why })?;
        if layer != digest {
            let of = format!("the component {layer}");
            return Err(SignatureError::Other { of, digest: digest.to_owned() });
        }
        Ok(())
    }
}

/// The SHA-256 of the one component that a manifest is about; or why it is about none.
pub fn component_layer(manifest: &Value) -> Result<&str, String> {
    let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [layer] = layers else {
        return Err(format!("it has {} layers; a component is one of {WASM_MEDIA_TYPE}", layers.len()));
    };
    let (media, digest) = (layer["mediaType"].as_str().unwrap_or_default(), layer["digest"].as_str());
    if media != WASM_MEDIA_TYPE {
        return Err(format!("its layer is {media:?}; a component's is {WASM_MEDIA_TYPE}"));
    }
    let digest = digest.and_then(|digest| digest.strip_prefix("sha256:"));
    digest.ok_or_else(|| "its layer is not named by a SHA-256".to_owned())
}

impl Trust {
    /// The trusted keys. An error names the file.
    pub async fn keys(&self) -> Result<Vec<PublicKey>, KeyError> {
        let mut keys = Vec::new();
        for path in &self.key_paths {
            keys.push(PublicKey::read(path).await?);
        }
        Ok(keys)
    }

    /// Whether signatures can be checked as the settings ask for; for the start of a host.
    pub async fn check(&self) -> Result<(), KeyError> {
        let keys = self.keys().await?;
        if keys.is_empty() && self.signatures != Signatures::Off {
            return Err(KeyError::None);
        }
        Ok(())
    }

    /// Who signed a component. None: nobody who is trusted, and none need be; a text says why not if somebody should.
    pub async fn signer(
        &self,
        wasm: &[u8],
        digest: &str,
        signatures: &[Signature],
    ) -> Result<(Option<Signer>, Option<String>), LoadError> {
        if self.signatures == Signatures::Off {
            return Ok((None, None));
        }
        let keys = self.keys().await.map_err(|e| LoadError::Host(e.to_string()))?;
        if let Some(key) = signatures.iter().find_map(|signature| signature.by(wasm, digest, &keys)) {
            return Ok((Some(key.signer()), None));
        }
        let files: Vec<_> = keys.iter().map(|key| key.signer().key).collect();
        let why = match signatures {
            [] => "it has no signature".to_owned(),
            some => format!("none of its {} signatures is by a trusted key ({})", some.len(), files.join(", ")),
        };
        if self.signatures == Signatures::Required {
            return Err(LoadError::Untrusted(why));
        }
        Ok((None, Some(format!("{why} (plugins.trust.signatures)"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(manifest: &str, payload: &str) -> Signature {
        let image = SignedImage { payload: payload.to_owned(), manifest: manifest.to_owned() };
        Signature { signature: "AAAA".to_owned(), image: Some(image) }
    }

    fn payload_about(manifest: &str) -> String {
        let digest = format!("sha256:{}", super::super::digest(manifest.as_bytes()));
        serde_json::json!({ "critical": { "image": { "docker-manifest-digest": digest } } }).to_string()
    }

    #[test]
    fn an_image_is_about_one_component() {
        let manifest = r#"{"layers":[{"mediaType":"application/wasm","digest":"sha256:aa"}]}"#;
        let signature = image(manifest, &payload_about(manifest));
        assert_eq!(signature.check("aa").unwrap(), [0, 0, 0]);
        assert_eq!(
            signature.check("bb").unwrap_err().to_string(),
            "the signature is about the component aa, not about this component (bb)"
        );
        let other = image(manifest, &payload_about("{}")).check("aa").unwrap_err().to_string();
        assert!(other.starts_with("the signature is about the manifest sha256:44136fa355b3678a"), "{other}");
        for (bad, why) in [
            (r#"{"layers":[]}"#, "it has 0 layers; a component is one of application/wasm"),
            (
                r#"{"layers":[{"mediaType":"text/plain","digest":"sha256:aa"}]}"#,
                "its layer is \"text/plain\"; a component's is application/wasm",
            ),
            (
                r#"{"layers":[{"mediaType":"application/wasm","digest":"md5:aa"}]}"#,
                "its layer is not named by a SHA-256",
            ),
        ] {
            let said = image(bad, &payload_about(bad)).check("aa").unwrap_err().to_string();
            assert_eq!(said, format!("the image's manifest cannot be read: {why}"));
        }
    }

    #[test]
    fn a_signature_has_a_size() {
        let large = image("{}", &"x".repeat(SIGNATURE_BYTES_MAX)).check("aa").unwrap_err();
        assert!(matches!(large, SignatureError::TooLarge { .. }), "{large}");
        let junk = Signature { signature: "no base64!".to_owned(), image: None };
        assert!(matches!(junk.check("aa").unwrap_err(), SignatureError::Encoding(_)));
    }
}
