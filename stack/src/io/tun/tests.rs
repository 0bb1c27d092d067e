//! What is refused, and devices in a namespace of their own with the kernel on the other side.

use super::*;
use crate::io::netns::{has_ipv6, in_child_namespace, sysctl_write};
use crate::io::poll::Poller;
use crate::io::{Queue, Tx};
use crate::pkt::Pool;
use std::io;
use std::net::UdpSocket;
use std::time::Duration;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn refusal(spec: &DeviceSpec) -> String {
    let line = open(spec).unwrap_err().to_string();
    assert!(
        !line.contains('\n') && !line.contains("  "),
        "one clean line: {line}"
    );
    line
}

/// Receives until a frame is `wanted` (the kernel sends router solicitations and the like); panics
/// if none comes within ten seconds of silence.
fn receive(queues: &mut [TunQueue], wanted: impl Fn(&[u8]) -> bool) -> (usize, Vec<u8>) {
    let (mut pool, mut out) = (Pool::new(4, 2048), Vec::new());
    let mut poller = Poller::new();
    loop {
        let fds = queues.iter().filter_map(TunQueue::fd);
        assert!(
            poller.wait_each(fds, Some(10_000)).unwrap() > 0,
            "nothing came in 10 s"
        );
        for (index, queue) in queues.iter_mut().enumerate() {
            queue.rx_burst(&mut pool, &mut out, 4).unwrap();
            for pkt in out.drain(..) {
                if wanted(pkt.bytes()) {
                    return (index, pkt.bytes().to_vec());
                }
                pool.put(pkt);
            }
        }
    }
}

/// Exchanges two fields of equal length.
fn swap(bytes: &mut [u8], at: usize, len: usize) {
    let (first, second) = bytes[at..at + 2 * len].split_at_mut(len);
    first.swap_with_slice(second);
}

/// Makes the reply to a UDP packet: ends exchanged, so every checksum stays right.
fn reply_to(packet: &mut [u8]) {
    if packet[0] >> 4 == 4 {
        swap(packet, 12, 4);
        swap(packet, 20, 2);
    } else {
        swap(packet, 8, 16);
        swap(packet, 40, 2);
    }
}

fn is_udp(packet: &[u8]) -> bool {
    match packet[0] >> 4 {
        4 => packet[9] == 17,
        _ => packet[6] == 17,
    }
}

fn client(from: &str) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    socket
}

#[test]
fn devices_and_queues_go_to_other_threads() {
    fn goes<T: Send>() {}
    goes::<Device>();
    goes::<TunQueue>();
    goes::<Box<dyn Queue>>();
}

#[test]
fn names_that_no_interface_can_have_are_refused_with_what_to_write() {
    let long = "sixteen-bytes-xx";
    assert_eq!(long.len(), 16);
    for name in [
        long, ".", "..", "a/b", "a b", "a:b", "a\nb", "fg%s", "fg%d%d", "100%",
    ] {
        let line = refusal(&DeviceSpec::new(Kind::Tun, name.replace('\n', "\u{b}")));
        assert!(
            line.contains("is no name for an interface"),
            "{name}: {line}"
        );
        assert!(line.contains("such as 'fg0'"), "{line}");
        assert!(!line.contains("fg%d'"), "no port can be called so: {line}");
    }
    let name = "rack".to_owned();
    let line = DeviceError::InUse { name }.to_string();
    assert!(
        line.contains("choose another name") && !line.contains('%'),
        "{line}"
    );
}

#[test]
fn numbers_that_no_device_can_have_are_refused_with_the_limits() {
    let spec = DeviceSpec::new(Kind::Tap, "fg0");
    for queues in [0, 257, usize::MAX] {
        let line = refusal(&DeviceSpec {
            queues,
            ..spec.clone()
        });
        assert!(
            line.contains(&format!("cannot have {queues} queues")),
            "{line}"
        );
        assert!(line.contains("1 to 256"), "{line}");
    }
    for mtu in [0, 67, 65_522] {
        let line = refusal(&DeviceSpec {
            mtu,
            ..spec.clone()
        });
        assert!(
            line.contains(&format!("MTU {mtu}; a device has 68 to 65521")),
            "{line}"
        );
    }
}

#[test]
fn hardware_addresses_that_no_station_can_have_are_refused() {
    let tap = DeviceSpec::new(Kind::Tap, "fg0");
    let group = DeviceSpec {
        host_mac: Some([1, 0, 0, 0, 0, 1]),
        ..tap.clone()
    };
    assert!(refusal(&group).contains("first byte must be even"));
    let zeros = DeviceSpec {
        host_mac: Some([0; 6]),
        ..tap.clone()
    };
    assert!(refusal(&zeros).contains("all zeros"));
    let tun = DeviceSpec {
        kind: Kind::Tun,
        host_mac: Some([2; 6]),
        ..tap
    };
    assert!(refusal(&tun).contains("use TAP"));
}

#[test]
fn what_the_system_refuses_is_said_with_its_remedy() {
    let spec = DeviceSpec::new(Kind::Tun, "fg0");
    let opened = |errno| DeviceError::of_open("fg0", errno).to_string();
    let attached = |queue, errno| DeviceError::of_attach(&spec, "fg0", queue, errno).to_string();
    assert!(opened(Errno::ENOENT).contains("modprobe tun"));
    assert!(opened(Errno::EACCES).contains("may not open /dev/net/tun"));
    assert!(opened(Errno::EMFILE).contains("ulimit -n"));
    assert!(attached(0, Errno::EPERM).contains("CAP_NET_ADMIN"));
    assert!(attached(0, Errno::EBUSY).contains("in use"));
    assert!(attached(0, Errno::EINVAL).contains("no name for an interface"));
    assert!(attached(3, Errno::EBUSY).contains("attach queue 3"));
    assert!(attached(3, Errno::E2BIG).contains("1 to 256"));
}

#[test]
fn a_prefix_length_makes_its_netmask() {
    let masks = [0, 1, 24, 31, 32, 33].map(netmask);
    let expected = [
        "0.0.0.0",
        "128.0.0.0",
        "255.255.255.0",
        "255.255.255.254",
        "255.255.255.255",
    ];
    for (mask, expected) in masks.iter().zip(expected) {
        assert_eq!(mask.unwrap().to_string(), expected);
    }
    assert_eq!(masks[5], None);
}

fn tun_with_routes(queues: usize) -> Device {
    let mut spec = DeviceSpec::new(Kind::Tun, "fg%d");
    spec.queues = queues;
    spec.host_addrs = vec![(ip("10.1.0.1"), 24), (ip("10.1.1.1"), 24)];
    spec.host_addrs
        .extend(has_ipv6().then(|| (ip("fd01::1"), 64)));
    let device = open(&spec).unwrap();
    let netlink = Netlink::open().unwrap();
    netlink
        .route_add(ip("10.9.0.0"), 16, None, device.ifindex, None)
        .unwrap();
    if has_ipv6() {
        netlink
            .route_add(ip("fd09::"), 16, None, device.ifindex, None)
            .unwrap();
    }
    device
}

#[test]
fn a_tun_of_two_queues_carries_udp_to_and_from_the_kernel() {
    let test = "io::tun::tests::a_tun_of_two_queues_carries_udp_to_and_from_the_kernel";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let mut device = tun_with_routes(2);
    assert_eq!((device.name.as_str(), device.queues.len()), ("fg0", 2));
    let service = if has_ipv6() {
        vec!["10.9.9.9", "fd09::9"]
    } else {
        vec!["10.9.9.9"]
    };
    for (round, to) in service.into_iter().cycle().take(8).enumerate() {
        // Bound at once: without NODAD the IPv6 address could not be.
        let client = client(if to.contains(':') {
            "fd01::1"
        } else {
            "10.1.0.1"
        });
        client.send_to(&[round as u8; 100], (to, 7)).unwrap();
        let (_, mut packet) = receive(&mut device.queues, is_udp);
        assert_eq!(packet[packet.len() - 100..], [round as u8; 100]);
        reply_to(&mut packet);
        let queue = &mut device.queues[round / 2 % 2];
        assert_eq!(queue.tx(&packet), Tx::Sent);
        let (len, from) = client.recv_from(&mut [0; 200]).unwrap();
        assert_eq!((len, from.ip(), from.port()), (100, ip(to), 7));
    }
}

/// "TX follows RX": what keeps a flow on one worker.
#[test]
fn a_flow_comes_by_the_queue_on_which_its_replies_are_written() {
    let test = "io::tun::tests::a_flow_comes_by_the_queue_on_which_its_replies_are_written";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let mut device = tun_with_routes(2);
    for queue in [0, 1, 0, 1] {
        let client = client("10.1.0.1");
        client.send_to(b"first", ("10.9.9.9", 7)).unwrap();
        let (_, mut packet) = receive(&mut device.queues, is_udp);
        reply_to(&mut packet);
        assert_eq!(device.queues[queue].tx(&packet), Tx::Sent);
        client.send_to(b"second", ("10.9.9.9", 7)).unwrap();
        assert_eq!(receive(&mut device.queues, is_udp).0, queue);
    }
}

#[test]
fn a_tap_asks_by_arp_and_carries_frames() {
    let test = "io::tun::tests::a_tap_asks_by_arp_and_carries_frames";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    const HOST: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OURS: [u8; 6] = [2, 0, 0, 0, 0, 2];
    let mut spec = DeviceSpec::new(Kind::Tap, "rack0");
    spec.host_mac = Some(HOST);
    spec.host_addrs = vec![(ip("10.2.0.1"), 24)];
    let mut device = open(&spec).unwrap();
    assert_eq!(
        Netlink::open().unwrap().link_mac(device.ifindex).unwrap(),
        Some(HOST)
    );
    let client = client("10.2.0.1");
    client.send_to(b"hello", ("10.2.0.9", 7)).unwrap();

    let (_, mut arp) = receive(&mut device.queues, |frame| frame[12..14] == [8, 6]);
    assert_eq!(arp[..12], [[0xff; 6], HOST].concat());
    assert_eq!(arp[20..22], [0, 1], "a request");
    assert_eq!(arp[38..42], [10, 2, 0, 9]);
    arp[21] = 2;
    swap(&mut arp, 22, 10);
    arp[22..28].copy_from_slice(&OURS);
    arp[..12].copy_from_slice(&[HOST, OURS].concat());
    assert_eq!(device.queues[0].tx(&arp), Tx::Sent);

    let is_ours = |frame: &[u8]| frame[12..14] == [8, 0] && is_udp(&frame[14..]);
    let (_, mut frame) = receive(&mut device.queues, is_ours);
    assert_eq!(frame[..12], [OURS, HOST].concat());
    swap(&mut frame, 0, 6);
    reply_to(&mut frame[14..]);
    assert_eq!(device.queues[0].tx(&frame), Tx::Sent);
    assert_eq!(client.recv_from(&mut [0; 200]).unwrap().0, 5);
}

#[test]
fn a_packet_as_long_as_the_buffer_is_whole_and_a_longer_one_is_counted() {
    let test =
        "io::tun::tests::a_packet_as_long_as_the_buffer_is_whole_and_a_longer_one_is_counted";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    // Without IPv6 the kernel sends nothing of its own accord, and everything can be counted.
    let _ = sysctl_write("net/ipv6/conf/default/disable_ipv6", "1");
    let mut device = tun_with_routes(1);
    let queue = &mut device.queues[0];
    let client = client("10.1.0.1");
    for payload in [72, 73, 1400, 1] {
        client.send_to(&vec![0; payload], ("10.9.9.9", 7)).unwrap();
    }
    let (mut pool, mut out) = (Pool::new(8, 100), Vec::new());
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 8).unwrap(), 2);
    assert_eq!((out[0].len(), out[1].len()), (100, 29));
    assert_eq!(queue.truncated(), 2);
    assert_eq!(pool.available(), 6, "the packets of the others went back");
    assert_eq!(
        queue.rx_burst(&mut Pool::new(0, 100), &mut out, 8).unwrap(),
        0,
        "an empty pool"
    );
}

#[test]
fn a_second_open_of_a_name_is_refused_whatever_its_queues() {
    let test = "io::tun::tests::a_second_open_of_a_name_is_refused_whatever_its_queues";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    for queues in [1, 2] {
        let spec = DeviceSpec {
            queues,
            ..DeviceSpec::new(Kind::Tun, "fg7")
        };
        let first = open(&spec).unwrap();
        let expected = DeviceError::InUse {
            name: "fg7".to_owned(),
        };
        assert_eq!(open(&spec).unwrap_err(), expected);
        drop(first);
        drop(open(&spec).expect("free again"));
    }
    let lo = open(&DeviceSpec::new(Kind::Tun, "lo")).unwrap_err();
    assert_eq!(
        lo,
        DeviceError::InUse {
            name: "lo".to_owned()
        }
    );
}

#[test]
fn a_device_that_cannot_be_set_up_is_not_left_behind() {
    let test = "io::tun::tests::a_device_that_cannot_be_set_up_is_not_left_behind";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    for bad in [(ip("10.0.0.1"), 33), (ip("fd00::1"), 129)] {
        let mut spec = DeviceSpec::new(Kind::Tun, "fg3");
        spec.host_addrs = vec![bad];
        let error = open(&spec).unwrap_err().to_string();
        assert!(
            error.contains(&format!("'fg3': give it {}/{}", bad.0, bad.1)),
            "{error}"
        );
        assert_eq!(
            Netlink::open()
                .unwrap()
                .link_index("fg3")
                .unwrap_err()
                .errno,
            Errno::ENODEV
        );
    }
}

#[test]
fn a_device_that_is_down_refuses_and_one_that_was_deleted_is_gone() {
    let test = "io::tun::tests::a_device_that_is_down_refuses_and_one_that_was_deleted_is_gone";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let mut device = tun_with_routes(2);
    let client = client("10.1.0.1");
    client.send_to(b"x", ("10.9.9.9", 7)).unwrap();
    let (_, mut packet) = receive(&mut device.queues, is_udp);
    reply_to(&mut packet);
    assert_eq!(
        device.queues[1].tx(&[0; 20]),
        Tx::Refused,
        "of no IP version"
    );
    device.set_up(false).unwrap();
    assert_eq!(device.queues[1].tx(&packet), Tx::Refused);
    device.set_up(true).unwrap();
    assert_eq!(device.queues[1].tx(&packet), Tx::Sent);
    Netlink::open().unwrap().link_del(device.ifindex).unwrap();
    let (mut pool, mut out) = (Pool::new(4, 2048), Vec::new());
    for queue in &mut device.queues {
        assert_eq!(queue.tx(&packet), Tx::Gone(io::ErrorKind::NotFound));
        assert!(queue.rx_burst(&mut pool, &mut out, 4).is_err());
    }
    assert_eq!(pool.available(), 4);
    assert!(
        device
            .set_up(true)
            .unwrap_err()
            .to_string()
            .contains("set it up")
    );
}

#[test]
fn a_device_has_as_many_queues_as_the_kernel_allows() {
    let test = "io::tun::tests::a_device_has_as_many_queues_as_the_kernel_allows";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    crate::io::netns::raise_fd_limit();
    let most = DeviceSpec {
        queues: MAX_QUEUES,
        ..DeviceSpec::new(Kind::Tap, "many")
    };
    assert_eq!(open(&most).unwrap().queues.len(), MAX_QUEUES);
}

/// The kernel's TCP hands super-packets over with a virtio header, and takes them back.
#[test]
fn with_offloads_super_packets_come_whole_and_go_whole() {
    let test = "io::tun::tests::with_offloads_super_packets_come_whole_and_go_whole";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let mut spec = DeviceSpec::new(Kind::Tun, "fg0");
    spec.offload = true;
    spec.host_addrs = vec![(ip("10.1.0.1"), 24)];
    let mut device = open(&spec).unwrap();
    let queue = &mut device.queues[0];
    let caps = queue.offloads();
    assert!(caps.csum && caps.tso4 && caps.tso6 && caps.ecn);
    let listener = std::net::TcpListener::bind("10.1.0.1:80").unwrap();
    let sender = std::thread::spawn(|| {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect("10.1.0.9:80").unwrap();
        stream.write_all(&[7; 400_000]).unwrap();
    });
    let (longest, supers) = reflect(queue, &listener);
    sender.join().unwrap();
    assert!(longest > 20_000, "{longest}");
    assert!(supers > 5, "{supers}");
}

/// Makes 10.1.0.9 the mirror of 10.1.0.1, until what was sent to it has been received here; what each packet is goes back
/// with it. Returns the longest packet and the number of super-packets.
fn reflect(queue: &mut TunQueue, listener: &std::net::TcpListener) -> (usize, usize) {
    let (mut longest, mut supers) = (0, 0);
    let received = std::thread::scope(|threads| {
        let receiver = threads.spawn(|| {
            use std::io::Read;
            let mut all = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut all).unwrap();
            all
        });
        let (mut pool, mut out) = (Pool::new(64, 2048).with_large(16, 0), Vec::new());
        while !receiver.is_finished() {
            let mut poller = Poller::new();
            poller.wait_each(queue.fd(), Some(50)).unwrap();
            queue.rx_burst(&mut pool, &mut out, 32).unwrap();
            for mut pkt in out.drain(..) {
                assert_eq!(pkt.fault, None);
                longest = longest.max(pkt.len());
                supers += usize::from(pkt.offload.gso.is_some());
                if pkt.bytes()[0] >> 4 == 4 {
                    // The sum of both addresses stays the same.
                    swap(pkt.bytes_mut(), 12, 4);
                    let offload = pkt.offload;
                    assert_eq!(queue.tx_offload(pkt.bytes(), &offload), Tx::Sent);
                }
                pool.put(pkt);
            }
        }
        assert_eq!((pool.available(), pool.large_used()), (64, 0));
        receiver.join().unwrap()
    });
    assert!(received == [7; 400_000]);
    (longest, supers)
}

#[test]
fn without_large_buffers_a_super_packet_is_dropped_by_name_and_others_pass() {
    let test =
        "io::tun::tests::without_large_buffers_a_super_packet_is_dropped_by_name_and_others_pass";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let _ = sysctl_write("net/ipv6/conf/default/disable_ipv6", "1");
    let mut spec = DeviceSpec::new(Kind::Tun, "fg0");
    (spec.offload, spec.mtu) = (true, 9000);
    spec.host_addrs = vec![(ip("10.1.0.1"), 24)];
    let mut device = open(&spec).unwrap();
    let client = client("10.1.0.1");
    for payload in [100, 8000, 200] {
        client.send_to(&vec![1; payload], ("10.1.0.9", 7)).unwrap();
    }
    let (mut pool, mut out) = (Pool::new(8, 2048), Vec::new());
    let queue = &mut device.queues[0];
    assert_eq!(queue.rx_burst(&mut pool, &mut out, 32).unwrap(), 3);
    let faults: Vec<_> = out.iter().map(|pkt| pkt.fault).collect();
    let full = Some(crate::fate::DropReason::LargeFull);
    assert_eq!(faults, [None, full, None]);
    assert_eq!((out[0].len(), out[2].len()), (128, 228));
    assert!(
        out[0].offload.csum.is_some(),
        "the kernel leaves checksums to us"
    );
}
