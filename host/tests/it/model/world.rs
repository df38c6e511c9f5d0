//! Two hosts at work on the queue's rules, a relay, and all that may happen between any two of their steps: time passes, a host
//! is killed, an answer is lost. A host that does nothing while others work is one that is stopped, or whose network is slow.

use std::collections::BTreeMap;

use stateright::{Model, Property};

use super::table::{Claim, End, Event, LEASE, Rules, Table, Time};

const HOSTS: u8 = 2;

/// How much may happen.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub rules: Rules,
    pub lanes: u8,
    /// Events of a lane.
    pub places: u8,
    /// Hosts killed, answers lost and refusals.
    pub faults: u8,
    /// How long all of it may take.
    pub time: Time,
}

/// How far a host has got with the event that it has claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Claimed,
    /// The claim found an intent: the mail may have arrived.
    FoundBegun,
    /// The intent is recorded.
    Begun,
    /// The relay took the mail and said so.
    Taken,
    /// The relay refused it for now.
    Refused,
    /// The relay's answer did not come.
    Unanswered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    claim: Claim,
    /// Until when the host reckons with its lease.
    lease_until: Time,
    stage: Stage,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct World {
    now: Time,
    pub table: Table,
    enqueued: Vec<u8>,
    hosts: Vec<Option<Work>>,
    /// What the relay took, in order.
    taken: Vec<Event>,
    /// How often the journal has an event as in doubt.
    doubts: BTreeMap<Event, u8>,
    sent: Vec<Event>,
    faults: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    TimePasses,
    Enqueue(u8),
    Claim(u8, Event),
    RecordIntent(u8),
    /// It is recorded, and the host does not hear of it.
    RecordIntentUnheard(u8),
    Renew(u8),
    GiveBack(u8),
    RelayTakes(u8),
    RelayTakesUnheard(u8),
    RelayRefuses(u8),
    RecordEnd(u8),
    Kill(u8),
    /// Another host sees that it is gone.
    TakeOver(u8),
}

impl Step {
    /// Whose it is; none: nobody's, or what is done to a host.
    pub fn host(&self) -> Option<u8> {
        match *self {
            Self::Claim(host, _)
            | Self::RecordIntent(host)
            | Self::RecordIntentUnheard(host)
            | Self::Renew(host)
            | Self::GiveBack(host)
            | Self::RelayTakes(host)
            | Self::RelayTakesUnheard(host)
            | Self::RelayRefuses(host)
            | Self::RecordEnd(host) => Some(host),
            Self::TimePasses | Self::Enqueue(_) | Self::Kill(_) | Self::TakeOver(_) => None,
        }
    }
}

impl Bounds {
    fn steps(&self, world: &World, host: u8, steps: &mut Vec<Step>) {
        let may_fail = world.faults < self.faults;
        let Some(work) = world.hosts[usize::from(host)] else {
            steps
                .extend(world.table.claimable(world.now, self.rules).into_iter().map(|event| Step::Claim(host, event)));
            // There is no telling a host that was killed from one that waits: to be taken over harms neither.
            if world.table.rows.values().any(|row| row.holder == host + 1 && row.due > world.now) {
                steps.push(Step::TakeOver(host));
            }
            return;
        };
        match work.stage {
            Stage::Claimed => {
                steps.extend([Step::RecordIntent(host), Step::GiveBack(host), Step::Renew(host)]);
                if may_fail {
                    steps.push(Step::RecordIntentUnheard(host));
                }
            }
            Stage::Begun => {
                // What was begun within the lease ends within it: the deadline of the hand-over says so.
                if world.now < work.lease_until || !self.rules.lease_guard {
                    steps.push(Step::RelayTakes(host));
                    if may_fail {
                        steps.extend([Step::RelayTakesUnheard(host), Step::RelayRefuses(host)]);
                    }
                } else {
                    steps.push(Step::GiveBack(host));
                }
            }
            Stage::FoundBegun | Stage::Taken | Stage::Refused | Stage::Unanswered => steps.push(Step::RecordEnd(host)),
        }
        if may_fail {
            steps.push(Step::Kill(host));
        }
    }

    fn host_steps(&self, world: &mut World, step: &Step) {
        let (now, rules) = (world.now, self.rules);
        let Some(host) = step.host() else { return };
        let at = usize::from(host);
        if let Step::Claim(_, event) = *step {
            let (claim, is_begun) = world.table.claim(event, host + 1, now);
            let stage = if is_begun { Stage::FoundBegun } else { Stage::Claimed };
            world.hosts[at] = Some(Work { claim, lease_until: now + LEASE, stage });
            return;
        }
        let Some(work) = world.hosts[at] else { return };
        let claim = work.claim;
        let stage = |stage| Some(Work { stage, ..work });
        world.hosts[at] = match step {
            Step::RecordIntent(_) if world.table.hand_over(claim, now, rules) => stage(Stage::Begun),
            Step::RecordIntentUnheard(_) => {
                world.table.hand_over(claim, now, rules);
                world.faults += 1;
                None
            }
            Step::Renew(_) if world.table.renew(claim, now, rules) => Some(Work { lease_until: now + LEASE, ..work }),
            Step::GiveBack(_) => {
                world.table.finish(claim, End::GivenBack, now, rules);
                None
            }
            Step::RelayTakes(_) => {
                world.taken.push(claim.event);
                stage(Stage::Taken)
            }
            Step::RelayTakesUnheard(_) => {
                world.taken.push(claim.event);
                world.faults += 1;
                stage(Stage::Unanswered)
            }
            Step::RelayRefuses(_) => {
                world.faults += 1;
                stage(Stage::Refused)
            }
            Step::RecordEnd(_) => {
                record_end(world, work, rules);
                None
            }
            _ => None,
        };
    }
}

fn record_end(world: &mut World, work: Work, rules: Rules) {
    let end = if work.stage == Stage::Taken { End::Sent } else { End::Later };
    if !world.table.finish(work.claim, end, world.now, rules) {
        return;
    }
    match work.stage {
        Stage::Taken => world.sent.push(work.claim.event),
        Stage::FoundBegun | Stage::Unanswered => *world.doubts.entry(work.claim.event).or_default() += 1,
        _ => {}
    }
}

impl Model for Bounds {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let hosts = vec![None; usize::from(HOSTS)];
        vec![World { enqueued: vec![0; usize::from(self.lanes)], hosts, ..World::default() }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let has_room = |lane: &u8| world.enqueued[usize::from(*lane)] < self.places;
        steps.extend((0..self.lanes).filter(has_room).map(Step::Enqueue));
        (0..HOSTS).for_each(|host| self.steps(world, host, steps));
        if world.now < self.time {
            steps.push(Step::TimePasses);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        match step {
            Step::TimePasses => next.now += 1,
            Step::Enqueue(lane) => {
                let place = &mut next.enqueued[usize::from(lane)];
                *place += 1;
                let event = (lane, *place);
                next.table.enqueue(event, next.now);
            }
            Step::Kill(host) => {
                next.hosts[usize::from(host)] = None;
                next.faults += 1;
            }
            Step::TakeOver(host) => next.table.take_over(host + 1, true, next.now),
            ref step => self.host_steps(&mut next, step),
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no mail overtakes one before it in its lane", |_, world: &World| {
                before_any_later(world, |taken, event| taken.iter().position(|t| *t == event))
            }),
            Property::always("no mail arrives again after a later one", |_, world: &World| {
                before_any_later(world, |taken, event| taken.iter().rposition(|t| *t == event))
            }),
            Property::always("what arrives again was in doubt", |_, world: &World| {
                let copies = |event: &Event| world.taken.iter().filter(|t| *t == event).count();
                let doubts = |event: &Event| usize::from(world.doubts.get(event).copied().unwrap_or_default());
                world.taken.iter().all(|event| copies(event) <= 1 + doubts(event))
            }),
            Property::always("what is sent has arrived", |_, world: &World| {
                world.sent.iter().all(|e| world.taken.contains(e))
            }),
            Property::always("nothing leaves the queue unsent", |bounds: &Self, world: &World| {
                let events = (0..bounds.lanes)
                    .flat_map(|lane| (1..=world.enqueued[usize::from(lane)]).map(move |place| (lane, place)));
                events.into_iter().all(|e| world.table.rows.contains_key(&e) || world.sent.contains(&e))
            }),
            Property::always("the next in a lane does not wait", |_, world: &World| {
                let heads = world.table.rows.iter().filter(|((lane, place), _)| {
                    !world.table.rows.keys().any(|(other, before)| other == lane && before < place)
                });
                heads.into_iter().all(|(_, row)| row.epoch > 0 || row.due <= world.now)
            }),
            Property::sometimes("all is sent, and something arrived again", |bounds: &Self, world: &World| {
                let all = usize::from(bounds.lanes * bounds.places);
                world.sent.len() == all && world.taken.len() > all
            }),
        ]
    }
}

/// Whether that arrival of each event came before any of a later one of its lane.
fn before_any_later(world: &World, arrival: fn(&[Event], Event) -> Option<usize>) -> bool {
    let taken = &world.taken;
    taken.iter().all(|event| {
        let later = taken.iter().position(|t| t.0 == event.0 && t.1 > event.1);
        later.is_none_or(|later| arrival(taken, *event).is_some_and(|at| at < later))
    })
}
