//! `netstat` against a served fake gateway.

use super::*;
use crate::cli::test_support::run_tool;
use crate::server::fake::Fake;

fn prints(line: &str) -> String {
    let (out, error, status) = run_tool(Fake::small(), super::run, line, false);
    assert_eq!((error, status), (None, 0), "{line}");
    out
}

#[test]
fn the_routing_table_has_freebsds_columns() {
    assert_eq!(
        prints("-rn"),
        "\
Routing tables

Internet:
Destination        Gateway            Flags     Netif Expire
203.0.113.0/24     192.0.2.11         UGS        rack
203.0.113.0/24     192.0.2.12         UGS        rack
"
    );
    assert_eq!(
        prints("-rnW"),
        "\
Routing tables

Internet:
Destination        Gateway            Flags   Nhop#    Mtu   Weight     State    Netif Expire
203.0.113.0/24     192.0.2.11         UGS         1   1500        1        up     rack
203.0.113.0/24     192.0.2.12         UGS         2   1500        3        up     rack
"
    );
}

#[test]
fn ports_have_a_line_for_the_link_and_one_for_each_address() {
    assert_eq!(
        prints("-i"),
        "\
Name       Mtu Network            Address                 Ipkts Ierrs  Idrop      Opkts  Oerrs  Coll
uplink    1500 <Link#1>           tun                        10     0      1         20      2     0
uplink       - 10.99.0.0/24       10.99.0.1                   -     -      -          -      -     -
rack      1500 <Link#2>           02:00:00:00:00:01          10     0      1         20      2     0
rack         - <Offload>          csum,tso4                   -     -      -          -      -     -
rack         - 192.0.2.0/24       192.0.2.1                   -     -      -          -      -     -
rack.100  1400 <Link#3>           02:00:00:00:00:01          10     0      1         20      2     0
rack.100     - <Vlan#100>         rack                        -     -      -          -      -     -
\tmtu: 1500 configured
rack.100     - 198.51.100.0/24    198.51.100.1                -     -      -          -      -     -
"
    );
}

#[test]
fn counters_have_a_block_for_each_protocol() {
    assert_eq!(
        prints("-s"),
        "ip:\n\t12 total packets received\n\t0 bad header checksums\narp:\n\t1 ARP request sent\n"
    );
    assert_eq!(prints("-ss -p ip"), "ip:\n\t12 total packets received\n");
    let (_, error, status) = run_tool(Fake::small(), super::run, "-s -p tcpp", false);
    assert_eq!(
        (error.as_deref(), status),
        (
            Some(
                "-p tcpp: write one of ether, arp, nd6, ip, ip6, icmp, transport, flowgate and icmp6"
            ),
            64
        )
    );
    for protocol in PROTOCOLS {
        assert!(HELP.contains(&format!(" {protocol}")), "{protocol}");
    }
}

#[test]
fn next_hops_and_groups_are_listed() {
    assert_eq!(
        prints("-o"),
        "\
Nexthop data

   Idx   Gen Gateway                     Netif    Mtu Refcnt State
     1     7 192.0.2.11                   rack   1500      1 up
     2     7 192.0.2.12                   rack   1500      1 up
"
    );
    assert_eq!(
        prints("-O"),
        "\
Nexthop groups data

GrpIdx      NhIdx   Weight    Slots Gateway                     Netif State
3               -        -     4096 -                               - -
                1        1     1024 192.0.2.11                   rack up
                2        3     3072 192.0.2.12                   rack up
"
    );
}

#[test]
fn a_next_hop_that_other_routes_lead_to_is_listed_with_its_way_or_as_dead() {
    let (out, error, _) = run_tool(Fake::far(), super::run, "-o", false);
    assert_eq!(error, None);
    let lines: Vec<&str> = out.lines().skip(3).collect();
    assert_eq!(
        lines,
        [
            "     1     7 172.16.0.9                   rack   1500      1 up, through 192.0.2.11",
            "     1     7 172.16.0.8                      -   1500      1 dead (unresolved)",
        ]
    );
    let (out, ..) = run_tool(Fake::far(), super::run, "-rn", false);
    assert!(
        out.contains("198.18.0.0/16      172.16.0.9         UGS        rack\n"),
        "{out}"
    );
    assert!(
        out.contains("198.19.0.0/16      172.16.0.8         GS            -\n"),
        "{out}"
    );
}

#[test]
fn words_become_commands() {
    let routes = |family: Option<Family>, wide| Command::Routes {
        of: family.into(),
        wide,
    };
    assert_eq!(parse(Words::of("-rn")).unwrap(), routes(None, false));
    assert_eq!(
        parse(Words::of("-4 -nrW")).unwrap(),
        routes(Some(Family::Inet), true)
    );
    assert_eq!(
        parse(Words::of("-r -f inet6")).unwrap(),
        routes(Some(Family::Inet6), false)
    );
    let of = RouteFamily {
        family: Some(Family::Inet),
        fib: 2,
    };
    let of_fib = Command::Routes { of, wide: false };
    assert_eq!(parse(Words::of("-4rn -F 2")).unwrap(), of_fib);
    let of = CountersOf {
        protocol: Some("ip6".into()),
    };
    assert_eq!(
        parse(Words::of("-s6")).unwrap(),
        Command::Counters {
            of,
            skip_zero: false
        }
    );
}

#[test]
fn every_table_heeds_the_family() {
    let addresses = |line: &str| prints(line).contains("192.0.2.1");
    for (four, six, all) in [
        ("-i4", "-i6", "-i"),
        ("-4on", "-6on", "-on"),
        ("-4On", "-6On", "-On"),
    ] {
        assert!(addresses(four) && addresses(all), "{all}");
        assert!(!addresses(six), "{six}");
        let (out, error, _) = run_tool(Fake::small(), super::run, six, true);
        assert_eq!(error, None);
        assert!(!out.contains("192.0.2.1"), "{six} --json: {out}");
    }
    // The link has all the counters, whatever the family.
    assert!(prints("-i6").contains("<Link#2>"));
}

#[test]
fn a_protocol_of_the_other_family_is_a_contradiction() {
    for (line, what) in [
        ("-s -f inet -p ip6", "-p ip6 and -4"),
        ("-s4 -p nd6", "-p nd6 and -4"),
        ("-s4 -p icmp6", "-p icmp6 and -4"),
        ("-s6 -p ip", "-p ip and -6"),
        ("-s6 -p arp", "-p arp and -6"),
    ] {
        let error = parse(Words::of(line)).unwrap_err();
        let wanted = format!("{what} contradict each other: leave one out");
        assert_eq!((error.to_string(), error.exit() as u8), (wanted, 64));
    }
    for line in [
        "-s4 -p ip",
        "-s6 -p nd6",
        "-s46 -p ip6",
        "-s6 -p icmp",
        "-s4 -p ether",
    ] {
        assert!(parse(Words::of(line)).is_ok(), "{line}");
    }
}

#[test]
fn long_destinations_and_gateways_widen_their_columns() {
    for line in ["-rn", "-rnW"] {
        let (out, error, _) = run_tool(Fake::long(), super::run, line, false);
        assert_eq!(error, None);
        let lines: Vec<&str> = out.lines().skip(3).collect();
        assert_eq!(lines.len(), 3, "{out}");
        let at = |line: &str, word: &str| line.find(word).map(|at| at + word.len());
        let head = at(lines[0], "Netif");
        assert!(head.is_some());
        for row in &lines[1..] {
            assert_eq!(at(row, " rack"), head, "{out}");
        }
    }
}

#[test]
fn both_families_are_all() {
    for line in ["-rn -4 -6", "-r46", "-r -f inet6 -f inet"] {
        let all = Command::Routes {
            of: RouteFamily::default(),
            wide: false,
        };
        assert_eq!(parse(Words::of(line)).unwrap(), all, "{line}");
    }
}

#[test]
fn bad_lines_are_told_what_would_be_right() {
    let cases = [
        (
            "",
            "say what to show: -r, -s, -i, -o or -O (flowgate's flows: 'flowgate flow list')",
        ),
        ("-r -p ip", "-p goes with -s"),
        ("-i -F 1", "-F goes with -r"),
        ("-r -F all", "-F all: write a FIB's number, from 0"),
        ("-z", "unknown option -z: see netstat --help"),
        ("-r -i", "-r and -i: ask for one at a time"),
        ("-rs", "-r and -s: ask for one at a time"),
        ("-rf ipx", "-f ipx: write inet or inet6"),
        ("em0", "em0: netstat takes options only"),
    ];
    for (line, message) in cases {
        let error = parse(Words::of(line)).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.exit() as u8),
            (message, 64),
            "{line}"
        );
    }
}
