//! Packets that begin at a worker: ICMP errors and echo replies (RFC 792, RFC 4443).

use super::Worker;
use crate::fate::DropReason;
use crate::icmp::{self, Class, Error};
use crate::parse;
use crate::path::Outcome;
use crate::pkt::Pkt;

impl Worker {
    /// Drops a packet for `reason` and tells its sender, if that is allowed and not too often.
    pub(super) fn drop_with(&mut self, pkt: Pkt, reason: DropReason, error: Error) {
        if !pkt.origin {
            self.answer_error(&pkt, error);
        }
        self.drop_pkt(pkt, reason);
    }

    fn answer_error(&mut self, offending: &Pkt, error: Error) {
        let meta = &offending.meta;
        let source = self
            .burst_ports
            .answer_from(offending.in_port, &meta.addrs.src());
        let (Some(source), true) = (
            source,
            icmp::may_answer(&error, meta, offending.bytes(), offending.cast),
        ) else {
            self.counters.icmp_suppressed.bump();
            return;
        };
        let class = error.class();
        let allowed = self.limits.allow_to(class, meta.addrs.src(), self.now.0);
        self.show_limit(class);
        if !allowed {
            self.counters.icmp_limited.bump();
            return;
        }
        let Some(mut out) = self.pool.take() else {
            self.counters.icmp_suppressed.bump();
            return;
        };
        self.ident = self.ident.wrapping_add(1);
        if !icmp::build_error(error, offending.bytes(), meta, source, self.ident, &mut out) {
            self.counters.icmp_suppressed.bump();
            self.pool.put(out);
            return;
        }
        self.counters.icmp_sent.bump();
        self.begin_own(out, offending.in_port);
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
        self.begin_own(pkt, port);
    }

    fn show_limit(&self, class: Class) {
        let full_at = self.limits.full_at(class);
        self.counters.set_icmp_full_at(class, full_at);
    }

    /// A packet begins here: from now on the second book has it.
    fn begin_own(&mut self, mut pkt: Pkt, port: route::PortId) {
        self.counters.originated.bump();
        pkt.origin = true;
        pkt.in_port = port;
        match parse::read(pkt.bytes()) {
            Ok(meta) => {
                pkt.meta = meta;
                pkt.meta.fib = self.burst_ports.fib_of(port);
                // Its way is that of its own addresses, whatever it quotes.
                pkt.meta.tuple = parse::Tuple {
                    addrs: meta.addrs,
                    sport: 0,
                    dport: 0,
                    proto: meta.proto,
                };
                self.originate(pkt);
            }
            Err(reason) => self.drop_pkt(pkt, reason),
        }
    }

    /// Sends a packet of our own by the route to its destination, without a flow entry.
    pub(super) fn originate(&mut self, pkt: Pkt) {
        let fib = pkt.meta.fib;
        match self.path.route_only(fib, &pkt.meta.tuple, self.now) {
            Outcome::Via(hop) => self.ip_output(pkt, hop),
            Outcome::Local => self.drop_pkt(pkt, DropReason::NoRoute),
            Outcome::Unroutable(reason) => self.drop_pkt(pkt, reason),
        }
    }
}
