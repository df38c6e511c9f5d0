//! What is put into a registry: manifests, and the blobs that they name.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::Address;
use crate::plugin::{Contents, SIGNATURES_MAX, WASM_MEDIA_TYPE, digest};

pub(super) const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Of the description beside a component.
const CONFIG_MEDIA_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// Of what a signature beside an image is about ("simple signing").
const PAYLOAD_MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Of the description beside signatures.
const SIGNATURES_MEDIA_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The same component is to have the same digest whenever it is pushed.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Bytes by their digest.
pub(super) struct Blob<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) digest: String,
}

/// A manifest, and what must be there before it.
pub(super) struct Image<'a> {
    pub(super) manifest: String,
    pub(super) blobs: Vec<Blob<'a>>,
}

impl<'a> Blob<'a> {
    fn new(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        let bytes = bytes.into();
        Self { digest: format!("sha256:{}", digest(&bytes)), bytes }
    }

    fn descriptor(&self, media: &str) -> Value {
        json!({ "mediaType": media, "digest": self.digest, "size": self.bytes.len() })
    }
}

impl<'a> Image<'a> {
    pub(super) fn of_component(wasm: &'a [u8], contents: &Contents) -> Self {
        let layer = Blob::new(wasm);
        let config = json!({
            "created": CREATED, "architecture": "wasm", "os": "wasip2", "layerDigests": [layer.digest],
            "component": { "exports": contents.exports, "imports": contents.imports, "target": null },
        });
        let config = Blob::new(config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_MEDIA_TYPE, "config": config.descriptor(CONFIG_MEDIA_TYPE),
            "layers": [layer.descriptor(WASM_MEDIA_TYPE)], "annotations": annotations(&contents.metadata),
        });
        Self { manifest: manifest.to_string(), blobs: vec![layer, config] }
    }

    /// The signatures that are there, and one more. The same one again changes nothing.
    pub(super) fn of_signature(before: Option<&str>, payload: &str, signature: &str) -> Result<Self, String> {
        let layer = Blob::new(payload.as_bytes().to_vec());
        let mut layers = match before {
            None => Vec::new(),
            Some(text) => {
                let manifest: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
                manifest["layers"].as_array().cloned().unwrap_or_default()
            }
        };
        let mut descriptor = layer.descriptor(PAYLOAD_MEDIA_TYPE);
        descriptor["annotations"] = json!({ SIGNATURE: signature });
        if !layers.contains(&descriptor) {
            layers.push(descriptor);
        }
        let digests: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        let config = json!({
            "architecture": "", "created": "0001-01-01T00:00:00Z", "os": "", "config": {},
            "rootfs": { "type": "layers", "diff_ids": digests },
        });
        let config = Blob::new(config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST_MEDIA_TYPE, "config": config.descriptor(SIGNATURES_MEDIA_TYPE),
            "layers": layers,
        });
        Ok(Self { manifest: manifest.to_string(), blobs: vec![layer, config] })
    }
}

/// The digests of payloads, and their signatures, that a manifest of signatures lists.
pub(super) fn signatures(manifest: &str) -> Vec<(String, String)> {
    let manifest: Value = serde_json::from_str(manifest).unwrap_or_default();
    let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    // The newest: those of keys that are in use.
    let signed = layers.iter().rev().filter(|layer| layer["mediaType"] == PAYLOAD_MEDIA_TYPE).filter_map(|layer| {
        let signature = layer["annotations"][SIGNATURE].as_str()?;
        Some((layer["digest"].as_str()?.to_owned(), signature.to_owned()))
    });
    signed.take(SIGNATURES_MAX).collect()
}

/// What a signature beside an image is about.
pub(super) fn payload(address: &Address) -> String {
    let named = format!("{}/{}", address.reference.registry(), address.reference.repository());
    json!({
        "critical": {
            "identity": { "docker-reference": named },
            "image": { "docker-manifest-digest": address.digest() },
            "type": "cosign container image signature",
        },
        "optional": null,
    })
    .to_string()
}

/// What a component says of itself, as registries show it (OCI image specification, "Annotations").
fn annotations(metadata: &Value) -> Map<String, Value> {
    let said = [
        ("title", "name"),
        ("version", "version"),
        ("description", "description"),
        ("authors", "authors"),
        ("licenses", "licenses"),
        ("source", "source"),
        ("url", "homepage"),
        ("revision", "revision"),
    ];
    said.into_iter()
        .filter_map(|(key, ours)| Some((format!("org.opencontainers.image.{key}"), metadata.get(ours)?.clone())))
        .collect()
}
