//! `arp -f FILE`: entries to be stated, a line each; `#` begins a comment.

use super::stated_words;
use crate::cli::exit::Failure;
use crate::wire::neighbour::NeighbourSet;
use crate::wire::route::Family;
use std::io;
use std::io::Read;

/// The longest file that is read, bytes: some hundred thousand entries.
const LIMIT: u64 = 16 << 20;

/// The entries of a file (`-`: standard input); one line that is wrong refuses the file.
pub(super) fn read(
    name: &str,
    port: Option<&String>,
    family: Family,
) -> Result<Vec<NeighbourSet>, Failure> {
    let text = contents(name).map_err(|error| Failure::NoInput(format!("{name}: {error}")))?;
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split_once('#').map_or(line, |(line, _)| line);
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        let entry = stated_words(&words, port.cloned(), family);
        let wrong = |failure| Failure::Data(format!("{name}:{number}: {failure}"));
        entries.push(entry.map_err(wrong)?);
    }
    Ok(entries)
}

fn contents(name: &str) -> io::Result<String> {
    let mut text = String::new();
    let file: Box<dyn Read> = match name {
        "-" => Box::new(io::stdin().lock()),
        name => Box::new(std::fs::File::open(name)?),
    };
    match file.take(LIMIT).read_to_string(&mut text)? as u64 {
        LIMIT => Err(io::Error::other(format!("longer than {LIMIT} bytes"))),
        _ => Ok(text),
    }
}
