//! Links, addresses and routes of the kernel, by rtnetlink.
//!
//! A [`Netlink`] is one blocking `NETLINK_ROUTE` socket; it belongs to the network namespace in
//! which it was opened and works on that one, wherever the calling thread goes later. One request
//! at a time: each is acknowledged before its call returns. Used when ports are set up and by
//! tests, never by workers.

mod message;
mod routes;
#[cfg(test)]
mod tests;
mod watch;

pub use watch::DeviceWatch;

use super::sys;
use message::{Message, attrs, ifinfomsg, replies, tcmsg, u32_at, verdict};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};
use std::cell::Cell;
use std::ffi::CStr;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

/// Longer than any reply to a request made here.
const REPLY_ROOM: usize = 32 * 1024;
/// How long an IPv6 address may take until it is usable; it takes a millisecond or two.
const LOCAL_WAIT_MS: u32 = 2000;
/// The first attribute in the data of a `veth` link: its other end.
const VETH_INFO_PEER: u16 = 1;
/// Where the queueing discipline of a whole device is.
const TC_H_ROOT: u32 = u32::MAX;

/// A request that the kernel refused: what was asked, why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetlinkError {
    /// What was asked for, as a sentence's end: "add 10.0.0.1/24 to interface 3".
    pub doing: String,
    /// The kernel's reason.
    pub errno: Errno,
    /// The kernel's own words about it, where it has some.
    pub kernel: Option<String>,
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.doing, self.errno.desc())?;
        match &self.kernel {
            Some(words) => write!(f, " ({words})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NetlinkError {}

impl From<NetlinkError> for io::Error {
    fn from(error: NetlinkError) -> Self {
        Self::new(Self::from(error.errno).kind(), error)
    }
}

/// What every request here answers.
pub type Result<T> = std::result::Result<T, NetlinkError>;

/// A socket to the routing part of one network namespace's kernel.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    seq: Cell<u32>,
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn open() -> Result<Self> {
        let socket = netlink_socket(SockFlag::empty(), 0)?;
        sys::netlink_explain(socket.as_fd());
        Ok(Self {
            socket,
            seq: Cell::new(0),
        })
    }

    /// The index of the interface `name`.
    ///
    /// # Errors
    /// `ENODEV`: there is none.
    pub fn link_index(&self, name: &str) -> Result<u32> {
        let request =
            Message::link(libc::RTM_GETLINK, 0, 0, 0, 0).attr_name(libc::IFLA_IFNAME, name);
        let doing = format!("find interface '{name}'");
        let found = self.ask(request, &doing)?;
        let index = found.as_deref().and_then(|body| u32_at(body, 4));
        index.ok_or(NetlinkError {
            doing,
            errno: Errno::ENODEV,
            kernel: None,
        })
    }

    /// The hardware address of an interface; `None` if it has no Ethernet address.
    ///
    /// # Errors
    /// `ENODEV`: there is no such interface.
    pub fn link_mac(&self, ifindex: u32) -> Result<Option<[u8; 6]>> {
        let mac = self.link_attr(ifindex, libc::IFLA_ADDRESS)?;
        Ok(mac.and_then(|value| value.try_into().ok()))
    }

    /// The MTU of an interface in bytes.
    ///
    /// # Errors
    /// `ENODEV`: there is no such interface.
    pub fn link_mtu(&self, ifindex: u32) -> Result<u32> {
        let mtu = self.link_attr(ifindex, libc::IFLA_MTU)?;
        Ok(mtu.and_then(|value| u32_at(&value, 0)).unwrap_or(0))
    }

    /// What kind of interface it is: `veth`, `tun` (TAP devices too); `None` of one that is a card, or the loopback one.
    ///
    /// # Errors
    /// `ENODEV`: there is no such interface.
    pub fn link_kind(&self, ifindex: u32) -> Result<Option<String>> {
        let info = self.link_attr(ifindex, libc::IFLA_LINKINFO)?;
        let info = info.unwrap_or_default();
        let kind = attrs(&info).find(|&(kind, _)| kind == libc::IFLA_INFO_KIND);
        let text = kind.and_then(|(_, name)| CStr::from_bytes_until_nul(name).ok());
        Ok(text.map(|text| text.to_string_lossy().into_owned()))
    }

    /// What the kernel says of one thing about an interface.
    fn link_attr(&self, ifindex: u32, wanted: u16) -> Result<Option<Vec<u8>>> {
        let request = Message::link(libc::RTM_GETLINK, 0, ifindex, 0, 0);
        let body = self.ask(request, &format!("read interface {ifindex}"))?;
        let attributes = body
            .as_deref()
            .and_then(|b| b.get(ifinfomsg(0, 0, 0).len()..));
        let found = attrs(attributes.unwrap_or_default()).find(|&(kind, _)| kind == wanted);
        Ok(found.map(|(_, value)| value.to_vec()))
    }

    /// Sets an interface up or down.
    ///
    /// # Errors
    /// `ENODEV`, `EPERM`.
    pub fn set_up(&self, ifindex: u32, up: bool) -> Result<()> {
        let flag = libc::IFF_UP.cast_unsigned();
        let request = Message::link(
            libc::RTM_NEWLINK,
            0,
            ifindex,
            if up { flag } else { 0 },
            flag,
        );
        let state = if up { "up" } else { "down" };
        self.request(request, &format!("set interface {ifindex} {state}"))
    }

    /// Sets the interface `name` (often `lo`) up.
    ///
    /// # Errors
    /// `ENODEV`, `EPERM`.
    pub fn link_up(&self, name: &str) -> Result<()> {
        self.set_up(self.link_index(name)?, true)
    }

    /// Sets the MTU in bytes.
    ///
    /// # Errors
    /// `EINVAL` (out of the device's range), `ENODEV`, `EPERM`.
    pub fn set_mtu(&self, ifindex: u32, mtu: u32) -> Result<()> {
        let request = change_link(ifindex).attr_u32(libc::IFLA_MTU, mtu);
        self.request(
            request,
            &format!("set the MTU of interface {ifindex} to {mtu}"),
        )
    }

    /// Sets the length of the transmit queue in packets; for a TUN device, what waits for us.
    ///
    /// # Errors
    /// `ENODEV`, `EPERM`, `ENOMEM`.
    pub fn set_txqueuelen(&self, ifindex: u32, packets: u32) -> Result<()> {
        let request = change_link(ifindex).attr_u32(libc::IFLA_TXQLEN, packets);
        self.request(
            request,
            &format!("set the queue of interface {ifindex} to {packets} packets"),
        )
    }

    /// Puts no queueing discipline in front of the device (`noqueue`): packets go to it at once, and who sends is told when it is full.
    ///
    /// # Errors
    /// `ENODEV`, `EPERM`, `EOPNOTSUPP` (a kernel without traffic control).
    pub fn set_noqueue(&self, ifindex: u32) -> Result<()> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let request = Message::new(libc::RTM_NEWQDISC, flags, &tcmsg(ifindex, TC_H_ROOT))
            .attr_name(libc::TCA_KIND, "noqueue");
        let doing = format!("take the queueing discipline off interface {ifindex}");
        self.request(request, &doing)
    }

    /// Sets the hardware address.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` (a group's address), `EOPNOTSUPP` (a TUN device has none), `ENODEV`, `EPERM`.
    pub fn set_mac(&self, ifindex: u32, mac: [u8; 6]) -> Result<()> {
        let request = change_link(ifindex).attr(libc::IFLA_ADDRESS, &mac);
        self.request(
            request,
            &format!("set the MAC of interface {ifindex} to {}", Mac(mac)),
        )
    }

    /// Gives an interface an address with the prefix length `len`. IPv6 without duplicate address
    /// detection (RFC 4862 §5.4), and if the interface is up, returns when it can be used.
    ///
    /// # Errors
    /// `EEXIST` (has it), `EACCES` (IPv6 is disabled there), `EAFNOSUPPORT` or `EOPNOTSUPP` (a kernel
    /// without IPv6), `EINVAL` (prefix length), `ENODEV`, `EPERM`.
    pub fn addr_add(&self, ifindex: u32, addr: IpAddr, len: u8) -> Result<()> {
        let index = ifindex.to_ne_bytes();
        let body = [
            family(addr),
            len,
            0,
            0,
            index[0],
            index[1],
            index[2],
            index[3],
        ];
        let mut request = Message::new(
            libc::RTM_NEWADDR,
            libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            &body,
        )
        .attr_addr(libc::IFA_LOCAL, addr)
        .attr_addr(libc::IFA_ADDRESS, addr);
        if addr.is_ipv6() {
            request = request.attr_u32(libc::IFA_FLAGS, libc::IFA_F_NODAD);
        }
        let doing = format!("add {addr}/{len} to interface {ifindex}");
        self.request(request, &doing)?;
        if addr.is_ipv6() && self.is_up(ifindex)? {
            return self.wait_until_local(addr, &doing);
        }
        Ok(())
    }

    /// Whether an interface is up.
    ///
    /// # Errors
    /// `ENODEV`.
    pub fn is_up(&self, ifindex: u32) -> Result<bool> {
        Ok(self.link_flags(ifindex)? & libc::IFF_UP.cast_unsigned() != 0)
    }

    /// Whether an interface is up and its link is too, so that what is sent goes out.
    ///
    /// # Errors
    /// `ENODEV`.
    pub fn is_running(&self, ifindex: u32) -> Result<bool> {
        Ok(self.link_flags(ifindex)? & libc::IFF_RUNNING.cast_unsigned() != 0)
    }

    /// An interface's flags (`IFF_UP` and others).
    fn link_flags(&self, ifindex: u32) -> Result<u32> {
        let request = Message::link(libc::RTM_GETLINK, 0, ifindex, 0, 0);
        let body = self.ask(request, &format!("read interface {ifindex}"))?;
        Ok(body
            .as_deref()
            .and_then(|body| u32_at(body, 8))
            .unwrap_or(0))
    }

    /// Waits for the kernel's work queue: even without duplicate address detection an IPv6 address
    /// can be bound at once, but what is sent to it is dropped until that queue has run and added
    /// the address's local route.
    #[allow(clippy::disallowed_methods)] // the I/O edge, at set-up
    fn wait_until_local(&self, addr: IpAddr, doing: &str) -> Result<()> {
        for _ in 0..LOCAL_WAIT_MS {
            if self.is_local(addr)? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(refused(
            doing,
            Errno::ETIMEDOUT,
            Some("it does not become local".to_owned()),
        ))
    }

    /// Whether packets to `addr` are this namespace's own.
    ///
    /// # Errors
    /// None that is expected; having no route at all is an answer.
    pub fn is_local(&self, addr: IpAddr) -> Result<bool> {
        let bits = if addr.is_ipv4() { 32 } else { 128 };
        let body = [family(addr), bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let request = Message::new(libc::RTM_GETROUTE, 0, &body).attr_addr(libc::RTA_DST, addr);
        match self.ask(request, &format!("look up {addr}")) {
            Ok(route) => Ok(route.is_some_and(|route| route.get(7) == Some(&libc::RTN_LOCAL))),
            Err(NetlinkError {
                errno: Errno::ENETUNREACH | Errno::EHOSTUNREACH,
                ..
            }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes two Ethernet interfaces joined back to back, both down.
    ///
    /// # Errors
    /// `EEXIST` (a name is in use), `EPERM`, `EOPNOTSUPP` (a kernel without veth).
    pub fn veth(&self, name_a: &str, name_b: &str) -> Result<()> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let request = Message::link(libc::RTM_NEWLINK, flags, 0, 0, 0)
            .attr_name(libc::IFLA_IFNAME, name_a)
            .nest(libc::IFLA_LINKINFO, &[], |info| {
                info.attr(libc::IFLA_INFO_KIND, b"veth")
                    .nest(libc::IFLA_INFO_DATA, &[], |veth| {
                        veth.nest(VETH_INFO_PEER, &ifinfomsg(0, 0, 0), |peer| {
                            peer.attr_name(libc::IFLA_IFNAME, name_b)
                        })
                    })
            });
        self.request(
            request,
            &format!("make the veth pair '{name_a}' and '{name_b}'"),
        )
    }

    /// Deletes an interface (and, of a veth pair, its other end).
    ///
    /// # Errors
    /// `ENODEV`, `EOPNOTSUPP` (hardware), `EPERM`.
    pub fn link_del(&self, ifindex: u32) -> Result<()> {
        let request = Message::link(libc::RTM_DELLINK, 0, ifindex, 0, 0);
        self.request(request, &format!("delete interface {ifindex}"))
    }

    /// Moves an interface into the network namespace of `netns`. It arrives there down, without
    /// addresses, under a new index if its own is taken.
    ///
    /// # Errors
    /// `EEXIST` (its name is in use there), `EINVAL` (no namespace), `ENODEV`, `EPERM`.
    pub fn move_to_netns(&self, ifindex: u32, netns: impl AsFd) -> Result<()> {
        let fd = netns.as_fd().as_raw_fd().cast_unsigned();
        let request = change_link(ifindex).attr_u32(libc::IFLA_NET_NS_FD, fd);
        self.request(
            request,
            &format!("move interface {ifindex} to another network namespace"),
        )
    }

    fn request(&self, request: Message, doing: &str) -> Result<()> {
        self.ask(request, doing).map(drop)
    }

    /// Sends a request and reads until its acknowledgement; returns the body of what came before
    /// it, if anything did.
    fn ask(&self, request: Message, doing: &str) -> Result<Option<Vec<u8>>> {
        let failed = |errno| refused(doing, errno, None);
        let seq = self.seq.get().wrapping_add(1);
        self.seq.set(seq);
        let fd = self.socket.as_raw_fd();
        send(fd, &request.finish(seq), MsgFlags::empty()).map_err(failed)?;
        let mut room = vec![0; REPLY_ROOM];
        let mut answer = None;
        loop {
            let len = match recv(fd, &mut room, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                len => len.map_err(failed)?,
            };
            for reply in replies(&room[..len]).filter(|reply| reply.seq == seq) {
                match verdict(&reply) {
                    None => answer = Some(reply.body.to_vec()),
                    Some((0, _)) => return Ok(answer),
                    Some((errno, words)) => {
                        return Err(refused(doing, Errno::from_raw(errno), words));
                    }
                }
            }
        }
    }
}

/// A socket to the routing part of the kernel that hears what is said to `groups` (`RTMGRP_…`).
fn netlink_socket(flags: SockFlag, groups: u32) -> Result<OwnedFd> {
    let failed = |errno| refused("open a netlink socket", errno, None);
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        flags | SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )
    .map_err(failed)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups)).map_err(failed)?;
    Ok(fd)
}

fn refused(doing: &str, errno: Errno, kernel: Option<String>) -> NetlinkError {
    NetlinkError {
        doing: doing.to_owned(),
        errno,
        kernel,
    }
}

fn change_link(ifindex: u32) -> Message {
    Message::link(libc::RTM_NEWLINK, 0, ifindex, 0, 0)
}

fn family(addr: IpAddr) -> u8 {
    (if addr.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    }) as u8
}

struct Mac([u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
