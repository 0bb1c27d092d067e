//! Where the pieces of a fragmented datagram meet: "a fragment goes by its datagram's pin" (design section 6).
//!
//! Only a datagram's first piece shows its ports. [`datagram_hash`] names the one worker whose collector
//! sees all pieces of a datagram. There a first piece leaves its tuple; pieces that follow take it and go
//! on at once; pieces that came too early wait for it. If it does not come in time they go by their 3-tuple,
//! counted. Nothing is reassembled (RFC 1812 §5.2.6), and nothing that a piece overlaps is judged.
//!
//! Bounds: fixed numbers of datagrams and of waiting pieces (each one packet buffer), and no source may
//! hold more than a quarter of the waiting places. When places are short the oldest waiting datagram is given
//! up; datagrams that only wait and datagrams whose tuple is known cannot push each other below half of
//! the table, so a flood of one kind leaves the other alone.
//!
//! One collector a worker, its own memory, virtual time in milliseconds, which never goes back. Nothing
//! allocates after `new` as long as `ready` and `evicted` have room: `pieces + 1` packets at most a call.

mod leave;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use leave::collector_slot;

use crate::parse::{Addrs, Fragment, IpMeta, Role, Tuple};
use crate::pkt::Pkt;
use flowtable::L4;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use table::{Datagram, DatagramIdx, Key, NONE, PieceIdx, Queue, Table};

/// Cells in which waiting pieces are counted by source (/32, /64). Sources that meet in one share it.
const SOURCES: usize = 256;
/// A source may hold one of this many parts of the waiting places.
const SHARE: usize = 4;

/// Hash of what all pieces of a datagram have in common: it names the collector's worker.
///
/// Source, destination, identification, and for IPv4 the protocol (RFC 791 §3.2). IPv6 identifies a datagram
/// without it, and later pieces may show another next header than the first (RFC 8200 §4.5).
pub fn datagram_hash(seed: u64, meta: &IpMeta) -> u64 {
    hash_key(seed, &Key::of(meta, meta.fragment.map_or(0, |f| f.id)))
}

fn hash_key(seed: u64, key: &Key) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, !seed);
    hash_addrs(&mut hasher, &key.addrs);
    let fib = u64::from(key.fib.0) << 40;
    hasher.write_u64(fib | u64::from(key.proto) << 32 | u64::from(key.id));
    hasher.finish()
}

fn hash_addrs(hasher: &mut SipHasher13, addrs: &Addrs) {
    match *addrs {
        Addrs::V4 { src, dst } => hasher.write_u64(u64::from(src) << 32 | u64::from(dst)),
        Addrs::V6 { src, dst } => {
            hasher.write_u128(src);
            hasher.write_u128(dst);
        }
    }
}

/// What a datagram's pieces take from its first one.
#[derive(Clone, Copy, Debug)]
struct Known {
    tuple: Tuple,
    role: Role,
    l4: L4,
}

impl Known {
    /// What a first piece shows.
    fn shown_by(meta: &IpMeta) -> Self {
        // A later piece holds no header: it neither opens a connection nor moves a TCP state.
        let l4 = match meta.l4 {
            L4::Udp => L4::Udp,
            L4::Icmp => L4::Icmp,
            _ => L4::Other,
        };
        Self {
            tuple: meta.tuple,
            role: meta.role,
            l4,
        }
    }

    /// What is known of a datagram whose first piece did not come: addresses and protocol.
    fn without_ports(meta: &IpMeta) -> Self {
        let tuple = Tuple {
            addrs: meta.addrs,
            sport: 0,
            dport: 0,
            proto: meta.proto,
        };
        Self {
            tuple,
            role: Role::Own,
            l4: L4::Other,
        }
    }

    fn mark(self, mut pkt: Pkt) -> Pkt {
        (pkt.meta.tuple, pkt.meta.role, pkt.meta.l4) = (self.tuple, self.role, self.l4);
        pkt
    }
}

/// A place for one waiting piece; places of a datagram, and the free ones, are chained.
#[derive(Debug)]
struct Place {
    pkt: Option<Pkt>,
    next: PieceIdx,
}

/// What happened to pieces since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// First pieces seen.
    pub first: u64,
    /// Later pieces that went on at once, by the tuple of their first piece.
    pub followed: u64,
    /// Pieces that had to wait and then went by the tuple of their first piece.
    pub waited: u64,
    /// Pieces that went by their 3-tuple because the first piece did not come in time.
    pub orphans: u64,
    /// Waiting pieces given up for want of a place.
    pub evicted: u64,
    /// Pieces refused because their source held its whole share.
    pub refused: u64,
    /// Datagrams whose tuple was forgotten early, some of their bytes unseen, for want of a place.
    pub forgotten: u64,
}

/// How full the tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fills {
    /// Datagrams remembered or waited for.
    pub datagrams: usize,
    /// Room for datagrams.
    pub datagrams_limit: usize,
    /// Pieces that wait.
    pub pieces: usize,
    /// Room for waiting pieces.
    pub pieces_limit: usize,
}

/// The collector of one worker.
#[derive(Debug)]
pub struct Collector {
    table: Table,
    places: Box<[Place]>,
    free: PieceIdx,
    waiting: usize,
    /// Waiting pieces by source cell.
    held: Box<[u32]>,
    wait_ms: u64,
    keep_ms: u64,
    seed: u64,
    stats: Stats,
}

impl Collector {
    /// Room for `datagrams` known or waited for, and for `pieces` that wait.
    ///
    /// A piece waits `wait_ms` for the first one; a tuple is remembered `keep_ms` after it was learnt, and
    /// once more after all bytes were seen (duplicates), but then first in line to be forgotten. `seed` is
    /// a secret of this collector.
    pub fn new(datagrams: usize, pieces: usize, wait_ms: u64, keep_ms: u64, seed: u64) -> Self {
        let places = (0..pieces).map(|i| Place {
            pkt: None,
            next: if i + 1 < pieces {
                PieceIdx::at(i + 1)
            } else {
                NONE
            },
        });
        Self {
            table: Table::new(datagrams),
            places: places.collect(),
            free: if pieces > 0 { PieceIdx::at(0) } else { NONE },
            waiting: 0,
            held: vec![0; SOURCES].into_boxed_slice(),
            wait_ms,
            keep_ms,
            // Apart from `datagram_hash`, whose bits already chose this worker.
            seed: seed.rotate_left(32) ^ 0x636f_6c6c_6563_7421,
            stats: Stats::default(),
        }
    }

    /// A piece arrived. What may go on comes out in `ready`, with its datagram's tuple and role: a first
    /// piece, then those that had waited for it, in the order they came; a later piece whose tuple is known.
    /// What lost its place, or found none, comes out in `evicted`, to be dropped as `FragmentFull`.
    ///
    /// A packet that is no fragment goes straight on, unchanged.
    pub fn take(&mut self, pkt: Pkt, now_ms: u64, ready: &mut Vec<Pkt>, evicted: &mut Vec<Pkt>) {
        let Some(fragment) = pkt.meta.fragment else {
            return ready.push(pkt);
        };
        let key = Key::of(&pkt.meta, fragment.id);
        let hash = hash_key(self.seed, &key);
        let at = self.find_fresh(hash, &key, now_ms);
        if fragment.offset == 0 {
            return self.first(pkt, (hash, key), at, now_ms, ready, evicted);
        }
        if let Some(at) = at
            && let Some(known) = self.table[at].known
        {
            self.stats.followed += 1;
            self.see_bytes(at, &pkt.meta, fragment, now_ms);
            return ready.push(known.mark(pkt));
        }
        if let Some(refused) = self.hold(pkt, (hash, key), fragment, now_ms, evicted) {
            evicted.push(refused);
        }
    }

    /// Lets out what has waited too long, to go by its 3-tuple, and forgets tuples past their time.
    pub fn poll(&mut self, now_ms: u64, ready: &mut Vec<Pkt>) {
        while let Some(at) = self.table.oldest(Queue::Waiting)
            && self.table[at].since_ms.saturating_add(self.wait_ms) <= now_ms
        {
            self.let_go_by_addresses(at, now_ms, ready);
        }
        for queue in [Queue::Open, Queue::Done] {
            while let Some(at) = self.table.oldest(queue)
                && self.table[at].since_ms.saturating_add(self.keep_ms) <= now_ms
            {
                self.table.remove(at);
            }
        }
    }

    /// Pieces that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// When [`Self::poll`] next has a piece to let out. Tuples are forgotten in passing: nobody need wake for them.
    pub fn next_deadline(&self) -> Option<u64> {
        let at = self.table.oldest(Queue::Waiting)?;
        Some(self.table[at].since_ms.saturating_add(self.wait_ms))
    }

    /// How full the tables are.
    pub fn fills(&self) -> Fills {
        Fills {
            datagrams: self.table.len(),
            datagrams_limit: self.table.capacity(),
            pieces: self.waiting,
            pieces_limit: self.places.len(),
        }
    }

    /// What happened to pieces since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The datagram's entry, unless it is a tuple past its time: identifications are used again.
    fn find_fresh(&mut self, hash: u64, key: &Key, now_ms: u64) -> Option<DatagramIdx> {
        let at = self.table.find(hash, key)?;
        let datagram = &self.table[at];
        if datagram.known.is_some() && datagram.since_ms.saturating_add(self.keep_ms) <= now_ms {
            self.table.remove(at);
            return None;
        }
        Some(at)
    }

    /// Remembers a first piece's tuple and lets it and those that waited for it go.
    fn first(
        &mut self,
        pkt: Pkt,
        id: (u64, Key),
        at: Option<DatagramIdx>,
        now_ms: u64,
        ready: &mut Vec<Pkt>,
        evicted: &mut Vec<Pkt>,
    ) {
        self.stats.first += 1;
        let (known, meta) = (Known::shown_by(&pkt.meta), pkt.meta);
        ready.push(pkt);
        let Some(at) = at.or_else(|| self.enter(id, Queue::Open, now_ms, evicted)) else {
            return;
        };
        let datagram = &mut self.table[at];
        if datagram.known.is_some() {
            // A duplicate, or the identification used again: count its bytes anew.
            (datagram.seen, datagram.total) = (0, 0);
        }
        datagram.known = Some(known);
        self.table.move_to(at, Queue::Open, now_ms);
        if let Some(fragment) = meta.fragment {
            self.see_bytes(at, &meta, fragment, now_ms);
        }
        self.stats.waited += self.release(at, |pkt| ready.push(known.mark(pkt)));
    }

    /// Counts a piece's bytes; a datagram all of whose bytes were seen is the first to be forgotten.
    fn see_bytes(&mut self, at: DatagramIdx, meta: &IpMeta, fragment: Fragment, now_ms: u64) {
        let datagram = &mut self.table[at];
        let payload = u32::from(meta.len.saturating_sub(meta.l4_off));
        datagram.seen = datagram.seen.saturating_add(payload);
        if !fragment.more {
            datagram.total = u32::from(fragment.offset) + payload;
        }
        let whole = datagram.total > 0 && datagram.seen >= datagram.total;
        if whole && datagram.known.is_some() && datagram.queue == Queue::Open {
            self.table.move_to(at, Queue::Done, now_ms);
        }
    }

    /// Gives a later piece a place to wait; one that finds none comes back.
    fn hold(
        &mut self,
        pkt: Pkt,
        id: (u64, Key),
        fragment: Fragment,
        now_ms: u64,
        evicted: &mut Vec<Pkt>,
    ) -> Option<Pkt> {
        let cell = self.source_cell(&pkt.meta.addrs);
        if self.held[cell] as usize >= (self.places.len() / SHARE).max(1) {
            self.stats.refused += 1;
            return Some(pkt);
        }
        while self.free == NONE {
            if !self.evict_oldest(evicted) {
                self.stats.evicted += 1;
                return Some(pkt);
            }
        }
        // Looked up again: what was evicted may have been this very datagram.
        let at = self.table.find(id.0, &id.1);
        let Some(at) = at.or_else(|| self.enter(id, Queue::Waiting, now_ms, evicted)) else {
            self.stats.evicted += 1;
            return Some(pkt);
        };
        self.see_bytes(at, &pkt.meta, fragment, now_ms);
        self.table[at].cell = cell as u16;
        self.append(at, pkt);
        None
    }

    /// Puts a piece at the end of its datagram's chain, in the first free place (there is one).
    fn append(&mut self, at: DatagramIdx, pkt: Pkt) {
        let piece = self.free;
        let place = &mut self.places[piece.get()];
        self.free = std::mem::replace(&mut place.next, NONE);
        place.pkt = Some(pkt);
        let datagram = &mut self.table[at];
        let last = std::mem::replace(&mut datagram.last, piece);
        if last == NONE {
            datagram.first = piece;
        } else {
            self.places[last.get()].next = piece;
        }
        self.held[usize::from(datagram.cell)] += 1;
        self.waiting += 1;
    }

    /// Takes all of a datagram's waiting pieces out, in the order they came; returns how many.
    fn release(&mut self, at: DatagramIdx, mut each: impl FnMut(Pkt)) -> u64 {
        let datagram = &mut self.table[at];
        let mut piece = std::mem::replace(&mut datagram.first, NONE);
        datagram.last = NONE;
        let cell = usize::from(datagram.cell);
        let mut count = 0;
        while piece != NONE {
            let place = &mut self.places[piece.get()];
            let next = std::mem::replace(&mut place.next, self.free);
            if let Some(pkt) = place.pkt.take() {
                each(pkt);
                count += 1;
            }
            self.free = piece;
            piece = next;
        }
        self.held[cell] -= count;
        self.waiting -= count as usize;
        u64::from(count)
    }

    /// The first piece did not come: what waited goes by addresses and protocol, and so will what still comes.
    fn let_go_by_addresses(&mut self, at: DatagramIdx, now_ms: u64, ready: &mut Vec<Pkt>) {
        let mut known = None;
        let count = self.release(at, |pkt| {
            let by = *known.get_or_insert_with(|| Known::without_ports(&pkt.meta));
            ready.push(by.mark(pkt));
        });
        self.stats.orphans += count;
        self.table[at].known = known;
        self.table.move_to(at, Queue::Open, now_ms);
    }

    /// A new entry, making room for it; `None` only if the table has no places at all.
    fn enter(
        &mut self,
        (hash, key): (u64, Key),
        queue: Queue,
        now_ms: u64,
        evicted: &mut Vec<Pkt>,
    ) -> Option<DatagramIdx> {
        if self.table.len() == self.table.capacity() {
            self.make_room(queue, evicted);
        }
        self.table.insert(Datagram::new(key), hash, queue, now_ms)
    }

    /// Frees a place in a full table for a datagram that is to enter `queue`: that of one all seen, else of
    /// the oldest of its own kind if that kind has its half, else of the other kind, which has more.
    fn make_room(&mut self, queue: Queue, evicted: &mut Vec<Pkt>) {
        let has_half = self.table.queued(queue) * 2 >= self.table.capacity();
        if let Some(at) = self.table.oldest(Queue::Done) {
            self.table.remove(at);
        } else if (queue == Queue::Waiting) == has_half {
            self.evict_oldest(evicted);
        } else if let Some(at) = self.table.oldest(Queue::Open) {
            self.stats.forgotten += 1;
            self.table.remove(at);
        }
    }

    /// Gives the oldest waiting datagram up; `false` if none waits.
    fn evict_oldest(&mut self, evicted: &mut Vec<Pkt>) -> bool {
        let Some(at) = self.table.oldest(Queue::Waiting) else {
            return false;
        };
        self.stats.evicted += self.release(at, |pkt| evicted.push(pkt));
        self.table.remove(at);
        true
    }

    fn source_cell(&self, addrs: &Addrs) -> usize {
        let network = match *addrs {
            Addrs::V4 { src, .. } => u64::from(src),
            Addrs::V6 { src, .. } => (src >> 64) as u64,
        };
        let mut hasher = SipHasher13::new_with_keys(!self.seed, self.seed);
        hasher.write_u64(network);
        (hasher.finish() as usize) % SOURCES
    }
}
