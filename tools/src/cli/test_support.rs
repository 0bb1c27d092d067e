//! Runs commands against a served fake gateway, and catches what they print.

use super::args::Command;
use super::args::Flowgate;
use super::exit::Failure;
use super::session::Session;
use super::session::Style;
use super::words::Words;
use crate::server::fake::Fake;
use crate::server::tests::Gateway;
use clap::Parser;

/// Output, error, exit status.
pub(crate) type Outcome = (String, Option<String>, u8);

/// A tool with words of its own.
pub(crate) fn run_tool(
    fake: Fake,
    tool: fn(Words, &mut Session<'_>) -> Result<(), Failure>,
    line: &str,
    json: bool,
) -> Outcome {
    with_session(fake, json, |session| tool(Words::of(line), session))
}

/// A subcommand whose words clap reads.
pub(crate) fn run_command(fake: Fake, line: &str) -> Outcome {
    let words = std::iter::once("flowgate").chain(line.split_whitespace());
    let args = Flowgate::try_parse_from(words).unwrap();
    with_session(fake, args.json, |session| match args.command {
        Command::Flow(command) => super::flow::run(command, session),
        Command::Ping(args) => super::ping::run(args, session),
        Command::Template(command) => super::template::run(command, session),
        Command::Workers { command } => super::workers::run(command, session),
        Command::Status => super::status::run(session),
        other => panic!("not for this test: {other:?}"),
    })
}

fn with_session(
    fake: Fake,
    json: bool,
    run: impl FnOnce(&mut Session<'_>) -> Result<(), Failure>,
) -> Outcome {
    let gateway = Gateway::start(fake);
    let mut out = Vec::new();
    let socket = gateway.path.clone();
    let done = run(&mut Session {
        out: &mut out,
        socket,
        json,
        style: Style::default(),
    });
    let out = String::from_utf8(out).unwrap();
    match done {
        Ok(()) => (out, None, 0),
        Err(failure) => (out, Some(failure.to_string()), failure.exit() as u8),
    }
}
