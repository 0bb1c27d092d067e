//! Criterion benches, the contention benchmark, plots.
//!
//! - [`ways`]: the ways of resolving a packet's output that are compared, one file each.
//! - [`traffic`]: the packets, and to which thread each is steered.
//! - [`contention`]: the benchmark's flags, measuring, tables and plots (binary `contention`).
//! - [`routes`]: lookups beside other tables, and what a change of routes costs (binary `routes`).
//! - [`flows`]: the flow table beside other maps, lifetimes, floods, readers (binary `flows`).
//! - [`core`]: what a packet costs without devices (binary `core`).
//! - [`handoff`]: packets that arrive at another worker than their flow's: how many, what one costs (binary `handoff`).
//! - [`devices`]: TUN to TUN through Flowgate, a bare loop and a kernel (binary `devices`).
//! - [`rig`]: whole workers on ports in memory, for `core`, `handoff` and the bench `forward`.
//! - [`prefixes`]: an Internet routing table for the FIB benches.
//! - [`step`]: counts what a packet really does to memory by single-stepping a traced copy.
//!
//! Nothing here is used by the gateway. This crate is an edge: it may read the clock and sleep, in
//! `clock` only.
#![forbid(unsafe_code)]

mod chart;
mod clock;
mod common;
pub mod contention;
pub mod core;
pub mod devices;
pub mod flows;
mod gateway;
pub mod handoff;
pub mod prefixes;
pub mod rig;
pub mod routes;
pub mod step;
pub mod traffic;
pub mod ways;

pub use common::cli::{Refusal, obey};
