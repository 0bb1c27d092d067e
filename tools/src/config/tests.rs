//! Right and wrong configurations, the wrong ones with the exact line and message.

use super::*;

const EXAMPLE: &str = include_str!("../../../docs/flowgate.example.toml");

const PORTS: &str = "\
[[port]]
name = \"rack\"
type = \"tap\"
addresses = [\"192.0.2.1/24\", \"fd00::1/64\"]
";

fn read(text: &str) -> Result<Config, Problems> {
    parse(Path::new("flowgate.toml"), text)
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

/// Everything that is wrong, a line each.
fn wrong(text: &str) -> Vec<String> {
    match read(text) {
        Ok(config) => panic!("{text}\nis taken for right: {config:?}"),
        Err(problems) => problems.to_string().lines().map(str::to_owned).collect(),
    }
}

/// What is wrong with lines that follow a good port of four lines.
fn wrong_after_ports(lines: &str) -> Vec<String> {
    wrong(&format!("{PORTS}{lines}"))
}

#[test]
fn the_example_is_right() {
    let config = good(EXAMPLE);
    assert_eq!(config.gateway.workers, Some(2));
    assert_eq!(config.ports.len(), 2);
    assert_eq!(config.ports[1].kind, PortType::Tap);
    assert_eq!(config.routes.len(), 6);
    assert_eq!(config.groups[0].gateways[1].value.weight, 3);
    assert_eq!(config.routes[5].options.group, Some(7));
    let weights: Vec<u32> = config.routes[0]
        .gateways
        .iter()
        .map(|g| g.value.weight)
        .collect();
    assert_eq!(weights, [1, 1, 2]);
    assert_eq!(config.routes[2].destination.value.to_string(), "0.0.0.0/0");
    assert_eq!(config.routes[3].kind, PathKind::Blackhole);
    assert_eq!(config.health[0].address, config.health[0].gateway.value);
    assert_eq!(config.group_secret_file, Path::new("flowgate.group-secret"));
    assert_eq!(config.state_file, Path::new("flowgate.state"));
}

#[test]
fn a_route_may_have_a_gateway_that_other_routes_lead_to() {
    let route =
        "[[route]]\ndestination = \"10.0.0.0/8\"\ngateways = [\"172.16.0.1\"]\nrecursive = true\n";
    assert!(good(&format!("{PORTS}{route}")).routes[0].recursive);
    let own = route.replace("172.16.0.1", "192.0.2.1");
    assert!(wrong_after_ports(&own)[0].contains("192.0.2.1 is our own address"));
    let alone = "[[route]]\ndestination = \"10.0.0.0/8\"\nkind = \"reject\"\nrecursive = true\n";
    assert!(wrong_after_ports(alone)[0].contains("recursive = true goes with gateways"));
    let yes = route.replace("= true", "= \"yes\"");
    assert!(wrong_after_ports(&yes)[0].contains("recursive = "));
}

#[test]
fn what_the_example_shows_in_comments_is_the_default() {
    let config = good(EXAMPLE);
    // Comments that hold a key: "#key = value   # what it is".
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(uncommented, EXAMPLE);
    let all = good(&uncommented);
    assert_eq!(all.tables, config.tables);
    assert_eq!(all.neighbour, config.neighbour);
    assert_eq!(all.icmp, config.icmp);
    assert_eq!(all.ports[0].rules, config.ports[0].rules);
    assert_eq!(all.health, config.health);
    assert_eq!(all.group_secret_file, config.group_secret_file);
    assert_eq!(all.state_file, config.state_file);
    let defaults = flowtable::Timeouts::default();
    assert_eq!(all.timeouts.len(), State::COUNT);
    for (state, seconds) in all.timeouts {
        assert_eq!(seconds, defaults.get(state), "{state:?}");
    }
}

#[test]
fn timeouts_have_classes_that_routes_name() {
    let classes =
        "[timeouts]\nudp-two-way = 100\n[timeouts.dns]\nudp-two-way = 9\n[timeouts.web]\n";
    let with = |name: &str| {
        let route = "[[route]]\ndestination = \"10.0.0.0/8\"\ngateways = [\"192.0.2.2\"]\n";
        format!("{PORTS}{classes}{route}timeouts = \"{name}\"\n")
    };
    let config = good(&with("dns"));
    assert_eq!(config.timeouts, [(State::UdpTwoWay, 100)]);
    let read = config.timeout_classes.iter();
    let mut read: Vec<_> = read
        .map(|of| (of.name.value.to_string(), of.timeouts.clone()))
        .collect();
    read.sort_by(|a, b| a.0.cmp(&b.0));
    let dns = ("dns".to_owned(), vec![(State::UdpTwoWay, 9)]);
    assert_eq!(read, [dns, ("web".to_owned(), vec![])]);
    assert_eq!(config.routes[0].options.timeouts, "dns".parse().ok());
    good(&with("default"));
    let group = "[[group]]\nnumber = 7\ngateways = [\"192.0.2.2\"]\ntimeouts = \"web\"\n";
    let read = good(&format!("{PORTS}{classes}{group}"));
    assert_eq!(read.groups[0].options.timeouts, "web".parse().ok());
    let none = wrong_after_ports(group).join("\n");
    assert!(none.contains("there is no [timeouts.web]"), "{none}");
    let line = wrong(&with("dsn")).join("\n");
    assert!(
        line.contains("timeouts = \"dsn\": there is no [timeouts.dsn]: write one"),
        "{line}"
    );
    let default = wrong_after_ports("[timeouts.default]\nudp-two-way = 9\n").join("\n");
    assert!(
        default.contains("write its keys below [timeouts]"),
        "{default}"
    );
    // The names of timeouts are keys, and a name begins with a letter.
    for wrong in ["udp-two-way", "-web"] {
        let lines = wrong_after_ports(&format!("[timeouts.{wrong}]\n"));
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
    let many: String = (0..16).map(|n| format!("[timeouts.t{n}]\n")).collect();
    let many = wrong_after_ports(&many).join("\n");
    let one = "[timeouts.t15] is one too many: there may be 15";
    assert!(many.contains(one), "{many}");
    let key = wrong_after_ports("[timeouts.web]\nudp-one-wya = 9\n").join("\n");
    assert!(
        key.contains("in [timeouts.web]: write udp-one-way"),
        "{key}"
    );
}

#[test]
fn a_port_is_enough() {
    let config = good(PORTS);
    assert_eq!(config.gateway, Gateway::default());
    assert_eq!(config.ports[0].mtu.value, 1500);
    assert!(config.ports[0].up);
    assert_eq!(
        wrong(""),
        ["flowgate.toml: no port: a gateway needs at least one [[port]]"]
    );
}

#[test]
fn unknown_keys_are_told_with_the_nearest_name() {
    assert_eq!(
        wrong_after_ports("mut = 1400\n"),
        ["flowgate.toml:5: unknown key mut in [[port]]: write mtu"]
    );
    assert_eq!(
        wrong(&format!(
            "[gateway]\nworker = 2\nbusypoll = true\ncolour = 1\n{PORTS}"
        )),
        [
            "flowgate.toml:2: unknown key worker in [gateway]: write workers",
            "flowgate.toml:3: unknown key busypoll in [gateway]: write busy-poll",
            "flowgate.toml:4: unknown key colour in [gateway]: its keys are workers, max-workers, busy-poll, steering, fibs, cpus",
        ]
    );
    assert_eq!(
        wrong(&format!("[gatway]\nworkers = 2\n{PORTS}")),
        ["flowgate.toml:1: unknown key gatway in the top level: write gateway"]
    );
    assert_eq!(
        wrong_after_ports(
            "[[route]]\ndestination = \"10.0.0.0/8\"\ngateways = [\n  { address = \"192.0.2.2\", wieght = 2 },\n]\n"
        ),
        ["flowgate.toml:8: unknown key wieght in a gateway: write weight"]
    );
}

#[test]
fn wrong_types_and_ranges_are_told_with_what_would_be_right() {
    let cases = [
        (
            "[gateway]\nworkers = 0\n",
            "flowgate.toml:2: workers = 0: write a number from 1 to 256",
        ),
        (
            "[gateway]\nworkers = 257\n",
            "flowgate.toml:2: workers = 257: write a number from 1 to 256",
        ),
        (
            "[gateway]\nworkers = 4\nmax-workers = 3\n",
            "flowgate.toml:3: max-workers = 3: there are 4 workers at the start: write 4 or more, or leave it out",
        ),
        (
            "[gateway]\nworkers = \"two\"\n",
            "flowgate.toml:2: workers = \"two\": write a number from 1 to 256",
        ),
        (
            "[gateway]\nworkers = 1.5\n",
            "flowgate.toml:2: workers = 1.5: write a number from 1 to 256",
        ),
        (
            "[gateway]\nbusy-poll = 1\n",
            "flowgate.toml:2: busy-poll = 1: write busy-poll = true or busy-poll = false",
        ),
        (
            "[gateway]\ncpus = [0, -1]\n",
            "flowgate.toml:2: cpus: -1 is no CPU: write numbers, such as cpus = [0, 1]",
        ),
        (
            "[control]\nsocket = 7\n",
            "flowgate.toml:2: socket = 7: write a path, such as \"/run/flowgate.sock\"",
        ),
        (
            "[tables]\nflows-v4 = 100\n",
            "flowgate.toml:2: flows-v4 = 100: write a number from 1024 to 1073741824",
        ),
        (
            "[tables]\nbuckets = 1000\n",
            "flowgate.toml:2: buckets = 1000: write a power of two, such as buckets = 1024",
        ),
        (
            "[timeouts]\nudp-one-way = 0\n",
            "flowgate.toml:2: udp-one-way = 0: write a number from 1 to 604800",
        ),
        (
            "gateway = 3\n",
            "flowgate.toml:1: gateway = 3: write a table: a line [gateway], its keys below it",
        ),
        (
            "route = 3\n",
            "flowgate.toml:1: route = 3: write a line [[route]] for each of them, its keys below it",
        ),
        (
            "[icmp]\necho-per-second = 99999999999999999999\n",
            "flowgate.toml:2: echo-per-second = 99999999999999999999: write a number from 1 to 10000000",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(wrong(&format!("{text}{PORTS}")), [message], "{text}");
    }
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() {
    let lines = wrong(&format!("{PORTS}mtu = \n"));
    assert!(
        lines[0].starts_with("flowgate.toml:5: not TOML: "),
        "{lines:?}"
    );
    let lines = wrong("[gateway\nworkers = 2\n");
    assert!(
        lines[0].starts_with("flowgate.toml:1: not TOML: "),
        "{lines:?}"
    );
    let lines = wrong("[gateway]\nworkers = 2\nworkers = 3\n");
    assert!(
        lines[0].starts_with("flowgate.toml:3: not TOML: duplicate key"),
        "{lines:?}"
    );
}

#[test]
fn ports_are_checked() {
    let cases = [
        (
            "name = \"a\"\n",
            "flowgate.toml:5: a port without a type: write type = \"tun\", type = \"tap\", type = \"packet\", type = \"xdp\" or type = \"vlan\"",
        ),
        (
            "type = \"tun\"\n",
            "flowgate.toml:5: a port without a name: write name = \"rack\", say",
        ),
        (
            "name = \"a\"\ntype = \"veth\"\n",
            "flowgate.toml:7: type = \"veth\": write type = \"tun\" or type = \"tap\" or type = \"packet\" or type = \"xdp\" or type = \"vlan\"",
        ),
        (
            "name = \"rack\"\ntype = \"tun\"\n",
            "flowgate.toml:6: port rack is there already, in line 2: choose another name",
        ),
        (
            "name = \"-n\"\ntype = \"tun\"\n",
            "flowgate.toml:6: name = \"-n\": write 1 to 15 letters, digits, '-', '_' or '.', such as \"rack\", with no '-' or '.' in front",
        ),
        (
            "name = \"all\"\ntype = \"tun\"\n",
            "flowgate.toml:6: name = \"all\": in Linux and on the command line that means any port: choose another, such as \"rack\"",
        ),
        (
            "name = \"a b\"\ntype = \"tun\"\n",
            "flowgate.toml:6: name = \"a b\": write 1 to 15 letters, digits, '-', '_' or '.', such as \"rack\", with no '-' or '.' in front",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\naddresses = [\"10.0.0.1\"]\n",
            "flowgate.toml:8: addresses: \"10.0.0.1\" is no address with its length: write \"10.0.0.1/24\" or \"2001:db8::1/64\"",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\naddresses = [\"10.0.0.1/33\"]\n",
            "flowgate.toml:8: addresses: \"10.0.0.1/33\" is no address with its length: write \"10.0.0.1/24\" or \"2001:db8::1/64\"",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\naddresses = [\"10.0.0.0/24\"]\n",
            "flowgate.toml:8: 10.0.0.0/24 is the zero address of its network: write a host's, such as 10.0.0.1/24",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\naddresses = [\"10.0.0.255/24\"]\n",
            "flowgate.toml:8: 10.0.0.255/24 is the broadcast address of its network: write a host's, such as 10.0.0.1/24",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\naddresses = [\"10.0.0.1/24\"]\nhost-addresses = [\"10.0.0.1/24\"]\n",
            "flowgate.toml:9: 10.0.0.1 is an address already, in line 8: write another",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\naddresses = [\"192.0.2.7/24\"]\n",
            "flowgate.toml:8: 192.0.2.0/24 is on port rack already: give port a another network",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\naddresses = [\"ff02::1/64\"]\n",
            "flowgate.toml:8: ff02::1 cannot be a port's address: write a unicast address",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\nmtu = 1279\naddresses = [\"fd01::1/64\"]\n",
            "flowgate.toml:8: mtu = 1279: port a has an IPv6 address: write at least 1280",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\nrouter-advertisements = true\n",
            "flowgate.toml:6: router-advertisements: a TUN has no hosts to tell: leave it out, or write type = \"tap\"",
        ),
        (
            "name = \"a\"\ntype = \"tap\"\nrouter-advertisements = true\n",
            "flowgate.toml:6: router-advertisements come from a link-local address: add one to addresses, such as \"fe80::1/64\"",
        ),
        (
            "name = \"a\"\ntype = \"tap\"\nra-interval = 9\n",
            "flowgate.toml:5: ra-lifetime and ra-interval are of router advertisements: write router-advertisements = true",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\nrpf = \"on\"\n",
            "flowgate.toml:8: rpf = \"on\": write rpf = \"off\" or rpf = \"strict\" or rpf = \"loose\" or rpf = \"loose-no-default\"",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\nclass-e = 1\n",
            "flowgate.toml:8: class-e = 1: write class-e = true or class-e = false",
        ),
        (
            "name = \"a\"\ntype = \"tap\"\nmtu = 65535\n",
            "flowgate.toml:8: mtu = 65535: write a number from 68 to 65521",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\nmtu = 67\n",
            "flowgate.toml:8: mtu = 67: write a number from 68 to 65535",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\nmac = \"02:00:00:00:00:01\"\n",
            "flowgate.toml:8: mac: a TUN port has no hardware address: leave mac out, or write type = \"tap\"",
        ),
        (
            "name = \"a\"\ntype = \"tap\"\nmac = \"01:00:00:00:00:01\"\n",
            "flowgate.toml:8: mac = \"01:00:00:00:00:01\" is no station's address: write one with an even first byte, such as \"02:00:00:00:00:0a\"",
        ),
        (
            "name = \"a\"\ntype = \"tap\"\npromiscuous = true\n",
            "flowgate.toml:5: promiscuous goes with type = \"packet\" and \"xdp\": leave it out",
        ),
        (
            "name = \"eth1\"\ntype = \"packet\"\nhost-addresses = [\"10.0.0.1/24\"]\n",
            "flowgate.toml:8: host-addresses: interface eth1 is the gateway's alone, the kernel must have no address on it: leave it out",
        ),
        (
            "name = \"eth1\"\ntype = \"packet\"\noffload = \"off\"\n",
            "flowgate.toml:8: offload = \"off\": interface eth1's offloads are its own ('ethtool -K eth1 gro off tx off'): leave it out",
        ),
        (
            "name = \"eth1\"\ntype = \"xdp\"\noffload = \"on\"\n",
            "flowgate.toml:8: offload: XDP sockets leave nothing undone to the card, nor it to them: leave it out",
        ),
        (
            "name = \"eth1\"\ntype = \"xdp\"\nmtu = 3819\n",
            "flowgate.toml:8: mtu = 3819: a frame of type xdp has room for 3818: write 3818 or less, or type = \"packet\"",
        ),
        (
            "name = \"eth1\"\ntype = \"xdp\"\nhost-addresses = [\"10.0.0.1/24\"]\n",
            "flowgate.toml:8: host-addresses: interface eth1 is the gateway's alone, the kernel must have no address on it: leave it out",
        ),
        (
            "name = \"eth1\"\ntype = \"xdp\"\nxdp-mode = \"fast\"\n",
            "flowgate.toml:8: xdp-mode = \"fast\": write xdp-mode = \"auto\" or xdp-mode = \"zero-copy\" or xdp-mode = \"copy\" or xdp-mode = \"generic\"",
        ),
        (
            "name = \"a\"\ntype = \"packet\"\nxdp-mode = \"copy\"\n",
            "flowgate.toml:8: xdp-mode goes with type = \"xdp\": leave it out",
        ),
        (
            "name = \"a\"\ntype = \"tun\"\nqueues = 4\n[gateway]\nworkers = 2\n",
            "flowgate.toml:8: queues = 4: each worker has one queue of every port: leave queues out, or write 2",
        ),
    ];
    for (lines, message) in cases {
        assert_eq!(
            wrong_after_ports(&format!("[[port]]\n{lines}")),
            [message],
            "{lines}"
        );
    }
}

#[test]
fn a_port_of_xdp_sockets_is_read() {
    let port = |more: &str| {
        let of = good(&format!(
            "[[port]]\nname = \"eth1\"\ntype = \"xdp\"\nmtu = 3818\npromiscuous = true\n{more}"
        ));
        of.ports.into_iter().next().unwrap()
    };
    let of = port("xdp-mode = \"generic\"\nmac = \"02:00:00:00:00:01\"\n");
    assert_eq!((of.kind, of.has_offload()), (PortType::Xdp, false));
    assert_eq!(of.xdp_mode.unwrap().value, xdp::Mode::Generic);
    assert_eq!(port("").xdp_mode, None);
}

#[test]
fn a_wrong_port_is_told_once() {
    assert_eq!(
        wrong("[[port]]\nname = \"a\"\ntype = \"tub\"\n"),
        [
            "flowgate.toml:3: type = \"tub\": write type = \"tun\" or type = \"tap\" or type = \"packet\" or type = \"xdp\" or type = \"vlan\""
        ]
    );
    assert_eq!(
        wrong("[[port]]\nname = \"a\"\n"),
        [
            "flowgate.toml:1: a port without a type: write type = \"tun\", type = \"tap\", type = \"packet\", type = \"xdp\" or type = \"vlan\""
        ]
    );
    assert_eq!(
        wrong("[[port]]\nname = \"a\"\ntype = \"tap\"\nmac = \"zz\"\n"),
        [
            "flowgate.toml:4: mac = \"zz\": write six hexadecimal bytes, such as \"02:00:00:00:00:0a\""
        ]
    );
}

#[test]
fn what_run_would_refuse_is_refused_with_its_line() {
    assert_eq!(
        wrong(&format!("[control]\nsocket = \"\"\n{PORTS}")),
        ["flowgate.toml:2: socket = \"\": write a path, such as \"/run/flowgate.sock\""]
    );
    assert_eq!(
        wrong(&format!("[gateway]\ncpus = [0, 1, 0]\n{PORTS}")),
        ["flowgate.toml:2: cpus: 0 stands here twice: name each CPU once"]
    );
    assert!(
        good(&format!("[gateway]\ncpus = []\n{PORTS}"))
            .gateway
            .cpus
            .is_empty()
    );
    for own in ["192.0.2.1/32", "192.0.2.1", "fd00::1/128"] {
        let lines = wrong_after_ports(&format!(
            "[[route]]\ndestination = \"{own}\"\nkind = \"blackhole\"\n"
        ));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains("is our own address on port rack"),
            "{lines:?}"
        );
    }
}

#[test]
fn fibs_are_read_and_must_be_there() {
    let two = "[gateway]\nfibs = 2\n";
    let port = |name: &str, fib: u8| {
        format!(
            "[[port]]\nname = \"{name}\"\ntype = \"tap\"\nfib = {fib}\naddresses = [\"192.0.2.1/24\"]\n"
        )
    };
    let route = "[[route]]\ndestination = \"10.0.0.0/8\"\nfib = 1\ngateways = [\"192.0.2.2\"]\n";
    let config = good(&format!("{two}{}{}{route}", port("a", 0), port("b", 1)));
    assert_eq!(config.gateway.fibs, Some(2));
    assert_eq!(config.ports[1].fib.value, 1);
    assert_eq!(config.routes[0].destination.value.fib().0, 1);
    let lines = wrong(&format!("{two}{}{route}", port("a", 0)));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("no port has an address in the network of gateway 192.0.2.2"));
    let lines = wrong(&format!("{two}{}", port("a", 2)));
    assert_eq!(
        lines,
        ["flowgate.toml:6: fib = 2: there are 2, from 0: write fibs = 3 under [gateway]"]
    );
}

#[test]
fn a_port_has_its_switches_and_all_are_off_else() {
    let port = "[[port]]\nname = \"a\"\ntype = \"tap\"\naddresses = [\"fe80::1/64\"]\n";
    let switches = "router-advertisements = true\nrpf = \"strict\"\nclass-e = true\ndirected-broadcast = true\nredirects = true\nip-options = \"drop\"\nsource-routes = \"refuse\"\n";
    assert_eq!(good(port).ports[0].rules, Rules::default());
    let all = Rules {
        rpf: stack::rules::Rpf::Strict,
        class_e: true,
        directed_broadcast: true,
        redirects: true,
        adverts: Some(stack::rules::Adverts {
            lifetime_s: 1800,
            interval_s: 600,
        }),
        options: stack::rules::OptionRule::Drop,
        source_routes: stack::rules::SourceRoutes::Refuse,
    };
    assert_eq!(good(&format!("{port}{switches}")).ports[0].rules, all);
}

#[test]
fn every_link_has_its_own_link_local_addresses() {
    let port = |name: &str, address: &str| {
        format!("[[port]]\nname = \"{name}\"\ntype = \"tap\"\naddresses = [\"{address}\"]\n")
    };
    let both = |address| format!("{}{}", port("a", address), port("b", address));
    assert_eq!(good(&both("fe80::1/64")).ports.len(), 2);
    let lines = wrong(&both("fd00::1/64"));
    assert_eq!(lines.len(), 2, "{lines:?}");
    let lines = wrong(&port("a", "fe80::1/64\", \"fe80::1/64"));
    assert_eq!(
        lines,
        ["flowgate.toml:4: fe80::1 is an address already, in line 4: write another"]
    );
}

#[test]
fn routes_are_checked() {
    let cases = [
        (
            "gateways = [\"192.0.2.2\"]\n",
            "flowgate.toml:5: a route without a destination: write destination = \"203.0.113.0/24\", say",
        ),
        (
            "destination = \"10.0.0.1/8\"\ngateways = [\"192.0.2.2\"]\n",
            "flowgate.toml:6: destination = \"10.0.0.1/8\": 10.0.0.1/8 has host bits set: write 10.0.0.0/8",
        ),
        (
            "destination = \"default\"\niface = \"rack\"\n",
            "flowgate.toml:6: destination = \"default\": write \"0.0.0.0/0\" or \"::/0\"",
        ),
        (
            "destination = \"10.0.0.0/8\"\n",
            "flowgate.toml:6: the route to 10.0.0.0/8 leads nowhere: write gateways = [...], iface = \"...\" or kind = \"blackhole\"",
        ),
        (
            "destination = \"2001:db8::/32\"\ngateways = [\"fd00::2\"]\nmtu = 1279\n",
            "flowgate.toml:6: mtu 1279 is out of range for 2001:db8::/32: write 1280 to 65535 bytes",
        ),
        (
            "destination = \"10.0.0.0/8\"\ngateways = [\"172.16.0.1\"]\n",
            "flowgate.toml:7: no port has an address in the network of gateway 172.16.0.1: give one such an address; ports: rack (192.0.2.1/24 fd00::1/64); or write recursive = true to have other routes lead to it",
        ),
        (
            "destination = \"2001:db8::/32\"\ngateways = [\"192.0.2.2\"]\n",
            "flowgate.toml:7: 2001:db8::/32 is IPv6 and gateway 192.0.2.2 is IPv4: write an IPv6 gateway (IPv4 routes may have either)",
        ),
        (
            "destination = \"10.0.0.0/8\"\ngateways = [\"192.0.2.1\"]\n",
            "flowgate.toml:7: 192.0.2.1 is our own address on port rack: write the next router's or server's",
        ),
        (
            "destination = \"10.0.0.0/8\"\ngateways = [\"192.0.2.2\", \"192.0.2.2\"]\n",
            "flowgate.toml:7: gateway 192.0.2.2 stands here twice: name it once, with its weight",
        ),
        (
            "destination = \"10.0.0.0/8\"\ngateways = [{ address = \"192.0.2.2\", weight = 0 }]\n",
            "flowgate.toml:7: weight = 0: write a number from 1 to 16777215",
        ),
        (
            "destination = \"10.0.0.0/8\"\ngateways = [\"rack\"]\n",
            "flowgate.toml:7: gateways: \"rack\" is no gateway: write \"10.1.0.2\", \"fe80::1%rack\" or { address = \"10.1.0.2\", weight = 2 }",
        ),
        (
            "destination = \"2001:db8::/32\"\ngateways = [\"fe80::1\"]\n",
            "flowgate.toml:7: fe80::1 is link-local: say on which port: \"fe80::1%PORT\"",
        ),
        (
            "destination = \"2001:db8::/32\"\ngateways = [\"fe80::1%rakc\"]\n",
            "flowgate.toml:7: no port rakc: the ports are rack",
        ),
        (
            "destination = \"10.0.0.0/8\"\niface = \"eth0\"\n",
            "flowgate.toml:7: no port eth0: the ports are rack",
        ),
        (
            "destination = \"10.0.0.0/8\"\nkind = \"drop\"\n",
            "flowgate.toml:7: kind = \"drop\": write kind = \"blackhole\" or kind = \"reject\"",
        ),
        (
            "destination = \"10.0.0.0/8\"\nkind = \"reject\"\ngateways = [\"192.0.2.2\"]\n",
            "flowgate.toml:6: the route to 10.0.0.0/8 has a kind: leave gateways and iface out",
        ),
        (
            "destination = \"192.0.2.0/24\"\ngateways = [\"192.0.2.2\"]\n",
            "flowgate.toml:6: 192.0.2.0/24 is the network of port rack: its route is there by itself, leave this one out",
        ),
        (
            "destination = \"10.0.0.0/8\"\nkind = \"reject\"\n[[route]]\ndestination = \"10.0.0.0/8\"\nkind = \"reject\"\n",
            "flowgate.toml:9: 10.0.0.0/8 has a route already, in line 6: name all its gateways there",
        ),
    ];
    for (lines, message) in cases {
        assert_eq!(
            wrong_after_ports(&format!("[[route]]\n{lines}")),
            [message],
            "{lines}"
        );
    }
}

#[test]
fn health_checks_are_checked() {
    let route = "[[route]]\ndestination = \"10.0.0.0/8\"\ngateways = [\"192.0.2.2\"]\n";
    let cases = [
        (
            "gateway = \"192.0.2.3\"\nport = 80\n",
            "flowgate.toml:9: 192.0.2.3 is no gateway of any [[route]] or [[group]]: write one that is",
        ),
        (
            "gateway = \"192.0.2.2\"\n",
            "flowgate.toml:8: a health check without a port: write port = 80, say",
        ),
        (
            "port = 80\n",
            "flowgate.toml:8: a health check without a gateway: write gateway = \"10.1.0.2\", say",
        ),
        (
            "gateway = \"192.0.2.2\"\nport = 65536\n",
            "flowgate.toml:10: port = 65536: write a number from 1 to 65535",
        ),
        (
            "gateway = \"192.0.2.2\"\nport = 80\ninterval-ms = 500\ntimeout-ms = 600\n",
            "flowgate.toml:9: timeout-ms = 600 is longer than interval-ms = 500: write a shorter one",
        ),
    ];
    for (lines, message) in cases {
        let found = wrong_after_ports(&format!("{route}[[health]]\n{lines}"));
        assert!(found.contains(&message.to_owned()), "{lines}: {found:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_order() {
    let text = format!(
        "[gateway]\nworkers = 0\n{PORTS}mut = 2\n[[route]]\ndestination = \"10.0.0.1/8\"\n"
    );
    let lines = wrong(&text);
    let at: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(':').nth(1))
        .collect();
    assert_eq!(at, ["2", "7", "9"], "{lines:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_the_remedy() {
    let problems = load(Path::new("no/such.toml")).unwrap_err().to_string();
    assert!(
        problems.starts_with("no/such.toml: cannot read the configuration: "),
        "{problems}"
    );
    assert!(
        problems.ends_with("docs/flowgate.example.toml is a complete example"),
        "{problems}"
    );
}

#[test]
fn no_text_makes_the_reader_panic() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..300 {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        for _ in 0..random.usize(1..6) {
            if bytes.is_empty() {
                break;
            }
            let at = random.usize(..bytes.len());
            match random.u8(..3) {
                0 => bytes[at] = random.u8(..),
                1 => drop(bytes.drain(at..(at + random.usize(..40)).min(bytes.len()))),
                _ => bytes.truncate(at + 1),
            }
        }
        // Whether it is right or wrong, it has an answer.
        let _ = read(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_group_has_a_number_gateways_and_options_and_routes_name_it() {
    let text = format!(
        "{PORTS}[[group]]\nnumber = 7\ngateways = [\"192.0.2.11\", {{ address = \"fd00::2\", weight = 3 }}]\n\
         buckets = 512\nselect = \"source\"\nslow-start = 30\n\
         [[route]]\ndestination = \"10.0.0.0/8\"\ngroup = 7\n\
         [[health]]\ngateway = \"192.0.2.11\"\nport = 80\n"
    );
    let config = good(&text);
    let group = &config.groups[0];
    assert_eq!((group.number.value, group.number.line), (7, 6));
    assert_eq!(group.gateways[1].value.weight, 3);
    assert_eq!(group.options.buckets, Some(512));
    assert_eq!(group.options.slow_start, Some(30));
    assert_eq!(config.routes[0].options.group, Some(7));
}

#[test]
fn what_is_wrong_with_a_group_is_told_with_its_line() {
    let group = "[[group]]\nnumber = 7\ngateways = [\"192.0.2.11\"]\n";
    for (lines, line, told) in [
        (
            "[[group]]\ngateways = [\"192.0.2.11\"]\n".into(),
            5,
            "a group without a number",
        ),
        (
            "[[group]]\nnumber = 0\n".into(),
            6,
            "number = 0: write a number from 1",
        ),
        (
            "[[group]]\nnumber = 7\n".into(),
            6,
            "group 7 has no gateway",
        ),
        (
            format!("{group}{group}"),
            9,
            "group 7 is there already, in line 6",
        ),
        (
            format!("{group}group = 8\n"),
            8,
            "unknown key group in [[group]]",
        ),
        (
            format!("{group}buckets = 3\n"),
            8,
            "buckets 3: write a power of two",
        ),
        (format!("{group}fib = 3\n"), 8, "fib = 3: there are 1"),
        (
            group.replace("192.0.2.11", "10.1.1.1"),
            7,
            "no port has an address in the network",
        ),
        (
            group.replace("192.0.2.11", "192.0.2.1"),
            7,
            "192.0.2.1 is our own address",
        ),
        (
            group.replace("\"192.0.2.11\"", "\"192.0.2.11\", \"192.0.2.11\""),
            7,
            "stands here twice",
        ),
        (
            group.replace("192.0.2.11", "here"),
            7,
            "\"here\" is no gateway",
        ),
        (
            format!("{group}[[route]]\ndestination = \"10.0.0.0/8\"\ngroup = 9\n"),
            9,
            "there is no group 9",
        ),
    ] {
        let wrong = wrong_after_ports(&lines);
        let begins = format!("flowgate.toml:{line}: ");
        let found = wrong
            .iter()
            .any(|w| w.starts_with(&begins) && w.contains(told));
        assert!(found, "{lines}\n{told}: {wrong:?}");
    }
    // What follows from a FIB that is not there is not told too.
    let routes = "[[route]]\ndestination = \"10.0.0.0/8\"\nfib = 3\ngateways = [\"192.0.2.11\"]\n";
    for lines in [format!("{group}fib = 3\n"), routes.into()] {
        assert_eq!(wrong_after_ports(&lines).len(), 1, "{lines}");
    }
}

/// A TAP and what is behind it.
fn with_tap(rest: &str) -> String {
    format!("[[port]]\nname = \"tap0\"\ntype = \"tap\"\nmtu = 1600\n{rest}")
}

#[test]
fn a_vlan_has_its_parent_s_name_and_mtu_unless_it_has_its_own() {
    let red = "[[port]]\nname = \"red\"\ntype = \"vlan\"\nparent = \"tap0\"\nvlan = 4094\nmtu = 1400\nredirects = true\n";
    let usual =
        "[[port]]\ntype = \"vlan\"\nparent = \"tap0\"\nvlan = 7\naddresses = [\"fd00::1/64\"]\n";
    let config = good(&format!("{red}{usual}{}", with_tap("")));
    let names: Vec<&str> = config.ports.iter().map(|p| p.name.value.as_str()).collect();
    assert_eq!(names, ["tap0", "red", "tap0.7"], "devices before VLANs");
    let mtus: Vec<u32> = config.ports.iter().map(|p| p.mtu.value).collect();
    assert_eq!(mtus, [1600, 1400, 1600]);
    let of = |port: &Port| {
        port.vlan
            .as_ref()
            .map(|v| (v.parent.value.clone(), v.vid.value))
    };
    let vlans: Vec<_> = config.ports.iter().map(of).collect();
    let tap = |vid| Some(("tap0".to_owned(), vid));
    assert_eq!(vlans, [None, tap(4094), tap(7)]);
    assert!(config.ports[1].rules.redirects);
    assert!(config.ports[0].has_offload() && !config.ports[1].has_offload());
}

#[test]
fn each_wrong_vlan_is_told_in_one_line() {
    let vlan = |keys: &str| with_tap(&format!("[[port]]\nname = \"v\"\ntype = \"vlan\"\n{keys}"));
    let cases = [
        (
            "vlan = 1\n",
            "5: a VLAN without a parent: write parent = \"rack\", say",
        ),
        (
            "parent = \"tap0\"\n",
            "5: a VLAN without a vlan: write vlan = 100, say",
        ),
        (
            "parent = \"tap1\"\nvlan = 1\n",
            "8: parent = \"tap1\": no such port: the ports are tap0",
        ),
        (
            "parent = \"v\"\nvlan = 1\n",
            "8: parent = \"v\": that is a VLAN itself, and frames have one tag here: name its parent",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\nmtu = 1601\n",
            "10: mtu = 1601: its parent tap0 takes 1600: write 1600 or less, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\nqueues = 1\n",
            "10: queues: a VLAN has its parent's device: write it for port tap0, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\noffload = \"on\"\n",
            "10: offload: a VLAN has its parent's device: write it for port tap0, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\nmac = \"02:00:00:00:00:01\"\n",
            "10: mac: a VLAN has its parent's device: write it for port tap0, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\nhost-addresses = [\"192.0.2.5/24\"]\n",
            "10: host-addresses: a VLAN has its parent's device: write it for port tap0, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\npromiscuous = true\n",
            "5: promiscuous: a VLAN has its parent's device: write it for port tap0, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 9\n[[port]]\nname = \"w\"\ntype = \"vlan\"\nparent = \"tap0\"\nvlan = 9\n",
            "14: vlan = 9: port tap0 has this VLAN already, in line 9: choose another number",
        ),
    ];
    for (keys, line) in cases {
        let line = format!("flowgate.toml:{line}");
        assert_eq!(wrong(&vlan(keys)), [line], "{keys}");
    }
    for vid in ["0", "4095", "-1", "\"x\""] {
        let lines = wrong(&vlan(&format!("parent = \"tap0\"\nvlan = {vid}\n")));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("flowgate.toml:9: vlan = ") && lines[0].contains("4094"),
            "{lines:?}"
        );
    }
    let tun = "[[port]]\nname = \"t\"\ntype = \"tun\"\n[[port]]\ntype = \"vlan\"\nparent = \"t\"\nvlan = 1\n";
    let lines = wrong(tun);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0]
            .starts_with("flowgate.toml:6: parent = \"t\": a TUN's packets have no link header"),
        "{lines:?}"
    );
    let lines = wrong(&with_tap("vlan = 3\n"));
    assert_eq!(
        lines,
        ["flowgate.toml:1: vlan goes with type = \"vlan\": leave it out, or write that"]
    );
}

#[test]
fn ports_are_at_most_what_a_flow_s_entry_can_name() {
    let vlans = |count: usize| {
        let vlan = |vid| format!("[[port]]\ntype = \"vlan\"\nparent = \"tap0\"\nvlan = {vid}\n");
        with_tap(&(1..=count).map(vlan).collect::<String>())
    };
    assert_eq!(good(&vlans(255)).ports.len(), 256);
    let lines = wrong(&vlans(256));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].ends_with("there are 257 ports: there may be 256, VLANs included"),
        "{lines:?}"
    );
}

#[test]
fn control_characters_of_a_configuration_are_shown_and_not_obeyed() {
    let text = format!("[[port]]\nname = \"a\\u001b[31m\\nb\"\ntype = \"tun\"\n{PORTS}");
    let lines = wrong(&text);
    assert!(
        lines[0].starts_with("flowgate.toml:2: name = \"a\\u{1b}[31m\\nb\": write"),
        "{lines:?}"
    );
    assert!(lines.iter().all(|line| !line.contains(char::is_control)));
    let file = Path::new("a\u{1b}[1m.toml");
    let told = parse(file, "").unwrap_err().to_string();
    assert!(told.starts_with("a\\u{1b}[1m.toml: no port"), "{told}");
}

#[test]
fn a_vlan_that_cannot_be_called_after_its_parent_is_told_so() {
    let long = PORTS.replace("rack", "rack-row-seven");
    let vlan = "[[port]]\ntype = \"vlan\"\nparent = \"rack-row-seven\"\nvlan = 100\n";
    assert_eq!(
        wrong(&format!("{long}{vlan}")),
        [
            "flowgate.toml:5: a VLAN is called after its parent, and \"rack-row-seven.100\" is longer than 15 characters: \
             write name = \"vlan100\", say"
        ]
    );
    good(&format!("{long}{vlan}name = \"vlan100\"\n"));
    let lines = wrong(&format!("{long}{vlan}name = \"rack-row-seven-100\"\n"));
    assert!(lines[0].contains("write 1 to 15 letters"), "{lines:?}");
}
