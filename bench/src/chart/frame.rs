//! Where a point of the plot lies: two logarithmic axes inside fixed margins.

use super::{Chart, Pixel};

/// The plane's edges in the picture.
pub(super) const LEFT: i32 = 66;
pub(super) const RIGHT: i32 = 850;
pub(super) const TOP: i32 = 156;
pub(super) const BOTTOM: i32 = 670;
/// Room inside the left and right edges, for marks.
const INSET: i32 = 22;
/// The least value that is drawn.
const LEAST: f64 = 1e-4;

/// The axes' ranges, and what is written along the upright one.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Logarithms of the ends of the level axis.
    across: (f64, f64),
    /// log10 of the ends of the upright axis.
    upright: (f64, f64),
    /// Values that are written there: 1, 2 and 5 times the powers of ten.
    pub(super) ticks: Vec<f64>,
}

impl Frame {
    /// A frame that holds every point of `chart`, least and most too, and what would be ideal.
    pub(super) fn of(chart: &Chart) -> Self {
        let points = || chart.lines.iter().flat_map(|line| &line.points);
        let ideal = || chart.ideal.iter().flat_map(|ideal| &ideal.points);
        let x = points().map(|(x, _)| *x).chain(ideal().map(|(x, _)| *x));
        let y = points().flat_map(|(_, y)| [y.min, y.max]);
        let (low, high) = ends(y.chain(ideal().map(|(_, y)| *y)));
        let (first, last) = ends(x);
        let upright = (low.log10() - 0.08, high.log10() + 0.12);
        Self {
            across: (first.log10(), last.log10()),
            upright,
            ticks: one_two_five(upright),
        }
    }

    /// The column of a value of the level axis.
    pub(super) fn x(&self, value: f64) -> i32 {
        let (low, high) = self.across;
        let share = if high > low {
            (value.log10() - low) / (high - low)
        } else {
            0.5
        };
        let width = f64::from(RIGHT - LEFT - 2 * INSET);
        LEFT + INSET + (share * width).round() as i32
    }

    /// The row of a value of the upright axis.
    pub(super) fn y(&self, value: f64) -> i32 {
        let (low, high) = self.upright;
        let share = (value.max(LEAST).log10() - low) / (high - low);
        BOTTOM - (share * f64::from(BOTTOM - TOP)).round() as i32
    }

    /// The pixel of a point.
    pub(super) fn at(&self, x: f64, y: f64) -> Pixel {
        (self.x(x), self.y(y))
    }

    /// The column from which values are above `limit`, half-way to the first tick that is, if there is one.
    pub(super) fn beyond(&self, ticks: &[(f64, String)], limit: f64) -> Option<i32> {
        let over = ticks.iter().map(|tick| tick.0).find(|x| *x > limit)?;
        let under = ticks.iter().rev().map(|tick| tick.0).find(|x| *x <= limit);
        Some(under.map_or(LEFT, |x| (self.x(x) + self.x(over)) / 2))
    }
}

/// The least and the greatest; 1 and 1 of nothing.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let wider = |ends: Option<(f64, f64)>, value: f64| {
        let value = value.max(LEAST);
        Some(ends.map_or((value, value), |(low, high)| {
            (low.min(value), high.max(value))
        }))
    };
    values.fold(None, wider).unwrap_or((1.0, 1.0))
}

/// 1, 2 and 5 times the powers of ten between the ends, which are logarithms; over four powers and more, the
/// powers alone.
fn one_two_five((low, high): (f64, f64)) -> Vec<f64> {
    let digits: &[i32] = if high - low < 4.0 { &[1, 2, 5] } else { &[1] };
    let decades = (low.floor() as i32)..=(high.ceil() as i32);
    let ticks = decades.flat_map(|exponent| digits.iter().map(move |d| decimal(*d, exponent)));
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
    use super::super::tests::sample;
    use super::*;

    #[test]
    fn every_point_is_inside_the_plane() {
        let chart = sample();
        let frame = Frame::of(&chart);
        for (x, y) in chart.lines.iter().flat_map(|line| &line.points) {
            for value in [y.min, y.median, y.max] {
                let (x, y) = frame.at(*x, value);
                assert!(
                    (LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y),
                    "{x} {y}"
                );
            }
        }
    }

    #[test]
    fn twice_the_value_is_as_far_at_every_height() {
        let frame = Frame::of(&sample());
        let steps = [5.0, 10.0].map(|value| frame.y(value) - frame.y(2.0 * value));
        assert!((steps[0] - steps[1]).abs() <= 1, "{steps:?}");
    }

    #[test]
    fn values_are_written_as_ones_twos_and_fives_and_over_many_powers_as_ones() {
        assert_eq!(
            one_two_five((-1.1, 1.1)),
            [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]
        );
        assert_eq!(one_two_five((0.0, 4.1)), [1.0, 10.0, 100.0, 1e3, 1e4]);
    }

    #[test]
    fn only_ticks_above_the_limit_are_beyond_it() {
        let chart = sample();
        let frame = Frame::of(&chart);
        let from = frame.beyond(&chart.ticks, 2.0).expect("4 is more than 2");
        assert!((frame.x(2.0)..frame.x(4.0)).contains(&from));
        assert_eq!(frame.beyond(&chart.ticks, 4.0), None);
        assert_eq!(frame.beyond(&chart.ticks, 0.0), Some(LEFT));
    }
}
