//! Good and bad command lines, with what they mean and what they are told.

mod contradictions;
mod destinations;

use super::*;
use crate::wire::options::Select;
use crate::wire::route::FlowOf;
use crate::wire::route::path_name;

fn good(line: &str) -> Command {
    parse(Words::of(line))
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .command
}

fn bad(line: &str) -> String {
    match parse(Words::of(line)) {
        Err(Failure::Usage(message)) => message,
        other => panic!("{line}: {other:?}"),
    }
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn via(address: &str) -> PathSpec {
    PathSpec {
        gateway: Some(address.parse().unwrap()),
        ..PathSpec::default()
    }
}

fn added(line: &str) -> (String, Vec<PathSpec>) {
    match good(line) {
        Command::Add(to, ask) => {
            let RouteAdd {
                destination, paths, ..
            } = ask;
            assert_eq!(to, Destination(destination));
            (destination.to_string(), paths)
        }
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn destinations_are_read_in_every_form() {
    let forms = [
        ("add 10.0.0.0/8 192.0.2.1", "10.0.0.0/8"),
        ("add -net 10.0.0.0/8 192.0.2.1", "10.0.0.0/8"),
        (
            "add -net 10.0.0.0 -netmask 255.0.0.0 192.0.2.1",
            "10.0.0.0/8",
        ),
        ("add -net 10.0.0.0 192.0.2.1 -prefixlen 8", "10.0.0.0/8"),
        ("add -host 10.0.0.1 192.0.2.1", "10.0.0.1/32"),
        ("add 10.0.0.1 192.0.2.1", "10.0.0.1/32"),
        ("add default 192.0.2.1", "0.0.0.0/0"),
        ("add default fd00::1", "::/0"),
        ("-6 add default -iface rack", "::/0"),
        ("add -inet6 default -iface rack", "::/0"),
        ("add 2001:db8::/32 fd00::1", "2001:db8::/32"),
        ("add 2001:db8::1 fd00::1", "2001:db8::1/128"),
    ];
    for (line, destination) in forms {
        assert_eq!(added(line).0, destination, "{line}");
    }
}

#[test]
fn each_gateway_may_have_its_own_weight() {
    let (_, paths) =
        added("add 10.0.0.0/8 192.0.2.1 -weight 5 192.0.2.2 192.0.2.3 -weight 7 -mtu 1400");
    let weights: Vec<_> = paths.iter().map(|path| path.weight).collect();
    assert_eq!(weights, [Some(5), None, Some(7)]);
    assert_eq!(paths[2].mtu, Some(1400));
    let (_, paths) = added("add -weight 4 10.0.0.0/8 192.0.2.1 192.0.2.2 -weight 5");
    assert_eq!(
        paths.iter().map(|path| path.weight).collect::<Vec<_>>(),
        [Some(4), Some(5)]
    );
}

#[test]
fn kinds_and_ports_are_read() {
    let (_, paths) = added("add 10.0.0.0/8 -iface rack");
    assert_eq!(
        (paths[0].kind, paths[0].port.as_deref()),
        (PathKind::Interface, Some("rack"))
    );
    let (_, paths) = added("add -iface 10.0.0.0/8 rack");
    assert_eq!(
        (paths[0].kind, paths[0].port.as_deref()),
        (PathKind::Interface, Some("rack"))
    );
    for line in [
        "add 10.0.0.0/8 -blackhole",
        "add -blackhole 10.0.0.0/8 127.0.0.1",
    ] {
        let (_, paths) = added(line);
        assert_eq!(
            (paths.len(), paths[0].kind, paths[0].gateway),
            (1, PathKind::Blackhole, None)
        );
    }
    let (_, paths) = added("add 10.0.0.0/8 127.0.0.1 -reject");
    assert_eq!(paths[0].kind, PathKind::Reject);
    let (_, paths) = added("add 2001:db8::/32 fe80::1%rack fe80::2 -ifp rack");
    assert_eq!(
        paths[0],
        PathSpec {
            port: Some("rack".into()),
            ..via("fe80::1")
        }
    );
    assert_eq!(
        paths[1],
        PathSpec {
            port: Some("rack".into()),
            ..via("fe80::2")
        }
    );
}

#[test]
fn gateways_may_be_found_through_other_routes() {
    for line in [
        "add 10.0.0.0/8 172.16.0.1 172.16.0.2 -recursive",
        "add -recursive 10.0.0.0/8 172.16.0.1 172.16.0.2",
    ] {
        let (_, paths) = added(line);
        assert_eq!(paths.len(), 2);
        assert!(paths.iter().all(|path| path.recursive), "{line}");
    }
    let (_, paths) = added("add 10.0.0.0/8 192.0.2.1");
    assert!(!paths[0].recursive);
    let wrong = "-recursive goes with a gateway: leave it out, or name one";
    assert_eq!(bad("add 10.0.0.0/8 -blackhole -recursive"), wrong);
    assert_eq!(bad("add 10.0.0.0/8 -iface rack -recursive"), wrong);
    assert!(bad("delete 10.0.0.0/8 -recursive").starts_with("delete takes no options of a route"));
}

#[test]
fn an_mtu_is_of_a_gateway_or_of_all() {
    let mtus = |line: &str| -> Vec<Option<u32>> {
        let (_, paths) = added(line);
        paths.iter().map(|path| path.mtu).collect()
    };
    let all = [Some(1300), Some(1300)];
    for line in [
        "add 10.0.0.0/8 192.0.2.1 192.0.2.2 -mtu 1300",
        "add -mtu 1300 10.0.0.0/8 192.0.2.1 192.0.2.2",
        "add 10.0.0.0/8 192.0.2.1 192.0.2.2 -mtu 1300 -weight 3",
    ] {
        assert_eq!(mtus(line), all, "{line}");
    }
    let first = "add 10.0.0.0/8 192.0.2.1 -mtu 1300 192.0.2.2";
    assert_eq!(mtus(first), [Some(1300), None]);
    let each = "add 10.0.0.0/8 192.0.2.1 -mtu 1300 192.0.2.2 -mtu 1400";
    assert_eq!(mtus(each), [Some(1300), Some(1400)]);
}

#[test]
fn a_change_of_the_mtu_needs_no_gateway() {
    for line in [
        "change 10.0.0.0/8 -mtu 1300",
        "change -mtu 1300 10.0.0.0/8",
        "change 10.0.0.0/8 -timeouts dns -mtu 1300",
    ] {
        let Command::Change(_, ask) = good(line) else {
            panic!("not a change")
        };
        assert_eq!((ask.mtu, ask.paths.len()), (Some(1300), 0), "{line}");
    }
    let Command::Change(_, ask) = good("change 10.0.0.0/8 192.0.2.1 -mtu 1300") else {
        panic!("not a change")
    };
    assert_eq!((ask.mtu, ask.paths[0].mtu), (None, Some(1300)));
    let line = "-mtu 67 is out of range for 10.0.0.0/8: write 68 to 65535 bytes";
    assert_eq!(bad("change 10.0.0.0/8 -mtu 67"), line);
    let line = "a deadline goes with weight 0, which drains: -weight 0 -deadline SECONDS";
    assert_eq!(bad("change 10.0.0.0/8 -mtu 1300 -deadline 7"), line);
}

#[test]
fn changes_drain_with_a_deadline() {
    let Command::Change(_, ask) = good("change 10.0.0.0/8 192.0.2.1 -weight 0 -deadline 600")
    else {
        panic!("not a change")
    };
    let path = PathSpec {
        weight: Some(0),
        ..via("192.0.2.1")
    };
    let destination = prefix("10.0.0.0/8");
    assert_eq!(
        ask,
        RouteChange {
            fib: 0,
            destination,
            paths: vec![path],
            deadline: Some(600),
            options: Default::default(),
            mtu: None,
        }
    );
}

#[test]
fn deletes_name_a_member_or_none() {
    let destination = prefix("10.0.0.0/8");
    let delete = |line: &str| match good(line) {
        Command::Delete(_, ask) => ask,
        other => panic!("{other:?}"),
    };
    let gateway = "192.0.2.1".parse().ok();
    assert_eq!(
        delete("delete 10.0.0.0/8"),
        RouteDelete {
            fib: 0,
            destination,
            gateway: None,
            port: None
        }
    );
    assert_eq!(
        delete("del 10.0.0.0/8 192.0.2.1"),
        RouteDelete {
            fib: 0,
            destination,
            gateway,
            port: None
        }
    );
    let port = Some("rack".into());
    assert_eq!(
        delete("del 10.0.0.0/8 -iface rack"),
        RouteDelete {
            fib: 0,
            destination,
            gateway: None,
            port
        }
    );
}

#[test]
fn get_takes_a_destination_or_a_flow() {
    let destination = [203, 0, 113, 10].into();
    assert_eq!(
        good("get 203.0.113.10"),
        Command::Get(RouteGet::to(destination))
    );
    assert_eq!(
        good("show 203.0.113.10"),
        Command::Get(RouteGet::to(destination))
    );
    let flow = FlowOf {
        protocol: "udp".into(),
        source: [10, 0, 0, 1].into(),
        source_port: 53,
        destination_port: 80,
    };
    let whole = Command::Get(RouteGet {
        flow: Some(flow),
        ..RouteGet::to(destination)
    });
    assert_eq!(good("get udp 10.0.0.1:53 203.0.113.10:80"), whole);
    assert_eq!(
        good("get -proto 17 -src 10.0.0.1:53 203.0.113.10:80"),
        whole
    );
}

#[test]
fn get_and_show_take_a_prefix_and_default() {
    let of = |address: &str, length| RouteGet {
        length: Some(length),
        ..RouteGet::to(address.parse().unwrap())
    };
    let gets = [
        ("get default", of("0.0.0.0", 0)),
        ("-6 get default", of("::", 0)),
        ("get 203.0.113.0/24", of("203.0.113.0", 24)),
        ("get -net 10.0.0.0 -netmask 255.0.0.0", of("10.0.0.0", 8)),
    ];
    for (line, ask) in gets {
        assert_eq!(good(line), Command::Get(ask), "{line}");
    }
    let exact = Command::Exact(of("10.1.0.0", 16), prefix("10.1.0.0/16"));
    assert_eq!(good("show 10.1.0.0/16"), exact);
    let default = Command::Exact(of("0.0.0.0", 0), prefix("0.0.0.0/0"));
    assert_eq!(good("show default"), default);
    let zoned = RouteGet {
        port: Some("rack".into()),
        ..RouteGet::to("fe80::1".parse().unwrap())
    };
    assert_eq!(good("get fe80::1%rack"), Command::Get(zoned));
}

#[test]
fn a_gateway_that_is_not_used_is_told() {
    let warning = |line: &str| parse(Words::of(line)).unwrap().warning;
    assert_eq!(
        warning("add -host 10.5.0.2 -reject 192.0.2.11").unwrap(),
        "gateway 192.0.2.11 is not used: -reject drops what goes there"
    );
    // FreeBSD's way to say that there is none.
    assert_eq!(warning("add -host 10.5.0.2 127.0.0.1 -blackhole"), None);
    assert_eq!(warning("add 10.0.0.0/8 192.0.2.11"), None);
}

#[test]
fn a_family_behind_the_destination_is_that_of_the_gateways() {
    let by = |line: &str| match good(line) {
        Command::Add(to, ask) => {
            let path = &ask.paths[0];
            let name = path_name(path.kind, path.gateway, path.port.as_deref());
            assert_eq!(to, Destination(ask.destination));
            (ask.destination.to_string(), name)
        }
        other => panic!("{other:?}"),
    };
    let net = |to: &str, by: &str| (to.to_owned(), by.to_owned());
    for line in [
        "add -inet 10.0.0.0/8 -inet6 2001:db8::1",
        "add -4 10.0.0.0/8 2001:db8::1",
        "add 10.0.0.0/8 -6 2001:db8::1",
        "add 10.0.0.0/8 2001:db8::1",
        "-4 add 10.0.0.0/8 2001:db8::1 -4",
    ] {
        assert_eq!(by(line), net("10.0.0.0/8", "2001:db8::1"), "{line}");
    }
    assert_eq!(
        by("add -inet default -inet6 fe80::1%rack"),
        net("0.0.0.0/0", "fe80::1%rack")
    );
    let default6 = by("add default -inet6 2001:db8::1");
    assert_eq!(default6, net("::/0", "2001:db8::1"));
    assert_eq!(
        bad("add 10.0.0.0/8 -inet 2001:db8::1"),
        "2001:db8::1 is an IPv6 address: leave -4 out"
    );
    assert_eq!(
        bad("add -inet6 10.0.0.0/8 2001:db8::1"),
        "10.0.0.0 is an IPv4 address: leave -6 out"
    );
}

#[test]
fn a_fib_is_told_before_or_behind_the_command() {
    for line in [
        "-fib 3 add 10.0.0.0/8 192.0.2.1",
        "-n -fib 3 add 10.0.0.0/8 192.0.2.1",
        "add -fib 3 10.0.0.0/8 192.0.2.1",
        "add 10.0.0.0/8 192.0.2.1 -fib 3",
    ] {
        match good(line) {
            Command::Add(_, ask) => assert_eq!(ask.fib, 3, "{line}"),
            other => panic!("{other:?}"),
        }
    }
    let of = |family| RouteFamily { family, fib: 3 };
    assert_eq!(good("-fib 3 show"), Command::Show(of(None)));
    let v6 = of(Some(Family::Inet6));
    assert_eq!(good("flush -fib 3 -6"), Command::Flush(v6));
    assert_eq!(good("monitor -fib 0"), Command::Monitor(Some(0)));
    for line in ["get -fib 3 10.0.0.1", "-fib 3 get 10.0.0.0/8"] {
        match good(line) {
            Command::Get(ask) => assert_eq!(ask.fib, 3, "{line}"),
            other => panic!("{other:?}"),
        }
    }
    match (
        good("-fib 3 delete 10.0.0.0/8"),
        good("change -fib 3 10.0.0.0/8 192.0.2.1"),
    ) {
        (Command::Delete(_, gone), Command::Change(_, other)) => {
            assert_eq!((gone.fib, other.fib), (3, 3));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(good("-fib 3 load FILE"), good("load FILE -fib 3"));
    assert_ne!(good("load FILE"), good("load FILE -fib 3"));
    assert_eq!(good("-fib 3 export"), good("export -fib 3"));
}

#[test]
fn the_other_commands_take_a_family() {
    assert_eq!(good("-46 show"), Command::Show(None.into()));
    assert_eq!(good("show -6 -4"), Command::Show(None.into()));
    assert_eq!(good("show"), Command::Show(None.into()));
    assert_eq!(
        good("-n show -6"),
        Command::Show(Some(Family::Inet6).into())
    );
    assert_eq!(good("-n4 flush"), Command::Flush(Some(Family::Inet).into()));
    assert_eq!(good("monitor"), Command::Monitor(None));
}

#[test]
fn bad_lines_are_told_what_would_be_right() {
    let cases = [
        (
            "",
            "no command: say add, change, delete, get, show, flush, load, export, monitor or moves",
        ),
        (
            "ad 10.0.0.0/8",
            "bad keyword: ad: the commands are add, change, delete, get, show, flush, load, export, monitor and moves",
        ),
        ("-x show", "unknown option -x: see route --help"),
        (
            "add",
            "no destination: write an address, a prefix or 'default'",
        ),
        (
            "add -4 2001:db8::/32 fd00::1",
            "2001:db8:: is an IPv6 address: leave -4 out",
        ),
        (
            "get -6 10.0.0.1",
            "10.0.0.1 is an IPv4 address: leave -6 out",
        ),
        (
            "get -src 10.0.0.1 10.0.0.0/8",
            "a flow goes to an address: get tcp SRC:PORT DST:PORT",
        ),
        (
            "add 10.0.0.0/8",
            "no gateway: name one or several, -group N, or -iface PORT, -blackhole or -reject",
        ),
        (
            "add 10.0.0.0/8 -iface -group 6",
            "no gateway: name one or several, -group N, or -iface PORT, -blackhole or -reject",
        ),
        ("change 10.0.0.0/8 -group 6 -weight 0", OF_MEMBERS),
        ("change 10.0.0.0/8 -group 6 -mtu 1300", OF_MEMBERS),
        (
            "change 10.0.0.0/8",
            "no gateway: name one or several, -group N, or -iface PORT, -blackhole or -reject",
        ),
        ("add 10.0.0.0/8 -weight 4 -group 6", OF_MEMBERS),
        ("add 10.0.0.0/8 -group 6 -mtu 1300", OF_MEMBERS),
        ("add 10.0.0.0/8 -group 6 -ifp r0", OF_MEMBERS),
        ("add 10.0.0.0/8 -recursive -group 6", OF_MEMBERS),
        (
            "add 10.0.0.0/8 -group 8 -group 9",
            "-group 9: the route has -group 8 already: name one group",
        ),
        (
            "add 10.0.0.1/8 192.0.2.1",
            "10.0.0.1/8 has host bits set: write 10.0.0.0/8",
        ),
        (
            "add -net 10.0.0.0 192.0.2.1",
            "-net 10.0.0.0 needs a length: write 10.0.0.0/LEN, or -netmask MASK",
        ),
        (
            "add -host 10.0.0.0/8 192.0.2.1",
            "10.0.0.0/8 has a length already: leave out -host, -netmask and -prefixlen",
        ),
        (
            "add 10.0.0.0/8 rack",
            "bad address: rack: write a gateway's address, or -iface PORT",
        ),
        (
            "add 10.0.0.0/8 192.0.2.1 -weight 0",
            "weight 0 is not valid for add: 0 means drain; use 'route change ... -weight 0'",
        ),
        (
            "change 10.0.0.0/8 192.0.2.1 -weight 16777216",
            "weight 16777216 is out of range: write 1 to 16777215",
        ),
        (
            "add 10.0.0.0/8 192.0.2.1 -weight x",
            "-weight x: write a number from 1 to 16777215, or with change 0 to drain",
        ),
        ("add 10.0.0.0/8 192.0.2.1 -weight", "-weight needs a value"),
        (
            "add 10.0.0.0/8 192.0.2.1 -mtu 67",
            "-mtu 67 is out of range for 10.0.0.0/8: write 68 to 65535 bytes",
        ),
        (
            "add 2001:db8::/32 fd00::2 -mtu 1279",
            "-mtu 1279 is out of range for 2001:db8::/32: write 1280 to 65535 bytes",
        ),
        (
            "add -mtu 0 10.0.0.0/8 -blackhole",
            "-mtu 0 is out of range for 10.0.0.0/8: write 68 to 65535 bytes",
        ),
        (
            "add -net 10.0.0.0 -netmask 255.0.255.0 192.0.2.1",
            "-netmask 255.0.255.0: write a contiguous mask, such as 255.255.255.0 or ffff:ffff::",
        ),
        (
            "add 10.0.0.0/8 192.0.2.1 -deadline 5",
            "-deadline belongs to change: route change ... -weight 0 -deadline SECONDS",
        ),
        (
            "change 10.0.0.0/8 192.0.2.1 -deadline 5",
            "a deadline goes with weight 0, which drains: -weight 0 -deadline SECONDS",
        ),
        (
            "add 10.0.0.0/8 192.0.2.1 -wieght 5",
            "bad keyword: -wieght: see route --help",
        ),
        (
            "delete 10.0.0.0/8 192.0.2.1 192.0.2.2",
            "delete takes one gateway at a time",
        ),
        ("flush now", "flush takes no now"),
        (
            "get",
            "get takes a destination, or a flow: get tcp SRC:PORT DST:PORT",
        ),
        (
            "get 203.0.113.10:80",
            "a flow needs both ends: get tcp SRC:PORT DST:PORT",
        ),
        (
            "get tcp 10.0.0.1:1 [::1]:2",
            "10.0.0.1 and ::1 are of different families",
        ),
        (
            "add -fib x 10.0.0.0/8 192.0.2.1",
            "-fib x: write a FIB's number, 0 to 15 at most",
        ),
    ];
    for (line, message) in cases {
        assert_eq!(bad(line), message, "{line}");
    }
}

#[test]
fn options_of_a_route_are_said_with_its_gateways() {
    let line = "add 10.0.0.0/8 192.0.2.1 -sticky src/24 -sticky-timeout 60 -failback return -slow-start 30";
    let Command::Add(_, ask) = good(line) else {
        panic!("no add")
    };
    assert_eq!(
        ask.options.to_string(),
        " -sticky src/24 -sticky-timeout 60 -failback return -slow-start 30"
    );
    let message = bad("add 10.0.0.0/8 192.0.2.1 -sticky src/33");
    assert!(message.contains("write src/0 to src/32"), "{message}");
    let message = bad("change 10.0.0.0/8 192.0.2.1 -failback soon");
    assert!(message.contains("stay or return"), "{message}");
}

#[test]
fn a_selection_has_one_of_four_names() {
    let names = [
        ("5-tuple", Select::Tuple),
        ("source", Select::Source),
        ("source-destination", Select::SourceDestination),
        ("mod-n", Select::ModN),
    ];
    for (name, select) in names {
        assert_eq!(select.name(), name);
        match good(&format!("add 10.0.0.0/8 192.0.2.1 -select {name}")) {
            Command::Add(_, ask) => assert_eq!(ask.options.select, Some(select)),
            other => panic!("{other:?}"),
        }
        match good(&format!("change 10.0.0.0/8 -select {name} 192.0.2.1")) {
            Command::Change(_, ask) => assert_eq!(ask.options.select, Some(select)),
            other => panic!("{other:?}"),
        }
    }
    let message = bad("add 10.0.0.0/8 192.0.2.1 -select hash");
    assert!(message.contains("5-tuple, source"), "{message}");
}

#[test]
fn options_of_a_route_are_no_filter_of_a_flush() {
    for line in [
        "flush -sticky src",
        "flush -mtu 1400",
        "show -slow-start 3",
        "delete 10.0.0.0/8 -sticky off",
        "get 10.0.0.1 -failback stay",
    ] {
        let message = bad(line);
        assert!(message.contains("they go with add and change"), "{message}");
    }
    let message = bad("add 10.0.0.0/8 192.0.2.1 -sticky-timeout 9");
    assert!(message.contains("goes with -sticky"), "{message}");
    let Command::Change(_, ask) = good("change 10.0.0.0/8 192.0.2.1 -sticky src") else {
        panic!("no change")
    };
    let length = ask.options.sticky.and_then(|sticky| sticky.length);
    assert_eq!(length, Some(128), "of an address, whatever it was");
}
