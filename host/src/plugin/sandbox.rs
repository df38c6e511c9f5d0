//! One call: a fresh instance, its budgets, and an inert world around it.

mod wasi;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{Instance, Linker};
use wasmtime::{Store, Trap, UpdateDeadline};

pub(crate) use wasi::State;

use super::engine::{Engine, TICK_MS};
use super::fault::{Fault, LoadError};
use super::{Email, Revision, v1};
use crate::notification::{Admission, Failure, Notification, Situation, Verdict};

/// What one call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Instructions, about.
    pub fuel_max: u64,
    /// More instructions for each line of the order.
    pub fuel_per_line: u64,
    /// Milliseconds.
    pub time_ms_max: u64,
    /// Bytes in all linear memories together.
    pub memory_bytes_max: usize,
    /// Bytes of the answer.
    pub output_bytes_max: usize,
}

impl Budget {
    /// The budget for an order of so many lines.
    #[must_use]
    pub fn for_lines(self, lines: usize) -> Self {
        let more = self.fuel_per_line.saturating_mul(lines as u64);
        Self { fuel_max: self.fuel_max.saturating_add(more), ..self }
    }
}

/// What a guest that asks for the time or for random numbers gets: always the same for the same decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance {
    pub(crate) now_ms: i64,
    pub(crate) seed: u64,
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Usage {
    /// Instructions, about.
    pub fuel: u64,
    /// Bytes in all linear memories.
    pub memory_bytes: usize,
}

/// Where guests run.
#[derive(Clone)]
pub(crate) struct Sandbox {
    engine: wasmtime::Engine,
    linker: Arc<Linker<State>>,
    permits: Arc<Semaphore>,
}

/// A fresh instance and what it runs in. It serves one call.
pub(crate) struct Cell {
    pub(crate) store: Store<State>,
    budget: Budget,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Sandbox {
    pub(crate) fn new(engine: &Engine, calls_max: u32) -> Result<Self, LoadError> {
        let host = |e: wasmtime::Error| LoadError::Host(e.to_string());
        let mut linker = Linker::new(engine.wasmtime());
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(host)?;
        v1::add_to_linker(&mut linker).map_err(host)?;
        Ok(Self {
            engine: engine.wasmtime().clone(),
            linker: Arc::new(linker),
            permits: Arc::new(Semaphore::new(calls_max as usize)),
        })
    }

    pub(crate) fn linker(&self) -> &Linker<State> {
        &self.linker
    }

    /// A store with the budget set. The gate takes no permit: a slot of the pool is its own.
    pub(crate) fn cell(&self, budget: &Budget, chance: Chance, permit: Option<OwnedSemaphorePermit>) -> Cell {
        let mut store = Store::new(&self.engine, State::new(budget, chance));
        store.limiter(|state| state);
        // Both only fail on an engine without the feature.
        let _ = store.set_fuel(budget.fuel_max);
        store.set_hostcall_fuel(budget.output_bytes_max);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            Ok(if context.data_mut().tick() { UpdateDeadline::Yield(1) } else { UpdateDeadline::Interrupt })
        });
        Cell { store, budget: *budget, _permit: permit }
    }

    async fn enter(&self, revision: &Revision, budget: &Budget, chance: Chance) -> Result<(Cell, Instance), Fault> {
        let permit = self.permits.clone().acquire_owned().await.ok();
        let mut cell = self.cell(budget, chance, permit);
        let instance = cell.timed(async |store| revision.guest.instantiate(store).await).await?;
        if let Some(config) = &revision.configure_each {
            let configured = cell.timed(async |store| revision.guest.configure(store, &instance, config).await).await?;
            configured.map_err(Fault::Refused)?;
        }
        Ok((cell, instance))
    }

    pub(crate) async fn render(
        &self,
        revision: &Revision,
        budget: &Budget,
        chance: Chance,
        n: &Notification,
    ) -> Result<(Email, Usage), Fault> {
        let _running = revision.health.enter();
        let (mut cell, instance) = self.enter(revision, budget, chance).await?;
        let email = cell
            .timed(async |store| revision.guest.render(store, &instance, n).await)
            .await?
            .map_err(Fault::Refused)?;
        Ok((email, cell.usage()))
    }

    pub(crate) async fn admit(
        &self,
        revision: &Revision,
        budget: &Budget,
        chance: Chance,
        n: &Notification,
        s: &Situation,
    ) -> Result<(Admission, Usage), Fault> {
        let _running = revision.health.enter();
        let (mut cell, instance) = self.enter(revision, budget, chance).await?;
        let admission = cell.timed(async |store| revision.guest.admit(store, &instance, n, s).await).await?;
        Ok((admission, cell.usage()))
    }

    pub(crate) async fn on_failure(
        &self,
        revision: &Revision,
        budget: &Budget,
        chance: Chance,
        n: &Notification,
        f: &Failure,
        s: &Situation,
    ) -> Result<(Verdict, Usage), Fault> {
        let _running = revision.health.enter();
        let (mut cell, instance) = self.enter(revision, budget, chance).await?;
        let verdict = cell.timed(async |store| revision.guest.on_failure(store, &instance, n, f, s).await).await?;
        Ok((verdict, cell.usage()))
    }
}

impl Cell {
    /// Runs one call under the deadline. The epoch stops a guest that computes, the timer one that sleeps.
    pub(crate) async fn timed<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        let deadline = Duration::from_millis(self.budget.time_ms_max + 2 * TICK_MS);
        match tokio::time::timeout(deadline, call(&mut self.store)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.fault(&error)),
            Err(_) => Err(Fault::Deadline(self.budget.time_ms_max)),
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        let left = self.store.get_fuel().unwrap_or_default();
        Usage { fuel: self.budget.fuel_max.saturating_sub(left), memory_bytes: self.store.data().memory_bytes() }
    }

    /// Takes the limits away, for the host's own reading of the memory.
    pub(crate) fn lift_limits(&mut self) {
        let _ = self.store.set_fuel(u64::MAX / 2);
        self.store.set_hostcall_fuel(usize::MAX);
        self.store.data_mut().lift_deadline();
    }

    pub(crate) fn fault(&self, error: &wasmtime::Error) -> Fault {
        if self.store.data().is_over_memory() {
            return Fault::Memory(self.budget.memory_bytes_max);
        }
        // The error's type is private to wasmtime; a test holds its words.
        if error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted") {
            return Fault::Output(self.budget.output_bytes_max);
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Fault::Fuel(self.budget.fuel_max),
            Some(Trap::Interrupt) => Fault::Deadline(self.budget.time_ms_max),
            Some(Trap::StackOverflow) => Fault::Stack,
            trap => {
                let said = self.store.data().stderr();
                let cause = trap.map_or_else(|| error.root_cause().to_string(), ToString::to_string);
                Fault::Trap(if said.is_empty() { cause } else { said })
            }
        }
    }
}
