//! ICMP errors: the flow of what they quote, and which messages are errors.

use super::*;

#[test]
fn c73_an_error_has_the_tuple_it_quotes_with_the_ends_exchanged() {
    for v6 in [false, true] {
        let kinds: &[u8] = if v6 {
            &[1, 2, 3, 4, 100, 127]
        } else {
            &[3, 4, 5, 11, 12]
        };
        for (proto, l4, (sport, dport)) in quotable(v6) {
            for &kind in kinds {
                let quote = back(&if v6 { ip6(proto, &l4) } else { ip4(proto, &l4) });
                let message = error(kind, &quote);
                let packet = if v6 {
                    ip6(proto::ICMP6, &message)
                } else {
                    ip4(proto::ICMP, &message)
                };
                let meta = read(&packet).unwrap();
                // The quoted packet went from the error's destination, so the flow seen from the error's
                // side has the error's own addresses, and the quoted ports the other way round.
                let tuple = Tuple {
                    addrs: addrs(v6),
                    sport: dport,
                    dport: sport,
                    proto,
                };
                assert_eq!(
                    (meta.tuple, meta.role),
                    (tuple, Role::Quoting),
                    "{kind} about {proto}"
                );
                assert_eq!(meta.l4, L4::Icmp);
                assert!(is_icmp_error(&meta, &packet));
                let quoted = read(&quote).unwrap();
                assert_eq!(
                    meta.tuple,
                    quoted.tuple.exchanged(),
                    "it is the quoted packet's flow"
                );
            }
        }
    }
}

#[test]
fn a_quote_is_enough_as_soon_as_it_shows_the_ports() {
    for v6 in [false, true] {
        for (proto, l4, ports) in quotable(v6) {
            let whole = back(&if v6 { ip6(proto, &l4) } else { ip4(proto, &l4) });
            let l3 = if v6 { 40 } else { 20 };
            let needed = match proto {
                47 => l3,
                proto::ICMP | proto::ICMP6 if ports == (0, 0) => l3 + 1,
                proto::ICMP | proto::ICMP6 => l3 + 6,
                _ => l3 + 4,
            };
            for len in 0..whole.len() {
                let message = error(3, &whole[..len]);
                let packet = if v6 {
                    ip6(proto::ICMP6, &message)
                } else {
                    ip4(proto::ICMP, &message)
                };
                let meta = read(&packet).unwrap();
                let role = if len >= needed {
                    Role::Quoting
                } else {
                    Role::Own
                };
                assert_eq!(
                    meta.role, role,
                    "{len} bytes of protocol {proto}, IPv6: {v6}"
                );
                assert!(is_icmp_error(&meta, &packet), "it is an error all the same");
            }
        }
    }
}

#[test]
fn a_quoted_first_piece_cut_anywhere_still_shows_its_flow_and_a_later_one_does_not() {
    let first = back(&ip6(
        44,
        &fragment6(proto::UDP, 1, &[udp(), vec![0; 20]].concat()),
    ));
    for len in 52..first.len() {
        let meta = read(&ip6(proto::ICMP6, &error(3, &first[..len]))).unwrap();
        assert_eq!(
            (meta.role, meta.tuple.sport),
            (Role::Quoting, 443),
            "{len} bytes"
        );
    }
    let later = back(&ip6(44, &fragment6(proto::UDP, 9, &[0; 32])));
    assert_eq!(
        read(&ip6(proto::ICMP6, &error(3, &later))).unwrap().role,
        Role::Own
    );
    let first = back(&piece4(proto::UDP, 0x2000, &[&udp()[..], &[0; 4]].concat()));
    assert_eq!(
        read(&ip4(proto::ICMP, &error(3, &first))).unwrap().role,
        Role::Quoting
    );
    let later = back(&piece4(proto::UDP, 1, &[0; 16]));
    assert_eq!(
        read(&ip4(proto::ICMP, &error(3, &later))).unwrap().role,
        Role::Own
    );
}

#[test]
fn a_quote_of_the_wrong_family_of_nonsense_or_of_another_sender_is_no_quote() {
    let (quote4, quote6) = (
        back(&ip4(proto::UDP, &udp())),
        back(&ip6(proto::UDP, &udp())),
    );
    let mut short_header = quote4.clone();
    short_header[0] = 0x44;
    for quote in [
        &quote6,
        &short_header,
        &ip4(proto::UDP, &udp()),
        &vec![0; 60],
        &vec![0xff; 60],
    ] {
        let meta = read(&ip4(proto::ICMP, &error(3, quote))).unwrap();
        assert_eq!((meta.role, meta.tuple.sport), (Role::Own, 0));
    }
    for quote in [
        &quote4,
        &ip6(proto::UDP, &udp()),
        &vec![0; 60],
        &vec![0xff; 60],
    ] {
        let meta = read(&ip6(proto::ICMP6, &error(3, quote))).unwrap();
        assert_eq!((meta.role, meta.tuple.sport), (Role::Own, 0));
    }
}

#[test]
fn c39_only_errors_and_redirects_count_as_errors() {
    for kind in 0..=255 {
        let packet = ip4(proto::ICMP, &echo(kind));
        let expected = matches!(kind, 3 | 4 | 5 | 11 | 12);
        assert_eq!(
            is_icmp_error(&read(&packet).unwrap(), &packet),
            expected,
            "ICMP type {kind}"
        );
        let packet = ip6(proto::ICMP6, &echo(kind));
        let expected = kind < 128 || kind == 137;
        assert_eq!(
            is_icmp_error(&read(&packet).unwrap(), &packet),
            expected,
            "ICMPv6 type {kind}"
        );
        let packet = ip4(proto::UDP, &echo(kind));
        assert!(!is_icmp_error(&read(&packet).unwrap(), &packet));
    }
    let piece = piece4(proto::ICMP, 0x2001, &[3; 16]);
    assert!(
        !is_icmp_error(&read(&piece).unwrap(), &piece),
        "a later piece holds payload"
    );
    assert!(!is_icmp_error(
        &read(&piece4(proto::ICMP, 0, &echo(3))).unwrap(),
        &[]
    ));
}
