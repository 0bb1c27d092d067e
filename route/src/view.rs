//! What workers read: FIB, stamps, groups, next hops. All atomics; a reader never blocks and writes nothing.
//!
//! *Order.* A reader takes the stamp of a destination first, then looks it up. Control publishes a change and
//! then bumps the stamp. So an old stamp may come with a new route (a lookup too many), never a new stamp
//! with an old route. What a lookup leads to stays valid until the reader is next quiescent.

use crate::fib::Fib;
use crate::ids::{GroupId, NhopIdx, Pin};
use crate::nhgrp::{GroupRef, Groups};
use crate::nhop::{NhopAttrs, NhopWord, PinState, Slots};
use crate::qsbr::Qsbr;
use crate::stamp::Stamps;
use std::sync::Arc;

/// The routes as workers see them.
#[derive(Debug)]
pub struct View {
    pub(crate) fib4: Arc<Fib<u32>>,
    pub(crate) fib6: Arc<Fib<u128>>,
    pub(crate) stamps: Stamps,
    pub(crate) groups: Groups,
    pub(crate) nhops: Slots,
    pub(crate) qsbr: Qsbr,
}

impl View {
    /// The stamp of an IPv4 destination (host order): to be read before its lookup.
    #[inline]
    pub fn stamp4(&self, dst: u32) -> u32 {
        self.stamps.read4(dst)
    }

    /// The stamp of an IPv6 destination: to be read before its lookup.
    #[inline]
    pub fn stamp6(&self, dst: u128) -> u32 {
        self.stamps.read6(dst)
    }

    /// The group of the longest IPv4 prefix that covers `dst` (host order).
    #[inline]
    pub fn lookup4(&self, dst: u32) -> Option<GroupId> {
        self.fib4.lookup(dst)
    }

    /// The group of the longest IPv6 prefix that covers `dst`.
    #[inline]
    pub fn lookup6(&self, dst: u128) -> Option<GroupId> {
        self.fib6.lookup(dst)
    }

    /// The groups of a burst of IPv4 destinations (host order): as [`Self::lookup4`] of each, in a fraction of
    /// the time. `groups` is as long as `dsts`; what is beyond the shorter of them is left alone.
    pub fn lookup4_burst(&self, dsts: &[u32], groups: &mut [Option<GroupId>]) {
        self.fib4.lookup_burst(dsts, groups);
    }

    /// As [`Self::lookup4_burst`], for IPv6.
    pub fn lookup6_burst(&self, dsts: &[u128], groups: &mut [Option<GroupId>]) {
        self.fib6.lookup_burst(dsts, groups);
    }

    /// As [`Self::lookup4_burst`], without vector instructions whatever the processor has: for tests and
    /// benchmarks.
    #[doc(hidden)]
    pub fn lookup4_burst_portable(&self, dsts: &[u32], groups: &mut [Option<GroupId>]) {
        self.fib4.lookup_burst_portable(dsts, groups);
    }

    /// As [`Self::lookup4_burst_portable`], for IPv6.
    #[doc(hidden)]
    pub fn lookup6_burst_portable(&self, dsts: &[u128], groups: &mut [Option<GroupId>]) {
        self.fib6.lookup_burst_portable(dsts, groups);
    }

    /// A group that a lookup gave, as it is now.
    #[inline]
    pub fn group(&self, id: GroupId) -> GroupRef<'_> {
        self.groups.get(&self.nhops, id)
    }

    /// Whether a pin still holds: one load.
    #[inline]
    pub fn judge(&self, pin: Pin) -> PinState {
        self.nhops.judge(pin)
    }

    /// The word of a next hop's slot.
    #[inline]
    pub fn nhop_word(&self, idx: NhopIdx) -> NhopWord {
        self.nhops.word(idx)
    }

    /// Where a next hop leads; valid if its pin was judged live in this burst.
    #[inline]
    pub fn attrs(&self, idx: NhopIdx) -> NhopAttrs {
        self.nhops.attrs(idx)
    }

    /// Readers' quiescence.
    pub const fn qsbr(&self) -> &Qsbr {
        &self.qsbr
    }
}
