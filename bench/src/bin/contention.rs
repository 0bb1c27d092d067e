//! The contention benchmark's program: reads the command line, does what it asks.
#![forbid(unsafe_code)]

use flowgate_bench::contention::args::{self, Job};
use flowgate_bench::{contention, obey, step};
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    obey(args::parse(&argv), |job| match job {
        Job::Measure(args) => contention::run(&args),
        Job::Traced {
            way,
            scene,
            packets,
        } => step::child::serve(way, scene, packets).map_err(|error| error.to_string()),
    })
}
