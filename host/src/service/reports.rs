//! What other servers say of mails after a relay took them: written down with what follows from it.

use super::once::tried_after;
use super::{Error, Service};
use crate::notification::Payload;
use crate::notification::report::{REPORTS_MAX, Reading, Report, ReportKind, Said, is_of};
use crate::provider::Refusal;
use crate::return_path::Recipient;
use crate::shop::user::User;
use crate::store::{self, Tx, reports, suppressions, users};
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
            let taken = tried_after(passes, || self.try_note(mail, said, is_signed || has_token)).await?;
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

    async fn try_note(&self, mail: i64, said: &Said, is_proven: bool) -> Result<Taken, Error> {
        let mut tx = self.store.begin().await?;
        // The user first, as where they leave; then the notification, which must not be forgotten meanwhile.
        let user = match readable(reports::payload(&mut tx, mail).await)?.flatten() {
            Some(payload) => readable(users::lock(&mut tx, payload.customer.id).await)?.flatten().map(|(user, _)| user),
            None => None,
        };
        let Some(known) = reports::known(&mut tx, mail).await? else { return Ok(Taken::OfNoMail) };
        let is_news = said.kind.delivery().is_some() && !known.iter().any(|kind| kind == said.kind.as_str());
        let payload = readable(reports::payload(&mut tx, mail).await)?.flatten().zip(user);
        let Said { kind, enhanced, words, reporter, .. } = said.clone();
        // Whom it was sent to is known no more: their servers' words go as well.
        let (words, reporter) = if payload.is_some() { (words, reporter) } else { (String::new(), String::new()) };
        let report = Report { kind, enhanced, words, reporter, received_at: self.clock.now_ms() };
        let taken = if known.len() >= REPORTS_MAX && !is_news {
            Taken::OneTooMany
        } else if !reports::insert(&mut tx, mail, &said.digest, &report).await? {
            Taken::Known
        } else {
            // Complaints hide who complains; whoever it is has the mail.
            let concerns =
                |payload: &Payload| said.kind == ReportKind::Complained || is_of(said, payload.customer.email.as_str());
            if let Some((payload, user)) = payload.filter(|(payload, _)| is_proven && concerns(payload)) {
                self.suppress_reported(&mut tx, mail, (&payload, &user), &report).await?;
            }
            Taken::Noted
        };
        // Also where nothing is new: what was known is written down with what it shares a commit with.
        tx.commit().await?;
        Ok(taken)
    }

    /// Sends an address no more mails that is none, or whose owner does not want them.
    async fn suppress_reported(
        &self,
        tx: &mut Tx,
        mail: i64,
        (payload, user): (&Payload, &User),
        report: &Report,
    ) -> store::Result<()> {
        let now = report.received_at;
        let enhanced = report.enhanced.as_deref().unwrap_or_default();
        let address = payload.customer.email.clone();
        let new = match report.kind {
            ReportKind::Bounced if says_nobody(enhanced) => {
                NewSuppression::bounced(address, &format!("notification {mail}: {enhanced}"), now)
            }
            ReportKind::Complained => NewSuppression {
                address,
                category: Scope::of_complaint(&payload.category),
                cause: Cause::Complained,
                note: format!("notification {mail}").try_into().unwrap_or_default(),
                expires_at: None,
            },
            _ => return Ok(()),
        };
        let keys = self.address_keys.of(&new.address);
        let source = suppressions::by_report(&report.reporter);
        suppressions::suppress(tx, &keys, &new, &source, now).await?;
        if payload.customer.email != user.email {
            // Nobody would find it when its user leaves.
            suppressions::redact(tx, &keys).await?;
        }
        Ok(())
    }
}

/// What cannot be read is not known: the report is noted all the same.
fn readable<T>(read: store::Result<T>) -> store::Result<Option<T>> {
    match read {
        Err(e @ store::Error::Corrupt { .. }) => {
            tracing::error!(error = %e, "a report is noted without words");
            Ok(None)
        }
        read => read.map(Some),
    }
}
