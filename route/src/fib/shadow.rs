//! What control remembers of each node: the prefixes that end in it, its deeper nodes, what it inherits.
//!
//! A prefix of 1 to 6 bits within a node, or 8 within a page, is kept under its heap number,
//! `(1 << bits) + value`, so that the numbers of longer prefixes are larger and painting them in ascending order
//! leaves the longest on top.

use super::arena::NODE_WORDS;
use super::{HEAD, NODE};

/// Index of a shadow node.
pub(super) type NodeNo = u32;

/// One node or page as control sees it.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    /// (heap number, group), ascending.
    prefixes: Vec<(u16, u32)>,
    /// (child, its node), ascending.
    children: Vec<(u8, NodeNo)>,
    /// The best group from above, painted under everything.
    pub(super) inherited: u32,
    /// Its block in the arena.
    pub(super) block: u32,
    /// Words of its block; 0 until it has one.
    pub(super) words: u16,
    /// Whether it is a page: an entry for every child.
    pub(super) is_page: bool,
}

/// A node laid out: where runs start, and the entry of each run.
pub(super) struct Layout {
    words: [u32; NODE_WORDS],
    len: usize,
}

impl Layout {
    /// Empty, with room for the bitmap.
    const fn new() -> Self {
        Self {
            words: [0; NODE_WORDS],
            len: HEAD as usize,
        }
    }

    fn push(&mut self, child: usize, entry: u32) {
        self.words[child / 32] |= 1 << (child % 32);
        self.words[self.len] = entry;
        self.len += 1;
    }

    /// The bitmap, then the entries.
    pub(super) fn words(&self) -> &[u32] {
        &self.words[..self.len]
    }
}

impl Shadow {
    /// An empty node or page below `inherited`.
    pub(super) fn inheriting(inherited: u32, is_page: bool) -> Self {
        Self {
            inherited,
            is_page,
            ..Self::default()
        }
    }

    /// Bytes that its lists hold.
    pub(super) fn list_bytes(&self) -> usize {
        self.prefixes.capacity() * size_of::<(u16, u32)>()
            + self.children.capacity() * size_of::<(u8, NodeNo)>()
    }

    /// Prefixes that end in it.
    pub(super) const fn count(&self) -> usize {
        self.prefixes.len()
    }

    /// Copies its prefixes, for [`Self::restore`].
    pub(super) fn copy_prefixes(&self, to: &mut Vec<(u16, u32)>) {
        to.clone_from(&self.prefixes);
    }

    /// Gives it the prefixes that it had.
    pub(super) fn restore(&mut self, prefixes: &[(u16, u32)]) {
        self.prefixes.clear();
        self.prefixes.extend_from_slice(prefixes);
    }

    /// Makes room for the first prefixes of an empty node.
    pub(super) fn reserve(&mut self, count: usize) {
        if self.prefixes.is_empty() && count > 1 {
            self.prefixes.reserve_exact(count);
        }
    }

    /// Inserts, replaces (`Some`) or removes (`None`) a prefix of `bits` bits.
    pub(super) fn set(&mut self, bits: u32, value: u32, group: Option<u32>) {
        let number = ((1 << bits) + value) as u16;
        match (self.prefixes.binary_search_by_key(&number, |p| p.0), group) {
            (Ok(at), Some(group)) => self.prefixes[at].1 = group,
            (Ok(at), None) => drop(self.prefixes.remove(at)),
            (Err(at), Some(group)) => self.prefixes.insert(at, (number, group)),
            (Err(_), None) => {}
        }
    }

    /// The group of a prefix.
    pub(super) fn get(&self, bits: u32, value: u32) -> Option<u32> {
        let number = ((1 << bits) + value) as u16;
        let at = self.prefixes.binary_search_by_key(&number, |p| p.0).ok()?;
        self.prefixes.get(at).map(|p| p.1)
    }

    pub(super) fn child(&self, child: u8) -> Option<NodeNo> {
        let at = self.children.binary_search_by_key(&child, |c| c.0).ok()?;
        self.children.get(at).map(|c| c.1)
    }

    pub(super) fn add_child(&mut self, child: u8, node: NodeNo) {
        if let Err(at) = self.children.binary_search_by_key(&child, |c| c.0) {
            self.children.insert(at, (child, node));
        }
    }

    pub(super) fn remove_child(&mut self, child: u8) {
        if let Ok(at) = self.children.binary_search_by_key(&child, |c| c.0) {
            self.children.remove(at);
        }
    }

    pub(super) fn children(&self) -> &[(u8, NodeNo)] {
        &self.children
    }

    /// Whether nothing ends in it or below it.
    pub(super) fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && self.children.is_empty()
    }

    /// The best group of each of its `N` children, deeper nodes aside.
    pub(super) fn painted<const N: usize>(&self) -> [u32; N] {
        let mut groups = [self.inherited; N];
        for &(number, group) in &self.prefixes {
            let bits = u32::from(number).ilog2();
            let width = N >> bits;
            let first = (usize::from(number) - (1 << bits)) * width;
            groups[first..first + width].fill(group);
        }
        groups
    }

    /// The best group of one of its `1 << stride` children.
    pub(super) fn best(&self, child: u8, stride: u32) -> u32 {
        let leaf = (1u32 << stride) + u32::from(child);
        let covers = |number: u16| {
            let bits = u32::from(number).ilog2();
            leaf >> (stride - bits) == u32::from(number)
        };
        let longest = self.prefixes.iter().rev().find(|p| covers(p.0));
        longest.map_or(self.inherited, |p| p.1)
    }

    /// The entry of each of its `N` children, when `entry_of` tells what leads to a child's node.
    pub(super) fn row<const N: usize>(&self, entry_of: impl Fn(NodeNo) -> u32) -> [u32; N] {
        let mut row = self.painted();
        for &(child, node) in &self.children {
            row[usize::from(child)] = entry_of(node);
        }
        row
    }

    /// What leads to it.
    pub(super) const fn entry(&self) -> u32 {
        NODE | self.block
    }

    /// The layout of a node.
    pub(super) fn layout(&self, entry_of: impl Fn(NodeNo) -> u32) -> Layout {
        let mut layout = Layout::new();
        let mut last = None;
        for (child, entry) in self.row::<64>(entry_of).into_iter().enumerate() {
            if last != Some(entry) || entry & NODE != 0 {
                layout.push(child, entry);
            }
            last = Some(entry);
        }
        layout
    }
}
