//! `ping` from the gateway itself, through its own output.
//!
//! A ping belongs to whoever started it and holds the other end of its channel: each request ends there as one
//! [`PingOutcome`]. It is over when all requests have ended, when it is stopped, or when that end is gone or full: the host
//! waits for nobody. Everything is bounded: [`PINGS`] at once, [`WAITING`] requests of one without an answer.

use super::echo::{self, ECHO_HEADER, EchoError, Said};
use crate::parse::IpMeta;
use crate::pkt::{Pkt, Pool};
use crate::ports::Ports;
use route::PortId;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::mpsc::SyncSender;

/// Pings at once.
pub const PINGS: usize = 16;

/// Requests of one ping that may wait for their answers; one more ends the oldest as [`PingEnd::Timeout`].
const WAITING: usize = 8192;

/// What to ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingSpec {
    /// The destination.
    pub addr: IpAddr,
    /// The port by whose link a link-local destination is reached (RFC 4007 §6); the routes say it when left out.
    pub port: Option<PortId>,
    /// The own address to ping from; when left out, one of the port that is next to the destination.
    pub source: Option<IpAddr>,
    /// How many requests; when left out, until it is stopped.
    pub count: Option<u64>,
    /// From one to the next, ms.
    pub interval_ms: u64,
    /// How long each waits for its answer, ms.
    pub wait_ms: u64,
    /// Data, bytes.
    pub size: usize,
}

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingOutcome {
    /// Which one, from 0; the packet carries its lower 16 bits.
    pub sequence: u64,
    /// How it ended.
    pub end: PingEnd,
}

/// The ways in which a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingEnd {
    /// It was answered.
    Reply {
        /// Bytes of the ICMP message.
        bytes: usize,
        /// The round trip, microseconds.
        rtt_us: u64,
        /// The reply's TTL or hop limit.
        ttl: u8,
    },
    /// Nobody answered in time.
    Timeout,
    /// Somebody on the way said that it does not get there.
    Error(EchoError),
}

/// Why a ping is not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingRefusal {
    /// [`PINGS`] are under way.
    TooMany,
    /// The gateway has no address of this family.
    NoSource,
}

/// The moment, as `now` in ms and in finer microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) ms: u64,
    pub(super) us: u64,
}

struct Ping {
    id: u64,
    spec: PingSpec,
    source: IpAddr,
    ident: u16,
    sent: u64,
    /// Sequence and time of what has no answer yet, the oldest first.
    waiting: VecDeque<(u64, u64)>,
    next_at: u64,
    told: SyncSender<PingOutcome>,
    abandoned: bool,
}

/// Pings under way.
#[derive(Default)]
pub(super) struct Pings {
    all: Vec<Ping>,
    last_id: u64,
}

impl Pings {
    pub(super) fn start(
        &mut self,
        spec: PingSpec,
        told: SyncSender<PingOutcome>,
        now: u64,
        ports: &Ports,
    ) -> Result<u64, PingRefusal> {
        if self.all.len() >= PINGS {
            return Err(PingRefusal::TooMany);
        }
        let source = spec.source.or_else(|| ports.source_for(&spec.addr));
        let source = source.ok_or(PingRefusal::NoSource)?;
        self.last_id += 1;
        let ident = self.free_ident();
        self.all.push(Ping {
            id: self.last_id,
            spec,
            source,
            ident,
            sent: 0,
            waiting: VecDeque::new(),
            next_at: now,
            told,
            abandoned: false,
        });
        Ok(self.last_id)
    }

    /// One that no ping under way has: there are more of them than pings.
    fn free_ident(&self) -> u16 {
        let mut ident = 0x4600 | (self.last_id as u16 & 0xff);
        while self.all.iter().any(|ping| ping.ident == ident) {
            ident = ident.wrapping_add(1);
        }
        ident
    }

    /// Ends one, unless it has ended already.
    pub(super) fn stop(&mut self, id: u64) {
        self.all.retain(|ping| ping.id != id);
    }

    /// When the next request or timeout is due, ms.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.all.iter().filter_map(Ping::due_at).min()
    }

    /// Ends what waited too long and sends what is due.
    pub(super) fn turn(&mut self, now: Moment, pool: &mut Pool, out: &mut Vec<Pkt>) {
        for ping in &mut self.all {
            ping.expire(now.us);
            if ping.has_more() && ping.next_at <= now.ms {
                ping.send(now, pool, out);
            }
        }
        self.all.retain(|ping| !ping.is_over());
    }

    /// A packet that came for us; true if a ping waited for it.
    pub(super) fn input(&mut self, meta: &IpMeta, packet: &[u8], us: u64) -> bool {
        let Some(about) = echo::read(meta, packet) else {
            return false;
        };
        let mine = |ping: &&mut Ping| ping.ident == about.ident && ping.spec.addr == about.dst;
        let Some(ping) = self.all.iter_mut().find(mine) else {
            return false;
        };
        ping.answered(about.seq, about.said, us);
        self.all.retain(|ping| !ping.is_over());
        true
    }
}

impl Ping {
    fn has_more(&self) -> bool {
        self.spec.count.is_none_or(|count| self.sent < count)
    }

    fn is_over(&self) -> bool {
        self.abandoned || (!self.has_more() && self.waiting.is_empty())
    }

    fn due_at(&self) -> Option<u64> {
        let send = self.has_more().then_some(self.next_at);
        let oldest = self.waiting.front();
        let timeout = oldest.map(|(_, sent)| sent.div_ceil(1000) + self.spec.wait_ms);
        send.into_iter().chain(timeout).min()
    }

    fn expire(&mut self, us: u64) {
        let wait = self.spec.wait_ms.saturating_mul(1000);
        while let Some(&(sequence, sent)) = self.waiting.front() {
            if us < sent.saturating_add(wait) && self.waiting.len() < WAITING {
                return;
            }
            self.waiting.pop_front();
            self.tell(sequence, PingEnd::Timeout);
        }
    }

    /// What finds no buffer, or no way later on, is not sent: it ends as a timeout.
    fn send(&mut self, now: Moment, pool: &mut Pool, out: &mut Vec<Pkt>) {
        let sequence = self.sent;
        self.sent += 1;
        self.waiting.push_back((sequence, now.us));
        // Whoever comes late sends one, not all that were due.
        self.next_at = (self.next_at + self.spec.interval_ms).max(now.ms + 1);
        let Some(mut pkt) = pool.take() else { return };
        let ends = (self.source, self.spec.addr);
        let (size, room) = (self.spec.size, pkt.space());
        match echo::write(ends, self.ident, sequence as u16, size, room) {
            Some(len) => {
                pkt.filled(len);
                pkt.asked = self.spec.port;
                out.push(pkt);
            }
            None => pool.put(pkt),
        }
    }

    /// A second answer, or one that came too late, says nothing new.
    fn answered(&mut self, seq: u16, said: Said, us: u64) {
        let at = self.waiting.iter().position(|(n, _)| *n as u16 == seq);
        let Some((sequence, sent)) = at.and_then(|at| self.waiting.remove(at)) else {
            return;
        };
        let end = match said {
            Said::Reply(bytes, ttl) => PingEnd::Reply {
                bytes,
                rtt_us: us.saturating_sub(sent),
                ttl,
            },
            Said::Error(error) => PingEnd::Error(error),
        };
        self.tell(sequence, end);
    }

    /// Who does not listen any more, or too slowly, ends the ping.
    fn tell(&mut self, sequence: u64, end: PingEnd) {
        self.abandoned |= self.told.try_send(PingOutcome { sequence, end }).is_err();
    }
}

/// The most data bytes that a request to `addr` can carry where packets have at most `mtu` bytes.
pub fn largest_ping(addr: &IpAddr, mtu: u32) -> usize {
    let header = if addr.is_ipv4() { 20 } else { 40 };
    (mtu as usize).saturating_sub(header + ECHO_HEADER)
}

#[cfg(test)]
mod tests;
