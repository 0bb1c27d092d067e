//! The daemon's log: `tracing` events as lines on standard error.

use std::io::IsTerminal;
use std::io::stderr;
use tracing_subscriber::EnvFilter;

/// What is to be logged: what `told` says, else what `RUST_LOG` says, else `info` and above.
///
/// # Errors
/// One line: the filter cannot be read.
pub(super) fn filter(told: Option<&str>) -> Result<EnvFilter, String> {
    let (from, filter) = match (told, std::env::var("RUST_LOG")) {
        (Some(told), _) => ("--log", told.to_owned()),
        (None, Ok(variable)) if !variable.is_empty() => ("RUST_LOG", variable),
        (None, _) => ("--log", "info".to_owned()),
    };
    EnvFilter::try_new(&filter).map_err(|error| {
        format!("flowgate: {from} {filter}: {error}: write error, warn, info, debug, or flowgate=debug,stack=info")
    })
}

/// Starts to log.
///
/// # Errors
/// One line: somebody logs already.
pub(super) fn start(filter: EnvFilter) -> Result<(), String> {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal() && !is_plain)
        .with_target(false)
        .try_init()
        .map_err(|error| format!("flowgate: cannot log: {error}"))
}
