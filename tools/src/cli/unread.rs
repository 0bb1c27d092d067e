//! What clap says of a command line that it cannot read, in one line.

use super::args::Flowgate;
use clap::CommandFactory;
use clap::error::ContextKind;
use clap::error::ContextValue;
use clap::error::ErrorKind;
use std::ffi::OsString;

/// The tool that was called, and its line: what is wrong, and where help is.
pub(super) fn told(arguments: &[OsString], error: &clap::Error) -> (String, String) {
    let called = called(arguments);
    let tool = called.first().map_or("flowgate", String::as_str).to_owned();
    let help = [&["flowgate".to_owned()], called.as_slice()]
        .concat()
        .join(" ");
    let what = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            "no command".into()
        }
        _ => signed(arguments, error).unwrap_or_else(|| condensed(&error.to_string())),
    };
    (tool, format!("{what}: see '{help} --help'"))
}

/// The subcommands among the words, `flow list`.
fn called(arguments: &[OsString]) -> Vec<String> {
    let mut command = Flowgate::command();
    let mut names = Vec::new();
    for word in arguments.iter().skip(1) {
        if let Some(below) = command.find_subcommand(word).cloned() {
            names.push(below.get_name().to_owned());
            command = below;
        }
    }
    names
}

/// A number with a minus is taken for an option; nothing here goes below 0.
fn signed(arguments: &[OsString], error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let number = word.strip_prefix('-').unwrap_or_default();
    let starts = number.starts_with(|first: char| first.is_ascii_digit());
    let at = arguments.iter().position(|is| is == word.as_str())?;
    let before = arguments.get(at.checked_sub(1)?)?.to_string_lossy();
    starts.then(|| format!("{before} {word}: a number here has no minus"))
}

/// What is wrong, without the usage and the help that follow it.
fn condensed(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let said =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let said = said
        .filter(|line| !line.is_empty() && !line.starts_with("tip: to pass"))
        .map(|line| line.trim_start_matches("tip: ").trim_end_matches(':'));
    let said = said.collect::<Vec<_>>().join(": ");
    said.strip_prefix("error: ").unwrap_or(&said).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn line(words: &str) -> (String, String) {
        let arguments: Vec<OsString> = words.split(' ').map(Into::into).collect();
        told(
            &arguments,
            &Flowgate::try_parse_from(&arguments).unwrap_err(),
        )
    }

    #[test]
    fn every_error_is_one_line_with_a_pointer_to_help() {
        let cases = [
            ("flowgate", "flowgate", "no command: see 'flowgate --help'"),
            (
                "flowgate run",
                "run",
                "--config <FILE>: see 'flowgate run --help'",
            ),
            (
                "flowgate flow",
                "flow",
                "no command: see 'flowgate flow --help'",
            ),
            (
                "flowgate flow list --port 65536",
                "flow",
                "65536 is not in 0..=65535: see 'flowgate flow list --help'",
            ),
            (
                "flowgate ping -4 -6 ::1",
                "ping",
                "'-6': see 'flowgate ping --help'",
            ),
            (
                "flowgate workers set -1",
                "workers",
                "set -1: a number here has no minus: see 'flowgate workers set --help'",
            ),
            (
                "flowgate nexthop drain 192.0.2.1 --deadline -1",
                "nexthop",
                "--deadline -1: a number here has no minus: see 'flowgate nexthop drain --help'",
            ),
            (
                "flowgate workers set -x",
                "workers",
                "unexpected argument '-x' found: see 'flowgate workers set --help'",
            ),
            (
                "flowgate workers set 99999999999",
                "workers",
                "write a number from 1 to max-workers of the configuration, which 'flowgate workers' shows: see \
                 'flowgate workers set --help'",
            ),
            (
                "flowgate statsu",
                "flowgate",
                "a similar subcommand exists: 'status': see 'flowgate --help'",
            ),
        ];
        for (words, tool, end) in cases {
            let (named, told) = line(words);
            assert_eq!(named, tool, "{words}");
            assert!(told.ends_with(end), "{words}: {told}");
            assert_eq!(told.lines().count(), 1, "{told}");
            assert!(!told.contains("Usage:"), "{told}");
        }
    }
}
