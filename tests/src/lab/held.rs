//! Connections that are held for the whole of a test and kept busy: an echo every 50 ms on each.
//!
//! One thread drives them all and records for each which server answers, how often, and how it broke
//! if it did. A test looks at a [`Census`] before and after what it does to the gateway.

use super::echo::{REPLY, REQUEST, server_of};
use super::{PATIENCE, eventually};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(50);

/// One connection as its client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The client's end.
    pub client: SocketAddr,
    /// The end that it connected to.
    pub service: SocketAddr,
    /// The number of the server that answers it; it has answered at least once.
    pub server: usize,
    /// How many messages came back.
    pub echoes: u64,
    /// How it broke.
    pub broken: Option<String>,
}

/// All connections at one moment, in the order in which they were opened.
#[derive(Clone, Debug)]
pub struct Census(pub Vec<View>);

impl Census {
    /// How many connections each server has, broken ones left out.
    pub fn by_server(&self) -> BTreeMap<usize, usize> {
        let mut count = BTreeMap::new();
        for view in self.0.iter().filter(|view| view.broken.is_none()) {
            *count.entry(view.server).or_default() += 1;
        }
        count
    }

    /// Those that broke.
    pub fn broken(&self) -> Vec<&View> {
        self.0.iter().filter(|view| view.broken.is_some()).collect()
    }

    /// Those of one server.
    pub fn of(&self, server: usize) -> Vec<&View> {
        self.0.iter().filter(|view| view.server == server).collect()
    }
}

/// The connections; closed when this is dropped.
#[derive(Debug)]
pub struct Held {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    views: Mutex<Vec<View>>,
}

impl Shared {
    fn views(&self) -> MutexGuard<'_, Vec<View>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Opens `count` connections, to the services in turn, and waits for the first echo on each.
    ///
    /// # Panics
    /// One cannot be opened or is not answered.
    pub fn open(services: &[SocketAddr], count: usize) -> Self {
        let conns: Vec<_> = services
            .iter()
            .cycle()
            .take(count)
            .enumerate()
            .map(|(n, to)| Conn::open(n, *to))
            .collect();
        let views = conns.iter().map(|conn| conn.view.clone()).collect();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            views: Mutex::new(views),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || drive(conns, &theirs));
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// How they stand.
    pub fn census(&self) -> Census {
        Census(self.shared.views().clone())
    }

    /// Waits until each connection has had `rounds` more echoes or broke. Returns those that stalled
    /// instead, for [`PATIENCE`].
    pub fn stalled_after(&self, rounds: u64) -> Vec<View> {
        self.stalled_among(&|_| true, rounds)
    }

    /// The same of some of the connections.
    pub fn stalled_among(&self, some: &dyn Fn(&&View) -> bool, rounds: u64) -> Vec<View> {
        let before = self.census();
        let waits = |now: &View, then: &View| {
            some(&now) && now.broken.is_none() && now.echoes < then.echoes + rounds
        };
        let waiting = || {
            let pairs = self.census().0.into_iter().zip(&before.0);
            pairs
                .filter(|(now, then)| waits(now, then))
                .map(|(now, _)| now)
                .collect::<Vec<_>>()
        };
        if eventually(|| waiting().is_empty()) {
            Vec::new()
        } else {
            waiting()
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Conn {
    stream: TcpStream,
    view: View,
    /// Names the connection in each of its requests.
    id: u32,
    sent: u32,
    inbox: Vec<u8>,
    due: Instant,
    awaits: bool,
}

impl Conn {
    fn open(number: usize, service: SocketAddr) -> Self {
        let fail = |what: &str, e: std::io::Error| -> ! {
            panic!("connection {number} to {service}: {what}: {e}")
        };
        let stream = TcpStream::connect_timeout(&service, PATIENCE)
            .unwrap_or_else(|e| fail("cannot connect", e));
        stream
            .set_nodelay(true)
            .unwrap_or_else(|e| fail("no delay", e));
        stream
            .set_read_timeout(Some(PATIENCE))
            .unwrap_or_else(|e| fail("time limit", e));
        let client = stream
            .local_addr()
            .unwrap_or_else(|e| fail("its own end", e));
        let view = View {
            client,
            service,
            server: 0,
            echoes: 0,
            broken: None,
        };
        let id = u32::try_from(number).expect("a connection's number");
        let due = Instant::now();
        let mut conn = Self {
            stream,
            view,
            id,
            sent: 0,
            inbox: Vec::new(),
            due,
            awaits: false,
        };
        conn.greet();
        conn.stream
            .set_nonblocking(true)
            .unwrap_or_else(|e| fail("non-blocking", e));
        conn
    }

    /// The first echo, waited for: from it the client knows its server.
    fn greet(&mut self) {
        self.send();
        let mut reply = [0; REPLY];
        if let Err(error) = self.stream.read_exact(&mut reply) {
            panic!(
                "{} gets no echo from {}: {error}",
                self.view.client, self.view.service
            );
        }
        self.view.server = server_of(&reply);
        self.take(&reply);
    }

    fn request(&self) -> [u8; REQUEST] {
        ((u64::from(self.id) << 32) | u64::from(self.sent)).to_be_bytes()
    }

    fn send(&mut self) {
        self.sent += 1;
        self.awaits = true;
        self.due = Instant::now() + PAUSE;
        if let Err(error) = self.stream.write_all(&self.request()) {
            self.breaks(format!("cannot send: {error}"));
        }
    }

    fn take(&mut self, reply: &[u8]) {
        if server_of(reply) != self.view.server {
            self.breaks(format!("answered by server {}", server_of(reply)));
        } else if reply[4..] != self.request() {
            self.breaks("another message came back".to_owned());
        } else {
            self.view.echoes += 1;
            self.awaits = false;
        }
    }

    fn receive(&mut self) {
        let mut room = [0; 256];
        match self.stream.read(&mut room) {
            Ok(0) => self.breaks("closed by the server".to_owned()),
            Ok(len) => self.inbox.extend_from_slice(&room[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.breaks(error.to_string()),
        }
        while self.inbox.len() >= REPLY {
            let reply: Vec<_> = self.inbox.drain(..REPLY).collect();
            self.take(&reply);
        }
    }

    fn breaks(&mut self, how: String) {
        self.view.broken.get_or_insert(how);
    }

    fn is_open(&self) -> bool {
        self.view.broken.is_none()
    }
}

fn drive(mut conns: Vec<Conn>, shared: &Shared) {
    while !shared.stop.load(Ordering::Relaxed) {
        wait(&conns);
        let now = Instant::now();
        for conn in conns.iter_mut().filter(|conn| conn.is_open()) {
            conn.receive();
            if conn.is_open() && !conn.awaits && conn.due <= now {
                conn.send();
            }
        }
        shared.views().clone_from_slice(&views(&conns));
    }
}

fn views(conns: &[Conn]) -> Vec<View> {
    conns.iter().map(|conn| conn.view.clone()).collect()
}

/// Sleeps until something came, 10 ms at most: a connection may be due.
fn wait(conns: &[Conn]) {
    let open = conns.iter().filter(|conn| conn.is_open());
    let mut set: Vec<_> = open
        .map(|conn| PollFd::new(conn.stream.as_fd(), PollFlags::POLLIN))
        .collect();
    let _ = poll(&mut set, PollTimeout::from(10u8));
}
