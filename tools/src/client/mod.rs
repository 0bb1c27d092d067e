//! The other end of the control socket: one connection, calls one after the other.
//!
//! Invariant: whatever comes back (nothing, garbage, another program's messages) is an [`Error`], never a panic.
//! Used by the command line, the demo and tests; blocking; one thread.

use crate::wire::INTERFACE;
use crate::wire::frame::FrameError;
use crate::wire::frame::FrameReader;
use crate::wire::frame::write_message;
use crate::wire::message::CallError;
use crate::wire::message::Reply;
use crate::wire::message::Request;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;

mod path;

pub use path::SOCKET_VARIABLE;
pub use path::default_socket;
pub use path::socket_or_default;

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
    /// What came back is not the protocol.
    #[error("the program at {} does not answer as a flowgate does: {what}", path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What was wrong.
        what: String,
    },
}

/// A connection to a flowgate.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    reader: FrameReader<UnixStream>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// `NoDaemon` or `NoRight`, with the remedy.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        match UnixStream::connect(path) {
            Ok(stream) => Ok(Self {
                path: path.into(),
                reader: FrameReader::new(stream),
            }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Error::NoRight(path.into()))
            }
            Err(_) => Err(Error::NoDaemon(path.into())),
        }
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
        let parameters = serde_json::to_value(parameters).map_err(|e| self.protocol(e))?;
        let method = format!("{INTERFACE}.{name}");
        let request = Request {
            method,
            parameters,
            more,
            oneway: false,
        };
        let mut stream = self.reader.stream();
        match write_message(&mut stream, &request) {
            // A gateway that refuses us has closed the connection, and its answer says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent.map_err(|error| self.protocol(error)),
        }
    }

    fn reply(&mut self) -> Result<(Value, bool), Error> {
        let reply = match self.reader.next_message() {
            Ok(Some(message)) => {
                serde_json::from_slice::<Reply>(message).map_err(|e| e.to_string())
            }
            Ok(None) => Err("it closed the connection without an answer".into()),
            Err(FrameError::Io(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let reply = reply.map_err(|what| self.protocol(what))?;
        let continues = reply.continues;
        Ok((reply.outcome()?, continues))
    }

    fn read<T: DeserializeOwned>(&self, value: &Value) -> Result<T, Error> {
        T::deserialize(value).map_err(|error| self.protocol(error))
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
