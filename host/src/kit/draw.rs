//! Choices that generate a case, and how a failing case is made smaller: not the case is shrunk but its choices, so that
//! whatever comes out is a case that could have been generated (as Hypothesis does it: `MacIver` and Donaldson, "Test-Case
//! Reduction via Test-Case Generation", ECOOP 2020).

/// Where a generator's choices come from.
pub(crate) struct Draw {
    state: u64,
    /// Choices that were made before; when they are used up, the simplest follows.
    given: Option<Vec<u64>>,
    made: Vec<u64>,
}

impl Draw {
    /// Choices from a seed; the same each time.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { state: seed, given: None, made: Vec::new() }
    }

    /// These choices, and the simplest ones after them.
    pub(crate) fn given(choices: &[u64]) -> Self {
        Self { state: 0, given: Some(choices.to_vec()), made: Vec::new() }
    }

    /// What was chosen so far.
    pub(crate) fn made(self) -> Vec<u64> {
        self.made
    }

    /// A number below `n`; 0 is the simplest.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        let n = n.max(1);
        let choice = match &self.given {
            Some(given) => given.get(self.made.len()).map_or(0, |choice| choice % n),
            None => self.random() % n,
        };
        self.made.push(choice);
        choice
    }

    /// True once in so many times; false is the simplest.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == n - 1
    }

    /// One of these; the first is the simplest.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap_or_default()]
    }

    /// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The most tries of one shrinking.
const TRIES_MAX: u32 = 400;

/// Makes choices fewer and smaller while `fails` holds for what they generate.
pub(crate) async fn shrink(mut choices: Vec<u64>, fails: impl AsyncFn(&[u64]) -> bool) -> Vec<u64> {
    let mut tries = 0;
    loop {
        let before = choices.clone();
        for size in [32, 8, 4, 2, 1] {
            let mut at = choices.len();
            while at >= size {
                at -= size;
                for smaller in candidates(&choices, at, size) {
                    if tries == TRIES_MAX {
                        return choices;
                    }
                    tries += 1;
                    if fails(&smaller).await {
                        choices = smaller;
                        break;
                    }
                }
                at = at.min(choices.len());
            }
        }
        if choices == before {
            return choices;
        }
    }
}

/// Without the block, with a block of zeros, and, for one choice, smaller ones.
fn candidates(choices: &[u64], at: usize, size: usize) -> Vec<Vec<u64>> {
    let block = &choices[at..at + size];
    let mut all = Vec::new();
    if block.iter().any(|choice| *choice != 0) {
        all.push([&choices[..at], &vec![0; size], &choices[at + size..]].concat());
    }
    all.push([&choices[..at], &choices[at + size..]].concat());
    if size == 1 && block[0] > 1 {
        let less = (1..u64::BITS).map(|halvings| block[0] >> halvings).take_while(|less| *less > 0);
        all.extend(less.map(|less| [&choices[..at], &[block[0] - less], &choices[at + 1..]].concat()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{Draw, shrink};

    #[tokio::test]
    async fn a_failing_case_is_made_as_small_as_it_can_be() {
        let case = |draw: &mut Draw| (0..draw.below(20)).map(|_| draw.below(1_000)).collect::<Vec<_>>();
        let fails = |case: &[u64]| case.iter().any(|n| *n >= 500);
        let mut draw = Draw::seeded(7);
        let first = case(&mut draw);
        assert!(fails(&first) && first.len() > 1, "{first:?}");
        let smallest = shrink(draw.made(), async |choices| fails(&case(&mut Draw::given(choices)))).await;
        assert_eq!(case(&mut Draw::given(&smallest)), [500]);
    }
}
