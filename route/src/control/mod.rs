//! Control: the truth about routes. One thread owns it; it publishes to workers and never waits for them.
//!
//! - `change`: add, change and delete routes. `regroup`: which group each has.
//! - `named`: groups that have a number.
//! - `state`: next hops die, return and drain; time passes.
//! - `list`: what there is. `keep`: groups over a restart.
//! - `recursive`: next hops that are found through other routes.
//! - `batch`: many changes as one, all or nothing. `preview`: what a change would do.
//!
//! A change is published in this order (design section 4): buckets of every group concerned, FIB, stamps, and
//! last the words of next hops. What is refused is refused before anything is published.

mod batch;
mod change;
mod keep;
mod list;
mod named;
mod preview;
mod recursive;
mod regroup;
mod state;

pub use batch::{Batch, BatchDone, BatchSet, BatchSpec, BatchState};
pub use keep::Saving;
pub use preview::{GroupSketch, Preview, Sketch, Way};
pub use recursive::{MAX_CHAIN, Resolved};

use crate::config::Config;
use crate::error::{Full, RouteError};
use crate::fib::{FibFull, FibWriter, Turn};
use crate::ids::{FibId, GroupId, NhopIdx, Secs};
use crate::nhgrp::{GroupCtl, Groups, Shared};
use crate::nhop::{NhopCtl, NhopKey, Slots};
use crate::prefix::{Family, Prefix};
use crate::qsbr::Qsbr;
use crate::rib::Rib;
use crate::saved::Kept;
use crate::stamp::Stamps;
use crate::view::{FibTables, View};
use named::Named;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// The owner of all routes.
#[derive(Debug)]
pub struct Control {
    view: Arc<View>,
    cfg: Config,
    /// By FIB.
    fibs: Vec<FibWriters>,
    rib: Rib,
    nhops: NhopCtl,
    groups: GroupCtl,
    /// When drained paths leave their routes.
    deadlines: BTreeSet<(Secs, Prefix)>,
    /// Next hops that came back and have not all of their buckets yet.
    returning: BTreeSet<NhopIdx>,
    /// Recursive next hops may be resolved otherwise than they are.
    unsettled: bool,
    /// What an earlier gateway saved, for routes that had it.
    kept: Kept,
    /// Groups that have a number.
    named: Named,
    /// The latest time that was handed in.
    now: Secs,
}

/// Empty route tables: control's side, and what workers read.
pub fn new(cfg: Config) -> (Control, Arc<View>) {
    let cfg = cfg.bounded();
    let (fibs, read) = (0..cfg.fibs).map(|_| fib(cfg.max_fib_bytes)).unzip();
    let view = Arc::new(View {
        fibs: read,
        stamps: Stamps::new(),
        groups: Groups::new(cfg.max_groups, cfg.max_lines),
        nhops: Slots::new(cfg.max_nhops),
        qsbr: Qsbr::new(cfg.readers),
    });
    let control = Control {
        view: Arc::clone(&view),
        cfg,
        fibs,
        rib: Rib::new(cfg.fibs),
        nhops: NhopCtl::new(cfg.max_nhops),
        groups: GroupCtl::new(
            cfg.max_groups,
            cfg.max_lines,
            cfg.default_buckets,
            cfg.remember,
        ),
        deadlines: BTreeSet::new(),
        returning: BTreeSet::new(),
        unsettled: false,
        kept: Kept::default(),
        named: Named::default(),
        now: Secs(0),
    };
    (control, view)
}

/// Control's side of the tables of one FIB.
#[derive(Debug)]
struct FibWriters {
    v4: FibWriter<u32>,
    v6: FibWriter<u128>,
}

impl FibWriters {
    fn reclaim(&mut self, qsbr: &Qsbr) {
        self.v4.reclaim(qsbr);
        self.v6.reclaim(qsbr);
    }
}

fn fib(max_bytes: usize) -> (FibWriters, FibTables) {
    let (v4, read4) = FibWriter::new(max_bytes);
    let (v6, read6) = FibWriter::new(max_bytes);
    let tables = FibTables {
        v4: read4,
        v6: read6,
    };
    (FibWriters { v4, v6 }, tables)
}

/// Next hops that ended: slot, identity, neighbour.
type Ended = Vec<(NhopIdx, NhopKey, u32)>;

impl Control {
    /// What workers read.
    pub const fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Makes flows to `prefix` (to anywhere, if `None`) look their routes up again: something else that decides
    /// about them has changed, such as services.
    pub fn recheck(&self, prefix: Option<&Prefix>) {
        match prefix {
            Some(prefix) => self.view.stamps.bump(prefix),
            None => self.view.stamps.bump_all(),
        }
    }

    fn at(&mut self, now: Secs) {
        self.now = self.now.max(now);
    }

    /// How many FIBs there are.
    pub fn fibs(&self) -> u8 {
        self.rib.fibs()
    }

    /// Refuses a FIB that there is not.
    ///
    /// # Errors
    /// If it is out of range.
    pub fn check_fib(&self, fib: FibId) -> Result<(), RouteError> {
        let last = self.fibs().saturating_sub(1);
        (fib.0 <= last)
            .then_some(())
            .ok_or(RouteError::NoFib { fib, last })
    }

    /// Points a prefix at a group: one store that readers see.
    fn set_fib(&mut self, prefix: &Prefix, group: GroupId) -> Result<(), Full> {
        self.reclaim_fib();
        self.store_in_fib(prefix, group)
    }

    /// As [`Self::set_fib`], without looking what readers have let go of.
    fn store_in_fib(&mut self, prefix: &Prefix, group: GroupId) -> Result<(), Full> {
        self.in_fib(prefix, |fib| match prefix.addr() {
            IpAddr::V4(addr) => fib.v4.set(addr.to_bits(), prefix.len(), group),
            IpAddr::V6(addr) => fib.v6.set(addr.to_bits(), prefix.len(), group),
        })
    }

    fn remove_fib(&mut self, prefix: &Prefix) -> Result<(), Full> {
        self.reclaim_fib();
        self.remove_from_fib(prefix)
    }

    /// As [`Self::remove_fib`], without looking what readers have let go of.
    fn remove_from_fib(&mut self, prefix: &Prefix) -> Result<(), Full> {
        self.in_fib(prefix, |fib| match prefix.addr() {
            IpAddr::V4(addr) => fib.v4.remove(addr.to_bits(), prefix.len()),
            IpAddr::V6(addr) => fib.v6.remove(addr.to_bits(), prefix.len()),
        })
    }

    /// Changes the first of some prefixes of one FIB, and those next to it that end in the same node: readers see one
    /// store. Returns how many.
    fn change_in_fib(
        &mut self,
        turns: impl Iterator<Item = (Prefix, Option<GroupId>)> + Clone,
    ) -> Result<usize, Full> {
        let Some((first, _)) = turns.clone().next() else {
            return Ok(0);
        };
        let mut changed = 0;
        let v4 = turns
            .clone()
            .map_while(|(prefix, group)| match prefix.addr() {
                IpAddr::V4(addr) => Some(turn(addr.to_bits(), &prefix, group)),
                IpAddr::V6(_) => None,
            });
        let v6 = turns
            .clone()
            .map_while(|(prefix, group)| match prefix.addr() {
                IpAddr::V6(addr) => Some(turn(addr.to_bits(), &prefix, group)),
                IpAddr::V4(_) => None,
            });
        self.in_fib(&first, |fib| {
            changed = match first.family() {
                Family::V4 => fib.v4.change_some(v4)?,
                Family::V6 => fib.v6.change_some(v6)?,
            };
            Ok(())
        })?;
        let others = turns.take(changed).skip(1);
        others.for_each(|(prefix, _)| self.unsettle_within(&prefix));
        Ok(changed)
    }

    /// Works on a prefix's FIB, which was checked.
    fn in_fib(
        &mut self,
        prefix: &Prefix,
        work: impl FnOnce(&mut FibWriters) -> Result<(), FibFull>,
    ) -> Result<(), Full> {
        self.unsettle_within(prefix);
        let fib = self.fibs.get_mut(usize::from(prefix.fib().0));
        let limit = self.cfg.max_fib_bytes as u64;
        fib.map_or(Err(FibFull), work)
            .map_err(|FibFull| fib_full(limit))
    }

    fn reclaim_fib(&mut self) {
        let qsbr = &self.view.qsbr;
        self.fibs.iter_mut().for_each(|fib| fib.reclaim(qsbr));
    }

    /// Makes everything usable again that every reader has let go of.
    fn reclaim(&mut self) {
        self.reclaim_fib();
        self.groups.reclaim(&self.view.qsbr);
        self.nhops.reclaim(&self.view.qsbr);
    }

    /// Ends those of `idxs` that no group names any more. Last: buckets and stamps are done.
    fn end_unnamed(&mut self, idxs: &[NhopIdx]) -> Ended {
        let View { nhops, qsbr, .. } = &*self.view;
        idxs.iter()
            .filter_map(|idx| self.nhops.end_unnamed(nhops, qsbr, *idx))
            .collect()
    }
}

const fn turn<A>(addr: A, prefix: &Prefix, group: Option<GroupId>) -> Turn<A> {
    let len = prefix.len();
    Turn { addr, len, group }
}

const fn fib_full(limit: u64) -> Full {
    Full {
        what: "FIB nodes, in bytes,",
        limit,
    }
}

/// The view's parts that groups are written with. Borrows the view alone, not control.
fn shared(view: &View) -> Shared<'_> {
    Shared {
        groups: &view.groups,
        qsbr: &view.qsbr,
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
