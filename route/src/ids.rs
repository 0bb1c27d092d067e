//! The small words that everyone passes around: indices, generations, seconds, and the pin.
//!
//! A pin is {next hop index, generation}. Twenty bits each leave room in one 64-bit word for what others
//! keep beside it: a bucket's history adds the second at which the owner lost the bucket.

/// Bits of a next hop index, and of a generation.
pub const PIN_FIELD_BITS: u32 = 20;
const FIELD: u64 = (1 << PIN_FIELD_BITS) - 1;

/// Index of an interface. The last [`FibId::MOST`] numbers are no interface's: a recursive next hop has the one of the
/// FIB that resolves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u16);

impl PortId {
    /// The first number that is no interface's.
    pub const END: Self = Self(u16::MAX - FibId::MOST as u16 + 1);

    /// What stands for the interface of a next hop that this FIB resolves.
    pub(crate) const fn found_in(fib: FibId) -> Self {
        Self(Self::END.0 + (fib.0 % FibId::MOST) as u16)
    }

    /// The FIB that this stands for, if it is no interface.
    pub(crate) const fn finder(self) -> Option<FibId> {
        match self.0.checked_sub(Self::END.0) {
            Some(fib) => Some(FibId(fib as u8)),
            None => None,
        }
    }
}

/// Which of several tables of routes, as FreeBSD numbers them; 0 is the one that is always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FibId(pub u8);

impl FibId {
    /// Most FIBs.
    pub const MOST: u8 = 16;
}

impl std::fmt::Display for FibId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Coarse time: seconds since the gateway started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secs(pub u32);

impl Secs {
    /// This time plus `seconds`, at most the last second that there is.
    #[must_use]
    pub const fn after(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// Index of a next hop's slot, 20 bits; 0 is no next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NhopIdx(pub u32);

impl NhopIdx {
    /// No next hop.
    pub const NONE: Self = Self(0);
    /// The highest index that a pin can name.
    pub const MAX: Self = Self(FIELD as u32);
}

/// Which identity a next hop's slot has: 20 bits, the first is 1. A slot whose generation has reached
/// [`NhopGen::MAX`] is retired for good, so no pin is ever mistaken for a newer one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NhopGen(pub u32);

impl NhopGen {
    /// The generation of a slot's first identity.
    pub const FIRST: Self = Self(1);
    /// The last generation.
    pub const MAX: Self = Self(FIELD as u32);
}

/// Index of a next-hop group; 0 is no group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// The number that an operator gave a next-hop group, from 1: a number space of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupNo(pub u32);

impl std::fmt::Display for GroupNo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl GroupId {
    /// No group.
    pub const NONE: Self = Self(0);
}

/// What a flow (and a bucket) remembers of a next hop: its index and the generation it had. 40 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pin(u64);

impl Pin {
    /// No next hop.
    pub const NONE: Self = Self(0);
    /// The bits that a pin uses of a word.
    pub const BITS: u32 = 2 * PIN_FIELD_BITS;

    /// The pin of slot `idx` in generation `generation`; bits above the twentieth are dropped.
    pub const fn new(idx: NhopIdx, generation: NhopGen) -> Self {
        Self(((generation.0 as u64 & FIELD) << PIN_FIELD_BITS) | (idx.0 as u64 & FIELD))
    }

    /// The slot.
    pub const fn idx(self) -> NhopIdx {
        NhopIdx((self.0 & FIELD) as u32)
    }

    /// The generation that the slot had.
    pub const fn generation(self) -> NhopGen {
        NhopGen((self.0 >> PIN_FIELD_BITS) as u32)
    }

    /// The word, 40 bits.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The pin in the low 40 bits of a word.
    pub const fn from_raw(word: u64) -> Self {
        Self(word & ((1 << Self::BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_gives_back_its_parts_at_every_limit() {
        for (idx, generation) in [
            (0, 0),
            (1, 1),
            (FIELD as u32, 1),
            (1, FIELD as u32),
            (0x5_a5a5, 0xa_5a5a),
        ] {
            let pin = Pin::new(NhopIdx(idx), NhopGen(generation));
            assert_eq!((pin.idx().0, pin.generation().0), (idx, generation));
            assert_eq!(Pin::from_raw(pin.raw() | 0xff << Pin::BITS), pin);
        }
        assert_eq!(Pin::new(NhopIdx(0), NhopGen(0)), Pin::NONE);
    }
}
