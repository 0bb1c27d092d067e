//! Two threads with a CPU each: a reader that runs until it is told to stop, and control.

use crate::common::cpu;
use std::sync::atomic::{AtomicU32, Ordering::Release};
use std::sync::mpsc;
use std::thread::ScopedJoinHandle;

/// What a reader does before the first measurement.
pub(crate) const WARM: u32 = 0;
/// The reader ends.
pub(crate) const STOP: u32 = u32::MAX;

/// Runs both; `phase` is [`STOP`] when control has ended, however it did. Returns what they gave.
pub(crate) fn together<C: Send, R: Send>(
    cpus: &[usize],
    phase: &AtomicU32,
    control: impl FnOnce() -> Result<C, String> + Send,
    reader: impl FnOnce() -> R + Send,
) -> Result<(C, R), String> {
    let (ready, is_ready) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            cpu::pin(cpus[0])?;
            // Control is there to hear it.
            let _ = ready.send(());
            Ok(reader())
        });
        let control = scope.spawn(move || {
            cpu::pin(cpus[1 % cpus.len()])?;
            is_ready.recv().map_err(|_| "the reader did not start")?;
            control()
        });
        let control = joined(control);
        phase.store(STOP, Release);
        // Both are joined before the first failure counts.
        let reader = joined(reader);
        Ok((control?, reader?))
    })
}

fn joined<T>(handle: ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    handle
        .join()
        .map_err(|_| String::from("a thread panicked"))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::machine::Machine;
    use std::sync::atomic::Ordering::Acquire;

    /// Both threads, control doing as it is told.
    fn tried(control: impl FnOnce() -> Result<u8, String> + Send) -> Result<(u8, u8), String> {
        let cpus = Machine::detect()?.cpus;
        let phase = AtomicU32::new(WARM);
        together(&cpus, &phase, control, || {
            while phase.load(Acquire) != STOP {
                std::thread::yield_now();
            }
            2
        })
    }

    #[test]
    fn the_reader_ends_when_control_does() {
        assert_eq!(tried(|| Ok(1)), Ok((1, 2)));
        assert_eq!(tried(|| Err("no".into())), Err("no".into()));
        assert!(tried(|| panic!("made to fail")).is_err());
    }
}
