//! Where a route goes: an address, a prefix, `default`, and what `-net`, `-host`, `-netmask` and `-prefixlen` say of it.
//!
//! As in FreeBSD's route(8) a network may be written short (`-net 10.1`, `10.1/16`), where nothing else could be meant.

use super::Said;
use crate::cli::exit::Failure;
use crate::cli::exit::usage;
use crate::cli::words::read_own;
use crate::wire::route::Family;
use route::Prefix;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// What a mask looks like.
const MASK: &str = "a contiguous mask, such as 255.255.255.0 or ffff:ffff::";

/// A length that was told apart from the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Length {
    /// As it was told: `-netmask 255.0.0.0`.
    words: String,
    bits: u8,
    /// A mask is of one family.
    family: Option<Family>,
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Length {
    /// `-prefixlen N`.
    pub(super) fn of_bits(bits: u8) -> Self {
        Self {
            words: format!("-prefixlen {bits}"),
            bits,
            family: None,
        }
    }

    /// `-netmask MASK`, of either family, or in hexadecimal digits (`0xffff0000`, inet(3)).
    pub(super) fn of_mask(mask: &str) -> Result<Self, Failure> {
        let hex = mask
            .strip_prefix("0x")
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let address = hex.map(|bits| Ipv4Addr::from_bits(bits).into());
        let contiguous = match address.or_else(|| mask.parse().ok()) {
            Some(IpAddr::V4(v4)) => bits_of(u128::from(v4.to_bits()) << 96, 32),
            Some(IpAddr::V6(v6)) => bits_of(v6.to_bits(), 128),
            None => None,
        };
        let Some((bits, family)) = contiguous else {
            return usage(format!("-netmask {mask}: write {MASK}"));
        };
        Ok(Self {
            words: format!("-netmask {mask}"),
            bits,
            family: Some(family),
        })
    }

    /// The one of both that says more of itself, if they are the same.
    pub(super) fn and(self, before: Option<Self>) -> Result<Self, Failure> {
        match before {
            Some(before) if before.bits != self.bits => usage(format!(
                "{before} and {self} are different lengths: say one"
            )),
            Some(before) if before.family.is_some() => Ok(before),
            _ => Ok(self),
        }
    }
}

/// How many ones a mask begins with, if these are all; it stands at the upper end.
fn bits_of(mask: u128, most: u32) -> Option<(u8, Family)> {
    let ones = mask.leading_ones();
    let family = if most == 32 {
        Family::Inet
    } else {
        Family::Inet6
    };
    let rest = mask.checked_shl(ones).unwrap_or(0);
    (rest == 0).then_some((u8::try_from(ones).unwrap_or(128), family))
}

/// An IPv4 network of fewer than four numbers, filled up with zeros, and how many were written.
///
/// None begins with a zero that it does not need: inet(3) reads such numbers as octal ones.
fn short(text: &str) -> Option<(Ipv4Addr, u8)> {
    let mut octets = [0; 4];
    let mut written = 0;
    for number in text.split('.') {
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit())
            && (number.len() == 1 || !number.starts_with('0'));
        let octet = octets.get_mut(usize::from(written))?;
        *octet = number.parse().ok().filter(|_| is_plain)?;
        written += 1;
    }
    (written < 4).then_some((octets.into(), written))
}

/// `10.1/16` in full; other text as it is.
fn in_full(text: &str) -> String {
    let parts = text.split_once('/');
    let filled = parts.and_then(|(network, length)| Some((short(network)?.0, length)));
    filled.map_or_else(
        || text.to_owned(),
        |(network, length)| format!("{network}/{length}"),
    )
}

impl Said {
    pub(super) fn prefix(&self) -> Result<Prefix, Failure> {
        let Some(text) = &self.destination else {
            return usage("no destination: write an address, a prefix or 'default'");
        };
        if self.net && self.host {
            return usage("-net and -host: a destination is one of them");
        }
        if text == "default" {
            return self.default_route();
        }
        if text.contains('/') {
            if self.host || self.length.is_some() {
                return usage(format!(
                    "{text} has a length already: leave out -host, -netmask and -prefixlen"
                ));
            }
            return read_own(&in_full(text));
        }
        match (&self.length, short(text).filter(|_| self.net)) {
            (Some(length), Some((network, _))) => self.of_length(&network.to_string(), length),
            (Some(length), None) => self.of_length(text, length),
            // A zero at the end may be a part of the network or what is left of the host.
            (None, Some((network, written))) if !text.ends_with(".0") && text != "0" => {
                read_own(&format!("{network}/{}", 8 * written))
            }
            (None, _) if self.net => usage(format!(
                "-net {text} needs a length: write {text}/LEN, or -netmask MASK"
            )),
            (None, _) => read_own(text),
        }
    }

    /// An address whose length was told apart; a mask is of the address's family.
    fn of_length(&self, text: &str, length: &Length) -> Result<Prefix, Failure> {
        let prefix: Prefix = read_own(&format!("{text}/{}", length.bits))?;
        if self.host && !prefix.is_host() {
            return usage(format!("-host {text} is one address: leave {length} out"));
        }
        match length
            .family
            .map(|family| (family, Family::of(prefix.addr())))
        {
            Some((Family::Inet, Family::Inet6)) => usage(format!(
                "{length} is an IPv4 mask, and {text} an IPv6 address: write {text}/LEN"
            )),
            Some((Family::Inet6, Family::Inet)) => usage(format!(
                "{length} is an IPv6 mask, and {text} an IPv4 address: write {text}/LEN"
            )),
            _ => Ok(prefix),
        }
    }

    /// `default`: the family that was told, else the gateways'.
    fn default_route(&self) -> Result<Prefix, Failure> {
        if self.host {
            return usage("default is no host: leave -host out");
        }
        let of_gateway = self
            .paths
            .iter()
            .find_map(|path| path.gateway)
            .map(Family::of);
        let family = self.family().or(of_gateway).unwrap_or(Family::Inet);
        let (network, other): (IpAddr, _) = match family {
            Family::Inet => (Ipv4Addr::UNSPECIFIED.into(), "IPv6"),
            Family::Inet6 => (Ipv6Addr::UNSPECIFIED.into(), "IPv4"),
        };
        match &self.length {
            Some(length) if length.bits != 0 => usage(format!(
                "default has the length 0: leave {length} out, or write the network"
            )),
            Some(length) if length.family.is_some_and(|of| of != family) => usage(format!(
                "{length} is an {other} mask, and default is {network}/0 here: leave it out"
            )),
            _ => read_own(&format!("{network}/0")),
        }
    }

    /// A host that looks like a network, which FreeBSD would guess by the zeros at its end.
    pub(super) fn looks_like_a_network(&self, prefix: Prefix) -> Option<String> {
        let IpAddr::V4(address) = prefix.addr() else {
            return None;
        };
        let is_told = self.host
            || self.length.is_some()
            || self
                .destination
                .as_ref()
                .is_some_and(|text| text.contains('/'));
        let is_odd = prefix.is_host() && address.octets()[3] == 0 && !is_told;
        is_odd.then(|| format!("{address} is a host route; for the network write {address}/24"))
    }
}
