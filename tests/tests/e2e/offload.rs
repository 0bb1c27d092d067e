//! Super-packets between real kernels: whole where both devices have offloads, cut here where one has not, by the MTU of a segment
//! in any case. The kernels' own counters say whether a checksum was wrong.

use flowgate_tests::lab::bulk::{download, upload};
use flowgate_tests::lab::gateway::{Gateway, list};
use flowgate_tests::lab::plan::{self, Family};
use flowgate_tests::lab::{CLIENT_PORT, FLOWGATE, Lab, LabSpec, RACK_PORT, books, enter};
use flowgate_tests::test_name;
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

const TOOLS: [&str; 3] = [FLOWGATE, "ip", "iperf3"];
const BYTES: u64 = 20_000_000;

fn lab(offload: (bool, bool)) -> Lab {
    Lab::new(LabSpec {
        servers: 1,
        offload,
        ..LabSpec::default()
    })
}

/// A counter of TCP or UDP that the kernel of this thread's namespace keeps.
fn kernel(proto: &str, name: &str) -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/snmp").expect("the kernel's counters");
    let mut lines = text.lines().filter(|line| line.starts_with(proto));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let mut both = names.split(' ').zip(values.split(' '));
    let (_, value) = both.find(|(at, _)| *at == name).expect("the counter");
    value.parse().expect("a number")
}

/// Neither kernel found a checksum wrong, and the sender sent hardly anything twice.
fn assert_kernels_content(lab: &Lab) {
    let wrong = || kernel("Tcp:", "InCsumErrors") + kernel("Udp:", "InCsumErrors");
    assert_eq!((wrong(), lab.segment.server(1).enter(wrong)), (0, 0));
    let twice = || (kernel("Tcp:", "RetransSegs"), kernel("Tcp:", "OutSegs"));
    for (again, sent) in [twice(), lab.segment.server(1).enter(twice)] {
        assert!(
            again * 10 < sent,
            "{again} of {sent} segments were sent twice"
        );
    }
}

/// Both ways, every byte checked, in each family.
fn transfer(lab: &Lab) {
    for family in lab.families() {
        upload(plan::service(family), BYTES).expect("to the server");
        download(plan::service(family), BYTES).expect("from the server");
    }
}

/// The mean length of what came by a port.
fn mean(gateway: &Gateway<'_>, name: &str) -> u64 {
    let ports = list(&gateway.ask("netstat -i"), "ports");
    let port = ports
        .iter()
        .find(|port| port["name"] == name)
        .expect("the port");
    let read = |key: &str| port[key].as_u64().expect("a number");
    read("rx_bytes") / read("rx_packets").max(1)
}

fn offloads(gateway: &Gateway<'_>, name: &str) -> usize {
    let ports = list(&gateway.ask("netstat -i"), "ports");
    let port = ports
        .iter()
        .find(|port| port["name"] == name)
        .expect("the port");
    list(port, "offloads").len()
}

/// Eight streams one way, eight the other.
fn streams(lab: &Lab) {
    let server = plan::server(Family::V4, 1).to_string();
    for way in [None, Some("-R")] {
        let serving =
            lab.segment
                .server(1)
                .start(&lab.scratch, "iperf3", &["-s", "-1", "--forceflush"]);
        assert!(flowgate_tests::lab::eventually(|| serving
            .stdout()
            .contains("listening")));
        let mut args = vec!["-c", &server, "-n", "100M", "-P", "8"];
        args.extend(way);
        lab.run("iperf3", &args).success();
    }
}

/// Datagrams of UDP GSO, a call's worth at a time; each comes as it would alone.
fn datagrams(lab: &Lab) {
    const SIZE: usize = 1200;
    const COUNT: usize = 25;
    let to = SocketAddr::new(plan::server(Family::V4, 1), 5001);
    let bind = || UdpSocket::bind(("0.0.0.0", 5001)).expect("a port");
    let server = lab.segment.server(1).enter(bind);
    server
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a limit");
    let client = UdpSocket::bind((plan::client(Family::V4), 0)).expect("a port");
    setsockopt(&client, UdpGsoSegment, &(SIZE as i32)).expect("UDP GSO");
    let mut room = [0; 2 * SIZE];
    for round in 0..20 {
        let batch: Vec<u8> = (0..SIZE * COUNT)
            .map(|at| (at / SIZE + round) as u8)
            .collect();
        client.send_to(&batch, to).expect("a batch");
        for datagram in batch.chunks(SIZE) {
            let len = server.recv(&mut room).expect("a datagram");
            assert_eq!(room[..len], *datagram, "round {round}");
        }
    }
}

#[test]
fn super_packets_pass_whole_between_kernels() {
    if !enter(test_name!(), &TOOLS) {
        return;
    }
    let lab = lab((true, true));
    let gateway = Gateway::start(&lab, &[1]);
    assert!(offloads(&gateway, CLIENT_PORT) >= 4 && offloads(&gateway, RACK_PORT) >= 4);
    gateway.tell(&format!("route add {} {}", "192.0.2.11/32", "192.0.2.11"));
    transfer(&lab);
    streams(&lab);
    let whole = books::counter(&gateway, "fg_supersent");
    assert!(whole > 500, "{whole}");
    for port in [CLIENT_PORT, RACK_PORT] {
        // Half of what comes by a port are acknowledgements without a byte of payload.
        assert!(
            mean(&gateway, port) > 4_000,
            "{port}: {}",
            mean(&gateway, port)
        );
    }
    assert_eq!(books::counter(&gateway, "fg_supercut"), 0);
    if offloads(&gateway, CLIENT_PORT) == 5 {
        let before = books::counter(&gateway, "fg_supersent");
        datagrams(&lab);
        assert!(books::counter(&gateway, "fg_supersent") >= before + 20);
    }
    assert_kernels_content(&lab);
    assert_eq!(books::counter(&gateway, "fg_badoffload"), 0);
    books::assert_balanced(&gateway);
}

#[test]
fn what_the_other_side_cannot_cut_is_cut_here() {
    if !enter(test_name!(), &TOOLS) {
        return;
    }
    let lab = lab((true, false));
    let gateway = Gateway::start(&lab, &[1]);
    assert_eq!(offloads(&gateway, RACK_PORT), 0);
    gateway.tell(&format!("route add {} {}", "192.0.2.11/32", "192.0.2.11"));
    transfer(&lab);
    streams(&lab);
    datagrams(&lab);
    let cut = books::counter(&gateway, "fg_supercut");
    assert!(cut > 500, "{cut}");
    assert!(books::counter(&gateway, "fg_sumsfinished") > 0);
    assert_kernels_content(&lab);
    books::assert_balanced(&gateway);
}

#[test]
fn the_mtu_is_that_of_a_segment() {
    if !enter(test_name!(), &TOOLS) {
        return;
    }
    let lab = lab((true, true));
    let gateway = Gateway::start(&lab, &[1]);
    // Neither end knows of it, so the first segments are too long.
    gateway.route("change", 1, "-mtu 1400");
    transfer(&lab);
    // The first segments were too big, and said so; those after them passed in super-packets.
    assert!(books::counter(&gateway, "fg_supersent") > 100);
    let told = ["ips_cantfrag", "ip6s_cantfrag"].map(|name| books::counter(&gateway, name));
    assert!(told[0] + told[1] > 0 && told[0] + told[1] < 200, "{told:?}");
    assert_kernels_content(&lab);
    books::assert_balanced(&gateway);
}
