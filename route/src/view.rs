//! What workers read: FIB, stamps, groups, next hops. All atomics; a reader never blocks and writes nothing.
//!
//! *Order.* A reader takes the stamp of a destination first, then looks it up. Control publishes a change and
//! then bumps the stamp. So an old stamp may come with a new route (a lookup too many), never a new stamp
//! with an old route. What a lookup leads to stays valid until the reader is next quiescent.

use crate::fib::Fib;
use crate::ids::{FibId, GroupId, NhopIdx, Pin};
use crate::nhgrp::{GroupRef, Groups};
use crate::nhop::{NhopAttrs, NhopRef, NhopWord, PinState, Slots};
use crate::qsbr::Qsbr;
use crate::stamp::Stamps;
use std::sync::Arc;

/// The routes as workers see them.
#[derive(Debug)]
pub struct View {
    /// By FIB.
    pub(crate) fibs: Vec<FibTables>,
    pub(crate) stamps: Stamps,
    pub(crate) groups: Groups,
    pub(crate) nhops: Slots,
    pub(crate) qsbr: Qsbr,
}

/// The tables of one FIB.
#[derive(Debug)]
pub(crate) struct FibTables {
    pub(crate) v4: Arc<Fib<u32>>,
    pub(crate) v6: Arc<Fib<u128>>,
}

/// One FIB as workers see it. One that there is not has no routes.
#[derive(Clone, Copy, Debug)]
pub struct FibView<'v> {
    fib: FibId,
    tables: Option<&'v FibTables>,
    stamps: &'v Stamps,
}

impl FibView<'_> {
    /// The stamp of an IPv4 destination (host order): to be read before its lookup.
    #[inline]
    pub fn stamp4(self, dst: u32) -> u32 {
        self.stamps.read4(self.fib, dst)
    }

    /// The stamp of an IPv6 destination: to be read before its lookup.
    #[inline]
    pub fn stamp6(self, dst: u128) -> u32 {
        self.stamps.read6(self.fib, dst)
    }

    /// The group of the longest IPv4 prefix that covers `dst` (host order).
    #[inline]
    pub fn lookup4(self, dst: u32) -> Option<GroupId> {
        self.tables?.v4.lookup(dst)
    }

    /// The group of the longest IPv6 prefix that covers `dst`.
    #[inline]
    pub fn lookup6(self, dst: u128) -> Option<GroupId> {
        self.tables?.v6.lookup(dst)
    }

    /// As [`Self::lookup4`], but a default route does not count.
    #[inline]
    pub fn lookup4_specific(self, dst: u32) -> Option<GroupId> {
        self.tables?.v4.lookup_specific(dst)
    }

    /// As [`Self::lookup6`], but a default route does not count.
    #[inline]
    pub fn lookup6_specific(self, dst: u128) -> Option<GroupId> {
        self.tables?.v6.lookup_specific(dst)
    }

    /// The groups of a burst of IPv4 destinations (host order): as [`Self::lookup4`] of each, in a fraction of
    /// the time. `groups` is as long as `dsts`; what is beyond the shorter of them is left alone.
    pub fn lookup4_burst(self, dsts: &[u32], groups: &mut [Option<GroupId>]) {
        match self.tables {
            Some(tables) => tables.v4.lookup_burst(dsts, groups),
            None => groups.fill(None),
        }
    }

    /// As [`Self::lookup4_burst`], for IPv6.
    pub fn lookup6_burst(self, dsts: &[u128], groups: &mut [Option<GroupId>]) {
        match self.tables {
            Some(tables) => tables.v6.lookup_burst(dsts, groups),
            None => groups.fill(None),
        }
    }

    /// As [`Self::lookup4_burst`], without vector instructions whatever the processor has: for tests and
    /// benchmarks.
    #[doc(hidden)]
    pub fn lookup4_burst_portable(self, dsts: &[u32], groups: &mut [Option<GroupId>]) {
        match self.tables {
            Some(tables) => tables.v4.lookup_burst_portable(dsts, groups),
            None => groups.fill(None),
        }
    }

    /// As [`Self::lookup4_burst_portable`], for IPv6.
    #[doc(hidden)]
    pub fn lookup6_burst_portable(self, dsts: &[u128], groups: &mut [Option<GroupId>]) {
        match self.tables {
            Some(tables) => tables.v6.lookup_burst_portable(dsts, groups),
            None => groups.fill(None),
        }
    }
}

impl View {
    /// One FIB.
    #[inline]
    pub fn fib(&self, fib: FibId) -> FibView<'_> {
        FibView {
            fib,
            tables: self.fibs.get(usize::from(fib.0)),
            stamps: &self.stamps,
        }
    }

    /// [`FibView::stamp4`] of FIB 0.
    #[inline]
    pub fn stamp4(&self, dst: u32) -> u32 {
        self.fib(FibId(0)).stamp4(dst)
    }

    /// [`FibView::stamp6`] of FIB 0.
    #[inline]
    pub fn stamp6(&self, dst: u128) -> u32 {
        self.fib(FibId(0)).stamp6(dst)
    }

    /// [`FibView::lookup4`] of FIB 0.
    #[inline]
    pub fn lookup4(&self, dst: u32) -> Option<GroupId> {
        self.fib(FibId(0)).lookup4(dst)
    }

    /// [`FibView::lookup6`] of FIB 0.
    #[inline]
    pub fn lookup6(&self, dst: u128) -> Option<GroupId> {
        self.fib(FibId(0)).lookup6(dst)
    }

    /// [`FibView::lookup4_burst`] of FIB 0.
    pub fn lookup4_burst(&self, dsts: &[u32], groups: &mut [Option<GroupId>]) {
        self.fib(FibId(0)).lookup4_burst(dsts, groups);
    }

    /// [`FibView::lookup6_burst`] of FIB 0.
    pub fn lookup6_burst(&self, dsts: &[u128], groups: &mut [Option<GroupId>]) {
        self.fib(FibId(0)).lookup6_burst(dsts, groups);
    }

    /// [`FibView::lookup4_burst_portable`] of FIB 0.
    #[doc(hidden)]
    pub fn lookup4_burst_portable(&self, dsts: &[u32], groups: &mut [Option<GroupId>]) {
        self.fib(FibId(0)).lookup4_burst_portable(dsts, groups);
    }

    /// [`FibView::lookup6_burst_portable`] of FIB 0.
    #[doc(hidden)]
    pub fn lookup6_burst_portable(&self, dsts: &[u128], groups: &mut [Option<GroupId>]) {
        self.fib(FibId(0)).lookup6_burst_portable(dsts, groups);
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

    /// A next hop's slot, to be asked more than one thing.
    #[inline]
    pub fn nhop(&self, idx: NhopIdx) -> NhopRef<'_> {
        self.nhops.at(idx)
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
