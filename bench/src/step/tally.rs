//! From the memory accesses of two threads to counts a packet.
//!
//! A line is shared if both threads touched it, in whatever manner. Accesses are judged only when both
//! threads' traces are complete.

use serde::Serialize;
use std::collections::HashSet;

/// A cache line's number: address / 64.
pub(super) type Line = u64;

/// What an instruction did to a line that it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// A locked read-modify-write.
    Locked,
    /// A store, or a read-modify-write that is not locked.
    Plain,
}

/// What one thread did while it was stepped.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// Instructions executed.
    pub(super) instructions: u64,
    /// Lines read or written.
    pub(super) touched: HashSet<Line>,
    /// Each write.
    pub(super) writes: Vec<(Line, Write)>,
}

/// What resolving a packet does to memory, on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Counts {
    /// Packets stepped, both threads together.
    pub packets: usize,
    /// Instructions a packet.
    pub instructions: f64,
    /// Locked instructions a packet, on any line.
    pub locked: f64,
    /// Locked instructions a packet on lines that the other thread touches too.
    pub shared_rmw: f64,
    /// Plain stores a packet into lines that the other thread touches too.
    pub shared_stores: f64,
}

impl Counts {
    /// Judges two threads' traces of `packets` packets each.
    pub(super) fn of(a: &Trace, b: &Trace, packets: usize) -> Self {
        let both: HashSet<Line> = a.touched.intersection(&b.touched).copied().collect();
        let writes = || a.writes.iter().chain(&b.writes);
        let number = |of: &dyn Fn(Line, Write) -> bool| {
            let found = writes().filter(|(line, write)| of(*line, *write)).count();
            found as f64 / (2 * packets) as f64
        };
        Self {
            packets: 2 * packets,
            instructions: (a.instructions + b.instructions) as f64 / (2 * packets) as f64,
            locked: number(&|_, write| write == Write::Locked),
            shared_rmw: number(&|line, write| write == Write::Locked && both.contains(&line)),
            shared_stores: number(&|line, write| write == Write::Plain && both.contains(&line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(reads: &[Line], writes: &[(Line, Write)]) -> Trace {
        let written = writes.iter().map(|(line, _)| *line);
        Trace {
            instructions: 10,
            touched: reads.iter().copied().chain(written).collect(),
            writes: writes.to_vec(),
        }
    }

    #[test]
    fn a_write_counts_as_shared_only_on_a_line_that_both_threads_touch() {
        let a = trace(
            &[1],
            &[(2, Write::Locked), (3, Write::Locked), (4, Write::Plain)],
        );
        let b = trace(&[2, 4], &[(1, Write::Plain), (9, Write::Plain)]);
        let counts = Counts::of(&a, &b, 1);
        assert_eq!(counts.packets, 2);
        assert_eq!(counts.instructions, 10.0);
        assert_eq!(counts.locked, 1.0);
        assert_eq!(counts.shared_rmw, 0.5);
        assert_eq!(counts.shared_stores, 1.0);
    }

    #[test]
    fn repeated_writes_of_one_line_are_counted_each() {
        let a = trace(&[], &[(7, Write::Locked); 6]);
        let b = trace(&[7], &[]);
        assert_eq!(Counts::of(&a, &b, 3).shared_rmw, 1.0);
    }
}
