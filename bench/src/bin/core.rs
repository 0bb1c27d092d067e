//! What a packet costs without devices: reads the command line, measures.
#![forbid(unsafe_code)]

use cap::Cap;
use flowgate_bench::core;
use flowgate_bench::obey;
use std::alloc::System;
use std::process::ExitCode;

/// Counts what is allocated.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

fn main() -> ExitCode {
    obey(core::args(std::env::args_os()), |job| {
        core::run(&job, || HEAP.total_allocated())
    })
}
