//! Flow keys and their hash, the table of pins, connection state and lifetimes.
//!
//! An entry is a connection: both directions, in one place, written by one thread. What it is kept for is
//! its *pin*, an opaque number for each direction that says where packets go; this crate knows no routes.
//!
//! ```text
//! key ─ KeyV4, KeyV6, Dir          hash ─ place, bucket, owner slot; secrets
//! table ─ Table, its readers       writer ─ Writer: lookup, pins; touch ─ what a packet does to its flow
//! insert, room ─ new flows         leave ─ how an entry goes; sweep ─ hand, flush
//! template ─ Templates: which clients share a next hop          round ─ when a hand has been everywhere
//! peek ─ what a packet would do, for who explains
//! shared ─ a table in a file's memory, which another process can open
//! entry, kind, bucket, memory ─ layout     state, track, tcp, timeouts, pressure ─ rules
//! ```
//!
//! The rules are those of the design's sections 3 (one flow, one owner, one entry), 4 (the pin) and 5
//! (tables that cannot be made to fail). Memory is fixed at start. Nothing here locks, allocates, logs or
//! reads a clock for a packet.

#![deny(unsafe_code)]

mod bucket;
mod burst;
mod count;
mod entry;
#[cfg(all(test, not(loom)))]
mod fixture;
mod flood;
mod handover;
mod hash;
mod insert;
mod key;
mod kind;
mod leave;
mod life;
#[cfg(all(test, loom))]
mod loom_tests;
mod machine;
mod memory;
mod peek;
mod pin;
mod pressure;
mod room;
mod round;
mod share;
mod shared;
mod sip;
mod standing;
mod state;
mod stats;
mod sweep;
mod sync;
mod table;
mod tcp;
mod template;
mod time;
mod timeouts;
mod touch;
mod track;
mod view;
mod writer;

pub use burst::{Burst, Flow, Probe};
pub use hash::{
    FlowHash, GroupSecret, OwnerHash, SLOTS, SlotNo, TableSecret, bucket_hash, flow_hash,
    owner_slot4, owner_slot6,
};
pub use insert::Refused;
pub use key::{Dir, Key, KeyV4, KeyV6};
pub use kind::{Cause, Freed, Kind};
pub use machine::{Pages, Touched};
pub use peek::Room;
pub use pin::PinWord;
pub use shared::{OpenError, Origin};
pub use state::{Class, L4, Observed, Seen, State};
pub use stats::Stats;
pub use sweep::FlushCursor;
pub use table::{Shape, Table};
pub use template::{Client, TemplateStats, TemplateView, TemplateWriter, Templates, Term};
pub use time::Tick;
pub use timeouts::{Timeouts, TimeoutsNo};
pub use touch::Hit;
pub use view::EntryView;
pub use writer::{Entry, Writer};
