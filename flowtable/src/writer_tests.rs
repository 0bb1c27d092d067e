use super::*;
use crate::fixture::{Rig, SLOT, START, UDP, at, key, pin_of, syn, tcp};
use crate::key::Dir::{Fwd, Rev};
use crate::state::State;
use std::collections::{HashMap, HashSet};

/// What an unbounded table would know of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Golden {
    pins: [PinWord; 2],
    stamps: [u32; 2],
    packets: [u64; 2],
    last_use: Tick,
    kind: (Kind, u32),
}

/// Idle timeout of the oracle's flows: UDP, both states.
const IDLE_S: u32 = 300;

struct Run {
    rig: Rig,
    golden: HashMap<u32, Golden>,
    rng: fastrand::Rng,
    now: Tick,
    /// Live flows that the table did not know when they were asked for.
    lost: u64,
    /// Aux indexes: how many were given out, and which have come back.
    given: u32,
    back: HashSet<u32>,
}

impl Run {
    fn new(buckets: usize, seed: u64) -> Self {
        let (golden, rng) = (HashMap::new(), fastrand::Rng::with_seed(seed));
        Self {
            rig: Rig::new(buckets),
            golden,
            rng,
            now: at(1000),
            lost: 0,
            given: 0,
            back: HashSet::new(),
        }
    }

    fn step(&mut self, flows: u32) {
        self.now = Tick(self.now.0 + u32::from(self.rng.u8(..) < 20));
        let n = self.rng.u32(..flows);
        match self.rng.u32(..1000) {
            0 => self.now = Tick(self.now.0 + self.rng.u32(..2 * IDLE_S * 10)),
            1..=20 => {
                self.rig.writer.sweep(self.rng.usize(..4), self.now);
            }
            21..=40 => self.remove(n),
            41..=200 => self.pin(n),
            201..=260 => self.kind(n),
            _ => self.packet(n),
        }
        while let Some(freed) = self.rig.writer.take_freed() {
            assert!(self.back.insert(freed.aux), "{freed:?} twice");
        }
    }

    /// A flow gets a kind and an index that no other has, or is plain again.
    fn kind(&mut self, n: u32) {
        let Some(entry) = self.find(n) else { return };
        self.given += 1;
        let kind = Kind::new(self.rng.u8(..));
        let aux = if kind.is_plain() { 0 } else { self.given };
        if kind.is_plain() {
            self.back.insert(self.given);
        }
        assert!(self.rig.writer.set_kind(entry, kind, self.given));
        let golden = self.golden.get_mut(&n).expect("compared just now");
        golden.kind = (kind, aux);
        assert_eq!(self.rig.writer.kind(entry), (kind, aux));
    }

    /// Every index that was given out is with an entry or has come back, once.
    fn check_indexes(&self) {
        let with_a_kind = self.rig.table.entries().filter(|e| !e.kind.is_plain());
        let mut all: Vec<u32> = with_a_kind.map(|e| e.aux).collect();
        all.extend(&self.back);
        all.sort_unstable();
        assert_eq!(all, (1..=self.given).collect::<Vec<_>>());
    }

    fn live(&self, n: u32) -> Option<Golden> {
        self.golden
            .get(&n)
            .copied()
            .filter(|g| self.now.since(g.last_use) < IDLE_S * 10)
    }

    /// Looks a flow up and compares. A live flow may be missing only if the table says that it may be.
    fn find(&mut self, n: u32) -> Option<Entry> {
        let found = self.rig.lookup(n, self.now);
        let live = self.live(n);
        match (found, live) {
            (Some(_), Some(golden)) => {
                let view = self
                    .rig
                    .table
                    .find(SLOT, self.rig.hash(n), &key(n))
                    .expect("readers see what the writer sees");
                let Golden {
                    pins,
                    stamps,
                    packets,
                    last_use,
                    kind,
                } = golden;
                assert_eq!((view.kind, view.aux), kind);
                assert_eq!((view.pins, view.stamps), (pins, stamps));
                assert_eq!((view.packets, view.last_use), (packets, last_use));
            }
            (None, Some(_)) => {
                assert!(
                    !self.rig.proves_new(n, IDLE_S, self.now),
                    "lost flow {n} is taken for new"
                );
                self.golden.remove(&n);
                self.lost += 1;
            }
            (Some(entry), None) => panic!("flow {n} at {entry:?} should not be there"),
            (None, None) => {
                self.golden.remove(&n);
            }
        }
        found
    }

    fn packet(&mut self, n: u32) {
        let dir = if self.rng.u8(..) < 60 { Rev } else { Fwd };
        let found = self.find(n);
        if let Some(entry) = found {
            self.rig.touch(entry, dir, self.now);
            let golden = self.golden.get_mut(&n).expect("compared just now");
            golden.packets[dir as usize] += 1;
            golden.last_use = self.now;
        } else if self.rig.insert(n, &UDP, self.now).is_ok() {
            let (pins, stamps) = ([pin_of(n), PinWord::NONE], [n, 0]);
            self.golden.insert(
                n,
                Golden {
                    pins,
                    stamps,
                    packets: [1, 0],
                    last_use: self.now,
                    kind: (Kind::PLAIN, 0),
                },
            );
        }
    }

    fn pin(&mut self, n: u32) {
        if let Some(entry) = self.find(n) {
            let dir = if self.rng.bool() { Rev } else { Fwd };
            let (pin, stamp) = (PinWord(self.rng.u64(..1 << 40)), self.rng.u32(..));
            let golden = self.golden.get_mut(&n).expect("compared just now");
            golden.stamps[dir as usize] = stamp;
            if self.rng.bool() {
                golden.pins[dir as usize] = pin;
                self.rig.writer.set_pin(entry, dir, pin, stamp);
            } else {
                self.rig.writer.set_stamp(entry, dir, stamp);
            }
            self.rig.writer.set_debt(entry, self.rng.bool());
            assert_eq!(self.rig.writer.pin(entry, dir), golden.pins[dir as usize]);
            assert_eq!(self.rig.writer.stamp(entry, dir), stamp);
        }
    }

    fn remove(&mut self, n: u32) {
        if let Some(entry) = self.find(n) {
            self.rig.writer.remove(entry);
            self.golden.remove(&n);
        }
    }
}

#[test]
fn with_room_for_all_the_table_equals_an_unbounded_one() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut run = Run::new(20, seed);
        (0..20_000).for_each(|_| run.step(300));
        assert_eq!(run.lost, 0, "seed {seed}");
        run.rig.check_books();
        run.check_indexes();
    }
}

#[test]
fn without_room_for_all_what_is_found_is_right_and_what_is_lost_is_never_proved_new() {
    let mut lost = 0;
    for seed in 0..20 {
        println!("seed {seed}");
        let mut run = Run::new(3, seed);
        (0..20_000).for_each(|_| run.step(120));
        run.rig.check_books();
        run.check_indexes();
        lost += run.lost;
    }
    assert!(
        lost > 1000,
        "only {lost} flows were lost: the test tests nothing"
    );
}

#[test]
fn each_state_lives_for_its_own_timeout_to_the_tick() {
    let cases: [(&[(Dir, u8)], State); 5] = [
        (&[], State::Syn),
        (&[(Rev, L4::SYN | L4::ACK)], State::SynAck),
        (&[(Fwd, L4::ACK)], State::Established),
        (&[(Fwd, L4::ACK), (Fwd, L4::FIN | L4::ACK)], State::FinWait),
        (&[(Fwd, L4::RST)], State::Reset),
    ];
    for (packets, state) in cases {
        let mut rig = Rig::new(2);
        let entry = rig.insert(1, &syn(), START).unwrap();
        packets.iter().for_each(|(dir, flags)| {
            let _ = rig.writer.observe(entry, *dir, &tcp(*flags), START);
        });
        let view = rig.table.entries().next().unwrap();
        assert_eq!(
            (view.state, view.timeout_s),
            (state, rig.table.timeouts().get(state))
        );
        let end = START.0 + view.timeout_s * 10;
        assert!(rig.lookup(1, Tick(end - 1)).is_some() && !view.expired(Tick(end - 1)));
        assert!(view.expired(Tick(end)) && rig.lookup(1, Tick(end)).is_none());
        assert_eq!((rig.writer.len(), rig.table.stats().expired[0]), (0, 1));
    }
}

#[test]
fn a_timeout_that_is_changed_holds_for_old_flows_too() {
    let mut rig = Rig::new(2);
    rig.insert(1, &UDP, START).unwrap();
    rig.table.timeouts().set(State::UdpOneWay, 5);
    assert!(rig.lookup(1, Tick(at(5).0 - 1)).is_some());
    assert!(rig.lookup(1, at(5)).is_none());
}

#[test]
fn flows_of_several_sets_of_timeouts_expire_each_at_its_own() {
    let mut rig = Rig::new(2);
    let short = TimeoutsNo::new(15);
    rig.table.timeouts_of(short).set(State::UdpOneWay, 3);
    rig.insert(1, &UDP, START).unwrap();
    let entry = rig.insert(2, &UDP, START).unwrap();
    rig.writer.set_timeouts(entry, short);
    let by = |n| rig.table.entries().find(|e| e.key == key(n)).unwrap();
    assert_eq!(
        (by(1).timeouts, by(1).timeout_s),
        (TimeoutsNo::DEFAULT, 300)
    );
    assert_eq!((by(2).timeouts, by(2).timeout_s), (short, 3));
    assert!(rig.lookup(2, Tick(at(3).0 - 1)).is_some());
    rig.table.timeouts_of(short).set(State::UdpOneWay, 4);
    assert!(rig.lookup(2, at(3)).is_some());
    // The hand and a lookup agree; a copy of an entry keeps it.
    assert_eq!(rig.writer.sweep(2, at(4)), 1);
    assert!(rig.lookup(1, at(299)).is_some() && rig.lookup(1, at(300)).is_none());
    // The place's next flow has the default again.
    rig.insert(2, &UDP, at(300)).unwrap();
    assert!(rig.lookup(2, at(310)).is_some());
    let idle = |of| rig.writer.idle_timeout(&crate::L4::Udp, of);
    assert_eq!((idle(TimeoutsNo::DEFAULT), idle(short)), (300, 300));
    rig.table.timeouts_of(short).set(State::UdpTwoWay, 900);
    assert_eq!(rig.writer.idle_timeout(&crate::L4::Udp, short), 900);
}

#[test]
fn a_writer_can_be_sent_to_another_thread_with_its_slots() {
    let table: Arc<Table<crate::KeyV6>> = Table::new(1, crate::TableSecret([1; 16]), START);
    let mut writer = table.writer((0..256).map(SlotNo));
    let (k, dir) = crate::KeyV6::new(0, 17, 1, 2, 3, 4);
    let hash = crate::flow_hash(table.secret(), &k);
    let len = std::thread::spawn(move || {
        assert_eq!(writer.lookup(SlotNo(255), hash, &k, START), None);
        writer
            .insert(SlotNo(255), hash, &k, dir, &UDP, START)
            .unwrap();
        writer.len()
    });
    assert_eq!(len.join().unwrap(), 1);
    // Dropped: its slots may be claimed again, and what it left is still there.
    let next = table.writer([SlotNo(255)].into_iter());
    assert_eq!((next.len(), next.is_empty()), (1, false));
    assert_eq!(table.find(SlotNo(255), hash, &k).unwrap().slot, SlotNo(255));
    assert_eq!(table.find(SlotNo(254), hash, &k), None);
}
