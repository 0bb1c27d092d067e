//! What each way writes to memory that threads share, counted by single-stepping its machine code.
//!
//! This is the proof of the design's "nothing shared is written for a packet that arrives at its owner": the
//! gateway's own code is executed instruction by instruction on two threads, and any locked instruction, or
//! any store into a cache line that the other thread touches too, fails the test: what decides where a packet goes, and
//! whole bursts of two workers, from a port to a port. The other ways show that the counting finds what is known to be there.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use flowgate_bench::step::{self, Counts};
use flowgate_bench::ways::Scene;
use std::path::Path;

const SCENE: Scene = Scene {
    flows: 256,
    nexthops: 1,
    churn: 0,
};
const PACKETS: usize = 64;
/// Of whole workers: one burst each.
const BURST: usize = 32;

/// Counts a way; being unable to is a failure, not a reason to skip.
fn counts(way: &str) -> Counts {
    counts_of(way, PACKETS)
}

fn counts_of(way: &str, packets: usize) -> Counts {
    let program = Path::new(env!("CARGO_BIN_EXE_contention"));
    step::count(program, way, SCENE, packets).expect("ptrace of a child is allowed here")
}

/// The gateway's own code writes nothing shared, and locks nothing.
fn writes_nothing_shared(way: &str, packets: usize) {
    let counts = counts_of(way, packets);
    assert_eq!(counts.packets, 2 * packets);
    assert!(
        counts.instructions > 50.0,
        "too little was executed: {counts:?}"
    );
    assert_eq!(
        (counts.shared_rmw, counts.shared_stores),
        (0.0, 0.0),
        "{counts:?}"
    );
    assert_eq!(counts.locked, 0.0, "{counts:?}");
}

#[test]
fn the_gateway_writes_nothing_shared_for_a_packet_that_arrives_at_its_owner() {
    writes_nothing_shared("flowgate", PACKETS);
}

#[test]
fn nor_does_a_worker_s_whole_burst_of_known_flows() {
    writes_nothing_shared("poll-known", BURST);
}

#[test]
fn nor_does_a_worker_s_whole_burst_of_new_flows() {
    writes_nothing_shared("poll-new", BURST);
}

#[test]
fn freebsd_8_makes_ten_shared_read_modify_writes_a_packet() {
    let counts = counts("freebsd8");
    assert_eq!(
        (counts.shared_rmw, counts.locked),
        (10.0, 10.0),
        "{counts:?}"
    );
    // The reference count, up and down under the rtentry's lock.
    assert_eq!(counts.shared_stores, 2.0, "{counts:?}");
}

#[test]
fn locks_and_reference_counts_are_found_in_library_code() {
    for (way, expected) in [("rwlock", 2.0), ("arc", 4.0)] {
        let counts = counts(way);
        assert_eq!(
            (counts.shared_rmw, counts.locked),
            (expected, expected),
            "{way}: {counts:?}"
        );
    }
}

#[test]
fn a_shared_map_locks_one_shard_a_packet() {
    let counts = counts("dashmap");
    assert_eq!(counts.locked, 2.0, "{counts:?}");
    // With many CPUs there are so many shards that not every one meets both threads.
    assert!((0.1..=2.0).contains(&counts.shared_rmw), "{counts:?}");
}

#[test]
fn a_reference_count_is_shared_though_the_cache_is_not() {
    let counts = counts("pcpu-ref");
    assert_eq!((counts.shared_rmw, counts.locked), (2.0, 2.0), "{counts:?}");
}

#[test]
fn entering_a_left_right_table_is_locked_on_the_thread_s_own_line_only() {
    let counts = counts("left-right");
    assert_eq!(counts.shared_rmw, 0.0, "{counts:?}");
    assert!(counts.locked >= 1.0, "{counts:?}");
}

#[test]
fn an_arc_swap_load_is_locked_but_only_on_lines_of_its_own_thread() {
    let counts = counts("arcswap");
    assert_eq!(counts.shared_rmw, 0.0, "{counts:?}");
    assert!(counts.locked >= 1.0, "{counts:?}");
}
