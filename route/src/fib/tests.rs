//! The FIB against a linear oracle.
#![allow(clippy::unwrap_used, clippy::use_self)]

mod runs;

use super::{Addr, Fib, FibWriter};
use crate::ids::GroupId;
use crate::qsbr::Qsbr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const LIMIT: usize = 64 << 20;

/// Arithmetic on addresses that the tests need and the FIB does not.
trait Num: Addr + Ord + Send + Sync + std::fmt::LowerHex + 'static {
    /// Bits of an address.
    const WIDTH: u32;
    fn from_aligned(bits: u128) -> Self;
}

impl Num for u32 {
    const WIDTH: u32 = Self::BITS;
    fn from_aligned(bits: u128) -> Self {
        (bits >> 96) as u32
    }
}

impl Num for u128 {
    const WIDTH: u32 = Self::BITS;
    fn from_aligned(bits: u128) -> Self {
        bits
    }
}

fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

/// A linear table: the slowest right answer.
#[derive(Default)]
struct Oracle(BTreeMap<(u128, u8), u32>);

impl Oracle {
    fn lookup(&self, addr: u128) -> Option<GroupId> {
        let covering = self
            .0
            .iter()
            .filter(|((net, len), _)| addr & mask(*len) == *net);
        covering
            .max_by_key(|((_, len), _)| *len)
            .map(|(_, group)| GroupId(*group))
    }
}

struct Pair<A: Num> {
    writer: FibWriter<A>,
    fib: Arc<Fib<A>>,
    oracle: Oracle,
}

impl<A: Num> Pair<A> {
    fn new() -> Self {
        let (writer, fib) = FibWriter::new(LIMIT);
        Self {
            writer,
            fib,
            oracle: Oracle::default(),
        }
    }

    fn set(&mut self, addr: u128, len: u8, group: u32) {
        let net = addr & mask(len);
        self.writer
            .set(A::from_aligned(net), len, GroupId(group))
            .unwrap();
        self.oracle.0.insert((net, len), group);
    }

    fn remove(&mut self, addr: u128, len: u8) {
        let net = addr & mask(len);
        self.writer.remove(A::from_aligned(net), len).unwrap();
        self.oracle.0.remove(&(net, len));
    }

    fn check(&self, addr: u128, context: &str) {
        let addr = addr & mask(A::WIDTH as u8);
        let (got, want) = (
            self.fib.lookup(A::from_aligned(addr)),
            self.oracle.lookup(addr),
        );
        assert_eq!(got, want, "{context}: address {:x}", addr);
    }

    /// first-1, first, inside, last, last+1 of a prefix: singly and in a burst, either way.
    fn check_borders(&self, net: u128, len: u8, inside: u128, context: &str) {
        let unit = 1u128 << (128 - A::WIDTH);
        let last = net | !mask(len);
        let addrs = [
            net.wrapping_sub(unit),
            net,
            net | (inside & !mask(len)),
            last,
            last.wrapping_add(unit),
        ];
        for addr in addrs {
            self.check(addr, context);
        }
        let addrs = addrs.map(|addr| A::from_aligned(addr & mask(A::WIDTH as u8)));
        self.check_burst(&addrs, context);
    }

    fn check_burst(&self, addrs: &[A], context: &str) {
        let want: Vec<_> = addrs.iter().map(|addr| self.fib.lookup(*addr)).collect();
        let mut got = vec![None; addrs.len()];
        self.fib.lookup_burst(addrs, &mut got);
        assert_eq!(got, want, "{context}: the burst of {addrs:x?}");
        got.fill(None);
        self.fib.lookup_burst_portable(addrs, &mut got);
        assert_eq!(got, want, "{context}: the portable burst of {addrs:x?}");
    }
}

fn random_bits(rng: &mut fastrand::Rng, crowd: u128) -> u128 {
    // Crowded: most prefixes share their leading bits, so that they nest and meet in nodes.
    let random = rng.u128(..);
    if rng.u8(..4) == 0 {
        random
    } else {
        (random & !crowd) | (0x2001_0db8_u128 << 96 & crowd)
    }
}

fn random_updates<A: Num>(seed: u64, steps: usize) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut pair = Pair::<A>::new();
    let qsbr = Qsbr::new(1);
    let crowd = mask(*[8u8, 14, 20].get(rng.usize(..3)).unwrap());
    for step in 0..steps {
        let context = format!("seed {seed} step {step}");
        let (bits, len) = (random_bits(&mut rng, crowd), rng.u8(0..=A::WIDTH as u8));
        if rng.u8(..5) < 2 && !pair.oracle.0.is_empty() {
            let at = rng.usize(..pair.oracle.0.len());
            let (net, len) = *pair.oracle.0.keys().nth(at).unwrap();
            pair.remove(net, len);
            pair.check_borders(net, len, rng.u128(..), &context);
        } else {
            pair.set(bits, len, rng.u32(1..6));
            pair.check_borders(bits & mask(len), len, rng.u128(..), &context);
        }
        pair.check(random_bits(&mut rng, crowd), &context);
        pair.writer.reclaim(&qsbr);
        if step % 64 == 0 {
            let burst: Vec<A> = (0..rng.usize(..200))
                .map(|_| A::from_aligned(random_bits(&mut rng, crowd) & mask(A::WIDTH as u8)))
                .collect();
            pair.check_burst(&burst, &context);
            for (net, len) in pair.oracle.0.keys() {
                pair.check_borders(*net, *len, rng.u128(..), &context);
            }
        }
    }
}

#[test]
fn ipv4_answers_as_the_oracle_after_every_one_of_many_updates() {
    (0..12).for_each(|seed| random_updates::<u32>(seed, 700));
}

#[test]
fn ipv6_answers_as_the_oracle_after_every_one_of_many_updates() {
    (100..112).for_each(|seed| random_updates::<u128>(seed, 700));
}

#[test]
fn nested_prefixes_of_every_length_uncover_one_another() {
    fn nest<A: Num>() {
        let mut pair = Pair::<A>::new();
        let addr = 0x2001_0db8_5555_aaaa_0123_4567_89ab_cdef_u128;
        for len in 0..=A::WIDTH as u8 {
            pair.set(addr, len, u32::from(len) + 1);
            pair.check_borders(addr & mask(len), len, 0, "down");
        }
        for len in (0..=A::WIDTH as u8).rev() {
            pair.check(addr, "up");
            pair.remove(addr, len);
        }
        pair.check(addr, "empty");
    }
    nest::<u32>();
    nest::<u128>();
}

#[test]
fn a_flood_of_host_routes_is_found_and_leaves_nothing_behind() {
    let (mut writer, fib) = FibWriter::<u32>::new(LIMIT);
    let qsbr = Qsbr::new(1);
    let empty = writer.bytes();
    for i in 0..40_000u32 {
        writer
            .set(0x0a00_0000 + i * 3, 32, GroupId(1 + i % 7))
            .unwrap();
    }
    for i in 0..40_000u32 {
        assert_eq!(fib.lookup(0x0a00_0000 + i * 3), Some(GroupId(1 + i % 7)));
        assert_eq!(fib.lookup(0x0a00_0001 + i * 3), None);
    }
    let full = writer.touched();
    for round in 0..3 {
        for i in 0..40_000u32 {
            writer.remove(0x0a00_0000 + i * 3, 32).unwrap();
        }
        writer.reclaim(&qsbr);
        assert_eq!(
            (writer.bytes(), writer.pending()),
            (empty, 0),
            "round {round}"
        );
        for i in 0..40_000u32 {
            writer.set(0x0a00_0000 + i * 3, 32, GroupId(2)).unwrap();
        }
        writer.reclaim(&qsbr);
        assert!(
            writer.touched() <= full * 2,
            "round {round}: {} after {full}",
            writer.touched()
        );
    }
}

/// Host routes until one is refused; with `churn`, half of them are taken away again and no memory comes back, so
/// that the arena ends in the middle of a change. All that was not refused must be there, and nothing else.
fn fill<A: Num>(limit: usize, churn: bool) {
    let (mut writer, fib) = FibWriter::<A>::new(limit);
    let mut added = BTreeMap::new();
    let mut rng = fastrand::Rng::with_seed(limit as u64);
    let mut random = move || A::from_aligned(rng.u128(..) & mask(A::WIDTH as u8));
    let halves = [0, 1 << 127].map(A::from_aligned);
    for half in halves {
        writer.set(half, 1, GroupId(1_000_000)).unwrap();
    }
    let refused = (0..200_000u32).find(|i| {
        let addr = random();
        let full = writer.set(addr, A::WIDTH as u8, GroupId(i + 1)).is_err();
        let removed = churn && i % 2 == 0 && writer.remove(addr, A::WIDTH as u8).is_ok();
        if !full && !removed {
            added.insert(addr, i + 1);
        }
        full
    });
    assert!(refused.is_some());
    // What was refused left nothing that a change of a shorter prefix could bring to light.
    for half in halves {
        writer.set(half, 1, GroupId(1_000_001)).unwrap();
    }
    for (addr, group) in &added {
        assert_eq!(fib.lookup(*addr), Some(GroupId(*group)), "{addr:x?}");
    }
    for addr in (0..2000).map(|_| random()) {
        let want = added.get(&addr).copied().unwrap_or(1_000_001);
        assert_eq!(fib.lookup(addr), Some(GroupId(want)), "{addr:x?}");
    }
}

#[test]
fn a_full_arena_refuses_and_keeps_what_was_there() {
    fill::<u32>(1 << 10, false);
    fill::<u32>(1 << 10, true);
    for limit in (2..60).map(|step| 500 * step) {
        fill::<u128>(limit, false);
        fill::<u128>(limit, true);
    }
}

/// Address 10.1.2.3, or 0a01:0203::, is covered by a prefix of the first of `lens` (1), at times by one of the
/// second (2) and of the third (3); its neighbours come and go, so that nodes are copied, moved and reused all
/// the time. Returns how often a reader saw each, singly and in bursts.
fn read_beside_updates<A: Num>(lens: [u8; 3], neighbours: u128) -> [u64; 4] {
    const BITS: u128 = 0x0a01_0203 << 96;
    let (mut writer, fib) = FibWriter::<A>::new(LIMIT);
    let qsbr = Arc::new(Qsbr::new(1));
    let stop = Arc::new(AtomicBool::new(false));
    let prefix = |bits: u128, len: u8| (A::from_aligned(bits & mask(len)), len);
    let nested = lens.map(|len| prefix(BITS, len));
    writer.set(nested[0].0, nested[0].1, GroupId(1)).unwrap();
    let reader = {
        let (fib, qsbr, stop) = (Arc::clone(&fib), Arc::clone(&qsbr), Arc::clone(&stop));
        std::thread::spawn(move || {
            let (me, addr) = (qsbr.reader(0), A::from_aligned(BITS));
            let mut seen = [0u64; 4];
            let mut groups = [None; 80];
            while !stop.load(Ordering::Relaxed) {
                me.quiescent();
                fib.lookup_burst(&[addr; 64], &mut groups[..64]);
                fib.lookup_burst_portable(&[addr; 8], &mut groups[64..72]);
                groups[72..].fill_with(|| fib.lookup(addr));
                for group in groups {
                    match group {
                        Some(GroupId(group @ 1..=3)) => seen[group as usize] += 1,
                        other => panic!("a third answer: {other:?}"),
                    }
                }
            }
            seen
        })
    };
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..60_000 {
        let beside = (0x0a01_0200 + rng.u128(..neighbours)) << 96;
        let neighbour = prefix(if beside == BITS { 0 } else { beside }, 32);
        match rng.u8(..6) {
            0 => writer.set(nested[1].0, nested[1].1, GroupId(2)).unwrap(),
            1 => writer.remove(nested[1].0, nested[1].1).unwrap(),
            2 => writer.set(nested[2].0, nested[2].1, GroupId(3)).unwrap(),
            3 => writer.remove(nested[2].0, nested[2].1).unwrap(),
            4 => writer.set(neighbour.0, neighbour.1, GroupId(9)).unwrap(),
            _ => writer.remove(neighbour.0, neighbour.1).unwrap(),
        }
        writer.reclaim(&qsbr);
    }
    stop.store(true, Ordering::Relaxed);
    reader.join().unwrap()
}

#[test]
fn a_reader_beside_updates_sees_the_old_or_the_new_route_never_a_third() {
    for seen in [
        read_beside_updates::<u32>([8, 16, 32], 256),
        read_beside_updates::<u128>([8, 16, 48], 256),
        // Few neighbours: the page itself comes and goes.
        read_beside_updates::<u128>([8, 20, 24], 2),
        read_beside_updates::<u128>([17, 25, 128], 6),
    ] {
        assert!(seen[1] + seen[2] + seen[3] > 0);
    }
}

/// Run by hand: `FLOWGATE_BGP=prefixes.txt cargo test -p flowgate-route --release real_table -- --ignored --nocapture`
#[test]
#[ignore = "needs a table of prefixes, one a line, in FLOWGATE_BGP"]
fn real_table_loads_and_answers_at_every_border() {
    let path = std::env::var("FLOWGATE_BGP").expect("FLOWGATE_BGP names a file of prefixes");
    let (mut v4, fib4) = FibWriter::<u32>::new(256 << 20);
    let (mut v6, fib6) = FibWriter::<u128>::new(256 << 20);
    let text = std::fs::read_to_string(path).unwrap();
    let qsbr = Qsbr::new(0);
    for (i, line) in text.lines().enumerate() {
        let (addr, len) = line.split_once('/').unwrap();
        let (group, len) = (GroupId(1 + i as u32 % 500), len.parse().unwrap());
        match addr.parse().unwrap() {
            std::net::IpAddr::V4(a) => v4.set(a.to_bits(), len, group).unwrap(),
            std::net::IpAddr::V6(a) => v6.set(a.to_bits(), len, group).unwrap(),
        }
        v4.reclaim(&qsbr);
        v6.reclaim(&qsbr);
    }
    for (i, line) in text.lines().enumerate() {
        let (addr, len) = line.split_once('/').unwrap();
        // The prefix's own address has it, unless a longer prefix starts at the same address.
        let (want, len) = (
            Some(GroupId(1 + i as u32 % 500)),
            len.parse::<u8>().unwrap(),
        );
        match addr.parse().unwrap() {
            std::net::IpAddr::V4(a) if len == 32 => assert_eq!(fib4.lookup(a.to_bits()), want),
            std::net::IpAddr::V6(a) if len == 128 => assert_eq!(fib6.lookup(a.to_bits()), want),
            std::net::IpAddr::V4(a) => assert!(fib4.lookup(a.to_bits()).is_some()),
            std::net::IpAddr::V6(a) => assert!(fib6.lookup(a.to_bits()).is_some()),
        }
    }
    println!(
        "{} + {} bytes, touched {} + {}",
        v4.bytes(),
        v6.bytes(),
        v4.touched(),
        v6.touched()
    );
}

/// A full arena refuses the next prefix and loses nothing; removals always find room.
#[test]
fn a_full_table_refuses_additions_and_takes_removals() {
    let (mut writer, fib) = FibWriter::<u32>::new(256 << 10);
    let qsbr = Qsbr::new(0);
    let addr = |i: u32| 0x0a00_0000 + i * 256;
    let mut held = 0;
    while writer.set(addr(held), 32, GroupId(1 + held % 7)).is_ok() {
        writer.reclaim(&qsbr);
        held += 1;
    }
    assert!(held > 1000, "only {held}");
    assert_eq!(fib.lookup(addr(held)), None);
    assert!(
        writer.set(addr(0), 32, GroupId(9)).is_ok(),
        "a change of what is there"
    );
    // Removing a covering prefix splits runs below it, and so takes room before it gives any back.
    for i in (0..held).step_by(3) {
        writer.remove(addr(i), 32).unwrap();
        writer.reclaim(&qsbr);
    }
    for i in 1..held {
        let want = (i % 3 != 0).then_some(GroupId(1 + i % 7));
        assert_eq!(fib.lookup(addr(i)), want, "{i} of {held}");
    }
    assert!(writer.set(addr(held), 32, GroupId(1)).is_ok(), "room again");
}
