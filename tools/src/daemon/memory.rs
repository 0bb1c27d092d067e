//! The flow tables' memory, taken and touched before any device is opened, with progress if it takes long.

use crate::config::Tables;
use flowtable::TableSecret;
use stack::io::memfd;
use stack::io::memfd::Asked;
use stack::io::memfd::Taken;
use stack::io::poll::Clock;
use stack::path::FlowTables;
use std::sync::Mutex;
use std::sync::PoisonError;

/// How often progress is told, ms.
const TELL_MS: u64 = 1000;

/// What was touched so far, and when that was told last, ms.
struct Progress {
    all: u64,
    state: Mutex<(u64, u64)>,
}

impl Progress {
    /// More was touched, by any thread. Returns the percentage if it is time to tell it.
    fn touched(&self, bytes: u64, ms: u64) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, told) = &mut *state;
        *done += bytes;
        if ms < *told + TELL_MS || *done >= self.all {
            return None;
        }
        *told = ms;
        Some(*done * 100 / self.all.max(1))
    }
}

/// What the configuration asks for.
pub(super) fn asked(tables: &Tables, secret: TableSecret) -> Asked {
    Asked {
        flows: (tables.flows_v4, tables.flows_v6),
        secret,
        memory: tables.memory,
    }
}

/// Makes the flow tables. Says how large they are, how long it took, on what memory they are, and whether on huge pages.
///
/// # Errors
/// The line that says that the system refuses a memfd.
pub(super) fn take(tables: &Tables, secret: TableSecret, clock: &Clock) -> Result<Taken, String> {
    let asked = asked(tables, secret);
    let (v4, v6) = asked.flows;
    let start = clock.ms();
    let all = FlowTables::bytes(v4, v6);
    let progress = Progress {
        all,
        state: Mutex::new((0, start)),
    };
    let tell = |bytes| {
        if let Some(percent) = progress.touched(bytes, clock.ms()) {
            tracing::info!("flow tables: {percent} % of {all} bytes touched");
        }
    };
    let taken = memfd::flow_tables(&asked, clock, &tell).map_err(|error| {
        format!("memory = \"memfd\" in [tables]: {error}: write memory = \"auto\"")
    })?;
    let (pages, ms) = (taken.tables.pages(), clock.ms() - start);
    if pages.huge == 0 {
        // Of a memfd the next line says what would help.
        let remedy = match taken.tables.v4.file() {
            Some(_) => "",
            None => "; write madvise into /sys/kernel/mm/transparent_hugepage/enabled",
        };
        tracing::info!(
            "flow tables: {} bytes in {ms} ms, none on huge pages: large ones are slower so{remedy}",
            pages.bytes
        );
    } else {
        tracing::info!(
            "flow tables: {} bytes in {ms} ms, {} of them on huge pages",
            pages.bytes,
            pages.huge
        );
    }
    tracing::info!("flow tables' memory: {}", taken.how);
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_now_and_then_and_not_at_the_end() {
        let progress = Progress {
            all: 1000,
            state: Mutex::new((0, 0)),
        };
        let told = [(250, 1000), (250, 1999), (250, 2000), (250, 9000)]
            .map(|(bytes, ms)| progress.touched(bytes, ms));
        assert_eq!(told, [Some(25), None, Some(75), None]);
    }
}
