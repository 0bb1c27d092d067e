//! What every router must do, whichever stands in the gateway's place: the same checks prove the
//! laboratory with a kernel and Flowgate afterwards.

use super::plan::{self, Family};
use super::process::Ran;
use super::stall::try_again;
use super::{Lab, bulk};
use std::net::IpAddr;

/// Enough segments that a path that swallows large ones cannot go unnoticed.
const TRANSFER: u64 = 1 << 20;
/// ICMP echo header.
const ECHO_HEADER: u32 = 8;

/// Pings `count` times with whole packets of `size` bytes, `args` being further options.
///
/// # Panics
/// ping does not end.
pub fn ping(lab: &Lab, to: IpAddr, count: u32, size: u32, args: &[&str]) -> Ran {
    let family = Family::of(to);
    let (to, count) = (to.to_string(), count.to_string());
    let payload = (size - family.header_len() - ECHO_HEADER).to_string();
    let mut all = vec![
        family.flag(),
        "-n",
        "-c",
        &count,
        "-i",
        "0.2",
        "-W",
        "5",
        "-s",
        &payload,
    ];
    all.extend(args);
    all.push(&to);
    lab.run("ping", &all)
}

/// The hops to a host, by UDP probes, each as all addresses that answered for it.
///
/// # Panics
/// traceroute fails.
pub fn traceroute(lab: &Lab, to: IpAddr) -> Vec<Vec<IpAddr>> {
    let args = [
        Family::of(to).flag(),
        "-n",
        "-q",
        "3",
        "-w",
        "5",
        "-m",
        "6",
        &to.to_string(),
    ];
    let shown = lab.run("traceroute", &args).success();
    let addrs = |line: &str| {
        line.split_whitespace()
            .skip(1)
            .filter_map(|w| w.parse().ok())
            .collect()
    };
    shown.lines().skip(1).map(addrs).collect()
}

/// ping waits for its last answer as long as for the next question, and traceroute some seconds: on a machine that stands
/// still for a moment, an answer is late that was not lost.
fn in_time(went: impl FnMut() -> Result<(), String>) {
    try_again(1, 3, went).unwrap_or_else(|how| panic!("{how}"));
}

/// The clients reach the gateway's addresses and every server's own, and the way is what it should be.
///
/// # Panics
/// They do not.
pub fn assert_pings_and_traces(lab: &Lab) {
    for family in lab.families() {
        let (near, far) = (plan::client_gateway(family), plan::rack_gateway(family));
        let servers = lab
            .segment
            .servers
            .iter()
            .map(|s| plan::server(family, s.number));
        for to in [near, far].into_iter().chain(servers) {
            in_time(|| {
                let ran = ping(lab, to, 3, 84, &[]);
                let all = ran.all().contains(" 0% packet loss");
                all.then_some(()).ok_or_else(|| ran.to_string())
            });
        }
        let server = plan::server(family, 1);
        let hops = [vec![near], vec![server]];
        in_time(|| match traceroute(lab, server) {
            found if found == hops => Ok(()),
            found => Err(format!("hops to {server}: {found:?}")),
        });
    }
}

/// A packet that is too big for the rack: refused with the MTU when it may not be fragmented, and
/// fragmented and answered when it may (by the router for IPv4, by the sender for IPv6).
///
/// # Panics
/// It is not so.
pub fn assert_big_pings(lab: &Lab) {
    let (client_mtu, rack_mtu) = (lab.spec.client_mtu, lab.spec.rack_mtu);
    assert!(rack_mtu < client_mtu, "the rack is to be the narrow part");
    for family in lab.families() {
        let near = plan::client_gateway(family);
        let refused = ping(lab, plan::server(family, 1), 1, client_mtu, &["-M", "do"]);
        let words = match family {
            Family::V4 => format!("Frag needed and DF set (mtu = {rack_mtu})"),
            Family::V6 => format!("Packet too big: mtu={rack_mtu}"),
        };
        let said = refused.all();
        assert!(
            said.contains(&words) && said.contains(&format!("From {near}")),
            "{refused}"
        );
        // Each to a server of its own: the kernel remembers the MTU of a path.
        in_time(|| {
            let passed = match family {
                Family::V4 => ping(lab, plan::server(family, 2), 3, client_mtu, &["-M", "dont"]),
                // The first one teaches the sender, which says so; the others arrive in pieces.
                Family::V6 => ping(lab, plan::server(family, 2), 4, client_mtu, &[]),
            };
            let answers = passed.stdout.matches("bytes from").count();
            let enough = (answers >= 3).then_some(());
            enough.ok_or_else(|| format!("{answers} answers: {passed}"))
        });
    }
}

/// TCP finds the path's MTU in both directions, although both ends believe in `mss` bytes a segment:
/// large transfers pass, and the end before the narrow part has learnt its MTU.
///
/// # Panics
/// They do not pass.
pub fn assert_path_mtu_discovery(lab: &Lab) {
    for family in lab.families() {
        believe_in_large_segments(lab, family);
        let server = lab.segment.server(3);
        let to = plan::server(family, server.number);
        bulk::upload(to, TRANSFER).unwrap_or_else(|e| panic!("upload to {to}: {e}"));
        bulk::download(to, TRANSFER).unwrap_or_else(|e| panic!("download from {to}: {e}"));
        let narrow = lab.spec.client_mtu.min(lab.spec.rack_mtu);
        let learnt = if lab.spec.rack_mtu < lab.spec.client_mtu {
            lab.run("ip", &["route", "get", &to.to_string()])
        } else {
            let client = plan::client(family).to_string();
            server.run(&lab.scratch, "ip", &["route", "get", &client])
        };
        assert!(
            learnt.stdout.contains(&format!("mtu {narrow} ")),
            "{learnt}"
        );
    }
}

/// Has clients and servers announce segments of 1500-byte packets, whatever their own link takes; else
/// TCP's own exchange would avoid what is to be tried.
fn believe_in_large_segments(lab: &Lab, family: Family) {
    let mss = (1500 - family.header_len() - 20).to_string();
    let near = plan::client_gateway(family).to_string();
    let net = plan::rack_net(family);
    lab.run(
        "ip",
        &[
            "route",
            "change",
            &net,
            "via",
            &near,
            "dev",
            lab.client_end(),
            "advmss",
            &mss,
        ],
    )
    .success();
    let far = plan::rack_gateway(family).to_string();
    for server in &lab.segment.servers {
        let args = [
            family.flag(),
            "route",
            "change",
            "default",
            "via",
            &far,
            "advmss",
            &mss,
        ];
        server.run(&lab.scratch, "ip", &args).success();
    }
}
