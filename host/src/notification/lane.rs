//! What keeps its mails in order, and which mails go before others.

/// The mails of one lane go out one after the other, in the order of what they announce. The store knows a lane by a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The changes of the order of this number.
    Order(i64),
    /// What happens to the account of this user.
    Account(i64),
    /// What else is for this user: of products that they asked about, and what goes to an address that is not, or not any more,
    /// their account's.
    Beside(i64),
    /// What a webhook's endpoint is sent of an order, or of none: of tests.
    Endpoint {
        /// The endpoint.
        endpoint: i64,
        /// The order; 0: none.
        order: i64,
    },
}

/// The lowest number of a lane of mails. Below it are the lanes of endpoints: room for 2^22 of them, each with 2^40 orders.
pub const MAIL_LANES_FROM: i64 = -(1 << 62);
const ORDER_BITS: u32 = 40;
/// The highest number of an endpoint that has lanes.
pub const ENDPOINT_ID_MAX: i64 = (1 << 22) - 1;
/// The highest number of an order that has a lane at each endpoint.
pub const ENDPOINT_ORDER_ID_MAX: i64 = (1 << ORDER_BITS) - 1;

impl Lane {
    /// The user whom it is about, where it is not about an order.
    pub fn user(self) -> Option<i64> {
        match self {
            Self::Order(_) | Self::Endpoint { .. } => None,
            Self::Account(user) | Self::Beside(user) => Some(user),
        }
    }

    /// The order that it is about.
    pub fn order(self) -> Option<i64> {
        match self {
            Self::Order(order) => Some(order),
            Self::Endpoint { order, .. } => Some(order).filter(|order| *order > 0),
            Self::Account(_) | Self::Beside(_) => None,
        }
    }

    /// The endpoint that is sent it, if it is no mail.
    pub fn endpoint(self) -> Option<i64> {
        match self {
            Self::Endpoint { endpoint, .. } => Some(endpoint),
            Self::Order(_) | Self::Account(_) | Self::Beside(_) => None,
        }
    }

    /// The first and the last number of the lanes of an endpoint.
    pub fn of_endpoint(endpoint: i64) -> (i64, i64) {
        let number = |order| Self::Endpoint { endpoint, order }.into();
        (number(ENDPOINT_ORDER_ID_MAX), number(0))
    }

    /// The lanes of a user that are not those of orders.
    pub fn of_user(user: i64) -> [i64; 2] {
        [Self::Account(user).into(), Self::Beside(user).into()]
    }
}

/// Databases number orders and users from 1 on: below 0 there is room for two lanes of each user, and below those for lanes of
/// endpoints.
impl From<Lane> for i64 {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Order(order) => order,
            Lane::Account(user) => user.saturating_mul(-2),
            Lane::Beside(user) => user.saturating_mul(-2).saturating_sub(1),
            Lane::Endpoint { endpoint, order } => {
                let (endpoint, order) = (endpoint.clamp(0, ENDPOINT_ID_MAX), order.clamp(0, ENDPOINT_ORDER_ID_MAX));
                MAIL_LANES_FROM - 1 - ((endpoint << ORDER_BITS) | order)
            }
        }
    }
}

impl From<i64> for Lane {
    fn from(number: i64) -> Self {
        match number {
            0.. => Self::Order(number),
            ..MAIL_LANES_FROM => {
                let place = MAIL_LANES_FROM - 1 - number;
                Self::Endpoint { endpoint: place >> ORDER_BITS, order: place & ENDPOINT_ORDER_ID_MAX }
            }
            _ if number % 2 == 0 => Self::Account(-(number / 2)),
            _ => Self::Beside(-(number / 2)),
        }
    }
}

/// How many urgencies there are.
pub const URGENCIES: usize = 4;

/// How soon a mail is to be claimed while others wait. The store knows it by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody waits for it: kinds "account.…".
    Urgent,
    /// Kinds "order.…".
    Ordinary,
    /// Anything else: it goes to many, and nobody waits for it.
    Bulk,
    /// What endpoints of webhooks are sent, whatever its kind. Hosts of before there were any do not claim it.
    Request,
}

impl Urgency {
    /// The most urgent first.
    pub const ALL: [Self; URGENCIES] = [Self::Urgent, Self::Ordinary, Self::Bulk, Self::Request];

    /// Of a kind of notifications, in a lane.
    pub fn of(lane: Lane, kind: &str) -> Self {
        if lane.endpoint().is_some() {
            return Self::Request;
        }
        match kind.split_once('.') {
            Some(("account", _)) => Self::Urgent,
            Some(("order", _)) => Self::Ordinary,
            _ => Self::Bulk,
        }
    }

    /// Its number in the store.
    pub fn number(self) -> i64 {
        self as i64
    }

    /// The one of a number; what is not known is nothing that somebody waits for.
    pub fn numbered(number: i64) -> Self {
        Self::ALL.into_iter().find(|urgency| urgency.number() == number).unwrap_or(Self::Bulk)
    }

    /// Its place in [`ALL`](Self::ALL).
    pub fn place(self) -> usize {
        self as usize
    }
}

/// How many of each urgency a claim asks for. Of those that wait 16, 4, 1 and 4 of 25, by smooth weighted round robin, as nginx
/// chooses its servers; an urgency that did not fill its last portion leaves it to the others but for one place, by which it is
/// seen when it waits again. So none waits for ever, and no place stays empty for long. While claims are filled, and so come one
/// after the other, what nobody waits for is looked for in few of them: each look costs.
#[derive(Clone, Debug, Default)]
pub struct Portions {
    credits: [i64; URGENCIES],
    waits: [bool; URGENCIES],
    /// The last claim was filled.
    is_busy: bool,
    /// In how many claims it was not looked for.
    left_out: [u32; URGENCIES],
}

const WEIGHTS: [i64; URGENCIES] = [16, 4, 1, 4];
/// What is found to be empty is left out of at most so many claims.
const LEFT_OUT_MAX: [u32; URGENCIES] = [0, 0, 3, 3];

impl Portions {
    /// What a claim of `limit` events asks for, together as many; where there are not enough of them for one of each, several
    /// claims, to be made until the limit is reached.
    pub fn next(&mut self, limit: i64) -> Vec<[i64; URGENCIES]> {
        if limit < 4 {
            let first = self.choose([true; URGENCIES]);
            let rest = (0..URGENCIES).filter(|i| *i != first);
            return std::iter::once(first)
                .chain(rest)
                .map(|i| std::array::from_fn(|j| if i == j { limit } else { 0 }))
                .collect();
        }
        let waits = if self.waits == [false; URGENCIES] { [false, true, false, false] } else { self.waits };
        let looked_for: [bool; URGENCIES] = std::array::from_fn(|i| waits[i] || !self.leaves_out(i));
        let mut portions = std::array::from_fn(|i| i64::from(looked_for[i] && !waits[i]));
        for _ in 0..limit - portions.iter().sum::<i64>() {
            portions[self.choose(waits)] += 1;
        }
        // Each is asked for, also one whose turn did not come.
        for i in 0..URGENCIES {
            if portions[i] == 0 && looked_for[i] {
                let most = (0..URGENCIES).max_by_key(|i| portions[*i]).unwrap_or_default();
                portions[most] -= 1;
                portions[i] += 1;
            }
        }
        vec![portions]
    }

    /// What came of a claim; true when more may be due.
    pub fn saw(&mut self, asked: [i64; URGENCIES], got: impl IntoIterator<Item = Urgency>) -> bool {
        let mut left = asked;
        for urgency in got {
            left[urgency.place()] -= 1;
        }
        for i in 0..URGENCIES {
            if asked[i] > 0 {
                self.waits[i] = left[i] <= 0;
            }
        }
        self.is_busy = (0..URGENCIES).any(|i| asked[i] > 0 && left[i] <= 0);
        self.is_busy
    }

    /// Whether one that is empty is left out of this claim.
    fn leaves_out(&mut self, urgency: usize) -> bool {
        let is_left_out = self.is_busy && self.left_out[urgency] < LEFT_OUT_MAX[urgency];
        self.left_out[urgency] = if is_left_out { self.left_out[urgency] + 1 } else { 0 };
        is_left_out
    }

    fn choose(&mut self, among: [bool; URGENCIES]) -> usize {
        for i in (0..URGENCIES).filter(|i| among[*i]) {
            self.credits[i] += WEIGHTS[i];
        }
        let chosen = (0..URGENCIES).filter(|i| among[*i]).max_by_key(|i| (self.credits[*i], URGENCIES - i));
        let most = chosen.unwrap_or_default();
        self.credits[most] -= (0..URGENCIES).filter(|i| among[*i]).map(|i| WEIGHTS[i]).sum::<i64>();
        most
    }
}

#[cfg(test)]
mod tests {
    use super::{ENDPOINT_ID_MAX, ENDPOINT_ORDER_ID_MAX, Lane, Portions, URGENCIES, Urgency, WEIGHTS};

    #[test]
    fn a_lane_is_known_by_its_number() {
        let endpoint = |endpoint, order| Lane::Endpoint { endpoint, order };
        let most = (1_i64 << 61) - 1;
        for lane in [
            Lane::Order(1),
            Lane::Order(i64::MAX),
            Lane::Account(1),
            Lane::Beside(1),
            Lane::Account(7),
            Lane::Beside(most),
            endpoint(1, 0),
            endpoint(1, ENDPOINT_ORDER_ID_MAX),
            endpoint(2, 7),
            endpoint(ENDPOINT_ID_MAX, ENDPOINT_ORDER_ID_MAX),
        ] {
            assert_eq!(Lane::from(i64::from(lane)), lane);
        }
        let (first, last) = Lane::of_endpoint(2);
        let within = |lane: Lane| (first..=last).contains(&lane.into());
        assert!(within(endpoint(2, 0)) && within(endpoint(2, ENDPOINT_ORDER_ID_MAX)));
        assert!(!within(endpoint(1, 0)) && !within(endpoint(3, ENDPOINT_ORDER_ID_MAX)));
        let numbers: std::collections::BTreeSet<i64> = (1..100).flat_map(Lane::of_user).collect();
        assert_eq!(numbers.len(), 2 * 99);
        assert!(numbers.iter().all(|number| *number < 0));
    }

    /// Claims from endless queues of some urgencies; how many of each came.
    fn claimed(endless: [bool; URGENCIES], limit: i64, rounds: usize) -> [i64; URGENCIES] {
        let (mut portions, mut sums) = (Portions::default(), [0; URGENCIES]);
        for _ in 0..rounds {
            let mut room = limit;
            for asked in portions.next(limit) {
                assert!(asked.iter().sum::<i64>() == limit && asked.iter().all(|n| *n >= 0), "{asked:?}");
                let got: Vec<usize> = (0..URGENCIES).filter(|i| endless[*i]).collect();
                let got = got.into_iter().flat_map(|i| std::iter::repeat_n(i, usize::try_from(asked[i]).unwrap()));
                let got: Vec<usize> = got.take(usize::try_from(room).unwrap()).collect();
                room -= i64::try_from(got.len()).unwrap();
                for i in &got {
                    sums[*i] += 1;
                }
                portions.saw(asked, got.into_iter().map(|i| Urgency::ALL[i]));
                if room == 0 {
                    break;
                }
            }
        }
        sums
    }

    #[test]
    fn all_that_wait_get_their_portion_however_small_the_claims() {
        for limit in [1, 2, 3, 25, 64] {
            let sums = claimed([true; URGENCIES], limit, 2_500);
            let all: i64 = sums.iter().sum();
            for (sum, weight) in sums.into_iter().zip(WEIGHTS) {
                // The first claims do not know yet who waits, and of four places each has one.
                assert!((sum * 25 - all * weight).abs() < all / 10 * 25 / 10, "{limit}: {sums:?}");
            }
        }
        assert!(claimed([true; URGENCIES], 4, 100).iter().all(|sum| *sum > 0));
    }

    #[test]
    fn what_one_leaves_the_others_take() {
        for alone in (0..URGENCIES).map(|i| std::array::from_fn(|j| i == j)) {
            let sums: i64 = claimed(alone, 64, 100).iter().sum();
            // The first claim finds out; after that one place of each of the others is kept.
            assert!(sums >= 99 * 61, "{alone:?}: {sums}");
            assert_eq!(claimed(alone, 1, 100).iter().sum::<i64>(), 100);
        }
        assert_eq!(Portions::default().next(64), [[1, 61, 1, 1]]);
    }

    #[test]
    fn what_is_empty_is_looked_for_now_and_then_while_others_wait_and_always_else() {
        let mut portions = Portions::default();
        let mut asked = Vec::new();
        for _ in 0..8 {
            let [next] = portions.next(64)[..] else { panic!("one claim") };
            let [_, _, bulk, request] = next;
            asked.push((bulk, request));
            assert!(next[0] > 0 && next[1] > 0 && next.iter().sum::<i64>() == 64);
            portions.saw(next, vec![Urgency::Ordinary; usize::try_from(next[1]).unwrap()]);
        }
        let (none, one) = ((0, 0), (1, 1));
        assert_eq!(asked, [one, none, none, none, one, none, none, none]);
        portions.saw([1, 61, 1, 1], []);
        assert!((0..3).all(|_| portions.next(64) == [[1, 61, 1, 1]]));
    }

    #[test]
    fn more_may_be_due_where_a_portion_was_filled() {
        let mut portions = Portions::default();
        assert!(!portions.saw([1, 8, 1, 1], []));
        assert!(!portions.saw([1, 8, 1, 1], [Urgency::Ordinary; 7]));
        assert!(portions.saw([1, 8, 1, 1], [Urgency::Ordinary; 8]));
        assert!(portions.saw([1, 8, 1, 1], [Urgency::Bulk]));
        assert!(portions.saw([1, 8, 1, 1], [Urgency::Request]));
        assert!(!portions.saw([0, 8, 0, 0], []));
    }

    #[test]
    fn accounts_are_urgent_and_what_is_not_known_is_not() {
        let of = |kind| Urgency::of(Lane::Order(1), kind).number();
        assert_eq!(
            [of("account.reset-password"), of("order.placed"), of("product.back-in-stock"), of("x")],
            [0, 1, 2, 2]
        );
        let request = Lane::Endpoint { endpoint: 1, order: 1 };
        assert_eq!(Urgency::of(request, "order.placed").number(), 3);
        assert_eq!(Urgency::ALL.map(Urgency::number), [0, 1, 2, 3]);
    }
}
