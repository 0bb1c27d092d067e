//! Percentiles of many measurements.

use serde::Serialize;

/// The middle, the tail, the worst.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Percentiles {
    /// Half are at or below it.
    pub(super) p50: f64,
    /// 99 of 100 are at or below it.
    pub(super) p99: f64,
    /// The greatest.
    pub(super) max: f64,
    /// How many there are.
    pub(super) count: usize,
}

impl Percentiles {
    /// Of at least one number; `None` without any.
    pub(super) fn of(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_by(f64::total_cmp);
        Some(Self {
            p50: nearest_rank(&numbers, 0.50)?,
            p99: nearest_rank(&numbers, 0.99)?,
            max: *numbers.last()?,
            count: numbers.len(),
        })
    }
}

/// The least number that has at least `share` of the sorted numbers at or below it.
fn nearest_rank(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numbers_that_were_measured() {
        let numbers: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let found = Percentiles::of(numbers).expect("a hundred");
        assert_eq!((found.p50, found.p99, found.max), (50.0, 99.0, 100.0));
        assert_eq!(found.count, 100);
    }

    #[test]
    fn of_few_numbers_the_tail_is_the_worst() {
        let found = Percentiles::of(vec![3.0, 1.0, 2.0]).expect("three");
        assert_eq!((found.p50, found.p99, found.max), (2.0, 3.0, 3.0));
        let one = Percentiles::of(vec![5.0]).expect("one");
        assert_eq!((one.p50, one.p99, one.max), (5.0, 5.0, 5.0));
        assert_eq!(Percentiles::of(Vec::new()), None);
    }
}
