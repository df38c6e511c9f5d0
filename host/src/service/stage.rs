//! From which stage to which a revision may go: pure, over the row of its slot.

use crate::store::plugins::SlotRow;

/// What is to become of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It sees live events and answers nobody.
    Shadow,
    /// It serves so many of a hundred orders.
    Canary(u32),
    /// It serves all.
    Activate,
    /// It serves nowhere any more, and may come back.
    Retire,
    /// It serves nowhere any more, and may not come back.
    Quarantine,
}

impl Move {
    /// The word for the history.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary(_) => "canary",
            Self::Activate => "activate",
            Self::Retire => "retire",
            Self::Quarantine => "quarantine",
        }
    }
}

/// Where a revision is.
pub fn stage<'a>(slot: &SlotRow, id: i64, idle_stage: &'a str) -> &'a str {
    match Some(id) {
        id if id == slot.active => "active",
        id if id == slot.canary => "canary",
        id if id == slot.shadow => "shadow",
        _ => idle_stage,
    }
}

/// What a revision is from then on when it serves nowhere.
pub(crate) type IdleStage = (i64, &'static str);

/// The slot after the move, and the idle stages of others from then on; or why not.
pub(crate) fn apply(slot: &SlotRow, id: i64, idle_stage: &str, to: Move) -> Result<(SlotRow, Vec<IdleStage>), String> {
    let mut next = SlotRow { version: slot.version + 1, ..slot.clone() };
    let mut idled = Vec::new();
    let now = stage(slot, id, idle_stage);
    if idle_stage == "quarantined" {
        return Err(format!("revision {id} is quarantined; install it again to have it tried again"));
    }
    let serves = Some(id);
    if next.canary == serves {
        (next.canary, next.percent) = (None, 0);
        next.plan.clear();
    }
    if next.shadow == serves {
        next.shadow = None;
    }
    match to {
        Move::Shadow | Move::Canary(_) if now == "active" => {
            return Err(format!("revision {id} is active; it cannot be its own candidate"));
        }
        Move::Shadow => next.shadow = serves,
        Move::Canary(percent) if !(1..=100).contains(&percent) => {
            return Err("a canary serves 1 to 100 of a hundred orders".to_owned());
        }
        Move::Canary(percent) => {
            (next.canary, next.percent) = (serves, percent.into());
            next.plan.clear();
        }
        Move::Activate if now == "active" => return Err(format!("revision {id} is active already")),
        Move::Activate => {
            idled.extend(slot.active.map(|old| (old, "retired")));
            next.previous = slot.active;
            next.active = serves;
        }
        Move::Retire if now == "active" => {
            return Err(format!("revision {id} is active; activate another or roll back instead"));
        }
        Move::Retire => idled.push((id, "retired")),
        Move::Quarantine => {
            if now == "active" {
                next.active = slot.previous;
                next.previous = None;
            }
            idled.push((id, "quarantined"));
        }
    }
    if to == Move::Quarantine && next.previous == serves {
        next.previous = None;
    }
    Ok((next, idled))
}

#[cfg(test)]
mod tests {
    use super::{Move, apply, stage};
    use crate::store::plugins::SlotRow;

    fn slot(active: Option<i64>, previous: Option<i64>, shadow: Option<i64>, canary: Option<i64>) -> SlotRow {
        SlotRow {
            slot: "renderer".to_owned(),
            version: 1,
            active,
            previous,
            shadow,
            canary,
            percent: if canary.is_some() { 10 } else { 0 },
            plan: String::new(),
            changed_at: 0,
        }
    }

    /// Active, previous, shadow, canary and its share after a move of revision 7.
    fn moved(from: &SlotRow, idle_stage: &str, to: Move) -> Result<[Option<i64>; 5], String> {
        let (next, _) = apply(from, 7, idle_stage, to)?;
        assert_eq!(next.version, from.version + 1);
        Ok([next.active, next.previous, next.shadow, next.canary, Some(next.percent)])
    }

    #[test]
    fn a_revision_walks_through_every_stage() {
        let fresh = slot(Some(3), None, None, None);
        assert_eq!(moved(&fresh, "ready", Move::Shadow), Ok([Some(3), None, Some(7), None, Some(0)]));
        let shadowed = slot(Some(3), None, Some(7), None);
        assert_eq!(moved(&shadowed, "ready", Move::Canary(5)), Ok([Some(3), None, None, Some(7), Some(5)]));
        let canary = slot(Some(3), None, None, Some(7));
        assert_eq!(moved(&canary, "ready", Move::Canary(50)), Ok([Some(3), None, None, Some(7), Some(50)]));
        assert_eq!(moved(&canary, "ready", Move::Activate), Ok([Some(7), Some(3), None, None, Some(0)]));
        assert_eq!(moved(&canary, "ready", Move::Quarantine), Ok([Some(3), None, None, None, Some(0)]));
        assert_eq!(moved(&canary, "ready", Move::Retire), Ok([Some(3), None, None, None, Some(0)]));
        let (_, idled) = apply(&canary, 7, "ready", Move::Activate).expect("it may");
        assert_eq!(idled, [(3, "retired")]);
        assert_eq!(
            ["active", "canary", "ready"].map(str::to_owned),
            [3, 7, 9].map(|id| stage(&canary, id, "ready").to_owned())
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let active = slot(Some(7), Some(3), None, None);
        for to in [Move::Shadow, Move::Canary(1), Move::Activate, Move::Retire] {
            assert!(moved(&active, "ready", to).is_err(), "{to:?}");
        }
        let fresh = slot(None, None, None, None);
        for percent in [0, 101] {
            assert!(moved(&fresh, "ready", Move::Canary(percent)).is_err());
        }
        for to in [Move::Shadow, Move::Canary(1), Move::Activate] {
            assert!(moved(&fresh, "quarantined", to).is_err(), "{to:?}");
        }
    }

    #[test]
    fn a_quarantined_active_revision_hands_over_to_the_one_before() {
        let active = slot(Some(7), Some(3), None, None);
        assert_eq!(moved(&active, "ready", Move::Quarantine), Ok([Some(3), None, None, None, Some(0)]));
        let previous = slot(Some(9), Some(7), None, None);
        assert_eq!(moved(&previous, "ready", Move::Quarantine), Ok([Some(9), None, None, None, Some(0)]));
    }
}
