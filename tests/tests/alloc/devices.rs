//! Every kind of port passes the same suite.

use flowgate_tests::counting::counted;
use flowgate_tests::devices::raw::Raw;
use flowgate_tests::devices::{Far, Subject, suite};
use flowgate_tests::lab::has_xdp;
use flowgate_tests::test_name;
use stack::io::Queue;
use stack::io::mem::{self, MemPeer};
use stack::io::netlink::Netlink;
use stack::io::netns::{in_child_namespace, sysctl_write};
use stack::io::packet::{self, PacketSpec};
use stack::io::tun::{self, DeviceSpec, Kind};
use stack::io::xdp::{self, Chosen, Mode, XdpSpec};
use std::process::Command;

fn count(f: &mut dyn FnMut()) -> u64 {
    counted(f)
}

fn boxed<Q: Queue + 'static>(queues: Vec<Q>) -> Vec<Box<dyn Queue>> {
    let boxed = queues.into_iter().map(|q| Box::new(q) as Box<dyn Queue>);
    boxed.collect()
}

fn netlink() -> Netlink {
    Netlink::open().expect("netlink")
}

/// The other ends of the rings of a port in memory.
struct Peers(Vec<MemPeer>);

impl Far for Peers {
    fn send(&mut self, flow: usize, frame: &[u8]) -> bool {
        let queues = self.0.len();
        self.0[flow % queues].tx(frame)
    }

    fn recv(&mut self, _: bool) -> Option<Vec<u8>> {
        let mut room = [0; 2048];
        let len = self.0.iter_mut().find_map(|peer| peer.rx(&mut room))?;
        Some(room[..len].to_vec())
    }

    fn delete(&mut self) {
        self.0.clear();
    }
}

/// An interface of the kernel, and what is deleted and taken down with it.
struct Interface {
    raw: Raw,
    far: u32,
    device: u32,
}

impl Interface {
    fn open(far: &str, device: &str) -> Self {
        Self {
            raw: Raw::open(far).expect("a packet socket"),
            far: netlink().link_index(far).expect("its interface"),
            device: netlink().link_index(device).expect("its interface"),
        }
    }
}

impl Far for Interface {
    fn send(&mut self, _: usize, frame: &[u8]) -> bool {
        self.raw.send(frame)
    }

    fn recv(&mut self, wait: bool) -> Option<Vec<u8>> {
        self.raw.recv(wait)
    }

    fn set_up(&mut self, up: bool) -> bool {
        let netlink = netlink();
        netlink.set_up(self.device, up).expect("up or down");
        // A cable's other end is told of it in the background, and until then loses what it sends.
        while up && !netlink.is_running(self.far).expect("its state") {
            std::thread::yield_now();
        }
        true
    }

    fn delete(&mut self) {
        netlink().link_del(self.device).expect("deleted");
    }
}

/// Nothing but the suite's frames goes over interfaces that are made from now on.
fn be_quiet() {
    let _ = sysctl_write("net/ipv6/conf/default/disable_ipv6", "1");
}

fn of_kernel(kind: Kind, queues: usize, mtu: usize) -> Subject {
    let device = tun::open(&DeviceSpec {
        queues,
        mtu: mtu as u32,
        ..DeviceSpec::new(kind, "fg%d")
    });
    let device = device.expect("a device");
    Subject {
        far: Box::new(Interface::open(&device.name, &device.name)),
        queues: boxed(device.queues),
        l2: kind == Kind::Tap,
        fills: false,
        reader_notices: true,
        in_bursts: false,
    }
}

#[test]
fn a_port_in_memory_passes() {
    let mut make = |queues, mtu| {
        let (queues, peers) = mem::pair(queues, 512, mtu);
        Subject {
            queues: boxed(queues),
            far: Box::new(Peers(peers)),
            l2: true,
            fills: true,
            reader_notices: false,
            in_bursts: false,
        }
    };
    suite(&mut make, count);
}

#[test]
fn tun_passes() {
    if in_child_namespace(test_name!()).is_inside() {
        be_quiet();
        suite(&mut |queues, mtu| of_kernel(Kind::Tun, queues, mtu), count);
    }
}

#[test]
fn tap_passes() {
    if in_child_namespace(test_name!()).is_inside() {
        be_quiet();
        suite(&mut |queues, mtu| of_kernel(Kind::Tap, queues, mtu), count);
    }
}

/// A port on one end of a cable, whose other end is the far side.
fn on_cable(no: usize, queues: usize, mtu: usize) -> Subject {
    let (near, far) = (format!("near{no}"), format!("far{no}"));
    let netlink = netlink();
    netlink.veth(&near, &far).expect("a cable");
    netlink.link_up(&far).expect("up");
    let spec = PacketSpec {
        queues,
        mtu: mtu as u32,
        ..PacketSpec::new(&near)
    };
    let device = packet::open(&spec, None).expect("a packet port");
    Subject {
        far: Box::new(Interface::open(&far, &near)),
        queues: boxed(device.queues),
        l2: true,
        fills: false,
        reader_notices: true,
        in_bursts: false,
    }
}

#[test]
fn packet_passes() {
    if in_child_namespace(test_name!()).is_inside() {
        be_quiet();
        let mut no = 0;
        let mut make = |queues, mtu| {
            no += 1;
            on_cable(no, queues, mtu)
        };
        suite(&mut make, count);
    }
}

/// A cable by whose ends `queues` queues are received and sent, its far end up.
fn wide_cable(near: &str, far: &str, queues: usize) {
    let (wide, peer) = (
        format!("numrxqueues {queues} numtxqueues {queues}"),
        "type veth peer name",
    );
    let words = format!("link add {near} {wide} {peer} {far} {wide}");
    let done = Command::new("ip").args(words.split(' ')).status();
    assert!(done.is_ok_and(|done| done.success()), "ip {words}");
    netlink().link_up(far).expect("up");
}

/// The same by XDP sockets, one a queue of the interface.
fn on_cable_by_xdp(no: usize, mode: Mode, queues: usize, mtu: usize) -> Subject {
    let (near, far) = (format!("near{no}"), format!("far{no}"));
    wide_cable(&near, &far, queues);
    let mut spec = XdpSpec {
        mode,
        ..XdpSpec::new(&near)
    };
    spec.on.queues = queues;
    spec.on.mtu = mtu as u32;
    let device = xdp::open(&spec).expect("an XDP port");
    let chosen = if mode == Mode::Generic {
        Chosen::Generic
    } else {
        Chosen::Copy
    };
    assert_eq!(device.mode, chosen);
    Subject {
        far: Box::new(Interface::open(&far, &near)),
        queues: boxed(device.queues),
        l2: true,
        fills: false,
        reader_notices: true,
        in_bursts: true,
    }
}

fn xdp_suite(test: &str, mode: Mode) {
    if !in_child_namespace(test).is_inside() {
        return;
    }
    be_quiet();
    if !has_xdp(test) {
        return;
    }
    let mut no = 0;
    let mut make = |queues, mtu| {
        no += 1;
        on_cable_by_xdp(no, mode, queues, mtu)
    };
    suite(&mut make, count);
}

#[test]
fn xdp_in_the_driver_passes() {
    xdp_suite(test_name!(), Mode::Auto);
}

#[test]
fn xdp_behind_the_driver_passes() {
    xdp_suite(test_name!(), Mode::Generic);
}
