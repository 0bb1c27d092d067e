//! TUN and TAP devices: ports whose other side is this machine's own network stack.
//!
//! A device has a queue for each worker. The kernel delivers a flow's packets to the queue on which
//! we last wrote its other direction, so worker *i* reads and writes queue *i* only.
//!
//! The crate `tun` knows devices of one queue, and the kernel lets no second queue be added to such
//! a device. So all queues are opened here, with `IFF_MULTI_QUEUE` if there are several, and the
//! first is lent to `tun` for what it knows: IPv4 address, MTU, up and down. IPv6 addresses,
//! further IPv4 addresses, the queue length and the MAC go by rtnetlink.
//!
//! Frames carry no packet information header. With offloads a virtio header is in front of each ([`crate::offload`]): the kernel
//! leaves us checksums undone and hands us super-packets, and takes both. The device goes when its last queue is dropped.

mod queue;
mod refusal;
#[cfg(test)]
mod tests;

pub use queue::TunQueue;
pub use refusal::DeviceError;

use super::netlink::Netlink;
use super::sys;
use crate::offload::{Caps, VNET_HDR};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open as open_file};
use nix::sys::stat::Mode;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use tun::AbstractDevice;

/// The most queues that the kernel gives a device (`MAX_TAP_QUEUES`).
pub const MAX_QUEUES: usize = 256;

/// Packets that wait in a device for us. The kernel's default of 500 drops in bursts: with 4,000
/// flows it stalled some for 218 ms, 5,000 for 18 ms at worst.
pub const TXQUEUELEN: u32 = 5000;

/// What frames look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IP packets.
    Tun,
    /// Ethernet frames.
    Tap,
}

impl Kind {
    fn flag(self) -> libc::c_int {
        match self {
            Self::Tun => libc::IFF_TUN,
            Self::Tap => libc::IFF_TAP,
        }
    }

    /// The kernel's limits: a packet of 65,535 bytes with its link header; the IPv4 minimum.
    fn mtu_range(self) -> (u32, u32) {
        match self {
            Self::Tun => (68, 65_535),
            Self::Tap => (68, 65_521),
        }
    }
}

/// A device to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Packets or frames.
    pub kind: Kind,
    /// The interface's name; "" or a template such as "fg%d" lets the kernel choose.
    pub name: String,
    /// Queues, one a worker; 1 to [`MAX_QUEUES`].
    pub queues: usize,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Whether it comes up at once.
    pub up: bool,
    /// The kernel's own addresses on the device, with prefix lengths. (The gateway's addresses are
    /// the core's business and unknown to the kernel.)
    pub host_addrs: Vec<(IpAddr, u8)>,
    /// The kernel's own hardware address (TAP); `None` lets the kernel choose.
    pub host_mac: Option<[u8; 6]>,
    /// Packets that may wait for us in each queue; [`TXQUEUELEN`] unless there is a reason.
    pub txqueuelen: u32,
    /// Whether checksums and the cutting of super-packets are left to the other side. Who receives from it needs large buffers.
    pub offload: bool,
}

impl DeviceSpec {
    /// A device of `kind` called `name`: one queue, MTU 1500, up, no addresses.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            queues: 1,
            mtu: 1500,
            up: true,
            host_addrs: Vec::new(),
            host_mac: None,
            txqueuelen: TXQUEUELEN,
            offload: false,
        }
    }
}

/// A device that was made. Take the queues out of it and give one to each worker; the rest stays
/// with control.
pub struct Device {
    /// The name that it has.
    pub name: String,
    /// The kernel's number for it.
    pub ifindex: u32,
    /// One for each worker, in order.
    pub queues: Vec<TunQueue>,
    /// Packets or frames.
    pub kind: Kind,
    /// `tun`'s view of the device: its sockets and name, not its queues. Locked by control only.
    control: Mutex<tun::Device>,
}

/// Makes the device of `spec` with all its queues and sets it up.
///
/// # Errors
/// See [`DeviceError`]; nothing of the device is left then.
pub fn open(spec: &DeviceSpec) -> Result<Device, DeviceError> {
    refusal::check(spec)?;
    let (name, queues) = open_queues(spec)?;
    let netlink = Netlink::open().map_err(|e| DeviceError::setup(&name, "netlink", e))?;
    let ifindex = netlink
        .link_index(&name)
        .map_err(|e| DeviceError::setup(&name, "find it", e))?;
    let control = Mutex::new(adopt(&name, &queues)?);
    let device = Device {
        name,
        ifindex,
        queues,
        kind: spec.kind,
        control,
    };
    device.configure(spec, &netlink)?;
    Ok(device)
}

/// Whether there can be such a device, once no process has it; changes nothing.
///
/// # Errors
/// See [`DeviceError`]: something is wrong with `spec`, or there is an interface of this name that is no TUN or TAP device.
pub fn check(spec: &DeviceSpec) -> Result<(), DeviceError> {
    refusal::check(spec)?;
    let kind = Netlink::open().and_then(|netlink| {
        let ifindex = netlink.link_index(&spec.name)?;
        netlink.link_kind(ifindex)
    });
    match kind {
        Ok(kind) if kind.as_deref() != Some("tun") => Err(DeviceError::InUse {
            name: spec.name.clone(),
        }),
        _ => Ok(()),
    }
}

/// Has the kernel leave undone what it can: UDP's cutting since Linux 6.2.
fn offloads(name: &str, queues: &[TunQueue]) -> Result<Caps, DeviceError> {
    let Some(queue) = queues.first() else {
        return Ok(Caps::NONE);
    };
    let named = |errno| DeviceError::setup(name, "set its offloads", errno);
    sys::tun_set_header(queue.device(), VNET_HDR).map_err(named)?;
    let tcp = sys::TUN_F_CSUM | sys::TUN_F_TSO;
    let uso = sys::tun_set_offload(queue.device(), tcp | sys::TUN_F_USO).is_ok();
    if !uso {
        sys::tun_set_offload(queue.device(), tcp).map_err(named)?;
    }
    Ok(Caps { uso, ..Caps::ALL })
}

/// Opens every queue. The first makes the device and must not find one of its name
/// (`IFF_TUN_EXCL`): to join the queues of a running gateway would steal its packets.
fn open_queues(spec: &DeviceSpec) -> Result<(String, Vec<TunQueue>), DeviceError> {
    let mut flags = spec.kind.flag() | libc::IFF_NO_PI;
    if spec.queues > 1 {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    if spec.offload {
        flags |= libc::IFF_VNET_HDR;
    }
    let mut name = spec.name.clone();
    let mut queues = Vec::with_capacity(spec.queues);
    for queue in 0..spec.queues {
        let fd = open_node().map_err(|errno| DeviceError::of_open(&name, errno))?;
        let exclusive = if queue == 0 { libc::IFF_TUN_EXCL } else { 0 };
        name = sys::tun_set_iff(fd.as_fd(), &name, (flags | exclusive) as u16)
            .map_err(|errno| DeviceError::of_attach(spec, &name, queue, errno))?;
        queues.push(TunQueue::new(fd));
    }
    if spec.offload {
        let caps = offloads(&name, &queues)?;
        queues.iter_mut().for_each(|queue| queue.leave_undone(caps));
    }
    Ok((name, queues))
}

fn open_node() -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    open_file("/dev/net/tun", flags, Mode::empty())
}

/// Lends the first queue to `tun`. It keeps the number but neither reads, writes nor closes it;
/// its setters go by the name and a socket of its own.
fn adopt(name: &str, queues: &[TunQueue]) -> Result<tun::Device, DeviceError> {
    let mut lent = tun::Configuration::default();
    lent.tun_name(name).close_fd_on_drop(false);
    if let Some(first) = queues.first() {
        lent.raw_fd(first.device().as_raw_fd());
    }
    tun::create(&lent).map_err(|error| DeviceError::setup(name, "adopt it", error))
}

impl Device {
    /// What it takes unfinished.
    pub fn offloads(&self) -> Caps {
        self.queues
            .first()
            .map_or(Caps::NONE, super::Queue::offloads)
    }

    /// Sets the device up or down.
    ///
    /// # Errors
    /// The device is gone, or the right to change it.
    pub fn set_up(&self, up: bool) -> Result<(), DeviceError> {
        let doing = if up { "set it up" } else { "set it down" };
        self.by_tun(doing, |tun| tun.enabled(up))
    }

    fn by_tun(
        &self,
        doing: &str,
        change: impl FnOnce(&mut tun::Device) -> tun::Result<()>,
    ) -> Result<(), DeviceError> {
        // A panic in a setter leaves nothing half done that a later one would trip over.
        let mut tun = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut tun).map_err(|error| DeviceError::setup(&self.name, doing, error))
    }

    /// MAC and MTU while it is down; then up, so that an IPv6 address is usable when it was added.
    fn configure(&self, spec: &DeviceSpec, netlink: &Netlink) -> Result<(), DeviceError> {
        let named = |error| DeviceError::setup(&self.name, "rtnetlink", error);
        if let Some(mac) = spec.host_mac {
            netlink.set_mac(self.ifindex, mac).map_err(named)?;
        }
        // The range was checked: every MTU that a device can have fits.
        let mtu = u16::try_from(spec.mtu).unwrap_or(u16::MAX);
        self.by_tun("set its MTU", |tun| tun.set_mtu(mtu))?;
        netlink
            .set_txqueuelen(self.ifindex, spec.txqueuelen)
            .map_err(named)?;
        // The device has queues of its own, and never asks to wait. A discipline in front of them would never hold a packet, but the kernel
        // makes one for each of the 256 queues that a device may have, with three rings of `txqueuelen` each: 30 MB a device, and 10 to
        // 20 ms to set it up. A kernel that refuses keeps its own.
        let _ = netlink.set_noqueue(self.ifindex);
        if spec.up {
            self.set_up(true)?;
        }
        self.add_addresses(&spec.host_addrs, netlink)
    }

    /// The first IPv4 address by `tun`, which can hold one; all others by rtnetlink.
    fn add_addresses(&self, addrs: &[(IpAddr, u8)], netlink: &Netlink) -> Result<(), DeviceError> {
        let mut first_v4 = true;
        for &(addr, len) in addrs {
            let doing = format!("give it {addr}/{len}");
            match addr {
                IpAddr::V4(v4) if std::mem::take(&mut first_v4) => {
                    let mask = netmask(len).ok_or_else(|| {
                        DeviceError::setup(&self.name, &doing, "no such prefix length")
                    })?;
                    self.by_tun(&doing, |tun| {
                        tun.set_address(v4.into())?;
                        tun.set_netmask(mask.into())
                    })?;
                }
                _ => netlink
                    .addr_add(self.ifindex, addr, len)
                    .map_err(|error| DeviceError::setup(&self.name, &doing, error))?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("name", &self.name)
            .field("ifindex", &self.ifindex)
            .field("kind", &self.kind)
            .field("queues", &self.queues)
            .finish_non_exhaustive()
    }
}

fn netmask(len: u8) -> Option<Ipv4Addr> {
    let host_bits = 32u32.checked_sub(len.into())?;
    Some(Ipv4Addr::from_bits(
        u32::MAX.checked_shl(host_bits).unwrap_or(0),
    ))
}
