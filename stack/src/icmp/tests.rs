//! Byte-exact messages, the rules of silence, echo, and the buckets.

use super::*;
use crate::checksum;
use crate::fate::DropReason;
use crate::parse::{self, Addrs, IpMeta, Role, proto};
use crate::pkt::{LinkCast, Pkt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const CLIENT4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const ROUTER4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 7);
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0xfe);

/// An IPv4 packet with options and payload.
fn ip4(src: Ipv4Addr, dst: Ipv4Addr, proto: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let hlen = 20 + options.len();
    let mut p = vec![0; 20];
    p[0] = 0x40 | (hlen / 4) as u8;
    p[1] = 0x2e;
    p[2..4].copy_from_slice(&((hlen + payload.len()) as u16).to_be_bytes());
    p[4..6].copy_from_slice(&0xbeef_u16.to_be_bytes());
    p[6] = 0x40;
    p[8] = 1;
    p[9] = proto;
    p[12..16].copy_from_slice(&src.octets());
    p[16..20].copy_from_slice(&dst.octets());
    p.extend_from_slice(options);
    checksum::fill_header(&mut p, hlen);
    p.extend_from_slice(payload);
    p
}

/// An IPv6 packet whose payload begins with headers of its own.
fn ip6(src: Ipv6Addr, dst: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0; 40];
    p[..4].copy_from_slice(&[0x6a, 0xb1, 0x23, 0x45]);
    p[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    p[6] = next;
    p[7] = 1;
    p[8..24].copy_from_slice(&src.octets());
    p[24..40].copy_from_slice(&dst.octets());
    p.extend_from_slice(payload);
    p
}

fn udp(len: usize) -> Vec<u8> {
    let mut p = vec![0x12, 0x34, 0, 53, 0, 0, 0, 0];
    p.extend((8..len).map(|i| i as u8));
    p[4..6].copy_from_slice(&(len as u16).to_be_bytes());
    p
}

/// An ICMP message with the right checksum.
fn icmp(addrs: &Addrs, proto: u8, mut message: Vec<u8>) -> Vec<u8> {
    message[2..4].fill(0);
    let checksum = checksum::transport(addrs, proto, &message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

fn addrs4(src: Ipv4Addr, dst: Ipv4Addr) -> Addrs {
    Addrs::V4 {
        src: src.to_bits(),
        dst: dst.to_bits(),
    }
}

fn addrs6(src: Ipv6Addr, dst: Ipv6Addr) -> Addrs {
    Addrs::V6 {
        src: src.to_bits(),
        dst: dst.to_bits(),
    }
}

fn meta(packet: &[u8]) -> IpMeta {
    parse::read(packet).unwrap()
}

/// The error about `packet`, built into a buffer full of leftovers.
fn error(error: Error, packet: &[u8]) -> Option<Vec<u8>> {
    let meta = meta(packet);
    let source = if meta.addrs.is_v6() {
        IpAddr::V6(ROUTER6)
    } else {
        IpAddr::V4(ROUTER4)
    };
    let mut out = Pkt::with_size(2048);
    out.space().fill(0xa5);
    let built = build_error(error, packet, &meta, source, 0x1d1d, &mut out);
    assert_eq!(built, !out.is_empty());
    built.then(|| out.bytes().to_vec())
}

#[test]
fn each_icmp_error_is_exact_to_the_byte() {
    let packet = ip4(CLIENT4, SERVER4, proto::UDP, &[], &udp(20));
    let cases = [
        (Error::TimeExceeded, [11, 0, 0, 0, 0, 0]),
        (Error::NetUnreachable, [3, 0, 0, 0, 0, 0]),
        (Error::HostUnreachable, [3, 1, 0, 0, 0, 0]),
        (Error::Rejected, [3, 1, 0, 0, 0, 0]),
        (Error::FragNeeded { mtu: 1400 }, [3, 4, 0, 0, 0x05, 0x78]),
        (Error::FragNeeded { mtu: 70_000 }, [3, 4, 0, 0, 0xff, 0xff]),
        (Error::ParamProblem { pointer: 21 }, [12, 0, 21, 0, 0, 0]),
    ];
    for (what, [kind, code, rest @ ..]) in cases {
        let mut expected = vec![0x45, 0xc0, 0, 68, 0x1d, 0x1d, 0, 0, 64, 1, 0, 0];
        expected.extend_from_slice(&ROUTER4.octets());
        expected.extend_from_slice(&CLIENT4.octets());
        checksum::fill_header(&mut expected, 20);
        let mut message = vec![kind, code, 0, 0];
        message.extend_from_slice(&rest);
        message.extend_from_slice(&packet);
        expected.extend(icmp(&addrs4(ROUTER4, CLIENT4), proto::ICMP, message));
        assert_eq!(error(what, &packet), Some(expected), "{what:?}");
    }
}

#[test]
fn one_icmp_error_matches_bytes_worked_out_by_hand() {
    let packet = ip4(CLIENT4, SERVER4, proto::UDP, &[], &[0, 1, 0, 2, 0, 8, 0, 0]);
    let expected = [
        0x45, 0xc0, 0x00, 0x38, 0x1d, 0x1d, 0x00, 0x00, 0x40, 0x01, 0xd7, 0xe8, 0xc0, 0x00, 0x02,
        0xfe, 0xc0, 0x00, 0x02, 0x01, 0x0b, 0x00, 0xf4, 0xf4, 0x00, 0x00, 0x00, 0x00,
    ];
    let built = error(Error::TimeExceeded, &packet).unwrap();
    assert_eq!(built[..28], expected);
    assert_eq!(built[28..], packet);
}

#[test]
fn each_icmpv6_error_is_exact_to_the_byte() {
    let packet = ip6(CLIENT6, SERVER6, proto::UDP, &udp(20));
    let cases = [
        (Error::TimeExceeded, [3, 0, 0, 0, 0, 0]),
        (Error::NetUnreachable, [1, 0, 0, 0, 0, 0]),
        (Error::HostUnreachable, [1, 3, 0, 0, 0, 0]),
        (Error::Rejected, [1, 6, 0, 0, 0, 0]),
        (Error::BeyondScope, [1, 2, 0, 0, 0, 0]),
        (Error::FragNeeded { mtu: 1400 }, [2, 0, 0, 0, 0x05, 0x78]),
        (Error::FragNeeded { mtu: 70_000 }, [2, 0, 0, 1, 0x11, 0x70]),
        (Error::FragNeeded { mtu: 1000 }, [2, 0, 0, 0, 0x05, 0x00]),
        (
            Error::ParamProblem {
                pointer: 0x0102_0304,
            },
            [4, 0, 1, 2, 3, 4],
        ),
    ];
    for (what, [kind, code, rest @ ..]) in cases {
        let mut message = vec![kind, code, 0, 0];
        message.extend_from_slice(&rest);
        message.extend_from_slice(&packet);
        let message = icmp(&addrs6(ROUTER6, CLIENT6), proto::ICMP6, message);
        let mut expected = ip6(ROUTER6, CLIENT6, proto::ICMP6, &message);
        expected[..4].copy_from_slice(&[0x6c, 0, 0, 0]);
        expected[7] = 64;
        assert_eq!(error(what, &packet), Some(expected), "{what:?}");
    }
}

#[test]
fn smoltcp_reads_what_was_built_as_the_message_it_is() {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{
        Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, Ipv4Packet, Ipv6Packet,
    };
    let sums = ChecksumCapabilities::default();
    let built = error(
        Error::TimeExceeded,
        &ip4(CLIENT4, SERVER4, 17, &[], &udp(30)),
    )
    .unwrap();
    let ip = Ipv4Packet::new_checked(&built[..]).unwrap();
    assert!(ip.verify_checksum());
    let message = Icmpv4Packet::new_checked(ip.payload()).unwrap();
    match Icmpv4Repr::parse(&message, &sums).unwrap() {
        Icmpv4Repr::TimeExceeded { header, .. } => assert_eq!(header.src_addr, CLIENT4),
        other => panic!("{other:?}"),
    }
    let built = error(
        Error::FragNeeded { mtu: 1300 },
        &ip6(CLIENT6, SERVER6, 17, &udp(30)),
    )
    .unwrap();
    let ip = Ipv6Packet::new_checked(&built[..]).unwrap();
    let message = Icmpv6Packet::new_checked(ip.payload()).unwrap();
    match Icmpv6Repr::parse(&ROUTER6, &CLIENT6, &message, &sums).unwrap() {
        Icmpv6Repr::PktTooBig { mtu, header, .. } => {
            assert_eq!(
                (mtu, header.src_addr, header.dst_addr),
                (1300, CLIENT6, SERVER6)
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn c43_c68_the_quote_is_verbatim_and_as_long_as_the_limit_lets_it_be() {
    for len in (8..1600)
        .step_by(7)
        .chain([547, 548, 549, 1231, 1232, 1233])
    {
        let packet = ip4(CLIENT4, SERVER4, proto::UDP, &[1, 1, 1, 0], &udp(len));
        let built = error(Error::NetUnreachable, &packet).unwrap();
        assert_eq!(built.len(), (28 + packet.len()).min(576));
        assert_eq!(built[28..], packet[..built.len() - 28]);

        let packet = ip6(CLIENT6, SERVER6, proto::UDP, &udp(len));
        let built = error(Error::NetUnreachable, &packet).unwrap();
        assert_eq!(built.len(), (48 + packet.len()).min(1280));
        assert_eq!(built[48..], packet[..built.len() - 48]);
    }
}

#[test]
fn padding_behind_the_datagram_is_not_quoted() {
    let mut packet = ip4(CLIENT4, SERVER4, proto::UDP, &[], &udp(9));
    let len = packet.len();
    packet.resize(60, 0xee);
    assert_eq!(error(Error::TimeExceeded, &packet).unwrap().len(), 28 + len);
}

#[test]
fn the_answer_finds_the_flow_of_what_it_quotes() {
    for packet in [
        ip4(CLIENT4, SERVER4, proto::UDP, &[], &udp(1200)),
        ip6(CLIENT6, SERVER6, proto::UDP, &udp(1400)),
    ] {
        let built = error(Error::HostUnreachable, &packet).unwrap();
        let (quoting, quoted) = (meta(&built), meta(&packet));
        assert_eq!(quoting.role, Role::Quoting);
        assert_eq!(quoting.tuple, quoted.tuple.exchanged());
        assert_eq!(quoting.addrs.dst(), quoted.addrs.src());
    }
}

#[test]
fn an_error_that_cannot_be_written_leaves_an_empty_packet() {
    let packet = ip4(CLIENT4, SERVER4, proto::UDP, &[], &udp(20));
    let (m, v4, v6) = (meta(&packet), IpAddr::V4(ROUTER4), IpAddr::V6(ROUTER6));
    let mut small = Pkt::with_size(67);
    let cases: [(Error, &[u8], IpAddr); 5] = [
        (Error::TimeExceeded, &packet, v4),
        (Error::TimeExceeded, &packet, v6),
        (Error::BeyondScope, &packet, v4),
        (Error::ParamProblem { pointer: 256 }, &packet, v4),
        (Error::TimeExceeded, &packet[..19], v4),
    ];
    for (what, bytes, source) in cases {
        assert!(small.copy_from(&[1; 10]));
        assert!(
            !build_error(what, bytes, &m, source, 1, &mut small),
            "{what:?}"
        );
        assert!(small.is_empty(), "{what:?}");
    }
    let mut enough = Pkt::with_size(68);
    assert!(build_error(
        Error::TimeExceeded,
        &packet,
        &m,
        v4,
        1,
        &mut enough
    ));
}

#[test]
fn c39_to_c42_silence_is_kept_where_the_rfcs_demand_it() {
    let any = Error::TimeExceeded;
    let may4 = |packet: &[u8], cast| may_answer(&any, &meta(packet), packet, cast);
    let good = ip4(CLIENT4, SERVER4, proto::UDP, &[], &udp(20));
    assert!(may4(&good, LinkCast::Unicast));
    assert!(!may4(&good, LinkCast::Broadcast));
    assert!(!may4(&good, LinkCast::Multicast));
    for kind in 0..=255 {
        let message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        let packet = ip4(CLIENT4, SERVER4, proto::ICMP, &[], &message);
        let is_error = matches!(kind, 3 | 4 | 5 | 11 | 12);
        assert_eq!(may4(&packet, LinkCast::Unicast), !is_error, "type {kind}");
    }
    for (word, may) in [
        (0x2000, true),
        (0x2001, false),
        (0x0001, false),
        (0x4000, true),
    ] {
        let mut packet = ip4(CLIENT4, SERVER4, proto::UDP, &[], &udp(24));
        packet[6..8].copy_from_slice(&u16::to_be_bytes(word));
        checksum::fill_header(&mut packet, 20);
        assert_eq!(
            may4(&packet, LinkCast::Unicast),
            may,
            "fragment word {word:#x}"
        );
    }
    for dst in [
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::new(239, 1, 1, 1),
    ] {
        let packet = ip4(CLIENT4, dst, proto::UDP, &[], &udp(20));
        assert!(!may4(&packet, LinkCast::Unicast), "to {dst}");
    }
    for src in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.5",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        let packet = ip4(src.parse().unwrap(), SERVER4, proto::UDP, &[], &udp(20));
        assert!(!may4(&packet, LinkCast::Unicast), "from {src}");
    }
    assert!(!may_answer(
        &Error::BeyondScope,
        &meta(&good),
        &good,
        LinkCast::Unicast
    ));
}

#[test]
fn c68_icmpv6_keeps_the_same_silence_but_for_packet_too_big_to_many() {
    let may = |error: Error, packet: &[u8], cast| may_answer(&error, &meta(packet), packet, cast);
    let too_big = Error::FragNeeded { mtu: 1280 };
    let group = Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 0, 1);
    let good = ip6(CLIENT6, SERVER6, proto::UDP, &udp(20));
    let to_group = ip6(CLIENT6, group, proto::UDP, &udp(20));
    for error in [
        Error::TimeExceeded,
        Error::NetUnreachable,
        Error::ParamProblem { pointer: 6 },
    ] {
        assert!(may(error, &good, LinkCast::Unicast), "{error:?}");
        assert!(!may(error, &good, LinkCast::Multicast), "{error:?}");
        assert!(!may(error, &good, LinkCast::Broadcast), "{error:?}");
        assert!(!may(error, &to_group, LinkCast::Unicast), "{error:?}");
    }
    assert!(may(too_big, &to_group, LinkCast::Multicast));
    assert!(may(too_big, &good, LinkCast::Broadcast));
    for kind in 0..=255 {
        let packet = ip6(CLIENT6, SERVER6, proto::ICMP6, &[kind, 0, 0, 0, 0, 0, 0, 0]);
        let silent = kind < 128 || kind == 137;
        assert_eq!(
            may(too_big, &packet, LinkCast::Unicast),
            !silent,
            "type {kind}"
        );
    }
    for src in ["::", "::1", "ff02::1", "::ffff:192.0.2.1"] {
        let packet = ip6(src.parse().unwrap(), group, proto::UDP, &udp(20));
        assert!(!may(too_big, &packet, LinkCast::Unicast), "from {src}");
    }
    let link_local = ip6("fe80::1".parse().unwrap(), SERVER6, proto::UDP, &udp(20));
    assert!(may(Error::BeyondScope, &link_local, LinkCast::Unicast));
    let later = [17, 0, 0, 8, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8];
    assert!(!may(
        too_big,
        &ip6(CLIENT6, SERVER6, 44, &later),
        LinkCast::Unicast
    ));
}

#[test]
fn c38_c67_a_parameter_problem_points_at_the_byte_that_is_wrong() {
    for (options, pointer) in [
        ([0x44, 1, 0, 0, 0, 0, 0, 0], 20),
        ([1, 1, 0x44, 9, 0, 0, 0, 0], 22),
        ([7, 3, 4, 1, 1, 1, 1, 0x44], 27),
        ([0x94, 4, 0, 0, 0x88, 0, 0, 0], 24),
    ] {
        let packet = ip4(CLIENT4, SERVER4, proto::UDP, &options, &udp(20));
        assert_eq!(parse::read(&packet).unwrap_err(), DropReason::IpOptions);
        let (what, meta) = param_problem(&packet, DropReason::IpOptions).unwrap();
        assert_eq!(what, Error::ParamProblem { pointer });
        assert!(may_answer(&what, &meta, &packet, LinkCast::Unicast));
        let mut out = Pkt::with_size(600);
        assert!(build_error(
            what,
            &packet,
            &meta,
            IpAddr::V4(ROUTER4),
            1,
            &mut out
        ));
        assert_eq!(
            out.bytes()[20..25],
            [12, 0, out.bytes()[22], out.bytes()[23], pointer as u8]
        );
        assert_eq!(&out.bytes()[28..], packet);
    }
    let mut chain = vec![43, 0, 1, 4, 0, 0, 0, 0];
    chain.extend([17, 0, 0, 1, 0, 0, 0, 0]);
    chain.extend(udp(12));
    let packet = ip6(CLIENT6, SERVER6, 0, &chain);
    assert_eq!(parse::read(&packet).unwrap_err(), DropReason::Ip6Routing);
    let (what, meta) = param_problem(&packet, DropReason::Ip6Routing).unwrap();
    assert_eq!(what, Error::ParamProblem { pointer: 50 });
    assert_eq!(
        (meta.addrs, usize::from(meta.len)),
        (addrs6(CLIENT6, SERVER6), packet.len())
    );
}

#[test]
fn an_option_error_in_a_later_piece_or_about_an_icmp_error_stays_unanswered() {
    for (word, proto) in [(1u16, proto::UDP), (0, proto::ICMP)] {
        let mut packet = ip4(
            CLIENT4,
            SERVER4,
            proto,
            &[0x44, 1, 0, 0],
            &[3, 0, 0, 0, 0, 0, 0, 0],
        );
        packet[6..8].copy_from_slice(&word.to_be_bytes());
        let (what, meta) = param_problem(&packet, DropReason::IpOptions).unwrap();
        assert!(!may_answer(&what, &meta, &packet, LinkCast::Unicast));
    }
}

#[test]
fn a_parameter_problem_is_owed_for_two_reasons_only_and_never_panics() {
    let packet = ip4(CLIENT4, SERVER4, proto::UDP, &[1, 1, 0x44, 1], &udp(20));
    for &reason in DropReason::ALL {
        let owed = param_problem(&packet, reason).is_some();
        assert_eq!(owed, reason == DropReason::IpOptions, "{reason:?}");
    }
    let seed = 0x1c3e_0001;
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..100_000 {
        let len = rng.usize(..120);
        let bytes: Vec<u8> = (0..len)
            .map(|_| [0, 43, 44, 60, 1, 2, rng.u8(..)][rng.usize(..7)])
            .collect();
        for reason in [DropReason::IpOptions, DropReason::Ip6Routing] {
            if let Some((Error::ParamProblem { pointer }, _)) = param_problem(&bytes, reason) {
                assert!((pointer as usize) < len, "seed {seed:#x}: {bytes:x?}");
            }
        }
    }
}

fn echo4(id: u16, seq: u16, payload: &[u8], options: &[u8]) -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0];
    message.extend(id.to_be_bytes());
    message.extend(seq.to_be_bytes());
    message.extend_from_slice(payload);
    let message = icmp(&addrs4(CLIENT4, ROUTER4), proto::ICMP, message);
    ip4(CLIENT4, ROUTER4, proto::ICMP, options, &message)
}

fn echo6(payload: &[u8], chain: &[u8], first: u8) -> Vec<u8> {
    let mut message = vec![128, 0, 0, 0, 0x77, 0x88, 0, 9];
    message.extend_from_slice(payload);
    let message = icmp(&addrs6(CLIENT6, ROUTER6), proto::ICMP6, message);
    let mut body = chain.to_vec();
    body.extend(message);
    ip6(CLIENT6, ROUTER6, first, &body)
}

#[test]
fn c50_an_echo_request_becomes_its_reply_and_every_checksum_is_that_of_a_full_sum() {
    let seed = 0x1c3e_0002;
    let mut rng = fastrand::Rng::with_seed(seed);
    for round in 0..20_000 {
        let payload: Vec<u8> = (0..rng.usize(..80)).map(|_| rng.u8(..)).collect();
        let options: &[u8] = if rng.bool() { &[1, 1, 1, 0] } else { &[] };
        let request = echo4(rng.u16(..), rng.u16(..), &payload, options);
        let at = 20 + options.len();
        let mut expected = request.clone();
        expected[12..16].copy_from_slice(&ROUTER4.octets());
        expected[16..20].copy_from_slice(&CLIENT4.octets());
        expected[8] = 64;
        checksum::fill_header(&mut expected, at);
        expected[at] = 0;
        let message = icmp(
            &addrs4(ROUTER4, CLIENT4),
            proto::ICMP,
            expected.split_off(at),
        );
        expected.extend(message);
        let mut reply = request.clone();
        assert_eq!(echo_reply(&mut reply, &meta(&request)), Ok(true));
        assert_eq!(reply, expected, "seed {seed:#x}, round {round}");
    }
}

#[test]
fn c50_an_icmpv6_echo_request_becomes_its_reply() {
    let atomic = [proto::ICMP6, 0, 0, 0, 0, 0, 0, 5];
    let arrived = [proto::ICMP6, 0, 4, 0, 0, 0, 0, 0];
    for (chain, first) in [
        (&[][..], proto::ICMP6),
        (&atomic[..], 44),
        (&arrived[..], 43),
    ] {
        for len in 0..64 {
            let payload: Vec<u8> = (0..len).collect();
            let request = echo6(&payload, chain, first);
            let mut reply = request.clone();
            assert_eq!(echo_reply(&mut reply, &meta(&request)), Ok(true));
            let at = 40 + chain.len();
            let mut message = request[at..].to_vec();
            message[0] = 129;
            let message = icmp(&addrs6(ROUTER6, CLIENT6), proto::ICMP6, message);
            let mut expected = ip6(ROUTER6, CLIENT6, first, &[chain, &message].concat());
            expected[7] = 64;
            assert_eq!(reply, expected);
        }
    }
}

#[test]
fn an_echo_reply_of_nothing_but_zeros_gets_the_checksum_that_verifies() {
    let request = echo4(0, 0, &[0; 32], &[]);
    let mut reply = request.clone();
    assert_eq!(echo_reply(&mut reply, &meta(&request)), Ok(true));
    assert_eq!(reply[22..24], [0xff, 0xff]);
    assert!(checksum::valid(&reply[20..]));
    // The other way to a zero: everything else sums to 0xffff, and 0 is right.
    let request = echo4(0xffff, 0, &[], &[]);
    let mut reply = request.clone();
    assert_eq!(echo_reply(&mut reply, &meta(&request)), Ok(true));
    assert_eq!(reply[22..24], [0, 0]);
    assert!(checksum::valid(&reply[20..]));
}

#[test]
fn link_padding_behind_an_echo_request_is_not_summed() {
    let mut request = echo4(1, 2, b"x", &[]);
    let meta = meta(&request);
    request.resize(60, 0xee);
    let mut reply = request.clone();
    assert_eq!(echo_reply(&mut reply, &meta), Ok(true));
    assert_eq!(reply[request.len() - 31..], request[request.len() - 31..]);
}

#[test]
fn an_echo_request_with_a_bad_checksum_is_refused_untouched() {
    for mut request in [
        echo4(1, 2, b"payload", &[]),
        echo6(b"payload", &[], proto::ICMP6),
    ] {
        let meta = meta(&request);
        for byte in usize::from(meta.l4_off) + 1..request.len() {
            request[byte] ^= 0x10;
            let before = request.clone();
            assert_eq!(
                echo_reply(&mut request, &meta),
                Err(DropReason::IcmpSum),
                "byte {byte}"
            );
            assert_eq!(request, before);
            request[byte] ^= 0x10;
        }
    }
}

#[test]
fn what_is_no_whole_echo_request_to_its_end_is_left_alone() {
    let (v4, v6) = (addrs4(CLIENT4, ROUTER4), addrs6(CLIENT6, ROUTER6));
    let reply = icmp(&v4, proto::ICMP, vec![0, 0, 0, 0, 1, 2, 3, 4]);
    let wrong_family = icmp(&v4, proto::ICMP6, vec![128, 0, 0, 0, 1, 2, 3, 4]);
    let reply6 = icmp(&v6, proto::ICMP6, vec![129, 0, 0, 0, 1, 2, 3, 4]);
    let mut piece = echo4(1, 2, &[0; 16], &[]);
    piece[6] = 0x20;
    checksum::fill_header(&mut piece, 20);
    for (name, packet) in [
        (
            "echo reply",
            ip4(CLIENT4, ROUTER4, proto::ICMP, &[], &reply),
        ),
        ("echo reply 6", ip6(CLIENT6, ROUTER6, proto::ICMP6, &reply6)),
        (
            "ICMPv6 in IPv4",
            ip4(CLIENT4, ROUTER4, proto::ICMP6, &[], &wrong_family),
        ),
        (
            "UDP that looks like echo",
            ip4(CLIENT4, ROUTER4, proto::UDP, &[], &[8; 8]),
        ),
        ("fragment", piece),
        (
            "on its way by a routing header",
            echo6(b"x", &[proto::ICMP6, 0, 4, 1, 0, 0, 0, 0], 43),
        ),
    ] {
        let mut bytes = packet.clone();
        assert_eq!(echo_reply(&mut bytes, &meta(&packet)), Ok(false), "{name}");
        assert_eq!(bytes, packet, "{name}");
    }
    let whole = echo4(1, 2, b"payload", &[]);
    for len in 0..whole.len() {
        assert_eq!(
            echo_reply(&mut whole[..len].to_vec(), &meta(&whole)),
            Ok(false)
        );
    }
}

/// Messages allowed out of `tries` evenly spread over `ms`.
fn allowed(limit: &mut RateLimit, from_ms: u64, ms: u64, tries: u64) -> u64 {
    (0..tries)
        .filter(|i| limit.allow(from_ms + ms / tries * i + ms % tries * i / tries))
        .count() as u64
}

#[test]
fn c46_in_the_long_run_the_rate_is_kept_whatever_is_asked() {
    for seed in 0..20 {
        let mut limit = RateLimit::new(100, 10, seed);
        let n = allowed(&mut limit, 0, 1_000_000, 1_000_000);
        assert!((98_500..101_500).contains(&n), "seed {seed}: {n}");
    }
}

#[test]
fn a_burst_is_bounded_and_not_always_the_same() {
    let mut sizes = std::collections::BTreeSet::new();
    for seed in 0..500 {
        let mut limit = RateLimit::new(100, 50, seed);
        let n = allowed(&mut limit, 7, 1, 1_000);
        assert!((34..=100).contains(&n), "seed {seed}: {n}");
        sizes.insert(n);
    }
    assert!(sizes.len() > 8, "a prober could count on {sizes:?}");
}

#[test]
fn the_same_seed_gives_the_same_answers() {
    let run = |seed| {
        let mut limit = RateLimit::new(1_000, 5, seed);
        (0..5_000u64)
            .map(|i| limit.allow(i / 2))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn an_empty_bucket_opens_again_and_a_bucket_of_none_never_does() {
    for seed in 0..200 {
        let mut one = RateLimit::new(1, 1, seed);
        assert!(one.allow(0), "seed {seed}");
        assert!(
            (0..400).filter(|&ms| one.allow(ms)).count() <= 2,
            "seed {seed}"
        );
        assert!(one.allow(10_000), "seed {seed}");
        let mut none = RateLimit::new(1_000, 0, seed);
        assert_eq!(allowed(&mut none, 0, 100_000, 1_000), 0);
        let mut still = RateLimit::new(0, 5, seed);
        let first = allowed(&mut still, 0, 1, 100);
        assert!((3..=10).contains(&first));
        assert_eq!(allowed(&mut still, 1, u64::MAX / 2, 100), 0);
    }
}

#[test]
fn time_at_its_extremes_neither_panics_nor_fills_a_bucket_twice() {
    let mut limit = RateLimit::new(u32::MAX, u32::MAX, 3);
    assert!(limit.allow(u64::MAX));
    assert!(limit.allow(0));
    let mut small = RateLimit::new(1_000, 2, 3);
    let first = allowed(&mut small, 5_000, 1, 50);
    assert!(first <= 4);
    assert_eq!(
        allowed(&mut small, 0, 1, 50),
        0,
        "an older clock gives nothing"
    );
}

#[test]
fn classes_do_not_share_and_each_answer_is_counted() {
    let rate = Rate {
        per_second: 1,
        burst: 4,
    };
    let mut limits = Limits::new(
        Rates {
            errors: rate,
            source: rate,
            echo: rate,
        },
        9,
    );
    while limits.allow(Class::Unreachable, 0) {}
    for class in [
        Class::TimeExceeded,
        Class::TooBig,
        Class::Param,
        Class::Echo,
    ] {
        assert!(limits.allow(class, 0), "{class:?} was silenced by another");
    }
    let Count { sent, limited } = limits.count(Class::Unreachable);
    assert!((2..=8).contains(&sent));
    assert_eq!(limited, 1);
    for class in Class::ALL {
        assert!(limits.count(class).sent > 0, "{class:?}");
    }
}

#[test]
fn one_addressee_cannot_use_up_a_class_and_is_counted_when_it_tries() {
    let mut limits = Limits::new(Rates::default(), 11);
    let greedy = IpAddr::V6("2001:db8:bad::1".parse().unwrap());
    let cousin = |i: u32| {
        IpAddr::V6(Ipv6Addr::from_bits(
            (0x2001_0db8_0bad << 80) | u128::from(i),
        ))
    };
    assert_eq!(cousin(1), greedy);
    let taken = (0..10_000)
        .filter(|&i| limits.allow_to(Class::TooBig, cousin(i), 0))
        .count();
    assert!(taken <= 100, "{taken}: a /64 is one addressee");
    let others = (0..40u32).map(|i| IpAddr::V4(Ipv4Addr::from_bits(0xc612_0000 + i * 77)));
    let served = others
        .filter(|&to| limits.allow_to(Class::TooBig, to, 0))
        .count();
    assert!(served >= 38, "{served} of 40 others");
    let Count { sent, limited } = limits.count(Class::TooBig);
    assert_eq!((sent + limited, sent), (10_040, (taken + served) as u64));
}

#[test]
fn every_error_has_a_class() {
    assert_eq!(Error::TimeExceeded.class(), Class::TimeExceeded);
    assert_eq!(Error::FragNeeded { mtu: 1 }.class(), Class::TooBig);
    assert_eq!(Error::ParamProblem { pointer: 1 }.class(), Class::Param);
    for error in [
        Error::NetUnreachable,
        Error::HostUnreachable,
        Error::Rejected,
        Error::BeyondScope,
    ] {
        assert_eq!(error.class(), Class::Unreachable);
    }
    for (i, class) in Class::ALL.iter().enumerate() {
        assert_eq!(*class as usize, i, "{}", class.name());
    }
}
