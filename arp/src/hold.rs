//! Packets that wait for a neighbour, on the worker that has them.
//!
//! Each worker has one queue of its own; the table knows nothing of it. Memory is fixed when it
//! is made: nothing here allocates afterwards. Packets of one neighbour keep their order.
//!
//! Packets wait as long as their neighbour is [`Incomplete`](NeighState::Incomplete). In any
//! other state they are handed back, and the caller resolves them anew, **by address or by a
//! reserved index**, to send them or to answer unreachable: a slot that is not reserved may
//! meanwhile belong to another neighbour.

use hashbrown::HashTable;

use crate::{NeighIdx, NeighState, View};

/// No node: the end of a list.
const NIL: u32 = u32::MAX;

/// Packets waiting for neighbours: at most so many for each and in all.
pub struct HoldQueue<P> {
    nodes: Vec<Node<P>>,
    /// Free nodes, linked.
    free: u32,
    /// One for each neighbour waited for, the longest waited for first.
    lists: Vec<List>,
    /// Positions in `lists`, found by neighbour.
    by_neighbour: HashTable<u32>,
    per_neighbour: usize,
    held: usize,
}

struct Node<P> {
    packet: Option<P>,
    next: u32,
}

#[derive(Clone, Copy)]
struct List {
    idx: NeighIdx,
    head: u32,
    tail: u32,
    len: usize,
}

impl<P> HoldQueue<P> {
    /// A queue for at most `per_neigh` packets of one neighbour and `total` in all.
    #[must_use]
    pub fn new(per_neigh: usize, total: usize) -> Self {
        let total = total.min(NIL as usize - 1);
        let link = |node: usize| {
            if node + 1 < total {
                node as u32 + 1
            } else {
                NIL
            }
        };
        Self {
            nodes: (0..total)
                .map(|node| Node {
                    packet: None,
                    next: link(node),
                })
                .collect(),
            free: if total > 0 { 0 } else { NIL },
            lists: Vec::with_capacity(total),
            // Emptied at once or not at all, so it leaves no tombstones and never grows.
            by_neighbour: HashTable::with_capacity(total),
            per_neighbour: per_neigh,
            held: 0,
        }
    }

    /// Holds a packet. If that is one too many, the oldest packet of the same neighbour is
    /// handed back to be dropped, or this one if the neighbour has none.
    #[must_use = "a packet that comes back is to be dropped and counted"]
    pub fn push(&mut self, idx: NeighIdx, packet: P) -> Option<P> {
        let position = self.position(idx);
        let waiting = position
            .and_then(|at| self.lists.get(at))
            .map_or(0, |list| list.len);
        let full = waiting >= self.per_neighbour || self.free == NIL;
        if full && waiting == 0 {
            return Some(packet);
        }
        let position = position.unwrap_or_else(|| self.open(idx));
        let dropped = if full { self.pop(position) } else { None };
        self.append(position, packet);
        dropped
    }

    /// Whether nothing waits.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Packets that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held
    }

    /// Packets that may wait, in all.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.nodes.len()
    }

    /// Whether a packet waits for this neighbour.
    #[must_use]
    pub fn waits_for(&self, idx: NeighIdx) -> bool {
        self.position(idx).is_some()
    }

    /// The neighbours waited for, the longest waited for first.
    pub fn neighbours(&self) -> impl Iterator<Item = NeighIdx> + '_ {
        self.lists.iter().map(|list| list.idx)
    }

    /// Moves to `out`, in order, the packets of each neighbour that is no longer being asked
    /// for the first time: usable, failed, or gone. The caller resolves each again.
    pub fn ready(&mut self, view: &View, out: &mut Vec<P>) {
        self.take_if(|idx| view.word(idx).state() != NeighState::Incomplete, out);
    }

    /// Moves everything to `out`.
    pub fn drain_all(&mut self, out: &mut Vec<P>) {
        self.take_if(|_| true, out);
    }

    /// Moves to `out` the packets that are `wanted`, in order for each neighbour; the others stay in theirs.
    pub fn take_where(&mut self, wanted: impl Fn(&P) -> bool, out: &mut Vec<P>) {
        for at in 0..self.lists.len() {
            for _ in 0..self.lists.get(at).map_or(0, |list| list.len) {
                match self.pop(at) {
                    Some(packet) if wanted(&packet) => out.push(packet),
                    Some(packet) => self.append(at, packet),
                    None => break,
                }
            }
        }
        self.lists.retain(|list| list.len > 0);
        self.index_again();
    }

    fn take_if(&mut self, done: impl Fn(NeighIdx) -> bool, out: &mut Vec<P>) {
        let mut taken = false;
        for at in 0..self.lists.len() {
            if self.lists.get(at).is_some_and(|list| done(list.idx)) {
                taken = true;
                while let Some(packet) = self.pop(at) {
                    out.push(packet);
                }
            }
        }
        if taken {
            self.lists.retain(|list| list.len > 0);
            self.index_again();
        }
    }

    fn index_again(&mut self) {
        self.by_neighbour.clear();
        for at in 0..self.lists.len() {
            self.index(at);
        }
    }

    fn position(&self, idx: NeighIdx) -> Option<usize> {
        let is = |at: &u32| {
            self.lists
                .get(*at as usize)
                .is_some_and(|list| list.idx == idx)
        };
        self.by_neighbour.find(hash(idx), is).map(|&at| at as usize)
    }

    fn open(&mut self, idx: NeighIdx) -> usize {
        let at = self.lists.len();
        self.lists.push(List {
            idx,
            head: NIL,
            tail: NIL,
            len: 0,
        });
        self.index(at);
        at
    }

    fn index(&mut self, at: usize) {
        let lists = &self.lists;
        let rehash = |at: &u32| lists.get(*at as usize).map_or(0, |list| hash(list.idx));
        let at = at as u32;
        self.by_neighbour.insert_unique(rehash(&at), at, rehash);
    }

    fn append(&mut self, at: usize, packet: P) {
        let node = self.free;
        let (Some(list), Some(place)) = (self.lists.get_mut(at), self.nodes.get_mut(node as usize))
        else {
            return;
        };
        self.free = place.next;
        *place = Node {
            packet: Some(packet),
            next: NIL,
        };
        let last = std::mem::replace(&mut list.tail, node);
        match self.nodes.get_mut(last as usize) {
            Some(last) => last.next = node,
            None => list.head = node,
        }
        list.len += 1;
        self.held += 1;
    }

    /// The oldest packet of a list.
    fn pop(&mut self, at: usize) -> Option<P> {
        let list = self.lists.get_mut(at)?;
        let head = list.head;
        let node = self.nodes.get_mut(head as usize)?;
        list.head = std::mem::replace(&mut node.next, self.free);
        if list.head == NIL {
            list.tail = NIL;
        }
        list.len -= 1;
        self.free = head;
        self.held -= 1;
        node.packet.take()
    }
}

fn hash(idx: NeighIdx) -> u64 {
    u64::from(idx.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
