//! Prefixes as text, read and written a million at a time: the usual forms have short ways of their own.

use super::{Family, Prefix, PrefixError};
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The longest text: an IPv6 address, a slash and its length.
const LONGEST: usize = 39 + 4;

impl FromStr for Prefix {
    type Err = PrefixError;

    /// `10.0.0.0/8`, `2001:db8::/32`, or an address alone for the host.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        match read_v4(text.as_bytes()) {
            Some((addr, len)) => Self::new(Ipv4Addr::from_bits(addr).into(), len),
            None => read(text),
        }
    }
}

fn read(text: &str) -> Result<Prefix, PrefixError> {
    let (addr, len) = match text.split_once('/') {
        Some((addr, len)) => (addr, Some(len)),
        None => (text, None),
    };
    let addr: IpAddr = addr
        .parse()
        .map_err(|_| PrefixError::NotAnAddress(addr.to_owned()))?;
    let Some(len) = len else {
        return Ok(Prefix::host(addr));
    };
    let digits = !len.is_empty() && len.bytes().all(|b| b.is_ascii_digit());
    let not_a_length = || PrefixError::NotALength {
        text: text.to_owned(),
        max: Family::of(&addr).bits(),
    };
    let len = if digits { len.parse::<u8>().ok() } else { None };
    Prefix::new(addr, len.ok_or_else(not_a_length)?)
}

/// The address and the length, if the text is an IPv4 network as one writes it; `None`: something else, or wrong.
fn read_v4(text: &[u8]) -> Option<(u32, u8)> {
    let (mut addr, mut dots) = (0u32, 0);
    let (mut number, mut digits) = (0u32, 0);
    for byte in text {
        match byte {
            b'0'..=b'9' if digits == 0 || number > 0 => {
                number = number * 10 + u32::from(byte - b'0');
                digits += 1;
                if number > 255 {
                    return None;
                }
            }
            b'.' | b'/' if digits > 0 && (dots < 3) == (*byte == b'.') && dots < 4 => {
                addr = addr << 8 | number;
                dots += 1;
                (number, digits) = (0, 0);
            }
            _ => return None,
        }
    }
    (dots == 4 && digits > 0).then_some((addr, number as u8))
}

/// Text that is made in place.
struct Line {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Line {
    const fn new() -> Self {
        Self {
            bytes: [0; LONGEST],
            len: 0,
        }
    }

    fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn decimal(&mut self, number: u8) {
        if number >= 100 {
            self.put(b'0' + number / 100);
        }
        if number >= 10 {
            self.put(b'0' + number / 10 % 10);
        }
        self.put(b'0' + number % 10);
    }

    fn hex(&mut self, number: u16) {
        let digits = (16 - (number | 1).leading_zeros()).div_ceil(4);
        for digit in (0..digits).rev() {
            let digit = (number >> (4 * digit)) as u8 & 15;
            self.put(if digit < 10 { b'0' } else { b'a' - 10 } + digit);
        }
    }

    fn v4(&mut self, addr: Ipv4Addr) {
        for (at, part) in addr.octets().into_iter().enumerate() {
            if at > 0 {
                self.put(b'.');
            }
            self.decimal(part);
        }
    }

    /// The address with its first longest run of zeros left out (RFC 5952).
    fn v6(&mut self, parts: [u16; 8]) {
        let (first, behind) = zeros(&parts);
        for (at, part) in parts.into_iter().enumerate() {
            if (first..behind).contains(&at) {
                if at == first {
                    self.put(b':');
                }
                if at == 7 {
                    self.put(b':');
                }
                continue;
            }
            if at > 0 {
                self.put(b':');
            }
            self.hex(part);
        }
    }

    fn text(&self) -> &str {
        let text = self.bytes.get(..self.len).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

/// The longest run of zeros, the first of such, if it is longer than one.
fn zeros(parts: &[u16; 8]) -> (usize, usize) {
    let (mut longest, mut run) = ((0, 0), (0, 0));
    for (at, part) in parts.iter().enumerate() {
        if *part != 0 {
            run = (at + 1, at + 1);
            continue;
        }
        run.1 = at + 1;
        if run.1 - run.0 > longest.1 - longest.0 {
            longest = run;
        }
    }
    if longest.1 - longest.0 > 1 {
        longest
    } else {
        (0, 0)
    }
}

impl Prefix {
    /// Appends its text, as it is displayed.
    pub fn append(&self, text: &mut String) {
        let mut line = Line::new();
        match self.addr {
            IpAddr::V4(addr) => line.v4(addr),
            // The system's way to write an IPv4 address in it.
            IpAddr::V6(addr) if addr.to_ipv4_mapped().is_some() => {
                // A string takes whatever it is given.
                let _ = write!(text, "{addr}");
            }
            IpAddr::V6(addr) => line.v6(Ipv6Addr::segments(&addr)),
        }
        line.put(b'/');
        line.decimal(self.len);
        text.push_str(line.text());
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    /// A stream of numbers of chance (Marsaglia's xorshift).
    fn chance(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn what_is_appended_is_what_is_displayed_and_reads_back() {
        let mut state = 0x1234_5678_9abc_def1;
        for _ in 0..200_000 {
            let (a, b) = (chance(&mut state), chance(&mut state));
            let v4 = Prefix::masked(Ipv4Addr::from_bits(a as u32).into(), (b % 33) as u8);
            // Parts of zeros here and there, short numbers, IPv4 in IPv6.
            let mut parts = [0u16; 8];
            for (at, part) in parts.iter_mut().enumerate() {
                let is_zero = b >> (8 + at) & 1 == 0;
                *part = if is_zero {
                    0
                } else {
                    (a >> (8 * at)) as u16 >> (a & 15)
                };
            }
            if b & 0x70_0000 == 0 {
                parts[..6].copy_from_slice(&[0, 0, 0, 0, 0, 0xffff]);
            }
            let v6 = Prefix::masked(IpAddr::from(parts), (b >> 32) as u8 % 129);
            for prefix in [v4, v6] {
                let mut text = String::from("x ");
                prefix.append(&mut text);
                assert_eq!(text, format!("x {prefix}"));
                assert_eq!(text[2..].parse(), Ok(prefix));
            }
        }
    }

    #[test]
    fn the_short_way_takes_what_the_long_one_takes_and_means_the_same() {
        let texts = [
            "10.0.0.0/8",
            "0.0.0.0/0",
            "255.255.255.255/32",
            "1.2.3.4/33",
            "1.2.3.4",
            "1.2.3/8",
            "1.2.3.4.5/8",
            "01.2.3.4/32",
            "1.2.3.04/32",
            "256.0.0.0/8",
            "1..2.3/8",
            "1.2.3.4/",
            "1.2.3.4/08",
            "1.2.3.4/032",
            "1.2.3.4/+8",
            "1.2.3.4/3 ",
            " 1.2.3.4/3",
            "1.2.3.4/8/8",
            "1/2/3/4",
            "1.2.3.4/256",
            "1.2.3.4/00",
            "",
            "/",
            "::/0",
            "1.2.3.4/99999999999999999999",
            "10.0.0.0/08",
            "4294967297.0.0.0/8",
            "1.2.3.4.",
            "....",
            "1.2.3./8",
        ];
        for text in texts {
            assert_eq!(text.parse(), read(text), "{text:?}");
        }
        let mut state = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..200_000 {
            let length = chance(&mut state) % 14;
            let letter = |_| char::from(b"0123456789./"[(chance(&mut state) % 12) as usize]);
            let text: String = (0..length).map(letter).collect();
            assert_eq!(text.parse(), read(&text), "{text:?}");
        }
    }
}
