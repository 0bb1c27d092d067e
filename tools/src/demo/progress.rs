//! What the demo says while it works: a line a step on standard error, and on a terminal a count that moves.
//!
//! Standard output stays free for the result, so that it can be piped.

use std::io::{IsTerminal, Write, stderr};

/// Where progress goes. One thread.
pub(crate) struct Progress {
    is_terminal: bool,
    /// Characters of the moving line that is on the screen.
    shown: usize,
}

impl Progress {
    /// Progress on standard error.
    pub(crate) fn new() -> Self {
        Self {
            is_terminal: stderr().is_terminal(),
            shown: 0,
        }
    }

    /// A step begins, or ended with this news.
    pub(crate) fn step(&mut self, line: &str) {
        self.clear();
        say(&format!("{line}\n"));
    }

    /// A command that is run, as a person would type it.
    pub(crate) fn command(&mut self, line: &str) {
        self.step(&format!("  $ {line}"));
    }

    /// How far a step is; shown on a terminal only, on one line that moves.
    pub(crate) fn count(&mut self, what: &str, done: usize, of: usize) {
        if self.is_terminal {
            let percent = (100 * done).checked_div(of).unwrap_or(100);
            self.clear();
            let line = format!("  {what}: {done} of {of} ({percent} %)");
            self.shown = line.chars().count();
            say(&line);
        }
    }

    /// Takes the moving line off the screen.
    pub(crate) fn clear(&mut self) {
        if self.shown > 0 {
            say(&format!("\r{:width$}\r", "", width = self.shown));
            self.shown = 0;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Progress that nobody can read any more is not worth an end with a panic.
fn say(text: &str) {
    let mut out = stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
