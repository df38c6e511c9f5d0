//! What keeps its mails in order, and which mails go before others.

/// The mails of one lane go out one after the other, in the order of what they announce. The store knows a lane by a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The changes of the order of this number.
    Order(i64),
    /// What happens to the account of this user.
    Account(i64),
    /// What this user asked to be told of products.
    Products(i64),
}

impl Lane {
    /// The user whom it is about, where it is not about an order.
    pub fn user(self) -> Option<i64> {
        match self {
            Self::Order(_) => None,
            Self::Account(user) | Self::Products(user) => Some(user),
        }
    }

    /// The order that it is about.
    pub fn order(self) -> Option<i64> {
        match self {
            Self::Order(order) => Some(order),
            Self::Account(_) | Self::Products(_) => None,
        }
    }

    /// The lanes of a user that are not those of orders.
    pub fn of_user(user: i64) -> [i64; 2] {
        [Self::Account(user).into(), Self::Products(user).into()]
    }
}

/// Databases number orders and users from 1 on: below 0 there is room for two lanes of each user.
impl From<Lane> for i64 {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Order(order) => order,
            Lane::Account(user) => user.saturating_mul(-2),
            Lane::Products(user) => user.saturating_mul(-2).saturating_sub(1),
        }
    }
}

impl From<i64> for Lane {
    fn from(number: i64) -> Self {
        match number {
            0.. => Self::Order(number),
            _ if number % 2 == 0 => Self::Account(-(number / 2)),
            _ => Self::Products(-(number / 2)),
        }
    }
}

/// How soon a mail is to be claimed while others wait. The store knows it by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody waits for it: kinds "account.…".
    Urgent,
    /// Kinds "order.…".
    Ordinary,
    /// Anything else: it goes to many, and nobody waits for it.
    Bulk,
}

impl Urgency {
    /// The most urgent first.
    pub const ALL: [Self; 3] = [Self::Urgent, Self::Ordinary, Self::Bulk];

    /// Of a kind of notifications.
    pub fn of(kind: &str) -> Self {
        match kind.split_once('.') {
            Some(("account", _)) => Self::Urgent,
            Some(("order", _)) => Self::Ordinary,
            _ => Self::Bulk,
        }
    }

    /// Its number in the store.
    pub fn number(self) -> i64 {
        match self {
            Self::Urgent => 0,
            Self::Ordinary => 1,
            Self::Bulk => 2,
        }
    }
}

/// How many of each urgency a claim takes while all of them wait: of 21 mails 16, 4 and 1. What one leaves the others take,
/// the most urgent first. None waits for ever: smooth weighted round robin, as nginx chooses its servers.
#[derive(Clone, Debug, Default)]
pub struct Portions {
    credits: [i64; 3],
}

const WEIGHTS: [i64; 3] = [16, 4, 1];

impl Portions {
    /// The portions of a claim of `limit` events: together as many.
    pub fn next(&mut self, limit: i64) -> [i64; 3] {
        let mut portions = [0; 3];
        for _ in 0..limit {
            for (credit, weight) in self.credits.iter_mut().zip(WEIGHTS) {
                *credit += weight;
            }
            let most = (0..3).max_by_key(|i| (self.credits[*i], 3 - i)).unwrap_or_default();
            self.credits[most] -= WEIGHTS.iter().sum::<i64>();
            portions[most] += 1;
        }
        portions
    }
}

#[cfg(test)]
mod tests {
    use super::{Lane, Portions, Urgency};

    #[test]
    fn a_lane_is_known_by_its_number() {
        for lane in [Lane::Order(1), Lane::Order(i64::MAX), Lane::Account(1), Lane::Products(1), Lane::Account(7)] {
            assert_eq!(Lane::from(i64::from(lane)), lane);
        }
        let numbers: std::collections::BTreeSet<i64> = (1..100).flat_map(Lane::of_user).collect();
        assert_eq!(numbers.len(), 2 * 99);
        assert!(numbers.iter().all(|number| *number < 0));
    }

    #[test]
    fn all_get_their_portion_however_small_the_claims() {
        for limit in [1, 3, 7, 64] {
            let (mut portions, mut sums) = (Portions::default(), [0; 3]);
            for _ in 0..210 {
                let next = portions.next(limit);
                assert_eq!(next.iter().sum::<i64>(), limit);
                sums = [sums[0] + next[0], sums[1] + next[1], sums[2] + next[2]];
            }
            assert_eq!(sums, [160 * limit, 40 * limit, 10 * limit]);
        }
    }

    #[test]
    fn accounts_are_urgent_and_what_is_not_known_is_not() {
        let of = |kind| Urgency::of(kind).number();
        assert_eq!(
            [of("account.reset-password"), of("order.placed"), of("product.back-in-stock"), of("x")],
            [0, 1, 2, 2]
        );
        assert_eq!(Urgency::ALL.map(Urgency::number), [0, 1, 2]);
    }
}
