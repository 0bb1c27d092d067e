//! Work at a rate: how many pieces are due by now, and when the next one is.

use std::time::Duration;

/// Counts what is due of a steady rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    per_second: f64,
    done: u64,
}

impl Pace {
    /// Nothing done yet.
    pub(crate) const fn new(per_second: f64) -> Self {
        Self {
            per_second,
            done: 0,
        }
    }

    /// Whether one more is due `elapsed` after the start; it counts as done then. The first is due at once.
    pub(crate) fn take(&mut self, elapsed: Duration) -> bool {
        let due = self.done as f64 <= elapsed.as_secs_f64() * self.per_second;
        self.done += u64::from(due);
        due
    }
}

/// When each update of a recording is due: the counts of each second, spread evenly over it.
///
/// `speed` 10 plays ten seconds in one.
pub(crate) fn schedule(counts: &[u32], speed: f64) -> impl Iterator<Item = (usize, Duration)> + '_ {
    counts.iter().enumerate().flat_map(move |(second, count)| {
        (0..*count).map(move |n| {
            let at = second as f64 + f64::from(n) / f64::from(*count);
            (second, Duration::from_secs_f64(at / speed))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn as_many_are_due_as_the_rate_says() {
        let mut pace = Pace::new(1000.0);
        assert!(pace.take(MS(0)) && !pace.take(MS(0)));
        assert!(pace.take(MS(1)) && !pace.take(MS(1)));
        let caught_up = (0..1000).filter(|_| pace.take(MS(100))).count();
        assert_eq!(caught_up, 99);
    }

    #[test]
    fn a_recording_is_spread_over_its_seconds() {
        let due: Vec<_> = schedule(&[2, 0, 4], 1.0).collect();
        let expected = [(0, 0), (0, 500), (2, 2000), (2, 2250), (2, 2500), (2, 2750)];
        assert_eq!(due, expected.map(|(second, ms)| (second, MS(ms))));
    }

    #[test]
    fn ten_times_as_fast_everything_is_due_in_a_tenth_of_the_time() {
        let last = schedule(&[1, 0, 2], 10.0).last();
        assert_eq!(last, Some((2, MS(250))));
    }
}
