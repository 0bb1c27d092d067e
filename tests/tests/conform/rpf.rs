//! C18 to C22: reverse path forwarding.

use flowgate_tests::case;
use flowgate_tests::conform::{Case, datagram_of, from_rack, hop, to_west};
use flowgate_tests::frames::ether;
use flowgate_tests::net::BOTH;
use flowgate_tests::net::craft::with_ttl;
use flowgate_tests::net::zoo::with_options;
use flowgate_tests::rack::{CLIENTS, Family, RACK, server_mac};
use stack::fate::DropReason::{IpOptions, ReversePath};

const WEST: usize = 2;

/// Sources by where their routes lead.
struct Sources {
    clients: &'static str,
    rack: &'static str,
    both: &'static str,
    nowhere: &'static str,
    blackhole: &'static str,
    reject: &'static str,
    /// Where all packets go: behind `west`.
    to: &'static str,
}

fn sources(family: Family) -> Sources {
    match family {
        Family::V4 => Sources {
            clients: "10.3.3.3",
            rack: "203.0.113.9",
            both: "203.0.114.9",
            nowhere: "100.64.99.9",
            blackhole: "100.64.8.9",
            reject: "100.64.9.9",
            to: "198.18.0.9",
        },
        Family::V6 => Sources {
            clients: "fd10::3",
            rack: "2001:db8:113::9",
            both: "2001:db8:114::9",
            nowhere: "2001:db8:99::9",
            blackhole: "2001:db8:8::9",
            reject: "2001:db8:9::9",
            to: "2001:db8:18::9",
        },
    }
}

fn framed(port: usize, packet: &[u8]) -> Vec<u8> {
    match port {
        CLIENTS => packet.to_vec(),
        RACK => from_rack(packet),
        _ => ether(flowgate_tests::conform::WEST_MAC, server_mac(2), packet),
    }
}

fn passes(case: Case, port: usize, packet: &[u8]) -> Case {
    case.arrives(port, &framed(port, packet))
        .goes_on(WEST, &to_west(&hop(packet)))
}

fn is_refused(case: Case, port: usize, packet: &[u8]) -> Case {
    case.arrives(port, &framed(port, packet))
        .dropped(ReversePath)
}

#[test]
fn c18_reverse_paths_are_not_asked_by_default() {
    for family in BOTH {
        let of = sources(family);
        let case = case!("RFC 3704, FreeBSD: off unless it is switched on").of(family);
        let all = [of.clients, of.rack, of.nowhere, of.blackhole];
        all.iter()
            .fold(case, |case, src| {
                passes(case, CLIENTS, &datagram_of(src, of.to))
            })
            .holds();
    }
}

#[test]
fn c19_strict_drops_what_came_by_another_interface() {
    for family in BOTH {
        let of = sources(family);
        let case = case!("RFC 3704 2.2: the source's route must lead back by the port; nobody is told, whatever else is wrong")
            .of(family)
            .set("rpf clients strict");
        let mut case = passes(case, CLIENTS, &datagram_of(of.clients, of.to));
        for src in [of.rack, of.nowhere, of.blackhole, of.reject] {
            let packet = datagram_of(src, of.to);
            case = is_refused(case, CLIENTS, &packet);
            case = is_refused(case, CLIENTS, &with_ttl(packet, 1));
        }
        // The other ports are not asked.
        passes(case, RACK, &datagram_of(of.nowhere, of.to)).holds();
    }
}

#[test]
fn c19_strict_answers_nothing_to_a_forged_source() {
    let packet = with_options(&datagram_of("203.0.113.9", "198.18.0.9"), &[68, 1, 0, 0]);
    case!("RFC 3704: an error would go to whom the source names")
        .set("rpf clients strict")
        .arrives(CLIENTS, &packet)
        .dropped(IpOptions)
        .holds();
}

#[test]
fn c20_strict_with_ecmp_accepts_any_member() {
    for family in BOTH {
        let of = sources(family);
        let case = case!("RFC 3704 2.3: with several ways to the source each of them will do")
            .of(family)
            .set("rpf clients strict")
            .set("rpf rack strict")
            .set("rpf west strict");
        let packet = datagram_of(of.both, of.to);
        let case = passes(case, RACK, &packet);
        let case = passes(case, WEST, &packet).counts("pinned", 1);
        let case = is_refused(case, CLIENTS, &packet);
        // A member that is the only one.
        let case = passes(case, RACK, &datagram_of(of.rack, of.to));
        is_refused(case, WEST, &datagram_of(of.rack, of.to)).holds();
    }
}

#[test]
fn c21_loose_accepts_any_source_that_a_route_leads_to() {
    for family in BOTH {
        let of = sources(family);
        let case = case!("RFC 3704 2.4: any route will do that forwards; without one, or with a blackhole or reject, dropped")
            .of(family)
            .set("rpf clients loose");
        let case = passes(case, CLIENTS, &datagram_of(of.clients, of.to));
        let case = passes(case, CLIENTS, &datagram_of(of.rack, of.to));
        [of.nowhere, of.blackhole, of.reject]
            .iter()
            .fold(case, |case, src| {
                is_refused(case, CLIENTS, &datagram_of(src, of.to))
            })
            .holds();
    }
}

#[test]
fn c21_loose_with_a_default_route_accepts_all_but_blackholes() {
    for family in BOTH {
        let of = sources(family);
        let default = match family {
            Family::V4 => "route add 0.0.0.0/0 192.0.2.12",
            Family::V6 => "route add ::/0 fd00:2::12",
        };
        let case = case!("RFC 3704 2.4: a default route leads to everybody")
            .of(family)
            .set("rpf clients loose")
            .told(default);
        let case = passes(case, CLIENTS, &datagram_of(of.nowhere, of.to));
        is_refused(case, CLIENTS, &datagram_of(of.blackhole, of.to)).holds();
    }
}

#[test]
fn c21_loose_no_default_does_not_count_a_default_route() {
    for family in BOTH {
        let of = sources(family);
        let default = match family {
            Family::V4 => "route add 0.0.0.0/0 192.0.2.12",
            Family::V6 => "route add ::/0 fd00:2::12",
        };
        let case = case!("RFC 3704 2.5: any route but a default one")
            .of(family)
            .set("rpf clients loose-no-default")
            .told(default);
        let case = passes(case, CLIENTS, &datagram_of(of.clients, of.to));
        let case = passes(case, CLIENTS, &datagram_of(of.rack, of.to));
        let case = is_refused(case, CLIENTS, &datagram_of(of.nowhere, of.to));
        is_refused(case, CLIENTS, &datagram_of(of.blackhole, of.to)).holds();
    }
}

#[test]
fn c22_a_route_change_counts_from_the_next_packet_and_moves_no_pin() {
    for family in BOTH {
        let of = sources(family);
        let (prefix, old, new) = match family {
            Family::V4 => ("203.0.113.0/24", "192.0.2.11", "198.51.100.11"),
            Family::V6 => ("2001:db8:113::/48", "fd00:2::11", "fd00:3::11"),
        };
        let packet = datagram_of(of.rack, of.to);
        let case = case!("the source's route is asked for each packet: no result outlives it; the flow's own way is the same throughout")
            .of(family)
            .set("rpf rack strict")
            .set("rpf west strict");
        let case = passes(case, RACK, &packet);
        let case = case
            .told(&format!("route delete {prefix} {old}"))
            .told(&format!("route add {prefix} {new}"));
        let case = is_refused(case, RACK, &packet);
        let case = passes(case, WEST, &packet).counts("pinned", 1);
        let case = case.told(&format!("route delete {prefix} {new}"));
        is_refused(case, WEST, &packet).holds();
    }
}
