//! NUL-terminated messages over any byte stream.
//!
//! Invariants: no more than [`MESSAGE_LIMIT`] bytes and one read's worth are ever buffered; bytes behind a NUL
//! belong to the next message and are kept; after an error the stream is not in step any more and must be
//! closed. Concurrency: one reader, one owner.

use super::MESSAGE_LIMIT;
use std::ffi::CStr;
use std::io;
use std::io::Read;
use std::io::Write;

/// Bytes asked from the stream at a time.
const CHUNK: usize = 16 << 10;

/// Why no message could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// More than [`MESSAGE_LIMIT`] bytes came without a NUL.
    #[error(
        "message longer than {MESSAGE_LIMIT} bytes (1 MiB): send smaller messages, each ended by a NUL byte"
    )]
    TooLong,
    /// The stream ended, or stalled, within a message.
    #[error(
        "message cut short: {0} bytes came and no NUL byte: end each message with one NUL byte"
    )]
    CutShort(usize),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Splits a byte stream into messages.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Where the first byte lies that no message has claimed.
    start: usize,
    /// Up to here the buffer is known to hold no NUL, so that a byte is looked at once.
    searched: usize,
}

impl<R: Read> FrameReader<R> {
    /// A reader that has read nothing yet.
    pub fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
        }
    }

    /// The stream below, to set its timeouts.
    pub fn stream(&self) -> &R {
        &self.stream
    }

    /// True when part of a message is here and the rest is not.
    pub fn within_message(&self) -> bool {
        self.start < self.buffer.len()
    }

    /// The next message without its NUL; `None` when the stream ended between two messages.
    ///
    /// # Errors
    /// See [`FrameError`]. A read that timed out before any byte of a message came is `Io`, within one `CutShort`.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, FrameError> {
        loop {
            if let Some(message) = self.find_nul()? {
                return Ok(Some(&self.buffer[message]));
            }
            let had = self.buffer.len() - self.start;
            match self.fill() {
                Ok(0) if had == 0 => return Ok(None),
                Ok(0) => return Err(FrameError::CutShort(had)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if had > 0 && is_timeout(&error) => {
                    return Err(FrameError::CutShort(had));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Claims the bytes up to the next NUL, if one is here.
    fn find_nul(&mut self) -> Result<Option<std::ops::Range<usize>>, FrameError> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let ended = CStr::from_bytes_until_nul(unsearched);
        let Ok(offset) = ended.map(CStr::count_bytes) else {
            self.searched = self.buffer.len();
            let too_long = self.buffer.len() - self.start > MESSAGE_LIMIT;
            return if too_long {
                Err(FrameError::TooLong)
            } else {
                Ok(None)
            };
        };
        let message = self.start..self.searched + offset;
        if message.len() > MESSAGE_LIMIT {
            return Err(FrameError::TooLong);
        }
        self.start = message.end + 1;
        self.searched = self.start;
        Ok(Some(message))
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + CHUNK, 0);
        let read = self.stream.read(&mut self.buffer[old..]);
        self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
        read
    }
}

/// True for the error of a read or write that ran into the socket's timeout.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Writes one message and its NUL, in one write where the stream allows it.
///
/// # Errors
/// What the stream says; `InvalidData` when the message is longer than [`MESSAGE_LIMIT`] or cannot be JSON.
pub fn write_message(to: &mut impl Write, message: &impl serde::Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(message).map_err(io::Error::from)?;
    if bytes.len() > MESSAGE_LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            FrameError::TooLong,
        ));
    }
    bytes.push(0);
    to.write_all(&bytes)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of one size, as a socket might.
    struct Pieces(Vec<u8>, usize);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let take = self.1.min(self.0.len()).min(buffer.len());
            buffer[..take].copy_from_slice(&self.0[..take]);
            self.0.drain(..take);
            Ok(take)
        }
    }

    fn read_all(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
        let mut reader = FrameReader::new(Pieces(bytes.to_vec(), piece));
        let mut messages = Vec::new();
        loop {
            match reader.next_message() {
                Ok(Some(message)) => messages.push(message.to_vec()),
                Ok(None) => return (messages, None),
                Err(error) => return (messages, Some(error)),
            }
        }
    }

    #[test]
    fn messages_come_whole_however_the_bytes_were_cut() {
        for piece in 1..20 {
            let (messages, error) = read_all(b"one\0\0three\0four\0", piece);
            assert!(error.is_none());
            assert_eq!(messages, [&b"one"[..], b"", b"three", b"four"]);
        }
    }

    #[test]
    fn a_message_that_ends_without_nul_is_cut_short() {
        let (messages, error) = read_all(b"one\0tw", 4);
        assert_eq!(messages, [b"one"]);
        assert!(matches!(error, Some(FrameError::CutShort(2))), "{error:?}");
    }

    #[test]
    fn a_message_of_the_limit_passes_and_one_byte_more_does_not() {
        let mut bytes = vec![b'x'; MESSAGE_LIMIT];
        bytes.push(0);
        let (messages, error) = read_all(&bytes, 100_000);
        assert_eq!((messages.len(), error.is_none()), (1, true));
        bytes.insert(0, b'x');
        for piece in [4096, 100_000] {
            assert!(
                matches!(read_all(&bytes, piece), (none, Some(FrameError::TooLong)) if none.is_empty())
            );
        }
    }

    #[test]
    fn an_endless_message_is_refused_before_it_fills_the_memory() {
        let mut reader = FrameReader::new(io::repeat(b'x'));
        assert!(matches!(reader.next_message(), Err(FrameError::TooLong)));
        assert!(reader.buffer.capacity() < 4 * MESSAGE_LIMIT);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = Vec::new();
        write_message(&mut bytes, &serde_json::json!({"method": "x"})).unwrap();
        assert_eq!(bytes, b"{\"method\":\"x\"}\0");
        let long = "x".repeat(MESSAGE_LIMIT);
        assert_eq!(
            write_message(&mut bytes, &long).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
