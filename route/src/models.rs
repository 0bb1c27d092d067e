//! Loom models of what control and workers share: each runs the code that ships, in every order that memory
//! allows (within a bound of preemptions).
//!
//! Control is the model's main thread, and readers are spawned: loom remembers only the latest access to a
//! location, so a writer that loads what it is about to store would hide its race with a reader that came first.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p flowgate-route --release loom`

mod fallback;
mod group;
mod history;
mod quiescence;
mod resolved;
mod reuse;
mod stamps;

/// Runs a model in every order with at most `preemptions` forced switches.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}
