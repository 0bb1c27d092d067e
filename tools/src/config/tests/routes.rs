//! Routes, and what goes with them: gateways, FIBs, classes of timeouts, health checks.

use super::*;

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
