//! What workers write in every burst is in cache lines of their own, wherever it comes to lie.

use crate::counters::Counters;
use crate::links::{Depths, connect};
use route::PortId;
use std::collections::HashMap;
use std::sync::Arc;

const WORKERS: usize = 5;

/// Each cache line, and the worker whose it is.
#[derive(Default)]
struct Lines(HashMap<usize, usize>);

impl Lines {
    /// What a worker writes. Nobody else has a line of it.
    fn add<T>(&mut self, worker: usize, what: &T) {
        let first = std::ptr::from_ref(what) as usize;
        for line in first / 64..(first + size_of::<T>()).div_ceil(64) {
            let of = *self.0.entry(line).or_insert(worker);
            assert_eq!(of, worker, "a line of two workers");
        }
    }
}

#[test]
fn no_two_workers_ends_of_rings_are_in_one_cache_line() {
    let (workers, _, _) = connect(WORKERS, Depths::default());
    let mut lines = Lines::default();
    for (worker, links) in workers.iter().enumerate() {
        let (to, from) = (links.to.iter().flatten(), links.from.iter().flatten());
        to.for_each(|end| lines.add(worker, end));
        from.for_each(|end| lines.add(worker, end));
    }
    assert!(lines.0.len() >= WORKERS * (WORKERS - 1));
}

#[test]
fn no_two_workers_counters_are_in_one_cache_line() {
    const PORTS: u16 = 3;
    let workers = [(); WORKERS].map(|()| Arc::new(Counters::new(PORTS.into())));
    let mut lines = Lines::default();
    for (worker, counters) in workers.iter().enumerate() {
        lines.add(worker, &**counters);
        let ports = (0..PORTS).filter_map(|port| counters.port(PortId(port)));
        ports.for_each(|port| lines.add(worker, port));
    }
}
