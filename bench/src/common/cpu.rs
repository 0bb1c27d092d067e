//! Which CPUs the calling thread may run on.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Lets the calling thread run on `cpu` only.
pub(crate) fn pin(cpu: usize) -> Result<(), String> {
    allow(&[cpu])
}

/// Lets the calling thread run on `cpus`.
pub(crate) fn allow(cpus: &[usize]) -> Result<(), String> {
    let mut set = CpuSet::new();
    let allowed = cpus
        .iter()
        .try_for_each(|cpu| set.set(*cpu))
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    allowed.map_err(|error| format!("cannot run on CPU {cpus:?}: {error}"))
}
