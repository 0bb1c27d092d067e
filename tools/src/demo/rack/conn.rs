//! One TCP connection of a rack server: a smoltcp socket in a socket set of its own, and what serves it.
//!
//! A set per connection keeps the cost of a segment flat (smoltcp scans a set linearly), and a connection
//! is made by its own SYN, so no pool of listening sockets can run out. Owned by its host; one thread.

use smoltcp::iface::{Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpListenEndpoint, TcpSeqNumber};

use super::super::addressing::{ECHO_PORT, HTTP_PORT};
use super::host::Wire;
use super::http;

/// Bytes of each socket buffer: some tens of echo lines, or a request's head.
const BUFFER: usize = 2048;
/// Bytes of the longest line that echo answers; a longer one ends the connection.
const MAX_LINE: usize = 1024;
/// A peer that acknowledges nothing for so long is given up. Longer than any outage the demo makes.
const PEER_TIMEOUT: Duration = Duration::from_secs(120);
/// Segments sent for a connection in one go, so that one of them cannot hold up the segment.
const EGRESS_BURST: usize = 16;

/// A connection and its service.
pub(super) struct Conn {
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    /// The opener's initial sequence number: tells a repeated SYN from a new connection's.
    pub(super) isn: TcpSeqNumber,
    app: App,
    /// When it has something to do by itself; `None`: only when a segment comes.
    pub(super) due: Option<Instant>,
}

impl Conn {
    /// A socket that listens at `local`, for the SYN with the sequence number `isn` that is about to be fed
    /// to it. `None` if no service has that port.
    pub(super) fn listen(local: IpListenEndpoint, isn: TcpSeqNumber) -> Option<Self> {
        let app = App::at_port(local.port)?;
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket.set_timeout(Some(PEER_TIMEOUT));
        socket.listen(local).ok()?;
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Some(Self {
            sockets,
            handle,
            isn,
            app,
            due: None,
        })
    }

    /// Feeds the frame that `wire` holds, lets the service work, and sends what there is to send.
    pub(super) fn input(
        &mut self,
        iface: &mut Interface,
        wire: &mut Wire<'_>,
        now: Instant,
        name: &str,
    ) {
        iface.poll_ingress_single(now, wire, &mut self.sockets);
        self.drive(iface, wire, now, name);
    }

    /// Lets the service work and sends what is due: data, acknowledgements, retransmissions.
    pub(super) fn drive(
        &mut self,
        iface: &mut Interface,
        wire: &mut Wire<'_>,
        now: Instant,
        name: &str,
    ) {
        for _ in 0..EGRESS_BURST {
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.handle);
            self.app.step(socket, name);
            if iface.poll_egress(now, wire, &mut self.sockets) == PollResult::None {
                break;
            }
        }
        self.due = iface.poll_at(now, &self.sockets);
    }

    /// Whether nothing is left of it: closed, or its SYN was refused by the socket.
    pub(super) fn is_over(&self) -> bool {
        let state = self.sockets.get::<tcp::Socket<'_>>(self.handle).state();
        matches!(state, tcp::State::Closed | tcp::State::Listen)
    }
}

/// The service at the other end of a connection.
enum App {
    /// RFC 862, by lines, each answered with the server's name in front.
    Echo { line: Vec<u8> },
    /// One request, one answer.
    Http {
        head: Vec<u8>,
        answer: Option<Answer>,
    },
}

/// What is left to be sent of an HTTP answer.
struct Answer {
    bytes: Vec<u8>,
    sent: usize,
}

impl App {
    fn at_port(port: u16) -> Option<Self> {
        match port {
            ECHO_PORT => Some(Self::Echo { line: Vec::new() }),
            HTTP_PORT => Some(Self::Http {
                head: Vec::new(),
                answer: None,
            }),
            _ => None,
        }
    }

    /// Moves bytes between the socket and the service as far as both have any and room.
    fn step(&mut self, socket: &mut tcp::Socket<'_>, name: &str) {
        match self {
            Self::Echo { line } => echo(socket, line, name),
            Self::Http { head, answer } => serve_http(socket, head, answer, name),
        }
        // The peer has closed its side and all it sent is answered: close ours.
        if socket.state() == tcp::State::CloseWait && !socket.can_recv() {
            socket.close();
        }
    }
}

/// Answers whole lines while the answer fits into the socket; a line stays in `line` until it does.
fn echo(socket: &mut tcp::Socket<'_>, line: &mut Vec<u8>, name: &str) {
    loop {
        if !line.ends_with(b"\n") && !take_until(socket, line, b'\n', MAX_LINE) {
            break;
        }
        if line.len() > MAX_LINE {
            return socket.abort();
        }
        let room = socket.send_capacity() - socket.send_queue();
        if !line.ends_with(b"\n") || !socket.may_send() || room < name.len() + 1 + line.len() {
            break;
        }
        // The room was checked, so all three go in whole.
        for part in [name.as_bytes(), b" ", line] {
            let _ = socket.send_slice(part);
        }
        line.clear();
    }
}

/// Collects the request's head, then sends the answer as the socket takes it, then closes.
fn serve_http(
    socket: &mut tcp::Socket<'_>,
    head: &mut Vec<u8>,
    answer: &mut Option<Answer>,
    name: &str,
) {
    let over = |head: &[u8]| http::is_complete(head) || head.len() > http::MAX_HEAD;
    while answer.is_none() && !over(head) && take_until(socket, head, b'\n', http::MAX_HEAD) {}
    if answer.is_none() && over(head) {
        *answer = Some(Answer {
            bytes: http::respond(head, name),
            sent: 0,
        });
    }
    let Some(answer) = answer else { return };
    let rest = answer.bytes.get(answer.sent..).unwrap_or_default();
    if rest.is_empty() {
        socket.close();
    } else if let Ok(sent) = socket.send_slice(rest) {
        answer.sent += sent;
    }
}

/// Moves received bytes to `into`, up to and with the first `end`, or until it is longer than `limit`.
/// `false` if there were none.
fn take_until(socket: &mut tcp::Socket<'_>, into: &mut Vec<u8>, end: u8, limit: usize) -> bool {
    let room = (limit + 1).saturating_sub(into.len());
    let took = socket.recv(|bytes| {
        let upto = bytes
            .iter()
            .position(|&b| b == end)
            .map_or(bytes.len(), |at| at + 1)
            .min(room);
        into.extend_from_slice(&bytes[..upto]);
        (upto, upto)
    });
    took.is_ok_and(|n| n > 0)
}
