//! Real devices in a namespace of their own: each packet that the kernel sends comes by its owner's queue.

use super::*;
use crate::io::Queue;
use crate::io::netns::{has_ipv6, in_child_namespace};
use crate::io::poll::Poller;
use crate::io::tun::{DeviceSpec, TunQueue, open};
use crate::parse::{self, Addrs, IpMeta};
use crate::pkt::Pool;
use crate::slots::even_slots;
use flowtable::TableSecret;
use std::net::{IpAddr, SocketAddr, UdpSocket};

const QUEUES: usize = 4;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn slot(owner: &OwnerHash, meta: &IpMeta) -> usize {
    let t = meta.tuple;
    let slot = match t.addrs {
        Addrs::V4 { src, dst } => owner.slot4(t.proto, src, t.sport, dst, t.dport),
        Addrs::V6 { src, dst } => owner.slot6(t.proto, src, t.sport, dst, t.dport),
    };
    usize::from(slot.0)
}

/// Reads until `wanted` packets of our protocols have come; each with its queue.
fn receive(queues: &mut [TunQueue], wanted: usize) -> Vec<(usize, IpMeta)> {
    let (mut pool, mut out, mut got) = (Pool::new(64, 2048), Vec::new(), Vec::new());
    let mut poller = Poller::new();
    while got.len() < wanted {
        let fds = queues.iter().filter_map(TunQueue::fd);
        let ready = poller.wait_each(fds, Some(10_000)).unwrap();
        assert!(
            ready > 0,
            "nothing came in 10 s, after {} packets",
            got.len()
        );
        for (index, queue) in queues.iter_mut().enumerate() {
            queue.rx_burst(&mut pool, &mut out, 64).unwrap();
            for pkt in out.drain(..) {
                if let Ok(meta) = parse::read(pkt.bytes())
                    && is_ours(&meta)
                {
                    got.push((index, meta));
                }
                pool.put(pkt);
            }
        }
    }
    got
}

/// Not the kernel's own talk, such as router solicitations.
fn is_ours(meta: &IpMeta) -> bool {
    [ip("10.9.0.2"), ip("fd09::2")].contains(&meta.addrs.dst())
}

fn send_udp(from: &str, to: &str, count: usize) -> Vec<UdpSocket> {
    let socket = |n: usize| {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        let to = SocketAddr::new(ip(to), 1000 + n as u16);
        socket.send_to(b"hello", to).unwrap();
        socket
    };
    (0..count).map(socket).collect()
}

#[test]
fn every_flow_comes_by_its_owners_queue_from_the_first_packet() {
    const NAME: &str =
        "io::steer::tests::every_flow_comes_by_its_owners_queue_from_the_first_packet";
    if !in_child_namespace(NAME).is_inside() {
        return;
    }
    let owner = OwnerHash::new(&TableSecret([7; 16]));
    let slots = even_slots(QUEUES);
    let mut steering = match Steering::load(&owner, &slots) {
        // Root of a container, say.
        Err(SteerError::NotAllowed) => return,
        other => other.unwrap(),
    };
    let v6 = has_ipv6();
    let mut addrs = vec![(ip("10.9.0.1"), 24)];
    if v6 {
        addrs.push((ip("fd09::1"), 64));
    }
    let mut device = open(&DeviceSpec {
        queues: QUEUES,
        host_addrs: addrs,
        ..DeviceSpec::new(Kind::Tun, "steered")
    })
    .unwrap();
    steering.programs().attach(&device).unwrap();
    let mut sockets = Vec::new();
    for round in 0..3 {
        let slots = even_slots(QUEUES - round);
        steering.update(&slots).unwrap();
        sockets.extend(send_udp("10.9.0.1", "10.9.0.2", 100));
        if v6 {
            sockets.extend(send_udp("fd09::1", "fd09::2", 100));
        }
        let got = receive(&mut device.queues, if v6 { 200 } else { 100 });
        for (queue, meta) in got {
            let worker = usize::from(slots[slot(&owner, &meta)]);
            assert_eq!(queue, worker, "round {round}: {:?}", meta.tuple);
        }
    }
}

/// A packet of chance: right or wrong, with all that the owner function looks at.
fn packet(rng: &mut fastrand::Rng) -> Vec<u8> {
    let protos = [1, 6, 17, 33, 47, 50, 58, 132, 136, 43, 44, 60, 0];
    let proto = protos[rng.usize(..protos.len())];
    let v6 = rng.bool();
    let words = if v6 { 10 } else { rng.usize(5..=15) };
    let mut bytes: Vec<u8> = (0..words * 4 + 64).map(|_| rng.u8(..)).collect();
    let len = bytes.len() as u16;
    if v6 {
        bytes[0] = 0x60;
        bytes[4..6].copy_from_slice(&(len - 40).to_be_bytes());
        bytes[6] = proto;
    } else {
        bytes[0] = 0x40 | words as u8;
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        bytes[6..8].copy_from_slice(&[rng.choice([0, 0x40, 0x20]).unwrap(), rng.u8(..2) * 8]);
        bytes[9] = proto;
        // No options that mean anything.
        bytes[20..words * 4].fill(1);
        bytes[10..12].fill(0);
        let sum = bytes[..words * 4].chunks(2);
        let sum: u32 = sum
            .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
            .sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    let at = words * 4;
    if rng.bool() {
        bytes[at] = rng
            .choice([0, 8, 3, 4, 5, 9, 11, 12, 13, 18, 128, 129, 1, 2, 135])
            .unwrap();
    }
    // A TCP header of five words.
    bytes[at + 12] = 0x50;
    bytes
}

/// What the packet path makes of it: the slot, or `None` for what the program leaves to worker 0.
fn owner_of(bytes: &[u8], owner: &OwnerHash) -> Option<usize> {
    let meta = parse::read(bytes).ok()?;
    let kind = *bytes.get(usize::from(meta.l4_off)).unwrap_or(&0);
    let error = match meta.proto {
        proto::ICMP if !meta.addrs.is_v6() => [3, 4, 5, 11, 12].contains(&kind),
        proto::ICMP6 if meta.addrs.is_v6() => kind < 128,
        _ => false,
    };
    let plain = meta.fragment.is_none() && !error && (meta.l4_off == 40 || bytes[0] >> 4 == 4);
    plain.then(|| slot(owner, &meta))
}

/// The kernel runs both programs on packets that were made up; none is sent.
#[test]
fn the_program_computes_the_owner_function_of_the_packet_path() {
    let owner = OwnerHash::new(&TableSecret([9; 16]));
    // A worker of its own for each slot, and none for those that nobody owns by one look.
    let slots: SlotMap = std::array::from_fn(|slot| slot as u16 + 1);
    let steering = match Steering::load(&owner, &slots) {
        // Root of a container, say.
        Err(SteerError::NotAllowed) => return,
        other => other.unwrap(),
    };
    let mut rng = fastrand::Rng::with_seed(4);
    let (mut owned, mut left) = (0, 0);
    for _ in 0..20_000 {
        let bytes = packet(&mut rng);
        let Ok(_) = parse::read(&bytes) else { continue };
        let wanted = owner_of(&bytes, &owner).map_or(0, |slot| slot as u32 + 1);
        let ethertype = if bytes[0] >> 4 == 6 {
            [0x86, 0xdd]
        } else {
            [8, 0]
        };
        let frame = [&[2; 12], &ethertype[..], &bytes].concat();
        // The kernel takes a link header off before it runs the program.
        let run = |program: &OwnedFd, bytes: &[u8]| {
            let framed = [&[2; 12], &ethertype[..], bytes].concat();
            sys::bpf_run(program.as_fd(), &framed).unwrap()
        };
        assert_eq!(run(&steering.programs.tun, &bytes), wanted, "{bytes:02x?}");
        assert_eq!(run(&steering.programs.tap, &frame), wanted, "{frame:02x?}");
        let tagged = [&[2; 12], &[0x81, 0, 0xe0, 100][..], &frame[12..]].concat();
        let tap = &steering.programs.tap;
        assert_eq!(run(tap, &tagged), wanted, "{tagged:02x?}");
        let twice = [&[2; 12], &[0x81, 0, 0, 7][..], &tagged[12..]].concat();
        assert_eq!(run(tap, &twice), 0, "{twice:02x?}");
        owned += u32::from(wanted > 0);
        left += u32::from(wanted == 0);
    }
    assert!(owned > 3000 && left > 300, "{owned}, {left}");
}

#[test]
fn a_refusal_says_what_would_be_right() {
    let line = SteerError::of("load")(Errno::EPERM).to_string();
    assert!(line.contains("root") && !line.contains('\n'), "{line}");
    let line = SteerError::of("load the steering program")(Errno::ENOSYS).to_string();
    assert!(
        line.starts_with("the kernel refuses to load the steering program: ENOSYS"),
        "{line}"
    );
}
