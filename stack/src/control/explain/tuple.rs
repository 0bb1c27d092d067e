//! A packet for a 5-tuple: what one would look like that belongs to this flow, and by which port it would come.

use super::{Explanation, Framing, PacketAsk};
use crate::checksum;
use crate::control::{Control, ControlError};
use crate::parse::{Addrs, IpMeta, Tuple, proto};
use crate::path::{Named, name};
use crate::ports::Port;
use crate::routed::Routed;
use crate::time::Now;
use flowtable::{Dir, L4, Table, flow_hash};
use route::{FibId, PortId};

/// Which packet of its flow it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The first: a SYN, an INIT.
    First,
    /// A later one.
    Later,
}

/// A flow whose packet is to be explained.
#[derive(Clone, Copy, Debug)]
pub struct TupleAsk {
    /// Its ends, in the direction of the packet. Of ICMP the identifier as both ports.
    pub tuple: Tuple,
    /// The port by which it comes in; left out, the one by which the flow's last one came, else the one that leads back
    /// to the source.
    pub port: Option<PortId>,
    /// The FIB of that port, if that is known and the port is not; 0 else.
    pub fib: Option<FibId>,
    /// Which packet; left out, a later one if the flow has an entry, else the first.
    pub turn: Option<Turn>,
}

impl Control {
    /// Explains the next packet of a flow: a small one, with TTL 64.
    ///
    /// # Errors
    /// No such FIB or port, the port is of another FIB, or nobody knows by which port the packet would come.
    pub fn explain_tuple(
        &self,
        ask: &TupleAsk,
        now: Now,
    ) -> Result<(Explanation, Vec<String>), ControlError> {
        let mut assumed = Vec::new();
        let (port, known) = self.port_of_tuple(ask, now, &mut assumed)?;
        let turn = ask
            .turn
            .unwrap_or(if known { Turn::Later } else { Turn::First });
        if ask.turn.is_none() && matches!(ask.tuple.proto, proto::TCP | proto::SCTP) {
            assumed.push(match turn {
                Turn::Later => "a packet in the middle, as the flow has an entry".to_owned(),
                Turn::First => "its first packet, as the flow has no entry".to_owned(),
            });
        }
        let bytes = packet(&ask.tuple, turn);
        let packet = PacketAsk {
            port: port.id,
            framing: Framing::Ip,
            bytes: &bytes,
        };
        let explanation = self.trace(port, &packet, now);
        Ok((explanation, assumed))
    }

    /// The port, and whether the flow has an entry.
    fn port_of_tuple(
        &self,
        ask: &TupleAsk,
        now: Now,
        assumed: &mut Vec<String>,
    ) -> Result<(&Port, bool), ControlError> {
        if let Some(fib) = ask.fib {
            self.check_fib(fib)?;
        }
        let named = ask.port.map(|id| {
            let port = self.ports.get(id);
            port.ok_or_else(|| self.no_such_port(&format!("port{}", id.0)))
        });
        let named = named.transpose()?;
        if let (Some(port), Some(fib)) = (
            named,
            ask.fib.filter(|fib| named.is_some_and(|p| p.fib != *fib)),
        ) {
            return Err(ControlError::PortOfFib {
                port: port.name.clone(),
                is: port.fib,
                asked: fib,
            });
        }
        let fib = named.map(|port| port.fib).or(ask.fib).unwrap_or_default();
        let last = self.last_port(fib, &ask.tuple, now);
        if let Some(port) = named {
            return Ok((port, last.is_some()));
        }
        let came = last.flatten().and_then(|id| self.ports.get(id));
        if let Some(port) = came {
            assumed.push(format!(
                "in by {}, as the flow's last packet of this direction",
                port.name
            ));
            return Ok((port, true));
        }
        let src = ask.tuple.addrs.src();
        let back = self.routes.lookup_in(fib, src);
        let back = back.and_then(|route| self.ports.get(route.paths.first()?.port()));
        let port = back
            .filter(|port| port.fib == fib)
            .ok_or(ControlError::WhichPort(src))?;
        assumed.push(format!(
            "in by {}, where the route to {src} leads",
            port.name
        ));
        Ok((port, last.is_some()))
    }

    /// Whether the flow has an entry, and by which port its last packet of this direction came, if one did.
    fn last_port(&self, fib: FibId, tuple: &Tuple, now: Now) -> Option<Option<PortId>> {
        let meta = IpMeta {
            tuple: *tuple,
            fib,
            ..IpMeta::default()
        };
        match name(&meta) {
            Named::V4((key, dir)) => self.last_in(&self.tables.v4, &key, dir, tuple, now),
            Named::V6((key, dir)) => self.last_in(&self.tables.v6, &key, dir, tuple, now),
        }
    }

    fn last_in<K: Routed>(
        &self,
        table: &Table<K>,
        key: &K,
        dir: Dir,
        tuple: &Tuple,
        now: Now,
    ) -> Option<Option<PortId>> {
        let found = table.find(self.slot_of(tuple), flow_hash(table.secret(), key), key);
        let entry = found.filter(|entry| !entry.expired(now.tick()))?;
        let came = entry.packets[dir as usize] > 0;
        Some(came.then(|| PortId(u16::from(entry.in_ports[dir as usize]))))
    }
}

/// A packet of this flow without payload.
fn packet(tuple: &Tuple, turn: Turn) -> Vec<u8> {
    let mut l4 = transport(tuple, turn);
    let sum_at = match tuple.proto {
        proto::TCP => Some(16),
        proto::UDP | proto::UDPLITE => Some(6),
        proto::ICMP | proto::ICMP6 => Some(2),
        _ => None,
    };
    if let Some(at) = sum_at {
        let sum = checksum::transport(&tuple.addrs, tuple.proto, &l4).to_be_bytes();
        if let Some(place) = l4.get_mut(at..at + 2) {
            place.copy_from_slice(&sum);
        }
    }
    let mut bytes = header(tuple, l4.len() as u16);
    bytes.extend_from_slice(&l4);
    bytes
}

fn header(tuple: &Tuple, payload: u16) -> Vec<u8> {
    match tuple.addrs {
        Addrs::V4 { src, dst } => {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, tuple.proto, 0, 0];
            header.extend(src.to_be_bytes().iter().chain(&dst.to_be_bytes()));
            header[2..4].copy_from_slice(&(20 + payload).to_be_bytes());
            checksum::fill_header(&mut header, 20);
            header
        }
        Addrs::V6 { src, dst } => {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, tuple.proto, 64];
            header.extend(src.to_be_bytes().iter().chain(&dst.to_be_bytes()));
            header[4..6].copy_from_slice(&payload.to_be_bytes());
            header
        }
    }
}

fn transport(tuple: &Tuple, turn: Turn) -> Vec<u8> {
    let mut ports = [0; 4];
    ports[..2].copy_from_slice(&tuple.sport.to_be_bytes());
    ports[2..].copy_from_slice(&tuple.dport.to_be_bytes());
    let with_ports = |len: usize| {
        let mut l4 = vec![0; len];
        l4[..4].copy_from_slice(&ports);
        l4
    };
    match tuple.proto {
        proto::TCP => {
            let mut l4 = with_ports(20);
            l4[12] = 5 << 4;
            l4[13] = match turn {
                Turn::First => L4::SYN,
                Turn::Later => L4::ACK,
            };
            l4
        }
        proto::UDP | proto::UDPLITE => {
            let mut l4 = with_ports(8);
            l4[5] = 8;
            l4
        }
        proto::DCCP => with_ports(12),
        proto::SCTP => {
            let mut l4 = with_ports(16);
            // RFC 9260 §3.2: INIT is 1, SACK 3.
            (l4[12], l4[15]) = (if turn == Turn::First { 1 } else { 3 }, 4);
            l4
        }
        proto::ICMP | proto::ICMP6 => {
            let request = if tuple.proto == proto::ICMP { 8 } else { 128 };
            let id = tuple.sport.to_be_bytes();
            vec![request, 0, 0, 0, id[0], id[1], 0, 0]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn what_is_made_of_a_tuple_is_read_as_that_tuple() {
        for v6 in [false, true] {
            let addrs = match v6 {
                false => Addrs::V4 {
                    src: 0x0a00_0002,
                    dst: 0xc000_0201,
                },
                true => Addrs::V6 {
                    src: 2 << 112 | 2,
                    dst: 2 << 112 | 1,
                },
            };
            let icmp = if v6 { proto::ICMP6 } else { proto::ICMP };
            for number in [
                proto::TCP,
                proto::UDP,
                proto::UDPLITE,
                proto::DCCP,
                proto::SCTP,
                icmp,
                47,
            ] {
                let (sport, dport) = match number {
                    47 => (0, 0),
                    n if n == icmp => (77, 77),
                    _ => (1234, 80),
                };
                let tuple = Tuple {
                    addrs,
                    sport,
                    dport,
                    proto: number,
                };
                for turn in [Turn::First, Turn::Later] {
                    let bytes = packet(&tuple, turn);
                    let meta = parse::read(&bytes).expect("a good packet");
                    assert_eq!((meta.tuple, usize::from(meta.len)), (tuple, bytes.len()));
                    let opener = matches!(number, proto::TCP | proto::SCTP);
                    assert_eq!(meta.l4.opens(), opener && turn == Turn::First);
                    let checked = matches!(number, proto::TCP | proto::UDP | proto::UDPLITE)
                        || number == icmp;
                    let l4 = &bytes[usize::from(meta.l4_off)..];
                    assert!(
                        !checked || checksum::transport_valid(&addrs, number, l4),
                        "{number}"
                    );
                }
            }
        }
    }
}
