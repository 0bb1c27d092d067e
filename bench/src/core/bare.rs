//! What the port in memory and the pool take by themselves.

use crate::rig::{Endless, Frames};
use stack::io::{Queue, Tx};
use stack::pkt::{Pkt, Pool};

const BURST: usize = 32;

/// A port that is read and written, with nothing between.
pub(super) struct Bare {
    pool: Pool,
    burst: Vec<Pkt>,
    port: Box<dyn Queue>,
}

impl Bare {
    pub(super) fn new(frames: Frames) -> Self {
        Self {
            pool: Pool::new(4096, 2048),
            burst: Vec::with_capacity(BURST),
            port: Box::new(Endless::new(frames)),
        }
    }

    /// Moves at least so many packets, and says how many.
    pub(super) fn turn(&mut self, packets: usize) -> u64 {
        let mut done = 0;
        while done < packets {
            let read = self
                .port
                .rx_burst(&mut self.pool, &mut self.burst, BURST)
                .unwrap_or(0);
            for mut pkt in self.burst.drain(..) {
                assert_eq!(self.port.tx_pkt(&mut pkt), Tx::Sent);
                self.pool.put(pkt);
            }
            done += read;
        }
        done as u64
    }
}
