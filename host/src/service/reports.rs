//! What other servers say of mails after a relay took them: written down with what follows from it.

use super::once::tried_after;
use super::reactions::{Concerned, Reacted};
use super::{Error, Service};
use crate::notification::report::{REPORTS_MAX, Reading, Report, ReportKind, Said, is_of};
use crate::notification::{Lane, Payload};
use crate::provider::Refusal;
use crate::return_path::Recipient;
use crate::store::queue::interventions;
use crate::store::{self, Tx, orders, reports, suppressions, users};
use crate::suppression::{Cause, NewSuppression, Scope, says_nobody};

/// The longest Message-ID that is looked for, in characters: ours are shorter.
const MESSAGE_ID_CHARS_MAX: usize = 320;

/// What became of a report that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Noted,
    /// It was noted before.
    Known,
    /// The mail it is about is none of ours, or was forgotten.
    OfNoMail,
    /// Of this mail enough is known.
    OneTooMany,
}

impl Taken {
    fn as_str(self) -> &'static str {
        match self {
            Self::Noted => "noted",
            Self::Known => "known",
            Self::OfNoMail => "of-no-mail",
            Self::OneTooMany => "too-many",
        }
    }
}

impl Service {
    /// Writes down what a mail says that came back to an address; none: it is no report. What can be taken of it is written
    /// down when this returns; the error is the database's, and to be tried again.
    pub(crate) async fn take_report(&self, to: Recipient, reading: Option<&Reading>) -> Result<(), Error> {
        let Some(reading) = reading else {
            self.ignore("a mail that no machine wrote", "not-a-report");
            return Ok(());
        };
        self.note_report(to, reading, false).await
    }

    /// `is_signed`: who reports is known, and needs no other proof.
    async fn note_report(&self, to: Recipient, reading: &Reading, is_signed: bool) -> Result<(), Error> {
        let Some((mail, has_token)) = self.reported_mail(to, reading).await? else {
            self.ignore("a report that names no mail of ours", Taken::OfNoMail.as_str());
            return Ok(());
        };
        for said in &reading.said {
            // Who finds an entry taken at this moment renews it the next time.
            let passes = |e: &store::Error| e.is_taken() || e.is_transient();
            let is_proven = is_signed || has_token;
            let reacted = if is_proven { self.ask_about(mail, said).await? } else { None };
            let taken = tried_after(passes, || self.try_note(mail, said, is_proven, reacted.as_ref())).await?;
            if let (Taken::Noted, Some(reacted)) = (taken, &reacted) {
                self.reacted(reacted);
            }
            self.metrics.report(said.kind.as_str(), taken.as_str());
            tracing::info!(
                notification.id = mail,
                report.kind = said.kind.as_str(),
                report.outcome = taken.as_str(),
                "a mail was reported on"
            );
        }
        Ok(())
    }

    /// Takes what a provider reports by a webhook; `header` looks up one of its request's headers.
    pub async fn take_webhook<'h>(
        &self,
        name: &str,
        header: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
    ) -> Result<(), Error> {
        let webhook = self.providers.named(name).ok_or(Error::NotFound("webhook"))?;
        let readings = self.providers.read(webhook, header, body).await.map_err(|refusal| {
            tracing::warn!(webhook = name, error = %refusal, "a request to a webhook was refused");
            self.metrics.report("none", "refused");
            match refusal {
                Refusal::Unreadable(why) => Error::invalid("", why),
                Refusal::Distrusted(_) => Error::Distrusted(refusal.to_string()),
                Refusal::NoCertificate(_) => Error::Unavailable(refusal.to_string()),
            }
        })?;
        for reading in &readings {
            self.note_report(Recipient::Any, reading, true).await?;
        }
        Ok(())
    }

    fn ignore(&self, what: &'static str, outcome: &'static str) {
        self.metrics.report("none", outcome);
        tracing::info!(report.outcome = outcome, "{what} was left aside");
    }

    /// Which mail a report is about: the one that it came back to; else the one that it quotes. Whether it shows a token that
    /// only who has the mail can know; its Message-ID is no secret, and says of nobody that they want no more.
    async fn reported_mail(&self, to: Recipient, reading: &Reading) -> Result<Option<(i64, bool)>, Error> {
        if let Recipient::Mail(id) = to {
            return Ok(Some((id, true)));
        }
        if let Some(Recipient::Mail(id)) = reading.return_path.as_deref().and_then(|path| self.return_paths.read(path))
        {
            return Ok(Some((id, true)));
        }
        let is_one = |id: &&String| id.len() <= MESSAGE_ID_CHARS_MAX && id.bytes().all(|b| b.is_ascii_graphic());
        let Some(message_id) = reading.message_id.as_ref().filter(is_one) else { return Ok(None) };
        Ok(self.store.notification_of(message_id).await?.map(|id| (id, false)))
    }

    async fn try_note(
        &self,
        mail: i64,
        said: &Said,
        is_proven: bool,
        reacted: Option<&Reacted>,
    ) -> Result<Taken, Error> {
        let mut tx = self.store.begin().await?;
        let moves = reacted.is_some_and(Reacted::moves);
        if moves {
            lock_order(&mut tx, mail).await?;
        }
        // The user first, as where they leave; then the notification, which must not be forgotten meanwhile.
        let user = match readable(reports::payload(&mut tx, mail).await)?.flatten() {
            Some(payload) => readable(users::lock(&mut tx, payload.customer.id).await)?.flatten().map(|(user, _)| user),
            None => None,
        };
        let standing = if moves { readable(interventions::lock(&mut tx, mail).await)?.flatten() } else { None };
        if standing.as_ref().is_some_and(|standing| standing.is_handed_over) {
            // Its end is about to be recorded: until then nobody knows what there is to do again.
            return Err(Error::Unavailable("the mail is just being handed over".to_owned()));
        }
        let Some(known) = reports::known(&mut tx, mail).await? else { return Ok(Taken::OfNoMail) };
        let is_news = said.kind.delivery().is_some() && !known.kinds.iter().any(|kind| kind == said.kind.as_str());
        let payload = readable(reports::payload(&mut tx, mail).await)?.flatten().zip(user);
        let Said { kind, enhanced, words, reporter, .. } = said.clone();
        // Whom it was sent to is known no more: their servers' words go as well.
        let (words, reporter) = if payload.is_some() { (words, reporter) } else { (String::new(), String::new()) };
        let report =
            Report { kind, enhanced, words, reporter, received_at: self.clock.now_ms(), is_past: known.is_past };
        let taken = if known.count >= REPORTS_MAX && !is_news {
            Taken::OneTooMany
        } else if !reports::insert(&mut tx, mail, &said.digest, &report).await? {
            Taken::Known
        } else {
            // Complaints hide who complains; whoever it is has the mail.
            let concerns =
                |payload: &Payload| said.kind == ReportKind::Complained || is_of(said, payload.customer.email.as_str());
            if let Some((payload, user)) = payload.filter(|(payload, _)| is_proven && concerns(payload)) {
                let of = Concerned { mail, payload: &payload, user: &user, standing: standing.as_ref() };
                self.suppress_reported(&mut tx, &of, &report).await?;
                if let Some(reacted) = reacted {
                    self.react(&mut tx, &of, reacted).await?;
                }
            }
            Taken::Noted
        };
        // Also where nothing is new: what was known is written down with what it shares a commit with.
        tx.commit().await?;
        Ok(taken)
    }

    /// Sends an address no more mails that is none, or whose owner does not want them.
    async fn suppress_reported(&self, tx: &mut Tx, of: &Concerned<'_>, report: &Report) -> Result<(), Error> {
        let (mail, now) = (of.mail, report.received_at);
        let enhanced = report.enhanced.as_deref().unwrap_or_default();
        let address = of.payload.customer.email.clone();
        let new = match report.kind {
            ReportKind::Bounced if says_nobody(enhanced) => {
                NewSuppression::bounced(address, &format!("notification {mail}: {enhanced}"), now)
            }
            ReportKind::Complained => NewSuppression {
                address,
                category: Scope::of_complaint(&of.payload.category),
                cause: Cause::Complained,
                note: format!("notification {mail}").try_into().unwrap_or_default(),
                expires_at: None,
            },
            _ => return Ok(()),
        };
        self.suppress_for(tx, of, &new, &suppressions::by_report(&report.reporter), now).await
    }
}

/// Locks the order that a mail is about before its user, as whoever has it tried again does.
async fn lock_order(tx: &mut Tx, mail: i64) -> Result<(), Error> {
    if let Some(Lane::Order(order)) = interventions::lane_of(tx, mail).await? {
        orders::keep(tx, order).await?;
    }
    Ok(())
}

/// What cannot be read is not known: the report is noted all the same.
pub(super) fn readable<T>(read: store::Result<T>) -> store::Result<Option<T>> {
    match read {
        Err(e @ store::Error::Corrupt { .. }) => {
            tracing::error!(error = %e, "a report is noted without words");
            Ok(None)
        }
        read => read.map(Some),
    }
}
