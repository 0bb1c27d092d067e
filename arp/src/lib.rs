//! Neighbours of both families: who lives behind which MAC address on an Ethernet segment.
//!
//! ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861) go through one state machine.
//! The crate does no I/O and reads no clock: frames come in, frames go out, `now` is handed in
//! (milliseconds of any monotonic clock). It knows neither routes nor flows.
//!
//! There are two halves, made together by [`new`]:
//!
//! - [`Table`] is written by one thread, the host. It asks, answers, times out, and reports
//!   ([`Event`]) when a gateway dies, returns or moves.
//! - [`View`] is what workers read, without locks: one atomic [`NeighWord`] for a neighbour
//!   ({MAC, state, small generation}) and a lock-free index from address to neighbour.
//!
//! A packet whose neighbour is not yet known waits in its worker's [`HoldQueue`].
//!
//! # States
//!
//! ```text
//!            ask, reserve                answered
//!   Free ───────────────▶ Incomplete ───────────────▶ Reachable ◀──────────┐
//!    ▲                        │ no answer              │ due again,         │ answered
//!    │ hold time over         ▼                        │ or a doubt         │
//!    ├───────────────────── Failed ◀──── no answer ──── Probe ──────────────┘
//!    │                                                 ▲ used
//!    └──── never used, aged out ──── Stale ────────────┘
//! ```
//!
//! `Stale` was heard of but never confirmed (it asked us, or claims a new MAC). `Permanent` is
//! set by the operator. Packets may be sent to `Reachable`, `Stale`, `Probe` and `Permanent`.
//!
//! # Example
//!
//! ```
//! use arp::{Config, NeighState, PortId, PortInfo};
//!
//! let (mut table, view) = arp::new(Config::default(), 7);
//! let mut out = Vec::new();
//! let port = PortId(0);
//! let info = PortInfo {
//!     port,
//!     mac: "02:00:00:00:00:01".parse()?,
//!     addrs: vec![("10.0.0.1".parse()?, 24)],
//!     up: true,
//!     advertise: None,
//! };
//! table.set_port(info, 0, &mut out);
//! let gateway = table.reserve(port, "10.0.0.2".parse()?, 0)?;
//! table.poll(0, &mut out);
//! assert_eq!(view.word(gateway).state(), NeighState::Incomplete);
//! assert_eq!(out.len(), 3); // our probe and our announcement, and the question for 10.0.0.2
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod advertise;
mod config;
mod entry;
mod event;
mod hold;
mod input;
mod key;
mod mac;
mod order;
mod port;
mod stats;
mod sync;
mod table;
mod timer;
mod view;
mod wire;
mod word;

pub use advertise::Advertise;
pub use config::Config;
pub use event::{Event, Fate, Frame, Ignored, Input, NeighError, Neighbour};
pub use hold::HoldQueue;
pub use mac::{Mac, MacError};
pub use port::{PortId, PortInfo};
pub use stats::ArpStats;
pub use table::{Table, new};
pub use view::View;
pub use wire::{Kind, crossed_a_router, ether_header, is_neighbour_frame};
pub use word::{NeighIdx, NeighState, NeighWord};
