//! The routing benchmark's program: reads the command line, measures what it asks for.
#![forbid(unsafe_code)]

use cap::Cap;
use flowgate_bench::contention::args::Refusal;
use flowgate_bench::routes::{self, args};
use std::alloc::System;
use std::ffi::OsString;
use std::process::ExitCode;

/// Counts what is allocated: one atomic addition an allocation, for every table alike.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// The command line cannot be obeyed.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let args = match args::parse(&argv) {
        Ok(args) => args,
        Err(Refusal::Told(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(Refusal::Wrong(line)) => {
            eprintln!("{line}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match routes::run(&args, || HEAP.allocated()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("error: {line}");
            ExitCode::FAILURE
        }
    }
}
