//! `fib/v4` and `fib/v6`: longest-prefix match in a full Internet table, one thread.
//!
//! `FLOWGATE_BGP` names a table to load (`flowgate_bench::prefixes`); without it one is made. Each lookup is
//! of a random address inside a random prefix, so all of the table is used.
//!
//! - `fib/v4`, `fib/v6`: independent lookups, one at a time.
//! - `fib/v4-burst`, `fib/v6-burst`: bursts of 64, as the packet path makes them; time a burst, not a lookup.
//! - `fib/v4-burst-portable`, `fib/v6-burst-portable`: the same without vector instructions.
//! - `fib/v4-dependent`, `fib/v6-dependent`: each waits for the one before: the latency.
//! - `fib/change`: a /24 added and deleted again.
#![allow(missing_docs)]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use flowgate_bench::prefixes::{self, Prefixes, address_in};
use route::{Control, GroupId, NhopKey, NhopKind, Path, PortId, Prefix, Secs, View};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Next hops that the prefixes are spread over, as seen in a real view.
const NHOPS: u32 = 94;
/// Addresses that are looked up; a power of two.
const BATCH: usize = 1 << 16;
/// Addresses of a burst.
const BURST: usize = 64;

/// A path through the router with number `n` of a family.
fn path(v4: bool, n: u32) -> Path {
    let gateway = if v4 {
        IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 + n + 1))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits((0xfe80 << 112) + u128::from(n) + 1))
    };
    let key = NhopKey {
        kind: NhopKind::Gateway,
        port: PortId(0),
        gateway: Some(gateway),
    };
    Path {
        key,
        weight: 1,
        neigh: n,
        mtu: 1500,
        through: None,
    }
}

/// A router with all of `table`.
fn router(table: &Prefixes) -> (Control, Arc<View>) {
    let routes = (table.v4.len() + table.v6.len() + 1024) as u32;
    let config = route::Config {
        max_routes: routes,
        max_groups: routes,
        ..Default::default()
    };
    let (mut control, view) = route::new(config);
    let mut rng = fastrand::Rng::with_seed(9);
    for family in [&table.v4, &table.v6] {
        let nhops = prefixes::next_hops(family.len(), NHOPS, &mut rng);
        for ((addr, len), nhop) in family.iter().zip(nhops) {
            let prefix = Prefix::new(*addr, *len).expect("no host bits");
            let added = control.add(prefix, &[path(addr.is_ipv4(), nhop)], Secs(1));
            added.expect("room for the whole table");
        }
    }
    (control, view)
}

/// Random addresses inside random prefixes.
fn addresses(of: &[prefixes::Prefix]) -> Vec<IpAddr> {
    let mut rng = fastrand::Rng::with_seed(10);
    (0..BATCH)
        .map(|_| address_in(&of[rng.usize(..of.len())], &mut rng))
        .collect()
}

fn fib(c: &mut Criterion) {
    let table = Prefixes::load().expect("FLOWGATE_BGP names a file with one prefix a line");
    let (mut control, view) = router(&table);
    let v4: Vec<u32> = addresses(&table.v4).iter().filter_map(bits_v4).collect();
    let v6: Vec<u128> = addresses(&table.v6).iter().filter_map(bits_v6).collect();
    assert!(
        v4.iter().all(|dst| view.lookup4(*dst).is_some()),
        "an address in a prefix has a route"
    );
    assert!(
        v6.iter().all(|dst| view.lookup6(*dst).is_some()),
        "an address in a prefix has a route"
    );

    let mut group = c.benchmark_group("fib");
    group.throughput(Throughput::Elements(1));
    let mut at = 0;
    let mut next = move || {
        at = (at + 1) % BATCH;
        at
    };
    group.bench_function("v4", |b| b.iter(|| view.lookup4(v4[next()])));
    group.bench_function("v6", |b| b.iter(|| view.lookup6(v6[next()])));
    let mut last = 0;
    group.bench_function("v4-dependent", |b| {
        b.iter(|| {
            last = view
                .lookup4(v4[(next() + last) % BATCH])
                .map_or(0, |id| id.0 as usize & 1)
        });
    });
    group.bench_function("v6-dependent", |b| {
        b.iter(|| {
            last = view
                .lookup6(v6[(next() + last) % BATCH])
                .map_or(0, |id| id.0 as usize & 1)
        });
    });
    let prefix: Prefix = "240.0.1.0/24".parse().expect("a prefix");
    let mut now = 2;
    group.bench_function("change", |b| {
        b.iter(|| {
            black_box(control.add(prefix, &[path(true, 1)], Secs(now)).is_ok());
            black_box(control.delete(prefix, None, Secs(now)).is_ok());
            now += 1;
            control.tick(Secs(now))
        });
    });
    bursts(&mut group, &view, &v4, &v6);
    group.finish();
}

/// Bursts of both families, as fast as the processor allows and portably.
fn bursts(group: &mut BenchmarkGroup<'_, WallTime>, view: &View, v4: &[u32], v6: &[u128]) {
    group.throughput(Throughput::Elements(BURST as u64));
    burst(group, "v4-burst", v4, |dsts, out| {
        view.lookup4_burst(dsts, out)
    });
    burst(group, "v6-burst", v6, |dsts, out| {
        view.lookup6_burst(dsts, out)
    });
    burst(group, "v4-burst-portable", v4, |dsts, out| {
        view.lookup4_burst_portable(dsts, out)
    });
    burst(group, "v6-burst-portable", v6, |dsts, out| {
        view.lookup6_burst_portable(dsts, out)
    });
}

/// One way to look up a burst: burst after burst, round and round.
fn burst<A>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    addrs: &[A],
    lookup: impl Fn(&[A], &mut [Option<GroupId>]),
) {
    let (mut groups, mut bursts) = ([None; BURST], addrs.chunks_exact(BURST).cycle());
    group.bench_function(name, |b| {
        b.iter(|| {
            if let Some(addrs) = bursts.next() {
                lookup(addrs, black_box(&mut groups));
            }
        });
    });
}

fn bits_v4(addr: &IpAddr) -> Option<u32> {
    match addr {
        IpAddr::V4(addr) => Some(addr.to_bits()),
        IpAddr::V6(_) => None,
    }
}

fn bits_v6(addr: &IpAddr) -> Option<u128> {
    match addr {
        IpAddr::V6(addr) => Some(addr.to_bits()),
        IpAddr::V4(_) => None,
    }
}

criterion_group!(benches, fib);
criterion_main!(benches);
