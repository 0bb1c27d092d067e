//! A recursive next hop is resolved anew under readers' eyes: they see one way or the other, never parts of both, and
//! no neighbour before it is reserved or after it was let go.

use super::explore;
use crate::ids::{FibId, NhopIdx, Pin, PortId};
use crate::nhop::{NhopCtl, NhopKey, Path, PinState, Slots, Through};
use crate::qsbr::{Qsbr, Reader};
use crate::sync::{AtomicU32, Ordering};
use loom::thread;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const RESERVED: u32 = 1;
const LET_GO: u32 = 2;

const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 16, 0, 9));

/// The way by a port, whose number its MTU and neighbour have too.
const fn way(number: u16) -> Through {
    Through {
        port: PortId(number),
        gateway: FAR,
        mtu: 1000 + number as u32,
        on_link: false,
        chain: 1,
    }
}

struct World {
    slots: Slots,
    neighbours: [AtomicU32; 2],
    qsbr: Qsbr,
}

impl World {
    /// A reader sends a packet.
    fn send(&self, pin: Pin) {
        assert_eq!(self.slots.judge(pin), PinState::Live);
        let attrs = self.slots.attrs(pin.idx());
        let number = attrs.port.0;
        assert_eq!(attrs.mtu, 1000 + u32::from(number), "parts of both ways");
        assert_eq!(attrs.neigh, u32::from(number), "parts of both ways");
        let neighbour = &self.neighbours[usize::from(number)];
        assert_eq!(neighbour.load(Ordering::Relaxed), RESERVED);
    }
}

#[test]
fn loom_a_reader_sees_one_way_and_a_neighbour_that_is_reserved() {
    explore(3, || {
        let (mut nhops, idx) = (NhopCtl::new(1), NhopIdx(1));
        let world = World {
            slots: Slots::new(1),
            neighbours: [AtomicU32::new(RESERVED), AtomicU32::new(0)],
            qsbr: Qsbr::new(1),
        };
        let path = Path {
            key: NhopKey::recursive(FibId(0), FAR),
            weight: 1,
            neigh: 0,
            mtu: 9000,
            through: Some(way(0)),
        };
        assert_eq!(nhops.intern(&world.slots, &path), Some(idx));
        let (world, pin) = (Arc::new(world), nhops.pin(idx));
        let there = Arc::clone(&world);
        let worker = thread::spawn(move || {
            let reader: Reader = there.qsbr.reader(0);
            reader.online();
            there.send(pin);
            reader.quiescent();
            there.send(pin);
        });
        world.neighbours[1].store(RESERVED, Ordering::Relaxed);
        let before = nhops.set_through(&world.slots, idx, Some(way(1)), 1);
        assert_eq!(before, Some(0));
        let epoch = world.qsbr.advance();
        if world.qsbr.passed(epoch) {
            world.neighbours[0].store(LET_GO, Ordering::Relaxed);
        }
        worker.join().unwrap();
    });
}
