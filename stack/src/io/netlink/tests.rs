//! Against the kernel, in a namespace of its own.

use super::*;
use crate::io::netns::{
    current_netns, has_ipv6, in_child_namespace, new_child_netns_thread, thread_in_netns,
};
use crate::io::tun::{DeviceSpec, Kind, open};
use std::net::UdpSocket;
use std::time::Duration;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn an_unknown_interface_is_named_in_the_error() {
    let error = Netlink::open()
        .unwrap()
        .link_index("no-such-thing")
        .unwrap_err();
    assert_eq!(error.errno, Errno::ENODEV);
    let line = io::Error::from(error).to_string();
    assert!(
        line.starts_with("cannot find interface 'no-such-thing': No such device"),
        "{line}"
    );
}

#[test]
fn links_take_addresses_and_refuse_what_is_wrong_by_name() {
    let test = "io::netlink::tests::links_take_addresses_and_refuse_what_is_wrong_by_name";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let netlink = Netlink::open().unwrap();
    netlink.veth("a", "b").unwrap();
    assert_eq!(netlink.veth("a", "c").unwrap_err().errno, Errno::EEXIST);
    let a = netlink.link_index("a").unwrap();
    netlink.set_mac(a, [2, 0, 0, 0, 0, 1]).unwrap();
    assert_eq!(netlink.link_mac(a).unwrap(), Some([2, 0, 0, 0, 0, 1]));
    netlink.set_mtu(a, 1400).unwrap();
    netlink.set_txqueuelen(a, 77).unwrap();
    netlink.addr_add(a, ip("10.1.0.1"), 24).unwrap();
    let again = netlink.addr_add(a, ip("10.1.0.1"), 24).unwrap_err();
    assert_eq!(again.errno, Errno::EEXIST);
    assert!(
        again
            .to_string()
            .starts_with(&format!("cannot add 10.1.0.1/24 to interface {a}: "))
    );
    assert_eq!(
        netlink.addr_add(a, ip("10.1.0.2"), 33).unwrap_err().errno,
        Errno::EINVAL
    );
    assert_eq!(netlink.set_mtu(a, 1).unwrap_err().errno, Errno::EINVAL);
    netlink.link_del(a).unwrap();
    assert_eq!(
        netlink.link_index("b").unwrap_err().errno,
        Errno::ENODEV,
        "its peer goes too"
    );
}

/// The name of a link's queueing discipline among its attributes.
const IFLA_QDISC: u16 = 6;

/// The name of a device's queueing discipline.
fn qdisc(netlink: &Netlink, ifindex: u32) -> String {
    let request = Message::link(libc::RTM_GETLINK, 0, ifindex, 0, 0);
    let body = netlink.ask(request, "read it").unwrap().unwrap();
    let mut attrs = attrs(&body[ifinfomsg(0, 0, 0).len()..]);
    let (_, name) = attrs.find(|&(kind, _)| kind == IFLA_QDISC).unwrap();
    String::from_utf8_lossy(name).trim_end_matches('\0').into()
}

#[test]
fn a_device_that_is_made_and_set_up_has_no_queueing_discipline() {
    let test = "io::netlink::tests::a_device_that_is_made_and_set_up_has_no_queueing_discipline";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let netlink = Netlink::open().unwrap();
    for (kind, name) in [(Kind::Tun, "t"), (Kind::Tap, "e")] {
        let spec = DeviceSpec {
            queues: 2,
            ..DeviceSpec::new(kind, name)
        };
        let device = open(&spec).unwrap();
        assert_eq!(qdisc(&netlink, device.ifindex), "noqueue");
    }
    let missing = netlink.set_noqueue(12_345).unwrap_err();
    assert_eq!(missing.errno, Errno::ENODEV);
    let line = missing.to_string();
    assert!(
        line.starts_with("cannot take the queueing discipline off interface 12345: "),
        "{line}"
    );
}

/// The kernel adds the local route in a work queue;.
#[test]
fn an_ipv6_address_is_local_when_it_was_added() {
    let test = "io::netlink::tests::an_ipv6_address_is_local_when_it_was_added";
    if !in_child_namespace(test).is_inside() || !has_ipv6() {
        return;
    }
    let netlink = Netlink::open().unwrap();
    netlink.veth("a", "b").unwrap();
    netlink.link_up("a").unwrap();
    netlink.link_up("b").unwrap();
    let a = netlink.link_index("a").unwrap();
    for host in 1..=200 {
        let addr = ip(&format!("fd01::{host}"));
        netlink.addr_add(a, addr, 64).unwrap();
        assert!(netlink.is_local(addr).unwrap(), "{addr}");
    }
    assert!(!netlink.is_local(ip("fd01::ffff")).unwrap());
    assert!(!netlink.is_local(ip("fd02::1")).unwrap());
}

/// Two namespaces, a veth pair between them, and a service address routed via the peer.
#[test]
fn routes_lead_to_another_namespace_and_back() {
    let test = "io::netlink::tests::routes_lead_to_another_namespace_and_back";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let ipv6 = has_ipv6();
    let here = Netlink::open().unwrap();
    here.veth("a", "b").unwrap();
    let a = here.link_index("a").unwrap();
    let b = here.link_index("b").unwrap();
    let home = current_netns().unwrap();
    let servers = new_child_netns_thread(|| {
        let there = Netlink::open().unwrap();
        let netns = current_netns().unwrap();
        here_moves(&home, b, &netns);
        let b = there.link_index("b").unwrap();
        there.addr_add(b, ip("10.1.0.2"), 24).unwrap();
        there
            .addr_add(there.link_index("lo").unwrap(), ip("10.9.9.9"), 32)
            .unwrap();
        there.set_up(b, true).unwrap();
        if ipv6 {
            there.addr_add(b, ip("fd01::2"), 64).unwrap();
        }
        let bind = |addr: &str| UdpSocket::bind((addr, 7)).unwrap();
        let mut servers = vec![bind("10.9.9.9")];
        servers.extend(ipv6.then(|| bind("fd01::2")));
        servers
    })
    .unwrap();
    here.addr_add(a, ip("10.1.0.1"), 24).unwrap();
    here.set_up(a, true).unwrap();
    here.route_add(
        ip("10.9.9.0"),
        24,
        Some(ip("10.1.0.2")),
        0,
        Some(ip("10.1.0.1")),
    )
    .unwrap();
    exchange(&servers[0], "0.0.0.0", "10.9.9.9");
    if ipv6 {
        here.addr_add(a, ip("fd01::1"), 64).unwrap();
        exchange(&servers[1], "::", "fd01::2");
    }
    routes_are_refused_by_name(&here, a);
}

/// Moves interface `ifindex` of `home` to `netns`; a request is made in the namespace it is about.
fn here_moves(home: &OwnedFd, ifindex: u32, netns: &OwnedFd) {
    let moved = thread_in_netns(home, || {
        Netlink::open().and_then(|netlink| netlink.move_to_netns(ifindex, netns))
    });
    moved.unwrap().unwrap();
}

fn exchange(server: &UdpSocket, from: &str, to: &str) {
    let client = UdpSocket::bind((from, 0)).unwrap();
    let limit = Some(Duration::from_secs(10));
    client.set_read_timeout(limit).unwrap();
    server.set_read_timeout(limit).unwrap();
    client.send_to(b"ping", (to, 7)).unwrap();
    let mut buf = [0; 16];
    let (len, peer) = server.recv_from(&mut buf).unwrap();
    server.send_to(&buf[..len], peer).unwrap();
    assert_eq!(client.recv_from(&mut buf).unwrap().0, 4);
}

fn routes_are_refused_by_name(netlink: &Netlink, a: u32) {
    let add =
        |dst: &str, len, via: Option<&str>| netlink.route_add(ip(dst), len, via.map(ip), a, None);
    let add_again = add("10.9.9.0", 24, Some("10.1.0.2")).unwrap_err();
    assert_eq!(add_again.errno, Errno::EEXIST);
    let line = add_again.to_string();
    assert!(
        line.starts_with("cannot add the route 10.9.9.0/24 via 10.1.0.2 out of"),
        "{line}"
    );
    assert_eq!(
        add("10.8.0.1", 24, None).unwrap_err().errno,
        Errno::EINVAL,
        "host bits"
    );
    let unreachable = netlink.route_add(ip("10.8.0.0"), 24, Some(ip("192.0.2.1")), 0, None);
    assert_eq!(unreachable.unwrap_err().errno, Errno::ENETUNREACH);
    add("10.7.0.0", 24, None).unwrap();
    netlink.route_del(ip("10.7.0.0"), 24, None, a).unwrap();
    let gone = netlink.route_del(ip("10.7.0.0"), 24, None, a).unwrap_err();
    assert_eq!(gone.errno, Errno::ESRCH);
}
