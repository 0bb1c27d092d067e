//! The packet path of Flowgate: input, forward, output, ICMP, fragments; workers, host, control; ports.
//!
//! Sans-I/O: everything but [`io`] takes frames and `now` and gives frames. See `docs/ARCHITECTURE.md` for a
//! packet's way through these modules and for who writes what.

mod affinity;
pub mod capture;
pub mod checksum;
pub mod collector;
pub mod control;
pub mod counters;
pub mod fate;
pub mod flows;
pub mod frag;
pub mod gateway;
pub mod host;
pub mod icmp;
mod ingress;
pub mod io;
pub mod link;
pub mod links;
mod local6;
pub mod marks;
pub mod martian;
pub mod offload;
pub mod options;
mod ours;
#[cfg(test)]
mod own_lines;
pub mod parse;
pub mod path;
pub mod pkt;
mod plain;
pub mod ports;
mod routed;
pub mod rules;
pub mod slots;
pub mod time;
mod vlan;
mod vouch;
pub mod worker;

pub use control::{Control, ControlError, ControlEvent};
pub use gateway::{Gateway, Setup, Wakers, build};
pub use host::Host;
pub use time::Now;
pub use worker::Worker;
