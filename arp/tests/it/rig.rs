//! A table on one segment with simulated hosts, and an own reading of what it sends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arp::{Config, Event, Fate, Frame, Ignored, Mac, NeighIdx, NeighState, PortId, PortInfo};
use arp::{Input, Table, View};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, Icmpv6Packet, IpProtocol,
    Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};

pub(crate) const P0: PortId = PortId(0);
pub(crate) const OUR: Mac = Mac([2, 0, 0, 0, 0, 1]);
/// Both families take every scenario.
pub(crate) const FAMILIES: [&str; 2] = ["10.0.0.9", "fd00::9"];

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 1, last])
}

/// A neighbour frame, read independently of the crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    ArpRequest {
        to: Mac,
        sha: Mac,
        spa: Ipv4Addr,
        tha: Mac,
        tpa: Ipv4Addr,
    },
    ArpReply {
        to: Mac,
        sha: Mac,
        spa: Ipv4Addr,
        tha: Mac,
        tpa: Ipv4Addr,
    },
    Solicit {
        to: Mac,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        target: Ipv6Addr,
        lladdr: Option<Mac>,
    },
    Advert {
        to: Mac,
        src: Ipv6Addr,
        dst: Ipv6Addr,
        target: Ipv6Addr,
        flags: u8,
        mac: Option<Mac>,
    },
}

impl Seen {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let ether = EthernetFrame::new_checked(bytes).expect("Ethernet");
        let to = Mac(ether.dst_addr().0);
        if ether.ethertype() == EthernetProtocol::Arp {
            let packet = ArpPacket::new_checked(ether.payload()).expect("ARP");
            let ArpRepr::EthernetIpv4 {
                operation,
                source_hardware_addr,
                source_protocol_addr: spa,
                target_hardware_addr,
                target_protocol_addr: tpa,
            } = ArpRepr::parse(&packet).expect("ARP")
            else {
                panic!("other ARP");
            };
            let (sha, tha) = (Mac(source_hardware_addr.0), Mac(target_hardware_addr.0));
            return match operation {
                ArpOperation::Request => Self::ArpRequest {
                    to,
                    sha,
                    spa,
                    tha,
                    tpa,
                },
                _ => Self::ArpReply {
                    to,
                    sha,
                    spa,
                    tha,
                    tpa,
                },
            };
        }
        let packet = Ipv6Packet::new_checked(ether.payload()).expect("IPv6");
        assert_eq!(
            (packet.hop_limit(), packet.next_header()),
            (255, IpProtocol::Icmpv6)
        );
        let (src, dst) = (packet.src_addr(), packet.dst_addr());
        let icmp = Icmpv6Packet::new_checked(packet.payload()).expect("ICMPv6");
        assert!(icmp.verify_checksum(&src, &dst));
        let address = |raw: RawHardwareAddress| Mac(raw.as_bytes().try_into().expect("six"));
        match NdiscRepr::parse(&icmp).expect("ND") {
            NdiscRepr::NeighborSolicit {
                target_addr: target,
                lladdr,
            } => Self::Solicit {
                to,
                src,
                dst,
                target,
                lladdr: lladdr.map(address),
            },
            NdiscRepr::NeighborAdvert {
                flags,
                target_addr: target,
                lladdr,
            } => Self::Advert {
                to,
                src,
                dst,
                target,
                flags: flags.bits(),
                mac: lladdr.map(address),
            },
            other => panic!("not a neighbour's message: {other:?}"),
        }
    }

    /// Whom a question is about, and whether everybody is asked.
    pub(crate) fn question(&self) -> Option<(IpAddr, bool)> {
        match *self {
            // A probe is about an address of ours.
            Self::ArpRequest { to, spa, tpa, .. } if spa != tpa && !spa.is_unspecified() => {
                Some((tpa.into(), to == Mac::BROADCAST))
            }
            Self::Solicit { to, target, .. } => Some((target.into(), to.0[0] == 0x33)),
            _ => None,
        }
    }
}

pub(crate) fn arp_frame(request: bool, to: Mac, sha: Mac, spa: &str, tpa: &str) -> Vec<u8> {
    let v4 = |text: &str| text.parse::<Ipv4Addr>().expect("IPv4");
    let repr = ArpRepr::EthernetIpv4 {
        operation: if request {
            ArpOperation::Request
        } else {
            ArpOperation::Reply
        },
        source_hardware_addr: sha.into(),
        source_protocol_addr: v4(spa),
        target_hardware_addr: Mac::ZERO.into(),
        target_protocol_addr: v4(tpa),
    };
    let mut frame = arp::ether_header(to, sha, 0x0806).to_vec();
    frame.resize(14 + 28, 0);
    repr.emit(&mut ArpPacket::new_unchecked(&mut frame[14..]));
    frame
}

/// Any neighbour discovery message in a frame from `from`.
pub(crate) fn nd_frame(to: Mac, from: Mac, src: &str, dst: &str, repr: &NdiscRepr<'_>) -> Vec<u8> {
    let (src_addr, dst_addr) = (src.parse().expect("IPv6"), dst.parse().expect("IPv6"));
    let header = Ipv6Repr {
        src_addr,
        dst_addr,
        next_header: IpProtocol::Icmpv6,
        payload_len: repr.buffer_len(),
        hop_limit: 255,
    };
    let mut frame = arp::ether_header(to, from, 0x86dd).to_vec();
    frame.resize(14 + 40 + repr.buffer_len(), 0);
    header.emit(&mut Ipv6Packet::new_unchecked(&mut frame[14..]));
    let mut icmp = Icmpv6Packet::new_unchecked(&mut frame[54..]);
    repr.emit(&mut icmp);
    icmp.fill_checksum(&src_addr, &dst_addr);
    frame
}

pub(crate) fn solicit<'a>(target: &str, lladdr: Option<Mac>) -> NdiscRepr<'a> {
    let lladdr = lladdr.map(|mac| RawHardwareAddress::from_bytes(&mac.0));
    NdiscRepr::NeighborSolicit {
        target_addr: target.parse().expect("IPv6"),
        lladdr,
    }
}

pub(crate) const SOLICITED: NdiscNeighborFlags = NdiscNeighborFlags::SOLICITED;
pub(crate) const OVERRIDE: NdiscNeighborFlags = NdiscNeighborFlags::OVERRIDE;

pub(crate) fn advert<'a>(
    target: &str,
    flags: NdiscNeighborFlags,
    lladdr: Option<Mac>,
) -> NdiscRepr<'a> {
    let lladdr = lladdr.map(|mac| RawHardwareAddress::from_bytes(&mac.0));
    NdiscRepr::NeighborAdvert {
        flags,
        target_addr: target.parse().expect("IPv6"),
        lladdr,
    }
}

/// A host on the segment: it answers questions for its address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host {
    pub(crate) addr: IpAddr,
    pub(crate) mac: Mac,
    pub(crate) alive: bool,
}

impl Host {
    pub(crate) fn answer(&self, seen: &Seen) -> Option<Vec<u8>> {
        match *seen {
            Seen::ArpRequest {
                to, sha, spa, tpa, ..
            } if IpAddr::V4(tpa) == self.addr => {
                let mine = to == self.mac || to == Mac::BROADCAST;
                let reply = arp_frame(false, sha, self.mac, &tpa.to_string(), &spa.to_string());
                mine.then_some(reply)
            }
            Seen::Solicit {
                to,
                src,
                target,
                lladdr,
                ..
            } if IpAddr::V6(target) == self.addr => {
                let mine = to == self.mac || to.0[0] == 0x33;
                let target = target.to_string();
                // As smoltcp does: without the override flag.
                let repr = advert(&target, SOLICITED, Some(self.mac));
                let to = lladdr.expect("our questions say where we are");
                mine.then(|| nd_frame(to, self.mac, &target, &src.to_string(), &repr))
            }
            _ => None,
        }
    }
}

pub(crate) struct Rig {
    pub(crate) table: Table,
    pub(crate) view: Arc<View>,
    pub(crate) now: u64,
    pub(crate) hosts: Vec<Host>,
    /// What the table sent since it was last looked at, and when.
    pub(crate) sent: Vec<(u64, Frame)>,
    pub(crate) events: Vec<Event>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(cfg: Config) -> Self {
        let (table, view) = arp::new(cfg, 42);
        let (hosts, sent, events) = (Vec::new(), Vec::new(), Vec::new());
        let mut rig = Self {
            table,
            view,
            now: 1_000_000,
            hosts,
            sent,
            events,
        };
        rig.set_port(true);
        rig.sent.clear();
        rig
    }

    pub(crate) fn info(up: bool) -> PortInfo {
        let addrs = vec![
            (ip("10.0.0.1"), 8),
            (ip("fd00::1"), 64),
            (ip("fe80::1"), 64),
        ];
        PortInfo {
            port: P0,
            mac: OUR,
            addrs,
            up,
            advertise: None,
        }
    }

    pub(crate) fn set_port(&mut self, up: bool) {
        self.set_port_to(Self::info(up));
    }

    pub(crate) fn set_port_to(&mut self, info: PortInfo) {
        let mut out = Vec::new();
        self.table.set_port(info, self.now, &mut out);
        self.note(out);
    }

    fn note(&mut self, out: Vec<Frame>) {
        self.sent
            .extend(out.into_iter().map(|frame| (self.now, frame)));
        self.events.extend(self.table.events());
    }

    pub(crate) fn host(&mut self, addr: &str, mac: Mac) {
        self.hosts.push(Host {
            addr: ip(addr),
            mac,
            alive: true,
        });
    }

    pub(crate) fn reserve(&mut self, addr: &str) -> NeighIdx {
        self.table
            .reserve(P0, ip(addr), self.now)
            .expect("reserved")
    }

    pub(crate) fn ask(&mut self, addr: &str) -> NeighIdx {
        self.table.ask(P0, ip(addr), self.now).expect("asked")
    }

    pub(crate) fn input(&mut self, frame: &[u8]) -> Input {
        let mut out = Vec::new();
        let input = self.table.input(P0, frame, self.now, &mut out);
        self.note(out);
        input
    }

    pub(crate) fn accept(&mut self, frame: &[u8]) {
        assert_eq!(self.input(frame).fate, Fate::Accepted);
    }

    pub(crate) fn ignore(&mut self, frame: &[u8], reason: Ignored) {
        assert_eq!(self.input(frame).fate, Fate::Ignored(reason));
    }

    /// Polls once, and lets the hosts answer at once.
    pub(crate) fn poll(&mut self) {
        let mut out = Vec::new();
        self.table.poll(self.now, &mut out);
        let answers: Vec<_> = out.iter().flat_map(|frame| self.answers(frame)).collect();
        self.note(out);
        for answer in answers {
            self.input(&answer);
        }
    }

    fn answers(&self, frame: &Frame) -> Vec<Vec<u8>> {
        let seen = Seen::read(&frame.bytes);
        let alive = self.hosts.iter().filter(|host| host.alive);
        alive.filter_map(|host| host.answer(&seen)).collect()
    }

    /// Lets `ms` pass, polling whenever something is due.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(at) = self.table.next_deadline().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.poll();
        }
        self.now = end;
    }

    pub(crate) fn state(&self, idx: NeighIdx) -> NeighState {
        self.view.word(idx).state()
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        self.events.extend(self.table.events());
        std::mem::take(&mut self.events)
    }

    pub(crate) fn take_sent(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.sent)
            .iter()
            .map(|(_, frame)| Seen::read(&frame.bytes))
            .collect()
    }

    /// When, relative to `start`, questions were sent, and whether to everybody.
    pub(crate) fn take_questions(&mut self, start: u64) -> Vec<(u64, bool)> {
        let sent = std::mem::take(&mut self.sent);
        let questions = sent.iter().filter_map(|(at, frame)| {
            let (_, all) = Seen::read(&frame.bytes).question()?;
            Some((at - start, all))
        });
        questions.collect()
    }
}
