//! Frames of which a device leaves nothing, because they are too large for a buffer or were not fetched in time, are counted at
//! their port.

use flowgate_tests::rack::GATEWAY_MAC;
use flowgate_tests::sim::client_and_rack;
use stack::fate::DropReason;
use stack::io::{Queue, Tx};
use stack::pkt::{Pkt, Pool};
use stack::{Now, Setup, Wakers, build};
use std::io;
use std::os::fd::BorrowedFd;

/// Brings nothing, and says at each look that two frames were too large and that it lost three.
#[derive(Default)]
struct Lossy {
    looks: u64,
}

impl Queue for Lossy {
    fn rx_burst(&mut self, _: &mut Pool, _: &mut Vec<Pkt>, _: usize) -> io::Result<usize> {
        self.looks += 1;
        Ok(0)
    }

    fn tx(&mut self, _: &[u8]) -> Tx {
        Tx::Sent
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn truncated(&self) -> u64 {
        2 * self.looks
    }

    fn missed(&self) -> u64 {
        3 * self.looks
    }
}

#[test]
fn too_large_and_missed_frames_are_counted_at_their_port_and_in_the_books() {
    let setup = Setup {
        ports: client_and_rack(GATEWAY_MAC),
        flows_v4: 1024,
        flows_v6: 1024,
        ..Setup::default()
    };
    let mut gateway = build(setup, &Wakers::null(1), Now(0)).expect("a gateway");
    let mut queues: Vec<Box<dyn Queue>> = vec![Box::<Lossy>::default(), Box::<Lossy>::default()];
    for looks in 1..=3 {
        gateway.workers[0].poll(Now(looks), &mut queues);
        let totals = gateway.control.totals();
        let oversize = totals.dropped_for(DropReason::Oversize);
        assert_eq!(
            (totals.rx, totals.oversize, oversize),
            (4 * looks, 4 * looks, 4 * looks)
        );
        assert_eq!(totals.imbalance(), None);
        for port in gateway.control.reader().port_reports() {
            let of = port.totals;
            assert_eq!(
                (of.rx, of.rx_bytes, of.rx_dropped),
                (2 * looks, 0, 2 * looks)
            );
            assert_eq!(of.missed, 3 * looks);
        }
    }
}
