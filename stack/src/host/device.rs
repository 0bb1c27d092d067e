//! smoltcp's device: IP packets in and out of memory, no link layer (`Medium::Ip`).

use crate::pkt::{Pkt, Pool};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use std::collections::VecDeque;

/// Packets for our sockets that wait for the next poll.
const RX_MAX: usize = 256;

/// Packets of our sockets in one poll.
const TX_MAX: usize = 128;

/// The device.
pub(super) struct LocalDevice {
    rx: VecDeque<Vec<u8>>,
    tx: Vec<Vec<u8>>,
    mtu: usize,
}

impl LocalDevice {
    pub(super) fn new(mtu: usize) -> Self {
        Self {
            rx: VecDeque::new(),
            tx: Vec::new(),
            mtu: mtu.min(1500),
        }
    }

    /// A packet for our sockets. One too many is dropped: the sender will repeat it.
    pub(super) fn input(&mut self, packet: &[u8]) {
        if self.rx.len() < RX_MAX {
            self.rx.push_back(packet.to_vec());
        }
    }

    /// What the sockets sent, as packets of `pool`. What finds no buffer is dropped; TCP repeats it.
    pub(super) fn output(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>) {
        for bytes in self.tx.drain(..) {
            let Some(mut pkt) = pool.take() else { continue };
            if pkt.copy_from(&bytes) {
                out.push(pkt);
            } else {
                pool.put(pkt);
            }
        }
    }
}

/// One received packet.
pub(super) struct RxToken(Vec<u8>);

/// Room for one packet to send.
pub(super) struct TxToken<'a>(&'a mut Vec<Vec<u8>>);

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = vec![0; len];
        let result = f(&mut bytes);
        self.0.push(bytes);
        result
    }
}

impl phy::Device for LocalDevice {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken, TxToken<'_>)> {
        let packet = self.rx.pop_front()?;
        Some((RxToken(packet), TxToken(&mut self.tx)))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        (self.tx.len() < TX_MAX).then_some(TxToken(&mut self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ip;
        caps.max_transmission_unit = self.mtu;
        caps
    }
}
