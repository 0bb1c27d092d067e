//! The contention benchmark's program: reads the command line, does what it asks.
#![forbid(unsafe_code)]

use flowgate_bench::contention::args::{self, Job, Refusal};
use flowgate_bench::{contention, step};
use std::ffi::OsString;
use std::process::ExitCode;

/// The command line cannot be obeyed.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let done = match args::parse(&argv) {
        Ok(Job::Measure(args)) => contention::run(&args),
        Ok(Job::Traced {
            way,
            flows,
            packets,
        }) => step::child::serve(way, flows, packets).map_err(|error| error.to_string()),
        Err(Refusal::Told(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(Refusal::Wrong(line)) => {
            eprintln!("{line}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("error: {line}");
            ExitCode::FAILURE
        }
    }
}
