//! Counters: one block a worker, written by that worker alone, readable by anyone.
//!
//! A counter is bumped with a plain load and store (no locked instruction), which is right because each
//! block has one writer, and none has a cache line of another's. The two books of design section 6 are read from here:
//!
//! - `rx = forwarded + consumed + waiting + Σ drops`
//! - `tx = forwarded + originated + extra − refused`

use crate::fate::{DROP_REASONS, DropReason, MoveReason};
use crate::icmp::Class;
use crossbeam_utils::CachePadded;
use route::PortId;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owner of the block may call it.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Adds one.
    pub fn bump(&self) {
        self.add(1);
    }

    /// Takes `n` off a gauge.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The current value; any thread.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What went through one port at one worker.
#[derive(Debug, Default)]
pub struct PortCounters {
    /// Frames received.
    pub rx: Counter,
    /// Their bytes.
    pub rx_bytes: Counter,
    /// Frames received and dropped, for whatever reason.
    pub rx_dropped: Counter,
    /// Frames that the device dropped because they were not taken fast enough; in no book.
    pub missed: Counter,
    /// Frames given to the device.
    pub tx: Counter,
    /// Their bytes.
    pub tx_bytes: Counter,
    /// Frames that the device refused.
    pub refused: Counter,
}

/// One port's counters, summed over workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortTotals {
    /// Frames received.
    pub rx: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames received and dropped, for whatever reason.
    pub rx_dropped: u64,
    /// Frames that the device dropped because they were not taken fast enough; in no book.
    pub missed: u64,
    /// Frames given to the device.
    pub tx: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames that the device refused.
    pub refused: u64,
}

impl PortTotals {
    /// Adds one worker's.
    pub fn add(&mut self, c: &PortCounters) {
        self.rx += c.rx.get();
        self.rx_bytes += c.rx_bytes.get();
        self.rx_dropped += c.rx_dropped.get();
        self.missed += c.missed.get();
        self.tx += c.tx.get();
        self.tx_bytes += c.tx_bytes.get();
        self.refused += c.refused.get();
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $field:ident;)+) => {
        /// One worker's counters (and the host's, which originates packets too).
        #[derive(Debug)]
        #[repr(align(128))]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $field: Counter,)+
            /// Since when the worker sleeps, ms since the start and one more; 0: it is awake.
            pub asleep_since: Counter,
            /// When each ICMP limit will be full again, ms, by `Class as usize`.
            icmp_full_at: [Counter; Class::ALL.len()],
            /// IPv4 (and what is neither), IPv6.
            drops: [[Counter; DROP_REASONS]; 2],
            moved: [Counter; MoveReason::ALL.len()],
            ports: Box<[CachePadded<PortCounters>]>,
        }

        impl Counters {
            /// Counters for a gateway with so many ports.
            pub fn new(ports: usize) -> Self {
                Self {
                    $($field: Counter::default(),)+
                    asleep_since: Counter::default(),
                    icmp_full_at: std::array::from_fn(|_| Counter::default()),
                    ports: (0..ports).map(|_| CachePadded::default()).collect(),
                    drops: std::array::from_fn(|_| std::array::from_fn(|_| Counter::default())),
                    moved: std::array::from_fn(|_| Counter::default()),
                }
            }
        }

        /// The sum of several workers' counters at one moment.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[doc = $doc])+ pub $field: u64,)+
            /// Drops by reason, indexed by `DropReason as usize`.
            pub drops: Vec<u64>,
            /// Of these, IPv6 packets.
            pub drops6: Vec<u64>,
            /// Moved pins by reason, indexed by `MoveReason as usize`.
            pub moved: Vec<u64>,
        }

        impl Totals {
            /// Adds one block.
            pub fn add(&mut self, c: &Counters) {
                $(self.$field += c.$field.get();)+
                self.drops.resize(DROP_REASONS, 0);
                self.moved.resize(MoveReason::ALL.len(), 0);
                self.drops6.resize(DROP_REASONS, 0);
                let [drops4, drops6] = &c.drops;
                for (sum, one) in self.drops.iter_mut().zip(drops4) { *sum += one.get(); }
                for (at, one) in drops6.iter().enumerate() {
                    let dropped = one.get();
                    self.drops[at] += dropped;
                    self.drops6[at] += dropped;
                }
                for (sum, one) in self.moved.iter_mut().zip(&c.moved) { *sum += one.get(); }
            }

            /// Every plain counter by name, for listings.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field),)+]
            }
        }
    };
}

counters! {
    /// Frames received from ports.
    rx;
    /// Bytes received from ports.
    rx_bytes;
    /// Packets sent on towards their next hop, counted once however many pieces.
    forwarded;
    /// Frames that ended here: ARP and ND, packets for own sockets, echo requests.
    consumed;
    /// Of these: ARP and ND frames given to the host.
    consumed_arp;
    /// Of these: packets for our own sockets.
    consumed_local;
    /// Of these: echo requests, turned into their replies.
    consumed_echo;
    /// Frames given to devices.
    tx;
    /// Bytes given to devices.
    tx_bytes;
    /// Packets that began here: ICMP errors, echo replies, own sockets, ARP and ND.
    originated;
    /// Pieces beyond the first of packets fragmented here.
    extra_pieces;
    /// Frames that the device refused.
    refused;
    /// Originated packets that never came to be sent (no route, no neighbour, no room).
    origin_lost;
    /// Originated packets that wait for a neighbour now.
    origin_waiting;
    /// Received packets that wait now: held for a neighbour, or collected fragments.
    waiting;
    /// Of these and of the originated: packets whose neighbour has no entry yet.
    waiting_unknown;
    /// Of these: packets whose flows are changing workers (with what is known of datagrams, which is no packet).
    parked;
    /// So many have been parked since the start.
    parked_in_all;
    /// Datagrams whose pieces' way was forgotten when their flows changed workers.
    datagrams_lost;
    /// Packets given to their owner's ring.
    handed_off;
    /// Packets taken from the rings of other workers.
    taken_over;
    /// Packets forwarded without a pin.
    unpinned;
    /// Packets forwarded on a pin found in the table, without a route lookup.
    pinned;
    /// Pins that were looked up again because a stamp had changed, and kept.
    revalidated;
    /// Pins whose next hop is no more: they miss by their generation.
    stale_generation;
    /// Pins whose stamp had changed, kept or not: they miss by their stamp.
    stale_stamp;
    /// ICMP error messages sent.
    icmp_sent;
    /// Of these: redirects.
    redirects_sent;
    /// ICMP messages not sent because of the rate limit.
    icmp_limited;
    /// Of these: redirects.
    redirects_limited;
    /// Of these: echo replies.
    echo_limited;
    /// Offending packets that must not be answered (RFC 1812 §4.3.2.7).
    icmp_suppressed;
    /// Pieces that wait for their datagram's first piece now.
    pieces_waiting;
    /// Datagrams that are remembered, or waited for, now.
    datagrams;
    /// Datagrams that were forgotten early, for want of room.
    datagrams_forgotten;
    /// Datagrams for ourselves that were put together from their pieces.
    reassembled;
    /// Pieces for ourselves that were thrown away: repeated, overlapping, or of datagrams that had no room or made no sense.
    own_pieces_dropped;
    /// Pieces for ourselves whose datagram did not become whole in time.
    own_pieces_late;
    /// Packets for ourselves for which our sockets had no room any more in one turn.
    own_input_full;
    /// Frames and packets given to the host by its *confirm* queue; at the host: taken from there.
    punted_confirm;
    /// The same by its *ask* queue.
    punted_ask;
    /// Fragments that went by the 3-tuple because their first piece did not come.
    fragments_blind;
    /// Packets fragmented.
    fragmented;
    /// Bursts processed.
    bursts;
    /// Times the worker slept.
    sleeps;
    /// Milliseconds that the worker slept.
    slept_ms;
    /// IPv4 packets received, bad ones included.
    ip4_received;
    /// IPv6 packets received, bad ones and ND included.
    ip6_received;
    /// IPv4 packets forwarded.
    ip4_forwarded;
    /// IPv6 packets forwarded.
    ip6_forwarded;
    /// Super-packets received: many segments each, counted as one frame and one packet everywhere.
    super_received;
    /// Super-packets given whole to devices.
    super_sent;
    /// Super-packets cut into segments here, because their way out does not.
    super_cut;
    /// Checksums finished here, because the way out does not, or the packet ended its way here.
    checksums_finished;
    /// Large buffers that are in use now.
    large_used;
    /// Frames that were larger than a packet buffer (also counted as received and dropped).
    oversize;
}

impl Counters {
    /// Counts a drop of a packet, IPv6 or not.
    pub fn count_drop(&self, reason: DropReason, v6: bool) {
        self.drops[usize::from(v6)][reason as usize].bump();
    }

    /// An IP packet was received, whatever becomes of it.
    pub fn count_ip(&self, v6: bool) {
        (if v6 {
            &self.ip6_received
        } else {
            &self.ip4_received
        })
        .bump();
    }

    /// Packets sent on: all, and those of a family.
    pub fn forwarded_in(&self, v6: bool) -> [&Counter; 2] {
        let of_family = if v6 {
            &self.ip6_forwarded
        } else {
            &self.ip4_forwarded
        };
        [&self.forwarded, of_family]
    }

    /// A port's counters; those of a port that is not there go to nobody.
    pub fn port(&self, port: PortId) -> Option<&PortCounters> {
        self.ports.get(usize::from(port.0)).map(|port| &**port)
    }

    /// Says when an ICMP limit will be full again.
    pub fn set_icmp_full_at(&self, class: Class, ms: u64) {
        self.icmp_full_at[class as usize].set(ms);
    }

    /// The same, of each class.
    pub fn icmp_full_at(&self) -> impl Iterator<Item = (Class, u64)> + '_ {
        let all = Class::ALL.into_iter().zip(&self.icmp_full_at);
        all.map(|(class, at)| (class, at.get()))
    }

    /// Drops for one reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.iter().map(|of| of[reason as usize].get()).sum()
    }

    /// Counts a pin that moved.
    pub fn moved(&self, reason: MoveReason) {
        self.moved[reason as usize].bump();
    }

    /// Pins moved for one reason.
    pub fn moved_for(&self, reason: MoveReason) -> u64 {
        self.moved[reason as usize].get()
    }

    /// Adds `n` pins moved for `reason` at once (a flush).
    pub fn moved_many(&self, reason: MoveReason, n: u64) {
        self.moved[reason as usize].add(n);
    }
}

impl Totals {
    /// All drops together.
    pub fn dropped(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Drops for one reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or(0)
    }

    /// Drops for one reason in one family.
    pub fn dropped_in(&self, reason: DropReason, v6: bool) -> u64 {
        let six = self.drops6.get(reason as usize).copied().unwrap_or(0);
        if v6 {
            six
        } else {
            self.dropped_for(reason) - six
        }
    }

    /// Pins moved for one reason.
    pub fn moved_for(&self, reason: MoveReason) -> u64 {
        self.moved.get(reason as usize).copied().unwrap_or(0)
    }

    /// The first book: what was received and what became of it. Equal in every quiet moment; under traffic the
    /// counters are of slightly different moments, so that differences may be off and must not underflow.
    pub fn fates(&self) -> (u64, u64) {
        let in_rings = self.handed_off.saturating_sub(self.taken_over);
        (
            self.rx,
            self.forwarded + self.consumed + self.waiting + in_rings + self.dropped(),
        )
    }

    /// The second book: what was sent and where it came from. Equal in every quiet moment.
    pub fn origins(&self) -> (u64, u64) {
        let begun = self.forwarded + self.originated + self.extra_pieces;
        (
            self.tx,
            begun.saturating_sub(self.refused + self.origin_lost + self.origin_waiting),
        )
    }

    /// Says which book does not balance, if one does not.
    pub fn imbalance(&self) -> Option<String> {
        let ((rx, fates), (tx, origins)) = (self.fates(), self.origins());
        if rx != fates {
            return Some(format!("received {rx}, but {fates} have a fate: {self:?}"));
        }
        (tx != origins).then(|| format!("sent {tx}, but {origins} have an origin: {self:?}"))
    }
}
