//! Control: the truth about routes. One thread owns it; it publishes to workers and never waits for them.
//!
//! - `change`: add, change and delete routes. `regroup`: which group each has.
//! - `state`: next hops die, return and drain; time passes.
//! - `list`: what there is.
//! - `batch`: many changes as one, all or nothing. `preview`: what a change would do.
//!
//! A change is published in this order (design section 4): buckets of every group concerned, FIB, stamps, and
//! last the words of next hops. What is refused is refused before anything is published.

mod batch;
mod change;
mod list;
mod preview;
mod regroup;
mod state;

pub use batch::{Batch, BatchDone, BatchSet, BatchSpec, BatchState};
pub use preview::{Preview, Sketch};

use crate::config::Config;
use crate::error::Full;
use crate::fib::{FibFull, FibWriter};
use crate::ids::{GroupId, NhopIdx, Secs};
use crate::nhgrp::{GroupCtl, Groups, Shared};
use crate::nhop::{NhopCtl, NhopKey, Slots};
use crate::prefix::Prefix;
use crate::qsbr::Qsbr;
use crate::rib::Rib;
use crate::stamp::Stamps;
use crate::view::View;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// The owner of all routes.
#[derive(Debug)]
pub struct Control {
    view: Arc<View>,
    cfg: Config,
    fib4: FibWriter<u32>,
    fib6: FibWriter<u128>,
    rib: Rib,
    nhops: NhopCtl,
    groups: GroupCtl,
    /// When drained paths leave their routes.
    deadlines: BTreeSet<(Secs, Prefix)>,
    /// Next hops that came back and have not all of their buckets yet.
    returning: BTreeSet<NhopIdx>,
    /// The latest time that was handed in.
    now: Secs,
}

/// Empty route tables: control's side, and what workers read.
pub fn new(cfg: Config) -> (Control, Arc<View>) {
    let cfg = cfg.bounded();
    let (fib4, read4) = FibWriter::new(cfg.max_fib_bytes);
    let (fib6, read6) = FibWriter::new(cfg.max_fib_bytes);
    let view = Arc::new(View {
        fib4: read4,
        fib6: read6,
        stamps: Stamps::new(),
        groups: Groups::new(cfg.max_groups, cfg.max_lines),
        nhops: Slots::new(cfg.max_nhops),
        qsbr: Qsbr::new(cfg.readers),
    });
    let control = Control {
        view: Arc::clone(&view),
        cfg,
        fib4,
        fib6,
        rib: Rib::new(),
        nhops: NhopCtl::new(cfg.max_nhops),
        groups: GroupCtl::new(
            cfg.max_groups,
            cfg.max_lines,
            cfg.default_buckets,
            cfg.remember,
        ),
        deadlines: BTreeSet::new(),
        returning: BTreeSet::new(),
        now: Secs(0),
    };
    (control, view)
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

    /// Points a prefix at a group: one store that readers see.
    fn set_fib(&mut self, prefix: &Prefix, group: GroupId) -> Result<(), Full> {
        self.reclaim_fib();
        self.store_in_fib(prefix, group)
    }

    /// As [`Self::set_fib`], without looking what readers have let go of.
    fn store_in_fib(&mut self, prefix: &Prefix, group: GroupId) -> Result<(), Full> {
        let set = match prefix.addr() {
            IpAddr::V4(addr) => self.fib4.set(addr.to_bits(), prefix.len(), group),
            IpAddr::V6(addr) => self.fib6.set(addr.to_bits(), prefix.len(), group),
        };
        let limit = self.cfg.max_fib_bytes as u64;
        set.map_err(|FibFull| fib_full(limit))
    }

    fn remove_fib(&mut self, prefix: &Prefix) -> Result<(), Full> {
        self.reclaim_fib();
        self.remove_from_fib(prefix)
    }

    /// As [`Self::remove_fib`], without looking what readers have let go of.
    fn remove_from_fib(&mut self, prefix: &Prefix) -> Result<(), Full> {
        let removed = match prefix.addr() {
            IpAddr::V4(addr) => self.fib4.remove(addr.to_bits(), prefix.len()),
            IpAddr::V6(addr) => self.fib6.remove(addr.to_bits(), prefix.len()),
        };
        removed.map_err(|FibFull| fib_full(self.cfg.max_fib_bytes as u64))
    }

    fn reclaim_fib(&mut self) {
        self.fib4.reclaim(&self.view.qsbr);
        self.fib6.reclaim(&self.view.qsbr);
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
