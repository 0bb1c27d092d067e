//! What control remembers of each node: the prefixes that end in it, its deeper nodes, what it inherits.
//!
//! A prefix of 1 to 6 bits within a node is kept under its heap number, `(1 << bits) + value`, so that the
//! numbers of longer prefixes are larger and painting them in ascending order leaves the longest on top.

use super::NODE;

/// Index of a shadow node.
pub(super) type NodeNo = u32;

/// One node as control sees it.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    /// (heap number, group), ascending.
    prefixes: Vec<(u8, u32)>,
    /// (child, its node), ascending.
    children: Vec<(u8, NodeNo)>,
    /// The best group from above, painted under everything.
    pub(super) inherited: u32,
    /// Its block in the arena.
    pub(super) block: u32,
    /// Entries in its block.
    pub(super) entries: u8,
}

/// A node laid out: where runs start, and the entry of each run.
pub(super) struct Layout {
    pub(super) bitmap: u64,
    pub(super) entries: [u32; 64],
    pub(super) len: usize,
}

impl Layout {
    pub(super) fn entries(&self) -> &[u32] {
        &self.entries[..self.len]
    }
}

impl Shadow {
    /// An empty node below `inherited`.
    pub(super) fn inheriting(inherited: u32) -> Self {
        Self {
            inherited,
            ..Self::default()
        }
    }

    /// Inserts, replaces (`Some`) or removes (`None`) a prefix of `bits` bits.
    pub(super) fn set(&mut self, bits: u32, value: u32, group: Option<u32>) {
        let number = ((1 << bits) + value) as u8;
        match (self.prefixes.binary_search_by_key(&number, |p| p.0), group) {
            (Ok(at), Some(group)) => self.prefixes[at].1 = group,
            (Ok(at), None) => drop(self.prefixes.remove(at)),
            (Err(at), Some(group)) => self.prefixes.insert(at, (number, group)),
            (Err(_), None) => {}
        }
    }

    /// The group of a prefix.
    pub(super) fn get(&self, bits: u32, value: u32) -> Option<u32> {
        let number = ((1 << bits) + value) as u8;
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

    /// The best group of each of its 64 children, deeper nodes aside.
    pub(super) fn painted(&self) -> [u32; 64] {
        let mut groups = [self.inherited; 64];
        for &(number, group) in &self.prefixes {
            let bits = u32::from(number).ilog2();
            let width = 64usize >> bits;
            let first = (usize::from(number) - (1 << bits)) * width;
            groups[first..first + width].fill(group);
        }
        groups
    }

    /// Its layout, when `block_of` tells where each child's node is.
    pub(super) fn layout(&self, block_of: impl Fn(NodeNo) -> u32) -> Layout {
        let mut row = self.painted();
        for &(child, node) in &self.children {
            row[usize::from(child)] = NODE | block_of(node);
        }
        let mut layout = Layout {
            bitmap: 0,
            entries: [0; 64],
            len: 0,
        };
        for (i, entry) in row.into_iter().enumerate() {
            let same =
                layout.len > 0 && layout.entries[layout.len - 1] == entry && entry & NODE == 0;
            if !same {
                layout.bitmap |= 1 << i;
                layout.entries[layout.len] = entry;
                layout.len += 1;
            }
        }
        layout
    }
}
