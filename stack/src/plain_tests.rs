//! Plain packets are read as the long way reads them, and nothing that this would refuse or answer is plain.

use super::*;
use crate::ingress::{self, Came};
use crate::parse;
use crate::pkt::LinkCast;
use crate::ports::{Layer, Port, PortAddr, Ports};
use crate::rules::Rules;
use fastrand::Rng;
use route::PortId;

/// Ordinary addresses, ours, those of all stations of our networks, and special ones.
const ADDRS4: [&str; 14] = [
    "10.1.0.7",
    "10.1.0.8",
    "203.0.113.10",
    "8.8.8.8",
    "10.1.0.1",
    "10.1.255.255",
    "10.1.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "169.254.1.1",
    "224.0.0.5",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
];
const ADDRS6: [&str; 10] = [
    "2001:db8::7",
    "2001:db8::8",
    "2001:db8:1::10",
    "2001:db8::1",
    "::",
    "::1",
    "::ffff:10.1.0.7",
    "fe80::7",
    "ff02::1",
    "64:ff9b::1",
];

fn ports() -> Ports {
    let addr = |addr: &str, len| PortAddr {
        addr: addr.parse().expect("an address"),
        len,
    };
    Ports(vec![Port {
        id: PortId(0),
        name: "tun0".into(),
        fib: FibId(3),
        layer: Layer::L3,
        mtu: 1500,
        narrowed: None,
        up: true,
        addrs: vec![addr("10.1.0.1", 16), addr("2001:db8::1", 64)],
        rules: Rules::default(),
        vlan: None,
    }])
}

fn one_of<'a>(rng: &mut Rng, all: &[&'a str], ordinary: usize) -> &'a str {
    // Mostly an ordinary one.
    match rng.u8(..4) {
        0 => all[rng.usize(..all.len())],
        _ => all[rng.usize(..ordinary)],
    }
}

fn transport_header(rng: &mut Rng, proto: u8) -> Vec<u8> {
    let mut l4 = vec![0x30, rng.u8(..), 0x01, 0xbb];
    l4.extend((0..4).map(|_| rng.u8(..)));
    if proto == proto::TCP {
        let offset = *rng
            .choice(&[0x50, 0x50, 0x50, 0x60, 0x40, 0xf0])
            .expect("one");
        l4.extend([
            1,
            2,
            3,
            rng.u8(..),
            offset,
            rng.u8(..),
            9,
            rng.u8(..),
            0,
            0,
            0,
            0,
        ]);
    }
    l4.resize(l4.len() + rng.usize(..30), 0x55);
    l4
}

fn some_proto(rng: &mut Rng) -> u8 {
    let all = [
        proto::TCP,
        proto::UDP,
        proto::TCP,
        proto::UDP,
        proto::ICMP,
        proto::SCTP,
        0,
        44,
    ];
    all[rng.usize(..all.len())]
}

fn ip4(rng: &mut Rng) -> Vec<u8> {
    let proto = some_proto(rng);
    let l4 = transport_header(rng, proto);
    let options = if rng.u8(..8) == 0 { 4 } else { 0 };
    let hlen = 20 + options;
    let mut p = vec![1; hlen];
    p[0] = 0x40 | (hlen / 4) as u8;
    p[2..4].copy_from_slice(&((hlen + l4.len()) as u16).to_be_bytes());
    let pieces = [0, 0, 0, 0x4000, 0x4000, 0x2000, 0x0001, 0x8000];
    p[6..8].copy_from_slice(&u16::to_be_bytes(pieces[rng.usize(..pieces.len())]));
    (p[8], p[9]) = ([0, 1, 2, 64, 64, 64, 255][rng.usize(..7)], proto);
    for at in [12, 16] {
        let addr: std::net::Ipv4Addr = one_of(rng, &ADDRS4, 4).parse().expect("an address");
        p[at..at + 4].copy_from_slice(&addr.octets());
    }
    checksum::fill_header(&mut p, hlen);
    p.extend(l4);
    p
}

fn ip6(rng: &mut Rng) -> Vec<u8> {
    let proto = some_proto(rng);
    let l4 = transport_header(rng, proto);
    let mut p = vec![0x60, rng.u8(..), 0, 0];
    p.extend((l4.len() as u16).to_be_bytes());
    p.extend([proto, [0, 1, 2, 64, 64, 255][rng.usize(..6)]]);
    for _ in 0..2 {
        let addr: std::net::Ipv6Addr = one_of(rng, &ADDRS6, 3).parse().expect("an address");
        p.extend(addr.octets());
    }
    p.extend(l4);
    p
}

/// Cuts, pads or damages a packet.
fn spoil(rng: &mut Rng, packet: &mut Vec<u8>) {
    match rng.u8(..8) {
        0 => packet.truncate(rng.usize(..=packet.len())),
        1 => packet.resize(packet.len() + rng.usize(1..20), 0),
        2 => {
            let at = rng.usize(..packet.len().min(48));
            packet[at] ^= 1 << rng.u8(..8);
        }
        _ => {}
    }
}

#[test]
fn plain_packets_are_read_as_the_long_way_reads_them_and_pass_all_that_it_asks() {
    let mut rng = Rng::with_seed(0x91a1);
    let (_routes, view) = route::new(route::Config::default());
    let ports = ports();
    let ours = Ours::of(&ports);
    let by = Came {
        port: PortId(0),
        cast: LinkCast::Unicast,
        rules: Rules::default(),
    };
    let mut plain = [0; 2];
    for _ in 0..200_000 {
        let v6 = rng.bool();
        let mut packet = if v6 { ip6(&mut rng) } else { ip4(&mut rng) };
        spoil(&mut rng, &mut packet);
        let mut short = IpMeta::default();
        if !read_into(&packet, FibId(3), &ours, &mut short) {
            assert_eq!(format!("{short:?}"), format!("{:?}", IpMeta::default()));
            continue;
        }
        plain[usize::from(v6)] += 1;
        let mut long = IpMeta::default();
        parse::read_into(&packet, FibId(3), &mut long).expect("a good packet");
        assert!(short.plain && !long.plain);
        let read = IpMeta {
            plain: false,
            ..short
        };
        assert_eq!(format!("{read:?}"), format!("{long:?}"), "{packet:x?}");
        assert_eq!(
            ingress::check_source((&ports, &ours), &view, &long, by),
            Ok(())
        );
        assert!(long.ttl > 1 && !ingress::has_options(&long));
        assert_eq!(martian::bad_dest(&long.addrs), martian::Dest::Ok);
        assert!(!martian::link_local_source(&long.addrs));
    }
    assert!(plain[0] > 10_000 && plain[1] > 10_000, "{plain:?}");
}

#[test]
fn what_most_packets_are_is_plain() {
    let (ports, mut meta) = (ports(), IpMeta::default());
    let ours = Ours::of(&ports);
    for proto in [proto::TCP, proto::UDP] {
        let mut rng = Rng::with_seed(2);
        let mut l4 = transport_header(&mut rng, proto);
        l4.resize(20, 0);
        if proto == proto::TCP {
            l4[12] = 0x50;
        }
        let mut four = vec![
            0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, proto, 0, 0, 10, 1, 0, 7, 8, 8, 8, 8,
        ];
        checksum::fill_header(&mut four, 20);
        four.extend(&l4);
        assert!(read_into(&four, FibId(0), &ours, &mut meta));
        let ends: Vec<u8> = ["2001:db8::7", "2001:db8:1::10"]
            .iter()
            .flat_map(|addr| {
                addr.parse::<std::net::Ipv6Addr>()
                    .expect("an address")
                    .octets()
            })
            .collect();
        let six = [&[0x60, 0, 0, 0, 0, 20, proto, 64][..], &ends, &l4].concat();
        assert!(read_into(&six, FibId(0), &ours, &mut meta));
    }
}

#[test]
fn a_length_that_leaves_no_room_for_the_ports_or_is_more_than_ipv4s_field_can_say_is_not_plain() {
    let (ports, mut meta) = (ports(), IpMeta::default());
    let ours = Ours::of(&ports);
    // Behind the datagram the link's padding, which is no part of it.
    for len in [20, 24, 27, 28] {
        let mut four = vec![
            0x45,
            0,
            0,
            len,
            0,
            0,
            0x40,
            0,
            64,
            proto::UDP,
            0,
            0,
            10,
            1,
            0,
            7,
            8,
            8,
            8,
            8,
        ];
        checksum::fill_header(&mut four, 20);
        four.resize(46, 0);
        assert_eq!(read_into(&four, FibId(0), &ours, &mut meta), len == 28);
    }
    let ends = ["2001:db8::7", "2001:db8:1::10"].map(|addr| {
        let addr = addr.parse::<std::net::Ipv6Addr>();
        addr.expect("an address").octets()
    });
    for (payload, is) in [
        (0, false),
        (7, false),
        (8, true),
        (65_495, true),
        (65_496, false),
        (65_535, false),
    ] {
        let [high, low] = u16::to_be_bytes(payload);
        let header = [0x60, 0, 0, 0, high, low, proto::UDP, 64];
        let mut six = [&header[..], &ends[0], &ends[1]].concat();
        six.resize(40 + 65_535, 0);
        assert_eq!(read_into(&six, FibId(0), &ours, &mut meta), is, "{payload}");
    }
}
