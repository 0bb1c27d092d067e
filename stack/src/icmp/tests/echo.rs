//! Echo requests and what must not be taken for one.

use super::*;

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
    for len in 0..64 {
        let payload: Vec<u8> = (0..len).collect();
        let request = echo6(&payload, &[], proto::ICMP6);
        let mut reply = request.clone();
        assert_eq!(echo_reply(&mut reply, &meta(&request)), Ok(true));
        let mut message = request[40..].to_vec();
        message[0] = 129;
        let message = icmp(&addrs6(ROUTER6, CLIENT6), proto::ICMP6, message);
        let mut expected = ip6(ROUTER6, CLIENT6, proto::ICMP6, &message);
        expected[7] = 64;
        assert_eq!(reply, expected);
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
fn the_reserved_flag_does_not_come_back() {
    let mut request = echo4(1, 2, b"x", &[]);
    request[6] |= 0x80;
    checksum::fill_header(&mut request, 20);
    let mut reply = request.clone();
    assert_eq!(echo_reply(&mut reply, &meta(&request)), Ok(true));
    assert_eq!(reply[6] & 0x80, 0);
    assert_eq!(checksum::sum(&reply[..20]), 0xffff);
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
            "with an extension header",
            echo6(b"x", &[proto::ICMP6, 0, 4, 0, 0, 0, 0, 0], 43),
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
