//! The last word of a bucket: how soon each of its flows makes room for another, and how many of its own live elsewhere.

use crate::bucket::{CLASS_BITS, PLACES, STRAY_BITS, STRAYS_MAX, STRAYS_SHIFT, Tag, Turned};
use crate::state::{Class, State};

/// How soon a flow makes room for another: its class, and on probation also whether it is in pin debt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Probation = 0,
    OneWay = 1,
    TwoWay = 2,
    InDebt = 3,
}

impl Standing {
    /// Who is looked at first.
    pub(crate) const ORDER: [Self; 4] = [Self::Probation, Self::InDebt, Self::OneWay, Self::TwoWay];

    /// That of a flow of this class, that has this state.
    #[inline]
    pub(crate) fn of(class: Class, state: State, debt: bool) -> Self {
        match class {
            Class::Probation if debt => Self::InDebt,
            Class::Probation => Self::Probation,
            // Of a connection that is over its class is all that is left.
            Class::TwoWay if state.is_over() => Self::OneWay,
            Class::OneWay => Self::OneWay,
            Class::TwoWay => Self::TwoWay,
        }
    }
}

/// The standings of a bucket's flows, and how many of its own live elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Classes(pub(crate) u64);

impl Classes {
    /// Places whose flow has this standing, from `start` on, round and round. What a free place has means nothing.
    #[inline]
    pub(crate) fn of(self, standing: Standing, start: usize) -> Turned<CLASS_BITS> {
        const EVEN: u64 = 0x5555_5555_5555;
        const { assert!(CLASS_BITS == 2 && PLACES == EVEN.count_ones() as usize) };
        let differs = self.0 ^ (standing as u64 * EVEN);
        Turned::new(!(differs | differs >> 1) & EVEN, start)
    }

    /// Whether a flow with this tag whose first candidate this bucket is may live in its second.
    #[inline]
    pub(crate) fn has_strays(self, tag: Tag) -> bool {
        self.strays_like(tag) != 0
    }

    /// How many live in their second in all.
    pub(crate) fn strays(self) -> u64 {
        let count = |n: u32| self.0 >> (STRAYS_SHIFT + n * STRAY_BITS) & STRAYS_MAX;
        (0..(64 - STRAYS_SHIFT) / STRAY_BITS).map(count).sum()
    }

    #[inline]
    pub(crate) fn strays_like(self, tag: Tag) -> u64 {
        self.0 >> tag.stray_shift() & STRAYS_MAX
    }

    #[inline]
    pub(crate) fn with(self, place: usize, standing: Standing) -> Self {
        let shift = place * CLASS_BITS;
        Self(self.0 & !(3 << shift) | (standing as u64) << shift)
    }

    #[inline]
    pub(crate) fn with_strays(self, tag: Tag, strays: u64) -> Self {
        let shift = tag.stray_shift();
        Self(self.0 & !(STRAYS_MAX << shift) | strays << shift)
    }
}
