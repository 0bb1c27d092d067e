//! Load on real devices. By itself, so that nothing else takes its processors.

mod programs;
mod rate;
