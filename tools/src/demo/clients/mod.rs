//! The clients: kernel TCP connections to the echo service, kept busy by one thread.
//!
//! [`Clients`] is the handle; the thread (`driver`) owns the sockets, waits with epoll and sends a line on each
//! connection every 50 ms or so; `conn` judges the answers. What they see is what a user of the
//! service would see: it knows nothing of the gateway.
//!
//! Every call is answered by the thread between two rounds of its loop, so within some milliseconds.

mod conn;
mod driver;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use stack::io::poll::Clock;

pub(crate) use conn::{Break, ConnId, Route, Seen};
use driver::{Command, Driver};

/// A handle to the client thread; dropping it closes all connections and ends the thread.
pub(crate) struct Clients {
    commands: Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Clients {
    /// Starts the thread, without connections.
    pub(crate) fn start(clock: Clock) -> io::Result<Self> {
        let (commands, inbox) = channel();
        let driver = Driver::new(inbox, clock)?;
        let thread = std::thread::Builder::new()
            .name("demo-clients".into())
            .spawn(move || driver.run())?;
        Ok(Self {
            commands,
            thread: Some(thread),
        })
    }

    /// Begins to open a connection for each route; the ids are in the same order.
    pub(crate) fn open(&self, routes: Vec<Route>) -> io::Result<Vec<ConnId>> {
        self.ask(|reply| Command::Open(routes, reply))?
    }

    /// Closes connections and forgets them.
    pub(crate) fn close(&self, ids: Vec<ConnId>) -> io::Result<()> {
        self.ask(|reply| Command::Close(ids, reply))
    }

    /// Makes connections silent once their outstanding answer is in, or busy again.
    pub(crate) fn set_paused(&self, ids: Vec<ConnId>, is_paused: bool) -> io::Result<()> {
        self.ask(|reply| Command::Pause(ids, is_paused, reply))
    }

    /// What each connection has seen so far, and begins new measurements of the slowest answer if `mark` says so.
    pub(crate) fn look(&self, mark: bool) -> io::Result<Vec<Seen>> {
        self.ask(|reply| Command::Look { mark, reply })
    }

    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> io::Result<T> {
        let gone = || io::Error::other("the client thread has ended");
        let (reply, answer) = channel();
        self.commands.send(command(reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
