//! One client: reads its messages, answers them in order, ends with it.
//!
//! Whatever the bytes are, the worst that happens is that this connection ends: a message that cannot be read is answered by
//! one `Malformed` and the connection closed, since nobody knows where the next one would start.

use super::batch::Upload;
use super::control;
use super::methods;
use crate::wire::MESSAGE_LIMIT;
use crate::wire::frame::FrameError;
use crate::wire::frame::FrameReader;
use crate::wire::frame::is_timeout;
use crate::wire::frame::write_message;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::message::Reply;
use crate::wire::message::Request;
use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::recv;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use std::io;
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// poll(2) on Linux: the other side will send no more. What it has sent already is left out of account.
const POLLRDHUP: i16 = 0x2000;

/// How long a client may stop within a message, or leave an answer unread.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Serves one client until it leaves, errs or the server ends, and closes the connection.
pub(super) fn serve(stream: &UnixStream, control: &control::Handle) {
    converse(stream, control);
    // The listener has the same socket in its list: dropping ours would not close it.
    let _ = stream.shutdown(Shutdown::Both);
}

fn converse(stream: &UnixStream, control: &control::Handle) {
    let mut reader = FrameReader::new(stream);
    let mut upload = None;
    loop {
        let request = match reader.next_message() {
            Ok(Some(message)) => read_request(message),
            Ok(None) => return,
            Err(FrameError::Io(error)) if is_timeout(&error) => continue,
            Err(FrameError::Io(_)) => return,
            Err(error) => Err(malformed(error.to_string())),
        };
        let end = match request {
            Ok(request) => answer(stream, control, &mut upload, request),
            Err(error) => {
                reject(stream, &error);
                return;
            }
        };
        if end.is_err() {
            return;
        }
    }
}

fn malformed(message: String) -> CallError {
    CallError::refused(Reason::Malformed, message)
}

fn read_request(message: &[u8]) -> Result<Request, CallError> {
    let wrong = |error: &dyn std::fmt::Display| {
        malformed(format!(
            "not a call: {error}: send {{\"method\": \"org.flowgate.NAME\", \"parameters\": {{...}}}} and a NUL byte"
        ))
    };
    // By itself serde takes a sequence for a struct.
    let object: Map<String, Value> =
        serde_json::from_slice(message).map_err(|error| wrong(&error))?;
    Request::deserialize(Value::Object(object)).map_err(|error| wrong(&error))
}

/// Says what was wrong, and takes what the client is still sending: closing on unread bytes could cost it the answer.
fn reject(stream: &UnixStream, error: &CallError) {
    let mut stream = stream;
    if write_message(&mut stream, &Reply::from(error)).is_err() {
        return;
    }
    let limit = Duration::from_secs(1);
    if stream.shutdown(Shutdown::Write).is_err() || stream.set_read_timeout(Some(limit)).is_err() {
        return;
    }
    let mut rest = stream.take(4 * MESSAGE_LIMIT as u64);
    // However it ends, the connection is closed next.
    let _ = io::copy(&mut rest, &mut io::sink());
}

/// Answers one call; an error means that the connection is of no use any more.
fn answer(
    stream: &UnixStream,
    control: &control::Handle,
    upload: &mut Option<Upload>,
    request: Request,
) -> io::Result<()> {
    let Request {
        method,
        parameters,
        more,
        oneway,
    } = request;
    let mut replies = Replies {
        stream,
        more,
        oneway,
    };
    match methods::answer(&method, parameters, control, upload, &mut replies) {
        Ok(()) => Ok(()),
        Err(End::Call(error)) => replies.send(&Reply::from(&error)),
        Err(End::Io(error)) => Err(error),
    }
}

/// How a call can end badly.
pub(super) enum End {
    /// With an error that the client is told.
    Call(CallError),
    /// With the connection.
    Io(io::Error),
}

impl From<CallError> for End {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// Where a call's answers go.
pub(super) struct Replies<'a> {
    stream: &'a UnixStream,
    more: bool,
    oneway: bool,
}

#[derive(Serialize)]
struct Success<'a, T> {
    parameters: &'a T,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    continues: bool,
}

impl Replies<'_> {
    /// The last, or only, answer.
    pub(super) fn last(&mut self, parameters: &impl Serialize) -> Result<(), End> {
        self.send(&Success {
            parameters,
            continues: false,
        })
        .map_err(End::Io)
    }

    /// An answer that others follow.
    ///
    /// # Errors
    /// `ExpectedMore` to a client that takes one only.
    pub(super) fn continued(&mut self, parameters: &impl Serialize) -> Result<(), End> {
        self.expect_more()?;
        self.send(&Success {
            parameters,
            continues: true,
        })
        .map_err(End::Io)
    }

    /// # Errors
    /// `ExpectedMore` when the client takes one answer only.
    pub(super) fn expect_more(&self) -> Result<(), CallError> {
        if self.more && !self.oneway {
            Ok(())
        } else {
            Err(CallError::ExpectedMore)
        }
    }

    fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        if self.oneway {
            return Ok(());
        }
        write_message(&mut self.stream, message)
    }

    /// Waits so long, or until the client closes its end; true if it has.
    pub(super) fn left_within(&self, wait: Duration) -> bool {
        let closes = PollFlags::from_bits_retain(POLLRDHUP);
        let mut fds = [PollFd::new(self.stream.as_fd(), closes)];
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        // Whatever ended the wait, the next look says how things are.
        let _ = poll(&mut fds, wait);
        self.has_left()
    }

    /// True when the client has closed its end; bytes that it sent are left alone.
    pub(super) fn has_left(&self) -> bool {
        let mut byte = [0; 1];
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        match recv(self.stream.as_raw_fd(), &mut byte, flags) {
            Ok(read) => read == 0,
            Err(Errno::EAGAIN | Errno::EINTR) => false,
            Err(_) => true,
        }
    }
}
