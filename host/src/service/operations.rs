//! Long work of operators: it goes on when the request that began it has ended, any host knows how far it is, and it can
//! be cancelled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::rehearse::{Course, Position};
use super::wait::ended_within;
use super::{Error, Page, PageRequest, Principal, Replay, Service, Slot};
use crate::clock::DAY_MS;
use crate::plugin;
use crate::store::operations::OperationRow;

/// Operations of one kind that one host runs at one time.
const INSTALLS_MAX: usize = 16;
const REPLAYS_MAX: usize = 2;
/// How often a host writes down how far an operation is, and looks whether it is to stop.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// After so many milliseconds without that, its host has ended.
pub(super) const SILENT_MS_MAX: i64 = 30_000;
/// How often a host looks for replays whose hosts have ended.
const ADOPT_EVERY: Duration = Duration::from_secs(2);
/// Operations are kept for so many milliseconds after their end.
pub(super) const KEPT_MS: i64 = 30 * DAY_MS;

/// What kind of work it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Install,
    Reload,
    Replay,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Reload => "reload",
            Self::Replay => "replay",
        }
    }
}

/// How far an operation is, written by the one that does the work.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) gate: plugin::Progress,
    pub(super) replay: Mutex<Option<Course>>,
}

/// How far an operation is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Reached {
    step: String,
    done: u64,
    of: u64,
    replay: Option<Replay>,
    /// Where the next host goes on, while a replay runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
}

impl Progress {
    fn reached(&self) -> Reached {
        let course = self.replay.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Course { found, position }) = course {
            let (step, done, of) = ("replaying".to_owned(), found.events, found.last);
            return Reached { step, done, of, replay: Some(found), position: Some(position) };
        }
        let step = *self.gate.borrow();
        let (done, of) = step.parts();
        Reached { step: step.as_str().to_owned(), done, of, ..Reached::default() }
    }
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PluginOperationProblem)]
pub struct OperationProblem {
    /// Which problem: stable, for programs; the end of the type of a problem (RFC 9457).
    pub code: String,
    /// What happened, for people.
    pub detail: String,
}

/// Long work of an operator: an install, a reload or a replay.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PluginOperation)]
pub struct Operation {
    /// Counts up over all hosts.
    pub id: i64,
    /// "install", "reload" or "replay".
    pub kind: String,
    /// "renderer" or "policy".
    pub slot: String,
    /// The revision that it is about; of an install and a reload, the one that it made, once there is one.
    pub revision: Option<i64>,
    /// "running", "succeeded", "failed" or "cancelled".
    pub state: String,
    /// What it does or did last, for people.
    pub step: String,
    /// So many parts of the step are done.
    pub done: u64,
    /// So many parts the step has; 0 when it has none.
    pub of: u64,
    /// Why it failed.
    pub problem: Option<OperationProblem>,
    /// What a replay found so far.
    pub replay: Option<Replay>,
    /// When it began.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: i64,
    /// Who began it.
    pub created_by: String,
    /// When its host last wrote down how far it is.
    #[serde(with = "crate::clock::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: i64,
}

impl Operation {
    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.state != "running"
    }

    fn new(row: OperationRow, live: Option<Reached>) -> Self {
        let OperationRow { id, kind, slot, revision, state, progress, problem, detail, .. } = row;
        let Reached { step, done, of, replay, .. } =
            live.unwrap_or_else(|| serde_json::from_str(&progress).unwrap_or_default());
        let problem = problem.map(|code| OperationProblem { code, detail: detail.unwrap_or_default() });
        let (created_at, created_by, updated_at) = (row.created_at, row.created_by, row.updated_at);
        Self { id, kind, slot, revision, state, step, done, of, problem, replay, created_at, created_by, updated_at }
    }
}

/// The operations that this host runs.
#[derive(Default)]
pub struct Operations(Mutex<BTreeMap<i64, Running>>);

struct Running {
    kind: Kind,
    progress: Arc<Progress>,
    cancelled: CancellationToken,
    /// Another host is to go on with it.
    released: CancellationToken,
}

/// An operation that has begun.
pub struct Started<T> {
    /// As it began.
    pub operation: Operation,
    outcome: oneshot::Receiver<Result<T, Error>>,
}

/// What a caller who waited for a while gets.
pub enum Waited<T> {
    /// It has ended.
    Done(T),
    /// It goes on.
    GoesOn(Box<Operation>),
}

impl<T> Started<T> {
    /// Waits for the end, but not longer than so.
    pub async fn within(self, wait: Duration) -> Result<Waited<T>, Error> {
        match tokio::time::timeout(wait, ended(self.outcome)).await {
            Ok(outcome) => outcome.map(Waited::Done),
            Err(_) => Ok(Waited::GoesOn(Box::new(self.operation))),
        }
    }

    /// Waits for the end.
    pub async fn end(self) -> Result<T, Error> {
        ended(self.outcome).await
    }
}

async fn ended<T>(outcome: oneshot::Receiver<Result<T, Error>>) -> Result<T, Error> {
    outcome.await.unwrap_or(Err(Error::Cancelled))
}

impl Service {
    /// Begins an operation. `work` gives the answer, and the revision that it is about.
    pub(super) async fn begin_operation<T, F>(
        self: &Arc<Self>,
        who: Principal,
        (kind, slot, revision): (Kind, Slot, Option<i64>),
        work: impl FnOnce(Arc<Self>, Arc<Progress>) -> F,
    ) -> Result<Started<T>, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<(T, Option<i64>), Error>> + Send + 'static,
    {
        self.operations.must_have_room(kind)?;
        let by = super::plugins::name(who);
        let id = self.store.add_operation(kind.as_str(), slot.as_str(), revision, &by, &self.host).await?;
        let outcome = self.run_operation(id, kind, work);
        Ok(Started { operation: self.operation_row(id).await?, outcome })
    }

    /// Works on an operation that is this host's.
    fn run_operation<T, F>(
        self: &Arc<Self>,
        id: i64,
        kind: Kind,
        work: impl FnOnce(Arc<Self>, Arc<Progress>) -> F,
    ) -> oneshot::Receiver<Result<T, Error>>
    where
        T: Send + 'static,
        F: Future<Output = Result<(T, Option<i64>), Error>> + Send + 'static,
    {
        let progress = Arc::new(Progress::default());
        let [cancelled, released] = [(); 2].map(|()| CancellationToken::new());
        let running =
            Running { kind, progress: progress.clone(), cancelled: cancelled.clone(), released: released.clone() };
        self.operations.lock().insert(id, running);
        let (sender, outcome) = oneshot::channel();
        let (this, work) = (self.clone(), work(self.clone(), progress.clone()));
        #[expect(clippy::disallowed_methods, reason = "ends by itself; its progress is asked for")]
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = this.attend(id, work, &progress, &cancelled) => ended,
                // Nothing is written down: the next host goes on from what was.
                () = released.cancelled() => Err(Error::Cancelled),
            };
            this.operations.lock().remove(&id);
            // The receiver may be gone.
            let _ = sender.send(ended);
        });
        outcome
    }

    /// Goes on with replays whose hosts have ended, until this one stops; then lets go of its own.
    pub async fn watch_replays(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(ADOPT_EVERY) => {}
            }
            if let Err(e) = self.adopt_replays().await {
                tracing::warn!(error = %e, "replays of hosts that have ended could not be looked for; trying again");
            }
        }
        for running in self.operations.lock().values().filter(|running| running.kind == Kind::Replay) {
            running.released.cancel();
        }
        if let Err(e) = self.store.release_replays(&self.host).await {
            tracing::warn!(error = %e, "replays could not be let go of; others go on with them in a while");
        }
    }

    /// One look for replays whose hosts have ended.
    pub async fn adopt_replays(self: &Arc<Self>) -> Result<(), Error> {
        self.fail_operations().await?;
        while self.operations.must_have_room(Kind::Replay).is_ok() {
            let Some(row) = self.store.adopt_replay(SILENT_MS_MAX, &self.host).await? else { break };
            tracing::info!(operation.id = row.id, "its host has ended; going on with it");
            let mut reached: Reached = serde_json::from_str(&row.progress).unwrap_or_default();
            // One that ends its hosts must not go on to end the next.
            let taken = reached.position.as_mut().map(Position::take_over);
            let written = serde_json::to_string(&reached).unwrap_or_default();
            if taken == Some(false) {
                let problem = Some(("host-ended", "the hosts that ran it have ended, one after the other"));
                let ended = self.store.end_operation(row.id, "failed", None, &written, problem, &self.host);
                ended.await?;
                continue;
            }
            self.store.note_operation(row.id, &written, &self.host).await?;
            let course = reached.replay.zip(reached.position);
            let course = course.map(|(found, position)| Course { found, position });
            // Who waits for it asks the database.
            drop(self.run_operation(row.id, Kind::Replay, |this, progress| this.resume_replay(course, progress)));
        }
        Ok(())
    }

    /// Works until the end or until it is cancelled, and writes down how far it is and what came of it.
    async fn attend<T>(
        &self,
        id: i64,
        work: impl Future<Output = Result<(T, Option<i64>), Error>>,
        progress: &Progress,
        cancelled: &CancellationToken,
    ) -> Result<T, Error> {
        let written = || serde_json::to_string(&progress.reached()).unwrap_or_default();
        let at_the_end =
            || serde_json::to_string(&Reached { position: None, ..progress.reached() }).unwrap_or_default();
        let attend = async {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                match self.store.note_operation(id, &written(), &self.host).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(e) => tracing::warn!(error = %e, operation.id = id, "its progress could not be written down"),
                }
            }
        };
        let ended = tokio::select! {
            ended = work => ended,
            () = cancelled.cancelled() => Err(Error::Cancelled),
            () = attend => Err(Error::Cancelled),
        };
        let (state, revision, problem) = match &ended {
            Ok((_, revision)) => ("succeeded", *revision, None),
            Err(Error::Cancelled) => ("cancelled", None, None),
            Err(e) => ("failed", None, Some((e.code(), crate::cause::chain(e)))),
        };
        let problem = problem.as_ref().map(|(code, detail)| (code.as_str(), detail.as_str()));
        if let Err(e) = self.store.end_operation(id, state, revision, &at_the_end(), problem, &self.host).await {
            tracing::error!(error = %e, operation.id = id, "it {state}, and that could not be written down");
        }
        ended.map(|(answer, _)| answer)
    }

    /// One operation of any host, as far as it is. For viewers.
    pub async fn operation(&self, who: Principal, id: i64) -> Result<Operation, Error> {
        who.must_look()?;
        self.operation_row(id).await
    }

    async fn operation_row(&self, id: i64) -> Result<Operation, Error> {
        let find = async || self.store.operation(id).await?.ok_or(Error::NotFound("operation"));
        let mut row = find().await?;
        let live = self.operations.reached(id);
        if row.state == "running" && live.is_none() {
            self.fail_operations().await?;
            row = find().await?;
        }
        Ok(Operation::new(row, live))
    }

    /// The same once it has ended, or as it is after `wait`. For viewers.
    pub async fn wait_for_operation(&self, who: Principal, id: i64, wait: Duration) -> Result<Operation, Error> {
        ended_within(wait, || self.operation(who, id), Operation::has_ended).await
    }

    /// A page of operations, the newest first. For viewers.
    pub async fn operations(&self, who: Principal, page: &PageRequest) -> Result<Page<Operation>, Error> {
        who.must_look()?;
        let (limit, before) = (page.limit()?, page.after_id()?.unwrap_or(i64::MAX));
        self.fail_operations().await?;
        let rows = self.store.operations(before, limit + 1).await?;
        let live = |row: OperationRow| {
            let live = self.operations.reached(row.id).filter(|_| row.state == "running");
            Operation::new(row, live)
        };
        Ok(Page::cut(rows.into_iter().map(live).collect(), limit, |o| o.id))
    }

    /// Asks that an operation end early; one that has ended stays as it is. For operators.
    pub async fn cancel_operation(&self, who: Principal, id: i64) -> Result<Operation, Error> {
        who.must_operate()?;
        self.store.operation(id).await?.ok_or(Error::NotFound("operation"))?;
        self.store.cancel_operation(id).await?;
        if let Some(running) = self.operations.lock().get(&id) {
            running.cancelled.cancel();
        }
        self.operation_row(id).await
    }

    pub(super) async fn fail_operations(&self) -> Result<(), Error> {
        let detail = "the host that ran it has ended";
        Ok(self.store.fail_operations(SILENT_MS_MAX, "host-ended", detail).await?)
    }

    /// Forgets operations that ended long ago.
    pub(super) async fn forget_old_operations(&self) -> Result<(), crate::store::Error> {
        self.store.forget_operations(KEPT_MS).await
    }
}

impl Operations {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn must_have_room(&self, kind: Kind) -> Result<(), Error> {
        let max = if kind == Kind::Replay { REPLAYS_MAX } else { INSTALLS_MAX };
        let running = self.lock();
        if running.values().filter(|r| r.kind == kind).count() < max {
            return Ok(());
        }
        let kind = kind.as_str();
        Err(Error::Conflict(format!(
            "this host runs {max} operations of the kind {kind}; cancel one or wait for its end"
        )))
    }

    fn reached(&self, id: i64) -> Option<Reached> {
        self.lock().get(&id).map(|running| running.progress.reached())
    }
}
