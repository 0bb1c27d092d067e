//! Pins, as the flow table sees them: opaque numbers.

/// An opaque number of 40 bits that says where a direction of a flow goes. 0 means that nothing is pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PinWord(pub u64);

impl PinWord {
    /// Bits that a pin may use.
    pub const BITS: u32 = 40;
    /// No pin.
    pub const NONE: Self = Self(0);
}
