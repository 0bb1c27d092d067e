//! What the benchmarks share: the machine, threads and their CPUs, memory, numbers of several runs, command lines.

pub(crate) mod cli;
pub(crate) mod cpu;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod pace;
pub(crate) mod pair;
pub(crate) mod stats;
pub(crate) mod text;
pub(crate) mod timing;
pub(crate) mod zipf;
