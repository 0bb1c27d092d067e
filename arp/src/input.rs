//! Frames come in: questions are answered, answers confirm, and the rest is named and ignored.
//!
//! The rules, for both families (RFC 826, RFC 5227, RFC 4861 §7.2):
//! - An answer confirms only a neighbour that we asked; whatever else is said merely corrects
//!   what we have. Nothing unsolicited creates an entry, except a question to us.
//! - A sender that is not on the port's link is never learned. If it asks for an address of
//!   ours it is answered all the same, because hosts that share a service address do ask with
//!   it, and cannot reach us otherwise.
//! - Who uses an address of ours is told so, at most once per `defend_ms`.

use std::net::IpAddr;

use crate::entry::{Entry, Heard, Said};
use crate::key::Key;
use crate::order::Evictable;
use crate::port::Port;
use crate::wire::{self, Advert, Arp, Body, Message, Solicit};
use crate::{Event, Fate, Frame, Ignored, Input, Mac, NeighIdx, PortId, Table};

/// What a question for us may do beyond being answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Learn {
    /// Correct an entry only.
    Merge,
    /// Make one: the sender will hear from us.
    Create,
}

impl Table {
    /// Takes a whole Ethernet frame that arrived on `port`. Answers, if any are due, and
    /// defences go to `out`.
    pub fn input(&mut self, port: PortId, frame: &[u8], now: u64, out: &mut Vec<Frame>) -> Input {
        self.tick(now);
        let before = self.events_waiting();
        let fate = match self.take_frame(port, frame, now, out) {
            Ok(()) => Fate::Accepted,
            Err(reason) => {
                self.stats.count(reason);
                Fate::Ignored(reason)
            }
        };
        Input {
            fate,
            events: self.events_waiting() - before,
        }
    }

    fn take_frame(
        &mut self,
        port: PortId,
        frame: &[u8],
        now: u64,
        out: &mut Vec<Frame>,
    ) -> Result<(), Ignored> {
        if frame.get(12..14) == Some(&[0x08, 0x06]) {
            self.stats.received += 1;
        }
        let message = wire::parse(frame)?;
        self.count_received(&message.body);
        self.check_link(port, &message)?;
        match message.body {
            Body::Arp(arp) => self.arp_input(port, &arp, now, out),
            Body::Solicit(ns) => self.ns_input(port, &ns, message.from, now, out),
            Body::Advert(na) => self.na_input(port, &na, message.from, now, out),
            Body::RouterSolicit(rs) => self.rs_input(port, &rs, now),
        }
    }

    fn count_received(&mut self, body: &Body) {
        let counter = match body {
            Body::Arp(arp) if arp.request => &mut self.stats.rxrequests,
            Body::Arp(_) => &mut self.stats.rxreplies,
            Body::Solicit(_) => &mut self.stats.rx_neighbor_solicit,
            Body::Advert(_) => &mut self.stats.rx_neighbor_advert,
            Body::RouterSolicit(_) => &mut self.stats.rx_router_solicit,
        };
        *counter += 1;
    }

    /// What the Ethernet header must say.
    fn check_link(&self, id: PortId, message: &Message) -> Result<(), Ignored> {
        let port = self.ports.get(&id).ok_or(Ignored::UnknownPort)?;
        if !port.up {
            return Err(Ignored::PortDown);
        }
        if !message.from.is_unicast() {
            return Err(Ignored::BadSender);
        }
        let said = match &message.body {
            Body::Arp(arp) => Some(arp.sha),
            Body::Solicit(ns) => ns.lladdr,
            Body::Advert(na) => na.lladdr,
            Body::RouterSolicit(rs) => rs.lladdr,
        };
        if self.is_ours(message.from) || said.is_some_and(|mac| self.is_ours(mac)) {
            return Err(Ignored::OwnFrame);
        }
        let group = match message.body {
            Body::Arp(_) => message.to == Mac::BROADCAST,
            _ => message.to.0[..2] == [0x33, 0x33],
        };
        if group || message.to == port.mac {
            Ok(())
        } else {
            Err(Ignored::NotForUs)
        }
    }

    fn is_ours(&self, mac: Mac) -> bool {
        self.ports.values().any(|port| port.mac == mac)
    }

    fn port(&self, id: PortId) -> Result<&Port, Ignored> {
        self.ports.get(&id).ok_or(Ignored::UnknownPort)
    }

    fn arp_input(
        &mut self,
        id: PortId,
        arp: &Arp,
        now: u64,
        out: &mut Vec<Frame>,
    ) -> Result<(), Ignored> {
        let (sender, target) = (IpAddr::V4(arp.spa), IpAddr::V4(arp.tpa));
        let ours = self.port(id)?.owns(target);
        // A gratuitous request asks nobody.
        let asked = arp.request && sender != target;
        let answered = asked && self.answer(id, target, arp.sha, sender, out);
        if arp.spa.is_unspecified() {
            return answered.then_some(()).ok_or(Ignored::NotOurs);
        }
        if self.port(id)?.owns(sender) {
            return Err(self.conflict(id, sender, arp.sha, now, out));
        }
        let said = Said {
            mac: Some(arp.sha),
            answer: !arp.request && ours,
            overrides: true,
        };
        let learn = if asked && ours {
            Learn::Create
        } else {
            Learn::Merge
        };
        let unknown = if arp.request {
            Ignored::NotOurs
        } else {
            Ignored::NotAsked
        };
        match self.hear(id, sender, &said, learn, unknown, now) {
            // It was answered for somebody else (proxy), which is all that it wanted.
            Err(Ignored::NotOurs) if answered => Ok(()),
            fate => fate,
        }
    }

    fn ns_input(
        &mut self,
        id: PortId,
        ns: &Solicit,
        from: Mac,
        now: u64,
        out: &mut Vec<Frame>,
    ) -> Result<(), Ignored> {
        let (sender, target) = (IpAddr::V6(ns.src), IpAddr::V6(ns.target));
        let ours = self.port(id)?.owns(target);
        let answered = self.answer(id, target, ns.lladdr.unwrap_or(from), sender, out);
        let Some(mac) = ns.lladdr else {
            // Duplicate address detection, or a unicast question: it tells us nothing.
            return answered.then_some(()).ok_or(Ignored::NotOurs);
        };
        if self.port(id)?.owns(sender) {
            return Err(self.conflict(id, sender, mac, now, out));
        }
        let said = Said {
            mac: Some(mac),
            answer: false,
            overrides: true,
        };
        let learn = if ours { Learn::Create } else { Learn::Merge };
        match self.hear(id, sender, &said, learn, Ignored::NotOurs, now) {
            Err(Ignored::NotOurs) if answered => Ok(()),
            fate => fate,
        }
    }

    fn na_input(
        &mut self,
        id: PortId,
        na: &Advert,
        from: Mac,
        now: u64,
        out: &mut Vec<Frame>,
    ) -> Result<(), Ignored> {
        let target = IpAddr::V6(na.target);
        if self.port(id)?.owns(target) {
            return Err(self.conflict(id, target, na.lladdr.unwrap_or(from), now, out));
        }
        let said = Said {
            mac: na.lladdr,
            answer: na.solicited,
            overrides: na.overrides,
        };
        self.hear(id, target, &said, Learn::Merge, Ignored::NotAsked, now)
    }

    /// Answers a question for an address of ours, or for a published one; says whether it did.
    fn answer(
        &mut self,
        id: PortId,
        target: IpAddr,
        to: Mac,
        asker: IpAddr,
        out: &mut Vec<Frame>,
    ) -> bool {
        let Some(port) = self.ports.get(&id) else {
            return false;
        };
        let mac = if port.owns(target) {
            Some(port.mac)
        } else {
            self.published(id, target)
        };
        let Some(mac) = mac.filter(|&mac| mac != to) else {
            return false;
        };
        out.push(Frame {
            port: id,
            bytes: wire::answer(port.mac, target, mac, to, asker),
        });
        if target.is_ipv4() {
            self.stats.txreplies += 1;
        } else {
            self.stats.tx_neighbor_advert += 1;
        }
        true
    }

    fn published(&self, id: PortId, target: IpAddr) -> Option<Mac> {
        let entry = self.entry(self.find(id, target)?)?;
        entry.published.then_some(entry.mac)
    }

    /// Somebody uses an address of ours: counted, told, and defended, the two latter seldom.
    fn conflict(
        &mut self,
        id: PortId,
        addr: IpAddr,
        mac: Mac,
        now: u64,
        out: &mut Vec<Frame>,
    ) -> Ignored {
        self.stats.dupips += 1;
        let interval = self.cfg.defend_ms;
        if let Some(port) = self.ports.get_mut(&id)
            && port.defend(addr, now, interval)
        {
            out.push(Frame {
                port: id,
                bytes: wire::announcement(port.mac, addr),
            });
            self.stats.defences += 1;
            self.tell(Event::Conflict {
                port: id,
                addr,
                mac,
            });
        }
        Ignored::Conflict
    }

    /// What `said` means for the neighbour `addr`.
    fn hear(
        &mut self,
        id: PortId,
        addr: IpAddr,
        said: &Said,
        learn: Learn,
        unknown: Ignored,
        now: u64,
    ) -> Result<(), Ignored> {
        self.port(id)?.source_for(addr).ok_or(Ignored::OffLink)?;
        match (self.find(id, addr), said.mac) {
            (Some(idx), _) => self.merge(idx, said, now),
            (None, Some(mac)) if learn == Learn::Create => self.learn(id, addr, mac, now),
            _ => Err(unknown),
        }
    }

    /// Somebody said in passing where it is: what we know of it is corrected, and nothing is made of it.
    pub(crate) fn correct(&mut self, id: PortId, addr: IpAddr, mac: Mac, now: u64) {
        let said = Said {
            mac: Some(mac),
            answer: false,
            overrides: true,
        };
        let _ = self.hear(id, addr, &said, Learn::Merge, Ignored::NotOurs, now);
    }

    fn merge(&mut self, idx: NeighIdx, said: &Said, now: u64) -> Result<(), Ignored> {
        let before = self.entry(idx).map_or(Mac::ZERO, |entry| entry.mac);
        let heard = self.amend(idx, |entry, cfg| entry.hear(said, cfg, now));
        let after = self.entry(idx).map_or(before, |entry| entry.mac);
        if before != Mac::ZERO && before != after {
            self.stats.moved += 1;
            self.tell(Event::Moved {
                idx,
                from: before,
                to: after,
            });
        }
        self.stats.moves_refused += u64::from(heard == Some(Heard::Kept));
        match heard {
            Some(Heard::Answered | Heard::Kept) => {
                self.report_answer(idx);
                Ok(())
            }
            Some(Heard::Noted) => Ok(()),
            Some(Heard::NoOverride) => Err(Ignored::NoOverride),
            Some(Heard::Claimed) => Err(Ignored::Claim),
            Some(Heard::Static) => Err(Ignored::Static),
            Some(Heard::NoLinkAddress) => Err(Ignored::NoLinkAddress),
            None => Err(Ignored::NotAsked),
        }
    }

    pub(crate) fn report_answer(&mut self, idx: NeighIdx) {
        if self.entry(idx).is_some_and(Entry::is_reserved) {
            self.report(idx, true);
        }
    }

    fn learn(&mut self, id: PortId, addr: IpAddr, mac: Mac, now: u64) -> Result<(), Ignored> {
        let key = Key::new(id, addr);
        let made = self.make(key, Evictable::Unused, now, |key, generation, cfg| {
            Entry::learned(key, generation, mac, cfg, now)
        });
        made.map(drop).map_err(|_| Ignored::NoRoom)
    }
}
