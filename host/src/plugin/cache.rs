//! Compiled code between runs and between hosts, and what came of trying it here. The key is everything that code depends on; the content
//! carries a MAC, because loading compiled code is trusting it: what somebody else wrote is not loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use super::engine::{Code, Codes, Engine};
use super::{Making, Slot};

const MAC_BYTES: usize = 32;
/// How files of code end, and those of what came of trying it.
const COMPILED: &str = "compiled";
const TRIED: &str = "tried";

/// What is known of a component's compiled code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Artifact {
    /// Whether it is a snapshot after `configure`.
    pub(crate) snapshotted: bool,
    /// When not, why.
    pub(crate) note: Option<String>,
    /// What making it took, and its size: the live code follows the metered.
    pub(crate) making: Making,
}

/// What compiled code is found by: everything that it depends on.
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// In hex: the name of a file, and of rows in the database.
    pub(crate) fn name(&self) -> String {
        crate::hex::encode(&self.0)
    }
}

/// A folder of compiled components, or none.
pub(crate) struct Cache {
    folder: Option<PathBuf>,
    mac: Hmac<Sha256>,
    engine: Engine,
}

impl Cache {
    /// `secret` is the hosts': who does not know it cannot write what is loaded.
    pub(crate) fn new(folder: &Path, secret: &[u8], engine: &Engine) -> Self {
        let mut mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(b"ecomm compiled component\0");
        let folder = (!folder.as_os_str().is_empty()).then(|| folder.to_owned());
        Self { folder, mac, engine: engine.clone() }
    }

    /// The key of a component's code: another processor, another version of the host or of wasmtime have another.
    pub(crate) fn key(&self, digest: &str, slot: Slot, config: &str) -> Key {
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
        for code in [Code::Metered, Code::Live] {
            self.engine.of(code).precompile_compatibility_hash().hash(&mut feed);
        }
        for part in [env!("CARGO_PKG_VERSION"), super::format::DATA, digest, slot.as_str(), config] {
            feed.0.update((part.len() as u64).to_le_bytes());
            feed.0.update(part);
        }
        Key(feed.0.finalize().to_vec())
    }

    /// Whether there is a file for the key.
    pub(crate) async fn has(&self, key: &Key) -> bool {
        match self.path(key) {
            Some(path) => tokio::fs::try_exists(path).await.unwrap_or_default(),
            None => false,
        }
    }

    /// None: not there, not ours, or not for this engine; it is then compiled anew.
    pub(crate) async fn load(&self, key: &Key) -> Option<(Artifact, Codes<Component>)> {
        let bytes = tokio::fs::read(self.path(key)?).await.ok()?;
        self.open(key, &bytes)
    }

    /// Reads what [`seal`](Self::seal) made, in this host or in another with the same secret.
    pub(crate) fn open(&self, key: &Key, bytes: &[u8]) -> Option<(Artifact, Codes<Component>)> {
        let (mac, body) = bytes.split_at_checked(MAC_BYTES)?;
        let mut expected = self.mac.clone();
        expected.update(&key.0);
        expected.update(body);
        if expected.verify_slice(mac).is_err() {
            tracing::warn!(plugin.code = key.name(), "compiled code was written by someone else; compiling anew");
            return None;
        }
        let (head, code) = body.split_at_checked(body.iter().position(|b| *b == b'\n')?)?;
        let artifact: Artifact = serde_json::from_slice(head).ok()?;
        let (metered, live) = code[1..].split_at_checked(artifact.making.code_bytes)?;
        let load = |code, bytes: &&[u8]| {
            #[expect(unsafe_code, reason = "the MAC shows that a host wrote these bytes with an engine like this one")]
            unsafe {
                Component::deserialize(self.engine.of(code), bytes)
            }
        };
        let components = Codes { metered, live: Some(live) }.try_map(load).ok()?;
        Some((artifact, components))
    }

    /// The code and what is known of it as bytes that nobody can write or change who does not know the secret.
    pub(crate) fn seal(&self, key: &Key, artifact: &Artifact, code: &[u8]) -> Vec<u8> {
        let mut body = serde_json::to_vec(artifact).unwrap_or_default();
        body.push(b'\n');
        body.extend_from_slice(code);
        let mut mac = self.mac.clone();
        mac.update(&key.0);
        mac.update(&body);
        let mut bytes = mac.finalize().into_bytes().to_vec();
        bytes.append(&mut body);
        bytes
    }

    /// Best effort: without the file, the next start asks the database or compiles again.
    pub(crate) async fn store(&self, key: &Key, sealed: Arc<[u8]>) {
        let Some(path) = self.path(key) else { return };
        if let Err(e) = write_atomically(&path, sealed).await {
            tracing::warn!(error = %e, "a compiled component could not be cached");
        }
    }

    /// What is remembered of trying this code on these terms; none where that is nothing, or not ours.
    pub(crate) async fn tried<T: DeserializeOwned>(&self, key: &Key, terms: &[u8]) -> Option<T> {
        let bytes = tokio::fs::read(self.trial_path(key)?).await.ok()?;
        let (mac, tried) = bytes.split_at_checked(MAC_BYTES)?;
        self.trial_mac(key, terms, tried).verify_slice(mac).ok()?;
        serde_json::from_slice(tried).ok()
    }

    /// Remembers what came of trying this code on these terms. Best effort: without the file, the next start tries it again.
    pub(crate) async fn keep_tried<T: Serialize>(&self, key: &Key, terms: &[u8], tried: &T) {
        let Some(path) = self.trial_path(key) else { return };
        let tried = serde_json::to_vec(tried).unwrap_or_default();
        let mac = self.trial_mac(key, terms, &tried).finalize().into_bytes();
        if let Err(e) = write_atomically(&path, [&*mac, &*tried].concat().into()).await {
            tracing::warn!(error = %e, "what came of trying a component could not be remembered");
        }
    }

    fn trial_mac(&self, key: &Key, terms: &[u8], tried: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(&key.0);
        // Code is behind its key too, and begins with a brace.
        for part in [b"tried", terms, tried] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }

    /// Removes what is not of these revisions' digest, slot and config; says how many files and bytes went. Of each
    /// revision there are files for this engine and this version only; others' go too.
    pub(crate) async fn collect_garbage(&self, kept: &[(String, String, String)]) -> (usize, u64) {
        let Some(folder) = self.folder.clone() else { return (0, 0) };
        let kept = kept.iter().filter_map(|(digest, slot, config)| {
            let slot = Slot::ALL.into_iter().find(|s| s.as_str() == slot)?;
            self.path(&self.key(digest, slot, config))
        });
        let kept: std::collections::HashSet<PathBuf> = kept.collect();
        let removing = move || {
            let (mut files, mut bytes) = (0, 0);
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_ours = path.extension().is_some_and(|e| e == COMPILED || e == TRIED);
                let size = entry.metadata().map_or(0, |m| m.len());
                if is_ours && !kept.contains(&path.with_extension(COMPILED)) && std::fs::remove_file(path).is_ok() {
                    (files, bytes) = (files + 1, bytes + size);
                }
            }
            (files, bytes)
        };
        tokio::task::spawn_blocking(removing).await.unwrap_or_default()
    }

    fn path(&self, key: &Key) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(key.name()).with_extension(COMPILED))
    }

    fn trial_path(&self, key: &Key) -> Option<PathBuf> {
        Some(self.path(key)?.with_extension(TRIED))
    }
}

async fn write_atomically(path: &Path, bytes: Arc<[u8]>) -> std::io::Result<()> {
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
