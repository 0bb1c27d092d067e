//! Few are popular: ranks whose popularity falls as 1/k.

use fastrand::Rng;

/// Picks rank k (from 0) with a probability that falls as 1/(k + 1).
///
/// By rejection from the continuous curve 1/x (Hoermann and Derflinger 1996), so it needs no memory however many
/// ranks there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zipf {
    ranks: f64,
    /// The area under the curve up to the ends of the ranks, the first one's bar cut to its height.
    low: f64,
    high: f64,
    /// So far below a rank's middle nothing is ever rejected.
    safe: f64,
}

impl Zipf {
    /// Over `ranks` ranks, at least one.
    pub(crate) fn new(ranks: usize) -> Self {
        let ranks = ranks.max(1) as f64;
        Self {
            ranks,
            low: 1.5_f64.ln() - 1.0,
            high: (ranks + 0.5).ln(),
            safe: 2.0 - (2.5_f64.ln() - 0.5).exp(),
        }
    }

    /// One rank.
    pub(crate) fn pick(&self, rng: &mut Rng) -> usize {
        loop {
            let area = self.high + rng.f64() * (self.low - self.high);
            let x = area.exp();
            let rank = x.round().clamp(1.0, self.ranks);
            if rank - x <= self.safe || area >= (rank + 0.5).ln() - 1.0 / rank {
                return rank as usize - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_picked_as_often_as_its_weight_says() {
        let (zipf, mut rng) = (Zipf::new(1000), Rng::with_seed(1));
        let mut counts = vec![0u32; 1000];
        for _ in 0..100_000 {
            counts[zipf.pick(&mut rng)] += 1;
        }
        // The thousandth harmonic number is 7.485.
        for rank in [0usize, 1, 9] {
            let expected = 100_000.0 / 7.485 / (rank as f64 + 1.0);
            let off = f64::from(counts[rank]) / expected - 1.0;
            assert!(off.abs() < 0.1, "rank {rank}: {} {expected}", counts[rank]);
        }
        let tail: u32 = counts[500..].iter().sum();
        assert!((8_000..10_500).contains(&tail), "{tail}");
    }

    #[test]
    fn one_rank_is_always_picked() {
        assert_eq!(Zipf::new(1).pick(&mut Rng::with_seed(2)), 0);
    }
}
