//! Every counter by name, so that a case can say of all of them what they must be.

use crate::net::Net;
use crate::rack::Family;
use arp::ArpStats;
use stack::fate::{DropReason, MoveReason};
use stack::host::{HostCmd, HostLink, HostReply};
use std::collections::BTreeMap;

/// Counters that are not zero.
pub(super) type Counts = BTreeMap<String, u64>;

/// Work and sleep, bytes, and by which queue the host was asked: no case is about them.
const NOT_ASKED: [&str; 10] = [
    "rx_bytes",
    "tx_bytes",
    "bursts",
    "sleeps",
    "slept_ms",
    "punted_ask",
    "punted_confirm",
    "pieces_waiting",
    "datagrams",
    "datagrams_forgotten",
];

/// By how much all counters of a network grow from a moment on, where more happens than a [`Case`](super::Case) says.
///
/// Which worker a packet came to, and by which it went on, is no part of it: `handed_off` and `taken_over` are equal, no more.
#[derive(Debug)]
#[must_use = "what is not held to anything shows nothing"]
pub struct Growth {
    before: Counts,
    expected: Counts,
}

impl Growth {
    /// From now on.
    pub fn of(net: &mut Net) -> Self {
        Self {
            before: counts(net),
            expected: Counts::new(),
        }
    }

    /// A counter grows by so much.
    pub fn counts(mut self, name: &str, n: u64) -> Self {
        *self.expected.entry(name.to_owned()).or_default() += n;
        self
    }

    /// Packets come.
    pub fn received(self, family: Family, n: u64) -> Self {
        let name = match family {
            Family::V4 => "ip4_received",
            Family::V6 => "ip6_received",
        };
        self.counts("rx", n).counts(name, n)
    }

    /// Packets come and go on.
    pub fn forwarded(self, family: Family, n: u64) -> Self {
        let name = match family {
            Family::V4 => "ip4_forwarded",
            Family::V6 => "ip6_forwarded",
        };
        let growth = self.received(family, n).counts("forwarded", n);
        growth.counts(name, n).counts("tx", n)
    }

    /// Packets come and are dropped for this reason.
    pub fn dropped(self, reason: DropReason, family: Family, n: u64) -> Self {
        let name = drop_name(reason, family == Family::V6);
        self.received(family, n).counts(&name, n)
    }

    /// Packets come for the gateway's own sockets.
    pub fn delivered(self, family: Family, n: u64) -> Self {
        let growth = self.received(family, n).counts("consumed", n);
        growth.counts("consumed_local", n)
    }

    /// The gateway sends ICMP errors.
    pub fn errors(self, n: u64) -> Self {
        self.counts("icmp_sent", n).begun(n)
    }

    /// It sends what begins here.
    pub fn begun(self, n: u64) -> Self {
        self.counts("originated", n).counts("tx", n)
    }

    /// How far they have come.
    ///
    /// # Panics
    /// If workers took over more packets, or fewer, than were handed to them.
    pub fn so_far(&self, net: &mut Net) -> BTreeMap<String, u64> {
        let mut grown = growth(&self.before, &counts(net));
        let [handed, taken] = ["handed_off", "taken_over"].map(|name| grown.remove(name));
        assert_eq!(handed, taken, "packets are between workers");
        grown
    }

    /// These have grown by so much by now, and all others not at all.
    ///
    /// # Panics
    /// If it is otherwise.
    pub fn holds(mut self, net: &mut Net, what: &str) {
        let grown = self.so_far(net);
        self.expected.retain(|_, n| *n > 0);
        assert_eq!(grown, self.expected, "{what}: the counters");
    }
}

/// What the counters are now.
pub(super) fn counts(net: &mut Net) -> Counts {
    let totals = net.totals();
    let mut all: Vec<(String, u64)> = totals
        .named()
        .into_iter()
        .filter(|(name, _)| !NOT_ASKED.contains(name))
        .map(|(name, n)| (name.to_owned(), n))
        .collect();
    for &reason in DropReason::ALL {
        for v6 in [false, true] {
            all.push((drop_name(reason, v6), totals.dropped_in(reason, v6)));
        }
    }
    let host = net.sim.gateway.control.reader().host_totals();
    all.extend([
        ("reassembled".to_owned(), host.reassembled),
        ("own_pieces_dropped".to_owned(), host.own_pieces_dropped),
        ("own_pieces_late".to_owned(), host.own_pieces_late),
        ("icmp_sent".to_owned(), host.icmp_sent),
        ("icmp_limited".to_owned(), host.icmp_limited),
        ("icmp_suppressed".to_owned(), host.icmp_suppressed),
    ]);
    let moves = MoveReason::ALL.into_iter();
    all.extend(moves.map(|m| (format!("moved: {}", m.name()), totals.moved_for(m))));
    all.extend(neighbours(&stats(net)));
    let mut counts = Counts::new();
    for (name, n) in all.into_iter().filter(|(_, n)| *n > 0) {
        *counts.entry(name).or_default() += n;
    }
    counts
}

/// A drop's counter. One of a family alone is that of either.
pub(super) fn drop_name(reason: DropReason, v6: bool) -> String {
    reason.name_in(v6)
}

/// By how much counters grew.
pub(super) fn growth(before: &Counts, after: &Counts) -> Counts {
    let grown = after.iter().map(|(name, n)| {
        let had = before.get(name).copied().unwrap_or(0);
        (name.clone(), n - had)
    });
    grown.filter(|(_, n)| *n > 0).collect()
}

/// What a neighbour table has counted, by the names that cases have for it; all others are zero.
pub fn counted(stats: &ArpStats) -> BTreeMap<String, u64> {
    let all = neighbours(stats).into_iter();
    all.filter(|(_, n)| *n > 0).collect()
}

fn stats(net: &mut Net) -> ArpStats {
    match net.sim.gateway.host.call(HostCmd::NeighStats) {
        HostReply::NeighStats(stats, _) => *stats,
        other => panic!("the host answers {other:?}"),
    }
}

fn neighbours(stats: &ArpStats) -> Vec<(String, u64)> {
    let plain = [
        ("arp requests sent", stats.txrequests),
        ("arp replies sent", stats.txreplies),
        ("arp requests received", stats.rxrequests),
        ("arp replies received", stats.rxreplies),
        ("arp received", stats.received),
        ("solicitations sent", stats.tx_neighbor_solicit),
        ("advertisements sent", stats.tx_neighbor_advert),
        ("solicitations received", stats.rx_neighbor_solicit),
        ("advertisements received", stats.rx_neighbor_advert),
        ("router solicitations received", stats.rx_router_solicit),
        ("router advertisements sent", stats.tx_router_advert),
        ("announcements", stats.announcements),
        ("probes", stats.probes),
        ("defences", stats.defences),
        ("duplicate addresses", stats.dupips),
        ("neighbours unanswered", stats.unanswered),
        ("neighbours unheard", stats.unheard),
        ("neighbours timed out", stats.timeouts),
        ("neighbours moved", stats.moved),
        ("moves refused", stats.moves_refused),
        ("neighbours evicted", stats.evicted),
        ("neighbours refused: full", stats.refused_full),
        ("neighbours refused: busy", stats.refused_busy),
        ("neighbour events lost", stats.events_lost),
    ];
    let ignored = stats
        .reasons()
        .map(|(reason, n)| (format!("ignored: {}", reason.name()), n));
    plain
        .map(|(name, n)| (name.to_owned(), n))
        .into_iter()
        .chain(ignored)
        .collect()
}
