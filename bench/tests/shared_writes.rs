//! What each way writes to memory that threads share, counted by single-stepping its machine code.
//!
//! This is the proof of the design's "nothing shared is written for a packet that arrives at its owner": the
//! gateway's own code is executed instruction by instruction on two threads, and any locked instruction, or
//! any store into a cache line that the other thread touches too, fails the test. The other ways show that
//! the counting finds what is known to be there.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use flowgate_bench::step::{self, Counts};
use std::path::Path;

const FLOWS: usize = 256;
const PACKETS: usize = 64;

/// Counts a way; being unable to is a failure, not a reason to skip.
fn counts(way: &str) -> Counts {
    let program = Path::new(env!("CARGO_BIN_EXE_contention"));
    step::count(program, way, FLOWS, PACKETS).expect("ptrace of a child is allowed here")
}

#[test]
fn the_gateway_writes_nothing_shared_for_a_packet_that_arrives_at_its_owner() {
    let counts = counts("flowgate");
    assert_eq!(counts.packets, 2 * PACKETS);
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
fn an_arc_swap_load_is_locked_but_only_on_lines_of_its_own_thread() {
    let counts = counts("arcswap");
    assert_eq!(counts.shared_rmw, 0.0, "{counts:?}");
    assert!(counts.locked >= 1.0, "{counts:?}");
}
