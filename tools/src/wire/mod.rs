//! The control protocol: what travels over the Unix socket between a flowgate and whoever asks it.
//!
//! The wire is varlink's: NUL-terminated JSON objects, `{"method", "parameters", "more"?, "oneway"?}` one way,
//! `{"parameters", "continues"?}` or `{"error", "parameters"}` the other. Each method of the interface
//! [`INTERFACE`] has its parameter and reply types here; `org.flowgate.varlink` beside this file describes
//! them to other programs, and a test holds the two together. `docs/CONTROL.md` is the handbook.
//!
//! Invariants: a message is at most [`MESSAGE_LIMIT`] bytes in either direction; every number is a plain integer;
//! addresses, prefixes and MACs are strings in their usual notation; a field that does not apply is left out.
//! Nothing here does I/O except [`frame`], over any `Read` and `Write`. Concurrency: plain values.

pub mod batch;
pub mod capture;
pub mod explain;
pub mod flow;
pub mod frame;
pub mod group;
pub mod idl;
pub mod limits;
pub mod message;
pub mod moves;
pub mod neighbour;
pub mod nexthop;
pub mod options;
pub mod ping;
pub mod protocol;
pub mod route;
pub mod stats;
pub mod template;
mod text;
pub mod timeout;
pub mod workers;

/// The name of the interface that a flowgate serves.
pub const INTERFACE: &str = "org.flowgate";

/// The longest message, in bytes, without its NUL: 1 MiB.
pub const MESSAGE_LIMIT: usize = 1 << 20;

/// Replies of a list come in pages of at most this many items.
pub const PAGE: usize = 256;

#[cfg(test)]
mod idl_tests;
