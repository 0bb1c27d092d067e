//! The packets of the benchmark, made before anything is timed, the same for every way.
//!
//! Each thread has flows of its own, steered by the gateway's owner function as they would reach its workers
//! (a NIC with receive-side scaling does the like), and as many of them at every number of threads: so the
//! work and the memory of one thread do not change, and what changes with the number of threads is sharing
//! alone.

use flowtable::{TableSecret, owner_slot4};

/// Coarse time as the packet path has it: 100 ms units.
pub type Tick = u32;

/// What names a flow. Addresses and ports in host order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// Source address.
    pub src: u32,
    /// Destination address.
    pub dst: u32,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// IP protocol number.
    pub proto: u8,
}

impl FiveTuple {
    /// A number by which a router without a flow table spreads flows over next hops.
    #[inline]
    pub(crate) fn spread(&self) -> u32 {
        let ports = u32::from(self.sport) << 16 | u32::from(self.dport);
        let mixed = (self.src ^ self.dst.rotate_left(16) ^ ports).wrapping_mul(0x9e37_79b1);
        mixed >> 16
    }
}

/// One packet: what was read of it, and the room for what a way resolves.
///
/// A cache line of its own, so that two threads' packets never share one.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
pub struct Packet {
    /// Its flow.
    pub tuple: FiveTuple,
    /// Out: the link header, ready to send.
    pub link: [u8; 14],
    /// Out: the index of the next hop that was chosen.
    pub nhop: u32,
}

/// The flows of each thread.
#[derive(Clone, Debug)]
pub struct Traffic {
    flows: Vec<Vec<FiveTuple>>,
}

/// The first client address, 10.0.0.0.
const CLIENTS: u32 = 0x0a00_0000;
/// TCP.
const PROTO_TCP: u8 = 6;
/// Fixed, so that every run and every way sees the same flows in the same places.
pub const TABLE_SECRET: TableSecret = TableSecret(*b"contention bench");

impl Traffic {
    /// `flows` distinct flows for each of `threads` threads; the same for the same arguments.
    pub fn new(flows: usize, threads: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(0x003f_10c4);
        let mut of_threads = vec![Vec::with_capacity(flows); threads];
        let mut client = CLIENTS;
        let mut missing = flows * threads;
        while missing > 0 {
            let tuple = FiveTuple {
                src: client,
                dst: rng.u32(0x1400_0000..0xdf00_0000),
                sport: rng.u16(1024..),
                dport: 443,
                proto: PROTO_TCP,
            };
            client += 1;
            let thread: &mut Vec<_> = &mut of_threads[steer(&tuple, threads)];
            if thread.len() < flows {
                thread.push(tuple);
                missing -= 1;
            }
        }
        for thread in &mut of_threads {
            rng.shuffle(thread);
        }
        Self { flows: of_threads }
    }

    /// Number of threads it is made for.
    pub fn threads(&self) -> usize {
        self.flows.len()
    }

    /// The flows steered to `thread`.
    pub fn flows_of(&self, thread: usize) -> &[FiveTuple] {
        &self.flows[thread]
    }

    /// The flows of all threads.
    pub fn all_flows(&self) -> impl Iterator<Item = &FiveTuple> {
        self.flows.iter().flatten()
    }

    /// One packet of each flow of `thread`, in an order unrelated to any table's.
    pub fn packets_of(&self, thread: usize) -> Vec<Packet> {
        let packet = |tuple: &FiveTuple| Packet {
            tuple: *tuple,
            ..Packet::default()
        };
        self.flows[thread].iter().map(packet).collect()
    }
}

/// The thread that owns a flow: slots go round the threads, as they do round a gateway's workers.
fn steer(tuple: &FiveTuple, threads: usize) -> usize {
    let FiveTuple {
        src,
        dst,
        sport,
        dport,
        proto,
    } = *tuple;
    usize::from(owner_slot4(&TABLE_SECRET, proto, src, sport, dst, dport).0) % threads
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_thread_has_as_many_flows_and_no_flow_is_there_twice() {
        let traffic = Traffic::new(500, 3);
        assert_eq!(traffic.threads(), 3);
        for thread in 0..3 {
            assert_eq!(traffic.flows_of(thread).len(), 500);
        }
        let distinct: HashSet<_> = traffic.all_flows().collect();
        assert_eq!(distinct.len(), 1500);
    }

    #[test]
    fn the_same_arguments_give_the_same_packets() {
        let (a, b) = (Traffic::new(50, 2), Traffic::new(50, 2));
        assert!(a.all_flows().eq(b.all_flows()));
    }

    #[test]
    fn a_packet_fills_one_cache_line() {
        assert_eq!((size_of::<Packet>(), align_of::<Packet>()), (64, 64));
    }
}
