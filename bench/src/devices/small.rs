//! Small packets: what one costs Flowgate more than the bare loop.
//!
//! Both stand ready on devices of their own and take turns of a fraction of a second, so that what the machine does meanwhile
//! meets both alike. What counts is the CPU time of the forwarding thread alone, a packet.

use super::place::{End, Ends, said};
use super::report::{At, Report};
use super::{Job, Of, Way, cpu, start};
use crate::clock::now;
use crate::common::stats::Summary;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// What a datagram carries, bytes.
const PAYLOAD: [u8; 16] = [0; 16];

/// Before a turn is counted: queues fill, caches warm.
const LEAD: Duration = Duration::from_millis(30);

/// Hosts that datagrams go to; nobody has their addresses, so the kernel behind drops what comes without a word.
const HOSTS: std::ops::Range<u8> = 10..250;

/// One forwarder, and who sends through it.
struct Lane {
    _ends: Ends,
    forwarder: Box<dyn super::Forwarder>,
    way: Way,
    socket: UdpSocket,
    to: Vec<SocketAddr>,
}

/// Medians over the turns, ns a packet.
struct Small {
    bare: Summary,
    flowgate: Summary,
    /// Of the differences between turns that follow each other.
    more: Summary,
    flows: usize,
}

/// Measures each number of flows and prints what it costs.
pub(super) fn measure(job: &Job, report: &mut Report) -> Result<(), String> {
    for &flows in &job.flows {
        pairs(job, flows, report)?.print();
    }
    Ok(())
}

/// Measures `job.pairs` turns of each.
fn pairs(job: &Job, flows: usize, report: &mut Report) -> Result<Small, String> {
    let bare = Lane::new(Way::Bare, job, flows)?;
    let flowgate = Lane::new(Way::Flowgate, job, flows)?;
    let span = Duration::from_millis(job.turn_ms as u64);
    let mut rows = Vec::with_capacity(job.pairs);
    for pair in 0..job.pairs {
        // Who begins changes, so that neither always comes second.
        let (first, second) = if pair % 2 == 0 {
            (&bare, &flowgate)
        } else {
            (&flowgate, &bare)
        };
        let (one, other) = (first.turn(span)?, second.turn(span)?);
        let row = if pair % 2 == 0 {
            (one, other)
        } else {
            (other, one)
        };
        let run = &format!("{flows} flow(s) of small packets");
        for (way, ns) in [(Way::Bare, row.0), (Way::Flowgate, row.1)] {
            let (turn, way) = (pair, way.name());
            report.add_quietly(At { turn, way, run }, &[("cpu_ns_a_packet", ns)])?;
        }
        rows.push(row);
    }
    let of = |f: fn(&(f64, f64)) -> f64| {
        let numbers: Vec<f64> = rows.iter().map(f).collect();
        Summary::of(&numbers).ok_or("no turn")
    };
    Ok(Small {
        bare: of(|row| row.0)?,
        flowgate: of(|row| row.1)?,
        more: of(|row| row.1 - row.0)?,
        flows,
    })
}

impl Small {
    fn print(&self) {
        println!(
            "CPU a packet, {}-byte datagrams, {} flow(s): bare loop {:.0} ns, flowgate {:.0} ns; more by {:.0} ns \
             (single pairs {:.0} to {:.0})",
            PAYLOAD.len(),
            self.flows,
            self.bare.median,
            self.flowgate.median,
            self.more.median,
            self.more.min,
            self.more.max
        );
    }
}

impl Lane {
    fn new(way: Way, job: &Job, flows: usize) -> Result<Self, String> {
        let (ends, forwarder) = start(way, job)?;
        let socket = sender(&ends.client)?;
        let [a, b, c, host] = ends.server.host.octets();
        // Behind a cable a host must have the address, or nobody would answer for it.
        let hosts = if job.device == Of::Tun {
            HOSTS
        } else {
            host..host + 1
        };
        let to = (0..flows).map(|flow| {
            let host = hosts.start + (flow % hosts.len()) as u8;
            SocketAddr::from(([a, b, c, host], 9000 + (flow / hosts.len()) as u16))
        });
        Ok(Self {
            to: to.collect(),
            _ends: ends,
            forwarder,
            way,
            socket,
        })
    }

    /// CPU time a packet, ns, of `span` under as many datagrams as it takes.
    fn turn(&self, span: Duration) -> Result<f64, String> {
        let mut flow = self.to.iter().cycle();
        self.flood(LEAD, &mut flow)?;
        let before = (self.forwarder.forwarded(), cpu::forwarding_ns(self.way));
        self.flood(span, &mut flow)?;
        let packets = self.forwarder.forwarded() - before.0;
        let ns = cpu::forwarding_ns(self.way).saturating_sub(before.1);
        match packets {
            0 => Err(format!("{}: nothing was forwarded", self.way.name())),
            _ => Ok(ns as f64 / packets as f64),
        }
    }

    fn flood<'a>(
        &self,
        span: Duration,
        flow: &mut impl Iterator<Item = &'a SocketAddr>,
    ) -> Result<(), String> {
        let began = now();
        while now() - began < span {
            for to in flow.take(64) {
                // A device queue that is full says so; that is what is wanted.
                let _ = self.socket.send_to(&PAYLOAD, to);
            }
        }
        Ok(())
    }
}

fn sender(end: &End) -> Result<UdpSocket, String> {
    end.enter(|| UdpSocket::bind((end.host, 0)))?.map_err(said)
}
