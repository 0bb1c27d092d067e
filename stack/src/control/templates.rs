//! Affinity templates: their clocks, and what a listing says of one.

use super::{Control, Reader};
use crate::affinity::told;
use crate::time::Now;
use flowtable::{Dir, Key, TemplateStats, TemplateView, Tick};
use hashbrown::HashMap;
use route::{GroupRef, NhopKey, Pin, PinState, Prefix, StickyOf};
use std::net::IpAddr;
use std::sync::Arc;

/// Buckets that control visits in a turn: well below a millisecond.
const SWEEP: usize = 2048;

/// Milliseconds between two such visits at least: a batch of routes has a turn each millisecond.
const SWEEP_MS: u64 = 20;

/// An affinity template, as `template list` shows it.
#[derive(Clone, Debug)]
pub struct TemplateRow {
    /// The client network.
    pub client: (IpAddr, u8),
    /// The sticky route or group, if that is there.
    pub of: Option<StickyOf>,
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

/// Which templates; what is left out matches all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TemplateFilter {
    /// The client network lies in this prefix, or holds it.
    pub client: Option<Prefix>,
    /// Flows go to the next hop with this gateway, which is there.
    pub gateway: Option<IpAddr>,
}

impl TemplateFilter {
    /// Whether a template of this client network is meant, that sends flows to this next hop.
    fn matches(&self, (addr, len): (IpAddr, u8), nhop: Option<NhopKey>) -> bool {
        let client = self.client.is_none_or(|wanted| {
            if len >= wanted.len() {
                wanted.contains(addr)
            } else {
                Prefix::masked(addr, len).contains(wanted.addr())
            }
        });
        let via = |gateway| nhop.is_some_and(|key| key.gateway == Some(gateway));
        client && self.gateway.is_none_or(via)
    }
}

impl Control {
    /// Some templates' clocks are started or looked at.
    pub(super) fn sweep_templates(&mut self, now: Now) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = Now(now.0 + SWEEP_MS);
        let tables = &self.tables;
        let rounds = [tables.v4.visited_since(), tables.v6.visited_since()];
        let oldest = rounds.into_iter().flatten().min();
        // Without flows nothing is in use.
        let horizon = oldest.map_or_else(|| now.secs().0, |tick| tick.0 / Tick::PER_SECOND);
        self.templates.table().set_horizon(horizon);
        // Without templates there is nothing to visit in a gateway that has nothing else to do; they are counted all
        // the same, so that the first one is seen.
        let buckets = match self.templates.table().in_use() {
            true => SWEEP,
            false => 0,
        };
        self.templates.sweep(buckets, now.secs().0);
    }

    /// Forgets the templates that match: new flows choose anew, pinned ones stay. Returns how many there were.
    pub fn template_flush(&mut self, filter: &TemplateFilter, now: Now) -> u64 {
        let reader = self.reader();
        let chosen = |view: &TemplateView| reader.is_meant(view, filter);
        self.templates.flush(now.secs().0, chosen)
    }

    /// Which route or group has which affinity.
    pub(super) fn affinities(&mut self) -> Arc<HashMap<u64, StickyOf>> {
        let routes = &self.routes;
        let make = || Arc::new(routes.affinities().collect());
        Arc::clone(self.affinities.get_or_insert_with(make))
    }
}

impl Reader {
    /// The templates that match.
    pub fn templates(&self, filter: &TemplateFilter, now: Now) -> Vec<TemplateRow> {
        let views = self.templates.views(now.secs().0);
        let meant = views.filter(|view| self.is_meant(view, filter));
        meant.map(|view| self.template(&view)).collect()
    }

    fn is_meant(&self, view: &TemplateView, filter: &TemplateFilter) -> bool {
        let nhop = self.nhop(Pin::from_raw(view.pin.0));
        filter.matches(view.client.network(), nhop)
    }

    fn template(&self, view: &TemplateView) -> TemplateRow {
        let pin = Pin::from_raw(view.pin.0);
        TemplateRow {
            client: view.client.network(),
            of: self.affinities.get(&view.client.affinity()).copied(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_means_networks_in_its_prefix_and_the_one_that_holds_it() {
        let meant = |wanted: &str, (addr, len): (&str, u8)| {
            let filter = TemplateFilter {
                client: wanted.parse().ok(),
                gateway: None,
            };
            filter.matches((addr.parse().unwrap(), len), None)
        };
        assert!(meant("10.7.0.0/16", ("10.7.3.0", 24)));
        assert!(meant("10.7.3.0/24", ("10.7.3.0", 24)));
        assert!(meant("10.7.3.9/32", ("10.7.3.0", 24)));
        assert!(!meant("10.7.4.9/32", ("10.7.3.0", 24)));
        assert!(!meant("10.8.0.0/16", ("10.7.3.0", 24)));
        assert!(!meant("10.7.0.0/16", ("fd00::", 64)));
        assert!(!meant("fd00::/8", ("10.7.3.0", 24)));
        let nobody = TemplateFilter {
            client: None,
            gateway: Some([192, 0, 2, 11].into()),
        };
        assert!(!nobody.matches(([10, 7, 3, 0].into(), 24), None));
    }
}
