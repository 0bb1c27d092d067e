//! The word of an entry that counts one direction's packets and bytes.

/// The word of one direction's packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl Count {
    pub(crate) const PACKETS: u32 = 34;
    const UNITS_MAX: u64 = (1 << Self::PACKETS) - 1;
    const PACKETS_MAX: u64 = u64::MAX >> Self::PACKETS;
    pub(crate) const UNIT_SHIFT: u32 = 4;
    /// The steps of packets 0 to 15, 4 bits each: the low 4 bits of the next packet's number in reverse.
    const STEPS: u64 = {
        let (mut steps, mut packet) = (0, 0);
        while packet < 16 {
            let step = (packet as u8 + 1).reverse_bits() >> 4;
            steps |= (step as u64) << (4 * packet);
            packet += 1;
        }
        steps
    };

    /// So many packets and bytes, as far as it can count.
    pub(crate) fn new(packets: u64, bytes: u64) -> Self {
        let units = (bytes >> Self::UNIT_SHIFT).min(Self::UNITS_MAX);
        Self(packets.min(Self::PACKETS_MAX) << Self::PACKETS | units)
    }

    #[inline]
    pub(crate) fn packets(self) -> u64 {
        self.0 >> Self::PACKETS
    }

    /// Bytes, to the nearest 16 or so.
    pub(crate) fn bytes(self) -> u64 {
        (self.0 & Self::UNITS_MAX) << Self::UNIT_SHIFT
    }

    /// The top bits of both counts: while they are clear, one more packet overflows nothing.
    const TOPS: u64 = 1 << 63 | 1 << (Self::PACKETS - 1);

    #[inline]
    pub(crate) fn plus(self, bytes: u32) -> Self {
        // Hermite's identity: over the 16 steps, the sum of floor((n + step) / 16) is n. The steps are
        // the packet number's low 4 bits in reverse, half first, so that few packets come out right too.
        let step = Self::STEPS >> (4 * (self.packets() & 15)) & 15;
        let units = (u64::from(bytes) + step) >> Self::UNIT_SHIFT;
        if self.0 & Self::TOPS == 0 {
            return Self(self.0 + (1 << Self::PACKETS) + units);
        }
        self.saturating_plus(units)
    }

    #[cold]
    fn saturating_plus(self, units: u64) -> Self {
        let units = (self.0 & Self::UNITS_MAX) + units;
        let packets = (self.packets() + 1).min(Self::PACKETS_MAX);
        Self(packets << Self::PACKETS | units.min(Self::UNITS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_packets_of_one_size_are_counted_exactly() {
        for size in [0, 1, 20, 40, 64, 576, 1499, 1500, 65_535] {
            let count = (0..16).fold(Count::default(), |count, _| count.plus(size));
            assert_eq!(
                (count.packets(), count.bytes()),
                (16, 16 * u64::from(size)),
                "{size}"
            );
        }
    }

    #[test]
    fn bytes_are_never_wrong_by_a_unit_a_packet() {
        let mut rng = fastrand::Rng::with_seed(12);
        let (mut count, mut exact) = (Count::default(), 0);
        for packets in 1..=10_000_u64 {
            let size = rng.u32(20..2000);
            count = count.plus(size);
            exact += u64::from(size);
            assert!(count.bytes().abs_diff(exact) < 16 * packets);
            assert_eq!(count.packets(), packets);
        }
        // On average the rounding cancels out.
        assert!(count.bytes().abs_diff(exact) < exact / 1000);
    }

    #[test]
    fn counters_saturate_and_do_not_spill() {
        let full = Count(u64::MAX);
        assert_eq!(full.plus(1500), full);
        let packets_full = Count(Count::PACKETS_MAX << Count::PACKETS);
        assert_eq!(packets_full.plus(1600).packets(), (1 << 30) - 1);
        assert_eq!(packets_full.plus(1600).bytes(), 1600);
        let bytes_full = Count(Count::UNITS_MAX);
        assert_eq!(
            (bytes_full.plus(64).packets(), bytes_full.plus(64).bytes()),
            (1, 16 * Count::UNITS_MAX)
        );
    }
}
