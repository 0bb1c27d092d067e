//! The rack: servers on an Ethernet segment, as smoltcp hosts.
//!
//! Every server answers ARP and ND for its own address and for the shared service address, answers pings, and
//! serves HTTP (port 80: it says its name) and echo (port 7: each line comes back with its name in front).
//! A server can be killed and brought back with its connections intact.
//!
//! Transport-agnostic: frames in, frames out, `now` in milliseconds. The segment knows the gateway and the
//! servers; what a server sends goes to the gateway (servers have nothing to say to one another). `poll` is to
//! be called every 10 ms or so; it finds what is due. One thread owns a rack.

mod conn;
mod host;
mod http;
#[cfg(test)]
mod tests;

use smoltcp::time::Instant;
use smoltcp::wire::EthernetFrame;

use super::addressing::ServerNo;
use host::Host;

/// Servers on a segment.
pub(crate) struct Rack {
    hosts: Vec<Host>,
}

impl Rack {
    /// A rack of `servers` servers, all switched on at `now`.
    pub(crate) fn new(servers: u8, now: u64) -> Self {
        let hosts = (0..servers)
            .map(|no| Host::new(ServerNo(no), instant(now)))
            .collect();
        Self { hosts }
    }

    /// A frame from the gateway; what the servers answer goes to `out`.
    pub(crate) fn input(&mut self, frame: &[u8], now: u64, out: &mut dyn FnMut(&[u8])) {
        let Ok(ether) = EthernetFrame::new_checked(frame) else {
            return;
        };
        let dst = ether.dst_addr();
        for host in self.hosts.iter_mut().filter(|host| host.takes(dst)) {
            host.input(frame, instant(now), out);
        }
    }

    /// Runs the servers' timers that are due at `now`.
    pub(crate) fn poll(&mut self, now: u64, out: &mut dyn FnMut(&[u8])) {
        for host in &mut self.hosts {
            host.poll(instant(now), out);
        }
    }

    /// Kills the server `no` (it is silent, to ARP and ND too) or brings it back as it was.
    pub(crate) fn set_alive(&mut self, no: ServerNo, alive: bool) {
        if let Some(host) = self.hosts.get_mut(usize::from(no.0)) {
            host.set_alive(alive);
        }
    }

    /// Connections that the server `no` holds.
    #[cfg(test)]
    pub(crate) fn connections(&self, no: ServerNo) -> usize {
        self.hosts
            .get(usize::from(no.0))
            .map_or(0, Host::connections)
    }
}

fn instant(now: u64) -> Instant {
    Instant::from_millis(i64::try_from(now).unwrap_or(i64::MAX))
}
