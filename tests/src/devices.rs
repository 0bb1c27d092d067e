//! What every kind of port must do, checked the same way for each ([`suite`]): the same frames out as in, a flow's order
//! kept, what is too long counted, a full device that refuses and never blocks, a descriptor that wakes, nothing
//! allocated, a device that goes down and comes back, and one that vanishes.
//!
//! A kind is a [`Subject`]: its queues, and its [`Far`] side, by which the suite puts frames in and takes them out. For
//! devices of the kernel that is a packet socket ([`raw`]), so the kernel carries every frame.

pub mod raw;

use crate::frames::{ether, udp};
use arp::Mac;
use stack::io::poll::Poller;
use stack::io::{Queue, Tx};
use stack::pkt::{Pkt, Pool};
use std::net::SocketAddr;

/// The other side of a port.
pub trait Far {
    /// Sends a frame of flow number `flow` to the port; `false` if there is no room for it.
    fn send(&mut self, flow: usize, frame: &[u8]) -> bool;

    /// The next frame that the port sent. `wait`: one must come; give it time.
    fn recv(&mut self, wait: bool) -> Option<Vec<u8>>;

    /// Takes the device down or up; `false` if this kind has no such thing.
    fn set_up(&mut self, _up: bool) -> bool {
        false
    }

    /// Makes the device vanish.
    fn delete(&mut self);
}

/// A port to be tried.
pub struct Subject {
    /// Its queues.
    pub queues: Vec<Box<dyn Queue>>,
    /// Its other side.
    pub far: Box<dyn Far>,
    /// Whether its frames have Ethernet headers.
    pub l2: bool,
    /// Whether a far side that takes nothing fills it.
    pub fills: bool,
    /// Whether its reader notices that it vanished (else the sender alone does).
    pub reader_notices: bool,
    /// Whether it takes frames in bursts, so that a first one is taken before it is known that the device is down.
    pub in_bursts: bool,
}

/// Makes a subject with so many queues for packets of this MTU.
pub type Make<'a> = &'a mut dyn FnMut(usize, usize) -> Subject;

const MTU: usize = 1500;

/// Runs every check, each on a fresh device.
///
/// # Panics
/// The port fails one.
pub fn suite(make: Make<'_>, counted: fn(&mut dyn FnMut()) -> u64) {
    frames_are_carried_unchanged(make);
    a_flow_keeps_its_order_and_its_queue(make);
    what_is_too_long_is_counted(make);
    no_more_is_taken_than_there_is_room_for(make);
    a_full_device_refuses_and_never_blocks(make);
    its_descriptor_wakes(make);
    nothing_is_allocated(make, counted);
    it_goes_down_and_comes_back(make);
    its_end_is_told(make);
}

impl Subject {
    /// A frame of `len` bytes of IP at least, that says which it is.
    fn frame(&self, flow: usize, no: usize, len: usize) -> Vec<u8> {
        let src = SocketAddr::from(([10, 77, 0, 1 + flow as u8], 1000 + flow as u16));
        let dst = SocketAddr::from(([10, 88, 0, 1], 4077));
        let mut payload = vec![0; len.saturating_sub(28).max(8)];
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte = (at * 7 + no) as u8;
        }
        payload[..4].copy_from_slice(&(no as u32).to_be_bytes());
        payload[4..8].copy_from_slice(&(flow as u32).to_be_bytes());
        let packet = udp(src, dst, &payload);
        if self.l2 {
            ether(FAR_MAC, NEAR_MAC, &packet)
        } else {
            packet
        }
    }

    /// What a frame says of itself; `None` for one that is not of the suite (the kernel's own chatter).
    fn read(&self, frame: &[u8]) -> Option<(usize, usize)> {
        let packet = frame.get(if self.l2 { 14 } else { 0 }..)?;
        let ours = packet.first()? >> 4 == 4 && packet.get(16..20)? == [10, 88, 0, 1];
        let word = |at| packet.get(at..at + 4)?.first_chunk().copied();
        let (no, flow) = (u32::from_be_bytes(word(28)?), u32::from_be_bytes(word(32)?));
        ours.then_some((flow as usize, no as usize))
    }

    /// Receives until `n` frames of the suite are there, with the queue each came by.
    fn collect(&mut self, n: usize) -> Vec<(usize, Vec<u8>)> {
        let (mut pool, mut out) = (Pool::new(64, 2048), Vec::new());
        let (mut poller, mut got) = (Poller::new(), Vec::new());
        while got.len() < n {
            let fds = self.queues.iter().filter_map(|queue| queue.fd());
            let ready = poller.wait_each(fds, Some(10_000)).expect("poll");
            assert!(ready > 0, "{} of {n} came", got.len());
            for at in 0..self.queues.len() {
                let received = self.queues[at].rx_burst(&mut pool, &mut out, 32);
                assert!(received.is_ok(), "queue {at}: {received:?}");
                for pkt in out.drain(..) {
                    if self.read(pkt.bytes()).is_some() {
                        got.push((at, pkt.bytes().to_vec()));
                    }
                    pool.put(pkt);
                }
            }
        }
        got
    }

    /// The next frame of the suite that the port sent.
    fn sent(&mut self, wait: bool) -> Option<Vec<u8>> {
        loop {
            let frame = self.far.recv(wait)?;
            if self.read(&frame).is_some() {
                return Some(frame);
            }
        }
    }

    /// Empties the port of what came so far.
    fn drain(&mut self) {
        let (mut pool, mut out) = (Pool::new(64, 2048), Vec::new());
        for queue in &mut self.queues {
            while queue
                .rx_burst(&mut pool, &mut out, 64)
                .expect("a live device")
                > 0
            {
                out.drain(..).for_each(|pkt| pool.put(pkt));
            }
        }
    }
}

const FAR_MAC: Mac = Mac([2, 0, 0, 0, 0x77, 1]);
const NEAR_MAC: Mac = Mac([2, 0, 0, 0, 0x77, 2]);

/// Sends a whole frame, at once.
fn tx(queue: &mut dyn Queue, frame: &[u8]) -> Tx {
    let sent = queue.tx(frame);
    queue.flush();
    sent
}

fn frames_are_carried_unchanged(make: Make<'_>) {
    let mut subject = make(1, MTU);
    for (no, len) in (36..=MTU).step_by(61).chain([MTU]).enumerate() {
        let frame = subject.frame(no % 3, no, len);
        assert!(subject.far.send(0, &frame), "no room for {len} bytes");
        let (_, came) = subject.collect(1).remove(0);
        assert_eq!(came, frame, "{len} bytes in");
        assert_eq!(tx(&mut *subject.queues[0], &frame), Tx::Sent);
        assert_eq!(
            subject.sent(true).as_deref(),
            Some(&*frame),
            "{len} bytes out"
        );
    }
    assert_eq!(subject.queues[0].truncated(), 0);
}

fn a_flow_keeps_its_order_and_its_queue(make: Make<'_>) {
    const FLOWS: usize = 16;
    const EACH: usize = 24;
    let mut subject = make(3, MTU);
    for no in 0..EACH {
        for flow in 0..FLOWS {
            let frame = subject.frame(flow, no, 100);
            assert!(subject.far.send(flow, &frame));
        }
    }
    let mut next = [0; FLOWS];
    let mut by = [None; FLOWS];
    for (queue, frame) in subject.collect(FLOWS * EACH) {
        let (flow, no) = subject.read(&frame).expect("one of the suite's");
        assert_eq!(no, next[flow], "flow {flow} by queue {queue}");
        next[flow] += 1;
        assert_eq!(*by[flow].get_or_insert(queue), queue, "flow {flow}");
    }
    for flow in 0..FLOWS {
        let queue = flow % subject.queues.len();
        for no in 0..4 {
            let frame = subject.frame(flow, no, 100);
            assert_eq!(tx(&mut *subject.queues[queue], &frame), Tx::Sent);
        }
    }
    let mut next = [0; FLOWS];
    for _ in 0..FLOWS * 4 {
        let frame = subject.sent(true).expect("every frame that was taken");
        let (flow, no) = subject.read(&frame).expect("one of the suite's");
        assert_eq!(no, next[flow], "flow {flow} as sent");
        next[flow] += 1;
    }
}

fn what_is_too_long_is_counted(make: Make<'_>) {
    let mut subject = make(1, MTU);
    subject.drain();
    let link = if subject.l2 { 14 } else { 0 };
    let room = 100 + link;
    for (no, len) in [100, 101, MTU, 60].into_iter().enumerate() {
        let frame = subject.frame(0, no, len);
        assert!(subject.far.send(0, &frame));
    }
    let (mut pool, mut out, mut seen) = (Pool::new(8, room), Vec::new(), Vec::new());
    let mut poller = Poller::new();
    while seen.len() < 2 {
        let fds: Vec<_> = subject.queues[0].fd().into_iter().collect();
        poller.wait(&fds, Some(10_000)).expect("poll");
        subject.queues[0]
            .rx_burst(&mut pool, &mut out, 32)
            .expect("a live device");
        for pkt in out.drain(..) {
            seen.extend(subject.read(pkt.bytes()).map(|(_, no)| no));
            pool.put(pkt);
        }
    }
    assert_eq!(seen, [0, 3]);
    assert_eq!(subject.queues[0].truncated(), 2);
    assert_eq!(pool.available(), 8, "their buffers went back");
}

fn no_more_is_taken_than_there_is_room_for(make: Make<'_>) {
    let mut subject = make(1, MTU);
    subject.drain();
    for no in 0..6 {
        let frame = subject.frame(0, no, 100);
        assert!(subject.far.send(0, &frame));
    }
    let mut out: Vec<Pkt> = Vec::new();
    let none = subject.queues[0].rx_burst(&mut Pool::new(0, 2048), &mut out, 32);
    assert_eq!(
        (none.expect("a live device"), out.len()),
        (0, 0),
        "an empty pool"
    );
    let none = subject.queues[0].rx_burst(&mut Pool::new(4, 2048), &mut out, 0);
    assert_eq!(
        (none.expect("a live device"), out.len()),
        (0, 0),
        "at most none"
    );
    let few = subject.queues[0].rx_burst(&mut Pool::new(4, 2048), &mut out, 2);
    assert_eq!(few.expect("a live device"), out.len());
    assert!(out.len() <= 2);
    let first = out.iter().filter_map(|pkt| subject.read(pkt.bytes()));
    let mut seen: Vec<_> = first.map(|(_, no)| no).collect();
    let rest = subject.collect(6 - seen.len());
    seen.extend(
        rest.iter()
            .filter_map(|(_, frame)| subject.read(frame).map(|(_, no)| no)),
    );
    assert_eq!(
        seen,
        [0, 1, 2, 3, 4, 5],
        "what was left was left in the device"
    );
}

fn a_full_device_refuses_and_never_blocks(make: Make<'_>) {
    const MANY: usize = 20_000;
    let mut subject = make(1, MTU);
    let frame = subject.frame(0, 0, MTU);
    let mut refused = 0;
    // It ends: that is the check. Nobody takes anything on the far side meanwhile.
    for _ in 0..MANY {
        match tx(&mut *subject.queues[0], &frame) {
            Tx::Sent => {}
            Tx::Refused => refused += 1,
            Tx::Gone(why) => panic!("gone: {why}"),
        }
    }
    assert!(!subject.fills || refused > 0, "it took all of {MANY}");
    while subject.sent(false).is_some() {}
    let frame = subject.frame(0, 1, 100);
    assert_eq!(tx(&mut *subject.queues[0], &frame), Tx::Sent, "room again");
    assert_eq!(subject.sent(true).as_deref(), Some(&*frame));
}

fn its_descriptor_wakes(make: Make<'_>) {
    let mut subject = make(1, MTU);
    let mut poller = Poller::new();
    subject.drain();
    for no in 0..3 {
        let frame = subject.frame(0, no, 100);
        let fds: Vec<_> = subject.queues[0].fd().into_iter().collect();
        assert_eq!(fds.len(), 1, "something to sleep on");
        assert!(subject.far.send(0, &frame));
        let woken = poller
            .wait_each(fds.iter().copied(), Some(10_000))
            .expect("poll");
        assert_eq!(woken, 1, "it wakes");
        let _ = subject.collect(1);
        subject.drain();
        let fds: Vec<_> = subject.queues[0].fd().into_iter().collect();
        assert_eq!(
            poller.wait_each(fds, Some(0)).expect("poll"),
            0,
            "nothing left"
        );
    }
}

fn nothing_is_allocated(make: Make<'_>, counted: fn(&mut dyn FnMut()) -> u64) {
    let mut subject = make(1, MTU);
    let (mut pool, mut out) = (Pool::new(64, 2048), Vec::with_capacity(64));
    let mut poller = Poller::new();
    for round in 0..3 {
        let frames: Vec<_> = (0..32).map(|no| subject.frame(no % 4, no, 200)).collect();
        for frame in &frames {
            assert!(subject.far.send(0, frame));
        }
        let fds: Vec<_> = subject.queues[0].fd().into_iter().collect();
        poller.wait(&fds, Some(10_000)).expect("poll");
        drop(fds);
        let queue = &mut *subject.queues[0];
        let made = counted(&mut || {
            let received = queue.rx_burst(&mut pool, &mut out, 32);
            assert!(received.is_ok_and(|n| n > 0));
            for pkt in out.drain(..) {
                assert_eq!(queue.tx(pkt.bytes()), Tx::Sent);
                pool.put(pkt);
            }
            queue.flush();
        });
        assert!(round == 0 || made == 0, "{made} allocations");
        subject.drain();
        while subject.far.recv(false).is_some() {}
    }
}

fn it_goes_down_and_comes_back(make: Make<'_>) {
    let mut subject = make(2, MTU);
    if !subject.far.set_up(false) {
        return;
    }
    let frame = subject.frame(0, 1, 100);
    let mut out = Vec::new();
    for queue in &mut subject.queues {
        if subject.in_bursts {
            assert_eq!(tx(&mut **queue, &frame), Tx::Sent, "not known yet");
        }
        assert_eq!(tx(&mut **queue, &frame), Tx::Refused, "down");
        let received = queue.rx_burst(&mut Pool::new(4, 2048), &mut out, 4);
        assert!(received.is_ok(), "down is not gone: {received:?}");
    }
    // Who sleeps on it does not spin: once it was looked at there is nothing to be read.
    let mut poller = Poller::new();
    let fds: Vec<_> = subject.queues.iter().filter_map(|q| q.fd()).collect();
    assert_eq!(poller.wait_each(fds, Some(0)).expect("poll"), 0, "down");
    assert!(subject.far.set_up(true));
    subject.drain();
    for no in 2..6 {
        let frame = subject.frame(no, no, 100);
        assert_eq!(tx(&mut *subject.queues[no % 2], &frame), Tx::Sent);
        assert_eq!(subject.sent(true).as_deref(), Some(&*frame));
        assert!(subject.far.send(no, &frame));
        assert_eq!(subject.collect(1).remove(0).1, frame);
    }
}

fn its_end_is_told(make: Make<'_>) {
    let mut subject = make(2, MTU);
    let frame = subject.frame(0, 1, 100);
    assert_eq!(tx(&mut *subject.queues[0], &frame), Tx::Sent);
    subject.far.delete();
    let (mut pool, mut out) = (Pool::new(4, 2048), Vec::new());
    let fds: Vec<_> = subject.queues.iter().filter_map(|q| q.fd()).collect();
    drop(fds);
    for queue in &mut subject.queues {
        for _ in 0..2 {
            let sent = tx(&mut **queue, &frame);
            assert!(matches!(sent, Tx::Gone(_)), "{sent:?}");
            let received = queue.rx_burst(&mut pool, &mut out, 4);
            assert!(received.is_err() || !subject.reader_notices, "{received:?}");
        }
    }
    assert_eq!(pool.available() + out.len(), 4);
}
