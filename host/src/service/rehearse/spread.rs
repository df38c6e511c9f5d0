//! How values spread, in a few kilobytes however many there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Each power of two is cut into so many parts, so a value is known to within 4 %.
const PARTS: u64 = 32;

/// A histogram whose columns widen with the values, as in an HDR histogram.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "BTreeMap<usize, u64>", into = "BTreeMap<usize, u64>")]
pub(super) struct Spread {
    columns: Vec<u64>,
    count: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self { columns: vec![0; column(u64::MAX) + 1], count: 0 }
    }
}

/// Written as the columns that are not empty.
impl From<Spread> for BTreeMap<usize, u64> {
    fn from(spread: Spread) -> Self {
        spread.columns.into_iter().enumerate().filter(|(_, count)| *count > 0).collect()
    }
}

impl From<BTreeMap<usize, u64>> for Spread {
    fn from(columns: BTreeMap<usize, u64>) -> Self {
        let mut spread = Self::default();
        for (column, count) in columns {
            if let Some(here) = spread.columns.get_mut(column) {
                *here = count;
                spread.count += count;
            }
        }
        spread
    }
}

impl Spread {
    pub(super) fn add(&mut self, value: u64) {
        self.columns[column(value)] += 1;
        self.count += 1;
    }

    /// What so many hundredths of the values do not exceed; 0 when there are none.
    pub(super) fn below(&self, hundredths: u64) -> u64 {
        let mut left = (self.count * hundredths).div_ceil(100).max(1);
        for (column, count) in self.columns.iter().enumerate() {
            if *count >= left {
                return highest(column);
            }
            left -= count;
        }
        0
    }
}

/// Below [`PARTS`] each value has its own; from there on the leading bits say which.
fn column(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(PARTS.ilog2() + 1);
    usize::try_from(u64::from(shift) * PARTS + (value >> shift)).unwrap_or(usize::MAX)
}

fn highest(column: usize) -> u64 {
    let column = column as u64;
    let shift = (column / PARTS).saturating_sub(1);
    let lowest = (column - shift * PARTS) << shift;
    lowest + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::{Spread, column, highest};

    #[test]
    fn every_value_is_within_4_percent_of_its_column() {
        for value in (0..5_000).chain([1 << 20, 123_456_789, u64::MAX / 3, u64::MAX]) {
            let reported = highest(column(value));
            assert!(reported >= value && reported - value <= value / 25, "{value} is reported as {reported}");
        }
    }

    #[test]
    fn hundredths_are_those_of_the_sorted_values() {
        let mut spread = Spread::default();
        assert_eq!(spread.below(50), 0);
        for value in 1..=1_000 {
            spread.add(value);
        }
        for (hundredths, exact) in [(1, 10), (50, 500), (99, 990), (100, 1_000)] {
            let reported = spread.below(hundredths);
            assert!(reported >= exact && reported - exact <= exact / 25, "{exact} is reported as {reported}");
        }
    }
}
