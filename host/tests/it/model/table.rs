//! The queue's rules without a database: what each verb of `store/queue` does to a row, and nothing of how.

use std::collections::BTreeMap;

/// A time, in steps of which a lease takes [`LEASE`].
pub type Time = u8;
pub const LEASE: Time = 2;
/// After a failure an event comes back after so long.
pub const RETRY: Time = 1;

/// An event: its lane, and its place there.
pub type Event = (u8, u8);

/// What of the rules is in force. Without any one of them the promise does not hold: the tests show how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is left out by itself")]
pub struct Rules {
    /// Who ends a claim shows its epoch.
    pub fence: bool,
    /// A mail is begun and ends within the lease of its claim, and an intent is recorded within it.
    pub lease_guard: bool,
    /// Of each lane only the oldest event can be claimed.
    pub lanes: bool,
    /// Before a mail is handed over, that is recorded.
    pub intents: bool,
}

pub const ALL: Rules = Rules { fence: true, lease_guard: true, lanes: true, intents: true };

/// An event in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    pub due: Time,
    pub epoch: u8,
    pub claims: u8,
    pub is_begun: bool,
    pub holder: u8,
}

/// A claim of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    pub event: Event,
    pub epoch: u8,
}

/// How a claim ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The event leaves the queue.
    Sent,
    /// It comes back after [`RETRY`].
    Later,
    /// As if the claim had not been.
    GivenBack,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Table {
    pub rows: BTreeMap<Event, Row>,
}

impl Table {
    pub fn enqueue(&mut self, event: Event, now: Time) {
        let behind = self.lane(event.0).map(|(_, row)| row.due).max().unwrap_or(now);
        let row = Row { due: behind.max(now), epoch: 0, claims: 0, is_begun: false, holder: 0 };
        self.rows.insert(event, row);
    }

    fn lane(&self, lane: u8) -> impl Iterator<Item = (&Event, &Row)> {
        self.rows.range((lane, 0)..=(lane, u8::MAX))
    }

    fn is_head(&self, event: Event) -> bool {
        self.lane(event.0).next().is_some_and(|(head, _)| *head == event)
    }

    pub fn claimable(&self, now: Time, rules: Rules) -> Vec<Event> {
        let may = |(event, row): &(&Event, &Row)| row.due <= now && (!rules.lanes || self.is_head(**event));
        self.rows.iter().filter(may).map(|(event, _)| *event).collect()
    }

    /// The claim, and whether a mail was begun before it.
    pub fn claim(&mut self, event: Event, holder: u8, now: Time) -> (Claim, bool) {
        let row = self.rows.get_mut(&event).expect("claimable");
        *row = Row { due: now + LEASE, epoch: row.epoch + 1, claims: row.claims + 1, holder, ..*row };
        (Claim { event, epoch: row.epoch }, row.is_begun)
    }

    fn held(&mut self, claim: Claim, rules: Rules) -> Option<&mut Row> {
        self.rows.get_mut(&claim.event).filter(|row| row.epoch == claim.epoch || !rules.fence)
    }

    /// Whether the intent is recorded.
    pub fn hand_over(&mut self, claim: Claim, now: Time, rules: Rules) -> bool {
        let held = self.held(claim, rules).filter(|row| row.due > now || !rules.lease_guard);
        held.map(|row| row.is_begun = rules.intents).is_some()
    }

    /// Whether the lease is moved on.
    pub fn renew(&mut self, claim: Claim, now: Time, rules: Rules) -> bool {
        self.held(claim, rules).filter(|row| row.due > now).map(|row| row.due = now + LEASE).is_some()
    }

    /// Whether the claim was still held.
    pub fn finish(&mut self, claim: Claim, end: End, now: Time, rules: Rules) -> bool {
        let Some(row) = self.held(claim, rules) else { return false };
        let (event, epoch) = (claim.event, row.epoch + 1);
        match end {
            End::Sent => {
                self.rows.remove(&event);
                let next = self.rows.range_mut((event.0, 0)..=(event.0, u8::MAX)).next();
                if let Some((_, next)) = next.filter(|((_, place), next)| *place > event.1 && next.claims == 0) {
                    next.due = next.due.min(now);
                }
            }
            End::Later => {
                let due = now + RETRY;
                *row = Row { due, epoch, claims: 0, is_begun: false, holder: 0 };
                let behind = self.rows.range_mut((event.0, event.1 + 1)..=(event.0, u8::MAX));
                behind.for_each(|(_, row)| row.due = row.due.max(due));
            }
            End::GivenBack => {
                *row = Row { due: now, epoch, claims: row.claims.saturating_sub(1), is_begun: false, holder: 0 }
            }
        }
        true
    }

    /// A host is gone: its claims end, but where that is not certain those in which a mail was begun.
    pub fn take_over(&mut self, holder: u8, is_certain: bool, now: Time) {
        let theirs = self.rows.values_mut().filter(|row| row.holder == holder && row.due > now && row.claims > 0);
        theirs.filter(|row| is_certain || !row.is_begun).for_each(|row| row.due = now);
    }
}
