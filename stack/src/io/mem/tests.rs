//! Order, bounds, buffers that only move, and waking.

use super::*;
use crate::io::poll::Poller;
use std::collections::HashSet;

const DEPTH: usize = 8;

fn one(mtu: usize) -> (MemQueue, MemPeer) {
    let (mut queues, mut peers) = pair_without_fds(1, DEPTH, mtu);
    (queues.pop().unwrap(), peers.pop().unwrap())
}

fn one_with_fds() -> (MemQueue, MemPeer) {
    let (mut queues, mut peers) = pair(1, DEPTH, 1500);
    (queues.pop().unwrap(), peers.pop().unwrap())
}

fn contents(pkts: &[Pkt]) -> Vec<Vec<u8>> {
    pkts.iter().map(|pkt| pkt.bytes().to_vec()).collect()
}

fn is_readable(fd: Option<BorrowedFd<'_>>) -> bool {
    Poller::new()
        .wait_each(Some(fd.expect("has an eventfd")), Some(0))
        .unwrap()
        == 1
}

#[test]
fn frames_arrive_whole_and_in_order_in_both_directions() {
    let (mut queue, mut peer) = one(1500);
    let (mut pool, mut out) = (Pool::new(16, 2048), Vec::new());
    let frames: Vec<Vec<u8>> = (0..5u8)
        .map(|i| vec![i; 1 + 300 * usize::from(i)])
        .collect();
    for frame in &frames {
        assert!(peer.tx(frame));
        assert_eq!(queue.tx(frame), Tx::Sent);
    }
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 3).unwrap(), 3);
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 100).unwrap(), 2);
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 100).unwrap(), 0);
    assert_eq!(contents(&out), frames);
    let mut buf = [0; 2048];
    for frame in &frames {
        let len = peer.rx(&mut buf).unwrap();
        assert_eq!(buf[..len], frame[..]);
    }
    assert_eq!(peer.rx(&mut buf), None);
}

#[test]
fn a_full_port_refuses_and_takes_again_when_the_other_side_received() {
    let (mut queue, mut peer) = one(1500);
    for i in 0..DEPTH as u8 {
        assert_eq!(queue.tx(&[i]), Tx::Sent);
        assert!(peer.tx(&[i]));
    }
    assert_eq!(queue.tx(b"one too many"), Tx::Refused);
    assert!(!peer.tx(b"one too many"));
    let mut buf = [0; 64];
    assert_eq!((peer.rx(&mut buf), buf[0]), (Some(1), 0));
    assert_eq!(queue.tx(b"now"), Tx::Sent);
    assert_eq!(queue.tx(b"again one too many"), Tx::Refused);
}

#[test]
fn buffers_go_to_and_fro_and_none_is_ever_made_or_lost() {
    let (mut sender, mut receiver) = direction(DEPTH, 64, Waker::null());
    let mut seen = HashSet::new();
    for round in 0..1000u32 {
        for _ in 0..=round as usize % DEPTH {
            assert_eq!(sender.send(&round.to_be_bytes(), Offload::NONE), Tx::Sent);
        }
        while receiver
            .receive(|bytes, _| seen.insert(bytes.as_ptr()))
            .is_some()
        {}
        assert_eq!(sender.empty.slots(), DEPTH, "every buffer came home");
    }
    assert_eq!(seen.len(), DEPTH, "and they are the first ones");
}

#[test]
fn a_frame_longer_than_the_port_allows_is_refused_and_one_as_long_passes() {
    let (mut queue, mut peer) = one(100);
    assert_eq!(queue.tx(&[0; 100 + LINK_ROOM + 1]), Tx::Refused);
    assert!(!peer.tx(&[0; 100 + LINK_ROOM + 1]));
    assert_eq!(queue.tx(&[0; 100 + LINK_ROOM]), Tx::Sent);
    assert_eq!(peer.rx(&mut [0; 200]), Some(100 + LINK_ROOM));
}

#[test]
fn a_frame_longer_than_the_buffer_is_dropped_and_counted_and_the_next_is_not() {
    let (mut queue, mut peer) = one(1500);
    let (mut pool, mut out) = (Pool::new(4, 100), Vec::new());
    for len in [101, 100, 1500, 1] {
        assert!(peer.tx(&vec![7; len]));
        assert_eq!(queue.tx(&vec![7; len]), Tx::Sent);
    }
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 100).unwrap(), 2);
    assert_eq!((out[0].len(), out[1].len()), (100, 1));
    assert_eq!(queue.truncated(), 2);
    assert_eq!(
        pool.available(),
        2,
        "the packets of the dropped frames went back"
    );
    let mut buf = [0; 100];
    assert_eq!(
        (peer.rx(&mut buf), peer.rx(&mut buf), peer.rx(&mut buf)),
        (Some(100), Some(1), None)
    );
    assert_eq!(peer.truncated(), 2);
}

#[test]
fn an_empty_pool_leaves_frames_in_the_port() {
    let (mut queue, mut peer) = one(1500);
    let (mut pool, mut out) = (Pool::new(2, 2048), Vec::new());
    for i in 0..5u8 {
        assert!(peer.tx(&[i]));
    }
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 100).unwrap(), 2);
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 100).unwrap(), 0);
    for pkt in out.drain(..) {
        pool.put(pkt);
    }
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 100).unwrap(), 2);
    assert_eq!(contents(&out), [[2], [3]]);
}

#[test]
fn a_port_whose_other_side_is_gone_says_so() {
    let (mut queue, mut peer) = one(1500);
    assert!(peer.tx(b"last words"));
    drop(peer);
    assert_eq!(queue.tx(b"x"), Tx::Gone(io::ErrorKind::BrokenPipe));
    let (mut pool, mut out) = (Pool::new(2, 2048), Vec::new());
    assert_eq!(
        queue.rx_burst(&mut pool, &mut out, 9).unwrap(),
        1,
        "what it sent is still there"
    );
    let (queue, mut peer) = one(1500);
    drop(queue);
    assert!(!peer.tx(b"x"));
}

#[test]
fn the_descriptor_tells_of_frames_that_come_after_it_was_asked_for() {
    let (mut queue, mut peer) = one_with_fds();
    let (mut pool, mut out) = (Pool::new(16, 2048), Vec::new());
    assert!(!is_readable(queue.fd()));
    assert!(peer.tx(b"a"));
    assert!(is_readable(queue.rx.bell.fd()));
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 9).unwrap(), 1);
    assert!(!is_readable(queue.fd()), "received, so quiet again");
}

#[test]
fn the_descriptor_tells_of_frames_that_were_there_before() {
    let (mut queue, mut peer) = one_with_fds();
    let (mut pool, mut out) = (Pool::new(16, 2048), Vec::new());
    assert!(peer.tx(b"a") && peer.tx(b"b"));
    assert!(is_readable(queue.fd()));
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 1).unwrap(), 1);
    assert!(is_readable(queue.fd()), "one is left");
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 1).unwrap(), 1);
    assert!(!is_readable(queue.fd()));
}

#[test]
fn the_peer_sleeps_and_is_rung() {
    let (mut queue, mut peer) = one_with_fds();
    peer.prepare_sleep();
    assert!(peer.is_empty() && !is_readable(peer.fd()));
    assert_eq!(queue.tx(b"x"), Tx::Sent);
    assert!(is_readable(peer.fd()));
    peer.awake();
    assert_eq!(peer.rx(&mut [0; 64]), Some(1));
    peer.prepare_sleep();
    assert!(!is_readable(peer.fd()));
}

/// An echo between two threads that both sleep when they have nothing; a lost wake ends it by the
/// limit on an idle poll.
#[test]
fn two_threads_that_sleep_pass_every_frame() {
    const FRAMES: u32 = 20_000;
    let (mut queue, mut peer) = one_with_fds();
    std::thread::scope(|scope| {
        scope.spawn(move || echo(&mut queue, FRAMES));
        let (mut poller, mut buf) = (Poller::new(), [0; 64]);
        let (mut sent, mut back) = (0, 0);
        while back < FRAMES {
            while sent < FRAMES && peer.tx(&sent.to_be_bytes()) {
                sent += 1;
            }
            peer.prepare_sleep();
            if peer.is_empty() {
                assert_eq!(
                    poller.wait_each(peer.fd(), Some(10_000)).unwrap(),
                    1,
                    "at {back}"
                );
            }
            peer.awake();
            while let Some(len) = peer.rx(&mut buf) {
                assert_eq!(buf[..len], back.to_be_bytes());
                back += 1;
            }
        }
    });
}

fn echo(queue: &mut MemQueue, frames: u32) {
    let (mut pool, mut out) = (Pool::new(DEPTH, 64), Vec::new());
    let mut poller = Poller::new();
    let mut echoed = 0;
    while echoed < frames {
        if queue.rx_burst(&mut pool, &mut out, 3).unwrap() == 0 {
            assert_eq!(
                poller.wait_each(queue.fd(), Some(10_000)).unwrap(),
                1,
                "at {echoed}"
            );
        }
        for pkt in out.drain(..) {
            while queue.tx(pkt.bytes()) == Tx::Refused {
                std::hint::spin_loop();
            }
            pool.put(pkt);
            echoed += 1;
        }
    }
}
