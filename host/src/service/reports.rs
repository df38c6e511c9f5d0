//! What other servers say of mails after a relay took them: written down with what follows from it.

use super::once::tried_after;
use super::{Error, Service};
use crate::notification::Payload;
use crate::notification::report::{REPORTS_MAX, Reading, Report, ReportKind, Said};
use crate::provider::Refusal;
use crate::return_path::Recipient;
use crate::store::{self, Tx, reports, suppressions, users};
use crate::suppression::{Cause, NewSuppression, Scope, says_nobody};

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
        let Some(mail) = self.reported_mail(to, reading).await? else {
            self.ignore("a report that names no mail of ours", Taken::OfNoMail.as_str());
            return Ok(());
        };
        for said in &reading.said {
            // Who finds an entry taken at this moment renews it the next time.
            let passes = |e: &store::Error| e.is_taken() || e.is_transient();
            let taken = tried_after(passes, || self.try_note(mail, said)).await?;
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
        let webhook = self.webhooks.named(name).ok_or(Error::NotFound("webhook"))?;
        let readings = self.webhooks.read(webhook, header, body).await.map_err(|refusal| {
            tracing::warn!(webhook = name, error = %refusal, "a request to a webhook was refused");
            self.metrics.report("none", "refused");
            match refusal {
                Refusal::Unreadable(why) => Error::invalid("", why),
                Refusal::Distrusted(_) => Error::Distrusted(refusal.to_string()),
                Refusal::NoCertificate(_) => Error::Unavailable(refusal.to_string()),
            }
        })?;
        for reading in &readings {
            self.take_report(Recipient::Any, Some(reading)).await?;
        }
        Ok(())
    }

    fn ignore(&self, what: &'static str, outcome: &'static str) {
        self.metrics.report("none", outcome);
        tracing::info!(report.outcome = outcome, "{what} was left aside");
    }

    /// Which mail a report is about: the one that it came back to; else the one that it quotes. Who can quote its address or
    /// its Message-ID has seen it: neither can be guessed.
    async fn reported_mail(&self, to: Recipient, reading: &Reading) -> Result<Option<i64>, Error> {
        if let Recipient::Mail(id) = to {
            return Ok(Some(id));
        }
        if let Some(Recipient::Mail(id)) = reading.return_path.as_deref().and_then(|path| self.return_paths.read(path))
        {
            return Ok(Some(id));
        }
        let Some(message_id) = &reading.message_id else { return Ok(None) };
        Ok(self.store.notification_of(message_id).await?)
    }

    async fn try_note(&self, mail: i64, said: &Said) -> Result<Taken, Error> {
        let mut tx = self.store.begin().await?;
        let Some(count) = reports::count(&mut tx, mail).await? else { return Ok(Taken::OfNoMail) };
        if count >= REPORTS_MAX {
            return Ok(Taken::OneTooMany);
        }
        let payload = reports::payload(&mut tx, mail).await?;
        // Whom it was sent to is known no more: their servers' words go as well.
        let is_known = match &payload {
            Some(payload) => users::lock(&mut tx, payload.customer.id).await?.is_some(),
            None => false,
        };
        let Said { kind, enhanced, words, reporter, digest } = said.clone();
        let (words, reporter) = if is_known { (words, reporter) } else { (String::new(), String::new()) };
        let received_at = self.clock.now_ms();
        let report = Report { kind, enhanced, words, reporter, received_at };
        match reports::insert(&mut tx, mail, &digest, &report).await {
            Err(e) if e.is_taken() => return Ok(Taken::Known),
            done => done?,
        }
        if let Some(payload) = payload.filter(|_| is_known) {
            self.suppress_reported(&mut tx, mail, &payload, &report).await?;
        }
        tx.commit().await?;
        Ok(Taken::Noted)
    }

    /// Sends an address no more mails that is none, or whose owner does not want them.
    async fn suppress_reported(&self, tx: &mut Tx, mail: i64, payload: &Payload, report: &Report) -> store::Result<()> {
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
        suppressions::suppress(tx, &keys, &new, &source, now).await.map(drop)
    }
}
