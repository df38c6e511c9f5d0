//! `ecomm plugin dev`: builds a project whenever it changes, tries it, and shows what it says on a page that follows.

mod page;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::conformance::{Extent, Outcome};
use super::project::Event;
use super::{Error, Project, Say, build, conformance};
use crate::clock::Clock;
use crate::plugin::{Care, Impure, Offline, Progress, Revision};

/// How often a project's files are looked at.
const LOOK: Duration = Duration::from_millis(150);
/// Generated events that each change is tried on.
const CASES: u64 = 50;
/// Lines of the last build that are kept.
const LINES_MAX: usize = 200;
/// Folders and files that a build or a test makes.
const MADE: [&str; 10] =
    ["build", "target", "node_modules", ".venv", "golden", "failing", ".git", "__pycache__", "Cargo.lock", "go.sum"];

/// Where a project stands.
#[derive(Clone, Default, Serialize)]
struct Standing {
    /// Counts up with each change of what is shown.
    number: u64,
    /// "building", "ready" or "failed".
    state: &'static str,
    /// What the last build said, and why it failed.
    lines: Vec<String>,
    /// Milliseconds from the change to the component that answers.
    ready_ms: i64,
    /// What the tests of the component that answers came to; none while they run.
    outcome: Option<Outcome>,
    /// Answers; the one before when a build failed.
    #[serde(skip)]
    component: Option<Component>,
}

/// A component that answers, and the project's events.
#[derive(Clone)]
struct Component {
    revision: Arc<Revision>,
    events: Arc<[Event]>,
}

/// A project that is worked on.
pub struct Workshop {
    folder: PathBuf,
    offline: Offline,
    clock: Clock,
    standing: watch::Sender<Standing>,
}

impl Workshop {
    /// The project in this folder.
    pub fn new(folder: &Path, offline: Offline, clock: Clock) -> Result<Arc<Self>, Error> {
        Project::open(folder)?;
        let standing = watch::Sender::new(Standing { state: "building", ..Standing::default() });
        Ok(Arc::new(Self { folder: folder.to_owned(), offline, clock, standing }))
    }

    /// Follows the project and serves the page, until dropped. `say` is told what happens.
    pub async fn run(self: &Arc<Self>, listener: TcpListener, say: Say<'_>) -> std::io::Result<()> {
        tokio::select! {
            served = page::serve(listener, self.clone()) => served,
            () = self.follow(say) => Ok(()),
        }
    }

    async fn follow(&self, say: Say<'_>) {
        let mut seen = Files::new();
        loop {
            let now = files(&self.folder);
            let is_whole = seen.is_empty() || self.is_settled(&now).await;
            if now != seen && is_whole {
                let sources = |files: &Files| -> Vec<_> {
                    let is_source = |path: &Path| !path.starts_with("events") && path != Path::new("config.json");
                    files.iter().filter(|(path, _)| is_source(path)).map(|(path, at)| (path.clone(), *at)).collect()
                };
                self.renew(sources(&now) != sources(&seen), say).await;
                seen = now;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether nothing is being written.
    async fn is_settled(&self, seen: &Files) -> bool {
        tokio::time::sleep(LOOK / 3).await;
        files(&self.folder) == *seen
    }

    /// Builds, prepares, shows, and tests.
    async fn renew(&self, builds: bool, say: Say<'_>) {
        let begun = self.clock.monotonic_ms();
        self.show(|s| s.state = "building");
        let lines = Mutex::new(Vec::new());
        let tell = |line: &str| {
            say(line);
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == LINES_MAX {
                lines.remove(0);
            }
            lines.push(line.to_owned());
        };
        let made = self.make(builds, &tell).await;
        if let Err(why) = &made {
            tell(&why.to_string());
        }
        let lines = lines.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ready_ms = self.clock.monotonic_ms() - begun;
        let Ok((project, component)) = made else {
            self.show(|s| (s.state, s.lines, s.ready_ms) = ("failed", lines, ready_ms));
            return;
        };
        say(&format!("ready after {ready_ms} ms"));
        let revision = component.revision.clone();
        self.show(|s| {
            (s.state, s.lines, s.ready_ms) = ("ready", lines, ready_ms);
            (s.outcome, s.component) = (None, Some(component));
        });
        let extent = Extent { cases: CASES, seed: 0, accepts: false, impure: Impure::Refuse };
        match conformance::test(&project, &self.offline, &revision, extent).await {
            Ok(outcome) => self.show(|s| s.outcome = Some(outcome)),
            Err(e) => self.show(|s| s.lines.push(e.to_string())),
        }
    }

    async fn make(&self, builds: bool, say: Say<'_>) -> anyhow::Result<(Project, Component)> {
        let project = Project::open(&self.folder)?;
        if builds {
            build::build(&project, say).await?;
        }
        let (wasm, config, events) = (project.wasm()?, project.config()?, project.events()?.into());
        let slot = project.settings.slot;
        let revision = self.offline.admit(slot, Some(wasm), config, Care::Draft, &Progress::default()).await?;
        Ok((project, Component { revision, events }))
    }

    fn show(&self, change: impl FnOnce(&mut Standing)) {
        self.standing.send_modify(|standing| {
            change(standing);
            standing.number += 1;
        });
    }
}

/// When each file was changed, and its length.
type Files = BTreeMap<PathBuf, (SystemTime, u64)>;

/// The files that an author writes.
fn files(folder: &Path) -> Files {
    fn walk(root: &Path, folder: &Path, found: &mut Files) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if MADE.contains(&name.as_str()) || name.starts_with("ecomm_") || name.starts_with("wit_exports") {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, found);
            } else if let Ok(metadata) = path.metadata() {
                let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.insert(path.strip_prefix(root).unwrap_or(&path).to_owned(), (changed, metadata.len()));
            }
        }
    }
    let mut found = Files::new();
    walk(folder, folder, &mut found);
    found
}
