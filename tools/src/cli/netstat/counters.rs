//! `netstat -s`: a block for each protocol, a line for each counter, in FreeBSD's layout.

use super::super::exit::Failure;
use super::super::session::Session;
use crate::wire::stats::Counters;
use crate::wire::stats::CountersOf;

/// Prints the counters; with `skip_zero` (FreeBSD's second `-s`) only those that have counted.
pub(super) fn run(
    of: CountersOf,
    skip_zero: bool,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let mut counters: Counters = session.call("CounterList", &of)?;
    if skip_zero {
        for block in &mut counters.blocks {
            block.counters.retain(|counter| counter.value > 0);
        }
        counters.blocks.retain(|block| !block.counters.is_empty());
    }
    if session.json {
        return session.print_json(&counters);
    }
    for block in &counters.blocks {
        writeln!(session.out, "{}:", block.protocol)?;
        for counter in &block.counters {
            writeln!(session.out, "\t{} {}", counter.value, counter.text)?;
        }
    }
    Ok(())
}
