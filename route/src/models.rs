//! Loom models of what control and workers share: each runs the code that ships, in every order that memory
//! allows (within a bound of preemptions).
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p flowgate-route --release loom`

mod group;
mod history;
mod quiescence;
mod stamps;

/// Runs a model in every order with at most `preemptions` forced switches.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}
