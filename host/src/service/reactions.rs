//! What follows from what other servers report of mails, where the policy says so.

use std::sync::Arc;

use super::reports::readable;
use super::{Error, Service};
use crate::notification::report::{Reaction, ReportKind, Reported, Said, Suppressing, is_of, words};
use crate::notification::{Channel, Notification, Payload, Situation, State, Transition, Verdict, bounded, settle};
use crate::plugin::Answer;
use crate::shop::user::User;
use crate::store::queue::interventions::Standing;
use crate::store::queue::{Note, Provenance, interventions, note_beside};
use crate::store::reports::HandedOver;
use crate::store::{Tx, contents, suppressions};
use crate::suppression::{Cause, NewSuppression, Scope, Suppressed, says_nobody};

/// What the policy said to a report, and what it saw.
pub(super) struct Reacted {
    answer: Answer<Reaction>,
    notification: Arc<Notification>,
    reported: Reported,
    situation: Situation,
}

/// What a suppression's note keeps of its reason, in characters.
const NOTE_CHARS_MAX: usize = 160;

impl Reacted {
    /// Whether the mail's place in the queue is at stake.
    pub(super) fn moves(&self) -> bool {
        matches!(self.answer.value, Reaction::Resend(..) | Reaction::Hold(_))
    }
}

/// What is reported of a mail, of whom that is true, and where the mail stands; all of it locked.
pub(super) struct Concerned<'a> {
    pub(super) mail: i64,
    pub(super) payload: &'a Payload,
    pub(super) user: &'a User,
    /// Where the reaction moves the mail.
    pub(super) standing: Option<&'a Standing>,
}

impl Service {
    /// Asks the policy what follows from a report that proves to be about a mail; none where it does not say, or where nothing
    /// is known of the mail any more.
    pub(super) async fn ask_about(&self, mail: i64, said: &Said) -> Result<Option<Reacted>, Error> {
        // What arrived needs nothing, and there is one such report for each mail.
        if said.kind == ReportKind::Delivered {
            return Ok(None);
        }
        if !self.store.is_news(mail, &said.digest).await? {
            return Ok(None);
        }
        // What cannot be read is noted all the same.
        let Some(found) = readable(self.store.handed_over(mail).await)?.flatten() else { return Ok(None) };
        let to = &found.notification.payload.customer.email;
        if said.kind != ReportKind::Complained && !is_of(said, to.as_str()) {
            return Ok(None);
        }
        let (reported, situation, notification) = self.situation(found, said).await?;
        let answer = self.plugins.on_report(&notification, &reported, &situation).await;
        Ok(Some(Reacted { answer, notification, reported, situation }))
    }

    async fn situation(
        &self,
        mail: HandedOver,
        said: &Said,
    ) -> Result<(Reported, Situation, Arc<Notification>), Error> {
        let HandedOver { notification, attempts, queued_at, first_failed_at, history, sent, .. } = mail;
        let now = self.clock.now_ms();
        let payload = &notification.payload;
        let keys = [self.address_keys.of(&payload.customer.email)];
        let entries = readable(self.store.suppressed(&keys, now).await)?.and_then(|mut found| found.pop());
        let entries = entries.unwrap_or_default();
        let (relay, sent_at) = sent.unwrap_or_else(|| (String::new(), queued_at));
        let reported = Reported {
            at: now,
            kind: said.kind,
            enhanced: said.enhanced.clone(),
            words: said.words.clone(),
            reporter: said.reporter.clone(),
            relay,
            sent_at,
        };
        let situation = Situation {
            now,
            seed: u64::from_le_bytes(self.clock.random()),
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            attempts_max: self.caps.attempts_max,
            queued_at,
            first_failed_at,
            age_max_ms: self.caps.age_max_ms,
            history,
            relays: self.mailer.relays(),
            domain_throttled_at: self.mailer.domain_throttled_at(&payload.customer.email),
            newest_status: mail.newest_status,
            queued: mail.queued,
            suppressed: Suppressed::of(entries, &payload.category),
            channel: Channel::Mail,
            named_relay: None,
        };
        Ok((reported, situation, Arc::new(notification)))
    }

    /// Does what the policy said, in the transaction in which the report is written down. What cannot be done is not, and the
    /// journal says why.
    pub(super) async fn react(&self, tx: &mut Tx, of: &Concerned<'_>, reacted: &Reacted) -> Result<(), Error> {
        let Reacted { answer, reported, situation, .. } = reacted;
        let mut reason = bounded(answer.value.reason());
        let mut delay_ms = None;
        let done = match (&answer.value, of.standing) {
            (Reaction::Note, _) => Ok(()),
            (Reaction::Suppress(suppressing), _) => {
                let by = answer.by.as_ref().map_or(0, |revision| revision.number);
                self.suppress_as_said(tx, of, (suppressing, reported), by).await?;
                Ok(())
            }
            (Reaction::Hold(_), Some(standing)) if standing.state == State::Sent => {
                let offset_ms = self.store.offset_ms();
                interventions::conclude(tx, of.mail, standing, State::Held, &reason, offset_ms).await?;
                Ok(())
            }
            (Reaction::Resend(after_ms, relay), Some(standing)) if standing.state == State::Sent => {
                let retry = Verdict::Retry(*after_ms, relay.clone());
                let resent = self.resend(tx, of, standing, (reported, situation), &retry).await?;
                resent.map(|ms| delay_ms = Some(ms))
            }
            (Reaction::Hold(_) | Reaction::Resend(..), standing) => {
                Err(format!("it is {}", standing.map_or("gone", |standing| standing.state.as_str())))
            }
        };
        let verdict = if let Err(why) = done {
            reason = bounded(&format!("not done, since {why}{}{reason}", if reason.is_empty() { "" } else { ": " }));
            answer.value.refused()
        } else {
            answer.value.verdict()
        };
        let notes = notes(reacted, verdict, reason, delay_ms);
        Ok(note_beside(tx, of.mail, &notes, self.store.offset_ms()).await?)
    }

    /// Puts a mail back into the queue that a relay took; after how long, or why not.
    async fn resend(
        &self,
        tx: &mut Tx,
        of: &Concerned<'_>,
        standing: &Standing,
        (reported, situation): (&Reported, &Situation),
        retry: &Verdict,
    ) -> Result<Result<i64, String>, Error> {
        if says_nobody(reported.enhanced.as_deref().unwrap_or_default()) {
            return Ok(Err("the server says that there is no such mailbox".to_owned()));
        }
        if situation.suppressed.is_some() {
            return Ok(Err("its address is suppressed".to_owned()));
        }
        if situation.attempts >= self.caps.attempts_max {
            return Ok(Err(format!("it was tried {} times, the host's cap", situation.attempts)));
        }
        let shortest_ms = self.caps.retry_min_ms;
        // How long ago the first attempt failed says nothing of a mail that was taken since.
        let transition = settle(retry, &self.caps, situation.attempts, 0, shortest_ms, situation.seed);
        let (delay_ms, relay) = match transition {
            Transition::Later { delay_ms, relay } => (delay_ms, relay),
            Transition::End { reason, .. } => return Ok(Err(reason)),
            Transition::GiveBack | Transition::Merge => return Ok(Err("it cannot be sent again".to_owned())),
        };
        let offset_ms = self.store.offset_ms();
        let late = || Ok(Err("what is newer was sent or is on its way".to_owned()));
        if interventions::is_late(tx, standing).await? {
            return late();
        }
        // What is newer and not handed over yet has to be claimed again, and waits for it.
        interventions::take_from_workers(tx, standing, offset_ms).await?;
        if interventions::is_late(tx, standing).await? {
            return late();
        }
        interventions::put_back(tx, of.mail, standing, (delay_ms, relay.as_deref()), offset_ms).await?;
        contents::readdress_one(tx, of.mail, &of.user.clone().into()).await?;
        Ok(Ok(delay_ms))
    }

    async fn suppress_as_said(
        &self,
        tx: &mut Tx,
        of: &Concerned<'_>,
        (suppressing, reported): (&Suppressing, &Reported),
        revision: i64,
    ) -> Result<(), Error> {
        let category = &of.payload.category;
        let reason: String = words(&suppressing.reason).chars().take(NOTE_CHARS_MAX).collect();
        let new = NewSuppression {
            address: of.payload.customer.email.clone(),
            category: if suppressing.all_categories { Scope::All } else { Scope::of(category) },
            cause: match reported.kind {
                ReportKind::Complained => Cause::Complained,
                _ => Cause::Bounced,
            },
            note: format!("notification {}: {reason}", of.mail).try_into().unwrap_or_default(),
            expires_at: Some(reported.at + suppressing.bounded_ms()),
        };
        self.suppress_for(tx, of, &new, &suppressions::by_policy(revision), reported.at).await
    }

    /// Writes an entry for the address of a mail.
    pub(super) async fn suppress_for(
        &self,
        tx: &mut Tx,
        of: &Concerned<'_>,
        new: &NewSuppression,
        source: &str,
        now: i64,
    ) -> Result<(), Error> {
        let keys = self.address_keys.of(&new.address);
        suppressions::suppress(tx, &keys, new, source, now).await?;
        if of.payload.customer.email != of.user.email {
            // Nobody would find it when its user leaves.
            suppressions::redact(tx, &keys).await?;
        }
        Ok(())
    }

    /// What follows once a reaction is committed: a mail may be due, and a shadow is shown the same report.
    pub(super) fn reacted(&self, reacted: &Reacted) {
        let Reacted { answer, notification, reported, situation } = reacted;
        if reacted.moves() {
            self.enqueued();
        }
        if let Reaction::Hold(holding) = &answer.value {
            holding.call(notification.id);
        }
        self.plugins.shadow_on_report(notification, reported, situation, &answer.value);
    }
}

/// What the journal keeps: who failed, and what was decided.
fn notes(reacted: &Reacted, verdict: &str, reason: String, delay_ms: Option<i64>) -> Vec<Note> {
    let Reacted { answer, reported, situation, .. } = reacted;
    let (seed, started_at) = (Some(situation.seed.cast_signed()), reported.at);
    let fault = |(by, fault): &(Arc<crate::plugin::Revision>, crate::plugin::Fault)| {
        let by = (by.digest.clone(), by.number);
        Note::fault("on-report", by, (fault.code(), &fault.to_string()), seed, started_at)
    };
    let by = answer.by.as_ref();
    let decision = Note {
        kind: "decision",
        phase: Some(Reported::PHASE.to_owned()),
        class: Some(reported.kind.as_str().to_owned()),
        enhanced: reported.enhanced.clone(),
        reply: Some(reported.words.clone()),
        relay: Some(reported.relay.clone()).filter(|relay| !relay.is_empty()),
        verdict: Some(verdict.to_owned()),
        reason: Some(reason),
        delay_ms,
        provenance: Provenance {
            policy_digest: by.map(|revision| revision.digest.clone()),
            policy_revision: by.map(|revision| revision.number),
            seed,
            ..Provenance::default()
        },
        situation: Some(reported.seen(situation)),
        started_at,
        ..Note::default()
    };
    answer.faults.iter().map(fault).chain([decision]).collect()
}
