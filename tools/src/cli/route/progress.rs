//! How far a long command is: one line on standard error that moves, if that is a terminal.

use stack::io::poll::Clock;
use std::io::IsTerminal;
use std::io::Write;
use std::io::stderr;

/// How often it is shown, in milliseconds.
const SHOW_MS: u64 = 100;

/// The line, and when it all began.
pub(super) struct Progress {
    clock: Clock,
    is_shown: bool,
    last: u64,
    /// Characters on the screen.
    width: usize,
}

impl Progress {
    /// Begins; nothing is shown to a reader that is no terminal, nor if `quiet`.
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            clock: Clock::start(),
            is_shown: !quiet && stderr().is_terminal(),
            last: 0,
            width: 0,
        }
    }

    /// Milliseconds since the beginning.
    pub(super) fn ms(&self) -> u64 {
        self.clock.ms()
    }

    /// The same in seconds.
    pub(super) fn seconds(&self) -> String {
        let ms = self.ms();
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    }

    /// So many routes are read or sent.
    pub(super) fn count(&mut self, what: &str, routes: usize) {
        self.show(|| format!("{what}: {routes} routes"));
    }

    /// So many units of so many are done since `from` (ms).
    pub(super) fn share(&mut self, what: &str, done: u64, total: u64, routes: u64, from: u64) {
        let ms = (self.ms() - from).max(1);
        let percent = (100 * done).checked_div(total).unwrap_or(0).min(100);
        let rate = (routes * percent * 10).checked_div(ms).unwrap_or(0);
        self.show(|| format!("{what}: {percent} %, {rate} routes/s"));
    }

    fn show(&mut self, line: impl FnOnce() -> String) {
        let now = self.ms();
        if !self.is_shown || now < self.last + SHOW_MS {
            return;
        }
        self.last = now;
        let line = line();
        let padding = self.width.saturating_sub(line.len());
        self.width = line.len();
        // With standard error closed there is nobody to tell.
        let _ = write!(stderr(), "\r{line}{:padding$}", "");
    }

    /// Wipes the line.
    pub(super) fn clear(&mut self) {
        if self.width > 0 {
            // As above.
            let _ = write!(stderr(), "\r{:1$}\r", "", self.width);
            self.width = 0;
        }
    }
}
