//! Nanoseconds a lookup: every way, every pattern, in turns, again and again.

use super::args::{Args, Model};
use super::patterns::{self, Key, Pattern};
use super::peers::{self, Built, Item};
use super::report::{LookupRow, MemoryRow, Report, Times, UNDISTURBED};
use super::router::Router;
use super::table::{Route, Routes};
use super::ways::{self, Entry, unknown_zero};
use crate::common::cpu;
use crate::common::memory::Heap;
use crate::common::stats::Summary;
use crate::common::timing::repeat;
use crate::prefixes::Prefix;
use route::Family;
use std::hint::black_box;
use std::time::Duration;

/// The least time that a way is timed at once.
const LEAST: Duration = Duration::from_millis(20);
/// Addresses of each pattern whose answers are compared.
const SAMPLE: usize = 1 << 17;

/// A table as it is measured.
struct Scene<'a> {
    args: &'a Args,
    heap: Heap,
    size: &'static str,
    model: Model,
}

/// Measures every size and model that was asked for.
pub(super) fn measure(
    args: &Args,
    routes: &Routes,
    heap: Heap,
    report: &mut Report,
) -> Result<(), String> {
    let grown = args.grow.then(|| routes.grown());
    let sizes = std::iter::once(("as given", routes)).chain(grown.iter().map(|g| ("grown", g)));
    for (size, routes) in sizes {
        for model in args.models.iter().copied() {
            eprintln!("lookup: table {size}, next hops {}", model.name());
            let scene = Scene {
                args,
                heap,
                size,
                model,
            };
            scene.measure(routes, report)?;
        }
    }
    Ok(())
}

impl Scene<'_> {
    fn measure(&self, routes: &Routes, report: &mut Report) -> Result<(), String> {
        let with_hops = routes.with_hops(self.model)?;
        let mut router = Router::empty();
        let ((), grown) = self.heap.growth(|| router.load(&with_hops))?;
        let values = router.values(&with_hops)?;
        let fibs = [Family::V4, Family::V6].map(|family| router.fib_bytes(family));
        let (v4, v6) = (&routes.prefixes.v4, &routes.prefixes.v6);
        let row = |family, way, what, bytes, routes| {
            self.memory(family, way, what, (bytes, None), routes)
        };
        report.memory.extend([
            row(
                "both",
                "flowgate",
                "RIB, FIB, books",
                grown.heap + fibs[0] + fibs[1],
                with_hops.len(),
            ),
            row("IPv4", "flowgate", "FIB", fibs[0], v4.len()),
            row("IPv6", "flowgate", "FIB", fibs[1], v6.len()),
        ]);
        let (routes4, routes6) = with_hops.split_at(v4.len());
        let (values4, values6) = values.split_at(v4.len());
        let peers = peers::v4(&items(routes4, values4), self.heap);
        self.family("IPv4", ways::flowgate4(&router.view), peers, v4, report)?;
        let peers = peers::v6(&items(routes6, values6), self.heap);
        self.family("IPv6", ways::flowgate6(&router.view), peers, v6, report)
    }

    fn memory(
        &self,
        family: &'static str,
        way: &'static str,
        what: &'static str,
        (bytes, resident): (i64, Option<i64>),
        routes: usize,
    ) -> MemoryRow {
        MemoryRow {
            size: self.size,
            model: self.model.name(),
            family,
            way,
            what,
            bytes,
            resident,
            routes,
        }
    }

    /// One family: its ways agree, then they are timed.
    fn family<A: Key>(
        &self,
        family: &'static str,
        mut ways: Vec<Entry<A>>,
        peers: Vec<Built<A>>,
        prefixes: &[Prefix],
        report: &mut Report,
    ) -> Result<(), String> {
        for peer in peers {
            match peer {
                Ok((entry, grown)) => {
                    let bytes = (grown.heap, Some(grown.resident));
                    report.memory.push(self.memory(
                        family,
                        entry.name,
                        "all",
                        bytes,
                        prefixes.len(),
                    ));
                    ways.push(entry);
                }
                Err(why) => report.skip(format!("{family} {why}")),
            }
        }
        let patterns = patterns::all(prefixes, self.args.addresses);
        for pattern in &patterns {
            compare(&ways, pattern)?;
        }
        eprintln!(
            "  {family}: all {} ways agree; they are timed ...",
            ways.len()
        );
        let times = time_pinned(&ways, &patterns, self.args.runs, report)?;
        let least = times.iter().map(Times::least_share).fold(100.0, f64::min);
        if least < UNDISTURBED {
            report.warn(&format!(
                "{family} lookups had a CPU only {least:.0} % of the time in some run: their ns are too many; \
                 cpu_ns in the files are better"
            ));
        }
        for ((way, pattern), times) in pairs(&ways, &patterns).zip(times) {
            let Some(ns) = Summary::of(&times.ns) else {
                continue;
            };
            report.lookups.push(LookupRow {
                size: self.size,
                model: self.model.name(),
                family,
                routes: prefixes.len(),
                pattern: pattern.name,
                way: way.name,
                is_crate: way.is_crate,
                ns,
                times,
            });
        }
        Ok(())
    }
}

/// Routes with their values, as tables take them.
fn items<A: Key>(routes: &[Route], values: &[u32]) -> Vec<Item<A>> {
    let item =
        |(route, value): (&Route, &u32)| (A::of(route.prefix.addr()), route.prefix.len(), *value);
    routes.iter().zip(values).map(item).collect()
}

/// Every way with every pattern, in the order of measurement.
fn pairs<'a, A>(
    ways: &'a [Entry<A>],
    patterns: &'a [Pattern<A>],
) -> impl Iterator<Item = (&'a Entry<A>, &'a Pattern<A>)> {
    patterns
        .iter()
        .flat_map(move |pattern| ways.iter().map(move |way| (way, pattern)))
}

/// Whether all ways answer alike.
fn compare<A: Key>(ways: &[Entry<A>], pattern: &Pattern<A>) -> Result<(), String> {
    let sample = &pattern.addrs[..pattern.addrs.len().min(SAMPLE)];
    let Some((first, others)) = ways.split_first() else {
        return Ok(());
    };
    let expected = first.way.answers(sample);
    for other in others {
        let answers = other.way.answers(sample);
        let differs = (0..sample.len()).find(|i| answers.get(*i) != expected.get(*i));
        if let Some(i) = differs {
            return Err(format!(
                "{}: {} says {:?}, {} says {:?}",
                sample[i].addr(),
                first.name,
                expected.get(i),
                other.name,
                answers.get(i)
            ));
        }
    }
    Ok(())
}

/// Times every pair on one CPU, which the thread has to itself as far as the machine allows.
fn time_pinned<A: Key>(
    ways: &[Entry<A>],
    patterns: &[Pattern<A>],
    runs: usize,
    report: &Report,
) -> Result<Vec<Times>, String> {
    let cpus = &report.machine.cpus;
    cpu::pin(cpus[0])?;
    let mut all: Vec<Times> = pairs(ways, patterns).map(|_| Times::default()).collect();
    for run in 1..=runs {
        eprintln!("  run {run} of {runs}");
        for ((way, pattern), times) in pairs(ways, patterns).zip(&mut all) {
            time(way, pattern, times);
        }
    }
    cpu::allow(cpus)?;
    Ok(all)
}

/// One run of one pair; nothing if the way cannot follow the pattern.
fn time<A: Key>(way: &Entry<A>, pattern: &Pattern<A>, times: &mut Times) {
    let mask = unknown_zero();
    let pass = || match pattern.dependent {
        true => way.way.chain(&pattern.addrs, mask),
        false => Some(way.way.pass(&pattern.addrs)),
    };
    // The first finds the caches full of another way's table.
    if black_box(pass()).is_none() {
        return;
    }
    let spent = repeat(LEAST, || {
        black_box(pass());
        pattern.addrs.len() as u64
    });
    times.ns.push(spent.ns());
    times.cpu_ns.push(spent.cpu_ns());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::args::tests::parsed;
    use crate::routes::report::tests::empty;
    use crate::routes::table::tests::small;

    #[test]
    fn all_ways_agree_and_each_is_timed_where_it_can_be() {
        let mut args = parsed("--runs 1 --addresses 1024").expect("flags");
        args.models = vec![Model::Iid];
        let mut report = empty();
        measure(&args, &small(), Heap(|| 0), &mut report).expect("measured");
        // Flowgate's three kinds of burst have no dependent lookups.
        assert_eq!(report.lookups.len(), 8 * 4 - 3 + 7 * 4 - 3);
        assert_eq!(report.skipped, Vec::<String>::new());
        assert!(report.lookups.iter().all(|row| row.ns.median > 0.0));
    }

    #[test]
    fn ways_that_disagree_are_found_out() {
        let way = |name, value: u32| Entry {
            name,
            is_crate: false,
            way: Box::new(ways::Single(move |dst: u32| value + u32::from(dst == 7)))
                as Box<dyn ways::Way<u32>>,
        };
        let pattern = Pattern {
            name: "three",
            dependent: false,
            addrs: vec![1, 7, 9],
        };
        assert_eq!(compare(&[way("a", 1), way("b", 1)], &pattern), Ok(()));
        let error = compare(&[way("a", 1), way("b", 2)], &pattern).expect_err("they differ");
        assert!(error.starts_with("0.0.0.1: a says"), "{error}");
    }
}
