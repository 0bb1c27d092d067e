//! Writes captures: pcap with nanoseconds, in this machine's byte order.

use super::read::{ETHERNET, RAW};
use std::io::{self, Write};

/// Of records of up to so many bytes.
const SNAPLEN: u32 = 262_144;

/// A capture being written.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    /// The first error: nothing is written after it.
    failed: Option<io::ErrorKind>,
}

impl<W: Write> Writer<W> {
    /// Begins to write, frames with Ethernet headers or bare IP packets.
    ///
    /// # Errors
    /// The output's.
    pub fn new(mut output: W, ether: bool) -> io::Result<Self> {
        let link = if ether { ETHERNET } else { RAW };
        let head = [0xa1b2_3c4d, 0, 0, 0, SNAPLEN, link].map(u32::to_ne_bytes);
        let mut head = head.concat();
        head[4..6].copy_from_slice(&2_u16.to_ne_bytes());
        head[6..8].copy_from_slice(&4_u16.to_ne_bytes());
        output.write_all(&head)?;
        Ok(Self {
            output,
            failed: None,
        })
    }

    /// Writes one record, captured `at_ns` nanoseconds after 1970.
    ///
    /// # Errors
    /// The output's, now or before.
    pub fn write(&mut self, at_ns: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(kind) = self.failed {
            return Err(kind.into());
        }
        let (seconds, ns) = (at_ns / 1_000_000_000, at_ns % 1_000_000_000);
        let len = bytes.len() as u32;
        let head = [seconds as u32, ns as u32, len, len].map(u32::to_ne_bytes);
        let written = self
            .output
            .write_all(head.as_flattened())
            .and_then(|()| self.output.write_all(bytes));
        written.inspect_err(|error| self.failed = Some(error.kind()))
    }

    /// Writes out what waits in buffers.
    ///
    /// # Errors
    /// The output's, now or before.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.failed {
            Some(kind) => Err(kind.into()),
            // A part may be lost: what came behind it would be read as something else.
            None => {
                let flushed = self.output.flush();
                flushed.inspect_err(|error| self.failed = Some(error.kind()))
            }
        }
    }
}
