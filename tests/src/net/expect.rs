//! What every scenario ends with: both books balance, drops and moves are exactly those expected and all others
//! zero, no table is over its limit, nobody lost a flow that had no reason to move.

use super::Net;
use stack::counters::Totals;
use stack::fate::{DropReason, MoveReason};

impl Net {
    /// The gateway's counters.
    pub fn totals(&self) -> Totals {
        self.sim.gateway.control.totals()
    }

    /// Panics unless both books balance and no table holds more than it may.
    pub fn assert_sound(&mut self) {
        self.sim.assert_books();
        let now = self.sim.now;
        let gateway = &mut self.sim.gateway;
        for fill in gateway.control.status(&mut gateway.host, now).fills {
            assert!(fill.used <= fill.limit, "over its limit: {fill:?}");
        }
        let moved: u64 = self.totals().moved.iter().sum();
        let seen = self.watch.moves.len() as u64;
        assert!(seen <= moved, "{seen} flows moved, {moved} for a reason");
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
