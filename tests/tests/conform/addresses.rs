//! C07 to C17: addresses that no packet in transit may have, and who may not be sent to.

use flowgate_tests::case;
use flowgate_tests::conform::{
    Case, Error, GATEWAY, datagram, datagram_of, error, from_rack, hop, to_rack,
};
use flowgate_tests::frames::ether;
use flowgate_tests::net::BOTH;
use flowgate_tests::rack::{CLIENTS, Family, GATEWAY_MAC, RACK, server_mac};
use stack::fate::DropReason::{
    self, IpBadDest, IpBadSource, IpLinkCast, IpMulticast, IpOwnSource, NoRoute,
};

/// A packet from a good source to each of these, by both kinds of port: dropped, nobody is told.
fn refuses_to(case: Case, src: &str, dsts: &[&str], reason: DropReason) -> Case {
    dsts.iter().fold(case, |case, dst| {
        let packet = datagram_of(src, dst);
        let case = case.arrives(CLIENTS, &packet).dropped(reason);
        case.arrives(RACK, &from_rack(&packet)).dropped(reason)
    })
}

/// A packet from each of these to a good destination.
fn refuses_from(case: Case, srcs: &[&str], dst: &str, reason: DropReason) -> Case {
    srcs.iter().fold(case, |case, src| {
        let packet = datagram_of(src, dst);
        let case = case.arrives(CLIENTS, &packet).dropped(reason);
        case.arrives(RACK, &from_rack(&packet)).dropped(reason)
    })
}

#[test]
fn c07_destination_0_is_not_forwarded() {
    let case = case!("RFC 1812 5.3.7, RFC 6890: 0/8 is no destination").called("v4");
    refuses_to(
        case,
        "10.3.3.3",
        &["0.0.0.0", "0.1.2.3", "0.255.255.255"],
        IpBadDest,
    )
    .holds();
    let case = case!("RFC 4291 2.5.2: the unspecified address is no destination").called("v6");
    refuses_to(case, "fd10::3", &["::"], IpBadDest).holds();
}

#[test]
fn c08_source_0_is_not_forwarded() {
    let case = case!("RFC 1812 5.3.7, RFC 1122 3.2.1.3: 0/8 is no source of a packet in transit")
        .called("v4");
    let case = refuses_from(case, &["0.0.0.0", "0.1.2.3"], "203.0.113.10", IpBadSource);
    // DHCP's discovery is for a server on the link. Here is none, so it ends here too.
    case.arrives(CLIENTS, &datagram_of("0.0.0.0", "255.255.255.255"))
        .dropped(IpBadSource)
        .holds();
    let case =
        case!("RFC 4291 2.5.2: a router does not forward a packet from the unspecified address")
            .called("v6");
    refuses_from(case, &["::"], "2001:db8:113::10", IpBadSource).holds();
}

#[test]
fn c09_loopback_is_not_forwarded_from_or_to() {
    let case = case!("RFC 1122 3.2.1.3 (g), RFC 1812 5.3.7: 127/8 is on no wire").called("v4");
    let case = refuses_to(
        case,
        "10.3.3.3",
        &["127.0.0.1", "127.255.255.254"],
        IpBadDest,
    );
    refuses_from(
        case,
        &["127.0.0.1", "127.1.2.3"],
        "203.0.113.10",
        IpBadSource,
    )
    .holds();
    let case = case!("RFC 4291 2.5.3: ::1 is on no wire").called("v6");
    let case = refuses_to(case, "fd10::3", &["::1"], IpBadDest);
    refuses_from(case, &["::1"], "2001:db8:113::10", IpBadSource).holds();
}

#[test]
fn c10_class_e_is_not_forwarded_by_default() {
    let case = case!("RFC 1112 4, RFC 6890: 240/4 is reserved");
    let case = refuses_to(
        case,
        "10.3.3.3",
        &["240.0.0.1", "255.255.255.254"],
        IpBadDest,
    );
    refuses_from(
        case,
        &["240.0.0.1", "255.255.255.254"],
        "203.0.113.10",
        IpBadSource,
    )
    .holds();
}

#[test]
fn c11_source_multicast_or_broadcast_is_dropped() {
    let case = case!("RFC 1812 5.3.7, RFC 1122 3.2.1.3: many hosts are no source").called("v4");
    // The last three are broadcasts to the networks of both ports.
    let sources = [
        "224.0.0.1",
        "239.255.255.255",
        "255.255.255.255",
        "10.255.255.255",
        "10.0.0.0",
        "192.0.2.255",
    ];
    refuses_from(case, &sources, "203.0.113.10", IpBadSource).holds();
    let case = case!("RFC 4291 2.7: a multicast address is no source").called("v6");
    refuses_from(
        case,
        &["ff02::1", "ff0e::5"],
        "2001:db8:113::10",
        IpBadSource,
    )
    .holds();
}

#[test]
fn c12_ipv4_link_local_is_never_forwarded() {
    let case = case!(
        "RFC 3927 2.7, 7: 169.254/16 stays on its link, from it and to it; ICMP has no word for that"
    );
    let case = refuses_to(
        case,
        "10.3.3.3",
        &["169.254.0.1", "169.254.255.254"],
        IpBadDest,
    );
    let packet = datagram_of("169.254.3.3", "203.0.113.10");
    case.arrives(CLIENTS, &packet)
        .dropped(IpBadSource)
        .unanswered()
        .arrives(RACK, &from_rack(&packet))
        .dropped(IpBadSource)
        .unanswered()
        .holds();
}

#[test]
fn c13_limited_broadcast_is_local_only() {
    let packet = datagram_of("10.3.3.3", "255.255.255.255");
    let case = case!(
        "RFC 1812 5.3.5.1: the limited broadcast is never forwarded, in a frame for one station or for all"
    );
    refuses_to(case, "10.3.3.3", &["255.255.255.255"], IpMulticast)
        .arrives(RACK, &ether(arp::Mac::BROADCAST, server_mac(0), &packet))
        .dropped(IpMulticast)
        .holds();
}

#[test]
fn c14_directed_broadcast_is_off_by_default() {
    let case = case!(
        "RFC 2644: a broadcast to a network of ours is not sent on, nor to its network address (RFC 1122 3.3.6)"
    );
    refuses_to(
        case,
        "10.3.3.3",
        &["192.0.2.255", "192.0.2.0", "198.51.100.255"],
        IpMulticast,
    )
    // Of a network that is not ours nobody can know it.
    .arrives(CLIENTS, &datagram_of("10.3.3.3", "203.0.113.255"))
    .goes_on(
        RACK,
        &to_rack(&hop(&datagram_of("10.3.3.3", "203.0.113.255"))),
    )
    .counts("pinned", 3)
    .holds();
}

#[test]
fn c15_link_broadcast_with_a_unicast_packet_is_not_forwarded() {
    for family in BOTH {
        let packet = datagram(family);
        let group = match family {
            Family::V4 => arp::Mac([1, 0, 0x5e, 1, 2, 3]),
            Family::V6 => arp::Mac([0x33, 0x33, 0, 0, 0, 1]),
        };
        case!(
            "RFC 1812 5.3.4, RFC 1122 3.3.6: a frame for many stations with a packet for one host"
        )
        .of(family)
        .arrives(RACK, &ether(arp::Mac::BROADCAST, server_mac(0), &packet))
        .dropped(IpLinkCast)
        .arrives(RACK, &ether(group, server_mac(0), &packet))
        .dropped(IpLinkCast)
        .arrives(RACK, &ether(GATEWAY_MAC, server_mac(0), &packet))
        .goes_on(RACK, &to_rack(&hop(&packet)))
        .holds();
    }
}

#[test]
fn c16_multicast_is_not_forwarded_as_unicast_and_not_answered() {
    let case =
        case!("RFC 1812 5.2.1.1: this router forwards no multicast, and says nothing about it")
            .called("v4");
    let packet = datagram_of("10.3.3.3", "239.1.2.3");
    refuses_to(case, "10.3.3.3", &["224.0.0.5", "239.1.2.3"], IpMulticast)
        .arrives(
            RACK,
            &ether(arp::Mac([1, 0, 0x5e, 1, 2, 3]), server_mac(0), &packet),
        )
        .dropped(IpMulticast)
        .holds();
    let case = case!("RFC 4291 2.7: the same for IPv6, of any scope").called("v6");
    let packet = datagram_of("fd10::3", "ff0e::5");
    refuses_to(
        case,
        "fd10::3",
        &["ff01::1", "ff02::5", "ff05::2", "ff0e::5"],
        IpMulticast,
    )
    .arrives(
        RACK,
        &ether(arp::Mac([0x33, 0x33, 0, 0, 0, 5]), server_mac(0), &packet),
    )
    .dropped(IpMulticast)
    .holds();
}

#[test]
fn c17_own_address_as_a_source_from_outside_is_dropped() {
    let case = case!(
        "RFC 1812 5.3.8: nobody outside sends from an address of ours, whichever port has it"
    )
    .called("v4");
    refuses_from(
        case,
        &["10.0.0.1", "192.0.2.1", "198.51.100.1"],
        "203.0.113.10",
        IpOwnSource,
    )
    .holds();
    let case = case!("the same for IPv6, also from the address of the link").called("v6");
    refuses_from(
        case,
        &["fd10::1", "fd00:2::1"],
        "2001:db8:113::10",
        IpOwnSource,
    )
    .arrives(
        RACK,
        &from_rack(&datagram_of("fe80::1", "2001:db8:113::10")),
    )
    .dropped(IpOwnSource)
    .holds();
}

#[test]
fn c10_class_e_is_forwarded_where_the_operator_lets_it() {
    let (from, to) = (
        datagram_of("240.0.0.9", "203.0.113.10"),
        datagram_of("10.3.3.3", "240.0.0.9"),
    );
    let told = Error {
        from: GATEWAY,
        kind: (3, 0),
        rest: 0,
        no: 1,
    };
    let case = case!("RFC 1112 4 reserved it, some use it: with the switch 240/4 is routed, answered, and dropped for want of a route")
        .set("class-e clients")
        .arrives(CLIENTS, &from)
        .goes_on(RACK, &to_rack(&hop(&from)))
        .arrives(CLIENTS, &to)
        .dropped(NoRoute)
        .error(CLIENTS, &error(told, &to))
        .told("route add 240.0.0.0/8 192.0.2.11")
        .arrives(CLIENTS, &to)
        .goes_on(RACK, &to_rack(&hop(&to)));
    // What is no address of one host stays so, and so does what comes by another port.
    case.arrives(CLIENTS, &datagram_of("255.255.255.255", "203.0.113.10"))
        .dropped(IpBadSource)
        .arrives(CLIENTS, &datagram_of("10.3.3.3", "255.255.255.255"))
        .dropped(IpMulticast)
        .arrives(RACK, &from_rack(&from))
        .dropped(IpBadSource)
        .arrives(RACK, &from_rack(&to))
        .dropped(IpBadDest)
        .holds();
}

#[test]
fn c14_directed_broadcast_is_sent_to_all_where_the_operator_wants_it() {
    let packet = datagram_of("10.3.3.3", "192.0.2.255");
    case!("RFC 2644, RFC 1812 5.3.5.2: out by that port, to all stations; not to the network's zero address, not by other ports, not twice by one")
        .set("directed-broadcast rack")
        .arrives(CLIENTS, &packet)
        .goes_on(RACK, &ether(arp::Mac::BROADCAST, GATEWAY_MAC, &hop(&packet)))
        .arrives(CLIENTS, &datagram_of("10.3.3.3", "192.0.2.0"))
        .dropped(IpMulticast)
        .arrives(CLIENTS, &datagram_of("10.3.3.3", "198.51.100.255"))
        .dropped(IpMulticast)
        .arrives(RACK, &ether(arp::Mac::BROADCAST, server_mac(0), &datagram_of("192.0.2.11", "192.0.2.255")))
        .dropped(IpLinkCast)
        .holds();
}
