//! A packet's bytes, as hexadecimal digits or out of a capture file.

use super::Framing;
use crate::cli::exit::Failure;
use crate::cli::exit::usage;
use crate::pcap::Captured;
use crate::pcap::packet;
use crate::wire::explain::LONGEST;
use crate::wire::explain::bytes_of_hex;
use stack::io::pcap::is_capture;
use std::fmt::Write;
use std::io;
use std::io::Read;

/// The largest capture that is read, bytes: its first packets are meant.
const FILE_LIMIT: u64 = 256 << 20;

/// The largest file of digits, with all its white space, bytes. What has more, and does not begin as captures do, is no packet:
/// a device may have no end.
const DIGITS_LIMIT: u64 = 1 << 20;

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
    let unread = |error| Failure::NoInput(format!("{path}: {error}"));
    let wrong = |line| Failure::Data(format!("{path}: {line}"));
    let bytes = contents(path).map_err(unread)?;
    if bytes.is_empty() {
        return Err(wrong("the file is empty".into()));
    }
    match packet(&bytes, number) {
        Ok(Some(Captured { ether, bytes })) => {
            let framing = if ether { Framing::Ether } else { Framing::Ip };
            Ok((Some(framing), hex(&bytes)))
        }
        Ok(None) => Ok((None, digits(&bytes).map_err(wrong)?)),
        Err(line) => Err(wrong(line)),
    }
}

fn contents(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file: Box<dyn Read> = match path {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(std::fs::File::open(path)?),
    };
    file.by_ref().take(DIGITS_LIMIT).read_to_end(&mut bytes)?;
    if is_capture(&bytes) {
        let rest = FILE_LIMIT - DIGITS_LIMIT;
        file.take(rest).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// A file of hexadecimal digits.
fn digits(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes);
    let neither = "neither a capture (pcap, pcapng) nor hexadecimal digits";
    let text = text.map_err(|_| neither)?;
    if text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        return Err(neither.into());
    }
    let hex: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    match bytes_of_hex(&hex)?.len() {
        0 => Err("there is nothing but white space in it".into()),
        _ => Ok(hex),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A String takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;
    use crate::testing::Directory;

    fn wrong(path: &str) -> String {
        let told = of_file(path, 1).unwrap_err().to_string();
        let line = told.strip_prefix(path).and_then(|l| l.strip_prefix(": "));
        line.map_or_else(|| told.clone(), ToOwned::to_owned)
    }

    #[test]
    fn a_file_without_a_packet_is_told_and_one_without_an_end_is_not_read_for_ever() {
        let directory = Directory::new();
        let file = directory.join("digits");
        let path = file.to_str().unwrap();
        let told = |text: &[u8]| {
            std::fs::write(&file, text).unwrap();
            wrong(path)
        };
        assert_eq!(told(b""), "the file is empty");
        assert_eq!(told(b" \n\t"), "there is nothing but white space in it");
        assert!(told(&[b'4'; 200_000]).contains("a packet has 65549 at most"));
        let neither = "neither a capture (pcap, pcapng) nor hexadecimal digits";
        assert_eq!(told(&[0xff; 9]), neither);
        assert_eq!(wrong("/dev/null"), "the file is empty");
        assert_eq!(wrong("/dev/zero"), neither);
        std::fs::write(&file, "4500 001c\n").unwrap();
        let exit = |path| of_file(path, 1).unwrap_err().exit();
        assert_eq!(exit("/dev/null"), Exit::Data);
        assert_eq!(exit("/no/such/file"), Exit::NoInput);
        assert_eq!(exit(directory.to_str().unwrap()), Exit::NoInput);
        assert_eq!(of_file(path, 1).unwrap(), (None, "4500001c".to_owned()));
        // What is wrong in a file is no matter of the command line's words, as in replay.
        let magic = 0xa1b2_c3d4_u32.to_le_bytes();
        for content in [&magic[..], b"4500 x", b" ", &[0xff; 9]] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(exit(path), Exit::Data, "{content:?}");
        }
        assert_eq!(of_words(&["4500x".into()]).unwrap_err().exit(), Exit::Usage);
    }
}
