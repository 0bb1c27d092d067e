//! What every scenario ends with: both books balance, drops and moves are exactly those expected and all others
//! zero, no table is over its limit, nobody lost a flow that had no reason to move.

use super::Net;
use stack::counters::{PortTotals, Totals};
use stack::fate::{DropReason, MoveReason};

/// Packets that a worker lets wait for neighbours that have no entry yet (`stack/src/worker/wait.rs`).
const UNKNOWN_MAX: usize = 64;

impl Net {
    /// The gateway's counters.
    pub fn totals(&self) -> Totals {
        self.sim.gateway.control.totals()
    }

    /// Panics unless both books balance, ports' counters add up to the gateway's, and no table holds more than it
    /// may.
    pub fn assert_kept(&mut self) {
        self.sim.assert_books();
        for (table, used, limit) in self.fills() {
            assert!(used <= limit, "{table}: {used} of {limit}");
        }
        self.assert_ports();
    }

    /// Panics unless every packet buffer is where it belongs. In a moment without packets none can be elsewhere: one that
    /// is missing is lost for good, and a worker without buffers receives nothing any more.
    pub fn assert_buffers(&mut self) {
        // Twice: what is owed is given back by the one, and taken back by the other.
        self.sim.settle();
        self.sim.poll_workers();
        let gateway = &self.sim.gateway;
        for (id, worker) in gateway.workers.iter().enumerate() {
            let (free, all) = worker.buffers();
            assert_eq!(free, all, "buffers of worker {id}");
        }
        let (free, all) = gateway.host.buffers();
        assert_eq!(free, all, "buffers of the host");
    }

    /// Panics unless that holds, and no more flows moved than had a reason to.
    pub fn assert_sound(&mut self) {
        self.assert_kept();
        let moved: u64 = self.totals().moved.iter().sum();
        let seen = self.watch.moves.len() as u64;
        assert!(seen <= moved, "{seen} flows moved, {moved} for a reason");
    }

    /// Every table: what it holds, and what it may hold.
    pub fn fills(&mut self) -> Vec<(&'static str, u64, u64)> {
        let gateway = &mut self.sim.gateway;
        let names = ["flows", "IPv6 flows", "own flows", "own IPv6 flows"];
        let stats = gateway.control.reader().flow_stats();
        let flows = names
            .into_iter()
            .zip(stats)
            .map(|(n, s)| (n, s.used, s.capacity));
        let mut all: Vec<_> = flows.collect();
        let routes = gateway.control.route_fills().into_iter();
        all.extend(routes.map(|fill| (fill.name, fill.used, fill.limit)));
        let templates = gateway.control.reader().template_stats();
        all.push(("templates", templates.used, templates.capacity));
        let (used, limit) = gateway.host.neighbours().fills();
        all.push(("neighbours", used as u64, limit as u64));
        let (bounds, totals) = (gateway.control.bounds(), gateway.control.totals());
        let workers = gateway.workers.len();
        let room = (bounds.held + UNKNOWN_MAX + bounds.pieces + bounds.parked) * workers;
        all.push(("waiting packets", totals.waiting, room as u64));
        let rings = bounds.handoff * workers * workers.saturating_sub(1);
        let in_rings = totals.handed_off - totals.taken_over;
        all.push(("hand-off rings", in_rings, rings as u64));
        all
    }

    fn assert_ports(&mut self) {
        let ports = self.sim.gateway.control.reader().port_reports();
        // What goes by a VLAN has been counted for its parent.
        let devices = || ports.iter().filter(|p| p.port.vlan.is_none());
        let sum = |of: fn(&PortTotals) -> u64| devices().map(|p| of(&p.totals)).sum::<u64>();
        let dropped: u64 = ports.iter().map(|p| p.totals.rx_dropped).sum();
        let totals = self.totals();
        assert_eq!(sum(|p| p.rx), totals.rx, "received by ports");
        assert_eq!(sum(|p| p.tx), totals.tx, "sent by ports");
        assert_eq!(sum(|p| p.refused), totals.refused, "refused by ports");
        assert_eq!(dropped, totals.dropped(), "dropped by ports");
        for vlan in &ports {
            let parent = vlan
                .port
                .vlan
                .and_then(|of| ports.iter().find(|p| p.port.id == of.parent));
            let Some(parent) = parent else { continue };
            let (own, all) = (&vlan.totals, &parent.totals);
            assert!(own.rx <= all.rx && own.tx <= all.tx && own.refused <= all.refused);
        }
    }

    /// Panics unless packets were dropped for exactly these reasons, so often.
    pub fn assert_drops(&self, expected: &[(DropReason, u64)]) {
        let totals = self.totals();
        for &reason in DropReason::ALL {
            let want = expected.iter().find(|(r, _)| *r == reason);
            let (want, got) = (want.map_or(0, |(_, n)| *n), totals.dropped_for(reason));
            assert_eq!(got, want, "dropped for {}: {totals:?}", reason.name());
        }
    }

    /// Panics if packets were dropped for any other reason than these.
    pub fn assert_only_dropped(&self, allowed: &[DropReason]) {
        let totals = self.totals();
        for &reason in DropReason::ALL {
            let got = totals.dropped_for(reason);
            let fine = got == 0 || allowed.contains(&reason);
            assert!(fine, "{got} dropped for {}: {totals:?}", reason.name());
        }
    }

    /// Panics unless pins moved for exactly these reasons, so often.
    pub fn assert_moves(&self, expected: &[(MoveReason, u64)]) {
        let totals = self.totals();
        for reason in MoveReason::ALL {
            let want = expected.iter().find(|(r, _)| *r == reason);
            let want = want.map_or(0, |(_, n)| *n);
            let got = totals.moved_for(reason);
            assert_eq!(got, want, "moved for {}: {totals:?}", reason.name());
        }
    }

    /// Panics if a flow left a host that is not one of these.
    pub fn assert_only_left(&self, hosts: &[usize]) {
        for moved in &self.watch.moves {
            assert!(hosts.contains(&moved.from), "collateral: {moved:?}");
        }
    }
}
