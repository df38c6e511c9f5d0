//! What a revision would do, without doing it: previews, replays of what is stored, and mails made again.

mod run;
mod spread;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use run::{Item, Outcome, Run};
use serde::{Deserialize, Serialize};
use spread::Spread;
use tokio::task::JoinSet;
use utoipa::ToSchema;

use super::operations::{Kind, Progress};
use super::{Error, Principal, Revision, Service, Slot, Started};
use crate::notification::{Notification, Payload, Request};
use crate::plugin::{Code, Difference, Email, Plugins, email_differences};

/// What a preview is made of: one of the two.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// A stored notification, by its id.
    #[serde(default, deserialize_with = "crate::money::whole_or_none")]
    pub notification: Option<i64>,
    /// A payload, as notifications have it.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A mail that was not sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rendered {
    /// By which revision.
    pub revision: i64,
    /// The mail, if there is one.
    #[schema(value_type = Option<Object>)]
    pub email: Option<Email>,
    /// Why there is none.
    pub fault: Option<String>,
    /// Instructions, about.
    pub fuel: u64,
}

/// What a candidate writes, beside the active revision.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Preview {
    /// By the candidate.
    pub candidate: Rendered,
    /// By the active revision.
    pub active: Rendered,
    /// Whether the two mails are the same.
    pub is_same: bool,
    /// Which fields differ, and how: from the active revision's mail to the candidate's.
    pub differences: Vec<Difference>,
}

/// Whether a mail that was sent can be made again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reproduction {
    /// The notification.
    pub notification_id: i64,
    /// Who wrote it.
    pub revision: i64,
    /// SHA-256 of the component.
    pub digest: String,
    /// The seed of its random numbers.
    pub seed: i64,
    /// SHA-256 of the bytes that were sent.
    pub sent_hash: String,
    /// SHA-256 of the bytes that were made now.
    pub made_hash: String,
    /// Whether they are the same bytes.
    pub is_same: bool,
    /// The mail as it was made now.
    pub message: String,
}

/// What to replay.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// The newest so many; 1,000 when none.
    #[serde(default, deserialize_with = "crate::money::whole_or_none")]
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub last: Option<u64>,
    /// From then on, unix milliseconds.
    #[serde(default, deserialize_with = "crate::money::whole_or_none")]
    pub from: Option<i64>,
    /// Until before then, unix milliseconds.
    #[serde(default, deserialize_with = "crate::money::whole_or_none")]
    pub to: Option<i64>,
}

/// The most events of a replay.
const LAST_MAX: u64 = 10_000_000;
/// Differences that are shown.
const EXAMPLES_MAX: usize = 10;
/// Events that are read at one time.
const PAGE: i64 = 2_000;
/// What a replay found, while it runs and after.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Replay {
    /// The candidate.
    pub revision: i64,
    /// The active revision that it is compared with.
    pub baseline: i64,
    /// The most events that it takes.
    pub last: u64,
    /// Events so far.
    pub events: u64,
    /// Stored events that cannot be read, such as those of another contract's major.
    pub unreadable: u64,
    /// Mails with another subject.
    pub changed_subjects: u64,
    /// Mails with another text, HTML or anything else.
    pub changed_bodies: u64,
    /// Decisions that differ.
    pub changed_decisions: u64,
    /// In how many events each field differs: "subject", "text", "html", "headers", "admission", …
    #[serde(default)]
    pub changed_fields: BTreeMap<String, u64>,
    /// Events for which the candidate had no usable answer.
    pub faults: u64,
    /// Which part of a hundred changed, faults included.
    pub changed_percent: f64,
    /// The candidate's instructions: the middle, and what 99 of 100 stay below; to within 4 %.
    pub fuel: [u64; 2],
    /// The same of its time, in microseconds.
    pub time_us: [u64; 2],
    /// The first events that differ.
    pub examples: Vec<Example>,
}

/// A replay under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    /// What it found so far.
    pub(super) found: Replay,
    /// As far as it is.
    pub(super) position: Position,
}

/// Where a replay goes on: after the events of whole pages.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Position {
    from: i64,
    to: i64,
    /// The events below this id are left.
    before: i64,
    /// The most events that it still takes.
    left: u64,
    fuel: Spread,
    times: Spread,
    /// Hosts that went on with it since its last page.
    #[serde(default)]
    takeovers: u32,
}

/// Hosts that end under a replay, one after the other, before it is given up.
const TAKEOVERS_MAX: u32 = 3;

impl Position {
    /// Counts another host; false when that is one too many.
    pub(super) fn take_over(&mut self) -> bool {
        self.takeovers += 1;
        self.takeovers <= TAKEOVERS_MAX
    }
}

/// An event to which a candidate says something else than the active revision.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = PluginReplayExample)]
pub struct Example {
    /// The notification.
    pub notification_id: i64,
    /// Why the candidate had no usable answer.
    pub fault: Option<String>,
    /// Which fields differ, and how: from the active revision's answer to the candidate's.
    #[serde(default)]
    pub differences: Vec<Difference>,
}

impl Service {
    /// Renders an event by a revision and by the active one; nothing is sent. For viewers.
    pub async fn preview(self: &Arc<Self>, who: Principal, id: i64, subject: Subject) -> Result<Preview, Error> {
        who.must_look()?;
        let candidate = self.prepared(id).await?;
        if candidate.slot != Slot::Renderer {
            return Err(Error::Conflict("only renderers can be previewed; replay a policy instead".to_owned()));
        }
        let (n, variant, seed) = match subject {
            Subject { notification: None, payload: Some(payload) } => {
                let message_id = "preview@preview.invalid".to_owned();
                let payload: Payload = serde_json::from_value(payload.into())
                    .map_err(|e| Error::invalid("/payload", &format!("is no payload: {e}")))?;
                (Notification { id: 0, message_id, payload }, None, 42)
            }
            Subject { notification: Some(id), payload: None } => {
                let event = self.store.stored_event(id).await?.ok_or(Error::NotFound("notification"))?;
                let seed = event.seed.unwrap_or(42).cast_unsigned();
                let n = read(event.id, event.message_id, &event.payload).map_err(Error::Conflict)?;
                (n, event.ab_variant, seed)
            }
            _ => return Err(Error::invalid("", "must give a notification or a payload")),
        };
        let active = self.plugins.routing().renderer.active.clone();
        let request = Request { ab_variant: variant.as_deref(), seed };
        let candidate = rendered(&self.plugins, &candidate, &n, &request).await;
        let active = rendered(&self.plugins, &active, &n, &request).await;
        let is_same = candidate.email.is_some() && candidate.email == active.email;
        let differences = match (&active.email, &candidate.email) {
            (Some(active), Some(candidate)) => email_differences(active, candidate),
            _ => Vec::new(),
        };
        Ok(Preview { candidate, active, is_same, differences })
    }

    /// Makes a mail that was sent again, by the revision that wrote it, and says whether it is the same. For viewers.
    pub async fn reproduce(self: &Arc<Self>, who: Principal, id: i64) -> Result<Reproduction, Error> {
        Ok(self.write_again(who, id).await?.0)
    }

    /// The same, with what the revision wrote, of which the message was made.
    pub async fn write_again(self: &Arc<Self>, who: Principal, id: i64) -> Result<(Reproduction, Email), Error> {
        who.must_look()?;
        let mail = self.store.stored_mail(id).await?.ok_or(Error::NotFound("mail of this notification"))?;
        let mut n = read(id, mail.message_id, &mail.payload).map_err(Error::Conflict)?;
        if n.payload.has_secret() {
            // Who reads the mail can do what its link does.
            who.must_be_admin()?;
        }
        self.links.complete(&mut n);
        let revision = self.prepared(mail.renderer_revision).await?;
        let seed = mail.seed.cast_unsigned();
        let request = Request { ab_variant: mail.ab_variant.as_deref(), seed };
        // As it was sent: what it takes is no matter.
        let email = self.plugins.render_by(Code::Live, &revision, &n, &request).await;
        let (email, _) = email.map_err(|e| Error::Conflict(format!("revision {} {e}", revision.number)))?;
        let message = self
            .mailer
            .build(&n, &email, seed, mail.dated_at.unwrap_or(n.payload.occurred_at))
            .map_err(Error::Conflict)?;
        let made = Reproduction {
            notification_id: id,
            revision: revision.number,
            digest: mail.renderer_digest,
            seed: mail.seed,
            is_same: message.hash == mail.message_hash,
            sent_hash: mail.message_hash,
            made_hash: message.hash.clone(),
            message: message.text,
        };
        Ok((made, email))
    }

    /// Begins to run a revision over stored events, beside the active one, and counts what differs. For operators.
    pub async fn start_replay(
        self: &Arc<Self>,
        who: Principal,
        id: i64,
        request: ReplayRequest,
    ) -> Result<Started<Replay>, Error> {
        who.must_operate()?;
        let last = request.last.unwrap_or(1_000);
        if !(1..=LAST_MAX).contains(&last) {
            return Err(Error::invalid("/last", &format!("must be within 1 to {LAST_MAX}")));
        }
        let candidate = self.prepared(id).await?;
        let baseline = self.plugins.routing().slot(candidate.slot).active.number;
        let course = Course {
            found: Replay { revision: id, baseline, last, ..Replay::default() },
            position: Position {
                from: request.from.unwrap_or(i64::MIN),
                to: request.to.unwrap_or(i64::MAX),
                before: i64::MAX,
                left: last,
                ..Position::default()
            },
        };
        let work = |this: Arc<Self>, progress| this.resume_replay(Some(course), progress);
        self.begin_operation(who, (Kind::Replay, candidate.slot, Some(id)), work).await
    }

    /// Runs a replay from where it is to its end.
    pub(super) async fn resume_replay(
        self: Arc<Self>,
        course: Option<Course>,
        progress: Arc<Progress>,
    ) -> Result<(Replay, Option<i64>), Error> {
        let course =
            course.ok_or_else(|| Error::Conflict("its host ended before it began; start it again".to_owned()))?;
        let (candidate, baseline) = (course.found.revision, course.found.baseline);
        *progress.replay.lock().unwrap_or_else(PoisonError::into_inner) = Some(course.clone());
        let (candidate, baseline) = (self.prepared(candidate).await?, self.prepared(baseline).await?);
        self.run_replay(&candidate, &baseline, course.position, &progress.replay).await?;
        let course = progress.replay.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
        Ok((course.found, Some(candidate.number)))
    }

    async fn run_replay(
        &self,
        candidate: &Arc<Revision>,
        baseline: &Arc<Revision>,
        position: Position,
        shared: &Mutex<Option<Course>>,
    ) -> Result<(), Error> {
        let Position { from, to, mut before, mut left, mut fuel, mut times, .. } = position;
        let mut page = self.items(candidate.slot, before, from, to, left).await?;
        while !page.is_empty() {
            before = page.back().map_or(0, |item| match item {
                Item::Event(e) => e.id,
                Item::Decision(d) => d.id,
            });
            left -= u64::try_from(page.len()).unwrap_or(left).min(left);
            // The next page is read while this one is worked on.
            let next = async {
                if left == 0 { Ok(VecDeque::new()) } else { self.items(candidate.slot, before, from, to, left).await }
            };
            let (outcomes, next) = tokio::join!(self.work(page, candidate, baseline), next);
            let mut course = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let Course { found: replay, position } = course.get_or_insert_default();
            for outcome in outcomes {
                replay.events += 1;
                let Some(o) = outcome else {
                    replay.unreadable += 1;
                    continue;
                };
                replay.changed_subjects += u64::from(o.changes("subject"));
                replay.changed_bodies += u64::from(o.changes_body());
                replay.changed_decisions += u64::from(o.changes_decision());
                for field in &o.fields {
                    *replay.changed_fields.entry((*field).to_owned()).or_default() += 1;
                }
                replay.faults += u64::from(o.fault);
                fuel.add(o.fuel);
                times.add(o.time_us);
                if replay.examples.len() < EXAMPLES_MAX {
                    replay.examples.extend(o.example);
                }
            }
            sum_up(replay, &fuel, &times);
            let (fuel, times) = (fuel.clone(), times.clone());
            *position = Position { from, to, before, left, fuel, times, takeovers: 0 };
            page = next?;
        }
        Ok(())
    }

    async fn items(&self, slot: Slot, before: i64, from: i64, to: i64, left: u64) -> Result<VecDeque<Item>, Error> {
        let limit = i64::try_from(left).unwrap_or(PAGE).min(PAGE);
        Ok(match slot {
            Slot::Renderer => {
                self.store.stored_events(before, from, to, limit).await?.into_iter().map(Item::Event).collect()
            }
            Slot::Policy => {
                let decisions = self.store.stored_decisions(before, from, to, limit).await?;
                decisions.into_iter().map(|decision| Item::Decision(Box::new(decision))).collect()
            }
        })
    }

    /// Works on a page with every core.
    async fn work(
        &self,
        page: VecDeque<Item>,
        candidate: &Arc<Revision>,
        baseline: &Arc<Revision>,
    ) -> Vec<Option<Outcome>> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let queue = Arc::new(Mutex::new(page));
        // Telling how two mails differ takes longer than writing them.
        let told = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..cores {
            let (queue, told, plugins) = (queue.clone(), told.clone(), self.plugins.clone());
            let (candidate, baseline, clock) = (candidate.clone(), baseline.clone(), self.clock.clone());
            workers.spawn(async move {
                let mut outcomes = Vec::new();
                loop {
                    let item = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(item) = item else { return outcomes };
                    let tells = told.load(Relaxed) < EXAMPLES_MAX;
                    let run =
                        Run { plugins: &plugins, candidate: &candidate, baseline: &baseline, clock: &clock, tells };
                    let outcome = run.one(item).await;
                    told.fetch_add(outcome.as_ref().map_or(0, |o| o.example.is_some().into()), Relaxed);
                    outcomes.push(outcome);
                }
            });
        }
        workers.join_all().await.into_iter().flatten().collect()
    }
}

async fn rendered(plugins: &Plugins, revision: &Revision, n: &Notification, request: &Request<'_>) -> Rendered {
    let (email, fault, fuel) = match plugins.render_by(Code::Metered, revision, n, request).await {
        Ok((email, usage)) => (Some(email), None, usage.fuel),
        Err(fault) => (None, Some(fault.to_string()), 0),
    };
    Rendered { revision: revision.number, email, fault, fuel }
}

fn read(id: i64, message_id: String, payload: &str) -> Result<Notification, String> {
    let payload = Payload::read(payload).map_err(|e| format!("the stored event cannot be read: {e}"))?;
    Ok(Notification { id, message_id, payload })
}

fn sum_up(replay: &mut Replay, fuel: &Spread, times: &Spread) {
    replay.fuel = [50, 99].map(|hundredths| fuel.below(hundredths));
    replay.time_us = [50, 99].map(|hundredths| times.below(hundredths));
    let changed = replay.changed_bodies.max(replay.changed_subjects) + replay.changed_decisions + replay.faults;
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let percent = if replay.events == 0 { 0.0 } else { changed as f64 * 100.0 / replay.events as f64 };
    replay.changed_percent = percent;
}
