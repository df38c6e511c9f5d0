//! `ecomm plugin test`: the gate, the project's own events, generated ones, and golden answers.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::cases::{self, Case};
use super::draw::{Draw, shrink};
use super::golden::{self, Change, Files};
use super::project::{Event, Project};
use super::properties::{self, Broken};
use super::show::questions;
use super::{Error, read, write};
use crate::notification::{Notification, Payload, Situation, Verdict};
use crate::plugin::{Fault, Impure, Offline, Output, Question, Revision, Slot, digest, failures};

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// So many generated cases.
    pub cases: u64,
    /// Where they begin; the same seed, the same cases.
    pub seed: u64,
    /// Golden answers are replaced by what the component says now.
    pub accepts: bool,
    /// Whether a component may read WASI's clock and random numbers.
    pub impure: Impure,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Generated cases that were tried.
    pub cases: u64,
    /// What is wrong, each property once.
    pub failures: Vec<Finding>,
    /// What is not wrong, and worth a look.
    pub warnings: Vec<String>,
    /// Golden files that hold what the component says.
    pub goldens_same: usize,
    /// Those that do not.
    pub goldens_changed: Vec<Change>,
    /// Whether golden answers were ever accepted, before or now.
    pub has_goldens: bool,
}

impl Outcome {
    /// Whether nothing is wrong.
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.goldens_changed.is_empty()
    }
}

/// A property that does not hold for an event.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What does not hold, and what was found.
    #[serde(flatten)]
    pub broken: Broken,
    /// The event's name.
    pub event: String,
    /// Where the smallest case that shows it is kept; the next test begins with it.
    pub kept: Option<PathBuf>,
}

/// A kept case: the event and what was asked about it.
#[derive(Deserialize, Serialize)]
struct Kept {
    event: Payload,
    question: Question,
}

/// Calls of generated cases at one time.
const CALLS_AT_ONCE: usize = 16;

struct Tester<'a> {
    project: &'a Project,
    offline: &'a Offline,
    revision: &'a Revision,
    impure: Impure,
}

/// Tries a component that passed the gate.
pub async fn test(project: &Project, offline: &Offline, revision: &Revision, extent: Extent) -> Result<Outcome, Error> {
    let tester = Tester { project, offline, revision, impure: extent.impure };
    let mut outcome = Outcome { warnings: revision.report.warnings.clone(), ..Outcome::default() };
    let events = project.events()?;
    let own = events.iter().flat_map(|event| {
        let asked = questions(offline, revision, event);
        asked.into_iter().map(|question| Case { event: event.clone(), question })
    });
    let known: Vec<Case> = own.chain(tester.kept()?).collect();
    for case in &known {
        if let Some(broken) = tester.check(case).await {
            outcome.find(broken, &case.event.name, None);
        }
    }
    for event in &events {
        if let Some(broken) = tester.monotone(event).await {
            outcome.find(broken, &event.name, None);
        }
    }
    tester.goldens(&events, extent.accepts, &mut outcome).await?;
    tester.generated(extent, &mut outcome).await?;
    Ok(outcome)
}

impl Outcome {
    /// Each property once: one cause shows in many events.
    fn find(&mut self, broken: Broken, event: &str, kept: Option<PathBuf>) {
        if self.failures.iter().all(|f| f.broken.property != broken.property) {
            self.failures.push(Finding { broken, event: event.to_owned(), kept });
        }
    }
}

/// Why a component gave no answer.
fn without_answer(fault: &Fault) -> Broken {
    Broken { property: "total", what: format!("{} ({})", fault, fault.code()) }
}

impl Tester<'_> {
    async fn ask(&self, n: &Arc<Notification>, question: &Question) -> Result<Output, Fault> {
        Ok(self.offline.ask(self.revision, n, question).await?.output)
    }

    /// The first property that does not hold for a case.
    async fn check(&self, case: &Case) -> Option<Broken> {
        let first = match self.ask(&case.event.notification, &case.question).await {
            Ok(output) => output,
            Err(fault) => return Some(without_answer(&fault)),
        };
        properties::check(case, &first, &self.project.settings.test).or(self.same(case, &first).await)
    }

    /// Whether it says the same in another instance, at another time, with other random numbers.
    async fn same(&self, case: &Case, first: &Output) -> Option<Broken> {
        let n = &case.event.notification;
        let elsewhere = self.offline.ask_elsewhere(self.revision, n, &case.question).await;
        if elsewhere.is_ok_and(|response| response.output == *first) {
            return None;
        }
        if self.ask(n, &case.question).await.as_ref() != Ok(first) {
            let what = "two instances answered the same question differently".to_owned();
            return Some(Broken { property: "deterministic", what });
        }
        let what = "it reads WASI's clock, random numbers or environment: use the situation's now, and the seed";
        (self.impure == Impure::Refuse).then(|| Broken { property: "pure", what: what.to_owned() })
    }

    /// Where the project claims it: no shorter pauses after later attempts.
    async fn monotone(&self, event: &Event) -> Option<Broken> {
        if !self.project.settings.test.retries_are_monotone || self.project.settings.slot == Slot::Renderer {
            return None;
        }
        for failure in failures() {
            let mut situation = Situation { now: event.notification.payload.occurred_at, ..self.offline.situation() };
            situation.first_failed_at = Some(situation.now);
            let mut before = 0;
            for attempts in 1..=situation.attempts_max {
                situation.attempts = attempts;
                let question = Question::OnFailure(failure.clone(), situation.clone());
                let Ok(Output::Verdict(Verdict::Retry(ms, _))) = self.ask(&event.notification, &question).await else {
                    break;
                };
                if ms < before {
                    let class = failure.class.as_str();
                    let what = format!("{class}: {before} ms after attempt {}, {ms} ms after the next", attempts - 1);
                    return Some(Broken { property: "retries-monotone", what });
                }
                before = ms;
            }
        }
        None
    }

    async fn goldens(&self, events: &[Event], accepts: bool, outcome: &mut Outcome) -> Result<(), Error> {
        let folder = self.project.folder.join("golden");
        let golden = golden::load(&folder)?;
        let mut now = Files::new();
        for event in events {
            let mut answers = Vec::new();
            for question in questions(self.offline, self.revision, event) {
                // Without an answer it has failed already.
                if let Ok(output) = self.ask(&event.notification, &question).await {
                    answers.push((question.name(), output));
                }
            }
            now.extend(golden::files(&event.name, &answers));
        }
        if accepts {
            golden::accept(&folder, &golden.unwrap_or_default(), &now)?;
            (outcome.has_goldens, outcome.goldens_same) = (true, now.len());
        } else if let Some(golden) = golden {
            outcome.goldens_changed = golden::compare(&golden, &now);
            (outcome.has_goldens, outcome.goldens_same) =
                (true, now.len().saturating_sub(outcome.goldens_changed.len()));
        }
        Ok(())
    }

    /// Cases that failed before.
    fn kept(&self) -> Result<Vec<Case>, Error> {
        let Ok(entries) = std::fs::read_dir(self.project.folder.join("failing")) else { return Ok(Vec::new()) };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
        paths.sort();
        let all: Vec<Case> = paths.iter().map(|path| kept(path)).collect::<Result<_, Error>>()?;
        let is_asked =
            |case: &Case| self.revision.answers_reports() || !matches!(case.question, Question::OnReport(..));
        Ok(all.into_iter().filter(is_asked).collect())
    }

    /// In order first; then in the opposite order, where WASI's clock and random numbers are others.
    async fn generated(&self, extent: Extent, outcome: &mut Outcome) -> Result<(), Error> {
        let relays = self.offline.situation().relays;
        let case = |number: u64| {
            let mut draw = Draw::seeded(extent.seed.wrapping_mul(0x1_0000_0001).wrapping_add(number));
            (cases::generate(self.revision.into(), &relays, &mut draw), draw.made())
        };
        let said: Vec<AtomicU64> = (0..extent.cases).map(|_| AtomicU64::new(0)).collect();
        let said = |number: u64| &said[usize::try_from(number).unwrap_or_default()];
        let found = Mutex::new(Vec::new());
        let find = |broken: Broken, number: u64| {
            found.lock().unwrap_or_else(PoisonError::into_inner).push((broken, number));
        };
        in_lines(extent.cases, async |number| {
            let case = case(number).0;
            match self.ask(&case.event.notification, &case.question).await {
                Ok(output) => {
                    said(number).store(fingerprint(&output), Relaxed);
                    if let Some(broken) = properties::check(&case, &output, &self.project.settings.test) {
                        find(broken, number);
                    }
                }
                Err(fault) => find(without_answer(&fault), number),
            }
        });
        in_lines(extent.cases, async |number| {
            let number = extent.cases - 1 - number;
            let (case, before) = (case(number).0, said(number).load(Relaxed));
            let n = &case.event.notification;
            let now = self.offline.ask_elsewhere(self.revision, n, &case.question).await;
            // What had no answer the first time has failed already.
            if before != 0
                && now.is_ok_and(|now| fingerprint(&now.output) != before)
                && let Ok(first) = self.ask(n, &case.question).await
                && let Some(broken) = self.same(&case, &first).await
            {
                find(broken, number);
            }
        });
        outcome.cases = extent.cases;
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_by_key(|(_, number)| *number);
        for (broken, number) in found {
            if outcome.failures.iter().all(|f| f.broken.property != broken.property) {
                let (broken, path) = self.keep(broken, case(number).1).await?;
                outcome.find(broken, "generated", Some(path));
            }
        }
        Ok(())
    }

    /// Makes a failing case smaller and keeps it.
    async fn keep(&self, broken: Broken, choices: Vec<u64>) -> Result<(Broken, PathBuf), Error> {
        let relays = self.offline.situation().relays;
        let case = |choices: &[u64]| cases::generate(self.revision.into(), &relays, &mut Draw::given(choices));
        let breaks =
            async |choices: &[u64]| self.check(&case(choices)).await.is_some_and(|now| now.property == broken.property);
        let smallest = shrink(choices, breaks).await;
        let case = case(&smallest);
        let path = self.project.folder.join(format!("failing/{}.json", broken.property));
        let kept = Kept { event: case.event.notification.payload.clone(), question: case.question.clone() };
        let text = serde_json::to_string_pretty(&kept);
        let unfit = |e: serde_json::Error| Error::Content { path: path.clone(), why: e.to_string() };
        write(&path, text.map_err(unfit)? + "\n")?;
        Ok((self.check(&case).await.unwrap_or(broken), path))
    }
}

fn kept(path: &Path) -> Result<Case, Error> {
    let unfit = |e: serde_json::Error| Error::Content { path: path.to_owned(), why: format!("is no kept case: {e}") };
    let kept: Kept = serde_json::from_str(&read(path)?).map_err(unfit)?;
    let name = format!("failing/{}", path.file_stem().unwrap_or_default().display());
    Ok(Case { event: Event::new(name, kept.event), question: kept.question })
}

/// Does the work of each number, many at once, on all processors.
fn in_lines(count: u64, work: impl AsyncFn(u64) + Sync) {
    let lines = std::thread::available_parallelism().map_or(2, usize::from);
    let at_once = CALLS_AT_ONCE.div_ceil(lines);
    let (runtime, work) = (tokio::runtime::Handle::current(), &work);
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            for line in 0..lines {
                let runtime = runtime.clone();
                scope.spawn(move || {
                    let numbers = stream::iter((line as u64..count).step_by(lines));
                    runtime.block_on(numbers.for_each_concurrent(at_once, |number| work(number)));
                });
            }
        });
    });
}

/// What tells answers apart; never 0.
fn fingerprint(output: &Output) -> u64 {
    // An attachment's bytes are no part of its JSON.
    let files = match output {
        Output::Email(email) => email.attachments.iter().map(|file| digest(&file.data)).collect(),
        Output::Admission(_) | Output::Verdict(_) | Output::Reaction(_) => String::new(),
    };
    let all = digest(format!("{}{files}", serde_json::to_string(output).unwrap_or_default()).as_bytes());
    u64::from_str_radix(&all[..16], 16).unwrap_or_default().max(1)
}
