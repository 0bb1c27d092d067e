//! DIR-24-8: the plain reference for IPv4, 16 bits an entry.
//!
//! One entry for each of the 2^24 /24s. Its high bit says that the rest is the number of a block of 256
//! entries for the last 8 bits, else the rest is the value; 0 is none. One access, two where a prefix is
//! longer than /24.

/// Set in an entry of the first table that leads to a block.
const BLOCK: u16 = 1 << 15;
/// Entries of a block.
const BLOCK_LEN: usize = 256;

/// The table.
#[derive(Debug)]
pub(super) struct Dir24 {
    first: Box<[u16]>,
    blocks: Vec<u16>,
}

impl Dir24 {
    /// Of prefixes (address, length, value): each value from 1 to 32,767.
    ///
    /// # Errors
    /// A value, or the number of /24s with longer prefixes, is more than 15 bits hold.
    pub(super) fn new(prefixes: impl Iterator<Item = (u32, u8, u32)>) -> Result<Self, String> {
        let mut prefixes: Vec<_> = prefixes.collect();
        // A longer prefix is laid over the shorter ones.
        prefixes.sort_by_key(|(_, len, _)| *len);
        let mut table = Self {
            first: vec![0; 1 << 24].into_boxed_slice(),
            blocks: Vec::new(),
        };
        for (addr, len, value) in prefixes {
            let fits = u16::try_from(value).ok().filter(|value| value & BLOCK == 0);
            let value = fits.ok_or_else(|| format!("value {value} does not fit in 15 bits"))?;
            table.lay(addr, len, value)?;
        }
        table.blocks.shrink_to_fit();
        Ok(table)
    }

    fn lay(&mut self, addr: u32, len: u8, value: u16) -> Result<(), String> {
        let slot = (addr >> 8) as usize;
        if len <= 24 {
            let slots = 1usize << (24 - len);
            self.first[slot..slot + slots].fill(value);
            return Ok(());
        }
        let start = self.block_of(slot)? + (addr & 0xff) as usize;
        self.blocks[start..start + (1 << (32 - len))].fill(value);
        Ok(())
    }

    /// Where the block of a slot starts; made if there is none.
    fn block_of(&mut self, slot: usize) -> Result<usize, String> {
        let entry = self.first[slot];
        if entry & BLOCK != 0 {
            return Ok(usize::from(entry & !BLOCK) * BLOCK_LEN);
        }
        let number = self.blocks.len() / BLOCK_LEN;
        let named = u16::try_from(number)
            .ok()
            .filter(|number| number & BLOCK == 0);
        let Some(named) = named else {
            return Err("more /24s have longer prefixes than 15 bits can number".into());
        };
        self.blocks.extend([entry; BLOCK_LEN]);
        self.first[slot] = named | BLOCK;
        Ok(number * BLOCK_LEN)
    }

    /// The value of the longest prefix that covers `addr`; 0 is none.
    #[inline]
    pub(super) fn lookup(&self, addr: u32) -> u32 {
        let entry = self.first.get((addr >> 8) as usize).copied().unwrap_or(0);
        if entry & BLOCK == 0 {
            return entry.into();
        }
        let at = usize::from(entry & !BLOCK) * BLOCK_LEN + (addr & 0xff) as usize;
        self.blocks.get(at).copied().unwrap_or(0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at every prefix.
    fn linear(prefixes: &[(u32, u8, u32)], addr: u32) -> u32 {
        let covers = |(net, len, _): &&(u32, u8, u32)| {
            *len == 0 || (net ^ addr) >> (32 - u32::from(*len)) == 0
        };
        let longest = prefixes
            .iter()
            .filter(covers)
            .max_by_key(|(_, len, _)| *len);
        longest.map_or(0, |(_, _, value)| *value)
    }

    /// Random prefixes of every length, crowded so that they nest.
    fn random(rng: &mut fastrand::Rng) -> Vec<(u32, u8, u32)> {
        let mut prefixes = std::collections::BTreeMap::new();
        for value in 1..200 {
            let len = rng.u8(0..=32);
            let addr = 0x0a01_0000 ^ rng.u32(..) >> rng.u32(0..32);
            let net = addr & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            prefixes.insert((net, len), value);
        }
        prefixes
            .into_iter()
            .map(|((net, len), value)| (net, len, value))
            .collect()
    }

    #[test]
    fn it_answers_as_a_linear_search_does() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..4 {
            let prefixes = random(&mut rng);
            let table = Dir24::new(prefixes.iter().copied()).expect("small values");
            for (net, len, _) in &prefixes {
                let last = net | u32::MAX.checked_shr((*len).into()).unwrap_or(0);
                let inside = net | rng.u32(..) & (last ^ net);
                for addr in [
                    net.wrapping_sub(1),
                    *net,
                    inside,
                    last,
                    last.wrapping_add(1),
                ] {
                    assert_eq!(table.lookup(addr), linear(&prefixes, addr), "{addr:#x}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Dir24::new([(0, 0, 32_767)].into_iter()).is_ok());
        assert!(Dir24::new([(0, 0, 32_768)].into_iter()).is_err());
        let hosts = |n: u32| (0..n).map(|i| (i << 8, 32, 1));
        assert!(Dir24::new(hosts(32_768)).is_ok());
        assert!(Dir24::new(hosts(32_769)).is_err());
    }
}
