//! `ip_output`, the answers, and our own addresses: from the next hop to the wire.

use super::{Stage, Tracing, Verdict, Way, words};
use crate::fate::DropReason;
use crate::icmp::{self, Advice, Error};
use crate::link::{Link, NO_NEIGH, arpresolve};
use crate::local6::{self, Fault};
use crate::parse::{IpMeta, Role, proto};
use crate::path::{Named, has_one_way, name};
use crate::pkt::Pkt;
use crate::ports::{Layer, is_link_local};
use arp::{Mac, NeighIdx};
use route::{NhopAttrs, NhopKind, Pin, PortId};
use std::net::IpAddr;

impl Tracing<'_> {
    /// What a next hop means for the packet.
    pub(super) fn by(&mut self, pin: Pin, meta: &IpMeta, ip: &[u8]) -> Verdict {
        let nhop = self.control.view.nhop(pin.idx());
        match nhop.kind() {
            NhopKind::Local => {
                let cause = format!("{} is ours: for this gateway itself", meta.addrs.dst());
                self.pass(Stage::Local, cause);
                self.deliver(meta, ip)
            }
            NhopKind::Blackhole => self.unreachable(meta, ip, DropReason::Blackhole),
            NhopKind::Reject => self.unreachable(meta, ip, DropReason::Reject),
            kind => self.ip_output(pin, &NhopAttrs::of(kind, nhop.place()), meta, ip),
        }
    }

    /// As a worker's `unreachable`.
    pub(super) fn unreachable(&mut self, meta: &IpMeta, ip: &[u8], reason: DropReason) -> Verdict {
        let dst = meta.tuple.addrs.dst();
        let (stage, cause) = match reason {
            DropReason::NoRoute => (
                Stage::Route,
                format!("no route covers {dst} in FIB {}", meta.fib),
            ),
            DropReason::Blackhole => (
                Stage::Nexthop,
                "a blackhole: dropped, and nobody is told".to_owned(),
            ),
            DropReason::Reject => (
                Stage::Nexthop,
                "a reject: dropped, and its sender is told".to_owned(),
            ),
            DropReason::NoNexthop => (Stage::Nexthop, self.nobody_alive()),
            DropReason::NeighbourFailed => {
                (Stage::Neighbour, "the neighbour did not answer".to_owned())
            }
            other => (Stage::Nexthop, words::refused(other, self.v6)),
        };
        self.stop(stage, cause);
        let error = match reason {
            DropReason::NoRoute => Error::NetUnreachable,
            DropReason::Reject => Error::Rejected,
            DropReason::NoNexthop | DropReason::NeighbourFailed => Error::HostUnreachable,
            _ => {
                return Verdict::Drop {
                    reason,
                    answer: None,
                };
            }
        };
        self.told(reason, error, meta, ip)
    }

    fn nobody_alive(&self) -> String {
        let Some((_, id)) = self.found.route else {
            return "no member takes flows".to_owned();
        };
        let group = self.control.view.group(id);
        let dead = self.why_dead(group.members().map(Pin::idx));
        format!("no member takes flows: {dead}")
    }

    /// The packet is dropped and its sender told, if that is allowed.
    pub(super) fn told(
        &mut self,
        reason: DropReason,
        error: Error,
        meta: &IpMeta,
        ip: &[u8],
    ) -> Verdict {
        let answer = match self.may_tell(&error, meta, ip) {
            Ok(cause) => {
                self.pass(Stage::Icmp, cause);
                Some(error)
            }
            Err(cause) => {
                self.stop(Stage::Icmp, format!("{}: not sent, {cause}", error.words()));
                None
            }
        };
        Verdict::Drop { reason, answer }
    }

    /// As a worker's `answer_error`, without its limits.
    fn may_tell(&self, error: &Error, meta: &IpMeta, ip: &[u8]) -> Result<String, &'static str> {
        let ports = &self.control.ports;
        if !icmp::may_answer(error, meta, ip, self.cast) {
            return Err("such a packet is not answered (RFC 1812 4.3.2.7, RFC 4443 2.4 e)");
        }
        if ports.is_broadcast(meta.fib, &meta.addrs.dst()) {
            return Err("it went to a network's broadcast address (RFC 1122 3.2.2)");
        }
        let to = meta.addrs.src();
        let port = self.way_back(meta).unwrap_or(self.port.id);
        let source = ports.answer_from(port, &to);
        let source = source.ok_or("no port has an address of that family to send it from")?;
        let mut out = Pkt::with_size(1280);
        if !icmp::build_error(*error, ip, meta, source, 0, &mut out) {
            return Err("that family has no such message");
        }
        Ok(format!(
            "{} to {to} from {source}, if no limit stands against it",
            error.words()
        ))
    }

    /// By which port an answer to the packet's source leaves.
    fn way_back(&self, meta: &IpMeta) -> Option<PortId> {
        let to = meta.addrs.src();
        if is_link_local(&to) {
            return Some(self.port.id);
        }
        let mut back = *meta;
        back.tuple.addrs = meta.addrs.exchanged();
        (back.tuple.sport, back.tuple.dport, back.tuple.proto) = (0, 0, meta.proto);
        let pin = match name(&back) {
            Named::V4((key, dir)) => self.plain(&key, dir),
            Named::V6((key, dir)) => self.plain(&key, dir),
        };
        let nhop = self.control.view.nhop(pin?.idx());
        let sends = matches!(nhop.kind(), NhopKind::Gateway | NhopKind::Iface);
        sends.then(|| NhopAttrs::of(nhop.kind(), nhop.place()).port)
    }

    /// As a worker's `ip_local_deliver`.
    pub(super) fn deliver(&mut self, meta: &IpMeta, ip: &[u8]) -> Verdict {
        if meta.addrs.is_v6() && meta.fragment.is_none() {
            let reason = DropReason::Ip6Unknown;
            match local6::check(ip, meta) {
                Ok(()) => return self.deliver_stripped(meta, ip),
                Err(Fault::Silent) => {
                    let cause = "an option says that it is dropped without a word, or there is nothing behind the headers (RFC 8200)";
                    return self.drop(Stage::Local, reason, cause);
                }
                Err(Fault::Told(error)) => {
                    let cause =
                        "an option or a routing header that we do not know (RFC 8200 4.2, 4.4)";
                    self.stop(Stage::Local, cause);
                    return self.told(reason, error, meta, ip);
                }
            }
        }
        self.answer_or_punt(meta, &mut ip.to_vec())
    }

    /// As the host and echo see it: without its extension headers.
    fn deliver_stripped(&mut self, meta: &IpMeta, ip: &[u8]) -> Verdict {
        let mut pkt = Pkt::with_size(ip.len());
        if !pkt.copy_from(ip) {
            return Verdict::Deliver;
        }
        pkt.meta = *meta;
        local6::strip(&mut pkt);
        let meta = pkt.meta;
        self.answer_or_punt(&meta, pkt.bytes_mut())
    }

    fn answer_or_punt(&mut self, meta: &IpMeta, ip: &mut [u8]) -> Verdict {
        let icmp = matches!(meta.proto, proto::ICMP | proto::ICMP6);
        if icmp && meta.fragment.is_none() && meta.role == Role::Own {
            match icmp::echo_reply(ip, meta) {
                Ok(true) => {
                    self.pass(
                        Stage::Local,
                        "an echo request: the worker answers it, if no limit stands against that",
                    );
                    return Verdict::Echo;
                }
                Ok(false) => {}
                Err(reason) => {
                    return self.drop(Stage::Local, reason, "an echo request with a bad checksum");
                }
            }
        }
        self.pass(Stage::Local, "to our own sockets, by the host");
        Verdict::Deliver
    }

    /// As a worker's `ip_output`: everything that can refuse it is asked before it is changed.
    fn ip_output(&mut self, pin: Pin, way: &NhopAttrs, meta: &IpMeta, ip: &[u8]) -> Verdict {
        let dst = meta.addrs.dst();
        let port = self.control.ports.get(way.port);
        let broadcast =
            way.kind == NhopKind::Iface && port.is_some_and(|port| port.is_broadcast(&dst));
        if broadcast {
            let to_all =
                port.is_some_and(|port| port.rules.directed_broadcast && port.is_to_all(&dst));
            if !to_all {
                let cause = format!(
                    "{dst} is a broadcast or zero address of {}: not sent on (RFC 2644)",
                    self.port_name(way.port)
                );
                return self.drop(Stage::Broadcast, DropReason::IpMulticast, cause);
            }
            let cause = format!(
                "{dst} means all of {}: let through (directed-broadcast)",
                self.port_name(way.port)
            );
            self.pass(Stage::Broadcast, cause);
        }
        let mtu = self.control.ports.takes_by(way.port, way.mtu);
        let Some(pieces) = self.pieces(mtu, meta) else {
            return self.told(DropReason::TooBig, Error::FragNeeded { mtu }, meta, ip);
        };
        let link = match port.filter(|_| broadcast) {
            None => arpresolve(&self.control.ports, &self.control.neigh, way, &dst),
            Some(port) if !port.up => Link::Down,
            Some(port) => match port.layer {
                Layer::L2(mac) => Link::All(arp::ether_header(Mac::BROADCAST, mac, 0x0800)),
                Layer::L3 => Link::Bare,
            },
        };
        match self.linked(way, link, &dst) {
            Ok(header) => self.leaves(pin, way, meta, header, pieces),
            Err(Some(DropReason::NeighbourFailed)) => self.told(
                DropReason::NeighbourFailed,
                Error::HostUnreachable,
                meta,
                ip,
            ),
            Err(Some(reason)) => Verdict::Drop {
                reason,
                answer: None,
            },
            Err(None) => Verdict::Hold,
        }
    }

    /// In how many pieces it leaves; `None`: it is too big.
    fn pieces(&mut self, mtu: u32, meta: &IpMeta) -> Option<usize> {
        let len = u32::from(meta.len);
        if len <= mtu {
            self.pass(
                Stage::Mtu,
                format!("{len} bytes fit the {mtu} of the way out"),
            );
            return Some(1);
        }
        let over = format!("{len} bytes, and the way out takes {mtu}");
        if meta.dont_fragment {
            let why = match meta.addrs.is_v6() {
                true => "routers do not split IPv6 (RFC 8200 5)",
                false => "it must not be split (DF, RFC 1191)",
            };
            self.stop(Stage::Mtu, format!("{over}: {why}"));
            return None;
        }
        let header = u32::from(meta.l4_off);
        let room = (mtu.saturating_sub(header) / 8 * 8).max(8);
        let pieces = len.saturating_sub(header).div_ceil(room) as usize;
        self.pass(
            Stage::Mtu,
            format!("{over}: split into about {pieces} pieces (RFC 791)"),
        );
        Some(pieces)
    }

    /// The link header, or why there is none; without a reason it waits.
    fn linked(
        &mut self,
        way: &NhopAttrs,
        link: Link,
        dst: &IpAddr,
    ) -> Result<Option<[u8; 14]>, Option<DropReason>> {
        let port = self.port_name(way.port);
        let who = self.neighbour_of(way, dst);
        match link {
            Link::Header(idx, header) => {
                let state = words::neigh_state(self.control.neigh.word(idx).state());
                let mac = Mac([
                    header[0], header[1], header[2], header[3], header[4], header[5],
                ]);
                self.pass(
                    Stage::Neighbour,
                    format!("{who} on {port} is {mac}, {state}"),
                );
                Ok(Some(header))
            }
            Link::All(header) => {
                self.pass(Stage::Neighbour, "to all stations");
                Ok(Some(header))
            }
            Link::Bare => {
                self.pass(
                    Stage::Neighbour,
                    format!("{port} carries bare IP: no link header"),
                );
                Ok(None)
            }
            Link::Wait(idx) => {
                let state = words::neigh_state(self.control.neigh.word(idx).state());
                let cause = format!(
                    "{who} on {port} has no hardware address yet ({state}): held, at most 5 s"
                );
                self.stop(Stage::Neighbour, cause);
                Err(None)
            }
            Link::Unknown => {
                let cause = format!(
                    "{who} on {port} was never asked for: the host asks, and the packet is held, if there is room and no limit stands against it"
                );
                self.stop(Stage::Neighbour, cause);
                Err(None)
            }
            Link::Failed => {
                self.stop(Stage::Neighbour, format!("{who} on {port} did not answer"));
                Err(Some(DropReason::NeighbourFailed))
            }
            Link::Down => {
                self.stop(Stage::Neighbour, format!("{port} is down"));
                Err(Some(DropReason::PortDown))
            }
        }
    }

    fn neighbour_of(&self, way: &NhopAttrs, dst: &IpAddr) -> IpAddr {
        let reserved = way.kind == NhopKind::Gateway && way.neigh != NO_NEIGH;
        let addr = reserved.then(|| self.control.neigh.addr(NeighIdx(way.neigh)));
        addr.flatten().unwrap_or(*dst)
    }

    fn leaves(
        &mut self,
        pin: Pin,
        way: &NhopAttrs,
        meta: &IpMeta,
        header: Option<[u8; 14]>,
        pieces: usize,
    ) -> Verdict {
        if way.port == self.port.id {
            self.redirects(way, meta);
        }
        let port = self.port_name(way.port);
        let link = header.map_or_else(
            || "bare IP".to_owned(),
            |header| format!("link header {}", words::hex(&header)),
        );
        let tag = self.control.ports.get(way.port).and_then(|port| port.vlan);
        let tag = tag.map_or_else(String::new, |vlan| {
            let parent = self.port_name(vlan.parent);
            format!(" (tagged 8100{:04x}, by {parent})", vlan.vid)
        });
        let cause = format!(
            "out by {port}{tag}, TTL {}, {link}",
            meta.ttl.saturating_sub(1)
        );
        self.pass(Stage::Output, cause);
        Verdict::Forward(Way {
            nhop: pin,
            port: way.port,
            header,
            pieces,
        })
    }

    /// It leaves by the port that it came by: its sender may be told of a shorter way (RFC 1812 §5.2.7.2, RFC 4861 §8.2).
    fn redirects(&mut self, way: &NhopAttrs, meta: &IpMeta) {
        let (src, better) = (meta.addrs.src(), self.neighbour_of(way, &meta.addrs.dst()));
        let one_way = has_one_way(&self.control.view, meta.fib, &meta.addrs);
        let told = match icmp::advice(self.port, &self.control.neigh, &meta.addrs, better) {
            Advice::Off => "redirects are off".to_owned(),
            Advice::Apart => {
                "but its sender and the next hop share no network there: no redirect".to_owned()
            }
            Advice::Itself => format!("{src} is the next hop itself: no redirect"),
            Advice::NotLinkLocal(router) => format!(
                "the router {router} is known by no link-local address: no redirect (RFC 4861 4.5)"
            ),
            Advice::NoSource => {
                "that has no link-local address to redirect from (RFC 4861 4.5)".to_owned()
            }
            Advice::Tell { .. } if !one_way => "one of several ways: no redirect".to_owned(),
            Advice::Tell { better, .. } => format!(
                "{src} is told that {better} is the shorter way, if no limit stands against it"
            ),
        };
        let cause = format!("it leaves by the port that it came by; {told}");
        self.pass(Stage::Redirect, cause);
    }
}
