//! What a guest sees beyond its contract: a WASI that has no files, no network, no environment, a wall clock that stands
//! still, a monotonic clock that goes in fixed steps and passes over every sleep, and random numbers that repeat. Toolchains
//! drag WASI in; nothing behind it is real.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{ResourceLimiter, format_err};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult, subscribe};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxView, WasiView};

use super::turns::{Running, Turns};
use super::{Budget, GuestInputs};
use crate::notification::Notification;
use crate::plugin::engine::{CORE_INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};

/// How much of what a guest writes to stderr is kept.
const STDERR_BYTES_MAX: usize = 2_000;
/// How many lines a call may log.
const LOG_LINES_MAX: u32 = 32;
/// How many lines are kept for an author who does not look.
const LOG_LINES_KEPT_MAX: usize = 1_000;
/// How long a logged line may be.
const LOG_BYTES_MAX: usize = 1_024;

/// What a store carries for one call.
pub(crate) struct State {
    /// Made when a guest first asks for it; few do.
    wasi: Option<WasiCtx>,
    table: ResourceTable,
    inputs: GuestInputs,
    stderr: Tail,
    log_lines: u32,
    /// Where lines are kept for an author.
    pub(super) log: Option<Arc<Mutex<Vec<String>>>>,
    clock: Steps,
    pub(super) running: Running,
    /// The notification that a policy decides about, should it ask for it.
    pub(crate) asked: Option<Arc<Notification>>,
    secret: Arc<[u8]>,
    memory_bytes: usize,
    memory_bytes_max: usize,
    over_memory: bool,
}

impl State {
    pub(super) fn new(budget: &Budget, inputs: GuestInputs, turns: Turns, secret: Arc<[u8]>) -> Self {
        Self {
            wasi: None,
            table: ResourceTable::new(),
            inputs,
            stderr: Tail::default(),
            log_lines: 0,
            log: None,
            clock: Steps::default(),
            running: Running::new(budget.time_ms_max, turns),
            asked: None,
            secret,
            memory_bytes: 0,
            memory_bytes_max: budget.memory_bytes_max,
            over_memory: false,
        }
    }

    /// The hosts' secret.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    pub(super) fn is_over_memory(&self) -> bool {
        self.over_memory
    }

    pub(super) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Whether a snapshot of the guest would lose nothing: handles live in the host and are not part of it.
    pub(crate) fn holds_no_handles(&self) -> bool {
        self.table.is_empty()
    }

    /// A line from the guest, cut; none when the call has had its share.
    pub(crate) fn log_line<'a>(&mut self, message: &'a str) -> Option<&'a str> {
        self.log_lines += 1;
        let line = (self.log_lines <= LOG_LINES_MAX).then(|| &message[..message.floor_char_boundary(LOG_BYTES_MAX)])?;
        if let Some(log) = &self.log {
            let mut kept = log.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < LOG_LINES_KEPT_MAX {
                kept.push(line.to_owned());
            }
        }
        Some(line)
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.memory_bytes + desired.saturating_sub(current);
        if grown > self.memory_bytes_max {
            self.over_memory = true;
            return Err(format_err!("over its memory"));
        }
        self.memory_bytes = grown;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 100_000)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (inputs, stderr) = (self.inputs, &self.stderr);
        let ctx = self.wasi.get_or_insert_with(|| {
            let still = Still(Duration::from_millis(u64::try_from(inputs.now_ms).unwrap_or_default()));
            let seed = inputs.seed.to_le_bytes().to_vec();
            WasiCtx::builder()
                .stdout(stderr.clone())
                .stderr(stderr.clone())
                .wall_clock(still)
                .secure_random(Deterministic::new(seed.clone()))
                .insecure_random(Deterministic::new(seed))
                .insecure_random_seed(inputs.seed.into())
                .allow_tcp(false)
                .allow_udp(false)
                .build()
        });
        WasiCtxView { ctx, table: &mut self.table }
    }
}

/// A clock that stands still.
#[derive(Clone, Copy)]
struct Still(Duration);

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

/// A clock that begins at a second and advances by a microsecond each time it is read: always the same for the same guest,
/// and never zero, which Go's runtime takes for a broken clock.
struct Steps(u64);

/// Nanoseconds.
const STEPS_START: u64 = 1_000_000_000;
const STEP: u64 = 1_000;

impl Default for Steps {
    fn default() -> Self {
        Self(STEPS_START)
    }
}

impl Steps {
    fn read(&mut self) -> u64 {
        let now = self.0;
        self.0 = now.saturating_add(STEP);
        now
    }

    /// Goes on to a later time.
    fn skip_to(&mut self, when: u64) {
        self.0 = self.0.max(when);
    }
}

/// Puts this monotonic clock into the place of WASI's, whose timers are real: a guest that slept would hold its call for
/// a time that no budget counts, and a replay would wait as long.
pub(super) fn let_no_guest_sleep(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.read())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(STEP)
    }

    /// The time has come as soon as a guest waits for it.
    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.clock.skip_to(when);
        let due = self.table.push(Due)?;
        subscribe(&mut self.table, due)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let when = self.clock.read().saturating_add(duration);
        self.subscribe_instant(when)
    }
}

/// A timer of the guest's, which has always run out.
struct Due;

#[wasmtime_wasi::async_trait]
impl Pollable for Due {
    async fn ready(&mut self) {}
}

/// Keeps the beginning of what is written and swallows the rest.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let room = STDERR_BYTES_MAX.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(&bytes[..room]);
    }
}

impl IsTerminal for Tail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Tail {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Tail {
    async fn ready(&mut self) {}
}

impl OutputStream for Tail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.keep(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::{STEP, Steps};

    #[test]
    fn the_monotonic_clock_is_positive_and_the_same_for_every_call() {
        let read = || {
            let mut clock = Steps::default();
            [clock.read(), clock.read(), clock.read()]
        };
        assert_eq!(read(), [1_000_000_000, 1_000_001_000, 1_000_002_000]);
        assert_eq!(read(), read());
    }

    #[test]
    fn the_monotonic_clock_passes_over_a_sleep_and_never_goes_back() {
        let mut clock = Steps::default();
        clock.skip_to(5_000_000_000);
        assert_eq!(clock.read(), 5_000_000_000);
        clock.skip_to(1);
        assert_eq!(clock.read(), 5_000_000_000 + STEP);
        clock.skip_to(u64::MAX);
        assert_eq!([clock.read(), clock.read()], [u64::MAX; 2]);
    }
}
