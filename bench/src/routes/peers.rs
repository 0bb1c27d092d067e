//! The other tables: DIR-24-8, and crates that anyone can use.

use super::dir24::Dir24;
use super::patterns::Key;
use super::ways::{Entry, Single, Way};
use crate::common::memory::{Heap, Memory};
use ip_network::{Ipv4Network, Ipv6Network};
use ip_network_table::IpNetworkTable;
use ip_network_table_deps_treebitmap::IpLookupTable;
use prefix_trie::PrefixMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Address, length, value (not 0).
pub(super) type Item<A> = (A, u8, u32);

/// A way, and by how much memory grew when it was built; or why there is none.
pub(super) type Built<A> = Result<(Entry<A>, Memory), String>;

/// Builds a way, and counts its memory.
fn built<A, W: Way<A> + 'static>(
    name: &'static str,
    is_crate: bool,
    heap: Heap,
    build: impl FnOnce() -> Result<W, String>,
) -> Built<A> {
    eprintln!("  {name} is built ...");
    let (way, memory) = heap.growth(build).map_err(|why| format!("{name}: {why}"))?;
    let way: Box<dyn Way<A>> = Box::new(way);
    let entry = Entry {
        name,
        is_crate,
        way,
    };
    Ok((entry, memory))
}

/// Every peer for IPv4.
pub(super) fn v4(items: &[Item<u32>], heap: Heap) -> Vec<Built<u32>> {
    let dir24 = || {
        let table = Dir24::new(items.iter().copied())?;
        Ok(Single(move |dst| table.lookup(dst)))
    };
    let network = || {
        let mut table = IpNetworkTable::new();
        for (addr, len, value) in items {
            let net = Ipv4Network::new(Ipv4Addr::from_bits(*addr), *len);
            table.insert(net.map_err(|error| error.to_string())?, *value);
        }
        let lookup = move |dst| {
            table
                .longest_match_ipv4(Ipv4Addr::from_bits(dst))
                .map_or(0, |(_, v)| *v)
        };
        Ok(Single(lookup))
    };
    let treebitmap = || {
        let mut table = IpLookupTable::new();
        for (addr, len, value) in items {
            table.insert(Ipv4Addr::from_bits(*addr), u32::from(*len), *value);
        }
        let lookup = move |dst| {
            table
                .longest_match(Ipv4Addr::from_bits(dst))
                .map_or(0, |(_, _, v)| *v)
        };
        Ok(Single(lookup))
    };
    vec![
        built("dir-24-8", false, heap, dir24),
        built("prefix-trie", true, heap, || prefix_trie(items, 32)),
        built("treebitmap", true, heap, treebitmap),
        built("ip_network_table", true, heap, network),
    ]
}

/// Every peer for IPv6.
pub(super) fn v6(items: &[Item<u128>], heap: Heap) -> Vec<Built<u128>> {
    let network = || {
        let mut table = IpNetworkTable::new();
        for (addr, len, value) in items {
            let net = Ipv6Network::new(Ipv6Addr::from_bits(*addr), *len);
            table.insert(net.map_err(|error| error.to_string())?, *value);
        }
        let lookup = move |dst| {
            table
                .longest_match_ipv6(Ipv6Addr::from_bits(dst))
                .map_or(0, |(_, v)| *v)
        };
        Ok(Single(lookup))
    };
    let treebitmap = || {
        let mut table = IpLookupTable::new();
        for (addr, len, value) in items {
            table.insert(Ipv6Addr::from_bits(*addr), u32::from(*len), *value);
        }
        let lookup = move |dst| {
            table
                .longest_match(Ipv6Addr::from_bits(dst))
                .map_or(0, |(_, _, v)| *v)
        };
        Ok(Single(lookup))
    };
    vec![
        built("prefix-trie", true, heap, || prefix_trie(items, 128)),
        built("treebitmap", true, heap, treebitmap),
        built("ip_network_table", true, heap, network),
    ]
}

/// `prefix-trie`, which takes addresses of both families as numbers.
fn prefix_trie<A>(items: &[Item<A>], bits: u8) -> Result<impl Way<A> + use<A>, String>
where
    A: Key,
    (A, u8): prefix_trie::Prefix,
{
    let mut table = PrefixMap::new();
    for (addr, len, value) in items {
        table.insert((*addr, *len), *value);
    }
    Ok(Single(move |dst| {
        table.get_lpm(&(dst, bits)).map_or(0, |(_, value)| *value)
    }))
}
