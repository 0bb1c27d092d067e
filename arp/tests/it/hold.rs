//! Packets that wait: order, overflow, and an oracle.

use std::collections::VecDeque;

use arp::{HoldQueue, NeighIdx, NeighState};

use crate::rig::{P0, Rig, ip, mac};

#[test]
fn packets_wait_until_their_neighbour_is_usable_or_failed_and_keep_their_order() {
    let mut rig = Rig::new();
    rig.host("10.0.0.9", mac(9));
    let (there, gone) = (rig.ask("10.0.0.9"), rig.ask("10.0.0.10"));
    let mut hold = HoldQueue::new(16, 64);
    for packet in 0..6 {
        let idx = if packet % 2 == 0 { there } else { gone };
        assert_eq!(hold.push(idx, packet), None);
    }
    let mut out = Vec::new();
    hold.ready(&rig.view, &mut out);
    assert!(out.is_empty());
    assert!(hold.waits_for(there) && hold.waits_for(gone));
    rig.run(0);
    hold.ready(&rig.view, &mut out);
    assert_eq!(out, [0, 2, 4]);
    assert_eq!(
        (hold.len(), hold.neighbours().collect::<Vec<_>>()),
        (3, vec![gone])
    );
    rig.run(3000);
    assert_eq!(rig.state(gone), NeighState::Failed);
    hold.ready(&rig.view, &mut out);
    assert_eq!(out, [0, 2, 4, 1, 3, 5]);
    assert!(hold.is_empty());
}

#[test]
fn packets_of_a_neighbour_that_is_gone_come_back() {
    let mut rig = Rig::new();
    let idx = rig.ask("10.0.0.9");
    let mut hold = HoldQueue::new(16, 64);
    assert_eq!(hold.push(idx, 1), None);
    rig.table.delete(Some(P0), &ip("10.0.0.9")).unwrap();
    let mut out = Vec::new();
    hold.ready(&rig.view, &mut out);
    assert_eq!(out, [1]);
}

#[test]
fn the_seventeenth_packet_pushes_out_the_oldest_of_its_neighbour() {
    let mut hold = HoldQueue::new(16, 64);
    let (a, b) = (NeighIdx(3), NeighIdx(4));
    assert_eq!(hold.push(b, 1000), None);
    for packet in 0..16 {
        assert_eq!(hold.push(a, packet), None);
    }
    assert_eq!(hold.push(a, 16), Some(0));
    assert_eq!(hold.push(a, 17), Some(1));
    let mut out = Vec::new();
    hold.drain_all(&mut out);
    let expected: Vec<_> = std::iter::once(1000).chain(2..18).collect();
    assert_eq!(out, expected);
}

#[test]
fn a_full_queue_gives_back_the_newcomer_of_a_neighbour_without_packets() {
    let mut hold = HoldQueue::new(4, 2);
    assert_eq!(hold.push(NeighIdx(1), 'a'), None);
    assert_eq!(hold.push(NeighIdx(2), 'b'), None);
    assert_eq!(hold.push(NeighIdx(3), 'c'), Some('c'));
    assert!(!hold.waits_for(NeighIdx(3)));
    assert_eq!(hold.push(NeighIdx(2), 'd'), Some('b'));
    assert_eq!(hold.len(), hold.limit());
    assert_eq!(HoldQueue::new(0, 8).push(NeighIdx(1), 'x'), Some('x'));
    assert_eq!(HoldQueue::new(8, 0).push(NeighIdx(1), 'x'), Some('x'));
}

/// The queue, slowly.
#[derive(Default)]
struct Oracle(VecDeque<(NeighIdx, u32)>);

impl Oracle {
    fn push(&mut self, idx: NeighIdx, packet: u32, per: usize, total: usize) -> Option<u32> {
        let waiting = self.0.iter().filter(|held| held.0 == idx).count();
        let full = waiting >= per || self.0.len() >= total;
        if full && waiting == 0 {
            return Some(packet);
        }
        let oldest = self
            .0
            .iter()
            .position(|held| held.0 == idx)
            .filter(|_| full);
        let dropped = oldest.and_then(|at| self.0.remove(at)).map(|held| held.1);
        self.0.push_back((idx, packet));
        dropped
    }
}

#[test]
fn random_pushes_and_drains_agree_with_the_oracle() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (per, total) = (rng.usize(1..6), rng.usize(1..40));
        let mut hold = HoldQueue::new(per, total);
        let mut oracle = Oracle::default();
        for packet in 0..400 {
            let idx = NeighIdx(rng.u32(0..12));
            let dropped = hold.push(idx, packet);
            assert_eq!(dropped, oracle.push(idx, packet, per, total), "seed {seed}");
            assert_eq!(hold.len(), oracle.0.len(), "seed {seed}");
            assert!(hold.len() <= total);
            if rng.u8(..) < 4 {
                let mut out = Vec::new();
                hold.drain_all(&mut out);
                out.sort_unstable();
                let mut all: Vec<_> = oracle.0.drain(..).map(|held| held.1).collect();
                all.sort_unstable();
                assert_eq!(out, all, "seed {seed}");
            }
        }
    }
}
