//! One client connection: a non-blocking kernel TCP socket that asks for one line after another.
//!
//! A state machine without a clock and without waiting: the driver tells it the time, that its socket may be
//! ready, or that its next line is due. It checks each answer itself: `c17 42` is to come back as
//! `srv3 c17 42`, always from the server that gave the first.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, connect, socket,
};

/// The pause between an answer and the next line, in milliseconds.
pub(crate) const CADENCE_MS: u64 = 50;
/// A connection that waits so long for an answer is called stalled, in milliseconds. The kernel's
/// retransmission timer starts at 200 ms and doubles, so that a shorter outage heals before.
pub(crate) const STALL_MS: u64 = 3000;
/// Bytes of the longest answer that is waited for.
const MAX_ANSWER: usize = 256;

/// A connection of the driver, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnId(pub(crate) u32);

/// Where a connection goes, and from which address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Source address; the kernel chooses the port.
    pub(crate) source: IpAddr,
    /// The service.
    pub(crate) service: SocketAddr,
}

/// How a connection broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// It was reset, or its opening refused.
    Reset,
    /// The other side closed it.
    Closed,
    /// No answer for [`STALL_MS`].
    Stalled,
    /// Another server answered than before.
    OtherServer(String),
    /// An answer that is none.
    Garbled(String),
    /// The kernel refused something else.
    Failed(ErrorKind),
}

impl Break {
    /// What it is counted under.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Stalled => "stalled",
            Self::OtherServer(_) => "answered by another server",
            Self::Garbled(_) => "garbled",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("reset"),
            Self::Closed => f.write_str("closed by the server"),
            Self::Stalled => f.write_str("stalled"),
            Self::OtherServer(name) => write!(f, "answered by {name}"),
            Self::Garbled(line) => write!(f, "garbled answer {line:?}"),
            Self::Failed(kind) => write!(f, "failed: {kind}"),
        }
    }
}

impl From<io::Error> for Break {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused | ErrorKind::BrokenPipe => {
                Self::Reset
            }
            // The kernel's own retransmissions ran out: the longest stall there is.
            ErrorKind::TimedOut => Self::Stalled,
            kind => Self::Failed(kind),
        }
    }
}

/// What the connection does now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// The handshake is under way since then.
    Opening { since: u64 },
    /// A line was sent then; its answer is awaited.
    Waiting { since: u64 },
    /// Answered; the next line is due then.
    Resting { until: u64 },
    /// Over.
    Broken(Break),
}

/// A client connection.
pub(super) struct Conn {
    id: ConnId,
    stream: TcpStream,
    local: SocketAddr,
    service: SocketAddr,
    phase: Phase,
    /// Asked to be silent once its answer is in.
    is_paused: bool,
    answers: u64,
    /// Bytes of the line that the socket has not taken yet.
    unsent: Vec<u8>,
    partial: Vec<u8>,
    server: Option<String>,
    slowest_ms: u64,
}

/// What the driver tells about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which one.
    pub(crate) id: ConnId,
    /// The client's end.
    pub(crate) local: SocketAddr,
    /// The service's end.
    pub(crate) service: SocketAddr,
    /// The server that answers, once one has.
    pub(crate) server: Option<String>,
    /// Answers received so far.
    pub(crate) answers: u64,
    /// It was asked to be silent, and has nothing outstanding.
    pub(crate) is_silent: bool,
    /// How it broke, if it did.
    pub(crate) broken: Option<Break>,
    /// The longest time it waited for an answer since the driver's last mark, in milliseconds.
    pub(crate) slowest_ms: u64,
}

impl Conn {
    /// Begins to open the connection `id`. The first line is sent when it is open.
    pub(super) fn open(id: ConnId, route: Route, now: u64) -> io::Result<Self> {
        let stream = TcpStream::from(begin_connect(route)?);
        stream.set_nodelay(true)?;
        Ok(Self {
            id,
            local: stream.local_addr()?,
            stream,
            service: route.service,
            phase: Phase::Opening { since: now },
            is_paused: false,
            answers: 0,
            unsent: Vec::new(),
            partial: Vec::new(),
            server: None,
            slowest_ms: 0,
        })
    }

    /// The socket, to be watched.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Something happened at the socket.
    pub(super) fn ready(&mut self, now: u64) {
        let result = match self.phase {
            Phase::Opening { since } => self.opened(since, now),
            Phase::Waiting { .. } | Phase::Resting { .. } => self.exchange(now),
            Phase::Broken(_) => Ok(()),
        };
        if let Err(how) = result {
            self.phase = Phase::Broken(how);
        }
    }

    /// Time has passed: sends the line that is due, or finds that it stalls.
    pub(super) fn tick(&mut self, now: u64) {
        match self.phase {
            Phase::Resting { until } if now >= until && !self.is_paused => self.ask(now),
            Phase::Opening { since } | Phase::Waiting { since } => {
                self.slowest_ms = self.slowest_ms.max(now.saturating_sub(since));
                if now.saturating_sub(since) >= STALL_MS {
                    self.phase = Phase::Broken(Break::Stalled);
                }
            }
            Phase::Resting { .. } | Phase::Broken(_) => {}
        }
    }

    /// Makes it silent after its outstanding answer, or lets it go on.
    pub(super) fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Begins a new measurement of [`Seen::slowest_ms`].
    pub(super) fn mark(&mut self) {
        self.slowest_ms = 0;
    }

    /// What is known of it.
    pub(super) fn seen(&self) -> Seen {
        Seen {
            id: self.id,
            local: self.local,
            service: self.service,
            server: self.server.clone(),
            answers: self.answers,
            is_silent: self.is_paused && matches!(self.phase, Phase::Resting { .. }),
            broken: match &self.phase {
                Phase::Broken(how) => Some(how.clone()),
                _ => None,
            },
            slowest_ms: self.slowest_ms,
        }
    }

    /// The handshake ended, well or not (or the wake-up was about nothing).
    fn opened(&mut self, since: u64, now: u64) -> Result<(), Break> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error.into());
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.slowest_ms = self.slowest_ms.max(now.saturating_sub(since));
                self.ask(now);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends the next line.
    fn ask(&mut self, now: u64) {
        self.unsent = format!("{}\n", self.question()).into_bytes();
        self.phase = match self.flush() {
            Ok(()) => Phase::Waiting { since: now },
            Err(how) => Phase::Broken(how),
        };
    }

    /// The line that is asked next, or whose answer is awaited.
    fn question(&self) -> String {
        format!("c{} {}", self.id.0, self.answers + 1)
    }

    fn flush(&mut self) -> Result<(), Break> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(taken) => drop(self.unsent.drain(..taken)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what there is, and judges whole lines.
    fn exchange(&mut self, now: u64) -> Result<(), Break> {
        self.flush()?;
        let mut bytes = [0; 512];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(Break::Closed),
                Ok(len) => self.partial.extend_from_slice(&bytes[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            while let Some(end) = self.partial.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.partial.drain(..=end).collect();
                self.judge(&String::from_utf8_lossy(&line[..end]), now)?;
            }
            if self.partial.len() > MAX_ANSWER {
                let head = &self.partial[..MAX_ANSWER];
                return Err(Break::Garbled(String::from_utf8_lossy(head).into_owned()));
            }
        }
        Ok(())
    }

    /// Judges one answer.
    fn judge(&mut self, answer: &str, now: u64) -> Result<(), Break> {
        let garbled = || Break::Garbled(answer.to_owned());
        let Phase::Waiting { since } = self.phase else {
            return Err(garbled());
        };
        let (server, echoed) = answer.split_once(' ').ok_or_else(garbled)?;
        if echoed != self.question() {
            return Err(garbled());
        }
        let first = self.server.get_or_insert_with(|| server.to_owned());
        if first != server {
            return Err(Break::OtherServer(server.to_owned()));
        }
        self.answers += 1;
        self.slowest_ms = self.slowest_ms.max(now.saturating_sub(since));
        self.phase = Phase::Resting {
            until: now + CADENCE_MS,
        };
        Ok(())
    }
}

/// A non-blocking socket bound to the source address, with its handshake begun.
fn begin_connect(route: Route) -> io::Result<OwnedFd> {
    let family = match route.service {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Stream, flags, None)?;
    match SocketAddr::new(route.source, 0) {
        SocketAddr::V4(addr) => bind(fd.as_raw_fd(), &SockaddrIn::from(addr)),
        SocketAddr::V6(addr) => bind(fd.as_raw_fd(), &SockaddrIn6::from(addr)),
    }?;
    let begun = match route.service {
        SocketAddr::V4(addr) => connect(fd.as_raw_fd(), &SockaddrIn::from(addr)),
        SocketAddr::V6(addr) => connect(fd.as_raw_fd(), &SockaddrIn6::from(addr)),
    };
    match begun {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(fd),
        Err(errno) => Err(errno.into()),
    }
}
