//! `ip_forward`: the owner's work on a packet, from its flow to a verdict.

use super::Worker;
use crate::capture::{Copied, Fate};
use crate::fate::DropReason;
use crate::icmp::Error;
use crate::local6::{self, Fault};
use crate::martian::{self, Dest};
use crate::parse::{Role, proto};
use crate::path::{Outcome, Ready};
use crate::pkt::Pkt;
use flowtable::L4;

impl Worker {
    /// A packet has reached the worker that owns its flow, or collects its datagram.
    /// `ready` is its lookup.
    #[inline(never)]
    pub(super) fn owner_input(&mut self, pkt: Pkt, ready: Ready) {
        if pkt.origin {
            return self.originate(pkt);
        }
        if pkt.is_piece() {
            return self.collect(pkt);
        }
        self.ip_forward(pkt, ready);
    }

    /// Decides what becomes of a packet, and does it.
    pub(super) fn ip_forward(&mut self, pkt: Pkt, ready: Ready) {
        let addrs = &pkt.meta.addrs;
        let one_link =
            martian::bad_dest(addrs) == Dest::LinkLocal || martian::link_local_source(addrs);
        if pkt.meta.ttl <= 1 || one_link {
            return self.only_if_local(pkt);
        }
        let seen = pkt.seen();
        let (path, now, counters) = (&mut self.path, self.now, &self.counters);
        let outcome = path
            .resolve_ready(ready, pkt.meta.role, &seen, now, counters)
            .unwrap_or_else(|| path.resolve(pkt.slot, &pkt.meta, &seen, now, counters));
        self.act(pkt, outcome);
    }

    /// Does with a packet what its flow says.
    pub(super) fn act(&mut self, pkt: Pkt, outcome: Outcome) {
        match outcome {
            Outcome::Via(hop) => self.ip_output(pkt, hop),
            Outcome::Local => self.ip_local_deliver(pkt),
            Outcome::Unroutable(reason) => self.unreachable(pkt, reason),
        }
    }

    /// A packet that may reach our own addresses but must not be forwarded: its time is up, or one of its
    /// addresses is valid on one link only. It leaves no trace in the flow table.
    fn only_if_local(&mut self, pkt: Pkt) {
        let expired = pkt.meta.ttl <= 1;
        let source = martian::link_local_source(&pkt.meta.addrs);
        if self.is_for_us(&pkt) {
            self.ip_local_deliver(pkt);
        } else if source {
            // RFC 4007 §9, RFC 3927 §2.7: what is valid on one link only stays there.
            self.drop_with(pkt, DropReason::IpBadSource, Error::BeyondScope);
        } else if expired {
            self.drop_with(pkt, DropReason::TtlExpired, Error::TimeExceeded);
        } else {
            self.drop_pkt(pkt, DropReason::IpBadDest);
        }
    }

    /// Whether the destination is ours; an address of one link is so on that link alone.
    fn is_for_us(&self, pkt: &Pkt) -> bool {
        let meta = &pkt.meta;
        if martian::bad_dest(&meta.addrs) == Dest::LinkLocal {
            let dst = meta.addrs.dst();
            return self.burst_ports.is_own_at(pkt.in_port, meta.fib, &dst);
        }
        let outcome = self.path.route_only(meta.fib, &meta.tuple, self.now);
        outcome == Outcome::Local
    }

    /// No way to the destination: answered as RFC 1812 §5.2.7.1 and RFC 4443 §3.1 say, a blackhole not at all.
    pub(super) fn unreachable(&mut self, pkt: Pkt, reason: DropReason) {
        match reason {
            DropReason::NoRoute => self.drop_with(pkt, reason, Error::NetUnreachable),
            DropReason::Reject => self.drop_with(pkt, reason, Error::Rejected),
            DropReason::NoNexthop | DropReason::NeighbourFailed => {
                self.drop_with(pkt, reason, Error::HostUnreachable);
            }
            _ => self.drop_pkt(pkt, reason),
        }
    }

    /// For us: echo is answered here, the rest is the host's.
    fn ip_local_deliver(&mut self, mut pkt: Pkt) {
        self.finish(&mut pkt);
        if pkt.meta.addrs.is_v6() && pkt.meta.fragment.is_none() {
            match local6::check(pkt.bytes(), &pkt.meta) {
                Ok(()) => local6::strip(&mut pkt),
                Err(Fault::Silent) => return self.drop_pkt(pkt, DropReason::Ip6Unknown),
                Err(Fault::Told(error)) => {
                    return self.drop_with(pkt, DropReason::Ip6Unknown, error);
                }
            }
        }
        let icmp = matches!(pkt.meta.proto, proto::ICMP | proto::ICMP6);
        if icmp && pkt.meta.fragment.is_none() && pkt.meta.role == Role::Own {
            let meta = pkt.meta;
            let request = self.recorder.is_on().then(|| Copied::of(&pkt));
            match crate::icmp::echo_reply(pkt.bytes_mut(), &meta) {
                Ok(true) => {
                    if let Some(request) = request {
                        self.recorder.seen(pkt.in_port, Fate::Echo, request.frame());
                    }
                    return self.answer_echo(pkt);
                }
                Ok(false) => {}
                Err(reason) => return self.drop_pkt(pkt, reason),
            }
        }
        self.punt_local(pkt);
    }

    /// To our own sockets: what may answer an open one by *confirm*, openers by *ask*.
    fn punt_local(&mut self, pkt: Pkt) {
        let opens = pkt.meta.l4.opens() || !matches!(pkt.meta.l4, L4::Tcp { .. } | L4::Icmp);
        let (ring, punted) = if opens {
            (&mut self.links.ask, &self.counters.punted_ask)
        } else {
            (&mut self.links.confirm, &self.counters.punted_confirm)
        };
        if self.recorder.is_on() && !ring.is_full() {
            self.recorder.came(&pkt, Fate::Deliver);
        }
        match ring.send(pkt) {
            Ok(()) => {
                punted.bump();
                self.counters.consumed.bump();
                self.counters.consumed_local.bump();
                self.ring_host();
            }
            Err(pkt) => self.drop_pkt(pkt, DropReason::LocalFull),
        }
    }
}
