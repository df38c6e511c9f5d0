//! What became of each mail, by what arrived and what is on record.

use std::collections::HashMap;

use ecomm::mail::mailbox::Received;

use crate::database::Told;
use crate::load::Seen;

/// Claimed by a host when it was killed.
pub struct Orphans {
    /// Unix milliseconds.
    pub at: i64,
    pub mails: Vec<String>,
}

/// The counts of one run. What is not expected of any is in `must_be_none`.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Changes of orders that clients were told of.
    pub events: usize,
    /// From the first of these answers to the last, in milliseconds.
    pub load_ms: i64,
    /// What was done to the hosts or what they depend on.
    pub faults: usize,
    /// Changes that clients were told of and of which no mail arrived.
    pub lost: usize,
    /// Mails that arrived for the first time after a later mail of their order.
    pub overtaken: usize,
    /// Mails that arrived again after a later mail of their order.
    pub late: usize,
    /// Mails that arrived again.
    pub duplicates: usize,
    /// Attempts that the journal has as in doubt: each may have made a duplicate.
    pub doubts: usize,
    /// Duplicates beyond those.
    pub unexplained: usize,
    /// Mails whose notification ended in another way.
    pub given_up: usize,
    /// Attempts beyond the first that are not in doubt.
    pub charged: usize,
    /// Requests that were answered with an error other than "try again".
    pub failed_requests: usize,
    /// Requests that were to be tried again.
    pub refused_requests: usize,
    /// Requests whose connection ended.
    pub cut_requests: usize,
    /// From an answer to its mail's arrival, in milliseconds, in order.
    pub ages: Vec<i64>,
    /// From a host's end to the arrival of what it had claimed, in milliseconds, in order.
    pub recoveries: Vec<i64>,
    /// What else was seen to be wrong.
    pub wrong: Vec<String>,
}

impl Verdict {
    pub fn of(seen: &Seen, told: &[Told], arrived: &[Received], orphans: &[Orphans]) -> Self {
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, mail) in arrived.iter().enumerate() {
            places.entry(&mail.message_id).or_default().push(place);
        }
        let answered: HashMap<(i64, i64), i64> = seen.answered.iter().map(|a| ((a.order, a.version), a.at)).collect();
        let times = seen.answered.iter().map(|answered| answered.at);
        let mut verdict = Self {
            events: answered.len(),
            load_ms: times.clone().max().unwrap_or_default() - times.min().unwrap_or_default(),
            cut_requests: seen.cut,
            refused_requests: seen.refused,
            failed_requests: seen.failed.len(),
            ..Self::default()
        };
        let known: HashMap<_, _> = told.iter().map(|told| ((told.order, told.version), told)).collect();
        verdict.lost = answered.keys().filter(|change| !known.contains_key(change)).count();
        let mut later: Option<(i64, usize)> = None;
        for told in told.iter().rev() {
            let copies = places.get(told.message_id.as_str()).map_or(&[][..], Vec::as_slice);
            verdict.count(told, copies);
            // The first place of any later mail of the same order.
            let after = later.filter(|(order, _)| *order == told.order).map(|(_, place)| place);
            if let (Some(after), Some(&first)) = (after, copies.first()) {
                verdict.overtaken += usize::from(first > after);
                verdict.late += copies.iter().skip(1).filter(|copy| **copy > after).count();
            }
            let first = copies.first().copied().into_iter().chain(after).min();
            later = first.map(|first| (told.order, first));
            if let (Some(at), Some(&first)) = (answered.get(&(told.order, told.version)), copies.first()) {
                verdict.ages.push((arrived[first].received_at - at).max(0));
            }
        }
        verdict.recoveries = orphans.iter().flat_map(|orphan| recovery(orphan, &places, arrived)).collect();
        verdict.ages.sort_unstable();
        verdict.recoveries.sort_unstable();
        verdict.wrong.extend(seen.failed.iter().take(3).cloned());
        verdict
    }

    fn count(&mut self, told: &Told, copies: &[usize]) {
        let doubts = usize::try_from(told.doubts).unwrap();
        let again = copies.len().saturating_sub(1);
        self.duplicates += again;
        self.doubts += doubts;
        self.unexplained += again.saturating_sub(doubts);
        self.charged += usize::try_from(told.attempts).unwrap().saturating_sub(1 + doubts);
        if told.state == "sent" {
            self.lost += usize::from(copies.is_empty());
        } else {
            self.given_up += 1;
            let id = &told.message_id;
            self.wrong.push(format!("{id}: {}, {} attempts, {doubts} in doubt", told.state, told.attempts));
        }
    }

    /// What no fault may lead to.
    pub fn must_be_none(&self) -> [(&'static str, usize); 6] {
        [
            ("lost", self.lost),
            ("overtaken", self.overtaken),
            ("late", self.late),
            ("duplicates that no doubt explains", self.unexplained),
            ("given up", self.given_up),
            ("requests answered with an error", self.failed_requests),
        ]
    }
}

/// Of what arrived after the host had ended; what had arrived before is not waited for.
fn recovery<'a>(
    orphan: &'a Orphans,
    places: &'a HashMap<&str, Vec<usize>>,
    arrived: &'a [Received],
) -> impl Iterator<Item = i64> + use<'a> {
    let first = |id: &'a String| places.get(id.as_str()).map(|copies| arrived[copies[0]].received_at);
    orphan.mails.iter().filter_map(first).map(|at| at - orphan.at).filter(|after| *after >= 0)
}
