//! Pieces in every order, against a model; bounds under floods; nothing lost, nothing twice.

mod bounds;
mod hash;
mod model;

use super::*;
use crate::pkt::LinkCast;
use route::PortId;

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
