//! What clap says of a command line that it cannot read, in one line.

use super::args::Flowgate;
use clap::CommandFactory;
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
        _ => condensed(&error.to_string()),
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

/// What is wrong, without the usage and the help that follow it.
fn condensed(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let said =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let said = said
        .filter(|line| !line.is_empty())
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
