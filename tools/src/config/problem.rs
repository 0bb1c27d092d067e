//! What is wrong with a configuration, and how it is told.

use crate::cli::one_line;
use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, from 1; 0: the file as a whole.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// All that is wrong with one file. Displayed a line each: `flowgate.toml:12: ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: PathBuf,
    /// What was found.
    pub list: Vec<Problem>,
}

impl Problems {
    pub(super) fn of(file: &Path) -> Self {
        Self {
            file: file.into(),
            list: Vec::new(),
        }
    }

    pub(super) fn unreadable(file: &Path, error: &io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => {
                ": name the right file with --config; docs/flowgate.example.toml is a complete example"
            }
            io::ErrorKind::InvalidData => ": write it in UTF-8",
            _ => "",
        };
        let mut problems = Self::of(file);
        problems.add(0, format!("cannot read the configuration: {error}{remedy}"));
        problems
    }

    pub(super) fn add(&mut self, line: usize, message: impl Into<String>) {
        self.list.push(Problem {
            line,
            message: message.into(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn in_order(mut self) -> Self {
        self.list.sort();
        self.list.dedup();
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names in a configuration, and its own, may hold line ends and a terminal's orders.
        let file = one_line(&self.file.to_string_lossy());
        for (at, Problem { line, message }) in self.list.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            let message = one_line(message);
            match line {
                0 => write!(f, "{file}: {message}")?,
                _ => write!(f, "{file}:{line}: {message}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
