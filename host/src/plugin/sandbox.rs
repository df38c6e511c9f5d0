//! One call: a fresh instance, its budgets, and an inert world around it.

mod turns;
mod wasi;

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{Instance, Linker};
use wasmtime::{Store, Trap};

use turns::Turns;
pub(crate) use wasi::State;

use super::engine::{Code, Codes, Engine};
use super::fault::{Fault, LoadError};
use super::{BUILT_IN, Email, Revision, Slot, v1};
use crate::notification::report::{Reaction, Reported};
use crate::notification::{Admission, Failure, Notification, Request, Situation, Verdict};

/// What one call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Instructions, about.
    pub fuel_max: u64,
    /// More instructions for each line of the order.
    pub fuel_per_line: u64,
    /// Milliseconds that it runs. Waiting for a processor is not counted.
    pub time_ms_max: u64,
    /// Bytes in all linear memories together.
    pub memory_bytes_max: usize,
    /// Bytes of the answer.
    pub output_bytes_max: usize,
}

impl Budget {
    /// So many times the instructions and the time. Memory is the pool's to give.
    #[must_use]
    pub(crate) fn times(self, factor: u64) -> Self {
        Self {
            fuel_max: self.fuel_max.saturating_mul(factor),
            time_ms_max: self.time_ms_max.saturating_mul(factor),
            ..self
        }
    }

    /// The budget for an order of so many lines.
    #[must_use]
    pub fn for_lines(self, lines: usize) -> Self {
        let more = self.fuel_per_line.saturating_mul(lines as u64);
        Self { fuel_max: self.fuel_max.saturating_add(more), ..self }
    }
}

/// What was made to be looked at has no live code.
const NOT_TO_SERVE: &str = "it was compiled to be tried, not to serve";

/// What a guest that asks for the time or for random numbers gets: always the same for the same decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuestInputs {
    pub(crate) now_ms: i64,
    pub(crate) seed: u64,
}

impl GuestInputs {
    /// Others: a day later, and with every bit turned over.
    fn elsewhere(self) -> Self {
        Self { now_ms: self.now_ms.saturating_add(86_400_000), seed: !self.seed }
    }
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Usage {
    /// Instructions, about; 0 of live code, which does not count them.
    pub fuel: u64,
    /// Bytes in all linear memories.
    pub memory_bytes: usize,
}

/// Where guests run.
#[derive(Clone)]
pub(crate) struct Sandbox {
    engine: Engine,
    /// Which code runs here.
    code: Code,
    linkers: Arc<Codes<Linker<State>>>,
    /// Of each slot: a renderer that takes its time keeps no policy waiting.
    renders: Calls,
    decisions: Calls,
    /// Of the component that came with the host, in each slot: whatever others do, it can stand in.
    built_in: [Calls; 2],
    /// Of the gate, while it configures.
    gate: Turns,
    /// The hosts', by which tokens of links are made.
    secret: Arc<[u8]>,
    is_elsewhere: bool,
    /// Where the lines that components log are kept, for an author to see.
    log: Option<Arc<Mutex<Vec<String>>>>,
}

/// The calls that share a bound: how many there may be, and how many of the long ones run.
#[derive(Clone)]
struct Calls {
    permits: Arc<Semaphore>,
    limit: usize,
    turns: Turns,
}

/// A fresh instance and what it runs in. It serves one call.
pub(crate) struct CallStore {
    pub(crate) store: Store<State>,
    budget: Budget,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Sandbox {
    /// For metered code.
    pub(crate) fn new(engine: &Engine, calls_max: u32, secret: &[u8]) -> Result<Self, LoadError> {
        let host = |e: wasmtime::Error| LoadError::Host(e.to_string());
        let linker = |code, (): &()| {
            let mut linker = Linker::new(engine.of(code));
            wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
            v1::add_to_linker(&mut linker)?;
            wasi::let_no_guest_sleep(&mut linker)?;
            Ok(linker)
        };
        let linkers = Codes { metered: (), live: Some(()) }.try_map(linker).map_err(host)?;
        let limit = calls_max as usize;
        let calls = || Calls { permits: Arc::new(Semaphore::new(limit)), limit, turns: Turns::new() };
        Ok(Self {
            engine: engine.clone(),
            code: Code::Metered,
            linkers: Arc::new(linkers),
            renders: calls(),
            decisions: calls(),
            built_in: [calls(), calls()],
            gate: Turns::new(),
            secret: secret.into(),
            is_elsewhere: false,
            log: None,
        })
    }

    /// The same for live code.
    pub(crate) fn live(&self) -> Self {
        Self { code: Code::Live, ..self.clone() }
    }

    /// The same with another clock and other random numbers behind WASI; what a component is asked stays.
    pub(crate) fn elsewhere(&self) -> Self {
        Self { is_elsewhere: true, log: None, ..self.clone() }
    }

    /// The same, which keeps what components log; and where.
    pub(crate) fn keeping_log(&self) -> (Self, Arc<Mutex<Vec<String>>>) {
        let log = Arc::new(Mutex::new(Vec::new()));
        (Self { log: Some(log.clone()), ..self.clone() }, log)
    }

    /// What code may import.
    pub(crate) fn linker(&self, code: Code) -> &Linker<State> {
        match (code, &self.linkers.live) {
            (Code::Live, Some(live)) => live,
            _ => &self.linkers.metered,
        }
    }

    /// Calls of a slot's components that are under way, and the most at one time; the built-ins have a bound of their own.
    pub(crate) fn calls(&self, slot: Slot) -> (i64, i64) {
        let Calls { permits, limit, .. } = self.calls_of(slot);
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        (number(limit.saturating_sub(permits.available_permits())), number(*limit))
    }

    fn calls_of(&self, slot: Slot) -> &Calls {
        match slot {
            Slot::Renderer => &self.renders,
            Slot::Policy => &self.decisions,
        }
    }

    /// A store for the gate, which takes no permit: a slot of the pool is its own.
    pub(crate) fn gate_store(&self, budget: &Budget, inputs: GuestInputs) -> CallStore {
        self.call_store(budget, inputs, &self.gate, None)
    }

    /// A store with the budget set.
    fn call_store(
        &self,
        budget: &Budget,
        inputs: GuestInputs,
        turns: &Turns,
        permit: Option<OwnedSemaphorePermit>,
    ) -> CallStore {
        let inputs = if self.is_elsewhere { inputs.elsewhere() } else { inputs };
        let mut state = State::new(budget, inputs, turns.clone(), self.secret.clone());
        state.log.clone_from(&self.log);
        let mut store = Store::new(self.engine.of(self.code), state);
        store.limiter(|state| state);
        // Live code has none.
        let _ = store.set_fuel(budget.fuel_max);
        store.set_hostcall_fuel(budget.output_bytes_max);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().running.tick()));
        CallStore { store, budget: *budget, _permit: permit }
    }

    async fn enter<'r>(
        &self,
        revision: &'r Revision,
        budget: &Budget,
        inputs: GuestInputs,
    ) -> Result<(CallStore, Instance, &'r v1::Guest), Fault> {
        let calls = match (revision.slot, revision.origin == BUILT_IN) {
            (slot, false) => self.calls_of(slot),
            (Slot::Renderer, true) => &self.built_in[0],
            (Slot::Policy, true) => &self.built_in[1],
        };
        let guest = match self.code {
            Code::Metered => &revision.guests.metered,
            Code::Live => revision.guests.live.as_ref().ok_or_else(|| Fault::Refused(NOT_TO_SERVE.to_owned()))?,
        };
        let permit = calls.permits.clone().acquire_owned().await.ok();
        let mut call = self.call_store(budget, inputs, &calls.turns, permit);
        let instance = call.run(async |store| guest.instantiate(store).await).await?;
        if let Some(config) = &revision.configure_each {
            let configured = call.run(async |store| guest.configure(store, &instance, config).await).await?;
            configured.map_err(|e| Fault::Refused(e.to_string()))?;
        }
        Ok((call, instance, guest))
    }

    pub(crate) async fn render(
        &self,
        revision: &Revision,
        budget: &Budget,
        n: &Notification,
        request: &Request<'_>,
    ) -> Result<(Email, Usage), Fault> {
        let _running = revision.health.enter();
        let inputs = GuestInputs { now_ms: n.payload.occurred_at, seed: request.seed };
        let (mut call, instance, guest) = self.enter(revision, budget, inputs).await?;
        let answer = call.run(async |store| guest.render(store, &instance, n, request).await).await?;
        let email = answer.map_err(Fault::Refused)?.try_into().map_err(Fault::BadOutput)?;
        Ok((email, call.usage()))
    }

    pub(crate) async fn admit(
        &self,
        revision: &Revision,
        budget: &Budget,
        n: &Arc<Notification>,
        s: &Situation,
    ) -> Result<(Admission, Usage), Fault> {
        let _running = revision.health.enter();
        let (mut call, instance, guest) = self.enter_with(revision, budget, n, s).await?;
        let answer = call.run(async |store| guest.admit(store, &instance, n, s).await).await?;
        Ok((answer.try_into().map_err(Fault::BadOutput)?, call.usage()))
    }

    pub(crate) async fn on_failure(
        &self,
        revision: &Revision,
        budget: &Budget,
        n: &Arc<Notification>,
        f: &Failure,
        s: &Situation,
    ) -> Result<(Verdict, Usage), Fault> {
        let _running = revision.health.enter();
        let (mut call, instance, guest) = self.enter_with(revision, budget, n, s).await?;
        let answer = call.run(async |store| guest.on_failure(store, &instance, n, f, s).await).await?;
        Ok((answer.try_into().map_err(Fault::BadOutput)?, call.usage()))
    }

    pub(crate) async fn on_report(
        &self,
        revision: &Revision,
        budget: &Budget,
        n: &Arc<Notification>,
        r: &Reported,
        s: &Situation,
    ) -> Result<(Reaction, Usage), Fault> {
        let _running = revision.health.enter();
        let (mut call, instance, guest) = self.enter_with(revision, budget, n, s).await?;
        let answer = call.run(async |store| guest.on_report(store, &instance, n, r, s).await).await?;
        Ok((answer.try_into().map_err(Fault::BadOutput)?, call.usage()))
    }

    /// An instance of a policy, which may ask for the notification.
    async fn enter_with<'r>(
        &self,
        revision: &'r Revision,
        budget: &Budget,
        n: &Arc<Notification>,
        s: &Situation,
    ) -> Result<(CallStore, Instance, &'r v1::Guest), Fault> {
        let inputs = GuestInputs { now_ms: s.now, seed: s.seed };
        let (mut call, instance, guest) = self.enter(revision, budget, inputs).await?;
        call.store.data_mut().asked = Some(n.clone());
        Ok((call, instance, guest))
    }
}

impl CallStore {
    /// Runs one call within its budget. No timer stands beside it: a guest can wait for nothing, so it runs or has ended.
    pub(crate) async fn run<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        call(&mut self.store).await.map_err(|error| self.fault(&error))
    }

    pub(crate) fn usage(&self) -> Usage {
        let fuel = self.store.get_fuel().map_or(0, |left| self.budget.fuel_max.saturating_sub(left));
        Usage { fuel, memory_bytes: self.store.data().memory_bytes() }
    }

    /// Takes the limits away, for the host's own reading of the memory.
    pub(crate) fn lift_limits(&mut self) {
        let _ = self.store.set_fuel(u64::MAX / 2);
        self.store.set_hostcall_fuel(usize::MAX);
        self.store.data_mut().running.lift();
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

#[cfg(test)]
mod tests {
    use wasmtime::component::Component;

    use super::{Budget, GuestInputs, Sandbox};
    use crate::plugin::engine::{CORE_INSTANCES_MAX, Code, Engine, MEMORIES_MAX, TABLES_MAX};

    const CALLS_MAX: u32 = 2;

    fn sandbox() -> (Engine, Sandbox, Budget) {
        let budget = Budget {
            fuel_max: 1_000_000,
            fuel_per_line: 0,
            time_ms_max: 10_000,
            memory_bytes_max: 64 << 20,
            output_bytes_max: 1_000,
        };
        let engine = Engine::new(CALLS_MAX, &budget).unwrap();
        let sandbox = Sandbox::new(&engine, CALLS_MAX, b"").unwrap();
        (engine, sandbox, budget)
    }

    /// A component (component model, `Binary.md`) that instantiates one core module so many times.
    fn component(engine: &Engine, sections: &[u8], instances: u32) -> Component {
        let module = [&[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], sections].concat();
        let mut wasm = vec![0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0];
        wasm.extend([1, u8::try_from(module.len()).unwrap()]);
        wasm.extend(module);
        let instances = u8::try_from(instances).unwrap();
        // Two bytes of LEB128, and at most 127 instances of three bytes each.
        let bytes = u16::from(instances) * 3 + 1;
        wasm.extend([2, u8::try_from(bytes & 0x7f).unwrap() | 0x80, u8::try_from(bytes >> 7).unwrap(), instances]);
        wasm.extend([0, 0, 0].repeat(usize::from(instances)));
        Component::new(engine.of(Code::Metered), wasm).unwrap()
    }

    /// The pool has room for the largest component in every call at one time, and no call is given more.
    #[tokio::test]
    async fn the_pool_holds_all_that_the_calls_may_take() {
        let memory: &[u8] = &[5, 3, 1, 0, 1];
        let table: &[u8] = &[4, 4, 1, 0x70, 0, 1];
        for (sections, most) in [(&[][..], CORE_INSTANCES_MAX), (memory, MEMORIES_MAX), (table, TABLES_MAX)] {
            let (engine, sandbox, budget) = sandbox();
            let largest = component(&engine, sections, most);
            let mut held = Vec::new();
            for _ in 0..=4 * CALLS_MAX {
                let mut call = sandbox.gate_store(&budget, GuestInputs { now_ms: 0, seed: 0 });
                let instance = sandbox.linker(Code::Metered).instantiate_async(&mut call.store, &largest).await;
                assert!(instance.is_ok(), "{most}: {:?}", instance.err());
                held.push(call);
            }
            drop(held);
            let mut call = sandbox.gate_store(&budget, GuestInputs { now_ms: 0, seed: 0 });
            let larger = component(&engine, sections, most + 1);
            let refused =
                sandbox.linker(Code::Metered).instantiate_async(&mut call.store, &larger).await.map(drop).unwrap_err();
            assert!(format!("{refused:?}").contains("resource limit exceeded"), "{most}: {refused:?}");
        }
    }
}
