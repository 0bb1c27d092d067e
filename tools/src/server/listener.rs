//! Accepts clients, checks who they are, and gives each a thread, up to [`CLIENTS`] at once.
//!
//! [`Server::stop`] wakes the listener by a byte in a socket pair, closes every connection and joins every thread, so
//! that nothing outlives the server.

use super::ServeError;
use super::SocketSpec;
use super::client;
use super::control;
use super::peer::Allowed;
use super::peer::Peer;
use super::socket::Listener;
use crate::wire::frame::write_message;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::message::Reply;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::unistd::Uid;
use std::io;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

/// Clients at once; one more is answered `Busy`.
const CLIENTS: usize = 64;

/// Of these, what others than the own user and root may have: one of them, and all together. So no member of the socket's
/// group keeps another out for long, and all of them together not the operator.
const CLIENTS_OF_A_MEMBER: usize = 16;
const CLIENTS_OF_MEMBERS: usize = 48;

/// When the server ends, it looks so often, so many milliseconds apart, whether the last answers are out.
const PARTING_LOOKS: u32 = 50;
const PARTING_MS: u64 = 10;

/// A served control socket.
#[derive(Debug)]
pub struct Server {
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

/// A control socket that nobody serves yet. Dropped, it is removed.
#[derive(Debug)]
pub struct Bound {
    listener: Listener,
    path: PathBuf,
}

impl Bound {
    /// Serves it with threads of its own.
    ///
    /// # Errors
    /// The system refuses a thread, or a pair of sockets to wake it by.
    pub fn serve(self, control: control::Handle) -> Result<Server, ServeError> {
        let Self { listener, path } = self;
        let failed = |error| ServeError::Io {
            path: path.clone(),
            error,
        };
        let (wake, woken) = UnixStream::pair().map_err(failed)?;
        let thread = thread::Builder::new()
            .name("fg-socket".into())
            .spawn(move || serve(&listener, &woken, &control))
            .map_err(failed)?;
        Ok(Server {
            wake,
            thread: Some(thread),
        })
    }
}

/// A client's thread, and its connection to close.
struct Client {
    /// Who it is, unless it is the own user or root.
    member: Option<Uid>,
    stream: UnixStream,
    thread: JoinHandle<()>,
}

impl Server {
    /// Binds the socket and serves it with threads of its own.
    ///
    /// # Errors
    /// One line that says what to do: see [`ServeError`].
    pub fn start(spec: &SocketSpec, control: control::Handle) -> Result<Self, ServeError> {
        Self::bind(spec)?.serve(control)
    }

    /// Binds the socket: who connects waits until it is served.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn bind(spec: &SocketSpec) -> Result<Bound, ServeError> {
        let listener = Listener::bind(spec)?;
        let path = spec.path.clone();
        match listener.listener.set_nonblocking(true) {
            Ok(()) => Ok(Bound { listener, path }),
            Err(error) => Err(ServeError::Io { path, error }),
        }
    }

    /// Ends every connection and removes the socket's file.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Fails only if the listener's end is closed, when it has ended already.
        let _ = self.wake.write_all(b"x");
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the control socket's thread panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn serve(listener: &Listener, woken: &UnixStream, control: &control::Handle) {
    let allowed = Allowed {
        uid: nix::unistd::geteuid(),
        group: listener.group.clone(),
    };
    let mut clients: Vec<Client> = Vec::new();
    while !wait(listener, woken) {
        clients.retain(|client| !client.thread.is_finished());
        match listener.listener.accept() {
            Ok((stream, _)) => {
                if let Some(client) = admit(stream, &allowed, &clients, control) {
                    clients.push(client);
                }
            }
            Err(error) if is_transient(&error) => {}
            // Out of descriptors or memory: the client waits in the backlog until some are free.
            Err(error) => {
                tracing::warn!("control socket: cannot accept: {error}");
                pause(100);
            }
        }
    }
    dismiss(clients);
}

/// Takes no more calls, lets the answers under way go out for a moment, then closes every connection.
fn dismiss(clients: Vec<Client>) {
    // A client that has gone needs no closing.
    let close = |how| {
        for client in &clients {
            let _ = client.stream.shutdown(how);
        }
    };
    close(Shutdown::Read);
    for _ in 0..PARTING_LOOKS {
        if clients.iter().all(|client| client.thread.is_finished()) {
            break;
        }
        pause(PARTING_MS);
    }
    close(Shutdown::Both);
    for client in clients {
        if client.thread.join().is_err() {
            tracing::error!("a control client's thread panicked");
        }
    }
}

/// Waits for a client; true when the server is to end.
fn wait(listener: &Listener, woken: &UnixStream) -> bool {
    let mut fds = [
        PollFd::new(listener.listener.as_fd(), PollFlags::POLLIN),
        PollFd::new(woken.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) => fds[1].any().unwrap_or(true),
        Err(nix::errno::Errno::EINTR) => false,
        Err(error) => {
            tracing::error!("control socket: cannot wait for clients: {error}");
            true
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "the I/O edge: nothing to wait on but time"
)]
fn pause(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

/// Starts the client's thread, or tells it why not.
fn admit(
    stream: UnixStream,
    allowed: &Allowed,
    clients: &[Client],
    control: &control::Handle,
) -> Option<Client> {
    // Accepted sockets block, but for these limits: a client that does not read ends itself.
    let limits = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_read_timeout(Some(client::PATIENCE)))
        .and_then(|()| stream.set_write_timeout(Some(client::PATIENCE)));
    let peer = Peer::of(&stream).map_err(io::Error::from);
    let (Ok(()), Ok(peer)) = (limits, peer) else {
        return None;
    };
    if let Err(refusal) = allowed.check(peer) {
        tracing::warn!("control socket: refused uid {}", peer.uid);
        return refuse(stream, CallError::refused(Reason::Denied, refusal));
    }
    let member = (!allowed.is_owner(peer)).then_some(peer.uid);
    if let Some(most) = full(clients, member) {
        let busy = format!("{most} clients are being served already: try again later");
        return refuse(stream, CallError::refused(Reason::Busy, busy));
    }
    let own = stream.try_clone().ok()?;
    let control = control.clone();
    let thread = thread::Builder::new()
        .name("fg-client".into())
        .spawn(move || client::serve(&own, &control))
        .ok()?;
    Some(Client {
        member,
        stream,
        thread,
    })
}

/// The limit that leaves no place for one more.
fn full(clients: &[Client], member: Option<Uid>) -> Option<usize> {
    let members = clients.iter().filter(|client| client.member.is_some());
    let own = members.clone().filter(|client| client.member == member);
    let limits = [
        (clients.len(), CLIENTS),
        (members.count(), CLIENTS_OF_MEMBERS),
        (own.count(), CLIENTS_OF_A_MEMBER),
    ];
    let concern = if member.is_some() { 3 } else { 1 };
    let hit = limits[..concern].iter().find(|(used, most)| used >= most);
    hit.map(|(_, most)| *most)
}

/// Says why, without waiting: the fresh socket's buffer has room for one message.
fn refuse(mut stream: UnixStream, error: CallError) -> Option<Client> {
    // Whoever does not read the answer does not need it.
    let _ = stream.set_nonblocking(true);
    let _ = write_message(&mut stream, &Reply::from(&error));
    None
}
