//! What else is asked of the routes: reverse path forwarding, whether the routes lead back to who sent a packet (RFC 3704).
//!
//! A lookup of its own for each packet that comes by a port with the switch on. No result is kept, so none can outlive a
//! change of a route, and the flow's entry and pins have no part in it.

use crate::parse::{Addrs, IpMeta};
use crate::rules::Rpf;
use route::{FibId, NhopAttrs, NhopKind, PortId, View};

/// Whether a packet that came by `port` may be from its source.
pub(crate) fn leads_back(view: &View, rpf: Rpf, meta: &IpMeta, port: PortId) -> bool {
    if rpf == Rpf::Off {
        return true;
    }
    let fib = view.fib(meta.fib);
    let group = match (meta.addrs, rpf) {
        (Addrs::V4 { src, .. }, Rpf::LooseNoDefault) => fib.lookup4_specific(src),
        (Addrs::V6 { src, .. }, Rpf::LooseNoDefault) => fib.lookup6_specific(src),
        (Addrs::V4 { src, .. }, _) => fib.lookup4(src),
        (Addrs::V6 { src, .. }, _) => fib.lookup6(src),
    };
    let Some(group) = group.map(|id| view.group(id)) else {
        return false;
    };
    // A dead member counts: who sends has not died with the way to him.
    let mut ways = group.members().map(|pin| view.attrs(pin.idx()));
    ways.any(|way| is_way(rpf, &way, port))
}

/// Whether the route to a packet's destination has one next hop alone.
pub(crate) fn has_one_way(view: &View, fib: FibId, addrs: &Addrs) -> bool {
    let fib = view.fib(fib);
    let group = match *addrs {
        Addrs::V4 { dst, .. } => fib.lookup4(dst),
        Addrs::V6 { dst, .. } => fib.lookup6(dst),
    };
    group.is_some_and(|id| view.group(id).members().count() == 1)
}

fn is_way(rpf: Rpf, way: &NhopAttrs, port: PortId) -> bool {
    let forwards = matches!(way.kind, NhopKind::Gateway | NhopKind::Iface);
    forwards && (rpf != Rpf::Strict || way.port == port)
}
