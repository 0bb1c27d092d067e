//! A collector gives datagrams to another worker's, when their slot changes its owner.
//!
//! Pieces that wait go as they are. What is known of a datagram goes as a *note*: an empty packet that says in its
//! `meta` what a first piece would say, and in its bytes how much of the datagram was seen.

use super::table::{Datagram, DatagramIdx, Queue};
use super::{Collector, Known, hash_key};
use crate::parse::{Fragment, IpMeta};
use crate::pkt::{Pkt, Pool};
use flowtable::{SLOTS, SlotNo};

/// The slot of a datagram's collector, of its [`datagram_hash`](super::datagram_hash).
pub(crate) fn collector_slot(hash: u64) -> SlotNo {
    SlotNo((hash as usize % SLOTS) as u16)
}

impl Collector {
    /// Lets all datagrams go whose slot `leaves`: their pieces and notes come out in `out`. `seed` is that of
    /// [`datagram_hash`](super::datagram_hash). Returns how many were forgotten, as `pool` had no buffer for a note.
    pub fn hand_over(
        &mut self,
        seed: u64,
        leaves: impl Fn(SlotNo) -> bool,
        pool: &mut Pool,
        out: &mut Vec<Pkt>,
    ) -> u64 {
        let mut forgotten = 0;
        for queue in [Queue::Open, Queue::Done, Queue::Waiting] {
            let mut next = self.table.oldest(queue);
            while let Some(at) = next {
                next = self.table.newer(at);
                let slot = collector_slot(hash_key(seed, &self.table[at].key));
                if !leaves(slot) {
                    continue;
                }
                match self.table[at].known {
                    Some(known) => match note(pool, &self.table[at], known, slot) {
                        Some(note) => out.push(note),
                        None => forgotten += 1,
                    },
                    None => {
                        self.release(at, |pkt| out.push(pkt));
                    }
                }
                self.table.remove(at);
            }
        }
        forgotten
    }

    /// What another collector knew of a datagram. What loses its place for it comes out in `evicted`.
    pub fn learn(&mut self, note: &Pkt, now_ms: u64, evicted: &mut Vec<Pkt>) {
        let Some(fragment) = note.meta.fragment else {
            return;
        };
        let key = super::Key::of(&note.meta, fragment.id);
        let id = (hash_key(self.seed, &key), key);
        if self.find_fresh(id.0, &key, now_ms).is_some() {
            // A first piece was faster: it says the same, or what is newer.
            return;
        }
        let Some(at) = self.enter(id, Queue::Open, now_ms, evicted) else {
            return;
        };
        let seen = note
            .bytes()
            .first_chunk()
            .map_or(0, |b| u32::from_be_bytes(*b));
        let total = note
            .bytes()
            .last_chunk()
            .map_or(0, |b| u32::from_be_bytes(*b));
        self.adopt(at, &note.meta, (seen, total), now_ms);
    }

    fn adopt(&mut self, at: DatagramIdx, meta: &IpMeta, (seen, total): (u32, u32), now_ms: u64) {
        let (tuple, role, l4) = (meta.tuple, meta.role, meta.l4);
        let datagram = &mut self.table[at];
        datagram.known = Some(Known { tuple, role, l4 });
        (datagram.seen, datagram.total) = (seen, total);
        if total > 0 && seen >= total {
            self.table.move_to(at, Queue::Done, now_ms);
        }
    }
}

fn note(pool: &mut Pool, datagram: &Datagram, known: Known, slot: SlotNo) -> Option<Pkt> {
    let mut pkt = pool.take()?;
    let mut said = [0; 8];
    said[..4].copy_from_slice(&datagram.seen.to_be_bytes());
    said[4..].copy_from_slice(&datagram.total.to_be_bytes());
    let _ = pkt.copy_from(&said);
    let key = &datagram.key;
    pkt.meta = IpMeta {
        addrs: key.addrs,
        proto: key.proto,
        fib: key.fib,
        fragment: Some(Fragment {
            id: key.id,
            offset: 0,
            more: true,
        }),
        tuple: known.tuple,
        role: known.role,
        l4: known.l4,
        ..IpMeta::default()
    };
    (pkt.note, pkt.slot) = (true, slot);
    Some(pkt)
}
