//! An [`Outcome`] in two words: functions give those back in registers, where a whole one goes through memory, and who
//! reads it there waits for it.

use super::{Hop, Outcome};
use crate::fate::DropReason;
use route::{NhopAttrs, NhopKind, Pin, View};

/// The pin, and above it what kind of answer this is; beside it where the next hop is, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    head: u64,
    place: u64,
}

/// What is found of a packet that takes the short way: in the middle of its connection, or turned away.
pub(crate) enum Settled<B> {
    /// Its next hop was live in this burst: what was known of it.
    Known(B),
    /// It is the burst's first by its next hop, or has another now.
    Told(Told),
}

const KIND: u32 = 60;
// Those of next hops are their kinds, so that nothing has to be looked up.
const GATEWAY: u64 = NhopKind::Gateway as u64;
const IFACE: u64 = NhopKind::Iface as u64;
const LOCAL: u64 = NhopKind::Local as u64;
const NOWHERE: u64 = 0xf;

const _: () = assert!(Pin::BITS <= KIND);

impl Told {
    /// Of no packet: holds a place.
    pub(crate) const NOBODY: Self = Self::nowhere(DropReason::NoRoute);

    /// It goes nowhere.
    pub(super) const fn nowhere(reason: DropReason) -> Self {
        Self {
            head: NOWHERE << KIND,
            place: reason as u64,
        }
    }

    /// What a next hop means for a packet.
    #[inline]
    pub(super) fn via(view: &View, pin: Pin) -> Self {
        let nhop = view.nhop(pin.idx());
        Self::over(pin, nhop.kind(), nhop.place())
    }

    /// The same, of a next hop that is known to be there: what it does, and where it is.
    #[inline]
    pub(super) fn over(pin: Pin, kind: NhopKind, place: u64) -> Self {
        let told = Self {
            head: pin.raw() | (kind as u64) << KIND,
            place,
        };
        if matches!(kind, NhopKind::Gateway | NhopKind::Iface | NhopKind::Local) {
            return told;
        }
        Self::nowhere(match kind {
            NhopKind::Reject => DropReason::Reject,
            _ => DropReason::Blackhole,
        })
    }

    /// Whether it goes to a next hop.
    #[inline]
    pub(super) const fn is_via(self) -> bool {
        matches!(self.head >> KIND, GATEWAY | IFACE)
    }

    /// The next hop that it goes to.
    #[inline]
    pub(crate) const fn pin(self) -> Pin {
        Pin::from_raw(self.head)
    }

    /// Where the gateway is that it goes to, see [`NhopAttrs::of`]; `None`: it goes nowhere, or not by a gateway.
    #[inline]
    pub(crate) const fn gateway(self) -> Option<NhopAttrs> {
        match self.head >> KIND {
            GATEWAY => Some(NhopAttrs::of(NhopKind::Gateway, self.place)),
            _ => None,
        }
    }

    /// Unpacked.
    #[inline]
    pub(crate) fn outcome(self) -> Outcome {
        let kind = match self.head >> KIND {
            GATEWAY => NhopKind::Gateway,
            IFACE => NhopKind::Iface,
            LOCAL => return Outcome::Local,
            _ => return Outcome::Unroutable(reason(self.place)),
        };
        Outcome::Via(Hop {
            pin: Pin::from_raw(self.head),
            attrs: NhopAttrs::of(kind, self.place),
        })
    }
}

#[cold]
fn reason(number: u64) -> DropReason {
    let reason = DropReason::ALL.get(number as usize).copied();
    reason.unwrap_or(DropReason::NoRoute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use route::{NhopGen, NhopIdx, PortId};

    #[test]
    fn what_goes_in_comes_out() {
        for reason in DropReason::ALL {
            let told = Told::nowhere(*reason);
            assert!(!told.is_via());
            assert_eq!(told.outcome(), Outcome::Unroutable(*reason));
        }
        let pin = Pin::new(NhopIdx(0xf_ffff), NhopGen::MAX);
        for kind in [NhopKind::Gateway, NhopKind::Iface] {
            let attrs = NhopAttrs {
                kind,
                port: PortId(u16::MAX),
                neigh: u32::MAX,
                mtu: 9000,
            };
            let told = Told::over(pin, kind, attrs.place());
            assert!(told.is_via());
            assert_eq!(told.outcome(), Outcome::Via(Hop { pin, attrs }));
        }
        for (kind, outcome) in [
            (NhopKind::Local, Outcome::Local),
            (
                NhopKind::Blackhole,
                Outcome::Unroutable(DropReason::Blackhole),
            ),
            (NhopKind::Reject, Outcome::Unroutable(DropReason::Reject)),
        ] {
            let told = Told::over(pin, kind, 7);
            assert!(!told.is_via());
            assert_eq!(told.outcome(), outcome);
        }
    }
}
