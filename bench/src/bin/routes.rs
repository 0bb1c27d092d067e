//! The routing benchmark's program: reads the command line, measures what it asks for.
#![forbid(unsafe_code)]

use cap::Cap;
use flowgate_bench::obey;
use flowgate_bench::routes::{self, args};
use std::alloc::System;
use std::ffi::OsString;
use std::process::ExitCode;

/// Counts what is allocated: one atomic addition an allocation, for every table alike.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    obey(args::parse(&argv), |args| {
        routes::run(&args, || HEAP.allocated())
    })
}
