//! The Universal Scalability Law (Gunther): how a rate grows with threads, as two numbers.
//!
//! `rate(n) = n * rate(1) / (1 + sigma * (n - 1) + kappa * n * (n - 1))`: `sigma` is the share of the work that threads
//! wait for each other with, `kappa` what each pair of threads costs to agree. Fitted by least squares over all runs
//! with a CPU for each thread; it says something about those numbers of threads and about no others.

use serde::Serialize;

/// A law that was fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Usl {
    /// Million packets a second of one thread, as measured.
    pub(super) one: f64,
    pub(super) sigma: f64,
    pub(super) kappa: f64,
    /// Root of the mean square of how far the medians are from the law, percent of it.
    pub(super) residual_percent: f64,
    /// The most threads that were fitted: beyond, nothing is claimed.
    pub(super) most_threads: usize,
}

/// Numbers of threads that a fit needs, one thread among them: two unknowns, and something that can disagree.
const LEAST_POINTS: usize = 4;

/// The rates of all runs at a number of threads, and their median.
pub(super) struct Point<'r> {
    pub(super) threads: usize,
    pub(super) median: f64,
    pub(super) runs: &'r [f64],
}

impl Usl {
    /// Fits the points, which begin with one thread; or says why they do not suffice.
    pub(super) fn fit(points: &[Point<'_>]) -> Result<Self, String> {
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Err("nothing was measured with a CPU for each thread".into());
        };
        if points.len() < LEAST_POINTS || first.threads != 1 {
            return Err(format!(
                "{} number(s) of threads had a CPU for each; a fit needs {LEAST_POINTS}, 1 among them",
                points.len()
            ));
        }
        let one = first.median;
        let runs = points[1..]
            .iter()
            .flat_map(|point| point.runs.iter().map(|rate| (point.threads as f64, *rate)));
        // n * rate(1) / rate - 1 = sigma * (n - 1) + kappa * n * (n - 1), which is linear in what is sought.
        let rows: Vec<[f64; 3]> = runs
            .map(|(n, rate)| [n - 1.0, n * (n - 1.0), n * one / rate - 1.0])
            .collect();
        let (sigma, kappa) = least_squares(&rows);
        let mut law = Self {
            one,
            sigma,
            kappa,
            residual_percent: 0.0,
            most_threads: last.threads,
        };
        let off = |point: &Point<'_>| (point.median / law.rate(point.threads as f64) - 1.0).powi(2);
        let mean = points.iter().map(off).sum::<f64>() / points.len() as f64;
        law.residual_percent = 100.0 * mean.sqrt();
        Ok(law)
    }

    /// Million packets a second of `n` threads, by the law.
    pub(super) fn rate(&self, n: f64) -> f64 {
        n * self.one / (1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0))
    }

    /// Both numbers and the residual.
    pub(super) fn line(&self) -> String {
        format!(
            "USL: sigma {:.4}, kappa {:.5}, residual {:.1} %, to {} threads",
            self.sigma, self.kappa, self.residual_percent, self.most_threads
        )
    }
}

/// The two factors, neither negative, that bring `a * row[0] + b * row[1]` nearest to `row[2]`.
fn least_squares(rows: &[[f64; 3]]) -> (f64, f64) {
    let sum = |i: usize, j: usize| rows.iter().map(|row| row[i] * row[j]).sum::<f64>();
    let (aa, ab, bb, ay, by) = (sum(0, 0), sum(0, 1), sum(1, 1), sum(0, 2), sum(1, 2));
    let determinant = aa * bb - ab * ab;
    let (a, b) = (
        (ay * bb - by * ab) / determinant,
        (by * aa - ay * ab) / determinant,
    );
    if a < 0.0 {
        (0.0, (by / bb).max(0.0))
    } else if b < 0.0 {
        ((ay / aa).max(0.0), 0.0)
    } else {
        (a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: [usize; 5] = [1, 2, 4, 8, 16];

    fn fitted(rate: impl Fn(f64) -> f64) -> Usl {
        let runs = THREADS.map(|n| [0.99, 1.0, 1.01].map(|noise| noise * rate(n as f64)));
        let points = THREADS.iter().zip(&runs).map(|(n, runs)| Point {
            threads: *n,
            median: runs[1],
            runs,
        });
        Usl::fit(&points.collect::<Vec<_>>()).expect("enough points")
    }

    #[test]
    fn a_law_is_found_again_in_what_it_gives() {
        let law = Usl {
            one: 10.0,
            sigma: 0.05,
            kappa: 0.002,
            residual_percent: 0.0,
            most_threads: 16,
        };
        let found = fitted(|n| law.rate(n));
        assert!((found.sigma - 0.05).abs() < 0.002, "{found:?}");
        assert!((found.kappa - 0.002).abs() < 0.0002, "{found:?}");
        assert!(found.residual_percent < 1.0, "{found:?}");
    }

    #[test]
    fn what_scales_better_than_linear_has_no_negative_cost() {
        let found = fitted(|n| 10.0 * n.powf(1.05));
        assert_eq!((found.sigma, found.kappa), (0.0, 0.0));
        assert!(found.residual_percent > 1.0, "and the residual says so");
    }

    #[test]
    fn too_few_points_are_not_fitted() {
        let point = |threads| Point {
            threads,
            median: 1.0,
            runs: &[1.0],
        };
        let why = Usl::fit(&[point(1), point(2)]).expect_err("two points");
        assert!(why.starts_with("2 number(s) of threads"), "{why}");
        assert!(Usl::fit(&[point(2), point(3), point(4), point(5)]).is_err());
        assert!(Usl::fit(&[]).is_err());
    }
}
