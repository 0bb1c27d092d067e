//! Reads captures as they stream in: pcap (draft-ietf-opsawg-pcap) with microseconds or nanoseconds, pcapng
//! (draft-ietf-opsawg-pcapng), either byte order. No length is believed: what makes no sense ends the reading with the
//! place where it stands.

use std::fmt;
use std::io::{self, Read};

/// The longest record or block that is read, bytes.
const LONGEST: u32 = 1 << 20;

/// Link type: Ethernet.
pub const ETHERNET: u32 = 1;
/// Link types: bare IP, in the numbers that it has got over time.
pub(super) const RAW: u32 = 101;
const BARE_IP: [u32; 5] = [12, 14, RAW, 228, 229];

/// A block of pcapng that begins a section of its own byte order.
pub const SECTION: u32 = 0x0a0d_0d0a;
/// A block of pcapng that describes an interface.
pub const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
/// `LINKTYPE_USER0`: records of who wrote the capture, no packets; `flowgate capture` writes changes of state so.
const PRIVATE: u32 = 147;
const SIMPLE: u32 = 3;
/// A block of pcapng that has a packet, its time and its interface.
pub const ENHANCED: u32 = 6;
/// What a section begins with, in its byte order.
pub const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// What is wrong with a capture, and where: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCapture {
    /// Bytes from the beginning of the file.
    pub at: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for BadCapture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.what)
    }
}

impl std::error::Error for BadCapture {}

/// What a record says beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was captured, ns since 1970; 0 where the capture does not say.
    pub at_ns: u64,
    /// By which interface of the capture, from 0.
    pub interface: u32,
    /// Whether it begins with an Ethernet header; else with the IP header.
    pub ether: bool,
    /// Its length on the wire, of which not all may be here.
    pub len: u32,
    /// It was sent by who captured it.
    pub outbound: bool,
}

/// What is known of an interface of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, if the capture tells.
    pub name: Option<String>,
    /// Its records are no packets, and are passed over.
    private: bool,
    ether: bool,
    /// One unit of its times is so many parts of a second.
    per_second: u64,
    /// Seconds to be added to its times.
    shift: i64,
}

impl Interface {
    fn ns(&self, units: u64) -> u64 {
        let ns = u128::from(units) * 1_000_000_000 / u128::from(self.per_second.max(1));
        let shifted = i128::try_from(ns).unwrap_or(0) + i128::from(self.shift) * 1_000_000_000;
        u64::try_from(shifted).unwrap_or(0)
    }
}

/// A capture being read.
#[derive(Debug)]
pub struct Capture<R> {
    input: R,
    at: u64,
    big: bool,
    blocks: bool,
    interfaces: Vec<Interface>,
    frames: usize,
    room: Vec<u8>,
}

/// Whether a file that begins so is a capture, sound or not.
pub fn is_capture(begins: &[u8]) -> bool {
    let magic = begins.first_chunk::<4>();
    magic.is_some_and(|magic| Format::of(*magic).is_some())
}

/// What a file's first four bytes say.
enum Format {
    Blocks,
    /// Big-endian, and the parts of a second that its times count.
    Records(bool, u64),
}

impl Format {
    fn of(magic: [u8; 4]) -> Option<Self> {
        match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
            (SECTION, _) => Some(Self::Blocks),
            (0xa1b2_c3d4, _) => Some(Self::Records(false, 1_000_000)),
            (0xa1b2_3c4d, _) => Some(Self::Records(false, 1_000_000_000)),
            (_, 0xa1b2_c3d4) => Some(Self::Records(true, 1_000_000)),
            (_, 0xa1b2_3c4d) => Some(Self::Records(true, 1_000_000_000)),
            _ => None,
        }
    }
}

impl<R: Read> Capture<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// It is no capture, or not of Ethernet or IP.
    pub fn open(input: R) -> Result<Self, BadCapture> {
        let mut capture = Self {
            input,
            at: 0,
            big: false,
            blocks: false,
            interfaces: Vec::new(),
            frames: 0,
            room: Vec::new(),
        };
        let mut magic = [0; 4];
        if !capture.fill(&mut magic)? {
            return Err(capture.bad("the file is empty"));
        }
        match Format::of(magic) {
            Some(Format::Blocks) => {
                capture.blocks = true;
                capture.section()?;
            }
            Some(Format::Records(big, per_second)) => capture.header(big, per_second)?,
            None => return Err(capture.bad("this is neither pcap nor pcapng")),
        }
        Ok(capture)
    }

    /// The interfaces known so far.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// How many records were read: the last one's number, as other programs count. Those that are no packets, and were
    /// passed over, count too.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// The next record; its bytes replace those in `bytes`. `None` at the end.
    ///
    /// # Errors
    /// The file is damaged or cut short; there is nothing to be read behind that.
    pub fn next(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Record>, BadCapture> {
        if self.blocks {
            self.next_block(bytes)
        } else {
            self.next_record(bytes)
        }
    }

    fn bad(&self, what: impl Into<String>) -> BadCapture {
        BadCapture {
            at: self.at,
            what: what.into(),
        }
    }

    /// Fills all of `room`; `false` at the very end of the file.
    fn fill(&mut self, room: &mut [u8]) -> Result<bool, BadCapture> {
        let mut got = 0;
        while let Some(rest) = room.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) if got == 0 => return Ok(false),
                Ok(0) => {
                    let wanted = room.len();
                    return Err(self.bad(format!("cut short: {got} of {wanted} bytes are there")));
                }
                Ok(n) => got += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.bad(error.to_string())),
            }
        }
        self.at += room.len() as u64;
        Ok(true)
    }

    /// Reads `len` bytes into `room`, which must be there.
    fn fill_to(&mut self, room: &mut Vec<u8>, len: u32) -> Result<(), BadCapture> {
        if len > LONGEST {
            return Err(self.bad(format!(
                "a length of {len} bytes; {LONGEST} is the most that is read"
            )));
        }
        room.clear();
        room.resize(len as usize, 0);
        if len > 0 && !self.fill(room)? {
            return Err(self.bad(format!("cut short: none of {len} bytes is there")));
        }
        Ok(())
    }

    fn word(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let word = *bytes.get(at..)?.first_chunk::<4>()?;
        Some(if self.big {
            u32::from_be_bytes(word)
        } else {
            u32::from_le_bytes(word)
        })
    }

    fn half(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let half = *bytes.get(at..)?.first_chunk::<2>()?;
        Some(if self.big {
            u16::from_be_bytes(half)
        } else {
            u16::from_le_bytes(half)
        })
    }

    /// Whether a link type has Ethernet headers.
    fn is_ether(&self, link: u32) -> Result<bool, BadCapture> {
        match link {
            ETHERNET => Ok(true),
            link if BARE_IP.contains(&link) => Ok(false),
            link => Err(self.bad(format!(
                "link type {link}: only Ethernet (1) and bare IP (101, 228, 229) are read"
            ))),
        }
    }

    /// What is behind pcap's magic number.
    fn header(&mut self, big: bool, per_second: u64) -> Result<(), BadCapture> {
        self.big = big;
        let mut header = [0; 20];
        if !self.fill(&mut header)? {
            return Err(self.bad("cut short: there is no header"));
        }
        let link = self.word(&header, 16).unwrap_or_default() & 0x0fff_ffff;
        let ether = self.is_ether(link & 0xffff)?;
        self.interfaces.push(Interface {
            name: None,
            ether,
            private: false,
            per_second,
            shift: 0,
        });
        Ok(())
    }

    fn next_record(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Record>, BadCapture> {
        let mut header = [0; 16];
        if !self.fill(&mut header)? {
            return Ok(None);
        }
        let word = |at| u64::from(self.word(&header, at).unwrap_or_default());
        let (seconds, fraction, len) = (word(0), word(4), word(12) as u32);
        let kept = word(8) as u32;
        let interface = self.interfaces.first();
        let (ether, per_second) = interface.map_or((true, 1), |of| (of.ether, of.per_second));
        let fraction_ns = interface.map_or(0, |of| of.ns(fraction.min(per_second)));
        self.fill_to(bytes, kept)?;
        self.frames += 1;
        Ok(Some(Record {
            at_ns: seconds * 1_000_000_000 + fraction_ns,
            interface: 0,
            ether,
            len,
            outbound: false,
        }))
    }

    fn next_block(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Record>, BadCapture> {
        loop {
            let mut kind = [0; 4];
            if !self.fill(&mut kind)? {
                return Ok(None);
            }
            if u32::from_le_bytes(kind) == SECTION {
                self.section()?;
                continue;
            }
            let kind = self.word(&kind, 0).unwrap_or_default();
            let mut body = std::mem::take(&mut self.room);
            let read = self.body(&mut body).and_then(|()| match kind {
                INTERFACE => self.interface(&body).map(|()| None),
                ENHANCED | OLD_PACKET => self.packet(&body, kind == ENHANCED, bytes),
                SIMPLE => self.simple(&body, bytes),
                _ => Ok(None),
            });
            self.room = body;
            let record = read?;
            self.frames += usize::from(matches!(kind, ENHANCED | OLD_PACKET | SIMPLE));
            if let Some(record) = record {
                return Ok(Some(record));
            }
        }
    }

    /// What is behind a block's type: its length, its body, its length again.
    fn body(&mut self, body: &mut Vec<u8>) -> Result<(), BadCapture> {
        let start = self.at;
        let mut word = [0; 4];
        if !self.fill(&mut word)? {
            return Err(self.bad("cut short: a block without a length"));
        }
        let len = self.word(&word, 0).unwrap_or_default();
        if len < 12 || !len.is_multiple_of(4) {
            self.at = start;
            return Err(self.bad(format!("a block of {len} bytes")));
        }
        self.fill_to(body, len - 12)?;
        let there = self.fill(&mut word)?;
        if !there || self.word(&word, 0) != Some(len) {
            self.at = start;
            return Err(self.bad("a block's two lengths differ"));
        }
        Ok(())
    }

    /// What is behind a section's type: it says its own byte order, and its interfaces are numbered from 0.
    fn section(&mut self) -> Result<(), BadCapture> {
        let mut head = [0; 8];
        if !self.fill(&mut head)? {
            return Err(self.bad("cut short: a section without a length"));
        }
        let [a, b, c, d, order @ ..] = head;
        self.big = u32::from_be_bytes(order) == BYTE_ORDER;
        if !self.big && u32::from_le_bytes(order) != BYTE_ORDER {
            return Err(self.bad("a section without a byte order"));
        }
        let len = self.word(&[a, b, c, d], 0).unwrap_or_default();
        if len < 28 || !len.is_multiple_of(4) {
            return Err(self.bad(format!("a section's head of {len} bytes")));
        }
        let mut rest = std::mem::take(&mut self.room);
        let filled = self.fill_to(&mut rest, len - 12);
        self.room = rest;
        self.interfaces.clear();
        filled
    }

    fn interface(&mut self, body: &[u8]) -> Result<(), BadCapture> {
        let Some(link) = self.half(body, 0) else {
            return Err(self.bad("an interface without a link type"));
        };
        let private = u32::from(link) == PRIVATE;
        let mut interface = Interface {
            name: None,
            ether: private || self.is_ether(u32::from(link))?,
            private,
            per_second: 1_000_000,
            shift: 0,
        };
        for (code, value) in self.options(body.get(8..).unwrap_or_default()) {
            match (code, value) {
                (2, name) => interface.name = Some(String::from_utf8_lossy(name).into_owned()),
                (9, [unit]) => interface.per_second = per_second(*unit),
                (14, value) => interface.shift = self.shift(value),
                _ => {}
            }
        }
        self.interfaces.push(interface);
        Ok(())
    }

    fn shift(&self, value: &[u8]) -> i64 {
        let Some(bytes) = value.first_chunk::<8>() else {
            return 0;
        };
        if self.big {
            i64::from_be_bytes(*bytes)
        } else {
            i64::from_le_bytes(*bytes)
        }
    }

    /// A block's options, up to the first that makes no sense.
    fn options<'a>(
        &self,
        mut rest: &'a [u8],
    ) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a, R> {
        let big = self.big;
        let half = move |at: usize, from: &[u8]| -> Option<u16> {
            let half = *from.get(at..)?.first_chunk::<2>()?;
            Some(if big {
                u16::from_be_bytes(half)
            } else {
                u16::from_le_bytes(half)
            })
        };
        std::iter::from_fn(move || {
            let (code, len) = (half(0, rest)?, usize::from(half(2, rest)?));
            let value = rest.get(4..4 + len)?;
            rest = rest.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
            (code != 0).then_some((code, value))
        })
    }

    fn packet(
        &self,
        body: &[u8],
        enhanced: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<Option<Record>, BadCapture> {
        let word = |at| self.word(body, at).unwrap_or_default();
        let interface = match enhanced {
            true => word(0),
            false => u32::from(self.half(body, 0).unwrap_or_default()),
        };
        let Some(of) = self.interfaces.get(interface as usize) else {
            let there = self.interfaces.len();
            return Err(self.bad(format!(
                "a packet of interface {interface}; there are {there}"
            )));
        };
        if of.private {
            return Ok(None);
        }
        let units = u64::from(word(4)) << 32 | u64::from(word(8));
        let kept = word(12) as usize;
        let Some(data) = body.get(20..).and_then(|data| data.get(..kept)) else {
            return Err(self.bad(format!(
                "a packet of {kept} bytes in a block that has fewer"
            )));
        };
        bytes.clear();
        bytes.extend_from_slice(data);
        let options = body
            .get(20 + kept.next_multiple_of(4)..)
            .unwrap_or_default();
        let mut flags = self.options(options).filter(|(code, _)| *code == 2);
        let flags = flags.next().and_then(|(_, value)| self.word(value, 0));
        Ok(Some(Record {
            at_ns: of.ns(units),
            interface,
            ether: of.ether,
            len: word(16),
            outbound: flags.is_some_and(|flags| flags & 3 == 2),
        }))
    }

    fn simple(&self, body: &[u8], bytes: &mut Vec<u8>) -> Result<Option<Record>, BadCapture> {
        let Some(of) = self.interfaces.first() else {
            return Err(self.bad("a packet before any interface"));
        };
        if of.private {
            return Ok(None);
        }
        let len = self.word(body, 0).unwrap_or_default();
        let data = body.get(4..).unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(data.get(..len as usize).unwrap_or(data));
        Ok(Some(Record {
            at_ns: 0,
            interface: 0,
            ether: of.ether,
            len,
            outbound: false,
        }))
    }
}

/// `if_tsresol`: a power of ten, or with the high bit of two; what cannot be counted in 64 bits is taken for the default.
fn per_second(unit: u8) -> u64 {
    let power = u32::from(unit & 0x7f);
    let parts = match unit & 0x80 {
        0 => 10_u64.checked_pow(power),
        _ => 2_u64.checked_pow(power),
    };
    parts.unwrap_or(1_000_000)
}
