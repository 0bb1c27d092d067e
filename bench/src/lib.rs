//! Criterion benches, the contention benchmark, plots.
