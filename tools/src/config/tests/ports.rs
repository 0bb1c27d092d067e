//! Ports: their types, addresses and switches, and how many there may be.

use super::*;

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
