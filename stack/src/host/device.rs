//! smoltcp's device: IP packets in and out of memory, no link layer (`Medium::Ip`).

use crate::pkt::{Pkt, Pool};
use route::PortId;
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use std::collections::VecDeque;

/// Packets for our sockets that wait for the next poll.
const RX_MAX: usize = 256;

/// Packets of our sockets in one poll.
const TX_MAX: usize = 128;

/// A packet's bytes, and the port by which it came, or that came by which it answers.
struct Bytes {
    packet: Vec<u8>,
    port: Option<PortId>,
}

/// The device.
pub(super) struct LocalDevice {
    rx: VecDeque<Bytes>,
    tx: Vec<Bytes>,
    mtu: usize,
    /// Packets for which there was no room.
    full: u64,
}

impl LocalDevice {
    pub(super) fn new(mtu: usize) -> Self {
        Self {
            rx: VecDeque::new(),
            tx: Vec::new(),
            mtu: mtu.min(1500),
            full: 0,
        }
    }

    /// A packet for our sockets. One too many is dropped and counted: the sender will repeat it.
    pub(super) fn input(&mut self, packet: &[u8], port: PortId) {
        if self.rx.len() < RX_MAX {
            let (packet, port) = (packet.to_vec(), Some(port));
            self.rx.push_back(Bytes { packet, port });
        } else {
            self.full += 1;
        }
    }

    /// Packets for which there was no room, so far.
    pub(super) fn full(&self) -> u64 {
        self.full
    }

    /// What the sockets sent, as packets of `pool`; an answer knows by which port its question came. What finds no buffer is
    /// dropped; TCP repeats it.
    pub(super) fn output(&mut self, pool: &mut Pool, out: &mut Vec<Pkt>) {
        for Bytes { packet, port } in self.tx.drain(..) {
            let Some(mut pkt) = pool.take() else { continue };
            if pkt.copy_from(&packet) {
                pkt.asked = port;
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
pub(super) struct TxToken<'a> {
    tx: &'a mut Vec<Bytes>,
    port: Option<PortId>,
}

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        let port = self.port;
        self.tx.push(Bytes { packet, port });
        result
    }
}

impl phy::Device for LocalDevice {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken, TxToken<'_>)> {
        let Bytes { packet, port } = self.rx.pop_front()?;
        let tx = &mut self.tx;
        Some((RxToken(packet), TxToken { tx, port }))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        let (tx, port) = (&mut self.tx, None);
        (tx.len() < TX_MAX).then_some(TxToken { tx, port })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ip;
        caps.max_transmission_unit = self.mtu;
        caps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::phy::Device;

    #[test]
    fn what_finds_no_room_is_counted_and_an_answer_knows_its_port() {
        let mut device = LocalDevice::new(1500);
        for n in 0..RX_MAX + 3 {
            device.input(b"question", PortId(n as u16));
        }
        assert_eq!(device.full(), 3);
        for n in 0..2 {
            let (_, answer) = device.receive(Instant::ZERO).unwrap();
            phy::TxToken::consume(answer, 6, |room| room.fill(n));
        }
        let own = device.transmit(Instant::ZERO).unwrap();
        phy::TxToken::consume(own, 6, |room| room.fill(9));
        let mut out = Vec::new();
        device.output(&mut Pool::new(4, 2048), &mut out);
        let said: Vec<_> = out.iter().map(|pkt| (pkt.bytes()[0], pkt.asked)).collect();
        let port = |n| Some(PortId(n));
        assert_eq!(said, [(0, port(0)), (1, port(1)), (9, None)]);
    }
}
