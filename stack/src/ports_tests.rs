use super::*;

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A port for each list of addresses, all /64 or /24, of FIB 0.
fn ports(addrs: &[&[&str]]) -> Ports {
    let port = |(id, addrs): (u16, &&[&str])| Port {
        id: PortId(id),
        name: format!("p{id}"),
        fib: FibId(0),
        layer: Layer::L3,
        mtu: 1500,
        narrowed: None,
        up: true,
        addrs: addrs
            .iter()
            .map(|text| {
                let addr = addr(text);
                let len = if addr.is_ipv4() { 24 } else { 64 };
                PortAddr { addr, len }
            })
            .collect(),
        rules: Rules::default(),
        vlan: None,
    };
    Ports((0..).zip(addrs).map(port).collect())
}

#[test]
fn who_is_not_on_the_link_is_answered_from_no_address_of_the_link_alone() {
    // An uplink without a global address, as providers give it.
    let ports = ports(&[
        &["fe80::1"],
        &["10.0.0.1", "fe80::1", "2001:db8:1::1"],
        &["169.254.0.1"],
    ]);
    for (port, to, from) in [
        (0, "2001:db8:9::5", "2001:db8:1::1"),
        (0, "fe80::5", "fe80::1"),
        (1, "2001:db8:9::5", "2001:db8:1::1"),
        (2, "198.51.100.9", "10.0.0.1"),
        (2, "169.254.0.9", "169.254.0.1"),
        (9, "2001:db8:9::5", "2001:db8:1::1"),
    ] {
        let told = ports.answer_from(PortId(port), &addr(to));
        assert_eq!(told, Some(addr(from)), "{to} by port {port}");
    }
    for (to, from) in [
        ("2001:db8:9::5", "2001:db8:1::1"),
        ("169.254.0.9", "169.254.0.1"),
        ("198.51.100.9", "10.0.0.1"),
    ] {
        assert_eq!(ports.source_for(&addr(to)), Some(addr(from)), "{to}");
    }
}

#[test]
fn an_address_of_the_link_is_better_than_none() {
    let ports = ports(&[&["fe80::1"], &["fe80::2"]]);
    let to = addr("2001:db8:9::5");
    assert_eq!(ports.answer_from(PortId(1), &to), Some(addr("fe80::2")));
    assert_eq!(ports.answer_from(PortId(1), &addr("10.0.0.1")), None);
}

#[test]
fn a_way_takes_no_more_than_its_port_does_at_present() {
    let mut all = ports(&[&["192.0.2.1"]]);
    for (narrowed, takes) in [(None, 1500), (Some(1300), 1300), (Some(9000), 1500)] {
        all.0[0].narrowed = narrowed;
        assert_eq!(all.0[0].takes(), takes);
        for mtu in [1280, 1400, 9000] {
            assert_eq!(all.takes_by(PortId(0), mtu), mtu.min(takes));
            assert_eq!(all.takes_by(PortId(7), mtu), mtu, "of no port");
        }
    }
}
