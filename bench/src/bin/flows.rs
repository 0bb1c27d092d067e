//! The flow table's benchmark: reads the command line, measures what it asks for.
#![forbid(unsafe_code)]

use cap::Cap;
use flowgate_bench::flows::{self, args};
use flowgate_bench::obey;
use std::alloc::System;
use std::ffi::OsString;
use std::process::ExitCode;

/// Counts what is allocated: one atomic addition an allocation, for every table alike.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    obey(args::parse(&argv), |job| {
        flows::run(&job, || HEAP.allocated())
    })
}
