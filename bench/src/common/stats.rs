//! Numbers of several runs, as a table shows them.

use serde::Serialize;

/// The middle, the ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Half of the runs are at or below it (the mean of the middle two of an even number).
    pub(crate) median: f64,
    /// The least.
    pub(crate) min: f64,
    /// The most.
    pub(crate) max: f64,
}

impl Summary {
    /// Of at least one number; `None` without any.
    pub(crate) fn of(numbers: &[f64]) -> Option<Self> {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (lower, upper) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self {
            median: (lower + upper) / 2.0,
            min,
            max,
        })
    }

    /// From the least to the most, as percent of the median.
    pub(crate) fn spread_percent(&self) -> f64 {
        100.0 * (self.max - self.min) / self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_is_the_middle_one() {
        let summary = Summary::of(&[3.0, 1.0, 10.0]).expect("three numbers");
        assert_eq!(
            summary,
            Summary {
                median: 3.0,
                min: 1.0,
                max: 10.0
            }
        );
        assert_eq!(summary.spread_percent(), 300.0);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        let summary = Summary::of(&[4.0, 1.0, 2.0, 3.0]).expect("four numbers");
        assert_eq!(summary.median, 2.5);
    }

    #[test]
    fn one_run_has_no_spread_and_no_run_has_no_summary() {
        assert_eq!(
            Summary::of(&[5.0]).expect("one number").spread_percent(),
            0.0
        );
        assert_eq!(Summary::of(&[]), None);
    }
}
