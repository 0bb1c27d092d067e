//! Health checks: a TCP connection to a server, again and again, through the gateway's own output.

use super::roll::Hearing;
use crate::ports::Ports;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, State};
use smoltcp::wire::IpAddress;
use std::net::{IpAddr, SocketAddr};

/// A check's number, as the configuration counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckId(pub u32);

/// One health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its number.
    pub id: CheckId,
    /// The next hop that it speaks for.
    pub gateway: IpAddr,
    /// Where it connects: by default the gateway itself.
    pub server: SocketAddr,
    /// From the start of one attempt to the next, ms.
    pub interval_ms: u64,
    /// How long an attempt may take, ms.
    pub timeout_ms: u64,
    /// Failures in a row that make it down.
    pub tries: u32,
}

/// How a check stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckState {
    /// The check.
    pub check: Check,
    /// What was last reported: it answers, it does not, nothing yet.
    pub up: Option<bool>,
    /// Connections made.
    pub successes: u64,
    /// Attempts that failed.
    pub failures: u64,
}

struct Running {
    state: CheckState,
    failed_in_a_row: u32,
    /// Attempts in a row that meant nothing.
    excused: u32,
    next_at: u64,
    attempt: Option<Attempt>,
}

/// A connection that is being made.
struct Attempt {
    socket: SocketHandle,
    deadline: u64,
    /// Its time is over; whether that means anything is not known yet.
    overdue: bool,
}

/// What became of attempts.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Checks whose verdict changed.
    pub(super) changed: Vec<(CheckId, bool)>,
    /// Some are overdue.
    pub(super) overdue: bool,
}

/// All checks.
pub(super) struct Checks {
    running: Vec<Running>,
    closing: Vec<SocketHandle>,
    next_port: u16,
}

/// Attempts in a row that need not count, at most: who never listens must not hide for ever who is silent.
const EXCUSES: u32 = 4;

/// Source ports of checks: the first of the dynamic range (RFC 6335 §6).
const PORT_BASE: u16 = 49_152;

impl Checks {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            running: Vec::new(),
            closing: Vec::new(),
            next_port: PORT_BASE + (seed % 8192) as u16,
        }
    }

    /// Replaces the set; checks that are unchanged keep their state.
    pub(super) fn set(&mut self, checks: Vec<Check>, now: u64, set: &mut SocketSet<'static>) {
        let mut old = std::mem::take(&mut self.running);
        for check in checks {
            let kept = old
                .iter()
                .position(|r| r.state.check == check)
                .map(|i| old.swap_remove(i));
            self.running.push(kept.unwrap_or(Running {
                state: CheckState {
                    check,
                    up: None,
                    successes: 0,
                    failures: 0,
                },
                failed_in_a_row: 0,
                excused: 0,
                next_at: now,
                attempt: None,
            }));
        }
        for attempt in old.into_iter().filter_map(|r| r.attempt) {
            set.get_mut::<tcp::Socket<'_>>(attempt.socket).abort();
            self.closing.push(attempt.socket);
        }
    }

    /// Starts the attempts that are due.
    pub(super) fn start_due(
        &mut self,
        now: u64,
        ports: &Ports,
        iface: &mut Interface,
        set: &mut SocketSet<'static>,
    ) {
        for running in &mut self.running {
            if running.attempt.is_some() || running.next_at > now {
                continue;
            }
            running.next_at = now + running.state.check.interval_ms;
            self.next_port = if self.next_port == u16::MAX {
                PORT_BASE
            } else {
                self.next_port + 1
            };
            let server = running.state.check.server;
            let Some(source) = ports.source_for(&server.ip()) else {
                continue;
            };
            let mut socket = tcp::Socket::new(
                tcp::SocketBuffer::new(vec![0; 64]),
                tcp::SocketBuffer::new(vec![0; 64]),
            );
            let remote = (IpAddress::from(server.ip()), server.port());
            let local = (IpAddress::from(source), self.next_port);
            if socket.connect(iface.context(), remote, local).is_ok() {
                running.attempt = Some(Attempt {
                    socket: set.add(socket),
                    deadline: now + running.state.check.timeout_ms,
                    overdue: false,
                });
            }
        }
    }

    /// Looks at the attempts under way. One whose time is over has failed if the answer could have been heard; if not, it
    /// means nothing, for some times in a row, and the next one begins.
    pub(super) fn finish(
        &mut self,
        now: u64,
        hearing: Hearing,
        set: &mut SocketSet<'static>,
    ) -> Finished {
        let mut finished = Finished::default();
        for running in &mut self.running {
            let Some(attempt) = &mut running.attempt else {
                continue;
            };
            let socket = set.get_mut::<tcp::Socket<'_>>(attempt.socket);
            let ok = socket.may_send();
            let answered = ok || socket.state() == State::Closed;
            if !answered && now < attempt.deadline {
                continue;
            }
            if !answered && hearing == Hearing::Unknown {
                attempt.overdue = true;
                finished.overdue = true;
                continue;
            }
            socket.abort();
            self.closing.push(attempt.socket);
            running.attempt = None;
            if !answered && hearing == Hearing::Patchy && running.excused < EXCUSES {
                running.excused += 1;
                running.next_at = now;
            } else if let Some(up) = running.verdict(ok) {
                finished.changed.push((running.state.check.id, up));
            }
        }
        finished
    }

    /// Frees sockets whose last segment is out.
    pub(super) fn remove_closed(&mut self, set: &mut SocketSet<'static>) {
        for handle in self.closing.drain(..) {
            set.remove(handle);
        }
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.running.iter().filter_map(Running::next_at).min()
    }

    pub(super) fn states(&self) -> Vec<(CheckId, CheckState)> {
        self.running
            .iter()
            .map(|r| (r.state.check.id, r.state.clone()))
            .collect()
    }
}

impl Running {
    /// When it is to be looked at. One that is overdue waits for the roll.
    fn next_at(&self) -> Option<u64> {
        match &self.attempt {
            None => Some(self.next_at),
            Some(attempt) => (!attempt.overdue).then_some(attempt.deadline),
        }
    }

    /// Counts an attempt; says whether that changes the verdict.
    fn verdict(&mut self, ok: bool) -> Option<bool> {
        if ok {
            self.state.successes += 1;
            (self.failed_in_a_row, self.excused) = (0, 0);
            return (self.state.up.replace(true) != Some(true)).then_some(true);
        }
        self.state.failures += 1;
        self.failed_in_a_row += 1;
        let down = self.failed_in_a_row >= self.state.check.tries;
        (down && self.state.up.replace(false) != Some(false)).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(tries: u32) -> Running {
        let check = Check {
            id: CheckId(0),
            gateway: "192.0.2.1".parse().unwrap(),
            server: "192.0.2.1:80".parse().unwrap(),
            interval_ms: 1000,
            timeout_ms: 500,
            tries,
        };
        let state = CheckState {
            check,
            up: None,
            successes: 0,
            failures: 0,
        };
        Running {
            state,
            failed_in_a_row: 0,
            excused: 0,
            next_at: 0,
            attempt: None,
        }
    }

    #[test]
    fn a_check_is_down_after_its_tries_in_a_row_and_up_after_one_success() {
        let mut check = running(3);
        assert_eq!(check.verdict(true), Some(true));
        assert_eq!(check.verdict(true), None);
        assert_eq!((check.verdict(false), check.verdict(false)), (None, None));
        assert_eq!(check.verdict(true), None);
        assert_eq!((check.verdict(false), check.verdict(false)), (None, None));
        assert_eq!(check.verdict(false), Some(false));
        assert_eq!(check.verdict(false), None);
        assert_eq!(check.verdict(true), Some(true));
    }
}
