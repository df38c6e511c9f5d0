//! Who serves what: one immutable value, replaced as a whole.

use std::sync::Arc;

use super::health::Counts;
use super::{Revision, Slot};

/// A revision that serves a part of the orders.
#[derive(Clone, Debug)]
pub struct Canary {
    /// Which.
    pub revision: Arc<Revision>,
    /// Of a hundred orders, so many.
    pub percent: u32,
    /// Where its counts and the active revision's stood when this step began.
    pub(crate) began: (Counts, Counts),
    /// When the step began, in monotonic milliseconds of this host.
    pub(crate) began_ms: i64,
}

/// Who serves a slot, who tries to, and who stands in.
#[derive(Clone, Debug)]
pub struct Lineage {
    /// The version of the slot that this is.
    pub version: i64,
    /// Serves.
    pub active: Arc<Revision>,
    /// Served before.
    pub last_good: Option<Arc<Revision>>,
    /// Came with the host.
    pub builtin: Arc<Revision>,
    /// Serves a part.
    pub canary: Option<Canary>,
    /// Sees live events and answers nobody.
    pub shadow: Option<Arc<Revision>>,
}

impl Lineage {
    /// The built-in alone.
    pub(crate) fn of_builtin(builtin: Arc<Revision>) -> Self {
        Self { version: 0, active: builtin.clone(), last_good: None, builtin, canary: None, shadow: None }
    }

    /// Who is asked about an order, in turn, none twice.
    pub(crate) fn in_order(&self, order_id: i64) -> impl Iterator<Item = &Arc<Revision>> {
        let canary = self.canary.as_ref().filter(|c| share(order_id, c.revision.number) < c.percent);
        let canary = canary.map(|c| &c.revision);
        let turns = [canary, Some(&self.active), self.last_good.as_ref(), Some(&self.builtin)];
        let first_turn = move |turn: usize| {
            turns[turn].filter(|one| turns[..turn].iter().flatten().all(|before| before.number != one.number))
        };
        (0..turns.len()).filter_map(first_turn)
    }
}

/// Which of a hundred parts an order belongs to for this candidate: the same on every host, another for the next.
fn share(order_id: i64, candidate: i64) -> u32 {
    // The finaliser of MurmurHash3 (public domain): neighbours fall far apart.
    let mut h = order_id.cast_unsigned() ^ candidate.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    u32::try_from((h ^ (h >> 33)) % 100).unwrap_or_default()
}

/// Who serves what; replaced as a whole.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Writes the mails.
    pub renderer: Lineage,
    /// Decides about sending.
    pub policy: Lineage,
}

impl Routing {
    /// A slot's share of it.
    pub fn slot(&self, slot: Slot) -> &Lineage {
        match slot {
            Slot::Renderer => &self.renderer,
            Slot::Policy => &self.policy,
        }
    }

    pub(crate) fn slot_mut(&mut self, slot: Slot) -> &mut Lineage {
        match slot {
            Slot::Renderer => &mut self.renderer,
            Slot::Policy => &mut self.policy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_are_even_and_stick() {
        let mut parts = [0_u32; 100];
        for order in 0..100_000 {
            parts[share(order, 7) as usize] += 1;
            assert_eq!(share(order, 7), share(order, 7));
        }
        assert!(parts.iter().all(|n| (850..1_150).contains(n)), "{parts:?}");
        let both = (0..10_000).filter(|o| share(*o, 7) < 10 && share(*o, 8) < 10).count();
        assert!((50..150).contains(&both), "one candidate's orders are not the next one's: {both}");
    }
}
