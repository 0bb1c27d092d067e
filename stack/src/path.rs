//! The flow cache: from a packet's flow to its next hop, in the exact order of design section 4.
//!
//! A [`Path`] belongs to one thread (a worker, or the host for its own sockets) and holds the writers of
//! that thread's flow tables. On a hit it judges the pin by generation, state and stamp; on a miss it looks
//! the route up, lets the group choose and stores the pin. It reads shared memory and writes only its own.
//!
//! *Order.* A stamp is always read before the lookup that it vouches for, and stored with the pin: a route
//! that changes in between leaves an old stamp with a new route (one lookup too many), never the reverse.

mod decide;
mod missed;
mod ready;
mod reverse;
mod sticky;
mod told;
mod turn;

pub use ready::Ready;
pub(crate) use reverse::{has_one_way, leads_back};

use crate::counters::Counters;
use crate::fate::DropReason;
use crate::link::NO_NEIGH;
use crate::marks::Marks;
use crate::parse::{Addrs, IpMeta, Role, Tuple};
use crate::ports::Port;
use crate::time::Now;
use decide::{Asked, Query, answer, plain};
use flowtable::{
    Flow, GroupSecret, KeyV4, KeyV6, Origin, Pages, Probe, Seen, SlotNo, Table, TableSecret,
    TemplateWriter, Tick, Touched, Writer,
};
use ready::Bursts;
pub(crate) use ready::{Named, name};
use route::{FibId, NhopAttrs, NhopKind, Pin, View};
use std::fs::File;
use std::io;
use std::sync::Arc;
use sticky::visit;
pub(crate) use told::{Settled, Told};
use turn::{Turn, held_back, settled, unsettled};

/// What the flow cache says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes to this next hop.
    Via(Hop),
    /// Its destination is one of our own addresses.
    Local,
    /// It goes nowhere, for this reason.
    Unroutable(DropReason),
}

/// A next hop chosen for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Which one.
    pub pin: Pin,
    /// Where it is.
    pub attrs: NhopAttrs,
}

impl Hop {
    /// The way to a neighbour of a port.
    pub(crate) fn on_link(port: &Port) -> Self {
        let attrs = NhopAttrs {
            kind: NhopKind::Iface,
            port: port.id,
            neigh: NO_NEIGH,
            mtu: port.mtu,
        };
        Self {
            pin: Pin::NONE,
            attrs,
        }
    }
}

/// What a query needs besides the table.
struct Shared {
    view: Arc<View>,
    secret: GroupSecret,
    marks: Arc<Marks>,
    /// Affinity templates; the host has none.
    templates: Option<TemplateWriter>,
}

/// One thread's flow cache.
pub struct Path {
    shared: Shared,
    flows4: Writer<KeyV4>,
    flows6: Writer<KeyV6>,
    bursts: Bursts,
    /// Whether bursts are looked up in the flow tables.
    cached: bool,
}

impl Path {
    /// A path over the slots that `tables` give to this thread.
    pub fn new(
        view: Arc<View>,
        tables: &FlowTables,
        slots: &[SlotNo],
        secret: GroupSecret,
        marks: Arc<Marks>,
    ) -> Self {
        Self {
            shared: Shared {
                view,
                secret,
                marks,
                templates: None,
            },
            flows4: tables.v4.writer(slots.iter().copied()),
            flows6: tables.v6.writer(slots.iter().copied()),
            bursts: Bursts::new(0),
            cached: true,
        }
    }

    /// Keeps room for bursts of `most` packets, so that [`ready`](Self::ready) allocates nothing.
    #[must_use]
    pub fn with_bursts(mut self, most: usize) -> Self {
        self.bursts = Bursts::new(most);
        self
    }

    /// Sends all packets where their routes' groups say, without a look at the flow tables: what a cache costs and saves is
    /// measured against this. For benchmarks, nothing else makes one.
    #[must_use]
    pub fn uncached(mut self) -> Self {
        self.cached = false;
        self
    }

    /// Asks affinity templates for the flows of sticky routes.
    #[must_use]
    pub fn with_templates(mut self, templates: TemplateWriter) -> Self {
        self.shared.templates = Some(templates);
        self
    }

    /// The owner slot of a flow; both directions have the same.
    #[inline]
    pub fn slot(&self, tuple: &Tuple) -> SlotNo {
        let owner = self.flows4.table().owner();
        match tuple.addrs {
            Addrs::V4 { src, dst } => owner.slot4(tuple.proto, src, tuple.sport, dst, tuple.dport),
            Addrs::V6 { src, dst } => owner.slot6(tuple.proto, src, tuple.sport, dst, tuple.dport),
        }
    }

    /// Finds the next hop of a packet, pinning its flow. The packet must be one that will be sent on.
    pub fn resolve(
        &mut self,
        slot: SlotNo,
        meta: &IpMeta,
        seen: &Seen,
        now: Now,
        counters: &Counters,
    ) -> Outcome {
        let asked = Asked {
            role: meta.role,
            seen,
            now,
            counters,
        };
        if !self.cached {
            counters.unpinned.bump();
            return self.route_only(meta.fib, &meta.tuple, now);
        }
        let s = &self.shared;
        let told = match name(meta) {
            Named::V4((key, dir)) => {
                let probe = Probe::alone(slot, self.flows4.hash(&key));
                let flow = Flow { key, dir, probe };
                answer(&mut self.flows4, s, &Query::new(&flow, None, asked))
            }
            Named::V6((key, dir)) => {
                let probe = Probe::alone(slot, self.flows6.hash(&key));
                let flow = Flow { key, dir, probe };
                answer(&mut self.flows6, s, &Query::new(&flow, None, asked))
            }
        };
        told.outcome()
    }

    /// As [`resolve`](Self::resolve), of a packet of the burst whose lookups [`ready`](Self::ready) has started. `None`
    /// if it is not one.
    #[inline]
    pub fn resolve_ready(
        &mut self,
        ready: Ready,
        role: Role,
        seen: &Seen,
        now: Now,
        counters: &Counters,
    ) -> Option<Outcome> {
        let settled = match role {
            Role::Quoting => None,
            _ => self
                .settled(ready, (seen, now.tick()), (now, counters), |_| None)
                .or_else(|| self.held_back(ready, now.tick(), counters, |_| None)),
        };
        let told = settled.map(|settled| match settled {
            Settled::Known(told) | Settled::Told(told) => told,
        });
        told.or_else(|| self.unsettled(ready, role, seen, now, counters))
            .map(Told::outcome)
    }

    /// The first part of it: of a packet, no ICMP error, in the middle of its connection. `None` says nothing, and nothing
    /// was done. `known` tells what is known of a pin that was live when an earlier packet of the burst asked.
    #[inline(always)]
    pub(crate) fn settled<B>(
        &mut self,
        ready: Ready,
        seen: (&Seen, Tick),
        by: (Now, &Counters),
        known: impl FnOnce(Pin) -> Option<B>,
    ) -> Option<Settled<B>> {
        let (bursts, s) = (&self.bursts, &self.shared);
        match ready {
            Ready::V4(which) => settled(&mut self.flows4, s, (&bursts.v4, which), seen, by, known),
            Ready::V6(which) => settled(&mut self.flows6, s, (&bursts.v6, which), seen, by, known),
            Ready::Not => None,
        }
    }

    /// In a flood: of a packet, no ICMP error, whose flow gets no entry. `None` says nothing, and nothing was done.
    #[inline]
    pub(crate) fn held_back<B>(
        &mut self,
        ready: Ready,
        tick: Tick,
        counters: &Counters,
        known: impl FnOnce(Pin) -> Option<B>,
    ) -> Option<Settled<B>> {
        let (b, s) = (&self.bursts, &self.shared);
        let (slot, answer) = match ready {
            Ready::V4(which) => held_back(s, (&b.v4, &b.ways4), which, known)?,
            Ready::V6(which) => held_back(s, (&b.v6, &b.ways6), which, known)?,
            Ready::Not => return None,
        };
        counters.unpinned.bump();
        match ready {
            _ if !self.cached => {}
            Ready::V4(_) => self.flows4.count_held_back(slot, tick),
            _ => self.flows6.count_held_back(slot, tick),
        }
        Some(answer)
    }

    /// The other part, of packets of which the first says nothing.
    #[inline(never)]
    pub(crate) fn unsettled(
        &mut self,
        ready: Ready,
        role: Role,
        seen: &Seen,
        now: Now,
        counters: &Counters,
    ) -> Option<Told> {
        let asked = Asked {
            role,
            seen,
            now,
            counters,
        };
        let bursts = &self.bursts;
        match ready {
            _ if !self.cached => None,
            Ready::V4(which) => {
                let turn = Turn::new(&bursts.v4, &bursts.ways4, which, asked);
                unsettled(&mut self.flows4, &self.shared, turn)
            }
            Ready::V6(which) => {
                let turn = Turn::new(&bursts.v6, &bursts.ways6, which, asked);
                unsettled(&mut self.flows6, &self.shared, turn)
            }
            Ready::Not => None,
        }
    }

    /// The next hop of a packet that has no flow entry and gets none: ICMP errors and echo replies of
    /// our own, and the question whether a destination is ours.
    pub fn route_only(&self, fib: FibId, tuple: &Tuple, now: Now) -> Outcome {
        let Tuple {
            addrs,
            sport,
            dport,
            proto,
        } = *tuple;
        let fib = fib.0;
        match addrs {
            Addrs::V4 { src, dst } => {
                let (key, dir) = KeyV4::new(fib, proto, src, sport, dst, dport);
                plain(&self.shared, &key, dir, now).outcome()
            }
            Addrs::V6 { src, dst } => {
                let (key, dir) = KeyV6::new(fib, proto, src, sport, dst, dport);
                plain(&self.shared, &key, dir, now).outcome()
            }
        }
    }

    /// The hand: frees expired entries in the next few buckets. Returns how many.
    pub fn sweep(&mut self, buckets: usize, now: Now) -> usize {
        self.flows4.sweep(buckets, now.tick()) + self.flows6.sweep(buckets, now.tick())
    }

    /// The hand under load: at most so many buckets, and no faster than it must be.
    pub fn sweep_paced(&mut self, most: usize, now: Now) -> usize {
        self.flows4.sweep_paced(most, now.tick()) + self.flows6.sweep_paced(most, now.tick())
    }

    /// The other hand: says anew which entries in the next few buckets owe their flow more than the route would
    /// give it without them (pin debt), and that their clients' templates are in use.
    pub fn visit(&mut self, buckets: usize, now: Now) {
        visit(&mut self.flows4, &self.shared, buckets, now);
        visit(&mut self.flows6, &self.shared, buckets, now);
    }

    /// Whether there are templates that [`visit`](Self::visit) has to say this of.
    pub fn has_templates(&self) -> bool {
        self.shared.templates().is_some()
    }

    /// Counts flows again by source network after slots have changed their thread, see [`Writer::recount`].
    pub fn recount(&mut self, buckets: usize) {
        self.flows4.recount(buckets);
        self.flows6.recount(buckets);
    }

    /// Gives a slot up: this thread touches its flows no more.
    pub(crate) fn give(&mut self, slot: SlotNo, now: Now) {
        self.flows4.give(slot, now.tick());
        self.flows6.give(slot, now.tick());
    }

    /// Takes a slot that another thread has given up. `false`: it has not.
    pub(crate) fn take(&mut self, slot: SlotNo, now: Now) -> bool {
        let taken = self.flows4.take(slot, now.tick());
        if taken && !self.flows6.take(slot, now.tick()) {
            self.flows4.give(slot, now.tick());
            return false;
        }
        taken
    }

    /// Live entries of this thread.
    pub fn len(&self) -> usize {
        self.flows4.len() + self.flows6.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What workers read of the routes.
    pub fn view(&self) -> &Arc<View> {
        &self.shared.view
    }

    /// The secret by which groups choose.
    pub fn group_secret(&self) -> &GroupSecret {
        &self.shared.secret
    }

    /// The writers of both families, for a flush.
    pub(crate) fn writers(&mut self) -> (&mut Writer<KeyV4>, &mut Writer<KeyV6>) {
        (&mut self.flows4, &mut self.flows6)
    }
}

/// Both flow tables of a gateway (or of the host).
#[derive(Clone)]
pub struct FlowTables {
    /// IPv4.
    pub v4: Arc<Table<KeyV4>>,
    /// IPv6.
    pub v6: Arc<Table<KeyV6>>,
}

impl FlowTables {
    /// Empty tables of at least so many entries; their memory is touched here, by several threads if there is much of it.
    pub fn new(v4: usize, v6: usize, secret: TableSecret, now: Now, touched: Touched<'_>) -> Self {
        Self {
            v4: Table::new_touched(v4, secret, now.tick(), touched),
            v6: Table::new_touched(v6, secret, now.tick(), touched),
        }
    }

    /// The same in the memory of two files, see [`Table::new_in`].
    ///
    /// # Errors
    /// The system cannot map one of them.
    pub fn new_in(
        [v4_in, v6_in]: &[File; 2],
        (v4, v6): (usize, usize),
        origin: &Origin,
        touched: Touched<'_>,
    ) -> io::Result<Self> {
        Ok(Self {
            v4: Table::new_in(v4_in, v4, origin, touched)?,
            v6: Table::new_in(v6_in, v6, origin, touched)?,
        })
    }

    /// Bytes of these files.
    pub const fn file_bytes(v4: usize, v6: usize) -> [u64; 2] {
        [
            Table::<KeyV4>::file_bytes(v4),
            Table::<KeyV6>::file_bytes(v6),
        ]
    }

    /// Bytes that such tables take.
    pub const fn bytes(v4: usize, v6: usize) -> u64 {
        Table::<KeyV4>::bytes(v4) as u64 + Table::<KeyV6>::bytes(v6) as u64
    }

    /// On what pages they are.
    pub fn pages(&self) -> Pages {
        self.v4.pages().plus(self.v6.pages())
    }
}
