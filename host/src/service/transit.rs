//! Revisions that move from stage to stage, and the conditions for that.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plugins::{must_be_short, name};
use super::stage::{self, Move};
use super::{Change, Error, Operation, Principal, Service, Slot, SlotInfo};
use crate::store::plugins::{self, SlotRow};

/// How a canary's share grows while it does no worse than the active revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The shares that follow, rising, each 1 to 100.
    #[serde(default, deserialize_with = "crate::money::wholes")]
    pub steps: Vec<u32>,
    /// Whether it becomes active after the last.
    #[serde(default)]
    pub then_activate: bool,
}

/// The evidence that a move asks for: a replay that has ended well enough.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Require {
    /// Which replay, by the id of its operation.
    #[serde(deserialize_with = "crate::money::whole")]
    pub replay: i64,
    /// Of a hundred events, so many may have changed.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100)]
    pub changed_percent_max: f64,
    /// Events without a usable answer.
    #[serde(default, deserialize_with = "crate::money::whole")]
    pub faults_max: u64,
}

/// The conditions of a move.
#[derive(Clone, Debug, Default)]
pub struct Terms<'a> {
    /// How a canary grows.
    pub plan: Option<&'a Plan>,
    /// Without it, no move.
    pub require: Option<Require>,
    /// For the history.
    pub why: &'a str,
    /// The slot's version that the caller saw.
    pub expected: Option<i64>,
}

impl Service {
    /// Moves a revision to another stage. Where it is to serve, it is prepared before. `expected` is the slot's
    /// version. For operators.
    pub async fn move_revision(
        self: &Arc<Self>,
        who: Principal,
        id: i64,
        to: Move,
        terms: Terms<'_>,
    ) -> Result<SlotInfo, Error> {
        who.must_operate()?;
        let Terms { plan, require, why, expected } = terms;
        must_be_short(why)?;
        if let Some(require) = require {
            self.must_hold(who, id, require).await?;
        }
        if let Some(plan) = plan {
            let from = if let Move::Canary(percent) = to { percent } else { 0 };
            let shares = [&[from], plan.steps.as_slice()].concat();
            if from == 0 || !shares.is_sorted_by(|a, b| a < b) || shares.iter().any(|s| *s > 100) {
                let why = "a plan is a canary's, and its steps rise from the canary's first share to at most 100";
                return Err(Error::Conflict(why.to_owned()));
            }
        }
        let slot = self.transit(id, to, plan, why, &name(who), expected).await?;
        self.plugin_slot(who, slot)
    }

    /// Lets another revision serve at once: `to`, or the one before, or the built-in. For operators.
    pub async fn roll_back(
        self: &Arc<Self>,
        who: Principal,
        slot: Slot,
        to: Option<i64>,
        why: &str,
        expected: Option<i64>,
    ) -> Result<SlotInfo, Error> {
        who.must_operate()?;
        let row = self.slot_row(slot).await?;
        let builtin = self.plugins.routing().slot(slot).builtin.number;
        let to = to.or(row.previous).unwrap_or(builtin);
        let why = if why.is_empty() { "roll-back" } else { why };
        self.move_revision(who, to, Move::Activate, Terms { why, expected, ..Terms::default() }).await
    }

    async fn must_hold(&self, who: Principal, id: i64, require: Require) -> Result<(), Error> {
        let Operation { id: number, state, problem, replay, .. } = self.operation(who, require.replay).await?;
        let refuse = |why: String| Err(Error::Conflict(format!("replay {number}: {why}")));
        let Some(replay) = replay else { return refuse("it is no replay, or has not begun yet".to_owned()) };
        if replay.revision != id {
            return refuse(format!("it is of revision {}, not of {id}", replay.revision));
        }
        if state == "running" {
            return refuse("it has not ended yet".to_owned());
        }
        if state != "succeeded" {
            return refuse(format!("it ended early: {}", problem.map_or(state, |p| p.detail)));
        }
        let routing = self.plugins.routing();
        if Slot::ALL.into_iter().all(|slot| routing.slot(slot).active.number != replay.baseline) {
            return refuse(format!("it compares with revision {}, which is not active any more", replay.baseline));
        }
        if replay.events == replay.unreadable {
            return refuse("it saw no event, so it shows nothing".to_owned());
        }
        if replay.faults > require.faults_max {
            return refuse(format!("{} events had no usable answer, {} may", replay.faults, require.faults_max));
        }
        if replay.changed_percent > require.changed_percent_max {
            let (changed, most) = (replay.changed_percent, require.changed_percent_max);
            return refuse(format!("{changed:.2} % of the events changed, {most:.2} % may"));
        }
        Ok(())
    }

    pub(super) async fn slot_row(&self, slot: Slot) -> Result<SlotRow, Error> {
        let row = self.store.slots().await?.into_iter().find(|row| row.slot == slot.as_str());
        row.ok_or(Error::NotFound("slot"))
    }

    /// Writes a move down and follows it in this host; other hosts follow within their poll.
    pub(super) async fn transit(
        self: &Arc<Self>,
        id: i64,
        to: Move,
        plan: Option<&Plan>,
        why: &str,
        by: &str,
        expected: Option<i64>,
    ) -> Result<Slot, Error> {
        let row = self.store.revision(id).await?.ok_or(Error::NotFound("revision"))?;
        let revision = match to {
            // What is to go needs not be able to serve.
            Move::Retire | Move::Quarantine => None,
            _ => Some(self.prepared_to_serve(id).await?),
        };
        let mut tx = self.store.begin().await?;
        let slot = plugins::lock_slot(&mut tx, &row.slot).await?;
        super::must_match(expected, slot.version)?;
        // Under the lock: what was read before may have been quarantined or forgotten since.
        let idle_stage = plugins::idle_stage(&mut tx, id).await?;
        if revision.is_some() && !plugins::has_component(&mut tx, &row.digest).await? {
            return Err(forgotten(id));
        }
        let (mut next, idled) = stage::apply(&slot, id, &idle_stage, to).map_err(Error::Conflict)?;
        next.changed_at = self.clock.now_ms();
        if let Some(plan) = plan {
            next.plan = serde_json::to_string(plan).unwrap_or_default();
        }
        plugins::write_slot(&mut tx, &next).await?;
        for (id, idle_stage) in idled {
            plugins::set_idle_stage(&mut tx, id, idle_stage, why).await?;
        }
        let change = Change {
            id: 0,
            slot: next.slot.clone(),
            version: next.version,
            revision: Some(id),
            action: to.as_str().to_owned(),
            percent: next.percent,
            why: why.to_owned(),
            created_at: next.changed_at,
            created_by: by.to_owned(),
        };
        plugins::note(&mut tx, &change).await?;
        tx.commit().await?;
        drop(revision);
        let slot = Slot::ALL.into_iter().find(|s| s.as_str() == row.slot).ok_or(Error::NotFound("slot"))?;
        match (self.follow(slot, &next).await, to) {
            // It went; who comes instead is another matter, and named where this host's preparations are.
            (Err(e), Move::Retire | Move::Quarantine) => {
                tracing::warn!(error = %e, "{slot}: who serves instead cannot be prepared here");
                Ok(slot)
            }
            (followed, _) => followed.map(|()| slot),
        }
    }
}

/// A revision of which the component is not kept any more.
pub(super) fn forgotten(id: i64) -> Error {
    let why = "its component has been forgotten (retention.components_days); upload and install it again";
    Error::Conflict(format!("revision {id} cannot serve: {why}"))
}
