//! Compiled code between runs. The key is everything that it depends on; the content carries a MAC, because loading
//! compiled code is trusting it: a file that somebody else wrote is not loaded.

use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::{Making, Slot};

const MAC_BYTES: usize = 32;

/// A compiled component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Artifact {
    /// What wasmtime loads.
    #[serde(skip)]
    pub(crate) code: Vec<u8>,
    /// Whether it is a snapshot after `configure`.
    pub(crate) snapshotted: bool,
    /// When not, why.
    pub(crate) note: Option<String>,
    /// What making it took.
    pub(crate) making: Making,
}

/// A folder of compiled components, or none.
pub(crate) struct Cache {
    folder: Option<PathBuf>,
    mac: Hmac<Sha256>,
    engine: Engine,
}

impl Cache {
    /// `secret` is the host's: who does not know it cannot write a file that is loaded.
    pub(crate) fn new(folder: &Path, secret: &[u8], engine: &Engine) -> Self {
        let mut mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(b"ecomm compiled component\0");
        let folder = (!folder.as_os_str().is_empty()).then(|| folder.to_owned());
        Self { folder, mac, engine: engine.clone() }
    }

    /// None: not there, not ours, or not for this engine; it is then compiled anew.
    pub(crate) async fn load(&self, digest: &str, slot: Slot, config: &str) -> Option<(Artifact, Component)> {
        let (path, key) = self.path(digest, slot, config)?;
        let bytes = tokio::fs::read(path).await.ok()?;
        let (mac, body) = bytes.split_at_checked(MAC_BYTES)?;
        let mut expected = self.mac.clone();
        expected.update(&key);
        expected.update(body);
        if expected.verify_slice(mac).is_err() {
            tracing::warn!(
                plugin.digest = digest,
                "a file in the cache of compiled components is not ours; compiling anew"
            );
            return None;
        }
        let (head, code) = body.split_at_checked(body.iter().position(|b| *b == b'\n')?)?;
        let artifact: Artifact = serde_json::from_slice(head).ok()?;
        let code = code[1..].to_vec();
        #[expect(unsafe_code, reason = "the MAC shows that this host wrote these bytes with this engine")]
        let component = unsafe { Component::deserialize(&self.engine, &code) }.ok()?;
        Some((Artifact { code, ..artifact }, component))
    }

    /// Best effort: without the file, the next start compiles again.
    pub(crate) async fn store(&self, digest: &str, slot: Slot, config: &str, artifact: &Artifact) {
        let Some((path, key)) = self.path(digest, slot, config) else { return };
        let mut body = serde_json::to_vec(artifact).unwrap_or_default();
        body.push(b'\n');
        body.extend_from_slice(&artifact.code);
        let mut mac = self.mac.clone();
        mac.update(&key);
        mac.update(&body);
        let mut bytes = mac.finalize().into_bytes().to_vec();
        bytes.extend_from_slice(&body);
        if let Err(e) = write_atomically(&path, bytes).await {
            tracing::warn!(error = %e, "a compiled component could not be cached");
        }
    }

    /// Removes what is not of these revisions' digest, slot and config; says how many files and bytes went. Of each
    /// revision there are files for this engine and this version only; others' go too.
    pub(crate) async fn collect_garbage(&self, kept: &[(String, String, String)]) -> (usize, u64) {
        let Some(folder) = self.folder.clone() else { return (0, 0) };
        let kept = kept.iter().filter_map(|(digest, slot, config)| {
            let slot = Slot::ALL.into_iter().find(|s| s.as_str() == slot)?;
            Some(self.path(digest, slot, config)?.0)
        });
        let kept: std::collections::HashSet<PathBuf> = kept.collect();
        let removing = move || {
            let (mut files, mut bytes) = (0, 0);
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_ours = path.extension().is_some_and(|e| e == "compiled");
                let size = entry.metadata().map_or(0, |m| m.len());
                if is_ours && !kept.contains(&path) && std::fs::remove_file(path).is_ok() {
                    (files, bytes) = (files + 1, bytes + size);
                }
            }
            (files, bytes)
        };
        tokio::task::spawn_blocking(removing).await.unwrap_or_default()
    }

    fn path(&self, digest: &str, slot: Slot, config: &str) -> Option<(PathBuf, Vec<u8>)> {
        use std::hash::{Hash, Hasher};
        // The engine only offers its compatibility as a `Hash`: feed that to SHA-256.
        struct Feed(Sha256);
        impl Hasher for Feed {
            fn finish(&self) -> u64 {
                0
            }
            fn write(&mut self, bytes: &[u8]) {
                self.0.update(bytes);
            }
        }
        let mut feed = Feed(Sha256::new());
        self.engine.precompile_compatibility_hash().hash(&mut feed);
        for part in [env!("CARGO_PKG_VERSION"), digest, slot.as_str(), config] {
            feed.0.update((part.len() as u64).to_le_bytes());
            feed.0.update(part);
        }
        let key = feed.0.finalize().to_vec();
        Some((self.folder.as_ref()?.join(format!("{}.compiled", crate::hex::encode(&key))), key))
    }
}

async fn write_atomically(path: &Path, bytes: Vec<u8>) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    let path = path.to_owned();
    let writing = move || {
        use std::io::Write;
        std::fs::create_dir_all(&folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    };
    tokio::task::spawn_blocking(writing).await.map_err(std::io::Error::other)?
}
