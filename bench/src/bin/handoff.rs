//! What handing packets off costs, and how many TUN and TAP make it: reads the command line, measures.
#![forbid(unsafe_code)]

use flowgate_bench::handoff;
use flowgate_bench::obey;
use std::process::ExitCode;

fn main() -> ExitCode {
    obey(handoff::args(std::env::args_os()), |job| handoff::run(&job))
}
