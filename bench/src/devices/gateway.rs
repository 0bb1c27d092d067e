//! Flowgate with its own threads, on the same devices.

use super::Forwarder;
use super::cable::Side;
use super::place::{LEN, said};
use flowtable::{GroupSecret, TableSecret};
use route::{FibId, PortId};
use stack::counters::Counters;
use stack::io::poll::Clock;
use stack::io::run::{RunConfig, Running, start};
use stack::ports::{Layer, Port, PortAddr, Ports};
use stack::{Gateway, Now, Setup, Wakers, build};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Buffers for super-packets, a worker: the daemon's default.
const LARGE_BUFFERS: usize = 64;

/// A running gateway without control: its routes are those of its ports.
pub(super) struct Flowgate {
    running: Option<Running>,
    counters: Vec<Arc<Counters>>,
    _control: stack::Control,
}

impl Flowgate {
    pub(super) fn start([one, other]: [Side; 2]) -> Result<Self, String> {
        let workers = one.queues.len();
        let setup = Setup {
            workers,
            ports: Ports(vec![
                port(0, &one, Ipv4Addr::new(10, 1, 0, 1)),
                port(1, &other, Ipv4Addr::new(10, 2, 0, 1)),
            ]),
            large_buffers: LARGE_BUFFERS,
            table_secret: TableSecret([7; 16]),
            group_secret: GroupSecret([9; 16]),
            ..Setup::default()
        };
        let wakers = Wakers::new(workers).map_err(said)?;
        let clock = Clock::start();
        let Gateway {
            control,
            host,
            workers,
        } = build(setup, &wakers, Now(clock.ms())).map_err(said)?;
        let counters = workers.iter().map(|w| Arc::clone(w.counters())).collect();
        let pairs = one.queues.into_iter().zip(other.queues);
        let queues = pairs.map(|(one, other)| vec![one, other]);
        let config = RunConfig::default();
        let running = start(workers, queues.collect(), host, clock, &config).map_err(said)?;
        Ok(Self {
            running: Some(running),
            counters,
            _control: control,
        })
    }
}

fn port(id: u16, side: &Side, addr: Ipv4Addr) -> Port {
    Port {
        fib: FibId(0),
        id: PortId(id),
        name: side.name.clone(),
        layer: side.mac.map_or(Layer::L3, Layer::L2),
        mtu: 1500,
        narrowed: None,
        up: true,
        rules: Default::default(),
        vlan: None,
        addrs: vec![PortAddr {
            addr: addr.into(),
            len: LEN,
        }],
    }
}

impl Forwarder for Flowgate {
    fn forwarded(&self) -> u64 {
        let of = self.counters.iter().map(|c| c.forwarded.get());
        of.sum()
    }
}

impl Drop for Flowgate {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}
