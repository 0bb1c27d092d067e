//! A burst's packets get what each would have got alone.

use crate::Now;
use crate::counters::Counters;
use crate::fate::DropReason;
use crate::marks::Marks;
use crate::parse::{Addrs, IpMeta, Role, Tuple};
use crate::path::{FlowTables, Outcome, Path, Ready};
use flowtable::{FlowHash, GroupSecret, L4, Seen, SlotNo, TableSecret};
use route::{FibId, Health, NhopKey, NhopKind, OptionsAsked, PortId, Secs, Selection};
use std::sync::Arc;

const NOW: Now = Now(5_000);
const HOPS: u8 = 5;

/// A next hop over port 0.
fn hop(number: u8) -> route::Path {
    route::Path {
        key: NhopKey {
            kind: NhopKind::Gateway,
            port: PortId(0),
            gateway: Some([192, 0, 2, number].into()),
        },
        weight: 1,
        neigh: u32::from(number),
        mtu: 1500,
        through: None,
    }
}

fn all_up(routes: &mut route::Control) {
    for number in 0..HOPS {
        if let Some(nhop) = routes.nhop(&hop(number).key) {
            routes.set_health(nhop, Health::Up, Secs(0));
        }
    }
}

fn tables() -> FlowTables {
    FlowTables::new(1000, 1000, TableSecret([3; 16]), NOW, &|_| {})
}

fn path(view: &Arc<route::View>) -> Path {
    over(view, &tables())
}

fn over(view: &Arc<route::View>, tables: &FlowTables) -> Path {
    let slots: Vec<SlotNo> = (0..256).map(SlotNo).collect();
    let (secret, marks) = (GroupSecret([9; 16]), Arc::new(Marks::default()));
    Path::new(Arc::clone(view), tables, &slots, secret, marks).with_bursts(32)
}

/// A packet of one of some hundred flows, of either family and either of two FIBs.
fn packet(rng: &mut fastrand::Rng) -> IpMeta {
    let n = rng.u8(..);
    let addrs = if rng.u8(..3) > 0 {
        Addrs::V4 {
            src: 0x0a00_0000 | u32::from(rng.u8(..4)),
            dst: u32::from_be_bytes([20 + n % 4, n, 0, 1]),
        }
    } else {
        Addrs::V6 {
            src: 0x2001 << 112 | u128::from(rng.u8(..4)),
            dst: u128::from(0x2002 + u16::from(n % 2)) << 112 | u128::from(n),
        }
    };
    let fib = FibId(u8::from(rng.u8(..8) == 0));
    IpMeta {
        fib,
        ..datagram(addrs)
    }
}

/// A question to a name server.
fn datagram(addrs: Addrs) -> IpMeta {
    let tuple = Tuple {
        addrs,
        sport: 1000,
        dport: 53,
        proto: 17,
    };
    IpMeta {
        addrs,
        tuple,
        proto: 17,
        l4: L4::Udp,
        ..IpMeta::default()
    }
}

fn seen() -> Seen {
    Seen {
        l4: L4::Udp,
        bytes: 100,
        in_port: 0,
    }
}

/// One change of the routes, or none.
fn change(routes: &mut route::Control, rng: &mut fastrand::Rng) {
    const PREFIXES: [&str; 6] = [
        "0.0.0.0/0",
        "20.0.0.0/8",
        "21.7.0.0/16",
        "::/0",
        "2002::/16",
        "2003::/17",
    ];
    let prefix: route::Prefix = rng.choice(PREFIXES).unwrap().parse().unwrap();
    let prefix = prefix.in_fib(FibId(rng.u8(..2)));
    let members: Vec<_> = (0..HOPS).filter(|_| rng.bool()).map(hop).collect();
    if members.is_empty() {
        let _ = routes.delete(prefix, None, Secs(5));
        return;
    }
    let asked = OptionsAsked {
        selection: rng.choice([Selection::Tuple, Selection::Source, Selection::ModN]),
        ..OptionsAsked::default()
    };
    if routes.add_with(prefix, &members, asked, Secs(5)).is_err() {
        let _ = routes.delete(prefix, None, Secs(5));
    }
    all_up(routes);
}

#[test]
fn a_burst_is_routed_as_its_packets_would_be_one_by_one() {
    let mut rng = fastrand::Rng::with_seed(71);
    let config = route::Config {
        readers: 1,
        fibs: 2,
        ..route::Config::default()
    };
    let (mut routes, view) = route::new(config);
    let (mut together, mut alone) = (path(&view), path(&view));
    let counters = [Counters::new(1), Counters::new(1)];
    let (mut ready, mut nowhere, mut inserted) = (Vec::new(), 0, 0);
    for _ in 0..3_000 {
        change(&mut routes, &mut rng);
        let burst: Vec<IpMeta> = (0..rng.usize(1..32)).map(|_| packet(&mut rng)).collect();
        let slots: Vec<SlotNo> = burst.iter().map(|m| together.slot(&m.tuple)).collect();
        let asked = slots
            .iter()
            .zip(&burst)
            .map(|(slot, meta)| Some((*slot, meta)));
        ready.clear();
        together.ready(asked, NOW, &mut ready);
        for ((meta, slot), ready) in burst.iter().zip(&slots).zip(&ready) {
            assert_ne!(*ready, Ready::Not);
            let got = together
                .resolve_ready(*ready, meta.role, &seen(), NOW, &counters[0])
                .unwrap();
            let want = alone.resolve(*slot, meta, &seen(), NOW, &counters[1]);
            assert_eq!(got, want, "{meta:?}");
            nowhere += usize::from(got == Outcome::Unroutable(DropReason::NoRoute));
        }
        assert_eq!(together.len(), alone.len());
        inserted += together.len();
        if rng.u8(..3) == 0 {
            // Forget everything, so that most of the next bursts are new again.
            (together, alone) = (path(&view), path(&view));
        }
    }
    assert!(nowhere > 100 && inserted > 10_000, "{nowhere} {inserted}");
}

/// A packet of a flow that mostly never was before.
fn flooding(rng: &mut fastrand::Rng) -> IpMeta {
    let src = if rng.u8(..4) == 0 {
        0x0a00_0000 | u32::from(rng.u16(..))
    } else {
        rng.u32(..)
    };
    let addrs = Addrs::V4 {
        src,
        dst: 0x1407_0001,
    };
    let tuple = Tuple {
        addrs,
        ..packet(rng).tuple
    };
    IpMeta {
        addrs,
        tuple,
        fib: FibId(0),
        ..packet(rng)
    }
}

#[test]
fn a_burst_of_a_flood_fares_as_its_packets_would_one_by_one() {
    let mut rng = fastrand::Rng::with_seed(72);
    let config = route::Config {
        readers: 1,
        fibs: 2,
        ..route::Config::default()
    };
    let (mut routes, view) = route::new(config);
    let (together, alone) = (tables(), tables());
    let [mut bursts, mut singly] = [&together, &alone].map(|tables| over(&view, tables));
    let counters = [Counters::new(1), Counters::new(1)];
    let mut ready = Vec::new();
    for n in 0..4_000 {
        let now = Now(5_000 + 2 * n);
        if n % 100 == 0 {
            change(&mut routes, &mut rng);
        }
        let burst: Vec<IpMeta> = (0..32).map(|_| flooding(&mut rng)).collect();
        let slots: Vec<SlotNo> = burst.iter().map(|m| bursts.slot(&m.tuple)).collect();
        let asked = slots.iter().zip(&burst);
        ready.clear();
        bursts.ready(
            asked.map(|(slot, meta)| Some((*slot, meta))),
            now,
            &mut ready,
        );
        for ((meta, slot), ready) in burst.iter().zip(&slots).zip(&ready) {
            let got = bursts.resolve_ready(*ready, meta.role, &seen(), now, &counters[0]);
            let want = singly.resolve(*slot, meta, &seen(), now, &counters[1]);
            assert_eq!(got, Some(want), "{meta:?}");
        }
    }
    let [got, want] = [&together, &alone].map(|tables| tables.v4.stats());
    assert_eq!(
        got.named().collect::<Vec<_>>(),
        want.named().collect::<Vec<_>>()
    );
    assert!(got.flooded > 10_000, "{got:?}");
    let unpinned = counters.each_ref().map(|of| of.unpinned.get());
    assert_eq!(unpinned[0], unpinned[1]);
}

#[test]
fn a_packet_in_the_middle_counts_as_pinned_and_an_icmp_error_leaves_no_trace_in_its_flow() {
    let config = route::Config {
        readers: 1,
        ..route::Config::default()
    };
    let (mut routes, view) = route::new(config);
    let everywhere: route::Prefix = "0.0.0.0/0".parse().unwrap();
    let asked = OptionsAsked::default();
    routes
        .add_with(everywhere, &[hop(1)], asked, Secs(5))
        .unwrap();
    all_up(&mut routes);
    let tables = tables();
    let (mut path, counters) = (over(&view, &tables), Counters::new(1));
    let mut rng = fastrand::Rng::with_seed(3);
    let there = std::iter::repeat_with(|| packet(&mut rng))
        .find(|meta| !meta.addrs.is_v6() && meta.fib == FibId(0))
        .unwrap();
    let back = IpMeta {
        addrs: there.addrs.exchanged(),
        tuple: there.tuple.exchanged(),
        ..there
    };
    let error = IpMeta {
        role: Role::Quoting,
        l4: L4::Icmp,
        ..back
    };
    let mut turn = |meta: &IpMeta, now: u64| {
        let (slot, mut ready) = (path.slot(&meta.tuple), Vec::new());
        path.ready([Some((slot, meta))].into_iter(), Now(now), &mut ready);
        let seen = Seen {
            l4: meta.l4,
            ..seen()
        };
        let outcome = path.resolve_ready(ready[0], meta.role, &seen, Now(now), &counters);
        assert!(matches!(outcome, Some(Outcome::Via(_))), "{outcome:?}");
    };
    for meta in [&there, &back, &there, &back] {
        turn(meta, 5_000);
    }
    let before = (counters.pinned.get(), tables.v4.stats().hits);
    for packets in 1..=10 {
        turn(&there, 5_100);
        turn(&back, 5_100);
        let now = (counters.pinned.get(), tables.v4.stats().hits);
        assert_eq!(now, (before.0 + 2 * packets, before.1 + 2 * packets));
    }
    let entry = || format!("{:?}", tables.v4.entries().next().unwrap());
    let (before, pinned) = (entry(), counters.pinned.get());
    turn(&error, 5_500);
    assert_eq!((entry(), counters.pinned.get()), (before, pinned));
}

/// A path in a flood, over a default route of either family.
struct Flooded {
    routes: route::Control,
    path: Path,
    tables: FlowTables,
    counters: Counters,
    flows: u32,
    now: Now,
}

/// What a packet without an entry is counted as: unpinned; missed, turned away in a flood, refused.
type Books = [u64; 4];

impl Flooded {
    fn new() -> Self {
        let config = route::Config {
            readers: 1,
            ..route::Config::default()
        };
        let (routes, view) = route::new(config);
        let tables = tables();
        let mut rig = Self {
            path: over(&view, &tables),
            routes,
            tables,
            counters: Counters::new(1),
            flows: 0,
            // So long after the start that nothing of before it matters.
            now: Now(10_000_000),
        };
        rig.route(hop(1));
        all_up(&mut rig.routes);
        for v6 in [false, true] {
            (0..600).for_each(|_| _ = rig.burst(v6, Role::Own));
        }
        rig
    }

    /// All default routes go there.
    fn route(&mut self, to: route::Path) {
        for prefix in ["0.0.0.0/0", "::/0"] {
            let prefix: route::Prefix = prefix.parse().unwrap();
            let _ = self.routes.delete(prefix, None, Secs(5));
            let asked = OptionsAsked::default();
            self.routes
                .add_with(prefix, std::slice::from_ref(&to), asked, Secs(5))
                .unwrap();
        }
    }

    fn books(&self, v6: bool) -> Books {
        let stats = match v6 {
            true => self.tables.v6.stats(),
            false => self.tables.v4.stats(),
        };
        let unpinned = self.counters.unpinned.get();
        [unpinned, stats.misses, stats.flooded, stats.refused]
    }

    fn new_flow(&mut self, v6: bool) -> IpMeta {
        self.flows += 1;
        let n = self.flows;
        let addrs = match v6 {
            true => Addrs::V6 {
                // Each from a network of its own, or one would have more than its share.
                src: 0x2001 << 112 | u128::from(n) << 72,
                dst: 0x2002 << 112 | 1,
            },
            false => Addrs::V4 {
                src: 0x0a00_0000 + n,
                dst: 0x1407_0001,
            },
        };
        datagram(addrs)
    }

    /// A burst of new flows: of each who was held back what it got, and what it was counted as.
    fn burst(&mut self, v6: bool, role: Role) -> Vec<(IpMeta, Outcome, Books)> {
        self.now.0 += 2;
        let metas: Vec<_> = (0..32).map(|_| self.new_flow(v6)).collect();
        let slots: Vec<_> = metas.iter().map(|m| self.path.slot(&m.tuple)).collect();
        let (mut ready, mut away) = (Vec::new(), Vec::new());
        let asked = slots.iter().zip(&metas);
        let asked = asked.map(|(slot, meta)| Some((*slot, meta)));
        self.path.ready(asked, self.now, &mut ready);
        for (meta, ready) in metas.iter().zip(ready) {
            let held = match ready {
                Ready::V4(which) => self.path.bursts.v4.held_back(which),
                Ready::V6(which) => self.path.bursts.v6.held_back(which),
                Ready::Not => None,
            };
            let before = self.books(v6);
            let path = &mut self.path;
            let got = path.resolve_ready(ready, role, &seen(), self.now, &self.counters);
            let after = self.books(v6);
            if held.is_some() {
                let counted = std::array::from_fn(|i| after[i] - before[i]);
                away.push((*meta, got.unwrap(), counted));
            }
        }
        away
    }
}

#[test]
fn who_is_held_back_goes_where_it_would_without_a_table_and_is_counted_as_turned_away() {
    let mut rig = Flooded::new();
    for v6 in [false, true] {
        let mut held = 0;
        for _ in 0..100 {
            for (meta, got, counted) in rig.burst(v6, Role::Own) {
                let want = rig.path.route_only(meta.fib, &meta.tuple, rig.now);
                assert!(matches!(got, Outcome::Via(_)) && got == want, "{got:?}");
                assert_eq!(counted, [1, 1, 1, 1]);
                let (slot, tick) = (rig.path.slot(&meta.tuple), rig.now.tick());
                // Only the slot's note tells: its bucket says nothing of any hash.
                let hash = FlowHash(0);
                let proved = match v6 {
                    true => rig.path.flows6.proves_new(slot, hash, 60, tick),
                    false => rig.path.flows4.proves_new(slot, hash, 60, tick),
                };
                assert!(!proved, "its loss is noted");
                held += 1;
            }
        }
        assert!(held > 1_000, "{held}");
    }
}

#[test]
fn an_icmp_error_about_a_flow_that_is_held_back_is_no_packet_of_it() {
    let mut rig = Flooded::new();
    let errors: Vec<_> = (0..50)
        .flat_map(|_| rig.burst(false, Role::Quoting))
        .collect();
    assert!(errors.len() > 500);
    for (_, got, [unpinned, _, flooded, refused]) in errors {
        assert!(matches!(got, Outcome::Via(_)), "{got:?}");
        assert_eq!([unpinned, flooded, refused], [0; 3]);
    }
}

#[test]
fn who_is_held_back_goes_to_no_dead_next_hop_and_by_no_route_that_forwards_nothing() {
    let mut rig = Flooded::new();
    let dead = rig.routes.nhop(&hop(1).key).unwrap();
    rig.routes.set_health(dead, Health::Dead, Secs(6));
    let key = NhopKey {
        kind: NhopKind::Reject,
        gateway: None,
        ..hop(1).key
    };
    for want in [DropReason::NoNexthop, DropReason::Reject] {
        if want == DropReason::Reject {
            rig.route(route::Path { key, ..hop(1) });
        }
        for v6 in [false, true] {
            let all: Vec<_> = (0..50).flat_map(|_| rig.burst(v6, Role::Own)).collect();
            assert!(all.len() > 500, "{}", all.len());
            for (_, got, counted) in all {
                assert_eq!((got, counted[0]), (Outcome::Unroutable(want), 0));
            }
        }
    }
}

#[test]
fn whose_turn_it_is_in_a_flood_is_asked_of_the_time_of_the_burst() {
    let mut rig = Flooded::new();
    let (mut held, mut differ) = (0, 0);
    for _ in 0..100 {
        rig.now.0 += 7;
        let metas: Vec<_> = (0..32).map(|_| rig.new_flow(false)).collect();
        let slots: Vec<_> = metas.iter().map(|m| rig.path.slot(&m.tuple)).collect();
        let asked = slots.iter().zip(&metas);
        let asked = asked.map(|(slot, meta)| Some((*slot, meta)));
        rig.path.ready(asked, rig.now, &mut Vec::new());
        for which in 0..32 {
            let probe = rig.path.bursts.v4.get(which).unwrap().probe;
            let (slot, hash, tick) = (probe.slot(), probe.hash(), rig.now.tick());
            let away = rig.path.bursts.v4.held_back(which).is_some();
            held += u32::from(away);
            differ += u32::from(away != rig.path.flows4.turns_away(slot, hash, tick));
        }
    }
    // But for the few that have another flow's tag.
    assert!(
        held > 1_000 && differ < 10,
        "{held} held back, {differ} differ"
    );
}
