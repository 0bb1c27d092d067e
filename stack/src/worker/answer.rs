//! Packets that begin at a worker: ICMP errors and echo replies (RFC 792, RFC 4443).

use super::Worker;
use crate::fate::DropReason;
use crate::icmp::{self, Advice, Class, Error};
use crate::parse::{self, Tuple};
use crate::path::{Hop, Outcome, has_one_way};
use crate::pkt::Pkt;
use crate::ports::{Port, is_link_local};
use route::{FibId, NhopKind, PortId};
use std::net::IpAddr;

impl Worker {
    /// Drops a packet for `reason` and tells its sender, if that is allowed and not too often.
    pub(super) fn drop_with(&mut self, pkt: Pkt, reason: DropReason, error: Error) {
        if !pkt.origin {
            self.answer_error(&pkt, error);
        }
        self.drop_pkt(pkt, reason);
    }

    fn answer_error(&mut self, offending: &Pkt, error: Error) {
        if !self.may_tell(offending, &error) {
            return;
        }
        let meta = &offending.meta;
        let (source, way) = self.whence(offending, &error);
        let (Some(source), Some(mut out)) = (source, self.pool.take()) else {
            return self.counters.icmp_suppressed.bump();
        };
        self.ident = self.ident.wrapping_add(1);
        if !icmp::build_error(error, offending.bytes(), meta, source, self.ident, &mut out) {
            self.counters.icmp_suppressed.bump();
            return self.pool.put(out);
        }
        if let Some(csum) = offending.offload.csum {
            icmp::finish_quote(&mut out, &error, offending.bytes(), csum);
        }
        self.counters.icmp_sent.bump();
        if error.class() == Class::Redirect {
            self.counters.redirects_sent.bump();
        }
        self.begin_own(out, offending.in_port, way);
    }

    /// Whether an error may be sent about a packet, and not too many were; counted if not.
    fn may_tell(&mut self, offending: &Pkt, error: &Error) -> bool {
        let meta = &offending.meta;
        let may = icmp::may_answer(error, meta, offending.bytes(), offending.cast);
        // RFC 1122 §3.2.2: nor about a broadcast to a network that is ours to know.
        if !may || self.burst_ports.is_broadcast(meta.fib, &meta.addrs.dst()) {
            self.counters.icmp_suppressed.bump();
            return false;
        }
        let (class, to, now) = (error.class(), meta.addrs.src(), self.now.0);
        let allowed = match class {
            Class::Redirect => self.limits.allow_redirect(to, meta.addrs.dst(), now),
            _ => self.limits.allow_to(class, to, now),
        };
        self.show_limit(class);
        if !allowed {
            self.counters.icmp_limited.bump();
            if class == Class::Redirect {
                self.counters.redirects_limited.bump();
            }
        }
        allowed
    }

    /// An error's source address and its way, as far as that is known.
    fn whence(&self, offending: &Pkt, error: &Error) -> (Option<IpAddr>, Option<Hop>) {
        if error.is_of_the_link() {
            let port = self.burst_ports.get(offending.in_port);
            return (port.and_then(Port::link_local), port.map(Hop::on_link));
        }
        // RFC 1812 §4.3.2.4: from an address of the interface that the message leaves by.
        let way = self.way_back(offending);
        let (meta, at) = (&offending.meta, offending.in_port);
        // RFC 4443 §2.2 (a): about what was sent to one of ours, from that one.
        let asked = meta.addrs.dst();
        if asked.is_ipv6() && self.burst_ports.is_own_at(at, meta.fib, &asked) {
            return (Some(asked), way);
        }
        let port = way.map_or(at, |hop| hop.attrs.port);
        (self.burst_ports.answer_from(port, &meta.addrs.src()), way)
    }

    /// Tells the sender of a packet that leaves by the port that it came by who is the better first hop, if both are on one
    /// network and the operator wants that (RFC 1812 §5.2.7.2, RFC 4861 §8.2). The packet goes on.
    pub(super) fn redirect(&mut self, pkt: &Pkt, hop: Hop) {
        let port = self.burst_ports.get(pkt.in_port);
        let Some(port) = port.filter(|port| port.rules.redirects) else {
            return;
        };
        let better = match hop.attrs.kind {
            NhopKind::Iface => Some(pkt.meta.addrs.dst()),
            _ => self.neigh.addr(arp::NeighIdx(hop.attrs.neigh)),
        };
        let advice = better.map(|to| icmp::advice(port, &self.neigh, &pkt.meta.addrs, to));
        // Who is told of one way keeps to it: not where there are several.
        if let Some(Advice::Tell { better, mac }) = advice
            && has_one_way(self.path.view(), pkt.meta.fib, &pkt.meta.addrs)
        {
            let gateway = better;
            self.answer_error(pkt, Error::Redirect { gateway, mac });
        }
    }

    /// The way of an answer to a packet's source.
    fn way_back(&self, pkt: &Pkt) -> Option<Hop> {
        let meta = &pkt.meta;
        let to = Tuple {
            addrs: meta.addrs.exchanged(),
            sport: 0,
            dport: 0,
            proto: meta.proto,
        };
        match self.way_of_own(meta.fib, &to, pkt.in_port) {
            Outcome::Via(hop) => Some(hop),
            _ => None,
        }
    }

    /// The way of a packet that begins here: to an address of one link by the port that it is about.
    fn way_of_own(&self, fib: FibId, tuple: &Tuple, port: PortId) -> Outcome {
        let one_link = is_link_local(&tuple.addrs.dst());
        match self.burst_ports.get(port).filter(|_| one_link) {
            Some(port) => Outcome::Via(Hop::on_link(port)),
            None => self.path.route_only(fib, tuple, self.now),
        }
    }

    /// The echo request in `pkt` has been turned into its reply.
    pub(super) fn answer_echo(&mut self, pkt: Pkt) {
        let allowed = self.limits.allow(Class::Echo, self.now.0);
        self.show_limit(Class::Echo);
        if !allowed {
            self.counters.icmp_limited.bump();
            self.counters.echo_limited.bump();
            self.counters.consumed.bump();
            self.counters.consumed_echo.bump();
            return self.pool.put(pkt);
        }
        self.counters.consumed.bump();
        self.counters.consumed_echo.bump();
        let port = pkt.in_port;
        self.begin_own(pkt, port, None);
    }

    fn show_limit(&self, class: Class) {
        let full_at = self.limits.full_at(class);
        self.counters.set_icmp_full_at(class, full_at);
    }

    /// A packet begins here, and goes by `way` if that is known: from now on the second book has it.
    fn begin_own(&mut self, mut pkt: Pkt, port: PortId, way: Option<Hop>) {
        self.counters.originated.bump();
        pkt.origin = true;
        pkt.in_port = port;
        match parse::read(pkt.bytes()) {
            Ok(meta) => {
                pkt.meta = meta;
                pkt.meta.fib = self.burst_ports.fib_of(port);
                // Its way is that of its own addresses, whatever it quotes.
                pkt.meta.tuple = Tuple {
                    addrs: meta.addrs,
                    sport: 0,
                    dport: 0,
                    proto: meta.proto,
                };
                match way {
                    Some(hop) => self.ip_output(pkt, hop),
                    None => self.originate(pkt),
                }
            }
            Err(reason) => self.drop_pkt(pkt, reason),
        }
    }

    /// Sends a packet of our own by the route to its destination, without a flow entry.
    pub(super) fn originate(&mut self, pkt: Pkt) {
        let fib = pkt.meta.fib;
        match self.way_of_own(fib, &pkt.meta.tuple, pkt.in_port) {
            Outcome::Via(hop) => self.ip_output(pkt, hop),
            Outcome::Local => self.drop_pkt(pkt, DropReason::NoRoute),
            Outcome::Unroutable(reason) => self.drop_pkt(pkt, reason),
        }
    }
}
