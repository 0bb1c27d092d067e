use crate::bucket::PLACES;
use crate::fixture::{Rig, SLOT, START, UDP, at, tcp};
use crate::insert::Refused;
use crate::key::Dir::Fwd;
use crate::key::Key;
use crate::state::L4;
use crate::time::Tick;
use crate::writer::Entry;

/// The key of UDP flow number `n` from a network.
fn from(network: u32, n: u32) -> crate::KeyV4 {
    let client = 0x0a00_0000 + (network << 8) + n % 256;
    crate::KeyV4::new(0, 17, client, (n / 256) as u16, 0xc000_0201, 53).0
}

fn insert_from(rig: &mut Rig, network: u32, n: u32, now: Tick) -> Result<Entry, Refused> {
    let key = from(network, n);
    let hash = crate::flow_hash(rig.table.secret(), &key);
    rig.writer.insert(SLOT, hash, &key, Fwd, &UDP, now)
}

/// Flows that a network holds, counted one by one.
fn held(rig: &Rig, network: u32) -> usize {
    let mine =
        |e: &crate::EntryView<crate::KeyV4>| e.key.network(Fwd) == u64::from(0x0a_0000 + network);
    rig.table.entries().filter(mine).count()
}

#[test]
fn under_pressure_a_source_network_gets_no_more_than_its_share() {
    let mut rig = Rig::new(40);
    rig.table.set_source_share(25);
    let places = 40 * PLACES as u32;
    // Nobody presses: one network may have three quarters.
    for n in 0..places * 3 / 4 {
        insert_from(&mut rig, 0, n, START).unwrap();
    }
    // Others fill it up to four fifths; from there on the first one gets nothing.
    for n in 0..places / 20 + 1 {
        insert_from(&mut rig, 1 + n % 50, n, START).unwrap();
    }
    let before = held(&rig, 0);
    for n in 0..100 {
        assert_eq!(insert_from(&mut rig, 0, 100_000 + n, at(1)), Err(Refused));
    }
    assert_eq!(held(&rig, 0), before);
    let stats = rig.table.stats();
    assert_eq!((stats.over_share, stats.refused), (100, 100));
    // Newcomers from everywhere are served, at the cost of the one that has too much.
    for n in 0..900 {
        insert_from(&mut rig, 100 + n % 200, n, at(2)).unwrap();
    }
    assert!(held(&rig, 0) <= before / 2, "{} of {before}", held(&rig, 0));
    assert!(held(&rig, 0) * 100 <= places as usize * 30);
    rig.check_books();
}

#[test]
fn what_was_lost_to_a_share_is_not_proved_new() {
    let mut rig = Rig::new(2);
    rig.table.set_source_share(10);
    let now = at(10_000);
    let mut n = 0;
    while insert_from(&mut rig, 0, n, now).is_ok() {
        n += 1;
    }
    assert_eq!(rig.table.stats().over_share, 1);
    let hash = crate::flow_hash(rig.table.secret(), &from(0, n));
    assert!(!rig.writer.proves_new(SLOT, hash, 300, now));
}

#[test]
fn shares_are_counted_by_the_opener_through_reopening_removal_and_a_new_writer() {
    let mut rig = Rig::new(4);
    let (key, dir) = crate::KeyV4::new(0, 6, 0x0a00_0001, 1, 0x0b00_0001, 2);
    let hash = crate::flow_hash(rig.table.secret(), &key);
    let (a, b) = (key.network(dir), key.network(dir.flip()));
    let count = |rig: &Rig| {
        (
            rig.writer.shares.of(a).flows(),
            rig.writer.shares.of(b).flows(),
        )
    };
    // A SYN-ACK says that the other side opened.
    let entry = rig
        .writer
        .insert(SLOT, hash, &key, dir, &tcp(L4::SYN | L4::ACK), START);
    let entry = entry.unwrap();
    assert_eq!(count(&rig), (0, 1));
    let _ = rig.writer.observe(entry, dir.flip(), &tcp(L4::ACK), START);
    let _ = rig
        .writer
        .observe(entry, dir, &tcp(L4::FIN | L4::ACK), START);
    let _ = rig
        .writer
        .observe(entry, dir.flip(), &tcp(L4::FIN | L4::ACK), START);
    // The next connection is opened from this side.
    let reopened = rig.writer.observe(entry, dir, &tcp(L4::SYN), START);
    assert_eq!(reopened, crate::Observed::Reopened);
    assert_eq!(count(&rig), (1, 0));
    rig.insert_all(0..50, START);
    drop(std::mem::replace(&mut rig.writer, Rig::new(1).writer));
    rig.writer = rig.table.writer([SLOT].into_iter());
    assert_eq!(count(&rig), (51, 0), "all clients are in one network");
    rig.writer.sweep(4, at(100_000));
    assert!(rig.writer.is_empty());
    assert_eq!(count(&rig), (0, 0));
}
