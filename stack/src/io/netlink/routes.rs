//! Routes of the main table.

use super::message::Message;
use super::{Netlink, Result, family};
use std::fmt;
use std::net::IpAddr;

impl Netlink {
    /// Adds a route to the main table: to `dst/len`, via a gateway (of either family) or directly,
    /// out of `ifindex` (0: the kernel finds it by the gateway), preferring the source `src`.
    ///
    /// # Errors
    /// `EEXIST`, `ENETUNREACH` (no way to the gateway), `EINVAL` (host bits set), `ENODEV`, `EPERM`.
    pub fn route_add(
        &self,
        dst: IpAddr,
        len: u8,
        via: Option<IpAddr>,
        ifindex: u32,
        src: Option<IpAddr>,
    ) -> Result<()> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let request = route(libc::RTM_NEWROUTE, flags, dst, len, via, ifindex, src);
        self.request(
            request,
            &format!("add the route {dst}/{len}{}", Via(via, ifindex)),
        )
    }

    /// Deletes a route of the main table; `via` and `ifindex` (0: any) say which of several.
    ///
    /// # Errors
    /// `ESRCH` (there is none), `EPERM`.
    pub fn route_del(&self, dst: IpAddr, len: u8, via: Option<IpAddr>, ifindex: u32) -> Result<()> {
        let request = route(libc::RTM_DELROUTE, 0, dst, len, via, ifindex, None);
        self.request(
            request,
            &format!("delete the route {dst}/{len}{}", Via(via, ifindex)),
        )
    }
}

/// `struct rtmsg` and its attributes.
fn route(
    kind: u16,
    flags: i32,
    dst: IpAddr,
    len: u8,
    via: Option<IpAddr>,
    ifindex: u32,
    src: Option<IpAddr>,
) -> Message {
    let deleting = kind == libc::RTM_DELROUTE;
    let (protocol, scope) = match (deleting, via) {
        (true, _) => (0, libc::RT_SCOPE_NOWHERE),
        (false, None) if dst.is_ipv4() => (libc::RTPROT_STATIC, libc::RT_SCOPE_LINK),
        (false, _) => (libc::RTPROT_STATIC, libc::RT_SCOPE_UNIVERSE),
    };
    let unicast = if deleting {
        libc::RTN_UNSPEC
    } else {
        libc::RTN_UNICAST
    };
    let body = [
        family(dst),
        len,
        0,
        0,
        libc::RT_TABLE_MAIN,
        protocol,
        scope,
        unicast,
        0,
        0,
        0,
        0,
    ];
    let mut request = Message::new(kind, flags, &body).attr_addr(libc::RTA_DST, dst);
    match via {
        Some(gateway) if gateway.is_ipv4() == dst.is_ipv4() => {
            request = request.attr_addr(libc::RTA_GATEWAY, gateway);
        }
        Some(gateway) => request = request.attr(libc::RTA_VIA, &rtvia(gateway)),
        None => {}
    }
    if ifindex != 0 {
        request = request.attr_u32(libc::RTA_OIF, ifindex);
    }
    match src {
        Some(src) => request.attr_addr(libc::RTA_PREFSRC, src),
        None => request,
    }
}

/// `struct rtvia`: a gateway of the other family (IPv4 via IPv6).
fn rtvia(gateway: IpAddr) -> Vec<u8> {
    let family = u16::from(family(gateway)).to_ne_bytes();
    match gateway {
        IpAddr::V4(v4) => [&family[..], &v4.octets()].concat(),
        IpAddr::V6(v6) => [&family[..], &v6.octets()].concat(),
    }
}

/// How a route is written in messages: " via 10.0.0.1", " out of interface 3".
struct Via(Option<IpAddr>, u32);

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(gateway) = self.0 {
            write!(f, " via {gateway}")?;
        }
        if self.1 != 0 {
            write!(f, " out of interface {}", self.1)?;
        }
        Ok(())
    }
}
