//! The engines, one for each kind of code that a component has, and the clock that interrupts their guests.

use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::codegen;
use super::fault::LoadError;
use super::sandbox::Budget;

/// How often running guests are interrupted to let others run and to look at the time.
pub(crate) const TICK_MS: u64 = 2;

/// The most core instances, linear memories and tables of one call. A component of wit-bindgen has a handful of core
/// instances, one of `QuickJS` or `CPython` sixteen. The pool holds so many for each call that may run, so that no call ever
/// finds it empty: what a store may not hold is refused at the gate.
pub(super) const CORE_INSTANCES_MAX: u32 = 64;
pub(super) const MEMORIES_MAX: u32 = 4;
pub(super) const TABLES_MAX: u32 = 32;

/// Of a component's memories, the part that stays mapped between calls.
const RESIDENT_BYTES: usize = 2 << 20;

/// Which of a component's codes runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It counts instructions, so what it takes is the same each time: for the gate, replays and authors.
    Metered,
    /// It is only looked at the time it runs, and takes about two thirds as long: for deliveries.
    Live,
}

/// Something of each code. What never serves has no live one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes<T> {
    pub(crate) metered: T,
    pub(crate) live: Option<T>,
}

impl<T> Codes<T> {
    pub(crate) fn try_map<U, E>(&self, mut make: impl FnMut(Code, &T) -> Result<U, E>) -> Result<Codes<U>, E> {
        let metered = make(Code::Metered, &self.metered)?;
        let live = self.live.as_ref().map(|live| make(Code::Live, live)).transpose()?;
        Ok(Codes { metered, live })
    }
}

/// The engines with their ticker.
#[derive(Clone)]
pub(crate) struct Engine {
    metered: wasmtime::Engine,
    live: wasmtime::Engine,
}

impl Engine {
    /// Engines for `calls_max` calls at one time of each slot, as many of each built-in, and one more for the gate.
    pub(crate) fn new(calls_max: u32, call: &Budget) -> Result<Self, LoadError> {
        let engine = |code| {
            let config = config(calls_max, call.memory_bytes_max, code);
            wasmtime::Engine::new(&config).map_err(|e| LoadError::Host(e.to_string()))
        };
        let (metered, live) = (engine(Code::Metered)?, engine(Code::Live)?);
        tick([&metered, &live])?;
        Ok(Self { metered, live })
    }

    pub(crate) fn of(&self, code: Code) -> &wasmtime::Engine {
        match code {
            Code::Metered => &self.metered,
            Code::Live => &self.live,
        }
    }
}

/// The engine's settings, for `calls_max` calls at one time of each slot, as many of each built-in, and one more.
pub fn config(calls_max: u32, memory_bytes_max: usize, code: Code) -> Config {
    // Each slot of plugins has calls of its own, so has each built-in, and the gate has one.
    let slots = calls_max.saturating_mul(4).saturating_add(1);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(slots.saturating_mul(MEMORIES_MAX))
        .total_tables(slots.saturating_mul(TABLES_MAX))
        .total_stacks(slots)
        .max_memory_size(memory_bytes_max)
        .table_elements(100_000)
        .max_unused_warm_slots(slots)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .table_keep_resident(64 << 10)
        // Without it (before Linux 6.7) a fresh call costs about twice as much.
        .pagemap_scan(Enabled::Auto);
    let mut config = codegen::settings(code == Code::Metered);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// A thread, not a task: guests may keep every runtime thread busy. It ends with the engines.
fn tick(engines: [&wasmtime::Engine; 2]) -> Result<(), LoadError> {
    let weak = engines.map(wasmtime::Engine::weak);
    let beat = move || {
        loop {
            let engines = weak.each_ref().map(wasmtime::EngineWeak::upgrade);
            if engines.iter().all(Option::is_none) {
                return;
            }
            for engine in engines.iter().flatten() {
                engine.increment_epoch();
            }
            drop(engines);
            std::thread::sleep(Duration::from_millis(TICK_MS));
        }
    };
    let spawned = std::thread::Builder::new().name("epoch-ticker".to_owned()).spawn(beat);
    spawned.map(drop).map_err(|e| LoadError::Host(e.to_string()))
}
