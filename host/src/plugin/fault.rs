//! What goes wrong with plugins: while loading one, and while calling one.

use std::path::PathBuf;

use super::manifest::ConfigError;

/// A call did not give a usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It used up its instructions.
    #[error("used up its fuel of {0}")]
    Fuel(u64),
    /// It took too long.
    #[error("did not answer within {0} ms")]
    Deadline(u64),
    /// It asked for too much memory.
    #[error("asked for more than {0} bytes of memory")]
    Memory(usize),
    /// It answered too much.
    #[error("answered more than {0} bytes")]
    Output(usize),
    /// It recursed too deep.
    #[error("used up its stack")]
    Stack,
    /// It crashed; what it wrote to stderr, if anything.
    #[error("crashed: {0}")]
    Trap(String),
    /// It answered with an error.
    #[error("answered an error: {0}")]
    Refused(String),
    /// Its answer is not one that the host can use.
    #[error("answered what cannot be used: {0}")]
    BadOutput(String),
}

impl Fault {
    /// The stable name of the kind of fault, for journals and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fuel(_) => "budget_fuel",
            Self::Deadline(_) => "deadline",
            Self::Memory(_) => "memory",
            Self::Output(_) => "output_too_large",
            Self::Stack => "stack",
            Self::Trap(_) => "trap",
            Self::Refused(_) => "refused",
            Self::BadOutput(_) => "bad_output",
        }
    }
}

/// A component was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The component is larger than the setting allows.
    #[error("the component has {bytes} bytes; plugins.component_bytes_max allows {max}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What is allowed.
        max: usize,
    },
    /// The bytes are something else.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// Its imports or exports do not fit.
    #[error("does not fit the contract: {0}")]
    Contract(String),
    /// The compiler refused it.
    #[error("does not compile: {0}")]
    Compile(String),
    /// Compiling it takes too long.
    #[error(
        "does not compile within {max_ms} ms of work (plugins.compiler.time_ms_max): look for a function that is huge"
    )]
    CompileTime {
        /// What is allowed.
        max_ms: u64,
    },
    /// Compiling it takes too much memory.
    #[error("does not compile within {max_bytes} bytes of memory (plugins.compiler.memory_bytes_max)")]
    CompileMemory {
        /// What is allowed.
        max_bytes: u64,
    },
    /// What it says of itself cannot be used.
    #[error("describes itself so that it cannot be used: {0}")]
    Manifest(String),
    /// The config does not fit its schema, or its `configure` refused it.
    #[error("refused its config: {0}")]
    Config(ConfigError),
    /// Its `configure` failed.
    #[error("failed in configure ({}): {fault}{advice}", fault.code())]
    Configure {
        /// How.
        fault: Fault,
        /// What its author may do, or nothing.
        advice: String,
    },
    /// It failed on a fixture.
    #[error("failed on the fixture \"{fixture}\" ({}): {fault}{advice}", fault.code())]
    Fixture {
        /// Which.
        fixture: String,
        /// How.
        fault: Fault,
        /// What its author may do, or nothing.
        advice: String,
    },
    /// Its answers depend on what WASI makes up.
    #[error(
        "reads the clock, random numbers or the environment: another answer to the same question on the fixture \
         \"{fixture}\" (plugins.impure); use the situation's now, and the seed"
    )]
    Impure {
        /// The first one that shows it.
        fixture: String,
    },
    /// Nobody whose key is trusted signed it.
    #[error(
        "not signed by a trusted key (plugins.trust): {0}; sign it with `ecomm plugin sign`, or add the public key of whoever \
         signed it to plugins.trust.key_paths"
    )]
    Untrusted(String),
    /// The host could not do its part.
    #[error("the plugin host failed: {0}")]
    Host(String),
}

impl LoadError {
    /// The stable name of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "unreadable",
            Self::TooLarge { .. } => "too_large",
            Self::NotAComponent(_) => "not_a_component",
            Self::Contract(_) => "contract",
            Self::Compile(_) => "compile",
            Self::CompileTime { .. } => "compile_time",
            Self::CompileMemory { .. } => "compile_memory",
            Self::Manifest(_) => "manifest",
            Self::Config(_) => "config",
            Self::Configure { .. } => "configure",
            Self::Fixture { .. } => "fixture",
            Self::Impure { .. } => "impure",
            Self::Untrusted(_) => "untrusted",
            Self::Host(_) => "host",
        }
    }
}
