//! A change of one prefix, and which of them end in the same node.

use super::{Addr, STRIDE};
use crate::ids::GroupId;

/// A prefix and the group that it is to have; `None`: it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn<A> {
    pub(crate) addr: A,
    pub(crate) len: u8,
    pub(crate) group: Option<GroupId>,
}

impl<A: Addr> Turn<A> {
    /// How many bits lead to the node that the prefix ends in; `None`: it ends in the direct table.
    pub(super) fn above(&self) -> Option<u32> {
        let (len, direct) = (u32::from(self.len), A::ROOT + A::PAGE);
        match len {
            _ if len <= A::ROOT => None,
            _ if len <= direct => Some(A::ROOT),
            _ => Some(direct + (len - direct - 1) / STRIDE * STRIDE),
        }
    }

    /// Whether both end in the same node.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let (a, b) = (self.addr.aligned(), other.addr.aligned());
        let above = self.above();
        above.is_some_and(|above| above == A::ROOT || (a ^ b) >> (128 - above) == 0)
            && above == other.above()
            && a >> (128 - A::ROOT) == b >> (128 - A::ROOT)
    }

    /// Its bits and value within the node below so many bits.
    pub(super) fn within(&self, above: u32) -> (u32, u32) {
        let bits = u32::from(self.len) - above;
        let rest = self.addr.aligned() << above;
        (bits, (rest >> (128 - bits)) as u32)
    }
}
