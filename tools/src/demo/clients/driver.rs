//! The client thread: epoll over all connections, a tick every 5 ms, commands in between.

use std::io;
use std::sync::mpsc::{Receiver, Sender};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use stack::io::poll::Clock;

use super::conn::{Conn, ConnId, Route, Seen};

/// The pause between two looks at the connections' times, in milliseconds.
const TICK_MS: u16 = 5;
/// Events taken from the kernel at once.
const EVENTS: usize = 256;

/// What the handle asks of the thread.
pub(super) enum Command {
    Open(Vec<Route>, Sender<io::Result<Vec<ConnId>>>),
    Close(Vec<ConnId>, Sender<()>),
    Pause(Vec<ConnId>, bool, Sender<()>),
    Look {
        mark: bool,
        reply: Sender<Vec<Seen>>,
    },
    Stop,
}

/// The thread's state. A connection's id is its place here and is never used twice.
pub(super) struct Driver {
    inbox: Receiver<Command>,
    clock: Clock,
    epoll: Epoll,
    conns: Vec<Option<Conn>>,
}

impl Driver {
    pub(super) fn new(inbox: Receiver<Command>, clock: Clock) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self {
            inbox,
            clock,
            epoll,
            conns: Vec::new(),
        })
    }

    /// Runs until told to stop, or until the handle is gone.
    pub(super) fn run(mut self) {
        let mut events = [EpollEvent::empty(); EVENTS];
        let mut next_tick = 0;
        while self.obey() {
            let ready = match self.epoll.wait(&mut events, EpollTimeout::from(TICK_MS)) {
                Ok(count) => events.get(..count).unwrap_or_default(),
                Err(Errno::EINTR) => &[],
                Err(_) => return,
            };
            let now = self.clock.ms();
            for event in ready {
                if let Some(Some(conn)) = self.conns.get_mut(event.data() as usize) {
                    conn.ready(now);
                }
            }
            if now >= next_tick {
                self.conns
                    .iter_mut()
                    .flatten()
                    .for_each(|conn| conn.tick(now));
                next_tick = now + u64::from(TICK_MS);
            }
        }
    }

    /// Does what was asked; `false`: to end. An asker that went away needs no answer.
    fn obey(&mut self) -> bool {
        use std::sync::mpsc::TryRecvError;
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Open(routes, reply)) => drop(reply.send(self.open(&routes))),
                Ok(Command::Close(ids, reply)) => {
                    self.each(&ids, |conn| *conn = None);
                    let _ = reply.send(());
                }
                Ok(Command::Pause(ids, is_paused, reply)) => {
                    self.each(&ids, |conn| {
                        conn.iter_mut().for_each(|c| c.set_paused(is_paused))
                    });
                    let _ = reply.send(());
                }
                Ok(Command::Look { mark, reply }) => drop(reply.send(self.look(mark))),
                Err(TryRecvError::Empty) => return true,
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn open(&mut self, routes: &[Route]) -> io::Result<Vec<ConnId>> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        let mut ids = Vec::with_capacity(routes.len());
        for &route in routes {
            let id = ConnId(self.conns.len() as u32);
            let conn = Conn::open(id, route, self.clock.ms())?;
            self.epoll
                .add(conn.fd(), EpollEvent::new(flags, u64::from(id.0)))?;
            self.conns.push(Some(conn));
            ids.push(id);
        }
        Ok(ids)
    }

    fn each(&mut self, ids: &[ConnId], mut act: impl FnMut(&mut Option<Conn>)) {
        for id in ids {
            if let Some(conn) = self.conns.get_mut(id.0 as usize) {
                act(conn);
            }
        }
    }

    fn look(&mut self, mark: bool) -> Vec<Seen> {
        let seen = self.conns.iter().flatten().map(Conn::seen).collect();
        if mark {
            self.conns.iter_mut().flatten().for_each(Conn::mark);
        }
        seen
    }
}
