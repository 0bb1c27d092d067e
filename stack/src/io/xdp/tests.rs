//! Cables in a namespace of their own: what the kernel does to frames on their way, and what is refused.

use super::*;
use crate::io::netlink::Netlink;
use crate::io::netns::{
    current_netns, in_child_namespace, new_child_netns_thread, sysctl_write, thread_in_netns,
};
use crate::io::poll::Poller;
use crate::io::{Queue, Tx};
use crate::offload::{Caps, Offload, Partial};
use crate::pkt::{Pkt, Pool};

const MODES: [(Mode, Chosen); 3] = [
    (Mode::Auto, Chosen::Copy),
    (Mode::Copy, Chosen::Copy),
    (Mode::Generic, Chosen::Generic),
];

/// Runs the calling test's body in a namespace, on a cable `near`, `far` whose ends hear nothing but each other; for each way.
/// Loading programs is root's: others are told that nothing was tried.
fn on_cable(test: &str, body: fn(Mode, Chosen)) {
    if !in_child_namespace(&format!("io::xdp::tests::{test}")).is_inside() {
        return;
    }
    if let Err(error) = may_load() {
        eprintln!("\n*** SKIPPED {test}: {error}");
        return;
    }
    let _ = sysctl_write("net/ipv6/conf/default/disable_ipv6", "1");
    for (mode, chosen) in MODES {
        let netlink = Netlink::open().unwrap();
        netlink.veth("near", "far").unwrap();
        netlink.link_up("far").unwrap();
        body(mode, chosen);
        netlink
            .link_del(netlink.link_index("near").unwrap())
            .unwrap();
    }
}

fn spec(mode: Mode) -> XdpSpec {
    XdpSpec {
        mode,
        ..XdpSpec::new("near")
    }
}

fn near(mode: Mode) -> XdpQueue {
    let mut device = open(&spec(mode)).unwrap();
    device.queues.remove(0)
}

/// The cable's other end.
fn far() -> packet::PacketQueue {
    let mut device = packet::open(&PacketSpec::new("far"), None).unwrap();
    device.queues.remove(0)
}

/// The next packets, until `n` are there.
fn receive(queue: &mut dyn Queue, n: usize) -> Vec<Pkt> {
    let (mut pool, mut out) = (Pool::new(n, 4096), Vec::new());
    let mut poller = Poller::new();
    while out.len() < n {
        let ready = poller.wait_each(queue.fd(), Some(10_000)).unwrap();
        assert!(ready > 0, "{} of {n} came", out.len());
        let max = n - out.len();
        queue.rx_burst(&mut pool, &mut out, max).unwrap();
    }
    out
}

/// A UDP packet's frame with `len` bytes of payload, its checksum right.
fn udp(no: usize, len: usize) -> Vec<u8> {
    let mut frame = arp::ether_header(Mac([2; 6]), Mac([4; 6]), 0x0800).to_vec();
    let total = (28 + len) as u16;
    frame.extend([
        0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    crate::checksum::fill_header(&mut frame[14..], 20);
    frame.extend((no as u16).to_be_bytes());
    frame.extend([0, 9]);
    frame.extend((total - 20).to_be_bytes());
    frame.extend([0, 0]);
    frame.resize(14 + usize::from(total), 7);
    let addrs = crate::parse::Addrs::V4 {
        src: 0x0a00_0001,
        dst: 0x0a00_0002,
    };
    let checksum = crate::checksum::transport(&addrs, 17, &frame[34..]);
    frame[40..42].copy_from_slice(&checksum.to_be_bytes());
    frame
}

fn number(frame: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([frame[34], frame[35]]))
}

#[test]
fn the_first_way_that_works_is_taken_and_told() {
    on_cable(
        "the_first_way_that_works_is_taken_and_told",
        |mode, chosen| {
            let device = open(&spec(mode)).unwrap();
            assert_eq!(device.mode, chosen);
            assert_eq!(device.warnings, Vec::<String>::new());
            let zero = open(&spec(Mode::ZeroCopy)).map(drop);
            assert_eq!(
                zero,
                Err(XdpError::Taken {
                    name: "near".into()
                })
            );
            drop(device);
            // No veth has zero-copy.
            let zero = open(&spec(Mode::ZeroCopy)).unwrap_err().to_string();
            assert!(
                zero.starts_with("interface 'near' refuses zero-copy: ")
                    && zero.ends_with("write xdp-mode = \"auto\", or leave it out"),
                "{zero}"
            );
        },
    );
}

#[test]
fn every_frame_is_used_again_and_again() {
    on_cable("every_frame_is_used_again_and_again", |mode, _| {
        let (mut near, mut far) = (near(mode), far());
        let (mut pool, mut out) = (Pool::new(64, 2048), Vec::new());
        // Each frame of the memory is used some three times each way.
        for round in 0..100 {
            let sent = |no| udp(round * 64 + no, 50 + no);
            for no in 0..64 {
                assert_eq!(near.tx(&sent(no)), Tx::Sent);
            }
            near.flush();
            for (no, pkt) in receive(&mut far, 64).iter().enumerate() {
                assert_eq!(pkt.bytes(), sent(no));
                assert_eq!(far.tx(pkt.bytes()), Tx::Sent);
            }
            for (no, mut pkt) in receive(&mut near, 64).into_iter().enumerate() {
                // A few look unfinished by chance, and are made what they were.
                pkt.finish();
                assert_eq!((pkt.bytes(), pkt.fault), (&*sent(no), None));
            }
        }
        assert_eq!(near.rx_burst(&mut pool, &mut out, 64).unwrap(), 0);
        assert_eq!(near.at_rest(), (TX_FRAMES, RX_FRAMES));
        assert_eq!((near.missed(), near.truncated()), (0, 0));
    });
}

#[test]
fn what_finds_no_frame_is_counted() {
    on_cable("what_finds_no_frame_is_counted", |mode, _| {
        let (mut near, mut far) = (near(mode), far());
        let mut poller = Poller::new();
        let many = RX_FRAMES as usize + 100;
        for no in 0..many {
            assert_eq!(far.tx(&udp(no, 100)), Tx::Sent);
            // A veth's own queue is shorter than the socket's: it has time.
            if no % 64 == 63 {
                let _ = poller.wait_each(near.fd(), Some(0)).unwrap();
            }
        }
        let got = receive(&mut near, RX_FRAMES as usize);
        let order: Vec<_> = got.iter().map(|pkt| number(pkt.bytes())).collect();
        assert_eq!(order, (0..RX_FRAMES as usize).collect::<Vec<_>>());
        assert_eq!(near.missed(), 100);
        assert_eq!(far.tx(&udp(7, 100)), Tx::Sent);
        assert_eq!(number(receive(&mut near, 1)[0].bytes()), 7, "room again");
    });
}

#[test]
fn a_frame_that_is_too_long_for_the_memory_is_counted() {
    on_cable(
        "a_frame_that_is_too_long_for_the_memory_is_counted",
        |mode, _| {
            let netlink = Netlink::open().unwrap();
            let mtu = |mtu| {
                for end in ["near", "far"] {
                    let index = netlink.link_index(end).unwrap();
                    netlink.set_mtu(index, mtu).unwrap();
                }
            };
            mtu(if mode == Mode::Generic { 9000 } else { 3500 });
            let (mut near, mut far) = (near(mode), far());
            let fits = if mode == Mode::Generic {
                FRAME_MOST
            } else {
                3500 + 14
            };
            assert_eq!(far.tx(&udp(1, fits - 42)), Tx::Sent);
            assert_eq!(receive(&mut near, 1)[0].bytes().len(), fits);
            if mode == Mode::Generic {
                assert_eq!(far.tx(&udp(2, fits - 41)), Tx::Sent);
                assert_eq!(far.tx(&udp(3, 100)), Tx::Sent);
                assert_eq!(number(receive(&mut near, 1)[0].bytes()), 3);
                near.count_missed();
                assert_eq!(near.missed(), 1);
            }
            assert_eq!(near.tx(&vec![0; CHUNK + 1]), Tx::Refused);
        },
    );
}

#[test]
fn what_was_held_back_while_the_interface_was_down_is_not_sent_later() {
    on_cable(
        "what_was_held_back_while_the_interface_was_down_is_not_sent_later",
        |mode, _| {
            let (mut near, mut far) = (near(mode), far());
            let netlink = Netlink::open().unwrap();
            let index = netlink.link_index("near").unwrap();
            netlink.set_up(index, false).unwrap();
            for no in 0..10 {
                assert_eq!(near.tx(&udp(no, 100)), Tx::Sent);
            }
            near.flush();
            assert_eq!(near.at_rest().0, TX_FRAMES, "taken back");
            assert_eq!(near.tx(&udp(11, 100)), Tx::Refused);
            netlink.set_up(index, true).unwrap();
            assert_eq!(near.tx(&udp(12, 100)), Tx::Sent);
            near.flush();
            assert_eq!(number(receive(&mut far, 1)[0].bytes()), 12);
        },
    );
}

#[test]
fn the_program_goes_with_the_last_queue() {
    on_cable("the_program_goes_with_the_last_queue", |mode, _| {
        for _ in 0..3 {
            let device = open(&spec(mode)).unwrap();
            assert!(matches!(open(&spec(mode)), Err(XdpError::Taken { .. })));
            drop(device);
        }
        // Nobody takes frames any more: the kernel has them again.
        let (mut far, mut own) = (far(), packet::open(&PacketSpec::new("near"), None).unwrap());
        assert_eq!(far.tx(&udp(5, 10)), Tx::Sent);
        assert_eq!(number(receive(&mut own.queues[0], 1)[0].bytes()), 5);
    });
}

#[test]
fn an_unfinished_checksum_is_found() {
    on_cable("an_unfinished_checksum_is_found", |mode, _| {
        let (mut near, mut far) = (near(mode), far());
        let whole = udp(9, 333);
        let mut frame = whole.clone();
        let addrs = crate::parse::Addrs::V4 {
            src: 0x0a00_0001,
            dst: 0x0a00_0002,
        };
        let pseudo = crate::checksum::pseudo_sum(&addrs, 17, 341);
        frame[40..42].copy_from_slice(&pseudo.to_be_bytes());
        let csum = Some(Partial {
            start: 34,
            offset: 6,
        });
        let offload = Offload { gso: None, csum };
        assert_eq!(far.tx_offload(&frame, &offload), Tx::Sent);
        let mut came = receive(&mut near, 1).remove(0);
        assert_eq!((came.bytes(), came.offload), (&*frame, offload));
        came.finish();
        assert_eq!(came.bytes(), whole);
        assert_eq!(near.offloads(), Caps::NONE);
    });
}

#[test]
fn what_cannot_be_a_port_is_refused_with_the_remedy() {
    on_cable(
        "what_cannot_be_a_port_is_refused_with_the_remedy",
        |mode, _| {
            let refusal = |spec: &XdpSpec| {
                assert_eq!(check(spec), open(spec).map(drop));
                check(spec).unwrap_err().to_string()
            };
            let none = refusal(&XdpSpec::new("eth7"));
            assert!(none.starts_with("there is no interface 'eth7'"), "{none}");
            let lo = refusal(&XdpSpec::new("lo"));
            assert!(lo.contains("has no Ethernet address"), "{lo}");
            let mut long = spec(mode);
            long.on.mtu = MTU_MOST + 1;
            let long = refusal(&long);
            assert!(long.contains("write mtu = 3818 or less"), "{long}");
            let mut few = spec(mode);
            few.on.queues = 2;
            let few = refusal(&few);
            assert!(
                few.contains("has 1 queue(s), and there are 2 workers")
                    && few.contains("rx 2 tx 2"),
                "{few}"
            );
        },
    );
}

#[test]
fn a_kernel_that_goes_deaf_is_told_of() {
    on_cable("a_kernel_that_goes_deaf_is_told_of", |mode, _| {
        let netlink = Netlink::open().unwrap();
        let index = netlink.link_index("near").unwrap();
        let addr = "10.0.0.1".parse().unwrap();
        netlink.addr_add(index, addr, 24).unwrap();
        let line = open(&spec(mode)).unwrap().warnings.remove(0);
        assert!(
            line.contains("10.0.0.1") && line.contains("ip addr flush dev near"),
            "{line}"
        );
    });
}

#[test]
fn an_interface_that_moves_elsewhere_leaves_its_program_behind() {
    on_cable(
        "an_interface_that_moves_elsewhere_leaves_its_program_behind",
        |mode, _| {
            let (mut near, mut far) = (near(mode), far());
            let netlink = Netlink::open().unwrap();
            let index = netlink.link_index("near").unwrap();
            let other = new_child_netns_thread(current_netns).unwrap().unwrap();
            netlink.move_to_netns(index, &other).unwrap();
            assert!(near.fd().is_some());
            assert!(matches!(near.tx(&udp(1, 10)), Tx::Gone(_)));
            let (mut pool, mut out) = (Pool::new(1, 2048), Vec::new());
            assert!(near.rx_burst(&mut pool, &mut out, 1).is_err());
            let there = || packet::open(&PacketSpec::new("near"), None).unwrap();
            let mut own = thread_in_netns(&other, there).unwrap();
            let far_index = netlink.link_index("far").unwrap();
            while !netlink.is_running(far_index).unwrap() {
                std::thread::yield_now();
            }
            assert_eq!(far.tx(&udp(5, 10)), Tx::Sent);
            assert_eq!(number(receive(&mut own.queues[0], 1)[0].bytes()), 5);
            drop(own);
            // The cable goes with the other namespace, and with it this end.
            drop((other, near));
            while netlink.link_index("far").is_ok() {
                std::thread::yield_now();
            }
            netlink.veth("near", "far").unwrap();
        },
    );
}

#[test]
fn a_port_that_is_down_at_the_start_carries_frames_once_it_is_up() {
    on_cable(
        "a_port_that_is_down_at_the_start_carries_frames_once_it_is_up",
        |mode, chosen| {
            let mut down = spec(mode);
            down.on.up = false;
            let mut device = open(&down).unwrap();
            assert_eq!(device.mode, chosen);
            let netlink = Netlink::open().unwrap();
            netlink.link_up("near").unwrap();
            let (near, mut far) = (&mut device.queues[0], far());
            let far_index = netlink.link_index("far").unwrap();
            while !netlink.is_running(far_index).unwrap() {
                std::thread::yield_now();
            }
            assert_eq!(far.tx(&udp(5, 10)), Tx::Sent);
            assert_eq!(number(receive(near, 1)[0].bytes()), 5);
            assert_eq!(near.tx(&udp(6, 10)), Tx::Sent);
            near.flush();
            assert_eq!(number(receive(&mut far, 1)[0].bytes()), 6);
        },
    );
}
