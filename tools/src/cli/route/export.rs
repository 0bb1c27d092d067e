//! `route export`: the operator's routes as text that `route load` reads.

use super::parse::fib;
use super::parse::one_fib;
use crate::cli::exit::Failure;
use crate::cli::exit::usage;
use crate::cli::outfile::OutFile;
use crate::cli::session::Session;
use crate::cli::session::Style;
use crate::cli::words::Words;
use crate::routefile::write;
use crate::wire::batch::Exported;
use crate::wire::batch::read_routes;
use crate::wire::route::Family;
use crate::wire::route::RouteFamily;
use std::io;
use std::path::Path;

/// The words of `route export`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Export {
    of: RouteFamily,
    file: Option<String>,
}

/// Reads the words behind `export`.
pub(super) fn parse(
    words: &mut Words,
    of: RouteFamily,
    mut fib_said: Option<u8>,
) -> Result<Export, Failure> {
    let mut export = Export { of, file: None };
    while let Some(word) = words.next() {
        match word.as_str() {
            "-4" | "-inet" => export.of.family = Some(Family::Inet),
            "-6" | "-inet6" => export.of.family = Some(Family::Inet6),
            "-fib" => {
                export.of.fib = one_fib(fib_said, fib(words)?)?;
                fib_said = Some(export.of.fib);
            }
            "-n" | "-q" | "-v" => {}
            "-" => export.file = None,
            option if option.starts_with('-') => {
                return usage(format!("bad keyword: {option}: see route --help"));
            }
            _ if export.file.is_some() => {
                return usage(format!("export takes one file, and no {word}"));
            }
            _ => export.file = Some(word),
        }
    }
    Ok(export)
}

/// Carries it out. A file is there under its name when it is whole.
pub(super) fn run(export: &Export, session: &mut Session<'_>) -> Result<(), Failure> {
    let ask = export.of;
    let Some(name) = &export.file else {
        return print(ask, session);
    };
    let cannot = |error| cannot(name, &error);
    let mut file = OutFile::open(Path::new(name)).map_err(cannot)?;
    let mut aside = Session {
        out: &mut file,
        socket: session.socket.clone(),
        json: session.json,
        // A file is no terminal.
        style: Style::default(),
    };
    let written = print(ask, &mut aside).and_then(|()| Ok(file.whole()?));
    written.map_err(|failure| match failure {
        Failure::Io(error) => cannot(error),
        other => other,
    })
}

fn cannot(name: &str, error: &io::Error) -> Failure {
    Failure::Io(io::Error::new(error.kind(), format!("{name}: {error}")))
}

fn print(ask: RouteFamily, session: &mut Session<'_>) -> Result<(), Failure> {
    if session.json {
        return session.print_reply("RouteExport", &ask);
    }
    session.pages(
        "RouteExport",
        &ask,
        |_| Ok(()),
        |out, page: Exported| {
            let sets: Vec<String> = page.sets.iter().map(write::set).collect();
            for route in read_routes(&page.routes, None) {
                let (prefix, set) = route.map_err(io::Error::other)?;
                let set = sets.get(set as usize).map_or("", String::as_str);
                writeln!(out, "{prefix} {set}")?;
            }
            Ok(())
        },
    )
}
