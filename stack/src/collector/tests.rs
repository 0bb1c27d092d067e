//! Pieces in every order, against a model; bounds under floods; nothing lost, nothing twice.

use super::*;
use crate::pkt::LinkCast;
use fastrand::Rng;
use route::PortId;
use std::collections::{HashMap, HashSet};

const WAIT: u64 = 100;
const KEEP: u64 = 1_000;

/// A piece of 8 bytes; its bytes name it, so that it can be told apart when it comes out.
#[derive(Clone, Copy, Debug)]
struct Piece {
    name: u32,
    src: u32,
    id: u32,
    /// 0 for the first piece.
    offset: u16,
    more: bool,
    port: u16,
}

impl Piece {
    fn pkt(self) -> Pkt {
        let mut pkt = Pkt::with_size(8);
        assert!(pkt.copy_from(&self.name.to_be_bytes()));
        pkt.in_port = PortId(3);
        let addrs = Addrs::V4 {
            src: self.src,
            dst: 0xc633_6401,
        };
        let first = self.offset == 0;
        let port = if first { self.port } else { 0 };
        pkt.meta = IpMeta {
            addrs,
            tuple: Tuple {
                addrs,
                sport: port,
                dport: port,
                proto: 17,
            },
            role: if first { Role::Own } else { Role::Piece },
            proto: 17,
            l4_off: 20,
            len: 28,
            fragment: Some(Fragment {
                id: self.id,
                offset: self.offset,
                more: self.more,
            }),
            l4: if first { L4::Udp } else { L4::Other },
            ..IpMeta::default()
        };
        pkt
    }
}

fn name(pkt: &Pkt) -> u32 {
    u32::from_be_bytes(pkt.bytes().try_into().unwrap())
}

fn names(pkts: &[Pkt]) -> Vec<u32> {
    pkts.iter().map(name).collect()
}

/// Piece `name` of datagram `id` from `src`, the n-th 8 bytes of four.
fn piece(name: u32, src: u32, id: u32, n: u16) -> Piece {
    Piece {
        name,
        src,
        id,
        offset: n * 8,
        more: n != 3,
        port: 4_000u16.wrapping_add(id as u16),
    }
}

struct Bench {
    collector: Collector,
    ready: Vec<Pkt>,
    evicted: Vec<Pkt>,
}

impl Bench {
    fn new(datagrams: usize, pieces: usize) -> Self {
        let collector = Collector::new(datagrams, pieces, WAIT, KEEP, 42);
        Self {
            collector,
            ready: Vec::new(),
            evicted: Vec::new(),
        }
    }

    /// What comes out, ready and evicted, when `p` goes in.
    fn take(&mut self, p: Piece, now: u64) -> (Vec<u32>, Vec<u32>) {
        self.collector
            .take(p.pkt(), now, &mut self.ready, &mut self.evicted);
        self.check();
        (
            names(&drain(&mut self.ready)),
            names(&drain(&mut self.evicted)),
        )
    }

    fn poll(&mut self, now: u64) -> Vec<u32> {
        self.collector.poll(now, &mut self.ready);
        self.check();
        names(&drain(&mut self.ready))
    }

    fn check(&self) {
        let fills = self.collector.fills();
        assert!(fills.datagrams <= fills.datagrams_limit);
        assert!(fills.pieces <= fills.pieces_limit);
        let held: u32 = self.collector.held.iter().sum();
        assert_eq!(held as usize, self.collector.waiting());
        let in_places = self
            .collector
            .places
            .iter()
            .filter(|p| p.pkt.is_some())
            .count();
        assert_eq!(in_places, self.collector.waiting());
        assert_eq!(
            self.collector.next_deadline().is_some(),
            self.collector.waiting() > 0
        );
        for pkt in &self.ready {
            assert_ne!(pkt.meta.role, Role::Piece, "what is ready knows its flow");
            assert_eq!((pkt.in_port, pkt.cast), (PortId(3), LinkCast::Unicast));
        }
    }
}

fn drain(pkts: &mut Vec<Pkt>) -> Vec<Pkt> {
    std::mem::take(pkts)
}

#[test]
fn in_order_each_piece_goes_on_at_once_with_the_tuple_of_the_first() {
    let mut c = Collector::new(8, 8, WAIT, KEEP, 1);
    let (mut ready, mut evicted) = (Vec::new(), Vec::new());
    for n in 0..4 {
        c.take(piece(n, 7, 9, n as u16).pkt(), 50, &mut ready, &mut evicted);
        let out = &ready[n as usize];
        assert_eq!((name(out), out.meta.tuple.sport), (n, 4_009));
        assert_eq!((out.meta.role, out.meta.l4), (Role::Own, L4::Udp));
        assert_eq!(
            out.meta.fragment.map(|f| f.offset),
            Some(n as u16 * 8),
            "its place is its own"
        );
    }
    assert_eq!(
        (evicted.len(), c.waiting(), c.next_deadline()),
        (0, 0, None)
    );
    assert_eq!(
        c.stats(),
        Stats {
            first: 1,
            followed: 3,
            ..Stats::default()
        }
    );
}

#[test]
fn pieces_before_the_first_wait_and_follow_it_in_the_order_they_came() {
    let mut b = Bench::new(8, 16);
    for (i, n) in [3, 1, 2].into_iter().enumerate() {
        assert_eq!(b.take(piece(n, 7, 9, n as u16), i as u64), (vec![], vec![]));
    }
    assert_eq!(b.collector.waiting(), 3);
    assert_eq!(
        b.collector.next_deadline(),
        Some(WAIT),
        "the first to wait sets the deadline"
    );
    assert_eq!(b.take(piece(0, 7, 9, 0), 5), (vec![0, 3, 1, 2], vec![]));
    assert_eq!(b.collector.waiting(), 0);
    assert_eq!(
        b.collector.stats(),
        Stats {
            first: 1,
            waited: 3,
            ..Stats::default()
        }
    );
}

#[test]
fn duplicates_go_the_way_of_their_datagram() {
    let mut b = Bench::new(8, 16);
    assert_eq!(b.take(piece(1, 7, 9, 1), 0).0, vec![0u32; 0]);
    assert_eq!(b.take(piece(2, 7, 9, 1), 0).0, vec![0u32; 0]);
    assert_eq!(b.take(piece(3, 7, 9, 0), 0).0, vec![3, 1, 2]);
    assert_eq!(b.take(piece(4, 7, 9, 0), 1).0, vec![4]);
    for (i, n) in [2, 3, 3, 2, 1].into_iter().enumerate() {
        let i = 10 + i as u32;
        assert_eq!(b.take(piece(i, 7, 9, n), 1).0, vec![i]);
    }
    assert_eq!(b.collector.fills().datagrams, 1);
}

#[test]
fn a_later_first_piece_with_other_ports_wins_because_identifications_are_used_again() {
    let mut c = Collector::new(8, 8, WAIT, KEEP, 1);
    let (mut ready, mut evicted) = (Vec::new(), Vec::new());
    for (i, port) in [1_000, 2_000].into_iter().enumerate() {
        for n in 0..3 {
            let p = Piece {
                port,
                ..piece(0, 7, 9, n)
            };
            c.take(p.pkt(), i as u64, &mut ready, &mut evicted);
        }
    }
    let ports: Vec<u16> = ready.iter().map(|p| p.meta.tuple.sport).collect();
    assert_eq!(ports, [1_000, 1_000, 1_000, 2_000, 2_000, 2_000]);
}

#[test]
fn a_tuple_is_kept_for_its_time_and_not_a_moment_longer() {
    for (at, known) in [(KEEP - 1, true), (KEEP, false)] {
        let mut b = Bench::new(8, 8);
        b.take(piece(0, 7, 9, 0), 0);
        let (ready, _) = b.take(piece(1, 7, 9, 1), at);
        assert_eq!(ready.len(), usize::from(known), "at {at}");
        assert_eq!(b.collector.waiting(), usize::from(!known), "at {at}");
    }
}

#[test]
fn an_icmp_error_in_pieces_keeps_its_role_and_the_tuple_it_quotes() {
    let mut c = Collector::new(8, 8, WAIT, KEEP, 1);
    let (mut ready, mut evicted) = (Vec::new(), Vec::new());
    let mut first = piece(0, 7, 9, 0).pkt();
    let quoted = Addrs::V4 { src: 99, dst: 7 };
    first.meta.role = Role::Quoting;
    first.meta.l4 = L4::Icmp;
    first.meta.tuple = Tuple {
        addrs: quoted,
        sport: 80,
        dport: 1234,
        proto: 6,
    };
    let tuple = first.meta.tuple;
    c.take(piece(1, 7, 9, 1).pkt(), 0, &mut ready, &mut evicted);
    c.take(first, 0, &mut ready, &mut evicted);
    c.take(piece(2, 7, 9, 2).pkt(), 0, &mut ready, &mut evicted);
    assert_eq!(names(&ready), [0, 1, 2]);
    for pkt in &ready {
        assert_eq!(
            (pkt.meta.tuple, pkt.meta.role, pkt.meta.l4),
            (tuple, Role::Quoting, L4::Icmp)
        );
        assert_ne!(pkt.meta.addrs, quoted, "its own addresses stay");
    }
}

#[test]
fn a_later_piece_never_opens_a_connection_or_moves_a_tcp_state() {
    for l4 in [
        L4::Opener,
        L4::Tcp {
            flags: 2,
            seq: 1,
            ack: 0,
            window: 9,
            len: 0,
        },
    ] {
        let mut c = Collector::new(8, 8, WAIT, KEEP, 1);
        let (mut ready, mut evicted) = (Vec::new(), Vec::new());
        let mut first = piece(0, 7, 9, 0).pkt();
        first.meta.l4 = l4;
        c.take(first, 0, &mut ready, &mut evicted);
        c.take(piece(1, 7, 9, 1).pkt(), 0, &mut ready, &mut evicted);
        assert_eq!((ready[0].meta.l4, ready[1].meta.l4), (l4, L4::Other));
    }
}

#[test]
fn without_a_first_piece_the_others_go_by_their_addresses_when_their_time_is_up() {
    let mut c = Collector::new(8, 8, WAIT, KEEP, 1);
    let (mut ready, mut evicted) = (Vec::new(), Vec::new());
    c.take(piece(1, 7, 9, 1).pkt(), 10, &mut ready, &mut evicted);
    c.take(piece(2, 7, 9, 2).pkt(), 20, &mut ready, &mut evicted);
    c.take(piece(5, 8, 9, 2).pkt(), 30, &mut ready, &mut evicted);
    assert_eq!(c.next_deadline(), Some(10 + WAIT));
    c.poll(9 + WAIT, &mut ready);
    assert!(ready.is_empty());
    c.poll(10 + WAIT, &mut ready);
    assert_eq!(names(&ready), [1, 2]);
    for pkt in &ready {
        let Tuple {
            addrs,
            sport,
            dport,
            proto,
        } = pkt.meta.tuple;
        assert_eq!((addrs, sport, dport, proto), (pkt.meta.addrs, 0, 0, 17));
        assert_eq!(pkt.meta.role, Role::Own);
    }
    assert_eq!((c.stats().orphans, c.next_deadline()), (2, Some(30 + WAIT)));
    // What still comes of it goes the same way, and the first piece by its own.
    c.take(piece(3, 7, 9, 3).pkt(), 20 + WAIT, &mut ready, &mut evicted);
    c.take(piece(4, 7, 9, 0).pkt(), 20 + WAIT, &mut ready, &mut evicted);
    assert_eq!(names(&ready), [1, 2, 3, 4]);
    assert_eq!(
        (ready[2].meta.tuple.sport, ready[3].meta.tuple.sport),
        (0, 4_009)
    );
}

#[test]
fn what_is_no_fragment_passes_unchanged() {
    let mut c = Collector::new(0, 0, WAIT, KEEP, 1);
    let (mut ready, mut evicted) = (Vec::new(), Vec::new());
    let mut pkt = piece(1, 7, 9, 1).pkt();
    pkt.meta.fragment = None;
    c.take(pkt, 0, &mut ready, &mut evicted);
    assert_eq!((names(&ready), evicted.len()), (vec![1], 0));
    assert_eq!(ready[0].meta.role, Role::Piece);
}

#[test]
fn a_collector_without_room_still_loses_nothing() {
    for (datagrams, pieces) in [(0, 0), (0, 4), (4, 0)] {
        let mut b = Bench::new(datagrams, pieces);
        assert_eq!(b.take(piece(1, 7, 9, 1), 0), (vec![], vec![1]));
        assert_eq!(b.take(piece(0, 7, 9, 0), 0), (vec![0], vec![]));
        let (ready, evicted) = b.take(piece(2, 7, 9, 2), 0);
        assert_eq!(ready.len() + evicted.len(), 1);
    }
}

#[test]
fn when_places_run_out_the_oldest_waiting_datagram_is_given_up() {
    let mut b = Bench::new(64, 4);
    for src in 0..4 {
        assert_eq!(
            b.take(piece(src, src, 1, 1), u64::from(src)),
            (vec![], vec![])
        );
    }
    assert_eq!(b.take(piece(9, 100, 1, 1), 9), (vec![], vec![0]));
    assert_eq!(b.take(piece(10, 101, 1, 1), 9), (vec![], vec![1]));
    assert_eq!((b.collector.waiting(), b.collector.stats().evicted), (4, 2));
    assert_eq!(b.collector.next_deadline(), Some(2 + WAIT));
}

#[test]
fn one_source_holds_at_most_its_share_of_the_places() {
    let mut b = Bench::new(256, 64);
    let mut refused = 0;
    for i in 0..200 {
        refused += b.take(piece(i, 7, i, 1), 0).1.len();
    }
    assert_eq!((b.collector.waiting(), refused), (16, 184));
    assert_eq!(b.collector.stats().refused, 184);
    let other = (1..20).find(|&src| b.take(piece(1_000, src, 1, 1), 0).1.is_empty());
    assert!(other.is_some(), "others still find places");
    assert!(b.poll(WAIT).len() == 17 && b.collector.waiting() == 0);
    assert_eq!(
        b.take(piece(1, 7, 1_000, 1), WAIT).1,
        vec![0u32; 0],
        "and its share comes back"
    );
}

#[test]
fn a_flood_of_later_pieces_leaves_known_tuples_alone_below_half_of_the_table() {
    let mut b = Bench::new(64, 256);
    for id in 0..32 {
        b.take(piece(id, 7, id, 0), 0);
    }
    for i in 0..5_000 {
        b.take(piece(i, i * 77, 1, 1), 1);
    }
    for id in 0..32 {
        assert_eq!(
            b.take(piece(id, 7, id, 1), 2).0,
            vec![id],
            "datagram {id} was forgotten"
        );
    }
    assert_eq!(b.collector.stats().forgotten, 0);
}

#[test]
fn a_flood_of_first_pieces_leaves_waiting_ones_alone_below_half_of_the_table() {
    let mut b = Bench::new(64, 256);
    for src in 0..32 {
        b.take(piece(src, src, 9, 1), 0);
    }
    for i in 0..5_000 {
        assert_eq!(b.take(piece(i, i * 77 + 1_000, 1, 0), 1).1, vec![0u32; 0]);
    }
    assert_eq!(b.collector.waiting(), 32);
    assert!(b.collector.stats().forgotten > 4_000);
    for src in 0..32 {
        assert_eq!(b.take(piece(99, src, 9, 0), 2).0, vec![99, src]);
    }
}

#[test]
fn the_kind_that_has_more_than_half_makes_room_for_the_other() {
    let mut b = Bench::new(64, 256);
    for id in 0..64 {
        b.take(piece(id, 7, id, 0), 0);
    }
    assert_eq!(b.take(piece(900, 8, 1, 1), 1), (vec![], vec![]));
    assert_eq!(
        (b.collector.waiting(), b.collector.stats().forgotten),
        (1, 1)
    );
    assert_eq!(
        b.take(piece(901, 7, 63, 1), 1).0,
        vec![901],
        "the oldest was forgotten"
    );

    let mut b = Bench::new(64, 256);
    for src in 0..64 {
        b.take(piece(src, src, 1, 1), 0);
    }
    assert_eq!(b.take(piece(900, 100, 1, 0), 1), (vec![900], vec![0]));
    assert_eq!(
        (b.collector.waiting(), b.collector.stats().forgotten),
        (63, 0)
    );
}

#[test]
fn pieces_whose_time_was_up_long_before_anyone_polled_still_find_their_first() {
    let mut b = Bench::new(8, 16);
    b.take(piece(1, 7, 9, 1), 0);
    assert_eq!(b.take(piece(2, 7, 9, 2), 10 * KEEP), (vec![], vec![]));
    assert_eq!(
        b.take(piece(3, 7, 9, 0), 20 * KEEP),
        (vec![3, 1, 2], vec![])
    );
}

#[test]
fn datagrams_all_seen_are_the_first_to_be_forgotten() {
    let mut b = Bench::new(16, 64);
    for id in 0..8 {
        b.take(piece(id, 7, id, 0), 0);
    }
    for id in 100..1_000 {
        for n in 0..4 {
            b.take(piece(id, 7, id, n), 1);
        }
    }
    assert_eq!(b.collector.stats().forgotten, 0);
    for id in 0..8 {
        assert_eq!(
            b.take(piece(id, 7, id, 1), 2).0,
            vec![id],
            "datagram {id} was still open"
        );
    }
}

#[test]
fn memory_is_given_back_when_time_has_passed() {
    let mut b = Bench::new(64, 64);
    for src in 0..40 {
        b.take(piece(src, src, 1, u16::from(src % 2 == 0)), 5);
    }
    assert_eq!(b.collector.fills().datagrams, 40);
    assert_eq!(b.poll(5 + WAIT).len(), 20);
    b.poll(5 + WAIT + KEEP);
    let fills = b.collector.fills();
    assert_eq!((fills.datagrams, fills.pieces), (0, 0));
    for src in 0..64 {
        b.take(piece(src, src, 2, 0), 9_000);
    }
    assert_eq!(
        (b.collector.fills().datagrams, b.collector.stats().forgotten),
        (64, 0)
    );
}

#[test]
fn every_piece_put_in_comes_out_exactly_once_whatever_happens() {
    for seed in 0..60u64 {
        let mut rng = Rng::with_seed(0xc011_0000 + seed);
        let mut b = Bench::new(rng.usize(0..24), rng.usize(0..24));
        let (mut now, mut out, mut total) = (0, HashSet::new(), 0);
        for _ in 0..2_000 {
            now += rng.u64(..) % 20 * (rng.u64(..) % 3);
            let came = if rng.u8(..8) == 0 {
                b.poll(now)
            } else {
                let id = rng.u32(..12);
                let p = piece(total, rng.u32(..6), id, rng.u16(..4));
                total += 1;
                let (ready, evicted) = b.take(p, now);
                [ready, evicted].concat()
            };
            for name in came {
                assert!(out.insert(name), "seed {seed}: piece {name} came twice");
            }
            assert_eq!(
                out.len() + b.collector.waiting(),
                total as usize,
                "seed {seed}"
            );
        }
        out.extend(b.poll(u64::MAX));
        assert_eq!(out.len(), total as usize, "seed {seed}");
        let s = b.collector.stats();
        let all = s.first + s.followed + s.waited + s.orphans + s.evicted + s.refused;
        assert_eq!(all, u64::from(total), "seed {seed}: {s:?}");
    }
}

/// What a collector without bounds would do: by source and identification.
#[derive(Default)]
struct Model(HashMap<(u32, u32), ModelDatagram>);

#[derive(Default)]
struct ModelDatagram {
    /// The port known, since when.
    known: Option<(u16, u64)>,
    waiting: Vec<(u32, u64)>,
    /// Bytes seen and in all: a whole datagram's clock starts again.
    seen: u32,
    total: u32,
    done: bool,
}

impl Model {
    /// Names and ports that come out, in order.
    fn take(&mut self, p: Piece, now: u64) -> Vec<(u32, u16)> {
        let d = self.0.entry((p.src, p.id)).or_default();
        if d.known.is_some_and(|(_, since)| since + KEEP <= now) {
            *d = ModelDatagram::default();
        }
        if p.offset == 0 {
            if d.known.is_some() {
                (d.seen, d.total) = (0, 0);
            }
            (d.known, d.done) = (Some((p.port, now)), false);
        }
        d.see(p, now);
        match d.known {
            Some((port, _)) => {
                let waited = d.waiting.drain(..).map(|(name, _)| (name, port));
                std::iter::once((p.name, port)).chain(waited).collect()
            }
            None => {
                d.waiting.push((p.name, now));
                Vec::new()
            }
        }
    }

    fn poll(&mut self, now: u64) -> Vec<(u32, u16)> {
        let late = |d: &ModelDatagram| d.waiting.first().is_some_and(|&(_, t)| t + WAIT <= now);
        let mut out = Vec::new();
        for d in self.0.values_mut().filter(|d| late(d)) {
            out.extend(d.waiting.drain(..).map(|(name, _)| (name, 0)));
            d.known = Some((0, now));
        }
        out
    }
}

impl ModelDatagram {
    fn see(&mut self, p: Piece, now: u64) {
        self.seen += 8;
        if !p.more {
            self.total = u32::from(p.offset) + 8;
        }
        let whole = self.total > 0 && self.seen >= self.total;
        if let Some((port, _)) = self.known
            && whole
            && !self.done
        {
            (self.known, self.done) = (Some((port, now)), true);
        }
    }
}

#[test]
fn with_room_for_all_it_does_what_the_unbounded_model_does() {
    for seed in 0..40u64 {
        let mut rng = Rng::with_seed(0xc011_1000 + seed);
        let mut c = Collector::new(4_096, 16_384, WAIT, KEEP, seed);
        let (mut model, mut now) = (Model::default(), 0);
        let (mut ready, mut evicted) = (Vec::new(), Vec::new());
        for i in 0..4_000 {
            now += rng.u64(..) % 40 * (rng.u64(..) % 4 / 3);
            c.poll(now, &mut ready);
            let mut got = come(&mut ready);
            let mut expected = model.poll(now);
            // Between datagrams the model keeps no order.
            got.sort_unstable();
            expected.sort_unstable();
            assert_eq!(got, expected, "seed {seed}, step {i}, poll at {now}");
            let mut p = piece(i, rng.u32(..4), rng.u32(..8), rng.u16(..4));
            p.port = rng.u16(1..);
            c.take(p.pkt(), now, &mut ready, &mut evicted);
            assert_eq!(
                come(&mut ready),
                model.take(p, now),
                "seed {seed}, step {i}: {p:?}"
            );
        }
        assert!(evicted.is_empty());
    }
}

fn come(ready: &mut Vec<Pkt>) -> Vec<(u32, u16)> {
    ready
        .drain(..)
        .map(|pkt| (name(&pkt), pkt.meta.tuple.sport))
        .collect()
}

#[test]
fn the_hash_is_the_same_for_all_pieces_and_another_for_another_datagram() {
    let seed = 5;
    let hash = |p: Piece| datagram_hash(seed, &p.pkt().meta);
    let mut seen = HashSet::new();
    for src in 0..30 {
        for id in 0..30 {
            assert!(seen.insert(hash(piece(0, src, id, 0))));
            for n in 1..4 {
                assert!(!seen.insert(hash(piece(0, src, id, n))));
            }
        }
    }
    let mut meta = piece(0, 1, 1, 1).pkt().meta;
    let tcp = IpMeta { proto: 6, ..meta };
    assert_ne!(
        datagram_hash(seed, &meta),
        datagram_hash(seed, &tcp),
        "IPv4 names the protocol"
    );
    assert_ne!(datagram_hash(seed, &meta), datagram_hash(seed + 1, &meta));
    // RFC 8200 §4.5: the next header of a later piece may differ from the first one's.
    meta.addrs = Addrs::V6 { src: 1, dst: 2 };
    let options = IpMeta { proto: 60, ..meta };
    assert_eq!(datagram_hash(seed, &meta), datagram_hash(seed, &options));
    let back = IpMeta {
        addrs: meta.addrs.exchanged(),
        ..meta
    };
    assert_ne!(
        datagram_hash(seed, &meta),
        datagram_hash(seed, &back),
        "a datagram has one direction"
    );
}

#[test]
fn datagrams_spread_evenly_over_workers() {
    let mut of = [0u32; 8];
    for id in 0..80_000 {
        of[(datagram_hash(77, &piece(0, 7, id, 0).pkt().meta) % 8) as usize] += 1;
    }
    assert!(of.iter().all(|n| (9_500..10_500).contains(n)), "{of:?}");
}

#[test]
fn an_ipv6_piece_behind_other_headers_finds_its_datagram() {
    let mut c = Collector::new(8, 8, WAIT, KEEP, 1);
    let (mut ready, mut evicted) = (Vec::new(), Vec::new());
    let addrs = Addrs::V6 { src: 5, dst: 6 };
    let mut later = piece(1, 0, 9, 1).pkt();
    (later.meta.addrs, later.meta.proto) = (addrs, 60);
    let mut first = piece(0, 0, 9, 0).pkt();
    first.meta.addrs = addrs;
    first.meta.tuple = Tuple {
        addrs,
        sport: 5,
        dport: 6,
        proto: 17,
    };
    c.take(later, 0, &mut ready, &mut evicted);
    c.take(first, 0, &mut ready, &mut evicted);
    assert_eq!(names(&ready), [0, 1]);
    assert_eq!(ready[0].meta.tuple, ready[1].meta.tuple);
}
