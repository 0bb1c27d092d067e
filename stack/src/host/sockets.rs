//! The box's own sockets: health checks on smoltcp, and ping.
//!
//! One interface without a link layer; the workers' classification decides what is for us, so it accepts any
//! address (`set_any_ip`). Each socket names its own source address, that of the port it will leave by.

use super::checks::{Check, CheckId, CheckState, Checks, Finished};
use super::device::LocalDevice;
use super::ping::{Moment, PingOutcome, PingRefusal, PingSpec, Pings};
use super::roll::Hearing;
use crate::parse::IpMeta;
use crate::pkt::{Pkt, Pool};
use crate::ports::Ports;
use route::PortId;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::sync::mpsc::SyncSender;

/// The sockets and their interface.
pub(super) struct Sockets {
    device: LocalDevice,
    iface: Interface,
    set: SocketSet<'static>,
    checks: Checks,
    pings: Pings,
    next_at: Option<u64>,
    addrs: Vec<IpAddress>,
}

impl Sockets {
    pub(super) fn new(seed: u64, mtu: usize) -> Self {
        let mut device = LocalDevice::new(mtu);
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut iface = Interface::new(config, &mut device, Instant::from_millis(0));
        iface.set_any_ip(true);
        Self {
            device,
            iface,
            set: SocketSet::new(Vec::new()),
            checks: Checks::new(seed),
            pings: Pings::default(),
            next_at: None,
            addrs: Vec::new(),
        }
    }

    /// A packet for us, which `ip_input` has read and which came by `port`; `us` as in [`Moment`].
    pub(super) fn input(&mut self, meta: &IpMeta, packet: &[u8], port: PortId, us: u64) {
        if !self.pings.input(meta, packet, us) {
            self.device.input(packet, port);
        }
    }

    /// Runs the sockets now; packets to be sent go to `out`. Returns what became of checks.
    pub(super) fn poll(
        &mut self,
        moment: Moment,
        hearing: Hearing,
        ports: &Ports,
        pool: &mut Pool,
        out: &mut Vec<Pkt>,
    ) -> Finished {
        self.set_addrs(ports);
        let now = moment.ms;
        let at = Instant::from_millis(i64::try_from(now).unwrap_or(i64::MAX));
        self.checks
            .start_due(now, ports, &mut self.iface, &mut self.set);
        self.pings.turn(moment, pool, out);
        self.iface.poll(at, &mut self.device, &mut self.set);
        let finished = self.checks.finish(now, hearing, &mut self.set);
        // An aborted connection still has its RST to send.
        self.iface.poll_egress(at, &mut self.device, &mut self.set);
        self.checks.remove_closed(&mut self.set);
        self.device.output(pool, out);
        let stack = self
            .iface
            .poll_at(at, &self.set)
            .map(|t| t.total_millis().max(0) as u64);
        self.next_at = [stack, self.checks.next_at(), self.pings.next_at()]
            .into_iter()
            .flatten()
            .min();
        finished
    }

    /// smoltcp wants an address of each family to be able to speak it; two are enough, the sockets name theirs.
    fn set_addrs(&mut self, ports: &Ports) {
        let of = |v4: bool| {
            let mut all = ports.0.iter().flat_map(|p| &p.addrs).map(|a| a.addr);
            all.find(|a| a.is_ipv4() == v4 && !crate::ports::is_link_local(a))
                .map(IpAddress::from)
        };
        let wanted: Vec<IpAddress> = [of(true), of(false)].into_iter().flatten().collect();
        if wanted == self.addrs {
            return;
        }
        self.iface.update_ip_addrs(|addrs| {
            addrs.clear();
            for addr in &wanted {
                let len = if matches!(addr, IpAddress::Ipv4(_)) {
                    32
                } else {
                    128
                };
                // The list holds two.
                let _ = addrs.push(IpCidr::new(*addr, len));
            }
        });
        self.addrs = wanted;
    }

    /// Packets that found no room, so far.
    pub(super) fn full(&self) -> u64 {
        self.device.full()
    }

    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.next_at
    }

    pub(super) fn set_checks(&mut self, checks: Vec<Check>, now: u64) {
        self.checks.set(checks, now, &mut self.set);
        self.next_at = Some(now);
    }

    pub(super) fn checks(&self) -> Vec<(CheckId, CheckState)> {
        self.checks.states()
    }

    pub(super) fn start_ping(
        &mut self,
        spec: PingSpec,
        told: SyncSender<PingOutcome>,
        now: u64,
        ports: &Ports,
    ) -> Result<u64, PingRefusal> {
        self.next_at = Some(now);
        self.pings.start(spec, told, now, ports)
    }

    pub(super) fn stop_ping(&mut self, id: u64) {
        self.pings.stop(id);
    }
}
