//! Pieces of datagrams for the gateway itself, put together (RFC 791 §3.2, RFC 1122 §3.3.2, RFC 8200 §4.5), and a datagram
//! of its own cut into pieces.
//!
//! Bounded: so many datagrams, each of so many pieces, a quarter of them from one source; a new one takes the place of the
//! oldest of who has most. Who sent the first piece of one that did not become whole is told. Datagrams whose pieces
//! overlap are forgotten whole (RFC 5722, for IPv4 too: nobody honest sends them).

use crate::checksum;
use crate::parse::{self, Fragment, IpMeta};
use crate::pkt::Pkt;
use route::PortId;
use std::net::IpAddr;

/// Datagrams that wait for their pieces.
pub const DATAGRAMS: usize = 16;

/// Of one source (/32, /64).
const SHARE: usize = DATAGRAMS / 4;

/// Pieces of one datagram: 65,535 bytes in pieces of 576.
const PIECES: usize = 128;

/// How long a datagram waits, ms (RFC 1122 §3.3.2, RFC 8200 §4.5).
const WAIT_MS: u64 = 60_000;

/// Longest packet, and what an IPv6 header's length can count behind it: put together from pieces one can be 40 bytes longer.
pub(super) const LONGEST: usize = 65_535;

/// Bytes of a fragment header, and its number.
const FRAGMENT_HEADER: usize = 8;
const FRAGMENT: u8 = 44;

/// What pieces of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    /// IPv4 alone: in IPv6 the first piece says it for all.
    proto: u8,
    id: u32,
}

/// A datagram that waits.
#[derive(Debug)]
struct Datagram {
    key: Key,
    until_ms: u64,
    /// Once it is there.
    first: Option<First>,
    parts: Vec<(usize, Vec<u8>)>,
    /// Length of the payload, once the last piece is there.
    end: Option<usize>,
}

/// The first piece of a datagram.
#[derive(Debug)]
pub(super) struct First {
    /// The header in front of the payload, as that of the whole.
    front: Vec<u8>,
    /// As it came: its sender is told if the rest does not.
    pub(super) packet: Vec<u8>,
    /// By which port.
    pub(super) port: PortId,
}

/// What became of a piece.
enum Added {
    New,
    /// It is there already.
    Again,
}

/// Datagrams on their way to being whole.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    waiting: Vec<Datagram>,
    pub(super) seen: Seen,
}

/// What became of pieces so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Datagrams that had to go for newer ones.
    pub(super) displaced: u64,
    /// Datagrams that became whole.
    pub(super) whole: u64,
    /// Pieces that were thrown away.
    pub(super) dropped: u64,
    /// Pieces whose datagram's time was over.
    pub(super) late: u64,
}

impl Pieces {
    /// Takes a piece that `ip_input` has read. Gives the datagram when it is whole.
    pub(super) fn take(&mut self, pkt: &Pkt, now_ms: u64) -> Option<Vec<u8>> {
        let meta = &pkt.meta;
        let fragment = meta.fragment?;
        let v6 = meta.addrs.is_v6();
        let key = Key {
            src: meta.addrs.src(),
            dst: meta.addrs.dst(),
            proto: if v6 { 0 } else { meta.proto },
            id: fragment.id,
        };
        let at = self.find_or_make(key, now_ms);
        let datagram = self.waiting.get_mut(at)?;
        let packet = pkt.bytes().get(..usize::from(meta.len))?;
        match datagram.add(v6, &fragment, (packet, pkt.in_port)) {
            Some(Added::New) => {}
            Some(Added::Again) => self.seen.dropped += 1,
            None => {
                self.seen.dropped += 1;
                self.throw_away(at);
                return None;
            }
        }
        if !self.waiting.get(at)?.is_whole() {
            return None;
        }
        let datagram = self.waiting.remove(at);
        let pieces = datagram.parts.len() as u64;
        let whole = datagram.whole(v6);
        match whole {
            Some(_) => self.seen.whole += 1,
            None => self.seen.dropped += pieces,
        }
        whole
    }

    /// The last datagram, whole, made no sense.
    pub(super) fn spoilt(&mut self) {
        self.seen.whole = self.seen.whole.saturating_sub(1);
        self.seen.dropped += 1;
    }

    /// Datagrams that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A datagram goes with all its pieces.
    fn throw_away(&mut self, at: usize) {
        self.seen.dropped += self.waiting.remove(at).parts.len() as u64;
    }

    /// When the next datagram has waited long enough, ms.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.waiting.iter().map(|datagram| datagram.until_ms).min()
    }

    /// Forgets datagrams that have waited long enough. Gives the first pieces of those that had theirs.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<First> {
        let late = |datagram: &mut Datagram| datagram.until_ms <= now_ms;
        let gone: Vec<_> = self.waiting.extract_if(.., late).collect();
        let pieces = gone.iter().map(|datagram| datagram.parts.len() as u64);
        self.seen.late += pieces.sum::<u64>();
        gone.into_iter().filter_map(|gone| gone.first).collect()
    }

    fn find_or_make(&mut self, key: Key, now_ms: u64) -> usize {
        if let Some(at) = self.waiting.iter().position(|datagram| datagram.key == key) {
            return at;
        }
        if let Some(at) = self.who_goes(network(key.src)) {
            self.throw_away(at);
            self.seen.displaced += 1;
        }
        self.waiting.push(Datagram {
            key,
            until_ms: now_ms + WAIT_MS,
            first: None,
            parts: Vec::new(),
            end: None,
        });
        self.waiting.len() - 1
    }

    /// Which datagram goes for a new one from `source`: its own oldest if it has its share, else, if there is no room, the
    /// oldest of who has most. Nobody's pieces push out those of who has fewer.
    fn who_goes(&self, source: IpAddr) -> Option<usize> {
        let sources = || {
            self.waiting
                .iter()
                .map(|datagram| network(datagram.key.src))
        };
        let held = |by: IpAddr| sources().filter(|source| *source == by).count();
        let who = if held(source) >= SHARE {
            source
        } else if self.waiting.len() >= DATAGRAMS {
            // Of several the oldest: `max_by_key` gives the last.
            sources().rev().max_by_key(|source| held(*source))?
        } else {
            return None;
        };
        sources().position(|source| source == who)
    }
}

/// Who shares with whom: an IPv6 host has a whole /64 to send from.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(source) => IpAddr::from((source.to_bits() >> 64 << 64).to_be_bytes()),
    }
}

impl Datagram {
    /// `None`: the datagram makes no sense any more.
    fn add(
        &mut self,
        v6: bool,
        fragment: &Fragment,
        (packet, port): (&[u8], PortId),
    ) -> Option<Added> {
        let (front, part) = split(v6, packet)?;
        let from = usize::from(fragment.offset);
        let to = from + part.len();
        let same = |(at, bytes): &(usize, Vec<u8>)| *at == from && bytes.len() == part.len();
        if self.parts.iter().any(same) {
            return Some(Added::Again);
        }
        let apart = |(at, bytes): &(usize, Vec<u8>)| to <= *at || at + bytes.len() <= from;
        if !self.parts.iter().all(apart) || self.parts.len() >= PIECES || to > LONGEST {
            return None;
        }
        if !fragment.more && self.end.replace(to).is_some() {
            return None;
        }
        if from == 0 {
            let packet = packet.to_vec();
            self.first = Some(First {
                front,
                packet,
                port,
            });
        }
        self.parts.push((from, part.to_vec()));
        let beyond = |end: usize| self.parts.iter().any(|(at, bytes)| at + bytes.len() > end);
        (!self.end.is_some_and(beyond)).then_some(Added::New)
    }

    fn is_whole(&self) -> bool {
        let got: usize = self.parts.iter().map(|(_, bytes)| bytes.len()).sum();
        self.first.is_some() && self.end == Some(got)
    }

    fn whole(mut self, v6: bool) -> Option<Vec<u8>> {
        self.parts.sort_unstable_by_key(|(at, _)| *at);
        let mut whole = self.first?.front;
        let header = whole.len();
        for (_, part) in &self.parts {
            whole.extend_from_slice(part);
        }
        set_length(&mut whole, v6, header).then_some(whole)
    }
}

/// A piece's header, as it is in front of the whole datagram, and its payload.
fn split(v6: bool, packet: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    if !v6 {
        let (front, part) = packet.split_at_checked(usize::from(packet.first()? & 15) * 4)?;
        let mut front = front.to_vec();
        front.get_mut(6..8)?.fill(0);
        return Some((front, part));
    }
    let (mut named_at, mut at) = (6, 40);
    while *packet.get(named_at)? != FRAGMENT {
        if !matches!(packet.get(named_at)?, 0 | 43 | 60) {
            return None;
        }
        (named_at, at) = (at, at + 8 + usize::from(*packet.get(at + 1)?) * 8);
    }
    let (front, rest) = packet.split_at_checked(at)?;
    let (fragment, part) = rest.split_at_checked(FRAGMENT_HEADER)?;
    let mut front = front.to_vec();
    *front.get_mut(named_at)? = *fragment.first()?;
    Some((front, part))
}

/// Reads a datagram that was put together; of one that is longer than any packet its first 65,535 bytes.
pub(super) fn read(whole: &[u8]) -> Option<IpMeta> {
    if whole.len() <= LONGEST {
        return parse::read(whole).ok();
    }
    let mut front = whole.get(..LONGEST)?.to_vec();
    set_length(&mut front, true, 40);
    parse::read(&front).ok()
}

/// Writes a packet's length into its header; `false` if it does not fit.
fn set_length(packet: &mut [u8], v6: bool, header: usize) -> bool {
    let len = packet.len();
    let (at, counted) = if v6 {
        (4, len.saturating_sub(40))
    } else {
        (2, len)
    };
    let Ok(counted) = u16::try_from(counted) else {
        return false;
    };
    if let Some(field) = packet.get_mut(at..at + 2) {
        field.copy_from_slice(&counted.to_be_bytes());
    }
    if !v6 {
        checksum::fill_header(packet, header);
    }
    true
}

/// A packet without options or extension headers, in pieces of at most `mtu` bytes; `id` is that of its IPv6 pieces.
pub(super) fn cut(packet: &[u8], mtu: usize, id: u32) -> Vec<Vec<u8>> {
    let v6 = packet.first().is_some_and(|b| b >> 4 == 6);
    let front = if v6 { 40 } else { 20 };
    let heads = if v6 { front + FRAGMENT_HEADER } else { front };
    let room = mtu.saturating_sub(heads) / 8 * 8;
    let Some((header, payload)) = packet.split_at_checked(front).filter(|_| room > 0) else {
        return Vec::new();
    };
    if packet.len() <= mtu {
        return vec![packet.to_vec()];
    }
    let count = payload.len().div_ceil(room);
    let piece = |(n, part): (usize, &[u8])| {
        let word = (n * room) as u16;
        let more = n + 1 < count;
        if v6 {
            piece6(header, part, word | u16::from(more), id)
        } else {
            piece4(header, part, (word / 8) | u16::from(more) << 13)
        }
    };
    payload.chunks(room).enumerate().map(piece).collect()
}

fn piece4(header: &[u8], part: &[u8], word: u16) -> Vec<u8> {
    let mut piece = [header, part].concat();
    piece[6..8].copy_from_slice(&word.to_be_bytes());
    set_length(&mut piece, false, header.len());
    piece
}

fn piece6(header: &[u8], part: &[u8], word: u16, id: u32) -> Vec<u8> {
    let mut fragment = [header[6], 0, 0, 0, 0, 0, 0, 0];
    fragment[2..4].copy_from_slice(&word.to_be_bytes());
    fragment[4..].copy_from_slice(&id.to_be_bytes());
    let mut piece = [header, &fragment, part].concat();
    piece[6] = FRAGMENT;
    set_length(&mut piece, true, header.len());
    piece
}

#[cfg(test)]
mod tests;
