//! The flow tables' memory, taken and touched before any device is opened, with progress if it takes long.

use crate::config::Tables;
use flowtable::TableSecret;
use stack::Now;
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

/// Makes the flow tables. Says how large they are, how long it took, and whether they are on huge pages.
pub(super) fn take(tables: &Tables, secret: TableSecret, clock: &Clock) -> FlowTables {
    let (v4, v6) = (tables.flows_v4, tables.flows_v6);
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
    let made = FlowTables::new(v4, v6, secret, Now(start), &tell);
    let (pages, ms) = (made.pages(), clock.ms() - start);
    if pages.huge == 0 {
        tracing::info!(
            "flow tables: {} bytes in {ms} ms, none on huge pages: large ones are slower so; write madvise into \
             /sys/kernel/mm/transparent_hugepage/enabled",
            pages.bytes
        );
    } else {
        tracing::info!(
            "flow tables: {} bytes in {ms} ms, {} of them on huge pages",
            pages.bytes,
            pages.huge
        );
    }
    made
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
