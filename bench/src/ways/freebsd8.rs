//! `freebsd8`: the steps that the flow-caching report names, one by one.
//!
//! 1. `in_rtalloc_ign`: read-lock the radix head, find the rtentry, lock it, take a reference, release
//!    the head, unlock the rtentry.
//! 2. `arpresolve` → `rt_check`: lock the rtentry, see that it leads to a gateway, lock the gateway's
//!    rtentry, unlock the first; read the hardware address behind it; unlock.
//! 3. `RTFREE`: lock the rtentry, drop the reference, unlock.
//!
//! That is ten read-modify-writes on lines that every CPU uses: two on the radix head's lock, eight on
//! the locks of two rtentries. The reference count itself is a plain store under the lock.

use super::mtx::{Curthread, Mtx, MtxGuard, Rwlock};
use super::rtable::{GATEWAY_MAC, GATEWAY_NHOP, Rtable, mac_of, mac_word, write_link};
use super::{Way, Worker};
use crate::traffic::{Packet, Tick};
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The rtentry of the default route.
const DEFAULT: usize = GATEWAY_NHOP as usize;
/// The host rtentry of the gateway.
const GATEWAY_HOST: usize = 2;

/// A route as FreeBSD 8 keeps it, with its lock and count inside.
#[derive(Debug, Default)]
struct Rtentry {
    rt_mtx: Mtx,
    /// Written with `rt_mtx` held.
    rt_refcnt: AtomicU64,
    /// The route to this route's gateway (`RTF_GATEWAY`).
    rt_gwroute: Option<usize>,
    /// The neighbour's hardware address, once ARP has resolved it.
    rt_llinfo: AtomicU64,
}

/// The routing table of one FIB, and its ARP entries.
#[derive(Debug)]
pub(super) struct Freebsd8 {
    rnh_lock: CachePadded<Rwlock>,
    rnh: Rtable,
    /// Each on lines of its own: no sharing but what the steps themselves cause.
    rtentries: [CachePadded<Rtentry>; 3],
}

impl Freebsd8 {
    /// A default route through a gateway that ARP has resolved.
    pub(super) fn new() -> Self {
        let mut rtentries: [CachePadded<Rtentry>; 3] = Default::default();
        rtentries[DEFAULT].rt_gwroute = Some(GATEWAY_HOST);
        rtentries[GATEWAY_HOST].rt_llinfo = AtomicU64::new(mac_word(GATEWAY_MAC));
        Self {
            rnh_lock: CachePadded::default(),
            rnh: Rtable::with_default_route(),
            rtentries,
        }
    }

    /// The rtentry for `dst`, referenced and unlocked.
    #[inline]
    fn in_rtalloc_ign(&self, dst: u32, td: Curthread) -> Option<&Rtentry> {
        let head = self.rnh_lock.rlock();
        let rt = self.rtentries.get(self.rnh.lookup(dst)? as usize)?;
        let locked = rt.rt_mtx.lock(td);
        rt.rt_refcnt.store(rt.rt_refcnt.load(Relaxed) + 1, Relaxed);
        drop(head);
        drop(locked);
        Some(rt)
    }

    /// The rtentry that leads to the neighbour, locked: the gateway's, if `rt0` has one.
    #[inline]
    fn rt_check<'a>(&'a self, rt0: &'a Rtentry, td: Curthread) -> (&'a Rtentry, MtxGuard<'a>) {
        let locked0 = rt0.rt_mtx.lock(td);
        match rt0
            .rt_gwroute
            .and_then(|gateway| self.rtentries.get(gateway))
        {
            Some(rt) => {
                let locked = rt.rt_mtx.lock(td);
                drop(locked0);
                (rt, locked)
            }
            None => (rt0, locked0),
        }
    }

    /// The hardware address of the neighbour behind `rt0`.
    #[inline]
    fn arpresolve(&self, rt0: &Rtentry, td: Curthread) -> [u8; 6] {
        let (rt, locked) = self.rt_check(rt0, td);
        let mac = mac_of(rt.rt_llinfo.load(Relaxed));
        drop(locked);
        mac
    }

    /// `RTFREE`: gives the reference back.
    #[inline]
    fn rtfree(rt: &Rtentry, td: Curthread) {
        let _locked = rt.rt_mtx.lock(td);
        rt.rt_refcnt.store(rt.rt_refcnt.load(Relaxed) - 1, Relaxed);
    }

    /// `ip_output` as far as this benchmark goes.
    #[inline]
    fn ip_output(&self, packet: &mut Packet, td: Curthread) {
        let Some(rt) = self.in_rtalloc_ign(packet.tuple.dst, td) else {
            return;
        };
        let mac = self.arpresolve(rt, td);
        packet.nhop = GATEWAY_NHOP;
        write_link(&mut packet.link, mac);
        Self::rtfree(rt, td);
    }
}

impl Way for Freebsd8 {
    fn worker(&self, thread: usize) -> Box<dyn Worker + '_> {
        Box::new(Cpu {
            net: self,
            td: Curthread::new(thread),
        })
    }
}

/// One CPU that sends.
struct Cpu<'a> {
    net: &'a Freebsd8,
    td: Curthread,
}

impl Worker for Cpu<'_> {
    fn burst(&mut self, packets: &mut [Packet], _now: Tick) {
        for packet in packets {
            self.net.ip_output(packet, self.td);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_given_back() {
        let net = Freebsd8::new();
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let net = &net;
                scope.spawn(move || {
                    let mut packets = vec![Packet::default(); 1000];
                    net.worker(thread).burst(&mut packets, 0);
                });
            }
        });
        assert!(
            net.rtentries
                .iter()
                .all(|rt| rt.rt_refcnt.load(Relaxed) == 0)
        );
    }
}
