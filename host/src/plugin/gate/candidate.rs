//! What goes into the gate, what comes out, and how far it is meanwhile.

use std::sync::Arc;

use crate::plugin::builtin::{BUILT_IN, CONFIG, builtin};
use crate::plugin::{Revision, Slot};

/// What is to go through the gate.
pub struct Candidate {
    /// Where it is to serve.
    pub slot: Slot,
    /// The component.
    pub wasm: Arc<[u8]>,
    /// What `configure` gets: JSON.
    pub config: String,
    /// Where it came from, for people.
    pub origin: String,
    /// Its compiled code, as another host sealed it; code that is not for this host is left alone.
    pub code: Option<Vec<u8>>,
    /// How thoroughly it is prepared.
    pub care: Care,
}

/// How thoroughly a component is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// All that the gate asks for.
    Gate,
    /// For a look at once: compiled quickly, to slower code, and not tried on the gate's fixtures.
    Draft,
}

impl Candidate {
    /// What came with the host.
    pub fn built_in(slot: Slot) -> Self {
        let (wasm, config, origin) = (builtin(slot).into(), CONFIG.to_owned(), BUILT_IN.to_owned());
        Self { slot, wasm, config, origin, code: None, care: Care::Gate }
    }
}

/// What passed the gate.
pub struct Admitted {
    /// Ready to serve; it has no number yet.
    pub revision: Revision,
    /// Its compiled code, sealed for other hosts with the same secret, if it was compiled now.
    pub code: Option<Arc<[u8]>>,
}

/// Where the gate is with a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    /// Another component is in the gate.
    #[default]
    Waiting,
    /// It is compiled for `configure`.
    Compiling,
    /// `configure` runs.
    Configuring,
    /// Its snapshot is compiled.
    CompilingSnapshot,
    /// It is called on fixtures: so many of all are done.
    Trying(u32, u32),
}

impl Step {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting for the gate",
            Self::Compiling => "compiling",
            Self::Configuring => "configuring",
            Self::CompilingSnapshot => "compiling the snapshot",
            Self::Trying(..) => "calling it on fixtures",
        }
    }

    /// How many parts of it are done, and how many there are; 0 when it has none.
    pub fn parts(self) -> (u64, u64) {
        if let Self::Trying(done, of) = self { (done.into(), of.into()) } else { (0, 0) }
    }
}

/// Where the gate writes how far it is.
pub type Progress = tokio::sync::watch::Sender<Step>;
