//! `flowgate.toml`: read whole, checked whole, then handed to the daemon as plain values.
//!
//! [`load`] answers with a [`Config`] or with every problem it found, each one line: `FILE:LINE: what is wrong: what to
//! write instead`. Three steps, a file each: [`document`] walks the TOML with its line numbers, [`read`] knows the keys,
//! their types and ranges, [`check`] looks at what must fit together. Nothing here touches anything but the file.

mod check;
mod document;
mod nearest;
mod problem;
mod read;
mod vlans;

pub use problem::Problem;
pub use problem::Problems;

use crate::wire::options::Options;
use crate::wire::route::PathKind;
use flowtable::State;
use route::Prefix;
use route::TimeoutClass;
use stack::io::memfd::Memory;
use stack::io::xdp;
use stack::rules::Rules;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;

/// A value and the line that it stands on, for what is found wrong with it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its line, from 1.
    pub line: usize,
}

/// The whole configuration. What the file leaves out has its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[control]`
    pub control: Control,
    /// `[security]` `sandbox`: whether the daemon gives up what it does not need any more.
    pub sandbox: bool,
    /// `[tables]`
    pub tables: Tables,
    /// `[timeouts]`: those that are given.
    pub timeouts: Vec<(State, u32)>,
    /// `[timeouts.NAME]`
    pub timeout_classes: Vec<TimeoutsOf>,
    /// `[secrets]` `group-secret-file`; beside the configuration when left out.
    pub group_secret_file: PathBuf,
    /// `[state]` `state-file`; beside the configuration when left out.
    pub state_file: PathBuf,
    /// `[[port]]`, in their order, which numbers them; VLANs behind all others.
    pub ports: Vec<Port>,
    /// `[[group]]`
    pub groups: Vec<Group>,
    /// `[[route]]`
    pub routes: Vec<Route>,
    /// `[[health]]`
    pub health: Vec<HealthCheck>,
    /// `[neighbour]`
    pub neighbour: Neighbour,
    /// `[icmp]`
    pub icmp: Icmp,
}

/// `[timeouts.NAME]`: a class of timeouts that routes name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeoutsOf {
    /// Its name.
    pub name: Located<TimeoutClass>,
    /// Those that are given; the others are as in `[timeouts]`.
    pub timeouts: Vec<(State, u32)>,
}

/// `[gateway]`: the threads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gateway {
    /// Workers, 1 to 256; one for each CPU of `cpus`, or of the machine, when left out.
    pub workers: Option<usize>,
    /// As many as there may be at run time, 1 to 256 and no less than `workers`; as many, when left out.
    pub max_workers: Option<usize>,
    /// CPUs to pin the workers to, in turn; empty: the system decides.
    pub cpus: Vec<usize>,
    /// FIBs, 1 to 16; 1 when left out.
    pub fibs: Option<u8>,
    /// Workers spin instead of sleeping.
    pub busy_poll: bool,
    /// Devices deliver packets to their flows' workers by a program, where that is allowed; absent: yes.
    pub steering: Option<bool>,
}

/// `[control]`: the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    /// Its path; the user's own place when left out.
    pub socket: Option<PathBuf>,
    /// A group that may call.
    pub group: Option<String>,
}

/// `[tables]`: limits, each in entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// IPv4 flows.
    pub flows_v4: usize,
    /// IPv6 flows.
    pub flows_v6: usize,
    /// Percent of a worker's flows that one source network may hold when the table fills up.
    pub source_share: u32,
    /// On what memory the flows are.
    pub memory: Memory,
    /// Affinity templates: client networks of sticky routes.
    pub templates: usize,
    /// Neighbours of both families.
    pub neighbours: usize,
    /// Packets that wait for a neighbour, a worker.
    pub held_packets: usize,
    /// Fragments that wait for their first piece, a worker.
    pub fragments: usize,
    /// Packet buffers, a worker.
    pub buffers: usize,
    /// Buffers for super-packets, a worker.
    pub large_buffers: usize,
    /// Next hops.
    pub next_hops: u32,
    /// Next-hop groups.
    pub groups: u32,
    /// Lines that all groups' buckets and members share.
    pub group_lines: u32,
    /// Buckets of a group of several next hops.
    pub buckets: u32,
    /// Routes, a family.
    pub routes: u32,
    /// Bytes of a family's forwarding table.
    pub fib_bytes: usize,
}

impl Default for Tables {
    fn default() -> Self {
        let (setup, route, neigh) = (
            stack::Setup::default(),
            ::route::Config::default(),
            arp::Config::default(),
        );
        Self {
            flows_v4: setup.flows_v4,
            flows_v6: setup.flows_v6,
            source_share: flowtable::Table::<flowtable::KeyV4>::SOURCE_SHARE,
            memory: Memory::Auto,
            templates: setup.templates,
            neighbours: neigh.limit,
            held_packets: setup.hold.1,
            fragments: setup.fragments.1,
            buffers: setup.buffers,
            large_buffers: 64,
            next_hops: route.max_nhops,
            groups: route.max_groups,
            group_lines: route.max_lines,
            buckets: route.default_buckets,
            routes: route.max_routes,
            fib_bytes: route.max_fib_bytes,
        }
    }
}

/// What a port's device carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortType {
    /// IP packets.
    Tun,
    /// Ethernet frames.
    Tap,
    /// Ethernet frames of an interface that is there.
    Packet,
    /// The same by XDP sockets, past the kernel's network stack.
    Xdp,
    /// Frames of another port that bear its tag.
    Vlan,
}

impl PortType {
    /// Whether its device is an interface that is there.
    pub fn is_found(self) -> bool {
        matches!(self, Self::Packet | Self::Xdp)
    }
}

/// `[[port]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name, which is the device's too.
    pub name: Located<String>,
    /// TUN, TAP, packet sockets, XDP sockets, or a VLAN of another port.
    pub kind: PortType,
    /// Of a VLAN, and of no other: whose.
    pub vlan: Option<VlanOf>,
    /// The FIB of what comes in by it.
    pub fib: Located<u8>,
    /// Queues of the device; one for each worker.
    pub queues: Option<Located<usize>>,
    /// The gateway's own addresses, with the networks that are on-link.
    pub addresses: Vec<Located<Address>>,
    /// The kernel's addresses on the device.
    pub host_addresses: Vec<Located<Address>>,
    /// Largest IP packet, in bytes.
    pub mtu: Located<u32>,
    /// Up from the start.
    pub up: bool,
    /// The gateway's hardware address; when left out, a TAP's is made from the name and the secret, and on an interface
    /// that is there it is that one's.
    pub mac: Option<Located<arp::Mac>>,
    /// The interface passes on what is for others too.
    pub promiscuous: Option<Located<bool>>,
    /// What it lets through.
    pub rules: Rules,
    /// How frames get to a port of type xdp; absent: the best way that works.
    pub xdp_mode: Option<Located<xdp::Mode>>,
    /// Whether checksums and the cutting of super-packets may be left to the other side of the device; absent: yes, but on a
    /// port of type xdp.
    pub offload: Option<Located<bool>>,
}

/// What a VLAN's frames are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VlanOf {
    /// The port by whose device they go.
    pub parent: Located<String>,
    /// Their tag, 1 to 4094.
    pub vid: Located<u16>,
}

impl VlanOf {
    /// What FreeBSD and Linux call it, and what it is called if nothing is said.
    pub fn name(&self) -> String {
        format!("{}.{}", self.parent.value, self.vid.value)
    }
}

impl Port {
    /// Whether checksums and the cutting of super-packets may be left to the other side of the device; a VLAN has none.
    pub fn has_offload(&self) -> bool {
        self.vlan.is_none()
            && self.kind != PortType::Xdp
            && self.offload.as_ref().is_none_or(|offload| offload.value)
    }
}

/// An address and the length of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// The length.
    pub length: u8,
}

impl Address {
    /// The network that it lies in.
    pub fn network(self) -> Prefix {
        Prefix::masked(self.address, self.length)
    }
}

/// `[[group]]`: gateways that routes share by a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub number: Located<u32>,
    /// On whose ports its gateways are looked for.
    pub fib: Located<u8>,
    /// Its gateways.
    pub gateways: Vec<Located<GatewayOf>>,
    /// Their MTU.
    pub mtu: Option<u32>,
    /// They may be on no port's network: other routes lead to them.
    pub recursive: bool,
    /// How it treats flows.
    pub options: Options,
}

/// `[[route]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The prefix, in its FIB.
    pub destination: Located<Prefix>,
    /// What it leads to.
    pub kind: PathKind,
    /// Its gateways.
    pub gateways: Vec<Located<GatewayOf>>,
    /// The port, for a route without gateway.
    pub iface: Option<Located<String>>,
    /// The path's MTU.
    pub mtu: Option<u32>,
    /// Its gateways may be on no port's network: other routes lead to them.
    pub recursive: bool,
    /// How it treats flows.
    pub options: Options,
}

/// A gateway of a route or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayOf {
    /// Its address.
    pub address: IpAddr,
    /// Its share.
    pub weight: u32,
    /// Its port, where the address alone does not say.
    pub port: Option<String>,
}

/// `[[health]]`: a TCP connection to a server, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The next hop that it speaks for.
    pub gateway: Located<IpAddr>,
    /// Whom it connects to; the gateway itself when left out.
    pub address: IpAddr,
    /// The TCP port.
    pub port: u16,
    /// From one attempt to the next, ms.
    pub interval_ms: u64,
    /// How long an attempt may take, ms.
    pub timeout_ms: u64,
    /// Failures in a row that make the next hop dead.
    pub tries: u32,
}

/// `[neighbour]`: how neighbours are asked and watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Between two probes of a next hop's gateway, ms.
    pub probe_interval_ms: u32,
    /// Until an unanswered probe of a gateway is repeated, ms.
    pub probe_retry_ms: u32,
    /// Unanswered probes that make a gateway dead.
    pub probe_tries: u32,
    /// Between two questions for an ordinary neighbour, ms.
    pub retry_ms: u32,
    /// Questions for an ordinary neighbour without an answer until it has failed.
    pub tries: u32,
    /// How long an answer holds, seconds.
    pub lifetime_s: u32,
    /// How long a failed neighbour is remembered as such, seconds.
    pub failed_hold_s: u32,
    /// Whether a neighbour's known hardware address is asked before another is believed.
    pub verify_moves: bool,
}

impl Default for Neighbour {
    fn default() -> Self {
        let arp = arp::Config::default();
        Self {
            probe_interval_ms: arp.gateway_probe_ms,
            probe_retry_ms: arp.gateway_retrans_ms,
            probe_tries: arp.gateway_tries,
            retry_ms: arp.retrans_ms,
            tries: arp.max_tries,
            lifetime_s: arp.reachable_ms / 1000,
            failed_hold_s: arp.failed_hold_ms / 1000,
            verify_moves: arp.verify_moves,
        }
    }
}

/// `[icmp]`: messages a second, all workers together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Icmp {
    /// Error messages, each class by itself.
    pub errors_per_second: u32,
    /// Error messages to one address, but for redirects.
    pub errors_per_address: u32,
    /// Redirects to one address.
    pub redirects_per_address: u32,
    /// Echo replies.
    pub echo_per_second: u32,
}

impl Default for Icmp {
    fn default() -> Self {
        let rates = stack::icmp::Rates::default();
        Self {
            errors_per_second: rates.errors.per_second,
            errors_per_address: rates.source.per_second,
            redirects_per_address: rates.redirects.per_second,
            echo_per_second: rates.echo.per_second,
        }
    }
}

/// Reads and checks a configuration file.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines.
pub fn load(path: &Path) -> Result<Config, Problems> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) => Err(Problems::unreadable(path, &error)),
    }
}

/// Reads and checks a configuration's text; the path names it in messages and is the place of what lies beside it.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines.
pub fn parse(path: &Path, text: &str) -> Result<Config, Problems> {
    let mut problems = Problems::of(path);
    let config = read::config(path, text, &mut problems);
    if let Some(config) = &config {
        check::config(config, &mut problems);
    }
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems.in_order()),
    }
}

#[cfg(test)]
mod tests;
