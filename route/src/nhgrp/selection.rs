//! By what a group tells flows apart.

/// What of a flow chooses its bucket. Whatever it is, a pinned flow stays where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selection {
    /// Addresses, protocol and ports: every flow for itself.
    #[default]
    Tuple,
    /// The source address: all flows of a client together.
    Source,
    /// Source and destination address: all flows between two hosts together.
    SourceDestination,
    /// `(src xor dst) mod n` over the members that may take flows: what FreeBSD's ECMP did before it hashed. For
    /// comparison only: weights do not count, and one member more or less sends nearly every flow without a
    /// pin elsewhere.
    ModN,
}

impl Selection {
    /// Every way, in the order of listings.
    pub const ALL: [Self; 4] = [
        Self::Tuple,
        Self::Source,
        Self::SourceDestination,
        Self::ModN,
    ];

    /// Its name, as commands take it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tuple => "5-tuple",
            Self::Source => "source",
            Self::SourceDestination => "source-destination",
            Self::ModN => "mod-n",
        }
    }

    /// The way with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }

    const fn bits(self) -> u64 {
        match self {
            Self::Tuple => 0,
            Self::Source => 1,
            Self::SourceDestination => 2,
            Self::ModN => 3,
        }
    }

    const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Tuple,
            1 => Self::Source,
            2 => Self::SourceDestination,
            _ => Self::ModN,
        }
    }
}

const ORDER_SHIFT: u32 = 32;
const SELECTION_SHIFT: u32 = 40;
const RETURNS: u64 = 1 << 42;
const TIMEOUTS_SHIFT: u32 = 43;
const TIMEOUTS_MASK: u64 = 0xf;
const TAKERS_SHIFT: u32 = 48;

/// A group's first word: where its buckets are, and how one is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The first bucket's line.
    pub(super) base: u32,
    /// Log2 of the buckets.
    pub(super) order: u8,
    /// By what flows are told apart.
    pub(super) selection: Selection,
    /// With [`Selection::ModN`]: how many members take turns.
    pub(super) takers: u16,
    /// Whether flows that a death sent away come back.
    pub(super) returns: bool,
    /// The number of its flows' timeouts, below 16.
    pub(super) timeouts: u8,
}

impl Shape {
    pub(super) const fn word(self) -> u64 {
        self.base as u64
            | (self.order as u64) << ORDER_SHIFT
            | self.selection.bits() << SELECTION_SHIFT
            | (self.timeouts as u64 & TIMEOUTS_MASK) << TIMEOUTS_SHIFT
            | (self.takers as u64) << TAKERS_SHIFT
            | if self.returns { RETURNS } else { 0 }
    }

    pub(super) const fn from_word(word: u64) -> Self {
        Self {
            base: word as u32,
            order: (word >> ORDER_SHIFT) as u8,
            selection: Selection::from_bits(word >> SELECTION_SHIFT),
            takers: (word >> TAKERS_SHIFT) as u16,
            returns: word & RETURNS != 0,
            timeouts: (word >> TIMEOUTS_SHIFT & TIMEOUTS_MASK) as u8,
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_word_gives_back_the_shape_and_a_name_the_way() {
        for selection in Selection::ALL {
            let shape = Shape {
                base: u32::MAX - 3,
                order: 16,
                selection,
                takers: 1024,
                returns: selection == Selection::Source,
                timeouts: 5 * selection.bits() as u8,
            };
            assert_eq!(Shape::from_word(shape.word()), shape);
            assert_eq!(Selection::named(selection.name()), Some(selection));
        }
        assert_eq!(Selection::named("5tuple"), None);
    }
}
