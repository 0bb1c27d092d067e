//! Control's side: which prefixes there are, and the stores that change what readers see.

use super::arena::Blocks;
use super::shadow::{NodeNo, Shadow};
use super::turn::Turn;
use super::way::{Way, way};
use super::{Addr, Fib, NODE, STRIDE};
use crate::ids::GroupId;
use crate::qsbr::Qsbr;
use crate::sync::Ordering;
use std::ops::Range;
use std::sync::Arc;

/// The arena is full: nothing was changed that readers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FibFull;

/// Changes the FIB. One owner.
#[derive(Debug)]
pub(crate) struct FibWriter<A: Addr> {
    fib: Arc<Fib<A>>,
    blocks: Blocks,
    nodes: Vec<Shadow>,
    free_nodes: Vec<NodeNo>,
    /// Bytes of all nodes' lists.
    lists: usize,
    /// Group of each prefix that ends in the direct table, under its [`heap_number`]; 0 is none.
    short: Box<[u32]>,
    /// The node or page below each slot of the direct table, if there is one (number plus one; 0 is none).
    below: Box<[u32]>,
    /// The turns of one run, and what its node held before: their memory is used again.
    run: Vec<Turn<A>>,
    before: Vec<(u16, u32)>,
}

/// Children of a node, and of a page.
const CHILDREN: usize = 1 << STRIDE;
const PAGE_CHILDREN: usize = 256;

impl<A: Addr> FibWriter<A> {
    /// An empty FIB whose nodes may take `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize) -> (Self, Arc<Fib<A>>) {
        let fib = Arc::new(Fib::new(limit_bytes / size_of::<u32>()));
        let writer = Self {
            fib: Arc::clone(&fib),
            blocks: Blocks::default(),
            nodes: Vec::new(),
            free_nodes: Vec::new(),
            lists: 0,
            short: vec![0; 2 << A::ROOT].into_boxed_slice(),
            below: vec![0; 1 << A::ROOT].into_boxed_slice(),
            run: Vec::new(),
            before: Vec::new(),
        };
        (writer, fib)
    }

    /// Inserts a prefix, or gives it another group. On [`FibFull`] all is as before.
    pub(crate) fn set(&mut self, addr: A, len: u8, group: GroupId) -> Result<(), FibFull> {
        let group = Some(group);
        self.change(&[Turn { addr, len, group }])
    }

    /// Removes a prefix. [`FibFull`], with the prefix still there, only while readers hold on to so many old
    /// nodes that the room kept for removals is used up.
    pub(crate) fn remove(&mut self, addr: A, len: u8) -> Result<(), FibFull> {
        if self.get(addr, len).is_none() {
            return Ok(());
        }
        let group = None;
        self.change(&[Turn { addr, len, group }])
    }

    /// Changes the first prefix, and those next to it that end in the same node: its layout is changed once for
    /// all. Those that go are there. Returns how many; on [`FibFull`] none is changed.
    pub(crate) fn change_some(
        &mut self,
        turns: impl Iterator<Item = Turn<A>>,
    ) -> Result<usize, FibFull> {
        let mut run = std::mem::take(&mut self.run);
        run.clear();
        for turn in turns {
            if run.first().is_some_and(|first| !first.meets(&turn)) {
                break;
            }
            run.push(turn);
        }
        let changed = self.change(&run).map(|()| run.len());
        self.run = run;
        changed
    }

    /// Changes prefixes that end in one node, or one that ends in the direct table.
    fn change(&mut self, run: &[Turn<A>]) -> Result<(), FibFull> {
        debug_assert!(
            run.iter()
                .all(|turn| turn.group.is_none_or(|g| g.0 & NODE == 0))
        );
        match run.first() {
            None => Ok(()),
            Some(first) => match first.above() {
                None => self.change_or_undo(first),
                Some(above) => self.change_long(first, above, run),
            },
        }
    }

    /// Changes a prefix that ends in the direct table.
    fn change_or_undo(&mut self, turn: &Turn<A>) -> Result<(), FibFull> {
        let Turn { addr, len, group } = *turn;
        let known = self.get(addr, len);
        if known.is_none() && self.is_full() {
            return Err(FibFull);
        }
        let group = group.map(|group| group.0);
        self.change_direct(addr, len, group).inspect_err(|FibFull| {
            // What could not be laid out was not published, and what was is laid out in place.
            let _ = self.change_direct(addr, len, known);
        })
    }

    /// Whether no new prefix is taken.
    fn is_full(&self) -> bool {
        self.blocks.used_words() >= self.fib.arena.limit()
    }

    /// Makes memory usable again that every reader has left.
    pub(crate) fn reclaim(&mut self, qsbr: &Qsbr) {
        self.blocks.reclaim(qsbr);
    }

    /// Blocks that wait for readers.
    #[cfg(all(test, not(loom)))]
    pub(super) fn pending(&self) -> usize {
        self.blocks.pending()
    }

    /// Bytes that readers may touch: the direct table and the nodes that are reachable.
    pub(crate) fn bytes(&self) -> usize {
        (self.fib.root.len() + self.blocks.used_words()) * size_of::<u32>()
    }

    /// Bytes of the direct table and of every node there has been: what the FIB may hold of memory.
    #[cfg(all(test, not(loom)))]
    pub(super) fn touched(&self) -> usize {
        (self.fib.root.len() + self.blocks.touched_words()) * size_of::<u32>()
    }

    /// Bytes of control's own books of the nodes: which prefixes end in each, and what lies below it.
    pub(crate) fn book_bytes(&self) -> usize {
        let numbers = self.free_nodes.capacity() + self.short.len() + self.below.len();
        self.lists + self.nodes.capacity() * size_of::<Shadow>() + numbers * size_of::<u32>()
    }

    /// Changes a node's lists, and notes how large they are.
    fn edit(&mut self, node: NodeNo, change: impl FnOnce(&mut Shadow)) {
        let node = &mut self.nodes[node as usize];
        let before = node.list_bytes();
        change(node);
        self.lists = self.lists + node.list_bytes() - before;
    }

    /// Bytes that nodes may take.
    pub(crate) fn limit(&self) -> usize {
        self.fib.root.len() * size_of::<u32>() + self.fib.arena.limit() * size_of::<u32>()
    }

    fn get(&self, addr: A, len: u8) -> Option<u32> {
        let group = None;
        let turn = Turn { addr, len, group };
        let Some(above) = turn.above() else {
            let group = self.short[heap_number(addr.aligned(), len.into())];
            return Some(group).filter(|group| *group != 0);
        };
        let way = way(addr, len.into());
        let mut node = self.below[way.slot].checked_sub(1)?;
        for turn in &way.turns {
            node = self.nodes[node as usize].child(*turn)?;
        }
        let (bits, value) = turn.within(above);
        self.nodes[node as usize].get(bits, value)
    }

    fn change_direct(&mut self, addr: A, len: u8, group: Option<u32>) -> Result<(), FibFull> {
        if len > 0 {
            return self.change_short(addr, len.into(), group);
        }
        self.short[1] = group.unwrap_or(0);
        self.fib.default.set(group.unwrap_or(0));
        Ok(())
    }

    /// A prefix that ends in the direct table: slot by slot.
    fn change_short(&mut self, addr: A, len: u32, group: Option<u32>) -> Result<(), FibFull> {
        self.short[heap_number(addr.aligned(), len)] = group.unwrap_or(0);
        for slot in slots::<A>(addr.aligned(), len) {
            let best = self.best_short(slot);
            match self.below[slot].checked_sub(1) {
                Some(node) => {
                    self.inherit(node, best)?;
                    self.publish_slot(slot, self.nodes[node as usize].entry());
                }
                None => self.publish_slot(slot, best),
            }
        }
        Ok(())
    }

    /// The longest prefix of the direct table that covers a slot, the default route aside.
    fn best_short(&self, slot: usize) -> u32 {
        let mut number = (1 << A::ROOT) + slot;
        while number > 1 {
            if self.short[number] != 0 {
                return self.short[number];
            }
            number >>= 1;
        }
        0
    }

    fn publish_slot(&self, slot: usize, entry: u32) {
        if self.fib.root[slot].load(Ordering::Relaxed) != entry {
            self.fib.root[slot].store(entry, Ordering::Release);
        }
    }

    /// Prefixes that end in one node: nodes are made on its way as needed, then laid out from the last up.
    fn change_long(&mut self, first: &Turn<A>, above: u32, run: &[Turn<A>]) -> Result<(), FibFull> {
        let way = way(first.addr, first.len.into());
        let path = self.walk(&way);
        let last = path[path.len() - 1];
        self.nodes[last as usize].copy_prefixes(&mut self.before);
        self.edit(last, |node| {
            node.reserve(run.len());
            for turn in run {
                let (bits, value) = turn.within(above);
                node.set(bits, value, turn.group.map(|group| group.0));
            }
        });
        let grows = self.nodes[last as usize].count() > self.before.len();
        if grows && self.is_full() || self.lay_changed(&way, &path).is_err() {
            self.undo_long(&way, &path);
            return Err(FibFull);
        }
        self.prune(&way, &path);
        Ok(())
    }

    /// Lays out a way of which the last node is changed. One that holds nothing any more, right below the direct
    /// table, is only pruned.
    fn lay_changed(&mut self, way: &Way, path: &[NodeNo]) -> Result<(), FibFull> {
        match path {
            [only] if self.nodes[*only as usize].is_empty() => Ok(()),
            _ => self.lay_path(way, path),
        }
    }

    /// Gives the last node of a way that could not be laid out what it held before, if it was there before.
    fn undo_long(&mut self, way: &Way, path: &[NodeNo]) {
        if self.drop_new(way, path) {
            return;
        }
        let before = std::mem::take(&mut self.before);
        let last = path[path.len() - 1];
        self.edit(last, |node| node.restore(&before));
        self.before = before;
        // What could not be laid out was not published, and what was is laid out in place.
        let _ = self.lay_path(way, path);
    }

    /// Forgets the nodes of a way that could not be laid out: those from the first that no reader can reach. Returns
    /// whether there were such.
    fn drop_new(&mut self, way: &Way, path: &[NodeNo]) -> bool {
        let reached = |level: &usize| match level.checked_sub(1) {
            None => self.fib.root[way.slot].load(Ordering::Relaxed) & NODE != 0,
            Some(above) => self.leading_to(path[above], way.turns[above]).is_some(),
        };
        let first = (0..path.len()).take_while(reached).count();
        for &node in &path[first..] {
            self.free_node(node);
        }
        match first.checked_sub(1) {
            _ if first == path.len() => {}
            None => self.below[way.slot] = 0,
            Some(above) => self.edit(path[above], |node| node.remove_child(way.turns[above])),
        }
        first < path.len()
    }

    /// The nodes on the way, made where there are none.
    fn walk(&mut self, way: &Way) -> Vec<NodeNo> {
        let mut node = match self.below[way.slot].checked_sub(1) {
            Some(node) => node,
            None => {
                let inherited = self.best_short(way.slot);
                let node = self.new_node(inherited, A::PAGE > 0);
                self.below[way.slot] = node + 1;
                node
            }
        };
        let mut path = vec![node];
        for &turn in &way.turns {
            node = match self.nodes[node as usize].child(turn) {
                Some(child) => child,
                None => {
                    let parent = &self.nodes[node as usize];
                    let stride = if parent.is_page { A::PAGE } else { STRIDE };
                    let child = self.new_node(parent.best(turn, stride), false);
                    self.edit(node, |node| node.add_child(turn, child));
                    child
                }
            };
            path.push(node);
        }
        path
    }

    fn new_node(&mut self, inherited: u32, is_page: bool) -> NodeNo {
        let shadow = Shadow::inheriting(inherited, is_page);
        if let Some(node) = self.free_nodes.pop() {
            self.nodes[node as usize] = shadow;
            return node;
        }
        self.nodes.push(shadow);
        self.nodes.len() as NodeNo - 1
    }

    /// Lays out the last node and what inherits from it, then upwards until an entry was changed in place.
    fn lay_path(&mut self, way: &Way, path: &[NodeNo]) -> Result<(), FibFull> {
        let last = path[path.len() - 1];
        let mut moved = self.lay(last)?;
        for level in (0..path.len() - 1).rev() {
            if !moved {
                return Ok(());
            }
            moved = self.lead_to(path[level], way.turns[level], path[level + 1])?;
        }
        if moved {
            self.publish_slot(way.slot, self.nodes[path[0] as usize].entry());
        }
        Ok(())
    }

    /// Gives a node another group to inherit, and lays it out anew if that changes anything.
    fn inherit(&mut self, node: NodeNo, group: u32) -> Result<(), FibFull> {
        if self.nodes[node as usize].inherited != group {
            self.nodes[node as usize].inherited = group;
            self.lay(node)?;
        }
        Ok(())
    }

    /// After the block of `child` moved: changes the one entry that leads to it, or lays out the parent that has
    /// none yet. Returns whether the parent's block moved.
    fn lead_to(&mut self, parent: NodeNo, turn: u8, child: NodeNo) -> Result<bool, FibFull> {
        let Some(index) = self.leading_to(parent, turn) else {
            return self.lay_shallow(parent);
        };
        let entry = self.nodes[child as usize].entry();
        self.fib.arena.publish(index, &[entry]);
        Ok(false)
    }

    /// Where the entry is that leads from a node to a deeper one.
    fn leading_to(&self, node: NodeNo, turn: u8) -> Option<u32> {
        let shadow = &self.nodes[node as usize];
        match (shadow.words, shadow.is_page) {
            (0, _) => None,
            (_, true) => self.fib.arena.node_at(shadow.block + u32::from(turn)),
            (_, false) => self.fib.arena.deeper(shadow.block, turn),
        }
    }

    /// Lays out a node after its children, which may inherit something else now. Returns whether its block moved.
    fn lay(&mut self, node: NodeNo) -> Result<bool, FibFull> {
        let shadow = &self.nodes[node as usize];
        if shadow.children().is_empty() {
            // Nobody inherits.
        } else if shadow.is_page {
            self.pass_on(node, &shadow.painted::<PAGE_CHILDREN>())?;
        } else {
            self.pass_on(node, &shadow.painted::<CHILDREN>())?;
        }
        self.lay_shallow(node)
    }

    /// Gives each child of a node the best group above it. What moves is led to at once, so that readers are
    /// right also if the arena ends here.
    fn pass_on(&mut self, node: NodeNo, groups: &[u32]) -> Result<(), FibFull> {
        for at in 0..self.nodes[node as usize].children().len() {
            let (turn, child) = self.nodes[node as usize].children()[at];
            let had = self.nodes[child as usize].block;
            self.inherit(child, groups[usize::from(turn)])?;
            if self.nodes[child as usize].block != had {
                self.lead_to(node, turn, child)?;
            }
        }
        Ok(())
    }

    /// Lays out one node: in place if its runs stay, else in a new block. Returns whether its block moved.
    fn lay_shallow(&mut self, node: NodeNo) -> Result<bool, FibFull> {
        let shadow = &self.nodes[node as usize];
        let entry_of = |child: NodeNo| self.nodes[child as usize].entry();
        if shadow.is_page {
            let row: [u32; PAGE_CHILDREN] = shadow.row(entry_of);
            return self.put(node, &row, shadow.words > 0);
        }
        let layout = shadow.layout(entry_of);
        let words = layout.words();
        let stays = shadow.words > 0 && self.fib.arena.has_bitmap(shadow.block, words);
        self.put(node, words, stays)
    }

    /// Stores a node's words where they are, or in a new block. Returns whether it is a new one.
    fn put(&mut self, node: NodeNo, words: &[u32], stays: bool) -> Result<bool, FibFull> {
        let shadow = &mut self.nodes[node as usize];
        if stays {
            self.fib.arena.publish(shadow.block, words);
            return Ok(false);
        }
        let block = self.blocks.make(&self.fib.arena, words).ok_or(FibFull)?;
        if shadow.words > 0 {
            self.blocks.retire(shadow.block, shadow.words);
        }
        shadow.block = block;
        shadow.words = words.len() as u16;
        Ok(true)
    }

    /// Takes away nodes on the way that hold nothing any more, from the last up.
    fn prune(&mut self, way: &Way, path: &[NodeNo]) {
        for level in (0..path.len()).rev() {
            let node = path[level];
            if !self.nodes[node as usize].is_empty() {
                return;
            }
            if level == 0 {
                self.below[way.slot] = 0;
                let best = self.best_short(way.slot);
                self.publish_slot(way.slot, best);
            } else if !self.cut(path[level - 1], way.turns[level - 1], node)
                || self.republish(way, path, level - 1).is_err()
            {
                return;
            }
            self.free_node(node);
        }
    }

    /// Unhooks an empty child; `false` (and hooked again) if the parent cannot be laid out without it.
    fn cut(&mut self, parent: NodeNo, turn: u8, child: NodeNo) -> bool {
        self.edit(parent, |node| node.remove_child(turn));
        let laid = self.lay_shallow(parent);
        if laid.is_err() {
            self.edit(parent, |node| node.add_child(turn, child));
        }
        laid.is_ok()
    }

    /// After the node at `level` may have moved: entries above it, up to the direct table.
    fn republish(&mut self, way: &Way, path: &[NodeNo], level: usize) -> Result<(), FibFull> {
        for above in (0..level).rev() {
            if !self.lead_to(path[above], way.turns[above], path[above + 1])? {
                return Ok(());
            }
        }
        self.publish_slot(way.slot, self.nodes[path[0] as usize].entry());
        Ok(())
    }

    fn free_node(&mut self, node: NodeNo) {
        let shadow = std::mem::take(&mut self.nodes[node as usize]);
        self.lists -= shadow.list_bytes();
        if shadow.words > 0 {
            self.blocks.retire(shadow.block, shadow.words);
        }
        self.free_nodes.push(node);
    }
}

/// Heap number of a prefix: `1 << len` plus its bits, so that halving it gives the prefix one bit shorter.
const fn heap_number(bits: u128, len: u32) -> usize {
    // An empty shift of all bits would be no shift at all.
    let value = if len == 0 { 0 } else { bits >> (128 - len) };
    (1 << len) + value as usize
}

/// The slots below a prefix that is no longer than they are.
fn slots<A: Addr>(bits: u128, len: u32) -> Range<usize> {
    let first = (bits >> (128 - A::ROOT)) as usize;
    first..first + (1 << (A::ROOT - len))
}
