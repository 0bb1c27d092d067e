//! DPDK's `testpmd` in the gateway's place: what comes by one interface goes out by the other as it is.
//!
//! It is a wire, not a router: either host is told that its router has the other host's hardware address. Its drivers of packet and XDP
//! sockets know no offloads, so the hosts finish their packets themselves. It never sleeps: one CPU is its own.

use super::cable::lay;
use super::place::{End, Ends, FAR, said};
use super::tool::{Program, find};
use super::{Forwarder, Of};
use crate::clock::sleep;
use stack::io::poll::cpus;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The program, or why it cannot be compared with.
pub(super) fn tool() -> Result<(), String> {
    find("dpdk-testpmd", "dpdk-dev")?;
    find("ethtool", "ethtool")?;
    match cpus().len() {
        1 => Err("dpdk-testpmd needs two CPUs".into()),
        _ => Ok(()),
    }
}

/// The running program.
pub(super) struct Testpmd(#[expect(dead_code, reason = "it runs until this is dropped")] Program);

impl Testpmd {
    pub(super) fn start(ends: &Ends, of: Of) -> Result<Self, String> {
        let near = [lay(&ends.client, 1)?, lay(&ends.server, 1)?];
        for end in [&ends.client, &ends.server] {
            finish_packets(end)?;
        }
        ends.client.know(ends.server.mac()?)?;
        ends.server.know(ends.client.mac()?)?;
        for name in &near {
            let words = ["link", "set", name, "up"];
            let up = Command::new("ip").args(words).status().map_err(said)?;
            if !up.success() {
                return Err(format!("ip {}: failed", words.join(" ")));
            }
        }
        let mut program = Program::start(command(&near, of)?)?;
        // Whether it forwards is found out by who uses it; this is for one that cannot start at all.
        sleep(Duration::from_millis(500));
        match program.ended() {
            Some(status) => Err(format!("dpdk-testpmd: {status}")),
            None => Ok(Self(program)),
        }
    }
}

fn command(near: &[String; 2], of: Of) -> Result<Command, String> {
    let driver = match of {
        Of::Xdp => "net_af_xdp",
        Of::Packet | Of::Tun => "net_af_packet",
    };
    let mut command = Command::new(find("dpdk-testpmd", "dpdk-dev")?);
    let two: Vec<String> = cpus().iter().take(2).map(ToString::to_string).collect();
    command.args(["--no-huge", "-m", "256", "--no-pci", "--no-shconf", "-l"]);
    command.arg(two.join(","));
    for (n, name) in near.iter().enumerate() {
        command.arg(format!("--vdev={driver}{n},iface={name}"));
    }
    command.args(["--", "--forward-mode=io", "--auto-start"]);
    command.arg("--total-num-mbufs=16384");
    // It ends when its standard input does.
    command.stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

/// Has a host compute checksums and cut segments before its packets leave.
fn finish_packets(end: &End) -> Result<(), String> {
    let mut command = Command::new(find("ethtool", "ethtool")?);
    command.args(["-K", FAR, "tx", "off", "tso", "off", "gso", "off"]);
    command.stdout(Stdio::null());
    let done = end.enter(|| command.status())?.map_err(said)?;
    match done.success() {
        true => Ok(()),
        false => Err(format!("ethtool -K {FAR}: failed")),
    }
}

impl Forwarder for Testpmd {
    fn forwarded(&self) -> u64 {
        0
    }
}
