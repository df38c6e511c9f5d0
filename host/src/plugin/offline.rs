//! The plugin host without a database or a secret: what authors try their components on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::ask::{self, Question, Response};
use super::engine::Engine;
use super::fault::{Fault, LoadError};
use super::fixture;
use super::gate::{Candidate, Care, Gate, Progress};
use super::sandbox::{Budget, Sandbox};
use super::{Revision, Settings, Slot};
use crate::clock::Clock;
use crate::notification::report::Reported;
use crate::notification::{Failure, Notification, Situation};

/// Takes components through the gate and calls them, as a host would; compiles anew, keeps nothing, sends nothing.
pub struct Offline {
    gate: Arc<Gate>,
    sandbox: Sandbox,
    /// The same calls with another clock and other random numbers behind WASI.
    elsewhere: Sandbox,
    log: Arc<Mutex<Vec<String>>>,
    call: Budget,
    relays: Vec<String>,
    clock: Clock,
}

impl Offline {
    /// `relays` are those that a policy may name.
    pub fn new(settings: &Settings, clock: &Clock, relays: &[String]) -> Result<Self, LoadError> {
        let calls_max = settings.calls_max();
        let engine = Engine::new(calls_max, &settings.call)?;
        let sandbox = Sandbox::new(&engine, calls_max, b"")?;
        let settings = Settings { cache_path: PathBuf::new(), ..settings.clone() };
        let gate = Arc::new(Gate::new(&engine, sandbox.clone(), &settings, b"", relays, clock.clone()));
        let elsewhere = sandbox.elsewhere();
        let (sandbox, log) = sandbox.keeping_log();
        let (call, relays, clock) = (settings.call, relays.to_vec(), clock.clone());
        Ok(Self { gate, sandbox, elsewhere, log, call, relays, clock })
    }

    /// Takes a component through the gate; the built-in when `wasm` is none.
    pub async fn admit(
        &self,
        slot: Slot,
        wasm: Option<Arc<[u8]>>,
        config: String,
        care: Care,
        progress: &Progress,
    ) -> Result<Arc<Revision>, LoadError> {
        let candidate = match wasm {
            Some(wasm) => Candidate { slot, wasm, config, origin: "offline".to_owned(), code: None, care },
            None => Candidate { config, care, ..Candidate::built_in(slot) },
        };
        Ok(Arc::new(self.gate.admit(candidate, progress).await?.revision))
    }

    /// Asks a component, within the budget of a live call.
    pub async fn ask(
        &self,
        revision: &Revision,
        n: &Arc<Notification>,
        question: &Question,
    ) -> Result<Response, Fault> {
        ask::ask(&self.sandbox, &self.clock, &self.budget(n), revision, n, question).await
    }

    /// Asks the same where WASI's clock and random numbers are others: a component whose answer differs reads them.
    pub async fn ask_elsewhere(
        &self,
        revision: &Revision,
        n: &Arc<Notification>,
        question: &Question,
    ) -> Result<Response, Fault> {
        ask::ask(&self.elsewhere, &self.clock, &self.budget(n), revision, n, question).await
    }

    /// What components logged since this was asked for last.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a live call about this notification may use.
    pub fn budget(&self, n: &Notification) -> Budget {
        self.call.for_lines(n.payload.lines())
    }

    /// A situation before the first attempt, with the relays of this host.
    pub fn situation(&self) -> Situation {
        fixture::situation(&self.relays)
    }
}

/// A failure of each class.
pub fn failures() -> Vec<Failure> {
    fixture::failures()
}

/// A report of each kind that a policy is asked about.
pub fn reports() -> Vec<Reported> {
    fixture::reports()
}

/// A sample event for each mail that a shop sends: its name and its payload as JSON.
pub fn samples() -> &'static [(&'static str, &'static str)] {
    &fixture::EVENTS
}
