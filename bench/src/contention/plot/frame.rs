//! Where a point of the plot lies: two logarithmic axes inside fixed margins.

use super::Pixel;
use crate::contention::report::Report;

/// The plane's edges in the picture.
pub(super) const LEFT: i32 = 66;
pub(super) const RIGHT: i32 = 850;
pub(super) const TOP: i32 = 136;
pub(super) const BOTTOM: i32 = 650;
/// Room inside the left and right edges, for marks.
const INSET: i32 = 22;

/// The axes' ranges and ticks.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// log2 of the fewest and the most threads.
    threads: (f64, f64),
    /// log10 of the ends of the rates' axis.
    rates: (f64, f64),
    /// Numbers of threads that were measured.
    pub(super) thread_ticks: Vec<usize>,
    /// Rates that are written: 1, 2 and 5 times the powers of ten.
    pub(super) rate_ticks: Vec<f64>,
}

impl Frame {
    /// A frame that holds every point of `report`, least and most too, and the ideal line.
    pub(super) fn of(report: &Report) -> Self {
        let cpus = report.machine.cpus.len();
        let ticks = report.args.threads.clone();
        let most_threads = ticks.last().copied().unwrap_or(1);
        let ideal = best_of_one_thread(report).unwrap_or(1.0) * most_threads.min(cpus) as f64;
        let mut ends = (ideal, ideal);
        for (_, row) in report.rows() {
            ends = (ends.0.min(row.mpps.min), ends.1.max(row.mpps.max));
        }
        let rates = (
            ends.0.max(1e-3).log10() - 0.08,
            ends.1.max(1e-3).log10() + 0.12,
        );
        let first = ticks.first().copied().unwrap_or(1);
        Self {
            threads: ((first as f64).log2(), (most_threads as f64).log2()),
            rates,
            thread_ticks: ticks,
            rate_ticks: one_two_five(rates),
        }
    }

    /// The column of a number of threads.
    pub(super) fn x(&self, threads: f64) -> i32 {
        let (low, high) = self.threads;
        let share = if high > low {
            (threads.log2() - low) / (high - low)
        } else {
            0.5
        };
        let width = f64::from(RIGHT - LEFT - 2 * INSET);
        LEFT + INSET + (share * width).round() as i32
    }

    /// The row of a rate.
    pub(super) fn y(&self, mpps: f64) -> i32 {
        let (low, high) = self.rates;
        let share = (mpps.max(1e-3).log10() - low) / (high - low);
        BOTTOM - (share * f64::from(BOTTOM - TOP)).round() as i32
    }

    /// The pixel of a point.
    pub(super) fn at(&self, threads: f64, mpps: f64) -> Pixel {
        (self.x(threads), self.y(mpps))
    }

    /// The column from which threads outnumber `cpus`, if there is one.
    pub(super) fn crowded_from(&self, cpus: usize) -> Option<i32> {
        let over = *self.thread_ticks.iter().find(|n| **n > cpus)?;
        let under = self.thread_ticks.iter().rev().find(|n| **n <= cpus);
        // Half-way to the first that does not fit.
        Some(under.map_or(LEFT, |n| (self.x(*n as f64) + self.x(over as f64)) / 2))
    }
}

/// The highest rate of one thread among the ways.
pub(super) fn best_of_one_thread(report: &Report) -> Option<f64> {
    let one = report
        .rows()
        .filter(|(_, row)| row.threads == 1)
        .map(|(_, row)| row.mpps.median);
    one.max_by(f64::total_cmp)
}

/// 1, 2 and 5 times the powers of ten between the ends, which are logarithms.
fn one_two_five((low, high): (f64, f64)) -> Vec<f64> {
    let decades = (low.floor() as i32)..=(high.ceil() as i32);
    let ticks = decades.flat_map(|exponent| [1, 2, 5].map(|digit| decimal(digit, exponent)));
    ticks
        .filter(|tick| (low..=high).contains(&tick.log10()))
        .collect()
}

/// `digit * 10^exponent`, the number that is written so (not its neighbour).
fn decimal(digit: i32, exponent: i32) -> f64 {
    let power = 10_f64.powi(exponent.abs());
    if exponent < 0 {
        f64::from(digit) / power
    } else {
        f64::from(digit) * power
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::report::tests::sample;
    use super::*;

    #[test]
    fn every_point_is_inside_the_plane() {
        let report = sample();
        let frame = Frame::of(&report);
        for (_, row) in report.rows() {
            for mpps in [row.mpps.min, row.mpps.median, row.mpps.max] {
                let (x, y) = frame.at(row.threads as f64, mpps);
                assert!(
                    (LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y),
                    "{x} {y}"
                );
            }
        }
    }

    #[test]
    fn twice_the_rate_is_as_far_at_every_height() {
        let frame = Frame::of(&sample());
        let steps = [5.0, 10.0].map(|mpps| frame.y(mpps) - frame.y(2.0 * mpps));
        assert!((steps[0] - steps[1]).abs() <= 1, "{steps:?}");
    }

    #[test]
    fn rates_are_written_as_ones_twos_and_fives() {
        assert_eq!(
            one_two_five((-1.1, 1.1)),
            [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]
        );
    }

    #[test]
    fn only_threads_beyond_the_cpus_are_crowded() {
        let frame = Frame::of(&sample());
        let from = frame.crowded_from(2).expect("4 threads on 2 CPUs");
        assert!((frame.x(2.0)..frame.x(4.0)).contains(&from));
        assert_eq!(frame.crowded_from(4), None);
        assert_eq!(frame.crowded_from(0), Some(LEFT));
    }
}
