//! The other end of the control socket: one connection, calls one after the other.
//!
//! Invariant: whatever comes back (nothing, garbage, another program's messages) is an [`Error`], never a panic.
//! Used by the command line, the demo and tests; blocking; one thread.

use crate::wire::INTERFACE;
use crate::wire::MESSAGE_LIMIT;
use crate::wire::frame::FrameError;
use crate::wire::frame::FrameReader;
use crate::wire::frame::is_timeout;
use crate::wire::frame::write_message;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::message::Reply;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

mod path;

pub use path::SOCKET_VARIABLE;
pub use path::default_socket;
pub use path::named_socket;
pub use path::socket_or_default;

/// How long a gateway may be silent while it is waited for, unless [`Client::patience`] says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody serves the socket.
    #[error(
        "no flowgate answers at {}: start one with 'flowgate run --config FILE', or name its socket with --socket PATH or {SOCKET_VARIABLE}",
        .0.display()
    )]
    NoDaemon(PathBuf),
    /// The socket may not be opened.
    #[error(
        "no right to call the flowgate at {}: call as the user who started it, as root, or join the socket's group",
        .0.display()
    )]
    NoRight(PathBuf),
    /// The gateway refused the call.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The gateway ended while it was asked.
    #[error("the flowgate at {} has ended", .0.display())]
    Ended(PathBuf),
    /// What is to be asked does not fit into a message: the caller's, not the gateway's fault.
    #[error(
        "the command makes a message longer than {MESSAGE_LIMIT} bytes (1 MiB): say less at once, or use 'route load' for many routes"
    )]
    TooLong,
    /// What came back is not the protocol.
    #[error("the program at {} does not answer as a flowgate does: {what}", path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What was wrong.
        what: String,
    },
}

/// A [`crate::wire::message::Request`], written from what is asked as that is.
#[derive(Serialize)]
struct Asked<'a, P> {
    method: String,
    parameters: &'a P,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

/// A connection to a flowgate.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    reader: FrameReader<UnixStream>,
    patience: Option<Duration>,
    /// Whether it has answered once.
    answered: bool,
}

impl Client {
    /// Connects; the gateway may then be silent for [`PATIENCE`].
    ///
    /// # Errors
    /// `NoDaemon` or `NoRight`, with the remedy.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        match UnixStream::connect(path) {
            Ok(stream) => {
                let mut client = Self {
                    path: path.into(),
                    reader: FrameReader::new(stream),
                    patience: None,
                    answered: false,
                };
                client.patience(Some(PATIENCE))?;
                Ok(client)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Error::NoRight(path.into()))
            }
            Err(_) => Err(Error::NoDaemon(path.into())),
        }
    }

    /// How long the gateway may be silent, from message to message; `None`: for ever.
    ///
    /// # Errors
    /// The socket takes no such limit.
    pub fn patience(&mut self, patience: Option<Duration>) -> Result<(), Error> {
        let stream = self.reader.stream();
        let set = stream
            .set_read_timeout(patience)
            .and_then(|()| stream.set_write_timeout(patience.or(Some(PATIENCE))));
        set.map_err(|error| self.protocol(error))?;
        self.patience = patience;
        Ok(())
    }

    /// One call, one answer.
    ///
    /// # Errors
    /// The gateway's refusal, or `Protocol`.
    pub fn call<T: DeserializeOwned>(
        &mut self,
        name: &str,
        parameters: &impl Serialize,
    ) -> Result<T, Error> {
        self.send(name, parameters, false)?;
        let (value, _) = self.reply()?;
        self.read(&value)
    }

    /// Sends a call whose answer is read later, in its turn, by [`Self::answer`].
    ///
    /// # Errors
    /// `Protocol`.
    pub fn send_ahead(&mut self, name: &str, parameters: &impl Serialize) -> Result<(), Error> {
        self.send(name, parameters, false)
    }

    /// The answer of the oldest call that was sent ahead.
    ///
    /// # Errors
    /// The gateway's refusal, or `Protocol`.
    pub fn answer<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let (value, _) = self.reply()?;
        self.read(&value)
    }

    /// One call, any number of answers, each given to `each` with its JSON as it came; `each` may end it with `false`.
    ///
    /// # Errors
    /// The gateway's refusal, or `Protocol`; `each` has seen what came before.
    pub fn call_more<T: DeserializeOwned>(
        &mut self,
        name: &str,
        parameters: &impl Serialize,
        mut each: impl FnMut(T, &Value) -> bool,
    ) -> Result<(), Error> {
        self.send(name, parameters, true)?;
        loop {
            let (value, continues) = self.reply()?;
            if !each(self.read(&value)?, &value) || !continues {
                return Ok(());
            }
        }
    }

    /// A second handle of the connection: shutting it down ends a call that waits.
    ///
    /// # Errors
    /// The system gives no descriptor.
    pub fn closer(&self) -> io::Result<UnixStream> {
        self.reader.stream().try_clone()
    }

    fn send(&mut self, name: &str, parameters: &impl Serialize, more: bool) -> Result<(), Error> {
        let request = Asked {
            method: format!("{INTERFACE}.{name}"),
            parameters,
            more,
        };
        let mut stream = self.reader.stream();
        match write_message(&mut stream, &request) {
            // A gateway that refuses us has closed the connection, and its answer says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) if is_timeout(&error) => Err(self.silent()),
            // Nothing was written: see `write_message`.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Error::TooLong),
            sent => sent.map_err(|error| self.protocol(error)),
        }
    }

    fn reply(&mut self) -> Result<(Value, bool), Error> {
        let reply = match self.reader.next_message() {
            Ok(Some(message)) => Ok(serde_json::from_slice::<Reply>(message)),
            Ok(None) => Err(None),
            Err(error) => Err(Some(error)),
        };
        let reply = reply.map_err(|why| self.lost(why))?;
        let reply = reply.map_err(|error| self.protocol(error))?;
        self.answered = true;
        let continues = reply.continues;
        Ok((reply.outcome()?, continues))
    }

    fn read<T: DeserializeOwned>(&self, value: &Value) -> Result<T, Error> {
        T::deserialize(value).map_err(|error| self.protocol(error))
    }

    /// No message came: the connection was closed, or failed.
    fn lost(&self, why: Option<FrameError>) -> Error {
        let ended = || Error::Ended(self.path.clone());
        match why {
            Some(FrameError::Io(error)) if is_timeout(&error) => self.silent(),
            None | Some(FrameError::Io(_)) if self.answered || self.is_gone() => ended(),
            Some(FrameError::CutShort(_)) if self.is_gone() => ended(),
            None => self.protocol("it closed the connection without an answer"),
            Some(error) => self.protocol(error),
        }
    }

    /// Whether nobody serves the socket any more.
    fn is_gone(&self) -> bool {
        UnixStream::connect(&self.path).is_err()
    }

    /// Nothing came for as long as one waits.
    fn silent(&self) -> Error {
        let seconds = self.patience.unwrap_or(PATIENCE).as_secs_f64();
        let line = format!(
            "no answer in time: the flowgate at {} has said nothing for {seconds} s: it is busy or stopped; try again",
            self.path.display()
        );
        CallError::refused(Reason::Busy, line).into()
    }

    fn protocol(&self, what: impl std::fmt::Display) -> Error {
        Error::Protocol {
            path: self.path.clone(),
            what: what.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
