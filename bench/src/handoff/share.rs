//! A kernel on the other side of a TUN or TAP with two queues: which share of its packets comes by another queue than that
//! of the flow's owner, who answers each on its own queue.

use crate::clock::sleep;
use flowtable::{OwnerHash, TableSecret};
use stack::io::netlink::Netlink;
use stack::io::netns::enter_private;
use stack::io::steer::Steering;
use stack::io::tun::{Device, DeviceSpec, Kind, TunQueue, open};
use stack::io::{Queue, Tx};
use stack::parse::{self, Addrs};
use stack::pkt::Pool;
use stack::slots::even_slots;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

const QUEUES: usize = 2;
const ROUNDS: usize = 5;
const IDLE_ROUNDS: usize = 2;
/// The kernel's own address, the one that answers for all, and the network behind that.
const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const BEHIND: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 0);
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 9, 2];

struct Rig {
    device: Device,
    owner: OwnerHash,
    pool: Pool,
    /// Packets that came, and those by another queue than their owner's.
    came: usize,
    strayed: usize,
}

/// Prints a table of shares.
pub(super) fn run(flows: &[usize], idle: u64) -> Result<(), String> {
    enter_private().map_err(|error| error.to_string())?;
    println!(
        "{QUEUES} queues; share of a kernel's packets that come by another queue than their owner's, %"
    );
    println!(
        "{:>8} {:>8} {:>9} {:>12} {:>10} {:>10}",
        "device", "flows", "steering", "first packet", "then, busy", "after idle"
    );
    for kind in [Kind::Tun, Kind::Tap] {
        for &flows in flows {
            for steered in [false, true] {
                row(kind, flows, steered, idle)?;
            }
        }
    }
    Ok(())
}

fn row(kind: Kind, flows: usize, steered: bool, idle: u64) -> Result<(), String> {
    let name = if kind == Kind::Tun { "tun" } else { "tap" };
    let mut rig = Rig::new(kind, name)?;
    if steered {
        let steering = Steering::load(&rig.owner, &even_slots(QUEUES));
        let steering = steering
            .and_then(|steering| steering.programs().attach(&rig.device).map(|()| steering));
        if let Err(error) = steering {
            println!("{name:>8} {flows:>8} {:>9} {error}", "on");
            return Ok(());
        }
    }
    let socket = UdpSocket::bind((KERNEL, 0)).map_err(|error| error.to_string())?;
    let mut first = [0.0; 1];
    let (mut busy, mut idles) = ([0.0; ROUNDS], [0.0; IDLE_ROUNDS]);
    for share in first.iter_mut().chain(&mut busy) {
        *share = rig.round(&socket, flows)?;
    }
    for share in idles
        .iter_mut()
        .take(if idle > 0 { IDLE_ROUNDS } else { 0 })
    {
        sleep(Duration::from_secs(idle));
        *share = rig.round(&socket, flows)?;
    }
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let word = if steered { "on" } else { "off" };
    let idles = if idle > 0 {
        format!("{:.2}", mean(&idles))
    } else {
        "-".into()
    };
    println!(
        "{name:>8} {flows:>8} {word:>9} {:>12.2} {:>10.2} {idles:>10}",
        first[0],
        mean(&busy)
    );
    Ok(())
}

impl Rig {
    fn new(kind: Kind, name: &str) -> Result<Self, String> {
        let device = open(&DeviceSpec {
            queues: QUEUES,
            host_addrs: vec![(KERNEL.into(), 24)],
            ..DeviceSpec::new(kind, name)
        });
        let device = device.map_err(|error| error.to_string())?;
        let netlink = Netlink::open().map_err(|error| error.to_string())?;
        let via: Option<IpAddr> = (kind == Kind::Tap).then_some(ROUTER.into());
        let routed = netlink.route_add(BEHIND.into(), 10, via, device.ifindex, None);
        routed.map_err(|error| error.to_string())?;
        Ok(Self {
            device,
            owner: OwnerHash::new(&TableSecret([5; 16])),
            pool: Pool::new(256, 2048),
            came: 0,
            strayed: 0,
        })
    }

    /// A packet of each flow; the share that strayed, in percent.
    fn round(&mut self, socket: &UdpSocket, flows: usize) -> Result<f64, String> {
        (self.came, self.strayed) = (0, 0);
        for n in 0..flows {
            let host = Ipv4Addr::from_bits(BEHIND.to_bits() + 2 + (n % 50_000) as u32);
            let to = SocketAddr::new(host.into(), 2000 + (n / 50_000) as u16);
            socket
                .send_to(b"share", to)
                .map_err(|error| error.to_string())?;
            if n % 32 == 31 {
                self.answer()?;
            }
        }
        self.answer()?;
        if self.came < flows {
            return Err(format!("{} of {flows} packets came", self.came));
        }
        Ok(self.strayed as f64 * 100.0 / self.came as f64)
    }

    /// Takes what has come, until both queues are empty, and answers it.
    fn answer(&mut self) -> Result<(), String> {
        let mut out = Vec::new();
        loop {
            let mut came = 0;
            for queue in 0..QUEUES {
                let read = self.device.queues[queue].rx_burst(&mut self.pool, &mut out, 64);
                came += read.map_err(|error| error.to_string())?;
                for mut pkt in out.drain(..) {
                    self.packet(queue, pkt.bytes_mut());
                    self.pool.put(pkt);
                }
            }
            if came == 0 {
                return Ok(());
            }
        }
    }

    fn packet(&mut self, queue: usize, frame: &mut [u8]) {
        let link = if self.device.kind == Kind::Tap { 14 } else { 0 };
        if link > 0 && frame.get(12..14) == Some(&[8, 6]) {
            return arp(&mut self.device.queues[queue], frame);
        }
        let Some(Ok(meta)) = frame.get(link..).map(parse::read) else {
            return;
        };
        let Addrs::V4 { src, dst } = meta.tuple.addrs else {
            return;
        };
        if src != KERNEL.to_bits() || meta.proto != 17 {
            return;
        }
        let slot = self
            .owner
            .slot4(17, src, meta.tuple.sport, dst, meta.tuple.dport);
        let owner = usize::from(slot.0) % QUEUES;
        self.came += 1;
        self.strayed += usize::from(owner != queue);
        // The ends exchanged: every checksum stays right.
        let (ends, ports) = (link + 12, link + usize::from(meta.l4_off));
        exchange(frame, ends, 4);
        exchange(frame, ports, 2);
        if link > 0 {
            exchange(frame, 0, 6);
        }
        let _: Tx = self.device.queues[owner].tx(frame);
    }
}

fn exchange(bytes: &mut [u8], at: usize, len: usize) {
    if let Some(both) = bytes.get_mut(at..at + 2 * len) {
        both.rotate_left(len);
    }
}

/// Answers whoever asks for the router (RFC 826).
fn arp(queue: &mut TunQueue, frame: &[u8]) {
    let (Some(asker), true) = (
        frame.get(22..32),
        frame.get(38..42) == Some(&ROUTER.octets()),
    ) else {
        return;
    };
    let head = [0, 1, 8, 0, 6, 4, 0, 2];
    let parts: [&[u8]; 7] = [
        &asker[..6],
        &ROUTER_MAC,
        &[8, 6],
        &head,
        &ROUTER_MAC,
        &ROUTER.octets(),
        asker,
    ];
    let _: Tx = queue.tx(&parts.concat());
}
