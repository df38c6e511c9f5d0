//! What the large mailboxes and providers hold against a sender: how many mails come back, and how many are called unwanted.

use super::{Check, Finding};
use crate::store::Store;
use crate::store::reports::Fates;

/// Of how many of the newest notifications.
const NOTIFICATIONS_MAX: i64 = 100_000;
/// Of fewer mails a rate says nothing.
const MAILS_MIN: i64 = 1_000;
/// Complaints in 10,000 mails from which on Gmail and Yahoo sort a sender out (their sender guidelines of 2024: 0.3 %), and below
/// which they ask to stay (0.1 %).
const COMPLAINTS: (i64, i64) = (30, 10);
/// Bounces in 10,000 mails from which on Amazon SES stops a sender (10 %), and looks at one (5 %).
const BOUNCES: (i64, i64) = (1_000, 500);

pub(super) async fn examine(store: &Store) -> Vec<Finding> {
    match store.fates(NOTIFICATIONS_MAX).await {
        Ok(fates) => findings(fates),
        Err(e) => vec![Finding::fault(Check::Reputation, "", e.to_string(), "see the database's log")],
    }
}

fn findings(fates: Fates) -> Vec<Finding> {
    let Fates { sent, bounced, complained } = fates;
    if sent < MAILS_MIN {
        let says = format!("{sent} mails were sent: too few to say how many come back or are unwanted");
        return vec![Finding::ok(Check::Reputation, "", says)];
    }
    let rate = |subject: &str, count: i64, (most, wanted): (i64, i64), advice: &str| {
        let in_10_000 = count * 10_000 / sent;
        let percent = format!("{}.{:02}", in_10_000 / 100, in_10_000 % 100);
        let says = format!("{count} of the last {sent} mails, {percent} %");
        match in_10_000 {
            rate if rate >= most => Finding::fault(Check::Reputation, subject, says, advice),
            rate if rate >= wanted => Finding::warning(Check::Reputation, subject, says, advice),
            _ => Finding::ok(Check::Reputation, subject, says),
        }
    };
    vec![
        rate(
            "complaints",
            complained,
            COMPLAINTS,
            "from 0.3 % on Gmail and Yahoo sort mails out: see `ecomm notification ls --delivery complained`, and send those kinds to \
             fewer",
        ),
        rate(
            "bounces",
            bounced,
            BOUNCES,
            "from 5 % on providers look at a sender, from 10 % on they stop it: see `ecomm notification ls --delivery bounced`, and have \
             addresses verified (accounts.verify_emails)",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Fates, findings};
    use crate::doctor::Level;

    #[test]
    fn rates_are_held_against_what_mailboxes_allow() {
        let levels = |sent, bounced, complained| {
            findings(Fates { sent, bounced, complained }).iter().map(|found| found.level).collect::<Vec<_>>()
        };
        assert_eq!(levels(999, 999, 999), [Level::Ok]);
        assert_eq!(levels(10_000, 499, 9), [Level::Ok, Level::Ok]);
        assert_eq!(levels(10_000, 500, 10), [Level::Warning, Level::Warning]);
        assert_eq!(levels(10_000, 1_000, 30), [Level::Fault, Level::Fault]);
        let says = findings(Fates { sent: 20_000, bounced: 0, complained: 21 })[0].says.clone();
        assert_eq!(says, "21 of the last 20000 mails, 0.10 %");
    }
}
