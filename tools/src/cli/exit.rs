//! How the command line ends: its exit statuses, and how a failure is told.
//!
//! | status | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | the gateway refused, or ended meanwhile, or what was asked for is not there |
//! | 2 | a ping that nobody answered |
//! | 64 | the command line cannot be read (`EX_USAGE`) |
//! | 65 | a file of routes, a capture, has something wrong in it (`EX_DATAERR`) |
//! | 66 | a file of routes, a capture, cannot be read (`EX_NOINPUT`) |
//! | 69 | no gateway answers at the socket (`EX_UNAVAILABLE`) |
//! | 70 | the gateway ended by a fault of its own (`EX_SOFTWARE`) |
//! | 71 | the system refused a device, a socket or a thread (`EX_OSERR`) |
//! | 73 | the group secret cannot be made or read (`EX_CANTCREAT`) |
//! | 73 | a file of our own, the group secret's, cannot be made or used (`EX_CANTCREAT`) |
//! | 74 | the output cannot be written (`EX_IOERR`) |
//! | 76 | the program at the socket does not speak the protocol (`EX_PROTOCOL`) |
//! | 77 | no right to call (`EX_NOPERM`) |
//! | 78 | the configuration is wrong (`EX_CONFIG`) |
//! | 130 | ended by Ctrl-C |

use crate::client;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use std::io;
use std::process::ExitCode;

/// An exit status, `sysexits(3)` where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Refused by the gateway.
    Refused = 1,
    /// A ping that nobody answered, as FreeBSD's.
    NoReply = 2,
    /// `EX_USAGE`.
    Usage = 64,
    /// `EX_DATAERR`: something in a file is wrong.
    Data = 65,
    /// `EX_NOINPUT`: a file cannot be read.
    NoInput = 66,
    /// `EX_UNAVAILABLE`: no gateway at the socket.
    NoDaemon = 69,
    /// `EX_SOFTWARE`: a fault of our own.
    Software = 70,
    /// `EX_OSERR`: the system refused what the gateway needs.
    System = 71,
    /// `EX_CANTCREAT`: a file of our own cannot be made.
    CantCreate = 73,
    /// `EX_IOERR`.
    Io = 74,
    /// `EX_PROTOCOL`.
    Protocol = 76,
    /// `EX_NOPERM`.
    NoRight = 77,
    /// `EX_CONFIG`.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The words make no sense; the line says what would.
    #[error("{0}")]
    Usage(String),
    /// A line that is complete by itself, such as `delete net 10.0.0.0: not in table`.
    #[error("{line}")]
    Refused {
        /// What is printed.
        line: String,
        /// What the gateway said, for `--json`.
        error: CallError,
    },
    /// It is not there; the line is complete by itself.
    #[error("{0}")]
    Absent(String),
    /// Something in a file is wrong; the line names the place.
    #[error("{0}")]
    Data(String),
    /// A file cannot be read.
    #[error("{0}")]
    NoInput(String),
    /// Nobody answered a ping; the output has said so.
    #[error("no reply")]
    NoReply,
    /// The gateway did not answer, or refused.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The output failed.
    #[error("cannot write the output: {0}")]
    Io(#[from] io::Error),
}

impl Failure {
    /// The exit status that tells it. A reader that closed the pipe is no failure.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Refused { .. } | Self::Absent(_) => Exit::Refused,
            Self::Data(_) => Exit::Data,
            Self::NoInput(_) => Exit::NoInput,
            Self::NoReply => Exit::NoReply,
            Self::Client(client::Error::NoDaemon(_)) => Exit::NoDaemon,
            Self::Client(client::Error::NoRight(_)) => Exit::NoRight,
            Self::Client(client::Error::TooLong) => Exit::Usage,
            Self::Client(client::Error::Protocol { .. }) => Exit::Protocol,
            Self::Client(client::Error::Call(CallError::Refused(Reason::Denied, _))) => {
                Exit::NoRight
            }
            Self::Client(client::Error::Call(_) | client::Error::Ended(_)) => Exit::Refused,
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            Self::Io(_) => Exit::Io,
        }
    }

    /// The error object of a failure, for `--json`: the gateway's own, or what it would have said.
    pub fn call_error(&self) -> Option<CallError> {
        match self {
            Self::Refused { error, .. } | Self::Client(client::Error::Call(error)) => {
                Some(error.clone())
            }
            Self::Usage(line) | Self::Data(line) => Some(CallError::refused(Reason::Invalid, line)),
            Self::Absent(line) | Self::NoInput(line) => {
                Some(CallError::refused(Reason::NotFound, line))
            }
            Self::Client(error) => Some(CallError::refused(without(error), error.to_string())),
            // The output says so itself, or cannot be written.
            Self::NoReply | Self::Io(_) => None,
        }
    }
}

/// What a call without an answer is called.
const fn without(error: &client::Error) -> Reason {
    match error {
        client::Error::NoDaemon(_) => Reason::Unreachable,
        client::Error::NoRight(_) => Reason::Denied,
        client::Error::Ended(_) => Reason::Stopping,
        client::Error::TooLong => Reason::Invalid,
        client::Error::Protocol { .. } | client::Error::Call(_) => Reason::Malformed,
    }
}

/// A command line that cannot be read.
pub(crate) fn usage<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Usage(message.into()))
}
