//! TUN to TUN through Flowgate, a bare loop and the kernel: reads the command line, measures.
#![forbid(unsafe_code)]

use flowgate_bench::devices;
use flowgate_bench::obey;
use std::process::ExitCode;

fn main() -> ExitCode {
    obey(devices::args(std::env::args_os()), |job| devices::run(&job))
}
