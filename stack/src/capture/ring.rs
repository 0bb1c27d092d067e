//! A ring of records of packets: one writer, who never waits and overwrites the oldest; any number of readers, who can
//! tell a record that was overwritten under them and count what they have missed.
//!
//! A record is a line or some of 64-bit words: a version, two words that say what it is, then the packet's first bytes.
//! Record `n` has its place at `n` modulo the number of places. The writer makes its version odd (2n + 1), then a release
//! fence, then the words, then the version even (2n + 2, Release), then the count of records (Release). A reader loads the
//! count (Acquire), the version (Acquire), the words, an acquire fence, the version again: if any load saw a word of a
//! later record, the fences make the second version load see that one's odd version too. loom checks this, below.

use super::{Fate, Record};
use crate::time::Now;
use route::PortId;
use std::sync::Arc;

#[cfg(loom)]
use loom::sync::atomic::{
    AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence,
};
#[cfg(not(loom))]
use std::sync::atomic::{
    AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence,
};

/// Words in front of the bytes: the version, when and what, where and how long.
const HEAD: usize = 3;
const WORD: usize = 8;

/// The ring.
#[derive(Debug)]
pub struct Ring {
    words: Box<[AtomicU64]>,
    /// Words of a record.
    stride: usize,
    /// Records written since the start.
    written: AtomicU64,
}

impl Ring {
    /// Room for so many records (at least one), each of so many bytes of its packet (rounded up to whole words).
    pub fn new(records: usize, snap: usize) -> Arc<Self> {
        let stride = HEAD + snap.div_ceil(WORD);
        let words = (0..records.max(1) * stride).map(|_| AtomicU64::new(0));
        Arc::new(Self {
            words: words.collect(),
            stride,
            written: AtomicU64::new(0),
        })
    }

    /// Records that it holds at most.
    pub fn limit(&self) -> u64 {
        (self.words.len() / self.stride) as u64
    }

    /// Bytes of a packet that a record holds at most.
    pub fn snap(&self) -> usize {
        (self.stride - HEAD) * WORD
    }

    /// Records written since the start.
    pub fn written(&self) -> u64 {
        self.written.load(Acquire)
    }

    /// Records that were overwritten since the start.
    pub fn overwritten(&self) -> u64 {
        self.written().saturating_sub(self.limit())
    }

    fn place(&self, number: u64) -> &[AtomicU64] {
        let at = (number % self.limit()) as usize * self.stride;
        self.words.get(at..at + self.stride).unwrap_or_default()
    }

    /// Writes record `number`. Its writer alone may.
    fn write(&self, number: u64, what: [u64; 2], bytes: &[u8]) {
        let place = self.place(number);
        let [version, head @ ..] = place else { return };
        version.store(number * 2 + 1, Relaxed);
        fence(Release);
        for (word, value) in head.iter().zip(what) {
            word.store(value, Relaxed);
        }
        let room = head.get(what.len()..).unwrap_or_default();
        for (word, bytes) in room.iter().zip(bytes.chunks(WORD)) {
            word.store(packed(bytes), Relaxed);
        }
        version.store(number * 2 + 2, Release);
        self.written.store(number + 1, Release);
    }

    /// Record `number` of those that were written; `None` if it was overwritten.
    fn read(&self, number: u64, worker: usize) -> Option<Record> {
        let [version, head @ ..] = self.place(number) else {
            return None;
        };
        if version.load(Acquire) != number * 2 + 2 {
            return None;
        }
        let (what, room) = head.split_at_checked(2)?;
        let mut record = Record::of_words([what[0].load(Relaxed), what[1].load(Relaxed)]);
        let captured = record.captured.min(self.snap());
        for word in room.iter().take(captured.div_ceil(WORD)) {
            record.bytes.extend(word.load(Relaxed).to_le_bytes());
        }
        record.bytes.truncate(captured);
        fence(Acquire);
        (version.load(Relaxed) == number * 2 + 2).then_some(Record {
            number,
            worker,
            ..record
        })
    }

    /// Gives all records from number `from` on to `out`, as of `worker`. Returns the number of the next one to come, and
    /// how many were overwritten before they could be read.
    pub fn read_from(&self, from: u64, worker: usize, out: &mut Vec<Record>) -> (u64, u64) {
        let written = self.written();
        let before = out.len();
        let oldest = from.max(written.saturating_sub(self.limit()));
        out.extend((oldest..written).filter_map(|number| self.read(number, worker)));
        let read = (out.len() - before) as u64;
        (written.max(from), written.saturating_sub(from) - read)
    }
}

/// Up to eight bytes as a word.
fn packed(bytes: &[u8]) -> u64 {
    if let Ok(whole) = bytes.try_into() {
        return u64::from_le_bytes(whole);
    }
    let mut word = [0; WORD];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

/// The one who writes a ring.
#[derive(Debug)]
pub struct RingWriter {
    ring: Arc<Ring>,
    next: u64,
}

impl RingWriter {
    /// The writer of a ring, which has no other.
    pub fn new(ring: Arc<Ring>) -> Self {
        let next = ring.written();
        Self { ring, next }
    }

    /// Writes a record, over the oldest if there is no room.
    pub fn write(&mut self, now: Now, port: PortId, fate: Fate, frame: Frame<'_>) {
        let snap = frame.bytes.len().min(self.ring.snap());
        let bytes = frame.bytes.get(..snap).unwrap_or_default();
        let what = Record::words(now, port, fate, (frame.bare, snap, frame.len));
        self.ring.write(self.next, what, bytes);
        self.next += 1;
    }
}

/// What is recorded of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its bytes; as many of the first as are to be had.
    pub bytes: &'a [u8],
    /// Its length.
    pub len: usize,
    /// It begins with the IP header, whatever its port's frames begin with.
    pub bare: bool,
}

impl<'a> Frame<'a> {
    /// A whole one, as its port's frames are.
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            len: bytes.len(),
            bare: false,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::fate::DropReason;

    fn frame(bytes: &[u8]) -> Frame<'_> {
        Frame {
            bytes,
            len: bytes.len(),
            bare: false,
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_is_overwritten_is_counted() {
        let ring = Ring::new(4, 10);
        assert_eq!((ring.limit(), ring.snap()), (4, 16));
        let mut writer = RingWriter::new(Arc::clone(&ring));
        let bytes: Vec<u8> = (0..40).collect();
        for n in 0..10_usize {
            let fate = Fate::Drop(DropReason::ALL[n]);
            writer.write(
                Now(n as u64),
                PortId(n as u16),
                fate,
                frame(&bytes[..n * 4]),
            );
        }
        let mut out = Vec::new();
        assert_eq!(ring.read_from(0, 3, &mut out), (10, 6));
        for (n, record) in (6..).zip(&out) {
            let snap = (n * 4).min(16);
            assert_eq!(record.number, n as u64);
            assert_eq!(
                (record.time, record.port, record.worker),
                (Now(n as u64), PortId(n as u16), 3)
            );
            assert_eq!(record.fate, Fate::Drop(DropReason::ALL[n]));
            assert_eq!((record.len, &record.bytes[..]), (n * 4, &bytes[..snap]));
        }
        assert_eq!(out.len(), 4);
        assert_eq!((ring.written(), ring.overwritten()), (10, 6));
        assert_eq!(ring.read_from(10, 0, &mut out), (10, 0));
        // A reader who is ahead (of another gateway, say) gets nothing.
        assert_eq!(ring.read_from(99, 0, &mut out), (99, 0));
    }

    #[test]
    fn a_reader_beside_the_writer_never_sees_a_torn_record() {
        let ring = Ring::new(8, 96);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let (mut from, mut seen, mut missed) = (0, 0, 0);
                while !stop.load(Relaxed) || from < ring.written() {
                    let mut out = Vec::new();
                    let (next, lost) = ring.read_from(from, 0, &mut out);
                    for record in &out {
                        let value = record.number as u8;
                        assert_eq!(record.time, Now(record.number));
                        assert!(record.bytes.iter().all(|byte| *byte == value), "torn");
                        assert_eq!(record.bytes.len(), (record.number % 97) as usize);
                    }
                    (seen, missed, from) = (seen + out.len() as u64, missed + lost, next);
                }
                (seen, missed)
            });
            let mut writer = RingWriter::new(Arc::clone(&ring));
            for n in 0..200_000_u64 {
                let bytes = [n as u8; 96];
                writer.write(
                    Now(n),
                    PortId(0),
                    Fate::Forward,
                    frame(&bytes[..(n % 97) as usize]),
                );
            }
            stop.store(true, Relaxed);
            let (seen, missed) = reader.join().expect("a reader");
            assert_eq!(seen + missed, 200_000);
        });
    }
}

/// `RUSTFLAGS="--cfg loom" cargo test -p flowgate-stack --lib --release loom_`
#[cfg(all(test, loom))]
mod loom_model {
    use super::*;

    /// A ring of one place, so that each record overwrites the one before it.
    #[test]
    fn loom_a_record_is_whole_or_missed() {
        loom::model(|| {
            let ring = Ring::new(1, 8);
            let written = Arc::clone(&ring);
            let writer = loom::thread::spawn(move || {
                let mut writer = RingWriter::new(written);
                for n in 1..3_u8 {
                    let bytes = [n; 8];
                    let frame = Frame {
                        bytes: &bytes,
                        len: usize::from(n),
                        bare: false,
                    };
                    writer.write(
                        Now(u64::from(n)),
                        PortId(u16::from(n)),
                        Fate::Forward,
                        frame,
                    );
                }
            });
            let mut out = Vec::new();
            let (next, missed) = ring.read_from(0, 0, &mut out);
            assert_eq!(next, missed + out.len() as u64);
            for record in &out {
                let n = record.number as u8 + 1;
                assert_eq!(record.bytes, [n; 8]);
                assert_eq!(
                    (record.time, record.len),
                    (Now(u64::from(n)), usize::from(n))
                );
            }
            writer.join().unwrap();
        });
    }
}
