//! The rack's thread: joins the servers to the gateway's port in memory, and runs their timers.
//!
//! Owns the rack and the far ends of the port's queues. A server's answer goes back by the queue that the
//! question came by; what a timer sends goes by the first. A frame that the gateway does not take in time is
//! lost, as on a wire, and TCP sends it again.

use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use stack::io::mem::MemPeer;
use stack::io::poll::{Clock, Poller};

use super::addressing::ServerNo;
use super::rack::Rack;
use super::stage::Cables;

/// The pause between two runs of the servers' timers, in milliseconds.
const TIMER_MS: u64 = 10;
/// Frames taken from a queue before the others have their turn.
const BURST: usize = 64;
/// Longest frame that is taken: an Ethernet frame with room to spare.
const FRAME: usize = 2048;

/// The running rack; dropping it ends its thread.
pub(crate) struct Segment {
    commands: Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

enum Command {
    SetAlive(ServerNo, bool, Sender<()>),
    Stop,
}

impl Segment {
    /// Starts `servers` servers at the far ends of a port's queues.
    pub(crate) fn start(servers: u8, peers: Vec<MemPeer>, clock: Clock) -> io::Result<Self> {
        let (commands, inbox) = channel();
        let rack = Rack::new(servers, clock.ms());
        let wire = Wire {
            rack,
            peers,
            inbox,
            clock,
        };
        let thread = std::thread::Builder::new()
            .name("demo-rack".into())
            .spawn(move || wire.run())?;
        Ok(Self {
            commands,
            thread: Some(thread),
        })
    }
}

impl Cables for Segment {
    fn set_alive(&self, server: ServerNo, alive: bool) -> Result<(), String> {
        let gone = || "the rack's thread has ended".to_owned();
        let (reply, done) = channel();
        let command = Command::SetAlive(server, alive, reply);
        self.commands.send(command).map_err(|_| gone())?;
        done.recv().map_err(|_| gone())
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's state.
struct Wire {
    rack: Rack,
    peers: Vec<MemPeer>,
    inbox: Receiver<Command>,
    clock: Clock,
}

impl Wire {
    fn run(mut self) {
        let mut poller = Poller::new();
        let mut next_timers = 0;
        while self.obey() {
            let now = self.clock.ms();
            let is_busy = self.carry(now);
            if now >= next_timers {
                next_timers = now + TIMER_MS;
                if let Some(first) = self.peers.first_mut() {
                    self.rack.poll(now, &mut |frame| lossy(first, frame));
                }
            }
            if !is_busy
                && self
                    .sleep(&mut poller, next_timers.saturating_sub(now))
                    .is_err()
            {
                return;
            }
        }
    }

    /// Takes a burst from each queue; whether there was anything.
    fn carry(&mut self, now: u64) -> bool {
        let mut frame = [0; FRAME];
        let mut is_busy = false;
        for peer in &mut self.peers {
            for _ in 0..BURST {
                let Some(len) = peer.rx(&mut frame) else {
                    break;
                };
                is_busy = true;
                let frame = frame.get(..len).unwrap_or_default();
                self.rack
                    .input(frame, now, &mut |answer| lossy(peer, answer));
            }
        }
        is_busy
    }

    /// Sleeps until a frame comes, at most `ms` milliseconds.
    fn sleep(&self, poller: &mut Poller, ms: u64) -> io::Result<()> {
        self.peers.iter().for_each(MemPeer::prepare_sleep);
        let result = match self.peers.iter().all(MemPeer::is_empty) {
            true => poller
                .wait_each(self.peers.iter().filter_map(MemPeer::fd), Some(ms))
                .map(drop),
            false => Ok(()),
        };
        self.peers.iter().for_each(MemPeer::awake);
        result
    }

    /// Does what was asked; `false`: to end.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::SetAlive(server, alive, reply)) => {
                    self.rack.set_alive(server, alive);
                    let _ = reply.send(());
                }
                Err(TryRecvError::Empty) => return true,
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return false,
            }
        }
    }
}

/// A wire loses what its other end does not take.
fn lossy(peer: &mut MemPeer, frame: &[u8]) {
    let _ = peer.tx(frame);
}
