//! Ports as everyone sees them: published by control as one object, loaded by a worker once a burst.

use crate::rules::Rules;
use arp::Mac;
use route::{FibId, PortId, Prefix};
use std::net::IpAddr;

/// What a frame on a port looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Ethernet frames; ours carry this hardware address.
    L2(Mac),
    /// Bare IP packets (TUN).
    L3,
}

/// An own address on a port, with the network that is on-link there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortAddr {
    /// The address.
    pub addr: IpAddr,
    /// Length of the on-link prefix.
    pub len: u8,
}

impl PortAddr {
    /// The on-link network.
    pub fn network(&self) -> Option<Prefix> {
        Prefix::new(mask(self.addr, self.len), self.len).ok()
    }
}

fn mask(addr: IpAddr, len: u8) -> IpAddr {
    match addr {
        IpAddr::V4(a) => {
            let keep = u32::MAX
                .checked_shl(32 - u32::from(len.min(32)))
                .unwrap_or(0);
            IpAddr::V4((a.to_bits() & keep).into())
        }
        IpAddr::V6(a) => {
            let keep = u128::MAX
                .checked_shl(128 - u32::from(len.min(128)))
                .unwrap_or(0);
            IpAddr::V6((a.to_bits() & keep).into())
        }
    }
}

/// What a port that is a VLAN is made of (IEEE 802.1Q): frames of another port that bear its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// The port whose device carries its frames: one of Ethernet, and no VLAN itself.
    pub parent: PortId,
    /// The tag's VLAN identifier, 1 to 4094.
    pub vid: u16,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its index.
    pub id: PortId,
    /// Its name, as the configuration and `-iface` have it.
    pub name: String,
    /// The FIB of what comes in by it, of its own addresses and of its networks.
    pub fib: FibId,
    /// What its frames look like.
    pub layer: Layer,
    /// Largest IP packet it takes, bytes, as it is configured.
    pub mtu: u32,
    /// The MTU of its interface, while that is smaller: what is longer would be lost there.
    pub narrowed: Option<u32>,
    /// Whether it is up: the operator says so, and its device carries frames.
    pub up: bool,
    /// Our own addresses there.
    pub addrs: Vec<PortAddr>,
    /// What it lets through.
    pub rules: Rules,
    /// If it is a VLAN of another port. Such ports have no queues, and come behind all that have.
    pub vlan: Option<Vlan>,
}

impl Port {
    /// The largest IP packet that it takes at present, bytes.
    pub fn takes(&self) -> u32 {
        self.narrowed.map_or(self.mtu, |has| has.min(self.mtu))
    }

    /// Our address there in the family of `like`; a global one before a link-local one.
    pub fn own_addr(&self, like: &IpAddr) -> Option<IpAddr> {
        let any = || self.of_family(like).next();
        self.routable_addr(like).or_else(any)
    }

    /// The same, but none that is valid on this link alone.
    fn routable_addr(&self, like: &IpAddr) -> Option<IpAddr> {
        self.of_family(like).find(|addr| !is_link_local(addr))
    }

    fn of_family(&self, like: &IpAddr) -> impl Iterator<Item = IpAddr> + '_ {
        let v4 = like.is_ipv4();
        let addrs = self.addrs.iter().map(|own| own.addr);
        addrs.filter(move |addr| addr.is_ipv4() == v4)
    }

    /// Our first IPv6 link-local address there: neighbour discovery's source (RFC 4861 §4).
    pub fn link_local(&self) -> Option<IpAddr> {
        let mut all = self.addrs.iter().map(|a| a.addr);
        all.find(|addr| addr.is_ipv6() && is_link_local(addr))
    }

    /// Whether `addr` is one of our own there.
    pub fn has(&self, addr: &IpAddr) -> bool {
        self.addrs.iter().any(|own| own.addr == *addr)
    }

    /// Whether `addr` is in a network that is on-link there.
    pub fn on_link(&self, addr: &IpAddr) -> bool {
        self.addrs
            .iter()
            .any(|a| a.network().is_some_and(|net| net.contains(*addr)))
    }

    /// Whether one of the networks there has both of these.
    pub fn joins(&self, one: &IpAddr, other: &IpAddr) -> bool {
        let mut networks = self.addrs.iter().filter_map(PortAddr::network);
        networks.any(|net| net.contains(*one) && net.contains(*other))
    }

    /// Whether `addr` is the broadcast address of a network there, or that network's zero address.
    pub fn is_broadcast(&self, addr: &IpAddr) -> bool {
        let IpAddr::V4(addr) = addr else { return false };
        self.addrs.iter().any(|a| match a.addr {
            IpAddr::V4(own) if a.len < 31 => {
                let host = u32::MAX >> a.len;
                let same = (own.to_bits() ^ addr.to_bits()) & !host == 0;
                same && matches!(addr.to_bits() & host, h if h == 0 || h == host)
            }
            _ => false,
        })
    }

    /// Whether `addr` means all stations of a network there: its last address, if it has more than two.
    pub fn is_to_all(&self, addr: &IpAddr) -> bool {
        let IpAddr::V4(addr) = addr else { return false };
        self.addrs.iter().any(|own| match own.addr {
            IpAddr::V4(net) if own.len < 31 => {
                let host = u32::MAX >> own.len;
                net.to_bits() | host == addr.to_bits()
            }
            _ => false,
        })
    }

    /// The hardware address, if the port has one.
    pub fn mac(&self) -> Option<Mac> {
        match self.layer {
            Layer::L2(mac) => Some(mac),
            Layer::L3 => None,
        }
    }
}

/// Whether an address is valid on its link only (RFC 3927, RFC 4291 §2.5.6).
pub fn is_link_local(addr: &IpAddr) -> bool {
    match addr {
        IpAddr::V4(a) => a.is_link_local(),
        IpAddr::V6(a) => a.is_unicast_link_local(),
    }
}

/// What the kernel says of a port's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// It is up and has a carrier.
    Up,
    /// It is set down, or has no carrier.
    Down,
    /// It is no more; a device of its name is another one, which takes its place when it has been opened.
    Deleted,
    /// It is in another network namespace now, where nobody watches it; it may well carry frames.
    Moved,
}

impl DeviceState {
    /// Whether frames may pass.
    pub const fn carries(self) -> bool {
        matches!(self, Self::Up | Self::Moved)
    }
}

/// All ports, in the order of their indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports(pub Vec<Port>);

impl Ports {
    /// The port with index `id`.
    pub fn get(&self, id: PortId) -> Option<&Port> {
        self.0.get(usize::from(id.0))
    }

    /// The port called `name`.
    pub fn named(&self, name: &str) -> Option<&Port> {
        self.0.iter().find(|p| p.name == name)
    }

    /// The largest packet that a way takes which is good for `mtu` bytes and ends at a port: next hops know the MTU that they were
    /// given, and not what becomes of interfaces.
    pub fn takes_by(&self, port: PortId, mtu: u32) -> u32 {
        self.get(port).map_or(mtu, |port| port.takes().min(mtu))
    }

    /// The VLANs of a port.
    pub fn vlans_of(&self, parent: PortId) -> impl Iterator<Item = &Port> {
        let of_parent = move |port: &&Port| port.vlan.is_some_and(|vlan| vlan.parent == parent);
        self.0.iter().filter(of_parent)
    }

    /// The ports of a FIB.
    pub fn of_fib(&self, fib: FibId) -> impl Iterator<Item = &Port> + Clone {
        self.0.iter().filter(move |port| port.fib == fib)
    }

    /// The FIB of a port; FIB 0 if there is none.
    pub fn fib_of(&self, id: PortId) -> FibId {
        self.get(id).map_or(FibId(0), |port| port.fib)
    }

    /// The port of a FIB on which `addr` is on-link, by the longest network.
    pub fn reaching(&self, fib: FibId, addr: &IpAddr) -> Option<&Port> {
        let matches = self
            .of_fib(fib)
            .flat_map(|port| port.addrs.iter().map(move |a| (port, a)));
        matches
            .filter(|(_, a)| a.network().is_some_and(|net| net.contains(*addr)))
            .max_by_key(|(_, a)| a.len)
            .map(|(port, _)| port)
    }

    /// The ports of a FIB on whose link an IPv6 link-local address may be, if there are several: then it is no host's without
    /// its zone (RFC 4007 §6). None of any other address.
    pub fn ambiguous(&self, fib: FibId, addr: &IpAddr) -> Option<Vec<&Port>> {
        if !(addr.is_ipv6() && is_link_local(addr)) {
            return None;
        }
        let ports: Vec<&Port> = self.of_fib(fib).filter(|port| port.on_link(addr)).collect();
        (ports.len() > 1).then_some(ports)
    }

    /// The port of a FIB that has `addr` as one of its own.
    pub fn owning(&self, fib: FibId, addr: &IpAddr) -> Option<&Port> {
        self.of_fib(fib).find(|p| p.has(addr))
    }

    /// Whether `addr` is one of our own in a FIB.
    pub fn is_own(&self, fib: FibId, addr: &IpAddr) -> bool {
        self.owning(fib, addr).is_some()
    }

    /// As [`Self::is_own`], of a packet that came in by `port`: a link-local address is that port's alone (RFC 4007 §6).
    pub fn is_own_at(&self, port: PortId, fib: FibId, addr: &IpAddr) -> bool {
        if is_link_local(addr) {
            self.get(port).is_some_and(|port| port.has(addr))
        } else {
            self.is_own(fib, addr)
        }
    }

    /// Whether `addr` is the broadcast or zero address of a network of a port in that FIB.
    pub fn is_broadcast(&self, fib: FibId, addr: &IpAddr) -> bool {
        self.of_fib(fib).any(|port| port.is_broadcast(addr))
    }

    /// By which FIB packets of our own sockets go: by that of the port whose address they are from, the lowest if
    /// several have it.
    pub fn fib_from(&self, source: &IpAddr) -> FibId {
        let own = |p: &&Port| p.addrs.iter().any(|a| a.addr == *source);
        let fibs = self.0.iter().filter(own).map(|port| port.fib);
        fibs.min().unwrap_or_default()
    }

    /// Our address for packets of our own to `dst`: of the port that it is next to, in the lowest FIB that has one,
    /// else any of its family, of a low FIB before a high one; one that `dst` can answer, as [`answer_from`](Self::answer_from).
    pub fn source_for(&self, dst: &IpAddr) -> Option<IpAddr> {
        let mut fibs: Vec<FibId> = self.0.iter().map(|port| port.fib).collect();
        fibs.sort_unstable();
        let near = fibs.iter().filter_map(|fib| self.reaching(*fib, dst));
        let any = fibs.iter().flat_map(|fib| self.of_fib(*fib));
        best_of(near.chain(any), dst)
    }

    /// An own address to answer `to` from when a packet came in by `port`: one of that port, else one of its FIB, else any
    /// of the family. One that is valid on one link alone answers its own link, and others only if there is no better: a router
    /// on the way would throw the answer away (RFC 4007 §9).
    pub fn answer_from(&self, port: PortId, to: &IpAddr) -> Option<IpAddr> {
        let near = self.of_fib(self.fib_of(port));
        best_of(self.get(port).into_iter().chain(near).chain(&self.0), to)
    }
}

/// The first address of these ports that `to` can answer; if there is none, the first of its family.
fn best_of<'p>(ports: impl Iterator<Item = &'p Port> + Clone, to: &IpAddr) -> Option<IpAddr> {
    let any = || ports.clone().find_map(|port| port.own_addr(to));
    if is_link_local(to) {
        return any();
    }
    let routable = ports.clone().find_map(|port| port.routable_addr(to));
    routable.or_else(any)
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
