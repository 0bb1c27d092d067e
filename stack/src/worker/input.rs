//! `ether_input` and `ip_input`: from a frame on a queue to the worker that owns its flow.

use super::Worker;
use crate::collector::{collector_slot, datagram_hash};
use crate::fate::DropReason;
use crate::icmp::{self, Error};
use crate::martian::{self, Dest};
use crate::options;
use crate::parse::{self, Addrs, IpMeta};
use crate::pkt::{LinkCast, Pkt};
use crate::ports::Layer;
use crate::rules::{OptionRule, Rpf, Rules};
use arp::{Kind, Mac};
use flowtable::SlotNo;
use route::FibId;

const ETHER_HDR: usize = 14;

impl Worker {
    /// A frame was received on one of our own queues.
    pub(super) fn arrive(&mut self, mut pkt: Pkt) {
        self.count_rx(pkt.in_port, pkt.len() as u64);
        let (layer, fib, rules) = match self.burst_ports.get(pkt.in_port) {
            Some(port) if port.up => (port.layer, port.fib, port.rules),
            _ => return self.drop_pkt(pkt, DropReason::PortDown),
        };
        if let Some(reason) = pkt.fault {
            return self.drop_pkt(pkt, reason);
        }
        let read = match layer {
            Layer::L2(mac) => match self.ether_input(pkt, mac) {
                Some(ip) => {
                    pkt = ip;
                    parse::read(pkt.bytes())
                }
                None => return,
            },
            Layer::L3 => {
                let v6 = pkt.bytes().first().is_some_and(|b| b >> 4 == 6);
                self.count_ip(&mut pkt, v6);
                parse::read(pkt.bytes())
            }
        };
        let checked = read.and_then(|meta| {
            let meta = IpMeta { fib, ..meta };
            self.check_source(&meta, &pkt, rules).map(|()| meta)
        });
        match checked {
            Ok(meta) => {
                pkt.meta = meta;
                // The link may have padded the frame; beyond the datagram nothing is ours (RFC 1812 §5.2.2).
                pkt.truncate(usize::from(meta.len));
                if has_options(&meta) {
                    return self.check_options(pkt, rules.options);
                }
                self.hand_over(pkt);
            }
            Err(reason) => self.refuse(pkt, reason, fib, rules),
        }
    }

    /// Whether a packet with these addresses may come by its port.
    fn check_source(&self, meta: &IpMeta, pkt: &Pkt, rules: Rules) -> Result<(), DropReason> {
        check_addresses(&meta.addrs, pkt.cast, rules.class_e)?;
        if self.is_from_us(pkt, meta.fib, &meta.addrs) {
            return Err(DropReason::IpOwnSource);
        }
        // RFC 1122 §3.2.1.3: a broadcast to a network that is ours to know comes from nobody, and would be answered to all.
        if self.burst_ports.is_broadcast(meta.fib, &meta.addrs.src()) {
            return Err(DropReason::IpBadSource);
        }
        // What is of one link only has come by it.
        let asked = rules.rpf != Rpf::Off && !martian::link_local_source(&meta.addrs);
        if asked && !self.path.leads_back(rules.rpf, meta, pkt.in_port) {
            return Err(DropReason::ReversePath);
        }
        Ok(())
    }

    /// A packet with IPv4 options: what cannot be worked on is answered before anything is done.
    #[cold]
    fn check_options(&mut self, pkt: Pkt, rule: OptionRule) {
        let header = pkt.bytes().get(..usize::from(pkt.meta.l4_off));
        let fault = header
            .filter(|_| rule == OptionRule::Process)
            .and_then(options::fault);
        match fault {
            _ if rule == OptionRule::Drop => self.drop_pkt(pkt, DropReason::IpOptionsRefused),
            Some(at) => {
                let pointer = at as u32;
                self.drop_with(pkt, DropReason::IpOptions, Error::ParamProblem { pointer });
            }
            None => self.hand_over(pkt),
        }
    }

    /// RFC 1812 §5.3.8: nobody else sends from an address of ours.
    fn is_from_us(&self, pkt: &Pkt, fib: FibId, addrs: &Addrs) -> bool {
        self.burst_ports.is_own_at(pkt.in_port, fib, &addrs.src())
    }

    /// Counts an IP packet before anything is asked of it: the total includes the bad ones, as FreeBSD's does.
    fn count_ip(&self, pkt: &mut Pkt, v6: bool) {
        pkt.v6 = v6;
        self.counters.count_ip(v6);
    }

    /// Drops what `ip_input` refused; some refusals are owed an answer (RFC 1812 §5.3.13, RFC 5095).
    fn refuse(&mut self, mut pkt: Pkt, reason: DropReason, fib: FibId, rules: Rules) {
        // Options that are not worked on are not corrected either.
        let quiet = reason == DropReason::IpOptions && rules.options != OptionRule::Process;
        let owed = icmp::param_problem(pkt.bytes(), reason)
            .filter(|_| !quiet)
            .map(|(error, meta)| (error, IpMeta { fib, ..meta }));
        match owed {
            Some((error, meta)) if self.check_source(&meta, &pkt, rules).is_ok() => {
                pkt.meta = meta;
                self.drop_with(pkt, reason, error);
            }
            _ => self.drop_pkt(pkt, reason),
        }
    }

    /// Takes the Ethernet header off an IP packet; ARP and ND go to the host.
    fn ether_input(&mut self, mut pkt: Pkt, ours: Mac) -> Option<Pkt> {
        let Some(header) = pkt.bytes().get(..ETHER_HDR) else {
            self.drop_pkt(pkt, DropReason::EtherShort);
            return None;
        };
        let (dst, ethertype) = (
            Mac([
                header[0], header[1], header[2], header[3], header[4], header[5],
            ]),
            [header[12], header[13]],
        );
        pkt.cast = match dst.0 {
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => LinkCast::Broadcast,
            [first, ..] if first & 1 == 1 => LinkCast::Multicast,
            _ if dst == ours => LinkCast::Unicast,
            _ => {
                self.drop_pkt(pkt, DropReason::EtherNotOurs);
                return None;
            }
        };
        if let [0x08, 0x00] | [0x86, 0xdd] = ethertype {
            self.count_ip(&mut pkt, ethertype == [0x86, 0xdd]);
        }
        if let Some(kind) = arp::is_neighbour_frame(pkt.bytes()) {
            self.punt_arp(pkt, kind);
            return None;
        }
        let version = pkt.bytes().get(ETHER_HDR).map(|b| b >> 4);
        let reason = match (ethertype, version) {
            ([0x08, 0x00], Some(4)) | ([0x86, 0xdd], Some(6)) => {
                pkt.pull(ETHER_HDR);
                return Some(pkt);
            }
            ([0x08, 0x00] | [0x86, 0xdd], None) => DropReason::IpShort,
            ([0x08, 0x00] | [0x86, 0xdd], Some(_)) => DropReason::IpVersion,
            _ => DropReason::EtherType,
        };
        self.drop_pkt(pkt, reason);
        None
    }

    /// ARP and ND are the host's: answers about neighbours by *confirm*, all else by *ask*.
    fn punt_arp(&mut self, pkt: Pkt, kind: Kind) {
        let (links, counters) = (&mut self.links, &self.counters);
        let (queue, punted, full) = match kind {
            Kind::Reply => (
                &mut links.confirm,
                &counters.punted_confirm,
                DropReason::ConfirmFull,
            ),
            Kind::Request => (&mut links.ask, &counters.punted_ask, DropReason::AskFull),
        };
        match queue.send(pkt) {
            Ok(()) => {
                punted.bump();
                self.counters.consumed.bump();
                self.counters.consumed_arp.bump();
                self.ring_host();
            }
            Err(pkt) => self.drop_pkt(pkt, full),
        }
    }

    /// Hands the packet to the worker that owns its flow (or collects its datagram), or keeps it.
    pub(super) fn hand_over(&mut self, mut pkt: Pkt) {
        pkt.slot = self.slot_of(&pkt);
        self.pass_on(pkt, None);
    }

    /// The slot of a packet's flow; of a piece, that of its datagram's collector.
    pub(super) fn slot_of(&self, pkt: &Pkt) -> SlotNo {
        if pkt.is_piece() {
            return collector_slot(datagram_hash(self.fragment_seed, &pkt.meta));
        }
        self.path.slot(&pkt.meta.tuple)
    }

    /// The worker that owns a slot, or the place where we park its packets.
    #[inline]
    pub(super) fn owner_of(&self, slot: SlotNo) -> u16 {
        self.moving.follow.owner(slot).unwrap_or(self.id as u16)
    }
}

/// RFC 1812 §5.3.4, §5.3.7 and RFC 6890: addresses that no packet may carry through a router.
fn check_addresses(addrs: &Addrs, cast: LinkCast, class_e: bool) -> Result<(), DropReason> {
    if martian::bad_source(addrs) && !(class_e && martian::class_e_source(addrs)) {
        return Err(DropReason::IpBadSource);
    }
    match martian::bad_dest(addrs) {
        Dest::Bad if class_e && martian::class_e_dest(addrs) => check_cast(cast),
        Dest::Bad => Err(DropReason::IpBadDest),
        Dest::Multicast => Err(DropReason::IpMulticast),
        Dest::Ok | Dest::LinkLocal => check_cast(cast),
    }
}

/// A unicast packet comes in a unicast frame.
fn check_cast(cast: LinkCast) -> Result<(), DropReason> {
    match cast {
        LinkCast::Unicast => Ok(()),
        LinkCast::Broadcast | LinkCast::Multicast => Err(DropReason::IpLinkCast),
    }
}

/// Whether there is anything between the fixed part of an IPv4 header and its end.
fn has_options(meta: &IpMeta) -> bool {
    meta.l4_off != 20 && !meta.addrs.is_v6()
}
