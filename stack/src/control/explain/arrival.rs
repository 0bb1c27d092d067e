//! From the wire to the worker that owns the flow: `ether_input`, `ip_input`, `hand_over`.

use super::{Framing, PacketAsk, Stage, Tracing, Verdict, words};
use crate::collector::{collector_slot, datagram_hash};
use crate::fate::DropReason;
use crate::icmp::{self, Error};
use crate::ingress::{self, Came, ETHER_HDR};
use crate::martian;
use crate::options;
use crate::ours::Ours;
use crate::parse::{self, IpMeta, Role};
use crate::ports::Layer;
use crate::rules::{OptionRule, Rpf};
use crate::vlan;
use arp::Mac;
use std::net::IpAddr;

impl Tracing<'_> {
    /// As a worker's `arrive`.
    pub(super) fn arrive(&mut self, ask: &PacketAsk<'_>) -> Verdict {
        let port = self.port;
        let fib = match port.fib.0 {
            0 => String::new(),
            fib => format!(", FIB {fib}"),
        };
        if !port.up {
            let cause = format!("{} is down", port.name);
            return self.drop(Stage::Port, DropReason::PortDown, cause);
        }
        self.pass(
            Stage::Port,
            format!("in by {}{fib}, which is up", port.name),
        );
        let ip = match self.ether_input(ask) {
            Ok(ip) => ip,
            Err(verdict) => return verdict,
        };
        self.v6 = ip.first().is_some_and(|byte| byte >> 4 == 6);
        match parse::read(ip) {
            Ok(meta) => self.ip_input(
                IpMeta {
                    fib: port.fib,
                    ..meta
                },
                ip,
            ),
            Err(reason) => self.refuse(ip, Stage::Ip, reason),
        }
    }

    fn ether_input<'b>(&mut self, ask: &PacketAsk<'b>) -> Result<&'b [u8], Verdict> {
        let bytes = ask.bytes;
        match (self.port.layer, ask.framing) {
            (Layer::L3, Framing::Ip) => Ok(bytes),
            (Layer::L3, Framing::Ether) => {
                let cause = "the port carries bare IP: the Ethernet header of what was given is left out of account";
                self.pass(Stage::Ether, cause);
                Ok(bytes.get(ETHER_HDR..).unwrap_or_default())
            }
            (Layer::L2(_), Framing::Ip) => {
                let cause = "given without a link header: taken as sent to our hardware address";
                self.pass(Stage::Ether, cause);
                Ok(bytes)
            }
            (Layer::L2(mac), Framing::Ether) => self.ether_frame(bytes, mac),
        }
    }

    fn ether_frame<'b>(&mut self, frame: &'b [u8], ours: Mac) -> Result<&'b [u8], Verdict> {
        let Some((header, ip)) = frame.split_first_chunk::<ETHER_HDR>() else {
            let cause = format!("{} bytes: an Ethernet header has 14", frame.len());
            return Err(self.drop(Stage::Ether, DropReason::EtherShort, cause));
        };
        let dst = Mac([
            header[0], header[1], header[2], header[3], header[4], header[5],
        ]);
        let Some(cast) = ingress::link_cast(dst, ours) else {
            let cause = format!("to {dst}, and {} is {ours}", self.port.name);
            return Err(self.drop(Stage::Ether, DropReason::EtherNotOurs, cause));
        };
        self.cast = cast;
        let (ports, at, fib) = (&self.control.ports, self.port.id, self.port.fib);
        let is_ours = |dst: &IpAddr| ports.is_own_at(at, fib, dst);
        if let Some(kind) = ingress::neighbour_frame(frame, is_ours) {
            self.stop(Stage::Ether, words::neighbour_frame(kind));
            return Err(Verdict::Neighbour);
        }
        let ethertype = [header[12], header[13]];
        self.v6 = ethertype == [0x86, 0xdd];
        let version = ip.first().map(|byte| byte >> 4);
        match ingress::check_ethertype(ethertype, version) {
            Ok(()) => {
                let cause = format!(
                    "to {dst}, {}, type {}",
                    words::cast(cast),
                    words::hex(&ethertype)
                );
                self.pass(Stage::Ether, cause);
                Ok(ip)
            }
            Err(_) if ethertype == vlan::TPID => Err(self.vlan_frame(frame)),
            Err(reason) => {
                let cause = format!(
                    "type {}: {}",
                    words::hex(&ethertype),
                    words::refused(reason, self.v6)
                );
                Err(self.drop(Stage::Ether, reason, cause))
            }
        }
    }

    /// As a worker's `vlan_input`.
    fn vlan_frame(&mut self, frame: &[u8]) -> Verdict {
        let ports = &self.control.ports;
        // A VLAN's own frames bear no tag: one that does has come by the device.
        let parent = self.port.vlan.and_then(|vlan| ports.get(vlan.parent));
        if let Some(parent) = parent {
            let (name, of) = (&self.port.name, &parent.name);
            let cause =
                format!("frames of {name} come by {of} with their tag: taken as come by {of}");
            self.pass(Stage::Ether, cause);
            self.port = parent;
            return self.arrive(&PacketAsk {
                port: parent.id,
                framing: Framing::Ether,
                bytes: frame,
            });
        }
        let here = self.port;
        let port = match vlan::of_frame(frame) {
            Err(reason) => Err((reason, words::refused(reason, self.v6))),
            Ok(None | Some(0)) => Ok((here, format!("a priority tag: {} itself", here.name))),
            Ok(Some(vid)) => {
                let mut vlans = ports.vlans_of(here.id);
                let port = vlans.find(|port| port.vlan.is_some_and(|vlan| vlan.vid == vid));
                let found = port.map(|port| (port, format!("tag of VLAN {vid}: {}", port.name)));
                found.ok_or_else(|| {
                    let cause = format!("tag of VLAN {vid}: {} has no such VLAN", here.name);
                    (DropReason::UnknownVlan, cause)
                })
            }
        };
        match port {
            Err((reason, cause)) => self.drop(Stage::Ether, reason, cause),
            Ok((port, cause)) => {
                self.pass(Stage::Ether, cause);
                self.port = port;
                self.arrive(&PacketAsk {
                    port: port.id,
                    framing: Framing::Ether,
                    bytes: &vlan::without_tag(frame),
                })
            }
        }
    }

    fn ip_input(&mut self, meta: IpMeta, ip: &[u8]) -> Verdict {
        // Beyond the datagram is the link's padding.
        let ip = ip.get(..usize::from(meta.len)).unwrap_or(ip);
        self.pass(Stage::Ip, words::sound(&meta));
        if let Err(reason) = self.check_source(&meta) {
            return self.refuse(ip, Stage::Addresses, reason);
        }
        self.pass(Stage::Addresses, self.good_addresses(&meta));
        if ingress::has_options(&meta)
            && let Err(verdict) = self.check_options(&meta, ip)
        {
            return verdict;
        }
        self.hand_over(meta, ip)
    }

    fn check_source(&self, meta: &IpMeta) -> Result<(), DropReason> {
        let by = Came {
            port: self.port.id,
            cast: self.cast,
            rules: self.port.rules,
        };
        let ports = &self.control.ports;
        ingress::check_source((ports, &Ours::of(ports)), &self.control.view, meta, by)
    }

    fn good_addresses(&self, meta: &IpMeta) -> String {
        let src = meta.addrs.src();
        let checked = "no martian, not our own, no broadcast as source";
        match self.port.rules.rpf {
            Rpf::Off => format!("{checked}; reverse path not asked (rpf off)"),
            _ if martian::link_local_source(&meta.addrs) => {
                format!("{checked}; reverse path not asked of a link-local source")
            }
            Rpf::Strict => {
                format!("{checked}; the route to {src} leads out by this port (rpf strict)")
            }
            Rpf::Loose => format!("{checked}; there is a route to {src} (rpf loose)"),
            Rpf::LooseNoDefault => {
                format!(
                    "{checked}; a route but the default one leads to {src} (rpf loose-no-default)"
                )
            }
        }
    }

    /// As a worker's `refuse`: some refusals are owed an answer.
    fn refuse(&mut self, ip: &[u8], stage: Stage, reason: DropReason) -> Verdict {
        let cause = self.why_refused(ip, stage, reason);
        self.stop(stage, cause);
        let (ports, at, fib) = (&self.control.ports, self.port.id, self.port.fib);
        let is_ours = |dst: &IpAddr| ports.is_own_at(at, fib, dst);
        let owed = icmp::owed(ip, reason, &self.port.rules, is_ours);
        let owed = owed.map(|(error, meta)| {
            let fib = self.port.fib;
            (error, IpMeta { fib, ..meta })
        });
        match owed {
            Some((error, meta)) if self.check_source(&meta).is_ok() => {
                self.told(reason, error, &meta, ip)
            }
            _ => Verdict::Drop {
                reason,
                answer: None,
            },
        }
    }

    fn why_refused(&self, ip: &[u8], stage: Stage, reason: DropReason) -> String {
        let rule = words::refused(reason, self.v6);
        let port = &self.port.name;
        let Some(meta) = parse::read(ip).ok().filter(|_| stage == Stage::Addresses) else {
            return format!("{} bytes: {rule}", ip.len());
        };
        let (src, dst) = (meta.addrs.src(), meta.addrs.dst());
        match reason {
            DropReason::ReversePath if self.port.rules.rpf != Rpf::Strict => {
                format!(
                    "no route that counts leads to {src} (rpf loose or loose-no-default): {rule}"
                )
            }
            DropReason::ReversePath => {
                format!("no route to {src} leads out by {port} (rpf strict): {rule}")
            }
            DropReason::IpOwnSource => format!("{src} is ours: {rule}"),
            DropReason::IpBadSource => format!("from {src}: {rule}"),
            DropReason::IpLinkCast => {
                format!("to {dst} in a link {}: {rule}", words::cast(self.cast))
            }
            _ => format!("to {dst}: {rule}"),
        }
    }

    fn check_options(&mut self, meta: &IpMeta, ip: &[u8]) -> Result<(), Verdict> {
        let rule = self.port.rules.options;
        let header = ip.get(..usize::from(meta.l4_off));
        let fault = header
            .filter(|_| rule == OptionRule::Process)
            .and_then(options::fault);
        let here = &self.port.name;
        match fault {
            _ if rule == OptionRule::Drop => {
                let cause = format!("{here} lets none through (options drop)");
                Err(self.drop(Stage::Options, DropReason::IpOptionsRefused, cause))
            }
            Some(at) => {
                let reason = DropReason::IpOptions;
                let cause = format!("byte {at}: {}", words::refused(reason, self.v6));
                self.stop(Stage::Options, cause);
                let pointer = at as u32;
                Err(self.told(reason, Error::ParamProblem { pointer }, meta, ip))
            }
            None => {
                let cause = match rule {
                    OptionRule::Process => "well formed; Record Route and Timestamp are filled in",
                    _ => "left alone (options ignore)",
                };
                self.pass(Stage::Options, cause);
                Ok(())
            }
        }
    }

    fn hand_over(&mut self, meta: IpMeta, ip: &[u8]) -> Verdict {
        let Some(piece) = meta.fragment else {
            return self.owned(&meta, ip);
        };
        let slot = collector_slot(datagram_hash(self.control.fragment_seed, &meta));
        let worker = self.control.slots.owner(slot);
        let at = format!("collected by worker {worker} (slot {})", slot.0);
        if piece.offset != 0 {
            let cause = format!(
                "piece at byte {} of datagram {}: {at}; it goes where the first piece went, or waits 500 ms for it and then goes by its \
                 addresses alone",
                piece.offset, piece.id
            );
            self.stop(Stage::Fragment, cause);
            return Verdict::Collect;
        }
        let cause = format!(
            "first piece of datagram {}: {at}; later pieces go where it goes",
            piece.id
        );
        self.pass(Stage::Fragment, cause);
        // What goes on from there is what any first packet of the flow is.
        self.owned(&meta, ip)
    }

    /// The owner of its flow gets it.
    fn owned(&mut self, meta: &IpMeta, ip: &[u8]) -> Verdict {
        let slot = self.control.slot_of(&meta.tuple);
        let worker = usize::from(self.control.slots.owner(slot));
        self.found.owner = Some((slot, worker));
        let of = match meta.role {
            Role::Quoting => format!(
                "ICMP error: of {} that it quotes, ends exchanged; ",
                words::tuple(&meta.tuple)
            ),
            Role::Own | Role::Piece => String::new(),
        };
        self.pass(
            Stage::Owner,
            format!("{of}slot {}, worker {worker}", slot.0),
        );
        self.forward(meta, ip)
    }
}
