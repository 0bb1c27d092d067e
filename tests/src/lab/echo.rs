//! Echo servers that say who they are: one thread serves every server of the rack.
//!
//! A client sends a [`REQUEST`] of 8 bytes; the reply repeats it behind the server's number, so a client
//! knows who answered every single message.

use super::plan::ECHO_PORT;
use super::segment::Segment;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of a request.
pub const REQUEST: usize = 8;
/// Bytes of a reply: the server's number (big-endian, 4 bytes), then the request.
pub const REPLY: usize = 4 + REQUEST;

/// The number of the server that answers a fresh connection, if one does in time.
///
/// # Errors
/// No connection, or no echo on it, within `limit` each.
pub fn ask(service: SocketAddr, limit: Duration) -> io::Result<usize> {
    let mut stream = TcpStream::connect_timeout(&service, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(&[0; REQUEST])?;
    let mut reply = [0; REPLY];
    stream.read_exact(&mut reply)?;
    Ok(server_of(&reply))
}

/// Who sent a reply.
pub(super) fn server_of(reply: &[u8]) -> usize {
    let number = reply
        .first_chunk()
        .map_or(0, |number| u32::from_be_bytes(*number));
    usize::try_from(number).unwrap_or(0)
}

/// The servers; they end when this is dropped.
#[derive(Debug)]
pub struct EchoServers {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    served: Vec<AtomicU64>,
}

struct Listening {
    server: usize,
    socket: TcpListener,
}

struct Serving {
    server: usize,
    stream: TcpStream,
    inbox: Vec<u8>,
    closed: bool,
}

impl EchoServers {
    pub(super) fn start(segment: &Segment) -> Self {
        let served = segment.servers.iter().map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            served,
        });
        let listening = segment.servers.iter().flat_map(|server| {
            let sockets = server.listen(ECHO_PORT).into_iter();
            sockets.map(|socket| Listening {
                server: server.number,
                socket,
            })
        });
        let listening: Vec<_> = listening.collect();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || serve(&listening, &theirs));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    pub(super) fn served(&self) -> Vec<u64> {
        self.shared
            .served
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect()
    }
}

impl Drop for EchoServers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listening: &[Listening], shared: &Shared) {
    for one in listening {
        one.socket
            .set_nonblocking(true)
            .expect("a listening socket");
    }
    let mut serving: Vec<Serving> = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        wait(listening, &serving);
        for one in listening {
            serving.extend(accept(one));
        }
        for one in &mut serving {
            let echoed = one.answer();
            shared.served[one.server - 1].fetch_add(echoed, Ordering::Relaxed);
        }
        serving.retain(|one| !one.closed);
    }
}

/// Sleeps until something came, a tenth of a second at most.
fn wait(listening: &[Listening], serving: &[Serving]) {
    let listening = listening.iter().map(|one| one.socket.as_fd());
    let serving = serving.iter().map(|one| one.stream.as_fd());
    let mut set: Vec<_> = listening
        .chain(serving)
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    let _ = poll(&mut set, PollTimeout::from(100u8));
}

fn accept(listening: &Listening) -> Option<Serving> {
    let (stream, _) = listening.socket.accept().ok()?;
    stream.set_nonblocking(true).ok()?;
    stream.set_nodelay(true).ok()?;
    Some(Serving {
        server: listening.server,
        stream,
        inbox: Vec::new(),
        closed: false,
    })
}

impl Serving {
    /// Answers what came; says how many requests that were.
    fn answer(&mut self) -> u64 {
        let mut room = [0; 1024];
        match self.stream.read(&mut room) {
            Ok(0) => self.closed = true,
            Ok(len) => self.inbox.extend_from_slice(&room[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.closed = true,
        }
        let whole = self.inbox.len() / REQUEST * REQUEST;
        let server = u32::try_from(self.server)
            .expect("a server's number")
            .to_be_bytes();
        for request in self.inbox[..whole].chunks(REQUEST) {
            // A client has one request under way: a reply always fits the socket.
            self.closed |= self
                .stream
                .write_all(&[&server[..], request].concat())
                .is_err();
        }
        self.inbox.drain(..whole);
        (whole / REQUEST) as u64
    }
}
