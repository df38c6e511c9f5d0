//! `ecomm plugin bench`: what a component takes, beside the built-in of its slot.

use std::sync::Arc;

use serde::Serialize;

use super::project::Event;
use super::show::questions;
use crate::plugin::{Care, Fault, LoadError, Offline, Progress, Revision, Usage};

/// What one component takes for an event.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name, as it says itself.
    pub name: String,
    /// The component, in bytes.
    pub bytes: usize,
    /// Its compiled code, in bytes; 0 for a built-in that came compiled.
    pub code_bytes: usize,
    /// Milliseconds in the compiler; 0 for a built-in that came compiled.
    pub compile_ms: i64,
    /// Instructions of a call, about.
    pub fuel: u64,
    /// Bytes in all linear memories.
    pub memory_bytes: usize,
    /// Microseconds of the first call.
    pub first_us: u64,
    /// The median of all calls in microseconds, each with a fresh instance.
    pub median_us: u64,
    /// 99 of 100 calls took no longer, in microseconds.
    pub p99_us: u64,
}

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The component gave no answer.
    #[error("the {name} gave no answer: {fault}")]
    Fault {
        /// Which component.
        name: String,
        /// Why.
        fault: Fault,
    },
    /// The built-in could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Calls a component and the built-in of its slot by turns, so that what else the machine does slows both.
pub async fn run(offline: &Offline, revision: &Arc<Revision>, event: &Event, calls: usize) -> Result<[Row; 2], Error> {
    let slot = revision.slot;
    let built_in = offline.admit(slot, None, "{}".to_owned(), Care::Gate, &Progress::default()).await?;
    let question = questions(offline, revision, event).swap_remove(0);
    let both = [revision, &built_in];
    let mut times = [Vec::new(), Vec::new()];
    let mut usage = [Usage::default(); 2];
    for _ in 0..calls.max(1) {
        for ((revision, times), usage) in both.iter().zip(&mut times).zip(&mut usage) {
            let response = offline.ask(revision, &event.notification, &question).await;
            let name = || revision.report.manifest.name.clone();
            let response = response.map_err(|fault| Error::Fault { name: name(), fault })?;
            times.push(response.time_us);
            *usage = response.usage;
        }
    }
    let [own, theirs] = [0, 1].map(|i: usize| {
        let report = &both[i].report;
        let first_us = times[i][0];
        times[i].sort_unstable();
        let at = |percent: usize| times[i][(times[i].len() * percent / 100).min(times[i].len() - 1)];
        Row {
            name: report.manifest.name.clone(),
            bytes: report.bytes,
            code_bytes: report.making.code_bytes,
            compile_ms: report.making.compile_ms,
            fuel: usage[i].fuel,
            memory_bytes: usage[i].memory_bytes,
            first_us,
            median_us: at(50),
            p99_us: at(99),
        }
    });
    Ok([own, theirs])
}
