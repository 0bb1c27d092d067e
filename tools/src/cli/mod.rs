//! The command line: words in, tables out.
//!
//! [`main`] finds out which tool was called (a subcommand of `flowgate`, or a link named `route`, `arp`, `ndp` or
//! `netstat`), and turns what comes of it into an exit status. Everything a command prints goes through
//! [`session::Session`]. Nothing here panics on what a user or a gateway says; a reader that closes the pipe ends a command
//! silently.

mod args;
mod capture;
pub mod exit;
mod explain;
mod flow;
mod group;
mod interrupt;
mod names;
mod neigh;
mod netstat;
mod nexthop;
mod outfile;
mod ping;
mod route;
pub mod session;
mod status;
mod template;
mod timeouts;
pub(crate) mod tuple;
mod unread;
mod words;
mod workers;

pub use args::DemoArgs;
pub use args::ReplayArgs;
pub use args::RunArgs;
pub use exit::Exit;

use crate::client::socket_or_default;
use args::Command;
use args::Flowgate;
use clap::Parser;
use exit::Failure;
use session::Session;
use session::Style;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

/// A tool that reads its own words.
#[derive(Clone, Copy)]
struct Tool {
    name: &'static str,
    help: &'static str,
    run: fn(words::Words, &mut Session<'_>) -> Result<(), Failure>,
}

const TOOLS: [Tool; 7] = [
    Tool {
        name: "route",
        help: route::HELP,
        run: route::run,
    },
    Tool {
        name: "arp",
        help: neigh::ARP_HELP,
        run: neigh::arp,
    },
    Tool {
        name: "ndp",
        help: neigh::NDP_HELP,
        run: neigh::ndp,
    },
    Tool {
        name: "netstat",
        help: netstat::HELP,
        run: netstat::run,
    },
    Tool {
        name: "group",
        help: group::HELP,
        run: group::run,
    },
    Tool {
        name: "explain",
        help: explain::HELP,
        run: explain::run,
    },
    Tool {
        name: "capture",
        help: capture::HELP,
        run: capture::run,
    },
];

/// Runs the command line of this process.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let called = arguments
        .first()
        .and_then(|name| Path::new(name).file_name());
    let called = TOOLS.iter().find(|tool| called == Some(tool.name.as_ref()));
    if let Some(tool) = called {
        let words = arguments.into_iter().skip(1);
        return own_words(tool, words, Given::default());
    }
    if let Some(tool) = asked_for_help(&arguments) {
        return finish("flowgate", false, |session| {
            Ok(session.out.write_all(tool.help.as_bytes())?)
        });
    }
    match Flowgate::try_parse_from(&arguments) {
        Ok(args) => dispatch(args),
        Err(error) if error.use_stderr() => {
            let (tool, line) = unread::told(&arguments, &error);
            finish(&tool, asks_json(&arguments), |_| exit::usage(line))
        }
        Err(help) => finish("flowgate", false, |session| {
            let text = help.render();
            match session.style.colour {
                true => write!(session.out, "{}", text.ansi())?,
                false => write!(session.out, "{text}")?,
            }
            Ok(())
        }),
    }
}

/// Whether words that could not be read asked for JSON.
fn asks_json(words: &[OsString]) -> bool {
    words.iter().any(|word| word == "--json")
}

/// `flowgate help route` is the tool's own help, as `flowgate route --help` is.
fn asked_for_help(arguments: &[OsString]) -> Option<&'static Tool> {
    match arguments {
        [_, help, name, ..] if help == "help" => TOOLS.iter().find(|tool| name == tool.name),
        _ => None,
    }
}

/// What stood before the subcommand.
#[derive(Default)]
struct Given {
    socket: Option<PathBuf>,
    json: bool,
}

fn dispatch(args: Flowgate) -> ExitCode {
    let Flowgate {
        socket,
        json,
        command,
    } = args;
    let given = Given { socket, json };
    match command {
        Command::Run(args) => crate::daemon::run(&args, given.socket, json),
        Command::Demo(args) => crate::demo::run(&DemoArgs {
            json,
            socket: given.socket,
            ..args
        }),
        Command::Replay(args) => crate::daemon::replay(&args, json),
        Command::Route(tool) => own_words(&TOOLS[0], tool.words, given),
        Command::Arp(tool) => own_words(&TOOLS[1], tool.words, given),
        Command::Ndp(tool) => own_words(&TOOLS[2], tool.words, given),
        Command::Netstat(tool) => own_words(&TOOLS[3], tool.words, given),
        Command::Group(tool) => own_words(&TOOLS[4], tool.words, given),
        Command::Explain(tool) => own_words(&TOOLS[5], tool.words, given),
        Command::Capture(tool) => own_words(&TOOLS[6], tool.words, given),
        Command::Flow(command) => finish_with("flow", given, |session| flow::run(command, session)),
        Command::Nexthop(command) => {
            finish_with("nexthop", given, |session| nexthop::run(command, session))
        }
        Command::Template(command) => {
            finish_with("template", given, |session| template::run(command, session))
        }
        Command::Ping(args) => finish_with("ping", given, |session| ping::run(args, session)),
        Command::Workers { command } => {
            finish_with("workers", given, |session| workers::run(command, session))
        }
        Command::Status => finish_with("status", given, status::run),
    }
}

fn own_words(tool: &Tool, raw: impl IntoIterator<Item = OsString>, given: Given) -> ExitCode {
    let raw: Vec<OsString> = raw.into_iter().collect();
    let asks_json = asks_json(&raw) || given.json;
    let (common, words) = match words::split(raw) {
        Ok(read) => read,
        Err(failure) => return finish(tool.name, asks_json, |_| Err(failure)),
    };
    let given = Given {
        socket: common.socket.or(given.socket),
        json: common.json || given.json,
    };
    finish_with(tool.name, given, |session| {
        if common.help {
            return Ok(session.out.write_all(tool.help.as_bytes())?);
        }
        (tool.run)(words, session)
    })
}

fn finish_with(
    tool: &str,
    given: Given,
    run: impl FnOnce(&mut Session<'_>) -> Result<(), Failure>,
) -> ExitCode {
    let socket = socket_or_default(given.socket);
    finish(tool, given.json, |session| {
        session.socket = socket;
        run(session)
    })
}

/// Runs a command with standard output, and ends with its status.
fn finish(
    tool: &str,
    json: bool,
    run: impl FnOnce(&mut Session<'_>) -> Result<(), Failure>,
) -> ExitCode {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let socket = PathBuf::new();
    let mut session = Session {
        out: &mut out,
        socket,
        json,
        style: Style::of_stdout(),
    };
    let done = run(&mut session).or_else(|failure| {
        if let (true, Some(error)) = (json, failure.call_error()) {
            session.print_json(&crate::wire::message::Reply::from(&error))?;
        }
        Err(failure)
    });
    let done = done.and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            // What was printed before the failure belongs before its line.
            let _ = out.flush();
            report(tool, &failure)
        }
    }
}

/// One line on standard error.
fn report(tool: &str, failure: &Failure) -> ExitCode {
    let exit = failure.exit();
    let text = match failure {
        _ if exit == Exit::Ok => return exit.into(),
        // The statistics have said so.
        Failure::NoReply => return exit.into(),
        Failure::Refused { line, .. } | Failure::Absent(line) => line.clone(),
        other => format!("{tool}: {other}"),
    };
    // With standard error closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{}", one_line(&text));
    exit.into()
}

/// What somebody wrote may hold line ends and a terminal's orders: they are shown, not obeyed.
pub(crate) fn one_line(text: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_message_is_one_line_and_gives_a_terminal_no_orders() {
        assert_eq!(one_line("no a\nb\u{1b}[31m: ü"), "no a\\nb\\u{1b}[31m: ü");
    }
}

#[cfg(test)]
pub(crate) mod test_support;
