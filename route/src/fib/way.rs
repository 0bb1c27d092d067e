//! How a prefix is found among the nodes.

use super::{Addr, STRIDE};

/// A prefix's way through the nodes: slot, then (node, child) down to the node it ends in.
pub(super) struct Way {
    pub(super) slot: usize,
    /// Child taken at each level but the last.
    pub(super) turns: Vec<u8>,
}

/// The way of a prefix that ends in a node.
pub(super) fn way<A: Addr>(addr: A, len: u32) -> Way {
    let bits = addr.aligned();
    let (mut rest, mut left) = (bits << A::ROOT, len - A::ROOT);
    let mut turns = Vec::new();
    let mut stride = if A::PAGE > 0 { A::PAGE } else { STRIDE };
    while left > stride {
        turns.push((rest >> (128 - stride)) as u8);
        rest <<= stride;
        left -= stride;
        stride = STRIDE;
    }
    Way {
        slot: (bits >> (128 - A::ROOT)) as usize,
        turns,
    }
}
