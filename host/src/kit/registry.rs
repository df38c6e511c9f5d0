//! Components in OCI registries: pushed, pulled and signed. What is written is laid out as the Wasm OCI artifact of the CNCF's
//! TAG Runtime says, so that other tools read it; signatures lie where cosign puts and looks for them.

mod address;
mod image;

use std::time::Duration;

use futures_util::TryStreamExt as _;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use serde_json::Value;

use super::sign::PrivateKey;
use crate::plugin::{Contents, SIGNATURE_BYTES_MAX, Signature, SignedImage, component_layer, digest};
pub use address::{Address, AddressError};
use image::{Blob, Image};

/// How long a registry may take to accept a connection, and between two pieces of an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// What was pulled.
#[derive(Debug)]
pub struct Pulled {
    /// The component.
    pub wasm: Vec<u8>,
    /// Where it is, with its manifest's digest.
    pub address: Address,
    /// The signatures beside it; nobody has checked by whom.
    pub signatures: Vec<Signature>,
}

/// Why a registry gave or took nothing.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It cannot be reached.
    #[error(
        "the registry {registry} does not answer: {why}; look at its address, at the network, and whether it speaks TLS \
         (without, say --plain-http)"
    )]
    Down {
        /// Which.
        registry: String,
        /// Why.
        why: String,
    },
    /// It wants credentials, or others.
    #[error(
        "the registry {0} refuses: log in to it (`docker login {0}`; the credentials are read from there), as one who may"
    )]
    Denied(String),
    /// There is no such thing.
    #[error("{0} is not in the registry: look at its name and tag")]
    Missing(String),
    /// A tag names something else than what was pinned.
    #[error(
        "the tag {tag} has moved: it names {now} now, not {pinned}; to take what was pinned say {by_digest}, to take what is \
         new look at it first and pin it"
    )]
    Moved {
        /// Which.
        tag: String,
        /// What it names now.
        now: String,
        /// What it was to name.
        pinned: String,
        /// The address without the tag.
        by_digest: String,
    },
    /// It holds something else than a component.
    #[error("{address} is no component: {why}")]
    NoComponent {
        /// Which.
        address: String,
        /// Why.
        why: String,
    },
    /// It is too large.
    #[error("the component of {address} has {bytes} bytes or more; plugins.component_bytes_max allows {max}")]
    TooLarge {
        /// Which.
        address: String,
        /// How many were seen or announced.
        bytes: u64,
        /// What is allowed.
        max: usize,
    },
    /// What came is not what was asked for.
    #[error("the registry gave other bytes for {0}: something between changed them, or its store is damaged")]
    Changed(String),
    /// Something else.
    #[error("the registry {registry}: {why}")]
    Other {
        /// Which.
        registry: String,
        /// What it said.
        why: String,
    },
}

/// A registry as one caller sees it.
pub struct Registry {
    client: oci_client::Client,
}

impl Registry {
    /// Without TLS if it must be.
    pub fn new(plain_http: bool) -> Self {
        let protocol = if plain_http { ClientProtocol::Http } else { ClientProtocol::Https };
        let client = oci_client::Client::new(ClientConfig {
            protocol,
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: concat!("ecomm/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        Self { client }
    }

    /// Puts a component under an address's tag, and the key's signature beside it; gives the address with its digest. The
    /// same component gives the same digest each time.
    pub async fn push(
        &self,
        address: &Address,
        wasm: &[u8],
        contents: &Contents,
        key: Option<&PrivateKey>,
    ) -> Result<Address, RegistryError> {
        self.log_in(&address.reference, RegistryOperation::Push).await?;
        let image = Image::of_component(wasm, contents);
        let pushed = address.with_digest(&self.put(&address.reference, &image).await?);
        if let Some(key) = key {
            self.sign(&pushed, key).await?;
        }
        Ok(pushed)
    }

    /// Puts a signature beside an image, where those of others stay.
    async fn sign(&self, address: &Address, key: &PrivateKey) -> Result<(), RegistryError> {
        let beside = address.signatures();
        let payload = image::payload(address);
        let signature = key.sign(payload.as_bytes());
        let before = match self.manifest(&beside).await {
            Ok((text, _)) => Some(text),
            Err(RegistryError::Missing(_)) => None,
            Err(e) => return Err(e),
        };
        let image = Image::of_signature(before.as_deref(), &payload, &signature);
        let image = image.map_err(|why| other(&beside, &format!("the signatures that are there: {why}")))?;
        self.put(&beside, &image).await.map(drop)
    }

    /// What an address names, with its signatures; at most `bytes_max` of component.
    pub async fn pull(&self, address: &Address, bytes_max: usize) -> Result<Pulled, RegistryError> {
        self.log_in(&address.reference, RegistryOperation::Pull).await?;
        let address = self.resolve(address).await?;
        let (manifest, _) = self.manifest(&address.reference).await?;
        let no_component = |why: String| RegistryError::NoComponent { address: address.to_string(), why };
        let parsed: Value = serde_json::from_str(&manifest).map_err(|e| no_component(e.to_string()))?;
        let layer = component_layer(&parsed).map_err(no_component)?.to_owned();
        let announced = parsed["layers"][0]["size"].as_u64().unwrap_or_default();
        let wasm = self.blob(&address.reference, &format!("sha256:{layer}"), announced, bytes_max).await?;
        let signatures = self.signatures(&address, &manifest).await?;
        Ok(Pulled { wasm, address, signatures })
    }

    /// The address with the digest that its tag names; a tag must name what is pinned beside it.
    pub async fn pinned(&self, address: &Address) -> Result<Address, RegistryError> {
        self.log_in(&address.reference, RegistryOperation::Pull).await?;
        self.resolve(address).await
    }

    async fn resolve(&self, address: &Address) -> Result<Address, RegistryError> {
        let Some(by_tag) = address.by_tag() else { return Ok(address.clone()) };
        let (_, now) = self.manifest(&by_tag).await?;
        match address.reference.digest() {
            Some(pinned) if pinned != now => Err(RegistryError::Moved {
                tag: by_tag.tag().unwrap_or_default().to_owned(),
                pinned: pinned.to_owned(),
                by_digest: address.without_tag().to_string(),
                now,
            }),
            _ => Ok(address.with_digest(&now)),
        }
    }

    /// The signatures beside an image, each with what it is about.
    async fn signatures(&self, address: &Address, manifest: &str) -> Result<Vec<Signature>, RegistryError> {
        let beside = address.signatures();
        let text = match self.manifest(&beside).await {
            Ok((text, _)) => text,
            Err(RegistryError::Missing(_)) => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut signatures = Vec::new();
        for (digest, signature) in image::signatures(&text) {
            let payload = self.blob(&beside, &digest, 0, SIGNATURE_BYTES_MAX).await?;
            let payload = String::from_utf8(payload).map_err(|e| other(&beside, &e.to_string()))?;
            signatures
                .push(Signature { signature, image: Some(SignedImage { payload, manifest: manifest.to_owned() }) });
        }
        Ok(signatures)
    }

    /// A manifest and its digest.
    async fn manifest(&self, reference: &Reference) -> Result<(String, String), RegistryError> {
        let pulled = self.client.pull_manifest_raw(reference, &RegistryAuth::Anonymous, &[image::MANIFEST_MEDIA_TYPE]);
        let (bytes, _) = pulled.await.map_err(|e| error(reference, e))?;
        let found = format!("sha256:{}", digest(&bytes));
        if reference.digest().is_some_and(|asked| asked != found) {
            return Err(RegistryError::Changed(reference.whole()));
        }
        let text = String::from_utf8(bytes.to_vec()).map_err(|e| other(reference, &e.to_string()))?;
        Ok((text, found))
    }

    async fn blob(
        &self,
        reference: &Reference,
        named: &str,
        announced: u64,
        bytes_max: usize,
    ) -> Result<Vec<u8>, RegistryError> {
        let too_large =
            |bytes| RegistryError::TooLarge { address: format!("oci://{}", reference.whole()), bytes, max: bytes_max };
        if announced > bytes_max as u64 {
            return Err(too_large(announced));
        }
        let descriptor = OciDescriptor { digest: named.to_owned(), ..OciDescriptor::default() };
        let stream = self.client.pull_blob_stream(reference, &descriptor).await;
        let mut pieces = stream.map_err(|e| error(reference, e))?.stream;
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.try_next().await.map_err(|e| other(reference, &e.to_string()))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > bytes_max {
                return Err(too_large(bytes.len() as u64));
            }
        }
        if named != format!("sha256:{}", digest(&bytes)) {
            return Err(RegistryError::Changed(format!("{} ({named})", reference.whole())));
        }
        Ok(bytes)
    }

    /// Puts an image and all that it names; gives its digest.
    async fn put(&self, reference: &Reference, image: &Image<'_>) -> Result<String, RegistryError> {
        for Blob { bytes, digest, .. } in &image.blobs {
            let there = self.client.blob_exists(reference, digest).await.unwrap_or_default();
            if !there {
                let pushed = self.client.push_blob(reference, bytes.to_vec(), digest).await;
                pushed.map_err(|e| error(reference, e))?;
            }
        }
        let media = image::MANIFEST_MEDIA_TYPE.parse().expect("a media type is a header's value");
        let put = self.client.push_manifest_raw(reference, image.manifest.clone().into_bytes(), media).await;
        put.map_err(|e| error(reference, e))?;
        Ok(format!("sha256:{}", digest(image.manifest.as_bytes())))
    }

    /// With the credentials that `docker login` left for the registry, if it did.
    async fn log_in(&self, reference: &Reference, operation: RegistryOperation) -> Result<(), RegistryError> {
        use docker_credential::{DockerCredential, get_credential};
        let registry = reference.resolve_registry();
        let auth = match get_credential(registry) {
            Ok(DockerCredential::UsernamePassword(name, password)) => RegistryAuth::Basic(name, password),
            Ok(DockerCredential::IdentityToken(token)) => RegistryAuth::Bearer(token),
            Err(e) => {
                tracing::debug!(error = %e, registry = registry, "no credentials");
                RegistryAuth::Anonymous
            }
        };
        self.client.store_auth_if_needed(registry, &auth).await;
        self.client.auth(reference, &auth, operation).await.map_err(|e| error(reference, e))?;
        Ok(())
    }
}

fn other(reference: &Reference, why: &str) -> RegistryError {
    RegistryError::Other { registry: reference.registry().to_owned(), why: why.to_owned() }
}

fn error(reference: &Reference, error: OciDistributionError) -> RegistryError {
    use oci_client::errors::OciErrorCode::{BlobUnknown, Denied, ManifestUnknown, NameUnknown, NotFound, Unauthorized};
    let registry = || reference.registry().to_owned();
    let missing = || RegistryError::Missing(format!("oci://{}", reference.whole()));
    match error {
        OciDistributionError::RequestError(e) => {
            RegistryError::Down { registry: registry(), why: crate::cause::chain(&e) }
        }
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            RegistryError::Denied(registry())
        }
        OciDistributionError::ImageManifestNotFoundError(_) | OciDistributionError::ServerError { code: 404, .. } => {
            missing()
        }
        OciDistributionError::ServerError { code: 401 | 403, .. } => RegistryError::Denied(registry()),
        OciDistributionError::DigestError(_) => RegistryError::Changed(reference.whole()),
        OciDistributionError::RegistryError { envelope, .. } => {
            let codes: Vec<_> = envelope.errors.iter().map(|e| &e.code).collect();
            if codes.iter().any(|c| matches!(c, Unauthorized | Denied)) {
                RegistryError::Denied(registry())
            } else if codes.iter().any(|c| matches!(c, ManifestUnknown | NameUnknown | BlobUnknown | NotFound)) {
                missing()
            } else {
                other(reference, &envelope.to_string())
            }
        }
        unexpected => other(reference, &unexpected.to_string()),
    }
}
