//! Affinity templates: their clocks, and what a listing says of one.

use super::{Control, Reader};
use crate::affinity::told;
use crate::time::Now;
use flowtable::{Dir, Key, TemplateStats, TemplateView, Tick};
use hashbrown::HashMap;
use route::{GroupRef, NhopKey, Pin, PinState, Prefix};
use std::net::IpAddr;
use std::sync::Arc;

/// Buckets that control visits in a turn: well below a millisecond.
const SWEEP: usize = 2048;

/// An affinity template, as `template list` shows it.
#[derive(Clone, Debug)]
pub struct TemplateRow {
    /// The client network.
    pub client: (IpAddr, u8),
    /// The sticky route's destination, if the route is there.
    pub route: Option<Prefix>,
    /// Where the client's flows go.
    pub pin: Pin,
    /// What the next new flow would find about that.
    pub state: PinState,
    /// The next hop, if it still exists.
    pub nhop: Option<NhopKey>,
    /// Seconds since it was last said to be in use, or, if it is idle, since its clock runs.
    pub age_s: u32,
    /// Seconds until it expires; `None` while it has flows.
    pub expires_s: Option<u32>,
}

impl Control {
    /// Some templates' clocks are started or looked at.
    pub(super) fn sweep_templates(&mut self, now: Now) {
        let tables = &self.tables;
        let rounds = [tables.v4.visited_since(), tables.v6.visited_since()];
        let oldest = rounds.into_iter().flatten().min();
        // Without flows nothing is in use.
        let horizon = oldest.map_or_else(|| now.secs().0, |tick| tick.0 / Tick::PER_SECOND);
        self.templates.table().set_horizon(horizon);
        self.templates.sweep(SWEEP, now.secs().0);
    }

    /// Forgets the templates of a client network (of all, if `None`): new flows choose anew, pinned ones stay. Returns
    /// how many there were.
    pub fn template_flush(&self, client: Option<Prefix>, now: Now) -> u64 {
        let chosen = |view: &TemplateView| {
            let (addr, len) = view.client.network();
            client.is_none_or(|wanted| wanted.contains(addr) && len >= wanted.len())
        };
        self.templates.flush(now.secs().0, chosen)
    }

    /// Which route has which affinity.
    pub(super) fn affinities(&mut self) -> Arc<HashMap<u64, Prefix>> {
        let routes = &self.routes;
        let make = || Arc::new(routes.affinities().collect());
        Arc::clone(self.affinities.get_or_insert_with(make))
    }
}

impl Reader {
    /// Every template.
    pub fn templates(&self, now: Now) -> Vec<TemplateRow> {
        let views = self.templates.views(now.secs().0);
        views.map(|view| self.template(&view)).collect()
    }

    fn template(&self, view: &TemplateView) -> TemplateRow {
        let pin = Pin::from_raw(view.pin.0);
        TemplateRow {
            client: view.client.network(),
            route: self.affinities.get(&view.client.affinity()).copied(),
            pin,
            state: self.judge(pin),
            nhop: self.nhop(pin),
            age_s: view.age,
            expires_s: view.idle.then(|| view.timeout.saturating_sub(view.age)),
        }
    }

    /// Where the template of a flow's direction sends it, if it has one that holds.
    pub(super) fn told<K: Key>(
        &self,
        place: (&GroupRef<'_>, u32),
        key: &K,
        dir: Dir,
    ) -> Option<Pin> {
        told(&self.templates, &self.view, place, key, dir).map(|told| told.pin)
    }

    /// Their fill and counters.
    pub fn template_stats(&self) -> TemplateStats {
        self.templates.stats()
    }
}
