//! A capture as a port: what it holds comes in at its times, what the gateway sends is written down.

use super::answer::{answer, station};
use super::read::{BadCapture, Capture, Record};
use super::write::Writer;
use crate::io::{Queue, Tx};
use crate::pkt::{Pkt, Pool};
use crate::ports::Layer;
use crate::vlan::{ADDRESSES, TPID};
use arp::{Mac, ether_header};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Length of an Ethernet header.
const ETHER: usize = 14;
/// Answers that wait to be received, at most.
const ANSWERS: usize = 4096;

/// The time by which captures are played, ns since 1970: who plays them sets it.
#[derive(Clone, Debug, Default)]
pub struct PlayTime(Arc<AtomicU64>);

impl PlayTime {
    /// Sets it.
    pub fn set(&self, ns: u64) {
        self.0.store(ns, Ordering::Release);
    }

    /// What it is.
    pub fn ns(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What a capture's port is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manner {
    /// What frames look like at the gateway: those of the capture get or lose their Ethernet header.
    pub layer: Layer,
    /// Frames to one station are taken for the gateway's, whatever their destination.
    pub for_us: bool,
    /// Questions for neighbours are answered.
    pub answers: bool,
    /// Which records are its own.
    pub records: Records,
}

/// Records of a capture that are a port's, and the VLAN whose frames they are, if they are of one: a VLAN is captured without
/// its tag, which they get again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// All of them.
    All(Option<u16>),
    /// Those of these interfaces of the capture.
    Of(Vec<(u32, Option<u16>)>),
}

impl Records {
    /// Whether a record of an interface is one of them, and its VLAN then.
    fn vlan_of(&self, interface: u32) -> Option<Option<u16>> {
        match self {
            Self::All(vlan) => Some(*vlan),
            Self::Of(all) => {
                let found = all.iter().find(|(number, _)| *number == interface);
                found.map(|(_, vlan)| *vlan)
            }
        }
    }
}

/// What became of a capture's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Given to the gateway.
    pub played: u64,
    /// Of them, not all of the packet had been captured.
    pub cut: u64,
    /// Not given: sent by who captured them, of another interface, or no IP where the port carries nothing else.
    pub skipped: u64,
    /// Questions for neighbours that were answered.
    pub answered: u64,
    /// When the next one comes, ns since 1970; `None` at the end.
    pub next_ns: Option<u64>,
    /// When the first and the last was captured, ns since 1970.
    pub first_ns: u64,
    /// See `first_ns`.
    pub last_ns: u64,
    /// What ended the reading, other than the end.
    pub bad: Option<BadCapture>,
    /// What ended the writing.
    pub unwritten: Option<io::ErrorKind>,
}

/// A capture as a queue.
pub struct PcapQueue<R, W> {
    read: Option<Capture<R>>,
    write: Option<Writer<W>>,
    time: PlayTime,
    manner: Manner,
    /// The record that comes next, as the gateway will see it.
    next: Option<(u64, Vec<u8>)>,
    room: Vec<u8>,
    answers: VecDeque<Vec<u8>>,
    truncated: u64,
    played: Arc<Mutex<Played>>,
}

impl<R: Read, W: Write> PcapQueue<R, W> {
    /// A port that reads one capture and writes another; either may be left out.
    pub fn new(
        read: Option<Capture<R>>,
        write: Option<Writer<W>>,
        time: PlayTime,
        manner: Manner,
    ) -> Self {
        let mut queue = Self {
            read,
            write,
            time,
            manner,
            next: None,
            room: Vec::new(),
            answers: VecDeque::new(),
            truncated: 0,
            played: Arc::default(),
        };
        queue.fetch();
        queue
    }

    /// What becomes of its records; good for as long as anybody has it.
    pub fn played(&self) -> Arc<Mutex<Played>> {
        Arc::clone(&self.played)
    }

    fn note(&self, note: impl FnOnce(&mut Played)) {
        note(&mut self.played.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Reads on to the next record that is for the gateway.
    fn fetch(&mut self) {
        self.next = None;
        let mut bytes = std::mem::take(&mut self.room);
        while let Some(capture) = &mut self.read {
            match capture.next(&mut bytes) {
                Ok(Some(record)) => {
                    if let Some(frame) = self.as_seen(&record, &bytes) {
                        let before = self.played.lock().unwrap_or_else(PoisonError::into_inner);
                        // Times of a capture may go back; the gateway's do not.
                        let at = record.at_ns.max(before.last_ns);
                        drop(before);
                        self.count(&record, at, bytes.len());
                        self.next = Some((at, frame));
                        break;
                    }
                    self.note(|played| played.skipped += 1);
                }
                Ok(None) => self.read = None,
                Err(bad) => {
                    self.read = None;
                    self.note(|played| played.bad = Some(bad));
                }
            }
        }
        self.room = bytes;
        let next = self.next.as_ref().map(|(at, _)| *at);
        self.note(|played| played.next_ns = next);
    }

    fn count(&self, record: &Record, at: u64, kept: usize) {
        self.note(|played| {
            if played.played == 0 {
                played.first_ns = at;
            }
            played.played += 1;
            played.last_ns = at;
            played.cut += u64::from(record.len as usize > kept);
        });
    }

    /// A record as the gateway sees it.
    fn as_seen(&self, record: &Record, bytes: &[u8]) -> Option<Vec<u8>> {
        let vlan = self.manner.records.vlan_of(record.interface)?;
        if record.outbound {
            return None;
        }
        let mut frame = self.framed_as_seen(record, bytes)?;
        if let Some(vid) = vlan.filter(|_| frame.len() >= ADDRESSES) {
            let [high, low] = vid.to_be_bytes();
            frame.splice(ADDRESSES..ADDRESSES, [TPID[0], TPID[1], high, low]);
        }
        Some(frame)
    }

    fn framed_as_seen(&self, record: &Record, bytes: &[u8]) -> Option<Vec<u8>> {
        match (self.manner.layer, record.ether) {
            (Layer::L3, false) => Some(bytes.to_vec()),
            (Layer::L3, true) => {
                let is_ip = matches!(bytes.get(12..ETHER)?, [0x08, 0x00] | [0x86, 0xdd]);
                bytes.get(ETHER..).filter(|_| is_ip).map(<[u8]>::to_vec)
            }
            (Layer::L2(mac), true) => {
                let mut frame = bytes.to_vec();
                let unicast = frame.first().is_some_and(|first| first & 1 == 0);
                if let Some(to) = frame.get_mut(..6).filter(|_| self.manner.for_us && unicast) {
                    to.copy_from_slice(&mac.0);
                }
                Some(frame)
            }
            (Layer::L2(mac), false) => framed(mac, bytes),
        }
    }

    fn answer(&mut self, frame: &[u8]) {
        if !self.manner.answers || self.answers.len() >= ANSWERS {
            return;
        }
        if let Some(reply) = answer(frame) {
            self.answers.push_back(reply);
            self.note(|played| played.answered += 1);
        }
    }

    fn give(&mut self, bytes: &[u8], pool: &mut Pool, out: &mut Vec<Pkt>) {
        let Some(mut pkt) = pool.take_for_rx() else {
            return;
        };
        if pkt.copy_from(bytes) {
            out.push(pkt);
        } else {
            self.truncated += 1;
            pool.put(pkt);
        }
    }
}

/// A bare packet with the Ethernet header that its sender would have put in front.
fn framed(mac: Mac, packet: &[u8]) -> Option<Vec<u8>> {
    let (ethertype, from) = match packet.first()? >> 4 {
        4 => (0x0800, packet.get(12..16)?),
        6 => (0x86dd, packet.get(8..24)?),
        _ => return None,
    };
    let header = ether_header(mac, station(from), ethertype);
    Some([header.as_slice(), packet].concat())
}

impl<R: Read + Send, W: Write + Send> Queue for PcapQueue<R, W> {
    fn rx_burst(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>, max: usize) -> io::Result<usize> {
        let (before, now) = (out.len(), self.time.ns());
        for _ in 0..max {
            if pool.available() == 0 {
                break;
            }
            if let Some(reply) = self.answers.pop_front() {
                self.give(&reply, pool, out);
                continue;
            }
            let Some((_, frame)) = self.next.take_if(|(at, _)| *at <= now) else {
                break;
            };
            self.give(&frame, pool, out);
            self.fetch();
        }
        Ok(out.len() - before)
    }

    fn tx(&mut self, frame: &[u8]) -> Tx {
        self.answer(frame);
        let now = self.time.ns();
        match self.write.as_mut().map(|write| write.write(now, frame)) {
            None | Some(Ok(())) => Tx::Sent,
            Some(Err(error)) => {
                self.note(|played| played.unwritten = Some(error.kind()));
                Tx::Gone(error.kind())
            }
        }
    }

    fn flush(&mut self) {
        if let Some(Err(error)) = self.write.as_mut().map(Writer::flush) {
            self.note(|played| played.unwritten = Some(error.kind()));
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn truncated(&self) -> u64 {
        self.truncated
    }
}
