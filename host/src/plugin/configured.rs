//! What the settings name for a slot.

use std::sync::Arc;

use super::{BUILT_IN, LoadError, Plugins, Signature, Slot, Source, builtin, trust};

/// What a slot's settings name.
pub struct Configured {
    /// The component.
    pub wasm: Arc<[u8]>,
    /// Those that are beside its file.
    pub signatures: Vec<Signature>,
    /// What `configure` gets: JSON.
    pub config: String,
    /// Where it is from, for people.
    pub origin: String,
}

impl Configured {
    /// The built-in, with no config.
    pub fn built_in(slot: Slot) -> Self {
        let (wasm, config, origin) = (builtin(slot).into(), "{}".to_owned(), BUILT_IN.to_owned());
        Self { wasm, signatures: Vec::new(), config, origin }
    }
}

impl Plugins {
    /// What a slot's settings name; none: nothing but the built-in. Beside a component's file, its signature may be in one
    /// of the same name and `.sig`.
    pub async fn configured(&self, slot: Slot) -> Result<Option<Configured>, LoadError> {
        let Source { path, config_path } = self.source(slot).clone();
        if path.as_os_str().is_empty() && config_path.as_os_str().is_empty() {
            return Ok(None);
        }
        let (wasm, signatures, origin): (Arc<[u8]>, _, _) = if path.as_os_str().is_empty() {
            (builtin(slot).into(), Vec::new(), BUILT_IN.to_owned())
        } else {
            (self.gate.read(&path).await?, trust::beside(&path).await?, path.display().to_string())
        };
        let config = if config_path.as_os_str().is_empty() {
            "{}".to_owned()
        } else {
            let read = |source| LoadError::Read { path: config_path.clone(), source };
            tokio::fs::read_to_string(&config_path).await.map_err(read)?
        };
        Ok(Some(Configured { wasm, signatures, config, origin }))
    }
}
