//! What `--check` and `run` look at on this machine before anything is made: CPUs, memory, the socket's name, the secret.
//!
//! Nothing here changes anything. Each answer is one line that names the key and says what to write.

use super::memory;
use super::plan::Plan;
use super::secrets;
use super::state;
use crate::cli::exit::Exit;
use crate::client::named_socket;
use crate::config::Config;
use crate::config::Tables;
use crate::server::ServeError;
use crate::server::SocketSpec;
use flowtable::TableSecret;
use stack::io::device::OpenError;
use stack::io::device::Spec;
use stack::io::memfd;
use stack::io::packet;
use stack::io::poll;
use stack::io::tun;
use stack::io::xdp;
use stack::pkt::LARGE;
use std::fs;
use std::path::PathBuf;

/// Bytes of an entry, with its share of what finds it: an IPv4 flow, an IPv6 flow, a neighbour.
const FLOW_V4: u64 = 64 + 4;
const FLOW_V6: u64 = 96 + 4;
const TEMPLATE: u64 = 48;
const NEIGHBOUR: u64 = 256;

/// Why the gateway would not start.
pub(super) type Refusal = (Exit, String);

/// Everything that can be known without making anything.
///
/// # Errors
/// The first thing that is wrong, with the status that `run` ends with.
pub(super) fn check(
    plan: &Plan<'_>,
    config: &Config,
    told: Option<PathBuf>,
) -> Result<(), Refusal> {
    let wrong = |line: String| (Exit::Config, plan.in_file(line));
    plan.check().map_err(|line| (Exit::Config, line))?;
    known_cpus(&config.gateway.cpus, &poll::cpus()).map_err(wrong)?;
    let available = fs::read_to_string("/proc/meminfo").ok();
    if let Some(available) = available.as_deref().and_then(available_bytes) {
        // What is in the pool of huge pages is not among what is available.
        let asked = memory::asked(&config.tables, TableSecret([0; 16]));
        let available = available.saturating_add(memfd::of_pool(&asked));
        let tables = Tables {
            large_buffers: plan.large_buffers(),
            ..config.tables.clone()
        };
        let wants = wants(&tables, plan.most_workers(), plan.packet_size());
        fits(&wants, shared_bytes(plan), available).map_err(wrong)?;
    }
    interfaces(plan)?;
    let spec = socket(config, told)?;
    let others = [
        (plan.file(), "the configuration"),
        (plan.secret_file(), "the group secret's file"),
        (&*spec.path, "the control socket"),
    ];
    state::check(plan.state_file(), &others)
        .map_err(|line| (Exit::Config, format!("flowgate: {line}")))?;
    secrets::check(plan.secret_file())
        .map_err(|line| (Exit::CantCreate, format!("flowgate: {line}")))
}

/// The control socket, if somebody names it.
fn socket(config: &Config, told: Option<PathBuf>) -> Result<SocketSpec, Refusal> {
    let named = named_socket(told, config.control.socket.as_deref());
    let is_named = named.is_some();
    let spec = SocketSpec {
        path: named.unwrap_or_default(),
        group: config.control.group.clone(),
    };
    let refused = |exit| move |error: ServeError| (exit, format!("flowgate: {error}"));
    spec.check().map_err(refused(Exit::Config))?;
    if is_named {
        spec.check_place().map_err(refused(Exit::System))?;
    }
    Ok(spec)
}

/// Ports of type tun and tap have a name for themselves, those of type packet and xdp are on interfaces that are there.
fn interfaces(plan: &Plan<'_>) -> Result<(), Refusal> {
    for spec in plan.devices() {
        let checked = match spec {
            Spec::Made(spec) => tun::check(&spec).map_err(OpenError::from),
            Spec::Found(spec) => packet::check(&spec).map_err(OpenError::from),
            Spec::Xdp(spec) => xdp::check(&spec).map_err(OpenError::from),
        };
        checked.map_err(|error| (Exit::System, plan.in_file(error)))?;
    }
    Ok(())
}

/// Workers can be pinned to the CPUs of this machine only.
fn known_cpus(named: &[usize], there: &[usize]) -> Result<(), String> {
    let Some(unknown) = named.iter().find(|cpu| !there.contains(cpu)) else {
        return Ok(());
    };
    let there: Vec<_> = there.iter().map(ToString::to_string).collect();
    Err(format!(
        "cpus in [gateway]: flowgate has no CPU {unknown} here: write some of {}",
        there.join(", ")
    ))
}

/// A table and the memory that it takes at the start.
struct Want {
    key: &'static str,
    entries: usize,
    bytes: u64,
}

/// The tables whose memory is taken, and touched, at the start.
fn wants(tables: &Tables, workers: usize, packet_size: usize) -> [Want; 6] {
    let of = |key, entries: usize, each: u64| Want {
        key,
        entries,
        bytes: each.saturating_mul(entries as u64),
    };
    let buffers = packet_size as u64 * workers as u64;
    let large = LARGE as u64 * workers as u64;
    [
        of("flows-v4", tables.flows_v4, FLOW_V4),
        of("flows-v6", tables.flows_v6, FLOW_V6),
        of("templates", tables.templates, TEMPLATE),
        of("neighbours", tables.neighbours, NEIGHBOUR),
        of("packet-buffers", tables.buffers, buffers),
        of("super-buffers", tables.large_buffers, large),
    ]
}

/// What the queues of all devices share with the kernel.
fn shared_bytes(plan: &Plan<'_>) -> u64 {
    let of = |spec: &Spec| match spec {
        Spec::Made(_) => 0,
        Spec::Found(spec) => spec.shared_bytes(),
        Spec::Xdp(spec) => spec.shared_bytes(),
    };
    let devices = plan.devices();
    devices.iter().map(of).fold(0, u64::saturating_add)
}

/// All tables, and what devices share with the kernel, must fit together; the greatest table is named if they do not.
fn fits(wants: &[Want], shared: u64, available: u64) -> Result<(), String> {
    let all = wants
        .iter()
        .fold(shared, |sum, want| sum.saturating_add(want.bytes));
    match wants.iter().max_by_key(|want| want.bytes) {
        Some(Want {
            key,
            entries,
            bytes,
        }) if all > available => Err(format!(
            "{key} = {entries} in [tables] wants {bytes} bytes of memory (all tables and rings together {all}), and there are \
             {available}: write a smaller number"
        )),
        _ => Ok(()),
    }
}

/// What the kernel says can be had without swapping.
fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_do_not_fit_are_told_with_key_bytes_and_memory() {
        let tables = Tables {
            flows_v4: 1 << 30,
            ..Tables::default()
        };
        let wants = wants(&tables, 2, 2048);
        let line = fits(&wants, 0, 8_000_000_000).unwrap_err();
        assert!(
            line.starts_with(
                "flows-v4 = 1073741824 in [tables] wants 73014444032 bytes of memory ("
            ),
            "{line}"
        );
        assert!(
            line.ends_with("and there are 8000000000: write a smaller number"),
            "{line}"
        );
        fits(&wants, 0, u64::MAX).unwrap();
        let line = fits(&wants, 1 << 62, 1 << 60).unwrap_err();
        assert!(line.contains("together 46116860914"), "{line}");
        let many = Tables {
            buffers: 1 << 20,
            ..Tables::default()
        };
        let line = fits(&super::wants(&many, 256, 65_600), 0, 1 << 40).unwrap_err();
        assert!(
            line.starts_with("packet-buffers = 1048576 in [tables]"),
            "{line}"
        );
        fits(&super::wants(&Tables::default(), 2, 2048), 0, 1 << 30).unwrap();
    }

    #[test]
    fn the_kernels_word_for_memory_is_read() {
        let text = "MemTotal:       16000000 kB\nMemAvailable:    1024 kB\nBuffers: 1 kB\n";
        assert_eq!(available_bytes(text), Some(1 << 20));
        for bad in [
            "",
            "MemAvailable:",
            "MemAvailable: x kB\n",
            "MemAvailable: 5\n",
        ] {
            assert_eq!(available_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named() {
        assert_eq!(known_cpus(&[], &[0]), Ok(()));
        assert_eq!(known_cpus(&[1, 0], &[0, 1]), Ok(()));
        assert_eq!(
            known_cpus(&[0, 999], &[0, 1]).unwrap_err(),
            "cpus in [gateway]: flowgate has no CPU 999 here: write some of 0, 1"
        );
    }
}
