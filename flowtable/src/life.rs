//! The words of an entry that say how its flow stands: [`Life`] for both directions, a [`Side`] for each. Where their bits
//! are is said in [`entry`](crate::entry).

use crate::key::Dir;
use crate::kind::Kind;
use crate::pin::PinWord;
use crate::state::{Class, State};
use crate::time::Tick;
use crate::track::{Dirs, Track};

/// The word of last use, change mark, state, class and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life(pub(crate) u64);

impl Life {
    pub(crate) const LAST_USE: u32 = 32;
    pub(crate) const CHANGED: u32 = 18;
    pub(crate) const KIND: u32 = 16;
    pub(crate) const STATE: u32 = 12;
    pub(crate) const CLASS: u32 = 10;
    pub(crate) const DEBT: u32 = 9;
    pub(crate) const OPENER: u32 = 8;
    pub(crate) const HEARD: u32 = 6;
    pub(crate) const KNOWN: u32 = 4;
    pub(crate) const FIN: u32 = 2;
    pub(crate) const RST_BY: u32 = 1;
    pub(crate) const STRAY: u32 = 0;
    /// State, class and flags without the debt and the place.
    const TRACK: u64 = 0xffff & !(1 << Self::DEBT) & !(1 << Self::STRAY);
    /// The bits of the class; all clear on probation.
    const PROVED: u64 = 3 << Self::CLASS;
    /// The bits of the kind; all clear of a plain entry, which alone is ever settled.
    const KINDS: u64 = (Kind::COUNT as u64 - 1) << Self::KIND;
    /// The change mark's.
    const MARK: u64 = u32::MAX as u64 & !(u64::MAX >> (64 - Self::CHANGED));
    /// The bits that say that a TCP segment in the middle changes no state,
    const MIDDLE: u64 = Self::KINDS | 3 << Self::FIN | 3 << Self::KNOWN | 0xf << Self::STATE;
    /// and what they are then: established, no FIN seen, the marks of both sides known.
    const IN_THE_MIDDLE: u64 = 3 << Self::KNOWN | (State::Established as u64) << Self::STATE;

    /// The life of a flow that starts now.
    #[inline]
    pub(crate) fn born(track: &Track, now: Tick) -> Self {
        let times = u64::from(now.0) << Self::LAST_USE | u64::from(now.low()) << Self::CHANGED;
        Self(times).with_track(track)
    }

    #[inline]
    pub(crate) fn last_use(self) -> Tick {
        Tick((self.0 >> Self::LAST_USE) as u32)
    }

    #[inline]
    pub(crate) fn changed(self) -> u16 {
        ((self.0 & Self::MARK) >> Self::CHANGED) as u16
    }

    #[inline]
    pub(crate) fn kind(self) -> Kind {
        Kind::new((self.0 >> Self::KIND) as u8)
    }

    #[inline]
    pub(crate) fn with_kind(self, kind: Kind) -> Self {
        Self(self.0 & !Self::KINDS | u64::from(kind.get()) << Self::KIND)
    }

    /// The same of a plain entry.
    #[inline]
    pub(crate) fn as_plain(self) -> Self {
        Self(self.0 & !Self::KINDS)
    }

    #[inline]
    pub(crate) fn state(self) -> State {
        State::from_bits(self.0 >> Self::STATE & 0xf)
    }

    #[inline]
    pub(crate) fn class(self) -> Class {
        Class::from_bits(self.class_bits())
    }

    /// The class's number.
    #[inline]
    pub(crate) fn class_bits(self) -> u64 {
        self.0 >> Self::CLASS & 3
    }

    /// Whether one more packet that comes this way cannot change the class of a plain entry: this side was heard, and what it alone, or
    /// both, can prove is proved. Of protocols other than TCP it then changes no more than the last use.
    #[inline]
    pub(crate) fn proved(self, dir: Dir) -> bool {
        let heard = 1 << (Self::HEARD + dir as u32);
        self.0 & (Self::KINDS | heard) == heard && self.0 & Self::PROVED != 0
    }

    /// Whether a TCP segment without SYN, FIN and RST that comes this way can change no more of a plain entry than marks and
    /// last use.
    #[inline]
    pub(crate) fn settled(self, dir: Dir) -> bool {
        let heard = 1 << (Self::HEARD + dir as u32);
        self.0 & (Self::MIDDLE | heard) == Self::IN_THE_MIDDLE | heard && self.0 & Self::PROVED != 0
    }

    #[inline]
    pub(crate) fn debt(self) -> bool {
        self.bit(Self::DEBT)
    }

    /// Whether the flow lives in its second bucket.
    #[inline]
    pub(crate) fn stray(self) -> bool {
        self.bit(Self::STRAY)
    }

    #[inline]
    pub(crate) fn with_stray(self, stray: bool) -> Self {
        Self(self.0 & !(1 << Self::STRAY) | u64::from(stray) << Self::STRAY)
    }

    #[inline]
    pub(crate) fn opener(self) -> Dir {
        self.dir(Self::OPENER)
    }

    #[inline]
    pub(crate) fn with_last_use(self, now: Tick) -> Self {
        Self(self.0 & u64::from(u32::MAX) | u64::from(now.0) << Self::LAST_USE)
    }

    #[inline]
    pub(crate) fn with_changed(self, now: Tick) -> Self {
        Self(self.0 & !Self::MARK | u64::from(now.low()) << Self::CHANGED)
    }

    #[inline]
    pub(crate) fn with_debt(self, debt: bool) -> Self {
        Self(self.0 & !(1 << Self::DEBT) | u64::from(debt) << Self::DEBT)
    }

    /// What tracking knows, with the marks of the two sides.
    #[inline]
    pub(crate) fn track(self, marks: [u16; 2]) -> Track {
        Track {
            state: self.state(),
            class: self.class(),
            opener: self.opener(),
            heard: self.dirs(Self::HEARD),
            known: self.dirs(Self::KNOWN),
            fin: self.dirs(Self::FIN),
            rst_by: self.dir(Self::RST_BY),
            marks,
        }
    }

    #[inline]
    pub(crate) fn with_track(self, track: &Track) -> Self {
        let bits = (track.state as u64) << Self::STATE
            | (track.class as u64) << Self::CLASS
            | (track.opener as u64) << Self::OPENER
            | track.heard.bits() << Self::HEARD
            | track.known.bits() << Self::KNOWN
            | track.fin.bits() << Self::FIN
            | (track.rst_by as u64) << Self::RST_BY;
        Self(self.0 & !Self::TRACK | bits)
    }

    #[inline]
    fn bit(self, shift: u32) -> bool {
        self.0 >> shift & 1 == 1
    }

    #[inline]
    fn dirs(self, shift: u32) -> Dirs {
        Dirs::from_bits(self.0 >> shift)
    }

    #[inline]
    fn dir(self, shift: u32) -> Dir {
        if self.bit(shift) { Dir::Rev } else { Dir::Fwd }
    }
}

/// The word of one direction's pin, input port and sequence mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Side(pub(crate) u64);

impl Side {
    pub(crate) const PIN: u32 = 24;
    pub(crate) const IN_PORT: u32 = 16;
    const _FITS: () = assert!(Self::PIN + PinWord::BITS == 64);

    #[inline]
    pub(crate) fn pin(self) -> PinWord {
        PinWord(self.0 >> Self::PIN)
    }

    #[inline]
    pub(crate) fn in_port(self) -> u8 {
        (self.0 >> Self::IN_PORT) as u8
    }

    #[inline]
    pub(crate) fn mark(self) -> u16 {
        self.0 as u16
    }

    #[inline]
    pub(crate) fn with_pin(self, pin: PinWord) -> Self {
        debug_assert!(
            pin.0 >> PinWord::BITS == 0,
            "a pin has {} bits",
            PinWord::BITS
        );
        Self(self.0 & !(u64::MAX << Self::PIN) | pin.0 << Self::PIN)
    }

    #[inline]
    pub(crate) fn with_in_port(self, port: u8) -> Self {
        Self(self.0 & !(0xff << Self::IN_PORT) | u64::from(port) << Self::IN_PORT)
    }

    #[inline]
    pub(crate) fn with_mark(self, mark: u16) -> Self {
        Self(self.0 & !0xffff | u64::from(mark))
    }
}
