//! A packet's bytes, as hexadecimal digits or out of a capture file.

use super::Framing;
use crate::cli::exit::Failure;
use crate::cli::exit::usage;
use crate::pcap::Captured;
use crate::pcap::packet;
use crate::wire::explain::LONGEST;
use crate::wire::explain::bytes_of_hex;
use std::fmt::Write;
use std::io;
use std::io::Read;

/// The largest file that is read, bytes: a packet as digits is small, and of a capture the first packets are meant.
const FILE_LIMIT: u64 = 256 << 20;

/// Hexadecimal digits in words.
pub(super) fn of_words(words: &[String]) -> Result<String, Failure> {
    let hex = words.concat();
    match bytes_of_hex(&hex) {
        Ok(bytes) if bytes.len() <= LONGEST => Ok(hex),
        Ok(_) => usage("the packet is too long"),
        Err(line) => usage(line),
    }
}

/// The `number`th packet of a file, and what it begins with if the file says so.
pub(super) fn of_file(path: &str, number: usize) -> Result<(Option<Framing>, String), Failure> {
    let bytes = contents(path).map_err(|error| Failure::Usage(format!("{path}: {error}")))?;
    match packet(&bytes, number) {
        Ok(Some(Captured { ether, bytes })) => {
            let framing = if ether { Framing::Ether } else { Framing::Ip };
            Ok((Some(framing), hex(&bytes)))
        }
        Ok(None) => Ok((
            None,
            digits(&bytes).or_else(|line| usage(format!("{path}: {line}")))?,
        )),
        Err(line) => usage(format!("{path}: {line}")),
    }
}

fn contents(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match path {
        "-" => io::stdin()
            .lock()
            .take(FILE_LIMIT)
            .read_to_end(&mut bytes)?,
        path => std::fs::File::open(path)?
            .take(FILE_LIMIT)
            .read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

/// A file of hexadecimal digits.
fn digits(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| "neither a capture (pcap, pcapng) nor hexadecimal digits")?;
    let hex: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    bytes_of_hex(&hex)?;
    Ok(hex)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A String takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
