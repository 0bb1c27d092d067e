//! ICMP errors about packets for the gateway itself: written here about what came in pieces, by smoltcp about the rest. Both
//! are under the host's own limits: a worker's are its own memory.

use super::Host;
use super::pieces::First;
use crate::icmp::{self, Class, Error, own};
use crate::parse::{self, IpMeta};
use crate::pkt::{LinkCast, Pkt};
use route::PortId;
use std::net::IpAddr;

impl Host {
    /// Tells the sender of a packet for us, which came by `by`, what is wrong with it, if that is allowed and not too often.
    pub(super) fn answer_error(&mut self, error: Error, packet: &[u8], meta: &IpMeta, by: PortId) {
        if !icmp::may_answer(&error, meta, packet, LinkCast::Unicast) {
            return self.counters.icmp_suppressed.bump();
        }
        if !self.may_tell(error.class(), meta.addrs.src()) {
            return;
        }
        let Some(mut out) = self.pool.take() else {
            return self.counters.icmp_suppressed.bump();
        };
        self.ident = self.ident.wrapping_add(1);
        // RFC 4443 §2.2 (a), FreeBSD for both families: from the address that was asked.
        let (asked, ident) = (meta.addrs.dst(), self.ident as u16);
        if !icmp::build_error(error, packet, meta, asked, ident, &mut out) {
            self.counters.icmp_suppressed.bump();
            return self.pool.put(out);
        }
        self.counters.icmp_sent.bump();
        out.asked = Some(by);
        self.ip_output(out);
    }

    /// A packet that the sockets have written; an error among them is limited and marked like any other.
    pub(super) fn send_of_sockets(&mut self, mut pkt: Pkt) {
        let meta = parse::read(pkt.bytes()).ok();
        let class = meta.and_then(|meta| Some((own::class_of(pkt.bytes(), &meta)?, meta)));
        if let Some((class, meta)) = class {
            if !self.may_tell(class, meta.addrs.dst()) {
                return self.pool.put(pkt);
            }
            self.ident = self.ident.wrapping_add(1);
            own::mark(pkt.bytes_mut(), self.ident as u16);
            self.counters.icmp_sent.bump();
        }
        self.ip_output(pkt);
    }

    /// Whether an error of this class may be sent there now; counted if not.
    fn may_tell(&mut self, class: Class, to: IpAddr) -> bool {
        let allowed = self.limits.allow_to(class, to, self.now.0);
        if !allowed {
            self.counters.icmp_limited.bump();
        }
        allowed
    }

    /// Forgets datagrams of which the rest has not come in time, and tells who sent the first piece of one.
    pub(super) fn expire_pieces(&mut self) {
        if self.pieces.deadline_ms().is_none_or(|at| at > self.now.0) {
            return;
        }
        for First { packet, port, .. } in self.pieces.expire(self.now.0) {
            if let Ok(meta) = parse::read(&packet) {
                self.answer_error(Error::ReassemblyTime, &packet, &meta, port);
            }
        }
        self.show_pieces();
    }
}
