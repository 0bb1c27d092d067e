//! Coarse time, as flow entries keep it.

/// Units of 100 ms since the gateway started. Handed in with each call; never read from a clock here.
///
/// 32 bits last 13.6 years; a gateway that runs longer sees its flows as never idle, and must be restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u32);

impl Tick {
    /// Ticks in a second.
    pub const PER_SECOND: u32 = 10;

    /// Ticks since `earlier`; 0 if that is later.
    #[inline]
    pub fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }

    /// The low 14 bits, as an entry keeps its change mark. Ages are good for 27 minutes.
    #[inline]
    pub(crate) fn low(self) -> u16 {
        self.0 as u16 & 0x3fff
    }
}
