//! What the command lines of all benchmarks have in common: values that are checked, refusals of one line, the
//! exit status.

use clap::error::ErrorKind;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// The command line cannot be obeyed.
const EXIT_USAGE: u8 = 2;

/// Why there is nothing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Help or the version was asked for: print this and succeed.
    Told(String),
    /// Something is wrong: one line that says what, and what would be right.
    Wrong(String),
}

/// Makes the folder and shows that it can be written to, before minutes are spent on measuring.
pub(crate) fn prepare(out: &Path) -> Result<(), Refusal> {
    // Its name is its thread's own: another run may be trying the same folder.
    let (process, thread) = (std::process::id(), std::thread::current().id());
    let probe = out.join(format!(".bench-{process}-{thread:?}"));
    let tried = std::fs::create_dir_all(out)
        .and_then(|()| std::fs::write(&probe, []))
        .and_then(|()| std::fs::remove_file(&probe));
    tried.map_err(|error| {
        let folder = out.display();
        Refusal::Wrong(format!(
            "error: --out '{folder}' must be a folder that can be written to: {error}"
        ))
    })
}

/// The command as a reader would repeat it, of the program `bin`.
pub(crate) fn command_line(bin: &str, argv: &[OsString]) -> String {
    let words: Vec<_> = argv
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy())
        .collect();
    format!("cargo run --release --bin {bin} -- {}", words.join(" "))
}

/// A whole number between two ends.
pub(crate) fn within(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

/// A time that a measurement may take.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (0.01..=600.0).contains(number));
    number.ok_or_else(|| "must be a number of seconds from 0.01 to 600".into())
}

/// What clap says, in one line unless it was asked for.
pub(crate) fn refusal(error: &clap::Error) -> Refusal {
    let text = error.to_string();
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return Refusal::Told(text);
    }
    let message = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty());
    Refusal::Wrong(message.collect::<Vec<_>>().join(" "))
}

/// Does what the command line asks for. 0: done, or told what was asked; 1: something failed; 2: the command line
/// cannot be obeyed. What is wrong goes to standard error, in one line.
pub fn obey<J>(parsed: Result<J, Refusal>, job: impl FnOnce(J) -> Result<(), String>) -> ExitCode {
    match parsed.map(job) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(line)) => {
            eprintln!("error: {line}");
            ExitCode::FAILURE
        }
        Err(Refusal::Told(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Refusal::Wrong(line)) => {
            eprintln!("{line}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}
