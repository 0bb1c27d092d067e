use super::*;
use crate::fixture::{Rig, SLOT, START, UDP, at, key, pin_of, started, syn, tcp};
use crate::key::Dir::{Fwd, Rev};
use crate::state::{Class, State};

#[test]
fn a_packet_touches_its_own_direction_only() {
    let mut rig = Rig::new(2);
    let entry = rig.insert(1, &UDP, START).unwrap();
    let seen = Seen {
        l4: L4::Udp,
        bytes: 1600,
        in_port: 9,
    };
    assert_eq!(
        rig.writer.observe(entry, Rev, &seen, at(2)),
        Observed::Normal
    );
    let view = rig.table.entries().next().unwrap();
    assert_eq!(
        (view.in_ports, view.packets, view.bytes[1]),
        ([3, 9], [1, 1], 1600)
    );
    assert_eq!((view.last_use, view.state.name()), (at(2), "UDP_TWO_WAY"));
    assert_eq!(
        (view.pins, view.stamps),
        ([pin_of(1), PinWord::NONE], [1, 0])
    );
}

#[test]
fn a_packet_that_may_be_forged_is_counted_and_neither_refreshes_nor_moves_the_port() {
    let mut rig = Rig::new(2);
    let entry = rig.insert(1, &syn(), START).unwrap();
    let _ = rig
        .writer
        .observe(entry, Rev, &tcp(L4::SYN | L4::ACK), START);
    let _ = rig.writer.observe(entry, Fwd, &tcp(L4::ACK), START);
    let before = rig.table.entries().next().unwrap();
    assert_eq!(
        (before.state, before.class),
        (State::Established, Class::TwoWay)
    );
    let forged = Seen {
        in_port: 77,
        ..syn()
    };
    assert_eq!(
        rig.writer.observe(entry, Fwd, &forged, at(50)),
        Observed::Normal
    );
    let after = rig.table.entries().next().unwrap();
    assert_eq!(after.packets, [3, 1]);
    let same = crate::EntryView {
        packets: before.packets,
        bytes: before.bytes,
        ..after
    };
    assert_eq!(same, before);
}

#[test]
fn a_reopened_flow_starts_anew_with_its_old_pins() {
    let mut rig = Rig::new(2);
    let entry = rig.insert(1, &syn(), START).unwrap();
    rig.writer.set_pin(entry, Rev, PinWord(99), 98);
    for (dir, flags) in [
        (Rev, L4::SYN | L4::ACK),
        (Fwd, L4::ACK),
        (Fwd, L4::FIN | L4::ACK),
    ] {
        assert_eq!(
            rig.writer.observe(entry, dir, &tcp(flags), at(1)),
            Observed::Normal
        );
    }
    assert_eq!(
        rig.writer.observe(entry, Fwd, &syn(), at(7)),
        Observed::Reopened
    );
    let view = rig.table.entries().next().unwrap();
    assert_eq!(
        (view.state, view.class, view.opener),
        (State::Syn, Class::Probation, Fwd)
    );
    assert_eq!(
        (view.packets, view.last_use, view.changed),
        ([1, 0], at(7), at(7).low())
    );
    assert_eq!(
        (view.pins, view.stamps),
        ([pin_of(1), PinWord(99)], [1, 98])
    );
    assert_eq!(rig.table.entries.at(entry.0).birth(), at(7).low() & 0xfff);
    assert_eq!(rig.table.stats().reopened, 1);
}

#[test]
fn the_change_mark_moves_with_state_class_and_pin_and_not_with_packets() {
    let mut rig = Rig::new(2);
    let entry = rig.insert(1, &UDP, START).unwrap();
    let changed = |rig: &Rig| rig.table.entries().next().unwrap().changed;
    rig.touch(entry, Fwd, at(1));
    assert_eq!(changed(&rig), START.low());
    rig.touch(entry, Fwd, at(2));
    assert_eq!(changed(&rig), at(2).low(), "one-way now");
    rig.touch(entry, Fwd, at(3));
    assert_eq!(changed(&rig), at(2).low());
    rig.writer.set_pin(entry, Fwd, PinWord(5), 5);
    assert_eq!(changed(&rig), at(3).low());
}

/// What [`Writer::observe`] would do if it had no short way for flows in the middle.
fn observe_at_length(writer: &Writer<crate::KeyV4>, e: Entry, dir: Dir, seen: &Seen, now: Tick) {
    let _ = writer.track(e.0, dir, seen, now);
}

#[test]
fn the_short_way_through_observe_changes_what_the_long_way_changes() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut short, mut long) = (Rig::new(1), Rig::new(1));
        let tcp = rng.bool();
        let mut seq = [rng.u32(..), rng.u32(..)];
        let mut now = START;
        let mut entries = None;
        for _ in 0..200 {
            now = Tick(now.0 + rng.u32(0..4));
            let dir = if rng.bool() { Fwd } else { Rev };
            let (own, other) = (dir as usize, dir.flip() as usize);
            let seen = Seen {
                l4: if tcp {
                    random_segment(&mut rng, seq[own], seq[other])
                } else {
                    L4::Udp
                },
                bytes: rng.u32(20..1500),
                in_port: rng.u8(0..3),
            };
            if rng.u8(..4) == 0 {
                seq[own] = seq[own].wrapping_add(rng.u32(0..100_000));
            }
            let hash = short.hash(1);
            let (a, b) = *entries.get_or_insert_with(|| {
                let a = short.writer.insert(SLOT, hash, &key(1), dir, &seen, now);
                let b = long.writer.insert(SLOT, hash, &key(1), dir, &seen, now);
                (a.unwrap(), b.unwrap())
            });
            if rng.bool() {
                let _ = short.writer.observe(a, dir, &seen, now);
            } else {
                let mut burst = started(&short, &[1], START);
                let flow = burst.get(0).map(|flow| Flow { dir, ..flow });
                let hit = short.writer.touch(&flow.unwrap(), &seen, now).unwrap();
                assert_eq!((hit.entry, hit.pin), (a, short.writer.pin(a, dir)));
                assert_eq!(hit.stamp, short.writer.stamp(a, dir));
                burst.clear();
            }
            observe_at_length(&long.writer, b, dir, &seen, now);
            let words = |rig: &Rig, e: Entry| {
                let at = rig.table.entries.at(e.0);
                let sides = [Fwd, Rev].map(|way| (at.side(way), at.count(way)));
                (
                    at.life(),
                    sides,
                    at.birth(),
                    rig.table.buckets.line(e.0.bucket()).classes(),
                )
            };
            assert_eq!(words(&short, a), words(&long, b), "seed {seed}: {seen:?}");
        }
    }
}

/// A segment near the connection's numbers, mostly in its middle.
fn random_segment(rng: &mut fastrand::Rng, seq: u32, ack: u32) -> L4 {
    let near = |rng: &mut fastrand::Rng, number: u32| match rng.u8(..20) {
        0 => rng.u32(..),
        1..4 => number.wrapping_sub(rng.u32(0..400_000)),
        _ => number.wrapping_add(rng.u32(0..70_000)),
    };
    let flags = match rng.u8(..40) {
        0 => L4::SYN,
        1 => L4::SYN | L4::ACK,
        2 => L4::FIN | L4::ACK,
        3 => L4::RST,
        4 => 0,
        _ => L4::ACK,
    };
    L4::Tcp {
        flags,
        seq: near(rng, seq),
        ack: near(rng, ack),
        window: 1000,
        len: rng.u32(0..1500),
    }
}
