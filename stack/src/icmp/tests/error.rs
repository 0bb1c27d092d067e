//! Byte-exact errors, their quotes, and the rules of silence.

use super::*;

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
        (Error::SourceRouteFailed, [3, 5, 0, 0, 0, 0]),
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
        let too_big = Error::FragNeeded { mtu: 576 };
        assert!(
            !may_answer(&too_big, &meta(&packet), &packet, LinkCast::Unicast),
            "to {dst}"
        );
    }
    for src in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.5",
        "255.255.255.255",
    ] {
        let packet = ip4(src.parse().unwrap(), SERVER4, proto::UDP, &[], &udp(20));
        assert!(!may4(&packet, LinkCast::Unicast), "from {src}");
    }
    // 240/4 gets as far as here only by a port that lets it in.
    let reserved = ip4(
        Ipv4Addr::new(240, 0, 0, 1),
        SERVER4,
        proto::UDP,
        &[],
        &udp(20),
    );
    assert!(may4(&reserved, LinkCast::Unicast));
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
        let (what, meta) =
            owed(&packet, DropReason::IpOptions, &Rules::default(), |_| true).unwrap();
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
    let (what, meta) = owed(&packet, DropReason::Ip6Routing, &Rules::default(), |_| true).unwrap();
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
        let (what, meta) =
            owed(&packet, DropReason::IpOptions, &Rules::default(), |_| true).unwrap();
        assert!(!may_answer(&what, &meta, &packet, LinkCast::Unicast));
    }
}

#[test]
fn an_error_is_owed_for_few_reasons_only_and_never_panics() {
    let packet = ip4(CLIENT4, SERVER4, proto::UDP, &[1, 1, 0x44, 1], &udp(20));
    let told = Rules {
        source_routes: SourceRoutes::Refuse,
        ..Rules::default()
    };
    for &reason in DropReason::ALL {
        let by = |rules: &Rules| owed(&packet, reason, rules, |_| false).is_some();
        let pointer = reason == DropReason::IpOptions;
        assert_eq!(by(&Rules::default()), pointer, "{reason:?}");
        let source_route = reason == DropReason::IpSourceRoute;
        assert_eq!(by(&told), pointer || source_route, "{reason:?}");
    }
    let sound = ip4(CLIENT4, SERVER4, proto::UDP, &[1, 7, 3, 4], &udp(20));
    assert!(
        owed(&sound, DropReason::IpOptions, &Rules::default(), |_| true).is_none(),
        "nothing to point at"
    );
    let seed = 0x1c3e_0001;
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..100_000 {
        let len = rng.usize(..120);
        let mut bytes: Vec<u8> = (0..len)
            .map(|_| [0, 43, 44, 60, 1, 2, rng.u8(..)][rng.usize(..7)])
            .collect();
        if let Some(first) = bytes.first_mut() {
            *first = [0x46, 0x60, *first][rng.usize(..3)];
        }
        for reason in [
            DropReason::IpOptions,
            DropReason::Ip6Routing,
            DropReason::FragmentBad,
            DropReason::FragmentTiny,
        ] {
            if let Some((Error::ParamProblem { pointer }, _)) =
                owed(&bytes, reason, &Rules::default(), |_| true)
            {
                assert!((pointer as usize) < len, "seed {seed:#x}: {bytes:x?}");
            }
        }
    }
}

#[test]
fn every_error_has_a_class() {
    assert_eq!(Error::TimeExceeded.class(), Class::TimeExceeded);
    assert_eq!(Error::FragNeeded { mtu: 1 }.class(), Class::TooBig);
    assert_eq!(Error::ParamProblem { pointer: 1 }.class(), Class::Param);
    for error in [
        Error::NetUnreachable,
        Error::HostUnreachable,
        Error::SourceRouteFailed,
        Error::Rejected,
        Error::BeyondScope,
    ] {
        assert_eq!(error.class(), Class::Unreachable);
    }
    for (i, class) in Class::ALL.iter().enumerate() {
        assert_eq!(*class as usize, i, "{}", class.name());
    }
}
