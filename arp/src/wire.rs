//! Frames in and out: what ARP and neighbour discovery look like on the wire.
//!
//! Parsing and emitting are smoltcp's; this module adds the checks that RFC 826 and RFC 4861
//! §7.1 ask of a receiver, and names the one that failed. Nothing here has state. The header of
//! an Ethernet frame is 14 bytes: tagged frames are not ours to read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, Icmpv6Message, Icmpv6Packet,
    IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};

use crate::port::is_host;
use crate::{Ignored, Mac};

const ETHER_HEADER: usize = 14;
const IPV6_HEADER: usize = 40;
const ICMPV6_HEADER: usize = 8;
const ARP_LENGTH: usize = 28;
/// Hardware and protocol types and their address lengths: the only ARP there is here.
const ARP_ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// ff02::1, where advertisements for everybody go.
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What kind of neighbour frame it is, for a worker that decides to which queue it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A question, or one of a router's messages.
    Request,
    /// An answer: it may confirm a neighbour we know.
    Reply,
}

/// Tells ARP and neighbour discovery from everything else, cheaply: nothing is validated.
///
/// Routers' messages and redirects (ICMPv6 133, 134, 137) are called requests. Discovery behind
/// an extension header is not recognised.
#[must_use]
pub fn is_neighbour_frame(frame: &[u8]) -> Option<Kind> {
    match *frame.get(12..14)? {
        [0x08, 0x06] => match frame.get(20..22) {
            Some([0, 2]) => Some(Kind::Reply),
            _ => Some(Kind::Request),
        },
        [0x86, 0xdd] if *frame.get(ETHER_HEADER + 6)? == 58 => {
            match *frame.get(ETHER_HEADER + IPV6_HEADER)? {
                136 => Some(Kind::Reply),
                133..=137 => Some(Kind::Request),
                _ => None,
            }
        }
        _ => None,
    }
}

/// To whom a frame's IPv6 packet is, if its hop limit says that it crossed a router, or was to: that is no discovery
/// (RFC 4861 §6.1, §7.1).
#[must_use]
pub fn crossed_a_router(frame: &[u8]) -> Option<Ipv6Addr> {
    let (header, ip) = frame.split_first_chunk::<ETHER_HEADER>()?;
    let ip = ip.first_chunk::<IPV6_HEADER>()?;
    let crossed = header[12..] == ETHERTYPE_IPV6 && ip[7] != 255;
    let dst = ip.last_chunk::<16>()?;
    crossed.then_some(Ipv6Addr::from(*dst))
}

/// The 14 bytes in front of a packet on Ethernet.
#[must_use]
pub fn ether_header(dst: Mac, src: Mac, ethertype: u16) -> [u8; 14] {
    let mut header = [0; ETHER_HEADER];
    let (macs, kind) = header.split_at_mut(12);
    let (to, from) = macs.split_at_mut(6);
    to.copy_from_slice(&dst.0);
    from.copy_from_slice(&src.0);
    kind.copy_from_slice(&ethertype.to_be_bytes());
    header
}

/// A frame that passed the checks that need no knowledge of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) to: Mac,
    pub(crate) from: Mac,
    pub(crate) body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Arp(Arp),
    Solicit(Solicit),
    Advert(Advert),
    RouterSolicit(RouterSolicit),
}

/// An ARP packet, in RFC 826's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arp {
    pub(crate) request: bool,
    pub(crate) sha: Mac,
    pub(crate) spa: Ipv4Addr,
    pub(crate) tpa: Ipv4Addr,
}

/// A neighbour solicitation. `src` is unspecified in duplicate address detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Solicit {
    pub(crate) src: Ipv6Addr,
    pub(crate) target: Ipv6Addr,
    pub(crate) lladdr: Option<Mac>,
}

/// A neighbour advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advert {
    pub(crate) target: Ipv6Addr,
    pub(crate) lladdr: Option<Mac>,
    pub(crate) solicited: bool,
    pub(crate) overrides: bool,
}

/// A router solicitation; from `::` without a link address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouterSolicit {
    pub(crate) src: Ipv6Addr,
    pub(crate) lladdr: Option<Mac>,
}

/// Reads a whole Ethernet frame.
pub(crate) fn parse(frame: &[u8]) -> Result<Message, Ignored> {
    let ether = EthernetFrame::new_checked(frame).map_err(|_| Ignored::Truncated)?;
    let body = match ether.ethertype() {
        EthernetProtocol::Arp => Body::Arp(parse_arp(ether.payload())?),
        EthernetProtocol::Ipv6 => parse_ipv6(ether.payload())?,
        _ => return Err(Ignored::NotNeighbour),
    };
    let (to, from) = (ether.dst_addr().into(), ether.src_addr().into());
    Ok(Message { to, from, body })
}

fn parse_arp(bytes: &[u8]) -> Result<Arp, Ignored> {
    let fixed = bytes.get(..8).ok_or(Ignored::Truncated)?;
    if fixed[..6] != ARP_ETHERNET_IPV4 {
        return Err(Ignored::BadHeader);
    }
    let packet = ArpPacket::new_checked(bytes).map_err(|_| Ignored::Truncated)?;
    let ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr,
        source_protocol_addr: spa,
        target_protocol_addr: tpa,
        ..
    } = ArpRepr::parse(&packet).map_err(|_| Ignored::BadHeader)?
    else {
        return Err(Ignored::BadHeader);
    };
    let request = match operation {
        ArpOperation::Request => true,
        ArpOperation::Reply => false,
        ArpOperation::Unknown(_) => return Err(Ignored::BadOperation),
    };
    let sha = Mac::from(source_hardware_addr);
    // RFC 5227 §1.1: a probe's sender address is zero, the only one that is nobody's.
    if !sha.is_unicast() || !(spa.is_unspecified() || is_host(spa.into())) {
        return Err(Ignored::BadSender);
    }
    Ok(Arp {
        request,
        sha,
        spa,
        tpa,
    })
}

fn parse_ipv6(bytes: &[u8]) -> Result<Body, Ignored> {
    let packet = Ipv6Packet::new_checked(bytes).map_err(|_| Ignored::Truncated)?;
    if packet.version() != 6 {
        return Err(Ignored::BadHeader);
    }
    let icmp = match (packet.next_header(), packet.payload()) {
        (IpProtocol::Icmpv6, []) => return Err(Ignored::Truncated),
        (IpProtocol::Icmpv6, icmp) if (133..=137).contains(&icmp[0]) => icmp,
        _ => return Err(Ignored::NotNeighbour),
    };
    if packet.hop_limit() != 255 {
        return Err(Ignored::BadHopLimit);
    }
    parse_nd(packet.src_addr(), packet.dst_addr(), icmp)
}

/// RFC 4861 §7.1: what makes a solicitation or an advertisement valid.
fn parse_nd(src: Ipv6Addr, dst: Ipv6Addr, bytes: &[u8]) -> Result<Body, Ignored> {
    let packet = Icmpv6Packet::new_checked(bytes).map_err(|_| Ignored::Truncated)?;
    if !packet.verify_checksum(&src, &dst) {
        return Err(Ignored::BadChecksum);
    }
    if packet.msg_code() != 0 {
        return Err(Ignored::BadCode);
    }
    match packet.msg_type() {
        Icmpv6Message::RouterAdvert => return Err(Ignored::RouterMessage),
        Icmpv6Message::Redirect => return Err(Ignored::Redirect),
        _ => {}
    }
    match NdiscRepr::parse(&packet).map_err(|_| Ignored::BadOption)? {
        NdiscRepr::NeighborSolicit {
            target_addr,
            lladdr,
        } => solicit(src, dst, target_addr, lladdr),
        NdiscRepr::NeighborAdvert {
            flags,
            target_addr,
            lladdr,
        } => advert(src, dst, flags, target_addr, lladdr),
        NdiscRepr::RouterSolicit { lladdr } => router_solicit(src, lladdr),
        _ => Err(Ignored::NotNeighbour),
    }
}

fn solicit(
    src: Ipv6Addr,
    dst: Ipv6Addr,
    target: Ipv6Addr,
    lladdr: Option<RawHardwareAddress>,
) -> Result<Body, Ignored> {
    if !is_host(target.into()) {
        return Err(Ignored::BadTarget);
    }
    let lladdr = link_address(lladdr)?;
    if src.is_unspecified() {
        // RFC 4861 §7.1.1: to the solicited-node group, and without a source link address.
        if dst != solicited_node(target) || lladdr.is_some() {
            return Err(Ignored::BadCombination);
        }
    } else if !is_host(src.into()) {
        return Err(Ignored::BadSender);
    }
    Ok(Body::Solicit(Solicit {
        src,
        target,
        lladdr,
    }))
}

/// RFC 4861 §6.1.1.
fn router_solicit(src: Ipv6Addr, lladdr: Option<RawHardwareAddress>) -> Result<Body, Ignored> {
    let lladdr = link_address(lladdr)?;
    if src.is_unspecified() {
        if lladdr.is_some() {
            return Err(Ignored::BadCombination);
        }
    } else if !is_host(src.into()) {
        return Err(Ignored::BadSender);
    }
    Ok(Body::RouterSolicit(RouterSolicit { src, lladdr }))
}

fn advert(
    src: Ipv6Addr,
    dst: Ipv6Addr,
    flags: NdiscNeighborFlags,
    target: Ipv6Addr,
    lladdr: Option<RawHardwareAddress>,
) -> Result<Body, Ignored> {
    if !is_host(target.into()) {
        return Err(Ignored::BadTarget);
    }
    if !is_host(src.into()) {
        return Err(Ignored::BadSender);
    }
    let solicited = flags.contains(NdiscNeighborFlags::SOLICITED);
    if solicited && dst.is_multicast() {
        return Err(Ignored::BadCombination);
    }
    let overrides = flags.contains(NdiscNeighborFlags::OVERRIDE);
    Ok(Body::Advert(Advert {
        target,
        lladdr: link_address(lladdr)?,
        solicited,
        overrides,
    }))
}

/// A link-layer address option must be a host's Ethernet address.
fn link_address(option: Option<RawHardwareAddress>) -> Result<Option<Mac>, Ignored> {
    let Some(raw) = option else { return Ok(None) };
    let bytes = <[u8; 6]>::try_from(raw.as_bytes()).map_err(|_| Ignored::BadOption)?;
    let mac = Mac(bytes);
    if mac.is_unicast() {
        Ok(Some(mac))
    } else {
        Err(Ignored::BadSender)
    }
}

/// RFC 4291 §2.7.1.
pub(crate) fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    const PREFIX: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
    Ipv6Addr::from_bits(PREFIX | (target.to_bits() & 0xff_ffff))
}

/// RFC 2464 §7: the MAC of an IPv6 group.
pub(crate) fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// The question "who has `target`?" from our `source`: to everybody, or to `known` alone.
pub(crate) fn question(our: Mac, source: IpAddr, target: IpAddr, known: Option<Mac>) -> Vec<u8> {
    match (source, target) {
        (IpAddr::V4(spa), IpAddr::V4(tpa)) => {
            let to = known.unwrap_or(Mac::BROADCAST);
            let tha = known.unwrap_or(Mac::ZERO);
            arp_frame(ArpOperation::Request, (to, our), (our, spa), (tha, tpa))
        }
        (IpAddr::V6(src), IpAddr::V6(target)) => {
            let repr = NdiscRepr::NeighborSolicit {
                target_addr: target,
                lladdr: Some(raw(our)),
            };
            let dst = if known.is_some() {
                target
            } else {
                solicited_node(target)
            };
            let to = known.unwrap_or_else(|| group_mac(dst));
            nd_frame((to, our), (src, dst), &repr)
        }
        // A source is always of its target's family: see `Port::source_for`.
        _ => Vec::new(),
    }
}

/// The answer "`addr` is at `mac`", sent from `our` MAC to `to`, who asked as `asker`.
///
/// An answer for another host (a published entry) does not override what the asker knows:
/// RFC 4861 §7.2.8. An `asker` without an address gets it by everybody's: §7.2.4.
pub(crate) fn answer(our: Mac, addr: IpAddr, mac: Mac, to: Mac, asker: IpAddr) -> Vec<u8> {
    match (addr, asker) {
        (IpAddr::V4(spa), IpAddr::V4(tpa)) => {
            // RFC 3927 §2.5: link-local ARP is always broadcast.
            let ether_to = if spa.is_link_local() {
                Mac::BROADCAST
            } else {
                to
            };
            arp_frame(ArpOperation::Reply, (ether_to, our), (mac, spa), (to, tpa))
        }
        (IpAddr::V6(target), IpAddr::V6(asker)) => {
            let mut flags = NdiscNeighborFlags::ROUTER;
            flags.set(NdiscNeighborFlags::OVERRIDE, mac == our);
            if asker.is_unspecified() {
                return nd_advert(our, group_mac(ALL_NODES), ALL_NODES, target, mac, flags);
            }
            nd_advert(
                our,
                to,
                asker,
                target,
                mac,
                flags | NdiscNeighborFlags::SOLICITED,
            )
        }
        _ => Vec::new(),
    }
}

/// Asks whether somebody else has `addr`, an address of ours: an ARP probe (RFC 5227 §2.1.1), which who has it answers and
/// nobody learns from, or duplicate address detection (RFC 4862 §5.4.2).
pub(crate) fn probe(our: Mac, addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(v4) => arp_frame(
            ArpOperation::Request,
            (Mac::BROADCAST, our),
            (our, Ipv4Addr::UNSPECIFIED),
            (Mac::ZERO, v4),
        ),
        IpAddr::V6(target_addr) => {
            let repr = NdiscRepr::NeighborSolicit {
                target_addr,
                lladdr: None,
            };
            let dst = solicited_node(target_addr);
            nd_frame((group_mac(dst), our), (Ipv6Addr::UNSPECIFIED, dst), &repr)
        }
    }
}

/// Tells everybody that `addr` is ours: gratuitous ARP (RFC 5227 §2.3), or an unsolicited
/// advertisement (RFC 4861 §7.2.6).
pub(crate) fn announcement(our: Mac, addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(v4) => arp_frame(
            ArpOperation::Request,
            (Mac::BROADCAST, our),
            (our, v4),
            (Mac::ZERO, v4),
        ),
        IpAddr::V6(v6) => {
            let flags = NdiscNeighborFlags::ROUTER | NdiscNeighborFlags::OVERRIDE;
            nd_advert(our, group_mac(ALL_NODES), ALL_NODES, v6, our, flags)
        }
    }
}

/// `ether` is (to, from); `source` and `target` are ARP's pairs.
fn arp_frame(
    operation: ArpOperation,
    ether: (Mac, Mac),
    source: (Mac, Ipv4Addr),
    target: (Mac, Ipv4Addr),
) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: source.0.into(),
        source_protocol_addr: source.1,
        target_hardware_addr: target.0.into(),
        target_protocol_addr: target.1,
    };
    let mut body = [0; ARP_LENGTH];
    repr.emit(&mut ArpPacket::new_unchecked(&mut body[..]));
    let mut frame = Vec::with_capacity(ETHER_HEADER + ARP_LENGTH);
    frame.extend_from_slice(&ether_header(
        ether.0,
        ether.1,
        u16::from_be_bytes(ETHERTYPE_ARP),
    ));
    frame.extend_from_slice(&body);
    frame
}

/// An advertisement whose IPv6 source is its target: some hosts cache the source.
fn nd_advert(
    our: Mac,
    to: Mac,
    dst: Ipv6Addr,
    target: Ipv6Addr,
    mac: Mac,
    flags: NdiscNeighborFlags,
) -> Vec<u8> {
    let repr = NdiscRepr::NeighborAdvert {
        flags,
        target_addr: target,
        lladdr: Some(raw(mac)),
    };
    nd_frame((to, our), (target, dst), &repr)
}

/// `ether` is (to, from), `ip` is (source, destination).
fn nd_frame(ether: (Mac, Mac), ip: (Ipv6Addr, Ipv6Addr), repr: &NdiscRepr<'_>) -> Vec<u8> {
    let mut icmp = vec![0; repr.buffer_len().max(ICMPV6_HEADER)];
    let mut packet = Icmpv6Packet::new_unchecked(&mut icmp[..]);
    repr.emit(&mut packet);
    packet.fill_checksum(&ip.0, &ip.1);
    ipv6_frame(ether, ip, &icmp)
}

/// A message of neighbour discovery in its frame.
pub(crate) fn ipv6_frame(ether: (Mac, Mac), ip: (Ipv6Addr, Ipv6Addr), icmp: &[u8]) -> Vec<u8> {
    let (src_addr, dst_addr) = ip;
    let payload_len = icmp.len();
    let header = Ipv6Repr {
        src_addr,
        dst_addr,
        next_header: IpProtocol::Icmpv6,
        payload_len,
        hop_limit: 255,
    };
    let mut frame = vec![0; ETHER_HEADER + IPV6_HEADER + payload_len];
    let (ether_part, rest) = frame.split_at_mut(ETHER_HEADER);
    let (ip_part, icmp_part) = rest.split_at_mut(IPV6_HEADER);
    let ethertype = u16::from_be_bytes(ETHERTYPE_IPV6);
    ether_part.copy_from_slice(&ether_header(ether.0, ether.1, ethertype));
    header.emit(&mut Ipv6Packet::new_unchecked(ip_part));
    icmp_part.copy_from_slice(icmp);
    frame
}

fn raw(mac: Mac) -> RawHardwareAddress {
    RawHardwareAddress::from_bytes(&mac.0)
}
