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
//!
//! With several next hops each has an rtentry of its own and one is chosen under the head's lock; that `RADIX_MPATH`
//! locked the first of them too before it took another is left out. A route change takes the head's lock for writing.

use super::mtx::{Curthread, Mtx, MtxGuard, Rwlock};
use super::rtable::{
    FIRST_NHOP, Rtable, is_added, is_unused, mac_of, mac_of_nhop, mac_word, write_link,
};
use super::{Way, Worker};
use crate::traffic::{FiveTuple, Packet, Tick};
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

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
    /// Whether the route of the changes is there; written with the head locked for writing.
    rnh_unused: AtomicBool,
    /// By next hop, then those of the gateways' hosts. Each on lines of its own: no sharing but what the steps
    /// themselves cause.
    rtentries: Vec<CachePadded<Rtentry>>,
}

impl Freebsd8 {
    /// A default route through gateways that ARP has resolved.
    pub(super) fn new(nhops: usize) -> Self {
        let hosts = FIRST_NHOP as usize + nhops;
        let gateway = |nhop: usize| Rtentry {
            rt_gwroute: Some(nhop + nhops),
            ..Rtentry::default()
        };
        let host = |nhop: usize| Rtentry {
            rt_llinfo: AtomicU64::new(mac_word(mac_of_nhop(nhop as u32))),
            ..Rtentry::default()
        };
        let none = std::iter::once(Rtentry::default());
        let nhops = FIRST_NHOP as usize..hosts;
        let all = none
            .chain(nhops.clone().map(gateway))
            .chain(nhops.map(host));
        Self {
            rnh_lock: CachePadded::default(),
            rnh: Rtable::with_default_route(hosts - FIRST_NHOP as usize),
            rnh_unused: AtomicBool::new(false),
            rtentries: all.map(CachePadded::new).collect(),
        }
    }

    /// The next hop for a packet. With the head locked.
    #[inline]
    fn rnh_matchaddr(&self, tuple: &FiveTuple) -> Option<u32> {
        if self.rnh_unused.load(Relaxed) && is_unused(tuple.dst) {
            return Some(FIRST_NHOP);
        }
        self.rnh.lookup(tuple)
    }

    /// The rtentry for a packet, referenced and unlocked, and its next hop.
    #[inline]
    fn in_rtalloc_ign(&self, tuple: &FiveTuple, td: Curthread) -> Option<(&Rtentry, u32)> {
        let head = self.rnh_lock.rlock();
        let nhop = self.rnh_matchaddr(tuple)?;
        let rt = self.rtentries.get(nhop as usize)?;
        let locked = rt.rt_mtx.lock(td);
        rt.rt_refcnt.store(rt.rt_refcnt.load(Relaxed) + 1, Relaxed);
        drop(head);
        drop(locked);
        Some((rt, nhop))
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
        let Some((rt, nhop)) = self.in_rtalloc_ign(&packet.tuple, td) else {
            return;
        };
        let mac = self.arpresolve(rt, td);
        packet.nhop = nhop;
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

    fn change(&self, number: u64) -> Result<(), String> {
        let _head = self.rnh_lock.wlock();
        self.rnh_unused.store(is_added(number), Relaxed);
        Ok(())
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
        let net = Freebsd8::new(2);
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
