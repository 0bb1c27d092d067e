//! The four rings of an XDP socket, of which two are filled by us (*fill*, *tx*) and two emptied (*rx*, *completion*).
//!
//! A ring is an array of entries, a power of two, with two counters that only go up and wrap: the producer's and the
//! consumer's. Each side writes its own counter with Release, once the entries are written or read, and reads the other's
//! with Acquire; the difference is what lies in the ring.

use super::memory::Shared;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// Where a ring's parts are in its mapping, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) producer: usize,
    pub(super) consumer: usize,
    pub(super) flags: usize,
    pub(super) entries: usize,
}

impl From<libc::xdp_ring_offset> for Places {
    fn from(of: libc::xdp_ring_offset) -> Self {
        // Offsets within a page or a few.
        let at = |offset: u64| offset as usize;
        Self {
            producer: at(of.producer),
            consumer: at(of.consumer),
            flags: at(of.flags),
            entries: at(of.desc),
        }
    }
}

/// A frame in the shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Desc {
    /// Its first byte, from the memory's.
    pub(super) at: u64,
    /// Its length in bytes; in *fill* and *completion* none is told.
    pub(super) len: u32,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A place alone: 8 bytes.
    Place,
    /// `struct xdp_desc`: a place, a length, options; 16 bytes.
    Frame,
}

impl Entry {
    pub(super) fn size(self) -> usize {
        match self {
            Self::Place => 8,
            Self::Frame => 16,
        }
    }
}

/// A mapped ring and how far it was seen.
#[derive(Debug)]
struct Ring {
    memory: Shared,
    places: Places,
    entry: Entry,
    size: u32,
    /// Our counter, and the other side's as it was last read.
    ours: u32,
    theirs: u32,
}

impl Ring {
    /// `size` is a power of two; `None` if the parts are not within the mapping.
    fn new(memory: Shared, places: Places, entry: Entry, size: u32) -> Option<Self> {
        let last = places.entries + (size as usize - 1) * entry.size();
        memory.long(last)?;
        memory.word(last + entry.size() - 4)?;
        for at in [places.producer, places.consumer, places.flags] {
            memory.word(at)?;
        }
        Some(Self {
            memory,
            places,
            entry,
            size,
            ours: 0,
            theirs: 0,
        })
    }

    /// Where the entry of a counter's value is.
    #[inline]
    fn place(&self, counter: u32) -> usize {
        self.places.entries + (counter & (self.size - 1)) as usize * self.entry.size()
    }

    /// A word that [`Self::new`] has found there.
    #[inline]
    fn load(&self, at: usize, order: Ordering) -> u32 {
        self.memory.word(at).map_or(0, |word| word.load(order))
    }

    #[inline]
    fn publish(&self, at: usize) {
        if let Some(word) = self.memory.word(at) {
            word.store(self.ours, Ordering::Release);
        }
    }

    #[inline]
    fn read(&self, counter: u32) -> Desc {
        let at = self.place(counter);
        let place = self.memory.long(at);
        let len = match self.entry {
            Entry::Place => 0,
            Entry::Frame => self.load(at + 8, Ordering::Relaxed),
        };
        Desc {
            at: place.map_or(0, |place| place.load(Ordering::Relaxed)),
            len,
        }
    }

    #[inline]
    fn write(&self, counter: u32, desc: Desc) {
        let at = self.place(counter);
        let put = |word: Option<&AtomicU32>, value| {
            if let Some(word) = word {
                word.store(value, Ordering::Relaxed);
            }
        };
        if let Some(place) = self.memory.long(at) {
            place.store(desc.at, Ordering::Relaxed);
        }
        if self.entry == Entry::Frame {
            put(self.memory.word(at + 8), desc.len);
            put(self.memory.word(at + 12), 0);
        }
    }
}

/// A ring that we fill.
#[derive(Debug)]
pub(super) struct Filled(Ring);

impl Filled {
    pub(super) fn new(memory: Shared, places: Places, entry: Entry, size: u32) -> Option<Self> {
        Ring::new(memory, places, entry, size).map(Self)
    }

    /// Puts an entry in; the kernel sees it once it is [`Self::submit`]ted. `false`: the ring is full.
    #[inline]
    #[must_use]
    pub(super) fn push(&mut self, desc: Desc) -> bool {
        let ring = &mut self.0;
        if ring.ours.wrapping_sub(ring.theirs) >= ring.size {
            ring.theirs = ring.load(ring.places.consumer, Ordering::Acquire);
            if ring.ours.wrapping_sub(ring.theirs) >= ring.size {
                return false;
            }
        }
        ring.write(ring.ours, desc);
        ring.ours = ring.ours.wrapping_add(1);
        true
    }

    /// Shows the kernel all that was put in.
    #[inline]
    pub(super) fn submit(&self) {
        self.0.publish(self.0.places.producer);
    }

    /// Takes the last `n` entries out again. Only while the kernel has not been able to see them, or has seen none of them:
    /// the caller knows.
    pub(super) fn take_back(&mut self, n: u32) -> impl Iterator<Item = Desc> + '_ {
        let first = self.0.ours.wrapping_sub(n);
        self.0.ours = first;
        self.submit();
        (0..n).map(move |at| self.0.read(first.wrapping_add(at)))
    }

    /// How many of the submitted entries the kernel has not taken yet.
    pub(super) fn waiting(&self) -> u32 {
        let taken = self.0.load(self.0.places.consumer, Ordering::Acquire);
        self.0.ours.wrapping_sub(taken)
    }

    /// Whether the kernel looks at the ring only when it is called.
    #[inline]
    pub(super) fn wants_a_call(&self) -> bool {
        // A driver raises the flag and looks at the ring once more, we submit and look at the flag: one of the two sees what the
        // other did.
        fence(Ordering::SeqCst);
        let flags = self.0.load(self.0.places.flags, Ordering::Relaxed);
        flags & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

/// A ring that we empty.
#[derive(Debug)]
pub(super) struct Emptied(Ring);

impl Emptied {
    pub(super) fn new(memory: Shared, places: Places, entry: Entry, size: u32) -> Option<Self> {
        Ring::new(memory, places, entry, size).map(Self)
    }

    /// Takes the next entry out; its place in the ring is the kernel's again once it is [`Self::release`]d.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Desc> {
        let ring = &mut self.0;
        if ring.ours == ring.theirs {
            ring.theirs = ring.load(ring.places.producer, Ordering::Acquire);
            if ring.ours == ring.theirs {
                return None;
            }
        }
        let desc = ring.read(ring.ours);
        ring.ours = ring.ours.wrapping_add(1);
        Some(desc)
    }

    /// Whether there is an entry.
    #[inline]
    pub(super) fn is_ready(&mut self) -> bool {
        let ring = &mut self.0;
        if ring.ours == ring.theirs {
            ring.theirs = ring.load(ring.places.producer, Ordering::Acquire);
        }
        ring.ours != ring.theirs
    }

    /// Gives the places of all that was taken out back to the kernel.
    #[inline]
    pub(super) fn release(&self) {
        self.0.publish(self.0.places.consumer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    const PLACES: Places = Places {
        producer: 0,
        consumer: 64,
        flags: 128,
        entries: 192,
    };
    const SIZE: u32 = 8;

    /// Both sides of a ring in the same memory, as if each were the other's kernel.
    fn both(entry: Entry, start: u32) -> (Filled, Emptied) {
        let file =
            nix::sys::memfd::memfd_create(c"ring", nix::sys::memfd::MFdFlags::empty()).unwrap();
        nix::unistd::ftruncate(&file, 4096).unwrap();
        let memory = || Shared::of(file.as_fd(), 4096, 0).unwrap();
        let mut filled = Filled::new(memory(), PLACES, entry, SIZE).unwrap();
        let mut emptied = Emptied::new(memory(), PLACES, entry, SIZE).unwrap();
        for ring in [&mut filled.0, &mut emptied.0] {
            (ring.ours, ring.theirs) = (start, start);
        }
        filled.submit();
        emptied.release();
        (filled, emptied)
    }

    fn desc(n: u32) -> Desc {
        Desc {
            at: u64::from(n) << 33 | 5,
            len: n,
        }
    }

    #[test]
    fn entries_come_in_their_order_over_the_counters_end() {
        let (mut filled, mut emptied) = both(Entry::Frame, u32::MAX - 20);
        let (mut put, mut got) = (0, 0);
        // Bursts of 1 to 8, each taken in another measure than it was put in.
        for round in 0..100_u32 {
            for _ in 0..1 + round % SIZE {
                put += u32::from(filled.push(desc(put)));
            }
            filled.submit();
            for _ in 0..1 + (round * 5) % SIZE {
                let Some(came) = emptied.pop() else { break };
                assert_eq!(came, desc(got));
                got += 1;
            }
            emptied.release();
        }
        assert!(put > 200 && put - got <= SIZE);
        assert_eq!(filled.waiting(), put - got);
    }

    #[test]
    fn a_full_ring_takes_no_more_until_the_other_side_has_released() {
        let (mut filled, mut emptied) = both(Entry::Place, 0);
        assert!((0..SIZE).all(|n| filled.push(desc(n))));
        assert!(!filled.push(desc(9)));
        assert!(!emptied.is_ready(), "not submitted");
        filled.submit();
        assert!(emptied.is_ready());
        assert_eq!(emptied.pop(), Some(Desc { at: 5, len: 0 }));
        assert!(!filled.push(desc(9)), "not released");
        emptied.release();
        assert!(filled.push(desc(9)));
        assert!(!filled.push(desc(10)));
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let (mut filled, mut emptied) = both(Entry::Frame, u32::MAX - 1);
        assert!((0..5).all(|n| filled.push(desc(n))));
        filled.submit();
        let back: Vec<_> = filled.take_back(3).collect();
        assert_eq!(back, [desc(2), desc(3), desc(4)]);
        assert!(filled.push(desc(7)));
        filled.submit();
        let came: Vec<_> = std::iter::from_fn(|| emptied.pop()).collect();
        assert_eq!(came, [desc(0), desc(1), desc(7)]);
    }

    #[test]
    fn a_ring_that_is_not_within_its_mapping_is_refused() {
        let ring = |places, size| {
            let memory = Shared::fresh(4096).unwrap();
            Filled::new(memory, places, Entry::Frame, size).is_some()
        };
        assert!(ring(PLACES, 128));
        assert!(!ring(PLACES, 256));
        let producer = 4096;
        assert!(!ring(Places { producer, ..PLACES }, 8));
        let entries = 196;
        assert!(!ring(Places { entries, ..PLACES }, 8), "not aligned");
    }

    #[test]
    fn two_threads_lose_and_invent_nothing() {
        const ALL: u32 = 200_000;
        let (mut filled, mut emptied) = both(Entry::Frame, u32::MAX - 1000);
        let far = std::thread::spawn(move || {
            for n in 0..ALL {
                while !filled.push(desc(n)) {
                    std::thread::yield_now();
                }
                filled.submit();
            }
            filled
        });
        let mut next = 0;
        while next < ALL {
            match emptied.pop() {
                Some(came) => {
                    assert_eq!(came, desc(next));
                    next += 1;
                    emptied.release();
                }
                None => std::thread::yield_now(),
            }
        }
        let filled = far.join().unwrap();
        assert_eq!(filled.waiting(), 0);
        assert!(!emptied.is_ready());
    }

    #[test]
    fn the_kernels_wish_to_be_called_is_read() {
        let (filled, _emptied) = both(Entry::Place, 0);
        assert!(!filled.wants_a_call());
        let flags = filled.0.memory.word(PLACES.flags).unwrap();
        flags.store(libc::XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
        assert!(filled.wants_a_call());
    }
}
