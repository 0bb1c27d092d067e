//! What comes in by interfaces of the test's namespace, written into one file for tshark: for the interface that a gateway's
//! device is, or that the far end of its cable is, that is what the gateway sends.
//!
//! Packet sockets of our own instead of dumpcap: they cost no process and no wait, follow an interface that is deleted and
//! made anew, and tell (virtio's header) which checksums a device was left to finish. Those are finished here as that device
//! would, so that a wrong beginning becomes a wrong checksum. A VLAN's tag travels beside the frame and is not written.

use super::sys;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What is recorded of an interface, bytes and frames; then its tap closes, so that loads and judging are not slowed.
const MOST: (usize, usize) = (2 << 20, 10_000);
/// How long a tap sleeps before it looks whether it is to end, or whether its interface is another one, ms.
const LOOK: u16 = 10;
/// Bytes of virtio's header.
const VIRTIO: usize = 10;
/// Virtio's flag: the checksum is left to the device.
const NEEDS_CSUM: u8 = 1;

/// What frames look like: the link types of capture files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// Ethernet.
    Ethernet = 1,
    /// Bare IP.
    Bare = 101,
}

/// A pcapng file that is being written.
#[derive(Debug)]
struct Record {
    file: BufWriter<File>,
    interfaces: u32,
    packets: u64,
}

impl Record {
    fn new(path: &Path) -> Self {
        let file = File::create(path).expect("a file for a recording");
        let mut record = Self {
            file: BufWriter::new(file),
            interfaces: 0,
            packets: 0,
        };
        // Section header: our byte order, version 1.0, length unknown.
        let mut body = 0x1a2b_3c4d_u32.to_ne_bytes().to_vec();
        body.extend(1u16.to_ne_bytes());
        body.extend(0u16.to_ne_bytes());
        body.extend((-1i64).to_ne_bytes());
        record.block(0x0a0d_0d0a, &body);
        record
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let len = (body.len() as u32 + 12).to_ne_bytes();
        let parts: [&[u8]; 4] = [&kind.to_ne_bytes(), &len, body, &len];
        for part in parts {
            self.file.write_all(part).expect("room for a recording");
        }
    }

    /// A further interface; its number in the file.
    fn interface(&mut self, frames: Frames) -> u32 {
        let mut body = (frames as u16).to_ne_bytes().to_vec();
        body.extend([0; 6]);
        self.block(1, &body);
        self.interfaces += 1;
        self.interfaces - 1
    }

    fn packet(&mut self, interface: u32, frame: &[u8]) {
        let len = (frame.len() as u32).to_ne_bytes();
        let mut body = interface.to_ne_bytes().to_vec();
        body.extend([0; 8]); // nobody asks when
        body.extend(len);
        body.extend(len);
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        self.block(6, &body);
        self.packets += 1;
    }
}

/// Taps on interfaces, all into one file.
#[derive(Debug)]
pub(super) struct Taps {
    record: Arc<Mutex<Record>>,
    end: Arc<AtomicBool>,
    /// How many have found their interface.
    hearing: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Taps {
    /// None yet.
    pub(super) fn new(path: &Path) -> Self {
        Self {
            record: Arc::new(Mutex::new(Record::new(path))),
            end: Arc::default(),
            hearing: Arc::default(),
            threads: Vec::new(),
        }
    }

    /// Records what comes in by an interface of the caller's namespace, from when there is one.
    pub(super) fn listen(&mut self, interface: &str, frames: Frames) {
        let number = self.record.lock().expect("a file").interface(frames);
        let mut tap = Tap {
            interface: interface.to_owned(),
            number,
            record: Arc::clone(&self.record),
            hearing: Arc::clone(&self.hearing),
            left: MOST,
        };
        let end = Arc::clone(&self.end);
        self.threads.push(std::thread::spawn(move || tap.run(&end)));
    }

    /// Records frames that came another way.
    pub(super) fn add<'f>(&mut self, frames: Frames, all: impl Iterator<Item = &'f [u8]>) {
        let mut record = self.record.lock().expect("a file");
        let number = record.interface(frames);
        all.for_each(|frame| record.packet(number, frame));
    }

    /// Whether each has found its interface once.
    pub(super) fn hear(&self) -> bool {
        self.hearing.load(Ordering::Relaxed) >= self.threads.len()
    }

    /// Ends them once all that has come is recorded; how many packets the file has.
    pub(super) fn finish(&mut self) -> u64 {
        self.end.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a tap");
        }
        let mut record = self.record.lock().expect("a file");
        record.file.flush().expect("room for a recording");
        record.packets
    }
}

/// One interface's.
struct Tap {
    interface: String,
    number: u32,
    record: Arc<Mutex<Record>>,
    hearing: Arc<AtomicUsize>,
    left: (usize, usize),
}

impl Tap {
    fn run(&mut self, end: &AtomicBool) {
        let mut room = vec![0; 80_000];
        let mut socket: Option<(u32, OwnedFd)> = None;
        while !self.is_full() {
            let ends = end.load(Ordering::Relaxed);
            if let Some((_, socket)) = &socket {
                self.take(socket, &mut room);
            }
            if ends {
                return;
            }
            // One that was deleted and made anew has another number.
            let there = if_nametoindex(&*self.interface).ok();
            if there.is_some() && there != socket.as_ref().map(|(index, _)| *index) {
                let first = socket.is_none();
                socket = there.and_then(open);
                if first && socket.is_some() {
                    self.hearing.fetch_add(1, Ordering::Relaxed);
                }
            }
            wait(socket.as_ref().map(|(_, socket)| socket));
        }
    }

    fn is_full(&self) -> bool {
        self.left.0 == 0 || self.left.1 == 0
    }

    /// Records what is there.
    fn take(&mut self, socket: &OwnedFd, room: &mut [u8]) {
        while !self.is_full() {
            match recv(socket.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT) {
                Ok(len) => self.note(&mut room[..len]),
                // A super-packet of a kind that virtio's header has no word for; that the interface went is said once.
                Err(Errno::EINVAL | Errno::ENETDOWN) => {}
                Err(_) => return,
            }
        }
    }

    fn note(&mut self, bytes: &mut [u8]) {
        let Some((header, frame)) = bytes.split_first_chunk_mut::<VIRTIO>() else {
            return;
        };
        if header[0] & NEEDS_CSUM != 0 {
            let [start, offset] = [6, 8].map(|at| u16::from_le_bytes([header[at], header[at + 1]]));
            finish_checksum(frame, start.into(), offset.into());
        }
        self.left.0 = self.left.0.saturating_sub(frame.len());
        self.left.1 -= 1;
        let mut record = self.record.lock().expect("a file");
        record.packet(self.number, frame);
    }
}

/// Until something comes, or it is time to look again.
fn wait(socket: Option<&OwnedFd>) {
    let Some(socket) = socket else {
        return std::thread::sleep(std::time::Duration::from_millis(1));
    };
    let mut asked = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut asked, PollTimeout::from(LOOK));
}

fn open(index: u32) -> Option<(u32, OwnedFd)> {
    let socket = sys::packet_socket(index).ok()?;
    sys::with_virtio_header(socket.as_fd()).ok()?;
    Some((index, socket))
}

/// What a device does to a frame whose checksum was left to it.
fn finish_checksum(frame: &mut [u8], start: usize, offset: usize) {
    let Some(summed) = frame.get_mut(start..) else {
        return;
    };
    let pairs = summed.chunks(2).map(|pair| match *pair {
        [high, low] => u64::from(u16::from_be_bytes([high, low])),
        [high, ..] => u64::from(high) << 8,
        [] => 0,
    });
    let mut sum: u64 = pairs.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    };
    if let Some(field) = summed.get_mut(offset..offset + 2) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}
