use super::*;
use crate::fixture::{Rig, SLOT, at, key, tcp};
use crate::key::Dir::{Fwd, Rev};
use crate::state::{L4, Seen};

/// A segment of chance: flags and numbers as connections have them, and as they do not.
fn segment(rng: &mut fastrand::Rng) -> Seen {
    let flags = [
        L4::SYN,
        L4::SYN | L4::ACK,
        L4::ACK,
        L4::FIN | L4::ACK,
        L4::RST,
        L4::RST | L4::ACK,
        0,
    ];
    let flags = flags[rng.usize(..flags.len())];
    let far = u32::from(rng.u8(..4) == 0) << rng.u32(16..32);
    let mut seen = tcp(flags);
    if let L4::Tcp { seq, ack, .. } = &mut seen.l4 {
        (*seq, *ack) = (1000 + far, 1000 + (far >> rng.u32(..8)));
    }
    seen
}

#[test]
fn what_is_foreseen_is_what_happens_then_and_leaves_no_trace() {
    let (mut reopened, mut gone, mut contested) = (0, 0, 0);
    for seed in 0..60 {
        let (mut rig, mut rng) = (Rig::new(2), fastrand::Rng::with_seed(seed));
        let mut now = at(1000);
        for _ in 0..4000 {
            now = Tick(now.0 + rng.u32(..4) * rng.u32(..40) * u32::from(rng.u8(..8) == 0));
            let (n, dir) = (rng.u32(..60), [Fwd, Rev][usize::from(rng.bool())]);
            let (key, hash, seen) = (key(n), rig.hash(n), segment(&mut rng));
            let before = rig.table.stats();
            let foreseen = rig.table.foresee((SLOT, hash), &key, dir, &seen, now);
            let (new, room) = (
                rig.table.proves_new(SLOT, hash, 60, now),
                rig.table.room(SLOT, hash),
            );
            assert_eq!(rig.table.stats(), before, "seed {seed}");
            assert_eq!(rig.writer.proves_new(SLOT, hash, 60, now), new);
            let entry = rig.writer.lookup(SLOT, hash, &key, now);
            assert_eq!(entry.is_some(), foreseen.is_some(), "seed {seed}");
            let Some((entry, (view, observed))) = entry.zip(foreseen) else {
                gone += 1;
                let inserted = rig.writer.insert_missed(SLOT, hash, &key, dir, &seen, now);
                contested += u32::from(room == Room::Contested);
                assert!(inserted.is_ok() || room == Room::Contested, "seed {seed}");
                continue;
            };
            assert_eq!(view.key, key);
            let happened = rig.writer.observe(entry, dir, &seen, now);
            assert_eq!(happened, observed, "seed {seed} {view:?} {seen:?}");
            reopened += u32::from(happened == Observed::Reopened);
        }
    }
    assert!(
        reopened > 100 && gone > 1000 && contested > 100,
        "{reopened} {gone} {contested}"
    );
}
