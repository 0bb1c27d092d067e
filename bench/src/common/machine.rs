//! What the benchmark ran on: processor, topology, the CPUs that it may use.
//!
//! Read from `/proc/cpuinfo` and `/sys/devices/system/cpu`; what is not there is left out.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;

/// Where a CPU sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Seat {
    /// Which of its core's hardware threads it is: cores are filled before their second threads.
    pub(crate) sibling: usize,
    pub(crate) package: usize,
    pub(crate) core: usize,
    pub(crate) cpu: usize,
}

/// A cache, and who shares it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Shared {
    /// Like `L2 2048K`.
    pub(crate) cache: String,
    /// CPUs, like `0-3,8`.
    pub(crate) cpus: String,
}

/// A machine, as far as it matters to the numbers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) model: String,
    /// The operating system and its release.
    pub(crate) system: String,
    /// Processor packages among the usable CPUs.
    pub(crate) packages: usize,
    /// Physical cores among the usable CPUs.
    pub(crate) cores: usize,
    /// The usable CPUs in the order in which threads are pinned to them: first a CPU of each core.
    pub(crate) cpus: Vec<usize>,
    /// Package, core and hardware thread of each, in that order.
    pub(crate) topology: Vec<Seat>,
    /// Sizes of the caches of the first of them, like `L2 2048K`.
    pub(crate) caches: Vec<String>,
    /// Every data and unified cache of them, each once, with the CPUs that share it.
    pub(crate) shared_caches: Vec<Shared>,
    /// Whether the processor says that it is virtual.
    pub(crate) virtual_machine: bool,
}

impl Machine {
    /// This machine.
    pub(crate) fn detect() -> Result<Self, String> {
        let allowed = sched_getaffinity(Pid::from_raw(0))
            .map_err(|error| format!("cannot ask for the CPUs that may be used: {error}"))?;
        let usable = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
        let seats = seats(usable);
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpus: Vec<usize> = seats.iter().map(|seat| seat.cpu).collect();
        Ok(Self {
            model: model(&info),
            system: system(),
            packages: seats
                .iter()
                .map(|seat| seat.package)
                .collect::<BTreeSet<_>>()
                .len(),
            cores: seats.iter().filter(|seat| seat.sibling == 0).count(),
            caches: caches(cpus.first().copied().unwrap_or(0))
                .map(|shared| shared.cache)
                .collect(),
            shared_caches: shared_caches(&cpus),
            topology: seats,
            virtual_machine: info.split_whitespace().any(|word| word == "hypervisor"),
            cpus,
        })
    }

    /// All of it in one line.
    pub(crate) fn line(&self) -> String {
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut words = vec![
            self.model.clone(),
            plural(self.packages, "package"),
            plural(self.cores, "core"),
            plural(self.cpus.len(), "CPU"),
        ];
        if self.cpus.len() > self.cores {
            words.push("hardware threads after cores".into());
        }
        words.extend(self.caches.iter().cloned());
        words.push(self.system.clone());
        if self.virtual_machine {
            words.push("virtual machine".into());
        }
        words.join(", ")
    }
}

/// How many CPUs were busy on average in the last minute; 0 where the kernel does not say.
pub(crate) fn load_average() -> f64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0.0)
}

/// The CPUs in the order in which threads are pinned to them.
fn seats(usable: impl Iterator<Item = usize>) -> Vec<Seat> {
    let mut seats: Vec<Seat> = Vec::new();
    for cpu in usable {
        let topology = |what: &str| {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/{what}");
            fs::read_to_string(path).ok()?.trim().parse().ok()
        };
        let package = topology("physical_package_id").unwrap_or(0);
        let core = topology("core_id").unwrap_or(cpu);
        let same = |seat: &&Seat| (seat.package, seat.core) == (package, core);
        let sibling = seats.iter().filter(same).count();
        seats.push(Seat {
            sibling,
            package,
            core,
            cpu,
        });
    }
    seats.sort_unstable();
    seats
}

/// The processor's name, or its architecture where the kernel does not say.
fn model(cpuinfo: &str) -> String {
    let named = cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_string())
    });
    named.unwrap_or_else(|| std::env::consts::ARCH.into())
}

/// Like `Linux 6.12.3`.
fn system() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = kernel
        .split(['-', '+'])
        .next()
        .unwrap_or_default()
        .trim()
        .to_string();
    format!("Linux {release}").trim_end().into()
}

/// Data and unified caches of a CPU, nearest first.
fn caches(cpu: usize) -> impl Iterator<Item = Shared> {
    let cache = move |index: usize| {
        let read = |what: &str| {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/cache/index{index}/{what}");
            fs::read_to_string(path)
                .ok()
                .map(|text| text.trim().to_string())
        };
        let data = read("type")? != "Instruction";
        data.then_some(Shared {
            cache: format!("L{} {}", read("level")?, read("size")?),
            cpus: read("shared_cpu_list").unwrap_or_default(),
        })
    };
    (0..8).filter_map(cache)
}

/// The caches of all these CPUs, each once.
fn shared_caches(cpus: &[usize]) -> Vec<Shared> {
    let all: BTreeSet<Shared> = cpus.iter().flat_map(|cpu| caches(*cpu)).collect();
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_processor_with_cores() {
        let machine = Machine::detect().expect("a machine");
        assert!(!machine.cpus.is_empty());
        assert!((1..=machine.cpus.len()).contains(&machine.cores));
        assert!(machine.line().contains(&machine.model));
        assert_eq!(machine.topology.len(), machine.cpus.len());
        let mut sorted = machine.shared_caches.clone();
        sorted.dedup();
        assert_eq!(sorted, machine.shared_caches, "each cache once");
    }

    #[test]
    fn one_cpu_of_each_core_comes_before_any_second_one() {
        let seat = |sibling, package, core, cpu| Seat {
            sibling,
            package,
            core,
            cpu,
        };
        let mut seats = [
            seat(1, 0, 0, 1),
            seat(0, 1, 0, 4),
            seat(0, 0, 1, 2),
            seat(0, 0, 0, 0),
        ];
        seats.sort_unstable();
        assert_eq!(seats.map(|seat| seat.cpu), [0, 2, 4, 1]);
    }

    #[test]
    fn the_model_is_found_among_the_other_lines() {
        let info = "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Some CPU @ 2GHz\n";
        assert_eq!(model(info), "Some CPU @ 2GHz");
        assert_eq!(model(""), std::env::consts::ARCH);
    }
}
