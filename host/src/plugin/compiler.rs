//! Compiling, in a process of its own: a small component can be made to keep the compiler busy for minutes and to fill
//! gigabytes, and nothing but the system can stop it. The process has a lower priority than
//! deliveries, and its memory ends with it.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use wasmtime::OptLevel;
use wasmtime::component::Component;

use super::codegen;
use super::engine::{Code, Engine};
use super::fault::LoadError;
use super::gate::Care;

/// The subcommand by which a program that embeds this host serves as the compiler; it calls [`compile_for_parent`].
pub const SUBCOMMAND: &str = "compile-component";

/// How many times longer than the processor works on a compilation it may take by the clock.
const PATIENCE: u32 = 10;

/// Who compiles, and what it may use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Compiling {
    /// A program that has the subcommand `compile-component`; this one when empty.
    pub program: PathBuf,
    /// Milliseconds of the processor's time for one compilation, in whole seconds. By the clock it may take
    /// ten times as long: the machine may be busy.
    pub time_ms_max: u64,
    /// Bytes of address space.
    pub memory_bytes_max: u64,
    /// Its niceness: 0 is the priority of deliveries, 19 the lowest (nice(1)).
    pub niceness: u8,
}

/// What a compiler made.
pub(crate) struct Compiled {
    pub(crate) component: Component,
    /// What [`Component::serialize`] would give.
    pub(crate) code: Vec<u8>,
    /// The most memory that the compiler had at one time, in bytes; 0 where the system does not say.
    pub(crate) memory_bytes: u64,
}

/// Starts compilers.
pub(crate) struct Compiler {
    settings: Compiling,
    engine: Engine,
}

impl Compiler {
    pub(crate) fn new(settings: &Compiling, engine: &Engine) -> Self {
        Self { settings: settings.clone(), engine: engine.clone() }
    }

    /// Compiles a component to one of its codes.
    pub(crate) async fn compile(&self, wasm: &[u8], care: Care, code: Code) -> Result<Compiled, LoadError> {
        let deadline = Duration::from_millis(self.settings.time_ms_max).saturating_mul(PATIENCE);
        // Dropped at the deadline, and with it the process.
        let run = tokio::time::timeout(deadline, self.run(wasm, care, code)).await;
        let (bytes, memory_bytes) = run.map_err(|_| LoadError::CompileTime { max_ms: self.settings.time_ms_max })??;
        #[expect(unsafe_code, reason = "the bytes come out of our own program, by a pipe that nobody else holds")]
        // SAFETY: as the reason says; wasmtime refuses what another version or engine made.
        let component = unsafe { Component::deserialize(self.engine.of(code), &bytes) };
        Ok(Compiled { component: component.map_err(|e| LoadError::Host(e.to_string()))?, code: bytes, memory_bytes })
    }

    async fn run(&self, wasm: &[u8], care: Care, code: Code) -> Result<(Vec<u8>, u64), LoadError> {
        let host = |e: io::Error| LoadError::Host(format!("the compiler: {e}"));
        let mut child = self.start(care, code).map_err(host)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let give = async {
            // One that has ended already says why in its status.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(wasm).await;
            }
        };
        let ((), compiled, said) = tokio::join!(give, read_all(stdout), read_all(stderr));
        let status = child.wait().await.map_err(host)?;
        let said = String::from_utf8_lossy(&said.unwrap_or_default()).trim().to_owned();
        match status.code() {
            Some(0) => Ok((compiled.map_err(host)?, said.parse().unwrap_or_default())),
            Some(REFUSED) => Err(LoadError::Compile(said)),
            _ if is_out_of_time(status) => Err(LoadError::CompileTime { max_ms: self.settings.time_ms_max }),
            _ if said.contains("memory allocation") => {
                Err(LoadError::CompileMemory { max_bytes: self.settings.memory_bytes_max })
            }
            _ => Err(LoadError::Compile(format!("the compiler ended with {status}: {said}"))),
        }
    }

    fn start(&self, care: Care, code: Code) -> io::Result<Child> {
        let program = match &self.settings.program {
            // Itself, also when the file has been replaced by another version since.
            own if own.as_os_str().is_empty() && cfg!(target_os = "linux") => PathBuf::from("/proc/self/exe"),
            own if own.as_os_str().is_empty() => std::env::current_exe()?,
            set => set.clone(),
        };
        let seconds = self.settings.time_ms_max.div_ceil(1_000);
        let [optimize, is_metered] = [care == Care::Gate, code == Code::Metered].map(u64::from);
        let (bytes, niceness) = (self.settings.memory_bytes_max, self.settings.niceness.into());
        let limits = [bytes, seconds, niceness, optimize, is_metered];
        Command::new(program)
            .arg(SUBCOMMAND)
            .args(limits.map(|n: u64| n.to_string()))
            // Secrets of the host are none of its business.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }
}

#[cfg(unix)]
fn is_out_of_time(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(rustix::process::Signal::XCPU.as_raw())
}

#[cfg(not(unix))]
fn is_out_of_time(_: ExitStatus) -> bool {
    false
}

async fn read_all(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The status of a compiler that says on stderr what is wrong with the component.
const REFUSED: i32 = 3;

/// The compiler's side: a component on stdin becomes compiled code on stdout, and stderr says how many bytes of memory
/// that took, or why not. `optimize` 0 compiles quickly, to slower code; `is_metered` 0 to code that counts no
/// instructions. Gives the process's exit status.
pub fn compile_for_parent(
    memory_bytes_max: u64,
    cpu_seconds_max: u64,
    niceness: u8,
    optimize: u8,
    is_metered: u8,
) -> io::Result<i32> {
    limit(memory_bytes_max, cpu_seconds_max, niceness)?;
    let mut wasm = Vec::new();
    io::stdin().lock().read_to_end(&mut wasm)?;
    let mut settings = codegen::settings(is_metered != 0);
    if optimize == 0 {
        // Code is loaded whatever its level of optimisation.
        settings.cranelift_opt_level(OptLevel::None);
    }
    let engine = wasmtime::Engine::new(&settings).map_err(io::Error::other)?;
    match engine.precompile_component(&wasm) {
        Ok(code) => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&code)?;
            stdout.flush()?;
            writeln!(io::stderr(), "{}", memory_bytes_peak().unwrap_or_default())?;
            Ok(0)
        }
        Err(e) => {
            writeln!(io::stderr(), "{}", e.root_cause())?;
            Ok(REFUSED)
        }
    }
}

/// As Linux reports it (proc(5), `VmHWM`).
fn memory_bytes_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

#[cfg(unix)]
fn limit(memory_bytes_max: u64, cpu_seconds_max: u64, niceness: u8) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    setrlimit(Resource::As, Rlimit { current: Some(memory_bytes_max), maximum: Some(memory_bytes_max) })?;
    // The signal at the lower one says why it ended.
    let hard = cpu_seconds_max.saturating_add(1);
    setrlimit(Resource::Cpu, Rlimit { current: Some(cpu_seconds_max), maximum: Some(hard) })?;
    nice(niceness.into())?;
    Ok(())
}

#[cfg(not(unix))]
fn limit(_: u64, _: u64, _: u8) -> io::Result<()> {
    Ok(())
}
