//! A full Internet table for the FIB benches: read from a file, or made like one.
//!
//! `FLOWGATE_BGP` names a file with one prefix a line (`192.0.2.0/24`), plain or gzip; other lines are an
//! error. Without it a table of the same size and mix of lengths is made from a fixed seed: 901,899 IPv4
//! prefixes, 59.6 % of them /24, and 160,147 IPv6 prefixes, 47 % of them /48, as a tier-1 router had in 2023.
//! A made table has the lengths of a real one, not its clustering, so it is a harder case for caches.

use flate2::read::GzDecoder;
use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// An address and the number of its leading bits that count; the others are 0.
pub type Prefix = (IpAddr, u8);

/// Prefixes of both families, each sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// IPv4.
    pub v4: Vec<Prefix>,
    /// IPv6.
    pub v6: Vec<Prefix>,
}

/// Sizes of the table that is made.
const MADE_V4: usize = 901_899;
const MADE_V6: usize = 160_147;

/// How many of 1000 IPv4 prefixes have which length.
const LENGTHS_V4: [(u8, u32); 14] = [
    (24, 596),
    (23, 104),
    (22, 113),
    (21, 52),
    (20, 43),
    (19, 27),
    (18, 15),
    (17, 9),
    (16, 14),
    (15, 2),
    (14, 1),
    (13, 1),
    (12, 1),
    (32, 22),
];
/// How many of 1000 IPv6 prefixes have which length.
const LENGTHS_V6: [(u8, u32); 12] = [
    (48, 470),
    (32, 125),
    (44, 95),
    (40, 85),
    (36, 55),
    (29, 45),
    (46, 40),
    (33, 25),
    (47, 25),
    (45, 20),
    (64, 10),
    (42, 5),
];

impl Prefixes {
    /// The file that `FLOWGATE_BGP` names, else a made table.
    ///
    /// # Errors
    /// The file cannot be read or has a line that is no prefix.
    pub fn load() -> io::Result<Self> {
        match std::env::var_os("FLOWGATE_BGP") {
            Some(path) => Self::read_file(Path::new(&path)),
            None => Ok(Self::made(MADE_V4, MADE_V6)),
        }
    }

    /// A file with one prefix a line, plain or gzip.
    ///
    /// # Errors
    /// As of [`Self::load`].
    pub fn read_file(path: &Path) -> io::Result<Self> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = std::fs::File::open(path).map_err(named)?;
        Self::read(BufReader::new(file)).map_err(named)
    }

    /// As [`Self::read_file`], from anything.
    fn read(mut from: impl BufRead) -> io::Result<Self> {
        let mut text = String::new();
        if from.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
            GzDecoder::new(from).read_to_string(&mut text)?;
        } else {
            from.read_to_string(&mut text)?;
        }
        let mut prefixes = Self::default();
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let wrong = || io::Error::other(format!("line {}: '{line}' is no prefix", number + 1));
            let prefix = parse(line.trim()).ok_or_else(wrong)?;
            if prefix.0.is_ipv4() {
                prefixes.v4.push(prefix)
            } else {
                prefixes.v6.push(prefix)
            }
        }
        prefixes.v4.sort_unstable();
        prefixes.v6.sort_unstable();
        Ok(prefixes)
    }

    /// A table made like a real one, the same at each call.
    pub(crate) fn made(v4: usize, v6: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(2023);
        let v4 = distinct(v4, || {
            let len = pick(&mut rng, &LENGTHS_V4);
            // Unicast: 1.0.0.0 to 223.255.255.255.
            let bits = rng.u32(0x0100_0000..0xe000_0000) & (u32::MAX << (32 - len));
            (IpAddr::V4(Ipv4Addr::from_bits(bits)), len)
        });
        let v6 = distinct(v6, || {
            let len = pick(&mut rng, &LENGTHS_V6);
            // 2000::/4 is where global unicast is.
            let bits = (rng.u128(..) >> 4 | 0x2 << 124) & (u128::MAX << (128 - len));
            (IpAddr::V6(Ipv6Addr::from_bits(bits)), len)
        });
        Self { v4, v6 }
    }
}

/// `number` different ones, sorted.
fn distinct(number: usize, mut one: impl FnMut() -> Prefix) -> Vec<Prefix> {
    let mut set = BTreeSet::new();
    while set.len() < number {
        set.insert(one());
    }
    set.into_iter().collect()
}

/// A length, as often as its share says.
fn pick(rng: &mut fastrand::Rng, shares: &[(u8, u32)]) -> u8 {
    let all: u32 = shares.iter().map(|(_, share)| share).sum();
    let mut ticket = rng.u32(..all);
    for (len, share) in shares {
        if ticket < *share {
            return *len;
        }
        ticket -= share;
    }
    unreachable!("a ticket below the sum of the shares belongs to one of them")
}

/// `address/length` without host bits.
fn parse(text: &str) -> Option<Prefix> {
    let (addr, len) = text.split_once('/')?;
    let (addr, len): (IpAddr, u8) = (addr.parse().ok()?, len.parse().ok()?);
    let host_bits = match addr {
        IpAddr::V4(a) if len <= 32 => a.to_bits().checked_shl(len.into()).unwrap_or(0) != 0,
        IpAddr::V6(a) if len <= 128 => a.to_bits().checked_shl(len.into()).unwrap_or(0) != 0,
        _ => return None,
    };
    (!host_bits).then_some((addr, len))
}

/// A random address inside `prefix`.
pub fn address_in(prefix: &Prefix, rng: &mut fastrand::Rng) -> IpAddr {
    let (addr, len) = *prefix;
    match addr {
        IpAddr::V4(a) => {
            let host = u32::MAX.checked_shr(len.into()).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() | rng.u32(..) & host))
        }
        IpAddr::V6(a) => {
            let host = u128::MAX.checked_shr(len.into()).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() | rng.u128(..) & host))
        }
    }
}

/// Which of `groups` next hops each of `prefixes` sorted prefixes has: its predecessor's with probability
/// 0.7, else a Zipf choice, as in a real view.
pub fn next_hops(prefixes: usize, groups: u32, rng: &mut fastrand::Rng) -> Vec<u32> {
    markov_next_hops(prefixes, groups, 0.7, rng)
}

/// As [`next_hops`], with another probability to have the predecessor's.
pub fn markov_next_hops(
    prefixes: usize,
    groups: u32,
    stay: f64,
    rng: &mut fastrand::Rng,
) -> Vec<u32> {
    let weight = |rank: u32| 1.0 / f64::from(rank + 1);
    let all: f64 = (0..groups).map(weight).sum();
    let zipf = |rng: &mut fastrand::Rng| {
        let mut ticket = rng.f64() * all;
        let before = (0..groups).take_while(|rank| {
            ticket -= weight(*rank);
            ticket > 0.0
        });
        (before.count() as u32).min(groups - 1)
    };
    let mut current = 0;
    let next = |_| {
        if rng.f64() >= stay {
            current = zipf(rng);
        }
        current
    };
    (0..prefixes).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    const TEXT: &str = "203.0.113.0/24\n2001:db8::/32\n\n10.0.0.0/8\n";

    fn expected() -> Prefixes {
        let prefix = |text| parse(text).expect("a prefix");
        Prefixes {
            v4: vec![prefix("10.0.0.0/8"), prefix("203.0.113.0/24")],
            v6: vec![prefix("2001:db8::/32")],
        }
    }

    #[test]
    fn a_plain_file_is_read_and_sorted() {
        assert_eq!(
            Prefixes::read(TEXT.as_bytes()).expect("well formed"),
            expected()
        );
    }

    #[test]
    fn a_compressed_file_is_read_alike() {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(TEXT.as_bytes()).expect("written to memory");
        let gz = gz.finish().expect("written to memory");
        assert_eq!(Prefixes::read(&gz[..]).expect("well formed"), expected());
    }

    #[test]
    fn a_line_that_is_no_prefix_is_named() {
        for line in ["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "::/129", "x/8"] {
            let text = format!("10.0.0.0/8\n{line}\n");
            let error = Prefixes::read(text.as_bytes()).expect_err(line);
            assert!(error.to_string().starts_with("line 2: "), "{error}");
        }
    }

    #[test]
    fn a_made_table_has_the_size_and_mix_asked_for_and_no_host_bits() {
        let made = Prefixes::made(20_000, 5_000);
        assert_eq!((made.v4.len(), made.v6.len()), (20_000, 5_000));
        let share =
            |of: &[Prefix], len| of.iter().filter(|p| p.1 == len).count() as f64 / of.len() as f64;
        assert!(
            (share(&made.v4, 24) - 0.596).abs() < 0.02,
            "{}",
            share(&made.v4, 24)
        );
        assert!(
            (share(&made.v6, 48) - 0.47).abs() < 0.03,
            "{}",
            share(&made.v6, 48)
        );
        let read_back = |p: &Prefix| parse(&format!("{}/{}", p.0, p.1)) == Some(*p);
        assert!(made.v4.iter().chain(&made.v6).all(read_back));
    }

    #[test]
    fn addresses_lie_inside_their_prefix() {
        let mut rng = fastrand::Rng::with_seed(5);
        for text in [
            "10.1.0.0/16",
            "192.0.2.7/32",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::1/128",
            "::/0",
        ] {
            let prefix = parse(text).expect("a prefix");
            let whole = (address_in(&prefix, &mut rng), prefix.1);
            let bits = |(addr, len): Prefix| match addr {
                IpAddr::V4(a) => u128::from(a.to_bits()).checked_shr(32 - u32::from(len)),
                IpAddr::V6(a) => a.to_bits().checked_shr(128 - u32::from(len)),
            };
            assert_eq!(
                bits(whole).unwrap_or(0),
                bits(prefix).unwrap_or(0),
                "{text}"
            );
        }
    }

    #[test]
    fn a_few_next_hops_carry_most_prefixes_and_neighbours_share_them() {
        let chosen = next_hops(50_000, 94, &mut fastrand::Rng::with_seed(6));
        assert!(chosen.iter().all(|nhop| *nhop < 94));
        let same = chosen.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64 / 50_000.0;
        assert!((0.66..0.80).contains(&same), "{same}");
    }
}
