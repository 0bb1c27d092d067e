//! A packet buffer and the pool it comes from.
//!
//! A [`Pkt`] owns one fixed buffer with room in front for a link header, so that a packet that came
//! without one (TUN) can leave with one (TAP) in place. Buffers are allocated when a pool is made and
//! then only move: pool → packet → ring → packet → pool. Nothing here allocates per packet.

use crate::checksum::ip_ttl_dec;
use crate::fate::DropReason;
use crate::ingress::ETHER_HDR;
use crate::offload::{self, Offload};
use crate::ours::Ours;
use crate::parse::{self, IpMeta};
use crate::plain;
use crate::vlan::{ADDRESSES, TAG, TPID};
use flowtable::{Seen, SlotNo};
use route::{FibId, PortId};
use std::hint::black_box;
use std::ops::{Deref, DerefMut};

/// Bytes kept free in front of a received packet: an Ethernet header with two VLAN tags fits, aligned.
pub const HEADROOM: usize = 64;

/// Bytes behind the room of a packet, so that "exactly full" can be told from "cut" by one read.
const SPARE: usize = 1;

/// Bytes that fit into a large packet: a super-packet of 65,535 bytes and its link header.
pub const LARGE: usize = 65_536 + HEADROOM;

/// The smallest page of memory, in bytes.
const PAGE: usize = 4096;

/// How a frame was addressed on the link it came by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkCast {
    /// To our own hardware address, or by a link without addresses.
    #[default]
    Unicast,
    /// To all stations.
    Broadcast,
    /// To a group of stations.
    Multicast,
}

/// One packet in its buffer: a pointer, so that queues and rings move eight bytes.
#[derive(Debug)]
pub struct Pkt(Box<PktBuf>);

/// What a [`Pkt`] points to.
#[derive(Debug)]
pub struct PktBuf {
    buf: Box<[u8]>,
    start: usize,
    end: usize,
    /// Where its link header began when it was received.
    front: usize,
    /// Its buffer is one of the few for super-packets.
    large: bool,
    /// The port it came in by.
    pub in_port: PortId,
    /// How the link addressed it.
    pub cast: LinkCast,
    /// What its device left undone of it: a checksum, cutting it into segments.
    pub offload: Offload,
    /// Why its device found that it must be dropped: a bad virtio header. Its bytes are not looked at then.
    pub fault: Option<DropReason>,
    /// It came in as IPv6: under which family its drop is counted.
    pub v6: bool,
    /// What `ip_input` read of it; carried along while it waits, so that it is parsed once.
    pub meta: IpMeta,
    /// The owner slot of its flow, once it was asked for.
    pub slot: SlotNo,
    /// It began here (ICMP error, own socket): the second book counts it, not the first.
    pub origin: bool,
    /// A fragment that has been through its datagram's collector.
    pub collected: bool,
    /// No packet at all, but what one worker's collector tells another's of a datagram.
    pub note: bool,
    /// Headers behind its link header were taken out of it.
    pub stripped: bool,
    /// The port on which its own destination was asked for, as a neighbour that was not known; of a packet of the host's own
    /// sockets, by which came what it answers.
    pub asked: Option<PortId>,
    /// When waiting for a neighbour ends, in ms; 0 while it has not waited.
    pub deadline_ms: u64,
}

impl Deref for Pkt {
    type Target = PktBuf;
    fn deref(&self) -> &PktBuf {
        &self.0
    }
}

impl DerefMut for Pkt {
    fn deref_mut(&mut self) -> &mut PktBuf {
        &mut self.0
    }
}

impl Pkt {
    /// A packet with an empty buffer for `size` bytes behind the headroom.
    pub fn with_size(size: usize) -> Self {
        Self::made(size, false)
    }

    fn made(size: usize, large: bool) -> Self {
        Self(Box::new(PktBuf {
            large,
            buf: touched(HEADROOM + size + SPARE),
            start: HEADROOM,
            end: HEADROOM,
            front: HEADROOM,
            in_port: PortId(0),
            cast: LinkCast::Unicast,
            offload: Offload::NONE,
            fault: None,
            v6: false,
            meta: IpMeta::default(),
            slot: SlotNo(0),
            origin: false,
            collected: false,
            note: false,
            stripped: false,
            asked: None,
            deadline_ms: 0,
        }))
    }
}

/// Memory that the system has already given: it does so page by page when one is first written, which is not to happen while
/// packets wait.
fn touched(bytes: usize) -> Box<[u8]> {
    // The compiler knows that it is zero, and would leave out what only writes that again.
    let mut room = black_box(vec![0_u8; bytes]).into_boxed_slice();
    room.iter_mut().step_by(PAGE).for_each(|byte| *byte = 0);
    if let Some(last) = room.last_mut() {
        *last = 0;
    }
    room
}

impl PktBuf {
    /// Whether it is a piece of a datagram that must go to the datagram's collector first.
    #[inline]
    pub fn is_piece(&self) -> bool {
        self.meta.fragment.is_some() && !self.collected
    }

    /// Its flow's slot and what was read of it, if it will be looked up: what begins here has been, a piece has no flow.
    #[inline]
    pub fn flow(&self) -> Option<(SlotNo, &IpMeta)> {
        (!self.origin && !self.is_piece()).then_some((self.slot, &self.meta))
    }

    /// What it tells its flow.
    #[inline(always)]
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            l4: self.meta.l4,
            bytes: u32::from(self.meta.len),
            in_port: self.in_port.0 as u8,
        }
    }

    /// Whether its buffer is one of the few for super-packets.
    pub fn is_large(&self) -> bool {
        self.large
    }

    /// Finishes its checksum. A super-packet becomes one large packet: right for who ends its way, not for a wire.
    pub fn finish(&mut self) {
        if let Some(csum) = std::mem::take(&mut self.offload).csum {
            offload::finish(self.bytes_mut(), csum.start.into(), csum.offset.into());
        }
    }

    /// Reads it as an IP packet of `fib` into its meta, which says nothing after an error.
    pub(crate) fn read_ip(&mut self, fib: FibId) -> Result<(), DropReason> {
        parse::read_into(&self.buf[self.start..self.end], fib, &mut self.meta)
    }

    /// The same of a plain packet behind a link header of `LINK` bytes, of which `carries` says whether it may stand in front of
    /// such a packet. The packet is without that header then, and without what the link has padded it with. `false`: it is no
    /// such packet, and nothing was done.
    #[inline(always)]
    pub(crate) fn read_plain<const LINK: usize>(
        &mut self,
        carries: impl FnOnce(&[u8; LINK], &[u8]) -> bool,
        fib: FibId,
        ours: &Ours,
    ) -> bool {
        let frame = &self.buf[self.start..self.end];
        let Some((link, ip)) = frame.split_first_chunk::<LINK>() else {
            return false;
        };
        if !carries(link, ip) || !plain::read_into(ip, fib, ours, &mut self.meta) {
            return false;
        }
        self.pull(LINK);
        // It was read: so much is there.
        self.end = self.start + usize::from(self.meta.len);
        true
    }

    /// The bytes of the packet.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    /// The bytes of a packet that nobody has put a header in front of, with the link header that was taken off it; without,
    /// if its own headers were changed since.
    pub fn received(&self) -> &[u8] {
        let start = if self.stripped {
            self.start
        } else {
            self.front
        };
        &self.buf[start.min(self.start)..self.end]
    }

    /// The bytes of the packet, to be changed.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.start..self.end]
    }

    /// Length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it holds no byte.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The whole room behind the headroom, for a device to read into; [`Self::filled`] says how much it read.
    #[inline]
    pub fn space(&mut self) -> &mut [u8] {
        let end = self.room_end();
        &mut self.buf[HEADROOM..end]
    }

    /// The same with `front` bytes of the headroom before it, for what a device puts in front of a packet, and one byte more
    /// behind it: who reads that much was given more than fits.
    pub fn space_behind(&mut self, front: usize) -> &mut [u8] {
        &mut self.buf[HEADROOM.saturating_sub(front)..]
    }

    /// The packet with `header` in front of it, for a device that wants one there; the packet itself stays as it is. `None`
    /// if the headroom is used up.
    pub fn behind(&mut self, header: &[u8]) -> Option<&[u8]> {
        let start = self.start.checked_sub(header.len())?;
        self.buf[start..self.start].copy_from_slice(header);
        Some(&self.buf[start..self.end])
    }

    #[inline]
    fn room_end(&self) -> usize {
        self.buf.len() - SPARE
    }

    /// Declares the first `len` bytes of [`Self::space`] to be the packet.
    pub fn filled(&mut self, len: usize) {
        self.start = HEADROOM;
        self.end = (HEADROOM + len).min(self.room_end());
    }

    /// Makes the packet a copy of `bytes`; `false` (and empty) if they do not fit.
    #[inline]
    pub fn copy_from(&mut self, bytes: &[u8]) -> bool {
        (self.start, self.end) = (HEADROOM, HEADROOM);
        match self.space().get_mut(..bytes.len()) {
            Some(room) => room.copy_from_slice(bytes),
            None => return false,
        }
        self.end += bytes.len();
        true
    }

    /// Takes `n` bytes off the front (a link header that was read).
    ///
    /// A checksum that was to be summed from within them is a fault.
    #[inline]
    pub fn pull(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if let Some(csum) = &mut self.offload.csum {
            match usize::from(csum.start).checked_sub(n) {
                Some(start) => csum.start = start as u16,
                None => self.fault = Some(DropReason::OffloadBad),
            }
        }
    }

    /// Puts `header` in front. `false` if the headroom is used up.
    #[must_use]
    #[inline]
    pub fn push(&mut self, header: &[u8]) -> bool {
        let Some(start) = self.start.checked_sub(header.len()) else {
            return false;
        };
        self.buf[start..self.start].copy_from_slice(header);
        self.pushed(start);
        true
    }

    /// An IP packet's step onward: takes one from its TTL or hop limit.
    #[inline(always)]
    pub(crate) fn step(&mut self, v6: bool) {
        ip_ttl_dec(self.bytes_mut(), v6);
    }

    /// The same, and puts the header of a frame that carries IPv4 in front, made right for IPv6. `false`: the headroom is used
    /// up, and nothing was done.
    #[must_use]
    #[inline(always)]
    pub(crate) fn step_behind(&mut self, header: &[u8; ETHER_HDR], v6: bool) -> bool {
        let Some(start) = self.start.checked_sub(ETHER_HDR) else {
            return false;
        };
        let front = self.buf.get_mut(start..);
        let Some(front) = front.and_then(|front| front.first_chunk_mut::<{ ETHER_HDR + 20 }>())
        else {
            return false;
        };
        let (place, ip) = front.split_at_mut(ETHER_HDR);
        place.copy_from_slice(header);
        if v6 {
            place[12..].copy_from_slice(&[0x86, 0xdd]);
        }
        ip_ttl_dec(ip, v6);
        self.pushed(start);
        true
    }

    /// The packet begins further in front now.
    #[inline]
    fn pushed(&mut self, start: usize) {
        if let Some(csum) = &mut self.offload.csum {
            csum.start = csum.start.saturating_add((self.start - start) as u16);
        }
        self.start = start;
    }

    /// Takes the VLAN tag out of a frame that has one: the addresses move up to what is behind it.
    pub fn untag(&mut self) {
        let bytes = self.bytes_mut();
        if bytes.len() >= ADDRESSES + TAG {
            bytes.copy_within(..ADDRESSES, TAG);
            self.pull(TAG);
            self.front += TAG;
        }
    }

    /// Puts a VLAN tag with this control information behind a frame's addresses. `false` if the headroom is used up, or
    /// this is no frame.
    #[must_use]
    pub fn tag(&mut self, tci: u16) -> bool {
        if self.len() < ADDRESSES || !self.push(&[0; TAG]) {
            return false;
        }
        let bytes = self.bytes_mut();
        bytes.copy_within(TAG..TAG + ADDRESSES, 0);
        if let Some(place) = bytes.get_mut(ADDRESSES..ADDRESSES + TAG) {
            let ([a, b], [c, d]) = (TPID, tci.to_be_bytes());
            place.copy_from_slice(&[a, b, c, d]);
        }
        true
    }

    /// Cuts the packet to its first `len` bytes (padding of the link, a quote).
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len);
    }

    /// Lengthens the packet at its end to `len` bytes in all; `false` if the buffer is too small.
    #[must_use]
    pub fn extend_to(&mut self, len: usize) -> bool {
        if self.start + len > self.room_end() {
            return false;
        }
        self.end = self.end.max(self.start + len);
        true
    }

    /// Bytes that fit behind the headroom.
    pub fn capacity(&self) -> usize {
        self.room_end() - HEADROOM
    }

    /// Forgets contents, marks and what was read; the buffer stays.
    pub fn reset(&mut self) {
        self.forget();
        self.meta = IpMeta::default();
    }

    /// The same, but for what was read: that is written over when another packet is read, or [`Pool::take`] gives it away.
    #[inline]
    fn forget(&mut self) {
        self.start = HEADROOM;
        self.end = HEADROOM;
        self.front = HEADROOM;
        self.in_port = PortId(0);
        self.cast = LinkCast::Unicast;
        self.offload = Offload::NONE;
        self.fault = None;
        self.v6 = false;
        self.origin = false;
        self.collected = false;
        self.note = false;
        self.stripped = false;
        self.asked = None;
        self.deadline_ms = 0;
    }
}

/// A worker's stock of empty packets: fixed at start, never grown. A few may be large, for super-packets.
#[derive(Debug)]
pub struct Pool {
    free: Vec<Pkt>,
    size: usize,
    total: usize,
    /// More than `total` are here only while others' buffers are, to whom as many are owed.
    most: usize,
    large: Vec<Pkt>,
    large_total: usize,
    large_most: usize,
}

impl Pool {
    /// `count` packets of `size` bytes each.
    pub fn new(count: usize, size: usize) -> Self {
        Self::with_room(count, size, 0)
    }

    /// As [`Self::new`], with room for so many of other threads' buffers beside its own.
    pub fn with_room(count: usize, size: usize, room: usize) -> Self {
        let mut free = Vec::with_capacity(count + room);
        free.extend((0..count).map(|_| Pkt::with_size(size)));
        Self {
            free,
            size,
            total: count,
            most: count + room,
            large: Vec::new(),
            large_total: 0,
            large_most: 0,
        }
    }

    /// As many large packets beside them, with room for so many of other threads'.
    #[must_use]
    pub fn with_large(mut self, count: usize, room: usize) -> Self {
        self.large = Vec::with_capacity(count + room);
        self.large
            .extend((0..count).map(|_| Pkt::made(LARGE, true)));
        (self.large_total, self.large_most) = (count, count + room);
        self
    }

    /// An empty large packet, or `None` when all are in use, or there are none.
    pub fn take_large(&mut self) -> Option<Pkt> {
        self.large.pop()
    }

    /// Large packets in use.
    pub fn large_used(&self) -> usize {
        self.large_total.saturating_sub(self.large.len())
    }

    /// Large packets in all.
    pub fn large_total(&self) -> usize {
        self.large_total
    }

    /// An empty packet, or `None` when all are in use.
    pub fn take(&mut self) -> Option<Pkt> {
        let mut pkt = self.free.pop()?;
        pkt.meta = IpMeta::default();
        Some(pkt)
    }

    /// The same for a frame that a device has received: nobody asks what was read of it before it is read. `None` when all are in use
    /// (the caller leaves the rest in the device).
    #[inline]
    pub fn take_for_rx(&mut self) -> Option<Pkt> {
        self.free.pop()
    }

    /// Gives a packet back. One that finds no room is let go: the pool allocates nothing.
    #[inline(always)]
    pub fn put(&mut self, mut pkt: Pkt) {
        if pkt.large {
            return self.put_large(pkt);
        }
        if self.free.len() < self.most {
            pkt.forget();
            self.free.push(pkt);
        }
    }

    #[inline(never)]
    fn put_large(&mut self, mut pkt: Pkt) {
        if self.large.len() < self.large_most {
            pkt.forget();
            self.large.push(pkt);
        }
    }

    /// Packets not in use.
    pub fn available(&self) -> usize {
        self.free.len()
    }

    /// Packets in all.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Bytes that fit into one packet.
    pub fn packet_size(&self) -> usize {
        self.size
    }
}
