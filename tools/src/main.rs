//! The `flowgate` binary: see the library's [`flowgate::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    flowgate::cli::main(std::env::args_os())
}
