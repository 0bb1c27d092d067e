//! Any other gateway, on interfaces that are there, made ready by a command of the user's.

use super::Ready;
use super::wire::Wire;
use crate::conform::play::PORTS;
use crate::conform::vector::{Step, Vector};
use std::path::PathBuf;
use std::process::Command;

/// What the command answers when its gateway lacks what is asked for.
pub const CANNOT: i32 = 3;

/// A gateway that somebody else runs.
#[derive(Debug)]
pub struct Hook {
    wires: [Wire; 3],
    command: PathBuf,
}

impl Hook {
    /// Opens the interfaces in the order of [`PORTS`].
    ///
    /// # Errors
    /// One is not to be had.
    pub fn new(interfaces: [&str; 3], command: PathBuf) -> Result<Self, String> {
        let wire = |n: usize| Wire::open(PORTS[n], interfaces[n]);
        Ok(Self {
            wires: [wire(0)?, wire(1)?, wire(2)?],
            command,
        })
    }

    /// Has the gateway made ready for a vector: `COMMAND ready WORDS...`, each `set` line one argument.
    ///
    /// # Errors
    /// `Ok(false)`: it lacks what is asked for. The command failed otherwise.
    pub fn ready(&self, vector: &Vector) -> Result<bool, String> {
        let set = vector.steps.iter().filter_map(|step| match step {
            Step::Set(words) => Some(words.as_str()),
            _ => None,
        });
        self.run([&["ready"][..], &set.collect::<Vec<_>>()].concat())
    }

    fn run(&self, args: Vec<&str>) -> Result<bool, String> {
        let status = Command::new(&self.command)
            .args(&args)
            .status()
            .map_err(|error| format!("{}: {error}", self.command.display()))?;
        match status.code() {
            Some(0) => Ok(true),
            Some(CANNOT) => Ok(false),
            _ => Err(format!("{} {args:?}: {status}", self.command.display())),
        }
    }
}

impl Ready for Hook {
    fn wires(&self) -> &[Wire; 3] {
        &self.wires
    }

    fn tell(&self, words: &str) -> Result<(), String> {
        match self.run(vec!["do", words])? {
            true => Ok(()),
            false => Err(format!("it cannot do '{words}'")),
        }
    }
}
