//! Prefixes, RIB, next hops, next-hop groups, FIB, stamps and their publication.
//!
//! [`new`] makes two things: [`Control`], which one thread owns and which knows the truth, and a [`View`],
//! which every worker reads. They share atomics alone: a reader never waits, never writes shared memory, and
//! never sees a state that is neither the old nor the new one. The crate knows no packets and no flows; what a
//! flow keeps of it is a [`Pin`] and a stamp.
//!
//! | file | what it is |
//! |---|---|
//! | `ids`, `prefix` | indices, pins, seconds; networks |
//! | `rib`, `control` | control's truth, and the operations on it |
//! | `saved` | groups as they are kept over a restart |
//! | `nhop` | next hops: slots, words, generations |
//! | `nhgrp` | groups: consistent buckets with weights and history |
//! | `fib` | longest-prefix match, changed in place |
//! | `stamp` | how flows learn that a route changed |
//! | `view` | what workers read |
//! | `qsbr`, `retire`, `chunks` | when memory is used again, and how it grows under readers |
#![deny(unsafe_code)]

mod chunks;
mod config;
mod control;
mod error;
mod fib;
mod ids;
mod info;
#[cfg(all(test, loom))]
mod models;
mod nhgrp;
mod nhop;
mod prefix;
mod qsbr;
mod retire;
mod rib;
mod saved;
mod stamp;
mod sync;
mod view;

pub use config::Config;
pub use control::{
    Batch, BatchDone, BatchSet, BatchSpec, BatchState, Control, GroupSketch, MAX_CHAIN, Preview,
    Resolved, Saving, Sketch, Way, new,
};
pub use error::{GroupError, KindError, MAX_WEIGHT, RouteError};
pub use ids::{FibId, GroupId, GroupNo, NhopGen, NhopIdx, PIN_FIELD_BITS, Pin, PortId, Secs};
pub use info::{
    Change, ChangeKind, Changed, Fill, GroupChange, GroupInfo, MemberInfo, NhopKeyMatch, PathInfo,
    RouteInfo, RouteMemory,
};
pub use nhgrp::{
    Answer, Chosen, Failback, GroupRef, MAX_BUCKETS, MAX_MEMBERS, NewChoice, Options, OptionsAsked,
    Recall, Selection, Sticky, StickyAsked, StickyOf, TimeoutClass, TimeoutClassError,
};
pub use nhop::{
    Admin, Health, NhopAttrs, NhopInfo, NhopKey, NhopKind, NhopRef, NhopWord, Path, PinState,
    Through,
};
pub use prefix::{Family, Prefix, PrefixError};
pub use qsbr::{Qsbr, Reader};
pub use saved::{MAX_SAVED_ROUTES, SavedGroup, SavedName, SavedRun};
pub use stamp::stamps_then_routes;
pub use view::{FibView, View};
