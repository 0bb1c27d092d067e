//! Ports, counters, next hops and the overall status on the wire.

use super::route::Admin;
use super::route::Health;
use super::route::Path;
use super::route::PathKind;
use super::route::is_first_fib;
use super::route::is_not;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A port and what went through it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// `tun`, `tap`, `packet`, `xdp`, `vlan` or `mem`.
    pub kind: String,
    /// Of a VLAN: the port by whose device its frames go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Of a VLAN: its tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// Up.
    pub up: bool,
    /// What was last heard of its device: `up`, `down`, `gone` or `moved` (to another network namespace).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// By which way frames get to one of type `xdp`: `zero-copy`, `copy` or `generic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// What is wrong with its device, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The largest packet that it takes at present, in bytes.
    pub mtu: u32,
    /// Its MTU as configured, while its interface takes less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured_mtu: Option<u32>,
    /// Its link address, for Ethernet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// What its device takes unfinished: `csum`, `tso4`, `tso6`, `ecn`, `uso`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offloads: Vec<String>,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<String>,
    /// Frames received.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames received that no queue or buffer could take, or that were dropped for what they are.
    pub rx_dropped: u64,
    /// Frames that its device dropped because they were not taken fast enough.
    #[serde(default)]
    pub rx_missed: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames that the device refused.
    pub tx_refused: u64,
}

/// What `PortList` answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ports {
    /// By index.
    pub ports: Vec<Port>,
}

/// The blocks of counters, in the order of a listing.
pub const PROTOCOLS: [&str; 8] = [
    "ether",
    "arp",
    "nd6",
    "ip",
    "ip6",
    "icmp",
    "transport",
    "flowgate",
];

/// Parameters of `Counters`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountersOf {
    /// One protocol only: `ip`, `ip6`, `icmp`, `icmp6`, `arp`, `nd6`, `flowgate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Its name, FreeBSD's where it has one: `ips_noroute`.
    pub name: String,
    /// Since the start.
    pub value: u64,
    /// What it counts, in words that follow the number.
    pub text: String,
}

/// The counters of one protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterBlock {
    /// `ip`, `arp` and so on.
    pub protocol: String,
    /// In the order of a listing.
    pub counters: Vec<Counter>,
}

/// What `Counters` answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// One a protocol.
    pub blocks: Vec<CounterBlock>,
}

/// A next hop: what the word says that all its flows obey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nexthop {
    /// Its place.
    pub index: u32,
    /// Its generation.
    pub generation: u32,
    /// What it does.
    pub kind: PathKind,
    /// The neighbour, for a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The port's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Its MTU in bytes; 0 when the port's counts.
    pub mtu: u32,
    /// Whether it takes new flows.
    pub admin: Admin,
    /// Whether it answers.
    pub health: Health,
    /// How many groups name it.
    pub groups: u32,
    /// Its gateway is on no port's network: other routes lead to it.
    #[serde(default, skip_serializing_if = "is_not")]
    pub recursive: bool,
    /// Of a recursive one: the neighbour that its packets go to at present; absent if no route leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<IpAddr>,
    /// Why it is dead: `neighbour`, `check`, `port`, `operator`, `unresolved`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

/// A next-hop group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its place.
    pub index: u32,
    /// Its number, if the operator gave it one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// How many buckets it has.
    pub buckets: u32,
    /// Its members.
    pub members: Vec<Path>,
}

/// A page of `NexthopList`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Nexthops {
    /// By place.
    pub nexthops: Vec<Nexthop>,
    /// By place.
    pub groups: Vec<Group>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Its number.
    pub worker: u16,
    /// The CPU that it is pinned to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Packets it took from its own queues.
    pub packets: u64,
    /// Of these, packets it handed to their owner.
    pub handed_off: u64,
    /// Share of its time that it slept, in thousandths.
    pub sleep_permille: u32,
    /// Flows in its tables.
    pub flows: u64,
}

/// A bounded table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name, as in the configuration.
    pub name: String,
    /// How much of it is used.
    pub used: u64,
    /// How much there is.
    pub limit: u64,
    /// What happens when it is full.
    pub policy: String,
    /// How often that happened.
    pub overflows: u64,
}

/// Memory that grows with routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// What it is: `rib`, `fib-v4`, `fib-v6` (what workers look up), `fib-books-v4`, `fib-books-v6` (control's own).
    pub name: String,
    /// Its bytes, in all FIBs.
    pub bytes: u64,
    /// How many routes it is for.
    pub routes: u64,
}

/// A next hop that takes no new flows, or does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Its name.
    pub name: String,
    /// The prefix whose group it leaves; absent when it leaves all, or a group that has a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The number of the group that it leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// That prefix's FIB.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
    /// Whether it takes new flows.
    pub admin: Admin,
    /// Whether it answers.
    pub health: Health,
    /// Flows still pinned to it.
    pub flows: u64,
    /// Seconds until they must move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u32>,
}

/// What `Status` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Flowgate's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Milliseconds since the start.
    pub uptime: u64,
    /// The workers.
    pub workers: Vec<Worker>,
    /// Whether a program has devices deliver packets to their flows' workers, and if not, why.
    #[serde(default)]
    pub steering: String,
    /// On what memory the flow tables are; if not on a memfd's huge pages, why, and what would help.
    #[serde(default)]
    pub flow_memory: String,
    /// What the daemon has given up of its rights, its files and its system calls; if nothing, why.
    #[serde(default)]
    pub sandbox: String,
    /// Every bounded table.
    pub tables: Vec<Table>,
    /// What routes take of memory.
    #[serde(default)]
    pub memory: Vec<Memory>,
    /// Flows that changed their next hop, by reason.
    pub moved: BTreeMap<String, u64>,
    /// Flows that moved for no reason in the list: always 0.
    pub collateral: u64,
    /// Packets forwarded without a pin.
    pub unpinned_packets: u64,
    /// Next hops that drain or are dead.
    pub leaving: Vec<Leaving>,
}
