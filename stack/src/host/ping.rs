//! `ping` from the gateway itself, through its own output.

use super::checks::source_for;
use crate::ports::Ports;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpAddress, Ipv6Address};
use std::net::{IpAddr, Ipv6Addr};

/// What to ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingSpec {
    /// The destination.
    pub addr: IpAddr,
    /// How many requests.
    pub count: u32,
    /// From one to the next, ms.
    pub interval_ms: u64,
    /// Payload, bytes.
    pub size: usize,
}

/// How a ping went so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingReport {
    /// Requests sent.
    pub sent: u32,
    /// For each answer: sequence number and round trip, ms.
    pub answers: Vec<(u16, u64)>,
    /// Whether no more is to come.
    pub done: bool,
}

struct Ping {
    id: u64,
    spec: PingSpec,
    ident: u16,
    socket: Option<SocketHandle>,
    sent_at: Vec<u64>,
    next_at: u64,
    report: PingReport,
}

/// Pings under way and the last few that ended.
#[derive(Default)]
pub(super) struct Pings {
    all: Vec<Ping>,
    last_id: u64,
}

/// Reports kept.
const KEPT: usize = 16;

/// How long the last request may wait for its answer, ms.
const LINGER_MS: u64 = 1000;

/// Largest payload.
const SIZE_MAX: usize = 1400;

impl Pings {
    pub(super) fn start(
        &mut self,
        mut spec: PingSpec,
        now: u64,
        set: &mut SocketSet<'static>,
    ) -> u64 {
        spec.size = spec.size.min(SIZE_MAX);
        spec.count = spec.count.clamp(1, u32::from(u16::MAX));
        self.last_id += 1;
        if self.all.len() >= KEPT {
            let oldest = self.all.remove(0);
            if let Some(handle) = oldest.socket {
                set.remove(handle);
            }
        }
        let ident = 0x4600 | (self.last_id as u16 & 0xff);
        let buffer = || {
            icmp::PacketBuffer::new(
                vec![icmp::PacketMetadata::EMPTY; 8],
                vec![0; 8 * (SIZE_MAX + 8)],
            )
        };
        let mut socket = icmp::Socket::new(buffer(), buffer());
        let bound = socket.bind(icmp::Endpoint::Ident(ident)).is_ok();
        let socket = bound.then(|| set.add(socket));
        let report = PingReport {
            sent: 0,
            answers: Vec::new(),
            done: !bound,
        };
        self.all.push(Ping {
            id: self.last_id,
            spec,
            ident,
            socket,
            sent_at: Vec::new(),
            next_at: now,
            report,
        });
        self.last_id
    }

    pub(super) fn report(&self, id: u64) -> Option<PingReport> {
        self.all
            .iter()
            .find(|p| p.id == id)
            .map(|p| p.report.clone())
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.all
            .iter()
            .filter(|p| p.socket.is_some())
            .map(|p| p.next_at)
            .min()
    }

    /// Sends what is due; ends pings whose last answer did not come.
    pub(super) fn send_due(&mut self, now: u64, ports: &Ports, set: &mut SocketSet<'static>) {
        for ping in &mut self.all {
            let Some(handle) = ping.socket else { continue };
            if ping.next_at > now {
                continue;
            }
            if ping.report.sent == ping.spec.count {
                ping.end(set);
                continue;
            }
            ping.send(now, ports, set.get_mut::<icmp::Socket<'_>>(handle));
        }
    }

    /// Takes the answers that came.
    pub(super) fn collect(&mut self, now: u64, set: &mut SocketSet<'static>) {
        for ping in &mut self.all {
            let Some(handle) = ping.socket else { continue };
            let socket = set.get_mut::<icmp::Socket<'_>>(handle);
            while let Ok((bytes, from)) = socket.recv() {
                if IpAddr::from(from) == ping.spec.addr
                    && let Some(seq) = echo_reply_seq(bytes, ping.spec.addr.is_ipv4())
                    && let Some(&sent) = ping.sent_at.get(usize::from(seq))
                    && !ping.report.answers.iter().any(|(s, _)| *s == seq)
                {
                    ping.report.answers.push((seq, now - sent));
                }
            }
            if ping.report.answers.len() == ping.spec.count as usize {
                ping.end(set);
            }
        }
    }
}

impl Ping {
    fn end(&mut self, set: &mut SocketSet<'static>) {
        self.report.done = true;
        if let Some(handle) = self.socket.take() {
            set.remove(handle);
        }
    }

    fn send(&mut self, now: u64, ports: &Ports, socket: &mut icmp::Socket<'_>) {
        let seq = self.report.sent as u16;
        self.report.sent += 1;
        self.sent_at.push(now);
        let last = self.report.sent == self.spec.count;
        self.next_at = now
            + if last {
                LINGER_MS
            } else {
                self.spec.interval_ms.max(1)
            };
        let data = vec![0x66; self.spec.size];
        let remote = IpAddress::from(self.spec.addr);
        let checksums = ChecksumCapabilities::default();
        match self.spec.addr {
            IpAddr::V4(_) => {
                let repr = Icmpv4Repr::EchoRequest {
                    ident: self.ident,
                    seq_no: seq,
                    data: &data,
                };
                if let Ok(room) = socket.send(repr.buffer_len(), remote) {
                    repr.emit(&mut Icmpv4Packet::new_unchecked(room), &checksums);
                }
            }
            IpAddr::V6(dst) => {
                let source = match source_for(ports, &self.spec.addr) {
                    Some(IpAddr::V6(source)) => source,
                    _ => Ipv6Addr::UNSPECIFIED,
                };
                let repr = Icmpv6Repr::EchoRequest {
                    ident: self.ident,
                    seq_no: seq,
                    data: &data,
                };
                if let Ok(room) = socket.send(repr.buffer_len(), remote) {
                    let (src, dst): (Ipv6Address, Ipv6Address) = (source, dst);
                    repr.emit(
                        &src,
                        &dst,
                        &mut Icmpv6Packet::new_unchecked(room),
                        &checksums,
                    );
                }
            }
        }
    }
}

/// The sequence number, if this is an echo reply.
fn echo_reply_seq(bytes: &[u8], v4: bool) -> Option<u16> {
    let reply = if v4 { 0 } else { 129 };
    (bytes.first() == Some(&reply))
        .then(|| crate::parse::be16(bytes, 6))
        .flatten()
}
