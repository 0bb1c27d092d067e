//! A next hop ends and its slot is given to another while a worker has pins of both: who judges a pin live never reads what
//! the other does.

use super::explore;
use crate::ids::{NhopIdx, Pin, PortId};
use crate::nhop::{NhopAttrs, NhopCtl, NhopKey, NhopKind, Path, PinState, Slots};
use crate::qsbr::{Qsbr, Reader};
use crate::sync::{AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;

/// The only slot.
const IDX: NhopIdx = NhopIdx(1);

/// A next hop of a kind by a port, whose number its neighbour and MTU have too.
fn path(kind: NhopKind, port: u16) -> Path {
    Path {
        key: NhopKey {
            kind,
            port: PortId(port),
            gateway: None,
        },
        weight: 1,
        neigh: u32::from(port),
        mtu: 1000 + u32::from(port),
        through: None,
    }
}

fn old() -> Path {
    path(NhopKind::Iface, 1)
}

fn other() -> Path {
    path(NhopKind::Local, 2)
}

struct World {
    slots: Slots,
    qsbr: Qsbr,
    /// The pin of the other, once a bucket has it.
    bucket: AtomicU64,
}

impl World {
    /// A packet by a pin: if that is live, it goes where its next hop is, as `stack::path` reads it.
    fn send(&self, pin: Pin, path: &Path) -> PinState {
        let slot = self.slots.at(pin.idx());
        let state = slot.judge(pin);
        if state == PinState::Live {
            let read = NhopAttrs::of(slot.kind(), slot.place());
            let want = NhopAttrs {
                kind: path.key.kind,
                port: path.key.port,
                neigh: path.neigh,
                mtu: path.mtu,
            };
            assert_eq!(read, want, "a live pin with another's attributes");
        }
        state
    }

    /// A burst of a worker: a flow of the old next hop, and a new one by its bucket.
    fn burst(&self, pin: Pin) {
        self.send(pin, &old());
        let new = Pin::from_raw(self.bucket.load(Ordering::Acquire));
        if new != Pin::NONE {
            assert_eq!(self.send(new, &other()), PinState::Live);
            assert_eq!(self.send(pin, &old()), PinState::Gone);
        }
    }
}

/// Control ends the one, takes back what every reader has let go of, and makes the other.
fn replace(world: &World, nhops: &mut NhopCtl) -> bool {
    let ended = nhops.end_unnamed(&world.slots, &world.qsbr, IDX);
    assert!(ended.is_some());
    nhops.reclaim(&world.qsbr);
    let Some(idx) = nhops.intern(&world.slots, &other()) else {
        return false;
    };
    assert_eq!(idx, IDX);
    let pin = nhops.pin(idx);
    world.bucket.store(pin.raw(), Ordering::Release);
    true
}

fn beside(bound: usize, life: fn(&World, &Reader, Pin)) {
    explore(bound, move || {
        let mut nhops = NhopCtl::new(1);
        let world = World {
            slots: Slots::new(1),
            qsbr: Qsbr::new(1),
            bucket: AtomicU64::new(Pin::NONE.raw()),
        };
        assert_eq!(nhops.intern(&world.slots, &old()), Some(IDX));
        let (world, pin) = (Arc::new(world), nhops.pin(IDX));
        let worker = {
            let world = Arc::clone(&world);
            thread::spawn(move || life(&world, &world.qsbr.reader(0), pin))
        };
        replace(&world, &mut nhops);
        worker.join().unwrap();
        assert_eq!(world.send(pin, &old()), PinState::Gone);
    });
}

#[test]
fn loom_a_live_pin_never_comes_with_the_attributes_of_who_has_its_slot_next() {
    beside(4, |world, reader, pin| {
        reader.online();
        world.burst(pin);
        reader.quiescent();
        world.burst(pin);
    });
}

#[test]
fn loom_who_wakes_up_does_not_take_the_next_one_for_the_old() {
    beside(4, |world, reader, pin| {
        reader.online();
        world.burst(pin);
        reader.offline();
        reader.online();
        world.burst(pin);
    });
}
