//! What is done with bytes of chance, by name. The fuzzers (`tests/fuzz/bin`) make up the bytes, and the test
//! `tests/tests/corpus.rs` takes those that were kept.

pub(crate) mod captures;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod frames;
pub(crate) mod neighbours;
pub(crate) mod parse;
pub(crate) mod routes;
pub(crate) mod virtio;

/// A target's name and what it does.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const ALL: &[Target] = &[
    ("captures", captures::run),
    ("config", config::run),
    ("control", control::run),
    ("frames", frames::run),
    ("neighbours", neighbours::run),
    ("parse", parse::run),
    ("routes", routes::run),
    ("virtio", virtio::run),
];
