//! Packet sockets: a port on an interface that is there, such as a network card or a veth.
//!
//! A socket for each worker, joined in a fanout group by which the kernel gives each flow to one of them: by its own
//! hash, or as root by the steering program, to the flow's owner. What comes in is read from a ring that is shared with
//! the kernel, without a system call. It is `TPACKET_V2`, where a frame can be read at once: a block of `TPACKET_V3` waits
//! until it is full or a timer of 1 ms or more runs out, and that at every gateway on the way. Slots hold a frame of the
//! port's MTU; a super-packet does not fit, and is read from the socket, where the kernel keeps it whole
//! (`PACKET_COPY_THRESH`).
//!
//! Each frame has its virtio header in both directions, so checksums may be unfinished and super-packets pass whole: the
//! kernel finishes and cuts what the card does not.
//!
//! The interface's own kernel hears the same frames. It must have no address there and not forward, or it would answer
//! and forward too ([`Device::warnings`]); with a hardware address of the gateway's own it is out of the way altogether.

mod queue;
mod refusal;
pub(super) mod ring;
#[cfg(test)]
mod tests;

pub use queue::PacketQueue;
pub use refusal::PacketError;

use super::netlink::{Netlink, NetlinkError};
use super::steer::Programs;
use crate::offload::Caps;
use arp::Mac;
use nix::errno::Errno;
use ring::{Layout, Ring, bind, deafen, get, set};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

/// Slots of a queue's ring.
const SLOTS: usize = 1024;
/// Room for frames longer than a slot that wait for us, bytes.
const WAITING: libc::c_int = 8 << 20;
/// Beyond the MTU: an Ethernet header and two VLAN tags.
const LINK_ROOM: u32 = 22;

/// A port on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketSpec {
    /// The interface's name.
    pub name: String,
    /// Sockets, one a worker.
    pub queues: usize,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// The gateway's hardware address, if it is not to be the interface's.
    pub mac: Option<Mac>,
    /// The gateway's own addresses: of the IPv6 ones the groups are joined to which neighbours send their questions.
    pub addrs: Vec<IpAddr>,
    /// Have the card pass on what is for others too.
    pub promiscuous: bool,
    /// Whether the interface is set up.
    pub up: bool,
}

impl PacketSpec {
    /// A port on `name`: one queue, MTU 1500, up, the interface's own address.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            queues: 1,
            mtu: 1500,
            mac: None,
            addrs: Vec::new(),
            promiscuous: false,
            up: true,
        }
    }

    /// Bytes that its queues share with the kernel.
    pub fn shared_bytes(&self) -> u64 {
        (self.layout().bytes() as u64).saturating_mul(self.queues.max(1) as u64)
    }

    fn layout(&self) -> Layout {
        Layout::of(self.mtu.saturating_add(LINK_ROOM) as usize, SLOTS)
    }
}

/// A port that was opened. Its queues go to the workers.
#[derive(Debug)]
pub struct Device {
    /// The interface's name.
    pub name: String,
    /// The kernel's number for it.
    pub ifindex: u32,
    /// The gateway's hardware address there.
    pub mac: Mac,
    /// One for each worker, in order.
    pub queues: Vec<PacketQueue>,
    /// Why the interface's own kernel would get in the way; one line each.
    pub warnings: Vec<String>,
}

/// Opens a port on the interface of `spec`. With `steering`, each packet comes by the queue of its flow's owner; where the
/// kernel refuses that, the port is opened without, and warns.
///
/// # Errors
/// See [`PacketError`]; nothing is left open then.
pub fn open(spec: &PacketSpec, steering: Option<&Programs>) -> Result<Device, PacketError> {
    let (ifindex, own) = interface(spec)?;
    let mac = spec.mac.unwrap_or(own);
    let mut warnings = warnings(&spec.name, mac == own);
    let steered = steering.map(|_| sockets(spec, ifindex, own, steering));
    let queues = match steered {
        Some(Ok(queues)) => queues,
        Some(Err(error)) => {
            warnings.push(format!("not steered: {error}"));
            sockets(spec, ifindex, own, None)?
        }
        None => sockets(spec, ifindex, own, None)?,
    };
    Ok(Device {
        name: spec.name.clone(),
        ifindex,
        mac,
        queues,
        warnings,
    })
}

/// The sockets, all of them or none.
fn sockets(
    spec: &PacketSpec,
    ifindex: u32,
    own: Mac,
    steering: Option<&Programs>,
) -> Result<Vec<PacketQueue>, PacketError> {
    let name = spec.name.as_str();
    let layout = spec.layout();
    let mut queues = Vec::with_capacity(spec.queues);
    for _ in 0..spec.queues.max(1) {
        queues.push(queue(name, ifindex, layout)?);
    }
    let named = PacketError::of;
    let sockets: Vec<_> = queues.iter().map(PacketQueue::socket).collect();
    fan_out(&sockets, steering).map_err(named(name, "share flows out among the sockets"))?;
    if let Some(first) = sockets.first() {
        listen(*first, ifindex, spec, own).map_err(named(name, "hear what is for us"))?;
    }
    for socket in &sockets {
        deafen(*socket, false).map_err(named(name, "take its filter away"))?;
    }
    Ok(queues)
}

/// Whether there is such an interface that could be a port; changes nothing.
///
/// # Errors
/// See [`PacketError`].
pub fn check(spec: &PacketSpec) -> Result<(), PacketError> {
    let spec = PacketSpec {
        up: false,
        ..spec.clone()
    };
    interface(&spec).map(drop)
}

/// Its number and hardware address; it is set up if the port is.
pub(super) fn interface(spec: &PacketSpec) -> Result<(u32, Mac), PacketError> {
    let name = spec.name.as_str();
    let failed = |error: NetlinkError| PacketError::of(name, "rtnetlink")(error.errno);
    let netlink = Netlink::open().map_err(failed)?;
    let ifindex = netlink.link_index(name).map_err(failed)?;
    let mac = netlink.link_mac(ifindex).map_err(failed)?;
    let mac = mac.filter(|mac| *mac != [0; 6]);
    let mac = mac.ok_or_else(|| PacketError::NotEthernet {
        name: name.to_owned(),
    })?;
    let has = netlink.link_mtu(ifindex).map_err(failed)?;
    if has < spec.mtu {
        return Err(PacketError::Mtu {
            name: name.to_owned(),
            has,
            asked: spec.mtu,
        });
    }
    if spec.up && !netlink.is_up(ifindex).map_err(failed)? {
        let up = netlink.set_up(ifindex, true);
        up.map_err(|error| PacketError::setup(name, "set it up", error.errno))?;
    }
    Ok((ifindex, Mac(mac)))
}

/// A bound socket with its ring, that hears nothing until its filter is taken away.
fn queue(name: &str, ifindex: u32, layout: Layout) -> Result<PacketQueue, PacketError> {
    let at = |doing| PacketError::of(name, doing);
    let socket = ring::socket().map_err(at("make it"))?;
    let fd = socket.as_fd();
    deafen(fd, true).map_err(at("give it a filter"))?;
    let options = [
        (
            libc::PACKET_VERSION,
            libc::tpacket_versions::TPACKET_V2 as libc::c_int,
        ),
        (libc::PACKET_VNET_HDR, 1),
        (libc::PACKET_COPY_THRESH, 1),
    ];
    for (option, value) in options {
        set(fd, libc::SOL_PACKET, option, &value).map_err(at("set an option"))?;
    }
    // Kernels before 4.20 do not know it; what the machine sends is then passed over when it is read.
    let _ = set(fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1);
    // Beyond the machine's limit takes CAP_NET_ADMIN; the other gives what there is.
    set(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &WAITING)
        .or_else(|_| set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &WAITING))
        .map_err(at("set its buffer"))?;
    let ring = Ring::make(fd, layout).map_err(at("make its ring"))?;
    bind(fd, ifindex).map_err(at("bind it"))?;
    Ok(PacketQueue::new(socket, ring, caps()))
}

/// The kernel cuts and sums whatever the card does not; UDP super-packets since 6.2.
fn caps() -> Caps {
    let release = nix::sys::utsname::uname().ok();
    let release = release.and_then(|name| name.release().to_str().map(str::to_owned));
    let mut numbers = release
        .as_deref()
        .unwrap_or_default()
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    Caps {
        uso: version >= (6, 2),
        ..Caps::ALL
    }
}

/// Joins the sockets in a group of their own, which delivers by the steering program if there is one. Members are numbered in
/// the order in which they join.
fn fan_out(sockets: &[BorrowedFd<'_>], steering: Option<&Programs>) -> Result<(), Errno> {
    let Some((first, others)) = sockets.split_first().filter(|(_, all)| !all.is_empty()) else {
        return Ok(());
    };
    let kind = match steering {
        Some(_) => libc::PACKET_FANOUT_EBPF,
        None => libc::PACKET_FANOUT_HASH,
    };
    let fresh = (kind | libc::PACKET_FANOUT_FLAG_UNIQUEID) << 16;
    set(*first, libc::SOL_PACKET, libc::PACKET_FANOUT, &fresh)?;
    let made = get(*first, libc::SOL_PACKET, libc::PACKET_FANOUT, 0_u32)?;
    for socket in others {
        set(*socket, libc::SOL_PACKET, libc::PACKET_FANOUT, &made)?;
    }
    if let Some(programs) = steering {
        let program = programs.packets();
        set(*first, libc::SOL_PACKET, libc::PACKET_FANOUT_DATA, &program)?;
    }
    Ok(())
}

/// Has the card pass on what is for the gateway: its address if it is not the card's own, its groups, or everything.
pub(super) fn listen(
    socket: BorrowedFd<'_>,
    ifindex: u32,
    spec: &PacketSpec,
    own: Mac,
) -> Result<(), Errno> {
    let join = |kind, mac: Mac| {
        let mut request = libc::packet_mreq {
            mr_ifindex: ifindex.cast_signed(),
            mr_type: kind as u16,
            mr_alen: 6,
            mr_address: [0; 8],
        };
        request.mr_address[..6].copy_from_slice(&mac.0);
        set(
            socket,
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            &request,
        )
    };
    if spec.promiscuous {
        join(libc::PACKET_MR_PROMISC, Mac([0; 6]))?;
    }
    if let Some(mac) = spec.mac.filter(|mac| *mac != own) {
        join(libc::PACKET_MR_UNICAST, mac)?;
    }
    groups(&spec.addrs)
        .into_iter()
        .try_for_each(|mac| join(libc::PACKET_MR_MULTICAST, mac))
}

/// All nodes, all routers, and the groups to which who asks for these addresses sends (RFC 2464 §7, RFC 4291 §2.7.1).
fn groups(addrs: &[IpAddr]) -> Vec<Mac> {
    let of_v6 = |addr: &IpAddr| match addr {
        IpAddr::V6(v6) => Some(*v6),
        IpAddr::V4(_) => None,
    };
    let own: Vec<Ipv6Addr> = addrs.iter().filter_map(of_v6).collect();
    if own.is_empty() {
        return Vec::new();
    }
    let mut groups = vec![Mac([0x33, 0x33, 0, 0, 0, 1]), Mac([0x33, 0x33, 0, 0, 0, 2])];
    for v6 in own {
        let [.., a, b, c] = v6.octets();
        let group = Mac([0x33, 0x33, 0xff, a, b, c]);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

/// The addresses that the kernel has on an interface.
pub(super) fn kernels_addrs(name: &str) -> Vec<IpAddr> {
    let has = |addr: &nix::ifaddrs::InterfaceAddress| {
        let address = addr.address.as_ref()?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        let v6 = address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip()));
        v4.or(v6).filter(|_| addr.interface_name == name)
    };
    let addrs = nix::ifaddrs::getifaddrs().into_iter().flatten();
    addrs.filter_map(|addr| has(&addr)).collect()
}

/// What the interface's own kernel does that a gateway on it does not want.
fn warnings(name: &str, shares_mac: bool) -> Vec<String> {
    let mut found = Vec::new();
    for addr in kernels_addrs(name) {
        let remedy = match addr {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                format!("'sysctl -w net/ipv6/conf/{name}/disable_ipv6=1'")
            }
            _ => format!("'ip addr flush dev {name}'"),
        };
        found.push(format!(
            "the kernel has the address {addr} on '{name}' and answers there beside the gateway: take it away ({remedy})"
        ));
    }
    for family in ["ipv4", "ipv6"] {
        let forwarding = format!("net/{family}/conf/{name}/forwarding");
        let forwards = super::netns::sysctl_read(&forwarding);
        if shares_mac && forwards.is_ok_and(|value| value.trim() == "1") {
            found.push(format!(
                "the kernel forwards what comes in by '{name}' too: give the port a mac of its own, or \
                 'sysctl -w net/{family}/conf/{name}/forwarding=0'"
            ));
        }
    }
    found
}
