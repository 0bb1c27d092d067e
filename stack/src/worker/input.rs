//! `ether_input` and `ip_input`: from a frame on a queue to the worker that owns its flow.

use super::{BURST, Worker};
use crate::capture::Fate;
use crate::collector::{collector_slot, datagram_hash};
use crate::fate::DropReason;
use crate::icmp::{self, Error};
use crate::ingress::{self, Came, ETHER_HDR, has_options};
use crate::io::Queue;
use crate::options;
use crate::ours::Ours;
use crate::parse::IpMeta;
use crate::pkt::Pkt;
use crate::ports::Layer;
use crate::rules::{OptionRule, Rpf, Rules};
use crate::vlan;
use arp::{Kind, Mac};
use flowtable::SlotNo;
use route::{FibId, PortId};
use std::net::IpAddr;

/// What most frames of a port are like.
#[derive(Clone, Copy)]
pub(super) struct Usual {
    /// To whom they are addressed, where they have a link header, as [`Mac::to_bits`] gives it.
    mac: Option<u64>,
    /// The FIB of what they carry.
    fib: FibId,
}

impl Usual {
    /// Reads a plain packet in a frame to us, and takes the frame off it. `false`: nothing was done.
    #[inline(always)]
    fn read(&self, pkt: &mut Pkt, ours: &Ours) -> bool {
        pkt.fault.is_none()
            && match self.mac {
                None => pkt.read_plain::<0>(|_, _| true, self.fib, ours),
                Some(mac) => {
                    let for_us = |header: &_, ip: &_| ingress::is_ip_for(mac, header, ip);
                    pkt.read_plain::<ETHER_HDR>(for_us, self.fib, ours)
                }
            }
    }
}

impl Worker {
    /// A burst from our own queue of a port, and the work on what of it is ours.
    pub(super) fn rx_port(&mut self, port: usize, queues: &mut [Box<dyn Queue>]) -> usize {
        let Some(queue) = queues.get_mut(port) else {
            return 0;
        };
        if self.is_gone(port) {
            return 0;
        }
        let id = PortId(port as u16);
        let mut rx = std::mem::take(&mut self.rx);
        let (truncated, missed) = (queue.truncated(), queue.missed());
        let read = queue.rx_burst(&mut self.pool, &mut rx, BURST);
        let oversize = queue.truncated() - truncated;
        let missed = queue.missed() - missed;
        if let Err(_) = read
            && let Some(gone) = self.gone.get_mut(port)
        {
            *gone = true;
        }
        self.count_unseen(id, oversize, missed);
        let bytes = rx.iter().map(|pkt| pkt.len() as u64).sum();
        self.count_rx(id, rx.len() as u64, bytes);
        let usual = self.usual(id);
        for mut pkt in rx.drain(..) {
            pkt.in_port = id;
            self.arrive(pkt, usual);
        }
        self.rx = rx;
        self.ring();
        self.process_own();
        read.unwrap_or(0) + oversize as usize
    }

    /// Frames of which nothing is left: too large for a buffer, or lost by the device.
    #[inline]
    fn count_unseen(&mut self, port: PortId, oversize: u64, missed: u64) {
        if oversize + missed == 0 {
            return;
        }
        let counters = &self.counters;
        let reason = DropReason::Oversize;
        self.count_rx(port, oversize, 0);
        for _ in 0..oversize {
            counters.oversize.bump();
            counters.count_drop(reason, false);
            self.recorder.dropped_unseen(port, reason);
        }
        if let Some(port) = counters.port(port) {
            port.rx_dropped.add(oversize);
            port.missed.add(missed);
        }
    }

    /// What a plain frame of a port is held against; `None` if its port asks more of each packet, or takes none.
    pub(super) fn usual(&self, port: PortId) -> Option<Usual> {
        let port = self.burst_ports.get(port)?;
        let mac = match port.layer {
            Layer::L2(mac) => Some(mac.to_bits()),
            Layer::L3 => None,
        };
        let fib = port.fib;
        (port.up && port.rules.rpf == Rpf::Off).then_some(Usual { mac, fib })
    }

    /// A frame was received on one of our own queues, and counted: a plain one takes the short way to its owner.
    #[inline(always)]
    fn arrive(&mut self, mut pkt: Pkt, usual: Option<Usual>) {
        match usual {
            Some(usual) if usual.read(&mut pkt, &self.ours) => {}
            _ => return self.port_input(pkt),
        }
        let v6 = pkt.meta.addrs.is_v6();
        self.count_ip(&mut pkt, v6);
        if !pkt.offload.is_none() && !self.fit_offload(&mut pkt) {
            return self.drop_pkt(pkt, DropReason::OffloadBad);
        }
        pkt.slot = self.path.slot(&pkt.meta.tuple);
        match self.owner_of(pkt.slot) == self.id as u16 {
            true => self.own.push(pkt),
            false => self.pass_on(pkt, None),
        }
    }

    /// A frame of a port, as that sees it: of a VLAN without its tag.
    #[inline(never)]
    fn port_input(&mut self, mut pkt: Pkt) {
        pkt.meta = IpMeta::default();
        let (layer, fib, rules) = match self.burst_ports.get(pkt.in_port) {
            Some(port) if port.up => (port.layer, port.fib, port.rules),
            _ => return self.drop_pkt(pkt, DropReason::PortDown),
        };
        if let Some(reason) = pkt.fault {
            return self.drop_pkt(pkt, reason);
        }
        match layer {
            Layer::L2(mac) => match self.ether_input(pkt, mac, fib) {
                Some(ip) => pkt = ip,
                None => return,
            },
            Layer::L3 => {
                let v6 = pkt.bytes().first().is_some_and(|b| b >> 4 == 6);
                self.count_ip(&mut pkt, v6);
            }
        }
        let read = pkt.read_ip(fib);
        if let Err(reason) = read.and_then(|()| self.check_source(&pkt.meta, &pkt, rules)) {
            pkt.meta = IpMeta::default();
            return self.refuse(pkt, reason, fib, rules);
        }
        // The link may have padded the frame; beyond the datagram nothing is ours (RFC 1812 §5.2.2).
        let len = usize::from(pkt.meta.len);
        pkt.truncate(len);
        if !pkt.offload.is_none() && !self.fit_offload(&mut pkt) {
            return self.drop_pkt(pkt, DropReason::OffloadBad);
        }
        if has_options(&pkt.meta) {
            return self.check_options(pkt, rules.options);
        }
        self.hand_over(pkt);
    }

    /// Whether what the device left undone fits what was read.
    fn fit_offload(&self, pkt: &mut Pkt) -> bool {
        let fits = pkt.offload.fit(&pkt.meta, pkt.bytes());
        match fits.filter(|_| pkt.fault.is_none()) {
            Some(offload) => pkt.offload = offload,
            None => return false,
        }
        if pkt.offload.gso.is_some() {
            self.counters.super_received.bump();
        }
        true
    }

    /// Whether a packet with these addresses may come by its port.
    fn check_source(&self, meta: &IpMeta, pkt: &Pkt, rules: Rules) -> Result<(), DropReason> {
        let by = Came {
            port: pkt.in_port,
            cast: pkt.cast,
            rules,
        };
        ingress::check_source((&self.burst_ports, &self.ours), self.path.view(), meta, by)
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

    /// Counts an IP packet before anything is asked of it: the total includes the bad ones, as FreeBSD's does.
    fn count_ip(&self, pkt: &mut Pkt, v6: bool) {
        pkt.v6 = v6;
        self.counters.count_ip(v6);
    }

    /// Drops what `ip_input` refused; some refusals are owed an answer (RFC 1812 §5.3.13, RFC 5095, RFC 8200 §4.5).
    fn refuse(&mut self, mut pkt: Pkt, reason: DropReason, fib: FibId, rules: Rules) {
        let is_ours = |dst: &IpAddr| self.burst_ports.is_own_at(pkt.in_port, fib, dst);
        let owed = icmp::owed(pkt.bytes(), reason, &rules, is_ours)
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
    fn ether_input(&mut self, mut pkt: Pkt, ours: Mac, fib: FibId) -> Option<Pkt> {
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
        let Some(cast) = ingress::link_cast(dst, ours) else {
            self.drop_pkt(pkt, DropReason::EtherNotOurs);
            return None;
        };
        pkt.cast = cast;
        if let [0x08, 0x00] | [0x86, 0xdd] = ethertype {
            self.count_ip(&mut pkt, ethertype == [0x86, 0xdd]);
        }
        let is_ours = |dst: &IpAddr| self.burst_ports.is_own_at(pkt.in_port, fib, dst);
        if ethertype != [0x08, 0x00]
            && let Some(kind) = ingress::neighbour_frame(pkt.bytes(), is_ours)
        {
            self.punt_arp(pkt, kind);
            return None;
        }
        let version = pkt.bytes().get(ETHER_HDR).map(|b| b >> 4);
        match ingress::check_ethertype(ethertype, version) {
            Ok(()) => {
                pkt.pull(ETHER_HDR);
                Some(pkt)
            }
            Err(DropReason::EtherType) => {
                self.vlan_input(pkt);
                None
            }
            Err(reason) => {
                self.drop_pkt(pkt, reason);
                None
            }
        }
    }

    /// A frame that is none of IP, ARP or ND: with a tag it is a VLAN's, and starts again there. Asked last, untagged frames
    /// pay nothing for it.
    #[inline(never)]
    fn vlan_input(&mut self, mut pkt: Pkt) {
        match self.vlan_of(&pkt) {
            Ok(port) => {
                pkt.untag();
                if port != pkt.in_port {
                    pkt.in_port = port;
                    self.count_rx_of(port, 1, pkt.len() as u64);
                }
                let usual = self.usual(port);
                self.arrive(pkt, usual);
            }
            Err(reason) => self.drop_pkt(pkt, reason),
        }
    }

    /// The port that a tagged frame is for.
    fn vlan_of(&self, pkt: &Pkt) -> Result<PortId, DropReason> {
        match vlan::of_frame(pkt.bytes())? {
            None => Err(DropReason::EtherType),
            Some(0) => Ok(pkt.in_port),
            Some(vid) => {
                let port = self.vlans.port(pkt.in_port, vid);
                port.ok_or(DropReason::UnknownVlan)
            }
        }
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
        if self.recorder.is_on() && !queue.is_full() {
            self.recorder.came(&pkt, Fate::Neighbour);
        }
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
